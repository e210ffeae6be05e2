"""Whose turn it is to do what any node may do and the chain needs once: sealing, reporting, carrying out a slash.

::

    turns = Turns(me, blocks=2)
    if turns.has_come("report 7", population, latest=latest, first=deadline + 1, last=deadline + reporting):
        ...

The nodes go one after the other, in an order by hash that is another one for each thing, so many blocks apart that each
sees what the one before it did. Seconds would not do: those of one node pass within a block of another chain, and all
whose time has come before that block is made send for nothing, and pay for it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

from eth_utils.crypto import keccak

__all__ = ["Turns"]

_MOST_KNOWN = 1024


class Turns:
    """The turns of one node.

    ``blocks``: from one node's turn to the next one's; 0: all go at once. ``seconds``: what else makes a turn, on a
    chain that makes no block while nobody sends; 0: only blocks do.
    """

    def __init__(self, operator: str, *, blocks: int, seconds: float = 0.0) -> None:
        self.operator, self.blocks, self.seconds = operator.lower(), blocks, seconds
        #: when each thing was asked for first, and when this node's turn comes by the clock
        self._since: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def has_come(
        self, what: str, population: Iterable[str], *, latest: int, first: int, last: int | None = None
    ) -> bool:
        """Whether this node may send, after block ``latest``, what can be done in blocks ``first`` to ``last``.

        All turns come in the first half of those blocks, however many nodes there are: what they do must get into one.
        """
        rank, count = self._rank(what, population)
        wait = rank * self.blocks
        if last is not None:
            wait = min(wait, rank * max(0, last - first) // (2 * count))
        if latest + 1 >= first + wait:
            return True
        return self.seconds > 0 and time.monotonic() >= self._clock(what, rank)

    def is_due(self, since: float, now: float) -> bool:
        """Whether something came due by the clock in between, monotonic seconds."""
        return any(since < at <= now for _, at in self._since.values())

    def _rank(self, what: str, population: Iterable[str]) -> tuple[int, int]:
        """Return how many come before this node, and how many there are with it."""
        others = {name.lower() for name in population} - {self.operator}
        own = _place(what, self.operator)
        return sum(_place(what, name) < own for name in others), len(others) + 1

    def _clock(self, what: str, rank: int) -> float:
        # as the population is seen now: it changes when one of those before this node turns out to be missing
        began = self._since.get(what, (time.monotonic(), 0.0))[0]
        at = began + rank * self.seconds
        self._since[what] = began, at
        if len(self._since) > _MOST_KNOWN:
            self._since.popitem(last=False)
        return at


def _place(what: str, operator: str) -> bytes:
    return bytes(keccak(text=f"{what} {operator}"))
