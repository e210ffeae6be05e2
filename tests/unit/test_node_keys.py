"""The key holder: keys go to licensees because the chain says so, and only after the release is recorded."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak

from qanat.chain.signer import KeySigner
from qanat.chain.views import LicenseRecord
from qanat.errors import (
    BadParameters,
    DecryptionFailed,
    InvalidSignature,
    KeyUnavailable,
    MalformedHex,
    NodeRefused,
    NotLicensed,
    TransactionReverted,
    WrongKeyFile,
)
from qanat.keys.seal import SealingKey, seal
from qanat.node.keyholder import MOST_RECORDINGS, key_request
from qanat.node.requests import Asker
from qanat.node.sealing import key_context, load_sealing_key, save_sealing_key
from qanat.node.state import PendingRelease
from tests.unit.node_doubles import (
    CHAIN_ID,
    CONTRACTS,
    ZERO,
    FakeFunction,
    FakeNode,
    FakeSender,
    FakeViews,
    make_people,
)

HOLDER, *_ = PEOPLE = make_people(2)
OWNER = KeySigner.from_key(keccak(text="owner"))
LICENSEE = KeySigner.from_key(keccak(text="licensee"))
STRANGER = KeySigner.from_key(keccak(text="stranger"))
DATA_KEY = keccak(text="data key")
ASSET, LICENSE = 7, 3
RECIPIENT = SealingKey.from_bytes(keccak(text="recipient"))


@pytest.fixture
def views() -> FakeViews:
    found = FakeViews(PEOPLE)
    found.owners[ASSET] = OWNER.address
    now = found.chain.now
    found.licenses[LICENSE] = LicenseRecord(
        ASSET, 1, LICENSEE.address, 1, now - 100, now + 1000, 0, 0, 0, 10_000, ZERO, 5, 0
    )
    found.chain.answers["keyRequestDigest"] = bytes(32)
    return found


@pytest.fixture
def node(views: FakeViews, tmp_path: Path) -> Iterator[FakeNode]:
    made = FakeNode(views, HOLDER, tmp_path / "n")
    yield made
    made.stop()


def sealed_key(*, asset: int = ASSET, to: SealingKey = HOLDER.sealing, recipient: str = HOLDER.address) -> bytes:
    """Return a deposit's body."""
    context = key_context(CHAIN_ID, CONTRACTS["Licenses"], asset, recipient)
    return json.dumps({"sealed": "0x" + seal(DATA_KEY, to.public, context).hex()}).encode()


def deposit(node: FakeNode, *, signer: KeySigner = OWNER, at: int = 100) -> None:
    node.keys.deposit(ASSET, sealed_key(), Asker(signer.address, at))


def ask(signer: KeySigner = LICENSEE, **changes) -> dict:
    """Return a signed request as JSON, with changes made after signing where named `false_…`."""
    deadline = changes.pop("deadline", 2_000_000_000_000)
    holder = changes.pop("holder", HOLDER.address)
    request = key_request(CHAIN_ID, CONTRACTS["Licenses"], LICENSE, holder, RECIPIENT.public, deadline)
    made = {
        "licenseId": LICENSE,
        "recipientKey": "0x" + RECIPIENT.public.hex(),
        "deadline": deadline,
        "signature": "0x" + signer.sign_typed_data(*request).hex(),
    }
    return {**made, **changes}


def test_a_licensee_gets_the_key_after_the_release_is_recorded(node: FakeNode) -> None:
    """Sealed to the recipient key, opened there to what the owner deposited; the record names license, holder, key."""
    deposit(node)
    sealed = node.keys.release(ASSET, ask())
    context = key_context(CHAIN_ID, CONTRACTS["Licenses"], ASSET, LICENSEE.address)
    assert RECIPIENT.open(sealed, context) == DATA_KEY
    (sent,) = node.sender.sent
    assert sent.name == "recordRelease"
    assert sent.arguments[:3] == (LICENSE, HOLDER.address, RECIPIENT.public)


def test_no_key_leaves_when_the_release_cannot_be_recorded(node: FakeNode) -> None:
    """A revert, or a chain that does not answer."""
    deposit(node)
    node.sender.fails = TransactionReverted("no", error_name="LicenseNotActive", arguments={})
    with pytest.raises(TransactionReverted):
        node.keys.release(ASSET, ask())
    assert node.state.releases() == []


def test_a_second_request_records_nothing_more(node: FakeNode, views: FakeViews) -> None:
    """Later releases of the same license cost no transaction."""
    deposit(node)
    views.licenses[LICENSE] = replace(views.licenses[LICENSE], released_at=5)
    node.keys.release(ASSET, ask())
    assert node.sender.sent == []


def test_a_release_that_a_reorganisation_dropped_is_recorded_again(node: FakeNode, views: FakeViews) -> None:
    """Until the final block has it."""
    deposit(node)
    node.keys.release(ASSET, ask())
    node.keys.settle_releases(views.chain.final)
    assert [sent.name for sent in node.sender.sent] == ["recordRelease"] * 2
    views.licenses[LICENSE] = replace(views.licenses[LICENSE], released_at=5)
    node.keys.settle_releases(views.chain.final)
    node.keys.settle_releases(views.chain.final)
    assert len(node.sender.sent) == 2
    assert node.state.releases() == []


class SlowSender(FakeSender):
    """Sends that a test lets end, by license."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[int, threading.Event] = defaultdict(threading.Event)
        self.end = threading.Event()

    def send(self, function: FakeFunction, value: int = 0, *, steps: int = 0) -> dict[str, Any]:
        self.begun[function.arguments[0]].set()
        assert self.end.wait(20)
        return super().send(function, value, steps=steps)


def pending(license_id: int) -> PendingRelease:
    return PendingRelease(license_id, "11" * 32, 2_000_000_000_000, "22" * 65)


@pytest.fixture
def slow(node: FakeNode, views: FakeViews) -> Iterator[SlowSender]:
    """As many recordings under way as may be; they end with the test at the latest."""
    sender = SlowSender()
    node.keys._sender = sender
    for number in range(100, 101 + MOST_RECORDINGS):
        views.licenses[number] = views.licenses[LICENSE]
    with ThreadPoolExecutor(MOST_RECORDINGS) as pool:
        going = [
            pool.submit(node.keys.record, views.licenses[number], pending(number))
            for number in range(100, 100 + MOST_RECORDINGS)
        ]
        assert all(sender.begun[number].wait(20) for number in range(100, 100 + MOST_RECORDINGS))
        yield sender
        sender.end.set()
        for one in going:
            one.result(20)


def test_licenses_are_recorded_beside_each_other_and_nobody_queues(
    node: FakeNode, views: FakeViews, slow: SlowSender
) -> None:
    """Beyond as many as may be, and for one that is under way, the answer is 503 with the time to come back."""
    for number in (100, 100 + MOST_RECORDINGS):
        with pytest.raises(KeyUnavailable) as found:
            node.keys.record(views.licenses[number], pending(number))
        assert found.value.data["status"] == 503
        assert found.value.data["retry_after"] > 0
    assert [item.license_id for item in node.state.releases()] == list(range(100, 100 + MOST_RECORDINGS))
    node.keys.settle_releases(views.chain.final)  # what is on its way is not sent twice
    slow.end.set()
    wait_until_sent = time.monotonic() + 20
    while len(slow.sent) < MOST_RECORDINGS and time.monotonic() < wait_until_sent:
        time.sleep(0.01)
    assert sorted(sent.arguments[0] for sent in slow.sent) == list(range(100, 100 + MOST_RECORDINGS))
    while node.keys._recording:
        time.sleep(0.01)
    node.keys.record(views.licenses[103], pending(103))  # there is room again


def test_who_was_recorded_meanwhile_is_not_recorded_again(node: FakeNode, views: FakeViews) -> None:
    """The request was looked at before; the license is looked at again when its turn comes."""
    before = views.licenses[LICENSE]
    views.licenses[LICENSE] = replace(before, released_at=5)
    node.keys.record(before, pending(LICENSE))
    assert node.sender.sent == []
    assert node.state.releases() == []


def test_only_the_assets_owner_deposits(node: FakeNode) -> None:
    """A stranger, or anybody for an asset that does not exist."""
    with pytest.raises(NotLicensed):
        deposit(node, signer=STRANGER)
    with pytest.raises(NodeRefused) as found:
        node.keys.deposit(99, sealed_key(asset=99), Asker(OWNER.address, 1))
    assert found.value.data["status"] == 404


def test_a_key_sealed_for_something_else_is_refused_at_once(node: FakeNode) -> None:
    """Another operator's key, another asset, another recipient, or bytes that are no sealed key."""
    asker = Asker(OWNER.address, 1)
    for body in (
        sealed_key(to=PEOPLE[1].sealing),
        sealed_key(asset=8),
        sealed_key(recipient=PEOPLE[1].address),
        json.dumps({"sealed": "0x" + "00" * 80}).encode(),
    ):
        with pytest.raises(DecryptionFailed):
            node.keys.deposit(ASSET, body, asker)
    for body in (b"", b"[]", b'{"sealed": 3}', b'{"sealed": "0xzz"}', b"{}"):
        with pytest.raises((BadParameters, MalformedHex)):
            node.keys.deposit(ASSET, body, asker)
    assert node.state.key(ASSET) is None


def test_a_replayed_deposit_does_not_bring_an_old_key_back(node: FakeNode) -> None:
    """The owner's newest request counts."""
    deposit(node, at=200)
    with pytest.raises(NodeRefused):
        deposit(node, at=150)


@pytest.mark.parametrize(
    "change",
    [{"revoked_at": 5}, {"end": 0}, {"start": 1 << 60}, {"asset_id": 8}],
)
def test_without_a_license_in_force_there_is_no_key(node: FakeNode, views: FakeViews, change: dict) -> None:
    """Revoked, ended, not begun, for another asset."""
    deposit(node)
    views.licenses[LICENSE] = replace(views.licenses[LICENSE], **change)
    with pytest.raises(NotLicensed):
        node.keys.release(ASSET, ask())
    assert node.sender.sent == []


def test_a_license_must_be_in_force_at_the_final_block_too(node: FakeNode, views: FakeViews) -> None:
    """Bought in a block that is not final: wait. Not in force there: no."""
    deposit(node)
    newest = views.licenses[LICENSE]
    final = None

    def license_at(_license_id: int, block="latest") -> LicenseRecord:
        if block == "latest":
            return newest
        if final is None:
            raise TransactionReverted("no", error_name="LicenseUnknown", arguments={})
        return final

    views.license = license_at  # type: ignore[method-assign]
    with pytest.raises(KeyUnavailable) as found:
        node.keys.release(ASSET, ask())
    assert found.value.data["retry_after"] > 0
    final = replace(newest, revoked_at=9)
    with pytest.raises(NotLicensed):
        node.keys.release(ASSET, ask())
    final = replace(newest, licensee=STRANGER.address)
    with pytest.raises(KeyUnavailable):
        node.keys.release(ASSET, ask())
    final = newest
    node.keys.release(ASSET, ask())


def test_only_the_licensees_signature_counts(node: FakeNode) -> None:
    """A stranger's, for another holder, for another recipient key, for another deadline, too late."""
    deposit(node)
    for asked in (
        ask(STRANGER),
        ask(holder=PEOPLE[1].address),
        ask(recipientKey="0x" + "11" * 32),
        {**ask(), "deadline": 2_000_000_000_001},
        ask(signature="0x" + "00" * 65),
        ask(deadline=1000),
    ):
        with pytest.raises(InvalidSignature):
            node.keys.release(ASSET, asked)
    assert node.sender.sent == []


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        {},
        {**ask(), "licenseId": -1},
        {**ask(), "licenseId": "x"},
        {**ask(), "licenseId": True},
        {**ask(), "deadline": 1 << 256},
        {**ask(), "recipientKey": "0x12"},
        {**ask(), "recipientKey": 5},
        {**ask(), "signature": "0x12"},
        {**ask(), "signature": "0x" + "00" * 5000},
    ],
)
def test_malformed_requests_are_named(node: FakeNode, asked: object) -> None:
    """Whatever a stranger sends is an error of the package."""
    deposit(node)
    with pytest.raises((BadParameters, MalformedHex)):
        node.keys.release(ASSET, asked)


def test_without_a_deposit_there_is_nothing_to_release(node: FakeNode) -> None:
    """404, not a guess at a key."""
    with pytest.raises(KeyUnavailable) as found:
        node.keys.release(ASSET, ask())
    assert found.value.data["status"] == 404


def test_an_unknown_license_is_no_license(node: FakeNode) -> None:
    """A number that was never sold."""
    deposit(node)
    with pytest.raises(NotLicensed):
        node.keys.release(ASSET, {**ask(), "licenseId": 99})


def test_the_sealing_keys_file_opens_with_its_password_only(tmp_path: Path) -> None:
    """And is no other kind of key file."""
    from qanat import bls

    save_sealing_key(tmp_path / "s.json", RECIPIENT, "word", cost=1 << 10)
    assert load_sealing_key(tmp_path / "s.json", "word").public == RECIPIENT.public
    with pytest.raises(WrongKeyFile):
        load_sealing_key(tmp_path / "s.json", "other")
    bls.save_key(tmp_path / "b.json", HOLDER.key, "word", cost=1 << 10)
    with pytest.raises(WrongKeyFile):
        load_sealing_key(tmp_path / "b.json", "word")
