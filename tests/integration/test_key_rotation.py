"""An operator's key is replaced while its node runs: nothing that was promised is lost, and no roster waits for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from qanat import bls
from qanat.devnet.anvil import Clock
from qanat.devnet.network import Network
from qanat.node.folder import NodeFolder
from tests.integration.local_network import running_network
from tests.integration.test_node_life import answers, begin, eventually, make_file, status_of, store

OPERATORS = 4
#: Epochs of a roster: half of them have to pass before the next one.
TERM_EPOCHS = 14


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Clock]]:
    """Four nodes."""
    with running_network(tmp_path_factory.mktemp("network"), OPERATORS, term_epochs=TERM_EPOCHS) as (network, clock):
        yield network, clock


def test_a_key_rotates_while_its_node_runs(running: tuple[Network, Clock], tmp_path: Path) -> None:
    """Under the old roster the node signs with the old key, under the next one with the new one; no restart, no miss.

    Then it is killed and started again, and has both.
    """
    network, clock = running
    views, shard, host = network.views, network.shard, network.hosts[0]
    before = store(network, clock, make_file(tmp_path, 100_000, "before"), epochs=2)
    process = host.process.pid

    rotated = host.actor.run("rotate_key", folders=(host.folder,))
    old, new = (bls.load_key(host.folder / name, os.environ["QANAT_PASSPHRASE"]) for name in key_files(network))
    assert views.key_of(host.address) == new.public_key
    assert rotated["old_keys"][0]["key_hash"] == "0x" + views.roster(shard, 1).entry_of(host.address).key_hash.hex()

    same_roster = store(network, clock, make_file(tmp_path, 100_000, "same roster"), epochs=2)
    assert same_roster.roster == before.roster == 1
    assert_signed_with(network, same_roster.object_id, old, not_with=new)
    for epoch in range(before.first_epoch, same_roster.end_epoch):
        begin(network, clock, epoch)
        eventually(f"all answer in epoch {epoch}", lambda epoch=epoch: answers(network, epoch, *network.hosts))
        clock.mine_to(views.seed(shard, epoch).deadline + 3)

    # half a term later a roster may be taken without a change of tickets; the objects are over
    half = views.roster(shard, 1).head.snapshot_block + TERM_EPOCHS * network.parameters.epoch_length // 2
    clock.mine_to(max(network.chain.latest(), half))
    taken = network.take_roster()
    assert bls.aggregate_keys([views.key_of(item.address) for item in network.hosts]) == taken.aggregate_key
    clock.mine_to(views.seed_block(shard, taken.head.active_from_epoch))
    after = store(network, clock, make_file(tmp_path, 100_000, "after"), epochs=2)
    assert after.roster == taken.number
    assert_signed_with(network, after.object_id, new, not_with=old)
    assert host.process.pid == process

    os.kill(process, signal.SIGKILL)
    network.start_nodes([host])
    assert_signed_with(network, after.object_id, new, not_with=old)
    again = store(network, clock, make_file(tmp_path, 100_000, "again"), epochs=2)
    assert_signed_with(network, again.object_id, new, not_with=old)
    begin(network, clock, after.first_epoch)
    eventually("all answer", lambda: answers(network, after.first_epoch, *network.hosts))
    eventually("it knows", lambda: status_of(host, after.first_epoch) in ("answered", "settled"))

    kept = host.actor.run("rotate_key", folders=(host.folder,), drop=True)
    assert [item["file"] for item in kept["kept"]] == [str(host.folder / key_files(network)[0])]


def key_files(network: Network) -> list[str]:
    """Names of the first node's BLS keys."""
    return NodeFolder(network.hosts[0].folder).bls_files


def assert_signed_with(network: Network, object_id: bytes, key: bls.SecretKey, *, not_with: bls.SecretKey) -> None:
    """Check that the first node's signature, which it gives to anyone who asks, is one key's and not the other's."""
    import httpx

    host = network.hosts[0]
    given = httpx.post(f"{host.url}/objects/0x{object_id.hex()}/signature", trust_env=False, timeout=30).json()
    signature = bytes.fromhex(given["signature"].removeprefix("0x"))
    digest = network.views.certificate_digest(object_id)
    assert bls.verify(key.public_key, digest, signature)
    assert not bls.verify(not_with.public_key, digest, signature)
