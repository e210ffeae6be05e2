"""Compiled loops that do nothing but products: what :mod:`qanat.field.timing` measures."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from qanat.field import base, columns
from qanat.field.compiled import compiled


@compiled
def rows_in_turn(room, repetitions):
    """Scale four rows of eight elements by one factor, over and over; return how many products a repetition has."""
    rows = room.ctypes.data
    factor = rows + 4 * columns.ROW
    for _ in range(repetitions):
        for i in range(4):
            columns.scale((rows + columns.ROW * i, rows + columns.ROW * i, factor))
    return 4 * columns.BLOCK


@compiled
def products_in_turn(room, repetitions):
    """Do four products (portable), or four rows of eight, of the base field, over and over; return how many."""
    at = room.ctypes.data
    for _ in range(repetitions):
        for i in range(4):
            if base.LANES:
                base.rows_product((at + 512 * i, at + 512 * i, at + 2048))
            else:
                base.product((at + 48 * i, at + 48 * i, at + 2048))
    return 32 if base.LANES else 4
