"""Compiled loops that divide a blob's polynomial by X - z, in evaluation form.

Arrays are (count, 4) words of scalars. ``points`` are the roots of unity as a blob's elements lie, in Montgomery form,
as are z and all inverses; elements and quotients are plain. Source: consensus-specs, ``compute_kzg_proof_impl``.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from qanat.field.compiled import compiled
from qanat.field.emit import all_zero, copy_words
from qanat.field.scalar import difference, product, total

NUMBER = 32


@compiled
def distances(points, z, one, below, prefixes):
    """Write z - point_i, and the product of all before it to prefixes (count + 1, 4); return where it is zero, or -1.

    A zero is replaced by a one.
    """
    at = -1
    x, d, p, step = points.ctypes.data, below.ctypes.data, prefixes.ctypes.data, z.ctypes.data
    copy_words((p, one.ctypes.data), 4)
    for i in range(points.shape[0]):
        difference((d + NUMBER * i, step, x + NUMBER * i))
        if all_zero(d + NUMBER * i, 4):
            at = i
            copy_words((d + NUMBER * i, one.ctypes.data), 4)
        product((p + NUMBER * (i + 1), p + NUMBER * i, d + NUMBER * i))
    return at


@compiled
def invert_all(below, prefixes, inverse):
    """Replace each number by its inverse; ``inverse`` is that of the product of all, and is changed."""
    d, p, running = below.ctypes.data, prefixes.ctypes.data, inverse.ctypes.data
    for i in range(below.shape[0] - 1, -1, -1):
        product((p + NUMBER * i, p + NUMBER * i, running))
        product((running, running, d + NUMBER * i))
        copy_words((d + NUMBER * i, p + NUMBER * i), 4)


@compiled
def weighted_sum(elements, value, points, inverses, room, out):
    """Write the sum of (element_i - value) * point_i / (z - point_i); room is one number."""
    f, y, x, d, t, s = (
        elements.ctypes.data,
        value.ctypes.data,
        points.ctypes.data,
        inverses.ctypes.data,
        room.ctypes.data,
        out.ctypes.data,
    )
    difference((s, y, y))
    for i in range(elements.shape[0]):
        difference((t, f + NUMBER * i, y))
        product((t, t, x + NUMBER * i))
        product((t, t, d + NUMBER * i))
        total((s, s, t))


@compiled
def quotients(elements, value, inverses, out):
    """Write (element_i - value) / (point_i - z)."""
    f, y, d, q = elements.ctypes.data, value.ctypes.data, inverses.ctypes.data, out.ctypes.data
    for i in range(elements.shape[0]):
        difference((q + NUMBER * i, y, f + NUMBER * i))
        product((q + NUMBER * i, q + NUMBER * i, d + NUMBER * i))
