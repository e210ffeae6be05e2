"""The commitment kernel for machines that arkworks is not made for."""

from __future__ import annotations

from collections.abc import Sequence

from qanat.kzg.polynomials import Polynomials
from qanat.kzg.reference import ReferenceCommitments, ReferencePoint
from qanat.kzg.reference_points import unchecked_point


class CommitmentsWithoutArkworks(Polynomials, ReferenceCommitments):
    """Compiled loops for commitments and openings, py_ecc for the group, ``ckzg`` for verification."""

    name = "fast"

    def decompress_all(self, data: Sequence[bytes]) -> list[ReferencePoint]:
        """Read many in compiled loops."""
        from qanat.kzg.points_in_words import decompress

        return [unchecked_point(raw) for raw in decompress(data)]
