"""How figures are taken, what a line of the result holds, and which figures are aimed at."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import ckzg

from qanat.field import MODULUS
from qanat.field.path import kernel_path
from qanat.kzg.setup import BLOB_ELEMENTS, trusted_setup_path

PATH = kernel_path()
MEGABYTE = 1e6

TARGETS: dict[str, dict[str, float]] = {
    "commit_4096": {"portable": 1.8, "ifma": 4.0},
    "open_4096": {"portable": 1.8, "ifma": 4.0},
    "encode_object": {"portable": 1.6, "ifma": 3.5},
    "parity_256": {"portable": 2.0, "ifma": 12.0},
    "parity_1024": {"portable": 1.8, "ifma": 10.0},
    "decode_worst": {"portable": 0.4, "ifma": 0.4},
    "verify_intake": {"portable": 3.0, "ifma": 10.0},
    "manifest_check_3072": {"portable": 0.15, "ifma": 0.15},
    "parity_commitments_256": {"portable": 0.6, "ifma": 0.5},
    "encode_two_threads": {"portable": 1.4, "ifma": 1.4},
    "encrypt": {"portable": 0.9, "ifma": 0.9},
    "decrypt": {"portable": 0.9, "ifma": 0.9},
    "publish_per_node": {"portable": 35.0, "ifma": 35.0},
    "publish_cpu_scaling": {"portable": 1.2, "ifma": 1.2},
    "audit_cpu_share": {"portable": 0.05, "ifma": 0.05},
    "key_release_p50": {"portable": 150.0, "ifma": 150.0},
    "read_hot_p50": {"portable": 10.0, "ifma": 10.0},
    "read_lmdb_p50": {"portable": 50.0, "ifma": 50.0},
    "peak_memory_encode_1gib": {"portable": 1024.0, "ifma": 1024.0},
    "peak_memory_restore_1gib": {"portable": 1024.0, "ifma": 1024.0},
}
"""By path: the ratio aimed at, or the value where there is no peer."""


@cache
def setup() -> Any:
    """Return ckzg's set-up, without its own precomputed tables (which it uses for cells' proofs only)."""
    return ckzg.load_trusted_setup(str(trusted_setup_path()), 0)


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
    higher: bool = True,
) -> Row:
    """Return a line whose figures are medians; ``higher`` says that more is better. Targets: :data:`TARGETS`.

    Pairs of figures were taken right after each other, so the ratio is the median of theirs, not the medians' ratio.
    """
    value = statistics.median(ours)
    low, _, high = statistics.quantiles(ours, n=4) if len(ours) > 1 else (value, value, value)
    peer_value = statistics.median(theirs) if theirs else None
    ratio = None
    if theirs:
        pairs = zip(ours, theirs, strict=True)
        ratio = statistics.median(a / b if higher else b / a for a, b in pairs)
    target, met = TARGETS.get(name, {}).get(PATH), None
    if target is not None:
        judged = value if ratio is None else ratio
        met = judged >= target if higher or ratio is not None else judged <= target
    return Row(name, value, unit, peer, peer_value, ratio, PATH, (low, high), target, met)


def in_turn(repetitions: int, once: Callable[[], tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return both sides' figures, taken in turn, after one round that is not counted."""
    once()
    pairs = [once() for _ in range(repetitions)]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


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
