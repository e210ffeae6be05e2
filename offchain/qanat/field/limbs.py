"""Compiled loops over elements of four 64-bit limbs.

An element is four ``uint64``, least significant first, canonical (below r). Products are Montgomery products with
R = 2^256, a*b/R mod r (see :mod:`qanat.field.emit`). Data stays canonical; the *factors* (twiddles, weights) are kept
times R, so that one Montgomery product of data and factor gives canonical data again, and nothing is ever converted
back.

Transforms and folds work on eight columns at a time, as the path keeps them (see :mod:`qanat.field.columns`).

Every loop releases the GIL and works on a range of columns, so callers split work between threads; the arrays must be
C-contiguous. Bounds: every value that is stored is below r; r is 0.45 * 2^256, so a sum of two is below 2^256, and a
product before its last subtraction is below 2r.
"""

# Numba compiles these functions from their bytecode; annotations would be wrong for it, and its stubs describe neither
# intrinsics nor unpacking. The typed face is fast.py.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numpy as np

from qanat.field.columns import (
    BLOCK,
    CARRY,
    FACTOR,
    LAYERS,
    LAZY,
    PIECE_BYTES,
    ROW,
    SUMS,
    accumulate,
    add_scaled,
    carry,
    load,
    reduce,
    scale,
    split,
    split_twice,
    store,
    turn_twice,
)
from qanat.field.compiled import compiled
from qanat.field.emit import all_zero, copy_words
from qanat.field.scalar import add_multiples, difference, multiples, product, total

FOLDED = 64
"""Columns that a fold keeps together: their sums, and what is read of one row, stay in the first cache."""

ELEMENT = 32
"""Bytes of an element."""


@compiled
def first_not_below(elements, limit):
    """Return the position of the first of (count, 4) elements that is not below the limit (4 limbs), or -1."""
    for position in range(elements.shape[0]):
        below = False
        for limb in range(3, -1, -1):
            if elements[position, limb] != limit[limb]:
                below = elements[position, limb] < limit[limb]
                break
        if not below:
            return position
    return -1


@compiled
def elementwise(operation, left, right, out, low, high):
    """Write left+right (0), left-right (1) or the Montgomery product (2) of (count, 4) arrays, from low to high."""
    a, b, to = left.ctypes.data, right.ctypes.data, out.ctypes.data
    for at in range(ELEMENT * low, ELEMENT * high, ELEMENT):
        if operation == 0:
            total((to + at, a + at, b + at))
        elif operation == 1:
            difference((to + at, a + at, b + at))
        else:
            product((to + at, a + at, b + at))


@compiled
def scale_rows(elements, factors, out, low, high):
    """Multiply row i of (rows, width, 4) by factor i (rows, 4), columns low to high."""
    source, factor, target = elements.ctypes.data, factors.ctypes.data, out.ctypes.data
    for row in range(elements.shape[0]):
        at = ELEMENT * (row * elements.shape[1] + low)
        multiples((target + at, source + at, factor + ELEMENT * row, high - low))


@compiled
def combine(weights, elements, out, low, high):
    """Write the matrix product of weights (m, rows, 4) and elements (rows, width, 4), columns low to high."""
    factors, source, target = weights.ctypes.data, elements.ctypes.data, out.ctypes.data
    rows, width = elements.shape[0], elements.shape[1]
    out[:, low:high] = np.uint64(0)
    for line in range(weights.shape[0]):
        for row in range(rows):
            factor = factors + ELEMENT * (line * rows + row)
            if not all_zero(factor, 4):
                add_multiples(
                    (
                        target + ELEMENT * (line * width + low),
                        source + ELEMENT * (row * width + low),
                        factor,
                        high - low,
                    )
                )


@compiled
def _copy(to, source, count):
    for i in range(count):
        copy_words((to + ELEMENT * i, source + ELEMENT * i), 4)


@compiled
def _carry_all(totals, parts):
    for line in range(FOLDED // BLOCK * parts):
        carry((totals + SUMS * line,))


@compiled
def _reduce(elements, totals, parts, constants, room):
    """Write eight elements from their sums, of one or two parts."""
    for part in range(parts):
        reduce((room + ROW * part, totals + SUMS * part, constants + 2 * FACTOR * part))
    if parts > 1:
        split((room, room + ROW))  # the sum is wanted, the difference is not
    store((elements, room))


@compiled
def fold(rows, weights, constants, flags, out, low, high):
    """Write the weighted sum of rows of big-endian elements, columns low to high.

    rows (count,) addresses; weights (count, parts, PIECE_BYTES/8), constants (parts, 2, FACTOR/8): R and R^2, both
    times 2^(128j) for piece j; flags (count,) is set where an element of the row is not below r. out (width, 4).
    Products are added up unreduced and reduced once.
    """
    parts = weights.shape[1]
    sums = np.empty((FOLDED // BLOCK * parts * SUMS // 8,), dtype=np.uint64)
    room = np.zeros((2 * ROW // 8,), dtype=np.uint64)
    short = np.zeros((BLOCK * ELEMENT // 8,), dtype=np.uint64)
    factor, totals, buffer = weights.ctypes.data, np.int64(sums.ctypes.data), np.int64(short.ctypes.data)
    for start in range(low, high, FOLDED):
        used = min(FOLDED, high - start)
        sums[:] = np.uint64(0)
        short[:] = np.uint64(0)
        for row in range(rows.shape[0]):
            source, flag = np.int64(rows[row]) + ELEMENT * start, flags.ctypes.data + 8 * row
            for c in range(0, used, BLOCK):
                values = source + ELEMENT * c
                if used - c < BLOCK:  # nothing behind the last column is touched
                    _copy(buffer, values, used - c)
                    values = buffer
                at = totals + parts * SUMS * (c // BLOCK)
                for part in range(parts):
                    accumulate((at + SUMS * part, values, factor + PIECE_BYTES * (row * parts + part), flag))
            if LAZY and row % CARRY == CARRY - 1:
                _carry_all(totals, parts)
        if LAZY:
            _carry_all(totals, parts)
        for c in range(0, used, BLOCK):
            _reduce(buffer, totals + parts * SUMS * (c // BLOCK), parts, constants.ctypes.data, room.ctypes.data)
            _copy(out.ctypes.data + ELEMENT * (start + c), buffer, min(BLOCK, used - c))
    short[0] = room[0] = np.uint64(0)  # keeps them alive until here


@compiled
def _transform_block(block, size, twiddles):
    """Transform a block of rows: bit-reversed order in, natural order out (decimation in time). Both are addresses.

    Two layers at a time (radix 4): a row is read and written half as often, and rows lie in the second cache. Where the
    number of layers is odd, the one without products comes first.
    """
    layers = 0
    while 1 << layers < size:
        layers += 1
    if layers % 2:
        for start in range(0, size, 2):
            split((block + ROW * start, block + ROW * (start + 1)))
    done = layers % 2
    while done < layers:
        if LAZY and done >= LAYERS and done % LAYERS == layers % 2:
            for row in range(size):  # times one: below 2r again
                scale((block + ROW * row, block + ROW * row, twiddles))
        # inner layer: factor j*stride; outer one: j*stride/2, and (j + half)*stride/2 = j*stride/2 + size/4
        half, step, quarter = ROW << done, size >> (done + 2), FACTOR * (size // 4)
        plain = 1 if done == 0 or not LAZY else 0  # else a product with one bounds what has to be bounded
        for start in range(0, size, 4 << done):
            first = block + ROW * start
            if plain:
                split_twice((first, first + half, first + 2 * half, first + 3 * half, twiddles + quarter))
            for j in range(plain, 1 << done):
                at, outer = first + ROW * j, twiddles + FACTOR * (j * step)
                inner = twiddles + FACTOR * (2 * j * step)
                turn_twice((at, at + half, at + 2 * half, at + 3 * half, inner, outer, outer + quarter))
        done += 2


@compiled
def _read(elements, used, room, row):
    """Load ``used`` of eight elements into a row; the rest is zero. Addresses, room for eight elements."""
    if used == BLOCK:
        load((row, elements))
        return
    _copy(room, elements, used)
    load((row, room))


@compiled
def _write(elements, used, room, row):
    """Store ``used`` of a row's eight elements."""
    if used == BLOCK:
        store((elements, row))
        return
    store((room, row))
    _copy(elements, room, used)


@compiled
def _read_rows(elements, start, used, reversal, short, block):
    """Load ``used`` columns from ``start`` on, row i to row reversal[i] of the block; the rest is zero."""
    source, target, width = elements.ctypes.data, block.ctypes.data, elements.shape[1]
    if elements.shape[0] < reversal.shape[0]:
        block[:] = np.uint64(0)
    short[:] = np.uint64(0)
    for row in range(elements.shape[0]):
        _read(source + ELEMENT * (row * width + start), used, short.ctypes.data, target + ROW * reversal[row])


@compiled
def transform(elements, twiddles, reversal, factor, out, low, high):
    """Transform columns low to high of (size, width, 4), natural order in and out, then multiply by the factor."""
    size, width = elements.shape[0], elements.shape[1]
    block = np.empty((size, ROW // 8), dtype=np.uint64)
    short = np.zeros((BLOCK * ELEMENT // 8,), dtype=np.uint64)
    rows, target = block.ctypes.data, out.ctypes.data
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        _read_rows(elements, start, used, reversal, short, block)
        _transform_block(rows, size, twiddles.ctypes.data)
        for row in range(size):
            scale((rows + ROW * row, rows + ROW * row, factor.ctypes.data))
            _write(target + ELEMENT * (row * width + start), used, short.ctypes.data, rows + ROW * row)


@compiled
def extend(data, inverse_twiddles, twiddles, reversal, shifts, out, low, high):
    """Write the parity rows of columns low to high.

    data (k, width, 4) with k <= K; shifts (cosets, K, FACTOR/8), times R: omega_N^((1+c)*i)/K for coefficient i and
    coset 1+c. out (n-k, width, 4): values on coset 1+c at rows c*K and after.
    """
    size, parity, width = shifts.shape[1], out.shape[0], out.shape[1]
    block = np.empty((size, ROW // 8), dtype=np.uint64)
    work = np.empty((size, ROW // 8), dtype=np.uint64)
    short = np.zeros((BLOCK * ELEMENT // 8,), dtype=np.uint64)
    values, shifted, factors, target = block.ctypes.data, work.ctypes.data, shifts.ctypes.data, out.ctypes.data
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        _read_rows(data, start, used, reversal, short, block)
        _transform_block(values, size, inverse_twiddles.ctypes.data)
        for coset in range(shifts.shape[0]):
            for row in range(size):
                factor = factors + FACTOR * (coset * size + row)
                scale((shifted + ROW * reversal[row], values + ROW * row, factor))
            _transform_block(shifted, size, twiddles.ctypes.data)
            for row in range(min(size, parity - coset * size)):
                to = target + ELEMENT * ((coset * size + row) * width + start)
                _write(to, used, short.ctypes.data, shifted + ROW * row)
    work[0, 0] = np.uint64(0)  # keeps it alive until here


@compiled
def recover(
    rows, positions, inward, inverse_twiddles, reversal, folding, small, twiddles, missing, outward, out, low, high
):
    """Write the missing data rows of columns low to high.

    rows (k, width, 4) at natural positions on the N-point domain; inward (k, ...): Z(x) at each, Z vanishing on every
    point that is not known. The inverse transform gives f*Z; folding (N, ...) is i/N for coefficient i, which turns it
    into x*(f*Z)'; coefficients are folded modulo x^K - 1, transformed on K points, and at a missing data point u give
    f(u)*u*Z'(u), which outward (missing, ...) divides. All factors times R. reversal is that of N, small that of K.
    """
    size, length, width = reversal.shape[0], small.shape[0], rows.shape[1]
    block = np.empty((size, ROW // 8), dtype=np.uint64)
    work = np.empty((length, ROW // 8), dtype=np.uint64)
    short = np.zeros((BLOCK * ELEMENT // 8,), dtype=np.uint64)
    source, values, folded = rows.ctypes.data, block.ctypes.data, work.ctypes.data
    inner, middle, outer, target = inward.ctypes.data, folding.ctypes.data, outward.ctypes.data, out.ctypes.data
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        block[:] = np.uint64(0)
        short[:] = np.uint64(0)
        for row in range(rows.shape[0]):
            to = values + ROW * reversal[positions[row]]
            _read(source + ELEMENT * (row * width + start), used, short.ctypes.data, to)
            scale((to, to, inner + FACTOR * row))
        _transform_block(values, size, inverse_twiddles.ctypes.data)
        work[:] = np.uint64(0)
        for row in range(size):
            add_scaled((folded + ROW * small[row % length], values + ROW * row, middle + FACTOR * row))
        _transform_block(folded, length, twiddles.ctypes.data)
        for row in range(missing.shape[0]):
            at = folded + ROW * missing[row]
            scale((at, at, outer + FACTOR * row))
            _write(target + ELEMENT * (row * width + start), used, short.ctypes.data, at)
    work[0, 0] = np.uint64(0)  # keeps it alive until here
