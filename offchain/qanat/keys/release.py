"""Releasing a key: what a holder answers a licensee, what anyone checks of it, and how the licensee takes the key out.

::

    licensee   P = [x]G1, with a proof that it knows x, bound to chain, contract and licensee
    holder i   E_i = [s_i](R + P)
    anyone     e(E_i, G2) = e(R + P, Y_i)
    licensee   [s_i]R = E_i - [x]Y'_i;  any t of them interpolate to [s]R

Nobody but who knows x learns anything from an E_i. P, R and R+P are never the identity, all are in the subgroup.
The security argument: docs/decisions/0064.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from qanat.errors import BadParameters, InvalidPoint, InvalidProof, KeyUnavailable
from qanat.field import MODULUS
from qanat.keys import schnorr
from qanat.keys.context import KeyContext, possession_context
from qanat.keys.curve import G1_BYTES, G1_IDENTITY, G2_BYTES, check_g1, curve_kernel, lagrange_at, multiply_g1
from qanat.keys.shares import WRAPPED_BYTES, Commitments, unwrap


@dataclass(frozen=True)
class LicenseeKey:
    """A licensee's x and P = [x]G1, made for one license and key epoch; ``repr`` shows P only."""

    scalar: int = field(repr=False)
    kernel: str = field(default="fast", repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.scalar < MODULUS:
            raise BadParameters("A licensee's key lies between 1 and r-1.")

    @classmethod
    def generate(cls) -> LicenseeKey:
        """Draw a key from the system's randomness."""
        return cls(1 + secrets.randbelow(MODULUS - 1))

    @cached_property
    def point(self) -> bytes:
        """P, 96 bytes."""
        curve = curve_kernel(self.kernel)
        return multiply_g1(curve, curve.g1, self.scalar)

    def prove(self, chain_id: int, contract: bytes, licensee: bytes) -> bytes:
        """Return the proof of possession, 64 bytes, for one licensee of one Keys contract."""
        return schnorr.prove(curve_kernel(self.kernel), self.scalar, possession_context(chain_id, contract, licensee))


def check_possession(
    chain_id: int, contract: bytes, licensee: bytes, point: bytes, proof: bytes, *, kernel: str = "fast"
) -> None:
    """Raise ``InvalidPoint`` or ``InvalidProof`` unless the licensee has shown that it knows the logarithm of P."""
    curve = curve_kernel(kernel)
    check_g1(curve, point, "P")
    if not schnorr.proves(curve, point, proof, possession_context(chain_id, contract, licensee)):
        raise InvalidProof("The key was not shown to be this licensee's, on this chain and contract.")


def blinded_base(context: KeyContext, point: bytes, *, kernel: str = "fast") -> bytes:
    """Return R + P; the identity as P, R or R + P raises ``InvalidPoint``."""
    curve = curve_kernel(kernel)
    base = context.base(curve)
    check_g1(curve, point, "P")
    check_g1(curve, base, "R")
    total = curve.combine_g1([base, point], [1, 1])
    if total == G1_IDENTITY:
        raise InvalidPoint("R + P is the identity.", point=point)
    return total


def release(context: KeyContext, share: int, point: bytes, *, kernel: str = "fast") -> bytes:
    """Return E_i. The caller has checked the license, and P's proof (:func:`check_possession`)."""
    if not 0 < share < MODULUS:
        raise BadParameters("A share lies between 1 and r-1.")
    return multiply_g1(curve_kernel(kernel), blinded_base(context, point, kernel=kernel), share)


def is_right(blinded: bytes, commitment: bytes, answer: bytes, *, kernel: str = "fast") -> bool:
    """Say whether E_i is [s_i](R + P), by Y_i. Points outside of their subgroups, and the identity, are not."""
    curve = curve_kernel(kernel)
    try:
        check_g1(curve, answer, "E_i")
        return curve.pairings_equal(answer, curve.g2, blinded, commitment)
    except InvalidPoint:
        return False


def open_key(
    context: KeyContext,
    commitments: Commitments,
    key: LicenseeKey,
    answers: Mapping[int, bytes],
    *,
    kernel: str = "fast",
) -> bytes:
    """Return the data key from answers by place. Answers beyond t are not needed; wrong ones are named.

    Fewer than t right answers raise ``KeyUnavailable``, whose ``data["wrong"]`` names the places that lied.
    ``commitments`` must be those on chain: the caller compares their digest.
    """
    blinded = blinded_base(context, key.point, kernel=kernel)
    right: dict[int, bytes] = {}
    wrong = []
    for place, answer in sorted(answers.items()):
        if len(right) == commitments.threshold:
            break
        if not 0 <= place < len(commitments.points):
            raise BadParameters(f"There is no place {place}.")
        if is_right(blinded, commitments.points[place], answer, kernel=kernel):
            right[place] = answer
        else:
            wrong.append(place)
    if len(right) < commitments.threshold:
        raise KeyUnavailable(
            f"{len(right)} right answers of the {commitments.threshold} that open the key.",
            hint="Ask other holders, or force the release on chain.",
            right=sorted(right),
            wrong=wrong,
        )

    return interpolate_key(context, commitments.published, commitments.threshold, key, right, kernel=kernel)


def interpolate_key(
    context: KeyContext,
    published: bytes,
    threshold: int,
    key: LicenseeKey,
    answers: Mapping[int, bytes],
    *,
    kernel: str = "fast",
) -> bytes:
    """Return the data key from answers that are known to be right, as those that the chain took are.

    :param published: what the chain was told of the dealing, :attr:`Commitments.published`.

    Fewer than ``threshold`` raise ``KeyUnavailable``, wrong ones ``DecryptionFailed``.
    """
    if len(answers) < threshold:
        raise KeyUnavailable(f"{len(answers)} answers of the {threshold} that open the key.")
    curve = curve_kernel(kernel)
    places = sorted(answers)[:threshold]
    secret_point, wrapped = published[:G2_BYTES], published[-WRAPPED_BYTES:]
    unblinded = []
    for place in places:
        match = published[G2_BYTES + G1_BYTES * place :][:G1_BYTES]
        unblinded.append(curve.combine_g1([answers[place], match], [1, -key.scalar]))
    point = curve.combine_g1(unblinded, lagrange_at([place + 1 for place in places], 0))
    return unwrap(context, point, secret_point, wrapped)
