"""A licensee's request to holders: one that keeps silent doesn't use up the others' time."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from qanat.client import release


@pytest.mark.parametrize("silent", [0, 1])
def test_a_silent_holder_does_not_keep_the_first_release_from_the_others(
    monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    """Whoever is asked to record it has a part of the time; the rest is asked once it is recorded."""
    made: Any = object.__new__(release._Release)
    made.held = SimpleNamespace(holders=("a", "b", "c", "d"))
    made.until = time.monotonic() + 3.0
    made.started, made.answers, made.right = time.monotonic(), {}, {}
    asked: dict[int, bool] = {}

    class Connections:
        async def __aenter__(self) -> None:
            pass

        async def __aexit__(self, *_: object) -> None:
            pass

    async def ask(place: int, _node: object, _commitments: object, *, record: bool) -> None:
        asked[place] = record
        if place == silent:
            await asyncio.Event().wait()
        if record and place < silent:
            made._note(place, "refused")
            return
        made.right[place] = b""
        made._note(place, "right")

    async def dealing(_nodes: object) -> Any:
        return SimpleNamespace(threshold=2)

    monkeypatch.setattr(release, "connections", lambda _count: Connections())
    made._nodes = lambda _http: dict.fromkeys(range(4))
    made._is_first = lambda: True
    made._dealing, made._ask = dealing, ask
    made._opened = lambda _commitments: None
    asyncio.run(asyncio.wait_for(made.run(0.0), 30))
    assert len(made.right) >= 2
    assert made.answers[silent].state == "slow"
    assert asked == {place: place <= silent + 1 for place in range(4)}


@pytest.mark.parametrize("block", [-1, 1 << 48, 1.0, True, "7", None, [7]])
def test_a_receipt_of_no_block_is_a_lie_and_nothing_else(block: Any) -> None:
    """A right answer beside it is no evidence that could be kept; the other holders' answers count as before."""
    made: Any = object.__new__(release._Release)
    made.held = SimpleNamespace(holders=("a", "b"))
    made.started, made.answers, made.right = time.monotonic(), {}, {}
    said = {"answer": "0x" + "00" * 96, "signature": "0x" + "00" * 128, "blockNumber": block}
    made._judge(0, said, SimpleNamespace())
    assert made.answers[0].state == "lied"
    assert "malformed" in made.answers[0].error
    assert made.answers[0].receipt is None
    assert made.right == {}
