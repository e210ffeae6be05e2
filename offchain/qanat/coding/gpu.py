"""The row code on a CUDA device: the transforms of :mod:`qanat.coding.fast`, layer by layer, all columns at once."""

# mypy: ignore-errors

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from qanat.coding.points import Points, points
from qanat.errors import BadParameters
from qanat.field import MODULUS
from qanat.field.fast import bit_reversal
from qanat.field.gpu import SCALARS, DeviceArray, GpuField, folded, on_device, scaled_rows, transform_in_place


class GpuCode:
    """Encoding and restoring of whole matrices; data that is on the device stays there."""

    field = GpuField()

    def __init__(self, k: int, n: int) -> None:
        self.points: Points = points(k, n)
        self.k, self.n = k, n
        size, domain = self.points.size, self.points.domain
        order = bit_reversal(size)
        share = pow(size, -1, MODULUS)
        self._cosets = -(-(n - k) // size)
        shifts = [self.points.at((1 + coset) * int(i)) * share for coset in range(self._cosets) for i in order]
        self._inward = on_device(np.where(order < k, order, -1)), on_device(SCALARS.factors([1] * size))
        self._shifted = on_device(np.tile(order, self._cosets)), on_device(SCALARS.factors(shifts))
        share = pow(domain, -1, MODULUS)
        self._folding = on_device(order), on_device(SCALARS.factors([i * share for i in range(domain)]))
        self._patterns = lru_cache(maxsize=32)(self._pattern)

    def encode(self, data: DeviceArray) -> DeviceArray:
        """Return the parity rows, shape (n-k, width)."""
        rows, width = self.field.shape(data)
        if rows != self.k:
            raise BadParameters(f"{rows} data rows for k={self.k}.")
        if self.n == self.k:
            return self.field.zeros((0, width))
        size = self.points.size
        coefficients = scaled_rows(data, *self._inward)
        transform_in_place(coefficients, size, inverse=True)
        parity = scaled_rows(coefficients, *self._shifted)
        transform_in_place(parity, size, inverse=False)
        return parity[: self.n - self.k]

    def restore(self, indices: Sequence[int], rows: DeviceArray) -> DeviceArray:
        """Return the data rows: those at hand are copied, the missing ones recovered by transforms, however few."""
        self.points.check(indices)
        place = {index: position for position, index in enumerate(indices)}
        missing = tuple(row for row in range(self.k) if row not in place)
        if not missing:
            return self.field.take(rows, [place[row] for row in range(self.k)])
        size, domain = self.points.size, self.points.domain
        sources, inward, outward = self._patterns(tuple(indices), missing)
        product = scaled_rows(rows, sources, inward)
        transform_in_place(product, domain, inverse=True)
        values = folded(product, *self._folding, size)
        transform_in_place(values, size, inverse=False)
        found = scaled_rows(values, on_device(np.array(missing, dtype=np.int64)), outward)
        at = {row: position for position, row in enumerate(missing)}
        return self.field.stack(
            [
                rows[place[row] : place[row] + 1] if row in place else found[at[row] : at[row] + 1]
                for row in range(self.k)
            ]
        )

    def rebuild(self, indices: Sequence[int], rows: DeviceArray, wanted: Sequence[int]) -> DeviceArray:
        """Return the wanted rows as weighted sums: k products per element."""
        weights = self.points.lagrange(indices, wanted)
        if self.field.shape(rows)[0] != self.k:
            raise BadParameters(f"{self.field.shape(rows)[0]} rows for {self.k} row numbers.")
        return self.field.combine(weights, rows)

    def _pattern(
        self, indices: tuple[int, ...], missing: tuple[int, ...]
    ) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
        """Return, for a pattern of rows at hand, where each row of the domain comes from, and its factors."""
        known, inward, outward = self.points.pattern(indices, missing)
        order = bit_reversal(self.points.domain)
        sources = np.full(self.points.domain, -1, dtype=np.int64)
        factors = [0] * self.points.domain
        for position, exponent in enumerate(known):
            sources[exponent], factors[exponent] = position, inward[position]
        return (
            on_device(sources[order]),
            on_device(SCALARS.factors([factors[i] for i in order])),
            on_device(SCALARS.factors(outward)),
        )
