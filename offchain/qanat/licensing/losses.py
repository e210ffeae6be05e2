"""Licenses whose asset's data is stored no longer, and what shows that a license is older than that loss.

`Licenses.refundLost` believes times of seed blocks alone, which a randomness module keeps: any epoch up to the object's
end will do whose seed block was mined after the license began. The end's own seed block tells it to the second.
"""

from __future__ import annotations

from dataclasses import dataclass

from qanat.chain.connection import Chain
from qanat.chain.randomness import module_in_force
from qanat.chain.views import ObjectStatus, Views
from qanat.errors import BadParameters

__all__ = ["Loss", "Proof", "find_loss", "find_proof"]

#: The chain knows the hashes of 8,191 blocks (EIP-2935); the rest is for the transaction that reveals one to be mined.
_REVEALABLE_BLOCKS = 8_000
_TOGETHER = 256


@dataclass(frozen=True)
class Loss:
    """An object of an asset that is over: its shard's epoch ``end`` was the first without it."""

    object_id: bytes
    shard: int
    end: int


@dataclass(frozen=True)
class Proof:
    """An epoch that shows a license to be older than a loss, its seed block, and whether that was revealed."""

    epoch: int
    block: int
    is_revealed: bool


def find_loss(views: Views, asset_id: int) -> Loss | None:
    """Return an object that an asset has lost, of its newest version that lost one; None if all are stored."""
    assets, latest = views.chain.contract("Assets").functions, views.chain.latest()
    for version in range(views.chain.call(assets.versionCount(asset_id)), 0, -1):
        objects, ranges, *_ = views.chain.call(assets.contentOf(asset_id, version))
        for object_id in dict.fromkeys(bytes(item) for item in (*objects, *(part[0] for part in ranges))):
            record = views.object(object_id)
            if record.status is not ObjectStatus.CERTIFIED:
                continue
            if views.epoch_at(record.shard, latest) >= record.end_epoch:
                return Loss(object_id, record.shard, record.end_epoch)
    return None


def find_proof(chain: Chain, views: Views, loss: Loss, start: int) -> Proof:
    """Return what shows that a license which began at ``start``, seconds, is older than a loss.

    Raises :class:`BadParameters` for one that isn't, or of which nothing that was revealed shows it.
    """
    end = views.seed_block(loss.shard, loss.end)
    if _time_of(chain, end) <= start:
        raise BadParameters(
            f"The license is not older than the loss: object 0x{loss.object_id.hex()} was over when it began.",
            hint="Only who was licensed while the data was stored gets a refund for its loss.",
            object_id=loss.object_id,
        )
    beacon = chain.contract_at("RandaoBeacon", module_in_force(chain)).functions
    if chain.call(beacon.isRevealed(end)):
        return Proof(loss.end, end, True)
    if chain.latest() - end <= _REVEALABLE_BLOCKS:
        return Proof(loss.end, end, False)

    for first in range(loss.end - 1, -1, -_TOGETHER):
        epochs = range(first, max(first - _TOGETHER, -1), -1)
        blocks = [views.seed_block(loss.shard, epoch) for epoch in epochs]
        answers = chain.call_together([(beacon.isRevealed(block), "latest") for block in blocks])
        shown = next((place for place, answer in enumerate(answers) if answer is True), None)
        if _time_of(chain, blocks[-1 if shown is None else shown]) <= start:
            break
        if shown is not None:
            return Proof(epochs[shown], blocks[shown], True)
    raise BadParameters(
        f"Nothing shows that the license is older than the loss of object 0x{loss.object_id.hex()}: no epoch of shard "
        f"{loss.shard} between them was sealed, and the chain no longer knows the hash of block {end}.",
        hint="Ask the asset's owner to revoke the license, which refunds the same.",
        object_id=loss.object_id,
    )


def _time_of(chain: Chain, block: int) -> int:
    return int(str(chain.block(block)["timestamp"]), 16)
