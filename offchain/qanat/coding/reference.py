"""The clear row code: direct Lagrange interpolation, straight from the definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qanat.coding.points import Points, points
from qanat.field import MODULUS, inverse
from qanat.field.reference import Ints, ReferenceField


class ReferenceCode:
    """Each column is the polynomial of degree < K through the given rows and the zeros of the virtual rows."""

    field = ReferenceField()

    def __init__(self, k: int, n: int) -> None:
        self.points: Points = points(k, n)
        self.k, self.n = k, n

    def encode(self, data: Ints) -> Ints:
        """Return the parity rows."""
        return self.rebuild(range(self.k), data, range(self.k, self.n))

    def restore(self, indices: Sequence[int], rows: Ints) -> Ints:
        """Return the data rows."""
        return self.rebuild(indices, rows, range(self.k))

    def rebuild(self, indices: Sequence[int], rows: Ints, wanted: Sequence[int]) -> Ints:
        """Return the wanted rows: f(u) = sum over known points of f(x) * product of (u-v)/(x-v) over the others."""
        self.points.check(indices)
        known = [self.points.values[i] for i in indices]
        others = known + [self.points.at(e) for e in self.points.virtual]
        weights: list[list[int]] = []
        for row in wanted:
            u: Any = self.points.values[row]
            line = []
            for x in known:
                above = below = 1
                for v in others:
                    if v != x:
                        above = above * (u - v) % MODULUS
                        below = below * (x - v) % MODULUS
                line.append(above * inverse(below) % MODULUS)
            weights.append(line)
        return self.field.combine(weights, rows) if weights else self.field.zeros((0, rows.shape[1]))
