"""Offers that an asset's owner signs instead of publishing them: a file that whoever has it buys with.

The signature is EIP-712 in the domain of Licenses, over ``SignedOffer(OfferTerms terms, uint64 handovers, uint256 salt,
uint64 validUntil)`` (`ILicenses.signedOfferDigest`). It binds the owner of now, in this tenure of the asset; the first
purchase publishes the offer. A contract that owns an asset answers for itself (ERC-1271): its file is made elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from eth_utils.address import is_address, to_checksum_address

from qanat import strict_json
from qanat.chain.views import OfferTerms
from qanat.errors import BadParameters, FileUnreadable
from qanat.node.permits import TypedSigner

__all__ = ["SignedOffer"]

_KIND = "qanat signed offer"
_LIMIT_BYTES = 64 << 10
#: Fields of the terms, in the order of the contract's struct: name, type, and how many bits a number may have.
_TERMS = (
    ("assetId", "uint256"),
    ("token", "address"),
    ("price", "uint256"),
    ("purposes", "uint32"),
    ("duration", "uint64"),
    ("uses", "uint32"),
    ("earnedAtReleaseBps", "uint16"),
    ("textHash", "bytes32"),
    ("seats", "uint32"),
    ("exclusive", "bool"),
    ("transferable", "bool"),
    ("arbiter", "address"),
)
_REST = (("handovers", "uint64"), ("salt", "uint256"), ("validUntil", "uint64"))


@dataclass(frozen=True)
class SignedOffer:
    """Terms, the asset's handovers so far, a salt, the last second in which it may be bought; and the signature."""

    chain_id: int
    licenses: str
    terms: OfferTerms
    handovers: int
    salt: int
    valid_until: int
    signature: bytes = b""

    def typed(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return (domain, types, message) of what the owner signs."""
        domain = {
            "name": "Qanat Licenses",
            "version": "1",
            "chainId": self.chain_id,
            "verifyingContract": self.licenses,
        }
        types = {
            "SignedOffer": [{"name": "terms", "type": "OfferTerms"}, *_members(_REST)],
            "OfferTerms": _members(_TERMS),
        }
        message = {
            "terms": self._named_terms(),
            "handovers": self.handovers,
            "salt": self.salt,
            "validUntil": self.valid_until,
        }
        return domain, types, message

    def sign(self, signer: TypedSigner) -> SignedOffer:
        """Return it with the signer's signature."""
        signature = bytes(signer.sign_typed_data(*self.typed()))
        return SignedOffer(**{**_values(self), "signature": signature})

    def as_tuple(self) -> tuple[Any, ...]:
        """Return the contract's struct."""
        return self.terms.as_tuple(), self.handovers, self.salt, self.valid_until

    def to_bytes(self) -> bytes:
        """Return the file: JSON; bytes as ``0x`` hex, numbers beyond 53 bits as decimal texts."""
        terms = {
            name: "0x" + value.hex()
            if isinstance(value, bytes)
            else str(value)
            if name in ("assetId", "price")
            else value
            for name, value in self._named_terms().items()
        }
        content = {
            "kind": _KIND,
            "version": 1,
            "chainId": self.chain_id,
            "licenses": self.licenses,
            "terms": terms,
            "handovers": self.handovers,
            "salt": str(self.salt),
            "validUntil": self.valid_until,
            "signature": "0x" + self.signature.hex(),
        }
        return (json.dumps(content, indent=2) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedOffer:
        """Read a file. Raises :class:`BadParameters` for what is none. Whether it is good, the chain knows."""
        try:
            content = strict_json.parse(data)
            if (content["kind"], content["version"]) == (_KIND, 1):
                terms = content["terms"]
                handovers, salt, valid_until = (_read(content[name], kind) for name, kind in _REST)
                return cls(
                    _read(content["chainId"], "uint64"),
                    _read(content["licenses"], "address"),
                    OfferTerms(*(_read(terms[name], kind) for name, kind in _TERMS)),
                    handovers,
                    salt,
                    valid_until,
                    bytes.fromhex(str(content["signature"]).removeprefix("0x")),
                )
            why = "another kind of file, or a later version"
        except (ValueError, KeyError, TypeError) as error:
            why = f"{type(error).__name__} {error}"
        raise BadParameters(f"This is no signed offer: {why}.", hint="`qanat offer --sign FILE` makes one.")

    @classmethod
    def load(cls, path: Path) -> SignedOffer:
        """Read a file. Raises :class:`FileUnreadable`, :class:`BadParameters`."""
        try:
            with path.open("rb") as file:
                return cls.from_bytes(file.read(_LIMIT_BYTES))
        except OSError as error:
            raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error

    def _named_terms(self) -> dict[str, Any]:
        return {name: value for (name, _), value in zip(_TERMS, self.terms.as_tuple(), strict=True)}


def _members(named: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in named]


def _values(offer: SignedOffer) -> dict[str, Any]:
    return {item.name: getattr(offer, item.name) for item in fields(offer)}


def _read(value: Any, kind: str) -> Any:
    """Return a value of the file as the contract's type. Raises :class:`ValueError`."""
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is neither true nor false")
        return value
    if kind == "address":
        if not is_address(value):
            raise ValueError(f"{value!r} is no address")
        return to_checksum_address(value)
    if kind == "bytes32":
        found = bytes.fromhex(str(value).removeprefix("0x"))
        if len(found) != 32:
            raise ValueError(f"{value!r} has not 32 bytes")
        return found
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
        raise ValueError(f"{value!r} is no number")
    number = int(value)
    if number >> int(kind.removeprefix("uint")):
        raise ValueError(f"{value} is too large")
    return number
