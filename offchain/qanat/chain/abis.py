"""ABIs of the contracts, and what is decoded with them: custom errors.

The committed files ``qanat/chain/abi/<Name>.json`` hold what the contracts compile to. A checkout that has been
compiled but whose ABIs have not been
exported yet is read from Ape's build folder instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from eth_abi import decoding
from eth_abi.codec import ABICodec
from eth_abi.exceptions import DecodingError
from eth_abi.registry import BaseEquals, registry
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from qanat.errors import NotDeployed

__all__ = [
    "ABI_FOLDER",
    "CODEC",
    "DecodedError",
    "abi_of",
    "canonical",
    "decode_error",
    "known_contracts",
    "selector_of",
    "signature_of",
]

#: Folder of the committed ABIs.
ABI_FOLDER = Path(__file__).parent / "abi"
#: What Ape compiles to, in a checkout.
BUILD_FILE = Path(__file__).parents[3] / ".build" / "__local__.json"

#: Errors of tokens and of Solidity itself, which no ABI of ours need list.
STANDARD_ERRORS: tuple[dict[str, Any], ...] = tuple(
    {"type": "error", "name": name, "inputs": [{"type": kind, "name": label} for label, kind in fields]}
    for name, fields in (
        ("Error", [("reason", "string")]),
        ("Panic", [("code", "uint256")]),
        ("ERC20InsufficientBalance", [("sender", "address"), ("balance", "uint256"), ("needed", "uint256")]),
        ("ERC20InvalidSender", [("sender", "address")]),
        ("ERC20InvalidReceiver", [("receiver", "address")]),
        ("ERC20InsufficientAllowance", [("spender", "address"), ("allowance", "uint256"), ("needed", "uint256")]),
        ("ERC20InvalidApprover", [("approver", "address")]),
        ("ERC20InvalidSpender", [("spender", "address")]),
        ("ERC721NonexistentToken", [("tokenId", "uint256")]),
        ("ERC721IncorrectOwner", [("sender", "address"), ("tokenId", "uint256"), ("owner", "address")]),
        ("ERC721InsufficientApproval", [("operator", "address"), ("tokenId", "uint256")]),
        ("ERC721InvalidReceiver", [("receiver", "address")]),
        ("SafeERC20FailedOperation", [("token", "address")]),
        ("ReentrancyGuardReentrantCall", []),
    )
)

PANICS = {
    0x01: "an assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "value out of an enum's range",
    0x32: "array index out of range",
    0x41: "too much memory",
}


def _codec() -> ABICodec:
    lenient: Any = registry.copy()  # type: ignore[no-untyped-call]
    lenient.unregister_decoder("string")
    text = decoding.StringDecoder(handle_string_errors="replace")  # type: ignore[no-untyped-call]
    lenient.register_decoder(BaseEquals("string", with_sub=False), text, label="string")  # type: ignore[no-untyped-call]
    return ABICodec(lenient)


#: Decodes texts that are no UTF-8 too, with a mark in place of each byte that is none: contracts don't look at what is
#: in a text, so anybody can put such a one on chain, and nothing that reads it may stop there.
CODEC = _codec()


@dataclass(frozen=True)
class DecodedError:
    """A custom error as a contract raised it."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        if self.name == "Error":
            return f'"{self.arguments["reason"]}"'
        if self.name == "Panic":
            code = int(self.arguments["code"])
            return f"Panic({code:#04x}: {PANICS.get(code, 'see the Solidity manual')})"
        shown = ", ".join(f"{name} = {_shown(value)}" for name, value in self.arguments.items())
        return f"{self.name}({shown})"


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return str(value)


def signature_of(entry: dict[str, Any]) -> str:
    """Return the canonical signature of an ABI entry, ``name(type,…)``, tuples expanded."""
    return f"{entry['name']}({','.join(canonical(item) for item in entry.get('inputs', []))})"


def canonical(item: dict[str, Any]) -> str:
    """Return the type of an ABI's input as signatures have it, tuples expanded."""
    kind = str(item["type"])
    if kind.startswith("tuple"):
        return f"({','.join(canonical(part) for part in item['components'])}){kind[5:]}"
    return kind


def selector_of(entry: dict[str, Any]) -> bytes:
    """Return the 4-byte selector of a function or error."""
    return bytes(keccak(text=signature_of(entry))[:4])


@cache
def abi_of(name: str) -> list[dict[str, Any]]:
    """Return the ABI of a contract by its name, as ``Objects``; its interface's if that is all there is.

    Raises:
        NotDeployed: no contract of that name is known to this installation.
    """
    for wanted in (name, f"I{name}"):
        path = ABI_FOLDER / f"{wanted}.json"
        if path.is_file():
            content = json.loads(path.read_text())
            abi: list[dict[str, Any]] = content["abi"] if isinstance(content, dict) else content
            return abi
        built = _build().get(wanted)
        if built is not None:
            return built
    raise NotDeployed(
        f"No ABI of a contract named {name}.",
        hint="In a checkout run `make compile abi`; otherwise reinstall.",
        name=name,
    )


@lru_cache(maxsize=1)
def _build() -> dict[str, list[dict[str, Any]]]:
    if not BUILD_FILE.is_file():
        return {}
    content = json.loads(BUILD_FILE.read_text())
    return {name: item["abi"] for name, item in content.get("contractTypes", {}).items() if item.get("abi")}


def known_contracts() -> list[str]:
    """Return the names of all contracts whose ABI is known, sorted."""
    return sorted({path.stem for path in ABI_FOLDER.glob("*.json")} | set(_build()))


@lru_cache(maxsize=1)
def _errors() -> dict[bytes, dict[str, Any]]:
    table = {selector_of(entry): entry for entry in STANDARD_ERRORS}
    for entry in _all_entries("error"):
        table.setdefault(selector_of(entry), entry)
    return table


def _all_entries(kind: str) -> Iterator[dict[str, Any]]:
    for name in known_contracts():
        for entry in abi_of(name):
            if entry.get("type") == kind:
                yield entry


def decode_error(data: bytes) -> DecodedError | None:
    """Decode what a revert returned, by the errors of every known ABI; None if no error is known that fits.

    Args:
        data: the returned bytes, selector first; may be empty.
    """
    entry = _errors().get(bytes(data[:4]))
    if entry is None:
        return None
    inputs = entry.get("inputs", [])
    try:
        values = CODEC.decode([canonical(item) for item in inputs], bytes(data[4:]))
    except DecodingError:
        return None
    return DecodedError(
        entry["name"],
        {
            item["name"] or str(number): to_checksum_address(value) if item["type"] == "address" else value
            for number, (item, value) in enumerate(zip(inputs, values, strict=True))
        },
    )
