"""Threshold keys against an adversary that has t-1 holders, the network, reorganisations, and licenses of its own.

It holds its shares, reads and replays every message, asks with points and proofs of its choice, buys licenses that end,
are revoked or reorganised away, lies as a holder, and decides who is asked when and what happens in between.

- It never has a key of which it held no license that was final and in force (`key_world.Knowledge` says what it has).
- Whoever holds a license throughout gets the data key while t honest holders answer, whatever the others send.
- No honest holder signs a receipt that it could be slashed for, whatever is reorganised later.

The library is the real one. That the machine has teeth is tested, too: without a check of the library's it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from eth_hash.auto import keccak
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from qanat.errors import KeyUnavailable, QanatError
from qanat.field import MODULUS
from qanat.keys import holding, release, schnorr
from qanat.keys.context import KeyContext, possession_context
from qanat.keys.release import LicenseeKey, open_key
from tests.properties import key_world
from tests.properties.key_world import (
    ADVERSARY,
    ALICE,
    BOB,
    CONTEXTS,
    CORRUPT,
    CURVE,
    FINALITY,
    HOLDERS,
    HONEST,
    KEYS,
    ONE,
    OTHER_KEYS,
    OWN,
    PLACES,
    THRESHOLD,
    Form,
    Knowledge,
    Ledger,
    Request,
    added,
    base_form,
    data_key,
    dealings,
    honest_holder,
    multiplied,
    point_of,
    scaled,
    sealed_shares,
    share_form,
)

pytestmark = pytest.mark.skipif(CURVE.name != "fast", reason="the reference's curve takes minutes")

NUMBERS = st.integers(0, len(CONTEXTS) - 1)
CHAINS = st.sampled_from([1, 1, 1, 2])
#: What is sold: (contract, asset).
GOODS = st.sampled_from([(KEYS, 7), (KEYS, 7), (KEYS, 8), (OTHER_KEYS, 7)])
PEOPLE = st.sampled_from([ADVERSARY, ADVERSARY, ALICE, BOB])
LICENSES = st.integers(1, 6)
LENGTHS = st.sampled_from([1, 3, 6, 50, 50, 50])
SCALARS = st.integers(1, 1000)
#: What a corrupt holder sends.
LIES = st.sampled_from(["right", "identity", "garbage", "other", "silence"])


class KeyMachine(RuleBasedStateMachine):
    """One run."""

    @initialize()
    def begin(self) -> None:
        self.ledgers = {1: Ledger(), 2: Ledger()}
        self.holders = {place: honest_holder(place) for place in HONEST}
        self.knowledge = Knowledge()
        self.requests: list[tuple[Request, Form]] = []
        self.answers: list[tuple[Form, bytes]] = [(ONE, CURVE.g1)]
        self.allowed: set[int] = set()
        self.people = 0

    # ---- the chain

    @rule(
        chain=CHAINS, goods=GOODS, who=PEOPLE, length=st.sampled_from([1, 3, 6, 50, 50, 50]), blocks=st.integers(0, 4)
    )
    def buy(self, chain: int, goods: tuple[bytes, int], who: bytes, length: int, blocks: int) -> None:
        ledger = self.ledgers[chain]
        ledger.mine(ledger.buy(*goods, who, length))
        self.mine(chain, blocks)

    @rule(chain=CHAINS, number=LICENSES)
    def revoke(self, chain: int, number: int) -> None:
        self.ledgers[chain].mine(self.ledgers[chain].revoke(number))
        self.look()

    @rule(chain=CHAINS, blocks=st.integers(1, 5))
    def mine(self, chain: int, blocks: int) -> None:
        for _ in range(blocks):
            self.ledgers[chain].mine()
            self.look()

    @rule(chain=CHAINS, depth=st.integers(1, FINALITY), keep=st.booleans(), empty=st.integers(0, 2))
    def reorganise(self, chain: int, depth: int, keep: bool, empty: int) -> None:
        self.ledgers[chain].reorganise(depth, keep=keep, empty=empty)
        self.look()

    @rule(place=st.sampled_from(HONEST), live=st.booleans())
    def switch(self, place: int, live: bool) -> None:
        """At least t honest holders stay up."""
        down = sum(not holder.live for holder in self.holders.values())
        self.holders[place].live = live or down >= len(HONEST) - THRESHOLD

    def look(self) -> None:
        """Note which keys the adversary may have from now on."""
        for number, context in enumerate(CONTEXTS):
            if any(self.is_licensed(context, number_, ADVERSARY) for number_ in self.of(context).blocks[-1]):
                self.allowed.add(number)

    def of(self, context: KeyContext) -> Ledger:
        return self.ledgers[context.chain_id]

    def is_licensed(self, context: KeyContext, license_id: int, who: bytes) -> bool:
        ledger = self.of(context)
        return all(ledger.licensed(context, license_id, who, block) for block in (ledger.final, ledger.latest))

    def license_of(self, context: KeyContext, who: bytes, number: int) -> int:
        """Return one of somebody's licenses of an asset, in force or not; now and then, or if there is none, any."""
        wanted = (context.contract, context.asset_id, who)
        sold = self.of(context).blocks[-1].values()
        own = [item.number for item in sold if (item.contract, item.asset, item.licensee) == wanted]
        return own[number % len(own)] if own and number != 1 else number

    # ---- the adversary

    @rule(
        number=NUMBERS,
        other=NUMBERS,
        place=st.sampled_from(HONEST),
        license_id=LICENSES,
        kind=st.sampled_from(["own", "shift", "shift", "minus", "related", "answer", "identity", "copied"]),
        proof=st.sampled_from(["own", "own", "elsewhere", "seen", "none"]),
        scalar=SCALARS,
        which=st.integers(0, 20),
    )
    def ask(
        self, number: int, other: int, place: int, license_id: int, kind: str, proof: str, scalar: int, which: int
    ) -> None:
        """Ask an honest holder with a point and a proof of one's choice."""
        context = CONTEXTS[number]
        form, point = self.chosen(kind, number, other, scalar, which)
        possession = self.proof(proof, context, scalar if kind != "identity" else 0, which)
        if kind == "copied" and self.requests:
            possession = self.requests[which % len(self.requests)][0].possession
        request = Request(ADVERSARY, context, self.license_of(context, ADVERSARY, license_id), point, possession)
        answer = self.deliver(request, form, place)
        if answer is not None and kind == "own":
            assert self.knowledge.opened(number) == data_key(number), "a licensed answer must open the key"

    def chosen(self, kind: str, number: int, other: int, scalar: int, which: int) -> tuple[Form, bytes]:
        """Return a point that the adversary can make, and its polynomial."""
        own: tuple[Form, bytes] = {(): scalar}, point_of(scalar)
        if kind == "shift":
            form = added(base_form(other), scaled(base_form(number), -1), own[0])
            return form, CURVE.combine_g1(
                [CONTEXTS[other].base(CURVE), CONTEXTS[number].base(CURVE), own[1]], [1, -1, 1]
            )
        if kind == "minus":
            return scaled(base_form(number), -1), CURVE.combine_g1([CONTEXTS[number].base(CURVE)], [-1])
        if kind == "related" and self.requests:
            request, form = self.requests[which % len(self.requests)]
            return added(form, own[0]), CURVE.combine_g1([request.point, own[1]], [1, 1])
        if kind == "answer":
            return self.answers[which % len(self.answers)]
        if kind == "identity":
            return {}, bytes(96)
        if kind == "copied" and self.requests:
            request, form = self.requests[which % len(self.requests)]
            return form, request.point
        return own

    def proof(self, kind: str, context: KeyContext, scalar: int, which: int) -> bytes:
        """Return a proof of possession, of what the adversary knows or has seen."""
        if kind == "seen" and self.requests:
            return self.requests[which % len(self.requests)][0].possession
        if kind == "none":
            return bytes(64)
        chain = context.chain_id + (kind == "elsewhere")
        return schnorr.prove(CURVE, scalar, possession_context(chain, context.contract, ADVERSARY))

    def deliver(self, request: Request, form: Form, place: int) -> bytes | None:
        """Bring a request to an honest holder; whatever it answers, the adversary reads."""
        answer = self.holders[place].answer(self.ledgers, request)
        if answer is not None:
            number = CONTEXTS.index(request.context)
            made = multiplied(share_form(number, place), added(base_form(number), form))
            self.knowledge.learn(made, answer)
            self.answers.append((made, answer))
        return answer

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0, 20), place=st.sampled_from(HONEST))
    def replay(self, which: int, place: int) -> None:
        """Bring an honest request again, at any time, to any holder."""
        self.deliver(*self.requests[which % len(self.requests)], place)

    @rule(number=NUMBERS, place=st.sampled_from(HONEST), context=st.sampled_from([OWN, *CONTEXTS]))
    def copy_a_dealing(self, number: int, place: int, context: KeyContext) -> None:
        """An asset of the adversary's own, or another key, with this key's dealing: no holder takes part in that."""
        if context is CONTEXTS[number]:
            return
        with pytest.raises(QanatError):
            honest_holder(place).accept(context, dealings()[number], sealed_shares(number)[place])

    # ---- honest licensees

    @rule(
        number=NUMBERS,
        who=st.sampled_from([ALICE, BOB]),
        license_id=LICENSES,
        scalar=st.integers(2, MODULUS - 1),
        one_key=st.booleans(),
        order=st.permutations(range(PLACES)),
        lies=st.tuples(LIES, LIES),
        event=st.sampled_from(["", "", "mine", "revoke", "reorganise"]),
        at=st.integers(0, PLACES - 1),
    )
    def license_holder_asks(
        self,
        number: int,
        who: bytes,
        license_id: int,
        scalar: int,
        one_key: bool,
        order: list[int],
        lies: tuple[str, str],
        event: str,
        at: int,
    ) -> None:
        """Ask all holders, in the adversary's order, with the chain going on in between.

        With ``one_key`` two licensees have one and the same x.
        """
        context, ledger = CONTEXTS[number], self.of(CONTEXTS[number])
        license_id = self.license_of(context, who, license_id)
        name, scalar = ("x", 987654321) if one_key else (f"x{self.people}", scalar)
        self.people += 1
        key = LicenseeKey(scalar)
        request = Request(who, context, license_id, key.point, key.prove(context.chain_id, context.contract, who))
        form: Form = {(name,): 1}
        self.requests.append((request, form))
        self.knowledge.learn(form, key.point)

        answers: dict[int, bytes] = {}
        entitled = 0
        for step, place in enumerate(order):
            if step == at:
                self.happens(event, ledger, license_id)
            if place in CORRUPT:
                answers.update(self.lie(lies[CORRUPT.index(place)], number, place, key))
                continue
            may = self.is_licensed(context, license_id, who) and self.holders[place].live
            entitled += may
            answer = self.deliver(request, form, place)
            assert (answer is not None) == may, "an honest holder answers whom it owes an answer, and nobody else"
            if answer is not None:
                answers[place] = answer
        opened, wrong = None, []
        try:
            opened = open_key(context, dealings()[number].commitments, key, answers)
        except KeyUnavailable as error:
            wrong = error.data["wrong"]
        assert opened == data_key(number) or entitled < THRESHOLD, "a license that holds opens the key"
        assert opened in (None, data_key(number))
        assert set(wrong) <= set(CORRUPT), "who answered well is not called a liar"

    def happens(self, event: str, ledger: Ledger, license_id: int) -> None:
        if event == "mine":
            ledger.mine()
        elif event == "revoke":
            ledger.mine(ledger.revoke(license_id))
        elif event == "reorganise":
            ledger.reorganise(2, keep=False, empty=1)
        self.look()

    def lie(self, kind: str, number: int, place: int, key: LicenseeKey) -> dict[int, bytes]:
        """Return what a corrupt holder sends."""
        if kind == "silence":
            return {}
        if kind == "garbage":
            return {place: keccak(b"lie") * 3}
        if kind == "identity":
            return {place: bytes(96)}
        share = dealings()[number].shares[place] + (kind == "other")
        return {place: CURVE.combine_g1([CONTEXTS[number].base(CURVE), key.point], [share, share])}

    # ---- what must hold

    @invariant()
    def no_key_without_a_license(self) -> None:
        for number in set(range(len(CONTEXTS))) - self.allowed:
            found = self.knowledge.opened(number)
            assert found is None, f"key {number} was read without a license: {found == data_key(number)}"

    @invariant()
    def no_receipt_is_a_fault(self) -> None:
        for holder in self.holders.values():
            for context, receipt in holder.receipts:
                assert not self.of(context).blames(receipt, context.contract), "an honest holder could be slashed"


def play(examples: int, **options: Any) -> None:
    """Run the machine."""
    run_state_machine_as_test(
        KeyMachine, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, **options)
    )


def test_no_adversary_reads_without_a_license_and_every_licensee_does() -> None:
    """The machine, over the real library."""
    play(settings().max_examples // 4 if settings().max_examples > 50 else 15)


# ---- that it has teeth


def blind(**given: bool) -> Callable[..., Any]:
    """Return an ``answer_request`` to which a license was in force, whatever its caller saw."""
    real = holding.answer_request
    return lambda *args, **options: real(*args, **{**options, **given})


def unfinal_license(machine: KeyMachine) -> None:
    """Bought a block ago, asked for, reorganised away."""
    machine.buy(1, (KEYS, 7), ADVERSARY, 50, 0)
    machine.ask(0, 0, 1, 1, "own", "own", 5, 0)


def revoked_license(machine: KeyMachine) -> None:
    """Final, and revoked in the newest block."""
    machine.buy(1, (KEYS, 7), ADVERSARY, 50, 4)
    machine.revoke(1, 1)
    machine.ask(0, 0, 1, 1, "own", "own", 5, 0)


def other_bases(machine: KeyMachine) -> None:
    """A license of one asset, and P = R' - R + [5]G1 with a proof of 5: a careless owner's other asset is read."""
    machine.buy(1, (KEYS, 7), ADVERSARY, 50, 4)
    machine.ask(0, 2, 1, 1, "shift", "own", 5, 0)


def own_point(machine: KeyMachine) -> None:
    """A license of one asset, used as it should be."""
    machine.buy(1, (KEYS, 7), ADVERSARY, 50, 4)
    machine.ask(0, 0, 1, 1, "own", "own", 5, 0)


def liars(machine: KeyMachine) -> None:
    """A licensee asks everybody; two lie."""
    machine.buy(1, (KEYS, 7), ALICE, 50, 4)
    machine.license_holder_asks(0, ALICE, 1, 5, False, list(range(PLACES)), ("other", "other"), "", 0)


Steps = Callable[[KeyMachine], None]
BREAKS: dict[str, tuple[Any, str, Callable[[], Any], Steps, str]] = {
    "the final block is not asked": (
        *(holding, "answer_request", partial(blind, licensed_final=True)),
        *(unfinal_license, "not licensed"),
    ),
    "the newest block is not asked": (
        *(holding, "answer_request", partial(blind, licensed_now=True)),
        *(revoked_license, "not licensed"),
    ),
    "P needs no proof": (
        *(holding, "check_possession", lambda: lambda *_, **__: None),
        *(other_bases, "without a license: True"),
    ),
    "R is one for all keys": (
        *(KeyContext, "base", lambda: lambda _self, kernel: kernel.hash_to_g1(bytes(32), b"one for all")),
        *(own_point, "without a license: True"),
    ),
    "wrong answers are taken": (
        *(release, "is_right", lambda: lambda *_, **__: True),
        *(liars, "do not give the key"),
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_the_machine_sees_what_is_missing(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one check of the library's these steps of it end in a failure, and in none with it."""
    where, name, make, steps, expected = BREAKS[what]
    cached = (key_world.dealings, key_world.sealed_shares, key_world._accepted)

    def run() -> None:
        for item in cached:
            item.cache_clear()
        machine = KeyMachine()
        machine.begin()
        steps(machine)
        machine.no_key_without_a_license()
        machine.no_receipt_is_a_fault()

    try:
        run()
        monkeypatch.setattr(where, name, make())
        with pytest.raises((AssertionError, QanatError), match=expected):
            run()
    finally:
        for item in cached:
            item.cache_clear()


def test_a_reorganised_license_would_be_a_holders_fault() -> None:
    """What is lost where the final block isn't asked: the key goes to nobody's licensee, and the holder is slashed."""
    machine = KeyMachine()
    machine.begin()
    machine.buy(1, (KEYS, 7), ADVERSARY, 50, 0)
    ledger, scalar = machine.ledgers[1], 5
    proof = schnorr.prove(CURVE, scalar, possession_context(1, KEYS, ADVERSARY))
    held = machine.holders[1].held[CONTEXTS[0].identity]
    seen = {"licensed_final": True, "licensed_now": True, "block_number": ledger.latest}
    receipt = holding.answer_request(held, 1, ADVERSARY, point_of(scalar), proof, **seen)
    machine.holders[1].receipts.append((CONTEXTS[0], receipt))
    machine.knowledge.learn(multiplied(share_form(0, 1), added(base_form(0), {(): scalar})), receipt.answer)
    machine.reorganise(1, FINALITY, keep=False, empty=1)
    with pytest.raises(AssertionError, match="slashed"):
        machine.no_receipt_is_a_fault()
    with pytest.raises(AssertionError, match="without a license: True"):
        machine.no_key_without_a_license()


def test_what_the_adversary_computes_is_what_the_library_makes() -> None:
    """With t-1 shares and one answer to a point of its own a licensed adversary has the data key, and no other."""
    knowledge = Knowledge()
    assert all(knowledge.opened(number) is None for number in range(len(CONTEXTS)))
    key = LicenseeKey(5)
    answer = release.release(CONTEXTS[2], dealings()[2].shares[3], key.point)
    knowledge.learn(multiplied(share_form(2, 3), added(base_form(2), {(): 5})), answer)
    assert knowledge.opened(2) == data_key(2)
    assert all(knowledge.opened(number) is None for number in (0, 1, 3, 4))
    assert len(HOLDERS) == PLACES
