"""The base field of BLS12-381: coordinates of points, six 64-bit words in Montgomery form, R = 2^RADIX_BITS.

R is 2^384 on the path ``portable``, and 2^416 on ``ifma``, whose rows have eight limbs of 52 bits.

Operations take addresses, as :mod:`qanat.field.emit` says: ``product((out, left, right))``. Everything stored is
canonical, so equal numbers have equal words.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numpy as np

from qanat.field.compiled import PATH, compiled
from qanat.field.emit import Arithmetic, copy_words, trailing_zeros, words_of
from qanat.field.lanes import LIMB, Lanes

MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""p, 381 bits."""

WORDS = 6
BYTES = 8 * WORDS

LANES = PATH != "portable"
"""Additions of points are done eight at a time."""

RADIX_BITS = 416 if LANES else 384

_ARITHMETIC = Arithmetic("base", MODULUS, WORDS, extra=RADIX_BITS - 64 * WORDS)
_ROWS = Lanes("pairs", MODULUS, RADIX_BITS // LIMB, WORDS, native=PATH == "ifma")
MONTGOMERY = _ARITHMETIC.montgomery
SQUARE = _ARITHMETIC.square

product = _ARITHMETIC.operation("product")
total = _ARITHMETIC.operation("sum")
difference = _ARITHMETIC.operation("difference")
opposite = _ARITHMETIC.operation("opposite")

load, store, rows_product = _ROWS.operation("load"), _ROWS.operation("store"), _ROWS.operation("product")
pairs_forward, pairs_backward = _ROWS.operation("pairs_forward"), _ROWS.operation("pairs_backward")

_DIGITS = 96
_ROOT = np.array([((MODULUS + 1) // 4) >> (4 * i) & 15 for i in range(_DIGITS - 1, -1, -1)], dtype=np.uint8)
"""(p + 1)/4 in digits of four bits, most significant first: p is 3 mod 4, so this power of a square is a root of it."""

ROOT_SCRATCH = 17
"""Numbers that :func:`square_root` writes to while it works, rows that :func:`square_roots` does."""

ROW_WORDS = 8 * (RADIX_BITS // LIMB)
ROW = 8 * ROW_WORDS
"""Bytes of a row of eight numbers (:mod:`qanat.field.lanes`)."""

_STEPS = 30
_MASK = (1 << _STEPS) - 1
_LIMBS = 13
"""13 limbs of 30 bits, the last one signed, hold numbers in (-2p, 2p)."""

_MODULUS_LIMBS = np.array([MODULUS >> (_STEPS * i) & _MASK for i in range(_LIMBS)], dtype=np.int64)
_INVERSE = pow(MODULUS, -1, 1 << _STEPS)
_CUBE = np.array(words_of(pow(MONTGOMERY, 3, MODULUS), WORDS), dtype=np.uint64)
"""R^3: a Montgomery product with it turns 1/(a R) into R/a."""


@compiled
def _division_steps(eta, f, g, matrix):
    """Do 30 division steps on f and g by their lowest bits; write u, v, q, r: (f, g) become (uf + vg, qf + rg)/2^30.

    Several steps at a time: trailing zeros of g at once, then up to six (or four) of its bits are cancelled by a
    multiple of f, as 1/f is f(2 - f^2) modulo 2^6.
    """
    u, v, q, r = np.int64(1), np.int64(0), np.int64(0), np.int64(1)
    left = _STEPS
    while True:
        zeros = trailing_zeros(g | (np.int64(-1) << left))
        g >>= zeros
        u <<= zeros
        v <<= zeros
        eta -= zeros
        left -= zeros
        if left == 0:
            break
        if eta < 0:
            eta = -eta
            f, g, u, q, v, r = g, -f, q, -u, r, -v
            multiple = (f * g * (f * f - 2)) & ((1 << min(eta + 1, left, 6)) - 1)
        else:
            multiple = (-(f + (((f + 1) & 4) << 1)) * g) & ((1 << min(eta + 1, left, 4)) - 1)
        g += f * multiple
        q += u * multiple
        r += v * multiple
    matrix[0], matrix[1], matrix[2], matrix[3] = u, v, q, r
    return eta


@compiled
def _carried(limbs, sign, times):
    """Replace a number by sign * it + times * p, its limbs but the last in [0, 2^30)."""
    carry = np.int64(0)
    for i in range(_LIMBS - 1):
        carry += sign * limbs[i] + times * _MODULUS_LIMBS[i]
        limbs[i] = carry & _MASK
        carry >>= _STEPS
    limbs[_LIMBS - 1] = carry + sign * limbs[_LIMBS - 1] + times * _MODULUS_LIMBS[_LIMBS - 1]


@compiled
def _step_whole(f, g, length, matrix):
    """Apply a matrix to f and g and divide by 2^30, which leaves no rest.

    Return how many limbs they need then, and whether g is zero.
    """
    u, v, q, r = matrix[0], matrix[1], matrix[2], matrix[3]
    f_carry, g_carry = (u * f[0] + v * g[0]) >> _STEPS, (q * f[0] + r * g[0]) >> _STEPS
    joined = np.int64(0)
    for i in range(1, length):
        x, y = f[i], g[i]
        f_carry += u * x + v * y
        g_carry += q * x + r * y
        f[i - 1], g[i - 1] = f_carry & _MASK, g_carry & _MASK
        joined |= g[i - 1]
        f_carry >>= _STEPS
        g_carry >>= _STEPS
    f[length - 1], g[length - 1] = f_carry, g_carry
    if length > 1 and f_carry in (0, -1) and g_carry in (0, -1):
        f[length - 2] |= f_carry << _STEPS
        g[length - 2] |= g_carry << _STEPS
        length -= 1
    return length, joined | g_carry == 0


@compiled
def _step_modulo(d, e, matrix):
    """Apply a matrix to d and e in (-2p, p) and divide by 2^30 modulo p, into the same bounds.

    Multiples of p make the lowest 30 bits zero; where a number is negative, the matrix's entry adds that many more.
    """
    u, v, q, r = matrix[0], matrix[1], matrix[2], matrix[3]
    d_sign, e_sign = d[_LIMBS - 1] >> 63, e[_LIMBS - 1] >> 63
    d_times, e_times = (u & d_sign) + (v & e_sign), (q & d_sign) + (r & e_sign)
    d_carry, e_carry = u * d[0] + v * e[0], q * d[0] + r * e[0]
    d_times -= (_INVERSE * (d_carry & _MASK) + d_times) & _MASK
    e_times -= (_INVERSE * (e_carry & _MASK) + e_times) & _MASK
    d_carry = (d_carry + _MODULUS_LIMBS[0] * d_times) >> _STEPS
    e_carry = (e_carry + _MODULUS_LIMBS[0] * e_times) >> _STEPS
    for i in range(1, _LIMBS):
        x, y = d[i], e[i]
        d_carry += u * x + v * y + _MODULUS_LIMBS[i] * d_times
        e_carry += q * x + r * y + _MODULUS_LIMBS[i] * e_times
        d[i - 1], e[i - 1] = d_carry & _MASK, e_carry & _MASK
        d_carry >>= _STEPS
        e_carry >>= _STEPS
    d[_LIMBS - 1], e[_LIMBS - 1] = d_carry, e_carry


@compiled
def invert(out, value):
    """Write 1/value, zero for zero; both are addresses.

    Bernstein and Yang's division steps (2019/266), not in constant time, as libsecp256k1 arranges them: 30 steps look
    at the lowest bits only and give a matrix, which is then applied to the whole numbers. f and g begin as p and the
    value and end as +-1 and 0; d and e, which begin as 0 and 1, take the same steps modulo p, so d ends as +-1/value.
    """
    room = np.zeros((5, _LIMBS), dtype=np.int64)
    d, e, f, g, matrix = room[0], room[1], room[2], room[3], room[4]
    words = np.empty(WORDS, dtype=np.uint64)
    copy_words((words.ctypes.data, value), 6)
    e[0] = 1
    for i in range(_LIMBS):
        at, shift = _STEPS * i >> 6, _STEPS * i & 63
        low = words[at] >> np.uint64(shift)
        if shift > 64 - _STEPS and at < WORDS - 1:
            low |= words[at + 1] << np.uint64(64 - shift)
        f[i], g[i] = _MODULUS_LIMBS[i], np.int64(low & np.uint64(_MASK))
    eta, length, done = np.int64(-1), _LIMBS, False
    while not done:
        eta = _division_steps(eta, f[0], g[0], matrix)
        _step_modulo(d, e, matrix)
        length, done = _step_whole(f, g, length, matrix)
    if d[_LIMBS - 1] < 0:  # from (-2p, p) to (-p, p)
        _carried(d, 1, 1)
    if f[length - 1] < 0:
        _carried(d, -1, 0)
    if d[_LIMBS - 1] < 0:
        _carried(d, 1, 1)
    words[:] = np.uint64(0)
    for i in range(_LIMBS):
        at, shift = _STEPS * i >> 6, _STEPS * i & 63
        words[at] |= np.uint64(d[i]) << np.uint64(shift)
        if shift > 64 - _STEPS and at < WORDS - 1:
            words[at + 1] |= np.uint64(d[i]) >> np.uint64(64 - shift)
    product((out, words.ctypes.data, _CUBE.ctypes.data))
    words[0] = np.uint64(0)  # keeps it alive until here


@compiled
def square_root(out, value, one, scratch):
    """Write value^((p+1)/4): a square root of the value, or of its opposite if it has none.

    By windows of four bits, all are addresses; one is R mod p, scratch has room for ``ROOT_SCRATCH`` numbers.
    """
    copy_words((scratch, one), 6)
    copy_words((scratch + 48, value), 6)
    for i in range(2, 16):
        product((scratch + 48 * i, scratch + 48 * (i - 1), scratch + 48))
    result = scratch + 48 * 16
    copy_words((result, scratch + 48 * np.int64(_ROOT[0])), 6)
    for position in range(1, _DIGITS):
        for _ in range(4):
            product((result, result, result))
        digit = np.int64(_ROOT[position])
        if digit:
            product((result, result, scratch + 48 * digit))
    copy_words((out, result), 6)


@compiled
def square_roots(out, values, scratch):
    """Do :func:`square_root` on eight numbers at once, which lie in a row; scratch has ``ROOT_SCRATCH`` rows."""
    load((scratch + ROW, values))
    for i in range(2, 16):
        rows_product((scratch + ROW * i, scratch + ROW * (i - 1), scratch + ROW))
    result = scratch + ROW * 16
    begun = False
    for position in range(_DIGITS):
        digit = np.int64(_ROOT[position])
        if begun:
            for _ in range(4):
                rows_product((result, result, result))
            if digit:
                rows_product((result, result, scratch + ROW * digit))
        elif digit:
            copy_words((result, scratch + ROW * digit), ROW_WORDS)
            begun = True
    store((out, result))
