"""A record: up to 64 KiB − 1 of anybody's bytes, signed by who sends them. Formats: docs/format.md, "Records".

A sender is an Ethereum address; what it signs is EIP-712 typed data, so any wallet can send records::

    domain   {name: "Qanat records", version: "1", chainId, verifyingContract: Objects}
    Record   {bytes32 stream, uint64 nonce, bytes payload}

``stream`` names the collection: a record of one stream is worth nothing in another. ``nonce`` counts a sender's records
in a stream upwards, with gaps where it likes, so none can be played twice.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from coincurve import PublicKey
from eth_hash.auto import keccak

from qanat.chain.signer import Signer
from qanat.errors import BadParameters, InvalidSignature, MalformedRecord
from qanat.records.hashing import hash_each, hash_rows

__all__ = [
    "HEAD_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_RECORD_BYTES",
    "Record",
    "SigningDomain",
    "recovered_senders",
    "sign_record",
    "split_records",
    "verify_record",
]

HEAD_BYTES = 20 + 8 + 65 + 2
MAX_PAYLOAD_BYTES = (1 << 16) - 1
MAX_RECORD_BYTES = HEAD_BYTES + MAX_PAYLOAD_BYTES
MAX_NONCE = (1 << 64) - 1

_HEAD = struct.Struct(">20sQ65sH")
_TYPE = "Record(bytes32 stream,uint64 nonce,bytes payload)"
_TYPES = {
    "Record": [
        {"name": "stream", "type": "bytes32"},
        {"name": "nonce", "type": "uint64"},
        {"name": "payload", "type": "bytes"},
    ]
}
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
#: Order of secp256k1: a signature whose s lies above half of it is a second form of another one (EIP-2).
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@dataclass(frozen=True)
class SigningDomain:
    """Where a record belongs: a chain, its contract ``Objects``, and a stream of 32 bytes."""

    chain_id: int
    objects: str
    stream: bytes

    def __post_init__(self) -> None:
        if len(self.stream) != 32:
            raise BadParameters(f"A stream's name has 32 bytes, not {len(self.stream)}.")

    @property
    def fields(self) -> dict[str, Any]:
        """The EIP-712 domain, as wallets take it."""
        return {
            "name": "Qanat records",
            "version": "1",
            "chainId": self.chain_id,
            "verifyingContract": self.objects,
        }

    @cached_property
    def separator(self) -> bytes:
        """The domain's hash (EIP-712)."""
        return _separator(self.chain_id, self.objects)


@lru_cache(maxsize=64)
def _separator(chain_id: int, objects: str) -> bytes:
    parts = [keccak(_DOMAIN_TYPE.encode()), keccak(b"Qanat records"), keccak(b"1"), chain_id.to_bytes(32, "big")]
    return keccak(b"".join(parts) + bytes.fromhex(objects.removeprefix("0x")).rjust(32, b"\0"))


_TYPE_HASH = keccak(_TYPE.encode())


@dataclass(frozen=True)
class Record:
    """A signed record. ``sender``: 20 bytes. ``signature``: r ‖ s ‖ v, 65 bytes, not yet verified.

    Values out of range raise :class:`MalformedRecord`.
    """

    sender: bytes
    nonce: int
    payload: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.sender) != 20 or not 0 <= self.nonce <= MAX_NONCE or len(self.signature) != 65:
            raise MalformedRecord("A record has a sender of 20 bytes, a nonce below 2^64, a signature of 65 bytes.")
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            raise MalformedRecord(f"A record carries at most {MAX_PAYLOAD_BYTES} bytes, not {len(self.payload)}.")

    @property
    def key(self) -> tuple[bytes, int]:
        """Sender and nonce: what a bundle is ordered by."""
        return self.sender, self.nonce

    def to_bytes(self) -> bytes:
        """Write the record."""
        return _HEAD.pack(self.sender, self.nonce, self.signature, len(self.payload)) + self.payload

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """Read a record strictly: missing or trailing bytes raise :class:`MalformedRecord`."""
        if len(data) < HEAD_BYTES:
            raise MalformedRecord(f"A record has at least {HEAD_BYTES} bytes, this has {len(data)}.")
        sender, nonce, signature, length = _HEAD.unpack_from(data)
        if len(data) != HEAD_BYTES + length:
            raise MalformedRecord(f"This record should have {HEAD_BYTES + length} bytes and has {len(data)}.")
        return cls(sender, nonce, bytes(data[HEAD_BYTES:]), signature)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "sender": "0x" + self.sender.hex(),
            "nonce": self.nonce,
            "payload": "0x" + self.payload.hex(),
            "signature": "0x" + self.signature.hex(),
        }


def sign_record(signer: Signer, domain: SigningDomain, nonce: int, payload: bytes) -> Record:
    """Return a record signed by an account."""
    message = {"stream": domain.stream, "nonce": nonce, "payload": payload}
    sender = bytes.fromhex(signer.address.removeprefix("0x"))
    return Record(sender, nonce, payload, signer.sign_typed_data(domain.fields, _TYPES, message))


def split_records(data: bytes) -> list[bytes]:
    """Split records that stand one behind the other. Raises :class:`MalformedRecord` where one is cut short."""
    found: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        stop = at + HEAD_BYTES
        if stop <= end:
            stop += data[stop - 2] << 8 | data[stop - 1]
        if stop > end:
            raise MalformedRecord(f"Record {len(found)} is cut short.", position=len(found))
        found.append(data[at:stop])
        at = stop
    return found


def digests(domain: SigningDomain, records: Sequence[bytes]) -> list[bytes]:
    """Return what the senders of whole records signed (EIP-712)."""
    count = len(records)
    joined = np.frombuffer(b"".join(records), dtype=np.uint8)
    lengths = np.fromiter(map(len, records), dtype=np.int64, count=count)
    starts = np.cumsum(lengths) - lengths
    words = np.zeros((count, 128), dtype=np.uint8)
    words[:, :32] = np.frombuffer(_TYPE_HASH, dtype=np.uint8)
    words[:, 32:64] = np.frombuffer(domain.stream, dtype=np.uint8)
    words[:, 88:96] = joined[starts[:, None] + np.arange(20, 28)]
    words[:, 96:] = hash_each(joined, starts + HEAD_BYTES, lengths - HEAD_BYTES)
    signed = np.empty((count, 66), dtype=np.uint8)
    signed[:, :34] = np.frombuffer(b"\x19\x01" + domain.separator, dtype=np.uint8)
    signed[:, 34:] = hash_rows(words)
    whole = hash_rows(signed).tobytes()
    return [whole[at : at + 32] for at in range(0, 32 * count, 32)]


def recovered_senders(domain: SigningDomain, records: Sequence[bytes]) -> list[bytes | None]:
    """Return for whole records who signed each: an address of 20 bytes, None where the signature is of no key.

    A signature has one form only: v is 27 or 28, and s is not above half the order.
    """
    if not records:
        return []
    keys: list[bytes | None] = []
    for record, digest in zip(records, digests(domain, records), strict=True):
        keys.append(_recover(record[28:93], digest))
    good = [key for key in keys if key is not None]
    if not good:
        return [None] * len(keys)
    hashes = hash_rows(np.frombuffer(b"".join(good), dtype=np.uint8).reshape(-1, 64))
    addresses = iter(hashes[:, 12:])
    return [None if key is None else next(addresses).tobytes() for key in keys]


def _recover(signature: bytes, digest: bytes) -> bytes | None:
    """Return the public key's 64 bytes x ‖ y."""
    v = signature[64] - 27
    if v not in (0, 1) or int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        return None
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([v]), digest, hasher=None)
    except Exception:  # noqa: BLE001  (coincurve raises plain exceptions for every signature that is of no key)
        return None
    return bytes(key.format(compressed=False)[1:])


def verify_record(domain: SigningDomain, record: Record) -> None:
    """Raise :class:`InvalidSignature` unless the record's sender signed it for this domain."""
    if recovered_senders(domain, [record.to_bytes()]) != [record.sender]:
        raise InvalidSignature(
            f"The record 0x{record.sender.hex()}:{record.nonce} is not signed by its sender.",
            hint="It must be signed for this chain, contract and stream.",
            sender=record.sender,
            nonce=record.nonce,
        )
