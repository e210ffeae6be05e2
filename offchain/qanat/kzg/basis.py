"""Multi-scalar multiplication on fixed points: sum of s_i * P_i, for commitments and openings.

1. The table holds 2^(c*j) * P_i for every window j of c bits: the digits of all windows fall into one set of buckets.
2. Scalars become signed digits in (-2^(c-1), 2^(c-1)]: half as many buckets; a negative one takes the opposite point.
3. A counting sort puts the table's entries in the order of their buckets; digits that are zero drop out.
4. Every bucket is a tree of additions: its points are added two by two, then the sums, until one is left. Additions of
   one layer, in whatever bucket, do not depend on each other and share inversions (:func:`qanat.kzg.msm.add_pairs`).
5. Sum of d * bucket_d: buckets form a square, d = side*u + v + 1. Rows and columns are summed by the same trees, and
   side * sum of u*row_u + sum of (v+1)*column_v takes two running sums of ``side`` points each.

With c = 13 a commitment of 4,096 elements takes about 86,000 additions of six products.

Where memory is scarce, the table holds every s-th window only. Windows j, j + s, j + 2s ... make one sum, j < s, and
the sums are put together from the highest: double c times, add the next. Steps 3 to 5 are done s times.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qanat.errors import BadParameters
from qanat.field import base
from qanat.field.emit import words_of
from qanat.kzg import msm
from qanat.kzg.points import NUMBER_BYTES, RAW_BYTES, compress_raw

BITS = 13
"""c, the bits of a window; odd, so that the buckets form a square. Fewer make more windows, more make more buckets."""

SCALAR_BITS = 256
"""Scalars are below 2^255, and the last window must take a carry."""

Words = NDArray[np.uint64]


def windows_of(bits: int) -> int:
    """Return how many windows of so many bits a scalar has."""
    return -(-SCALAR_BITS // bits)


class Workspace:
    """Arrays that one multiplication at a time works in, kept for the next one: fresh memory costs page faults."""

    def __init__(self, points: int, bits: int, step: int = 1) -> None:
        if bits % 2 == 0 or not 1 < bits < 16:
            raise BadParameters(f"Windows of {bits} bits: need an odd number from 3 to 15.")
        buckets, windows = 1 << (bits - 1), windows_of(bits)
        entries = points * -(-windows // step)
        self.digits = np.empty((points, windows), dtype=np.int16)
        self.counts = np.empty(buckets, dtype=np.int64)
        self.starts = np.empty(buckets, dtype=np.int64)
        self.places = np.empty(buckets, dtype=np.int64)
        self.entries = np.empty(entries, dtype=np.int32)
        first = max((entries + buckets) // 2 + 1, 2 * buckets)
        self.partial = np.empty((first, 12), dtype=np.uint64)
        self.other = np.empty((first // 2 + buckets + 1, 12), dtype=np.uint64)
        self.buckets = np.empty((buckets, 12), dtype=np.uint64)
        self.side = 1 << (bits // 2)
        self.sums = np.empty((step, 2 * self.side, 12), dtype=np.uint64)
        self.elements = np.empty((points, 4), dtype=np.uint64)
        self.out = np.empty((2, 6), dtype=np.uint64)
        self.pairs, self.work, self._kept = batch_workspace()


def batch_workspace() -> tuple[Words, tuple[Any, ...], tuple[Any, ...]]:
    """Return what :func:`qanat.kzg.msm.add_pairs` works in: pairs, the other arrays, and what must stay alive."""
    constants = np.zeros((msm.CONSTANTS, 6), dtype=np.uint64)
    constants[msm.ONE] = words_of(base.MONTGOMERY, 6)
    constants[msm.TRIPLE_B] = words_of(12 * base.MONTGOMERY % base.MODULUS, 6)
    constants[msm.PLAIN_ONE, 0] = 1
    scratch = np.zeros((msm.SCRATCH, 6), dtype=np.uint64)
    work = (
        np.empty(msm.BATCH, dtype=np.int64),
        np.empty(msm.BATCH, dtype=np.int64),
        np.empty((msm.BATCH, 8), dtype=np.uint64),
        np.empty((msm.BATCH + 8, 8), dtype=np.uint64),
        np.empty(msm.BATCH, dtype=np.uint8),
        constants.ctypes.data,
        scratch.ctypes.data,
    )
    return np.empty((2 * msm.BATCH, 12), dtype=np.uint64), work, (constants, scratch)


class FixedBasis:
    """Points whose multiples are at hand.

    :param table: (windows * points, 12), row j*points + i is 2^(bits*step*j) * P_i; see :func:`make_table`.
    """

    def __init__(self, table: Words, points: int, bits: int = BITS, step: int = 1) -> None:
        self.points, self.bits, self.step = points, bits, step
        self._table = table
        self._idle: list[Workspace] = []
        self._lock = threading.Lock()

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """Lend a workspace; threads that multiply at the same time get one each."""
        with self._lock:
            space = self._idle.pop() if self._idle else None
        space = space or Workspace(self.points, self.bits, self.step)
        try:
            yield space
        finally:
            with self._lock:
                self._idle.append(space)

    def combine(self, elements: Words, space: Workspace) -> bytes:
        """Return the sum of elements[i] * P_i, compressed; elements (count <= points, 4), canonical."""
        digits = space.digits[: len(elements)]
        msm.recode(elements, self.bits, windows_of(self.bits), digits, space.counts)
        if self.step == 1:
            self._sum_lines(digits, space, space.sums[0], counted=True)
            msm.finish(space.sums, space.side, 0, space.work[-2], space.work[-1], space.out)
        else:
            for first, sums in enumerate(space.sums):
                self._sum_lines(np.ascontiguousarray(digits[:, first :: self.step]), space, sums, counted=False)
            msm.finish(space.sums, space.side, self.bits, space.work[-2], space.work[-1], space.out)
        return compress_raw(raw_of(space.out))

    def _sum_lines(self, digits: NDArray[np.int16], space: Workspace, sums: Words, *, counted: bool) -> None:
        """Write the sums of rows and columns of the buckets of digits to sums (2 * side, 12)."""
        if not counted:
            magnitudes = np.abs(digits.astype(np.int64)).ravel()
            space.counts[:] = np.bincount(magnitudes, minlength=len(space.counts) + 1)[1:]
        np.cumsum(space.counts, out=space.starts)
        total = int(space.starts[-1])
        space.starts -= space.counts
        msm.sort_entries(digits, self.points, space.starts, space.places, space.entries)
        space.buckets[:] = 0
        if total:
            msm.sum_entries(
                self._table,
                space.entries[:total],
                space.starts,
                space.counts,
                space.partial,
                space.buckets,
                space.pairs,
                space.work,
            )
            msm.sum_groups(space.partial, space.other, space.starts, space.counts, space.buckets, space.work)
        side = space.side
        starts, sizes = space.starts[: 2 * side], space.counts[: 2 * side]
        msm.spread(space.buckets, side, space.partial, starts, sizes)
        msm.sum_groups(space.partial, space.other, starts, sizes, sums, space.work)


def raw_of(numbers: Words) -> bytes:
    """Return the raw bytes of coordinates that are out of Montgomery form, shape (2, 6)."""
    return numbers[:, ::-1].astype(">u8").tobytes()


def make_table(raw: Sequence[bytes], bits: int = BITS, step: int = 1) -> Words:
    """Return the table of raw points (96 bytes each, on the curve; the identity is zeros), of every step-th window."""
    count = len(raw)
    numbers = np.frombuffer(b"".join(raw), dtype=">u8").reshape(2 * count, NUMBER_BYTES // 8)[:, ::-1]
    plain = np.ascontiguousarray(numbers.astype(np.uint64))
    level = np.empty_like(plain)
    msm.scale(plain, np.array(words_of(base.SQUARE, 6), dtype=np.uint64), level)
    level = level.reshape(count, 2 * RAW_BYTES // 16)
    table = np.empty((-(-windows_of(bits) // step), count, 12), dtype=np.uint64)
    pairs, work, kept = batch_workspace()
    for window in range(len(table)):
        if window:
            msm.double_all(level, bits * step, pairs, work)
        table[window] = level
    del kept
    return table.reshape(-1, 12)
