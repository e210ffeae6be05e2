"""The shape of an object: width, k, n, and how many matrices a size takes."""

from __future__ import annotations

from dataclasses import dataclass

from qanat.coding.points import MAX_ROWS, MAX_STRETCH
from qanat.errors import BadParameters
from qanat.field import ELEMENT_BYTES, PAYLOAD_BYTES

MIN_WIDTH = 64
MAX_WIDTH = 4096
MAX_SLICES = 1 << 32
MAX_SIZE = (1 << 64) - 1


@dataclass(frozen=True)
class Shape:
    """Rows of ``width`` elements, k of data, n in all; out of range raises ``BadParameters``."""

    width: int
    k: int
    n: int

    def __post_init__(self) -> None:
        if not MIN_WIDTH <= self.width <= MAX_WIDTH or self.width & (self.width - 1):
            raise BadParameters(
                f"width={self.width}: a power of two from {MIN_WIDTH} to {MAX_WIDTH} is needed.", width=self.width
            )
        if not 1 <= self.k <= self.n <= MAX_STRETCH * self.k or self.n > MAX_ROWS:
            raise BadParameters(
                f"k={self.k}, n={self.n}: need 1 <= k <= n <= {MAX_STRETCH}k and n <= {MAX_ROWS}.", k=self.k, n=self.n
            )

    @property
    def slice_bytes(self) -> int:
        """Bytes of one stored slice."""
        return ELEMENT_BYTES * self.width

    @property
    def row_payload(self) -> int:
        """Bytes of the object that one data row carries."""
        return PAYLOAD_BYTES * self.width

    @property
    def matrix_payload(self) -> int:
        """Bytes of the object that one matrix carries."""
        return self.k * self.row_payload

    def matrices(self, size: int) -> int:
        """Return M = max(1, ceil(size / (k*w*31))).

        A size or a number of slices out of range raises ``BadParameters``.
        """
        if not 0 <= size <= MAX_SIZE:
            raise BadParameters(f"An object of {size} bytes can't be described.", size=size)
        count = max(1, -(-size // self.matrix_payload))
        if self.n * count > MAX_SLICES:
            raise BadParameters(f"n*M = {self.n * count} slices are more than 2^32.", n=self.n, matrices=count)
        return count
