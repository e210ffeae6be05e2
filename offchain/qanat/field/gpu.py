"""The field kernel on a CUDA device: an array lies there as its slices' bytes, and stays there between operations.

An array of shape (..., 4) words of 64 bits holds each element's 32 big-endian bytes, as they are stored and sent: a
thread swaps the bytes of the words that it reads and writes, and nothing is ever converted on the host. Between
operations every element is canonical. Within one, a product is below 2r and a sum or difference of it and a canonical
element below 3r, which two conditional subtractions end (:mod:`qanat.field.cuda_numbers` has the bounds).

A transform is one launch per layer, a thread for each butterfly: neighbouring threads have neighbouring columns.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from qanat.errors import BadParameters, FormatError, NonCanonicalElement
from qanat.field import ELEMENT_BYTES, MODULUS, root_of_unity
from qanat.field.cuda_numbers import SIMULATED, Numbers, device, u32, u64
from qanat.field.fast import bit_reversal

DeviceArray = Any
"""Words on the device, shape (..., 4)."""

LIMBS, BITS = 9, 29
SCALARS = Numbers(MODULUS, LIMBS, BITS)

THREADS = 32 if SIMULATED else 128
"""Of a block."""

product, reduced = SCALARS.product, SCALARS.reduced
add_words = SCALARS.sum_of([1, 1], 0)
subtract_words = SCALARS.sum_of([1, -1], 2)
"""a - b + 2r, for b below 2r."""

_ZERO = SCALARS.constant(0)
_SQUARE = SCALARS.constant(SCALARS.radix * SCALARS.radix % MODULUS)
_MASK = u64((1 << BITS) - 1)
_WORD = u64((1 << 64) - 1)
_EVEN_BYTES, _EVEN_PAIRS, _LOW = u64(0x00FF00FF00FF00FF), u64(0x0000FFFF0000FFFF), u64(0xFFFFFFFF)
_8, _16, _32, _64 = u64(8), u64(16), u64(32), u64(64)
_NONE = np.iinfo(np.int64).max


def launch(kernel: Any, count: int, *arguments: Any) -> None:
    """Run a kernel with at least so many threads; each must see to it that it is one of them."""
    if count:
        kernel[-(-count // THREADS), THREADS](*arguments)


def on_device(array: NDArray[Any]) -> DeviceArray:
    """Copy an array to the device."""
    return cuda.to_device(np.ascontiguousarray(array))


@device
def swapped(word):
    """Return a word of 64 bits with its bytes in the other order."""
    word = ((word & _EVEN_BYTES) << _8) | ((word >> _8) & _EVEN_BYTES)
    word = ((word & _EVEN_PAIRS) << _16) | ((word >> _16) & _EVEN_PAIRS)
    return ((word & _LOW) << _32) | (word >> _32)


@device
def words_of(array, at):
    """Return element ``at``'s four words, least significant first."""
    w3, w2, w1, w0 = u64(array[at, 0]), u64(array[at, 1]), u64(array[at, 2]), u64(array[at, 3])
    return swapped(w0), swapped(w1), swapped(w2), swapped(w3)


@device
def load(array, at):
    """Return element ``at`` in limbs."""
    w0, w1, w2, w3 = words_of(array, at)
    return (
        u32(w0 & _MASK),
        u32((w0 >> u64(29)) & _MASK),
        u32(((w0 >> u64(58)) | (w1 << u64(6))) & _MASK),
        u32((w1 >> u64(23)) & _MASK),
        u32(((w1 >> u64(52)) | (w2 << u64(12))) & _MASK),
        u32((w2 >> u64(17)) & _MASK),
        u32(((w2 >> u64(46)) | (w3 << u64(18))) & _MASK),
        u32((w3 >> u64(11)) & _MASK),
        u32(w3 >> u64(40)),
    )


@device
def store(array, at, a):
    """Write a canonical number as element ``at``."""
    w0 = (u64(a[0]) | (u64(a[1]) << u64(29)) | (u64(a[2]) << u64(58))) & _WORD
    w1 = ((u64(a[2]) >> u64(6)) | (u64(a[3]) << u64(23)) | (u64(a[4]) << u64(52))) & _WORD
    w2 = ((u64(a[4]) >> u64(12)) | (u64(a[5]) << u64(17)) | (u64(a[6]) << u64(46))) & _WORD
    w3 = ((u64(a[6]) >> u64(18)) | (u64(a[7]) << u64(11)) | (u64(a[8]) << u64(40))) & _WORD
    array[at, 0], array[at, 1], array[at, 2], array[at, 3] = swapped(w3), swapped(w2), swapped(w1), swapped(w0)


@device
def factor(table, at):
    """Return factor ``at`` of a table of limbs."""
    return (
        u32(table[at, 0]),
        u32(table[at, 1]),
        u32(table[at, 2]),
        u32(table[at, 3]),
        u32(table[at, 4]),
        u32(table[at, 5]),
        u32(table[at, 6]),
        u32(table[at, 7]),
        u32(table[at, 8]),
    )


@cuda.jit
def _first_not_below(array, found):
    """Note the least position of an element that is not below r."""
    at = cuda.grid(1)
    if at < array.shape[0]:
        w0, w1, w2, w3 = words_of(array, at)
        below = w3 < _R3 or (w3 == _R3 and (w2 < _R2 or (w2 == _R2 and (w1 < _R1 or (w1 == _R1 and w0 < _R0)))))
        if not below:
            cuda.atomic.min(found, 0, at)


_R0, _R1, _R2, _R3 = (u64(MODULUS >> (64 * i) & ((1 << 64) - 1)) for i in range(4))


@cuda.jit
def _scaled_rows(array, order, table, width, out):
    """Write row order[i] times factor i to row i of out; zeros where order[i] is negative."""
    at = cuda.grid(1)
    if at < out.shape[0]:
        row = at // width
        source = order[row]
        if source < 0:
            store(out, at, _ZERO)
        else:
            store(out, at, reduced(product(load(array, source * width + at % width), factor(table, row))))


@cuda.jit
def _layer(array, half, stride, table, width):
    """Do butterflies (a, b) -> (a + b*f, a - b*f) of rows that are ``half`` apart; f is factor stride * place."""
    at = cuda.grid(1)
    if 2 * at < array.shape[0]:
        pair, column = at // width, at % width
        place = pair % half
        upper = (2 * (pair - place) + place) * width + column
        lower = upper + half * width
        a, b = load(array, upper), product(load(array, lower), factor(table, place * stride))
        store(array, upper, reduced(reduced(add_words(a, b))))
        store(array, lower, reduced(reduced(subtract_words(a, b))))


@cuda.jit
def _folded(array, order, table, size, width, out):
    """Write the sum of all rows order[i] + m*size, each times the factor of its number, to row i of out."""
    at = cuda.grid(1)
    if at < out.shape[0]:
        total = _ZERO
        row = order[at // width]
        while row * width < array.shape[0]:
            part = product(load(array, row * width + at % width), factor(table, row))
            total = reduced(reduced(add_words(total, part)))
            row += size
        store(out, at, total)


@cuda.jit
def _elementwise(operation, left, right, out):
    """Write left + right (0), left - right (1), left * right (2)."""
    at = cuda.grid(1)
    if at < out.shape[0]:
        a, b = load(left, at), load(right, at)
        if operation == 0:
            store(out, at, reduced(add_words(a, b)))
        elif operation == 1:
            store(out, at, reduced(reduced(subtract_words(a, b))))
        else:
            store(out, at, reduced(product(product(a, b), _SQUARE)))


@cuda.jit
def _combined(table, array, rows, width, out):
    """Write the sum over all rows j of factor (i, j) times row j to row i of out."""
    at = cuda.grid(1)
    if at < out.shape[0]:
        total = _ZERO
        line = at // width * rows
        for row in range(rows):
            part = product(load(array, row * width + at % width), factor(table, line + row))
            total = reduced(reduced(add_words(total, part)))
        store(out, at, total)


@cache
def twiddles(size: int, inverse: bool) -> DeviceArray:
    """Return the first half of the powers of the root of unity of this order (or of its inverse), on the device."""
    root = root_of_unity(size)
    if inverse:
        root = pow(root, -1, MODULUS)
    values, power = [], 1
    for _ in range(max(1, size // 2)):
        values.append(power)
        power = power * root % MODULUS
    return on_device(SCALARS.factors(values))


def transform_in_place(array: DeviceArray, size: int, *, inverse: bool) -> None:
    """Transform every ``size`` rows of (rows, width, 4), which come in bit-reversed order; no division."""
    rows, width, _ = array.shape
    flat = array.reshape(rows * width, 4)
    table = twiddles(size, inverse)
    half = 1
    while half < size:
        launch(_layer, rows * width // 2, flat, half, size // (2 * half), table, width)
        half *= 2


def scaled_rows(array: DeviceArray, order: DeviceArray, table: DeviceArray) -> DeviceArray:
    """Return rows order[i] of (rows, width, 4) times factor i; zeros where order[i] is negative."""
    width = array.shape[1]
    out = cuda.device_array((len(order), width, 4), dtype=np.uint64)
    launch(_scaled_rows, len(order) * width, _flat(array), order, table, width, _flat(out))
    return out


def folded(array: DeviceArray, order: DeviceArray, table: DeviceArray, size: int) -> DeviceArray:
    """Return the sums of rows order[i], order[i] + size, ..., times the factors of their numbers."""
    width = array.shape[1]
    out = cuda.device_array((size, width, 4), dtype=np.uint64)
    launch(_folded, size * width, _flat(array), order, table, size, width, _flat(out))
    return out


def _flat(array: DeviceArray) -> DeviceArray:
    return array.reshape(prod(array.shape[:-1]), 4)


class GpuField:
    """Field arithmetic on arrays that lie on the device."""

    name = "gpu"

    def from_ints(self, values: Sequence[int], shape: tuple[int, ...]) -> DeviceArray:
        """Return an array of the given logical shape; a value outside [0, r) raises ``NonCanonicalElement``."""
        if len(values) != prod(shape):
            raise FormatError(f"{len(values)} values do not fill the shape {shape}.")
        for position, value in enumerate(values):
            if not 0 <= value < MODULUS:
                raise NonCanonicalElement(f"Element {position} is not in [0, r).", position=position)
        return self._up(b"".join(value.to_bytes(ELEMENT_BYTES, "big") for value in values), shape)

    def to_ints(self, elements: DeviceArray) -> list[int]:
        """Return the values in row-major order."""
        data = self.to_bytes(elements)
        return [int.from_bytes(data[at : at + ELEMENT_BYTES], "big") for at in range(0, len(data), ELEMENT_BYTES)]

    def from_bytes(self, data: bytes | memoryview, shape: tuple[int, ...]) -> DeviceArray:
        """Copy 32-byte elements to the device; one not below r raises ``NonCanonicalElement``."""
        if len(data) != ELEMENT_BYTES * prod(shape):
            raise FormatError(f"{len(data)} bytes do not fill the shape {shape} with 32-byte elements.")
        elements = self._up(data, shape)
        found = on_device(np.full(1, _NONE, dtype=np.int64))
        launch(_first_not_below, prod(shape), _flat(elements), found)
        position = int(found.copy_to_host()[0])
        if position != _NONE:
            raise NonCanonicalElement(f"Element {position} is not below the modulus.", position=position)
        return elements

    def to_bytes(self, elements: DeviceArray) -> bytes:
        """Copy 32 bytes per element from the device, row-major."""
        return elements.copy_to_host().tobytes() if prod(elements.shape) else b""

    def shape(self, elements: DeviceArray) -> tuple[int, ...]:
        """Return the logical shape, without the words."""
        return tuple(elements.shape[:-1])

    def zeros(self, shape: tuple[int, ...]) -> DeviceArray:
        """Return an array of zeros."""
        return on_device(np.zeros((*shape, 4), dtype=np.uint64))

    def take(self, elements: DeviceArray, rows: Sequence[int]) -> DeviceArray:
        """Return the named rows, copied."""
        return self.stack([elements[row : row + 1] for row in rows])

    def stack(self, parts: Sequence[DeviceArray]) -> DeviceArray:
        """Join arrays along the first axis."""
        rows = sum(part.shape[0] for part in parts)
        out = cuda.device_array((rows, *parts[0].shape[1:]), dtype=np.uint64)
        first = 0
        for part in parts:
            if prod(part.shape):
                out[first : first + part.shape[0]].copy_to_device(part)
            first += part.shape[0]
        return out

    def add(self, left: DeviceArray, right: DeviceArray) -> DeviceArray:
        """Return left + right."""
        return self._each(0, left, right)

    def subtract(self, left: DeviceArray, right: DeviceArray) -> DeviceArray:
        """Return left - right."""
        return self._each(1, left, right)

    def multiply(self, left: DeviceArray, right: DeviceArray) -> DeviceArray:
        """Return the elementwise product."""
        return self._each(2, left, right)

    def scale_rows(self, elements: DeviceArray, factors: Sequence[int]) -> DeviceArray:
        """Return row i times ``factors[i]``."""
        if len(factors) != elements.shape[0]:
            raise BadParameters(f"{len(factors)} factors for {elements.shape[0]} rows.")
        return scaled_rows(elements, on_device(np.arange(len(factors))), on_device(SCALARS.factors(factors)))

    def combine(self, weights: Sequence[Sequence[int]], elements: DeviceArray) -> DeviceArray:
        """Return the matrix product of weights and elements."""
        rows, width, _ = elements.shape
        for line in weights:
            if len(line) != rows:
                raise BadParameters(f"{len(line)} weights for {rows} rows.")
        table = on_device(SCALARS.factors([weight for line in weights for weight in line]))
        out = cuda.device_array((len(weights), width, 4), dtype=np.uint64)
        launch(_combined, len(weights) * width, table, _flat(elements), rows, width, _flat(out))
        return out

    def transform(self, elements: DeviceArray, *, inverse: bool = False) -> DeviceArray:
        """Transform each column between coefficients and values at the powers of the root, natural order."""
        size = elements.shape[0]
        scale = SCALARS.factors([pow(size, -1, MODULUS) if inverse else 1] * size)
        out = scaled_rows(elements, on_device(bit_reversal(size)), on_device(scale))
        transform_in_place(out, size, inverse=inverse)
        return out

    def _up(self, data: bytes | memoryview, shape: tuple[int, ...]) -> DeviceArray:
        return on_device(np.frombuffer(data, dtype=np.uint64).reshape(*shape, 4))

    def _each(self, operation: int, left: DeviceArray, right: DeviceArray) -> DeviceArray:
        if left.shape != right.shape:
            raise BadParameters(f"Shapes {left.shape[:-1]} and {right.shape[:-1]} differ.")
        out = cuda.device_array(left.shape, dtype=np.uint64)
        launch(_elementwise, prod(left.shape[:-1]), operation, _flat(left), _flat(right), _flat(out))
        return out
