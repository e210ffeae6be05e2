"""The clear kernel: arrays of Python integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qanat.errors import BadParameters, FormatError, NonCanonicalElement
from qanat.field import ELEMENT_BYTES, MODULUS, root_of_unity

Ints = NDArray[Any]
"""dtype object, each item a Python int in [0, r)."""


class ReferenceField:
    """Field arithmetic as the definitions say it, on numpy arrays of Python integers."""

    name = "reference"

    def from_ints(self, values: Sequence[int], shape: tuple[int, ...]) -> Ints:
        """Return an object array of the given shape; a value outside [0, r) raises ``NonCanonicalElement``."""
        if len(values) != prod(shape):
            raise FormatError(f"{len(values)} values do not fill the shape {shape}.")
        for position, value in enumerate(values):
            if not 0 <= value < MODULUS:
                raise NonCanonicalElement(f"Element {position} is not in [0, r).", position=position)
        result = np.empty(len(values), dtype=object)
        result[:] = list(values)
        return result.reshape(shape)

    def to_ints(self, elements: Ints) -> list[int]:
        """Return the values in row-major order."""
        return [int(value) for value in elements.reshape(-1)]

    def from_bytes(self, data: bytes | memoryview, shape: tuple[int, ...]) -> Ints:
        """Read 32-byte big-endian elements; one not below r raises ``NonCanonicalElement``."""
        if len(data) != ELEMENT_BYTES * prod(shape):
            raise FormatError(f"{len(data)} bytes do not fill the shape {shape} with 32-byte elements.")
        parts = [data[start : start + ELEMENT_BYTES] for start in range(0, len(data), ELEMENT_BYTES)]
        return self.from_ints([int.from_bytes(part, "big") for part in parts], shape)

    def to_bytes(self, elements: Ints) -> bytes:
        """Write 32 big-endian bytes per element, row-major."""
        return b"".join(value.to_bytes(ELEMENT_BYTES, "big") for value in self.to_ints(elements))

    def shape(self, elements: Ints) -> tuple[int, ...]:
        """Return the shape."""
        return elements.shape

    def zeros(self, shape: tuple[int, ...]) -> Ints:
        """Return an array of zeros."""
        return self.from_ints([0] * prod(shape), shape)

    def take(self, elements: Ints, rows: Sequence[int]) -> Ints:
        """Return the named rows, copied."""
        return np.array(elements[list(rows)], dtype=object)

    def stack(self, parts: Sequence[Ints]) -> Ints:
        """Join arrays along the first axis."""
        return np.concatenate(list(parts), axis=0)

    def add(self, left: Ints, right: Ints) -> Ints:
        """Return left + right."""
        return _each(left, right, lambda a, b: a + b)

    def subtract(self, left: Ints, right: Ints) -> Ints:
        """Return left - right."""
        return _each(left, right, lambda a, b: a - b)

    def multiply(self, left: Ints, right: Ints) -> Ints:
        """Return the elementwise product."""
        return _each(left, right, lambda a, b: a * b)

    def scale_rows(self, elements: Ints, factors: Sequence[int]) -> Ints:
        """Return row i times ``factors[i]``."""
        if len(factors) != elements.shape[0]:
            raise BadParameters(f"{len(factors)} factors for {elements.shape[0]} rows.")
        column = self.from_ints([factor % MODULUS for factor in factors], (len(factors), 1))
        return self.from_ints([int(value) % MODULUS for value in (elements * column).reshape(-1)], elements.shape)

    def combine(self, weights: Sequence[Sequence[int]], elements: Ints) -> Ints:
        """Return the matrix product of weights and elements."""
        rows, width = elements.shape
        result: list[int] = []
        for line in weights:
            if len(line) != rows:
                raise BadParameters(f"{len(line)} weights for {rows} rows.")
            for column in range(width):
                total = sum(int(weight) * int(elements[row, column]) for row, weight in enumerate(line))
                result.append(total % MODULUS)
        return self.from_ints(result, (len(weights), width))

    def transform(self, elements: Ints, *, inverse: bool = False) -> Ints:
        """Transform each column by Horner's rule at every power of the root, quadratic on purpose."""
        size, _ = elements.shape
        root = root_of_unity(size)
        if inverse:
            root = pow(root, -1, MODULUS)
        weights = [[pow(root, i * j, MODULUS) for j in range(size)] for i in range(size)]
        result = self.combine(weights, elements)
        return self.scale_rows(result, [pow(size, -1, MODULUS)] * size) if inverse else result


def _each(left: Ints, right: Ints, operation: Callable[[int, int], int]) -> Ints:
    if left.shape != right.shape:
        raise BadParameters(f"Shapes {left.shape} and {right.shape} differ.")
    result = np.empty(left.size, dtype=object)
    pairs = zip(left.reshape(-1), right.reshape(-1), strict=True)
    result[:] = [operation(int(a), int(b)) % MODULUS for a, b in pairs]
    return result.reshape(left.shape)
