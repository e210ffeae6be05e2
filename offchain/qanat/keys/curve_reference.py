"""The curve's operations as ``py_ecc`` writes them down; a second for a pairing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.fields import optimized_bls12_381_FQ as Fp
from py_ecc.fields import optimized_bls12_381_FQ2 as Fp2
from py_ecc.fields import optimized_bls12_381_FQ12 as Fp12
from py_ecc.optimized_bls12_381.optimized_curve import (
    G1,
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

from qanat.errors import InvalidPoint
from qanat.kzg.points import NUMBER_BYTES, RAW_BYTES, RAW_G2_BYTES, check_raw


class ReferenceCurve:
    """Textbook group law."""

    name = "reference"

    def __init__(self) -> None:
        self.g1: bytes = _write_g1(G1)
        self.g2: bytes = _write_g2(G2)

    def combine_g1(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Sum up in G1."""
        total = Z1
        for point, scalar in zip(points, scalars, strict=True):
            total = add(total, multiply(_read_g1(point), scalar % curve_order))
        return _write_g1(total)

    def combine_g2(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Sum up in G2."""
        total = Z2
        for point, scalar in zip(points, scalars, strict=True):
            total = add(total, multiply(_read_g2(point), scalar % curve_order))
        return _write_g2(total)

    def pairings_equal(self, a: bytes, a2: bytes, b: bytes, b2: bytes) -> bool:
        """Check e(a, a2) e(-b, b2) = 1."""
        left = pairing(_read_g2(a2), _read_g1(a), final_exponentiate=False)
        right = pairing(_read_g2(b2), neg(_read_g1(b)), final_exponentiate=False)
        return bool(final_exponentiate(left * right) == Fp12.one())

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        """Hash."""
        return _write_g1(hash_to_G1(message, tag, hashlib.sha256))  # type: ignore[arg-type]


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + NUMBER_BYTES], "big") for at in range(0, len(data), NUMBER_BYTES)]


def _read_g1(data: bytes) -> Any:
    check_raw(data, RAW_BYTES)
    x, y = _numbers(data)
    return _checked((Fp(x), Fp(y), Fp(1)), b, data) if any(data) else Z1


def _read_g2(data: bytes) -> Any:
    check_raw(data, RAW_G2_BYTES)
    x0, x1, y0, y1 = _numbers(data)
    return _checked((Fp2([x0, x1]), Fp2([y0, y1]), Fp2.one()), b2, data) if any(data) else Z2


def _checked(point: Any, constant: Any, data: bytes) -> Any:
    if not is_on_curve(point, constant):
        raise InvalidPoint("A point is not on the curve.", point=data)
    if not is_inf(multiply(point, curve_order)):
        raise InvalidPoint("A point is not in the subgroup of order r.", point=data)
    return point


def _write_g1(point: Any) -> bytes:
    if is_inf(point):
        return bytes(RAW_BYTES)
    return b"".join(int(number).to_bytes(NUMBER_BYTES, "big") for number in normalize(point))


def _write_g2(point: Any) -> bytes:
    if is_inf(point):
        return bytes(RAW_G2_BYTES)
    x, y = normalize(point)
    return b"".join(int(number).to_bytes(NUMBER_BYTES, "big") for number in (*x.coeffs, *y.coeffs))
