"""What the verification lane costs: nodes' processor time for their audits, an auditor's for many responses.

    python benchmarks/auditing.py [--responses N] [--epochs N] [NAME ...]

- ``audit_cpu_share``: processor time of a node process for an epoch of a minute (following the chain, sealing, its
  answer of 16 slices of 4,096 elements, settling), over its processor time for what one processor takes in in a minute.
  Real nodes on Anvil: first a file is stored, then epochs pass with a block every three seconds.
- ``auditor_responses``: so many responses of 16 rows verified by a whole audit of their shard (rosters, certificates,
  seeds, draws, openings, payments), seconds of processor time. Events and calls are lists in memory: what an endpoint
  takes for a transaction's data comes on top. Narrow slices are made faster, and verified no faster, than wide ones.
- ``auditor_memory``: the most memory of that process from the audit's start to its end, with the lists and the objects
  that were made for it.

Written: build/bench-auditing.json, rows as in build/bench.json.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests" / "integration")]

from measure import MEGABYTE, Row, row  # noqa: E402

RESULT = ROOT / "build" / "bench-auditing.json"
NAMES = ("audit_cpu_share", "auditor_responses", "auditor_memory")
SAMPLES = 16
MINUTE = 60.0
#: Of the audit's epochs: blocks, and so the seconds of one at a minute an epoch.
EPOCH_BLOCKS = 20
TICK = os.sysconf("SC_CLK_TCK")


# ---- nodes


def cpu_share(epochs: int) -> list[Row]:
    """Store a file, let epochs pass, and compare."""
    from local_network import go_to_epoch, running_network

    from qanat.chain.views import DutyStatus
    from qanat.client.store import store_file

    megabytes, nodes = 96, 4
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        folder = Path(name)
        path = folder / "file"
        path.write_bytes(os.urandom(megabytes * 10**6))
        # polls as a node's default does, not as those of tests
        settings = {"pollSeconds": 2.0, "turnSeconds": 0.0}
        with running_network(folder, nodes, plan_changes={"samples": SAMPLES}, **settings) as (network, clock):
            views, shard = network.views, network.shard
            before = {host.address: spent(host) for host in network.hosts}
            with clock.settling():
                stored = store_file(
                    path,
                    chain=network.chain,
                    sender=network.actor("owner").session.sender,
                    shard=shard,
                    epochs=epochs + 4,
                    out_dir=folder,
                    tolerate_down=1,
                    availability=0.99,
                    encrypt=False,
                )
            width = stored.manifest.width
            took = sum(spent(host) - before[host.address] for host in network.hosts)
            size = stored.manifest.count * width * 32 / MEGABYTE
            shares = []
            epoch = stored.first_epoch
            go_to_epoch(network, clock, epoch)
            for number in range(epochs):
                before = {host.address: spent(host) for host in network.hosts}
                for _ in range(EPOCH_BLOCKS):
                    began = time.monotonic()
                    clock.mine(1)
                    time.sleep(max(0.0, MINUTE / EPOCH_BLOCKS - (time.monotonic() - began)))
                used = [spent(host) - before[host.address] for host in network.hosts]
                statuses = {views.duty(shard, epoch + number, host.address) for host in network.hosts}
                if statuses != {DutyStatus.ANSWERED}:
                    raise SystemExit(f"epoch {epoch + number}: {statuses}")
                # a node that takes in as much as one processor can spends a minute on it
                shares += [part / MINUTE for part in used]
                print(f"epoch {epoch + number}: {', '.join(f'{1e3 * part:.0f}' for part in used)} ms of processor time")
    each = took / size
    middle = sorted(shares)[len(shares) // 2]
    print(f"{size:.0f} MB of slices ({width} elements wide): {1e3 * each:.1f} ms of processor time for each MB")
    print(f"an audit weighs 5 % of what is published at {middle * MINUTE / 0.05 / each:.0f} MB a minute and node")
    return [row("audit_cpu_share", shares, "ratio", higher=False)]


def spent(host: Any) -> float:
    """Seconds of processor time of a node's process so far."""
    fields = Path(f"/proc/{host.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


# ---- the auditor


OPERATORS, OBJECTS, K, WIDTH = 32, 40, 16, 64
#: Of each operator and matrix.
ROWS = 2


class Events:
    """An index that holds lists."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.certified: list[Any] = []
        self.sealed: list[Any] = []
        self.answered: list[Any] = []
        self.settled: list[Any] = []

    def rosters(self, _shard: int | None = None) -> list[Any]:
        """The one roster."""
        return [SimpleNamespace(shard=1, number=1)]

    def objects(self, *, shard: int) -> list[Any]:
        """All objects."""
        return [item for item in self.opened if item.shard == shard]

    def certificates(self) -> list[Any]:
        """All certificates."""
        return self.certified

    def events(self, *_: Any, **__: Any) -> list[Any]:
        """No place fell vacant."""
        return []

    def sealed_epochs(self, _shard: int) -> list[Any]:
        """All seals."""
        return self.sealed

    def answers(self, _shard: int) -> list[Any]:
        """All answers."""
        return self.answered

    def misses(self, _shard: int) -> list[Any]:
        """Nobody missed."""
        return []

    def slashes(self) -> list[Any]:
        """Nobody was slashed."""
        return []

    def settlements(self, _shard: int) -> list[Any]:
        """All settlements."""
        return self.settled


class World:
    """A shard in which all was answered and paid; ``calls``: what was sent, by transaction."""

    def __init__(self, responses: int) -> None:
        from doubles import node_doubles as doubles
        from eth_utils import keccak

        from qanat import bls
        from qanat.auditor.checks import certificate_digest
        from qanat.auditor.population import Population
        from qanat.index.records import Answer, Certificate, IndexedObject, SealedEpoch, Settlement
        from qanat.objects import encode

        self.people = doubles.make_people(OPERATORS)
        self.keys = {bytes(keccak(person.key.public_key)): person.key.public_key for person in self.people}
        self.index, self.calls, self.stored = Events(), {}, {}
        self.epochs = range(5, 5 + -(-responses // OPERATORS))
        audits, parameters = doubles.CONTRACTS["Audits"], replace(doubles.PARAMETERS, samples=SAMPLES)
        views = doubles.FakeViews(self.people)
        plain = views.roster(1, 1)
        roster = replace(
            plain,
            head=replace(plain.head, end_epoch=self.epochs.stop + 1),
            aggregate_key=bls.aggregate_keys([person.key.public_key for person in self.people]),
        )
        views.roster = lambda *_: roster  # type: ignore[method-assign]
        views.shard_parameters = lambda _: parameters  # type: ignore[method-assign]
        views.object = lambda *_: SimpleNamespace(row_fee=7)  # type: ignore[method-assign]
        self.views, self.mixes = views, {}
        for number in range(OBJECTS):
            object_id = bytes(keccak(text=f"object {number}"))
            data = hashlib.shake_256(object_id).digest(K * WIDTH * 31)
            made = encode(data, k=K, n=ROWS * OPERATORS, width=WIDTH)
            manifest = made.manifest
            opened = IndexedObject(
                object_id=object_id,
                owner=doubles.ZERO,
                shard=1,
                roster=1,
                width=WIDTH,
                k=K,
                n=manifest.n,
                matrices=1,
                size=manifest.size,
                epochs=len(self.epochs),
                tree_root=manifest.tree.root,
                content_hash=manifest.content_hash,
                header_hash=keccak(manifest.header),
                manifest_root=manifest.root,
                payment=0,
                status="certified",
                block=70,
                transaction=b"open",
            )
            self.stored[object_id] = made
            self.index.opened.append(opened)
            # after the epoch before was frozen, so that the first one is the first
            block = 80 + number % 8
            certificate = Certificate(object_id, self.epochs.start, self.epochs.stop, (), block, object_id)
            self.index.certified.append(certificate)
            digest = certificate_digest(doubles.CHAIN_ID, doubles.CONTRACTS["Objects"], SimpleNamespace(opened=opened))
            signature = bls.aggregate([person.key.sign(digest) for person in self.people])
            self.calls[object_id] = {"objectId": object_id, "signature": signature, "nonSigners": []}
        any_views: Any = views
        any_index: Any = self.index
        self.population = Population(any_views, any_index, 1)
        for epoch in self.epochs:
            first = epoch * parameters.epoch_length
            seed = self.mixes[first] = bytes(keccak(text=f"seed {epoch}"))
            sealed = SealedEpoch(
                1, epoch, seed, first + 1, first + 1 + parameters.window, b"seal", audits, self.people[0].address
            )
            self.index.sealed.append(sealed)
            for person in self.people:
                live, reads, transaction = self.answer(sealed, person.address)
                self.index.answered.append(
                    Answer(1, epoch, person.address, live, reads, first + 3, transaction, audits, 1)
                )
                due = self.population.earned(epoch, person.address, audits)
                part = self.population.sealers_part(sealed, person.address)
                self.index.settled.append(
                    Settlement(1, epoch, person.address, due, (due - part) // 2, part, first + 12, b"settle", 1)
                )

    def answer(self, sealed: Any, operator: str) -> tuple[int, int, bytes]:
        """Answer as a node does; return live rows, reads and the transaction."""
        from qanat.auditor.checks import draw_of
        from qanat.chain.draws import follow
        from qanat.node.answer import build_response

        draw = draw_of(self.population, self.evidence, sealed, operator)
        reads = follow(draw, sealed.epoch, lambda _: ())
        response = build_response(
            1,
            sealed.epoch,
            operator,
            reads,
            draw.context,
            manifest_of=lambda object_id: self.stored[object_id].manifest,
            slice_of=lambda object_id, index: self.stored[object_id].slices[index],
        )
        names = ("shard", "epoch", "operator", "y", "proof", "objects", "nonSigners", "reads", "points", "siblings")
        transaction = f"{sealed.epoch} {operator}".encode()
        self.calls[transaction] = {"response": dict(zip(names, response.as_tuple(), strict=True))}
        return len(reads), len(reads), transaction

    @property
    def evidence(self) -> Any:
        """What the chain and the nodes would show."""
        return SimpleNamespace(
            chain=self.views.chain,
            views=self.views,
            call_of=lambda transaction, *_, **__: self.calls[transaction],
            randomness=lambda block, _sealed: self.mixes[block],
            manifest=lambda object_id, *_: self.stored[object_id].manifest,
        )


def responses(count: int) -> list[Row]:
    """Make a world with so many answers, and audit it."""
    from qanat.auditor.audit import _Shard
    from qanat.auditor.population import Population
    from qanat.auditor.report import AuditReport

    began = time.perf_counter()
    world = World(count)
    made = len(world.index.answered)
    print(f"{made} answers, {len(world.epochs)} epochs: made in {time.perf_counter() - began:.0f} s")
    report = AuditReport(0, world.epochs.stop * EPOCH_BLOCKS + 100)
    any_views: Any = world.views
    any_index: Any = world.index
    population = Population(any_views, any_index, 1)
    shard = _Shard(population, any_index, world.evidence, world.keys, report, lambda *_: None, None)
    at_first = forget_peak()
    spent, began = time.process_time(), time.perf_counter()
    shard.run(report.to_block)
    spent, took = time.process_time() - spent, time.perf_counter() - began
    peak = memory("VmHWM")
    if report.findings or report.responses != made:
        raise SystemExit(f"{report.responses} of {made} responses hold; {report.findings[:3]}")
    each = 1e3 * spent / made
    print(f"{made} responses: {spent:.1f} s of processor time, {each:.2f} ms each; {took:.1f} s by the clock")
    print(f"at most {peak:.0f} MiB of memory, {at_first:.0f} MiB at the start")
    return [row("auditor_responses", [spent], "s", higher=False), row("auditor_memory", [peak], "MiB", higher=False)]


def memory(name: str) -> float:
    """MiB of this process: ``VmRSS`` is of now, ``VmHWM`` the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def forget_peak() -> float:
    """Count the most memory from now on: making the answers is no part of an audit. Return MiB of now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def main() -> None:
    """Measure what is named, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []])
    parser.add_argument("--responses", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    names = given.names or list(NAMES)
    RESULT.parent.mkdir(exist_ok=True)
    rows: list[Row] = []
    if {"auditor_responses", "auditor_memory"} & set(names):
        rows += responses(given.responses)
    if "audit_cpu_share" in names:
        rows += cpu_share(given.epochs)
    for line in rows:
        verdict = "" if line.met is None else (" met" if line.met else f" UNMET: aimed at {line.target:g}")
        print(f"{line.name}: {line.value:.3g} {line.unit}{verdict}")
    there = json.loads(RESULT.read_text()) if RESULT.exists() else []
    kept = [line for line in there if line["name"] not in {item.name for item in rows}]
    RESULT.write_text(json.dumps(kept + [asdict(line) for line in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
