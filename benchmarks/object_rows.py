"""Whole objects: encoding, the profile `wide`, memory, and the time until a process has made its first commitment."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ckzg
from measure import BLOB_ELEMENTS, MEGABYTE, Row, blob, clocks, cost, row, setup, threads

from qanat.kzg.setup import trusted_setup_path
from qanat.objects import encode, plan, restore

HERE = Path(__file__).resolve().parent
GIBIBYTE = 1 << 30


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
            spent = cost(lambda part=part: ckzg.blob_to_kzg_commitment(part, setup()))
            spent += cost(lambda part=part: ckzg.compute_cells(part, setup()))
            per_row.append(spent)
        spent = cost(lambda part=fresh[0]: ckzg.compute_cells_and_kzg_proofs(part, setup()))
        unlike.append(width * 31 / MEGABYTE / spent)
    rate = [width * 31 / MEGABYTE / statistics.median(per_row[i : i + 4]) for i in range(0, len(per_row), 4)]
    peer = "ckzg commitment and cells per data row"
    return [
        row("encode_object", single, "MB/s", peer=peer, theirs=rate),
        row("encode_object_unlike", single, "MB/s", peer="ckzg cells with proofs: unlike work", theirs=unlike),
        row("encode_two_threads", double, "MB/s", peer="one thread, by the clock", theirs=alone),
    ]


def spent_on(action: Callable[[], Any], results: list[Any]) -> float:
    """Return the processor time of an action, all threads counted; its result goes into the list."""
    _, spent = clocks(lambda: results.append(action()))
    return spent


def wide() -> list[Row]:
    """The profile `wide`, as large as 0G's largest blob: 3,072 slices of 32 MB, restored from any 1,024 of them."""
    chosen = plan(32_000_000, 6, [1] * 6, profile="wide")
    there, back = [], []
    for _ in range(2):
        data = os.urandom(chosen.size)
        made = []
        there.append(
            chosen.size / MEGABYTE / spent_on(partial(encode, data, k=chosen.k, n=chosen.n, width=chosen.width), made)
        )
    encoded = made[0]
    if len(encoded.slices) != 3072:
        raise SystemExit(f"wide made {len(encoded.slices)} slices")
    for _ in range(3):
        kept = {index: encoded.slices[index] for index in random.SystemRandom().sample(range(chosen.n), chosen.k)}
        found = []
        back.append(chosen.size / MEGABYTE / spent_on(partial(restore, encoded.manifest, kept), found))
        if found != [data]:
            raise SystemExit("wide: other bytes came back")
    return [row("encode_wide", there, "MB/s"), row("restore_wide", back, "MB/s")]


def memory() -> list[Row]:
    """Most memory of a process that encodes a file of 1 GiB, and of one that restores it from other rows than data."""
    with tempfile.TemporaryDirectory(dir=HERE.parent / "build") as folder:
        with (Path(folder) / "file").open("wb") as file:
            for _ in range(GIBIBYTE >> 24):
                file.write(os.urandom(1 << 24))
        peaks = []
        environment = {name: value for name, value in os.environ.items() if name != "QANAT_THREADS"}
        for action in ("encode", "restore"):
            command = [sys.executable, str(HERE / "peak_memory.py"), action, folder]
            made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
            peaks.append(float(made.stdout))
    return [
        row("peak_memory_encode_1gib", peaks[:1], "MiB", higher=False),
        row("peak_memory_restore_1gib", peaks[1:], "MiB", higher=False),
    ]


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
