"""What operators sign for an object, computed from the record instead of asked of an endpoint.

Source: docs/protocol.md, "certificate digest"; the same words as ``Objects.certificateDigest``.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from qanat.chain.views import ObjectRecord

__all__ = ["certificate_digest", "certificate_list_digest", "object_id_of"]

_CERTIFICATE_TAG = keccak(text="qanat/v1/certificate")
_LIST_TAG = keccak(text="qanat/v1/certificate-list")
_OBJECT_TAG = keccak(text="qanat/v1/object")


def certificate_digest(chain_id: int, objects: str, object_id: bytes, record: ObjectRecord) -> bytes:
    """Return the 32-byte digest that a certificate of the object signs; ``objects`` is the contract's address."""
    kinds = ["bytes32", "uint256", "address", "bytes32", "uint32", "uint32", "bytes32", *["uint32"] * 5]
    values = [
        _CERTIFICATE_TAG,
        chain_id,
        objects,
        object_id,
        record.shard,
        record.roster,
        record.manifest_root,
        record.width,
        record.k,
        record.n,
        record.matrices,
        record.epochs,
    ]
    return bytes(keccak(encode(kinds, values)))


def certificate_list_digest(chain_id: int, objects: str, shard: int, roster: int, digests: Sequence[bytes]) -> bytes:
    """Return what is signed for a list of objects of one roster, whose certificate digests are given in its order."""
    kinds = ["bytes32", "uint256", "address", "uint32", "uint32", "bytes32"]
    values = [_LIST_TAG, chain_id, objects, shard, roster, keccak(b"".join(digests))]
    return bytes(keccak(encode(kinds, values)))


def object_id_of(chain_id: int, objects: str, owner: str, nonce: int, manifest_root: bytes) -> bytes:
    """Return the id of the object that an owner opens as its ``nonce``-th, counted from 0, of this manifest."""
    kinds = ["bytes32", "uint256", "address", "address", "uint256", "bytes32"]
    return bytes(keccak(encode(kinds, [_OBJECT_TAG, chain_id, objects, owner, nonce, manifest_root])))
