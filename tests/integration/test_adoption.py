"""Operators that were late take over their rows: from the other nodes, by their own signature, while it is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qanat import bls
from qanat.chain.views import ObjectStatus
from qanat.node.adopter import Adopter
from qanat.objects import encode
from tests.integration.served_nodes import DATA, OBJECT, PEOPLE, READER, Network
from tests.unit.node_doubles import FakeNode, FakeSender

SPREAD = encode(DATA, k=2, n=6, width=64)
LATE = 5


class Late:
    """Five have signed, the object is certified, and the sixth wakes up."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.network = Network(folder, SPREAD)
        self.views = self.network.views
        for node in self.network.nodes[:LATE]:
            node.take_all(OBJECT, SPREAD)
            node.intake.sign(OBJECT)
        self.views.absent[OBJECT] = (LATE,)
        self.views.change_object(
            OBJECT, block=95, status=ObjectStatus.CERTIFIED, first_epoch=6, unsigned_tickets=1, epochs=3
        )
        # the doubles have no logs
        monkeypatch.setattr("qanat.node.adopter.non_signers_of", lambda views, object_id, _: views.absent[object_id])
        self.node: FakeNode = self.network.nodes[LATE]
        self.sender = FakeSender()
        self.adopter = self.wake()

    def wake(self) -> Adopter:
        node = self.node
        adopter = Adopter(node.config, self.views, node.follower, node.intake, READER, node.metrics)  # type: ignore[arg-type]
        adopter._sender = self.sender  # type: ignore[assignment]
        return adopter

    def check_adopted(self) -> None:
        """Its rows are here and right, and what it sent is what the contract takes."""
        for index in self.node.own(OBJECT, SPREAD):
            assert self.node.store.get(OBJECT, index) == SPREAD.slices[index]
        assert [function.name for function in self.sender.sent] == ["adopt"]
        object_id, seat, signature, key, absent = self.sender.sent[0].arguments
        assert (object_id, seat, absent) == (OBJECT, LATE, [LATE])
        assert key == PEOPLE[LATE].key.public_key
        assert bls.verify(key, self.views.digest(OBJECT), signature)


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Late]:
    made = Late(tmp_path, monkeypatch)
    yield made
    made.network.stop()


def test_an_operator_that_was_away_gets_its_rows_and_joins(late: Late) -> None:
    """It never saw the object: manifest and rows come from the others, past one that lies."""
    liar = late.network.nodes[0]
    liar.service.serve_slice = lambda _object_id, index, _reader: SPREAD.slices[index ^ 1]  # type: ignore[method-assign]
    late.adopter.round()
    late.check_adopted()
    # the chain shows it: nothing more is sent
    late.views.absent[OBJECT] = ()
    late.adopter.round()
    late.adopter.round()
    late.check_adopted()


def test_an_operator_that_has_its_rows_asks_nobody(late: Late) -> None:
    """It was only too late with its signature."""
    late.node.take_all(OBJECT, SPREAD)
    seen = late.network.asked()
    late.adopter.round()
    late.check_adopted()
    assert seen == []


def test_only_what_is_missing_is_rebuilt(late: Late) -> None:
    """It has all but one row: one matrix is fetched."""
    late.node.take_all(OBJECT, SPREAD)
    own = late.node.own(OBJECT, SPREAD)
    late.node.store.delete(OBJECT, own[0])
    late.adopter.round()
    late.check_adopted()


def test_nothing_is_adopted_when_it_is_over(late: Late) -> None:
    """The second epoch is frozen, or the fees went back: no signature is made."""
    late.views.change_object(OBJECT, block=96, unsigned_returned=True)
    late.adopter.round()
    late.views.change_object(OBJECT, block=97, unsigned_returned=False)
    late.views.chain.head, late.views.chain.safe = 160, 159
    late.node.follower.refresh()
    late.wake().round()
    assert late.sender.sent == []
    assert late.node.state.signed(OBJECT) is None


def test_what_fails_is_tried_again(late: Late) -> None:
    """Fewer than k rows can be had: no signature. When the nodes are back, it joins."""
    for number in range(1, LATE):
        late.network.served[number].stop()
    late.adopter.views = late.views  # type: ignore[assignment]
    import qanat.node.adopter as module

    before = module._FETCH_SECONDS
    module._FETCH_SECONDS = 2.0
    try:
        late.adopter.round()
    finally:
        module._FETCH_SECONDS = before
    assert late.sender.sent == []
    assert late.node.state.signed(OBJECT) is None
    for number in range(1, LATE):
        late.network.served[number] = late.network.serve(number, late.network.nodes[number])
    late.adopter._open[OBJECT].not_before = 0.0
    late.adopter.round()
    late.check_adopted()
