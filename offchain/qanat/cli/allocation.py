"""What part of an operator's pools stands behind a shard: what is, what waits to be, what is on its way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qanat.cli.session import Session

__all__ = ["WHOLE", "Allocation", "allocation", "allocations", "parts", "shown"]

#: All of a pool.
WHOLE = 10**18


@dataclass(frozen=True)
class Allocation:
    """An operator's allocation of one collateral to one shard; magnitudes, of ``whole`` for all of the pool.

    ``effective``: stands behind the shard and is not queued for removal. ``waiting``: reserved, from block
    ``ready_block`` on it can be completed. ``queued``: on its way out, slashable until it is gone. ``free``: not
    allocated nor reserved to any shard.
    """

    token: str
    effective: int
    waiting: int
    ready_block: int
    queued: int
    free: int
    whole: int

    def missing(self, part: int) -> int:
        """Return the magnitude by which effective and waiting fall short of ``part`` of 1e18, negative if too much."""
        return part * self.whole // WHOLE - self.effective - self.waiting

    def is_due(self, latest: int) -> bool:
        """Whether what waits can be completed in the block after ``latest``."""
        return self.waiting > 0 and latest + 1 >= self.ready_block

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "token": self.token,
            "effective": self.effective,
            "waiting": self.waiting,
            "ready_block": self.ready_block if self.waiting else None,
            "queued": self.queued,
            "whole": self.whole,
        }


def allocation(session: Session, operator: str, shard: int, token: str) -> Allocation:
    """Return an operator's allocation of one collateral."""
    now = session.views.magnitudes(operator, shard, token)
    waiting, ready = session.views.waiting_allocation(operator, shard, token)
    return Allocation(
        token, now.allocated - now.queued, waiting, ready, now.queued, max(0, now.whole - now.total), now.whole
    )


def allocations(session: Session, operator: str, shard: int) -> list[Allocation]:
    """Return an operator's allocations of all collaterals that a shard takes."""
    return [allocation(session, operator, shard, item.token) for item in session.views.collaterals(shard)]


def parts(session: Session, texts: tuple[str, ...], collaterals: list[str]) -> dict[str, int]:
    """Return the part of each pool, of 1e18, that ``TOKEN=PERCENT`` texts name.

    Raises :class:`BadParameters` for a token that the shard doesn't take, and for more than all of a pool.
    """
    from qanat.cli.amounts import parse_amount
    from qanat.errors import BadParameters

    found: dict[str, int] = {}
    for text in texts:
        name, _, part = text.partition("=")
        symbol, token = session.token(name)
        if token.address not in collaterals:
            raise BadParameters(
                f"The shard takes no {symbol}.", hint="`qanat shard` shows what each takes.", token=token.address
            )
        percent = parse_amount(part or "100", 16)
        if percent > WHOLE:
            raise BadParameters(f"{part} % is more than all of {symbol}.", allocation=text)
        found[token.address] = percent
    return found


def shown(session: Session, item: Allocation) -> str:
    """Return an allocation as people read it."""
    text = f"{item.effective / (item.whole or 1):.2%} of {session.token(item.token)[0]}"
    if item.waiting:
        text += f", {item.waiting / (item.whole or 1):.2%} more from block {item.ready_block} on"
    if item.queued:
        text += f", {item.queued / (item.whole or 1):.2%} on its way out"
    return text
