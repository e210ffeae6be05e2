"""Sending to and fetching from nodes of which some are down, slow, refuse or lie: they cost their own part only."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from qanat import bls
from qanat.client.absence import AbsenceKind
from qanat.client.nodes import NodeClient, connections
from qanat.errors import NodeRefused, NodeUnreachable, NotEnoughSlices
from qanat.objects import needed_tickets, ticket_of_row
from tests.integration.served_nodes import DEAD, ENCODED, OBJECT, PEOPLE, READER, Network, refuse
from tests.unit.node_doubles import CHAIN_ID, FakeNode, Served


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path)
    yield made
    made.stop()


# ---- sending


def test_all_sign(network: Network) -> None:
    """Every slice arrives, every signature verifies, and their sum is the roster's."""
    seen: list[tuple[int, int]] = []
    outcome = network.disperse(on_slice=lambda done, size: seen.append((done, size)))
    assert set(outcome.signatures) == {person.address for person in PEOPLE}
    assert outcome.failures == {}
    assert len(seen) == ENCODED.manifest.count
    key = bls.aggregate_keys([person.key.public_key for person in PEOPLE])
    digest = network.views.digest(OBJECT)
    assert bls.verify_aggregate(key, [], digest, bls.aggregate(list(outcome.signatures.values())))


def test_operators_that_fail_cost_their_own_signature_only(network: Network) -> None:
    """One is down, one refuses, four sign; the reasons are told."""
    network.served[0].stop()
    network.faults[3] = refuse(403)
    started = time.monotonic()
    outcome = network.disperse(grace=1.5)
    assert set(outcome.signatures) == {PEOPLE[number].address for number in (1, 2, 4, 5)}
    assert set(outcome.failures) == {PEOPLE[0].address, PEOPLE[3].address}
    down, refusing = outcome.failures[PEOPLE[0].address], outcome.failures[PEOPLE[3].address]
    assert down.kind is AbsenceKind.UNREACHABLE
    assert "does not answer" in down.why
    assert refusing.kind is AbsenceKind.REFUSED
    assert "not today, by order" in refusing.why
    assert time.monotonic() - started < 15


def test_a_false_signature_is_not_counted(network: Network) -> None:
    """A node that signs something else, and one that sends bytes that are no point."""
    other = PEOPLE[1].key.sign(b"\x01" * 32)

    def lie(signature: bytes) -> Callable[[Request], Response | None]:
        answer = {"operator": "x", "signature": "0x" + signature.hex()}
        return lambda request: JSONResponse(answer) if request.method == "POST" else None

    network.faults[1] = lie(other)
    network.faults[2] = lie(b"\xff" * 128)
    outcome = network.disperse(grace=0.5)
    assert set(outcome.failures) == {PEOPLE[1].address, PEOPLE[2].address}
    assert {absence.kind for absence in outcome.failures.values()} == {AbsenceKind.FALSE}
    assert "false signature" in outcome.failures[PEOPLE[1].address].why


def test_a_slow_operator_is_waited_for_only_for_the_grace_time(network: Network) -> None:
    """Enough have signed: the rest has a moment, not the whole time limit."""
    release = threading.Event()

    def slow(_object_id: bytes) -> bytes:
        release.wait(30)
        return b""

    network.nodes[5].intake.sign = slow  # type: ignore[method-assign]
    started = time.monotonic()
    outcome = network.disperse(grace=1.0, seconds=60)
    release.set()
    assert time.monotonic() - started < 20
    assert set(outcome.failures) == {PEOPLE[5].address}
    late = outcome.failures[PEOPLE[5].address]
    assert (late.kind, late.taken) == (AbsenceKind.LATE, late.slices)


def test_too_few_signatures_end_with_what_there_is(network: Network) -> None:
    """Three of six are down and four are needed: all reasons, within the time limit."""
    for number in (0, 1, 2):
        network.served[number].stop()
    outcome = network.disperse(seconds=2.5)
    assert len(outcome.signatures) == 3
    assert len(outcome.failures) == 3


def test_refusals_that_pass_are_tried_again(network: Network) -> None:
    """Too early, busy, failing: the node signs in the end."""
    count = {"left": 4}

    def busy(_request: Request) -> Response | None:
        count["left"] -= 1
        return refuse((425, 503, 500)[count["left"] % 3])(_request) if count["left"] > 0 else None

    network.faults[4] = busy
    outcome = network.disperse(grace=20.0)
    assert outcome.failures == {}


def test_slices_that_a_node_lost_or_got_false_are_sent_again(network: Network) -> None:
    """A stranger was there first, with false slices of a canonical form: the owner's replace them."""
    node = network.nodes[2]
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    own = node.own(OBJECT, ENCODED)
    node.intake.accept_slice(OBJECT, own[0], bytes(2048))
    real = node.intake.sign
    lost = {"once": True}

    def forgetful(object_id: bytes) -> bytes:
        if lost.pop("once", False):
            node.store.delete(object_id, own[1])
        return real(object_id)

    node.intake.sign = forgetful  # type: ignore[method-assign]
    outcome = network.disperse(grace=10.0)
    assert outcome.failures == {}
    assert node.store.get(OBJECT, own[0]) == ENCODED.slices[own[0]]


def test_a_restarted_run_sends_nothing_to_those_who_signed(network: Network) -> None:
    """Signatures of an earlier run stand: only the others are asked."""
    first = network.disperse(targets=network.targets()[:4])
    asked: list[str] = []
    network.faults[0] = lambda request: asked.append(request.url.path)  # type: ignore[assignment,func-returns-value]
    outcome = network.disperse(known=first.signatures)
    assert len(outcome.signatures) == 6
    assert asked == []


def test_a_resumed_run_sends_what_nodes_lack(network: Network) -> None:
    """Slices of an earlier run are not sent again; a node that names only the first of many gets all."""
    full, some, bare, none = network.nodes[:4]
    for node in (full, some, bare):
        node.take_all(OBJECT, ENCODED)
    own = some.own(OBJECT, ENCODED)
    some.store.delete(OBJECT, own[1])
    for index in bare.own(OBJECT, ENCODED)[1:]:
        bare.store.delete(OBJECT, index)
    real = bare.intake.sign

    def short_of_words(object_id: bytes) -> bytes:
        try:
            return real(object_id)
        except NodeRefused as error:
            error.data["missing"] = error.data["missing"][:1]
            raise

    bare.intake.sign = short_of_words  # type: ignore[method-assign]
    sent: dict[int, list[str]] = {number: [] for number in range(6)}
    for number in range(6):

        def note(request: Request, number: int = number) -> None:
            if "/slices/" in request.url.path:
                sent[number].append(request.url.path)

        network.faults[number] = note  # type: ignore[assignment]
    outcome = network.disperse(again=True, grace=20.0)
    assert outcome.failures == {}
    every = ENCODED.manifest.matrices
    assert every > 2
    assert [len(sent[number]) for number in range(6)] == [0, 1, every, every, every, every]
    assert sent[1][0].endswith(f"/{own[1]}")
    assert none.store.get(OBJECT, none.own(OBJECT, ENCODED)[0])


def test_it_ends_when_the_chain_takes_no_certificate_any_more(network: Network) -> None:
    """Nobody answers and the deadline passes: no waiting for the time limit."""
    for number in range(6):
        network.faults[number] = refuse(503)
    started = time.monotonic()
    outcome = network.disperse(seconds=60, is_possible=lambda: time.monotonic() - started < 1)
    assert time.monotonic() - started < 15
    assert outcome.signatures == {}


def test_the_threshold_is_that_of_the_contract() -> None:
    """⌈2T/3⌉ tickets, and rows for k beside a lying third."""
    assert needed_tickets(6, 2, 6) == 4
    assert needed_tickets(6, 4, 6) == 6
    assert needed_tickets(7, 1, 7) == 5
    assert needed_tickets(6, 7, 12) == 6
    assert needed_tickets(1, 1, 1) == 1


# ---- fetching


def test_everything_up_data_rows_are_taken(network: Network, tmp_path: Path) -> None:
    """No parity row is asked for, every operator of a data row gives its part."""
    network.fill()
    used = network.fetch(tmp_path / "out")
    matrices = ENCODED.manifest.matrices
    data_holders = {PEOPLE[ticket_of_row(OBJECT, 6, row)].address for row in range(4)}
    assert used == {person.address: matrices if person.address in data_holders else 0 for person in PEOPLE}


@pytest.mark.parametrize("down", [(0, 1), (2, 5), (3, 4)])
def test_any_two_operators_may_be_down(network: Network, tmp_path: Path, down: tuple[int, int]) -> None:
    """k = 4 of 6: the file is whole and quickly there."""
    network.fill()
    for number in down:
        network.served[number].stop()
    started = time.monotonic()
    used = network.fetch(tmp_path / "out")
    assert time.monotonic() - started < 15
    assert all(used[PEOPLE[number].address] == 0 for number in down)
    assert sum(used.values()) >= 4 * ENCODED.manifest.matrices


def test_liars_are_named_and_left_alone(network: Network, tmp_path: Path) -> None:
    """Two operators send slices with one bit flipped: the file is whole, both are named."""
    network.fill()
    holders = [ticket_of_row(OBJECT, 6, row) for row in range(6)]
    liars = holders[0], holders[5]

    def lying(node: FakeNode) -> Callable[[bytes, int], bytes]:
        real = node.service.serve_slice

        def serve(object_id: bytes, index: int, reader: str) -> bytes:
            data = bytearray(real(object_id, index, reader))
            data[-1] ^= 1
            return bytes(data)

        return serve

    for number in liars:
        network.nodes[number].service.serve_slice = lying(network.nodes[number])  # type: ignore[method-assign]
    # the second liar holds a parity row: it is asked only when a data row's holder is down
    network.served[holders[1]].stop()
    with pytest.raises(NotEnoughSlices) as found:
        network.fetch(tmp_path / "out", seconds=3.0)
    assert "false slice" in str(found.value)
    assert not (tmp_path / "out").exists()
    network.served[holders[1]] = network.serve(holders[1], network.nodes[holders[1]])
    network.fetch(tmp_path / "out")
    named = {report.operator for report in network.reports.values() if report.liar}
    assert PEOPLE[holders[0]].address in named
    assert named <= {PEOPLE[number].address for number in liars}


def test_too_few_nodes_are_told_with_each_reason(network: Network, tmp_path: Path) -> None:
    """Three of six down: no file, an error that names who did not answer."""
    network.fill()
    for number in (0, 1, 2):
        network.served[number].stop()
    with pytest.raises(NotEnoughSlices) as found:
        network.fetch(tmp_path / "out", seconds=3.0)
    assert found.value.exit_code == NotEnoughSlices.exit_code
    assert set(found.value.data["reasons"]) >= {PEOPLE[number].address for number in (0, 1, 2)}
    assert list(tmp_path.glob("*out*")) == []


def test_a_slow_node_is_overtaken(network: Network, tmp_path: Path) -> None:
    """A node that takes long for each slice: another row is asked beside it."""
    network.fill()
    slow = ticket_of_row(OBJECT, 6, 0)
    real = network.nodes[slow].service.serve_slice

    def serve(object_id: bytes, index: int, reader: str) -> bytes:
        time.sleep(6)
        return real(object_id, index, reader)

    network.nodes[slow].service.serve_slice = serve  # type: ignore[method-assign]
    started = time.monotonic()
    network.fetch(tmp_path / "out")
    assert time.monotonic() - started < 5.5


def test_rows_withheld_in_a_window_are_had_after_it(network: Network, tmp_path: Path) -> None:
    """All nodes withhold for a while, as in a response window: the fetch waits and succeeds."""
    network.fill()
    asked: list[float] = []

    def withheld(request: Request) -> Response | None:
        if "/slices/" not in request.url.path:
            return None
        asked.append(time.monotonic())
        return refuse(429)(request) if asked[-1] < asked[0] + 1.5 else None

    for number in range(6):
        network.faults[number] = withheld
    network.fetch(tmp_path / "out")
    assert time.monotonic() > asked[0] + 1.5
    assert sum(report.withheld for report in network.reports.values()) > 0


@pytest.mark.parametrize("is_over", [False, True])
def test_a_reason_that_all_nodes_have_is_told_once(network: Network, tmp_path: Path, is_over: bool) -> None:
    """Not a line for each node; what to try depends on whether waiting can help."""
    network.fill()
    for number in range(6):
        network.faults[number] = refuse(429)
    with pytest.raises(NotEnoughSlices) as found:
        network.fetch(tmp_path / "out", seconds=2.0, is_over=is_over)
    assert found.value.message.count("not today, by order") == 1
    assert "\n  6 nodes: said: not today, by order" in found.value.message
    assert set(found.value.data["reasons"]) == {person.address for person in PEOPLE}
    assert ("operators may have deleted it" in found.value.hint) is is_over


def test_answers_of_the_wrong_size_are_refused() -> None:
    """Endless, short, or not JSON: a bounded error that names the operator, and no memory filled."""
    app = FastAPI()

    @app.get("/{path:path}")
    def endless(path: str) -> Response:
        return Response(bytes(100 if "short" in path else 3_000_000))

    @app.post("/{path:path}")
    def nonsense(path: str) -> Response:
        return Response(b"<html>")

    served = Served(app)

    async def call(body) -> None:
        async with connections(1) as http:
            await body(NodeClient(http, PEOPLE[0].address, served.url, CHAIN_ID, READER))

    with pytest.raises(NodeRefused, match="more than 2048 bytes"):
        asyncio.run(call(lambda node: node.get_slice(OBJECT, 0, 2048)))
    with pytest.raises(NodeRefused, match="instead of 4000000"):
        asyncio.run(call(lambda node: node.get_slice(OBJECT, 0, 4_000_000)))
    with pytest.raises(NodeRefused, match="no JSON"):
        asyncio.run(call(lambda node: node.sign(OBJECT)))
    served.stop()
    with pytest.raises(NodeUnreachable) as found:
        asyncio.run(call(lambda node: node.sign(OBJECT, seconds=2)))
    assert found.value.data["operator"] == PEOPLE[0].address


def test_a_client_follows_no_redirect() -> None:
    """A node can't send a client, with its signed header, elsewhere."""
    app = FastAPI()

    @app.get("/{path:path}")
    def away(path: str) -> Response:
        return Response(status_code=307, headers={"Location": DEAD})

    served = Served(app)

    async def call() -> None:
        async with connections(1) as http:
            await NodeClient(http, PEOPLE[0].address, served.url, CHAIN_ID, READER).get_slice(OBJECT, 0, 2048)

    with pytest.raises(NodeRefused) as found:
        asyncio.run(call())
    assert found.value.data["status"] == 307
    served.stop()
