"""A farmer's weather records, stored, licensed three times, sold: who received what, as the exact model says.

Everything on chain is real. The model reckons from the plan below and `qanat.licensing.streams` alone; it reads nothing
from the chain but the midnight that the plan begins at. `docs/scenario.md` holds the table: `UPDATE=1` writes it anew.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from eth_account import Account
from eth_utils import keccak

from qanat.keys.encryption import FileDecryption, FileEncryption, generate_data_key
from qanat.licensing.streams import DAY_S, FRACTION_BITS, Book, Stream, pour
from qanat.objects import encode, restore
from tests.contracts.licensing import EVALUATE, INFER, TRAIN, Market, terms_hash
from tests.contracts.system import Data, deploy_system

ROOT = Path(__file__).resolve().parents[2]
#: Four years of daily weather, 48 KB, from NOAA's National Climatic Data Center: a work of the US government.
RECORDS = ROOT / "node_modules/vega-datasets/data/seattle-weather.csv"
PAGE = ROOT / "docs" / "scenario.md"
BEGIN, END = "<!-- made by the test -->\n", "<!-- to here -->\n"

K, N, WIDTH, EPOCHS = 2, 6, 1024, 2
FEE_BPS, COMMISSION_BPS, UNPROVEN_TO_PAYER_BPS, SEALER_BPS = 100, 1_000, 6_000, 50
#: Wad a byte and epoch, and a byte: the shard's.
STORAGE_PRICE, INTAKE_PRICE = 3 * 10**16, 7 * 10**15
WAD = 10**18


def when(day: int, hour: int, minute: int = 0, second: int = 0) -> int:
    """Return seconds after the plan's first midnight."""
    return day * DAY_S + hour * 3_600 + minute * 60 + second


@dataclass(frozen=True)
class Sale:
    """A license of the plan: prices in token units, times in seconds after the first midnight."""

    buyer: str
    purpose: int
    price: int
    days: int
    release_bps: int
    bought: int
    released: int

    @property
    def for_release(self) -> int:
        return self.price * self.release_bps // 10_000

    def stream(self) -> Stream:
        """The part that is earned with time."""
        return Stream(self.price - self.for_release, self.bought, self.bought + self.days * DAY_S, self.bought)


TRAINING = Sale("trainer", TRAIN, 1_200_000_007, 30, 8_000, when(0, 10), when(0, 10, 5))
INFERENCE = Sale("server", INFER, 600_000_011, 60, 2_500, when(0, 12, 34, 56), when(0, 13))
EVALUATION = Sale("evaluator", EVALUATE, 90_000_001, 20, 0, when(1, 7), when(1, 8))
SALES = (TRAINING, INFERENCE, EVALUATION)

FIRST_CLAIM = when(5, 9)
SOLD = when(10, 15, 30, 11)
WITHDRAWN = EVALUATION.bought + 10 * DAY_S  # half-way, for no fault of the licensee
SECOND_CLAIM = when(20, 18, 0, 1)
BREACH = INFERENCE.bought + 30 * DAY_S  # half-way, for cause
UNDISPUTED = BREACH + 14 * DAY_S + 1
LAST_CLAIM = when(70, 12)


# ---- the model -------------------------------------------------------------------------------------------------------


@dataclass
class Reckoned:
    """What everybody receives, by (who, for what), in token units; and what was paid in by whom."""

    received: dict[tuple[str, str], int] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    #: what the farmer's tenure earned, before the protocol's part
    farmers_gross: int = 0

    def give(self, who: str, what: str, amount: int) -> None:
        self.received[who, what] = self.received.get((who, what), 0) + amount

    def of(self, who: str) -> int:
        return sum(amount for (name, _), amount in self.received.items() if name == who)


def reckon() -> Reckoned:
    """Reckon the whole plan: licenses by the model of streams, storage by the documented rules."""
    made = Reckoned()
    reckon_licenses(made)
    reckon_storage(made)
    return made


def reckon_licenses(made: Reckoned) -> None:
    """Follow the plan in the order of its times."""
    book = Book()
    for sale in SALES:
        book.streams.append(sale.stream())
        book.paid_in += sale.price
        book.added += sale.for_release  # each key is released before the first claim
        made.paid[sale.buyer] = sale.price
    book.settled_to = TRAINING.bought

    def settle(owner: str, until: int) -> int:
        amount = book.settle(until, 400)
        parts = pour(amount, FEE_BPS, 0)
        made.give("protocol", "its part of what licenses earned", parts.fee)
        made.give(owner, "what licenses earned while it owned the asset", parts.beneficiary)
        return amount

    def stop(sale: Sale, time: int) -> int:
        place = SALES.index(sale)
        left = book.streams[place].unearned(time)
        book.streams[place] = book.streams[place].stop(time)
        return left

    made.farmers_gross = settle("farmer", FIRST_CLAIM) + settle("farmer", SOLD)
    refund = stop(EVALUATION, WITHDRAWN)
    book.returned += refund
    made.give(EVALUATION.buyer, "refund of what was not earned", refund)
    made.refunds[EVALUATION.buyer] = refund
    settle("cooperative", SECOND_CLAIM)
    frozen = stop(INFERENCE, BREACH)
    made.refunds[INFERENCE.buyer] = 0
    book.added += frozen  # nobody disputed it
    settle("cooperative", LAST_CLAIM)
    assert book.balance == 0


def reckon_storage(made: Reckoned) -> None:
    """Six operators with a row each; the last one misses the second epoch."""
    row_fee = -(-STORAGE_PRICE * 32 * WIDTH // WAD)
    intake = -(-INTAKE_PRICE * 32 * WIDTH * N // WAD)
    made.paid["farmer"] = row_fee * N * EPOCHS + intake
    to_sealer = row_fee * SEALER_BPS // 10_000
    rest = row_fee - to_sealer
    commission = rest * COMMISSION_BPS // 10_000
    # a quarter of each operator's stake is of one collateral; what is left of that division is the operator's
    shared = sum((rest - commission) * part // 4 for part in (1, 3))
    answers = N * EPOCHS - 1
    made.give("sealer", "its part of what the epochs pay", answers * to_sealer)
    made.give(
        "operators", "commission on storage, and what restakers' shares leave undivided", answers * (rest - shared)
    )
    made.give("operators", "intake", intake // N * N)
    made.give("restakers", "storage", answers * shared)
    back = row_fee * UNPROVEN_TO_PAYER_BPS // 10_000
    made.give("farmer", "storage that was not proven", back)
    made.give("repair fund", "its part of that, and what intake leaves undivided", row_fee - back + intake % N)


# ---- the chain -------------------------------------------------------------------------------------------------------


@pytest.fixture
def farm(project, accounts):
    """The whole system with six operators and a roster; people by the names that the model knows them by."""
    system = deploy_system(project, accounts[0], accounts[5])
    system.enroll(accounts[9:15])
    system.take_roster()
    names = ("farmer", "cooperative", "trainer", "evaluator", "server", "arbiter", "protocol")
    people = SimpleNamespace(**dict(zip(names, (*accounts[1:5], *accounts[6:9]), strict=True)))
    market = Market(
        system.directory,
        system.objects,
        system.operators,
        system.payments,
        system.assets,
        system.licenses,
        system.payment_token,
        accounts[0],
    )
    return SimpleNamespace(system=system, market=market, people=people, governor=accounts[0], operators=accounts[9:15])


def stored(farm) -> SimpleNamespace:
    """Encrypt the records, encode them, store them: the object's id, its data and the key."""
    plain = RECORDS.read_bytes()
    key = generate_data_key()
    cipher = FileEncryption(key)
    ciphertext = b"".join(cipher.apply([plain]))
    made = encode(ciphertext, k=K, n=N, width=WIDTH, header=cipher.header)
    manifest = made.manifest
    data = Data(
        width=WIDTH,
        k=K,
        n=N,
        matrices=manifest.matrices,
        size=manifest.size,
        content_hash=manifest.content_hash,
        header_hash=keccak(manifest.header),
        slices=tuple(made.slices),
        commitments=manifest.commitments,
    )
    assert data.root == manifest.root
    object_id = farm.system.store(farm.people.farmer, data, epochs=EPOCHS)
    return SimpleNamespace(object_id=object_id, manifest=manifest, slices=made.slices, key=key, plain=plain)


class Plan:
    """Does on the chain what the model reckons."""

    def __init__(self, farm):
        from ape import chain

        self.farm, self.chain = farm, chain
        self.midnight = (int(chain.blocks.head.timestamp) // DAY_S + 40) * DAY_S
        self.numbers: dict[str, int] = {}

    def at(self, seconds: int) -> None:
        """Let the next transaction be at a time of the plan."""
        self.chain.provider.set_timestamp(self.midnight + seconds)

    def offer(self, asset: int, sale: Sale) -> int:
        market, people = self.farm.market, self.farm.people
        return market.offer(
            people.farmer,
            asset,
            price=sale.price,
            purposes=sale.purpose,
            duration=sale.days * DAY_S,
            earnedAtReleaseBps=sale.release_bps,
            arbiter=people.arbiter.address,
        )

    def buy(self, offers: dict[str, int], sale: Sale) -> None:
        """Buy, and have the key released by the first operator."""
        market, buyer = self.farm.market, getattr(self.farm.people, sale.buyer)
        market.fund(buyer, sale.price)
        terms, _ = market.licenses.offer(offers[sale.buyer])
        self.at(sale.bought)
        market.licenses.buy(offers[sale.buyer], terms_hash(terms), sale.price, sender=buyer)
        number = int(market.licenses.licenseCount())
        holder, recipient = self.farm.operators[0], bytes(31) + b"\1"
        digest = market.licenses.keyRequestDigest(number, holder, recipient, 2**40)
        signature = bytes(Account.unsafe_sign_hash(digest, buyer.private_key).signature)
        self.at(sale.released)
        market.licenses.recordRelease(number, holder, recipient, 2**40, signature, sender=holder)
        self.numbers[sale.buyer] = number

    def settle(self, asset: int, seconds: int, claimer: str) -> None:
        """Have the asset's book paid, by its owner, who claims what it gave."""
        market, person = self.farm.market, getattr(self.farm.people, claimer)
        self.at(seconds)
        assert market.licenses.settle(asset, market.token, 400, sender=person).return_value[1]
        market.payments.claim(market.token, sender=person)


def test_everybody_receives_what_the_exact_model_says(farm):
    """Three licenses, two of them ended half-way, one for cause; the asset sold between two epochs; to the unit."""
    reckoned = reckon()
    system, market, people = farm.system, farm.market, farm.people
    token, payments, licenses = market.token, market.payments, market.licenses
    system.payments.announceProtocolFee(FEE_BPS, people.protocol, sender=farm.governor)
    item = stored(farm)
    rows = list(csv.DictReader(item.plain.decode().splitlines()))
    about = json.dumps({"name": "daily weather", "records": len(rows), "fields": list(rows[0])})
    market.assets.mint([item.object_id], hashlib.sha256(item.plain).digest(), about, sender=people.farmer)
    asset = int(market.assets.count())
    plan = Plan(farm)
    offers = {sale.buyer: plan.offer(asset, sale) for sale in SALES}

    epoch = system.objects.record(item.object_id).firstEpoch
    for sale in SALES:
        plan.buy(offers, sale)
    for sale in SALES:
        buyer = getattr(people, sale.buyer)
        allowed = [licenses.isLicensed(buyer, asset, purpose) for purpose in (TRAIN, EVALUATE, INFER)]
        assert allowed == [sale.purpose == purpose for purpose in (TRAIN, EVALUATE, INFER)]
    # what the licensees have bought: the records, from any two rows
    got = restore(item.manifest, {1: item.slices[1], 5: item.slices[5]})
    assert b"".join(FileDecryption(item.key, item.manifest.header).apply([got])) == item.plain

    plan.settle(asset, FIRST_CLAIM, "farmer")
    system.seal(epoch)
    system.answer_all(epoch)
    plan.at(SOLD)
    market.assets.transferFrom(people.farmer, people.cooperative, asset, sender=people.farmer)
    system.seal(epoch + 1)
    for operator in farm.operators[:-1]:
        system.answer(operator, epoch + 1)
    plan.at(WITHDRAWN)
    refund = licenses.revoke(
        plan.numbers["evaluator"], keccak(text="plans changed"), bytes(32), sender=people.cooperative
    )
    assert refund.return_value == reckoned.refunds["evaluator"]
    plan.settle(asset, SECOND_CLAIM, "cooperative")
    plan.at(BREACH)
    cause, evidence = keccak(text="served to others"), keccak(text="log of requests")
    licenses.revokeForBreach(plan.numbers["server"], cause, evidence, sender=people.cooperative)
    assert not licenses.isLicensed(people.server, asset, INFER)
    plan.at(UNDISPUTED)
    licenses.conclude(plan.numbers["server"], sender=people.cooperative)
    plan.settle(asset, LAST_CLAIM, "cooperative")

    system.end_window(epoch + 1)
    for operator in farm.operators:
        for number in range(EPOCHS):
            if (operator, number) != (farm.operators[-1], 1):
                system.rewards.settle(system.shard, epoch + number, operator, sender=farm.governor)
        system.rewards.claimIntake(system.shard, 1, operator, sender=operator)
    system.rewards.returnUnproven(item.object_id, epoch + 1, farm.operators[-1], [], sender=farm.governor)

    # what everybody has: in the wallet and in the ledger
    has = {
        name: int(token.balanceOf(account)) + int(payments.claimable(token, account))
        for name, account in vars(people).items()
    }
    has["operators"] = sum(int(payments.claimable(token, operator)) for operator in farm.operators)
    has["sealer"] = int(payments.claimable(token, farm.governor))
    has["repair fund"] = system.repair_fund
    restakers = system.restaker_rewards.address
    has["restakers"] = sum(
        int(payments.balanceOf(token, payments.moduleAccount(restakers, key.ljust(32, b"\0"))))
        for key in (b"inbox", b"booked")
    )
    # its own storage was paid for by minting: what is left of that is what it received
    expected = {name: reckoned.of(name) for name in has}
    assert has == expected
    # the ledger owes nothing besides, and has nothing besides
    assert system.fees_left == 0
    assert market.book(asset) == 0
    in_wallets = sum(int(token.balanceOf(account)) for account in vars(people).values())
    assert int(payments.recorded(token)) == int(token.balanceOf(payments)) == sum(has.values()) - in_wallets
    assert sum(has.values()) == sum(reckoned.paid.values())
    for sale in SALES:
        number = plan.numbers[sale.buyer]
        assert licenses.license(number).refunded == reckoned.refunds.get(sale.buyer, 0)


def test_the_model_is_within_a_unit_of_rational_numbers():
    """Each refund and each owner's tenure, beside what fractions say: never ahead, behind by less than a unit."""
    reckoned = reckon()
    exact = Fraction(EVALUATION.price, 2)  # half of its days, nothing at the release
    assert 0 <= exact - reckoned.refunds["evaluator"] < 1
    earned = sum(
        sale.for_release + Fraction((sale.price - sale.for_release) * (SOLD - sale.bought), sale.days * DAY_S)
        for sale in SALES
    )
    # whole units of the sum, and of each stream what its rate leaves over, less than 2^-8 unit
    assert 0 <= earned - reckoned.farmers_gross < 1 + Fraction(3, 2**8)
    assert FRACTION_BITS == 40
    assert sum(reckoned.received.values()) == sum(reckoned.paid.values())


def table() -> str:
    """Return the page's tables."""
    made = reckon()
    lines = ["| license | paid | earned | returned |", "|---|---|---|---|"]
    for sale, what in zip(SALES, ("train", "infer, ended for cause", "evaluate, ended without"), strict=True):
        back = made.refunds.get(sale.buyer, 0)
        lines.append(f"| {what} | {sale.price:,} | {sale.price - back:,} | {back:,} |")
    lines += ["", "| who | received for | units |", "|---|---|---|"]
    lines += [f"| {who} | {what} | {amount:,} |" for (who, what), amount in made.received.items()]
    paid, received = sum(made.paid.values()), sum(made.received.values())
    lines += [f"| **all** | of {paid:,} that were paid in | **{received:,}** |"]
    return "\n".join(lines) + "\n"


def test_the_page_has_the_table():
    """`docs/scenario.md`, between its marks; UPDATE=1 writes it."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    held, after = rest.split(END)
    if os.environ.get("UPDATE"):
        PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")
        return
    assert held == table()
