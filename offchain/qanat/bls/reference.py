"""The clear signature kernel, on ``py_ecc``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.fields import optimized_bls12_381_FQ as Fp
from py_ecc.fields import optimized_bls12_381_FQ2 as Fp2
from py_ecc.fields import optimized_bls12_381_FQ12 as Fp12
from py_ecc.optimized_bls12_381.optimized_curve import (
    G2,
    Z1,
    Z2,
    add,
    b,
    b2,
    curve_order,
    is_inf,
    is_on_curve,
    multiply,
    neg,
    normalize,
)
from py_ecc.optimized_bls12_381.optimized_pairing import final_exponentiate, pairing

from qanat.errors import BadParameters, InvalidPoint
from qanat.kzg.points import NUMBER_BYTES, RAW_BYTES, RAW_G2_BYTES, check_raw, from_padded, to_padded


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
        left = pairing(G2, _read_g1(signature), final_exponentiate=False)
        right = pairing(_read_g2(key), neg(_hash(message, tag)), final_exponentiate=False)
        return bool(final_exponentiate(left * right) == Fp12.one())

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


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + NUMBER_BYTES], "big") for at in range(0, len(data), NUMBER_BYTES)]


def _read_g1(data: bytes) -> Any:
    raw = from_padded(data)
    check_raw(raw)
    x, y = _numbers(raw)
    return _checked((Fp(x), Fp(y), Fp(1)), b, data) if any(raw) else Z1


def _read_g2(data: bytes) -> Any:
    raw = from_padded(data)
    check_raw(raw, RAW_G2_BYTES)
    x0, x1, y0, y1 = _numbers(raw)
    return _checked((Fp2([x0, x1]), Fp2([y0, y1]), Fp2.one()), b2, data) if any(raw) else Z2


def _checked(point: Any, constant: Any, data: bytes) -> Any:
    if not is_on_curve(point, constant):
        raise InvalidPoint("A point is not on the curve.", point=data)
    if not is_inf(multiply(point, curve_order)):
        raise InvalidPoint("A point is not in the subgroup of order r.", point=data)
    return point


def _write_g1(point: Any) -> bytes:
    if is_inf(point):
        return to_padded(bytes(RAW_BYTES))
    x, y = normalize(point)
    return to_padded(b"".join(int(number).to_bytes(NUMBER_BYTES, "big") for number in (x, y)))


def _write_g2(point: Any) -> bytes:
    if is_inf(point):
        return to_padded(bytes(RAW_G2_BYTES))
    x, y = normalize(point)
    return to_padded(b"".join(int(number).to_bytes(NUMBER_BYTES, "big") for number in (*x.coeffs, *y.coeffs)))
