"""The curve's operations on arkworks."""

from __future__ import annotations

from collections.abc import Sequence

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from qanat.errors import InvalidPoint
from qanat.field import MODULUS
from qanat.kzg.points import RAW_BYTES, RAW_G2_BYTES, check_raw


class FastCurve:
    """As the chain's precompiles compute."""

    name = "fast"

    def __init__(self) -> None:
        self.g1: bytes = G1Point().to_xy_bytes_be()
        self.g2: bytes = G2Point().to_xy_bytes_be()

    def combine_g1(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Sum up in G1."""
        total = G1Point.identity()
        for point, scalar in zip(points, scalars, strict=True):
            total = total + _read_g1(point) * Scalar(scalar % MODULUS)
        return bytes(total.to_xy_bytes_be())

    def combine_g2(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Sum up in G2."""
        total = G2Point.identity()
        for point, scalar in zip(points, scalars, strict=True):
            total = total + _read_g2(point) * Scalar(scalar % MODULUS)
        return bytes(total.to_xy_bytes_be())

    def pairings_equal(self, a: bytes, a2: bytes, b: bytes, b2: bytes) -> bool:
        """Check e(a, a2) e(-b, b2) = 1."""
        return bool(GT.pairing_check([_read_g1(a), -_read_g1(b)], [_read_g2(a2), _read_g2(b2)]))

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        """Hash."""
        return bytes(G1Point.hash_to_curve(message, tag).to_xy_bytes_be())


def _read_g1(data: bytes) -> G1Point:
    check_raw(data, RAW_BYTES)
    if not any(data):
        return G1Point.identity()
    try:
        return G1Point.from_xy_bytes_be(data)
    except ValueError as error:
        raise InvalidPoint("A G1 point is not on the curve or not in the subgroup.", point=data) from error


def _read_g2(data: bytes) -> G2Point:
    check_raw(data, RAW_G2_BYTES)
    if not any(data):
        return G2Point.identity()
    try:
        return G2Point.from_xy_bytes_be(data)
    except ValueError as error:
        raise InvalidPoint("A G2 point is not on the curve or not in the subgroup.", point=data) from error
