"""Dealing an asset's key to holders: request, draw, deal, gather acknowledgements, put it on chain.

::

    dealt = deal_key(asset, data_key, chain=chain, sender=sender, signer=signer, shard=1, threshold=4, holders=7)

A holder that stays silent, refuses, or acknowledges falsely has its place redrawn, as often as the contract allows;
everybody is then dealt a fresh key. A run that ended early goes on with the holders it had asked for, and with the
dealing that some of them may have acknowledged; the one in force can be sent again to holders that lost it.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eth_utils.address import to_checksum_address
from eth_utils.conversions import to_bytes

from qanat import bls
from qanat.chain.connection import Chain
from qanat.chain.journal import state_folder
from qanat.chain.randomness import module_in_force, randomness_proof, relays_of
from qanat.chain.sender import Sender
from qanat.chain.signer import Signer
from qanat.chain.views import KeyRecord, Roster, RosterEntry, Views
from qanat.client.nodes import NodeClient, connections
from qanat.errors import (
    BadParameters,
    FormatError,
    KeyUnavailable,
    MalformedHex,
    NodeRefused,
    NodeUnreachable,
    RandomnessUnavailable,
    TransactionReverted,
    WrongKeyFile,
)
from qanat.keys.context import KeyContext
from qanat.keys.drawing import Drawn, Seat, drawn_ticket, follow_draw
from qanat.keys.encryption import DATA_KEY_BYTES
from qanat.keys.kept import keep_secret, open_secret, subject_of
from qanat.keys.schnorr import PROOF_BYTES
from qanat.keys.sealed_share import seal_share
from qanat.keys.shares import Commitments, Dealing, deal, digest_of

__all__ = ["MOST_REDRAWS", "DealtKey", "KeptDealings", "deal_key", "key_context_of", "resend_dealing"]

#: Places that the contract redraws in one key epoch.
MOST_REDRAWS = 4
#: Dealings whose secret somebody else put on chain first, before this gives up.
MOST_TAKEN = 8
#: Blocks after which a draw's block can't be proven any more (EIP-2935: 8,191), less what a draw needs.
_DRAWABLE_BLOCKS = 8_000
_PAUSE = 0.5
Tell = Callable[[str], None]


@dataclass(frozen=True)
class DealtKey:
    """A key in force. ``holders``: by place. ``replaced``: who was drawn and lost its place, and why."""

    asset_id: int
    key_epoch: int
    threshold: int
    holders: tuple[str, ...]
    replaced: dict[str, str]
    transaction: bytes


def key_context_of(chain: Chain, asset_id: int, key_epoch: int, holders: Sequence[str]) -> KeyContext:
    """Return what a key of the Keys contract in force is bound to."""
    contract = to_bytes(hexstr=str(chain.contract("Keys").address))
    return KeyContext(
        chain.chain_id, contract, asset_id, key_epoch, tuple(to_bytes(hexstr=holder) for holder in holders)
    )


def willing_entries(views: Views, shard: int) -> tuple[Roster, list[RosterEntry]]:
    """Return a shard's active roster, and who of it can be drawn: who accepted Keys as a slasher and is there."""
    roster = views.roster(shard, views.active_roster(shard))
    return roster, [entry for entry in roster.entries if _holds_keys(views, roster, entry.operator)]


def _holds_keys(views: Views, roster: Roster, operator: str) -> bool:
    accepted = views.accepted(operator, views.keys().address, roster.shard)
    return accepted and not views.vacated_at(roster.shard, roster.number, operator)


def deal_key(
    asset_id: int,
    data_key: bytes,
    *,
    chain: Chain,
    sender: Sender,
    signer: Signer,
    shard: int,
    threshold: int,
    holders: int,
    holder_seconds: float = 30.0,
    timeout_seconds: float = 900.0,
    tell: Tell | None = None,
) -> DealtKey:
    """Deal a fresh key that wraps ``data_key`` to drawn holders, any ``threshold`` of which release it.

    ``holder_seconds``: so long a holder may take to acknowledge. The signer owns the asset and pays the gas.

    Raises :class:`BadParameters` (too few operators hold shares), :class:`KeyUnavailable` (holders stay silent and no
    more places can be redrawn), :class:`TransactionReverted`.
    """
    work = _Dealing(asset_id, chain, sender, signer, shard, holder_seconds, timeout_seconds, tell or _quiet)
    if not 1 <= threshold <= holders:
        raise BadParameters(f"{threshold} of {holders} holders is no threshold.")
    work.choose(holders)
    return work.run(data_key, threshold)


def resend_dealing(
    asset_id: int,
    *,
    chain: Chain,
    sender: Sender,
    signer: Signer,
    holder_seconds: float = 30.0,
    tell: Tell | None = None,
) -> tuple[int, dict[str, str]]:
    """Send the dealing in force again to its holders: who lost it, or missed it, has it then.

    Returns the key epoch, and by holder what is wrong with it, nothing where it acknowledged.

    Raises :class:`KeyUnavailable` where no key was dealt, or its dealing was not made on this machine.
    """
    work = _Dealing(asset_id, chain, sender, signer, 0, holder_seconds, 0.0, tell or _quiet)
    return work.resend()


def _quiet(_what: str) -> None:
    return


class KeptDealings:
    """What the dealer keeps of one key's dealings, sealed to its account: a later run sends the same ones again."""

    def __init__(self, context: KeyContext, signer: Signer) -> None:
        self.context, self.signer = context, signer
        self.folder = state_folder() / "dealings"
        self._name = f"{context.chain_id}-{context.contract.hex()}-{context.asset_id}-{context.key_epoch}"

    def keep(self, dealing: Dealing, data_key: bytes) -> None:
        """Keep a dealing, durable on return; a holder hears of it only then."""
        commitments = dealing.commitments
        subject = {
            "what": "dealing",
            "chainId": self.context.chain_id,
            "keys": "0x" + self.context.contract.hex(),
            "asset": self.context.asset_id,
            "keyEpoch": self.context.key_epoch,
            "dealing": "0x" + digest_of(self.context, commitments).hex(),
        }
        shares = b"".join(share.to_bytes(32, "big") for share in dealing.shares)
        path = self._path(commitments.root)
        keep_secret(path, data_key + dealing.proof + shares + commitments.to_bytes(), subject, self.signer)

    def same(self, threshold: int, data_key: bytes) -> Dealing | None:
        """Return a dealing of the same key, for the same threshold, to the same holders, that an earlier run kept."""
        for path in sorted(self.folder.glob(f"{self._name}-*.json")):
            found = self._open(path)
            if found is None or found[0].commitments.threshold != threshold:
                continue
            if hmac.compare_digest(found[1], data_key):
                return found[0]
        return None

    def of_root(self, root: bytes) -> Dealing | None:
        """Return the dealing of a root."""
        found = self._open(self._path(root))
        return None if found is None else found[0]

    def forget_others(self, root: bytes) -> None:
        """Delete what can't come into force any more: every dealing of the key epoch but one."""
        for path in self.folder.glob(f"{self._name}-*.json"):
            if path != self._path(root):
                path.unlink(missing_ok=True)

    def forget(self, root: bytes) -> None:
        """Delete a dealing that can't come into force."""
        self._path(root).unlink(missing_ok=True)

    def _path(self, root: bytes) -> Path:
        return self.folder / f"{self._name}-{root.hex()[:16]}.json"

    def _open(self, path: Path) -> tuple[Dealing, bytes] | None:
        """Return a dealing and the key that it wraps; None for another account's, or other holders'."""
        if not path.exists():
            return None
        try:
            raw = open_secret(path, self.signer)
            named = subject_of(path)["dealing"]
        except WrongKeyFile:
            return None
        end = DATA_KEY_BYTES + PROOF_BYTES + 32 * len(self.context.holders)
        try:
            commitments = Commitments.from_bytes(raw[end:])
        except FormatError:  # of another number of holders
            return None
        if named != "0x" + digest_of(self.context, commitments).hex():
            return None
        words = raw[DATA_KEY_BYTES + PROOF_BYTES : end]
        shares = tuple(int.from_bytes(words[at : at + 32], "big") for at in range(0, len(words), 32))
        return Dealing(commitments, raw[DATA_KEY_BYTES:][:PROOF_BYTES], shares), raw[:DATA_KEY_BYTES]


class _Dealing:
    """One run."""

    def __init__(
        self,
        asset_id: int,
        chain: Chain,
        sender: Sender,
        signer: Signer,
        shard: int,
        holder_seconds: float,
        timeout_seconds: float,
        tell: Tell,
    ) -> None:
        self.asset_id, self.chain, self.sender, self.signer, self.shard = asset_id, chain, sender, signer, shard
        self.holder_seconds, self.tell = holder_seconds, tell
        self.until = time.monotonic() + timeout_seconds
        self.views = Views(chain)
        self.keys = self.views.keys()
        self.epoch = 0
        #: whether an earlier run asked for this key epoch's holders
        self.is_earlier = False
        self.replaced: dict[str, str] = {}

    # ---- holders

    def choose(self, holders: int) -> None:
        """Ask for holders, or find those of a run that ended early; see that they are drawn."""
        newest, dealt, _ = self.views.key_epochs(self.asset_id)
        if newest > dealt and self._fits(self.views.key(self.asset_id, newest), holders):
            self.epoch, self.is_earlier = newest, True
            self._see_drawn()
        else:
            self._ask_anew(holders)

    def _ask_anew(self, holders: int) -> None:
        """Have other holders drawn, in a key epoch of their own."""
        self._check_eligible(holders)
        self.sender.send(self.keys.functions.request(self.asset_id, self.shard, holders))
        self.epoch, self.is_earlier = self.views.key_epochs(self.asset_id)[0], False
        self._see_drawn()

    def _see_drawn(self) -> None:
        record = self.record
        if not record.drawn_block:
            self.tell(f"waiting for block {record.seed_block}, which draws the holders")
            self._wait_for_block(record.seed_block + 1)
            self._draw(record)

    @property
    def record(self) -> KeyRecord:
        """The key as the chain has it now."""
        return self.views.key(self.asset_id, self.epoch)

    def _fits(self, record: KeyRecord, holders: int) -> bool:
        wanted = (self.shard, self.views.active_roster(self.shard), holders)
        is_late = not record.drawn_block and self.chain.latest() > record.seed_block + _DRAWABLE_BLOCKS
        return (record.shard, record.roster, record.places) == wanted and not is_late

    def _check_eligible(self, holders: int) -> None:
        """Raise before anything is paid for a draw that could not end."""
        willing = [entry.operator for entry in willing_entries(self.views, self.shard)[1]]
        if len(willing) < holders:
            raise BadParameters(
                f"{len(willing)} operators of shard {self.shard} hold shares; {holders} are wanted.",
                hint="Operators take part with `qanat register --hold-keys`.",
                willing=willing,
            )

    def _wait_for_block(self, number: int) -> None:
        while self.chain.latest() < number:
            if time.monotonic() > self.until:
                raise KeyUnavailable(f"The chain did not come to block {number} in time.", hint="Run it again.")
            time.sleep(_PAUSE)

    def _draw(self, record: KeyRecord) -> None:
        proof = self._proof(record.seed_block)
        beacon = self.chain.contract_at("RandaoBeacon", module_in_force(self.chain))
        seed = bytes(self.chain.call(beacon.functions.reveal(record.seed_block, proof)))
        drawn = self._follow(record, seed, [None] * record.places, (), 0)
        try:
            self.sender.send(self.keys.functions.draw(self.asset_id, self.epoch, proof, list(drawn.steps)))
        except TransactionReverted as error:
            if error.error_name != "AlreadyDrawn":  # anyone may
                raise

    def _proof(self, block: int) -> bytes:
        while True:
            try:
                return randomness_proof(self.chain, block, relays_of(self.chain))
            except RandomnessUnavailable:  # a round of drand is signed a while after its block
                if time.monotonic() > self.until:
                    raise
                time.sleep(_PAUSE)

    def _follow(
        self, record: KeyRecord, seed: bytes, places: list[str | None], former: tuple[str, ...], step: int
    ) -> Drawn:
        roster = self.views.roster(record.shard, record.roster)
        seats = [Seat(entry.seat, entry.operator, entry.first_ticket, entry.tickets) for entry in roster.entries]

        def ticket_of(step: int) -> int:
            return drawn_ticket(
                self.chain.chain_id, self.keys.address, self.asset_id, self.epoch, seed, step, roster.tickets
            )

        known = {entry.operator: _holds_keys(self.views, roster, entry.operator) for entry in roster.entries}
        return follow_draw(seats, ticket_of, places=places, former=former, eligible=known.__getitem__, first_step=step)

    def _redraw(self, record: KeyRecord, holders: tuple[str, ...], silent: dict[str, str]) -> None:
        """Give silent holders' places to others, once the contract allows it."""
        if record.redraws + len(silent) > MOST_REDRAWS:
            raise KeyUnavailable(
                f"Holders did not acknowledge, and no more places can be redrawn: {', '.join(silent)}.",
                hint="Run it again: other holders are drawn.",
                holders=silent,
            )
        self.tell(f"{len(silent)} holders are silent: their places are redrawn")
        window = self.views.shard_parameters(record.shard).window
        self._wait_for_block(record.drawn_block + window + 1)
        beacon = self.chain.contract_at("RandaoBeacon", module_in_force(self.chain))
        seed = bytes(self.chain.call(beacon.functions.valueOf(record.seed_block)))
        places = [None if holder in silent else holder for holder in holders]
        drawn = self._follow(record, seed, places, holders, record.steps)
        bits = sum(1 << place for place, holder in enumerate(holders) if holder in silent)
        self.sender.send(self.keys.functions.redraw(self.asset_id, self.epoch, bits, list(drawn.steps)))
        self.replaced.update(silent)

    # ---- the dealing

    def run(self, data_key: bytes, threshold: int) -> DealtKey:
        """Deal until all holders have acknowledged, and put that on chain."""
        taken = 0
        while True:
            record = self.record
            holders = self.views.key_holders(self.asset_id, self.epoch)
            context = key_context_of(self.chain, self.asset_id, self.epoch, holders)
            kept = KeptDealings(context, self.signer)
            dealing = kept.same(threshold, data_key)
            if dealing is None:
                dealing = deal(context, threshold, data_key)
                kept.keep(dealing, data_key)
            signatures, silent = asyncio.run(self._gather(record, holders, context, dealing))
            if silent:
                try:
                    self._redraw(record, holders, silent)
                except (KeyUnavailable, BadParameters):
                    # of this key epoch nothing will come; one that is of this run is left to the next, so that it ends
                    if not self.is_earlier:
                        raise
                    self.tell(f"key epoch {self.epoch} can't be dealt any more: other holders are drawn")
                    self.replaced.update(silent)
                    self._ask_anew(len(holders))
                continue
            commitments = dealing.commitments
            words = (commitments.threshold, commitments.root, commitments.published, bls.aggregate(signatures))
            try:
                receipt = self.sender.send(self.keys.functions.deal(self.asset_id, self.epoch, *words))
            except TransactionReverted as error:
                taken += 1
                if error.error_name != "SecretUsed" or taken > MOST_TAKEN:
                    raise
                # who sees [s]G2 before it is in a block can put it into a dealing of its own, which opens nothing
                self.tell("somebody else put this dealing's secret on chain first: a fresh one is dealt")
                kept.forget(commitments.root)
                continue
            kept.forget_others(commitments.root)
            return DealtKey(
                self.asset_id, self.epoch, threshold, holders, self.replaced, bytes(receipt["transactionHash"])
            )

    def resend(self) -> tuple[int, dict[str, str]]:
        """Send the dealing in force to all its holders again."""
        self.epoch = self.views.key_epochs(self.asset_id)[1]
        if not self.epoch:
            raise KeyUnavailable(f"No holders have a key of asset {self.asset_id}.", asset=self.asset_id)
        record = self.record
        holders = self.views.key_holders(self.asset_id, self.epoch)
        context = key_context_of(self.chain, self.asset_id, self.epoch, holders)
        dealing = KeptDealings(context, self.signer).of_root(record.root)
        if dealing is None:
            raise KeyUnavailable(
                f"The dealing of key epoch {self.epoch} of asset {self.asset_id} is not kept on this machine.",
                hint="Send it from where it was made, with the same account, or deal a new key.",
                asset=self.asset_id,
            )
        return self.epoch, asyncio.run(self._gather(record, holders, context, dealing))[1]

    async def _gather(
        self, record: KeyRecord, holders: tuple[str, ...], context: KeyContext, dealing: Dealing
    ) -> tuple[list[bytes], dict[str, str]]:
        """Send every holder its share at once; return acknowledgements by place, and who gave none, and why."""
        roster = self.views.roster(record.shard, record.roster)
        digest = digest_of(context, dealing.commitments)
        found: dict[int, bytes] = {}
        silent: dict[str, str] = {}

        async def one(place: int, holder: str, http: object) -> None:
            try:
                found[place] = await self._acknowledged(roster, place, holder, digest, dealing, http)
            # a holder's own sealing key may be no key, its acknowledgement no point: that is its silence, not our end
            except (NodeUnreachable, NodeRefused, MalformedHex, FormatError, TransactionReverted) as error:
                silent[holder] = error.message

        async with connections(len(holders)) as http:
            await asyncio.gather(*(one(place, holder, http) for place, holder in enumerate(holders)))
        return [found[place] for place in sorted(found)], silent

    async def _acknowledged(
        self, roster: Roster, place: int, holder: str, digest: bytes, dealing: Dealing, http: object
    ) -> bytes:
        """Return one holder's acknowledgement, verified; it is asked again while it says that it can't now."""
        operator = self.views.operator(holder)
        sealed = seal_share(dealing.shares[place], digest, place, to_bytes(hexstr=holder), operator.sealing_key)
        node = NodeClient(http, holder, operator.endpoints, self.chain.chain_id, self.signer)  # type: ignore[arg-type]
        until = time.monotonic() + self.holder_seconds
        raw = dealing.commitments.to_bytes()
        while True:
            left = until - time.monotonic()
            try:
                signature = await node.put_share(
                    self.asset_id, self.epoch, raw, dealing.proof, sealed, seconds=max(1.0, left)
                )
                break
            except (NodeUnreachable, NodeRefused) as error:
                passing = isinstance(error, NodeUnreachable) or error.data.get("status") in (425, 429, 503)
                if not passing or left < _PAUSE:
                    raise
                await asyncio.sleep(_PAUSE)
        seat = roster.index_of(to_checksum_address(holder))
        if seat is None or not bls.verify(self.views.roster_keys(roster, [seat]), digest, signature):
            raise NodeRefused(f"{holder} acknowledged with a signature that is not its.", operator=holder)
        return signature
