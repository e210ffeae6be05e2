"""Nodes go one after the other: by blocks, in another order for each thing, all of them in time."""

from __future__ import annotations

import itertools
import time

import pytest

from qanat.node.turns import Turns

NAMES = [f"0x{number:040X}" for number in range(1, 13)]


def first_block(
    name: str, what: str = "report 7", *, first: int = 101, last: int | None = None, blocks: int = 2
) -> int:
    """The block after which a node may send."""
    turns = Turns(name, blocks=blocks)
    heads = itertools.count(first - 1)
    return next(head for head in heads if turns.has_come(what, NAMES, latest=head, first=first, last=last))


def test_each_node_has_a_turn_of_its_own() -> None:
    """The first at once, the others so many blocks apart."""
    assert sorted(map(first_block, NAMES)) == list(range(100, 124, 2))
    assert sorted(first_block(name, blocks=5) for name in NAMES) == list(range(100, 160, 5))
    assert {first_block(name, blocks=0) for name in NAMES} == {100}


def test_the_order_is_another_one_for_each_thing() -> None:
    """Nobody is always first, and pays or earns more than the others."""
    first = {min(NAMES, key=lambda name, of=number: first_block(name, f"report {of}")) for number in range(60)}
    assert len(first) > 6


def test_all_turns_come_in_the_first_half_of_the_time() -> None:
    """Nodes that are many, or blocks that are few: closer together, and none too late."""
    found = sorted(first_block(name, last=125) for name in NAMES)
    assert found == list(range(100, 112))
    assert max(first_block(name, last=111) for name in NAMES) <= 105
    assert {first_block(name, last=101) for name in NAMES} == {100}


def test_who_is_not_in_the_population_takes_turns_too() -> None:
    """However its name is spelt, a node waits for the others only."""
    stranger = "0x" + "ab" * 20
    assert first_block(stranger) in range(100, 126, 2)
    name = NAMES[-1]
    assert first_block(name.lower()) == first_block(name)


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_on_a_chain_that_stands_still_seconds_make_turns(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Only where that is set: elsewhere, all would send into the block after a halt."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    nodes = [Turns(name, blocks=2, seconds=seconds) for name in NAMES]
    came = []
    for passed in range(0, 40, 3):
        now[0] = 1000.0 + passed
        came.append(sum(node.has_come("seal 3", NAMES, latest=100, first=101) for node in nodes))
    if not seconds:
        assert came == [1] * 14
        return
    assert came == [*range(1, 13), 12, 12]
    assert any(node.is_due(1032.5, 1033.0) for node in nodes)
    assert not any(node.is_due(1033.0, 1040.0) for node in nodes)
