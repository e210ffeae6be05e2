"""Execution headers in RLP, rebuilt from what a node answers to ``eth_getBlockByNumber``.

A header's Keccak-256 is its block's hash, so a header is proof of all that it holds; the randomness beacon takes the
RANDAO mix from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp
from eth_utils.crypto import keccak

from qanat.errors import ChainError

__all__ = ["encode_header"]

# Name, aliases, and length in bytes (None: an integer; 0: any length). Field order: execution-specs, `Header`.
_FIELDS: tuple[tuple[tuple[str, ...], int | None], ...] = (
    (("parentHash",), 32),
    (("sha3Uncles",), 32),
    (("miner",), 20),
    (("stateRoot",), 32),
    (("transactionsRoot",), 32),
    (("receiptsRoot",), 32),
    (("logsBloom",), 256),
    (("difficulty",), None),
    (("number",), None),
    (("gasLimit",), None),
    (("gasUsed",), None),
    (("timestamp",), None),
    (("extraData", "proofOfAuthorityData"), 0),
    (("mixHash", "prevRandao"), 32),
    (("nonce",), 8),
)

# What forks appended, in order; a header holds a prefix of this list.
_APPENDED: tuple[tuple[str, int | None], ...] = (
    ("baseFeePerGas", None),  # London, EIP-1559
    ("withdrawalsRoot", 32),  # Shanghai, EIP-4895
    ("blobGasUsed", None),  # Cancun, EIP-4844
    ("excessBlobGas", None),  # Cancun, EIP-4844
    ("parentBeaconBlockRoot", 32),  # Cancun, EIP-4788
    ("requestsHash", 32),  # Prague, EIP-7685
)


def encode_header(block: Mapping[str, Any]) -> bytes:
    """Encode a block's header in RLP; its Keccak-256 is the block's hash.

    ``block`` is a block as JSON-RPC or web3 gives it: integers as ``int`` or hex text, bytes as ``bytes`` or hex text.
    Headers of all forks up to Prague are known; what later forks append is not, and fails the comparison with the hash.

    Raises :class:`~qanat.errors.ChainError` where a field is missing or malformed, or the header does not hash to the
    block's hash.
    """
    fields = [_encode(names[0], _pick(block, names), length) for names, length in _FIELDS]

    for name, length in _APPENDED:
        # Forks only append: nothing follows a missing field. (Some nodes name later forks' fields on older chains.)
        if block.get(name) is None:
            break
        fields.append(_encode(name, block[name], length))

    header: bytes = rlp.encode(fields)
    expected = _encode("hash", block.get("hash"), 32)
    got = keccak(header)
    if got != expected:
        raise ChainError(
            f"The header of block {block.get('number')} hashes to 0x{got.hex()}, "
            f"not to the block's hash 0x{expected.hex()}.",
            hint="The endpoint is faulty, or the chain's headers have fields that this version does not know.",
            got=got,
            expected=expected,
        )
    return header


def _pick(block: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        value = block.get(name)
        if value is not None:
            return value
    return None


def _encode(name: str, value: Any, length: int | None) -> bytes:
    """Encode a field: an integer without leading zeros if ``length`` is None, else bytes of that length (0: any)."""
    if value is None:
        raise ChainError(
            f"The block lacks the field {name}.",
            hint="Ask an endpoint that gives whole blocks.",
            field=name,
        )
    try:
        return _integer(value) if length is None else _fixed(value, length)
    except (TypeError, ValueError, OverflowError) as error:
        raise ChainError(
            f"The block's field {name} is malformed: {error}.",
            hint="Ask another endpoint.",
            field=name,
        ) from error


def _integer(value: Any) -> bytes:
    if isinstance(value, str):
        value = int(value, 16)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an integer, got {type(value).__name__}")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _fixed(value: Any, length: int) -> bytes:
    if isinstance(value, str):
        if not value.startswith(("0x", "0X")):
            raise ValueError("hexadecimal without 0x")
        value = bytes.fromhex(value[2:])
    if not isinstance(value, (bytes, bytearray)):
        raise TypeError(f"expected bytes, got {type(value).__name__}")
    if length and len(value) != length:
        raise ValueError(f"expected {length} bytes, got {len(value)}")
    return bytes(value)
