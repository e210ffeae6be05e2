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


@pytest.mark.parametrize(("block", "is_evidence"), [(1000, True), (870, True), (869, False), (1001, False), (0, False)])
def test_a_lie_under_a_block_that_no_report_is_taken_of_is_no_evidence(
    monkeypatch: pytest.MonkeyPatch, block: int, is_evidence: bool
) -> None:
    """Named as a liar in any case; what nobody could report is not kept as a proof."""
    made: Any = object.__new__(release._Release)
    context = SimpleNamespace(asset_id=1, key_epoch=1)
    made.held = SimpleNamespace(holders=("a",), context=context, record=SimpleNamespace(shard=1))
    made.started, made.answers, made.right = time.monotonic(), {}, {}
    made.license_id, made.licensee, made.blinded = 3, bytes(20), b""
    made.key = SimpleNamespace(point=bytes(96))
    made.chain = SimpleNamespace(latest=lambda: 1000)
    made.views = SimpleNamespace(shard_parameters=lambda _shard: SimpleNamespace(window=30, reporting=100))
    made._has_signed = lambda *_: True
    monkeypatch.setattr(release, "is_right", lambda *_: False)
    said = {"answer": "0x" + "00" * 96, "signature": "0x" + "00" * 128, "blockNumber": block}
    made._judge(0, said, SimpleNamespace(points=[b""]))
    assert made.answers[0].state == "lied"
    assert (made.answers[0].receipt is not None) is is_evidence
    assert (str(block) in made.answers[0].error) is not is_evidence


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
