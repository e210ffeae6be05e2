"""The fast kernel: four 64-bit limbs per element, compiled loops, columns split between threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from qanat.errors import BadParameters, FormatError, NonCanonicalElement
from qanat.field import ELEMENT_BYTES, MODULUS, columns, limbs, root_of_unity
from qanat.field.threads import MOST, processors

Limbs = NDArray[np.uint64]
"""Shape (..., 4), C-contiguous, least significant limb first, canonical."""

MONTGOMERY = (1 << 256) % MODULUS
"""R = 2^256: factors are kept times R."""

_SQUARE = MONTGOMERY * MONTGOMERY % MODULUS
_SMALL_WORK = 1 << 14
"""Products below which a second thread costs more than it saves."""


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=MOST, thread_name_prefix="qanat-field")


def by_columns(run: Callable[[int, int], None], width: int, work: int) -> None:
    """Run ``run(low, high)`` over all columns, in several threads when there is enough work (in products)."""
    parts = min(processors(), width // columns.BLOCK) if work > _SMALL_WORK else 1
    if parts <= 1:
        run(0, width)
        return
    step = -(-width // (parts * columns.BLOCK)) * columns.BLOCK
    bounds = [(low, min(low + step, width)) for low in range(0, width, step)]
    jobs = [_pool().submit(run, low, high) for low, high in bounds[1:]]
    run(*bounds[0])
    for job in jobs:
        job.result()


def pack(values: Sequence[int]) -> Limbs:
    """Return canonical values as limbs, shape (count, 4)."""
    data = b"".join(value.to_bytes(ELEMENT_BYTES, "little") for value in values)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(len(values), 4)


def factors(values: Sequence[int]) -> Limbs:
    """Return values times R, as compiled loops want their factors, shape (count, 4)."""
    return pack([value * MONTGOMERY % MODULUS for value in values])


@cache
def twiddles(size: int, inverse: bool) -> Limbs:
    """Return the first half of the powers of the root of unity of this order (or of its inverse), as rows take them."""
    root = root_of_unity(size)
    if inverse:
        root = pow(root, -1, MODULUS)
    values, power = [], 1
    for _ in range(max(1, size // 2)):
        values.append(power)
        power = power * root % MODULUS
    return columns.row_factors(values)


@cache
def bit_reversal(size: int) -> NDArray[np.int64]:
    """Return the permutation that reverses the bits of an index below a power of two."""
    order = np.zeros(1, dtype=np.int64)
    while len(order) < size:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def in_order(elements: Limbs) -> Limbs:
    """Return the array itself if it is C-contiguous, as compiled loops need it, or a copy that is."""
    return np.ascontiguousarray(elements)


def fold(rows: Sequence[bytes | memoryview], weights: Sequence[int]) -> tuple[Limbs, list[int]]:
    """Return the sum of weights[j] * rows[j], and which rows hold an element that is not below r.

    :param rows: at least one, of equal length, 32 big-endian bytes per element.
    :param weights: below r; the work is half where all are below 2^128.

    The sum has shape (width, 4). It counts elements as they stand, reduced or not.
    """
    parts = 1 if max(weights) < 1 << columns.PIECE else 2
    arrays = [np.frombuffer(row, dtype=np.uint8) for row in rows]
    addresses = np.array([array.ctypes.data for array in arrays], dtype=np.uint64)
    table = columns.pieces(weights, parts)
    shifts = [1 << columns.PIECE * part for part in range(parts)]
    constants = columns.row_factors([shift * again for shift in shifts for again in (1, columns.MONTGOMERY)])
    width = len(arrays[0]) // ELEMENT_BYTES
    out = np.empty((width, 4), dtype=np.uint64)
    flags: list[NDArray[np.uint64]] = []  # an array for each thread

    def run(low: int, high: int) -> None:
        found = np.zeros(len(rows), dtype=np.uint64)
        flags.append(found)
        limbs.fold(addresses, table, constants, found, out, low, high)

    by_columns(run, width, parts * len(rows) * width)
    return out, [int(row) for row in np.flatnonzero(np.bitwise_or.reduce(flags))]


class FastField:
    """Field arithmetic on numpy arrays of limbs; see :mod:`qanat.field.limbs` for the representation."""

    name = "fast"

    def from_ints(self, values: Sequence[int], shape: tuple[int, ...]) -> Limbs:
        """Return limbs of the given logical shape; a value outside [0, r) raises ``NonCanonicalElement``."""
        if len(values) != prod(shape):
            raise FormatError(f"{len(values)} values do not fill the shape {shape}.")
        for position, value in enumerate(values):
            if not 0 <= value < MODULUS:
                raise NonCanonicalElement(f"Element {position} is not in [0, r).", position=position)
        return pack(values).reshape(*shape, 4)

    def to_ints(self, elements: Limbs) -> list[int]:
        """Return the values in row-major order."""
        data = self.to_bytes(elements)
        return [int.from_bytes(data[at : at + ELEMENT_BYTES], "big") for at in range(0, len(data), ELEMENT_BYTES)]

    def from_bytes(self, data: bytes | memoryview, shape: tuple[int, ...]) -> Limbs:
        """Read 32-byte big-endian elements; one not below r raises ``NonCanonicalElement``."""
        if len(data) != ELEMENT_BYTES * prod(shape):
            raise FormatError(f"{len(data)} bytes do not fill the shape {shape} with 32-byte elements.")
        words = np.frombuffer(data, dtype=">u8").reshape(-1, 4)
        elements = np.ascontiguousarray(words[:, ::-1].astype(np.uint64))
        position = int(limbs.first_not_below(elements, _modulus()))
        if position >= 0:
            raise NonCanonicalElement(f"Element {position} is not below the modulus.", position=position)
        return elements.reshape(*shape, 4)

    def to_bytes(self, elements: Limbs) -> bytes:
        """Write 32 big-endian bytes per element, row-major."""
        return elements.reshape(-1, 4)[:, ::-1].astype(">u8").tobytes()

    def shape(self, elements: Limbs) -> tuple[int, ...]:
        """Return the logical shape, without the limbs."""
        return elements.shape[:-1]

    def zeros(self, shape: tuple[int, ...]) -> Limbs:
        """Return an array of zeros."""
        return np.zeros((*shape, 4), dtype=np.uint64)

    def take(self, elements: Limbs, rows: Sequence[int]) -> Limbs:
        """Return the named rows, copied."""
        return elements[list(rows)]

    def stack(self, parts: Sequence[Limbs]) -> Limbs:
        """Join arrays along the first axis."""
        return np.concatenate(list(parts), axis=0)

    def add(self, left: Limbs, right: Limbs) -> Limbs:
        """Return left + right."""
        return self._each(0, left, right)

    def subtract(self, left: Limbs, right: Limbs) -> Limbs:
        """Return left - right."""
        return self._each(1, left, right)

    def multiply(self, left: Limbs, right: Limbs) -> Limbs:
        """Return the elementwise product."""
        product = self._each(2, left, right)  # a*b/R
        square = np.broadcast_to(pack([_SQUARE])[0], product.shape)
        return self._each(2, product, np.ascontiguousarray(square))

    def scale_rows(self, elements: Limbs, factors_: Sequence[int]) -> Limbs:
        """Return row i times ``factors_[i]``."""
        if len(factors_) != elements.shape[0]:
            raise BadParameters(f"{len(factors_)} factors for {elements.shape[0]} rows.")
        elements = in_order(elements)
        out = np.empty_like(elements)
        table = factors(factors_)
        rows, width, _ = elements.shape
        by_columns(lambda low, high: limbs.scale_rows(elements, table, out, low, high), width, rows * width)
        return out

    def combine(self, weights: Sequence[Sequence[int]], elements: Limbs) -> Limbs:
        """Return the matrix product of weights and elements."""
        elements = in_order(elements)
        rows, width, _ = elements.shape
        for line in weights:
            if len(line) != rows:
                raise BadParameters(f"{len(line)} weights for {rows} rows.")
        table = factors([weight for line in weights for weight in line]).reshape(len(weights), rows, 4)
        out = np.empty((len(weights), width, 4), dtype=np.uint64)
        work = len(weights) * rows * width
        by_columns(lambda low, high: limbs.combine(table, elements, out, low, high), width, work)
        return out

    def transform(self, elements: Limbs, *, inverse: bool = False) -> Limbs:
        """Transform each column between coefficients and values at the powers of the root, natural order."""
        size, width, _ = elements.shape
        table = twiddles(size, inverse)
        reversal = bit_reversal(size)
        scale = columns.row_factors([pow(size, -1, MODULUS) if inverse else 1])
        elements = in_order(elements)
        out = np.empty_like(elements)
        work = size * width * size.bit_length()
        by_columns(lambda low, high: limbs.transform(elements, table, reversal, scale, out, low, high), width, work)
        return out

    def _each(self, operation: int, left: Limbs, right: Limbs) -> Limbs:
        if left.shape != right.shape:
            raise BadParameters(f"Shapes {left.shape[:-1]} and {right.shape[:-1]} differ.")
        flat_left, flat_right = in_order(left).reshape(-1, 4), in_order(right).reshape(-1, 4)
        out = np.empty_like(flat_left)
        count = len(flat_left)
        by_columns(lambda low, high: limbs.elementwise(operation, flat_left, flat_right, out, low, high), count, count)
        return out.reshape(left.shape)


@cache
def _modulus() -> Limbs:
    return pack([MODULUS]).reshape(4)
