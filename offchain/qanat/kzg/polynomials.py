"""Commitments, openings and their verification by ``ckzg``: the part of a kernel that needs no group of its own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import ckzg

from qanat.errors import InvalidPoint, NonCanonicalElement
from qanat.field import ELEMENT_BYTES, MODULUS, kernel
from qanat.kzg.setup import trusted_setup_path


@cache
def _setup() -> Any:
    return ckzg.load_trusted_setup(str(trusted_setup_path()), 0)


class CkzgPolynomials:
    """Blobs as Ethereum's clients commit to them, open and check them."""

    if TYPE_CHECKING:

        def decompress(self, data: bytes) -> Any:
            """Read 48 bytes, with curve and subgroup checks: the group's business."""

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
