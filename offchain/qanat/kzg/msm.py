"""Compiled loops of the multi-scalar multiplication on fixed points: sum of s_i * P_i over G1.

A point is twelve words: x, then y, each in Montgomery form (see :mod:`qanat.field.base`). The identity is twelve zero
words. That is no point of the curve, and no point of the curve has y = 0: the group's order is odd, so nothing is its
own opposite. All additions are affine: with lambda = (y2-y1)/(x2-x1), or 3x^2/2y for a point and itself,
x3 = lambda^2-x1-x2 and y3 = lambda(x1-x3)-y1. The divisions of up to ``BATCH`` additions share one inversion
(Montgomery's trick), which makes an addition cost six products. Every case is handled: either point the identity, equal
points, opposite points; none of them is left to chance.

How the loops work together is told in :mod:`qanat.kzg.basis`.
"""

# Numba compiles these functions from their bytecode; annotations would be wrong for it, and its stubs describe neither
# intrinsics nor unpacking. The typed face is basis.py.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, C901

from __future__ import annotations

import numpy as np

from qanat.field.base import (
    LANES,
    ROOT_SCRATCH,
    difference,
    invert,
    load,
    opposite,
    pairs_backward,
    pairs_forward,
    product,
    store,
    total,
)
from qanat.field.compiled import compiled
from qanat.field.emit import all_equal, all_zero, copy_words, prefetch, swap_bytes

NUMBER = 48
"""Bytes of a coordinate."""

POINT = 96
"""Bytes of a point."""

BATCH = 1024
"""Additions that share one inversion. More would leave the processor's second cache, fewer wait for inversions."""

AHEAD = 12
"""Table entries fetched into the cache ahead of their use."""

_PLAIN, _RIGHT, _LEFT, _DOUBLE, _NOTHING = 0, 1, 2, 3, 4

IDLE = ROOT_SCRATCH + 24
"""Where six numbers of a workspace's scratch area are zero: two identities, and room for their sum."""

SCRATCH = IDLE + 6
"""Numbers in a workspace's scratch area."""

GROUP = 8
"""Additions that are done at a time where there are vectors."""

ROW = 64 * GROUP
"""Bytes of eight coordinates in eight limbs."""

ONE, TRIPLE_B, PLAIN_ONE, CONSTANTS = 0, 1, 2, 3
"""Rows of the constants: R, 12R (3b of the curve y^2 = x^3 + 4), and the number one, which takes R out."""

R0, R1, R2, R3 = 0xFFFFFFFF00000001, 0x53BDA402FFFE5BFE, 0x3339D80809A1D805, 0x73EDA753299D7D48
"""Words of the scalar field's modulus."""


@compiled
def read_elements(words, elements):
    """Turn big-endian elements (4 words each, as a little-endian machine reads them) into limbs, shape (count, 4).

    Return the position of the first that is not below r, or -1.
    """
    for i in range(elements.shape[0]):
        e3, e2 = swap_bytes(words[4 * i]), swap_bytes(words[4 * i + 1])
        e1, e0 = swap_bytes(words[4 * i + 2]), swap_bytes(words[4 * i + 3])
        below = e3 < np.uint64(R3)
        if e3 == np.uint64(R3):
            below = e2 < np.uint64(R2)
            if e2 == np.uint64(R2):
                below = e1 < np.uint64(R1)
                if e1 == np.uint64(R1):
                    below = e0 < np.uint64(R0)
        if not below:
            return i
        elements[i, 0], elements[i, 1], elements[i, 2], elements[i, 3] = e0, e1, e2, e3
    return -1


@compiled
def recode(elements, bits, windows, digits, counts):
    """Write each scalar's signed digits, and count how often each absolute value occurs.

    digits (count, windows) int16: sum of digit_j * 2^(bits*j), each in (-2^(bits-1), 2^(bits-1)]; counts[d-1] is the
    count of d, d = 1..2^(bits-1). bits <= 15; bits*windows >= 256 takes the last carry, as scalars are below 2^255.
    """
    half = np.int64(1) << (bits - 1)
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    counts[:] = 0
    for i in range(elements.shape[0]):
        carry = np.int64(0)
        for j in range(windows):
            at = j * bits
            limb, shift = at >> 6, np.uint64(at & 63)
            word = elements[i, limb] >> shift if limb < 4 else np.uint64(0)
            if np.int64(shift) + bits > 64 and limb < 3:
                word |= elements[i, limb + 1] << (np.uint64(64) - shift)
            digit = np.int64(word & mask) + carry
            carry = np.int64(digit > half)
            digit -= carry << bits
            digits[i, j] = digit
            if digit:
                counts[abs(digit) - 1] += 1


@compiled
def sort_entries(digits, points, starts, places, entries):
    """Sort the table's entries by bucket.

    starts[b] is the first position of bucket b. An entry is 2*(row of the table) + (1 if it is to be negated); row
    j*points + i holds 2^(bits*j) * P_i.
    """
    for bucket in range(starts.shape[0]):  # by hand: assigning arrays compiles the message of a failure, in seconds
        places[bucket] = starts[bucket]
    for i in range(digits.shape[0]):
        for j in range(digits.shape[1]):
            digit = np.int64(digits[i, j])
            if digit:
                bucket = abs(digit) - 1
                entries[places[bucket]] = 2 * (j * points + i) + (digit < 0)
                places[bucket] += 1


@compiled
def _add_pairs_in_lanes(count, sources, targets, slopes, prefixes, kinds, constants, scratch):
    """Do what ``add_pairs`` does, eight at a time: a running product in each lane, one inversion for all lanes."""
    below, products = slopes.ctypes.data, np.int64(prefixes.ctypes.data)
    lefts, sums, masks = sources.ctypes.data, targets.ctypes.data, kinds.ctypes.data
    groups = (count + GROUP - 1) // GROUP
    for i in range(count, GROUP * groups):
        sources[i], targets[i] = scratch + NUMBER * IDLE, scratch + NUMBER * (IDLE + 4)
    lanes, running = scratch + 4 * NUMBER, scratch + (4 + GROUP) * NUMBER
    for i in range(GROUP):
        copy_words((lanes + NUMBER * i, constants), 6)
    load((products, lanes))
    for group in range(groups):
        row = products + ROW * group
        pairs_forward((lefts + 8 * GROUP * group, below + ROW * group, masks + 4 * group, row, row + ROW))
    inverse = products + ROW * groups
    store((lanes, inverse))
    copy_words((running, lanes), 6)
    for i in range(1, GROUP):
        product((running + NUMBER * i, running + NUMBER * (i - 1), lanes + NUMBER * i))
    whole = scratch
    invert(whole, running + NUMBER * (GROUP - 1))
    for i in range(GROUP - 1, 0, -1):
        product((running + NUMBER * i, whole, running + NUMBER * (i - 1)))
        product((whole, whole, lanes + NUMBER * i))
    copy_words((running, whole), 6)
    load((inverse, running))
    for group in range(groups - 1, -1, -1):
        at, row = 8 * GROUP * group, products + ROW * group
        pairs_backward((lefts + at, sums + at, below + ROW * group, masks + 4 * group, row, inverse))


@compiled
def _add_pairs_in_turn(count, sources, targets, slopes, prefixes, kinds, constants, scratch):
    """Do what ``add_pairs`` does, one after the other."""
    denominators, products = slopes.ctypes.data, prefixes.ctypes.data
    copy_words((products, constants), 6)
    for i in range(count):
        left = sources[i]
        right = left + POINT
        below = denominators + NUMBER * i
        difference((below, right, left))
        kind = _PLAIN
        if all_zero(left + NUMBER, 6):
            kind = _RIGHT
        elif all_zero(right + NUMBER, 6):
            kind = _LEFT
        elif all_zero(below, 6):
            kind = _DOUBLE if all_equal((left + NUMBER, right + NUMBER), 6) else _NOTHING
        if kind == _DOUBLE:
            total((below, left + NUMBER, left + NUMBER))
        elif kind != _PLAIN:
            copy_words((below, constants), 6)
        kinds[i] = kind
        product((products + NUMBER * (i + 1), products + NUMBER * i, below))

    inverse, slope, x, t = scratch, scratch + NUMBER, scratch + 2 * NUMBER, scratch + 3 * NUMBER
    invert(inverse, products + NUMBER * count)
    for i in range(count - 1, -1, -1):
        left, target, kind = sources[i], targets[i], kinds[i]
        right = left + POINT
        product((slope, inverse, products + NUMBER * i))
        product((inverse, inverse, denominators + NUMBER * i))
        if kind == _PLAIN:
            difference((t, right + NUMBER, left + NUMBER))
        elif kind == _DOUBLE:
            product((x, left, left))
            total((t, x, x))
            total((t, t, x))
        else:
            if kind == _RIGHT:
                copy_words((target, right), 12)
            elif kind == _LEFT:
                copy_words((target, left), 12)
            else:
                difference((target, left, left))
                copy_words((target + NUMBER, target), 6)
            continue
        product((slope, slope, t))
        product((x, slope, slope))
        difference((x, x, left))
        difference((x, x, right))
        difference((t, left, x))
        product((t, t, slope))
        difference((target + NUMBER, t, left + NUMBER))
        copy_words((target, x), 6)


@compiled
def add_pairs(count, sources, targets, slopes, prefixes, kinds, constants, scratch):
    """Write the sum of the two points that lie at each source address, one after the other, to its target.

    No target may lie where a source does. slopes (BATCH, 8), prefixes (BATCH + 8, 8) and kinds (BATCH) are room to work
    in; constants and scratch are addresses. What stands behind ``count`` in sources and targets is overwritten.
    """
    if LANES:
        _add_pairs_in_lanes(count, sources, targets, slopes, prefixes, kinds, constants, scratch)
    else:
        _add_pairs_in_turn(count, sources, targets, slopes, prefixes, kinds, constants, scratch)


@compiled
def sum_entries(table, entries, starts, sizes, following, results, pairs, work):
    """Add up table entries two by two, bucket after bucket: the first layer of the trees.

    starts and sizes (buckets) tell each bucket's entries; afterwards where its partial sums lie in ``following`` (point
    numbers), and how many. What is left alone in its bucket goes to ``results`` (buckets, 12), and its size is then 0.
    pairs (2*BATCH, 12) holds the entries of a batch, signed.
    """
    sources, targets, slopes, prefixes, kinds, constants, scratch = work
    rows, gathered = table.ctypes.data, pairs.ctypes.data
    onward, final = following.ctypes.data, results.ctypes.data
    last = entries.shape[0] - 1
    waiting = written = np.int64(0)
    for bucket in range(starts.shape[0]):
        first, size = starts[bucket], sizes[bucket]
        starts[bucket] = written
        sizes[bucket] = 0 if size <= 2 else (size + 1) // 2
        for position in range(first, first + size, 2):
            single = position + 1 == first + size
            alone = size <= 2
            target = final + POINT * bucket if alone else onward + POINT * written
            written += not alone
            for side in range(2 - single):
                entry = entries[position + side]
                row = rows + POINT * np.int64(entry >> 1)
                ahead = rows + POINT * np.int64(entries[min(position + side + AHEAD, last)] >> 1)
                prefetch(ahead)
                prefetch(ahead + 64)
                to = target if single else gathered + POINT * (2 * waiting + side)
                copy_words((to, row), 6)
                opposite((to + NUMBER, row + NUMBER, np.int64(entry & 1)))
            if not single:
                sources[waiting], targets[waiting] = gathered + POINT * 2 * waiting, target
                waiting += 1
                if waiting == BATCH:
                    add_pairs(waiting, sources, targets, slopes, prefixes, kinds, constants, scratch)
                    waiting = np.int64(0)
    if waiting:
        add_pairs(waiting, sources, targets, slopes, prefixes, kinds, constants, scratch)


@compiled
def sum_groups(points, other, starts, sizes, results, work):
    """Add up groups of points two by two, layer after layer, until each group's sum stands in ``results``.

    starts and sizes (groups) say where each group lies in ``points``; groups of size 0 leave their result as it is.
    Both arrays are overwritten; ``other`` needs room for half of the points, and one per group.
    """
    sources, targets, slopes, prefixes, kinds, constants, scratch = work
    here, there, final = points.ctypes.data, other.ctypes.data, results.ctypes.data
    busy = True
    while busy:
        busy = False
        waiting = written = np.int64(0)
        for group in range(starts.shape[0]):
            first, size = starts[group], sizes[group]
            if size == 0:
                continue
            alone = size <= 2
            starts[group] = written
            sizes[group] = 0 if alone else (size + 1) // 2
            busy = busy or not alone
            for position in range(first, first + size, 2):
                target = final + POINT * group if alone else there + POINT * written
                written += not alone
                source = here + POINT * position
                if position + 1 == first + size:
                    copy_words((target, source), 12)
                    continue
                sources[waiting], targets[waiting] = source, target
                waiting += 1
                if waiting == BATCH:
                    add_pairs(waiting, sources, targets, slopes, prefixes, kinds, constants, scratch)
                    waiting = np.int64(0)
        if waiting:
            add_pairs(waiting, sources, targets, slopes, prefixes, kinds, constants, scratch)
        here, there = there, here


@compiled
def spread(buckets, side, lines, starts, sizes):
    """Lay buckets (side*side, 12) out as rows, then as columns: 2*side groups of side points, (2*side*side, 12)."""
    source, target = buckets.ctypes.data, lines.ctypes.data
    for row in range(side):
        for column in range(side):
            point = source + POINT * (row * side + column)
            copy_words((target + POINT * (row * side + column), point), 12)
            copy_words((target + POINT * (side * side + column * side + row), point), 12)
    for group in range(2 * side):
        starts[group], sizes[group] = group * side, side


@compiled
def _add_complete(out, left, right, constants, scratch):
    """Add points (X : Y : Z) by the complete formulas of Renes, Costello, Batina (2015/1060), algorithm 7: any points.

    The identity is (0 : 1 : 0). out may be left or right.
    """
    x1, y1, z1 = left, left + 48, left + 96
    x2, y2, z2 = right, right + 48, right + 96
    t0, t1, t2, t3, t4 = scratch, scratch + 48, scratch + 96, scratch + 144, scratch + 192
    x3, y3, z3 = scratch + 240, scratch + 288, scratch + 336
    triple = constants + NUMBER * TRIPLE_B
    product((t0, x1, x2))
    product((t1, y1, y2))
    product((t2, z1, z2))
    total((t3, x1, y1))
    total((t4, x2, y2))
    product((t3, t3, t4))
    total((t4, t0, t1))
    difference((t3, t3, t4))
    total((t4, y1, z1))
    total((x3, y2, z2))
    product((t4, t4, x3))
    total((x3, t1, t2))
    difference((t4, t4, x3))
    total((x3, x1, z1))
    total((y3, x2, z2))
    product((x3, x3, y3))
    total((y3, t0, t2))
    difference((y3, x3, y3))
    total((x3, t0, t0))
    total((t0, x3, t0))
    product((t2, triple, t2))
    total((z3, t1, t2))
    difference((t1, t1, t2))
    product((y3, triple, y3))
    product((x3, t4, y3))
    product((t2, t3, t1))
    difference((x3, t2, x3))
    product((y3, y3, t0))
    product((t1, t1, z3))
    total((y3, t1, y3))
    product((t0, t0, t3))
    product((z3, z3, t4))
    total((z3, z3, t0))
    copy_words((out, x3), 18)


@compiled
def _projective(out, point, constants):
    difference((out + 96, constants, constants))
    if all_zero(point + NUMBER, 6):
        copy_words((out, out + 96), 6)
        copy_words((out + 48, constants), 6)
    else:
        copy_words((out, point), 12)
        copy_words((out + 96, constants), 6)


@compiled
def _empty(out, constants):
    """Write the identity, (0 : 1 : 0)."""
    difference((out, constants, constants))
    copy_words((out + 48, constants), 6)
    difference((out + 96, constants, constants))


@compiled
def finish(sums, side, bits, constants, scratch, out):
    """Write the sum over windows w of 2^(bits*w) times that window's: x and y without R, all zero the identity.

    sums (windows, 2*side, 12): the rows' sums, then the columns'. A window's is side * sum of u*row_u + sum of
    (v+1)*column_v, u and v from 0: the sum of d * bucket_d, as d = side*u + v + 1. side is a power of two. out (2, 6).
    """
    running, whole, point = scratch, scratch + 3 * 48, scratch + 6 * 48
    result, room = scratch + 9 * 48, scratch + 12 * 48
    _empty(result, constants)
    for window in range(sums.shape[0] - 1, -1, -1):
        base = sums.ctypes.data + POINT * 2 * side * window
        for _ in range(bits):
            _add_complete(result, result, result, constants, room)
        _empty(whole, constants)
        for part in range(2):  # rows, then columns
            doubling = side if part else 1
            while doubling > 1:
                _add_complete(whole, whole, whole, constants, room)
                doubling //= 2
            _empty(running, constants)
            for i in range(side - 1, -part, -1):
                _projective(point, base + POINT * (part * side + i), constants)
                _add_complete(running, running, point, constants, room)
                _add_complete(whole, whole, running, constants, room)
        _add_complete(result, result, whole, constants, room)
    target = out.ctypes.data
    if all_zero(result + 96, 6):
        out[:] = np.uint64(0)
        return
    invert(point, result + 96)
    product((result, result, point))
    product((result + 48, result + 48, point))
    product((target, result, constants + NUMBER * PLAIN_ONE))
    product((target + 48, result + 48, constants + NUMBER * PLAIN_ONE))


@compiled
def scale(numbers, factor, out):
    """Write each number (count, 6) times one factor (6,), a Montgomery product."""
    for i in range(numbers.shape[0]):
        product((out.ctypes.data + NUMBER * i, numbers.ctypes.data + NUMBER * i, factor.ctypes.data))


@compiled
def double_all(points, times, pairs, work):
    """Replace every point (count, 12) by 2^times of it, batch after batch."""
    sources, targets, slopes, prefixes, kinds, constants, scratch = work
    base, gathered = points.ctypes.data, pairs.ctypes.data
    for start in range(0, points.shape[0], BATCH):
        count = min(BATCH, points.shape[0] - start)
        for _ in range(times):
            for i in range(count):
                point = base + POINT * (start + i)
                copy_words((gathered + POINT * 2 * i, point), 12)
                copy_words((gathered + POINT * (2 * i + 1), point), 12)
                sources[i], targets[i] = gathered + POINT * 2 * i, point
            add_pairs(count, sources, targets, slopes, prefixes, kinds, constants, scratch)
