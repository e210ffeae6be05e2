"""The key holder's part: data keys deposited by owners, released to licensees because the chain says so.

A deposit stays sealed to the operator's sealing key. A release needs a license that is in force at the newest and at
the newest final block, and the licensee's signature over license, holder, recipient key and deadline; it is recorded
on chain before the key leaves (docs/decisions/0005), and recorded again should a reorganisation drop it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address

from qanat import strict_json
from qanat.chain.sender import Sender
from qanat.chain.views import LicenseRecord, Views
from qanat.errors import (
    BadParameters,
    ChainError,
    DecryptionFailed,
    InvalidSignature,
    KeyUnavailable,
    MalformedHex,
    NodeRefused,
    NotLicensed,
    TransactionReverted,
)
from qanat.keys.seal import SealContext, SealingKey, seal
from qanat.node.config import NodeConfig
from qanat.node.metrics import Metrics
from qanat.node.permits import contract_accepts, recovered
from qanat.node.requests import Asker
from qanat.node.sealing import key_context
from qanat.node.state import DepositedKey, NodeState, PendingRelease

__all__ = ["MOST_RECORDINGS", "KeyHolder", "hex_field", "json_object", "key_request", "number_field"]

_KEY_REQUEST = {
    "KeyRequest": [
        {"name": "licenseId", "type": "uint256"},
        {"name": "keyHolder", "type": "address"},
        {"name": "recipientKey", "type": "bytes32"},
        {"name": "deadline", "type": "uint256"},
    ]
}
_SEALED_LIMIT_BYTES = 1024
#: First releases on their way to the chain at a time: fewer than threads that answer, so that some always do.
MOST_RECORDINGS = 3
#: Seconds after which to ask again for a turn: a block or two.
_RECORDING_SECONDS = 2
log = structlog.get_logger("qanat.node.keys")


def key_request(
    chain_id: int, licenses: str, license_id: int, key_holder: str, recipient_key: bytes, deadline: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return (domain, types, message) of the EIP-712 request that a licensee signs."""
    domain = {"name": "Qanat Licenses", "version": "1", "chainId": chain_id, "verifyingContract": licenses}
    message = {
        "licenseId": license_id,
        "keyHolder": to_checksum_address(key_holder),
        "recipientKey": recipient_key,
        "deadline": deadline,
    }
    return domain, _KEY_REQUEST, message


class KeyHolder:
    """Keeps data keys for owners and hands them to licensees."""

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        state: NodeState,
        sealing_key: SealingKey,
        sender: Sender,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.views = views
        self.state = state
        self.metrics = metrics
        self._sealing_key = sealing_key
        self._sender = sender
        self._lock = threading.Lock()
        #: licenses whose first release is on its way to the chain
        self._recording: set[int] = set()
        self._final_time = (-1, 0)

    # ---- deposits

    def deposit(self, asset_id: int, body: bytes, asker: Asker) -> None:
        """Keep a data key that the asset's owner sends, sealed to this operator. Durable on return."""
        sealed = hex_field(json_object(body).get("sealed"), "sealed")
        if len(sealed) > _SEALED_LIMIT_BYTES:
            raise BadParameters(f"A sealed key has at most {_SEALED_LIMIT_BYTES} bytes.")
        owner = self.owner_of(asset_id)
        if owner != asker.address:
            raise NotLicensed(
                f"{asker.address} does not own asset {asset_id}.", hint="Only its owner deposits a key.", owner=owner
            )
        self._unseal(asset_id, sealed)
        self.state.keep_key(asset_id, DepositedKey(sealed.hex(), asker.address, asker.time))
        log.info("key deposited", asset=asset_id, owner=owner)

    # ---- releases

    def release(self, asset_id: int, asked: Any) -> bytes:
        """Return an asset's data key sealed to the licensee's recipient key, after recording the release on chain.

        Raises :class:`NotLicensed`, :class:`InvalidSignature`, :class:`KeyUnavailable` (no key here; license not
        final yet).
        """
        license_id, recipient, deadline, signature = _request(asked)
        deposited = self.state.key(asset_id)
        if deposited is None:
            raise KeyUnavailable(f"No key of asset {asset_id} was deposited here.", status=404)
        record, _ = self.licensed(license_id, asset_id)
        self.check_signature(record, license_id, recipient, deadline, signature)
        data_key = self._unseal(asset_id, bytes.fromhex(deposited.sealed))
        self.record(record, PendingRelease(license_id, recipient.hex(), deadline, signature.hex()))
        self.metrics.count("qanat_keys_released_total")
        log.info("key released", asset=asset_id, license=license_id, licensee=record.licensee)
        return seal(data_key, recipient, self._context(asset_id, record.licensee))

    def settle_releases(self, finalized: int) -> None:
        """Forget releases that are final on chain, and record again those that a reorganisation dropped."""
        for pending in self.state.releases():
            if self.views.license(pending.license_id, finalized).released_at:
                self.state.forget_release(pending.license_id)
            elif not self.views.license(pending.license_id).released_at:
                try:
                    with self._turn(pending.license_id):
                        self._send(pending)
                except KeyUnavailable:
                    continue  # on its way already, or others are: it is looked at again with the next block
                except TransactionReverted as error:
                    log.warning("release can't be recorded", license=pending.license_id, error=error.message)
                    if pending.deadline < time.time():
                        self.state.forget_release(pending.license_id)

    def record(self, record: LicenseRecord, pending: PendingRelease) -> None:
        """Record a license's first release on chain, unless one is; it is seen through if a reorganisation drops it.

        Licenses don't wait for each other. Raises :class:`TransactionReverted`, :class:`ChainError`, and
        :class:`KeyUnavailable` while this license's is on its way, or as many as may be: then nothing may be released.
        """
        if record.released_at:
            return
        with self._turn(pending.license_id):
            if self.views.license(pending.license_id).released_at:
                return  # recorded while this request was looked at
            # written first: whatever happens from here on, the record reaches the chain or the key stays here
            self.state.keep_release(pending)
            try:
                self._send(pending)
            except TransactionReverted:
                self.state.forget_release(pending.license_id)
                raise

    @contextmanager
    def _turn(self, license_id: int) -> Iterator[None]:
        """Take a license's turn to be recorded; nobody waits for it, since whoever waits keeps others from answers."""
        with self._lock:
            is_going = license_id in self._recording
            if is_going or len(self._recording) >= MOST_RECORDINGS:
                what = f"The first release of license {license_id} is" if is_going else "Other first releases are"
                raise KeyUnavailable(
                    f"{what} being recorded on chain.", hint="Try again.", status=503, retry_after=_RECORDING_SECONDS
                )
            self._recording.add(license_id)
        try:
            yield
        finally:
            with self._lock:
                self._recording.discard(license_id)

    def _send(self, pending: PendingRelease) -> None:
        function = self.views.chain.contract("Licenses").functions.recordRelease(
            pending.license_id,
            self.config.operator,
            bytes.fromhex(pending.recipient_key),
            pending.deadline,
            bytes.fromhex(pending.signature),
        )
        self._sender.send(function)

    def licensed(self, license_id: int, asset_id: int) -> tuple[LicenseRecord, int]:
        """Return a license of the asset that is in force at the newest and at the newest final block, and the newest.

        Raises :class:`NotLicensed`; :class:`KeyUnavailable` when it is not final yet.
        """
        # before the license is looked at: what is said of this block was seen by then
        head, finalized = self.views.chain.heads()
        record, final = self.views.license_twice(license_id, finalized)
        if isinstance(record, TransactionReverted):
            raise NotLicensed(f"There is no license {license_id}.", license_id=license_id) from record
        if isinstance(record, ChainError):
            raise record
        if record.asset_id != asset_id:
            raise NotLicensed(f"License {license_id} is for asset {record.asset_id}, not {asset_id}.")
        self._check_active(license_id, record, int(head["timestamp"], 16), "now")
        if isinstance(final, ChainError):  # sold after that block, or the contract is younger
            raise KeyUnavailable(
                f"License {license_id} is not final yet.", hint="Try again in a few blocks.", retry_after=2
            ) from final
        if (final.asset_id, final.licensee) != (record.asset_id, record.licensee):
            raise KeyUnavailable(f"License {license_id} is not final yet.", hint="Try again.", retry_after=2)
        self._check_active(license_id, final, self._time_of(finalized), f"at final block {finalized}")
        return record, int(head["number"], 16)

    def _time_of(self, finalized: int) -> int:
        """Return when a final block was: asked for once."""
        number, when = self._final_time
        if number != finalized:
            when = self.views.chain.timestamp(finalized)
            self._final_time = finalized, when
        return when

    def _check_active(self, license_id: int, record: LicenseRecord, when: int, shown: str) -> None:
        if record.revoked_at or not record.start <= when < record.end:
            raise NotLicensed(
                f"License {license_id} is not in force {shown}.",
                start=record.start,
                end=record.end,
                revoked_at=record.revoked_at,
                time=when,
            )

    def check_signature(
        self, record: LicenseRecord, license_id: int, recipient: bytes, deadline: int, signature: bytes
    ) -> None:
        """Raise :class:`InvalidSignature` unless the licensee signed this request, to this operator, and in time.

        An account with code answers for itself (ERC-1271).
        """
        if deadline < time.time():
            raise InvalidSignature(f"The request for license {license_id} ended at {deadline}.", hint="Sign a new one.")
        chain = self.views.chain
        licenses = chain.contract("Licenses").address
        request = key_request(chain.chain_id, licenses, license_id, self.config.operator, recipient, deadline)
        if recovered(encode_typed_data(*request), signature) == record.licensee:
            return
        digest = self.views.chain.call(
            chain.contract("Licenses").functions.keyRequestDigest(license_id, self.config.operator, recipient, deadline)
        )
        if contract_accepts(chain, record.licensee, digest, signature):
            return
        raise InvalidSignature(
            f"The request for license {license_id} is not signed by its licensee {record.licensee}.",
            status=403,
            license_id=license_id,
        )

    # ---- sealing

    def owner_of(self, asset_id: int) -> str:
        """Return who owns an asset. Raises :class:`NodeRefused` (404) where there is none."""
        try:
            return self.views.asset_owner(asset_id)
        except TransactionReverted as error:
            raise NodeRefused(f"There is no asset {asset_id}.", status=404) from error

    def _context(self, asset_id: int, recipient: str) -> SealContext:
        chain = self.views.chain
        return key_context(chain.chain_id, chain.contract("Licenses").address, asset_id, recipient)

    def _unseal(self, asset_id: int, sealed: bytes) -> bytes:
        try:
            return self._sealing_key.open(sealed, self._context(asset_id, self.config.operator))
        except DecryptionFailed as error:
            raise DecryptionFailed(
                f"The key of asset {asset_id} was not sealed to this operator, or for another asset or chain.",
                asset_id=asset_id,
            ) from error


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is. Raises :class:`BadParameters`."""
    try:
        value = strict_json.parse(body)
    except (ValueError, RecursionError) as error:
        raise BadParameters("The body is no JSON.") from error
    if not isinstance(value, dict):
        raise BadParameters("The body is no JSON object.")
    return value


def _request(asked: Any) -> tuple[int, bytes, int, bytes]:
    if not isinstance(asked, dict):
        raise BadParameters("The body is no JSON object.")
    license_id, deadline = (number_field(asked, name) for name in ("licenseId", "deadline"))
    recipient = hex_field(asked.get("recipientKey"), "recipientKey")
    signature = hex_field(asked.get("signature"), "signature")
    if len(recipient) != 32:
        raise MalformedHex(f"recipientKey has {len(recipient)} bytes instead of 32.")
    if not 65 <= len(signature) <= 4096:
        raise MalformedHex(f"signature has {len(signature)} bytes, which is none.")
    return license_id, recipient, deadline, signature


def number_field(asked: dict[str, Any], name: str) -> int:
    """Return a number below 2^256, given as such or in digits. Raises :class:`BadParameters`."""
    value = asked.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 256:
        raise BadParameters(f"{name} is no number below 2^256.", field=name)
    return value


def hex_field(value: Any, name: str) -> bytes:
    """Return the bytes of ``0x…`` text. Raises :class:`MalformedHex`."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise MalformedHex(f"{name} is no 0x-hexadecimal text.")
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise MalformedHex(f"{name} is not hexadecimal.") from error
