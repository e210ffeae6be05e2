"""drand's rounds: its own words, relays that are late, gone, or lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from qanat.chain import randomness
from qanat.chain.randomness import QUICKNET, drand_key, is_round
from qanat.errors import BadParameters, InvalidPoint, RandomnessUnavailable
from qanat.kzg.kernels import commitment_kernel
from qanat.kzg.points import to_padded
from tests.drand_relay import Relay

# quicknet's /public/1000
ROUND = 1000
SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
NUMBER = 77


def padded(text: str) -> bytes:
    kernel = commitment_kernel()
    return to_padded(kernel.to_raw(kernel.decompress(bytes.fromhex(text))))


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as served:
        served.asked.add(NUMBER)  # signed
        yield served


def fetch(relay: Relay, *urls: str, number: int = NUMBER) -> bytes:
    return randomness._fetch_round(urls or (relay.url,), number, relay.key)


def test_quicknets_round_is_under_quicknets_key() -> None:
    """And under no other number."""
    key = drand_key(QUICKNET.public_key)
    assert is_round(key, ROUND, padded(SIGNATURE))
    assert not is_round(key, ROUND + 1, padded(SIGNATURE))


def test_a_key_that_is_no_point_is_refused() -> None:
    for bad in (bytes(96), QUICKNET.public_key[:95] + b"\0", b"\xc0" + bytes(95), QUICKNET.public_key[:48]):
        with pytest.raises(BadParameters):
            drand_key(bad)


def test_the_identity_is_no_signature() -> None:
    """It would fit every round under a key that is the identity."""
    assert not is_round(drand_key(QUICKNET.public_key), ROUND, bytes(128))
    assert not is_round(bytes(256), ROUND, bytes(128))


def test_a_round_is_had_from_the_first_relay_that_has_it(relay: Relay) -> None:
    assert fetch(relay, "http://127.0.0.1:9", relay.url) == relay.sign(NUMBER)


def test_a_round_that_is_not_signed_yet(relay: Relay) -> None:
    with pytest.raises(RandomnessUnavailable, match="404"):
        fetch(relay, number=NUMBER + 1)
    assert fetch(relay, number=NUMBER + 1) == relay.sign(NUMBER + 1)


def test_no_relay_at_all(relay: Relay) -> None:
    with pytest.raises(RandomnessUnavailable) as found:
        randomness._fetch_round((), NUMBER, relay.key)
    assert found.value.data["round"] == NUMBER


@pytest.mark.parametrize(
    "change",
    [
        {"round": NUMBER + 1},
        {"signature": SIGNATURE},
        {"signature": "c0" + "00" * 47},
        {"signature": "ff" * 48},
        {"signature": "zz"},
        {"signature": 5},
        {"signature": None},
        {"padding": "x" * 20_000},
    ],
)
def test_a_relay_that_lies_is_passed_over(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Another round, another network's, no point, no text, too much: never a signature, and the next one is asked."""
    true = relay.answer
    honest = Relay()
    honest.asked.add(NUMBER)

    def lying(path: str) -> tuple[int, bytes]:
        return 200, json.dumps({**json.loads(true(path)[1]), **change}).encode()

    monkeypatch.setattr(relay, "answer", lying)
    with pytest.raises(RandomnessUnavailable):
        fetch(relay)
    with honest:
        assert fetch(relay, relay.url, honest.url) == relay.sign(NUMBER)


def test_an_answer_that_is_no_json(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (b"", b"[]", b"\xff", b"[" * 10_000, b"null"):
        monkeypatch.setattr(relay, "answer", lambda _path, body=body: (200, body))
        with pytest.raises(RandomnessUnavailable):
            fetch(relay)


def test_malformed_signatures_are_errors_of_their_own() -> None:
    with pytest.raises(InvalidPoint):
        is_round(drand_key(QUICKNET.public_key), ROUND, b"\1" + bytes(127))
