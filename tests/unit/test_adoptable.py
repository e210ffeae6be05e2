"""When who did not sign an object may still adopt its rows, each condition alone, and how often it tries."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from qanat.chain.views import ObjectRecord, ObjectStatus
from qanat.errors import StoreError
from qanat.node.adopter import Adopter, _Try

#: Lives in epochs 5 … 7; two tickets have not signed.
RECORD = ObjectRecord(
    owner="0x" + "01" * 20,
    status=ObjectStatus.CERTIFIED,
    shard=1,
    roster=1,
    width=64,
    k=2,
    n=6,
    matrices=1,
    size=0,
    epochs=3,
    opened_block=1,
    first_epoch=5,
    end_epoch=8,
    manifest_root=bytes(32),
    non_signers_hash=bytes(32),
    first_non_signers_hash=bytes(32),
    unsigned_tickets=2,
    unsigned_returned=False,
    terminated=False,
    row_fee=1,
    intake_fee=1,
)


def test_until_the_second_epoch_is_frozen() -> None:
    """As long as the next epoch that isn't frozen is the first or the second of the object."""
    assert [epoch for epoch in range(10) if RECORD.is_adoptable(epoch)] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "changed",
    [
        {"status": ObjectStatus.OPEN},
        {"status": ObjectStatus.FAILED},
        {"unsigned_tickets": 0},
        {"unsigned_returned": True},
    ],
)
def test_not_when_one_thing_alone_is_missing(changed: dict[str, object]) -> None:
    """A certificate, a ticket that did not sign, its fees still there."""
    assert not replace(RECORD, **changed).is_adoptable(5)  # type: ignore[arg-type]


def test_not_past_its_own_end() -> None:
    """An object of one epoch, or one that was ended early, has no second one."""
    short = replace(RECORD, end_epoch=6)
    assert (short.is_adoptable(5), short.is_adoptable(6)) == (True, False)
    assert replace(RECORD, terminated=True, end_epoch=7).is_adoptable(6)


def test_what_hinders_it_for_minutes_costs_seconds_once_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full for long, or a chain that is away: an epoch may be short, and then adoption is over."""
    now = 0.0
    monkeypatch.setattr("qanat.node.adopter.time.monotonic", lambda: now)
    config = SimpleNamespace(shard=1, poll_seconds=0.5)
    views = Mock(**{"object.side_effect": StoreError("no space left")})
    adopter = Adopter(config, views, SimpleNamespace(heads=SimpleNamespace(latest=0)), Mock(), Mock(), Mock())  # type: ignore[arg-type]
    adopter._open[bytes(32)] = _Try()
    tried: list[float] = []
    for now in range(601):
        before = views.object.call_count
        adopter.round()
        tried += [now] * (views.object.call_count - before)
    waits = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert waits[:3] == [2, 4, 8]
    assert set(waits[3:]) == {15}
