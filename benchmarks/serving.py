"""A node's speed over HTTP on loopback, into build/bench.json beside the other rows.

    python benchmarks/serving.py [--seconds 60] [NAME ...]

Ends with 1 where a target is unmet that docs/benchmarks.md does not list as known.

- ``publish_per_node``: slice bytes a second that one node process, pinned to one processor, takes in, makes durable,
  verifies against their commitments and signs for; puts of several slices, sent by this process from the others.
- ``publish_cpu_scaling``: processor time per byte of each of eight nodes at once, over that of one alone.
- ``serve_p99``: one slice of 128 KiB read by 200 readers at once for a minute; no error, memory that stays.
- ``read_hot_p50``, ``read_lmdb_p50``: 4,096 bytes of an object at a random offset, unpacked, read by this process from
  the mapped hot file, or from the mapped store of a node that runs beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import structlog
from doubles import node_doubles
from judge import PAGE, known_unmet, problems
from measure import MEGABYTE, Row, row

from qanat.node.requests import authorization
from qanat.objects import Encoded, encode, slices_of_operator
from qanat.store import MemoryStore
from qanat.store.reader import ObjectReader, open_reader, write_hot

CHAIN_ID, make_people, permit = node_doubles.CHAIN_ID, node_doubles.make_people, node_doubles.permit
HERE = Path(__file__).resolve().parent
RESULT = HERE.parent / "build" / "bench.json"
WIDTH, K = 4096, 16
TICK = os.sysconf("SC_CLK_TCK")
#: Slices of one request, and requests at a time to each node.
BATCH, LANES = 16, 2
NAMES = ("publish_per_node", "publish_cpu_scaling", "serve_p99", "read_hot_p50", "read_lmdb_p50")
#: Bytes of one read, reads of a round, rounds.
READ_BYTES, READS, ROUNDS = 4096, 4000, 9


class Node:
    """A node process."""

    def __init__(
        self, folder: Path, number: int, operators: int, processor: int, objects: list[tuple[bytes, Encoded]]
    ) -> None:
        listed = folder.with_suffix(".objects")
        listed.write_text(
            "".join(
                json.dumps({"object": name.hex(), "manifest": made.manifest.to_bytes().hex()}) + "\n"
                for name, made in objects
            )
        )
        words = [sys.executable, str(HERE / "serving_node.py"), folder, number, operators, processor, listed]
        self.process = subprocess.Popen(
            list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.number, self.operators, self.folder = number, operators, folder
        self.operator = make_people(operators)[number].address

    def ready(self) -> None:
        """Wait until it serves."""
        if self.process.stdout is None:
            raise SystemExit("no output")
        for line in self.process.stdout:
            if line.strip().isdigit():  # beside it there are lines of its log
                self.url = f"http://127.0.0.1:{int(line)}"
                return
        raise SystemExit("a node did not start")

    def spent(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> float:
        """MiB resident."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def own(self, name: bytes, made: Encoded) -> list[int]:
        """Indexes of its slices."""
        manifest = made.manifest
        return slices_of_operator(name, self.operators, self.number, 1, manifest.n, manifest.matrices)

    def stop(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait(30)


@contextlib.contextmanager
def nodes(count: int, processors: list[int], objects: list[tuple[bytes, Encoded]]) -> Iterator[list[Node]]:
    """Start so many nodes."""
    folder_of_all = HERE.parent / "build"
    folder_of_all.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder_of_all) as folder:
        made = [
            Node(Path(folder) / f"node{number}", number, count, processors[number % len(processors)], objects)
            for number in range(count)
        ]
        try:
            for node in made:
                node.ready()
            yield made
        finally:
            for node in made:
                node.stop()


def objects_for(operators: int, count: int, k: int) -> list[tuple[bytes, Encoded]]:
    """Make objects of one matrix each, so wide that every operator has k of its rows or fewer."""
    rows = max(operators, 3 * k // operators * operators)
    made = []
    for number in range(count):
        data = os.urandom(k * WIDTH * 31)
        made.append((number.to_bytes(32, "big"), encode(data, k=k, n=rows, width=WIDTH)))
    return made


async def publish(node: Node, objects: list[tuple[bytes, Encoded]]) -> int:
    """Send a node all its slices and have it sign; returns their bytes."""
    size = 0
    async with httpx.AsyncClient(base_url=node.url, timeout=300, trust_env=False) as http:
        for name, made in objects:
            path = f"/objects/0x{name.hex()}"
            headers = {"Qanat-Put": permit(name, made, node.operator, seconds=3600)}
            (await http.put(path + "/manifest", content=made.manifest.to_bytes(), headers=headers)).raise_for_status()
            own = node.own(name, made)
            batches = [own[start : start + BATCH] for start in range(0, len(own), BATCH)]

            async def lane(
                batches: list[list[int]] = batches,
                path: str = path,
                headers: dict[str, str] = headers,
                made: Encoded = made,
            ) -> None:
                while batches:
                    body = b"".join(
                        part for index in batches.pop() for part in (index.to_bytes(8, "big"), made.slices[index])
                    )
                    (await http.put(path + "/slices", content=body, headers=headers)).raise_for_status()

            await asyncio.gather(*(lane() for _ in range(LANES)))
            (await http.post(path + "/signature")).raise_for_status()
            size += sum(len(made.slices[index]) for index in own)
    return size


async def publish_all(running: list[Node], objects: list[tuple[bytes, Encoded]]) -> int:
    """Send all nodes theirs at once."""
    return sum(await asyncio.gather(*(publish(node, objects) for node in running)))


def publishing(*, scaling: bool) -> list[Row]:
    """One node on a processor of its own; and, against its processor time, eight."""
    processors = sorted(os.sched_getaffinity(0))
    rates, alone = [], []
    objects = objects_for(1, 6, 21)
    with nodes(1, processors[-1:], objects) as running:
        if len(processors) > 1:
            os.sched_setaffinity(0, set(processors[:-1]))
        try:
            asyncio.run(publish_all(running, objects[:1]))
            for item in objects[1:]:
                started, spent = time.perf_counter(), running[0].spent()
                size = asyncio.run(publish_all(running, [item]))
                rates.append(size / MEGABYTE / (time.perf_counter() - started))
                alone.append((running[0].spent() - spent) / (size / MEGABYTE))
        finally:
            os.sched_setaffinity(0, set(processors))
    middle = statistics.median(alone)
    print(f"processor time of one: {1e3 * middle:.1f} ms/MB, so {1 / middle:.0f} MB/s where nothing else runs")
    rows = [row("publish_per_node", rates, "MB/s")]
    if scaling:
        objects = objects_for(8, 3, 168)
        with nodes(8, processors, objects) as running:
            asyncio.run(publish_all(running, objects[:1]))
            spent = sum(node.spent() for node in running)
            size = asyncio.run(publish_all(running, objects[1:]))
            each = (sum(node.spent() for node in running) - spent) / (size / MEGABYTE)
        rows.append(row("publish_cpu_scaling", [each / statistics.median(alone)], "ratio", higher=False))
        print(f"processor time of each of eight: {1e3 * each:.1f} ms/MB")
    return rows


class Readers:
    """Many readers of one slice, for a while: the answers' times, what went wrong, and the node's memory, in MiB."""

    def __init__(self, node: Node, name: bytes, made: Encoded) -> None:
        self.node = node
        index = node.own(name, made)[0]
        self.path = f"/objects/0x{name.hex()}/slices/{index}"
        self.wanted = made.slices[index]
        self.signer = make_people(1)[0].signer
        self.times: list[float] = []
        self.memory: list[float] = []
        self.errors: list[str] = []

    async def run(self, count: int, seconds: float) -> None:
        """Read with so many at once."""
        limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
        async with httpx.AsyncClient(base_url=self.node.url, timeout=60, trust_env=False, limits=limits) as http:
            end = time.perf_counter() + seconds
            await asyncio.gather(self._watch(end, seconds / 30), *(self._read(http, end) for _ in range(count)))

    async def _watch(self, end: float, pause: float) -> None:
        while time.perf_counter() < end:
            self.memory.append(self.node.memory())
            await asyncio.sleep(pause)

    async def _read(self, http: httpx.AsyncClient, end: float) -> None:
        signed: dict[str, str] = {}
        until = 0.0
        while (now := time.perf_counter()) < end:
            if now > until:  # a signature stands for a minute
                signed = {"Authorization": authorization(self.signer, CHAIN_ID, self.node.operator, "GET", self.path)}
                until = now + 20
            try:
                answer = await http.get(self.path, headers=signed)
            except httpx.HTTPError as error:
                self.errors.append(repr(error))
                continue
            self.times.append(time.perf_counter() - now)
            if answer.status_code != 200 or answer.content != self.wanted:
                self.errors.append(str(answer.status_code))


def serving(seconds: float, count: int = 200) -> list[Row]:
    """One slice, many readers; the answers' times, and what happens to the memory."""
    objects = objects_for(1, 1, 16)
    processors = sorted(os.sched_getaffinity(0))
    with nodes(1, processors[-1:], objects) as running:
        asyncio.run(publish(running[0], objects))
        if len(processors) > 1:
            os.sched_setaffinity(0, set(processors[:-1]))
        readers = Readers(running[0], *objects[0])
        asyncio.run(readers.run(count, seconds))
        os.sched_setaffinity(0, set(processors))
    half = len(readers.memory) // 2
    growth = max(readers.memory[half:]) - max(readers.memory[:half])
    late = sorted(readers.times)
    p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
    print(
        f"{len(late)} reads, {len(late) * len(readers.wanted) / MEGABYTE / seconds:.0f} MB/s, "
        f"{len(readers.errors)} errors, median {1e3 * p50:.0f} ms, 99 % within {1e3 * p99:.0f} ms; "
        f"memory at most {max(readers.memory):.0f} MiB, in the second half {growth:+.1f} MiB"
    )
    if readers.errors:
        raise SystemExit(f"serve_p99: errors: {sorted(set(readers.errors))[:5]}")
    if growth > 32:
        raise SystemExit(f"serve_p99: the memory grew by {growth:.0f} MiB in the second half")
    return [row("serve_p99", [1e3 * p99], "ms", higher=False)]


def reading() -> list[Row]:
    """Read beside a node that runs, from its store and from a hot file; each round's median, in µs."""
    (name, made), *_ = objects = objects_for(1, 1, 256)
    store = MemoryStore()
    for index, part in enumerate(made.slices):
        store.put(name, index, part)
    with nodes(1, [-1], objects) as running, tempfile.TemporaryDirectory(dir=HERE.parent / "build") as hot:
        asyncio.run(publish(running[0], objects))
        write_hot(hot, made.manifest, name, store)
        with open_reader(hot) as reader:
            fast = medians(reader, name, made)
        with open_reader(running[0].folder) as reader:
            slow = medians(reader, name, made)
    return [row("read_hot_p50", fast, "µs", higher=False), row("read_lmdb_p50", slow, "µs", higher=False)]


def medians(reader: ObjectReader, name: bytes, made: Encoded) -> list[float]:
    """Return each round's median, after one round in which every slice is read, hence verified."""
    size, payload = made.manifest.size, 31 * made.manifest.width
    for at in range(0, size, payload):
        reader.read(name, at, READ_BYTES)
    found = []
    for _ in range(ROUNDS):
        offsets = [random.randrange(size - READ_BYTES) for _ in range(READS)]
        times = []
        for offset in offsets:
            started = time.perf_counter_ns()
            data = reader.read(name, offset, READ_BYTES)
            times.append(time.perf_counter_ns() - started)
            if len(data) != READ_BYTES:
                raise SystemExit(f"{len(data)} bytes at {offset}")
        found.append(statistics.median(times) / 1e3)
    return found


def keep(rows: list[Row]) -> None:
    """Put rows in the place of those of the same name."""
    RESULT.parent.mkdir(exist_ok=True)
    there = json.loads(RESULT.read_text()) if RESULT.exists() else []
    names = {(line.name, line.path) for line in rows}
    kept = [line for line in there if (line["name"], line["path"]) not in names]
    RESULT.write_text(json.dumps(kept + [asdict(line) for line in rows], indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Measure what is named, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []])
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    names = given.names or list(NAMES)
    rows: list[Row] = []
    if {"publish_per_node", "publish_cpu_scaling"} & set(names):
        rows += publishing(scaling="publish_cpu_scaling" in names)
    if "serve_p99" in names:
        rows += serving(given.seconds)
    if {"read_hot_p50", "read_lmdb_p50"} & set(names):
        rows += reading()
    known = known_unmet(PAGE.read_text(encoding="utf-8"))
    for line in rows:
        verdict = "" if line.met is None else (" met" if line.met else f" UNMET: aimed at {line.target:g}")
        if line.met is False and (line.name, line.path) in known:
            verdict += ", known to be"
        print(f"{line.name}: {line.value:.3g} {line.unit}{verdict}")
    if max(os.getloadavg()) > (os.cpu_count() or 1) + 0.5:
        print("Other work kept the processors busy: what is measured by the clock is too slow.")
    keep(rows)
    found = problems([asdict(line) for line in rows], known)
    for problem in found:
        print(problem)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
