"""Compiled loops that multiply many points by a scalar each, in step, so that all share their inversions.

The curve has an endomorphism phi(x, y) = (beta*x, y), beta a cube root of one, which is a multiplication by -X^2 on the
group, X the curve's parameter. As r = X^4 - X^2 + 1, a scalar is k1 + k2*X^2 with both halves below 2^128, by one
division, and k*P = k1*P - k2*phi(P): half as many doublings. Digits are signed, four bits wide: the table of a point
holds 1*P to 8*P, and phi of an entry costs one product.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, C901

from __future__ import annotations

import numpy as np

from qanat.field.base import opposite, product
from qanat.field.compiled import compiled
from qanat.field.emit import copy_words
from qanat.kzg.msm import BATCH, NUMBER, POINT, add_pairs

DIGIT_BITS = 4
DIGITS = 33
"""Of each half: 4*33 bits hold 128 and a carry."""

ENTRIES = 8


@compiled
def multiply_all(points, digits, beta, tables, pairs, work):
    """Replace each point (count <= BATCH, 12) by its multiple.

    digits (count, 2, DIGITS) int8, lowest first, each in (-8, 8]; tables (ENTRIES, BATCH, 12) is room to work in.
    """
    sources, targets, slopes, prefixes, kinds, constants, scratch = work
    count = points.shape[0]
    result, gathered, multiples = points.ctypes.data, pairs.ctypes.data, tables.ctypes.data
    waiting = np.int64(0)
    for step in range(ENTRIES - 1 + DIGITS * (DIGIT_BITS + 2)):
        # first the table, then for each digit, highest first, four doublings and two additions
        window, part = divmod(step - (ENTRIES - 1), DIGIT_BITS + 2)
        at = DIGITS - 1 - window
        waiting = np.int64(0)
        for i in range(count):
            left = gathered + 2 * POINT * waiting
            right = left + POINT
            target = result + POINT * i
            if step < ENTRIES - 1:
                if step == 0:
                    copy_words((multiples + POINT * i, target), 12)
                copy_words((left, multiples + POINT * (step * BATCH + i)), 12)
                copy_words((right, multiples + POINT * i), 12)
                target = multiples + POINT * ((step + 1) * BATCH + i)
            elif part < DIGIT_BITS:
                if window == 0:
                    if part == 0:  # the sum starts empty
                        points[i, :] = np.uint64(0)
                    continue
                copy_words((left, target), 12)
                copy_words((right, target), 12)
            else:
                side = part - DIGIT_BITS
                digit = np.int64(digits[i, side, at])
                if digit == 0:
                    continue
                entry = multiples + POINT * ((abs(digit) - 1) * BATCH + i)
                copy_words((left, target), 12)
                if side:
                    product((right, entry, beta))
                else:
                    copy_words((right, entry), 6)
                opposite((right + NUMBER, entry + NUMBER, np.int64((digit < 0) != (side == 1))))
            sources[waiting], targets[waiting] = left, target
            waiting += 1
        if waiting:
            add_pairs(waiting, sources, targets, slopes, prefixes, kinds, constants, scratch)


@compiled
def sums_and_differences(top, bottom, pairs, work):
    """Replace (a, b) by (a + b, a - b), arrays (count, 12)."""
    sources, targets, slopes, prefixes, kinds, constants, scratch = work
    a, b, gathered = top.ctypes.data, bottom.ctypes.data, pairs.ctypes.data
    for start in range(0, top.shape[0], BATCH // 2):
        count = min(BATCH // 2, top.shape[0] - start)
        for i in range(2 * count):
            left, right = a + POINT * (start + i // 2), b + POINT * (start + i // 2)
            to = gathered + 2 * POINT * i
            copy_words((to, left), 12)
            copy_words((to + POINT, right), 6)
            opposite((to + POINT + NUMBER, right + NUMBER, np.int64(i & 1)))
            sources[i], targets[i] = to, right if i & 1 else left
        add_pairs(2 * count, sources, targets, slopes, prefixes, kinds, constants, scratch)
