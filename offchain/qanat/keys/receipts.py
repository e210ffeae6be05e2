"""Receipts of released keys, as whoever got them keeps them: one JSON object a line.

A receipt and its signature are evidence: of a release for the access log, of a wrong or unlicensed one for the chain.
They open nothing: P and E are public, x is not here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qanat import strict_json
from qanat.errors import FileUnreadable, FormatError
from qanat.keys.curve import G1_BYTES
from qanat.keys.holding import Receipt

SIGNATURE_BYTES = 128
MAX_FILE_BYTES = 1 << 28


@dataclass(frozen=True)
class SignedReceipt:
    """A receipt, with what is said to be its holder's signature, and the chain and Keys contract it is of."""

    chain_id: int
    contract: bytes
    receipt: Receipt
    signature: bytes

    @property
    def digest(self) -> bytes:
        """What is signed."""
        return self.receipt.digest(self.chain_id, self.contract)

    def to_line(self) -> str:
        """Write a line of JSON."""
        item = self.receipt
        return json.dumps(
            {
                "chainId": self.chain_id,
                "keys": "0x" + self.contract.hex(),
                "asset": item.asset_id,
                "keyEpoch": item.key_epoch,
                "place": item.place,
                "license": item.license_id,
                "licensee": "0x" + item.licensee.hex(),
                "block": item.block_number,
                "point": "0x" + item.point.hex(),
                "answer": "0x" + item.answer.hex(),
                "signature": "0x" + self.signature.hex(),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_line(cls, line: str | bytes) -> SignedReceipt:
        """Read a line; anything else raises ``FormatError``."""
        try:
            content = strict_json.parse(line)
            bits = {"chainId": 256, "asset": 256, "keyEpoch": 32, "place": 8, "license": 256, "block": 48}
            numbers = [_number(content[name], size) for name, size in bits.items()]
            sizes = {"keys": 20, "licensee": 20, "point": G1_BYTES, "answer": G1_BYTES, "signature": SIGNATURE_BYTES}
            raw = {name: _raw(content[name], size) for name, size in sizes.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FormatError(f"This is no receipt of a released key: {error}.") from error
        chain_id, asset, key_epoch, place, license_id, block = numbers
        receipt = Receipt(asset, key_epoch, place, license_id, raw["licensee"], block, raw["point"], raw["answer"])
        return cls(chain_id, raw["keys"], receipt, raw["signature"])


def keep_receipts(path: Path, receipts: Iterable[SignedReceipt]) -> None:
    """Add receipts to a file, synced; ``FileUnreadable`` where that fails."""
    lines = "".join(receipt.to_line() + "\n" for receipt in receipts)
    if not lines:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FileUnreadable(f"{path} can't be written: {error.strerror}.", path=str(path)) from error


def read_receipts(path: Path) -> list[SignedReceipt]:
    """Return a file's receipts, each once; ``FileUnreadable``, or ``FormatError`` with the line."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error
    if len(data) > MAX_FILE_BYTES:
        raise FormatError(f"{path} is too large for a file of receipts.", path=str(path))
    found: dict[SignedReceipt, None] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            try:
                found[SignedReceipt.from_line(line)] = None
            except FormatError as error:
                raise FormatError(f"Line {number} of {path}: {error.message}", path=str(path), line=number) from error
    return list(found)


def _number(value: object, bits: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"no unsigned number of {bits} bits")
    return value


def _raw(text: object, size: int) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x") or len(text) != 2 + 2 * size:
        raise ValueError(f"no {size} bytes of 0x-hexadecimal")
    return bytes.fromhex(text[2:])
