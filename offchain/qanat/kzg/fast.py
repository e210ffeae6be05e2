"""The fast commitment kernel: ``ckzg`` for commitments and openings, arkworks for the group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import ckzg
from py_arkworks_bls12381 import G1Point, Scalar

from qanat.errors import InvalidPoint, NonCanonicalElement
from qanat.field import ELEMENT_BYTES, MODULUS, kernel
from qanat.kzg.points import check_compressed, check_raw
from qanat.kzg.setup import trusted_setup_path


@cache
def _setup() -> Any:
    return ckzg.load_trusted_setup(str(trusted_setup_path()), 0)


class FastCommitments:
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
        return G1Point.multiexp_unchecked([point for point, _ in pairs], [Scalar(scalar) for _, scalar in pairs])

    def commit(self, blob: bytes) -> bytes:
        """Return the commitment of a whole blob."""
        try:
            return bytes(ckzg.blob_to_kzg_commitment(blob, _setup()))
        except RuntimeError as error:
            raise _bad_blob(blob) from error

    def open_at(self, blob: bytes, z: bytes) -> tuple[bytes, bytes]:
        """Return (proof, y) of a whole blob at z."""
        try:
            proof, y = ckzg.compute_kzg_proof(blob, z, _setup())
        except RuntimeError as error:
            raise _bad_blob(blob) from error
        return bytes(proof), bytes(y)

    def verify(self, commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
        """Say whether the committed polynomial takes the value y at z."""
        try:
            return bool(ckzg.verify_kzg_proof(commitment, z, y, proof, _setup()))
        except RuntimeError as error:
            self.decompress(commitment)
            self.decompress(proof)
            raise InvalidPoint("The verifier refuses these bytes as malformed.") from error


def _bad_blob(blob: bytes) -> Exception:
    try:
        kernel("fast").from_bytes(blob, (len(blob) // ELEMENT_BYTES,))
    except NonCanonicalElement as error:
        return error
    return NonCanonicalElement(f"The blob or the point is not made of elements below {MODULUS}.")
