"""Whole nodes whose slices lie elsewhere, or nowhere: in S3, in two tiers, far away, on a full disk."""

from __future__ import annotations

import contextlib
import hashlib
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qanat.chain.views import DutyStatus
from qanat.client.fetch import fetch_recovered
from qanat.client.store import StoredObject, store_file
from qanat.devnet.anvil import Clock
from qanat.devnet.network import Network, OperatorHost
from qanat.store.fsspec_store import FsspecStore
from qanat.store.lmdb_store import LmdbStore
from tests.integration.local_network import configure, go_to_epoch, running_network, ticking
from tests.integration.misbehaving_proxy import Fault, Proxy
from tests.s3_server import S3

OPERATORS = 4
SECONDS = 120.0
#: Of the tiered store: two slices of 128 KiB and no third.
HOT_BYTES = 300_000
#: Added to each piece of what S3 answers to the node that is far from it.
LATENCY_SECONDS = 0.05
#: Every operator holds as many slices as there are matrices: more than the hot store has room for.
SIZE = 1_800_000


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A server for all nodes."""
    server = S3()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def far(s3: S3) -> Iterator[Proxy]:
    """The long way to it."""
    proxy = Proxy(s3.port)
    proxy.fault = Fault(delay=LATENCY_SECONDS)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def buckets(s3: S3) -> dict[str, str]:
    """The URL of each node that keeps slices there."""
    return {name: s3.bucket(name) for name in ("far", "tiered")}


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, s3: S3, far: Proxy, buckets: dict[str, str]
) -> Iterator[tuple[Network, Clock]]:
    """Four nodes: all in a far S3; a hot part with the rest in a near one; two on disks of their own."""
    stores = [
        {"kind": "fsspec", "url": buckets["far"], "options": s3.options() | {"endpoint_url": far.url}},
        {
            "kind": "tiered",
            "hotBytes": HOT_BYTES,
            "cold": {"kind": "fsspec", "url": buckets["tiered"], "options": s3.options()},
        },
    ]
    folder = tmp_path_factory.mktemp("network")
    # as docs/node.md says, the window is longer than q reads of cold slices; blocks pass fast here
    longer = {"plan_changes": {"epoch": 40, "window": 24}, "delays": {"withdrawal": 110, "timelock": 160}}
    with running_network(folder, OPERATORS, **longer) as (network, clock):
        for host, store in zip(network.hosts, stores, strict=False):
            host.process.stop()
            configure(host, store=store)
        network.start_nodes(network.hosts[: len(stores)])
        yield network, clock


def eventually(what: str, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def store(network: Network, clock: Clock, path: Path, **options: Any) -> StoredObject:
    """Store a file as the owner; any one operator may be down."""
    settings = {"epochs": 8, "tolerate_down": 1, "availability": 0.99, "grace_seconds": 30.0, **options}
    path.write_bytes(b"".join(hashlib.sha256(b"%s %d" % (path.name.encode(), at)).digest() for at in range(SIZE // 32)))
    with clock.settling():
        return store_file(
            path,
            chain=network.chain,
            sender=network.actor("owner").session.sender,
            shard=network.shard,
            out_dir=path.parent,
            **settings,
        )


def all_answer(network: Network, clock: Clock, epoch: int) -> None:
    """Go to an epoch: nobody misses it."""
    views, shard = network.views, network.shard
    go_to_epoch(network, clock, epoch)
    with clock.gathering():
        eventually(f"epoch {epoch} is sealed", lambda: views.seed(shard, epoch).is_sealed)
        eventually(
            f"all answer epoch {epoch}",
            lambda: all(views.duty(shard, epoch, host.address) is DutyStatus.ANSWERED for host in network.hosts),
        )
    clock.mine_to(views.seed(shard, epoch).deadline + 1)


def fetch(network: Network, clock: Clock, stored: StoredObject, out: Path) -> bytes:
    """Fetch as the owner."""
    assert stored.recovery is not None
    with ticking(clock):
        fetch_recovered(
            stored.recovery,
            chain=network.chain,
            signer=network.actor("owner").session.signer,
            out_path=out,
            timeout_seconds=SECONDS,
        )
    return out.read_bytes()


def test_slices_elsewhere_are_signed_answered_kept_over_kills_and_served(
    running: tuple[Network, Clock], s3: S3, buckets: dict[str, str], tmp_path: Path
) -> None:
    """One node far from its S3, one with most of its slices cold; both killed between epochs, then needed to read."""
    network, clock = running
    path = tmp_path / "file"
    stored = store(network, clock, path)
    assert stored.absent == {}
    far, tiered, *near = network.hosts
    own = stored.manifest.count // OPERATORS
    assert own * stored.manifest.slice_bytes > HOT_BYTES
    all_answer(network, clock, stored.first_epoch)

    for host in (far, tiered):
        host.process.kill()
    with contextlib.closing(FsspecStore(buckets["far"], options=s3.options())) as kept:
        assert len(list(kept.indexes(stored.object_id))) == own
    with contextlib.closing(FsspecStore(buckets["tiered"], options=s3.options())) as kept:
        cold = set(kept.indexes(stored.object_id))
    with contextlib.closing(LmdbStore(tiered.slices)) as kept:
        hot = set(kept.indexes(stored.object_id))
        assert kept.usage().bytes <= HOT_BYTES
    assert len(cold | hot) == own
    assert len(cold) >= own - HOT_BYTES // stored.manifest.slice_bytes
    network.start_nodes([far, tiered])
    all_answer(network, clock, stored.first_epoch + 1)

    # k = 3 of 4: without one that is near, both are needed
    near[0].process.kill()
    assert fetch(network, clock, stored, tmp_path / "back") == path.read_bytes()
    network.start_nodes([near[0]])


def test_a_full_disk_costs_a_signature_and_nothing_else(running: tuple[Network, Clock], tmp_path: Path) -> None:
    """A node whose files may not grow (RLIMIT_FSIZE) refuses, does not sign, serves, answers; with room it joins."""
    network, clock = running
    before = store(network, clock, tmp_path / "before")
    full = network.hosts[3]
    limit_files(full, (full.slices / "data.mdb").stat().st_size)
    # before the other is stored: epochs pass while it comes, and what was not signed can be adopted in two of them only
    assert fetch(network, clock, before, tmp_path / "back") == (tmp_path / "before").read_bytes()
    stored = store(network, clock, tmp_path / "file", grace_seconds=2.0)
    assert set(stored.absent) == {full.address}
    assert "Free some space" in str(stored.absent[full.address])
    assert full.is_healthy()
    assert network.views.object(stored.object_id).unsigned_tickets == 1
    limit_files(full, resource.RLIM_INFINITY)
    eventually("it adopts", lambda: network.views.object(stored.object_id).unsigned_tickets == 0)
    all_answer(network, clock, max(before.first_epoch, stored.first_epoch))


def limit_files(host: OperatorHost, size: int) -> None:
    """Let no file of a running node grow beyond a size: its disk is full."""
    _, most = resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, (size, most))
