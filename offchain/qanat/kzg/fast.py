"""The fast commitment kernel: compiled loops for blobs, arkworks for group and pairing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from qanat.errors import InvalidPoint
from qanat.kzg.points import check_compressed, check_raw
from qanat.kzg.polynomials import Polynomials
from qanat.kzg.setup import trusted_setup

COMPILED_FROM = 16
"""Points from which compiled loops are faster: with few, inversions are most of their work."""

COMBINED_FROM = 32
"""The same for sums of multiples."""


class FastCommitments(Polynomials):
    """Commitments as Ethereum's clients make and check them."""

    name = "fast"

    def identity(self) -> G1Point:
        """Return the neutral element."""
        return G1Point.identity()

    def decompress(self, data: bytes) -> G1Point:
        """Read 48 bytes, with curve and subgroup checks."""
        check_compressed(data)
        try:
            return G1Point.from_compressed_bytes(data)
        except ValueError as error:
            raise InvalidPoint(
                "A compressed G1 point is not on the curve or not in the subgroup.", point=data
            ) from error

    def decompress_all(self, data: Sequence[bytes]) -> list[G1Point]:
        """Read many: from so many on in compiled loops, all subgroup checks in step."""
        if len(data) < COMPILED_FROM:
            return [self.decompress(point) for point in data]
        from qanat.kzg.points_in_words import decompress

        return [G1Point.from_xy_bytes_unchecked_be(raw) for raw in decompress(data)]

    def compress(self, point: G1Point) -> bytes:
        """Write 48 bytes."""
        return point.to_compressed_bytes()

    def from_raw(self, data: bytes) -> G1Point:
        """Read 96 bytes, with curve and subgroup checks."""
        check_raw(data)
        try:
            return G1Point.from_xy_bytes_be(data)
        except ValueError as error:
            raise InvalidPoint("A raw G1 point is not on the curve or not in the subgroup.", point=data) from error

    def to_raw(self, point: G1Point) -> bytes:
        """Write 96 bytes."""
        return point.to_xy_bytes_be()

    def add(self, left: G1Point, right: G1Point) -> G1Point:
        """Return the sum."""
        return left + right

    def negate(self, point: G1Point) -> G1Point:
        """Return the opposite point."""
        return -point

    def multiply(self, point: G1Point, scalar: int) -> G1Point:
        """Return the point times a scalar."""
        return point * Scalar(scalar)

    def combine(self, points: Sequence[G1Point], scalars: Sequence[int]) -> G1Point:
        """Return the sum of scalars[i] * points[i] (the GIL is free meanwhile)."""
        pairs = list(zip(points, scalars, strict=True))
        if len(pairs) >= COMBINED_FROM:
            from qanat.kzg.points_in_words import combine

            return G1Point.from_xy_bytes_unchecked_be(combine([point.to_xy_bytes_be() for point in points], scalars))
        return G1Point.multiexp_unchecked([point for point, _ in pairs], [Scalar(scalar) for _, scalar in pairs])

    def verify(self, commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
        """Check e(C - y*G1 + z*proof, G2) = e(proof, tau*G2); ``ckzg`` would take seconds to load its set-up."""
        point, quotient = self.decompress(commitment), self.decompress(proof)
        at, value = Scalar(int.from_bytes(z, "big")), Scalar(int.from_bytes(y, "big"))
        left = point - G1Point() * value + quotient * at
        return bool(GT.pairing_check([left, -quotient], [G2Point(), tau_g2()]))


@cache
def tau_g2() -> G2Point:
    """Return tau*G2 of Ethereum's set-up."""
    return G2Point.from_compressed_bytes(trusted_setup().monomial_g2[1])
