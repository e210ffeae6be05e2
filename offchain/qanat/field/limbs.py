"""Compiled loops over elements of four 64-bit limbs.

An element is four ``uint64``, least significant first, canonical (below r). Products are Montgomery products with
R = 2^256: ``montmul(a, b) = a*b/R mod r``. Data stays canonical; the *factors* (twiddles, weights) are kept times R, so
that one Montgomery product of data and factor gives canonical data again, and nothing is ever converted back.

The limb arithmetic is emitted as LLVM on ``i128`` and ``i256``, which the backend turns into mul, add-with-carry and
conditional moves. Every loop releases the GIL and works on a range of columns, so callers split work between threads.
Bounds: every value that is stored is below r; inside ``montmul`` the running sum stays below 2r < 2^256 (r < 2^255,
which is what lets the last carry be dropped: Acar's CIOS with a modulus whose top bit is clear).
"""

# Numba compiles these functions from their bytecode; annotations would be wrong for it, and its stubs describe neither
# intrinsics nor unpacking. The typed face is fast.py.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, ARG001

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

MODULUS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_MASK = (1 << 64) - 1
_LIMBS = [(MODULUS >> (64 * i)) & _MASK for i in range(4)]
_NEGATIVE_INVERSE = (-pow(MODULUS, -1, 1 << 64)) & _MASK  # -1/r mod 2^64

BLOCK = 8
"""Columns that a transform keeps together: 8 * 32 bytes per row keep 4,096 rows in 1 MiB."""

_I64, _I128, _I256 = ir.IntType(64), ir.IntType(128), ir.IntType(256)
_ELEMENT = types.UniTuple(types.uint64, 4)
_EIGHT = (types.uint64,) * 8


def _join(builder, limbs):
    value = builder.zext(limbs[0], _I256)
    for position in range(1, 4):
        part = builder.shl(builder.zext(limbs[position], _I256), ir.Constant(_I256, 64 * position))
        value = builder.or_(value, part)
    return value


def _split(context, builder, value):
    limbs = [builder.trunc(builder.lshr(value, ir.Constant(_I256, 64 * i)), _I64) for i in range(4)]
    return context.make_tuple(builder, _ELEMENT, limbs)


def _below_modulus(builder, value):
    """Subtract r once if the value is not below it."""
    modulus = ir.Constant(_I256, MODULUS)
    reduced = builder.sub(value, modulus)
    return builder.select(builder.icmp_unsigned(">=", value, modulus), reduced, value)


@intrinsic
def montmul(typingctx, a0, a1, a2, a3, b0, b1, b2, b3):
    """Return the limbs of a*b/2^256 mod r."""

    def emit(context, builder, signature, arguments):
        left, right = arguments[:4], arguments[4:]
        high = ir.Constant(_I128, 64)
        wide = [builder.zext(limb, _I128) for limb in left]
        modulus = [ir.Constant(_I128, limb) for limb in _LIMBS]
        total = [ir.Constant(_I64, 0)] * 4
        for limb in right:
            factor = builder.zext(limb, _I128)
            # t + a*b_i, carried in `a_carry`; + m*r, carried in `m_carry`, shifted down by one limb
            step = builder.add(builder.mul(wide[0], factor), builder.zext(total[0], _I128))
            low = builder.trunc(step, _I64)
            a_carry = builder.lshr(step, high)
            m = builder.zext(builder.mul(low, ir.Constant(_I64, _NEGATIVE_INVERSE)), _I128)
            m_carry = builder.lshr(builder.add(builder.mul(m, modulus[0]), builder.zext(low, _I128)), high)
            following = []
            for j in range(1, 4):
                step = builder.add(builder.mul(wide[j], factor), builder.zext(total[j], _I128))
                step = builder.add(step, a_carry)
                a_carry = builder.lshr(step, high)
                low = builder.trunc(step, _I64)
                step = builder.add(builder.mul(m, modulus[j]), builder.zext(low, _I128))
                step = builder.add(step, m_carry)
                m_carry = builder.lshr(step, high)
                following.append(builder.trunc(step, _I64))
            following.append(builder.trunc(builder.add(a_carry, m_carry), _I64))
            total = following
        return _split(context, builder, _below_modulus(builder, _join(builder, total)))

    return _ELEMENT(*_EIGHT), emit


@intrinsic
def addmod(typingctx, a0, a1, a2, a3, b0, b1, b2, b3):
    """Return the limbs of a+b mod r."""

    def emit(context, builder, signature, arguments):
        value = builder.add(_join(builder, arguments[:4]), _join(builder, arguments[4:]))
        return _split(context, builder, _below_modulus(builder, value))

    return _ELEMENT(*_EIGHT), emit


@intrinsic
def submod(typingctx, a0, a1, a2, a3, b0, b1, b2, b3):
    """Return the limbs of a-b mod r."""

    def emit(context, builder, signature, arguments):
        left, right = _join(builder, arguments[:4]), _join(builder, arguments[4:])
        value = builder.sub(left, right)
        borrowed = builder.icmp_unsigned("<", left, right)
        value = builder.select(borrowed, builder.add(value, ir.Constant(_I256, MODULUS)), value)
        return _split(context, builder, value)

    return _ELEMENT(*_EIGHT), emit


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def elementwise(operation, left, right, out, low, high):
    """Write left+right (0), left-right (1) or the Montgomery product (2) of (count, 4) arrays, from low to high."""
    for i in range(low, high):
        a0, a1, a2, a3 = left[i, 0], left[i, 1], left[i, 2], left[i, 3]
        b0, b1, b2, b3 = right[i, 0], right[i, 1], right[i, 2], right[i, 3]
        if operation == 0:
            c0, c1, c2, c3 = addmod(a0, a1, a2, a3, b0, b1, b2, b3)
        elif operation == 1:
            c0, c1, c2, c3 = submod(a0, a1, a2, a3, b0, b1, b2, b3)
        else:
            c0, c1, c2, c3 = montmul(a0, a1, a2, a3, b0, b1, b2, b3)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = c0, c1, c2, c3


@njit(cache=True, nogil=True)
def scale_rows(elements, factors, out, low, high):
    """Multiply row i of (rows, width, 4) by factor i (rows, 4), columns low to high."""
    for row in range(elements.shape[0]):
        f0, f1, f2, f3 = factors[row, 0], factors[row, 1], factors[row, 2], factors[row, 3]
        for c in range(low, high):
            r0, r1, r2, r3 = montmul(
                elements[row, c, 0], elements[row, c, 1], elements[row, c, 2], elements[row, c, 3], f0, f1, f2, f3
            )
            out[row, c, 0], out[row, c, 1], out[row, c, 2], out[row, c, 3] = r0, r1, r2, r3


@njit(cache=True, nogil=True)
def combine(weights, elements, out, low, high):
    """Write the matrix product of weights (m, rows, 4) and elements (rows, width, 4), columns low to high."""
    for line in range(weights.shape[0]):
        for c in range(low, high):
            out[line, c, 0] = out[line, c, 1] = out[line, c, 2] = out[line, c, 3] = np.uint64(0)
        for row in range(weights.shape[1]):
            f0, f1, f2, f3 = weights[line, row, 0], weights[line, row, 1], weights[line, row, 2], weights[line, row, 3]
            if f0 | f1 | f2 | f3 == 0:
                continue
            for c in range(low, high):
                p0, p1, p2, p3 = montmul(
                    elements[row, c, 0], elements[row, c, 1], elements[row, c, 2], elements[row, c, 3], f0, f1, f2, f3
                )
                s0, s1, s2, s3 = addmod(
                    out[line, c, 0], out[line, c, 1], out[line, c, 2], out[line, c, 3], p0, p1, p2, p3
                )
                out[line, c, 0], out[line, c, 1], out[line, c, 2], out[line, c, 3] = s0, s1, s2, s3


@njit(cache=True, nogil=True)
def products(points, roots, out, low, high):
    """Write the product of (x-u)*R over the roots u that differ from x, times R; everything already times R."""
    for i in range(low, high):
        x0, x1, x2, x3 = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
        v0, v1, v2, v3 = out[i, 0], out[i, 1], out[i, 2], out[i, 3]
        for j in range(roots.shape[0]):
            d0, d1, d2, d3 = submod(x0, x1, x2, x3, roots[j, 0], roots[j, 1], roots[j, 2], roots[j, 3])
            if d0 | d1 | d2 | d3 != 0:
                v0, v1, v2, v3 = montmul(v0, v1, v2, v3, d0, d1, d2, d3)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = v0, v1, v2, v3


@njit(cache=True, nogil=True)
def _decimate_in_frequency(block, twiddles):
    """Transform a (size, BLOCK, 4) block: natural order in, bit-reversed order out."""
    size = block.shape[0]
    half, stride = size // 2, 1
    while half >= 1:
        for start in range(0, size, 2 * half):
            for j in range(half):
                top, bottom, power = start + j, start + j + half, j * stride
                t0, t1, t2, t3 = twiddles[power, 0], twiddles[power, 1], twiddles[power, 2], twiddles[power, 3]
                for c in range(block.shape[1]):
                    a0, a1, a2, a3 = block[top, c, 0], block[top, c, 1], block[top, c, 2], block[top, c, 3]
                    b0, b1, b2, b3 = block[bottom, c, 0], block[bottom, c, 1], block[bottom, c, 2], block[bottom, c, 3]
                    s0, s1, s2, s3 = addmod(a0, a1, a2, a3, b0, b1, b2, b3)
                    d0, d1, d2, d3 = submod(a0, a1, a2, a3, b0, b1, b2, b3)
                    if power != 0:
                        d0, d1, d2, d3 = montmul(d0, d1, d2, d3, t0, t1, t2, t3)
                    block[top, c, 0], block[top, c, 1], block[top, c, 2], block[top, c, 3] = s0, s1, s2, s3
                    block[bottom, c, 0], block[bottom, c, 1], block[bottom, c, 2], block[bottom, c, 3] = d0, d1, d2, d3
        half //= 2
        stride *= 2


@njit(cache=True, nogil=True)
def _decimate_in_time(block, twiddles):
    """Transform a (size, BLOCK, 4) block: bit-reversed order in, natural order out."""
    size = block.shape[0]
    half, stride = 1, size // 2
    while half < size:
        for start in range(0, size, 2 * half):
            for j in range(half):
                top, bottom, power = start + j, start + j + half, j * stride
                t0, t1, t2, t3 = twiddles[power, 0], twiddles[power, 1], twiddles[power, 2], twiddles[power, 3]
                for c in range(block.shape[1]):
                    a0, a1, a2, a3 = block[top, c, 0], block[top, c, 1], block[top, c, 2], block[top, c, 3]
                    b0, b1, b2, b3 = block[bottom, c, 0], block[bottom, c, 1], block[bottom, c, 2], block[bottom, c, 3]
                    if power != 0:
                        b0, b1, b2, b3 = montmul(b0, b1, b2, b3, t0, t1, t2, t3)
                    s0, s1, s2, s3 = addmod(a0, a1, a2, a3, b0, b1, b2, b3)
                    d0, d1, d2, d3 = submod(a0, a1, a2, a3, b0, b1, b2, b3)
                    block[top, c, 0], block[top, c, 1], block[top, c, 2], block[top, c, 3] = s0, s1, s2, s3
                    block[bottom, c, 0], block[bottom, c, 1], block[bottom, c, 2], block[bottom, c, 3] = d0, d1, d2, d3
        half *= 2
        stride //= 2


@njit(cache=True, nogil=True)
def _clear(block):
    for row in range(block.shape[0]):
        for c in range(block.shape[1]):
            for limb in range(4):
                block[row, c, limb] = np.uint64(0)


@njit(cache=True, nogil=True)
def _load(elements, start, used, block):
    """Copy ``used`` columns from ``start`` on into the block; what is left of the block is zero."""
    _clear(block)
    for row in range(elements.shape[0]):
        for c in range(used):
            for limb in range(4):
                block[row, c, limb] = elements[row, start + c, limb]


@njit(cache=True, nogil=True)
def transform(elements, twiddles, reversal, scale, out, low, high):
    """Transform columns low to high of (size, width, 4), natural order in and out, then multiply by the scale."""
    size = elements.shape[0]
    block = np.empty((size, BLOCK, 4), dtype=np.uint64)
    f0, f1, f2, f3 = scale[0], scale[1], scale[2], scale[3]
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        _load(elements, start, used, block)
        _decimate_in_frequency(block, twiddles)
        for row in range(size):
            target = reversal[row]
            for c in range(used):
                r0, r1, r2, r3 = montmul(
                    block[row, c, 0], block[row, c, 1], block[row, c, 2], block[row, c, 3], f0, f1, f2, f3
                )
                out[target, start + c, 0], out[target, start + c, 1] = r0, r1
                out[target, start + c, 2], out[target, start + c, 3] = r2, r3


@njit(cache=True, nogil=True)
def extend(data, inverse_twiddles, twiddles, shifts, out, low, high):
    """Write the parity rows of columns low to high.

    data (k, width, 4) with k <= K; shifts (cosets, K, 4), in bit-reversed order, times R: row c holds
    omega_N^((1+c)*i)/K for coefficient i. out (n-k, width, 4): values on coset 1+c at rows c*K and after.
    """
    size = shifts.shape[1]
    parity = out.shape[0]
    block = np.empty((size, BLOCK, 4), dtype=np.uint64)
    work = np.empty((size, BLOCK, 4), dtype=np.uint64)
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        _load(data, start, used, block)
        _decimate_in_frequency(block, inverse_twiddles)
        for coset in range(shifts.shape[0]):
            for row in range(size):
                f0, f1, f2, f3 = (
                    shifts[coset, row, 0],
                    shifts[coset, row, 1],
                    shifts[coset, row, 2],
                    shifts[coset, row, 3],
                )
                for c in range(block.shape[1]):
                    r0, r1, r2, r3 = montmul(
                        block[row, c, 0], block[row, c, 1], block[row, c, 2], block[row, c, 3], f0, f1, f2, f3
                    )
                    work[row, c, 0], work[row, c, 1], work[row, c, 2], work[row, c, 3] = r0, r1, r2, r3
            _decimate_in_time(work, twiddles)
            for row in range(min(size, parity - coset * size)):
                for c in range(used):
                    for limb in range(4):
                        out[coset * size + row, start + c, limb] = work[row, c, limb]


@njit(cache=True, nogil=True)
def recover(rows, positions, inward, inverse_twiddles, folding, small, twiddles, missing, outward, out, low, high):
    """Write the missing data rows of columns low to high.

    rows (k, width, 4) at natural positions on the N-point domain; inward (k, 4): Z(x) at each, Z vanishing on every
    point that is not known. The inverse transform gives f*Z; folding (N, 4), in bit-reversed order, is i/N for
    coefficient i, which turns it into x*(f*Z)'; coefficients are folded modulo x^K - 1 (K = small), transformed on K
    points, and at a missing data point u give f(u)*u*Z'(u), which outward (missing, 4) divides. All factors times R.
    """
    size = folding.shape[0]
    group = size // small
    block = np.empty((size, BLOCK, 4), dtype=np.uint64)
    work = np.empty((small, BLOCK, 4), dtype=np.uint64)
    for start in range(low, high, BLOCK):
        used = min(BLOCK, high - start)
        _clear(block)
        for row in range(rows.shape[0]):
            target = positions[row]
            f0, f1, f2, f3 = inward[row, 0], inward[row, 1], inward[row, 2], inward[row, 3]
            for c in range(used):
                r0, r1, r2, r3 = montmul(
                    rows[row, start + c, 0],
                    rows[row, start + c, 1],
                    rows[row, start + c, 2],
                    rows[row, start + c, 3],
                    f0,
                    f1,
                    f2,
                    f3,
                )
                block[target, c, 0], block[target, c, 1], block[target, c, 2], block[target, c, 3] = r0, r1, r2, r3
        _decimate_in_frequency(block, inverse_twiddles)
        _clear(work)
        for row in range(size):
            target = row // group
            f0, f1, f2, f3 = folding[row, 0], folding[row, 1], folding[row, 2], folding[row, 3]
            for c in range(block.shape[1]):
                p0, p1, p2, p3 = montmul(
                    block[row, c, 0], block[row, c, 1], block[row, c, 2], block[row, c, 3], f0, f1, f2, f3
                )
                s0, s1, s2, s3 = addmod(
                    work[target, c, 0], work[target, c, 1], work[target, c, 2], work[target, c, 3], p0, p1, p2, p3
                )
                work[target, c, 0], work[target, c, 1], work[target, c, 2], work[target, c, 3] = s0, s1, s2, s3
        _decimate_in_time(work, twiddles)
        for row in range(missing.shape[0]):
            source = missing[row]
            f0, f1, f2, f3 = outward[row, 0], outward[row, 1], outward[row, 2], outward[row, 3]
            for c in range(used):
                r0, r1, r2, r3 = montmul(
                    work[source, c, 0], work[source, c, 1], work[source, c, 2], work[source, c, 3], f0, f1, f2, f3
                )
                out[row, start + c, 0], out[row, start + c, 1] = r0, r1
                out[row, start + c, 2], out[row, start + c, 3] = r2, r3
