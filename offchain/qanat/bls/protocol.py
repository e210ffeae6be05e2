"""What a signature kernel must do: BLS with keys in G2 and signatures in G1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class SignatureKernel(Protocol):
    """BLS signatures of minimal signature size (draft-irtf-cfrg-bls-signature, RFC 9380), in EIP-2537 byte forms.

    Signatures and hashes are 128 bytes of G1, keys 256 bytes of G2. Bytes that are no subgroup point raise
    ``InvalidPoint``. ``tests/unit/test_bls.py`` is the conformance test: add an implementation's name there.
    """

    @property
    def name(self) -> str:
        """How the kernel is called."""
        ...

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        """Return RFC 9380's hash_to_curve, suite BLS12381G1_XMD:SHA-256_SSWU_RO_, under a domain tag."""
        ...

    def public_key(self, secret: int) -> bytes:
        """Return [secret] G2."""
        ...

    def sign(self, secret: int, message: bytes, tag: bytes) -> bytes:
        """Return [secret] hash_to_g1(message)."""
        ...

    def pairing_holds(self, signature: bytes, key: bytes, message: bytes, tag: bytes) -> bool:
        """Say whether e(signature, G2) = e(hash_to_g1(message), key); identities are points like any other here."""
        ...

    def add_signatures(self, signatures: Sequence[bytes]) -> bytes:
        """Return the sum in G1; empty sums are the identity."""
        ...

    def add_keys(self, keys: Sequence[bytes]) -> bytes:
        """Return the sum in G2; empty sums are the identity."""
        ...

    def subtract_key(self, key: bytes, other: bytes) -> bytes:
        """Return key - other in G2."""
        ...

    def check_key(self, key: bytes) -> None:
        """Raise ``InvalidPoint`` unless the bytes are a point of G2's subgroup."""
        ...

    def check_signature(self, signature: bytes) -> None:
        """Raise ``InvalidPoint`` unless the bytes are a point of G1's subgroup."""
        ...
