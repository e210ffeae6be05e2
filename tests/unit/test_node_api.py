"""The node's HTTP API: bounded bodies, signed reads, the window's budget, JSON errors; over real sockets."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from qanat import bls
from qanat.chain.views import ObjectStatus, Seed
from qanat.errors import ChainError, NodeRefused
from qanat.node.api import make_app
from qanat.node.budget import ServingBudget, rows_in_window
from qanat.node.follower import Heads
from qanat.node.requests import authorization
from qanat.objects import Encoded, encode
from tests.unit.node_doubles import CHAIN_ID, FakeNode, FakeViews, Served, make_people, permit, serve_node

OBJECT = b"\x44" * 32
ID = "0x" + OBJECT.hex()
PEOPLE = make_people(3)
ENCODED = encode(bytes(range(256)) * 20, k=2, n=3, width=64)
READER = PEOPLE[2].signer
PUT = {"Qanat-Put": permit(OBJECT, ENCODED, PEOPLE[0].address)}


@pytest.fixture
def views() -> FakeViews:
    found = FakeViews(PEOPLE)
    found.open_object(OBJECT, ENCODED)
    return found


@pytest.fixture
def node(views: FakeViews, tmp_path: Path) -> Iterator[FakeNode]:
    made = FakeNode(views, PEOPLE[0], tmp_path / "node")
    yield made
    made.stop()


@pytest.fixture
def served(node: FakeNode) -> Iterator[Served]:
    made = serve_node(node)
    yield made
    made.stop()


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=20, trust_env=False, headers=PUT) as client:
        yield client


def put_all(http: httpx.Client, node: FakeNode, encoded: Encoded = ENCODED, object_id: bytes = OBJECT) -> list[int]:
    """Send manifest and own slices; return the slices' indexes."""
    name = "0x" + object_id.hex()
    assert http.put(f"/objects/{name}/manifest", content=encoded.manifest.to_bytes()).status_code == 204
    own = node.own(object_id, encoded)
    for index in own:
        assert http.put(f"/objects/{name}/slices/{index}", content=encoded.slices[index]).status_code == 204
    return own


def signed(path: str, *, method: str = "GET", body: bytes = b"", operator: str = PEOPLE[0].address) -> dict[str, str]:
    """Return the header of a signed request."""
    return {"Authorization": authorization(READER, CHAIN_ID, operator, method, path, body)}


def error(response: httpx.Response, status: int, name: str) -> dict:
    """Check that a response is a JSON error, and return it."""
    assert response.status_code == status, response.text
    answer = response.json()
    assert set(answer) == {"error", "message", "data"}
    assert answer["error"] == name
    assert len(answer["message"]) > 10
    return answer


def test_an_objects_whole_way_in_and_out(http: httpx.Client, node: FakeNode, views: FakeViews) -> None:
    """Manifest, slices, signature; then a signed read gives the slice back."""
    own = put_all(http, node)
    answer = http.post(f"/objects/{ID}/signature").json()
    assert answer["operator"] == PEOPLE[0].address
    signature = bytes.fromhex(answer["signature"][2:])
    assert bls.verify(PEOPLE[0].key.public_key, views.digest(OBJECT), signature)
    assert http.post(f"/objects/{ID}/signature").json() == answer
    assert http.get(f"/objects/{ID}/manifest").content == ENCODED.manifest.to_bytes()
    path = f"/objects/{ID}/slices/{own[0]}"
    assert http.get(path, headers=signed(path)).content == ENCODED.slices[own[0]]


def test_health_status_and_metrics(http: httpx.Client, node: FakeNode, views: FakeViews) -> None:
    """What a person and a monitor look at."""
    own = put_all(http, node)
    http.post(f"/objects/{ID}/signature")
    assert http.get("/health").json() == {"ok": True, "problems": []}
    status = http.get("/status").json()
    assert status["operator"] == PEOPLE[0].address
    assert (status["objects"], status["signed"], status["slices"]) == (1, 1, len(own))
    assert status["bytes"] == len(own) * 2048
    assert status["block"] == 100
    assert status["paidReads"] is None
    assert status["places"] == [{"roster": 1, "firstTicket": 0, "tickets": 1, "of": 3}]
    text = http.get("/metrics").text
    assert f"qanat_slices_received_total {len(own)}" in text
    assert "qanat_objects_signed_total 1" in text
    assert "qanat_block 100" in text


def test_oversized_bodies_are_refused_by_their_declared_length(http: httpx.Client, node: FakeNode) -> None:
    """413 before a byte is read: a slice, a manifest, a key."""
    put_all(http, node)
    index = node.own(OBJECT, ENCODED)[0]
    for path, body in (
        (f"/objects/{ID}/slices/{index}", bytes(2049)),
        (f"/objects/{ID}/slices/{index}", bytes(3_000_000)),
        (f"/objects/{ID}/manifest", bytes(200_000)),
        ("/keys/1", bytes(20_000)),
    ):
        error(http.put(path, content=body), 413, "NodeRefused")
    error(http.post(f"/objects/{ID}/signature", content=b"x"), 413, "NodeRefused")


def test_oversized_bodies_are_refused_while_they_stream(http: httpx.Client, node: FakeNode) -> None:
    """A chunked body says no length: it is cut off at the limit."""
    put_all(http, node)
    index = node.own(OBJECT, ENCODED)[0]
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1024
            yield bytes(1024)

    error(http.put(f"/objects/{ID}/slices/{index}", content=endless()), 413, "NodeRefused")
    assert node.store.get(OBJECT, index) == ENCODED.slices[index]


def test_a_declared_length_that_lies_is_refused(served: Served, node: FakeNode) -> None:
    """Fewer bytes than declared, and then the end of the connection: nothing is stored, the node goes on."""
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    index = node.own(OBJECT, ENCODED)[0]
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(
            f"PUT /objects/{ID}/slices/{index} HTTP/1.1\r\nHost: x\r\nContent-Length: 2048\r\n"
            f"Qanat-Put: {PUT['Qanat-Put']}\r\n\r\n".encode()
        )
        raw.sendall(bytes(1000))
    time.sleep(0.2)
    assert not node.store.has(OBJECT, index)
    assert httpx.get(served.url + "/health", trust_env=False).status_code == 200


def test_a_body_that_drips_is_given_up(served: Served, node: FakeNode) -> None:
    """A sender that never finishes holds its request for the time limit only."""
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    index = node.own(OBJECT, ENCODED)[0]
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(
            f"PUT /objects/{ID}/slices/{index} HTTP/1.1\r\nHost: x\r\nContent-Length: 2048\r\n"
            f"Qanat-Put: {PUT['Qanat-Put']}\r\n\r\n".encode()
        )
        raw.settimeout(10)
        started = time.monotonic()
        assert b" 408 " in raw.recv(4096).split(b"\r\n")[0]
        assert 1.5 < time.monotonic() - started < 4


def test_truncated_slices_are_refused(http: httpx.Client, node: FakeNode) -> None:
    """400 with both lengths."""
    put_all(http, node)
    index = node.own(OBJECT, ENCODED)[0]
    answer = error(http.put(f"/objects/{ID}/slices/{index}", content=bytes(2047)), 400, "NodeRefused")
    assert (answer["data"]["got"], answer["data"]["expected"]) == (2047, 2048)
    error(http.put(f"/objects/{ID}/slices/{index}", content=b""), 400, "NodeRefused")


def test_what_is_malformed_is_422(http: httpx.Client, node: FakeNode) -> None:
    """Non-canonical elements, false slices, cut manifests."""
    own = put_all(http, node)
    error(http.put(f"/objects/{ID}/slices/{own[0]}", content=b"\xff" * 2048), 422, "NonCanonicalElement")
    error(http.put(f"/objects/{ID}/slices/{own[0]}", content=bytes(2048)), 422, "SliceMismatch")
    error(http.put(f"/objects/{ID}/manifest", content=b"QNTM"), 422, "MalformedManifest")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/objects/0x12/manifest", 400),
        ("GET", f"/objects/{ID[2:]}aa/manifest", 400),
        ("GET", "/objects/0x" + "zz" * 32 + "/manifest", 400),
        ("GET", f"/objects/{ID}/slices/-1", 400),
        ("GET", f"/objects/{ID}/slices/99999999999999999999999", 400),
        ("GET", f"/objects/{ID}/slices/1e3", 400),
        ("PUT", f"/keys/{1 << 256}", 400),
        ("GET", "/nothing", 404),
        ("DELETE", f"/objects/{ID}/manifest", 405),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
    ],
)
def test_malformed_paths_are_json_errors(http: httpx.Client, method: str, path: str, status: int) -> None:
    """Every refusal is JSON, and none is a 500."""
    response = http.request(method, path)
    assert response.status_code == status
    assert set(response.json()) == {"error", "message", "data"}


def test_slices_are_served_on_signed_request_only(http: httpx.Client, node: FakeNode) -> None:
    """Unsigned, signed for another path, operator, body, or time: 401."""
    own = put_all(http, node)
    http.post(f"/objects/{ID}/signature")
    path = f"/objects/{ID}/slices/{own[0]}"
    good = signed(path)
    assert http.get(path, headers=good).status_code == 200
    stale = good["Authorization"].replace("time=", "time=1")
    for headers in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": stale},
        signed(f"/objects/{ID}/slices/{own[1]}"),
        signed(path, method="PUT"),
        signed(path, operator=PEOPLE[1].address),
        signed(path, body=b"x"),
        {
            "Authorization": good["Authorization"][:-20]
            + ("0" if good["Authorization"][-20] != "0" else "1")
            + good["Authorization"][-19:]
        },
        {"Authorization": good["Authorization"].replace(READER.address, PEOPLE[1].address)},
    ):
        error(http.get(path, headers=headers), 401, "InvalidSignature")


def test_unverified_slices_are_not_served(http: httpx.Client, node: FakeNode) -> None:
    """Before the node signed: 404."""
    own = put_all(http, node)
    path = f"/objects/{ID}/slices/{own[0]}"
    error(http.get(path, headers=signed(path)), 404, "SliceNotFound")
    error(http.get(f"/objects/{ID}/slices/1", headers=signed(f"/objects/{ID}/slices/1")), 404, "SliceNotFound")


def in_window(node: FakeNode, views: FakeViews, *, k: int = 6, n: int = 9) -> tuple[bytes, Encoded, list[int]]:
    """Store and certify an object of one matrix, live in epoch 5, whose window is open at block 101."""
    encoded = encode(bytes(9000), k=k, n=n, width=64)
    object_id = b"\x55" * 32
    views.open_object(object_id, encoded)
    node.take_all(object_id, encoded)
    node.intake.sign(object_id)
    views.change_object(object_id, block=60, status=ObjectStatus.CERTIFIED, first_epoch=4)
    views.chain.head = 101
    node.follower.refresh()
    assert node.follower.open_epochs() == [5]
    return object_id, encoded, node.own(object_id, encoded)


def read(http: httpx.Client, object_id: bytes, index: int) -> int:
    """Read a slice; return the status."""
    path = f"/objects/0x{object_id.hex()}/slices/{index}"
    return http.get(path, headers=signed(path)).status_code


def test_inside_a_response_window_few_rows_are_served(views: FakeViews, tmp_path: Path) -> None:
    """⌊(k−1) ÷ operators⌋ distinct rows of each matrix, to all askers together; after the deadline all of them."""
    views.chain.head = 82  # between windows when the node starts: epoch 4 is sealed and over
    views.seeds[3], views.seeds[4] = Seed(bytes(32), 61, 69), Seed(bytes(32), 70, 78)
    node = FakeNode(views, PEOPLE[0], tmp_path / "n")
    served = serve_node(node)
    with httpx.Client(base_url=served.url, trust_env=False) as http:
        object_id, encoded, own = in_window(node, views)
        assert rows_in_window(encoded.manifest.k, 3) == 1
        assert len(own) == 3 * encoded.manifest.matrices
        assert [read(http, object_id, index) for index in own] == [200, 429, 429]
        assert [read(http, object_id, index) for index in own] == [200, 429, 429]  # the same row is free
        views.seeds[5] = Seed(bytes(32), 101, 109)
        for head, expected in ((109, [200, 429, 429]), (110, [200, 200, 200])):
            views.chain.head = head
            node.follower.refresh()
            assert [read(http, object_id, index) for index in own] == expected
        assert node.metrics.value("qanat_slices_withheld_total") == 6
    served.stop()
    node.stop()


def test_who_may_adopt_reads_past_the_budget_and_nobody_else(
    views: FakeViews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that isn't under the certificate, while it may join; strangers and signers share the few rows."""
    views.chain.head = 82
    views.seeds[3], views.seeds[4] = Seed(bytes(32), 61, 69), Seed(bytes(32), 70, 78)
    node = FakeNode(views, PEOPLE[0], tmp_path / "n")
    object_id, _, own = in_window(node, views)
    late, asked = PEOPLE[2].address, []

    def absent(_views: Any, asked_for: bytes, _epoch: int) -> tuple[int, ...]:
        asked.append(asked_for)
        return (2,)

    monkeypatch.setattr("qanat.node.adoptions.non_signers_of", absent)

    def served(reader: str) -> list[bool]:
        found = []
        for index in own:
            try:
                node.service.serve_slice(object_id, index, reader)
            except NodeRefused:
                found.append(False)
            else:
                found.append(True)
        return found

    def change(block: int, **changes: Any) -> None:
        views.change_object(object_id, block=block, **changes)
        views.chain.head = block
        node.follower.refresh()
        node.follower._records.clear()
        node.service.adoptions._known.clear()

    few = [True, False, False]
    assert served(late) == few  # all have signed
    change(101, first_epoch=5, unsigned_tickets=1)
    assert served(late) == [True] * 3
    assert served("0x" + "0b" * 20) == served(PEOPLE[1].address) == few
    assert asked == [object_id]  # strangers' requests are no questions to the chain
    change(102, unsigned_returned=True)
    assert served(late) == few
    change(102, unsigned_returned=False)
    assert served(late) == [True] * 3
    hot = "0x" + "0c" * 20  # a node signs with its responder's key, which differs from the operator's
    monkeypatch.setattr(views, "operator", lambda name: replace(FakeViews.operator(views, name), responder=hot))
    assert served(hot) == few  # as known of this round
    change(102)
    assert served(hot) == served(late) == [True] * 3
    monkeypatch.setattr(views, "vacant_operators", lambda _roster: frozenset({late}))
    change(102)
    assert served(late) == few
    monkeypatch.setattr(views, "vacant_operators", lambda _roster: frozenset())
    monkeypatch.setattr("qanat.node.adoptions.non_signers_of", no_logs)
    change(102)
    assert served(late) == few
    node.stop()


def no_logs(*_: Any) -> tuple[int, ...]:
    raise ChainError("no logs")


def test_after_a_restart_inside_a_window_nothing_is_served(views: FakeViews, tmp_path: Path) -> None:
    """What was served before is forgotten with the process, so the window's budget counts as used up."""
    views.seeds[3], views.seeds[4] = Seed(bytes(32), 61, 69), Seed(bytes(32), 81, 89)
    node = FakeNode(views, PEOPLE[0], tmp_path / "n")
    object_id, _, own = in_window(node, views)
    node.restart()
    served = serve_node(node)
    with httpx.Client(base_url=served.url, trust_env=False) as http:
        assert read(http, object_id, own[0]) == 429
    served.stop()
    node.stop()


def test_an_object_that_cannot_be_drawn_is_served_without_limit(views: FakeViews, tmp_path: Path) -> None:
    """Certified too late for the open epoch, or ended: its rows answer no challenge."""
    node = FakeNode(views, PEOPLE[0], tmp_path / "n")
    served = serve_node(node)
    with httpx.Client(base_url=served.url, trust_env=False) as http:
        object_id, _, own = in_window(node, views)
        for first in (6, 2):
            views.change_object(object_id, block=101, first_epoch=first)
            node.follower._records.clear()
            assert [read(http, object_id, index) for index in own] == [200, 200, 200]
    served.stop()
    node.stop()


def test_a_node_that_lost_sight_of_the_chain_serves_nothing(http: httpx.Client, node: FakeNode) -> None:
    """It cannot know whether challenges are open: 503, not a guess."""
    own = put_all(http, node)
    http.post(f"/objects/{ID}/signature")
    assert read(http, OBJECT, own[0]) == 200
    heads = node.follower.heads
    node.follower._heads = replace(heads, seen=heads.seen - 3600)
    assert read(http, OBJECT, own[0]) == 503
    node.follower._heads = Heads()
    assert read(http, OBJECT, own[0]) == 503


def described(node: FakeNode) -> dict[tuple[str, str], dict]:
    """Return the calls that the served description names."""
    paths = make_app(node.service).openapi()["paths"]
    return {(method.upper(), path): call for path, calls in paths.items() for method, call in calls.items()}


def test_every_route_is_described_and_on_the_page(node: FakeNode) -> None:
    """Code, /openapi.json and docs/protocol.md name the same calls, each with its answers."""
    routes = {
        (method, route.path)
        for route in make_app(node.service).routes
        for method in route.methods - {"HEAD"}
        if route.path != "/openapi.json"
    }
    calls = described(node)
    assert set(calls) == routes
    page = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
    named = re.findall(r"^\| `(GET|PUT|POST|DELETE|PATCH) ([^`]+)` \|", page, re.MULTILINE)
    assert {
        (
            method,
            path.replace("{id}", "{object_id}").replace("{assetId}", "{asset_id}").replace("{keyEpoch}", "{key_epoch}"),
        )
        for method, path in named
    } == routes
    for (method, path), call in calls.items():
        answers = call["responses"]
        assert {"200", "204"} & set(answers), (method, path)
        for status, answer in answers.items():
            if int(status) >= 400 and (path, status) != ("/health", "503"):
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)
        assert ("requestBody" in call) == (method == "PUT" or path.endswith("/release") or path.startswith("/lists")), (
            method,
            path,
        )
        assert call["summary"], (method, path)


def test_there_is_no_call_that_opens_folds_or_evaluates(node: FakeNode) -> None:
    """Nothing takes a point, a weight or several slices to sum: the paths' words and all parameters are these.

    The P that ``release`` takes in its body meets a share of a key, never a slice.
    """
    words, parameters = set(), set()
    for (_, path), call in described(node).items():
        words |= {word for word in path.split("/") if word and not word.startswith("{")}
        parameters |= {item["name"].lower() for item in call.get("parameters", [])}
    assert words == {
        "health",
        "status",
        "metrics",
        "objects",
        "manifest",
        "slices",
        "signature",
        "keys",
        "release",
        "share",
        "dealing",
        "lists",
    }
    assert parameters == {
        "object_id",
        "index",
        "asset_id",
        "key_epoch",
        "authorization",
        "range",
        "qanat-put",
        "qanat-voucher",
    }


def test_heavy_work_does_not_stop_the_loop(served: Served, node: FakeNode) -> None:
    """While a signature is being worked on, health answers."""
    started, release = threading.Event(), threading.Event()

    def slow(_object_id: bytes) -> bytes:
        started.set()
        release.wait(10)
        return bytes(128)

    node.intake.sign = slow  # type: ignore[method-assign]
    posts: list[int] = []
    thread = threading.Thread(
        target=lambda: posts.append(
            httpx.post(f"{served.url}/objects/{ID}/signature", timeout=20, trust_env=False).status_code
        )
    )
    thread.start()
    assert started.wait(10)
    assert httpx.get(served.url + "/health", timeout=5, trust_env=False).status_code == 200
    release.set()
    thread.join()
    assert posts == [200]


def test_an_unexpected_failure_is_a_500_without_insides(served: Served, node: FakeNode) -> None:
    """A bug in the node shows nothing of it to strangers."""

    def broken(_object_id: bytes) -> bytes:
        raise ZeroDivisionError("secret detail")

    node.service.manifest = broken  # type: ignore[method-assign]
    response = httpx.get(f"{served.url}/objects/{ID}/manifest", trust_env=False, timeout=30)
    assert response.status_code == 500
    assert "secret" not in response.text


def test_keep_alive_connections_survive_a_refusal(http: httpx.Client, node: FakeNode) -> None:
    """After a refused body the next request on the same client works: no bytes are left over."""
    own = put_all(http, node)
    for _ in range(3):
        error(http.put(f"/objects/{ID}/slices/{own[0]}", content=bytes(5000)), 413, "NodeRefused")
        assert http.get("/health").status_code == 200


def test_the_budget_counts_in_every_open_epoch() -> None:
    """Windows that overlap: a row counts in both, and the narrower one decides."""
    budget = ServingBudget()
    assert budget.take(OBJECT, 0, 1, 2, [5])
    assert budget.take(OBJECT, 0, 2, 2, [5, 6])
    assert not budget.take(OBJECT, 0, 3, 2, [5, 6])
    assert budget.take(OBJECT, 1, 3, 2, [5, 6])  # another matrix
    assert budget.take(b"\x66" * 32, 0, 3, 2, [5, 6])  # another object
    budget.forget([6])
    assert budget.take(OBJECT, 0, 3, 2, [6])
    assert not budget.take(OBJECT, 0, 4, 2, [6])
    assert budget.take(OBJECT, 0, 2, 2, [6])  # served before
    assert not budget.take(OBJECT, 0, 1, 0, [7])
    assert rows_in_window(1, 6) == 0


def test_connections_that_say_nothing_are_closed(node: FakeNode) -> None:
    """Silent, or with half a head, as the first or a later request of a connection; a whole request is served."""
    served = Served(make_app(node.service), head_seconds=0.5)
    head = b"GET /health HTTP/1.1\r\nHost: x\r\n"
    for said in (b"", head):
        with socket.create_connection(("127.0.0.1", served.port)) as raw:
            raw.sendall(said)
            raw.settimeout(8)
            assert raw.recv(100) == b""
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.settimeout(8)
        raw.sendall(head + b"\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(0.7)  # kept alive: nothing was begun
        raw.sendall(head)
        while answer := raw.recv(4096):
            assert b" 200 " not in answer.split(b"\r\n")[0]
    served.stop()


def test_deeply_nested_json_is_refused(http: httpx.Client) -> None:
    """Brackets enough to exhaust a parser's stack are a 400 like any other nonsense."""
    error(http.post("/keys/1/release", content=b"[" * 16_000), 400, "MalformedHex")
