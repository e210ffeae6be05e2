"""Eight columns of a matrix's row at a time: what transforms and folds are made of, on whichever path.

A row of a block is eight elements, ``ROW`` bytes, as the path keeps them: on ``portable`` eight times four words of 64
bits, canonical; on ``ifma`` five vectors of 52-bit limbs (:mod:`qanat.field.lanes`), reduced as late as the bounds allow.
Factors are single numbers below r, times the path's R, ``FACTOR`` bytes. All operations take one tuple of addresses:

| operation | |
|---|---|
| ``load((row, elements))``, ``store((elements, row))`` | eight elements of four words, canonical, one after the other |
| ``scale((out, row, factor))`` | row * factor |
| ``add_scaled((out, row, factor))`` | out + row * factor |
| ``split((a, b))`` | (a + b, a - b) |
| ``split_twice((a, b, c, d, factor))`` | two layers: (a, b) and (c, d) are split, then (a, c), and (b, d * factor) |
| ``turn_twice((a, b, c, d, inner, outer, last))`` | two layers: ``turn`` (a, b) and (c, d) by inner, (a, c) by outer, (b, d) by last, where turning is (a + b * factor, a - b * factor) |
| ``accumulate((sums, bytes, factor, flag))`` | sums + bytes * factor, unreduced; big-endian elements anywhere, a factor of 128 bits; sets the flag if an element is not below r |
| ``carry((sums,))`` | due after every ``CARRY`` additions to sums, and before reduce |
| ``reduce((row, sums, factors))`` | sums with R taken out twice, the factors being R and R^2 times something |

With ``LAZY``, a row's numbers grow: loaded or scaled ones are below 2r, ``split`` makes 4r, ``split_twice`` 8r, and
``turn_twice`` 4r more. ``LAYERS`` layers end below 28r, one more (``split`` first) below 28r too, and R is 35r; then they
have to be scaled.
"""

# mypy: ignore-errors
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qanat.field import MODULUS
from qanat.field.compiled import PATH
from qanat.field.emit import words_of
from qanat.field.lanes import Lanes, limbs_of
from qanat.field.scalar import ARITHMETIC, WORDS

BLOCK = 8
"""Columns that lie together."""

LAZY = PATH != "portable"

LAYERS = 12
"""Even, so that it may be asked for between two passes of two layers."""

CARRY = 512

PIECE = 128
"""Bits of a factor of ``accumulate``."""

_LIMBS = 5
_LANES = Lanes("columns", MODULUS, _LIMBS, WORDS, native=PATH == "ifma")

if LAZY:
    MONTGOMERY = _LANES.montgomery
    ROW, FACTOR, SUMS, PIECE_BYTES = _LANES.row_bytes, 8 * _LIMBS, 8 * BLOCK * (_LIMBS + 3), 8 * 3
    load, store = _LANES.operation("load"), _LANES.operation("store")
    scale, add_scaled = _LANES.operation("scale"), _LANES.operation("add_scaled")
    split, split_twice, turn_twice = (_LANES.operation(name) for name in ("split", "split_twice", "turn_twice"))
    accumulate, carry, reduce = (_LANES.operation(name) for name in ("accumulate", "carry", "reduce"))
else:
    MONTGOMERY = ARITHMETIC.montgomery
    ROW, FACTOR, SUMS, PIECE_BYTES = 8 * WORDS * BLOCK, 8 * WORDS, 8 * BLOCK * (WORDS + 3), 8 * 2
    load = store = ARITHMETIC.operation("copies", BLOCK)
    scale, add_scaled = ARITHMETIC.operation("multiples", BLOCK), ARITHMETIC.operation("add_multiples", BLOCK)
    split, split_twice, turn_twice = (
        ARITHMETIC.operation(name, BLOCK) for name in ("sums_and_differences", "double_sums", "double_butterflies")
    )
    accumulate, reduce = ARITHMETIC.operation("accumulate", BLOCK), ARITHMETIC.operation("reduce", BLOCK)
    carry = load  # never called


def _split_up(value: int, count: int) -> list[int]:
    return limbs_of(value, count) if LAZY else words_of(value, count)


def row_factors(values: Sequence[int]) -> NDArray[np.uint64]:
    """Return values times R as rows are multiplied by them, shape (count, FACTOR/8)."""
    count = FACTOR // 8
    lines = [_split_up(value * MONTGOMERY % MODULUS, count) for value in values]
    return np.array(lines, dtype=np.uint64).reshape(len(lines), count)


def pieces(weights: Sequence[int], parts: int) -> NDArray[np.uint64]:
    """Return weights in pieces of 128 bits, lowest first, as ``accumulate`` takes them, shape (count, parts, ...)."""
    mask = (1 << PIECE) - 1
    lines = [
        _split_up(weight >> (PIECE * part) & mask, PIECE_BYTES // 8) for weight in weights for part in range(parts)
    ]
    return np.array(lines, dtype=np.uint64).reshape(len(weights), parts, PIECE_BYTES // 8)
