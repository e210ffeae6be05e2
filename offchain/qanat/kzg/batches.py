"""Many openings checked as one: what an auditor does with the answers of many operators.

Each answer claims that a weighted sum of committed polynomials takes a value at a point. With weights of the verifier's
own on top, all claims are one equation of two pairings, and all their points one sum; only where that does not hold
are they looked at in halves, until those that are wrong are found.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from qanat.errors import BadParameters, NonCanonicalElement
from qanat.field import MODULUS
from qanat.kzg.kernels import commitment_kernel

__all__ = ["Opening", "bad_openings"]

_WEIGHT_BITS = 128
#: The generator of G1, compressed. Source: draft-irtf-cfrg-pairing-friendly-curves, section 4.2.1.
_GENERATOR = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
_ZERO = bytes(32)


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
    """Check e(Σ ρᵢ·(Cᵢ − yᵢ·G1 + zᵢ·πᵢ), G2) = e(Σ ρᵢ·πᵢ, τ·G2): that the one sum opens to 0 at 0 by the other."""
    from qanat.kzg.points_in_words import combine

    group = commitment_kernel()
    ours = [1, *(secrets.randbits(_WEIGHT_BITS) for _ in openings[1:])]
    # a commitment that several openings name is multiplied once
    scalars: dict[bytes, int] = {}
    for item, own in zip(openings, ours, strict=True):
        for point, weight in zip(item.points, item.weights, strict=True):
            scalars[point] = scalars.get(point, 0) + own * weight
        scalars[item.proof] = scalars.get(item.proof, 0) + own * item.z
    generator = group.to_raw(group.decompress(_GENERATOR))
    value = sum(own * item.y for item, own in zip(openings, ours, strict=True))
    scalars[generator] = scalars.get(generator, 0) - value
    left = combine(list(scalars), [scalar % MODULUS for scalar in scalars.values()])
    right = combine([item.proof for item in openings], ours)
    # both are of the subgroup; reading them checks it once more
    commitment, proof = (group.compress(group.from_raw(point)) for point in (left, right))
    return group.verify(commitment, _ZERO, _ZERO, proof)
