"""Compiled loops over elements of four 64-bit limbs.

An element is four ``uint64``, least significant first, canonical (below r). Products are Montgomery products with
R = 2^256, a*b/R mod r (see :mod:`qanat.field.emit`). Data stays canonical; the *factors* (twiddles, weights) are kept
times R, so that one Montgomery product of data and factor gives canonical data again, and nothing is ever converted
back.

Every loop releases the GIL and works on a range of columns, so callers split work between threads; the arrays must be
C-contiguous. Bounds: every value that is stored is below r; r is 0.45 * 2^256, so a sum of two is below 2^256, and a
product before its last subtraction is below 2r. There is no room for laziness beyond that in four limbs.
"""

# Numba compiles these functions from their bytecode; annotations would be wrong for it, and its stubs describe neither
# intrinsics nor unpacking. The typed face is fast.py.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numpy as np

from qanat.field.compiled import compiled
from qanat.field.emit import all_zero, copy_words
from qanat.field.scalar import (
    accumulate,
    add_multiples,
    butterflies_in_frequency,
    butterflies_in_time,
    difference,
    multiples,
    product,
    sums_and_differences,
    total,
)

BLOCK = 8
"""Columns that a transform keeps together: 8 * 32 bytes per row keep 4,096 rows in 1 MiB."""

ELEMENT = 32
"""Bytes of an element."""

FOLDED = 64
"""Columns that a fold keeps together: their sums, and what is read of one row, stay in the first cache."""

ROW = BLOCK * ELEMENT
"""Bytes of a block's row."""


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
def fold(rows, weights, constants, flags, out, low, high):
    """Write the weighted sum of rows of big-endian elements, columns low to high.

    rows (count,) addresses; weights (count, parts, 2): each weight's pieces of 128 bits, lowest first, plain; constants
    (parts, 2, 4): R * 2^(128j) and R^2 * 2^(128j) for piece j. flags (count,) is set where an element of the row is not
    below r. out (width, 4).

    Products are added up unreduced, seven words each, and reduced once: such a sum is l + h * 2^256, h < 2^192, and the
    Montgomery products R*l/R and R^2*h/R add up to it. In a product the left number is below r; the right one may be
    any four words, as the bounds do not depend on it.
    """
    parts = weights.shape[1]
    sums = np.empty((parts, FOLDED, 7), dtype=np.uint64)
    room = np.zeros((2, 4), dtype=np.uint64)
    factor, by, totals, t = weights.ctypes.data, constants.ctypes.data, sums.ctypes.data, room.ctypes.data
    for start in range(low, high, FOLDED):
        used = min(FOLDED, high - start)
        sums[:] = np.uint64(0)
        for row in range(rows.shape[0]):
            values = np.int64(rows[row]) + ELEMENT * start
            for part in range(parts):
                at = totals + 56 * FOLDED * part
                accumulate((at, values, factor + 16 * (row * parts + part), flags.ctypes.data + 8 * row, used))
        for c in range(used):
            to = out.ctypes.data + ELEMENT * (start + c)
            out[start + c, :] = np.uint64(0)
            for part in range(parts):
                at = totals + 56 * (FOLDED * part + c)
                product((t, by + 64 * part, at))
                total((to, to, t))
                copy_words((t + ELEMENT, at + ELEMENT), 3)
                product((t, by + 64 * part + ELEMENT, t + ELEMENT))
                total((to, to, t))


@compiled
def products(points, roots, out, low, high):
    """Write the product of (x-u)*R over the roots u that differ from x, times R; everything already times R."""
    x, u, to = points.ctypes.data, roots.ctypes.data, out.ctypes.data
    room = np.empty(4, dtype=np.uint64)
    d = room.ctypes.data
    for i in range(low, high):
        for j in range(roots.shape[0]):
            difference((d, x + ELEMENT * i, u + ELEMENT * j))
            if not all_zero(d, 4):
                product((to + ELEMENT * i, to + ELEMENT * i, d))
    room[0] = np.uint64(0)  # keeps it alive until here


@compiled
def _decimate_in_frequency(block, size, twiddles):
    """Transform a (size, BLOCK, 4) block: natural order in, bit-reversed order out. Both are addresses."""
    half, stride = size // 2, 1
    while half >= 1:
        for start in range(0, size, 2 * half):
            top, bottom = block + ROW * start, block + ROW * (start + half)
            sums_and_differences((top, bottom, BLOCK))
            for j in range(1, half):
                factor = twiddles + ELEMENT * (j * stride)
                butterflies_in_frequency((top + ROW * j, bottom + ROW * j, factor, BLOCK))
        half //= 2
        stride *= 2


@compiled
def _decimate_in_time(block, size, twiddles):
    """Transform a (size, BLOCK, 4) block: bit-reversed order in, natural order out. Both are addresses."""
    half, stride = 1, size // 2
    while half < size:
        for start in range(0, size, 2 * half):
            top, bottom = block + ROW * start, block + ROW * (start + half)
            sums_and_differences((top, bottom, BLOCK))
            for j in range(1, half):
                factor = twiddles + ELEMENT * (j * stride)
                butterflies_in_time((top + ROW * j, bottom + ROW * j, factor, BLOCK))
        half *= 2
        stride //= 2


@compiled
def _load(elements, start, used, block):
    """Copy ``used`` columns from ``start`` on into the block (size, BLOCK, 4); what is left of the block is zero."""
    source, target, width = elements.ctypes.data, block.ctypes.data, elements.shape[1]
    if used < BLOCK or elements.shape[0] < block.shape[0]:
        block[:] = np.uint64(0)
    for row in range(elements.shape[0]):
        for c in range(used):
            copy_words((target + ROW * row + ELEMENT * c, source + ELEMENT * (row * width + start + c)), 4)


@compiled
def _keep(block, row, out, target, start, used):
    """Copy a row of a block to ``used`` columns of row ``target`` of out (rows, width, 4)."""
    source = block.ctypes.data + ROW * row
    to = out.ctypes.data + ELEMENT * (target * out.shape[1] + start)
    for c in range(used):
        copy_words((to + ELEMENT * c, source + ELEMENT * c), 4)


@compiled
def transform(elements, twiddles, reversal, scale, out, low, high):
    """Transform columns low to high of (size, width, 4), natural order in and out, then multiply by the scale."""
    size = elements.shape[0]
    block = np.empty((size, BLOCK, 4), dtype=np.uint64)
    rows, factor = block.ctypes.data, scale.ctypes.data
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        _load(elements, start, used, block)
        _decimate_in_frequency(rows, size, twiddles.ctypes.data)
        multiples((rows, rows, factor, size * BLOCK))
        for row in range(size):
            _keep(block, row, out, reversal[row], start, used)


@compiled
def extend(data, inverse_twiddles, twiddles, shifts, out, low, high):
    """Write the parity rows of columns low to high.

    data (k, width, 4) with k <= K; shifts (cosets, K, 4), in bit-reversed order, times R: row c holds
    omega_N^((1+c)*i)/K for coefficient i. out (n-k, width, 4): values on coset 1+c at rows c*K and after.
    """
    size = shifts.shape[1]
    parity = out.shape[0]
    block = np.empty((size, BLOCK, 4), dtype=np.uint64)
    work = np.empty((size, BLOCK, 4), dtype=np.uint64)
    values, shifted, factors = block.ctypes.data, work.ctypes.data, shifts.ctypes.data
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        _load(data, start, used, block)
        _decimate_in_frequency(values, size, inverse_twiddles.ctypes.data)
        for coset in range(shifts.shape[0]):
            for row in range(size):
                factor = factors + ELEMENT * (coset * size + row)
                multiples((shifted + ROW * row, values + ROW * row, factor, BLOCK))
            _decimate_in_time(shifted, size, twiddles.ctypes.data)
            for row in range(min(size, parity - coset * size)):
                _keep(work, row, out, coset * size + row, start, used)


@compiled
def recover(rows, positions, inward, inverse_twiddles, folding, small, twiddles, missing, outward, out, low, high):
    """Write the missing data rows of columns low to high.

    rows (k, width, 4) at natural positions on the N-point domain; inward (k, 4): Z(x) at each, Z vanishing on every
    point that is not known. The inverse transform gives f*Z; folding (N, 4), in bit-reversed order, is i/N for
    coefficient i, which turns it into x*(f*Z)'; coefficients are folded modulo x^K - 1 (K = small), transformed on K
    points, and at a missing data point u give f(u)*u*Z'(u), which outward (missing, 4) divides. All factors times R.
    """
    size, width = folding.shape[0], rows.shape[1]
    group = size // small
    block = np.empty((size, BLOCK, 4), dtype=np.uint64)
    work = np.empty((small, BLOCK, 4), dtype=np.uint64)
    source, values, folded = rows.ctypes.data, block.ctypes.data, work.ctypes.data
    inner, middle, outer = inward.ctypes.data, folding.ctypes.data, outward.ctypes.data
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        block[:] = np.uint64(0)
        for row in range(rows.shape[0]):
            to = values + ROW * positions[row]
            multiples((to, source + ELEMENT * (row * width + start), inner + ELEMENT * row, used))
        _decimate_in_frequency(values, size, inverse_twiddles.ctypes.data)
        work[:] = np.uint64(0)
        for row in range(size):
            add_multiples((folded + ROW * (row // group), values + ROW * row, middle + ELEMENT * row, BLOCK))
        _decimate_in_time(folded, small, twiddles.ctypes.data)
        for row in range(missing.shape[0]):
            at = folded + ROW * missing[row]
            multiples((at, at, outer + ELEMENT * row, BLOCK))
            _keep(work, missing[row], out, row, start, used)
