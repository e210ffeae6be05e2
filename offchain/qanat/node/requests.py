"""Signed requests: how an address asks a node for bytes (docs/protocol.md, "Signed request").

``Authorization: Qanat address=0x…, time=<unix seconds>, signature=0x…`` with an EIP-191 signature over method, path,
body and time, bound to chain and operator, so that it can be replayed neither elsewhere nor later than
:data:`MAX_AGE_SECONDS`.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.address import to_checksum_address

from qanat.errors import InvalidSignature
from qanat.node.permits import digest_of

__all__ = ["MAX_AGE_SECONDS", "Asker", "TextSigner", "authorization", "request_text", "verify_authorization"]

#: A request older, or further in the future, is refused.
MAX_AGE_SECONDS = 60
_LONGEST_HEADER = 5000

_HEADER = re.compile(
    r"Qanat address=(0x[0-9a-fA-F]{40}), ?time=([0-9]{1,12}), ?signature=0x((?:[0-9a-fA-F]{2}){65,2048})", re.ASCII
)


class TextSigner(Protocol):
    """What can sign a text as EIP-191 says: returns 65 bytes r ‖ s ‖ v."""

    @property
    def address(self) -> str:
        """The signer's checksummed address."""

    def sign_message(self, text: str) -> bytes:
        """Returns the signature."""


@dataclass(frozen=True)
class Asker:
    """Who signed a request, checksummed, and the unix time that was signed."""

    address: str
    time: int


def request_text(chain_id: int, operator: str, method: str, path: str, body: bytes, unix_time: int) -> str:
    """Return the text that is signed."""
    digest = hashlib.sha256(body).hexdigest()
    return f"qanat request\n{chain_id}\n{to_checksum_address(operator)}\n{method.upper()} {path}\n{digest}\n{unix_time}"


def authorization(signer: TextSigner, chain_id: int, operator: str, method: str, path: str, body: bytes = b"") -> str:
    """Return the header's value for a request that is sent now."""
    now = int(time.time())
    signature = signer.sign_message(request_text(chain_id, operator, method, path, body, now))
    return f"Qanat address={signer.address}, time={now}, signature=0x{bytes(signature).hex()}"


def verify_authorization(
    header: str | None,
    chain_id: int,
    operator: str,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    now: float | None = None,
    accepts: Callable[[str, bytes, bytes], bool] | None = None,
) -> Asker:
    """Return who asks. Raises :class:`InvalidSignature` for a missing, malformed, stale or false header.

    ``accepts``: asks an account, by its contract, whether it takes (digest, signature) for its own; without it only
    keys' signatures count.
    """
    found = _HEADER.fullmatch(header) if header is not None and len(header) <= _LONGEST_HEADER else None
    if found is None:
        raise InvalidSignature("The request is not signed, or its Authorization header is malformed.")
    address, unix_time = to_checksum_address(found[1]), int(found[2])
    age = (time.time() if now is None else now) - unix_time
    if abs(age) > MAX_AGE_SECONDS:
        raise InvalidSignature(
            f"The request was signed {age:.0f} s ago; {MAX_AGE_SECONDS} s is the limit.", hint="Check the clocks."
        )
    text = encode_defunct(text=request_text(chain_id, operator, method, path, body, unix_time))
    signature = bytes.fromhex(found[3])
    recover: Any = Account.recover_message
    try:
        signed_by = recover(text, signature=signature)
    except Exception as error:  # eth-account raises many kinds for malformed bytes; a contract's may look like any
        if accepts is None:
            raise InvalidSignature("The request's signature is malformed.") from error
        signed_by = None
    if signed_by != address and not (accepts is not None and accepts(address, digest_of(text), signature)):
        raise InvalidSignature(f"The request is not signed by {address}.", address=address)
    return Asker(address, unix_time)
