"""Rereading and mending: what a node lost comes back from others, verified, and never inside a response window."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qanat.chain.views import ObjectStatus
from qanat.node.scrubber import Scrubber
from qanat.objects import encode
from tests.unit.node_doubles import FakeNode, FakeViews, Served, make_people, serve_node

OBJECT = b"\x21" * 32
PEOPLE = make_people(3)
ENCODED = encode(bytes(i * i % 251 for i in range(9000)), k=3, n=6, width=64)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[list[FakeNode]]:
    """Three nodes that hold two rows each of every matrix, any three of which restore it, and signed."""
    views = FakeViews(PEOPLE)
    views.open_object(OBJECT, ENCODED)
    nodes = [FakeNode(views, person, tmp_path / str(number)) for number, person in enumerate(PEOPLE)]
    served: list[Served] = []
    for node in nodes:
        node.take_all(OBJECT, ENCODED)
        node.intake.sign(OBJECT)
        served.append(serve_node(node))
    for node in nodes:
        node.follower.refresh()
    yield nodes
    for one in served:
        one.stop()
    for node in nodes:
        node.stop()


def scrubber_of(node: FakeNode) -> Scrubber:
    """A scrubber as the daemon makes it, not running."""
    views = node.views
    return Scrubber(
        node.config, views, node.store, node.state, node.follower, node.intake, node.person.signer, node.metrics
    )


def certify(node: FakeNode, *, epochs: int) -> None:
    """Certify the object for a number of epochs; the chain is in epoch 5, whose challenges are open."""
    node.views.change_object(OBJECT, block=60, status=ObjectStatus.CERTIFIED, first_epoch=1, epochs=epochs)
    node.follower._records.clear()
    node.follower.refresh()


def whole(node: FakeNode) -> bool:
    """Whether all own slices are there with the right bytes."""
    return all(
        node.store.has(OBJECT, index) and node.store.get(OBJECT, index) == ENCODED.slices[index]
        for index in node.own(OBJECT, ENCODED)
    )


def test_lost_slices_are_rebuilt_from_others(network: list[FakeNode]) -> None:
    """One, and all of them: the node fills itself from the others' rows."""
    node = network[0]
    own = node.own(OBJECT, ENCODED)
    scrubber = scrubber_of(node)
    assert scrubber.scrub_pass() == len(own)
    assert node.metrics.value("qanat_slices_lost_total") == 0
    node.store.delete(OBJECT, own[0])
    scrubber.scrub_pass()
    assert whole(node)
    assert node.metrics.value("qanat_slices_mended_total") == 1
    node.store.delete_object(OBJECT)
    scrubber.scrub_pass()
    assert whole(node)
    assert scrubber.lost == {}
    assert node.metrics.value("qanat_slices_mended_total") == 1 + len(own)


def test_mending_waits_for_the_end_of_the_window(network: list[FakeNode]) -> None:
    """While the object's challenges are open, or the chain isn't seen, nobody is asked."""
    node = network[0]
    lost = node.own(OBJECT, ENCODED)[0]
    certify(node, epochs=10)
    assert node.follower.window_epochs_of(OBJECT)
    node.store.delete(OBJECT, lost)
    scrubber = scrubber_of(node)
    scrubber.scrub_pass()
    assert not node.store.has(OBJECT, lost)
    assert all(other.metrics.value("qanat_slices_served_total") == 0 for other in network)
    certify(node, epochs=3)
    node.follower._heads = node.follower._heads.__class__(100, 99, 98, time.monotonic() - 100, "x")
    assert scrubber.mend_what_may_be() == 0
    node.follower.refresh()
    assert scrubber.mend_what_may_be() == 1
    assert whole(node)


def test_a_liar_is_left_aside(network: list[FakeNode]) -> None:
    """Another node serves something else: its rows are not used, the rest is enough or nothing is stored."""
    node, liar, _ = network
    for index in liar.own(OBJECT, ENCODED):
        liar.store.put(OBJECT, index, bytes(2048))
    liar.store.flush()
    node.store.delete_object(OBJECT)
    scrubber = scrubber_of(node)
    scrubber.scrub_pass()  # the honest one has two rows of the three that are needed
    assert node.store.usage().slices == 0
    assert node.metrics.value("qanat_mends_failed_total") > 0
    kept = node.own(OBJECT, ENCODED)[1::2]
    for index in kept:
        node.intake.accept_slice(OBJECT, index, ENCODED.slices[index])
    scrubber = scrubber_of(node)
    scrubber.scrub_pass()
    assert whole(node)


def test_a_pass_goes_on_where_it_was(network: list[FakeNode], monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle, the next one reads the rest; what was lost before that place is found again."""
    monkeypatch.setattr("qanat.node.scrubber._STEP", 1)
    node = network[0]
    own = node.own(OBJECT, ENCODED)
    scrubber = scrubber_of(node)
    read = scrubber._read

    def stop_after_three(object_id: bytes, index: int) -> None:
        read(object_id, index)
        if index == own[2]:
            scrubber.stop()

    monkeypatch.setattr(scrubber, "_read", stop_after_three)
    assert scrubber.scrub_pass() == 3
    again = scrubber_of(node)
    assert again.scrub_pass() == len(own) - 2  # the place is kept before a slice is read
    assert again.scrub_pass() == len(own)
    certify(node, epochs=10)
    node.store.delete(OBJECT, own[1])
    halted = scrubber_of(node)
    read = halted._read
    scrubber = halted
    monkeypatch.setattr(halted, "_read", stop_after_three)
    halted.scrub_pass()
    certify(node, epochs=3)
    scrubber_of(node).scrub_pass()
    assert whole(node)


def test_reading_is_rate_limited(network: list[FakeNode]) -> None:
    """So many bytes a second, no more."""
    node = network[0]
    node.config = node.config.__class__(**{**node.config.__dict__, "scrub_bytes_per_second": 40_000})
    started = time.monotonic()
    read = scrubber_of(node).scrub_pass()
    assert time.monotonic() - started > 0.9 * 2048 * read / 40_000
