"""The fast signature kernel, on arkworks."""

from __future__ import annotations

from collections.abc import Sequence

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from qanat.errors import BadParameters, InvalidPoint
from qanat.kzg.points import RAW_G2_BYTES, check_raw, from_padded, to_padded


class FastSignatures:
    """BLS as the chain's precompiles check it."""

    name = "fast"

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        """Hash to G1."""
        return to_padded(_hash(message, tag).to_xy_bytes_be())

    def public_key(self, secret: int) -> bytes:
        """Return [secret] G2."""
        return _write_key(G2Point() * Scalar(secret))

    def sign(self, secret: int, message: bytes, tag: bytes) -> bytes:
        """Return [secret] H(message)."""
        return to_padded((_hash(message, tag) * Scalar(secret)).to_xy_bytes_be())

    def pairing_holds(self, signature: bytes, key: bytes, message: bytes, tag: bytes) -> bool:
        """Check e(signature, G2) e(-H(message), key) = 1."""
        return bool(GT.pairing_check([_signature(signature), -_hash(message, tag)], [G2Point(), _key(key)]))

    def add_signatures(self, signatures: Sequence[bytes]) -> bytes:
        """Add in G1."""
        total = G1Point.identity()
        for signature in signatures:
            total = total + _signature(signature)
        return to_padded(total.to_xy_bytes_be())

    def add_keys(self, keys: Sequence[bytes]) -> bytes:
        """Add in G2."""
        total = G2Point.identity()
        for key in keys:
            total = total + _key(key)
        return _write_key(total)

    def subtract_key(self, key: bytes, other: bytes) -> bytes:
        """Subtract in G2."""
        return _write_key(_key(key) - _key(other))

    def check_key(self, key: bytes) -> None:
        """Read a key."""
        _key(key)

    def check_signature(self, signature: bytes) -> None:
        """Read a signature."""
        _signature(signature)


def _hash(message: bytes, tag: bytes) -> G1Point:
    if not 0 < len(tag) < 256:
        raise BadParameters(f"A domain tag has 1 to 255 bytes, not {len(tag)}.")
    return G1Point.hash_to_curve(message, tag)


def _signature(data: bytes) -> G1Point:
    raw = from_padded(data)
    check_raw(raw)
    try:
        return G1Point.from_xy_bytes_be(raw)
    except ValueError as error:
        raise InvalidPoint("A G1 point is not on the curve or not in the subgroup.", point=data) from error


def _key(data: bytes) -> G2Point:
    raw = from_padded(data)
    check_raw(raw, RAW_G2_BYTES)
    try:
        return G2Point.from_xy_bytes_be(raw)
    except ValueError as error:
        raise InvalidPoint("A G2 point is not on the curve or not in the subgroup.", point=data) from error


def _write_key(point: G2Point) -> bytes:
    return to_padded(point.to_xy_bytes_be())
