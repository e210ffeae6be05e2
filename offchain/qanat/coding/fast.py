"""The fast row code: transforms over column blocks, O(N log N) products per column."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qanat.coding.points import Points, points
from qanat.errors import BadParameters
from qanat.field import MODULUS, limbs
from qanat.field.columns import FACTOR, row_factors
from qanat.field.fast import FastField, Limbs, bit_reversal, by_columns, in_order, twiddles


class FastCode:
    """Encoding: one inverse transform, then one shifted transform per coset. Restoring: see :func:`limbs.recover`."""

    field = FastField()

    def __init__(self, k: int, n: int) -> None:
        self.points: Points = points(k, n)
        self.k, self.n = k, n
        size, domain = self.points.size, self.points.domain
        cosets = -(-(n - k) // size)
        share = pow(size, -1, MODULUS)
        shifts = [self.points.at((1 + coset) * i) * share % MODULUS for coset in range(cosets) for i in range(size)]
        self._shifts = row_factors(shifts).reshape(cosets, size, FACTOR // 8)
        share = pow(domain, -1, MODULUS)
        self._folding = row_factors([i * share % MODULUS for i in range(domain)])
        self._patterns = lru_cache(maxsize=32)(self._pattern)

    def encode(self, data: Limbs) -> Limbs:
        """Return the parity rows, shape (n-k, width)."""
        rows, width = self.field.shape(data)
        if rows != self.k:
            raise BadParameters(f"{rows} data rows for k={self.k}.")
        data = in_order(data)
        out = np.empty((self.n - self.k, width, 4), dtype=np.uint64)
        if self.n > self.k:
            size = self.points.size
            inward, outward, order = twiddles(size, inverse=True), twiddles(size, inverse=False), bit_reversal(size)
            by_columns(
                lambda low, high: limbs.extend(data, inward, outward, order, self._shifts, out, low, high),
                width,
                self.points.domain * width,
            )
        return out

    def restore(self, indices: Sequence[int], rows: Limbs) -> Limbs:
        """Return the data rows: those at hand are copied, the missing ones recovered the cheaper of two ways."""
        self.points.check(indices)
        place = {index: position for position, index in enumerate(indices)}
        missing = [row for row in range(self.k) if row not in place]
        out = self.field.zeros((self.k, self.field.shape(rows)[1]))
        for row in range(self.k):
            if row in place:
                out[row] = rows[place[row]]
        if missing:
            size, domain = self.points.size, self.points.domain
            transforms = (domain // 2) * domain.bit_length() + domain + (size // 2) * size.bit_length()
            if len(missing) * self.k <= transforms:
                out[missing] = self.rebuild(indices, rows, missing)
            else:
                out[missing] = self._recover(tuple(indices), rows, tuple(missing))
        return out

    def rebuild(self, indices: Sequence[int], rows: Limbs, wanted: Sequence[int]) -> Limbs:
        """Return the wanted rows as weighted sums: k products per element."""
        weights = self.points.lagrange(indices, wanted)
        if self.field.shape(rows)[0] != self.k:
            raise BadParameters(f"{self.field.shape(rows)[0]} rows for {self.k} row numbers.")
        return self.field.combine(weights, rows)

    def _recover(self, indices: tuple[int, ...], rows: Limbs, missing: tuple[int, ...]) -> Limbs:
        positions, inward, outward = self._patterns(indices, missing)
        rows = in_order(rows)
        width = self.field.shape(rows)[1]
        out = np.empty((len(missing), width, 4), dtype=np.uint64)
        domain, size = self.points.domain, self.points.size
        inverse_table, table = twiddles(domain, inverse=True), twiddles(size, inverse=False)
        order, small = bit_reversal(domain), bit_reversal(size)
        lost = np.array(missing, dtype=np.int64)
        by_columns(
            lambda low, high: limbs.recover(
                rows,
                positions,
                inward,
                inverse_table,
                order,
                self._folding,
                small,
                table,
                lost,
                outward,
                out,
                low,
                high,
            ),
            width,
            domain * width,
        )
        return out

    def _pattern(self, indices: tuple[int, ...], missing: tuple[int, ...]) -> tuple[NDArray[np.int64], Limbs, Limbs]:
        """Return positions and factors for one pattern of rows at hand."""
        known, inward, outward = self.points.pattern(indices, missing)
        return np.array(known, dtype=np.int64), row_factors(inward), row_factors(outward)
