"""Dealing a key to holders: Shamir's shares, Feldman's commitments in G2 and the matching points of G1.

::

    f          a random polynomial of degree < t; s = f(0), s_i = f(i) for i = 1..m
    Y_i, Y'_i  [s_i] G2, [s_i] G1;  Y_0 = [s] G2
    key        AES-256-GCM key = HKDF-SHA256([s]R); it wraps the data key, once

A holder accepts only a share that fits its Y_i, under commitments that are one polynomial's of degree < t, in both
groups alike, from a dealer that shows that it knows s. All of that is bound to D (:mod:`qanat.keys.context`), so
neither the whole nor a part of a dealing means anything for another asset, key epoch, contract, chain or holder.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_hash.auto import keccak

from qanat.errors import BadParameters, DecryptionFailed, FormatError, InvalidPoint, InvalidProof
from qanat.field import MODULUS
from qanat.keys import schnorr
from qanat.keys.context import MAX_HOLDERS, KeyContext
from qanat.keys.curve import (
    G1_BYTES,
    G1_IDENTITY,
    G2_BYTES,
    check_g1,
    check_g2,
    curve_kernel,
    lagrange_at,
    multiply_g1,
)
from qanat.keys.encryption import DATA_KEY_BYTES

WRAPPED_BYTES = DATA_KEY_BYTES + 16

_MAGIC = b"QNTK"
_VERSION = 1
_HEAD_BYTES = 9
_WRAP_TAG = b"QANAT_KEY_WRAP_V1"


@dataclass(frozen=True)
class Commitments:
    """What everybody may know of a dealing.

    :param threshold: t; any t shares give the key.
    :param secret_point: Y_0, 192 bytes.
    :param points: Y_1 … Y_m, 192 bytes each.
    :param matches: Y'_1 … Y'_m, 96 bytes each.
    :param wrapped: the data key under the threshold key, 48 bytes.
    """

    threshold: int
    secret_point: bytes
    points: tuple[bytes, ...]
    matches: tuple[bytes, ...]
    wrapped: bytes

    def __post_init__(self) -> None:
        m = len(self.points)
        if not 1 <= self.threshold <= m <= MAX_HOLDERS or len(self.matches) != m:
            raise FormatError(f"{self.threshold} of {m} shares with {len(self.matches)} matching points is no dealing.")
        sizes = {len(point) for point in (self.secret_point, *self.points)}, {len(point) for point in self.matches}
        if sizes != ({G2_BYTES}, {G1_BYTES}) or len(self.wrapped) != WRAPPED_BYTES:
            raise FormatError("A dealing's points, or its wrapped key, have a wrong length.")

    @cached_property
    def levels(self) -> list[list[bytes]]:
        """The Merkle tree over Y_1 … Y_m, leaves first."""
        leaves = [keccak(b"\x00" + place.to_bytes(8, "big") + point) for place, point in enumerate(self.points)]
        leaves += [bytes(32)] * ((1 << (len(leaves) - 1).bit_length()) - len(leaves))
        levels = [leaves]
        while len(levels[-1]) > 1:
            below = levels[-1]
            levels.append([keccak(b"\x01" + below[at] + below[at + 1]) for at in range(0, len(below), 2)])
        return levels

    @property
    def root(self) -> bytes:
        """The tree's root: the chain checks a Y_i against it."""
        return self.levels[-1][0]

    def path(self, place: int) -> list[bytes]:
        """Return the siblings of a place's leaf, from the leaf up."""
        siblings = []
        for level in self.levels[:-1]:
            siblings.append(level[place ^ 1])
            place >>= 1
        return siblings

    @property
    def published(self) -> bytes:
        """What the chain is told besides the root: Y_0 ‖ Y'_1 ‖ … ‖ Y'_m ‖ wrapped key."""
        return self.secret_point + b"".join(self.matches) + self.wrapped

    def to_bytes(self) -> bytes:
        """Write the layout of docs/format.md."""
        head = _MAGIC + bytes([_VERSION]) + self.threshold.to_bytes(2, "big") + len(self.points).to_bytes(2, "big")
        return head + self.published + b"".join(self.points)

    @classmethod
    def from_bytes(cls, data: bytes) -> Commitments:
        """Read strictly; anything else raises ``FormatError``. Points are checked by :func:`check_commitments`."""
        if len(data) < _HEAD_BYTES or data[:5] != _MAGIC + bytes([_VERSION]):
            raise FormatError("These bytes are no dealing that this program knows.")
        threshold, m = int.from_bytes(data[5:7], "big"), int.from_bytes(data[7:9], "big")
        if len(data) != _HEAD_BYTES + G2_BYTES * (m + 1) + G1_BYTES * m + WRAPPED_BYTES:
            raise FormatError(f"A dealing to {m} holders has another length than {len(data)} bytes.", holders=m)
        at = _HEAD_BYTES + G2_BYTES
        matches = _cut(data[at : at + G1_BYTES * m], G1_BYTES)
        wrapped = data[at + G1_BYTES * m :][:WRAPPED_BYTES]
        points = _cut(data[at + G1_BYTES * m + WRAPPED_BYTES :], G2_BYTES)
        return cls(threshold, data[_HEAD_BYTES:at], points, matches, wrapped)


@dataclass(frozen=True)
class Dealing:
    """What the dealer has made: one share for each place, never shown by ``repr``.

    :param proof: 64 bytes, that the dealer knows s.
    """

    commitments: Commitments
    proof: bytes
    shares: tuple[int, ...] = field(repr=False)


def deal(context: KeyContext, threshold: int, data_key: bytes, *, kernel: str = "fast") -> Dealing:
    """Deal a fresh key that wraps ``data_key``: any ``threshold`` of the context's holders can release it.

    A threshold out of 1..m, or a data key that isn't 32 bytes, raises ``BadParameters``.
    """
    m = len(context.holders)
    if not 1 <= threshold <= m:
        raise BadParameters(f"{threshold} of {m} holders is no threshold.")
    # no coefficient, and so no share, is zero but with probability 2^-248
    return deal_polynomial(
        context, [1 + secrets.randbelow(MODULUS - 1) for _ in range(threshold)], data_key, kernel=kernel
    )


def deal_polynomial(
    context: KeyContext, coefficients: Sequence[int], data_key: bytes, *, kernel: str = "fast"
) -> Dealing:
    """Deal with given coefficients, lowest first: for test vectors. Never use coefficients twice."""
    if len(data_key) != DATA_KEY_BYTES:
        raise BadParameters(f"A data key has {DATA_KEY_BYTES} bytes, not {len(data_key)}.")
    curve = curve_kernel(kernel)
    shares = tuple(evaluate(coefficients, place + 1) for place in range(len(context.holders)))
    secret_point = curve.combine_g2([curve.g2], [coefficients[0]])
    commitments = Commitments(
        threshold=len(coefficients),
        secret_point=secret_point,
        points=tuple(curve.combine_g2([curve.g2], [share]) for share in shares),
        matches=tuple(multiply_g1(curve, curve.g1, share) for share in shares),
        wrapped=wrap(context, multiply_g1(curve, context.base(curve), coefficients[0]), secret_point, data_key),
    )
    proof = schnorr.prove(curve, coefficients[0], digest_of(context, commitments))
    return Dealing(commitments, proof, shares)


def evaluate(coefficients: Sequence[int], position: int) -> int:
    """Return a polynomial's value modulo r, coefficients lowest first (Horner)."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * position + coefficient) % MODULUS
    return value


def digest_of(context: KeyContext, commitments: Commitments) -> bytes:
    """Return D of a dealing."""
    return context.dealing_digest(commitments.threshold, commitments.root, commitments.published)


def check_commitments(context: KeyContext, commitments: Commitments, proof: bytes, *, kernel: str = "fast") -> None:
    """Check all that a holder checks before it looks at its share.

    Raises ``InvalidPoint`` (a point outside of the subgroup, or the identity), ``InvalidProof`` (no polynomial of
    degree < t; points of G1 and G2 that don't match; a dealer that doesn't know s), ``BadParameters`` (another number
    of holders).
    """
    curve = curve_kernel(kernel)
    m, t = len(commitments.points), commitments.threshold
    if m != len(context.holders):
        raise BadParameters(f"A dealing to {m} holders, not to {len(context.holders)}.")
    check_g2(curve, commitments.secret_point, "Y_0")
    for place in range(m):
        check_g2(curve, commitments.points[place], f"Y_{place + 1}")
        check_g1(curve, commitments.matches[place], f"Y'_{place + 1}")

    # one polynomial of degree < t: the first t points give all others, and the one at zero
    known = list(range(1, t + 1))
    for index in range(t + 1, m + 1):
        if curve.combine_g1(commitments.matches[:t], lagrange_at(known, index)) != commitments.matches[index - 1]:
            raise InvalidProof(f"The shares are no polynomial of degree below {t}.", index=index)
    secret_match = curve.combine_g1(commitments.matches[:t], lagrange_at(known, 0))

    # e(Y'_i, G2) = e(G1, Y_i) for all i at once; a false one passes with probability 2^-128
    weights = [1 + secrets.randbelow((1 << 128) - 1) for _ in range(m + 1)]
    left = curve.combine_g1((secret_match, *commitments.matches), weights)
    right = curve.combine_g2((commitments.secret_point, *commitments.points), weights)
    if not curve.pairings_equal(left, curve.g2, curve.g1, right):
        raise InvalidProof("The points of G1 and those of G2 are not of the same shares.")

    if not schnorr.proves(curve, secret_match, proof, digest_of(context, commitments)):
        raise InvalidProof("The dealer does not show that it knows the key, for this asset and these holders.")


def check_share(commitments: Commitments, place: int, share: int, *, kernel: str = "fast") -> None:
    """Raise ``InvalidProof`` unless a share is the one that its place's commitment is of."""
    curve = curve_kernel(kernel)
    if not 0 < share < MODULUS or not 0 <= place < len(commitments.points):
        raise InvalidProof("This is no share.", place=place)
    if curve.combine_g2([curve.g2], [share]) != commitments.points[place]:
        raise InvalidProof(f"The share does not fit Y_{place + 1}.", place=place)


def wrap(context: KeyContext, point: bytes, secret_point: bytes, data_key: bytes) -> bytes:
    """Return the data key, encrypted under the key of [s]R: 48 bytes. Each s wraps one data key."""
    cipher, bound = _cipher(context, point, secret_point)
    return cipher.encrypt(bytes(12), data_key, bound)


def unwrap(context: KeyContext, point: bytes, secret_point: bytes, wrapped: bytes) -> bytes:
    """Return the data key; another [s]R or context raises ``DecryptionFailed``."""
    cipher, bound = _cipher(context, point, secret_point)
    try:
        return cipher.decrypt(bytes(12), wrapped, bound)
    except InvalidTag as error:
        raise DecryptionFailed("The shares do not give the key that wraps this data key.") from error


def _cipher(context: KeyContext, point: bytes, secret_point: bytes) -> tuple[AESGCM, bytes]:
    """Return (cipher, additional data). The nonce is fixed: s is fresh, and wraps once."""
    if point == G1_IDENTITY:
        raise InvalidPoint("The identity is no key.")
    bound = context.identity + secret_point
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_WRAP_TAG + keccak(bound)).derive(point)
    return AESGCM(key), bound


def _cut(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[at : at + size] for at in range(0, len(data), size))
