"""Raw points as ``py_ecc`` has them: for the clear kernels of commitments, signatures and keys.

A point here is ``py_ecc``'s projective tuple; a raw one 96 bytes of G1 or 192 of G2 (:mod:`qanat.kzg.points`).
"""

from __future__ import annotations

from typing import Any

from py_ecc.fields import optimized_bls12_381_FQ as Fp
from py_ecc.fields import optimized_bls12_381_FQ2 as Fp2
from py_ecc.fields import optimized_bls12_381_FQ12 as Fp12
from py_ecc.optimized_bls12_381.optimized_curve import (
    Z1,
    Z2,
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

__all__ = ["pairings_equal", "read_g1", "read_g2", "unchecked_point", "write_g1", "write_g2"]


def read_g1(raw: bytes) -> Any:
    """Return the point. Raises :class:`InvalidPoint` for what is none of the subgroup's."""
    check_raw(raw)
    return _checked(unchecked_point(raw), b, raw)


def read_g2(raw: bytes) -> Any:
    """Return the point. Raises :class:`InvalidPoint` for what is none of the subgroup's."""
    check_raw(raw, RAW_G2_BYTES)
    x0, x1, y0, y1 = _numbers(raw)
    return _checked((Fp2([x0, x1]), Fp2([y0, y1]), Fp2.one()), b2, raw) if any(raw) else Z2


def unchecked_point(raw: bytes) -> Any:
    """Return the point of 96 raw bytes, whatever they say."""
    x, y = _numbers(raw)
    return (Fp(x), Fp(y), Fp(1)) if any(raw) else Z1


def write_g1(point: Any) -> bytes:
    """Return a point of G1 in raw form."""
    return bytes(RAW_BYTES) if is_inf(point) else _joined(normalize(point))


def write_g2(point: Any) -> bytes:
    """Return a point of G2 in raw form."""
    if is_inf(point):
        return bytes(RAW_G2_BYTES)
    x, y = normalize(point)
    return _joined((*x.coeffs, *y.coeffs))


def pairings_equal(left: Any, left2: Any, right: Any, right2: Any) -> bool:
    """Whether e(left, left2) = e(right, right2): two Miller loops, one final exponentiation."""
    loops = pairing(left2, left, final_exponentiate=False) * pairing(right2, neg(right), final_exponentiate=False)
    return bool(final_exponentiate(loops) == Fp12.one())


def _numbers(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + NUMBER_BYTES], "big") for at in range(0, len(raw), NUMBER_BYTES)]


def _joined(numbers: Any) -> bytes:
    return b"".join(int(number).to_bytes(NUMBER_BYTES, "big") for number in numbers)


def _checked(point: Any, constant: Any, raw: bytes) -> Any:
    if not is_on_curve(point, constant):
        raise InvalidPoint("A point is not on the curve.", point=raw)
    if not is_inf(multiply(point, curve_order)):
        raise InvalidPoint("A point is not in the subgroup of order r.", point=raw)
    return point
