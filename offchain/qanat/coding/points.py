"""Where the rows of a (k, n) code lie: the geometry that encoder, decoder, commitments and dual check share.

K is the least power of two >= k; rows k..K-1 are virtual zeros. N is the least power of two >= K+n-k. Data row i is the
value at omega_K^i; parity row j the value at omega_N^(1+floor(j/K)) * omega_K^(j mod K).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from qanat.coding.locator import vanishing
from qanat.errors import BadParameters, NotEnoughSlices
from qanat.field import MODULUS, batch_inverse, root_of_unity

MAX_STRETCH = 8
"""n is at most this many times k."""

MAX_ROWS = 1 << 16
"""Rows of one matrix: far above what 1,024 tickets use, low enough that no parameter asks for absurd tables."""


def power_of_two_from(value: int) -> int:
    """Return the least power of two that is not below a positive value."""
    return 1 << (value - 1).bit_length()


class Points:
    """The evaluation points of a (k, n) code, as powers of omega_N and as integers mod r."""

    def __init__(self, k: int, n: int) -> None:
        if not 1 <= k <= n:
            raise BadParameters(f"k={k} and n={n}: need 1 <= k <= n.", k=k, n=n)
        if n > MAX_STRETCH * k:
            raise BadParameters(f"n={n} is more than {MAX_STRETCH} times k={k}.", k=k, n=n)
        if n > MAX_ROWS:
            raise BadParameters(f"n={n} rows are more than {MAX_ROWS}.", k=k, n=n)
        self.k, self.n = k, n
        self.size = power_of_two_from(k)
        """K"""
        self.domain = power_of_two_from(self.size + n - k)
        """N"""
        self.stride = self.domain // self.size
        """omega_K = omega_N ** stride"""
        root = root_of_unity(self.domain)
        powers = [1]
        for _ in range(self.domain - 1):
            powers.append(powers[-1] * root % MODULUS)
        self._powers = powers
        self.exponents = [self.exponent(row) for row in range(n)]
        """Row i lies at omega_N ** exponents[i]."""
        self.values = [powers[exponent] for exponent in self.exponents]
        """The n used points x_i."""
        self.virtual = [self.stride * row for row in range(k, self.size)]
        """V, the points of the virtual rows, likewise."""

    def exponent(self, row: int) -> int:
        """Return e such that row ``row`` lies at omega_N**e."""
        if row < self.k:
            return self.stride * row
        coset, position = divmod(row - self.k, self.size)
        return 1 + coset + self.stride * position

    def at(self, exponent: int) -> int:
        """Return omega_N**exponent."""
        return self._powers[exponent % self.domain]

    def check(self, indices: Sequence[int]) -> None:
        """Refuse row numbers that are not k distinct ones below n."""
        if len(indices) < self.k:
            raise NotEnoughSlices(
                f"{len(indices)} rows are at hand, {self.k} are needed.", have=len(indices), need=self.k
            )
        if len(indices) != self.k or len(set(indices)) != self.k or not all(0 <= i < self.n for i in indices):
            raise BadParameters(f"Rows must be {self.k} distinct numbers below {self.n}.", k=self.k, n=self.n)

    def pattern(self, indices: Sequence[int], missing: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        """Return what recovering the missing data rows takes: exponents of rows at hand, factors inward and outward.

        Z vanishes on the unknown points of the domain, W on the known ones (virtual rows included), Z*W = x^N - 1.
        So Z(x) = N x^-1 / W'(x) at a known point, and u Z'(u) = N / W(u) at an unknown one.
        """
        known = [self.exponents[i] for i in indices]
        lost = [self.exponents[u] for u in missing]
        values = vanishing(self, known + self.virtual, known + lost)
        share = pow(self.domain, -1, MODULUS)
        inverses = batch_inverse(values[: self.k])
        inward = [self.domain * self.at(-e) * d % MODULUS for e, d in zip(known, inverses, strict=True)]
        return known, inward, [value * share % MODULUS for value in values[self.k :]]

    def lagrange(self, indices: Sequence[int], wanted: Sequence[int]) -> list[list[int]]:
        """Return the weights that give the wanted rows from the rows at hand, shape (len(wanted), k).

        With W vanishing on the k points at hand and on the virtual ones, the weight of row i for row u is
        W(u) / ((u - x_i) W'(x_i)); a wanted row that is at hand gets a single one.
        """
        self.check(indices)
        place = {index: position for position, index in enumerate(indices)}
        missing = [row for row in wanted if row not in place]
        for row in missing:
            if not 0 <= row < self.n:
                raise BadParameters(f"There is no row {row} of {self.n}.")
        known = [self.exponents[i] for i in indices]
        factors = vanishing(self, known + self.virtual, known + [self.exponents[u] for u in missing])
        derivative, at_missing = factors[: self.k], dict(zip(missing, factors[self.k :], strict=True))
        lines: list[list[int]] = []
        for row in wanted:
            if row in place:
                lines.append([int(position == place[row]) for position in range(self.k)])
                continue
            below = [(self.values[row] - self.at(e)) * d % MODULUS for e, d in zip(known, derivative, strict=True)]
            lines.append([at_missing[row] * i % MODULUS for i in batch_inverse(below)])
        return lines


@lru_cache(maxsize=64)
def points(k: int, n: int) -> Points:
    """Return the points of the (k, n) code; parameters out of range raise ``BadParameters``."""
    return Points(k, n)
