"""What threshold keys are bound to, and the hashes that bind them: the same words as ``contracts/keys/Keys.sol``.

::

    R            = hash_to_G1(keccak(KEY_BASE, chain, contract, asset, key epoch))
    holders hash = keccak(KEY_HOLDERS, holder 1, ..., holder m)
    D            = keccak(KEY_DEALING, chain, contract, asset, key epoch, holders hash, t, root, keccak(published))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from eth_abi.abi import encode
from eth_hash.auto import keccak

from qanat.errors import BadParameters
from qanat.keys.curve import CurveKernel
from qanat.kzg.points import to_padded

MAX_HOLDERS = 64
"""Answers to a forced release are bits of one word on chain, beside what else it holds."""

BASE_TAG = b"QANAT_KEY_BASE_BLS12381G1_XMD:SHA-256_SSWU_RO_"
"""Domain tag under which R is hashed to the curve."""


def tag(name: str) -> bytes:
    """Return a domain tag as ``contracts/libraries/Tags.sol`` has it."""
    return keccak(f"qanat/v1/{name}".encode("ascii"))


@dataclass(frozen=True)
class KeyContext:
    """One key: of an asset, in a key epoch, dealt to these holders.

    :param contract: 20 bytes, the Keys contract.
    :param key_epoch: counts the asset's keys from 1 on.
    :param holders: 20 bytes each, in the order of their places; place i has the share at i + 1.

    Values that don't fit raise ``BadParameters``.
    """

    chain_id: int
    contract: bytes
    asset_id: int
    key_epoch: int
    holders: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.contract) != 20 or any(len(holder) != 20 for holder in self.holders):
            raise BadParameters("The contract and every holder are addresses of 20 bytes.")
        if not 1 <= len(self.holders) <= MAX_HOLDERS or len(set(self.holders)) != len(self.holders):
            raise BadParameters(f"A key has 1 to {MAX_HOLDERS} holders, all different.")
        numbers = (self.chain_id, self.asset_id, self.key_epoch)
        if not all(0 <= number < 1 << 256 for number in numbers) or self.key_epoch >= 1 << 32:
            raise BadParameters("Chain, asset and key epoch are unsigned; an epoch is below 2^32.")

    @cached_property
    def holders_hash(self) -> bytes:
        """Hash of the holders in their order."""
        return keccak(encode(["bytes32", "address[]"], [tag("key-holders"), list(self.holders)]))

    @property
    def identity(self) -> bytes:
        """What names the key without its holders, 128 bytes."""
        return encode(
            ["uint256", "address", "uint256", "uint32"],
            [self.chain_id, self.contract, self.asset_id, self.key_epoch],
        )

    def base(self, kernel: CurveKernel) -> bytes:
        """Return R: a point of G1 whose discrete logarithm nobody knows, different for every key."""
        return kernel.hash_to_g1(keccak(tag("key-base") + self.identity), BASE_TAG)

    def dealing_digest(self, threshold: int, root: bytes, published: bytes) -> bytes:
        """Return D: what every holder signs, and what shares and the dealer's proof are bound to."""
        types = ["bytes32", "uint256", "address", "uint256", "uint32", "bytes32", "uint256", "bytes32", "bytes32"]
        values = [
            tag("key-dealing"),
            self.chain_id,
            self.contract,
            self.asset_id,
            self.key_epoch,
            self.holders_hash,
            threshold,
            root,
            keccak(published),
        ]
        return keccak(encode(types, values))


def request_hash(identity: bytes, point: bytes) -> bytes:
    """Return what a licensee's signed request names as its recipient key: P, for one key of one contract and chain.

    :param identity: :attr:`KeyContext.identity`.
    """
    return keccak(tag("key-ask") + identity + point)


def possession_context(chain_id: int, contract: bytes, licensee: bytes) -> bytes:
    """Return what a licensee's proof of possession is bound to."""
    if len(contract) != 20 or len(licensee) != 20:
        raise BadParameters("Contract and licensee are addresses of 20 bytes.")
    return keccak(
        encode(["bytes32", "uint256", "address", "address"], [tag("key-request"), chain_id, contract, licensee])
    )


def challenge(bound: bytes, point: bytes, nonce_point: bytes) -> int:
    """Return Schnorr's challenge for two raw points of G1: keccak(bound ‖ point ‖ nonce point), padded, as it is."""
    return int.from_bytes(keccak(bound + to_padded(point) + to_padded(nonce_point)), "big")
