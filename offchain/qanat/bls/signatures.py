"""Keys, signatures, aggregates, and what is refused before a pairing is asked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from qanat.bls.kernels import signature_kernel
from qanat.errors import BadParameters, InvalidPoint, InvalidSignature
from qanat.field import MODULUS
from qanat.kzg.points import PADDED_BYTES, PADDED_G2_BYTES

SIGNATURE_TAG = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
"""Domain tag of messages (draft-irtf-cfrg-bls-signature, proof-of-possession scheme, signatures in G1)."""

POSSESSION_TAG = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
"""Domain tag of proofs of possession: no signature is ever one, no proof ever a signature."""

DIGEST_BYTES = 32
IDENTITY_KEY = bytes(PADDED_G2_BYTES)
IDENTITY_SIGNATURE = bytes(PADDED_BYTES)


@dataclass(frozen=True)
class SecretKey:
    """A BLS secret key, a scalar in [1, r); never shown by ``repr``."""

    scalar: int = field(repr=False)
    kernel: str = field(default="fast", repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.scalar < MODULUS:
            raise BadParameters("A BLS secret key lies between 1 and r-1.")

    @classmethod
    def generate(cls) -> SecretKey:
        """Draw a key from the system's randomness."""
        return cls(1 + secrets.randbelow(MODULUS - 1))

    @classmethod
    def from_bytes(cls, data: bytes) -> SecretKey:
        """Read 32 big-endian bytes; zero, r or more raise ``BadParameters``."""
        if len(data) != 32:
            raise BadParameters(f"A BLS secret key has 32 bytes, not {len(data)}.")
        return cls(int.from_bytes(data, "big"))

    def to_bytes(self) -> bytes:
        """Write 32 big-endian bytes."""
        return self.scalar.to_bytes(32, "big")

    @cached_property
    def public_key(self) -> bytes:
        """Return the key in G2, 256 bytes (EIP-2537)."""
        return signature_kernel(self.kernel).public_key(self.scalar)

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest, 128 bytes of G1 (EIP-2537)."""
        _check_digest(digest)
        return signature_kernel(self.kernel).sign(self.scalar, digest, SIGNATURE_TAG)

    def prove_possession(self, digest: bytes) -> bytes:
        """Return the proof of possession over a 32-byte digest that binds key, chain, contract and operator."""
        _check_digest(digest)
        return signature_kernel(self.kernel).sign(self.scalar, digest, POSSESSION_TAG)


def verify(key: bytes, digest: bytes, signature: bytes, *, kernel: str = "fast") -> bool:
    """Say whether a signature fits key and digest; the identity as key or signature never does.

    Bytes that are no subgroup points raise ``InvalidPoint``.
    """
    return _verify(key, digest, signature, SIGNATURE_TAG, kernel)


def verify_possession(key: bytes, digest: bytes, proof: bytes, *, kernel: str = "fast") -> bool:
    """Say whether a proof of possession holds; refusals as in :func:`verify`."""
    return _verify(key, digest, proof, POSSESSION_TAG, kernel)


def aggregate(signatures: Sequence[bytes], *, kernel: str = "fast") -> bytes:
    """Return the sum of signatures; none, or the identity among them, raises ``InvalidSignature``."""
    if not signatures:
        raise InvalidSignature("There is nothing to aggregate: no signature was given.")
    if IDENTITY_SIGNATURE in signatures:
        raise InvalidSignature("The identity is no signature.")
    return signature_kernel(kernel).add_signatures(signatures)


def aggregate_keys(keys: Sequence[bytes], *, kernel: str = "fast") -> bytes:
    """Return the sum of keys, whose proofs of possession the caller has checked.

    The identity among them raises ``InvalidPoint``.
    """
    if IDENTITY_KEY in keys:
        raise InvalidPoint("The identity is no key.")
    return signature_kernel(kernel).add_keys(keys)


def verify_aggregate(
    aggregate_key: bytes,
    excluded: Sequence[bytes],
    digest: bytes,
    signature: bytes,
    *,
    kernel: str = "fast",
) -> bool:
    """Say whether all of a roster but the excluded signed the digest.

    :param aggregate_key: sum of all the roster's keys, 256 bytes.
    :param excluded: the keys of those who did not sign.
    :param signature: the aggregate of those who did.

    If everybody is excluded the remaining key is the identity, and the answer is ``False``.
    """
    group = signature_kernel(kernel)
    remaining = aggregate_key
    if excluded:
        remaining = group.subtract_key(aggregate_key, group.add_keys(excluded))
    return _verify(remaining, digest, signature, SIGNATURE_TAG, kernel)


def check_key(key: bytes, *, kernel: str = "fast") -> None:
    """Raise ``InvalidPoint`` unless the bytes are a point of G2's subgroup other than the identity."""
    signature_kernel(kernel).check_key(key)
    if key == IDENTITY_KEY:
        raise InvalidPoint("The identity is no key.")


def check_signature(signature: bytes, *, kernel: str = "fast") -> None:
    """Raise ``InvalidPoint`` unless the bytes are a point of G1's subgroup other than the identity."""
    signature_kernel(kernel).check_signature(signature)
    if signature == IDENTITY_SIGNATURE:
        raise InvalidPoint("The identity is no signature.")


def _verify(key: bytes, digest: bytes, signature: bytes, tag: bytes, kernel: str) -> bool:
    _check_digest(digest)
    group = signature_kernel(kernel)
    if key == IDENTITY_KEY or signature == IDENTITY_SIGNATURE:
        return False
    return group.pairing_holds(signature, key, digest, tag)


def _check_digest(digest: bytes) -> None:
    if len(digest) != DIGEST_BYTES:
        raise BadParameters(f"What is signed is a digest of 32 bytes, not of {len(digest)}.")
