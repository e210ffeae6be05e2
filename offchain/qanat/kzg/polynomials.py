"""Commitments, openings and their verification: the part of a kernel that needs no group of its own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from qanat.errors import InvalidPoint
from qanat.kzg.setup import trusted_setup_path


@cache
def _setup() -> Any:
    import ckzg

    return ckzg.load_trusted_setup(str(trusted_setup_path()), 0)


class Polynomials:
    """Blobs as Ethereum's clients commit to them, open and check them.

    Compiled loops and their table come with the first blob (:mod:`qanat.kzg.engine`); the GIL is free meanwhile.
    """

    if TYPE_CHECKING:

        def decompress(self, data: bytes) -> Any:
            """Read 48 bytes, with curve and subgroup checks: the group's business."""

    def commit(self, blob: bytes) -> bytes:
        """Return the commitment of a whole blob."""
        from qanat.kzg.engine import commit

        return commit(blob)

    def open_at(self, blob: bytes, z: bytes) -> tuple[bytes, bytes]:
        """Return (proof, y) of a whole blob at z."""
        from qanat.kzg.engine import open_at

        return open_at(blob, z)

    def verify(self, commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
        """Say whether the committed polynomial takes the value y at z, by ``ckzg``: it has a pairing everywhere."""
        import ckzg

        try:
            return bool(ckzg.verify_kzg_proof(commitment, z, y, proof, _setup()))
        except RuntimeError as error:
            self.decompress(commitment)
            self.decompress(proof)
            raise InvalidPoint("The verifier refuses these bytes as malformed.") from error
