"""Polynomial commitments on Ethereum's KZG set-up, byte for byte as in EIP-4844.

A blob here is w elements of 32 big-endian bytes, w a power of two up to 4,096, in the standard's bit-reversed
evaluation order; narrower ones are padded with zeros to 4,096. Sums of slices and commitments:
:mod:`qanat.kzg.folding`; byte forms of points: :mod:`qanat.kzg.points`.
"""

from __future__ import annotations

from qanat.kzg.batches import Opening, bad_openings
from qanat.kzg.blobs import commit, compress, decompress, decompress_all, open_at, verify
from qanat.kzg.folding import (
    bad_slices,
    fold_commitments,
    fold_slices,
    parity_commitments,
    verify_slices,
)
from qanat.kzg.kernels import commitment_kernel
from qanat.kzg.points import from_padded, to_padded
from qanat.kzg.protocol import CommitmentKernel
from qanat.kzg.setup import BLOB_BYTES, BLOB_ELEMENTS

__all__ = [
    "BLOB_BYTES",
    "BLOB_ELEMENTS",
    "CommitmentKernel",
    "Opening",
    "bad_openings",
    "bad_slices",
    "commit",
    "commitment_kernel",
    "compress",
    "decompress",
    "decompress_all",
    "fold_commitments",
    "fold_slices",
    "from_padded",
    "open_at",
    "parity_commitments",
    "to_padded",
    "verify",
    "verify_slices",
]
