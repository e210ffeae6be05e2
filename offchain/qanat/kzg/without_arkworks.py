"""The commitment kernel for machines that arkworks is not made for."""

from __future__ import annotations

from qanat.kzg.polynomials import CkzgPolynomials
from qanat.kzg.reference import ReferenceCommitments


class CommitmentsWithoutArkworks(CkzgPolynomials, ReferenceCommitments):
    """``ckzg`` for commitments and openings, py_ecc for the group."""

    name = "fast"
