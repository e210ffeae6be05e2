"""The clear signature kernel, on ``py_ecc``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.optimized_bls12_381.optimized_curve import G2, Z1, Z2, add, multiply, neg

from qanat.errors import BadParameters
from qanat.kzg import reference_points
from qanat.kzg.points import from_padded, to_padded
from qanat.kzg.reference_points import pairings_equal


class ReferenceSignatures:
    """BLS as its drafts write it; about a second per verification."""

    name = "reference"

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        """Hash to G1."""
        return _write_g1(_hash(message, tag))

    def public_key(self, secret: int) -> bytes:
        """Return [secret] G2."""
        return _write_g2(multiply(G2, secret))

    def sign(self, secret: int, message: bytes, tag: bytes) -> bytes:
        """Return [secret] H(message)."""
        return _write_g1(multiply(_hash(message, tag), secret))

    def pairing_holds(self, signature: bytes, key: bytes, message: bytes, tag: bytes) -> bool:
        """Check e(signature, G2) e(-H(message), key) = 1."""
        return pairings_equal(_read_g1(signature), G2, _hash(message, tag), _read_g2(key))

    def add_signatures(self, signatures: Sequence[bytes]) -> bytes:
        """Add in G1."""
        total = Z1
        for signature in signatures:
            total = add(total, _read_g1(signature))
        return _write_g1(total)

    def add_keys(self, keys: Sequence[bytes]) -> bytes:
        """Add in G2."""
        total = Z2
        for key in keys:
            total = add(total, _read_g2(key))
        return _write_g2(total)

    def subtract_key(self, key: bytes, other: bytes) -> bytes:
        """Subtract in G2."""
        return _write_g2(add(_read_g2(key), neg(_read_g2(other))))

    def check_key(self, key: bytes) -> None:
        """Read a key."""
        _read_g2(key)

    def check_signature(self, signature: bytes) -> None:
        """Read a signature."""
        _read_g1(signature)


def _hash(message: bytes, tag: bytes) -> Any:
    if not 0 < len(tag) < 256:
        raise BadParameters(f"A domain tag has 1 to 255 bytes, not {len(tag)}.")
    return hash_to_G1(message, tag, hashlib.sha256)  # type: ignore[arg-type]


def _read_g1(data: bytes) -> Any:
    return reference_points.read_g1(from_padded(data))


def _read_g2(data: bytes) -> Any:
    return reference_points.read_g2(from_padded(data))


def _write_g1(point: Any) -> bytes:
    return to_padded(reference_points.write_g1(point))


def _write_g2(point: Any) -> bytes:
    return to_padded(reference_points.write_g2(point))
