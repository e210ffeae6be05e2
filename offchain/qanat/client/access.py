"""Who got at an asset's key, when, and from whom: from the chain's events, and from receipts that somebody kept.

The chain sees the first release of a license, forced releases with their answers, and holders that were reported. A
release off chain leaves a receipt with the licensee, which can show it to anybody: it counts if its holder signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address

from qanat import bls
from qanat.chain.views import Views
from qanat.errors import ChainError, FormatError
from qanat.keys.receipts import SignedReceipt

if TYPE_CHECKING:
    from qanat.index import Index
    from qanat.index.records import Event

__all__ = ["Access", "ReceiptJudge", "access_log"]


@dataclass(frozen=True)
class Access:
    """One line of the log.

    ``kind``: ``released`` (the first release of a license, recorded on chain), ``receipt`` (a release off chain),
    ``forced``, ``answered``, ``settled`` (of a forced release, ``release``), ``reported`` (a holder, for ``note``).
    """

    block: int
    kind: str
    asset: int
    license: int | None = None
    key_epoch: int | None = None
    licensee: str | None = None
    holder: str | None = None
    release: str | None = None
    transaction: bytes | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "block": self.block,
            "kind": self.kind,
            "asset": self.asset,
            "license": self.license,
            "keyEpoch": self.key_epoch,
            "licensee": self.licensee,
            "holder": self.holder,
            "release": self.release,
            "transaction": None if self.transaction is None else "0x" + self.transaction.hex(),
            "note": self.note,
        }


def access_log(
    index: Index, views: Views, receipts: Iterable[SignedReceipt] = (), *, asset_ids: Sequence[int] | None = None
) -> list[Access]:
    """Return the log of some assets, or of all, in the order of blocks.

    ``index``: brought up to date. Receipts of other chains, contracts and assets are passed over; one without its
    holder's signature is shown as such.
    """
    found = [*_on_chain(index), *ReceiptJudge(views).lines(receipts)]
    wanted = None if asset_ids is None else set(asset_ids)
    return sorted((line for line in found if wanted is None or line.asset in wanted), key=lambda line: line.block)


def _on_chain(index: Index) -> list[Access]:
    licenses = {item.license_id: item for item in index.licenses()}
    holders: dict[tuple[int, int], list[str]] = {}
    forced: dict[str, Access] = {}
    lines = []
    for event in index.events("KeyReleased", contract="Licenses"):
        number = _number(event, "licenseId")
        sold = licenses.get(number)
        if sold is not None:
            made = Access(event.block, "released", sold.asset_id, number, transaction=event.transaction)
            lines.append(replace(made, licensee=sold.licensee, holder=str(event.arguments["keyHolder"])))
    for event in index.events(contract="Keys"):
        said, at = event.arguments, (event.block, event.transaction)
        if event.name == "HoldersDrawn":
            holders[_number(event, "assetId"), _number(event, "epoch")] = list(said["holders"])  # type: ignore[call-overload]
        elif event.name == "ReleaseForced":
            made = Access(at[0], "forced", _number(event, "assetId"), _number(event, "licenseId"), transaction=at[1])
            deadline = f"answers are due by block {said['deadline']}"
            forced[str(said["id"])] = replace(
                made,
                key_epoch=_number(event, "epoch"),
                licensee=str(said["licensee"]),
                release=str(said["id"]),
                note=deadline,
            )
            lines.append(forced[str(said["id"])])
        elif event.name in ("ReleaseAnswered", "ReleaseSettled"):
            begun = forced.get(str(said["id"]))
            if begun is None:
                continue
            made = replace(begun, block=at[0], transaction=at[1], note="")
            if event.name == "ReleaseSettled":
                lines.append(replace(made, kind="settled", note=f"{said['paid']} paid, {said['refunded']} returned"))
                continue
            place = _number(event, "place")
            drawn = holders.get((begun.asset, begun.key_epoch or 0), [])
            lines.append(replace(made, kind="answered", holder=drawn[place] if place < len(drawn) else None))
        elif event.name == "HolderReported":
            fault = ("silent", "wrong answer", "unlicensed release")[int(str(said["fault"]))]
            made = Access(at[0], "reported", _number(event, "assetId"), key_epoch=_number(event, "epoch"))
            lines.append(replace(made, holder=str(said["operator"]), transaction=at[1], note=fault))
    return lines


def _number(event: Event, name: str) -> int:
    return int(str(event.arguments[name]))


class ReceiptJudge:
    """Says whose receipts are signed by their holder, and who that is."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self._context = (views.chain.chain_id, bytes.fromhex(views.keys().address[2:]))
        self._holder = lru_cache(1024)(self._ask)

    def is_of_here(self, receipt: SignedReceipt) -> bool:
        """Whether a receipt is of this chain and its Keys."""
        return (receipt.chain_id, receipt.contract) == self._context

    def holder(self, receipt: SignedReceipt) -> tuple[str, bytes] | None:
        """Return (operator, the key that its roster counts) of a receipt's place, None where there is no such place."""
        return self._holder(receipt.receipt.asset_id, receipt.receipt.key_epoch, receipt.receipt.place)

    def is_signed(self, receipt: SignedReceipt) -> bool:
        """Whether its holder signed it."""
        found = self.holder(receipt)
        try:
            return found is not None and bls.verify(found[1], receipt.digest, receipt.signature)
        except FormatError:
            return False

    def lines(self, receipts: Iterable[SignedReceipt]) -> list[Access]:
        """Return the receipts of here as lines of the log."""
        made = []
        for item in receipts:
            if self.is_of_here(item):
                said, found = item.receipt, self.holder(item)
                line = Access(said.block_number, "receipt", said.asset_id, said.license_id, said.key_epoch)
                licensee = to_checksum_address("0x" + said.licensee.hex())
                note = "" if self.is_signed(item) else "not signed by its holder: no evidence"
                made.append(replace(line, licensee=licensee, holder=None if found is None else found[0], note=note))
        return made

    def _ask(self, asset_id: int, key_epoch: int, place: int) -> tuple[str, bytes] | None:
        try:
            record = self.views.key(asset_id, key_epoch)
            holders = self.views.key_holders(asset_id, key_epoch)
            if place >= len(holders):
                return None
            roster = self.views.roster(record.shard, record.roster)
            seat = roster.index_of(holders[place])
            return None if seat is None else (holders[place], self.views.roster_keys(roster, [seat]))
        except ChainError:
            return None
