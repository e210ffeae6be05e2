"""BLS signatures on BLS12-381: keys in G2, signatures in G1, proofs of possession.

Byte forms are those of EIP-2537 (256-byte keys, 128-byte signatures), so what is signed here goes on chain as it is.
"""

from __future__ import annotations

from qanat.bls.kernels import signature_kernel
from qanat.bls.keyfile import load_key, save_key
from qanat.bls.protocol import SignatureKernel
from qanat.bls.signatures import (
    IDENTITY_KEY,
    IDENTITY_SIGNATURE,
    POSSESSION_TAG,
    SIGNATURE_TAG,
    SecretKey,
    aggregate,
    aggregate_keys,
    check_key,
    check_signature,
    verify,
    verify_aggregate,
    verify_possession,
)

__all__ = [
    "IDENTITY_KEY",
    "IDENTITY_SIGNATURE",
    "POSSESSION_TAG",
    "SIGNATURE_TAG",
    "SecretKey",
    "SignatureKernel",
    "aggregate",
    "aggregate_keys",
    "check_key",
    "check_signature",
    "load_key",
    "save_key",
    "signature_kernel",
    "verify",
    "verify_aggregate",
    "verify_possession",
]
