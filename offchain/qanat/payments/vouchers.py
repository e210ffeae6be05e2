"""Vouchers: a reader's word that its reads from an operator have cost so much in all (docs/protocol.md, "Paid reads").

``Qanat-Voucher: cumulative=<token units>, signature=0x…`` with an EIP-712 signature over operator, token and cumulative
amount, in the domain of Payments. Whoever signed is the payer. A voucher names a sum since ever: the newest is worth
all before it, and one that was redeemed is worth nothing more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address

from qanat.errors import InvalidSignature
from qanat.node.permits import TypedSigner, recovered

__all__ = ["SPENT_HEADER", "VOUCHER_HEADER", "Voucher", "make_voucher", "read_voucher", "signed_by", "voucher_request"]

VOUCHER_HEADER = "Qanat-Voucher"
#: Of an answer that was paid for: what the reader's reads from the operator have cost in all, this one included.
SPENT_HEADER = "Qanat-Spent"
#: A deposit's sums lie in 104 bits.
AMOUNT_LIMIT = 1 << 104
_VOUCHER = re.compile(r"cumulative=([0-9]{1,32}), ?signature=0x([0-9a-fA-F]{130})", re.ASCII)
_TYPES = {
    "ReadVoucher": [
        {"name": "operator", "type": "address"},
        {"name": "token", "type": "address"},
        {"name": "cumulative", "type": "uint256"},
    ]
}
#: Half of the curve's order: the contract takes no s above it.
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@dataclass(frozen=True)
class Voucher:
    """A cumulative amount, token units, and r ‖ s ‖ v over it."""

    cumulative: int
    signature: bytes

    def to_header(self) -> str:
        """Return the header's value."""
        return f"cumulative={self.cumulative}, signature=0x{self.signature.hex()}"

    def as_tuple(self) -> tuple[int, bytes, bytes]:
        """Return what `Payments.redeem` takes: cumulative, r, and s with v in its highest bit. Source: EIP-2098."""
        r, s, v = self.signature[:32], int.from_bytes(self.signature[32:64], "big"), self.signature[64]
        return self.cumulative, r, (s | ((v - 27) << 255)).to_bytes(32, "big")


def voucher_request(
    chain_id: int, payments: str, operator: str, token: str, cumulative: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return (domain, types, message) of what a payer signs; ``payments``: the contract's address."""
    domain = {"name": "Qanat Payments", "version": "1", "chainId": chain_id, "verifyingContract": payments}
    message = {
        "operator": to_checksum_address(operator),
        "token": to_checksum_address(token),
        "cumulative": cumulative,
    }
    return domain, _TYPES, message


def make_voucher(signer: TypedSigner, chain_id: int, payments: str, operator: str, token: str, cumulative: int) -> str:
    """Return the header's value for reads from one operator that cost so much in all."""
    signature = signer.sign_typed_data(*voucher_request(chain_id, payments, operator, token, cumulative))
    return Voucher(cumulative, bytes(signature)).to_header()


def read_voucher(header: str) -> Voucher:
    """Return what a header says. Raises :class:`InvalidSignature` for one that the contract would not take."""
    found = _VOUCHER.fullmatch(header) if len(header) <= 256 else None
    if found is None or int(found[1]) >= AMOUNT_LIMIT:
        raise InvalidSignature(
            f"The {VOUCHER_HEADER} header is malformed.", hint="cumulative=<token units>, signature=0x… of 65 bytes."
        )
    signature = bytes.fromhex(found[2])
    if signature[64] not in (27, 28) or int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise InvalidSignature("The voucher's signature has another form than the contract takes: low s, v 27 or 28.")
    return Voucher(int(found[1]), signature)


def signed_by(voucher: Voucher, chain_id: int, payments: str, operator: str, token: str) -> str | None:
    """Return the payer, checksummed; None where the bytes are no signature."""
    typed = voucher_request(chain_id, payments, operator, token, voucher.cumulative)
    return recovered(encode_typed_data(*typed), voucher.signature)
