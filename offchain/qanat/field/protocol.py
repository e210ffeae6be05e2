"""What a kernel for arrays of field elements must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

Elements = TypeVar("Elements")
"""A kernel's own arrays. Their logical shape is what callers speak of.

How an element lies in memory is the kernel's.
"""


class FieldKernel(Protocol[Elements]):
    """Arrays of elements of the scalar field of BLS12-381.

    Every value that goes in or comes out is canonical (below the modulus). Bytes are big-endian, 32 to an element.
    ``tests/unit/test_field.py`` is the conformance test: add an implementation's name there.
    """

    @property
    def name(self) -> str:
        """How the kernel is called."""
        ...

    def from_ints(self, values: Sequence[int], shape: tuple[int, ...]) -> Elements:
        """Return an array of the given shape; a value outside [0, r) raises ``NonCanonicalElement``."""
        ...

    def to_ints(self, elements: Elements) -> list[int]:
        """Return the values in row-major order."""
        ...

    def from_bytes(self, data: bytes | memoryview, shape: tuple[int, ...]) -> Elements:
        """Read 32-byte elements; one not below r raises ``NonCanonicalElement``, a wrong length ``FormatError``."""
        ...

    def to_bytes(self, elements: Elements) -> bytes:
        """Write 32 bytes per element, row-major."""
        ...

    def shape(self, elements: Elements) -> tuple[int, ...]:
        """Return the logical shape."""
        ...

    def zeros(self, shape: tuple[int, ...]) -> Elements:
        """Return an array of zeros."""
        ...

    def take(self, elements: Elements, rows: Sequence[int]) -> Elements:
        """Return the named rows (first axis), copied."""
        ...

    def stack(self, parts: Sequence[Elements]) -> Elements:
        """Join arrays along the first axis."""
        ...

    def add(self, left: Elements, right: Elements) -> Elements:
        """Return left + right, same shapes."""
        ...

    def subtract(self, left: Elements, right: Elements) -> Elements:
        """Return left - right, same shapes."""
        ...

    def multiply(self, left: Elements, right: Elements) -> Elements:
        """Return the elementwise product, same shapes."""
        ...

    def scale_rows(self, elements: Elements, factors: Sequence[int]) -> Elements:
        """Return row i of a (rows, width) array times ``factors[i]``."""
        ...

    def combine(self, weights: Sequence[Sequence[int]], elements: Elements) -> Elements:
        """Return the matrix product of (m, rows) weights and (rows, width) elements, shape (m, width)."""
        ...

    def transform(self, elements: Elements, *, inverse: bool = False) -> Elements:
        """Transform each column of a (size, width) array.

        Forward: coefficients to values at the powers of ``root_of_unity(size)``, in natural order. Inverse: back,
        the division by the size included. The size is a power of two.
        """
        ...
