"""Puts are the payer's: permits, batches of slices, limits, the operator's policy; over real sockets."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account.messages import encode_typed_data
from eth_utils import keccak, to_checksum_address

from qanat.chain.sender import Sender
from qanat.errors import BadParameters, InvalidSignature, NodeRefused
from qanat.node.api import byte_range
from qanat.node.budget import Meter, asker_of
from qanat.node.permits import SIGNATURE_GAS, Permits, contract_accepts, digest_of, put_request
from qanat.node.policy import load_policy, shown
from qanat.node.requests import authorization
from qanat.objects import encode
from tests.unit.local_chain import LocalChain, anvil, deploy, key_signer
from tests.unit.node_doubles import (
    CHAIN_ID,
    CONTRACTS,
    PAYER,
    FakeNode,
    FakeViews,
    Served,
    make_people,
    permit,
    serve_node,
)

OBJECT = b"\x45" * 32
ID = "0x" + OBJECT.hex()
PEOPLE = make_people(3)
ENCODED = encode(bytes(range(256)) * 60, k=2, n=3, width=64)
OPERATOR = PEOPLE[0].address
GOOD = permit(OBJECT, ENCODED, OPERATOR)
MANIFEST = f"/objects/{ID}/manifest"


@pytest.fixture
def views() -> FakeViews:
    found = FakeViews(PEOPLE)
    found.open_object(OBJECT, ENCODED)
    return found


@pytest.fixture
def nodes(views: FakeViews, tmp_path: Path) -> Iterator[Any]:
    """Makes served nodes with settings; returns (node, client)."""
    made: list[tuple[FakeNode, Served, httpx.Client]] = []

    def make(**settings: Any) -> tuple[FakeNode, httpx.Client]:
        node = FakeNode(views, PEOPLE[0], tmp_path / str(len(made)), **settings)
        served = serve_node(node)
        client = httpx.Client(base_url=served.url, timeout=20, trust_env=False)
        made.append((node, served, client))
        return node, client

    yield make
    for node, served, client in made:
        client.close()
        served.stop()
        node.stop()


def put(http: httpx.Client, header: str | None, path: str = MANIFEST, body: bytes | None = None) -> httpx.Response:
    """Put with a permit; by default the manifest."""
    content = ENCODED.manifest.to_bytes() if body is None else body
    return http.put(path, content=content, headers={} if header is None else {"Qanat-Put": header})


def framed(indexes: list[int]) -> bytes:
    """Slices as a body of several."""
    return b"".join(index.to_bytes(8, "big") + ENCODED.slices[index] for index in indexes)


def test_only_the_payers_permit_opens(nodes: Any) -> None:
    """Missing, malformed, ended, of somebody else, or for another object, root, operator, chain or contract: 401."""
    node, http = nodes()
    other = b"\x46" * 32
    false = [
        None,
        "",
        "deadline=1",
        GOOD.replace("0x", ""),
        GOOD + "00" * 4000,
        f"deadline={1 << 64}, signature=0x{'11' * 65}",
        f"deadline={int(time.time()) + 60}, signature=0x{'11' * 65}",
        GOOD.replace("deadline=", "deadline=1"),
        permit(OBJECT, ENCODED, OPERATOR, seconds=-5),
        permit(OBJECT, ENCODED, OPERATOR, signer=PEOPLE[1].signer),
        permit(other, ENCODED, OPERATOR),
        permit(OBJECT, ENCODED, OPERATOR, root=bytes(32)),
        permit(OBJECT, ENCODED, PEOPLE[1].address),
        permit(OBJECT, ENCODED, OPERATOR, chain_id=CHAIN_ID + 1),
        permit(OBJECT, ENCODED, OPERATOR, objects=CONTRACTS["Audits"]),
    ]
    index = node.own(OBJECT, ENCODED)[0]
    for header in false:
        for path in (MANIFEST, f"/objects/{ID}/slices/{index}", f"/objects/{ID}/slices"):
            answer = put(http, header, path)
            assert answer.status_code == 401, (header, path)
            assert answer.json()["error"] == "InvalidSignature"
    assert node.state.manifest(OBJECT) is None
    assert put(http, GOOD).status_code == 204
    assert put(http, permit(OBJECT, ENCODED, OPERATOR, seconds=900)).status_code == 204  # another of the payer's


def test_a_refused_permit_is_told_before_the_body_is_read(nodes: Any) -> None:
    """A stranger's body is not waited for, nor does memory wait for it."""
    _, http = nodes(request_seconds=60.0)
    sent = 0

    def slowly() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(10_000):
            sent += 1 << 16
            yield bytes(1 << 16)

    answer = http.put(MANIFEST, content=slowly(), headers={"Qanat-Put": permit(OBJECT, ENCODED, PEOPLE[1].address)})
    assert answer.status_code == 401
    assert sent < 64 << 20


def test_a_permit_costs_chain_and_curve_once(nodes: Any, views: FakeViews, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its first use further puts ask neither; another permit does, and one that ended is not remembered."""
    node, http = nodes()
    recoveries, looks = 0, 0
    real_recover, real_object = Permits.check, views.object

    def recovering(*arguments: Any) -> None:  # what follows a look into the memory
        nonlocal recoveries
        recoveries += 1
        real_recover(*arguments)

    def looking(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return real_object(*arguments)

    monkeypatch.setattr(Permits, "check", recovering)
    assert put(http, GOOD).status_code == 204
    assert recoveries == 1
    monkeypatch.setattr(views, "object", looking)
    for index in node.own(OBJECT, ENCODED):
        assert put(http, GOOD, f"/objects/{ID}/slices/{index}", ENCODED.slices[index]).status_code == 204
    assert (recoveries, looks) == (1, 0)
    index = node.own(OBJECT, ENCODED)[0]
    assert put(http, "x", f"/objects/{ID}/slices/{index}", b"").status_code == 401
    assert (recoveries, looks) == (2, 0)  # the form alone was looked at
    short = permit(OBJECT, ENCODED, OPERATOR, seconds=2)
    assert put(http, short).status_code == 204
    time.sleep(2.2)
    assert put(http, short).status_code == 401


CAP = SIGNATURE_GAS
ACCOUNTS = """
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Takes what it was told of, in a way that its number says.
contract Account {
    uint256 immutable how;
    bytes32 immutable digest;
    bytes32 immutable signatureHash;

    constructor(uint256 how_, bytes32 digest_, bytes32 signatureHash_) {
        (how, digest, signatureHash) = (how_, digest_, signatureHash_);
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        bool good = hash == digest && keccak256(signature) == signatureHash;
        if (how == 1) revert("no");
        if (how == 2) { assembly { invalid() } }
        if (how == 3) { while (true) {} }
        if (how == 4) { assembly { mstore(0, not(0)) return(0, 32) } }
        if (how == 5) { assembly { return(0, 0) } }
        if (how == 6) { assembly { mstore(0, shl(224, 0x1626ba7e)) return(0, 31) } }
        if (how == 7) { assembly { mstore(0, shl(224, 0x1626ba7e)) revert(0, 32) } }
        if (how == 8) { assembly { mstore(0, or(shl(224, 0x1626ba7e), 1)) return(0, 32) } }
        if (how == 9 && good) { assembly { mstore(0, shl(224, 0x1626ba7e)) return(0, 500000) } }
        if (how >= 100_000) { uint256 end = gasleft() - how; while (gasleft() > end) {} }
        return good ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}
"""


@pytest.fixture(scope="module")
def local() -> Iterator[LocalChain]:
    with anvil() as chain:
        yield chain


@pytest.mark.parametrize(
    ("how", "length", "stands"),
    [
        (0, 65, True),
        (0, 200, True),
        (0, 2048, True),
        (1, 200, False),  # reverts
        (2, 200, False),  # an invalid opcode
        (3, 200, False),  # runs until its gas is used
        (4, 200, False),  # another value
        (5, 200, False),  # nothing
        (6, 200, False),  # part of a word
        (7, 200, False),  # the value, and reverts
        (8, 200, False),  # more in the word than the value
        (9, 200, True),  # much behind the value
        (CAP - 100_000, 2048, True),
        (CAP + 100_000, 65, False),
    ],
)
def test_an_owner_with_code_answers_for_itself(
    views: FakeViews, local: LocalChain, monkeypatch: pytest.MonkeyPatch, how: int, length: int, stands: bool
) -> None:
    """ERC-1271: its contract is asked with the EIP-712 digest and the signature, of any length, as they are."""
    real, signature, deadline = local.connect(), b"\xab" * length, int(time.time()) + 60
    header = f"deadline={deadline}, signature=0x{signature.hex()}"
    record = views.open_object(OBJECT, ENCODED, owner="0x" + "77" * 20)
    typed = put_request(
        views.chain.chain_id,
        CONTRACTS["Objects"],
        OBJECT,
        record.manifest_root,
        to_checksum_address(OPERATOR),
        deadline,
    )
    digest = digest_of(encode_typed_data(*typed))
    account = deploy(Sender(real, key_signer()), "Account", how, digest, keccak(signature), source=ACCOUNTS)
    record = replace(record, owner=account.address)
    chain: Any = views.chain
    monkeypatch.setattr(chain, "has_code", real.has_code)
    monkeypatch.setattr(chain, "rpc", real.rpc, raising=False)
    permits = Permits(chain, OPERATOR)
    if stands:
        permits.check(OBJECT, header, lambda _id: record)
        assert permits.is_known(OBJECT, header)
        other = f"deadline={deadline + 1}, signature=0x{signature.hex()}"
        with pytest.raises(InvalidSignature):  # another digest
            permits.check(OBJECT, other, lambda _id: record)
    else:
        with pytest.raises(InvalidSignature):
            permits.check(OBJECT, header, lambda _id: record)
        assert not permits.is_known(OBJECT, header)


def test_an_account_without_code_takes_nothing(local: LocalChain) -> None:
    """Nor does one whose chain doesn't answer: that is said as such."""
    assert not contract_accepts(local.connect(), "0x" + "77" * 20, bytes(32), bytes(65))


def test_a_signature_longer_than_any_account_can_be_asked_about_is_none(local: LocalChain) -> None:
    """The longest that can be is judged by the account; one byte more is a refusal, not a failure of the chain."""
    longest = (48_000 - 4 - 3 * 32) // 32 * 32
    for length, stands in ((longest, True), (longest + 32, False)):
        signature = bytes(length)
        sender = Sender(local.connect(), key_signer())
        account = deploy(sender, "Account", 0, bytes(32), keccak(signature), source=ACCOUNTS)
        assert contract_accepts(local.connect(), account.address, bytes(32), signature) == stands


def test_several_slices_in_one_request(nodes: Any) -> None:
    """They are all there, durable, and signed for; again it changes nothing."""
    node, http = nodes()
    put(http, GOOD)
    own = node.own(OBJECT, ENCODED)
    assert len(own) > 2
    path = f"/objects/{ID}/slices"
    for _ in range(2):
        assert put(http, GOOD, path, framed(own)).status_code == 204
        assert [node.store.get(OBJECT, index) for index in own] == [ENCODED.slices[index] for index in own]
    assert http.post(f"/objects/{ID}/signature").status_code == 200
    assert put(http, GOOD, path, b"").status_code == 204


def test_several_slices_that_are_malformed(nodes: Any) -> None:
    """Cut inside a slice, too many, others' rows, elements above the modulus."""
    node, http = nodes()
    put(http, GOOD)
    own = node.own(OBJECT, ENCODED)
    others = next(index for index in range(len(ENCODED.slices)) if index not in own)
    path = f"/objects/{ID}/slices"
    assert put(http, GOOD, path, framed(own)[:-1]).status_code == 400
    assert put(http, GOOD, path, framed([*own, own[0]])).status_code == 413
    assert put(http, GOOD, path, framed([others])).status_code == 409
    assert put(http, GOOD, path, own[0].to_bytes(8, "big") + b"\xff" * 2048).status_code == 422
    assert put(http, GOOD, f"/objects/0x{'46' * 32}/slices", framed(own)).status_code == 404
    assert not list(node.store.indexes(OBJECT)) or set(node.store.indexes(OBJECT)) <= set(own)


def test_several_slices_that_come_too_slowly(nodes: Any) -> None:
    """What is dripped is given up after the time for one group."""
    node, http = nodes(request_seconds=0.5)
    put(http, GOOD)

    def drip() -> Iterator[bytes]:
        for _ in range(12):
            time.sleep(0.2)
            yield bytes(4)

    started = time.monotonic()
    answer = http.put(f"/objects/{ID}/slices", content=drip(), headers={"Qanat-Put": GOOD})
    assert answer.status_code == 408
    assert time.monotonic() - started < 8
    assert not list(node.store.indexes(OBJECT))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=100-", (100, 2048)),
        ("bytes=-5", (2043, 2048)),
        ("bytes=-9999", (0, 2048)),
        ("bytes=2047-999999", (2047, 2048)),
        (None, None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=0x1-2", None),
        ("bytes=²-3", None),
        ("bytes=2048-", 416),
        ("bytes=9999-10000", 416),
        ("bytes=-0", 416),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | int | None) -> None:
    """As RFC 9110 says: what is malformed or several asks for the whole, what holds nothing is refused."""
    if expected == 416:
        with pytest.raises(NodeRefused) as caught:
            byte_range(header, 2048)
        assert caught.value.data["status"] == 416
    else:
        assert byte_range(header, 2048) == expected


def test_a_range_of_a_slice(nodes: Any) -> None:
    """206 with its place, 416 with the length; a range with a condition is the whole."""
    node, http = nodes()
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)
    index = node.own(OBJECT, ENCODED)[0]
    path = f"/objects/{ID}/slices/{index}"

    def get(**headers: str) -> httpx.Response:
        signed = authorization(PEOPLE[2].signer, CHAIN_ID, OPERATOR, "GET", path)
        return http.get(path, headers={"Authorization": signed, **headers})

    whole = get()
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    part = get(Range="bytes=32-63")
    assert (part.status_code, part.headers["content-range"]) == (206, "bytes 32-63/2048")
    assert part.content == ENCODED.slices[index][32:64]
    outside = get(Range="bytes=2048-")
    assert (outside.status_code, outside.headers["content-range"]) == (416, "bytes */2048")
    assert get(**{"Range": "bytes=0-1", "If-Range": '"x"'}).status_code == 200


def test_who_reads_too_much_waits(nodes: Any) -> None:
    """Bytes and requests each have a rate; 429 says when to come back, and then it works."""
    node, http = nodes(read_bytes_per_second=512.0)
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)
    index = node.own(OBJECT, ENCODED)[0]
    path = f"/objects/{ID}/slices/{index}"
    signed = {"Authorization": authorization(PEOPLE[2].signer, CHAIN_ID, OPERATOR, "GET", path)}
    answers = [http.get(path, headers=signed) for _ in range(3)]
    assert answers[0].status_code == 200  # a burst of four seconds is one slice
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert node.metrics.value("qanat_requests_limited_total") >= 1
    assert http.get("/health").status_code == 200
    _, slow = nodes(requests_per_second=2.0)
    assert [slow.get("/health").status_code for _ in range(4)] == [200, 200, 429, 429]


def test_known_permits_are_not_counted(nodes: Any) -> None:
    """Paid puts go through where strangers' requests are used up; unknown permits don't."""
    node, http = nodes(requests_per_second=1.0)
    assert put(http, GOOD).status_code == 204  # takes the burst, and a debt
    for index in node.own(OBJECT, ENCODED):
        assert put(http, GOOD, f"/objects/{ID}/slices/{index}", ENCODED.slices[index]).status_code == 204
    assert put(http, permit(OBJECT, ENCODED, OPERATOR, seconds=70)).status_code == 429
    assert http.get("/health").status_code == 429


def test_buckets() -> None:
    """A burst, then the rate; one asker's debt is not another's; forgotten askers don't pile up."""
    now = 0.0
    meter = Meter(10, clock=lambda: now)
    assert [meter.take("a", 20) for _ in range(3)] == [0, 0, pytest.approx(0.001)]
    assert meter.take("b", 100) == 0
    assert meter.take("b", 1) == pytest.approx(6)
    now = 6.1
    assert meter.take("b", 1) == 0
    assert meter.take("b", 1) > 0
    now = 1e6
    assert meter.take("b", 40) == 0
    assert meter.take("b", 1) > 0
    for number in range(20_000):
        meter.take(str(number), 1)
    assert len(meter._buckets) <= 16_384
    assert Meter(0).take("a", 1e12) == 0
    assert asker_of("192.0.2.7") == "192.0.2.7"
    assert asker_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert asker_of("2001:db8::1") == asker_of("2001:db8::ffff:1") != asker_of("2001:db8:0:1::1")


def test_proxies_are_believed_only_where_they_are_named(nodes: Any) -> None:
    """An X-Forwarded-For of anybody makes no new asker."""
    _, http = nodes(requests_per_second=2.0)
    answers = [http.get("/health", headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]


RULES = {"owners": [PAYER.address], "mostBytes": 20_000, "leastEpochs": 2, "mostEpochs": 5}


@pytest.mark.parametrize(
    ("rules", "changes", "said"),
    [
        (RULES, {}, None),
        ({}, {}, None),
        (RULES, {"owner": PEOPLE[0].address}, "not among"),
        ({"refusedOwners": [PAYER.address.lower()]}, {}, "does not store for its owner"),
        (RULES, {"size": 20_001}, "20000 bytes"),
        (RULES, {"epochs": 1}, "2 to 5 epochs"),
        (RULES, {"epochs": 6}, "2 to 5 epochs"),
    ],
)
def test_rules(views: FakeViews, rules: dict, changes: dict, said: str | None) -> None:
    """Each rule excludes what it says and nothing else."""
    policy = load_policy({"rules": rules})
    assert policy is not None
    record = replace(views.object(OBJECT), **changes)
    if said is None:
        policy.check(OBJECT, record)
    else:
        with pytest.raises(NodeRefused, match=said) as caught:
            policy.check(OBJECT, record)
        assert caught.value.data["status"] == 403


def verdict(asked: dict) -> str | None:
    """A policy of one's own."""
    if asked["size"] == 1:
        raise ZeroDivisionError
    return "too even" if asked["epochs"] % 2 == 0 else None


def test_commands_and_functions(views: FakeViews) -> None:
    """They get the object as JSON; the reason is told; one that breaks gives no verdict."""
    record = views.object(OBJECT)
    script = (
        "import json, sys; asked = json.load(sys.stdin); "
        "sys.exit(asked['owner'] + ' is unwanted' if asked['size'] > 9 else 0)"
    )
    command = load_policy({"command": [sys.executable, "-c", script]})
    assert command is not None
    command.check(OBJECT, replace(record, size=9))
    command.check(OBJECT, record)  # taken once: not asked again
    with pytest.raises(NodeRefused, match=f"{PAYER.address} is unwanted"):
        command.check(bytes(32), record)
    for broken in ({"command": ["/nowhere/at all"]}, {"python": f"{__name__}:verdict"}):
        policy = load_policy(broken)
        assert policy is not None
        with pytest.raises(NodeRefused) as caught:
            policy.check(OBJECT, replace(record, size=1))
        assert caught.value.data["status"] == 503
    policy = load_policy({"python": f"{__name__}:verdict"})
    assert policy is not None
    policy.check(OBJECT, replace(record, epochs=3))
    with pytest.raises(NodeRefused, match="too even"):
        policy.check(bytes(32), replace(record, epochs=2))


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"rules": {}, "command": ["x"]},
        {"rules": []},
        {"rules": {"owner": []}},
        {"rules": {"owners": ["0x12"]}},
        {"rules": {"mostBytes": True}},
        {"command": []},
        {"command": "rm -rf"},
        {"python": "os"},
        {"python": "os:nothing"},
        {"python": "qanat_no_such:f"},
        {"shell": "x"},
    ],
)
def test_policies_that_are_not_understood(setting: dict) -> None:
    """The node does not start with one: a misspelt rule must not take everything."""
    with pytest.raises(BadParameters):
        load_policy(setting)


def test_an_operator_refuses_an_object(nodes: Any) -> None:
    """403 with its reason, nothing read, nothing kept, nothing signed; strangers learn nothing of it."""
    node, http = nodes(policy={"rules": {"mostBytes": 100}})
    answer = put(http, GOOD)
    assert answer.status_code == 403
    assert "100 bytes" in answer.json()["message"]
    assert node.state.manifest(OBJECT) is None
    assert http.post(f"/objects/{ID}/signature").status_code == 404
    assert put(http, permit(OBJECT, ENCODED, OPERATOR, signer=PEOPLE[1].signer)).status_code == 401


def test_shown_is_json() -> None:
    """What a policy is given holds no bytes."""
    views = FakeViews(PEOPLE)
    found = shown(OBJECT, views.open_object(OBJECT, ENCODED))
    assert all(isinstance(value, (str, int)) for value in found.values())
    assert found["objectId"] == ID
