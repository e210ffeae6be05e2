"""Amounts of tokens between people's decimal notation and the contracts' integer units, without rounding."""

from __future__ import annotations

import re

from qanat.errors import BadParameters, MalformedHex

__all__ = ["format_amount", "format_size", "parse_address", "parse_amount", "parse_bytes32"]

_DECIMAL = re.compile(r"(\d+)(?:\.(\d+))?")
_LIMIT = 2**256


def parse_amount(text: str, decimals: int) -> int:
    """Return an amount in units of 10^-decimals. Raises :class:`BadParameters` for what is no such amount."""
    match = _DECIMAL.fullmatch(text.strip().replace("_", ""))
    if match is None:
        raise BadParameters(f"{text!r} is no amount.", hint="Write it as 12 or 12.5.", amount=text)
    whole, part = match.group(1), match.group(2) or ""
    if len(part.rstrip("0")) > decimals:
        raise BadParameters(f"{text} has more than {decimals} decimals.", amount=text, decimals=decimals)
    scale: int = 10**decimals
    units = int(whole) * scale + int((part.rstrip("0") or "0").ljust(decimals, "0"))
    if units >= _LIMIT:
        raise BadParameters(f"{text} is more than any token has.", amount=text)
    return units


def format_amount(units: int, decimals: int) -> str:
    """Return units as decimal notation, without trailing zeros."""
    from qanat.chain.deployment import format_units

    return format_units(units, decimals)


def format_size(size: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{size} B"


def parse_bytes32(text: str, what: str) -> bytes:
    """Return 32 bytes given as 64 hexadecimal digits, with or without ``0x``. Raises :class:`MalformedHex`."""
    digits = text.strip().removeprefix("0x")
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        found = b""
    if len(digits) != 64 or len(found) != 32:
        raise MalformedHex(f"{text!r} is no {what}.", hint="It has 64 hexadecimal digits.", text=text)
    return found


def parse_address(text: str, what: str = "address") -> str:
    """Return an address, checksummed. Raises :class:`MalformedHex` for what is none, or whose checksum is wrong."""
    from eth_utils.address import is_address, is_checksum_address, to_checksum_address

    digits = text.strip()
    plain = digits[2:] in (digits[2:].lower(), digits[2:].upper())
    if not is_address(digits) or not (plain or is_checksum_address(digits)):
        raise MalformedHex(
            f"{text!r} is no {what}.",
            hint="It has 0x and 40 hexadecimal digits, and its capitals must be right if it has any.",
            text=text,
        )
    return str(to_checksum_address(digits))
