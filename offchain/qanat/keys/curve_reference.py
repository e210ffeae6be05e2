"""The curve's operations as ``py_ecc`` writes them down; a second for a pairing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.optimized_bls12_381.optimized_curve import G1, G2, Z1, Z2, add, curve_order, multiply

from qanat.kzg import reference_points
from qanat.kzg.reference_points import read_g1, read_g2, write_g1, write_g2


class ReferenceCurve:
    """Textbook group law."""

    name = "reference"

    def __init__(self) -> None:
        self.g1: bytes = write_g1(G1)
        self.g2: bytes = write_g2(G2)

    def combine_g1(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Sum up in G1."""
        total = Z1
        for point, scalar in zip(points, scalars, strict=True):
            total = add(total, multiply(read_g1(point), scalar % curve_order))
        return write_g1(total)

    def combine_g2(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Sum up in G2."""
        total = Z2
        for point, scalar in zip(points, scalars, strict=True):
            total = add(total, multiply(read_g2(point), scalar % curve_order))
        return write_g2(total)

    def pairings_equal(self, a: bytes, a2: bytes, b: bytes, b2: bytes) -> bool:
        """Check e(a, a2) e(-b, b2) = 1."""
        return reference_points.pairings_equal(read_g1(a), read_g2(a2), read_g1(b), read_g2(b2))

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        """Hash."""
        return write_g1(hash_to_G1(message, tag, hashlib.sha256))  # type: ignore[arg-type]
