"""Dispersal and retrieval against what networks and operators do: nothing certified is lost, who failed is named."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import Request, Response

from qanat.client.absence import AbsenceKind
from qanat.errors import NotEnoughSlices
from qanat.objects import encode, needed_tickets, ticket_of_row
from tests.integration.misbehaving_proxy import Fault
from tests.integration.served_nodes import DATA, OBJECT, PEOPLE, Network, refuse
from tests.unit.node_doubles import FakeNode

#: Rows enough that a certificate stands with two absent, and two liars among those that signed.
SPREAD = encode(DATA, k=2, n=6, width=64)
NEEDED = needed_tickets(6, 2, 6)
#: Of the same shape, so that its slices pass for those of the other wherever only sizes are looked at.
OTHER = encode(DATA[::-1], k=2, n=6, width=64)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path, SPREAD, proxied=True)
    yield made
    made.stop()


def others(*numbers: int) -> set[str]:
    """Everybody else's addresses."""
    return {person.address for number, person in enumerate(PEOPLE) if number not in numbers}


def serving(node: FakeNode, change: Callable[[int, bytes], bytes]) -> None:
    """Let a node send something else than what it holds."""
    real = node.service.serve_slice
    node.service.serve_slice = lambda object_id, index, reader: change(index, real(object_id, index, reader))  # type: ignore[method-assign]


# ---- the network between


def test_partition_half_open_latency_and_cuts_cost_their_own_signature_only(network: Network) -> None:
    """Two nodes can't be heard; one is far away, one loses its first connections: four sign, two are told apart."""
    network.proxies[0].fault = Fault(swallow="both")
    network.proxies[1].fault = Fault(swallow="answers")
    network.proxies[2].fault = Fault(delay=0.05)
    network.proxies[3].fault = Fault(cut_requests_after=3000, times=3)
    started = time.monotonic()
    outcome = network.disperse(needed=NEEDED, grace=0.5, seconds=60)
    assert set(outcome.signatures) == others(0, 1)
    assert time.monotonic() - started < 40
    assert set(outcome.failures) == {PEOPLE[0].address, PEOPLE[1].address}
    for absence in outcome.failures.values():
        assert absence.kind in (AbsenceKind.LATE, AbsenceKind.UNREACHABLE)
        assert absence.taken == 0
    assert network.proxies[3].connections > 3


def test_a_connection_that_hangs_is_overtaken_by_another(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two connections to a node swallow all answers, later ones work: it signs, before any time-out."""
    monkeypatch.setattr("qanat.client.disperse._LEAST_PATIENCE", 0.5)
    monkeypatch.setattr("qanat.client.disperse._MOST_PATIENCE", 1.0)
    proxy = network.proxies[4]
    proxy.fault = Fault(swallow="answers", times=2)
    started = time.monotonic()
    outcome = network.disperse(grace=30.0, needed=NEEDED, seconds=60)
    assert outcome.failures == {}
    assert proxy.connections >= 3
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "fault",
    [Fault(swallow="both"), Fault(swallow="answers"), Fault(cut_answers_after=700), Fault(delay=3.0)],
    ids=["partition", "half-open", "cut mid-body", "latency"],
)
def test_a_file_is_read_past_broken_connections(network: Network, tmp_path: Path, fault: Fault) -> None:
    """The holders of both data rows are behind the fault: parity restores the file, quickly."""
    network.fill()
    bad = [ticket_of_row(OBJECT, 6, row) for row in (0, 1)]
    for number in bad:
        network.proxies[number].fault = Fault(**vars(fault))
    started = time.monotonic()
    used = network.fetch(tmp_path / "out", seconds=60.0)
    assert time.monotonic() - started < 20
    assert sum(used[PEOPLE[number].address] for number in bad) < SPREAD.manifest.matrices
    for number in bad:
        report = network.reports[PEOPLE[number].address]
        assert report.unreachable or report.overtaken
        assert not report.liar


# ---- operators


def test_who_signs_and_does_not_store_is_named_and_done_without(network: Network, tmp_path: Path) -> None:
    """Two operators sign, then lose everything: the file comes from the others."""
    assert network.disperse(needed=6).failures == {}
    gone = [ticket_of_row(OBJECT, 6, row) for row in (0, 1)]
    for number in gone:
        network.nodes[number].store.delete_object(OBJECT)
    network.fetch(tmp_path / "out")
    for number in gone:
        report = network.reports[PEOPLE[number].address]
        assert report.refused
        assert "is not" in report.last_error


def test_who_stores_and_does_not_sign_counts_for_nothing(network: Network, tmp_path: Path) -> None:
    """Two take everything and never sign: certified without them, fetched without them."""
    idle = [ticket_of_row(OBJECT, 6, row) for row in (0, 1)]

    def silent(request: Request) -> Response | None:
        return refuse(403)(request) if request.method == "POST" else None

    for number in idle:
        network.faults[number] = silent
    outcome = network.disperse(needed=NEEDED, grace=2.0)
    assert set(outcome.signatures) == others(*idle)
    for number in idle:
        absence = outcome.failures[PEOPLE[number].address]
        assert (absence.kind, absence.taken, absence.slices) == (
            AbsenceKind.REFUSED,
            SPREAD.manifest.matrices,
            SPREAD.manifest.matrices,
        )
    used = network.fetch(tmp_path / "out")
    assert all(used[PEOPLE[number].address] == 0 for number in idle)


@pytest.mark.parametrize("kind", ["another row", "another matrix", "another object"])
def test_who_returns_other_slices_is_named(network: Network, tmp_path: Path, kind: str) -> None:
    """True slices in a wrong place are as false as invented ones."""
    network.fill()
    liars = [ticket_of_row(OBJECT, 6, row) for row in (0, 1)]
    swapped: dict[str, Callable[[int, bytes], bytes]] = {
        "another row": lambda index, _: SPREAD.slices[index ^ 1],
        "another matrix": lambda index, _: SPREAD.slices[(index + 6) % len(SPREAD.slices)],
        "another object": lambda index, _: OTHER.slices[index],
    }
    for number in liars:
        serving(network.nodes[number], swapped[kind])
    network.fetch(tmp_path / "out")
    assert {report.operator for report in network.reports.values() if report.liar} == {
        PEOPLE[number].address for number in liars
    }


@pytest.mark.parametrize("seed", range(3))
def test_nothing_certified_is_lost(network: Network, tmp_path: Path, seed: int) -> None:
    """Any two fail while it is stored, and any two of those that signed fail or lie afterwards: the bytes are there."""
    chance = random.Random(seed)
    away = chance.sample(range(6), 2)
    for number in away:
        network.proxies[number].fault = chance.choice(
            [Fault(swallow="both"), Fault(swallow="answers"), Fault(cut_requests_after=2500)]
        )
    outcome = network.disperse(needed=NEEDED, grace=0.5, seconds=60)
    assert set(outcome.signatures) == others(*away)
    # certified: from here on a third of the tickets may do what it likes, and who did not sign helps nobody
    signed = [number for number in range(6) if number not in away]
    bad = chance.sample(signed, 2)
    network.proxies[bad[0]].fault = chance.choice([Fault(swallow="both"), Fault(cut_answers_after=900)])
    serving(network.nodes[bad[1]], lambda index, _: OTHER.slices[index])
    network.fetch(tmp_path / "out", seconds=60.0)
    # one more, and there are fewer than k: an error, no bytes
    honest = [number for number in signed if number not in bad]
    network.served[honest[0]].stop()
    with pytest.raises(NotEnoughSlices):
        network.fetch(tmp_path / "none", seconds=3.0)
    assert not (tmp_path / "none").exists()
