"""Permits: the payer's word that bytes of its object come from it (docs/protocol.md, "Put permit").

``Qanat-Put: deadline=<unix seconds>, signature=0x…`` with an EIP-712 signature over object, manifest root, operator and
deadline. One serves all puts of an object to one operator. It is verified once, before a byte of a body is read, and
remembered: further puts cost neither a chain call nor a recovery. An account with code answers for itself (ERC-1271).
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.conversions import to_bytes
from eth_utils.crypto import keccak

from qanat.chain.connection import Chain
from qanat.chain.views import ObjectRecord
from qanat.errors import InvalidSignature

__all__ = [
    "PERMIT_HEADER",
    "SIGNATURE_GAS",
    "Permits",
    "TypedSigner",
    "contract_accepts",
    "make_permit",
    "put_request",
    "recovered",
]

PERMIT_HEADER = "Qanat-Put"
#: Good permits remembered; one that fell out is verified again.
_REMEMBERED = 4096
#: Of a signature; what a contract wants to see may be longer than a key's 65.
_MOST_BYTES = 2048
_PERMIT = re.compile(r"deadline=([0-9]{1,20}), ?signature=0x((?:[0-9a-fA-F]{2}){65,2048})", re.ASCII)
_PUT = {
    "Put": [
        {"name": "objectId", "type": "bytes32"},
        {"name": "manifestRoot", "type": "bytes32"},
        {"name": "operator", "type": "address"},
        {"name": "deadline", "type": "uint64"},
    ]
}
_ERC1271_MAGIC = bytes.fromhex("1626ba7e").ljust(32, b"\0")
_ERC1271_SELECTOR = bytes.fromhex("1626ba7e")
#: Gas that an account's code may use to judge a signature: fifty times what common smart accounts take.
SIGNATURE_GAS = 2_000_000
#: Of the whole look: that, a 64th that a call leaves behind, and what the longest signature's bytes cost.
_LOOK_GAS = 3_000_000
#: Bytes that an account is asked with: with the code that asks it they make a contract's creation (EIP-3860: 49,152).
_MOST_ASKED = 48_000


class TypedSigner(Protocol):
    """What can sign EIP-712 data: returns r ‖ s ‖ v, or what the account's contract takes."""

    @property
    def address(self) -> str:
        """The signer's checksummed address."""

    def sign_typed_data(self, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> bytes:
        """Returns the signature."""


def put_request(
    chain_id: int, objects: str, object_id: bytes, manifest_root: bytes, operator: str, deadline: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return (domain, types, message) of what a payer signs; ``objects``: the contract's address."""
    domain = {"name": "Qanat node", "version": "1", "chainId": chain_id, "verifyingContract": objects}
    message = {
        "objectId": object_id,
        "manifestRoot": manifest_root,
        "operator": to_checksum_address(operator),
        "deadline": deadline,
    }
    return domain, _PUT, message


def make_permit(
    signer: TypedSigner,
    chain_id: int,
    objects: str,
    object_id: bytes,
    manifest_root: bytes,
    operator: str,
    *,
    seconds: float,
) -> str:
    """Return the header's value for puts to one operator within so many seconds."""
    deadline = int(time.time() + seconds)
    signature = signer.sign_typed_data(*put_request(chain_id, objects, object_id, manifest_root, operator, deadline))
    return f"deadline={deadline}, signature=0x{bytes(signature).hex()}"


class Permits:
    """Verifies permits for one operator, and remembers the good ones. Safe to use from several threads."""

    def __init__(self, chain: Chain, operator: str) -> None:
        self._chain = chain
        self._operator = operator
        self._good: OrderedDict[tuple[bytes, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def is_known(self, object_id: bytes, header: str | None) -> bool:
        """Whether this permit was verified before and still stands. Takes no time."""
        with self._lock:
            deadline = self._good.get((object_id, header or ""))
            if deadline is None:
                return False
            if deadline < time.time():
                del self._good[object_id, header or ""]
                return False
            self._good.move_to_end((object_id, header or ""))
            return True

    def check(
        self,
        object_id: bytes,
        header: str | None,
        find: Callable[[bytes], ObjectRecord],
        allow: Callable[[bytes, ObjectRecord], None] | None = None,
    ) -> None:
        """Verify a permit against the object's payer and root.

        ``find`` asks the chain for the record, only where the header has the right form. ``allow`` has the last word on
        what was signed for. Raises :class:`InvalidSignature`, what both raise, and :class:`ChainUnreachable`.
        """
        if self.is_known(object_id, header):
            return
        deadline, signature = parse_permit(header)
        if deadline < time.time():
            raise InvalidSignature(f"The permit ended at {deadline}.", hint="Sign a new one; check the clocks.")
        record = find(object_id)
        objects = self._chain.contract("Objects").address
        typed = put_request(self._chain.chain_id, objects, object_id, record.manifest_root, self._operator, deadline)
        signable = encode_typed_data(*typed)
        if recovered(signable, signature) != record.owner and not contract_accepts(
            self._chain, record.owner, digest_of(signable), signature
        ):
            raise InvalidSignature(
                f"The permit is not signed by {record.owner}, who pays object 0x{object_id.hex()}.",
                hint="It names object, manifest root, operator and deadline.",
                payer=record.owner,
            )
        if allow is not None:
            allow(object_id, record)
        with self._lock:
            self._good[object_id, header or ""] = deadline
            while len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)


def parse_permit(header: str | None) -> tuple[int, bytes]:
    """Return (deadline, signature) of a header. Raises :class:`InvalidSignature` for a missing or malformed one."""
    found = _PERMIT.fullmatch(header) if header is not None and len(header) <= 2 * _MOST_BYTES + 64 else None
    if found is None or int(found[1]) >= 1 << 64:
        raise InvalidSignature(
            f"The {PERMIT_HEADER} header is missing or malformed.",
            hint="The object's payer signs what it sends: deadline=<unix seconds>, signature=0x….",
        )
    return int(found[1]), bytes.fromhex(found[2])


def recovered(signable: SignableMessage, signature: bytes) -> str | None:
    """Return who signed, None where the bytes are no signature of a key: it may be a contract's."""
    recover: Any = Account.recover_message
    try:
        return str(recover(signable, signature=signature))
    except Exception:  # noqa: BLE001  (eth-account raises many kinds for malformed bytes)
        return None


def digest_of(signable: SignableMessage) -> bytes:
    """Return the 32 bytes that are signed. Source: EIP-191."""
    return bytes(keccak(b"\x19" + signable.version + signable.header + signable.body))


def contract_accepts(chain: Chain, account: str, digest: bytes, signature: bytes) -> bool:
    """Whether an account is a contract that takes the signature for its own (ERC-1271), at the newest block.

    Code that reverts, is invalid, answers with something else or wants more than :data:`SIGNATURE_GAS` takes nothing
    for its own. Raises :class:`ChainError` only where the chain can't be asked.
    """
    if not chain.has_code(account):
        return False
    asked = _ERC1271_SELECTOR + encode(["bytes32", "bytes"], [digest, signature])
    if len(asked) > _MOST_ASKED:
        return False
    # endpoints tell failures of code each in its own words; here they are a value that the call returns
    call = {"data": "0x" + _look(account, asked).hex(), "gas": hex(_LOOK_GAS)}
    said = bytes.fromhex(str(chain.rpc("eth_call", call, "latest"))[2:])
    return said == _ERC1271_MAGIC + (1).to_bytes(32, "big")


def _look(account: str, asked: bytes) -> bytes:
    """Return code that, run as a contract's creation, asks an account and returns two words, whatever it does.

    The first word of the answer, and 1 if the call went well and answered a word at least, else 0.
    """
    size = len(asked).to_bytes(2, "big")

    def code(offset: int) -> bytes:
        parts = [
            b"\x61" + size + b"\x61" + offset.to_bytes(2, "big") + b"\x5f\x39",  # CODECOPY of what is asked to 0
            b"\x60\x20\x5f\x61" + size + b"\x5f",  # a word of the answer to 0; what is asked
            b"\x73" + to_bytes(hexstr=account) + b"\x62" + SIGNATURE_GAS.to_bytes(3, "big") + b"\xfa",  # STATICCALL
            b"\x60\x1f\x3d\x11\x16",  # and RETURNDATASIZE > 31
            b"\x60\x20\x52\x60\x40\x5f\xf3",  # MSTORE at 32, RETURN 64 bytes
        ]
        return b"".join(parts)

    return code(len(code(0))) + asked
