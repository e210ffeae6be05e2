"""What owners are told of a key: until when holders must release it, and how many holders are too few."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from qanat.cli import access, mint
from qanat.client import dealing
from qanat.errors import BadParameters

DAY = 86_400


def session_of(*, dealt: int = 2, chain_id: int = 1) -> Any:
    """A chain at block 10,000 with a block each 12 seconds; the key's duty ends with epoch 23 of 600 blocks."""
    chain = SimpleNamespace(chain_id=chain_id, latest=lambda: 10_000, timestamp=lambda block: 12 * block)
    views = SimpleNamespace(
        key_epochs=lambda _asset: (3, dealt, False),
        key=lambda _asset, epoch: SimpleNamespace(shard=1, end_epoch=24 if epoch == 2 else 0),
        seed_block=lambda _shard, epoch: 100 + 600 * epoch,
        object=lambda _object: SimpleNamespace(shard=1),
    )
    return SimpleNamespace(chain=chain, views=views)


def test_the_end_of_holders_duty_is_told() -> None:
    """The first block of the last epoch but one, as `Keys.force` reckons it: 13,900, 3,900 blocks from now."""
    (told,) = access.key_end_told(session_of(), 7)
    assert "block 13900 only, in about 0.542 days" in told
    assert "--asset 7" in told


def test_an_offer_that_ends_before_says_nothing_of_it() -> None:
    seconds = 3_900 * 12
    assert access.key_end_told(session_of(), 7, seconds) == []
    assert len(access.key_end_told(session_of(), 7, seconds + 1)) == 1


def test_of_a_key_that_nobody_holds_nothing_is_told() -> None:
    assert access.key_end_told(session_of(dealt=0), 7) == []


@pytest.mark.parametrize(
    ("chain_id", "holders", "is_taken"), [(31337, "2/3", True), (1, "2/3", False), (1, "2/4", True)]
)
def test_fewer_than_four_holders_are_for_development_chains(
    monkeypatch: pytest.MonkeyPatch, chain_id: int, holders: str, is_taken: bool
) -> None:
    """2 of 3 stands on a single honest operator."""
    willing = [SimpleNamespace(tickets=1) for _ in range(9)]
    monkeypatch.setattr(dealing, "willing_entries", lambda *_: (SimpleNamespace(tickets=9), willing))
    if is_taken:
        assert mint._plan(session_of(chain_id=chain_id), bytes(32), holders).threshold == 2
    else:
        with pytest.raises(BadParameters, match="single honest operator"):
            mint._plan(session_of(chain_id=chain_id), bytes(32), holders)
