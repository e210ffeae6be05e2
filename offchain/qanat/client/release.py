"""Getting an asset's key from its holders: all are asked at once, any t right answers open it.

::

    released = request_shares(asset, license, chain=chain, signer=signer)
    released.data_key, released.liars

Nothing that a holder says is believed: the dealing must have the root and the published part on chain, every E is
checked by its pairing, every receipt by the key that the roster counts. Who is dead, refuses, lies, or had not answered
when t others had, is named; a lie with a good receipt is evidence (``Keys.reportWrong``). Where too few answer,
:func:`force_release` demands it on chain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from eth_utils.conversions import to_bytes
from eth_utils.crypto import keccak

from qanat import bls
from qanat.chain.connection import Chain
from qanat.chain.journal import state_folder
from qanat.chain.logs import logs_between
from qanat.chain.sender import Sender
from qanat.chain.signer import Signer
from qanat.chain.views import ForcedRelease, KeyRecord, Views
from qanat.client.dealing import key_context_of
from qanat.client.nodes import NodeClient, connections
from qanat.errors import (
    ChainError,
    FormatError,
    KeyUnavailable,
    MalformedHex,
    NodeRefused,
    NodeUnreachable,
    NotLicensed,
    TransactionReverted,
    WrongKeyFile,
)
from qanat.keys.context import KeyContext, request_hash
from qanat.keys.curve import G1_BYTES
from qanat.keys.holding import Receipt
from qanat.keys.kept import keep_secret, open_secret
from qanat.keys.release import LicenseeKey, blinded_base, interpolate_key, is_right
from qanat.keys.shares import Commitments
from qanat.node.keyholder import key_request

__all__ = ["Answer", "HeldKey", "ReleasedKey", "force_release", "held_key", "request_shares"]

_REQUEST_SECONDS = 600
_PAUSE = 0.5
#: So long a holder may take before the next one is asked for the dealing.
_DEALING_SECONDS = 0.5
_SIGNATURE_BYTES = 128
#: How an asset comes to a key that holders have.
_DEALT_HOW = "Its owner deals one with `qanat mint --asset NUMBER --recovery FILE --key-holder drawn`."
#: Of the time that is left, what a holder that is to record the release on chain has before the next one is asked to.
_RECORDING_PART = 0.3


@dataclass(frozen=True)
class Answer:
    """What became of one holder's answer.

    ``state``: ``right``, ``lied`` (E is wrong), ``unreachable``, ``refused``, or ``slow`` (others were faster).
    ``receipt``, ``signature``: what it signed, where that is its signature; of a lie it is evidence.
    """

    operator: str
    place: int
    state: str
    seconds: float = 0.0
    error: str = ""
    receipt: Receipt | None = None
    signature: bytes = b""


@dataclass(frozen=True)
class HeldKey:
    """A key in force: what the chain says of it. ``published``: Y_0 ‖ Y'_1 … ‖ wrapped key."""

    record: KeyRecord
    context: KeyContext
    holders: tuple[str, ...]
    published: bytes

    def is_dealing(self, commitments: Commitments) -> bool:
        """Whether these are the commitments on chain."""
        return (commitments.threshold, commitments.root, commitments.published) == (
            self.record.threshold,
            self.record.root,
            self.published,
        )


@dataclass(frozen=True)
class ReleasedKey:
    """A data key, and how each holder did."""

    data_key: bytes = field(repr=False)
    key_epoch: int
    threshold: int
    answers: tuple[Answer, ...]

    @property
    def liars(self) -> tuple[str, ...]:
        """Holders whose answer was wrong."""
        return tuple(answer.operator for answer in self.answers if answer.state == "lied")

    @property
    def unreachable(self) -> tuple[str, ...]:
        """Holders that did not answer."""
        return tuple(answer.operator for answer in self.answers if answer.state == "unreachable")


def held_key(asset_id: int, *, chain: Chain, key_epoch: int | None = None) -> HeldKey | None:
    """Return an asset's newest key that holders have, or that of a key epoch; None where none was dealt."""
    views = Views(chain)
    epoch = views.key_epochs(asset_id)[1] if key_epoch is None else key_epoch
    if epoch == 0:
        return None
    record = views.key(asset_id, epoch)
    if not record.dealt_block:
        return None
    holders = views.key_holders(asset_id, epoch)
    event = views.keys().events.KeyDealt
    logs = logs_between(event, record.dealt_block, record.dealt_block, assetId=asset_id, epoch=epoch)
    if not logs:
        raise ChainError(f"The chain's logs do not tell the dealing of key epoch {epoch} of asset {asset_id}.")
    context = key_context_of(chain, asset_id, epoch, holders)
    return HeldKey(record, context, holders, bytes(logs[-1]["args"]["published"]))


def key_end(views: Views, asset_id: int) -> int | None:
    """Return the block from which no release of an asset's newest dealt key can be forced; None where none was dealt.

    Holders answer after it as they like: they have no duty any more, until the owner deals the key anew.
    """
    epoch = views.key_epochs(asset_id)[1]
    if epoch == 0:
        return None
    record = views.key(asset_id, epoch)
    return views.seed_block(record.shard, record.end_epoch - 1)


def request_shares(
    asset_id: int,
    license_id: int,
    *,
    chain: Chain,
    signer: Signer,
    key_epoch: int | None = None,
    timeout_seconds: float = 120.0,
    patience_seconds: float = 0.0,
    held: HeldKey | None = None,
) -> ReleasedKey:
    """Ask all holders of an asset's key, and open it with the first t right answers.

    ``patience_seconds``: so long the others are waited for when t have answered, so that they are named if they fall
    short. ``held``: what :func:`held_key` gave, if it was asked before.

    Raises :class:`NotLicensed` when the holders say so, :class:`KeyUnavailable` when too few answer
    (``data["holders"]`` says what each did) or no holders have a key.
    """
    found = held if held is not None else held_key(asset_id, chain=chain, key_epoch=key_epoch)
    if found is None:
        raise KeyUnavailable(f"No holders have a key of asset {asset_id}.", hint=_DEALT_HOW, asset=asset_id)
    return asyncio.run(_Release(found, asset_id, license_id, chain, signer, timeout_seconds).run(patience_seconds))


class _Release:
    """One request to all holders."""

    def __init__(
        self, held: HeldKey, asset_id: int, license_id: int, chain: Chain, signer: Signer, seconds: float
    ) -> None:
        self.held, self.asset_id, self.license_id, self.chain, self.signer = held, asset_id, license_id, chain, signer
        self.views = Views(chain)
        self.until = time.monotonic() + seconds
        self.started = time.monotonic()
        self.key = LicenseeKey.generate()
        context = held.context
        self.licensee = to_bytes(hexstr=signer.address)
        self.possession = self.key.prove(context.chain_id, context.contract, self.licensee)
        self.recipient = request_hash(context.identity, self.key.point)
        self.blinded = blinded_base(context, self.key.point)
        self.deadline = max(int(time.time()), chain.timestamp()) + _REQUEST_SECONDS
        self.answers: dict[int, Answer] = {}
        self.right: dict[int, bytes] = {}
        self.refusals: list[NodeRefused] = []

    async def run(self, patience: float) -> ReleasedKey:
        """Ask, check, open."""
        async with connections(len(self.held.holders)) as http:
            nodes = self._nodes(http)
            commitments = await self._dealing(nodes)
            tasks = await self._ask_all(nodes, commitments)
            await self._gather(tasks, commitments.threshold, patience)
        return self._opened(commitments)

    async def _ask_all(self, nodes: dict[int, NodeClient], commitments: Commitments) -> dict[asyncio.Task[None], int]:
        """Ask everybody at once; one records a first release on chain before, another one if it is slow."""
        tasks: dict[asyncio.Task[None], int] = {}

        def ask(place: int, *, record: bool) -> None:
            tasks[asyncio.create_task(self._ask(place, nodes[place], commitments, record=record))] = place

        left = list(nodes)
        while left and not self.right and self._is_first():
            ask(left.pop(0), record=True)
            going = [task for task in tasks if not task.done()]
            time_left = _RECORDING_PART * max(0.0, self.until - time.monotonic())
            await asyncio.wait(going, timeout=time_left, return_when=asyncio.FIRST_COMPLETED)
        for place in left:
            ask(place, record=False)
        return tasks

    async def _gather(self, tasks: dict[asyncio.Task[None], int], threshold: int, patience: float) -> None:
        """Wait until so many answers are right, or everybody has answered; then a while longer for the others."""
        waiting = set(tasks)
        while waiting and len(self.right) < threshold:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        if waiting and patience:
            done, waiting = await asyncio.wait(waiting, timeout=patience)
            for task in done:
                task.result()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for task in waiting:
            self._note(tasks[task], "slow", "others were faster")

    def _nodes(self, http: httpx.AsyncClient) -> dict[int, NodeClient]:
        found = {}
        known = self.views.endpoints(self.held.holders)
        for place, holder in enumerate(self.held.holders):
            endpoints = known[holder]
            if isinstance(endpoints, ChainError):
                self._note(place, "unreachable", endpoints.message)
                continue
            found[place] = NodeClient(http, holder, endpoints, self.chain.chain_id)
        return found

    def _is_first(self) -> bool:
        """Whether a part of the price is earned by the first release, and none is recorded."""
        try:
            record = self.views.license(self.license_id)
        except ChainError:  # the holders say what is wrong with it
            return False
        return record.earned_at_release_bps != 0 and record.released_at == 0

    # ---- the dealing

    async def _dealing(self, nodes: dict[int, NodeClient]) -> Commitments:
        """Return the dealing that the chain names, from whichever holder has it: another is asked when one is slow."""
        waiting: set[asyncio.Task[Commitments | None]] = set()
        left = list(nodes.values())
        try:
            while left or waiting:
                if left:
                    waiting.add(asyncio.create_task(self._dealing_from(left.pop(0))))
                done, waiting = await asyncio.wait(
                    waiting, timeout=_DEALING_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    found = task.result()
                    if found is not None:
                        return found
        finally:
            for task in waiting:
                task.cancel()
        raise KeyUnavailable(
            f"No holder of the key of asset {self.asset_id} gave the dealing that the chain names.",
            hint="Try again when holders are up.",
            holders=list(self.held.holders),
        )

    async def _dealing_from(self, node: NodeClient) -> Commitments | None:
        try:
            raw = await node.get_dealing(self.asset_id, self.held.context.key_epoch)
            found = Commitments.from_bytes(raw)
        except (NodeUnreachable, NodeRefused, FormatError):
            return None
        return found if self.held.is_dealing(found) else None

    # ---- answers

    async def _ask(self, place: int, node: NodeClient, commitments: Commitments, *, record: bool) -> None:
        """Ask one holder, again while it can't now, and judge what it says."""
        request = self._request(node.operator, record=record)
        while True:
            left = self.until - time.monotonic()
            try:
                said = await node.release_share(
                    self.asset_id, self.held.context.key_epoch, request, seconds=max(1.0, left)
                )
                break
            except NodeUnreachable as error:
                self._note(place, "unreachable", error.message)
                return
            except NodeRefused as error:
                wait = error.data.get("retry_after") or _PAUSE
                if error.data.get("status") not in (429, 503) or wait > left:
                    self._note(place, "refused", error.message)
                    self.refusals.append(error)
                    return
                await asyncio.sleep(wait)
        self._judge(place, said, commitments)

    def _request(self, holder: str, *, record: bool) -> dict[str, Any]:
        licenses = self.chain.contract("Licenses").address
        signed = key_request(self.chain.chain_id, licenses, self.license_id, holder, self.recipient, self.deadline)
        return {
            "licenseId": self.license_id,
            "point": "0x" + self.key.point.hex(),
            "possession": "0x" + self.possession.hex(),
            "deadline": self.deadline,
            "signature": "0x" + bytes(self.signer.sign_typed_data(*signed)).hex(),
            "record": record,
        }

    def _judge(self, place: int, said: dict[str, Any], commitments: Commitments) -> None:
        """Check E by its pairing; of a lie, whether its holder signed it."""
        try:
            answer = _hex(said.get("answer"), G1_BYTES)
            signature = _hex(said.get("signature"), _SIGNATURE_BYTES)
            block = _block_number(said.get("blockNumber"))
        except (MalformedHex, ValueError, TypeError) as error:
            self._note(place, "lied", f"its answer is malformed: {error}")
            return
        context = self.held.context
        receipt = Receipt(
            context.asset_id,
            context.key_epoch,
            place,
            self.license_id,
            self.licensee,
            block,
            self.key.point,
            answer,
        )
        if is_right(self.blinded, commitments.points[place], answer):
            self.right[place] = answer
            self._note(place, "right", receipt=receipt, signature=signature)
            return
        signed, in_time = self._has_signed(place, receipt, signature), self._is_reportable(block)
        told = ", and signed" if signed else "; its receipt is not signed by it"
        if signed and not in_time:
            told = f"; its receipt names block {block}, of which no report is taken"
        self._note(
            place,
            "lied",
            f"its answer is wrong{told}",
            receipt=receipt if signed and in_time else None,
            signature=signature if signed and in_time else b"",
        )

    def _is_reportable(self, block: int) -> bool:
        """Whether the chain takes a report of a fault in a block now, as `Keys` reckons it."""
        parameters, latest = self.views.shard_parameters(self.held.record.shard), self.chain.latest()
        return block <= latest <= block + parameters.window + parameters.reporting

    def _has_signed(self, place: int, receipt: Receipt, signature: bytes) -> bool:
        context = self.held.context
        record = self.held.record
        roster = self.views.roster(record.shard, record.roster)  # asked for only where somebody lied
        seat = roster.index_of(self.held.holders[place])
        if seat is None:
            return False
        try:
            key = self.views.roster_keys(roster, [seat])
            return bls.verify(key, receipt.digest(context.chain_id, context.contract), signature)
        except FormatError:
            return False

    def _note(self, place: int, state: str, error: str = "", **evidence: Any) -> None:
        seconds = round(time.monotonic() - self.started, 4)
        self.answers[place] = Answer(self.held.holders[place], place, state, seconds, error, **evidence)

    def _opened(self, commitments: Commitments) -> ReleasedKey:
        answers = tuple(self.answers[place] for place in sorted(self.answers))
        if len(self.right) >= commitments.threshold:
            data_key = interpolate_key(
                self.held.context, self.held.published, commitments.threshold, self.key, self.right
            )
            return ReleasedKey(data_key, self.held.context.key_epoch, commitments.threshold, answers)
        unlicensed = [error for error in self.refusals if error.data.get("status") in (401, 403)]
        if unlicensed and len(unlicensed) + len(self.right) >= commitments.threshold:
            raise NotLicensed(unlicensed[0].message, hint="Buy a license first.", license_id=self.license_id)
        shown = {answer.operator: f"{answer.state} {answer.error}".strip() for answer in answers}
        raise KeyUnavailable(
            f"{len(self.right)} of {len(self.held.holders)} holders answered rightly; "
            f"{commitments.threshold} open the key of asset {self.asset_id}.",
            hint="Try again, or force the release on chain: --force-release.",
            holders=shown,
        )


def force_release(
    asset_id: int,
    license_id: int,
    *,
    chain: Chain,
    sender: Sender,
    held: HeldKey | None = None,
    timeout_seconds: float = 900.0,
    tell: Callable[[str], None] | None = None,
) -> ReleasedKey:
    """Demand the key from its holders on chain, prepaying their answers, and open it with the first t of them.

    Where no holder recorded the first release of the license, the licensee records it itself.
    The licensee's secret is kept before it pays: a run that ended early is gone on with, and what was paid for is
    opened again at no cost. What holders don't answer comes back when the release is settled.

    Raises :class:`KeyUnavailable` when the deadline passes with fewer than t answers: the silent can be reported
    (``Keys.reportSilent``), and lose stake.
    """
    found = held if held is not None else held_key(asset_id, chain=chain)
    if found is None:
        raise KeyUnavailable(f"No holders have a key of asset {asset_id}.", hint=_DEALT_HOW, asset=asset_id)
    work = _Forcing(found, license_id, chain, sender, tell or _quiet)
    key, release = work.begun()
    if release is None:
        release = work.begin(key)
    return work.wait(key, release, time.monotonic() + timeout_seconds)


def _quiet(_what: str) -> None:
    return


class _Forcing:
    """One license's forced release of a key.

    x is kept, sealed to the account, before the release is paid: what a run paid for, a later one opens.
    """

    def __init__(
        self, held: HeldKey, license_id: int, chain: Chain, sender: Sender, tell: Callable[[str], None]
    ) -> None:
        self.held, self.license_id, self.chain, self.sender, self.tell = held, license_id, chain, sender, tell
        self.views = Views(chain)
        self.keys = self.views.keys()
        self.folder = state_folder() / "forced"

    def begun(self) -> tuple[LicenseeKey, ForcedRelease | None]:
        """Return the key of a release that was paid for and is, or can still be, answered by enough; else one to pay.

        One that is kept and that the chain does not know is paid with now: its payment may be on its way.
        """
        latest, unpaid = self.chain.latest(), None
        for path in sorted(self.folder.glob(f"{self._name}-*.json")):
            try:
                key = LicenseeKey(int.from_bytes(open_secret(path, self.sender.signer), "big"))
            except WrongKeyFile:  # of another account that had the license
                continue
            release = self._release(key)
            if release is None:
                unpaid = key
            elif release.answered.bit_count() >= self.held.record.threshold or latest <= release.deadline:
                self.tell("this release was paid for before: nothing is paid again")
                return key, release
        if unpaid is None:
            unpaid = LicenseeKey.generate()
            self._keep(unpaid)
        return unpaid, None

    def begin(self, key: LicenseeKey) -> ForcedRelease:
        """Pay for the release to a key that is kept."""
        context = self.held.context
        proof = key.prove(context.chain_id, context.contract, to_bytes(hexstr=self.sender.address))
        words = (int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:], "big"))
        call = self.keys.functions.force(context.asset_id, context.key_epoch, self.license_id, key.point, *words)
        token = self.views.shard_parameters(self.held.record.shard).payment_token
        fee = int(self.chain.call(self.keys.functions.answerFee())) * len(self.held.holders)
        self._record_first(token, fee)
        try:
            self.sender.pay(call, token, self.chain.contract("Payments").address, fee)
        except TransactionReverted as error:
            if error.error_name != "AlreadyForced":  # an earlier run's payment arrived meanwhile
                raise
        release = self.views.forced_release(self._identity(key))
        self.tell(f"forced: {len(self.held.holders)} holders have to answer by block {release.deadline}")
        return release

    def _record_first(self, token: str, fee: int) -> None:
        """Record the first release of the license where no holder did: only then may a release be forced.

        Whether the account can pay for that one is looked at before: recording earns the owner its part of the price.
        """
        record = self.views.license(self.license_id)
        if record.earned_at_release_bps == 0 or record.released_at:
            return
        self.sender.check_tokens(token, fee)
        own = (self.license_id, self.sender.address, bytes(32), 2**64 - 1, b"")
        self.sender.send(self.chain.contract("Licenses").functions.recordRelease(*own))
        self.tell(f"recorded the first release of license {self.license_id}: its part of the price is earned")

    def _release(self, key: LicenseeKey) -> ForcedRelease | None:
        try:
            return self.views.forced_release(self._identity(key))
        except TransactionReverted as error:
            if error.error_name != "ReleaseUnknown":
                raise
            return None

    def wait(self, key: LicenseeKey, release: ForcedRelease, until: float) -> ReleasedKey:
        """Open the key with the first t answers."""
        found, identity = self.held, self._identity(key)
        first = max(0, release.deadline - self.views.shard_parameters(found.record.shard).window)
        while True:
            latest = self.chain.latest()
            logs = logs_between(self.keys.events.ReleaseAnswered, first, min(latest, release.deadline), id=identity)
            answers = {int(log["args"]["place"]): bytes(log["args"]["answer"]) for log in logs}
            if len(answers) >= found.record.threshold:
                return _opened_on_chain(found, key, answers)
            if latest > release.deadline or time.monotonic() > until:
                silent = [holder for place, holder in enumerate(found.holders) if place not in answers]
                raise KeyUnavailable(
                    f"{len(answers)} of {len(found.holders)} holders answered the forced release by block {latest}.",
                    hint="Report the silent ones: their stake is slashed.",
                    silent=silent,
                    release="0x" + identity.hex(),
                )
            time.sleep(_PAUSE)

    @property
    def _name(self) -> str:
        context = self.held.context
        return f"{context.chain_id}-{context.contract.hex()}-{context.asset_id}-{context.key_epoch}-{self.license_id}"

    def _keep(self, key: LicenseeKey) -> None:
        context = self.held.context
        subject = {
            "what": "licensee's key",
            "chainId": context.chain_id,
            "keys": "0x" + context.contract.hex(),
            "asset": context.asset_id,
            "keyEpoch": context.key_epoch,
            "license": self.license_id,
            "point": "0x" + key.point.hex(),
        }
        path = self.folder / f"{self._name}-{keccak(key.point).hex()[:16]}.json"
        keep_secret(path, key.scalar.to_bytes(32, "big"), subject, self.sender.signer)

    def _identity(self, key: LicenseeKey) -> bytes:
        context = self.held.context
        names = (context.asset_id, context.key_epoch, self.license_id, bytes(keccak(key.point)))
        return bytes(self.chain.call(self.keys.functions.releaseId(*names)))


def _opened_on_chain(held: HeldKey, key: LicenseeKey, answers: dict[int, bytes]) -> ReleasedKey:
    """Open a key with answers that the chain has checked: the Y_i are not needed any more."""
    data_key = interpolate_key(held.context, held.published, held.record.threshold, key, answers)
    made = tuple(
        Answer(holder, place, "right" if place in answers else "slow") for place, holder in enumerate(held.holders)
    )
    return ReleasedKey(data_key, held.context.key_epoch, held.record.threshold, made)


def _block_number(value: Any) -> int:
    """Return what a receipt has 48 bits for."""
    if type(value) is not int or not 0 <= value < 1 << 48:
        raise ValueError(f"{str(value)[:40]} is no block's number")
    return value


def _hex(value: Any, size: int) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise MalformedHex("no 0x-hexadecimal text")
    try:
        raw = bytes.fromhex(value[2:])
    except ValueError as error:
        raise MalformedHex("not hexadecimal") from error
    if len(raw) != size:
        raise MalformedHex(f"{len(raw)} bytes instead of {size}")
    return raw
