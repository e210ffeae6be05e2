"""Commitments on a CUDA device: the fixed-basis sum of :mod:`qanat.kzg.basis`, for many rows at once.

The same table, signed digits and buckets as there; what differs is how the work is divided.

1. A thread for each element counts its digits, and later sorts the table's entries by bucket.
2. A thread for each ``PIECE`` sorted entries of a row adds them up, bucket after bucket, so that all threads have the
   same work however full a bucket is. A bucket that lies within one piece is done; the parts of one that goes on in the
   next piece are added up by a thread for each bucket.
3. Sum of d * bucket_d, ``FAN`` buckets to a thread, layer after layer: with d = FAN*u + v + 1 it is the sum of all
   (v+1) * bucket, and FAN times the sum of u * (sum of the FAN buckets that share u): the same again, FAN times fewer.

Points are sums in coordinates (X, Y, ZZ, ZZZ), x = X/ZZ and y = Y/ZZZ, ZZ^3 = ZZZ^2 ("xyzz" of the Explicit-Formulas
Database: madd-2008-s, add-2008-s, dbl-2008-s-1): no inversion, ten products to add a point of the table. ZZ = 0 is the
identity. All cases are handled: either one the identity, equal points, opposite points.

*Bounds*, in multiples of p (a product is below 2 where its factors' bounds multiply to less than 2,520): a stored X is
below 8, Y below 4, ZZ and ZZZ below 2; each function says the rest. A difference is zero modulo p iff its square, a
product, is 0 or p.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN202, C901

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from qanat.field import ELEMENT_BYTES, base, kernel
from qanat.field.cuda_numbers import Numbers, device, u32, u64
from qanat.field.gpu import DeviceArray, GpuField, launch, on_device, words_of
from qanat.kzg.basis import BITS, windows_of
from qanat.kzg.engine import divide
from qanat.kzg.fast import FastCommitments
from qanat.kzg.points import NUMBER_BYTES, compress_raw
from qanat.kzg.setup import BLOB_ELEMENTS
from qanat.kzg.table import ready_table, times

LIMBS, SHORT = 14, 28
COORDINATES = Numbers(base.MODULUS, LIMBS, SHORT)

PIECE = 32
"""Sorted entries that one thread adds up."""

FAN = 16
"""Buckets that one thread weighs: the number of buckets is a power of it."""

ROWS = 256
"""Rows at a time: their sorted entries and buckets take half a gigabyte."""

product = COORDINATES.product
_opposite = COORDINATES.sum_of([-1], 1)
_twice, _thrice = COORDINATES.sum_of([2], 0), COORDINATES.sum_of([3], 0)
_less_2, _less_4 = COORDINATES.sum_of([1, -1], 2), COORDINATES.sum_of([1, -1], 4)
_less_6, _less_8 = COORDINATES.sum_of([1, -1], 6), COORDINATES.sum_of([1, -1], 8)
_less_twice = COORDINATES.sum_of([1, -2], 4)
_less_and_twice = COORDINATES.sum_of([1, -1, -2], 6)
_less_modulus = COORDINATES.reduced
_NOTHING = u32(0)
_ZERO = COORDINATES.constant(0)
_ONE = COORDINATES.constant(COORDINATES.radix % base.MODULUS)
_0, _1, _64 = u64(0), u64(1), u64(64)


@device
def _is_zero(a):
    """Say whether a number is zero, limb by limb."""
    for limb in a:  # noqa: SIM110
        if limb != _NOTHING:
            return False
    return True


@device
def _vanishes(square):
    """Say whether a product, which is below 2p, is zero modulo p: 0 or p."""
    return _is_zero(square) or _is_zero(_less_modulus(square))


@device
def _double(x, y, zz, zzz):
    """Return twice a point that is not the identity. X < 6, Y < 4."""
    u = _twice(y)  # < 8
    v = product(u, u)
    w = product(u, v)
    s = product(x, v)
    m = _thrice(product(x, x))  # < 6
    x3 = _less_twice(product(m, m), s)  # < 6
    y3 = _less_2(product(m, _less_6(s, x3)), product(w, y))
    return x3, y3, product(v, zz), product(w, zzz)


@device
def _add_affine(x1, y1, zz1, zzz1, x2, y2):
    """Return the sum of a point and a canonical affine one that is not the identity."""
    if _is_zero(zz1):
        return x2, y2, _ONE, _ONE
    p = _less_8(product(x2, zz1), x1)  # < 10
    r = _less_4(product(y2, zzz1), y1)  # < 6
    pp = product(p, p)
    rr = product(r, r)
    if _vanishes(pp):
        if _vanishes(rr):
            return _double(x2, y2, _ONE, _ONE)
        return _ZERO, _ZERO, _ZERO, _ZERO
    ppp = product(p, pp)
    q = product(x1, pp)
    x3 = _less_and_twice(rr, ppp, q)  # < 8
    y3 = _less_2(product(r, _less_8(q, x3)), product(y1, ppp))  # < 4
    return x3, y3, product(zz1, pp), product(zzz1, ppp)


@device
def _add(x1, y1, zz1, zzz1, x2, y2, zz2, zzz2):
    """Return the sum of any two points."""
    if _is_zero(zz1):
        return x2, y2, zz2, zzz2
    if _is_zero(zz2):
        return x1, y1, zz1, zzz1
    u1, s1 = product(x1, zz2), product(y1, zzz2)
    p = _less_2(product(x2, zz1), u1)  # < 4
    r = _less_2(product(y2, zzz1), s1)  # < 4
    pp = product(p, p)
    rr = product(r, r)
    if _vanishes(pp):
        if _vanishes(rr):
            return _double(x1, y1, zz1, zzz1)
        return _ZERO, _ZERO, _ZERO, _ZERO
    ppp = product(p, pp)
    q = product(u1, pp)
    x3 = _less_and_twice(rr, ppp, q)  # < 8
    y3 = _less_2(product(r, _less_8(q, x3)), product(s1, ppp))  # < 4
    return x3, y3, product(product(zz1, zz2), pp), product(product(zzz1, zzz2), ppp)


def _text_of_access() -> str:
    """Return device functions that read and write points, without loops: tuples have constant indices."""

    def limbs(array: str, first: int, at: str) -> str:
        return ", ".join(f"u32({array}[{first + i}, {at}])" for i in range(LIMBS))

    def entry(first: int) -> str:
        return ", ".join(f"u32(table[row, {first + i}])" for i in range(LIMBS))

    names = ("x", "y", "zz", "zzz")
    writes = "\n".join(f"    points[{i}, at] = {names[i // LIMBS]}[{i % LIMBS}]" for i in range(4 * LIMBS))
    parts = ", ".join(f"({limbs('points', LIMBS * part, 'at')})" for part in range(4))
    return (
        f"def read(points, at):\n    return {parts}\n"
        f"def write(points, at, x, y, zz, zzz):\n{writes}\n"
        f"def table_entry(table, row):\n    return ({entry(0)}), ({entry(LIMBS)})\n"
    )


_access: dict[str, Any] = {"u32": u32}
exec(_text_of_access(), _access)  # noqa: S102
_read, _write, _table_entry = (device(_access[name]) for name in ("read", "write", "table_entry"))


@device
def _digits_of(elements, at, bits, window, carry):
    """Return an element's signed digit of a window and the carry to the next: in (-2^(bits-1), 2^(bits-1)]."""
    w0, w1, w2, w3 = words_of(elements, at)
    first = window * bits
    shift = u64(first & 63)
    limb = first >> 6
    low, high = w0, w1
    if limb == 1:
        low, high = w1, w2
    elif limb == 2:
        low, high = w2, w3
    elif limb == 3:
        low, high = w3, _0
    elif limb > 3:
        low, high = _0, _0
    word = low >> shift
    if shift != _0:
        word |= high << (_64 - shift)
    digit = int(word & ((_1 << u64(bits)) - _1)) + carry
    if digit > (1 << (bits - 1)):
        return digit - (1 << bits), 1
    return digit, 0


@cuda.jit
def _count(elements, width, bits, windows, counts):
    """Count, row by row, how often each absolute value of a digit occurs."""
    at = cuda.grid(1)
    if at < elements.shape[0]:
        row = at // width
        carry = 0
        for window in range(windows):
            digit, carry = _digits_of(elements, at, bits, window, carry)
            if digit != 0:
                cuda.atomic.add(counts, (row, abs(digit) - 1), 1)


@cuda.jit
def _accumulate_counts(counts, starts, places):
    """Write where each bucket of a row starts: (rows, buckets + 1), the last one the row's number of entries."""
    row = cuda.grid(1)
    if row < counts.shape[0]:
        total = 0
        for bucket in range(counts.shape[1]):
            starts[row, bucket] = total
            places[row, bucket] = total
            total += counts[row, bucket]
        starts[row, counts.shape[1]] = total


@cuda.jit
def _sort(elements, width, bits, windows, points, places, entries):
    """Write each entry, 2*(row of the table) + (1 if it is to be negated), to its bucket's next place."""
    at = cuda.grid(1)
    if at < elements.shape[0]:
        row = at // width
        carry = 0
        for window in range(windows):
            digit, carry = _digits_of(elements, at, bits, window, carry)
            if digit != 0:
                place = cuda.atomic.add(places, (row, abs(digit) - 1), 1)
                entries[row, place] = 2 * (window * points + at % width) + (1 if digit < 0 else 0)


@cuda.jit
def _sum_pieces(table, entries, starts, pieces, buckets, heads, tails):
    """Add up a piece of a row's entries.

    Whole buckets go to ``buckets``, what began in an earlier piece to ``heads``, what goes on in the next to ``tails``.
    """
    at = cuda.grid(1)
    if at < starts.shape[0] * pieces:
        row, piece = at // pieces, at % pieces
        count = starts.shape[1] - 1
        low = piece * PIECE
        high = min(low + PIECE, starts[row, count])
        if low < high:
            bucket, above = 0, count
            while above - bucket > 1:  # the last bucket that starts at or before low
                middle = (bucket + above) // 2
                if starts[row, middle] <= low:
                    bucket = middle
                else:
                    above = middle
            x, y, zz, zzz = _ZERO, _ZERO, _ZERO, _ZERO
            end = starts[row, bucket + 1]
            for position in range(low, high):
                if position == end:
                    if starts[row, bucket] < low:
                        _write(heads, at, x, y, zz, zzz)
                    else:
                        _write(buckets, row * count + bucket, x, y, zz, zzz)
                    x, y, zz, zzz = _ZERO, _ZERO, _ZERO, _ZERO
                    while position == end:  # past empty buckets
                        bucket += 1
                        end = starts[row, bucket + 1]
                entry = entries[row, position]
                x2, y2 = _table_entry(table, entry >> 1)
                if not _is_zero(y2):
                    if entry & 1:
                        y2 = _opposite(y2)
                    x, y, zz, zzz = _add_affine(x, y, zz, zzz, x2, y2)
            if starts[row, bucket] < low:
                _write(heads, at, x, y, zz, zzz)
            elif end > high:
                _write(tails, at, x, y, zz, zzz)
            else:
                _write(buckets, row * count + bucket, x, y, zz, zzz)


@cuda.jit
def _join_pieces(starts, pieces, buckets, heads, tails):
    """Add up the parts of each bucket that lies in several pieces; empty buckets become the identity."""
    at = cuda.grid(1)
    count = starts.shape[1] - 1
    if at < starts.shape[0] * count:
        row, bucket = at // count, at % count
        low, high = starts[row, bucket], starts[row, bucket + 1]
        first, last = low // PIECE, (high - 1) // PIECE
        if low == high:
            _write(buckets, at, _ZERO, _ZERO, _ZERO, _ZERO)
        elif first != last:
            x, y, zz, zzz = _read(tails, row * pieces + first)
            for piece in range(first + 1, last + 1):
                x2, y2, zz2, zzz2 = _read(heads, row * pieces + piece)
                x, y, zz, zzz = _add(x, y, zz, zzz, x2, y2, zz2, zzz2)
            _write(buckets, at, x, y, zz, zzz)


@cuda.jit
def _weigh(points, first_weight, sums, weighted):
    """Write the sum of each FAN points in a row, and their sum with weights first_weight, first_weight + 1, ..."""
    at = cuda.grid(1)
    if at < sums.shape[1]:
        x, y, zz, zzz = _ZERO, _ZERO, _ZERO, _ZERO
        wx, wy, wzz, wzzz = _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(FAN - 1, -1, -1):
            x2, y2, zz2, zzz2 = _read(points, at * FAN + i)
            x, y, zz, zzz = _add(x, y, zz, zzz, x2, y2, zz2, zzz2)
            if i + first_weight > 0:
                wx, wy, wzz, wzzz = _add(wx, wy, wzz, wzzz, x, y, zz, zzz)
        _write(sums, at, x, y, zz, zzz)
        _write(weighted, at, wx, wy, wzz, wzzz)


@cuda.jit
def _sum(points, sums):
    """Write the sum of each FAN points in a row."""
    at = cuda.grid(1)
    if at < sums.shape[1]:
        x, y, zz, zzz = _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(FAN):
            x2, y2, zz2, zzz2 = _read(points, at * FAN + i)
            x, y, zz, zzz = _add(x, y, zz, zzz, x2, y2, zz2, zzz2)
        _write(sums, at, x, y, zz, zzz)


@cuda.jit
def _multiply_add(wholes, points):
    """Replace each whole by FAN times it plus a point."""
    at = cuda.grid(1)
    if at < wholes.shape[1]:
        x, y, zz, zzz = _read(wholes, at)
        factor = FAN
        while factor > 1:
            if not _is_zero(zz):
                x, y, zz, zzz = _double(x, y, zz, zzz)
            factor //= 2
        x2, y2, zz2, zzz2 = _read(points, at)
        x, y, zz, zzz = _add(x, y, zz, zzz, x2, y2, zz2, zzz2)
        _write(wholes, at, x, y, zz, zzz)


class GpuBasis:
    """Fixed points on the device, and the sums of as many rows over them as there are.

    :param table: (windows * points, 12) words as :func:`qanat.kzg.basis.make_table` makes them.
    :param bits: of a window; 2^(bits-1), the number of buckets, is a power of ``FAN``.
    """

    def __init__(self, table: NDArray[np.uint64], points: int, bits: int = BITS) -> None:
        self.points, self.bits, self.windows = points, bits, windows_of(bits)
        self._table = on_device(short_limbs(table))
        self._lock = threading.Lock()

    def combine(self, elements: DeviceArray) -> list[bytes]:
        """Return each row's sum of elements[row, i] * P_i, compressed; (rows, width <= points, 4), canonical."""
        rows = elements.shape[0]
        found: list[bytes] = []
        with self._lock:
            for first in range(0, rows, ROWS):
                found += self._combine(elements[first : min(first + ROWS, rows)])
        return found

    def _combine(self, elements: DeviceArray) -> list[bytes]:
        rows, width, _ = elements.shape
        flat = elements.reshape(rows * width, 4)
        buckets, pieces = 1 << (self.bits - 1), -(-width * self.windows // PIECE)
        counts = on_device(np.zeros((rows, buckets), dtype=np.int32))
        starts = cuda.device_array((rows, buckets + 1), dtype=np.int32)
        places = cuda.device_array((rows, buckets), dtype=np.int32)
        entries = cuda.device_array((rows, width * self.windows), dtype=np.int32)
        launch(_count, rows * width, flat, width, self.bits, self.windows, counts)
        launch(_accumulate_counts, rows, counts, starts, places)
        launch(_sort, rows * width, flat, width, self.bits, self.windows, self.points, places, entries)
        sums, heads, tails = (room(count) for count in (rows * buckets, rows * pieces, rows * pieces))
        launch(_sum_pieces, rows * pieces, self._table, entries, starts, pieces, sums, heads, tails)
        launch(_join_pieces, rows * buckets, starts, pieces, sums, heads, tails)
        return compressed(weigh(sums, rows, buckets).copy_to_host())


def room(count: int) -> DeviceArray:
    """Return room for so many points: a line of the array is one limb of all, so that neighbours lie together."""
    return cuda.device_array((4 * LIMBS, count), dtype=np.uint32)


def weigh(points: DeviceArray, rows: int, buckets: int) -> DeviceArray:
    """Return each row's sum of (b + 1) * point_b."""
    parts, first_weight = [], 1
    while buckets > 1:
        buckets //= FAN
        sums, weighted = room(rows * buckets), room(rows * buckets)
        launch(_weigh, rows * buckets, points, first_weight, sums, weighted)
        parts.append((weighted, buckets))
        points, first_weight = sums, 0
    whole = None
    for part, left in reversed(parts):
        line, count = part, left
        while count > 1:
            count //= FAN
            sums = room(rows * count)
            launch(_sum, rows * count, line, sums)
            line = sums
        if whole is None:
            whole = line
        else:
            launch(_multiply_add, rows, whole, line)
    return whole


def short_limbs(table: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return points, twelve words times the host's R, as limbs times the device's R, shape (count, 2 * LIMBS)."""
    words = times(table, LIMBS * SHORT - base.RADIX_BITS).reshape(-1, base.WORDS)
    out = np.empty((len(words), LIMBS), dtype=np.uint32)
    for limb in range(LIMBS):
        at, shift = SHORT * limb >> 6, SHORT * limb & 63
        part = words[:, at] >> np.uint64(shift)
        if shift > 64 - SHORT and at + 1 < base.WORDS:
            part = part | words[:, at + 1] << np.uint64(64 - shift)
        out[:, limb] = part & np.uint64((1 << SHORT) - 1)
    return out.reshape(-1, 2 * LIMBS)


def compressed(limbs: NDArray[np.uint32]) -> list[bytes]:
    """Return points of (4 * LIMBS, count) limbs in 48 bytes each: one inversion for all."""
    p, count = base.MODULUS, limbs.shape[1]
    numbers = [
        [
            sum(limb << (SHORT * i) for i, limb in enumerate(line[LIMBS * part : LIMBS * (part + 1)]))
            for part in range(4)
        ]
        for line in limbs.T.tolist()
    ]
    below = [zz * zzz % p or 1 for _, _, zz, zzz in numbers]
    prefix = [1]
    for value in below:
        prefix.append(prefix[-1] * value % p)
    running = pow(prefix[-1], -1, p)
    found = [b""] * count
    for at in range(count - 1, -1, -1):
        x, y, zz, zzz = numbers[at]
        inverse = prefix[at] * running % p  # 1/(ZZ ZZZ R^2)
        running = running * below[at] % p
        if zz:
            # X R / (ZZ R) has no R left
            x, y = x * inverse % p * zzz % p, y * inverse % p * zz % p
            found[at] = compress_raw(x.to_bytes(NUMBER_BYTES, "big") + y.to_bytes(NUMBER_BYTES, "big"))
        else:
            found[at] = compress_raw(bytes(2 * NUMBER_BYTES))
    return found


class GpuCommitments(FastCommitments):
    """Blobs are committed to on the device; group and pairing stay on the processor."""

    name = "gpu"

    def commit(self, blob: bytes) -> bytes:
        """Return the commitment of a whole blob."""
        (found,) = self.commit_rows(GpuField().from_bytes(blob, (1, len(blob) // ELEMENT_BYTES)))
        return found

    def commit_rows(self, rows: DeviceArray) -> list[bytes]:
        """Return the commitments of rows on the device, (rows, width, 4), the rest of each blob being zero."""
        return setup_basis().combine(rows)

    def open_at(self, blob: bytes, z: bytes) -> tuple[bytes, bytes]:
        """Return (proof, y) of a whole blob at z: the quotient on the processor, its commitment on the device."""
        field: Any = kernel()
        y, quotient = divide(field.from_bytes(blob, (BLOB_ELEMENTS,)), int.from_bytes(z, "big"))
        return self.commit(field.to_bytes(quotient)), y.to_bytes(ELEMENT_BYTES, "big")


@cache
def setup_basis() -> GpuBasis:
    """Return Ethereum's set-up on the device; the same object every time."""
    return GpuBasis(ready_table(), BLOB_ELEMENTS)
