"""The base field of BLS12-381: coordinates of points, six 64-bit words in Montgomery form (R = 2^384).

Operations take addresses, as :mod:`qanat.field.emit` says: ``product((out, left, right))``. Everything stored is
canonical, so equal numbers have equal words.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numpy as np

from qanat.field.compiled import compiled
from qanat.field.emit import Arithmetic, copy_words

MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""p, 381 bits."""

WORDS = 6
BYTES = 8 * WORDS

_ARITHMETIC = Arithmetic("base", MODULUS, WORDS)
MONTGOMERY = _ARITHMETIC.montgomery
SQUARE = _ARITHMETIC.square

product = _ARITHMETIC.operation("product")
total = _ARITHMETIC.operation("sum")
difference = _ARITHMETIC.operation("difference")
opposite = _ARITHMETIC.operation("opposite")

_DIGITS = 96
_INVERT = np.array([(MODULUS - 2) >> (4 * i) & 15 for i in range(_DIGITS - 1, -1, -1)], dtype=np.uint8)
"""p - 2 in digits of four bits, most significant first."""

_ROOT = np.array([((MODULUS + 1) // 4) >> (4 * i) & 15 for i in range(_DIGITS - 1, -1, -1)], dtype=np.uint8)
"""(p + 1)/4 likewise: p is 3 mod 4, so this power of a square is a root of it."""

INVERT_SCRATCH = 17
"""Numbers that :func:`invert` writes to while it works."""


def arithmetic() -> Arithmetic:
    """Return what emits the operations."""
    return _ARITHMETIC


@compiled
def _power(out, value, digits, one, scratch):
    copy_words((scratch, one), 6)
    copy_words((scratch + 48, value), 6)
    for i in range(2, 16):
        product((scratch + 48 * i, scratch + 48 * (i - 1), scratch + 48))
    result = scratch + 48 * 16
    copy_words((result, scratch + 48 * np.int64(digits[0])), 6)
    for position in range(1, digits.shape[0]):
        for _ in range(4):
            product((result, result, result))
        digit = np.int64(digits[position])
        if digit:
            product((result, result, scratch + 48 * digit))
    copy_words((out, result), 6)


@compiled
def invert(out, value, one, scratch):
    """Write 1/value = value^(p-2), zero for zero: 380 squarings and at most 109 products, by windows of four bits.

    All are addresses; one is R mod p, scratch has room for ``INVERT_SCRATCH`` numbers.
    """
    _power(out, value, _INVERT, one, scratch)


@compiled
def square_root(out, value, one, scratch):
    """Write value^((p+1)/4): a square root of the value, or of its opposite if it has none. Addresses as above."""
    _power(out, value, _ROOT, one, scratch)
