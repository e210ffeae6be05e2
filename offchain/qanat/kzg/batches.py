"""Many openings checked as one: what an auditor does with the answers of many operators.

Each answer claims that a weighted sum of committed polynomials takes a value at a point. With weights of the verifier's
own on top, all claims are one equation of two pairings, and all their points one sum; only where that does not hold
are they looked at in halves, until those that are wrong are found.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from qanat.errors import BadParameters, NonCanonicalElement
from qanat.field import MODULUS
from qanat.kzg.fast import COMBINED_FROM, tau_g2

__all__ = ["Opening", "bad_openings"]

_WEIGHT_BITS = 128


@dataclass(frozen=True)
class Opening:
    """The claim that the sum of weights[j] · points[j] opens to y at z.

    ``points``, ``proof``: 96 raw bytes each, of the subgroup, as :func:`qanat.kzg.decompress` gives them: that is not
    checked again. Raises :class:`BadParameters` and :class:`NonCanonicalElement` when made.
    """

    points: Sequence[bytes]
    weights: Sequence[int]
    z: int
    y: int
    proof: bytes

    def __post_init__(self) -> None:
        if not self.points or len(self.points) != len(self.weights):
            raise BadParameters(f"{len(self.points)} commitments and {len(self.weights)} weights.")
        for name in ("z", "y"):
            value = getattr(self, name)
            if not 0 <= value < MODULUS:
                raise NonCanonicalElement(f"{name} is not below the modulus.", value=value)


def bad_openings(openings: Sequence[Opening]) -> list[int]:
    """Return the positions of the openings that do not hold, ascending.

    A wrong one passes with probability 2^-128 at most: its weight is drawn here, at random, after all openings are
    known.
    """

    def search(positions: list[int]) -> list[int]:
        if not positions or _hold([openings[i] for i in positions]):
            return []
        if len(positions) == 1:
            return positions
        half = len(positions) // 2
        return search(positions[:half]) + search(positions[half:])

    return search(list(range(len(openings))))


def _hold(openings: Sequence[Opening]) -> bool:
    """Check e(Σ ρᵢ·(Cᵢ − yᵢ·G1 + zᵢ·πᵢ), G2) = e(Σ ρᵢ·πᵢ, τ·G2)."""
    ours = [1, *(secrets.randbits(_WEIGHT_BITS) for _ in openings[1:])]
    # a commitment that several openings name is multiplied once
    scalars: dict[bytes, int] = {}
    for item, own in zip(openings, ours, strict=True):
        for point, weight in zip(item.points, item.weights, strict=True):
            scalars[point] = scalars.get(point, 0) + own * weight
        scalars[item.proof] = scalars.get(item.proof, 0) + own * item.z
    value = sum(own * item.y for item, own in zip(openings, ours, strict=True)) % MODULUS
    left = _sum(list(scalars), [scalar % MODULUS for scalar in scalars.values()]) - G1Point() * Scalar(value)
    return bool(GT.pairing_check([left, -_sum([item.proof for item in openings], ours)], [G2Point(), tau_g2()]))


def _sum(raw: Sequence[bytes], scalars: Sequence[int]) -> G1Point:
    if len(raw) >= COMBINED_FROM:
        from qanat.kzg.points_in_words import combine

        return G1Point.from_xy_bytes_unchecked_be(combine(raw, scalars))
    points = [G1Point.from_xy_bytes_unchecked_be(point) for point in raw]
    return G1Point.multiexp_unchecked(points, [Scalar(scalar) for scalar in scalars])
