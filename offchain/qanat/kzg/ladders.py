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

from qanat.field.base import LANES, ROOT_SCRATCH, ROW_WORDS, opposite, product, square_root, square_roots, total
from qanat.field.compiled import compiled
from qanat.field.emit import all_equal, copy_words, greater
from qanat.kzg.msm import BATCH, GROUP, NUMBER, PLAIN_ONE, POINT, add_pairs

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


@compiled
def find_points(abscissas, larger, square, four, points, good, work):
    """Write the point with each x (count, 6), out of Montgomery form, and the larger y or the smaller one.

    square is R^2, four 4R, both addresses. good (count) becomes 0 where no point of the curve has that x. Eight at a
    time where there are lanes; what is missing of the last eight is zeros.
    """
    constants, scratch = work[5], work[6]
    plain = constants + NUMBER * PLAIN_ONE
    one_way, other_way, room = scratch, scratch + NUMBER, scratch + 2 * NUMBER
    count = points.shape[0]
    cubes, roots = np.zeros((GROUP, 6), dtype=np.uint64), np.empty((GROUP, 6), dtype=np.uint64)
    rows = np.empty(ROOT_SCRATCH * ROW_WORDS, dtype=np.uint64)
    for start in range(0, count, GROUP):
        size = min(GROUP, count - start)
        for i in range(size):
            x, t = points.ctypes.data + POINT * (start + i), cubes.ctypes.data + NUMBER * i
            product((x, abscissas.ctypes.data + NUMBER * (start + i), square))
            product((t, x, x))
            product((t, t, x))
            total((t, t, four))
        if LANES:
            square_roots(np.int64(roots.ctypes.data), np.int64(cubes.ctypes.data), np.int64(rows.ctypes.data))
        else:
            for i in range(size):
                square_root(roots.ctypes.data + NUMBER * i, cubes.ctypes.data + NUMBER * i, constants, room)
        for i in range(size):
            at = start + i
            y, root = points.ctypes.data + POINT * at + NUMBER, roots.ctypes.data + NUMBER * i
            product((room, root, root))
            good[at] = all_equal((room, cubes.ctypes.data + NUMBER * i), 6)
            product((one_way, root, plain))
            opposite((other_way, one_way, 1))
            opposite((y, root, np.int64(greater((one_way, other_way), 6) != (larger[at] != 0))))


@compiled
def check_subgroup(points, bits, beta, room, good, pairs, work):
    """Clear good (count) where a point (count <= BATCH, 12) of the curve is not of order r: phi(P) is not -X^2 P.

    That is Scott's test (2021/1130). bits are those of |X|, highest first; room (2*BATCH, 12) is overwritten.
    """
    sources, targets, slopes, prefixes, kinds, constants, scratch = work
    count = points.shape[0]
    gathered, base = pairs.ctypes.data, np.int64(room.ctypes.data)
    running = base + POINT * BATCH
    for i in range(count):
        copy_words((running + POINT * i, points.ctypes.data + POINT * i), 12)
    for _ in range(2):
        for i in range(count):
            copy_words((base + POINT * i, running + POINT * i), 12)
        for position in range(1, bits.shape[0]):
            for adding in range(1 + bits[position]):
                other = base if adding else running
                for i in range(count):
                    to = gathered + 2 * POINT * i
                    copy_words((to, running + POINT * i), 12)
                    copy_words((to + POINT, other + POINT * i), 12)
                    sources[i], targets[i] = to, running + POINT * i
                add_pairs(count, sources, targets, slopes, prefixes, kinds, constants, scratch)
    for i in range(count):
        point, multiple = points.ctypes.data + POINT * i, running + POINT * i
        product((scratch, point, beta))
        opposite((scratch + NUMBER, point + NUMBER, 1))
        if not all_equal((scratch, multiple), 12):
            good[i] = 0
