"""The group operations of threshold keys on BLS12-381, fast and clear, behind one protocol.

Points travel in raw form (96 bytes of G1, 192 of G2; the identity is zeros), scalars as integers. Everything read is
checked to be on the curve and in the subgroup of order r. Hashing takes the padded form of EIP-2537, as contracts do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Protocol

from qanat.errors import BadParameters, InvalidPoint
from qanat.field import MODULUS
from qanat.kzg.points import RAW_BYTES, RAW_G2_BYTES

G1_BYTES, G2_BYTES = RAW_BYTES, RAW_G2_BYTES
G1_IDENTITY, G2_IDENTITY = bytes(G1_BYTES), bytes(G2_BYTES)


class CurveKernel(Protocol):
    """What threshold keys need of the curve. ``tests/unit/test_threshold.py`` runs every kernel on the same cases.

    Bytes that are no point of the subgroup raise ``InvalidPoint``. The identity is a point like any other here.
    """

    @property
    def name(self) -> str:
        """How the kernel is called."""
        ...

    @property
    def g1(self) -> bytes:
        """The generator of G1."""
        ...

    @property
    def g2(self) -> bytes:
        """The generator of G2."""
        ...

    def combine_g1(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Return the sum of scalars times points of G1; the identity for none."""
        ...

    def combine_g2(self, points: Sequence[bytes], scalars: Sequence[int]) -> bytes:
        """Return the sum of scalars times points of G2; the identity for none."""
        ...

    def pairings_equal(self, a: bytes, a2: bytes, b: bytes, b2: bytes) -> bool:
        """Say whether e(a, a2) = e(b, b2), a and b in G1."""
        ...

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        """Return RFC 9380's hash_to_curve (BLS12381G1_XMD:SHA-256_SSWU_RO_): nobody knows its discrete logarithm."""
        ...


def multiply_g1(kernel: CurveKernel, point: bytes, scalar: int) -> bytes:
    """Return scalar times a point of G1."""
    return kernel.combine_g1([point], [scalar])


def check_g1(kernel: CurveKernel, point: bytes, what: str) -> None:
    """Raise ``InvalidPoint`` unless the bytes are a point of G1's subgroup other than the identity."""
    if kernel.combine_g1([point], [1]) == G1_IDENTITY:
        raise InvalidPoint(f"{what} is the identity.", point=point)


def check_g2(kernel: CurveKernel, point: bytes, what: str) -> None:
    """Raise ``InvalidPoint`` unless the bytes are a point of G2's subgroup other than the identity."""
    if kernel.combine_g2([point], [1]) == G2_IDENTITY:
        raise InvalidPoint(f"{what} is the identity.", point=point)


def lagrange_at(indexes: Sequence[int], position: int) -> list[int]:
    """Return the weights with which values at distinct ``indexes`` give a polynomial's value at ``position``.

    Lagrange's formula, modulo r. Repeated indexes raise ``BadParameters``.
    """
    if len(set(indexes)) != len(indexes):
        raise BadParameters("A share is named twice.", indexes=list(indexes))
    weights = []
    for i in indexes:
        above, below = 1, 1
        for j in indexes:
            if j != i:
                above = above * (position - j) % MODULUS
                below = below * (i - j) % MODULUS
        weights.append(above * pow(below, -1, MODULUS) % MODULUS)
    return weights


@cache
def curve_kernel(name: str = "fast") -> CurveKernel:
    """Return the kernel called ``fast`` (arkworks) or ``reference`` (py_ecc); the same object every time.

    Where arkworks is not (Python 3.10), both are the reference: right, and slow.
    """
    if name == "reference" or (name == "fast" and find_spec("py_arkworks_bls12381") is None):
        from qanat.keys.curve_reference import ReferenceCurve

        return ReferenceCurve()
    if name == "fast":
        from qanat.keys.curve_fast import FastCurve

        return FastCurve()
    raise BadParameters(f"There is no curve kernel called {name!r}.", hint="Use 'fast' or 'reference'.")
