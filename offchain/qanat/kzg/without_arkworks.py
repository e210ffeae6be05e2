"""The commitment kernel for machines that arkworks is not made for."""

from __future__ import annotations

from qanat.kzg.polynomials import Polynomials
from qanat.kzg.reference import ReferenceCommitments


class CommitmentsWithoutArkworks(Polynomials, ReferenceCommitments):
    """Compiled loops for commitments and openings, py_ecc for the group, ``ckzg`` for verification."""

    name = "fast"
