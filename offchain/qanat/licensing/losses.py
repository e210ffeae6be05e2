"""Licenses whose asset's data is stored no longer, and what shows that a license is older than that loss.

`Licenses.refundLost` believes times of seed blocks alone, which a randomness module keeps: any epoch up to the object's
end will do whose seed block was mined after the license began. The end's own seed block tells it to the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qanat.chain.connection import Chain
from qanat.chain.randomness import module_in_force
from qanat.chain.views import ObjectStatus, Views
from qanat.errors import BadParameters, ChainError

__all__ = ["Loss", "Proof", "find_losses", "find_proof"]

#: The chain knows the hashes of 8,191 blocks (EIP-2935); the rest is for the transaction that reveals one to be mined.
_REVEALABLE_BLOCKS = 8_000
_TOGETHER = 256


@dataclass(frozen=True)
class Loss:
    """An object of an asset that is over: its shard's epoch ``end``, from ``block`` on, was the first without it."""

    object_id: bytes
    shard: int
    end: int
    block: int


@dataclass(frozen=True)
class Proof:
    """What shows a license to be older than a loss: an epoch, its seed block, and whether that was revealed."""

    loss: Loss
    epoch: int
    block: int
    is_revealed: bool


def find_losses(views: Views, asset_id: int) -> list[Loss]:
    """Return the objects that an asset has lost, of all its versions, those that were lost last first."""
    assets, latest = views.chain.contract("Assets").functions, views.chain.latest()
    objects: dict[bytes, None] = {}
    for version in range(1, views.chain.call(assets.versionCount(asset_id)) + 1):
        whole, ranges, *_ = views.chain.call(assets.contentOf(asset_id, version))
        objects |= dict.fromkeys(bytes(item) for item in (*whole, *(part[0] for part in ranges)))
    losses = []
    for object_id in objects:
        record = views.object(object_id)
        if record.status is ObjectStatus.CERTIFIED and views.epoch_at(record.shard, latest) >= record.end_epoch:
            block = views.seed_block(record.shard, record.end_epoch)
            losses.append(Loss(object_id, record.shard, record.end_epoch, block))
    return sorted(losses, key=lambda item: item.block, reverse=True)


def find_proof(views: Views, losses: Sequence[Loss], start: int) -> Proof:
    """Return what shows that a license which began at ``start``, seconds, is older than one of these losses.

    What was revealed before anything that has yet to be. Raises :class:`BadParameters` where nothing shows it.
    """
    chain = views.chain
    later = [loss for loss in losses if _time_of(chain, loss.block) > start]
    if not later:
        raise BadParameters(
            "The license is not older than the loss: the data that is stored no longer was lost before it began.",
            hint="Only who was licensed while the data was stored gets a refund for its loss.",
            lost=[loss.object_id for loss in losses],
        )
    for loss in later:
        epoch = _revealed_epoch(views, loss, start)
        if epoch is not None:
            return Proof(loss, epoch, views.seed_block(loss.shard, epoch), True)
    age = chain.latest() - later[0].block
    if age <= 0:
        raise BadParameters(
            "The data is lost since the newest block: its time is shown from the next one on.", hint="Try again."
        )
    if age <= _REVEALABLE_BLOCKS:
        return Proof(later[0], later[0].end, later[0].block, False)
    raise BadParameters(
        f"Nothing shows that the license is older than the loss: no epoch of shard {later[0].shard} between them was "
        f"sealed, and the chain no longer knows the hash of block {later[0].block}.",
        hint="Ask the asset's owner to revoke the license, which refunds the same.",
        lost=[loss.object_id for loss in later],
    )


def _revealed_epoch(views: Views, loss: Loss, start: int) -> int | None:
    """The last epoch up to a loss that began after ``start`` and whose seed block was revealed."""
    chain = views.chain
    beacon = chain.contract_at("RandaoBeacon", module_in_force(chain)).functions
    for last in range(loss.end, -1, -_TOGETHER):
        epochs = range(last, max(last - _TOGETHER, -1), -1)
        blocks = [views.seed_block(loss.shard, epoch) for epoch in epochs]
        answers = chain.call_together([(beacon.isRevealed(block), "latest") for block in blocks])
        for epoch, block, answer in zip(epochs, blocks, answers, strict=True):
            if isinstance(answer, ChainError):
                raise answer
            if answer:
                return epoch if _time_of(chain, block) > start else None
        if _time_of(chain, blocks[-1]) <= start:
            return None
    return None


def _time_of(chain: Chain, block: int) -> int:
    return int(str(chain.block(block)["timestamp"]), 16)
