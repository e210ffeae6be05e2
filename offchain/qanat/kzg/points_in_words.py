"""Points as arrays of words, and the row code over them: transforms whose butterflies are additions of points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qanat.coding.points import points as code_points
from qanat.errors import InvalidPoint
from qanat.field import MODULUS, base, root_of_unity
from qanat.field.emit import words_of
from qanat.field.fast import bit_reversal
from qanat.kzg import ladders, msm
from qanat.kzg.basis import Words, batch_workspace, raw_of, windows_of
from qanat.kzg.points import COMPRESSED_IDENTITY, NUMBER_BYTES, RAW_BYTES, RAW_IDENTITY, check_compressed

PARAMETER = 0xD201000000010000
"""|X|, the curve's parameter: r = X^4 - X^2 + 1."""

BETA = 0x5F19672FDF76CE51BA69C6076A0F77EADDB3A93BE6F89688DE17D813620A00022E01FFFFFFFEFFFE
"""The cube root of one for which (BETA*x, y) is -X^2 times (x, y)."""

WINDOW_BITS = ((9, 4096), (7, 128), (5, 0))
"""Bits of a window, and from how many points on."""

_BETA = np.array([words_of(BETA * base.MONTGOMERY % base.MODULUS, base.WORDS)], dtype=np.uint64)
_PARAMETER_BITS = np.array([int(bit) for bit in f"{PARAMETER:b}"], dtype=np.int64)


def to_words(raw: Sequence[bytes]) -> Words:
    """Return raw points (96 bytes each) in Montgomery form, shape (count, 12)."""
    numbers = np.frombuffer(b"".join(raw), dtype=">u8").reshape(2 * len(raw), NUMBER_BYTES // 8)[:, ::-1]
    out = np.empty((2 * len(raw), base.WORDS), dtype=np.uint64)
    msm.scale(np.ascontiguousarray(numbers.astype(np.uint64)), _number(base.SQUARE), out)
    return out.reshape(len(raw), 12)


def to_raw(points: Words) -> list[bytes]:
    """Return the raw bytes of points in Montgomery form."""
    out = np.empty((2 * len(points), base.WORDS), dtype=np.uint64)
    msm.scale(points.reshape(-1, base.WORDS), _number(1), out)
    joined = out[:, ::-1].astype(">u8").tobytes()
    return [joined[at : at + RAW_BYTES] for at in range(0, len(joined), RAW_BYTES)]


@lru_cache(maxsize=1 << 16)
def _digits(scalar: int) -> bytes:
    """Return the signed digits of both halves of a scalar, lowest first, each in (-8, 8] as a byte."""
    line = bytearray()
    for part in reversed(divmod(scalar, PARAMETER**2)):
        half, carry = part, 0
        for _ in range(ladders.DIGITS):
            digit = (half & 15) + carry
            carry = int(digit > ladders.ENTRIES)
            line.append((digit - 16 * carry) & 255)
            half >>= ladders.DIGIT_BITS
    return bytes(line)


def multiply(points: Words, scalars: Sequence[int]) -> Words:
    """Return each point times its scalar in [0, r); points of the r-order subgroup, shape (count, 12)."""
    digits = np.frombuffer(b"".join(_digits(scalar) for scalar in scalars), dtype=np.int8)
    lines = digits.reshape(len(points), 2, ladders.DIGITS)
    pairs, work, kept = batch_workspace()
    tables = np.empty((ladders.ENTRIES, msm.BATCH, 12), dtype=np.uint64)
    out = points.copy()
    for start in range(0, len(out), msm.BATCH):
        part = slice(start, start + msm.BATCH)
        ladders.multiply_all(out[part], lines[part], _BETA.ctypes.data, tables, pairs, work)
    del kept
    return out


def combine(raw: Sequence[bytes], scalars: Sequence[int]) -> bytes:
    """Return the sum of scalars[i] times points[i], raw; any points of the curve, scalars in [0, r).

    As :mod:`qanat.kzg.basis` does it, but of points that are seen once: there is no table of their multiples, so every
    window has buckets of its own. The buckets of all windows are summed together, in full batches.
    """
    count = len(raw)
    bits = next(bits for bits, least in WINDOW_BITS if count >= least)
    half, side, windows = 1 << (bits - 1), 1 << (bits // 2), windows_of(bits)
    words = np.frombuffer(b"".join(scalar.to_bytes(32, "little") for scalar in scalars), dtype="<u8").reshape(count, 4)
    digits = np.empty((count, windows), dtype=np.int16)
    msm.recode(words, bits, windows, digits, np.empty(half, dtype=np.int64))

    chosen = np.flatnonzero(digits)
    digit = digits.ravel()[chosen]
    bucket = (half * (chosen % windows) + np.abs(digit) - 1).astype(np.int16)  # 16 bits are sorted in linear time
    entries = (2 * (chosen // windows) + (digit < 0))[np.argsort(bucket, kind="stable")].astype(np.int32)
    sizes = np.bincount(bucket, minlength=windows * half)
    starts = np.cumsum(sizes) - sizes
    room = max((len(entries) + len(sizes)) // 2 + 1, 2 * len(sizes))
    partial, other = np.empty((room, 12), dtype=np.uint64), np.empty((room // 2 + len(sizes) + 1, 12), dtype=np.uint64)
    buckets = np.zeros((len(sizes), 12), dtype=np.uint64)
    pairs, work, kept = batch_workspace()
    if len(entries):
        msm.sum_entries(to_words(raw), entries, starts, sizes, partial, buckets, pairs, work)
        msm.sum_groups(partial, other, starts, sizes, buckets, work)

    lines = 2 * side
    starts, sizes = np.empty(windows * lines, dtype=np.int64), np.empty(windows * lines, dtype=np.int64)
    for window in range(windows):
        of_lines, at = slice(window * lines, (window + 1) * lines), 2 * half * window
        own = buckets[half * window : half * (window + 1)]
        msm.spread(own, side, partial[at : at + 2 * half], starts[of_lines], sizes[of_lines])
    sums = np.empty((windows * lines, 12), dtype=np.uint64)
    msm.sum_groups(partial, other, side * np.arange(windows * lines), sizes, sums, work)

    out = np.empty((2, base.WORDS), dtype=np.uint64)
    msm.finish(sums.reshape(windows, lines, 12), side, bits, work[-2], work[-1], out)
    del kept
    return raw_of(out)


def decompress(data: Sequence[bytes]) -> list[bytes]:
    """Return the raw forms of compressed points; one that is malformed or outside the subgroup raises ``InvalidPoint``.

    One square root each, and the subgroup checks of up to 1,024 points in step.
    """
    for point in data:
        check_compressed(point)
    chosen = [i for i, point in enumerate(data) if point != COMPRESSED_IDENTITY]
    joined = np.frombuffer(b"".join(data[i] for i in chosen), dtype=np.uint8).reshape(-1, NUMBER_BYTES).copy()
    larger = joined[:, 0] >> 5 & 1
    joined[:, 0] &= 31
    abscissas = np.ascontiguousarray(joined.view(">u8")[:, ::-1].astype(np.uint64))
    points = np.empty((len(chosen), 12), dtype=np.uint64)
    good = np.empty(len(chosen), dtype=np.uint8)
    pairs, work, kept = batch_workspace()
    square, four = _number(base.SQUARE), _number(4 * base.MONTGOMERY % base.MODULUS)
    ladders.find_points(abscissas, larger, square.ctypes.data, four.ctypes.data, points, good, work)
    room = np.empty((2 * msm.BATCH, 12), dtype=np.uint64)
    for start in range(0, len(chosen), msm.BATCH):
        part = slice(start, start + msm.BATCH)
        ladders.check_subgroup(points[part], _PARAMETER_BITS, _BETA.ctypes.data, room, good[part], pairs, work)
    del kept
    if not good.all():
        bad = data[chosen[int(np.argmin(good))]]
        raise InvalidPoint("A compressed G1 point is not on the curve or not in the subgroup.", point=bad)
    out = [RAW_IDENTITY] * len(data)
    for i, raw in zip(chosen, to_raw(points), strict=True):
        out[i] = raw
    return out


def transform(points: Words, root: int) -> Words:
    """Return sum over j of root^(i*j) * points[j] for every i, column by column; shape (size, columns, 12)."""
    size, columns, _ = points.shape
    values = points[bit_reversal(size)]
    pairs, work, kept = batch_workspace()
    half = 1
    while half < size:
        layer = values.reshape(size // (2 * half), 2, half, columns, 12)
        top, bottom = (np.ascontiguousarray(layer[:, side]) for side in range(2))
        if half > 1:
            powers = [pow(root, j * (size // (2 * half)), MODULUS) for j in range(1, half)]
            factors = [power for _ in range(len(layer)) for power in powers for _ in range(columns)]
            turned = multiply(np.ascontiguousarray(bottom[:, 1:]).reshape(-1, 12), factors)
            bottom[:, 1:] = turned.reshape(bottom[:, 1:].shape)
        ladders.sums_and_differences(top.reshape(-1, 12), bottom.reshape(-1, 12), pairs, work)
        layer[:, 0], layer[:, 1] = top, bottom
        half *= 2
    del kept
    return values


def extend(raw: Sequence[bytes], k: int, n: int) -> list[bytes]:
    """Return the raw parity points of k raw data points: the row code of :mod:`qanat.coding` over points."""
    layout = code_points(k, n)
    size, cosets = layout.size, -(-(n - k) // layout.size)
    omega = root_of_unity(size)
    data = np.zeros((size, 1, 12), dtype=np.uint64)
    data[:k, 0] = to_words(raw)
    coefficients = transform(data, pow(omega, -1, MODULUS))
    share = pow(size, -1, MODULUS)
    shifts = [layout.at((1 + coset) * i) * share % MODULUS for i in range(size) for coset in range(cosets)]
    spread: NDArray[np.uint64] = np.repeat(coefficients, cosets, axis=1)
    shifted = multiply(spread.reshape(-1, 12), shifts).reshape(size, cosets, 12)
    rows = transform(shifted, omega)
    return to_raw(np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(-1, 12)[: n - k])


def _number(value: int) -> Words:
    return np.array(words_of(value, base.WORDS), dtype=np.uint64)
