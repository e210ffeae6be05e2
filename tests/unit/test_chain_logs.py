"""Ranges of logs that an endpoint refuses are halved, down to single blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from web3.exceptions import Web3RPCError

from qanat.chain.logs import logs_between
from qanat.errors import ChainError, ChainUnreachable


class Event:
    """Has a log in each block that ``blocks`` names; ``refuse`` says what stands against a range."""

    def __init__(self, blocks: set[int], refuse: Callable[[int, int], Exception | None]) -> None:
        self.blocks, self.refuse = blocks, refuse
        self.asked: list[tuple[int, int]] = []

    def __call__(self) -> Event:
        return self

    def get_logs(self, *, from_block: int, to_block: int, argument_filters: Any) -> list[int]:
        self.asked.append((from_block, to_block))
        error = self.refuse(from_block, to_block)
        if error is not None:
            raise error
        return [block for block in range(from_block, to_block + 1) if block in self.blocks]


BLOCKS = {3, 4, 50, 51, 52, 99, 100}


@pytest.mark.parametrize(
    "error",
    [Web3RPCError("query returned more than 10000 results"), ChainError("no"), ChainUnreachable("late", timeout=True)],
)
@pytest.mark.parametrize("longest", [1, 7, 1000])
def test_all_logs_come_in_order_whatever_the_limit(error: Exception, longest: int) -> None:
    """Of blocks at one time, or of events."""
    event = Event(BLOCKS, lambda first, last: error if last - first + 1 > longest else None)
    assert logs_between(event, 1, 100) == sorted(BLOCKS)
    full = Event(BLOCKS, lambda first, last: error if len(BLOCKS & set(range(first, last + 1))) > 1 else None)
    assert logs_between(full, 1, 100) == sorted(BLOCKS)


def test_an_endpoint_that_is_gone_is_asked_once() -> None:
    """Not a hundred times."""
    event = Event(BLOCKS, lambda _first, _last: ChainUnreachable("no connection"))
    with pytest.raises(ChainUnreachable):
        logs_between(event, 1, 100)
    assert event.asked == [(1, 100)]


def test_a_block_that_is_refused_is_a_chain_error() -> None:
    """With the endpoint's words; of no blocks there is nothing."""
    event = Event(BLOCKS, lambda first, last: Web3RPCError("pruned") if first <= 3 <= last else None)
    with pytest.raises(ChainError, match="block 3: .*pruned"):
        logs_between(event, 1, 100)
    assert logs_between(event, 5, 4) == []
