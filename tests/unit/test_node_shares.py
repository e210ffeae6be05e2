"""Shares at a node: acknowledged only if everything fits, kept, and used for who is licensed and nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_utils import keccak, to_bytes

from qanat import bls
from qanat.chain.signer import KeySigner
from qanat.chain.views import ForcedRelease, KeyRecord, LicenseRecord
from qanat.errors import (
    BadParameters,
    DecryptionFailed,
    FormatError,
    InvalidProof,
    InvalidSignature,
    KeyUnavailable,
    MalformedHex,
    NodeRefused,
    NotLicensed,
    QanatError,
    TransactionReverted,
)
from qanat.keys.context import KeyContext, request_hash
from qanat.keys.release import LicenseeKey, blinded_base, is_right, open_key
from qanat.keys.sealed_share import SEALED_SHARE_BYTES, seal_share
from qanat.keys.shares import Dealing, deal, deal_polynomial, digest_of
from qanat.node import shareholder
from qanat.node.alarms import Alarms
from qanat.node.forced import ForcedReleases
from qanat.node.keyholder import key_request
from qanat.node.requests import Asker
from qanat.node.state import MOST_DEALINGS
from tests.unit.node_doubles import CHAIN_ID, CONTRACTS, ROSTER, SHARD, ZERO, FakeNode, FakeViews, make_people

PEOPLE = make_people(3)
OWNER = KeySigner.from_key(keccak(text="owner"))
LICENSEE = KeySigner.from_key(keccak(text="licensee"))
STRANGER = KeySigner.from_key(keccak(text="stranger"))
DATA_KEY = keccak(text="data key")
ASSET, EPOCH, LICENSE = 7, 2, 3
P = LicenseeKey(987654321)
RECORD = KeyRecord(SHARD, ROSTER, 3, 0, 0, 3, 40, 50, 0, 20, 0, bytes(32))
CONTEXT = KeyContext(
    CHAIN_ID,
    to_bytes(hexstr=CONTRACTS["Keys"]),
    ASSET,
    EPOCH,
    tuple(to_bytes(hexstr=person.address) for person in PEOPLE),
)


@pytest.fixture(scope="module")
def dealing() -> Dealing:
    return deal(CONTEXT, 2, DATA_KEY)


@pytest.fixture
def views() -> FakeViews:
    found = FakeViews(PEOPLE)
    found.owners[ASSET] = OWNER.address
    found.drawn[ASSET, EPOCH] = (RECORD, tuple(person.address for person in PEOPLE))
    now = found.chain.now
    found.licenses[LICENSE] = LicenseRecord(
        ASSET, 1, LICENSEE.address, 1, now - 100, now + 1000, 0, 0, 0, 0, ZERO, 5, 0
    )
    found.chain.answers["keyRequestDigest"] = bytes(32)
    return found


@pytest.fixture
def node(views: FakeViews, tmp_path: Path) -> Iterator[FakeNode]:
    made = FakeNode(views, PEOPLE[0], tmp_path / "n")
    yield made
    made.stop()


def body(dealing: Dealing, place: int = 0, /, **changes: Any) -> bytes:
    """What the owner sends to the holder in a place."""
    digest = digest_of(CONTEXT, dealing.commitments)
    person = PEOPLE[place]
    sealed = seal_share(dealing.shares[place], digest, place, to_bytes(hexstr=person.address), person.sealing.public)
    made = {"dealing": dealing.commitments.to_bytes(), "proof": dealing.proof, "sealed": sealed, **changes}
    return json.dumps({name: "0x" + value.hex() for name, value in made.items()}).encode()


def take(node: FakeNode, sent: bytes, signer: KeySigner = OWNER) -> bytes:
    return node.shares.accept(ASSET, EPOCH, sent, Asker(signer.address, 100))


def put_in_force(views: FakeViews, dealing: Dealing, *, block: int = 60) -> None:
    record, holders = views.drawn[ASSET, EPOCH]
    views.drawn[ASSET, EPOCH] = (
        replace(record, dealt_block=block, threshold=2, root=dealing.commitments.root),
        holders,
    )


def ask(signer: KeySigner = LICENSEE, **changes: Any) -> dict[str, Any]:
    """A licensee's signed request; ``changes`` to what is signed, ``false_…`` to what is sent."""
    said = {
        "chain": CHAIN_ID,
        "licenses": CONTRACTS["Licenses"],
        "holder": PEOPLE[0].address,
        "license": LICENSE,
        "deadline": 2_000_000_000_000,
        "key": P,
        "context": CONTEXT,
        "licensee": LICENSEE.address,
        **changes,
    }
    context = said["context"]
    signed = key_request(
        said["chain"],
        said["licenses"],
        said["license"],
        said["holder"],
        request_hash(context.identity, said["key"].point),
        said["deadline"],
    )
    possession = said["key"].prove(context.chain_id, context.contract, to_bytes(hexstr=said["licensee"]))
    made = {
        "licenseId": said["license"],
        "point": "0x" + said["key"].point.hex(),
        "possession": "0x" + possession.hex(),
        "deadline": said["deadline"],
        "signature": "0x" + signer.sign_typed_data(*signed).hex(),
    }
    return {**made, **{name[6:]: value for name, value in changes.items() if name.startswith("false_")}}


@pytest.fixture
def holding(node: FakeNode, views: FakeViews, dealing: Dealing) -> FakeNode:
    """A node that holds a share of a key in force."""
    take(node, body(dealing))
    put_in_force(views, dealing)
    return node


# ---- dealings


def test_a_share_that_fits_is_acknowledged_by_the_rosters_key(node: FakeNode, dealing: Dealing) -> None:
    """The signature is the chain's to check; the same again gives the same."""
    signature = take(node, body(dealing))
    assert bls.verify(PEOPLE[0].key.public_key, digest_of(CONTEXT, dealing.commitments), signature)
    assert take(node, body(dealing)) == signature


def test_a_dealing_sent_again_is_acknowledged_from_what_is_kept(
    node: FakeNode, views: FakeViews, dealing: Dealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a restart, and whatever comes with it now: what is kept stays, and nothing is checked anew."""
    signature = take(node, body(dealing))
    kept = node.state.dealings()
    put_in_force(views, dealing)
    node.restart()
    monkeypatch.setattr(shareholder, "accept_share", lambda *_, **__: pytest.fail("checked anew"))
    assert take(node, body(dealing)) == signature
    assert take(node, body(dealing, sealed=bytes(SEALED_SHARE_BYTES))) == signature
    assert node.state.dealings() == kept
    with pytest.raises(NotLicensed):
        take(node, body(dealing), STRANGER)
    record, holders = views.drawn[ASSET, EPOCH]
    views.drawn[ASSET, EPOCH] = (record, (holders[0], holders[2], holders[1]))  # others since: another dealing
    with pytest.raises(pytest.fail.Exception, match="checked anew"):
        take(node, body(dealing))


def test_nothing_of_the_share_is_on_disk_or_in_what_is_shown(
    holding: FakeNode, dealing: Dealing, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stays sealed: neither its bytes nor its number are in the folder, in repr, or in what was logged."""
    holding.shares.release(ASSET, EPOCH, ask())
    share = dealing.shares[0]
    shown = capsys.readouterr()
    everything = b"".join(path.read_bytes() for path in sorted(holding.folder.rglob("*")) if path.is_file())
    everything += (shown.out + shown.err + repr(holding.state.dealings())).encode()
    for form in (share.to_bytes(32, "big"), share.to_bytes(32, "little"), b"%x" % share, b"%d" % share):
        assert form not in everything


def test_what_does_not_fit_is_not_acknowledged_and_not_kept(node: FakeNode, dealing: Dealing) -> None:
    """Another's share, another dealing's seal, a false proof, a broken commitment, bytes that are nothing."""
    other = deal(CONTEXT, 2, DATA_KEY)
    spoilt = bytearray(dealing.commitments.to_bytes())
    spoilt[-1] ^= 1
    digest = digest_of(CONTEXT, dealing.commitments)
    false_share = seal_share(5, digest, 0, to_bytes(hexstr=PEOPLE[0].address), PEOPLE[0].sealing.public)
    for sent, error in (
        (body(dealing, 1), DecryptionFailed),
        (body(dealing, sealed=bytes.fromhex(json.loads(body(other))["sealed"][2:])), DecryptionFailed),
        (body(dealing, sealed=false_share), InvalidProof),
        (body(dealing, proof=other.proof), InvalidProof),
        (body(dealing, dealing=bytes(spoilt)), QanatError),
        (body(dealing, dealing=b"nothing"), FormatError),
        (body(dealing, proof=b"short"), MalformedHex),
        (b"[]", BadParameters),
    ):
        with pytest.raises(error):
            take(node, sent)
    assert node.state.dealings() == {}


def test_only_the_owner_deals_and_only_to_who_was_drawn(node: FakeNode, views: FakeViews, dealing: Dealing) -> None:
    """A stranger; an epoch that nobody asked for, or that is not drawn; holders without this one; another in force."""
    with pytest.raises(NotLicensed):
        take(node, body(dealing), STRANGER)
    with pytest.raises(NodeRefused) as found:
        node.shares.accept(ASSET, EPOCH + 1, body(dealing), Asker(OWNER.address, 100))
    assert found.value.data["status"] == 404
    record, holders = views.drawn[ASSET, EPOCH]
    for drawn, status in (((), 425), (holders[1:], 403)):
        views.drawn[ASSET, EPOCH] = (record, drawn)
        with pytest.raises(NodeRefused) as found:
            take(node, body(dealing))
        assert found.value.data["status"] == status
    views.drawn[ASSET, EPOCH] = (replace(record, dealt_block=60, root=b"\1" * 32), holders)
    with pytest.raises(NodeRefused) as found:
        take(node, body(dealing))
    assert found.value.data["status"] == 409
    assert node.state.dealings() == {}


def test_no_acknowledged_dealing_is_forgotten_before_the_chain_decides(
    node: FakeNode, views: FakeViews, dealing: Dealing
) -> None:
    """So there is room for some only; the ones that lost go when the winner is final."""
    take(node, body(dealing))
    for _ in range(MOST_DEALINGS - 1):
        take(node, body(deal(CONTEXT, 2, DATA_KEY)))
    with pytest.raises(NodeRefused):
        take(node, body(deal(CONTEXT, 2, DATA_KEY)))
    take(node, body(dealing))  # the same again takes no room
    node.shares.forget_dead_dealings(views.chain.final)
    assert len(node.state.dealings()) == MOST_DEALINGS
    put_in_force(views, dealing)
    node.shares.forget_dead_dealings(views.chain.final)
    assert [root for _, _, root in node.state.dealings()] == [dealing.commitments.root]


def test_a_dealing_that_a_newer_key_overtook_is_forgotten(node: FakeNode, views: FakeViews, dealing: Dealing) -> None:
    """It can't come into force any more."""
    take(node, body(dealing))
    views.drawn[ASSET, EPOCH + 1] = (replace(RECORD, dealt_block=70, root=b"\2" * 32), ())
    node.shares.forget_dead_dealings(views.chain.final)
    assert node.state.dealings() == {}


def test_a_dealing_whose_roster_was_replaced_is_forgotten(node: FakeNode, views: FakeViews, dealing: Dealing) -> None:
    """The contract refuses it for good; else strangers' keys that are never dealt would stay, and be asked about."""
    take(node, body(dealing))
    views.active = ROSTER + 1
    node.shares.forget_dead_dealings(views.chain.final)
    assert node.state.dealings() == {}
    take(node, body(dealing))
    put_in_force(views, dealing)
    node.shares.forget_dead_dealings(views.chain.final)
    assert len(node.state.dealings()) == 1


def test_a_dealing_is_not_replaced_by_another_with_its_root(node: FakeNode, views: FakeViews, dealing: Dealing) -> None:
    """The same shares under another threshold, or around another key: licensees would not get what is on chain."""
    coefficients = [123, 456]
    first = deal_polynomial(CONTEXT, coefficients, DATA_KEY)
    second = deal_polynomial(CONTEXT, coefficients, bytes(32))
    assert first.commitments.root == second.commitments.root
    take(node, body(first))
    put_in_force(views, first)
    with pytest.raises(NodeRefused) as found:
        take(node, body(second))
    assert found.value.data["status"] == 409
    assert node.shares.dealing(ASSET, EPOCH) == first.commitments.to_bytes()
    take(node, body(first))


# ---- releases


def test_a_licensee_gets_an_answer_that_opens_and_a_receipt_that_binds(
    holding: FakeNode, views: FakeViews, dealing: Dealing
) -> None:
    """Checked by anyone's pairing; the receipt by the roster's key; nothing is sent on chain."""
    receipt, signature = holding.shares.release(ASSET, EPOCH, ask())
    assert is_right(blinded_base(CONTEXT, P.point), dealing.commitments.points[0], receipt.answer)
    assert (receipt.license_id, receipt.key_epoch, receipt.place) == (LICENSE, EPOCH, 0)
    assert receipt.block_number == views.chain.head
    assert bls.verify(PEOPLE[0].key.public_key, receipt.digest(CHAIN_ID, CONTEXT.contract), signature)
    assert holding.shares.release(ASSET, EPOCH, ask())[0] == receipt
    from qanat.keys.release import release

    second = release(CONTEXT, dealing.shares[1], P.point)
    assert open_key(CONTEXT, dealing.commitments, P, {0: receipt.answer, 1: second}) == DATA_KEY
    assert holding.sender.sent == []


def test_a_share_survives_a_restart_and_a_copy_of_the_folder(
    holding: FakeNode, views: FakeViews, tmp_path: Path
) -> None:
    """The same answer, from disk."""
    import shutil

    before = holding.shares.release(ASSET, EPOCH, ask())
    holding.restart()
    assert holding.shares.release(ASSET, EPOCH, ask()) == before
    holding.stop()
    shutil.copytree(holding.folder, tmp_path / "copy")
    restored = FakeNode(views, PEOPLE[0], tmp_path / "copy")
    try:
        assert restored.shares.release(ASSET, EPOCH, ask()) == before
    finally:
        restored.stop()
    holding.start()


@pytest.mark.parametrize(
    "change",
    [{"revoked_at": 5}, {"end": 10}, {"start": 1 << 40}, {"asset_id": 8}, {"licensee": STRANGER.address}],
)
def test_who_is_not_licensed_gets_nothing(holding: FakeNode, views: FakeViews, change: dict[str, Any]) -> None:
    """Revoked, over, not begun, another asset's, somebody else's."""
    holding.shares.release(ASSET, EPOCH, ask())
    views.licenses[LICENSE] = replace(views.licenses[LICENSE], **change)
    with pytest.raises((NotLicensed, InvalidSignature)):
        holding.shares.release(ASSET, EPOCH, ask())


def test_a_license_counts_when_the_final_block_has_it_too(holding: FakeNode, views: FakeViews) -> None:
    """Revoked in the newest block, or unknown in the final one."""
    newest, final = views.licenses[LICENSE], None

    def license_at(_license_id: int, block: Any = "latest") -> LicenseRecord:
        if block == "latest":
            return newest
        if final is None:
            raise TransactionReverted("no", error_name="LicenseUnknown", arguments={})
        return final

    views.license = license_at  # type: ignore[method-assign]
    with pytest.raises(KeyUnavailable):
        holding.shares.release(ASSET, EPOCH, ask())
    final = newest
    holding.shares.release(ASSET, EPOCH, ask())
    newest = replace(newest, revoked_at=9)
    with pytest.raises(NotLicensed):
        holding.shares.release(ASSET, EPOCH, ask())


def test_nothing_is_signed_under_a_dealing_that_is_not_final(
    node: FakeNode, views: FakeViews, dealing: Dealing
) -> None:
    """Were another one put in its place, the receipt would be evidence of a wrong answer, and cost stake."""
    other = deal(CONTEXT, 2, DATA_KEY)
    for sent in (dealing, other):
        take(node, body(sent))
    put_in_force(views, dealing, block=views.chain.final + 1)
    with pytest.raises(KeyUnavailable) as found:
        node.shares.release(ASSET, EPOCH, ask())
    assert found.value.data["retry_after"]
    put_in_force(views, other, block=views.chain.final)  # a reorganisation
    receipt, _ = node.shares.release(ASSET, EPOCH, ask())
    assert is_right(blinded_base(CONTEXT, P.point), other.commitments.points[0], receipt.answer)


def test_a_key_read_on_a_branch_that_was_dropped_is_not_taken_for_final(
    node: FakeNode, views: FakeViews, dealing: Dealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finality passes its block while it is asked about, on a branch with another dealing."""
    other = deal(CONTEXT, 2, DATA_KEY)
    for sent in (dealing, other):
        take(node, body(sent))
    put_in_force(views, dealing, block=views.chain.final + 1)
    plain = FakeViews.key

    def key(*asked: Any, **more: Any) -> KeyRecord:
        record = plain(*asked, **more)
        put_in_force(views, other, block=views.chain.final + 1)
        views.chain.final += 1
        return record

    monkeypatch.setattr(FakeViews, "key", key)
    with pytest.raises(KeyUnavailable):
        node.shares.release(ASSET, EPOCH, ask())
    monkeypatch.setattr(FakeViews, "key", plain)
    receipt, _ = node.shares.release(ASSET, EPOCH, ask())
    assert is_right(blinded_base(CONTEXT, P.point), other.commitments.points[0], receipt.answer)


def test_a_request_is_good_for_one_holder_key_and_time(holding: FakeNode) -> None:
    """Signed by another, for another chain, contract, holder, license, key epoch, asset or P, or too late."""
    elsewhere = replace(CONTEXT, chain_id=1)
    for asked in (
        ask(STRANGER),
        ask(chain=1),
        ask(licenses=CONTRACTS["Assets"]),
        ask(holder=PEOPLE[1].address),
        ask(false_licenseId=LICENSE, license=LICENSE + 1),
        ask(context=replace(CONTEXT, key_epoch=1)),
        ask(context=replace(CONTEXT, asset_id=8)),
        ask(context=elsewhere),
        ask(false_point="0x" + LicenseeKey(5).point.hex()),
        ask(deadline=1000),
    ):
        with pytest.raises(InvalidSignature):
            holding.shares.release(ASSET, EPOCH, asked)


def test_a_p_without_its_proof_gets_nothing(holding: FakeNode) -> None:
    """Another's proof, and points that are none."""
    with pytest.raises(InvalidProof):
        holding.shares.release(ASSET, EPOCH, ask(licensee=STRANGER.address))
    with pytest.raises(InvalidProof):
        holding.shares.release(ASSET, EPOCH, ask(false_possession="0x" + "00" * 64))


def test_the_first_release_is_recorded_by_the_one_who_is_asked_to(holding: FakeNode, views: FakeViews) -> None:
    """Where a part of the price is earned by it nobody answers before it stands on chain."""
    views.licenses[LICENSE] = replace(views.licenses[LICENSE], earned_at_release_bps=10_000)
    with pytest.raises(KeyUnavailable) as found:
        holding.shares.release(ASSET, EPOCH, ask())
    assert found.value.data["status"] == 409
    assert holding.sender.sent == []
    holding.sender.fails = TransactionReverted("no", error_name="LicenseNotActive", arguments={})
    with pytest.raises(TransactionReverted):
        holding.shares.release(ASSET, EPOCH, {**ask(), "record": True})
    holding.sender.fails = None
    holding.shares.release(ASSET, EPOCH, {**ask(), "record": True})
    (sent,) = holding.sender.sent
    assert sent.name == "recordRelease"
    assert sent.arguments[:3] == (LICENSE, PEOPLE[0].address, request_hash(CONTEXT.identity, P.point))


def test_without_a_dealing_in_force_there_is_nothing_to_release(
    node: FakeNode, views: FakeViews, dealing: Dealing
) -> None:
    """No share, a dealing that is not on chain, another one that is."""
    for _ in range(2):
        with pytest.raises(KeyUnavailable) as found:
            node.shares.release(ASSET, EPOCH, ask())
        assert found.value.data["status"] == 404
        take(node, body(dealing))
    put_in_force(views, deal(CONTEXT, 2, DATA_KEY))
    with pytest.raises(KeyUnavailable):
        node.shares.release(ASSET, EPOCH, ask())


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        {},
        {**ask(), "licenseId": -1},
        {**ask(), "deadline": "x"},
        {**ask(), "point": "0x12"},
        {**ask(), "possession": 5},
        {**ask(), "signature": "0x12"},
        {**ask(), "record": 1},
    ],
)
def test_malformed_requests_are_named(holding: FakeNode, asked: object) -> None:
    """Whatever a stranger sends is an error of the package."""
    with pytest.raises((BadParameters, MalformedHex)):
        holding.shares.release(ASSET, EPOCH, asked)


# ---- forced releases


class ForcedWorld:
    """A Keys contract that tells what was forced, and a loop over it."""

    identity = b"\x07" * 32

    def __init__(self, node: FakeNode, views: FakeViews, *, deadline: int, block: int = 98) -> None:
        self.node, self.views, self.block = node, views, block
        views.chain.head, views.chain.final = 100, 98
        views.forced[self.identity] = ForcedRelease(LICENSEE.address, 1, deadline, deadline + 10, 0, 0, False, b"")
        said = {"id": self.identity, "assetId": ASSET, "epoch": EPOCH, "licenseId": LICENSE, "point": P.point}
        said["deadline"] = deadline
        other = {**said, "id": b"\x08" * 32, "assetId": ASSET + 1}
        keys: Any = SimpleNamespace(
            address=CONTRACTS["Keys"],
            functions=views.keys().functions,
            events=SimpleNamespace(
                ReleaseForced=lambda: SimpleNamespace(
                    get_logs=lambda **_: [{"args": item, "blockNumber": self.block} for item in (said, other)]
                )
            ),
        )
        views.keys = lambda _address="": keys  # type: ignore[method-assign]
        self.alarms = Alarms(node.metrics)
        self.loop = self.start()

    def start(self) -> ForcedReleases:
        node, views = self.node, self.views
        parts: Any = (node.config, views, node.state, node.follower, node.shares, OWNER, node.metrics, self.alarms)
        loop = ForcedReleases(*parts)
        loop._sender = node.sender  # type: ignore[assignment]
        return loop

    def round(self, *, head: int | None = None) -> list[str]:
        """Look once, at another block; return what was sent."""
        if head is not None:
            self.views.chain.head, self.views.chain.final = head, head - 2
        self.node.follower.refresh()
        before = len(self.node.sender.sent)
        self.loop.round()
        return [sent.name for sent in self.node.sender.sent[before:]]

    def change(self, **changes: Any) -> None:
        self.views.forced[self.identity] = replace(self.views.forced[self.identity], **changes)


def test_a_forced_release_is_answered_until_that_is_final(
    holding: FakeNode, views: FakeViews, dealing: Dealing
) -> None:
    """With a witness that holds; again where a reorganisation dropped it; nobody else's; settled, then forgotten."""
    world = ForcedWorld(holding, views, deadline=106)
    assert world.round() == ["answer"]
    asset, epoch, license_id, point_hash, place, witness = holding.sender.sent[-1].arguments
    assert (asset, epoch, license_id, point_hash, place) == (ASSET, EPOCH, LICENSE, keccak(P.point), 0)
    blinded, answer, commitment = witness[:96], witness[96:192], witness[192:384]
    assert blinded == blinded_base(CONTEXT, P.point)
    assert commitment == dealing.commitments.points[0]
    assert is_right(blinded, commitment, answer)
    assert witness[384:] == b"".join(dealing.commitments.path(0))

    world.change(answered=1)
    assert world.round(head=101) == []
    world.change(answered=0)  # a reorganisation
    assert world.round(head=102) == ["answer"]
    world.change(answered=0b101)
    assert world.round(head=106) == []
    assert world.round(head=107) == ["settle"]
    world.change(settled=True)
    assert world.round(head=110) == []
    assert world.loop._demands == {}


def test_a_restart_finds_what_is_still_open(holding: FakeNode, views: FakeViews) -> None:
    """Nothing of it is on disk: the chain tells it again."""
    world = ForcedWorld(holding, views, deadline=106)
    world.round()
    world.loop = world.start()
    assert world.round(head=101) == ["answer"]


def test_what_can_not_be_answered_is_told(holding: FakeNode, views: FakeViews) -> None:
    """Late, then missed; a refusal is tried again."""
    world = ForcedWorld(holding, views, deadline=106)
    holding.sender.fails = TransactionReverted("no", error_name="Reentrancy", arguments={})
    assert world.round(head=103) == []
    assert 'qanat_alarms_total{kind="answer_late"} 1' in holding.metrics.text()
    holding.sender.fails = None
    world.loop._again_at.clear()
    assert world.round(head=104) == ["answer"]
    assert world.round(head=107) == []
    assert world.round(head=109) == []
    assert 'qanat_alarms_total{kind="missed"} 1' in holding.metrics.text()


def test_a_demand_is_answered_once_it_is_final(holding: FakeNode, views: FakeViews) -> None:
    """One that could still be taken back waits for a third of the window, and no longer: silence is slashed."""
    world = ForcedWorld(holding, views, deadline=108, block=100)
    assert world.round() == []  # final is 98
    assert world.round(head=101) == []
    assert world.round(head=102) == ["answer"]  # final is 100

    never = ForcedWorld(holding, views, deadline=108, block=100)
    views.chain.final = 50
    for head, sent in ((100, []), (102, []), (103, ["answer"])):  # a window has 8 blocks
        never.views.chain.head = head
        holding.follower.refresh()
        before = len(holding.sender.sent)
        never.loop.round()
        assert [item.name for item in holding.sender.sent[before:]] == sent, head


def test_an_endpoint_that_lags_behind_forgets_no_demand(holding: FakeNode, views: FakeViews) -> None:
    """That a final demand is unknown for a moment doesn't end it; one that isn't final was dropped."""
    world = ForcedWorld(holding, views, deadline=106)
    release = views.forced.pop(world.identity)
    assert world.round() == []
    assert set(world.loop._demands) == {world.identity}
    views.forced[world.identity] = release
    assert world.round(head=101) == ["answer"]

    world.block = 101
    world.loop = world.start()
    del views.forced[world.identity]
    assert world.round(head=102) == []
    assert world.loop._demands == {}


def test_demands_do_not_wait_for_each_other(holding: FakeNode, views: FakeViews) -> None:
    """Of many, the one whose answer no block takes holds up none; those with the earliest deadlines go first."""
    world = ForcedWorld(holding, views, deadline=106)
    release = views.forced[world.identity]
    said = {"assetId": ASSET, "epoch": EPOCH, "licenseId": LICENSE, "point": P.point}
    names = {number: bytes([number]) * 32 for number in range(20, 60)}
    deadlines = {number: 106 - number % 3 for number in names}
    keys: Any = views.keys()
    keys.events = SimpleNamespace(
        ReleaseForced=lambda: SimpleNamespace(
            get_logs=lambda **_: [
                {"args": {**said, "id": names[number], "deadline": deadlines[number]}, "blockNumber": 98}
                for number in names
            ]
        )
    )
    for number, identity in names.items():
        views.forced[identity] = replace(release, deadline=deadlines[number])
    started: list[int] = []
    stuck, go_on, first = threading.Event(), threading.Event(), threading.Lock()

    def send(function: Any, value: int = 0, *, steps: int = 0) -> dict[str, Any]:
        with first:
            started.append(len(started))
            is_first = len(started) == 1
        if is_first:
            stuck.set()
            assert go_on.wait(30)
        return {}

    attended: list[tuple[int, bytes]] = []
    attend = world.loop._attend

    def noted(demand: Any) -> None:
        attended.append((demand.deadline, demand.identity))
        attend(demand)

    world.loop._attend = noted  # type: ignore[method-assign]
    world.loop._sender = SimpleNamespace(send=send)  # type: ignore[assignment]
    world.loop.config = replace(world.loop.config, poll_seconds=0.5)
    world.round()
    assert stuck.wait(30)
    until(lambda: len(started) == len(names))  # all the others were sent while it waits
    assert attended[0][0] == min(deadlines.values())
    # a block comes while it is on its way, and none after that: it is looked at again all the same
    ((identity, slow),) = ((key, future) for key, future in world.loop._going.items() if not future.done())
    views.chain.head = 101
    holding.follower.refresh()
    world.loop.round()
    go_on.set()
    wait([slow], 30)
    until(lambda: world.loop.round() or (world.loop._seen and not world.loop._going))
    assert sum(name == identity for _, name in attended) >= 2
    seen = len(attended)
    world.loop.round()
    assert len(attended) == seen  # nothing is on its way, and the block was seen: no call is made


def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so, half a minute at most."""
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_demands_of_a_key_that_was_not_here_are_looked_for(
    holding: FakeNode, views: FakeViews, dealing: Dealing
) -> None:
    """A dealing that comes back late: what was demanded before, in blocks that were looked at, is heard of."""
    world = ForcedWorld(holding, views, deadline=106)
    asked: list[int] = []
    keys: Any = views.keys()
    keys.events = SimpleNamespace(
        ReleaseForced=lambda: SimpleNamespace(get_logs=lambda **given: asked.append(given["from_block"]) or [])
    )
    world.round()
    world.round(head=101)
    world.loop._known[CONTRACTS["Keys"]] = set()
    world.round(head=102)
    assert asked == [100 - 8 + 1, 99, 102 - 8 + 1]
