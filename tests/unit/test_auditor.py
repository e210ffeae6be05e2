"""The auditor finds nothing in an honest world, and in a world with one thing wrong exactly that thing.

The world has real keys, objects, signatures and openings; only the chain's events and calls are lists in memory.
"""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from eth_utils import keccak

from qanat import bls
from qanat.auditor import AuditReport, following
from qanat.auditor import population as population_module
from qanat.auditor.audit import _Shard
from qanat.auditor.checks import (
    certificate_digest,
    check_answer,
    check_certificate,
    check_roster,
    check_seed,
    check_slash,
    draw_of,
)
from qanat.auditor.population import SEALER_BPS, Population
from qanat.chain.draws import ListedObject, Read, Void, follow
from qanat.chain.views import CollateralWeight, ShardParameters
from qanat.errors import AuditFailed, ChainError
from qanat.index.records import (
    Adoption,
    Answer,
    Certificate,
    Extension,
    IndexedObject,
    Miss,
    SealedEpoch,
    Settlement,
    SlashRecord,
)
from qanat.node.answer import build_response
from qanat.node.certificate import certificate_list_digest
from qanat.objects import Encoded, encode
from tests.unit.node_doubles import CONTRACTS, PARAMETERS, ROSTER, SHARD, ZERO, FakeViews, make_people

PEOPLE = make_people(4)
FIRST, SECOND, THIRD, FOURTH = (person.address for person in PEOPLE)
TICKETS = [2, 2, 1, 1]
EPOCH, SEALED, DEADLINE, UNTIL = 5, 104, 112, 200
SEED, OTHER = keccak(text="seed 1"), keccak(text="something else")
OLD, NEW = keccak(text="old object"), keccak(text="new object")
BOND, FEE, STAKE, TOKEN = 100, 30, 70, CONTRACTS["Payments"]
AUDITS = CONTRACTS["Audits"]
SEALER = PEOPLE[2].address


@cache
def make_object(size: int, k: int = 2, n: int = 6) -> Encoded:
    return encode(hashlib.shake_256(b"object %d" % size).digest(size), k=k, n=n, width=64)


def swapped(encoded: Encoded) -> Encoded:
    """An object with two commitments in each other's place: all points are good, and it is no encoding."""
    first, second, *rest = encoded.manifest.commitments
    return Encoded(replace(encoded.manifest, commitments=(second, first, *rest)), encoded.slices)


@cache
def signed(digest: bytes, signers: tuple[int, ...]) -> bytes:
    return bls.aggregate([PEOPLE[number].key.sign(digest) for number in signers])


class Views(FakeViews):
    """The chain's state: a roster with its key, and what a slash takes."""

    def __init__(self) -> None:
        super().__init__(PEOPLE, TICKETS)
        plain = super().roster(SHARD, ROSTER)
        self.held = replace(plain, aggregate_key=bls.aggregate_keys([person.key.public_key for person in PEOPLE]))

    def roster(self, _shard: int, _roster: int) -> Any:
        return self.held

    def object(self, _object_id: bytes, _block: Any = "latest") -> Any:
        return SimpleNamespace(row_fee=701)

    def shard_parameters(self, _shard: int) -> ShardParameters:
        return replace(PARAMETERS, stake_slash_per_ticket=STAKE)

    def collaterals(self, _shard: int) -> tuple[CollateralWeight, ...]:
        return (CollateralWeight(TOKEN, 10**18),)

    def slash_terms(self, _shard: int, _roster: int, _operator: str) -> tuple[int, int, dict[str, int]]:
        return BOND, FEE, {TOKEN: STAKE}


class Events:
    """The index: what was announced, in lists that a test changes."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Any]] = {
            name: []
            for name in ("opened", "certified", "sealed", "answered", "missed", "slashed", "settled", "vacated")
        }

    def rosters(self, _shard: int | None = None) -> list[Any]:
        return [SimpleNamespace(shard=SHARD, number=ROSTER)]

    def objects(self, *, shard: int) -> list[IndexedObject]:
        return [item for item in self.lists["opened"] if item.shard == shard]

    def certificates(self) -> list[Certificate]:
        return self.lists["certified"]

    def events(self, name: str, *, contract: str) -> list[Any]:
        assert (name, contract) == ("PlaceVacated", "Shards")
        return self.lists["vacated"]

    def sealed_epochs(self, _shard: int) -> list[SealedEpoch]:
        return self.lists["sealed"]

    def answers(self, _shard: int) -> list[Answer]:
        return self.lists["answered"]

    def misses(self, _shard: int) -> list[Miss]:
        return self.lists["missed"]

    def slashes(self) -> list[SlashRecord]:
        return self.lists["slashed"]

    def settlements(self, _shard: int) -> list[Settlement]:
        return self.lists["settled"]


class World:
    """One epoch of a shard, as it should be: two answered, the third missed and was slashed, the fourth had no duty.

    The old object has expired, so that draws read voids; the fourth operator did not sign the new one.

    :param new: values of the new object's opening that are signed as they are, whatever they should be.
    """

    def __init__(
        self,
        *,
        encoded: Encoded | None = None,
        old: Encoded | None = None,
        absent: tuple[int, ...] = (3,),
        seed: bytes = SEED,
        **new: Any,
    ) -> None:
        self.views, self.index = Views(), Events()
        self.keys = {bytes(keccak(person.key.public_key)): person.key.public_key for person in PEOPLE}
        self.calls: dict[bytes, tuple[str, str, dict[str, Any]]] = {}
        self.mixes = {EPOCH * PARAMETERS.epoch_length: seed}
        self.stored: dict[bytes, Encoded] = {}
        self.chain = self.views.chain
        self._store(OLD, old or make_object(900), 20, Certificate(OLD, 2, 5, (), 22, b"old"))
        self._store(NEW, encoded or make_object(5000), 50, Certificate(NEW, 3, 6, absent, 55, b"new"), **new)
        self.add("sealed", SealedEpoch(SHARD, EPOCH, seed, SEALED, DEADLINE, b"seal", AUDITS, SEALER))
        if encoded is None and not new:
            self._live()

    def _store(self, object_id: bytes, encoded: Encoded, block: int, certificate: Certificate, **changes: Any) -> None:
        manifest = encoded.manifest
        opened = IndexedObject(
            object_id=object_id,
            owner=ZERO,
            shard=SHARD,
            roster=ROSTER,
            width=manifest.width,
            k=manifest.k,
            n=manifest.n,
            matrices=manifest.matrices,
            size=manifest.size,
            epochs=3,
            tree_root=manifest.tree.root,
            content_hash=manifest.content_hash,
            header_hash=keccak(manifest.header),
            manifest_root=manifest.root,
            payment=0,
            status="certified",
            block=block,
            transaction=b"open",
        )
        self.stored[object_id] = encoded
        self.add("opened", replace(opened, **changes))
        self.add("certified", certificate)
        call = {"objectId": object_id, "signature": self.signature(), "nonSigners": list(certificate.non_signers)}
        self.calls[certificate.transaction] = ("Objects", "certify", call)

    def _live(self) -> None:
        for operator in (FIRST, SECOND):
            self.answer(operator)
            earned = self.population.earned(EPOCH, operator, AUDITS)
            part = earned * SEALER_BPS // 10_000
            own = (earned - part) // 2
            self.add("settled", Settlement(SHARD, EPOCH, operator, earned, own, part, 130, b"settle"))
        self.add("missed", Miss(SHARD, EPOCH, THIRD, ZERO, b"slash", DEADLINE + 1, b"report", AUDITS))
        taken = {TOKEN: STAKE}
        slash = SlashRecord(b"slash", SHARD, ROSTER, EPOCH, THIRD, ZERO, 150, 151, BOND, FEE, taken, b"report")
        self.add("slashed", slash)

    # -- what a test changes

    def add(self, name: str, item: Any) -> None:
        self.index.lists[name].append(item)

    def change(self, name: str, number: int = -1, **changes: Any) -> None:
        """Change values of a record; the last one's unless a number is given."""
        items = self.index.lists[name]
        items[number] = replace(items[number], **changes)

    def signature(self, digest: bytes | None = None, signers: tuple[int, ...] | None = None) -> bytes:
        """The certificate's signature of the newest object, or another."""
        item = SimpleNamespace(opened=self.index.lists["opened"][-1])
        right = certificate_digest(self.chain.chain_id, CONTRACTS["Objects"], item)  # type: ignore[arg-type]
        absent = self.index.lists["certified"][-1].non_signers
        return signed(digest or right, signers or tuple(number for number in range(4) if number not in absent))

    def copy(self) -> World:
        """A world to change: records and keys can't be changed, lists and calls are its own."""
        new = copy(self)
        new.views, new.index, new.chain = copy(self.views), Events(), copy(self.chain)
        new.views.chain = new.chain
        new.index.lists = {name: list(items) for name, items in self.index.lists.items()}
        new.keys, new.mixes, new.stored = dict(self.keys), dict(self.mixes), dict(self.stored)
        new.calls = deepcopy(self.calls)
        return new

    def vacate(self, operator: str, block: int) -> None:
        self.add("vacated", SimpleNamespace(block=block, arguments={"shard": str(SHARD), "operator": operator}))

    def answer(self, operator: str, *, record: bool = True) -> dict[str, Any]:
        """Answer as an honest node does; return what was sent."""
        draw, reads = draw_of(self.population, self.evidence, self.sealed, operator), self.reads(operator)
        response = build_response(
            SHARD,
            EPOCH,
            operator,
            reads,
            draw.context,
            manifest_of=lambda object_id: self.stored[object_id].manifest,
            slice_of=lambda object_id, index: self.stored[object_id].slices[index],
        )
        names = ("shard", "epoch", "operator", "y", "proof", "objects", "nonSigners", "reads", "points", "siblings")
        call = dict(zip(names, response.as_tuple(), strict=True))
        if record:
            transaction = b"answer of " + operator.encode()
            live = sum(read.void is None for read in reads)
            self.add("answered", Answer(SHARD, EPOCH, operator, live, len(reads), 106, transaction, AUDITS))
            self.calls[transaction] = ("Audits", "respond", {"response": call})
        return call

    def reads(self, operator: str) -> list[Read]:
        """What an operator is asked for, by the index's events."""
        draw = draw_of(self.population, self.evidence, self.sealed, operator)
        absent = {item.object_id: item.absent_in(EPOCH) for item in self.index.certificates()}
        return follow(draw, EPOCH, lambda listed: absent[listed.object_id])

    @property
    def sent(self) -> dict[str, Any]:
        """What the first operator sent as its answer."""
        return self.calls[self.index.lists["answered"][0].transaction][2]["response"]

    # -- what the checks are given

    @property
    def sealed(self) -> SealedEpoch:
        return self.index.lists["sealed"][0]

    @property
    def population(self) -> Population:
        """Derived anew, after whatever was changed."""
        views: Any = self.views
        index: Any = self.index
        return Population(views, index, SHARD)

    @property
    def evidence(self) -> Any:
        return SimpleNamespace(
            chain=self.chain,
            views=self.views,
            call_of=self._call_of,
            randomness=lambda block, _sealed: self.mixes[block],
            manifest=self._manifest,
        )

    def _call_of(self, transaction: bytes, contract: str, *functions: str, address: str = "") -> dict[str, Any]:
        *called, arguments = self.calls[transaction]
        if called not in [[contract, function] for function in functions]:
            raise AuditFailed(f"calls {called}")
        return arguments

    def _manifest(self, object_id: bytes, root: bytes, operators: list[str]) -> Any:
        manifest = self.stored[object_id].manifest
        if manifest.root != root or not operators:
            raise AuditFailed("No node serves the manifest.")
        return manifest

    # -- the checks

    def roster_findings(self) -> list[str]:
        return list(check_roster(self.views.held, self.keys))

    def certificate_findings(self, number: int = -1) -> list[str]:
        population = self.population
        return list(check_certificate(population.objects[number], population, self.evidence, self.keys))

    def seed_findings(self) -> list[str]:
        return list(check_seed(self.sealed, self.population, self.evidence))

    def answer_findings(self, number: int = 0) -> list[str]:
        return list(check_answer(self.index.lists["answered"][number], self.sealed, self.population, self.evidence))

    def slash_findings(self) -> list[str]:
        return list(check_slash(self.index.lists["slashed"][0], self.population, self.evidence, AUDITS))

    def audit(self, until: int = UNTIL, since: AuditReport | None = None) -> AuditReport:
        """Audit the whole shard."""
        report = AuditReport(0, until)
        index: Any = self.index
        _Shard(self.population, index, self.evidence, self.keys, report, lambda *_: None, since).run(until)
        return report

    def entry(self, number: int, **changes: Any) -> None:
        """Change an entry of the roster."""
        entries = list(self.views.held.entries)
        entries[number] = replace(entries[number], **changes)
        self.views.held = replace(self.views.held, entries=tuple(entries))


@pytest.fixture(scope="module")
def honest() -> World:
    return World()


@pytest.fixture
def world(honest) -> World:
    return honest.copy()


Break = Callable[[World], Any]


class TestChanges:
    """What changed an object since its certificate is derived and checked as the chain does."""

    def adopted(self, world: World, **changes: Any) -> list[str]:
        """Let the fourth adopt its rows of the new object in block 60; return what is found."""
        adoption = replace(Adoption(FOURTH, 3, 4, 60, b"adopt"), **changes)
        world.change("certified", adoptions=(adoption,))
        world.calls[b"adopt"] = ("Objects", "adopt", {"signature": world.signature(signers=(3,))})
        return world.certificate_findings()

    def test_an_adoption_counts_from_its_epoch(self, world):
        def held() -> list[int]:
            return [world.population.snapshot(epoch, FOURTH, AUDITS).held for epoch in (3, 4)]

        before = held()
        assert self.adopted(world) == []
        after = held()
        assert before[0] == after[0]
        assert before[1] < after[1]

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"from_epoch": 3}, "counts from epoch 3, adopted in block 60"),
            ({"block": 90, "from_epoch": 5}, "counts from epoch 5, adopted in block 90"),
            ({"seat": 1}, "adopts rows that it was not left out of"),
            ({"operator": FIRST}, "adopts rows that it was not left out of"),
        ],
    )
    def test_finds_who_could_not_adopt(self, world, changes, found):
        (finding,) = self.adopted(world, **changes)
        assert finding.endswith(found)

    def test_finds_another_s_signature_and_a_vacant_place(self, world):
        self.adopted(world)
        world.calls[b"adopt"] = ("Objects", "adopt", {"signature": world.signature(signers=(2,))})
        world.vacate(FOURTH, 58)
        assert world.certificate_findings() == [
            f"counts {FOURTH} as a signer, whose place was vacant",
            f"the signature of {FOURTH} does not hold",
        ]

    def test_a_list_is_signed_as_a_list(self, world):
        """Both objects under one signature: over the digests in order, not over one of them."""
        world.change("certified", 0, first_epoch=3, certified_end=6, non_signers=(3,), block=55, transaction=b"new")
        world.change("opened", 0, block=50)
        objects = world.population.objects
        digests = [certificate_digest(world.chain.chain_id, CONTRACTS["Objects"], item) for item in objects]
        whole = certificate_list_digest(world.chain.chain_id, CONTRACTS["Objects"], SHARD, ROSTER, digests)
        call = {"objectIds": [OLD, NEW], "signature": world.signature(whole), "nonSigners": [3]}
        world.calls[b"new"] = ("Objects", "certifyMany", call)
        assert [world.certificate_findings(number) for number in (0, 1)] == [[], []]
        call["signature"] = world.signature()
        assert world.certificate_findings() == ["the aggregate signature does not hold"]
        call["objectIds"] = [OLD]
        assert world.certificate_findings() == ["the transaction's data is not what the event says"]

    def test_answers_hold_where_some_of_those_left_out_adopted(self):
        """Those that are drawn still show who is left out in their epoch, and nobody else."""
        adoption = Adoption(FOURTH, 3, 4, 60, b"adopt")
        world = World(absent=(2, 3))
        del world.index.lists["answered"][:]
        world.change("certified", adoptions=(adoption,))
        world.calls[b"adopt"] = ("Objects", "adopt", {"signature": world.signature(signers=(3,))})
        for operator in (FIRST, FOURTH):
            world.answer(operator)
        assert (2,) in {read.non_signers for read in world.reads(FOURTH)}
        assert [world.answer_findings(number) for number in (0, 1)] == [[], []]

    def test_an_extended_object_lives_in_one_listing_in_each_epoch(self, world):
        """Into another bucket from epoch 4, then within it, then ended early."""
        moved, longer = Extension(ZERO, 14, 1, 4, (60, 0)), Extension(ZERO, 15, 1, 0, (61, 0))
        world.change("certified", 0, extensions=(moved, longer), terminated_end=13)
        for epoch in range(2, 16):
            (place,) = world.population.snapshot(epoch, FIRST, AUDITS).places
            live = [
                item
                for bucket in place.buckets
                for item in bucket.objects
                if item.object_id == OLD and item.start < bucket.rows and epoch < item.end_epoch
            ]
            assert len(live) == (epoch < 13), epoch


class TestLists:
    """What a roster lists in an epoch is derived once for all its operators, and not kept for ever."""

    def test_all_operators_of_a_roster_share_its_lists_of_an_epoch(self, world):
        population = world.population
        for epoch in (3, 4):
            places = [population.snapshot(epoch, operator, AUDITS).places[0] for operator in (FIRST, SECOND, FOURTH)]
            assert len({id(place.buckets) for place in places}) == 1
            assert population.snapshot(epoch, THIRD, AUDITS).places[0].buckets is places[0].buckets

    def test_what_is_kept_is_bounded(self, world, monkeypatch):
        """However many epochs are audited: a list that went is derived again, and is the same."""
        monkeypatch.setattr(population_module, "_MOST_LISTED", 7)
        gc.collect()
        before = sum(isinstance(item, ListedObject) for item in gc.get_objects())
        population = world.population
        held = [
            [population.snapshot(epoch, operator, AUDITS).held for operator in (FIRST, FOURTH)]
            for epoch in [*range(2, 14), *range(2, 14)]
        ]
        kept = sum(isinstance(item, ListedObject) for item in gc.get_objects()) - before
        assert 0 < kept <= 7
        assert held[:12] == held[12:]
        assert held[1] != held[0]

    def test_what_is_held_is_what_each_object_says(self, world):
        """Against a sum over all rows, one by one."""
        world.change("certified", adoptions=(Adoption(FOURTH, 3, 4, 60, b"adopt"),))
        population = world.population
        for epoch in range(1, 8):
            for seat, (operator, tickets) in enumerate(zip((FIRST, SECOND, THIRD, FOURTH), TICKETS, strict=True)):
                rows = 0
                for item in population.objects:
                    certificate = item.certificate
                    if certificate.first_epoch <= epoch < certificate.end_epoch:
                        each = item.opened.n // sum(TICKETS) * item.opened.matrices
                        rows += tickets * each * (seat not in certificate.absent_in(epoch))
                assert population.snapshot(epoch, operator, AUDITS).held == rows
                assert population.earned(epoch, operator, AUDITS) == rows * 701


class TestHonestWorld:
    """Nothing is found where nothing is wrong."""

    def test_no_check_finds_anything(self, world):
        found = [
            world.roster_findings(),
            world.certificate_findings(0),
            world.certificate_findings(1),
            world.seed_findings(),
            world.answer_findings(0),
            world.answer_findings(1),
            world.slash_findings(),
        ]
        assert found == [[]] * 7

    def test_the_audit_counts_everything_once(self, world):
        report = world.audit()
        assert report.findings == []
        counts = (report.rosters, report.certificates, report.seeds, report.responses, report.faults, report.due)
        assert (*counts, report.settlements) == (1, 2, 1, 2, 1, 0, 2)

    def test_the_answers_open_several_rows_and_read_voids(self, world):
        """Else the tests below would try little."""
        draw = draw_of(world.population, world.evidence, world.sealed, FIRST)
        voids = [read.void for read in follow(draw, EPOCH, lambda _: (3,))]
        assert voids.count(None) == 4
        assert Void.EXPIRED in voids

    @pytest.mark.parametrize(
        "allowed",
        [
            lambda world: world.change("opened", block=35),  # certified in the last block
            lambda world: world.vacate(FIRST, 55),  # in the certificate's block, of unknown order
            lambda world: world.vacate(FIRST, 0),  # before the roster
            lambda world: world.vacate(FOURTH, 52),  # of one that did not sign
        ],
    )
    def test_certificates_at_the_limits_hold(self, world, allowed):
        allowed(world)
        assert world.certificate_findings() == []

    @pytest.mark.parametrize("block", [SEALED, DEADLINE])
    def test_answers_in_the_first_and_the_last_block_hold(self, world, block):
        """The first is that of the sealing itself: the chain takes an answer that follows in the same block."""
        world.change("answered", 0, block=block)
        assert world.answer_findings() == []

    @pytest.mark.parametrize("block", [EPOCH * 20 + 1, EPOCH * 20 + PARAMETERS.sealing_limit])
    def test_seals_in_the_first_and_the_last_block_hold(self, world, block):
        world.change("sealed", sealed_block=block, deadline=block + PARAMETERS.window)
        assert world.seed_findings() == []


def with_aggregate_of(*numbers: int) -> Break:
    def change(world: World) -> None:
        key = bls.aggregate_keys([PEOPLE[number].key.public_key for number in numbers])
        world.views.held = replace(world.views.held, aggregate_key=key)

    return change


def with_tickets(*tickets: int) -> Break:
    def change(world: World) -> None:
        world.views.tickets = list(tickets)
        made = FakeViews.roster(world.views, SHARD, ROSTER)
        world.views.held = replace(made, aggregate_key=world.views.held.aggregate_key)

    return change


class TestRoster:
    """Ticket ranges, shares, keys."""

    @pytest.mark.parametrize(
        ("wrong", "found"),
        [
            (
                lambda world: world.entry(1, first_ticket=3),
                [f"tickets of {SECOND} begin at 3, not 2", f"tickets of {THIRD} begin at 4, not 5"],
            ),
            (
                lambda world: world.entry(3, first_ticket=4),
                [f"tickets of {FOURTH} begin at 4, not 5", "holds 5 tickets, says 6"],
            ),
            (with_tickets(2, 2, 2, 0), [f"{FOURTH} holds no tickets"]),
            (lambda world: world.entry(1, operator=FIRST), [f"{FIRST} sits in more than one seat"]),
            (with_tickets(3, 2, 1, 1), [f"{FIRST} holds more than a third of the tickets"]),
            (
                lambda world: world.keys.pop(keccak(PEOPLE[2].key.public_key)),
                [f"keys of {THIRD} were never registered"],
            ),
            (lambda world: world.entry(1, key_hash=OTHER), [f"keys of {SECOND} were never registered"]),
            (with_aggregate_of(0, 1, 2), ["the aggregate key is not the sum of the operators' keys"]),
            (with_aggregate_of(0, 1, 2, 2), ["the aggregate key is not the sum of the operators' keys"]),
        ],
    )
    def test_finds(self, world, wrong: Break, found):
        wrong(world)
        assert world.roster_findings() == found

    def test_finds_another_sum_of_tickets(self, world):
        world.views.held = replace(world.views.held, head=replace(world.views.held.head, tickets=7))
        assert world.roster_findings() == ["holds 6 tickets, says 7"]

    def test_finds_a_key_under_another_ones_hash(self, world):
        """Two keys exchanged have the same sum."""
        first, second = (keccak(PEOPLE[number].key.public_key) for number in (0, 1))
        world.keys[first], world.keys[second] = world.keys[second], world.keys[first]
        assert world.roster_findings() == [f"keys of {FIRST}, {SECOND} do not hash to their hashes"]

    def test_two_may_hold_more_than_a_third(self, world):
        """The limit begins with three operators."""
        with_tickets(3, 3, 0, 0)(world)
        head = replace(world.views.held.head, operators=2)
        world.views.held = replace(world.views.held, head=head, entries=world.views.held.entries[:2])
        with_aggregate_of(0, 1)(world)
        assert world.roster_findings() == []


def call(transaction: bytes, **changes: Any) -> Break:
    return lambda world: world.calls[transaction][2].update(changes)


class TestCertificate:
    """Who signed, what, when, how many; and that it is an encoding."""

    @pytest.mark.parametrize(
        ("wrong", "found"),
        [
            (
                lambda world: world.change("opened", block=34),
                "certified in block 55, more than an epoch after the opening in 34",
            ),
            (
                lambda world: world.change("certified", first_epoch=2, certified_end=5),
                "lives in epochs 2 to 5, should begin with 3",
            ),
            (
                lambda world: world.change("certified", first_epoch=4, certified_end=7),
                "lives in epochs 4 to 7, should begin with 3",
            ),
            (lambda world: world.change("certified", certified_end=7), "lives in epochs 3 to 7, should begin with 3"),
            (call(b"new", nonSigners=[2]), "the transaction's data is not what the event says"),
            (call(b"new", nonSigners=[]), "the transaction's data is not what the event says"),
            (call(b"new", objectId=OLD), "the transaction's data is not what the event says"),
            (lambda world: world.vacate(FIRST, 54), f"counts {FIRST} as a signer, whose place was vacant"),
            (lambda world: world.vacate(THIRD, 1), f"counts {THIRD} as a signer, whose place was vacant"),
        ],
    )
    def test_finds(self, world, wrong: Break, found):
        wrong(world)
        assert world.certificate_findings() == [found]

    @pytest.mark.parametrize("name", ["tree_root", "content_hash", "header_hash", "size"])
    def test_finds_a_root_that_is_not_of_the_opening(self, world, name):
        world.change("opened", **{name: 4999 if name == "size" else OTHER})
        assert world.certificate_findings() == ["the manifest root is not that of the opening's parameters"]

    @pytest.mark.parametrize("changes", [{"width": 128}, {"matrices": 3}, {"k": 3}])
    def test_finds_signed_parameters_that_are_not_of_the_root(self, changes):
        found = World(**changes).certificate_findings()
        assert found[0] == "the manifest root is not that of the opening's parameters"
        assert [text[:31] for text in found[1:]] == ["the commitments are no encoding"] * ("k" in changes)

    @pytest.mark.parametrize(
        ("digest", "signers"),
        [
            (None, (0, 1)),
            (None, (0, 1, 2, 3)),
            (None, (0, 1, 2, 2)),
            (OTHER, (0, 1, 2)),
        ],
    )
    def test_finds_signatures_of_others_or_of_something_else(self, world, digest, signers):
        world.calls[b"new"][2]["signature"] = world.signature(digest, signers)
        assert world.certificate_findings() == ["the aggregate signature does not hold"]

    @pytest.mark.parametrize(
        "changes",
        [{"epochs": 4}, {"manifest_root": OTHER}, {"shard": 2}, {"roster": 2}, {"width": 128}, {"matrices": 3}],
    )
    def test_a_signature_is_for_all_that_the_digest_names(self, world, changes):
        """Whatever else may fail with it; nobody has the manifest of another root."""
        population = world.population
        population.rosters[2] = population.rosters[ROSTER]
        certified = population.objects[1]
        other = replace(certified, opened=replace(certified.opened, **changes))
        found = []
        with suppress(AuditFailed):
            for text in check_certificate(other, population, world.evidence, world.keys):
                found.append(text)  # noqa: PERF402 -- what was found before the error counts
        assert "the aggregate signature does not hold" in found

    def test_finds_the_signature_for_another_chain(self, world):
        world.chain.chain_id += 1
        assert world.certificate_findings() == ["the aggregate signature does not hold"]

    @pytest.mark.parametrize(
        ("absent", "k", "n", "found"),
        [
            ((0, 3), 2, 6, "signed by 3 of 6 tickets, needs 4"),
            ((0, 3), 1, 6, "signed by 3 of 6 tickets, needs 4"),
            ((3,), 4, 6, "signed by 5 of 6 tickets, needs 6"),
            ((3,), 2, 7, "7 rows of a matrix cannot be dealt evenly to 6 tickets"),
            ((3,), 2, 5, "5 rows of a matrix cannot be dealt evenly to 6 tickets"),
        ],
    )
    def test_finds_too_few_tickets(self, absent, k, n, found):
        assert World(encoded=make_object(3000, k, n), absent=absent).certificate_findings() == [found]

    def test_finds_who_is_not_in_the_roster(self, world):
        world.change("certified", non_signers=(3, 4))
        assert world.certificate_findings() == ["leaves out seat 4, where the roster has nobody"]

    def test_finds_commitments_that_are_no_encoding(self):
        (found,) = World(encoded=swapped(make_object(5000))).certificate_findings()
        assert found.startswith("the commitments are no encoding: The commitments of matrix 0 are no encoding")

    @pytest.mark.parametrize(
        "wrong",
        [
            call(b"new", signature=b"\1" * 128),
            lambda world: world.calls.update({b"new": ("Objects", "open", {})}),
            lambda world: world.stored.update({NEW: make_object(900)}),
        ],
    )
    def test_what_cannot_be_verified_is_a_finding(self, world, wrong):
        """Bytes that are no point, another call, no manifest: the audit goes on and says so."""
        wrong(world)
        found = [item for item in world.audit().findings if item.kind == "certificate"]
        assert [item.subject for item in found] == [f"0x{NEW.hex()}"]
        assert found[0].what.startswith("cannot be verified: ")


class TestSeed:
    """The seed is its block's, sealed in time, with the right deadline."""

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"seed": OTHER}, "the seed is not the randomness of block 100"),
            ({"sealed_block": 100, "deadline": 108}, "sealed in block 100, too early or too late for 100"),
            ({"sealed_block": 121, "deadline": 129}, "sealed in block 121, too early or too late for 100"),
            ({"deadline": 113}, "the deadline 113 is not sealing + window"),
            ({"deadline": 111}, "the deadline 111 is not sealing + window"),
        ],
    )
    def test_finds(self, world, changes, found):
        world.change("sealed", **changes)
        assert world.seed_findings() == [found]


def shown(number: int, point: bytes) -> Break:
    """Change the commitment of the live row of that number in the first operator's answer."""

    def change(world: World) -> None:
        points = world.sent["points"]
        world.sent["points"] = points[: 96 * number] + point + points[96 * (number + 1) :]

    return change


FORGED = "the folded opening does not hold"


class TestAnswer:
    """In time, for the operator's own draw, with the manifests' commitments, and true."""

    @pytest.mark.parametrize("block", [SEALED - 1, DEADLINE + 1])
    def test_finds_answers_outside_the_window(self, world, block):
        world.change("answered", 0, block=block)
        assert world.answer_findings() == [f"answered in block {block}, outside 104 to 112"]

    @pytest.mark.parametrize("changes", [{"shard": 2}, {"epoch": 4}, {"operator": SECOND}])
    def test_finds_data_for_another_duty(self, world, changes):
        world.sent.update(changes)
        assert world.answer_findings() == ["the transaction's data is for another duty"]

    def test_finds_an_answer_among_others_of_its_transaction(self, world):
        transaction = world.index.lists["answered"][0].transaction
        sent = [world.answer(SECOND, record=False), world.sent]
        world.calls[transaction] = ("Audits", "respondMany", {"responses": sent})
        assert world.answer_findings() == []
        sent[1]["y"] += 1
        assert world.answer_findings() == [FORGED]

    @pytest.mark.parametrize(("live", "read"), [(-1, 0), (1, 0), (0, -1), (0, 1)])
    def test_finds_counts_that_are_not_the_draws(self, world, live, read):
        right = world.index.lists["answered"][0]
        world.change("answered", 0, live=right.live + live, read=right.read + read)
        says = f"shows {right.live + live} live of {right.read + read} positions"
        assert world.answer_findings() == [f"{says}; the draw has {right.live} of {right.read}"]

    @pytest.mark.parametrize("wrong", [lambda reads: reads[2:], lambda reads: reads + reads[:2]])
    def test_finds_more_or_fewer_witnesses_than_reads(self, world, wrong):
        world.sent["reads"] = wrong(world.sent["reads"])
        (found,) = world.answer_findings()
        assert found.startswith("shows 4 live of ")

    @pytest.mark.parametrize("number", range(4))
    def test_finds_another_commitment(self, world, number):
        """That of another slice of the same object, with its own good path."""
        manifest = world.stored[NEW].manifest
        draw = draw_of(world.population, world.evidence, world.sealed, FIRST)
        read = [item for item in follow(draw, EPOCH, lambda _: (3,)) if item.void is None][number]
        shown(number, point=manifest.points[(read.slice + 1) % manifest.count])(world)
        expected = f"read {read.number} shows another commitment than the manifest's for slice {read.slice}"
        assert world.answer_findings() == [expected]

    def test_finds_another_value(self, world):
        world.sent["y"] += 1
        assert world.answer_findings() == [FORGED]

    def test_finds_another_proof(self, world):
        """A good point, but not this one."""
        world.sent["proof"] = world.stored[NEW].manifest.commitments[0]
        assert world.answer_findings() == [FORGED]

    def test_finds_the_opening_of_another_operator(self, world):
        theirs = world.answer(SECOND, record=False)
        world.sent.update(y=theirs["y"], proof=theirs["proof"])
        assert world.answer_findings() == [FORGED]

    def test_finds_an_answer_to_another_seed(self, world):
        """Here the other draw meets one void more."""
        other = World(seed=keccak(text="seed 2"))
        transaction = world.index.lists["answered"][0].transaction
        world.index.lists["answered"][0] = other.index.lists["answered"][0]
        world.calls[transaction] = other.calls[transaction]
        assert world.answer_findings() == ["shows 4 live of 7 positions; the draw has 4 of 6"]

    @pytest.mark.parametrize("operator", [FOURTH, CONTRACTS["Assets"]])
    def test_finds_an_answer_without_a_duty(self, world, operator):
        """It did not sign the one live object, or is nobody: nothing is drawn, and nothing was to be answered."""
        world.answer(operator)
        assert world.answer_findings(-1) == ["answered although it held nothing"]

    def test_finds_an_answer_for_a_vacant_place(self, world):
        """Vacant at the epoch's frozen block; one block later the duty stands."""
        world.vacate(FIRST, EPOCH * 20 - PARAMETERS.finality + 1)
        assert world.answer_findings() == []
        world.vacate(FIRST, EPOCH * 20 - PARAMETERS.finality)
        assert world.answer_findings() == ["answered although it held nothing"]

    @pytest.mark.parametrize("changes", [{"y": 1}, {"proof": b"\xc0" + bytes(47)}])
    def test_finds_an_opening_of_nothing(self, changes):
        """Eight expired rows beside one live: with this seed the third operator's four reads are all void."""
        world = World(old=make_object(30_000), encoded=make_object(3000), seed=keccak(text="seed 4"))
        world.answer(THIRD)
        assert (world.index.lists["answered"][-1].live, world.answer_findings(-1)) == (0, [])
        world.sent.update(changes)
        assert world.answer_findings(-1) == ["opens something although nothing was live"]

    @pytest.mark.parametrize("changes", [{"proof": b""}, {"proof": b"\1" * 48}])
    def test_what_cannot_be_verified_is_a_finding(self, world, changes):
        world.sent.update(changes)
        found = [item for item in world.audit().findings if item.kind == "response"]
        assert [item.subject for item in found] == [f"epoch {EPOCH}, {FIRST}"]
        assert found[0].what.startswith("cannot be verified: ")


class TestSlash:
    """What a slash took, from whom, when."""

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"bond_taken": 101}, "took 101 of the bond, the roster fixed 100"),
            ({"reporter_reward": 31}, "paid the reporter 31, not 30"),
            ({"reporter_reward": 29}, "paid the reporter 29, not 30"),
            ({"bond_taken": 50}, "paid the reporter 30, not 25"),
            ({"stake_taken": {TOKEN: 71}}, "took stake of weight 71, the roster fixed 70"),
            ({"stake_taken": {TOKEN: 70, ZERO: 1}}, f"took 1 of {ZERO}, which the shard does not count"),
            ({"operator": FOURTH}, "slashed although it held nothing"),
            ({"epoch": 7}, "slashed although it held nothing"),
            ({"roster": 2}, "slashed by roster 2, its duty was in 1"),
            ({"executed_block": 149}, "carried out in block 149, before 150"),
        ],
    )
    def test_finds(self, world, changes, found):
        world.change("slashed", **changes)
        assert world.slash_findings() == [found]

    @pytest.mark.parametrize(
        "changes",
        [
            {"bond_taken": 50, "reporter_reward": 25},
            {"bond_taken": 0, "reporter_reward": 0, "stake_taken": {}},
            {"stake_taken": {TOKEN: 1}},
            {"executed_block": 150},
        ],
    )
    def test_less_may_be_taken(self, world, changes):
        """Where there was less."""
        world.change("slashed", **changes)
        assert world.slash_findings() == []


def missed_by(operator: str) -> Break:
    def change(world: World) -> None:
        world.change("missed", operator=operator)
        world.change("slashed", operator=operator)

    return change


def without_miss(world: World) -> None:
    world.index.lists["missed"].clear()
    world.index.lists["slashed"].clear()


def slashed_again(world: World) -> None:
    world.add("slashed", replace(world.index.lists["slashed"][0], slash_id=b"again"))


class TestWholeAudit:
    """What only shows between records: misses, slashes, payments."""

    @pytest.mark.parametrize(
        ("wrong", "found"),
        [
            (without_miss, [("miss", THIRD, "was never reported")]),
            (
                lambda world: world.index.lists["slashed"].clear(),
                [("slash", THIRD, "was reported but no slash is queued")],
            ),
            (
                missed_by(FIRST),
                [("miss", THIRD, "was never reported"), ("slash", FIRST, "reported although it answered")],
            ),
            (
                missed_by(FOURTH),
                [("miss", THIRD, "was never reported"), ("slash", FOURTH, "reported although it held nothing")],
            ),
            (
                lambda world: world.change("missed", block=DEADLINE),
                [("slash", THIRD, "reported in block 112, outside the reporting period")],
            ),
            (
                lambda world: world.change("missed", block=DEADLINE + PARAMETERS.reporting + 1),
                [("slash", THIRD, "reported in block 123, outside the reporting period")],
            ),
            (slashed_again, [("slash", THIRD, "slashed 2 times")]),
            (
                lambda world: world.add(
                    "slashed", replace(world.index.lists["slashed"][0], slash_id=b"other", operator=FIRST)
                ),
                [("slash", FIRST, "slashed, but no miss was reported")],
            ),
            (
                lambda world: world.change("slashed", bond_taken=101),
                [("slash", THIRD, "took 101 of the bond, the roster fixed 100")],
            ),
            (
                lambda world: world.change("settled", amount=1, to_operator=1, to_sealers=0),
                [("payment", SECOND, "paid 1, earned 2804")],
            ),
            (
                lambda world: world.change("settled", to_operator=2791),
                [("payment", SECOND, "2791 of 2804 went to the operator")],
            ),
            (
                lambda world: world.change("settled", to_operator=-1),
                [("payment", SECOND, "-1 of 2804 went to the operator")],
            ),
            (
                lambda world: world.change("settled", to_sealers=15),
                [("payment", SECOND, "paid 15 for sealing, whose part is 14")],
            ),
            (
                lambda world: world.change("settled", to_sealers=0),
                [("payment", SECOND, "paid 0 for sealing, whose part is 14")],
            ),
            (
                lambda world: world.change("settled", operator=THIRD, amount=14, to_operator=7, to_sealers=0),
                [("payment", THIRD, "paid for an epoch without an answer")],
            ),
            (lambda world: world.add("settled", world.index.lists["settled"][1]), [("payment", SECOND, "paid twice")]),
        ],
    )
    def test_finds(self, world, wrong: Break, found):
        wrong(world)
        expected = [(kind, f"epoch {EPOCH}, {operator}", what) for kind, operator, what in found]
        assert [(item.kind, item.subject, item.what) for item in world.audit().findings] == expected

    def test_an_epoch_whose_sealer_is_nobody_pays_it_nothing(self, world):
        """The whole is the operator's and its restakers'."""
        world.change("sealed", sealer=ZERO)
        findings = [item.what for item in world.audit().findings]
        assert findings == ["paid 14 for sealing, whose part is 0"] * 2
        for number in range(2):
            world.change("settled", number, to_sealers=0)
        assert world.audit().findings == []

    def test_rosters_are_judged_by_the_audits_that_they_name(self, world):
        """What was answered at another one proves nothing, and earns nothing."""
        other = CONTRACTS["Assets"]
        paid = world.population.earned(EPOCH, FIRST, AUDITS)
        world.add("sealed", replace(world.sealed, audits=other))
        world.change("answered", 0, audits=other)
        there = f"epoch {EPOCH}, {FIRST}"
        assert [(item.kind, item.subject, item.what) for item in world.audit().findings] == [
            ("response", f"{there} at {other}", "answered although it held nothing"),
            ("miss", there, "was never reported"),
            ("payment", there, f"paid {paid}, earned 0"),
        ]

    def test_who_missed_two_audits_is_slashed_once(self, world):
        """A newer roster answers to another Audits: who was reported at one need not be at the other."""
        other, older = CONTRACTS["Assets"], world.views.held
        newer = replace(older, number=2, head=replace(older.head, slasher=other))
        world.views.roster = lambda _shard, number: {1: older, 2: newer}[number]
        world.index.rosters = lambda *_: [SimpleNamespace(shard=SHARD, number=number) for number in (1, 2)]
        world.add("sealed", replace(world.sealed, audits=other))
        third = replace(world.index.lists["opened"][1], object_id=OTHER, roster=2)
        world.add("opened", third)
        world.add("certified", replace(world.index.lists["certified"][1], object_id=OTHER, non_signers=()))
        found = [(item.subject, item.what) for item in world.audit().findings if item.kind == "miss"]
        missed = [f"epoch {EPOCH}, {operator} at {other}" for operator in (FIRST, SECOND, FOURTH)]
        assert found == [(subject, "was never reported") for subject in missed]

    def test_finds_answers_and_misses_of_an_epoch_that_was_never_sealed(self, world):
        """And goes on with the others."""
        world.change("answered", 0, epoch=4)
        world.add("missed", Miss(SHARD, 4, SECOND, ZERO, b"early", 95, b"report", AUDITS))
        found = [(item.kind, item.subject, item.what) for item in world.audit().findings]
        assert ("response", f"epoch 4, {FIRST}", "answers an epoch that was never sealed") in found
        assert ("slash", f"epoch 4, {SECOND}", "reported for an epoch that was never sealed") in found

    @pytest.mark.parametrize(("until", "due"), [(DEADLINE, 0), (DEADLINE + 1, 1), (DEADLINE + 10, 1)])
    def test_a_miss_is_due_while_it_can_be_reported(self, world, until, due):
        without_miss(world)
        report = world.audit(until)
        assert (report.findings, report.due) == ([], due)

    def test_a_slash_is_due_until_it_is_carried_out(self, world):
        world.change("slashed", executed_block=None, bond_taken=0, reporter_reward=0, stake_taken={})
        report = world.audit()
        assert (report.findings, report.due, report.faults) == ([], 1, 0)


class TestFollow:
    """An audit that goes on where an earlier one was."""

    def test_what_was_verified_is_counted_and_not_looked_at_again(self, world):
        """The opening was true when it was looked at: what an endpoint says of it now isn't asked."""
        first = world.audit()
        world.sent["y"] += 1
        again = world.audit(since=first)
        assert again == first
        assert [item.what for item in world.audit().findings] == [FORGED]

    def test_what_was_found_is_found_again(self, world):
        world.sent["y"] += 1
        first = world.audit()
        assert [item.what for item in first.findings] == [FORGED]
        assert world.audit(since=AuditReport.from_json(first.to_json())) == first

    def test_what_came_since_is_looked_at(self, world):
        """The first audit ended before the answers' block."""
        answer = world.index.lists["answered"][0]
        first = replace(world.audit(), to_block=answer.block - 1)
        world.sent["y"] += 1
        assert [item.what for item in world.audit(since=first).findings] == [FORGED]

    def test_what_could_not_be_verified_is_tried_again(self, world):
        """No node served the manifest; later one does."""
        manifest = world.stored.pop(NEW)
        first = world.audit()
        assert any(item.what.startswith("cannot be verified") for item in first.findings)
        world.stored[NEW] = manifest
        assert world.audit(since=first).findings == []

    @pytest.fixture
    def chain(self):
        return SimpleNamespace(chain_id=1, contract=lambda name: SimpleNamespace(address=f"0x{name}"))

    @pytest.fixture
    def rounds(self, monkeypatch):
        """What each round was given; each returns a report up to its number, the second fails."""
        given = []

        def run(_chain, _index, *, act, since):
            given.append(since)
            if len(given) == 2:
                raise ChainError("no answer")
            return AuditReport(0, len(given), responses=len(given))

        monkeypatch.setattr(following, "audit", run)
        return given

    def test_goes_on_after_failures_and_restarts(self, chain, rounds, tmp_path):
        """Each round starts from the last report; a process that starts anew, from the file."""
        state = tmp_path / "deep" / "audit.json"
        reports = following.follow(chain, None, state, every=0.0)
        first, second = next(reports), next(reports)
        assert (first.to_block, second.to_block) == (1, 3)
        assert rounds == [None, first, first]
        reports = following.follow(chain, None, state, every=0.0)
        next(reports)
        assert rounds[3] == second

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"deployment": {"chainId": 2}, "report": {}}'])
    def test_verifies_everything_again_where_the_state_is_of_no_use(self, chain, rounds, tmp_path, content):
        state = tmp_path / "audit.json"
        state.write_text(content)
        next(following.follow(chain, None, state, every=0.0))
        assert rounds == [None]

    def test_stops_when_told_to(self, chain, rounds, tmp_path):
        stop = threading.Event()
        reports = following.follow(chain, None, tmp_path / "audit.json", every=1000.0, stop=stop)
        next(reports)
        stop.set()
        assert list(reports) == []
        assert rounds == [None]
