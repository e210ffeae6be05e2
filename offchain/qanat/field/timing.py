"""The arithmetic limit: how long products take on this machine, and how many a kernel cannot do without.

A kernel's limit is its number of products times the time of one. What it takes beyond that is memory, additions,
carries, calls. Numbers of products follow from the methods in docs/engine.md; they are those of the path ``portable``,
where the first butterfly of a run needs no product; ``ifma`` does it with a product by one after the first layer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from qanat.coding.points import points
from qanat.field import PAYLOAD_BYTES
from qanat.field.loops import products_in_turn, rows_in_turn

ADDITION_PRODUCTS = 6
"""Of an affine addition that shares its inversion: slope, square, y, and three for the shared inversion."""

REPETITIONS = 20_000


@dataclass(frozen=True)
class ProductTimes:
    """Nanoseconds of processor time per Montgomery product, independent products one after the other.

    :param scalar: of the scalar field, as transforms do them.
    :param base: of the base field, as additions of points do them.
    """

    scalar: float
    base: float


def product_ns(repetitions: int = REPETITIONS) -> ProductTimes:
    """Measure both fields' products on this machine and path, the best of five runs of some milliseconds."""
    rooms = [np.zeros((16, 64), dtype=np.uint64) for _ in range(2)]
    times = []
    for loop, room in zip((rows_in_turn, products_in_turn), rooms, strict=True):
        room[:, ::8] = 3
        count = int(loop(room, 1))
        best = float("inf")
        for _ in range(5):
            before = time.thread_time_ns()
            loop(room, repetitions)
            best = min(best, float(time.thread_time_ns() - before))
        times.append(best / (repetitions * count))
    return ProductTimes(*times)


def transform_products(size: int) -> int:
    """Return the products of one column's transform of a power of two of rows."""
    return size // 2 * (size.bit_length() - 1) - (size - 1)


def parity_products(k: int, n: int) -> float:
    """Return scalar products per byte of data of making all parity rows."""
    layout = points(k, n)
    cosets = -(-(n - k) // layout.size)
    whole = (1 + cosets) * transform_products(layout.size) + cosets * layout.size
    return whole / (PAYLOAD_BYTES * k)


def decode_products(k: int, n: int, missing: int) -> float:
    """Return scalar products per byte of data of restoring so many missing data rows, the locator left out."""
    layout = points(k, n)
    whole = transform_products(layout.domain) + transform_products(layout.size) + k + layout.domain + missing
    return whole / (PAYLOAD_BYTES * k)


def commitment_products(elements: int, bits: int, windows: int) -> int:
    """Return base products of one commitment with random digits, the inversions left out.

    All table entries but the few of digit zero are added up in their buckets, which takes one addition fewer for each
    bucket; and every bucket is added up twice, in its row and in its column of a square.
    """
    buckets, side = 1 << (bits - 1), 1 << (bits // 2)
    entries = elements * windows * (1 - 2.0**-bits)
    return round(ADDITION_PRODUCTS * (entries - buckets + 2 * (buckets - side)))
