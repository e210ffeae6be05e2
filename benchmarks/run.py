"""Speed against ``ckzg`` in the same process, on fresh random inputs, into build/bench.json.

Single-thread figures are processor time of one thread, so that what else runs on the machine disturbs them less; both
sides of a ratio are measured in turn, repetition by repetition. What two threads gain is measured by the clock. A row:
``name, value, unit, peer, peer_value, ratio, path``, beside these ``quartiles`` (of the value), ``target`` (of the
ratio, or of the value where there is no peer) and ``met``.

    python benchmarks/run.py [NAME ...]     all, or the named ones
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ckzg
from rich.console import Console
from rich.table import Table

from qanat import kzg
from qanat.coding import code
from qanat.coding.dual import dual_check
from qanat.field import MODULUS
from qanat.field.path import kernel_path
from qanat.kzg.setup import BLOB_ELEMENTS, trusted_setup_path
from qanat.objects import encode

RESULT = Path(__file__).resolve().parent.parent / "build" / "bench.json"
PATH = kernel_path()
MEGABYTE = 1e6

SETUP: Any = None
console = Console(width=150)


@dataclass
class Row:
    """One line of the result."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float | None
    ratio: float | None
    path: str
    quartiles: tuple[float, float]
    target: float | None
    met: bool | None


def blob(limit: int = MODULUS) -> bytes:
    """Return fresh random elements below the limit."""
    draw = int.from_bytes
    return b"".join((draw(os.urandom(40), "big") % limit).to_bytes(32, "big") for _ in range(BLOB_ELEMENTS))


def data_rows(count: int, width: int) -> list[bytes]:
    """Return fresh rows of data: 31 random bytes per element."""
    return [b"".join(b"\0" + os.urandom(31) for _ in range(width)) for _ in range(count)]


def cost(action: Callable[[], Any], clock: Callable[[], float] = time.thread_time) -> float:
    """Return the seconds that an action takes."""
    start = clock()
    action()
    return clock() - start


def clocks(action: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds that an action takes by the clock, and the processor time of all threads."""
    wall, spent = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - spent


def row(
    name: str,
    ours: Sequence[float],
    unit: str,
    *,
    peer: str = "",
    theirs: Sequence[float] = (),
    target: float | None = None,
    higher: bool = True,
) -> Row:
    """Return a line whose figures are medians; ``higher`` says that more is better.

    Pairs of figures were taken right after each other, so the ratio is the median of theirs, not the medians' ratio.
    """
    value = statistics.median(ours)
    low, _, high = statistics.quantiles(ours, n=4) if len(ours) > 1 else (value, value, value)
    peer_value = statistics.median(theirs) if theirs else None
    ratio = None
    if theirs:
        pairs = zip(ours, theirs, strict=True)
        ratio = statistics.median(a / b if higher else b / a for a, b in pairs)
    met = None
    if target is not None:
        judged = value if ratio is None else ratio
        met = judged >= target if higher or ratio is not None else judged <= target
    return Row(name, value, unit, peer, peer_value, ratio, PATH, (low, high), target, met)


def in_turn(repetitions: int, once: Callable[[], tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return both sides' figures, taken in turn, after one round that is not counted."""
    once()
    pairs = [once() for _ in range(repetitions)]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def commit_4096() -> list[Row]:
    """One commitment: milliseconds."""

    def once() -> tuple[float, float]:
        fresh = blob()
        return cost(lambda: kzg.commit(fresh)) * 1e3, cost(lambda: ckzg.blob_to_kzg_commitment(fresh, SETUP)) * 1e3

    ours, theirs = in_turn(15, once)
    name = "ckzg.blob_to_kzg_commitment"
    return [row("commit_4096", ours, "ms", peer=name, theirs=theirs, target=1.8, higher=False)]


def open_4096() -> list[Row]:
    """One opening: milliseconds."""

    def once() -> tuple[float, float]:
        fresh, z = blob(), (int.from_bytes(os.urandom(40), "big") % MODULUS).to_bytes(32, "big")
        return cost(lambda: kzg.open_at(fresh, z)) * 1e3, cost(lambda: ckzg.compute_kzg_proof(fresh, z, SETUP)) * 1e3

    ours, theirs = in_turn(15, once)
    return [row("open_4096", ours, "ms", peer="ckzg.compute_kzg_proof", theirs=theirs, target=1.8, higher=False)]


def commit_threads() -> list[Row]:
    """Commitments per second of two threads, by the clock, against one thread's."""
    from concurrent.futures import ThreadPoolExecutor

    def once() -> tuple[float, float]:
        fresh = [blob() for _ in range(8)]
        one = cost(lambda: [kzg.commit(part) for part in fresh], time.perf_counter)
        with ThreadPoolExecutor(2) as pool:
            two = cost(lambda: list(pool.map(kzg.commit, fresh)), time.perf_counter)
        return len(fresh) / two, len(fresh) / one

    ours, theirs = in_turn(5, once)
    return [row("commit_two_threads", ours, "1/s", peer="one thread", theirs=theirs, target=1.5)]


def parity(name: str, k: int, n: int, width: int, target: float) -> list[Row]:
    """Parity rows: megabytes of data per second, against cells of as many whole blobs."""
    coder: Any = code(k, n)
    payload = k * width * 31 / MEGABYTE

    def once() -> tuple[float, float]:
        rows = coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width))
        fresh = blob(1 << 248)
        ours = payload / cost(lambda: coder.encode(rows))
        return ours, BLOB_ELEMENTS * 31 / MEGABYTE / cost(lambda: ckzg.compute_cells(fresh, SETUP))

    ours, theirs = in_turn(5, once)
    return [row(name, ours, "MB/s", peer="ckzg.compute_cells", theirs=theirs, target=target)]


def decode_worst() -> list[Row]:
    """Decoding from parity rows alone, at random, the pattern's locator included: megabytes of data per second."""
    import random

    k, n, width = 256, 1024, 1024
    coder: Any = code(k, n)
    payload = k * width * 31 / MEGABYTE

    def once() -> tuple[float, float]:
        rows = coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width))
        made = coder.encode(rows)
        chosen = random.SystemRandom().sample(range(n - k), k)
        kept, names = coder.field.take(made, chosen), [k + i for i in chosen]
        ours = payload / cost(lambda: coder.restore(names, kept))
        return ours, payload / cost(lambda: coder.encode(rows))

    ours, theirs = in_turn(5, once)
    return [row("decode_worst", ours, "MB/s", peer="parity of the same matrix", theirs=theirs, target=0.4)]


def verify_intake() -> list[Row]:
    """Slices against their commitments: hash, range check, fold, one commitment for all; megabytes per second.

    The peer takes 64 at once, where its time per slice has long been constant; ours 64, and 256.
    """
    slices = [blob(1 << 248) for _ in range(64)]
    commitments = [kzg.commit(part) for part in slices]
    proofs = [ckzg.compute_blob_kzg_proof(part, made, SETUP) for part, made in zip(slices, commitments, strict=True)]
    payload = len(slices) * BLOB_ELEMENTS * 31 / MEGABYTE
    theirs_input = (b"".join(slices), b"".join(commitments), b"".join(bytes(proof) for proof in proofs))

    def once() -> tuple[float, float]:
        ours = payload / cost(lambda: kzg.verify_slices(slices, commitments))
        theirs = cost(lambda: ckzg.verify_blob_kzg_proof_batch(*theirs_input, SETUP))
        return ours, payload / theirs

    def more() -> tuple[float, float]:
        ours = 4 * payload / cost(lambda: kzg.verify_slices(slices * 4, commitments * 4))
        return ours, payload / cost(lambda: ckzg.verify_blob_kzg_proof_batch(*theirs_input, SETUP))

    name = "ckzg.verify_blob_kzg_proof_batch"
    ours, theirs = in_turn(5, once)
    many, beside = in_turn(3, more)
    return [
        row("verify_intake", ours, "MB/s", peer=name, theirs=theirs, target=3),
        row("verify_intake_256", many, "MB/s", peer=f"{name} of 64", theirs=beside),
    ]


def manifests() -> list[Row]:
    """Parity commitments of 256 rows, and the check of a manifest of 3,072 commitments, subgroup checks included."""
    data = [kzg.commit(b"".join(data_rows(1, 64))) for _ in range(256)]
    kzg.parity_commitments(data, 256, 768)
    times = [cost(lambda: kzg.parity_commitments(data, 256, 768)) for _ in range(3)]
    data = (data * 4)[:1024]
    wide = data + kzg.parity_commitments(data, 1024, 3072)

    def once() -> tuple[float, float]:
        fresh = blob()
        ours = cost(lambda: dual_check(wide, 1024, 3072))
        return ours * 1e3, cost(lambda: ckzg.blob_to_kzg_commitment(fresh, SETUP)) * 1e3

    ours, theirs = in_turn(3, once)
    return [
        row("parity_commitments_256", times, "s", target=0.6, higher=False),
        row("manifest_check_3072", ours, "ms", peer="one ckzg commitment", theirs=theirs, target=0.15, higher=False),
    ]


def encode_object() -> list[Row]:
    """A whole object of 32.5 MB: 768 commitments, parity, manifest; one thread, then two."""
    k, n, width = 256, 768, BLOB_ELEMENTS
    size = k * width * 31
    per_row: list[float] = []
    unlike: list[float] = []
    single: list[float] = []
    alone: list[float] = []
    double: list[float] = []
    encode(os.urandom(31 * 64 * 4), k=4, n=12, width=64)
    for _ in range(3):
        data = os.urandom(size)
        fresh = [blob(1 << 248) for _ in range(4)]
        with threads("1"):
            wall, spent = clocks(lambda data=data: encode(data, k=k, n=n, width=width))
            single.append(size / MEGABYTE / spent)
            alone.append(size / MEGABYTE / wall)
        with threads("2"):
            wall, _ = clocks(lambda data=data: encode(data, k=k, n=n, width=width))
            double.append(size / MEGABYTE / wall)
        for part in fresh:
            spent = cost(lambda part=part: ckzg.blob_to_kzg_commitment(part, SETUP))
            spent += cost(lambda part=part: ckzg.compute_cells(part, SETUP))
            per_row.append(spent)
        spent = cost(lambda part=fresh[0]: ckzg.compute_cells_and_kzg_proofs(part, SETUP))
        unlike.append(width * 31 / MEGABYTE / spent)
    rate = [width * 31 / MEGABYTE / statistics.median(per_row[i : i + 4]) for i in range(0, len(per_row), 4)]
    peer = "ckzg commitment and cells per data row"
    return [
        row("encode_object", single, "MB/s", peer=peer, theirs=rate, target=1.6),
        row("encode_object_unlike", single, "MB/s", peer="ckzg cells with proofs: unlike work", theirs=unlike),
        row("encode_two_threads", double, "MB/s", peer="one thread, by the clock", theirs=alone, target=1.4),
    ]


class threads:  # noqa: N801
    """Name the number of threads for a while."""

    def __init__(self, number: str) -> None:
        self.number = number

    def __enter__(self) -> None:
        self.before = os.environ.get("QANAT_THREADS")
        os.environ["QANAT_THREADS"] = self.number

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            del os.environ["QANAT_THREADS"]
        else:
            os.environ["QANAT_THREADS"] = self.before


def first_use() -> list[Row]:
    """Seconds of processor time until a new process has made its first commitment, with and without caches."""
    command = "import resource\nfrom qanat import kzg\nkzg.commit(bytes(31) + bytes([7]) + bytes(32))\n"
    command += "spent = resource.getrusage(resource.RUSAGE_SELF)\nprint(spent.ru_utime + spent.ru_stime)"

    def process(folder: str) -> float:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "QANAT_CACHE": folder}
        made = subprocess.run(
            [sys.executable, "-c", command], env=environment, check=True, capture_output=True, text=True
        )
        return float(made.stdout)

    with tempfile.TemporaryDirectory() as folder:
        cold = process(folder)
        warm = [process(folder) for _ in range(3)]
    load = cost(lambda: ckzg.load_trusted_setup(str(trusted_setup_path()), 0), time.process_time)
    name = "ckzg.load_trusted_setup"
    return [
        row("first_commit_cold", [cold], "s", peer=name, theirs=[load], higher=False),
        row("first_commit_cached", warm, "s", peer=name, theirs=[load] * len(warm), higher=False),
    ]


BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "commit_4096": commit_4096,
    "open_4096": open_4096,
    "commit_two_threads": commit_threads,
    "parity_256": lambda: parity("parity_256", 256, 768, 4096, 2.0),
    "parity_1024": lambda: parity("parity_1024", 1024, 3072, 1024, 1.8),
    "decode_worst": decode_worst,
    "verify_intake": verify_intake,
    "manifests": manifests,
    "encode_object": encode_object,
    "first_use": first_use,
}


def show(rows: list[Row]) -> None:
    """Print the rows as a table."""
    table = Table(title=f"Speed, path {PATH}: medians", title_justify="left")
    for name, justify in (("name", "left"), ("value", "right"), ("quartiles", "right"), ("peer", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("peer's value", "ratio", "target", ""):
        table.add_column(name, justify="right")
    for line in rows:
        verdict = "" if line.met is None else ("[green]met[/]" if line.met else "[red]UNMET[/]")
        table.add_row(
            line.name,
            f"{line.value:.3g} {line.unit}",
            f"{line.quartiles[0]:.3g}–{line.quartiles[1]:.3g}",
            line.peer,
            "" if line.peer_value is None else f"{line.peer_value:.3g} {line.unit}",
            "" if line.ratio is None else f"{line.ratio:.2f}",
            "" if line.target is None else f"{line.target:g}",
            verdict,
        )
    console.print(table)


def main(names: list[str]) -> int:
    """Run, print, write; unmet targets are shown as unmet."""
    global SETUP  # noqa: PLW0603
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        console.print(f"Unknown: {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
        return 2
    with console.status("ckzg's set-up"):
        SETUP = ckzg.load_trusted_setup(str(trusted_setup_path()), 0)
    before = os.getloadavg()[0]
    rows: list[Row] = []
    with threads("1"):
        for name in names or list(BENCHMARKS):
            with console.status(name):
                rows += BENCHMARKS[name]()
    show(rows)
    if max(before, os.getloadavg()[0]) > (os.cpu_count() or 1) + 0.5:
        console.print(
            "[yellow]Other work kept the processors busy: what is measured by the clock (two threads) is too low.[/]"
        )
    if not names:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps([asdict(line) for line in rows], indent=1) + "\n", encoding="utf-8")
        console.print(f"Written: {RESULT.relative_to(Path.cwd()) if RESULT.is_relative_to(Path.cwd()) else RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
