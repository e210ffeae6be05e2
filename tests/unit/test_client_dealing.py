"""What a dealer does when holders or strangers stand in its way: go on with others, or with a fresh secret."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_utils import keccak, to_bytes

from qanat.chain.signer import KeySigner
from qanat.chain.views import KeyRecord
from qanat.client import dealing as module
from qanat.client.dealing import MOST_REDRAWS, MOST_TAKEN, _Dealing
from qanat.errors import InvalidPoint, KeyUnavailable, TransactionReverted
from qanat.keys.context import KeyContext
from qanat.keys.shares import deal
from tests.unit.node_doubles import CHAIN_ID, CONTRACTS, ROSTER, SHARD, make_people

PEOPLE = make_people(3)
OWNER = KeySigner.from_key(keccak(text="owner"))
DATA_KEY, ASSET = keccak(text="data key"), 7
RECORD = KeyRecord(SHARD, ROSTER, 3, 0, 0, 0, 40, 50, 0, 20, 0, bytes(32))


class Chain:
    """Key epochs of one asset: what is asked for is there, and drawn."""

    def __init__(self) -> None:
        self.chain_id, self.head = CHAIN_ID, 100
        self.records = {1: RECORD}
        self.sent: list[tuple[str, tuple[Any, ...]]] = []
        #: what becomes of the next dealings
        self.refusals: list[str] = []

    def latest(self) -> int:
        return self.head

    def contract(self, name: str) -> Any:
        return SimpleNamespace(address=CONTRACTS[name])

    def send(self, call: tuple[str, tuple[Any, ...]]) -> dict[str, bytes]:
        name, _ = call
        self.sent.append(call)
        if name == "request":
            self.records[max(self.records) + 1] = RECORD
        if name == "deal" and self.refusals:
            raise TransactionReverted("no", error_name=self.refusals.pop(0), arguments={})
        return {"transactionHash": bytes(32)}


class Functions:
    """Calls by name."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: (name, arguments)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Dealing:
    """A run whose holders all acknowledge, unless a test says otherwise."""
    monkeypatch.setenv("QANAT_STATE", str(tmp_path))
    chain = Chain()
    keys = SimpleNamespace(address=CONTRACTS["Keys"], functions=Functions())
    views = SimpleNamespace(
        keys=lambda: keys,
        key_epochs=lambda _asset: (max(chain.records), 0, 0),
        key=lambda _asset, epoch: chain.records[epoch],
        key_holders=lambda _asset, _epoch: tuple(person.address for person in PEOPLE),
        active_roster=lambda _shard: ROSTER,
    )
    monkeypatch.setattr(module, "Views", lambda _chain: views)
    parts: Any = (ASSET, chain, chain, OWNER, SHARD, 1.0, 5.0, lambda _what: None)
    made = _Dealing(*parts)
    monkeypatch.setattr(made, "_check_eligible", lambda _holders: None)

    async def gather(*_arguments: Any) -> Any:
        return [bytes(128)], {}

    monkeypatch.setattr(made, "_gather", gather)
    monkeypatch.setattr(module.bls, "aggregate", lambda _signatures: b"")
    return made


def dealt(work: _Dealing) -> list[bytes]:
    """The roots that were put on chain, or tried."""
    sent = work.chain.sent  # type: ignore[attr-defined]
    return [arguments[3] for name, arguments in sent if name == "deal"]


def test_a_secret_that_somebody_else_used_is_dealt_afresh(work: _Dealing) -> None:
    """Who saw it first can't hold the dealing up, nor does the next run begin with the same one."""
    work.chain.refusals = ["SecretUsed", "SecretUsed"]  # type: ignore[attr-defined]
    work.choose(3)
    found = work.run(DATA_KEY, 2)
    roots = dealt(work)
    assert len(set(roots)) == 3
    assert found.key_epoch == 1
    kept = list((Path(module.state_folder()) / "dealings").glob("*.json"))
    assert [path.name.rsplit("-", 1)[1] for path in kept] == [f"{roots[-1].hex()[:16]}.json"]


def test_somebody_who_always_uses_it_first_is_told_of(work: _Dealing) -> None:
    work.chain.refusals = ["SecretUsed"] * (MOST_TAKEN + 1)  # type: ignore[attr-defined]
    work.choose(3)
    with pytest.raises(TransactionReverted):
        work.run(DATA_KEY, 2)
    assert len(set(dealt(work))) == MOST_TAKEN + 1


def test_a_refusal_for_another_reason_keeps_the_dealing(work: _Dealing) -> None:
    """Its holders have acknowledged it: the next run goes on with it."""
    work.chain.refusals = ["RosterNotActive"]  # type: ignore[attr-defined]
    work.choose(3)
    with pytest.raises(TransactionReverted):
        work.run(DATA_KEY, 2)
    work.run(DATA_KEY, 2)
    first, second = dealt(work)
    assert first == second


def test_holders_that_stay_silent_do_not_hold_the_next_run_up(work: _Dealing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a key epoch whose redraws are used up nothing comes: a later run has others drawn. Its own it gives up."""
    chain: Any = work.chain
    chain.records[1] = replace(RECORD, redraws=MOST_REDRAWS)
    silent = {PEOPLE[0].address: "down"}

    async def gather(*_arguments: Any) -> Any:
        return [bytes(128)], silent if work.epoch < 3 else {}

    monkeypatch.setattr(work, "_gather", gather)
    work.choose(3)
    assert (work.epoch, work.is_earlier) == (1, True)
    chain.send(("request", ()))  # what the run below asks for comes behind this
    chain.records[2] = replace(RECORD, redraws=MOST_REDRAWS)
    work.epoch = 2
    assert work.run(DATA_KEY, 2).key_epoch == 3
    assert work.replaced == silent

    chain.records[3] = replace(RECORD, redraws=MOST_REDRAWS)
    work.epoch, work.is_earlier = 2, False
    with pytest.raises(KeyUnavailable, match="no more places"):
        work.run(DATA_KEY, 2)


def test_a_draw_that_can_not_be_proven_any_more_is_asked_for_anew(work: _Dealing) -> None:
    """Its block is too far back for its hash; the same where the draw was done is no hindrance."""
    chain: Any = work.chain
    chain.head = RECORD.seed_block + 9_000
    chain.records[1] = replace(RECORD, drawn_block=0)
    work.choose(3)
    assert work.epoch == 2
    chain.records[2] = RECORD
    work.choose(3)
    assert work.epoch == 2


def test_a_holder_whose_keys_are_no_keys_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sealing key of low order, or an acknowledgement that is no point: the others' acknowledgements stand."""
    context = KeyContext(
        CHAIN_ID,
        to_bytes(hexstr=CONTRACTS["Keys"]),
        ASSET,
        1,
        tuple(to_bytes(hexstr=person.address) for person in PEOPLE),
    )
    made = deal(context, 2, DATA_KEY)
    keys = [bytes(32), PEOPLE[1].sealing.public, PEOPLE[2].sealing.public]
    by_address = {person.address: keys[place] for place, person in enumerate(PEOPLE)}

    class Node:
        def __init__(self, _http: Any, operator: str, *_rest: Any) -> None:
            self.operator = operator

        async def put_share(self, *_arguments: Any, **_options: Any) -> bytes:
            return b"\xff" * 128

    def verify(_keys: Any, _digest: bytes, _signature: bytes) -> bool:
        verified.append(1)
        if len(verified) == 1:
            raise InvalidPoint("no point")
        return True

    verified: list[int] = []
    monkeypatch.setattr(module, "NodeClient", Node)
    monkeypatch.setattr(module.bls, "verify", verify)
    roster = SimpleNamespace(index_of=lambda _operator: 0)
    views = SimpleNamespace(
        keys=lambda: SimpleNamespace(address=CONTRACTS["Keys"]),
        roster=lambda _shard, _roster: roster,
        roster_keys=lambda _roster, _seats: b"",
        operator=lambda holder: SimpleNamespace(sealing_key=by_address[holder], endpoints=("http://127.0.0.1",)),
    )
    monkeypatch.setattr(module, "Views", lambda _chain: views)
    parts: Any = (ASSET, Chain(), None, OWNER, SHARD, 1.0, 5.0, lambda _what: None)
    holders = tuple(person.address for person in PEOPLE)
    signatures, silent = asyncio.run(_Dealing(*parts)._gather(RECORD, holders, context, made))
    assert signatures == [b"\xff" * 128]
    assert set(silent) == {PEOPLE[0].address, PEOPLE[1].address}
