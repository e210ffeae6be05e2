"""A holder's part: taking a share only if everything fits, acknowledging it, and answering what is licensed.

What the chain says of a license is asked by the caller (at the newest and at the newest final block); where shares are
kept, and how requests come, is the caller's too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_abi.abi import encode
from eth_hash.auto import keccak

from qanat.bls import SecretKey
from qanat.errors import BadParameters, NotLicensed
from qanat.keys.context import KeyContext, tag
from qanat.keys.release import check_possession, release
from qanat.keys.seal import SealingKey
from qanat.keys.sealed_share import open_share
from qanat.keys.shares import Commitments, check_commitments, check_share, digest_of


@dataclass(frozen=True)
class HeldShare:
    """A share that passed every check, never shown by ``repr``."""

    context: KeyContext
    commitments: Commitments
    place: int
    share: int = field(repr=False)

    @property
    def digest(self) -> bytes:
        """D: what this holder signs of the dealing."""
        return digest_of(self.context, self.commitments)

    def acknowledge(self, key: SecretKey) -> bytes:
        """Return the holder's signature of the dealing: after it, a wrong answer is the holder's fault."""
        return key.sign(self.digest)


@dataclass(frozen=True)
class Receipt:
    """What a holder signs of a release; the same fields as ``KeyReceipt`` on chain.

    :param block_number: the newest block in which the license was seen in force.
    :param point: P. :param answer: E.
    """

    asset_id: int
    key_epoch: int
    place: int
    license_id: int
    licensee: bytes
    block_number: int
    point: bytes
    answer: bytes

    def digest(self, chain_id: int, contract: bytes) -> bytes:
        """Return what is signed with the roster's BLS key."""
        types = ["bytes32", "uint256", "address", "uint256", "uint32", "uint8", "uint256", "address", "uint48"]
        values = [tag("key-receipt"), chain_id, contract, self.asset_id, self.key_epoch, self.place, self.license_id]
        values += [self.licensee, self.block_number, keccak(self.point), keccak(self.answer)]
        return keccak(encode([*types, "bytes32", "bytes32"], values))


def accept_share(
    context: KeyContext,
    commitments: Commitments,
    proof: bytes,
    place: int,
    sealed: bytes,
    sealing_key: SealingKey,
    *,
    holder: bytes,
    kernel: str = "fast",
) -> HeldShare:
    """Check a dealing as a whole, then open and check the own share.

    ``context`` is what the chain says (asset, key epoch, holders by place), never what the dealer says. Raises what
    the checks raise, ``DecryptionFailed`` for another's share, ``BadParameters`` where the place is not this holder's.
    """
    if not 0 <= place < len(context.holders) or context.holders[place] != holder:
        raise BadParameters(f"Place {place} of this key is not this holder's.", place=place)
    check_commitments(context, commitments, proof, kernel=kernel)
    share = open_share(sealed, digest_of(context, commitments), place, holder, sealing_key)
    check_share(commitments, place, share, kernel=kernel)
    return HeldShare(context, commitments, place, share)


def answer_request(
    held: HeldShare,
    license_id: int,
    licensee: bytes,
    point: bytes,
    possession: bytes,
    *,
    licensed_final: bool,
    licensed_now: bool,
    block_number: int,
    kernel: str = "fast",
) -> Receipt:
    """Return the answer to P with the receipt to be signed.

    :param licensed_final: whether the license was this licensee's, of this asset and in force in the newest final
        block; ``licensed_now``: in ``block_number``, the newest.

    Both must hold, else ``NotLicensed``; a P that was not proven to be this licensee's raises ``InvalidProof`` or
    ``InvalidPoint``.
    """
    if not (licensed_final and licensed_now):
        when = "in the newest final block" if licensed_now else "now"
        raise NotLicensed(f"License {license_id} is not in force {when}.", license_id=license_id)
    context = held.context
    check_possession(context.chain_id, context.contract, licensee, point, possession, kernel=kernel)
    answer = release(context, held.share, point, kernel=kernel)
    names = (context.asset_id, context.key_epoch, held.place, license_id, licensee)
    return Receipt(*names, block_number, point, answer)
