"""Proofs of knowledge of a discrete logarithm in G1 (Schnorr, made non-interactive with keccak), 64 bytes: c ‖ z.

The prover draws k, sends K = [k]G1 through the hash: c = keccak(bound ‖ X ‖ K), z = k + c·x. The verifier computes
K = [z]G1 - [c]X, one multiplication of two points on chain too, and hashes again.
"""

from __future__ import annotations

import hmac
import secrets

from qanat.field import MODULUS
from qanat.keys.context import challenge
from qanat.keys.curve import G1_IDENTITY, CurveKernel, multiply_g1

PROOF_BYTES = 64


def prove(kernel: CurveKernel, secret: int, bound: bytes) -> bytes:
    """Return a proof that its maker knows ``secret``, bound to 32 bytes."""
    point = multiply_g1(kernel, kernel.g1, secret)
    nonce = 1 + secrets.randbelow(MODULUS - 1)
    c = challenge(bound, point, multiply_g1(kernel, kernel.g1, nonce))
    return c.to_bytes(32, "big") + ((nonce + c * secret) % MODULUS).to_bytes(32, "big")


def proves(kernel: CurveKernel, point: bytes, proof: bytes, bound: bytes) -> bool:
    """Say whether the proof is of the discrete logarithm of ``point``, which must not be the identity.

    A point outside of the subgroup raises ``InvalidPoint``.
    """
    if len(proof) != PROOF_BYTES or point == G1_IDENTITY:
        return False
    c, z = int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:], "big")
    if z >= MODULUS:  # one form for each proof
        return False
    nonce_point = kernel.combine_g1([kernel.g1, point], [z, -c])
    return hmac.compare_digest(challenge(bound, point, nonce_point).to_bytes(32, "big"), proof[:32])
