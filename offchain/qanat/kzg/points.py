"""Byte forms of points of G1 and G2, checked before any library sees them.

| form | G1 | G2 | used |
|---|---|---|---|
| compressed | 48 | 96 | manifests, EIP-4844 |
| raw, x then y | 96 | 192 | Merkle leaves |
| EIP-2537 | 128 | 256 | precompiles, keys and signatures on chain |

Numbers are big-endian; an Fp2 number is c0 then c1 (EIP-2537). The identity is all zeros raw and in EIP-2537 form, 0xc0
and zeros compressed. Libraries take several encodings of the identity; this module takes one, so that equal points have
equal bytes.
"""

from __future__ import annotations

from qanat.errors import InvalidPoint

FIELD_MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""p, the modulus of the coordinates."""

NUMBER_BYTES = 48
COMPRESSED_BYTES = 48
RAW_BYTES = 96
RAW_G2_BYTES = 192
PADDED_BYTES = 128
PADDED_G2_BYTES = 256

COMPRESSED_IDENTITY = b"\xc0" + bytes(47)
RAW_IDENTITY = bytes(RAW_BYTES)


def check_compressed(data: bytes) -> None:
    """Raise ``InvalidPoint`` unless 48 bytes can be the one compressed encoding of a point (on the curve or not)."""
    _check_length(data, COMPRESSED_BYTES, "compressed G1 point")
    flags = data[0]
    if not flags & 0x80:
        raise InvalidPoint("A compressed G1 point lacks its compression bit.", point=data)
    if flags & 0x40:
        if data != COMPRESSED_IDENTITY:
            raise InvalidPoint(
                "The identity of G1 has one compressed form, 0xc0 and zeros; this is another.", point=data
            )
    elif int.from_bytes(data, "big") & ((1 << 381) - 1) >= FIELD_MODULUS:
        raise InvalidPoint("A compressed G1 point's x is not below the field's modulus.", point=data)


def check_raw(data: bytes, length: int = RAW_BYTES) -> None:
    """Raise ``InvalidPoint`` unless the bytes are numbers below p, 48 bytes each, of the given total length."""
    _check_length(data, length, "raw point")
    for start in range(0, length, NUMBER_BYTES):
        if int.from_bytes(data[start : start + NUMBER_BYTES], "big") >= FIELD_MODULUS:
            raise InvalidPoint("A coordinate is not below the field's modulus.", point=data)


def to_padded(raw: bytes) -> bytes:
    """Return the EIP-2537 form (128 or 256 bytes) of a raw point (96 or 192 bytes): each number gets 16 zero bytes."""
    if len(raw) not in {RAW_BYTES, RAW_G2_BYTES}:
        raise InvalidPoint(f"A raw point has 96 or 192 bytes, not {len(raw)}.", length=len(raw))
    return b"".join(bytes(16) + raw[start : start + NUMBER_BYTES] for start in range(0, len(raw), NUMBER_BYTES))


def from_padded(data: bytes) -> bytes:
    """Return the raw form of a point in EIP-2537 form; wrong lengths or padding raise ``InvalidPoint``."""
    if len(data) not in {PADDED_BYTES, PADDED_G2_BYTES}:
        raise InvalidPoint(f"A point in EIP-2537 form has 128 or 256 bytes, not {len(data)}.", length=len(data))
    parts = [data[start : start + 64] for start in range(0, len(data), 64)]
    if any(any(part[:16]) for part in parts):
        raise InvalidPoint("A coordinate in EIP-2537 form must begin with 16 zero bytes.", point=data)
    return b"".join(part[16:] for part in parts)


def compress_raw(raw: bytes) -> bytes:
    """Return the compressed form of a raw G1 point that is known to be on the curve."""
    check_raw(raw)
    if raw == RAW_IDENTITY:
        return COMPRESSED_IDENTITY
    larger = 2 * int.from_bytes(raw[NUMBER_BYTES:], "big") > FIELD_MODULUS
    return bytes([raw[0] | 0x80 | (0x20 if larger else 0)]) + raw[1:NUMBER_BYTES]


def _check_length(data: bytes, length: int, what: str) -> None:
    if len(data) != length:
        raise InvalidPoint(f"A {what} has {length} bytes, not {len(data)}.", expected=length)
