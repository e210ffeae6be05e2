"""Twelve nodes in a storm of kills, damage, partitions, reorganisations: who did not answer is slashed, nobody else is.

``QANAT_STORM_SEED=n`` draws another storm; it is printed. ``QANAT_STORM_SECONDS``: how long it lasts, 30 by default.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qanat.auditor import audit
from qanat.chain.views import DutyStatus
from qanat.client.store import StoredObject, store_file
from qanat.devnet.accounts import Accounts
from qanat.devnet.anvil import Clock
from qanat.devnet.corruption import flip_byte
from qanat.devnet.network import Network, OperatorHost
from qanat.errors import SliceNotFound
from qanat.index import Index
from tests.integration.local_network import configure, go_to_epoch, running_network
from tests.integration.misbehaving_proxy import Fault, Proxy

OPERATORS = 12
OBJECTS = 3
SECONDS = float(os.environ.get("QANAT_STORM_SECONDS", "30"))
SEED = int(os.environ.get("QANAT_STORM_SEED") or secrets.randbelow(1 << 32))
PATIENCE = 120.0
#: Long enough for twelve answers, their repetitions after a reorganisation, and what else nodes send meanwhile.
WINDOW = 16
#: Blocks of an epoch: more than from its seed to its last slash, so that the next one does not open before its storm.
EPOCH = 80
#: Storms with damage: enough hosts stay whole for kills and cuts.
MOST_DAMAGED = 3


def eventually(
    what: str, holds: Callable[[], bool], seconds: float = PATIENCE, *, told: Callable[[], str] = str
) -> None:
    """Wait until something holds; ``told`` says more where it does not."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}\n{told()}"
        time.sleep(0.2)


@dataclass(frozen=True)
class Account:
    """Somebody of whom only an address is known."""

    address: str


@dataclass
class Storm:
    """The network, what fails in it, and what must come of it."""

    network: Network
    clock: Clock
    proxies: list[Proxy]
    choose: random.Random
    stored: list[StoredObject] = field(default_factory=list)
    #: hosts whose slices were damaged: whether they can answer depends on what is drawn and on what they mended
    damaged: list[OperatorHost] = field(default_factory=list)
    missed: set[tuple[int, str]] = field(default_factory=set)
    answered: set[tuple[int, str]] = field(default_factory=set)
    reorganised: int = 0
    epochs: int = 0

    def status(self, epoch: int, host: OperatorHost) -> DutyStatus:
        """What the chain says of an operator's duty."""
        return self.network.views.duty(self.network.shard, epoch, host.address)

    def told(self, epoch: int, hosts: Sequence[OperatorHost]) -> str:
        """What those say who did not answer."""
        silent = [host for host in hosts if self.status(epoch, host) is not DutyStatus.ANSWERED]
        lines = [f"block {self.clock.block}"]
        for host in silent:
            lines += [f"node {host.folder.name}, running: {host.process.running}", host.process.tail(30)]
        return "\n".join(lines)

    def store(self, path: Path) -> None:
        """Store a file for the whole storm."""
        with self.clock.settling():
            self.stored.append(
                store_file(
                    path,
                    chain=self.network.chain,
                    sender=self.network.actor("owner").session.sender,
                    shard=self.network.shard,
                    epochs=40,
                    out_dir=path.parent,
                    tolerate_down=1,
                    availability=0.99,
                    grace_seconds=30.0,
                )
            )

    def pick(self, hosts: Sequence[OperatorHost], count: int) -> list[OperatorHost]:
        """Draw hosts."""
        return self.choose.sample(list(hosts), count)

    def blow(self, epoch: int) -> None:
        """Let an epoch pass: the faults, what must be answered in spite of them, and the reports of what was not."""
        whole = [host for host in self.network.hosts if host not in self.damaged]
        down = self.pick(whole, 2)
        rest = [host for host in whole if host not in down]
        killed, cut = self.pick(rest, 2), self.pick(rest, 3)
        if self.epochs % 3 == 1 and len(self.damaged) < MOST_DAMAGED:
            victim = self.choose.choice([host for host in rest if host not in killed])
            self.damage(victim)
            rest.remove(victim)
        for host in [*down, *killed]:
            host.process.kill()
        for host in cut:
            self.proxies[self.network.hosts.index(host)].cut(self.fault())
        views, shard = self.network.views, self.network.shard
        assert self.clock.block < views.seed_block(shard, epoch), "the epoch began before its storm"
        go_to_epoch(self.network, self.clock, epoch)
        eventually(f"epoch {epoch} is sealed", lambda: views.seed(shard, epoch).is_sealed)
        for host in killed:
            self.network.start_node(host)
        if self.choose.random() < 0.6:
            self.reorganise(epoch, rest)
        for host in cut:
            self.proxies[self.network.hosts.index(host)].cut()
        deadline = views.seed(shard, epoch).deadline
        eventually(
            f"all that were up, whole and heard answer epoch {epoch} by block {deadline}",
            lambda: all(self.status(epoch, host) is DutyStatus.ANSWERED for host in rest),
            told=lambda: self.told(epoch, rest),
        )
        self.clock.mine_to(views.seed(shard, epoch).deadline + 1)
        for host in down:
            self.network.start_node(host)
        absent = [host for host in [*down, *self.damaged] if self.status(epoch, host) is not DutyStatus.ANSWERED]
        eventually(
            f"all misses of epoch {epoch} are reported",
            lambda: all(self.status(epoch, host) is DutyStatus.MISSED for host in absent),
        )
        assert {host.address for host in down} <= {host.address for host in absent}
        self.missed |= {(epoch, host.address) for host in absent}
        self.answered |= {(epoch, host.address) for host in self.network.hosts if host not in absent}
        self.epochs += 1

    def fault(self) -> Fault:
        """Draw what happens to a node's connections to the chain."""
        return self.choose.choice(
            [
                Fault(delay=0.2),
                Fault(cut_answers_after=self.choose.randrange(4096)),
                Fault(cut_requests_after=self.choose.randrange(2048)),
                Fault(swallow="answers", times=3),
                Fault(swallow="both", times=3),
            ]
        )

    def damage(self, host: OperatorHost) -> None:
        """Flip a byte in every slice that a node holds."""
        host.process.pause()
        for stored in self.stored:
            for index in range(stored.manifest.count):
                try:
                    flip_byte(host.slices, stored.object_id, index)
                except SliceNotFound:
                    continue
        host.process.resume()
        self.damaged.append(host)

    def reorganise(self, epoch: int, hosts: Sequence[OperatorHost]) -> None:
        """Once some have answered, replace the last blocks by empty ones: what they answered is gone."""
        eventually(
            f"some answer epoch {epoch}",
            lambda: sum(self.status(epoch, host) is DutyStatus.ANSWERED for host in hosts) >= 3,
        )
        before = sum(self.status(epoch, host) is DutyStatus.ANSWERED for host in hosts)
        sealed = self.network.views.seed(self.network.shard, epoch).sealed_block
        depth = min(2, self.network.chain.latest() - sealed)
        if depth > 0:
            self.network.chain.rpc("anvil_reorg", depth, [])
            after = sum(self.status(epoch, host) is DutyStatus.ANSWERED for host in hosts)
            self.reorganised += before - after


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    """Twelve nodes, each with a way of its own to the chain, that report each other's misses."""
    # at least an epoch, its sealing, window, reporting and resolution, and the guardian's delay; and an epoch more
    delays = {"withdrawal": EPOCH + WINDOW + 40, "timelock": 2 * EPOCH + WINDOW + 60}
    plan = {"window": WINDOW, "epoch": EPOCH}
    with running_network(tmp_path / "network", OPERATORS, plan_changes=plan, delays=delays, report=True) as (
        network,
        clock,
    ):
        proxies = [Proxy(int(network.url.rsplit(":", 1)[1])) for _ in network.hosts]
        try:
            for host, proxy in zip(network.hosts, proxies, strict=True):
                configure(host, rpc=proxy.url)
                host.process.stop()
            network.start_nodes()
            yield Storm(network, clock, proxies, random.Random(SEED))
        finally:
            for proxy in proxies:
                proxy.stop()


def test_exactly_those_that_did_not_answer_are_slashed(storm: Storm, tmp_path: Path) -> None:
    """Kills, corruptions, faults between node and chain, reorganisations; all tokens are accounted for."""
    print(f"QANAT_STORM_SEED={SEED}")
    network, clock, views, shard = storm.network, storm.clock, storm.network.views, storm.network.shard
    # all of them within one epoch: none is drawn while another one is still sent
    go_to_epoch(network, clock, views.first_epoch_after(shard, clock.block) + 1)
    for number in range(OBJECTS):
        path = tmp_path / f"file{number}"
        path.write_bytes(b"".join(hashlib.sha256(b"%d %d" % (number, at)).digest() for at in range(4000)))
        storm.store(path)
    bonds = {host.address: views.bond(host.address, shard) for host in network.hosts}
    (epoch,) = {stored.first_epoch for stored in storm.stored}
    started = time.monotonic()
    with clock.gathering():
        while time.monotonic() - started < SECONDS or storm.epochs < 3:
            storm.blow(epoch)
            epoch += 1
        clock.mine(network.chain.deployment.parameters["delays"]["resolution"] + 1)
        restaking = network.chain.contract("Restaking")
        eventually(
            "all slashes are carried out",
            lambda: sum(views.pending_slashes(host.address) for host in network.hosts) == 0,
        )
    executed = [event["args"] for event in restaking.events.SlashExecuted().get_logs(from_block=0)]
    slashes = {bytes(item["id"]): views.slash(bytes(item["id"])) for item in executed}
    assert len(executed) == len(slashes), "one was carried out twice"
    assert {(item.epoch, item.operator) for item in slashes.values()} == storm.missed
    for address, bond in bonds.items():
        taken = sum(int(item["bondTaken"]) for item in executed if item["operator"] == address)
        assert views.bond(address, shard) == bond - taken
    for number, operator in sorted(storm.answered):
        assert views.duty(shard, number, operator) is DutyStatus.ANSWERED
    clock.mine(4)
    with Index(tmp_path / "index.sqlite", network.chain) as index:
        report = audit(network.chain, index)
    assert report.findings == []
    assert report.faults == len(storm.missed)
    roles = [network.actor(role) for role in ("owner", "licensee", "governor", "auditor", "stranger")]
    # who reports is paid: the nodes' hot keys
    reporters = [Account(event["args"]["reporter"]) for event in restaking.events.SlashQueued().get_logs(from_block=0)]
    people = [*network.restakers, *[host.actor for host in network.hosts], *roles, *set(reporters)]
    assert set(Accounts(network, people).unaccounted(at_the_end=False).values()) == {0}
    print(
        f"{storm.epochs} epochs in {time.monotonic() - started:.0f} s: {len(storm.answered)} answers, "
        f"{storm.reorganised} of them dropped once by a reorganisation, {len(storm.missed)} misses"
    )
    assert storm.missed
