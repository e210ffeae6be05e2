"""A network of real processes on a real chain, for the tests of nodes and clients: Anvil, contracts, stake, nodes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qanat.chain.artifacts import load_artifacts
from qanat.chain.connection import Chain
from qanat.chain.deploy import deploy
from qanat.chain.parameters import load_parameters
from qanat.chain.sender import Sender
from qanat.chain.signer import KeySigner
from qanat.cli.command import development_account
from qanat.client.release import HeldKey
from qanat.devnet.anvil import Clock, start_anvil
from qanat.devnet.network import Network, OperatorHost
from qanat.devnet.processes import Supervisor, assign_ports
from qanat.keys.context import request_hash
from qanat.keys.release import LicenseeKey
from qanat.node.keyholder import key_request

ROOT = Path(__file__).resolve().parents[2]
TICKETS_EACH = 1
TERM_EPOCHS = 90
#: What makes nodes look at the chain often: blocks pass fast in tests.
FAST = {"pollSeconds": 0.25, "turnSeconds": 0.1}


@contextmanager
def running_network(
    folder: Path,
    operators: int,
    *,
    term_epochs: int = TERM_EPOCHS,
    plan_changes: Mapping[str, int] = MappingProxyType({}),
    delays: Mapping[str, int] = MappingProxyType({}),
    hold_keys: bool = False,
    **settings: Any,
) -> Iterator[tuple[Network, Clock]]:
    """Give a network whose nodes run, at the first block of its roster's first epoch; ends every process.

    ``plan_changes``, ``delays``: of the shard and the network, other than in ``networks/local.yaml``; ``settings``: of
    the nodes, or what makes one of the network once it is deployed.
    """
    with Supervisor(folder / "logs") as supervisor:
        network = Network(ROOT, folder, supervisor, "", bonds=100, hold_keys=hold_keys)
        _, network.url = start_anvil(supervisor, ROOT, assign_ports(1)[0])
        clock = Clock(network.url, 0.1).start()
        # enough for a block to be safe; more would let the time for certification pass while nothing happens
        clock.FOLLOWING = 1
        try:
            with network.environment_set():
                chain = Chain.connect(network.url)
                parameters = load_parameters(ROOT / "networks" / "local.yaml")
                # one roster serves a whole module of tests; what a slow machine misses puts nobody out of it
                shards = {
                    name: replace(plan, term_epochs=term_epochs, jail_misses=1000, **plan_changes)
                    for name, plan in parameters.shards.items()
                }
                parameters = replace(parameters, shards=shards, delays=replace(parameters.delays, **delays))
                sender = Sender(chain, development_account(0))
                network.use(deploy(chain, sender, parameters, load_artifacts(), folder / "local.json"))
                network.add_hosts(operators)
                network.give_tokens()
                network.enroll(TICKETS_EACH)
                roster = network.take_roster()
                clock.mine_to(network.views.seed_block(network.shard, roster.head.active_from_epoch))
                made = {name: item(network) if callable(item) else item for name, item in settings.items()}
                for host in network.hosts:
                    configure(host, **{**FAST, **made})
                network.start_nodes()
                yield network, clock
        finally:
            clock.stop()


def configure(host: OperatorHost, **settings: Any) -> None:
    """Change a node's settings; they count from its next start."""
    content = json.loads(host.config.read_text())
    content.update(settings)
    host.config.write_text(json.dumps(content))


@contextmanager
def ticking(clock: Clock, seconds: float = 0.7) -> Iterator[None]:
    """Mine a block now and then while the body runs: response windows pass, as on a chain that lives."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(seconds):
            clock.mine(1)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def signed_ask(
    held: HeldKey, license_id: int, holder: str, *, chain: Chain, signer: KeySigner, deadline: int = 2_000_000_000_000
) -> tuple[str, dict[str, Any]]:
    """Return path and body with which a licensee asks a holder for its part of a key, with a fresh P."""
    key, context = LicenseeKey.generate(), held.context
    licenses = chain.contract("Licenses").address
    recipient = request_hash(context.identity, key.point)
    signed = key_request(context.chain_id, licenses, license_id, holder, recipient, deadline)
    possession = key.prove(context.chain_id, context.contract, bytes.fromhex(signer.address[2:]))
    asked = {
        "licenseId": license_id,
        "point": "0x" + key.point.hex(),
        "possession": "0x" + possession.hex(),
        "deadline": deadline,
        "signature": "0x" + bytes(signer.sign_typed_data(*signed)).hex(),
    }
    return f"/keys/{context.asset_id}/{context.key_epoch}/release", asked


def go_to_epoch(network: Network, clock: Clock, epoch: int) -> None:
    """Mine to the block after an epoch's seed block."""
    clock.mine_to(network.views.seed_block(network.shard, epoch) + 1)
