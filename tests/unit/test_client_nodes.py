"""A node that has moved, or will: asked at the announced endpoint, and at the one in force where no node answers."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from qanat.client.nodes import NodeClient
from qanat.errors import NodeRefused, NodeUnreachable

OPERATOR = "0x" + "11" * 20
NEW, OLD = "http://new.example", "http://old.example/base/"
OBJECT = b"\7" * 32
MANIFEST = b"manifest"


class Houses:
    """What answers at each host, and which were asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    async def __call__(self, request):
        host = request.url.host.split(".")[0]
        self.asked.append(host)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            raise httpx.ReadTimeout("slow")
        return answer


def manifests(houses, times=1, seconds=5.0, endpoint=(NEW, OLD)):
    """Ask the same client so many times; return what came."""

    async def ask():
        async with httpx.AsyncClient(transport=httpx.MockTransport(houses)) as http:
            node = NodeClient(http, OPERATOR, endpoint, 31337)
            return [await node.get_manifest(OBJECT, 100, seconds=seconds) for _ in range(times)]

    return asyncio.run(ask())


def no(status, error="NotFound"):
    return httpx.Response(status, json={"error": error, "message": "no", "data": {}})


def test_a_node_that_has_moved_is_found_at_once():
    houses = Houses(new=httpx.Response(200, content=MANIFEST), old=httpx.ConnectError("gone"))
    assert manifests(houses) == [MANIFEST]
    assert houses.asked == ["new"]


@pytest.mark.parametrize(
    "nobody",
    [
        httpx.ConnectError("refused"),
        httpx.Response(502, content=b"<html>Bad Gateway</html>"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, content=b"x" * 1000),
    ],
    ids=["nobody", "proxy", "another service", "another page"],
)
def test_a_node_that_has_not_moved_yet_is_found(nobody):
    """Where no node answers at the announced place it is at the old one, and is asked there first from then on."""
    houses = Houses(new=nobody, old=httpx.Response(200, content=MANIFEST))
    assert manifests(houses, times=2) == [MANIFEST, MANIFEST]
    assert houses.asked == ["new", "old", "old"]


def test_what_a_node_refuses_is_not_asked_elsewhere():
    houses = Houses(new=no(403, "NotSigned"), old=httpx.Response(200, content=MANIFEST))
    with pytest.raises(NodeRefused, match="said: no") as caught:
        manifests(houses)
    assert caught.value.data["error"] == "NotSigned"
    assert houses.asked == ["new"]


def test_the_last_place_says_why():
    houses = Houses(new=httpx.ConnectError("gone"), old=httpx.ConnectError("gone too"))
    with pytest.raises(NodeUnreachable, match=r"old\.example.*gone too"):
        manifests(houses)
    assert houses.asked == ["new", "old"]


def test_two_places_take_no_longer_than_one():
    """An announced place that answers nothing has all the time that there is, and no more."""
    houses = Houses(new=60.0, old=httpx.Response(200, content=MANIFEST))
    began = time.monotonic()
    with pytest.raises(NodeUnreachable, match=r"new\.example"):
        manifests(houses, seconds=0.3)
    assert time.monotonic() - began < 2
    assert houses.asked == ["new"]


def test_a_place_can_be_told_alone():
    houses = Houses(new=httpx.Response(502), old=httpx.Response(200, content=MANIFEST))
    assert manifests(houses, endpoint=OLD) == [MANIFEST]
    with pytest.raises(NodeRefused, match="502"):
        manifests(houses, endpoint=NEW)


@pytest.mark.parametrize(("told", "wait"), [(b"3", 3.0), (b"\xb2", None), (b"soon", None), (b"-1", None), (b"", None)])
def test_how_long_to_wait_is_a_number_or_nothing(told, wait):
    """A superscript two is a digit for Python, and no number: a holder that sends one is refused like any other."""
    answer = httpx.Response(429, headers=[(b"retry-after", told)], json={"error": "Busy", "message": "no", "data": {}})
    with pytest.raises(NodeRefused) as found:
        manifests(Houses(new=answer, old=answer))
    assert found.value.data["retry_after"] == wait
