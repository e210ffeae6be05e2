"""What a reader signs for reads: never more than was allowed, nor than was served and one read; whatever nodes say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qanat.client.purse import Purse, ReadBook, lower_median, price_in, price_told
from qanat.errors import ChainUnreachable, NodeRefused, StoreError
from qanat.node.paid import Price
from qanat.payments.vouchers import make_voucher, read_voucher, signed_by
from tests.unit.node_doubles import CHAIN_ID, CONTRACTS, FakeChain, make_people

PEOPLE = make_people(3)
OPERATOR, OTHER, READER = PEOPLE[0].address, PEOPLE[1].address, PEOPLE[2]
TOKEN = "0x" + "70" * 20
COST = 3
#: Of a read: three units are 1,025 to 1,536 for a MiB.
SIZE = 2_048


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain(answers={"depositOf": (1_000, 0, 0)})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(chain: FakeChain, clock: Clock, tmp_path: Path) -> Iterator[Any]:
    """Make purses over one book: each as a run of its own would."""
    opened: list[Purse] = []

    def make(limit: int = 100, max_price: int | None = 10_000, **more: Any) -> Purse:
        double: Any = chain
        book = ReadBook(tmp_path / "reads.sqlite")
        opened.append(Purse(double, READER.signer, TOKEN, limit, book, max_price=max_price, clock=clock, **more))
        return opened[-1]

    yield make
    for purse in opened:
        purse.close()


def named(header: str | None, operator: str = OPERATOR) -> int:
    """What a voucher names, if the reader signed it for this operator."""
    assert header is not None
    voucher = read_voucher(header)
    assert signed_by(voucher, CHAIN_ID, CONTRACTS["Payments"], operator, TOKEN) == READER.address
    return voucher.cumulative


def no(status: int = 402, **said: Any) -> NodeRefused:
    """A node's refusal, as the client sees it."""
    return NodeRefused("no", status=status, answer=said)


def buy(purse: Purse, times: int = 1, operator: str = OPERATOR) -> int:
    """Buy reads of an honest node; return what the last voucher named."""
    last = 0
    for _ in range(times):
        last = named(purse.voucher(operator, COST, SIZE), operator)
        purse.served(operator, COST, last)
    return last


class TestSigning:
    def test_each_voucher_names_what_was_served_and_one_read(self, made: Any) -> None:
        purse = made()
        assert [buy(purse) for _ in range(4)] == [3, 6, 9, 12]
        assert (purse.paid, purse.payees[OPERATOR].slices) == (12, 4)

    def test_a_read_that_was_free_leaves_its_voucher_for_the_next(self, made: Any) -> None:
        purse = made()
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3
        purse.served(OPERATOR, COST, None)
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3
        assert (purse.paid, purse.payees[OPERATOR].slices) == (3, 0)

    def test_a_read_that_was_refused_leaves_its_voucher_for_the_next(self, made: Any) -> None:
        """Challenges are open, the slice isn't there: nothing more is signed until it serves."""
        purse = made()
        buy(purse)
        for status in (429, 404, 500):
            assert named(purse.voucher(OPERATOR, COST, SIZE)) == 6
            assert purse.refused(OPERATOR, no(status)) is None
        assert buy(purse) == 6
        assert purse.paid == 6

    def test_nothing_beyond_the_limit_is_signed(self, made: Any) -> None:
        """Of all operators together, to the unit; what was signed before the purse was made doesn't count."""
        buy(made(), 2)
        purse = made(limit=3 * COST + 2)
        buy(purse, 2)
        buy(purse, 1, OTHER)
        for operator in (OPERATOR, OTHER):
            assert purse.voucher(operator, COST, SIZE) is None
        assert purse.is_empty
        assert purse.paid == 3 * COST
        assert named(purse.voucher(OPERATOR, 2, SIZE)) == 4 * COST + 2

    def test_operators_have_accounts_of_their_own(self, made: Any) -> None:
        purse = made()
        assert [buy(purse, 2), buy(purse, 1, OTHER)] == [6, 3]

    def test_a_token_of_another_kind_is_not_paid(self, made: Any) -> None:
        purse = made()
        price = price_in(no(429, token="0x" + "71" * 20, unitsPerMiB=5))
        assert not purse.takes(price)
        assert purse.takes(price_in(no(429, token=TOKEN.upper().replace("X", "x"), unitsPerMiB=5)))
        assert not purse.takes(None)

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"token": TOKEN},
            {"token": 7, "unitsPerMiB": 1},
            {"token": TOKEN, "unitsPerMiB": 0},
            {"token": TOKEN, "unitsPerMiB": -1},
            {"token": TOKEN, "unitsPerMiB": True},
            {"token": TOKEN, "unitsPerMiB": 1 << 104},
            {"token": TOKEN, "unitsPerMiB": "1"},
        ],
    )
    def test_what_is_no_price(self, said: dict[str, Any]) -> None:
        assert price_in(no(429, **said)) is None
        assert price_in(no(402, token=TOKEN, unitsPerMiB=1)) is None
        assert price_in(NodeRefused("without data", status=429)) is None


class TestPrices:
    """No voucher pays more for a MiB than the reader allows, or than twice what the object's nodes usually ask."""

    @pytest.mark.parametrize(("cap", "most"), [(1, 1), (512, 1), (513, 2), (1_280, 3), (1_536, 3), (1_537, 4)])
    def test_nothing_above_the_cap_is_signed(self, made: Any, cap: int, most: int) -> None:
        """To the unit, a read's price rounded up as the node does; and nothing about it is noted as signed."""
        purse = made(max_price=cap)
        for dear in (most + 1, 1 << 103):
            assert purse.voucher(OPERATOR, dear, SIZE) is None
            assert purse.payees[OPERATOR].dear > cap
        assert purse._book._file.execute("SELECT signed FROM accounts").fetchall() in ([], [("0",)])
        assert named(purse.voucher(OPERATOR, most, SIZE)) == most
        assert purse.paid == most

    def test_a_price_that_rises_once_it_was_paid_is_refused(self, made: Any) -> None:
        """A node that asks more at 402 than it did before gets no more than the cap; others are still paid."""
        purse = made(max_price=1_280)
        buy(purse)
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 6
        assert purse.refused(OPERATOR, no(spent=3, price=4)) == 4
        assert purse.voucher(OPERATOR, 4, SIZE) is None
        assert (purse.paid, purse.payees[OPERATOR].dear) == (6, 3 * 512 + 1)
        assert purse.to_json()["operators"][0]["tooDearPerMiB"] == 3 * 512 + 1
        assert buy(purse, 1, OTHER) == 3
        assert not purse.payees[OTHER].dear

    def test_without_a_cap_nothing_is_signed_before_prices_are_known(self, made: Any) -> None:
        purse = made(max_price=None)
        assert purse.voucher(OPERATOR, 1, SIZE) is None
        purse.learn([(Price("0x" + "71" * 20, 1), 1)])
        assert purse.voucher(OPERATOR, 1, SIZE) is None
        purse.learn([(Price(TOKEN, 640), 1)])
        assert (purse.cap, purse.to_json()["maxPricePerMiB"]) == (1_280, 1_280)
        assert purse.voucher(OPERATOR, COST + 1, SIZE) is None
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3

    def test_it_is_twice_the_lower_median_of_what_is_asked(self, made: Any) -> None:
        """In the purse's token; of each object anew; never where the reader named its own."""
        purse, own = made(max_price=None), made(max_price=7)
        prices = [(Price(TOKEN, units), 1) for units in (1_000, 900, 100, 1 << 100)]
        for asked in (prices, [*prices, (Price("0x" + "71" * 20, 1), 50)]):
            purse.learn(asked)
            own.learn(asked)
            assert (purse.cap, own.cap) == (1_800, 7)
        purse.learn([])
        assert purse.cap is None

    @pytest.mark.parametrize("lie", [1, 1 << 100])
    def test_a_third_of_the_rows_moves_it_nowhere(self, made: Any, lie: int) -> None:
        """However many operators share it: one of each row, against two that hold all others."""
        purse = made(max_price=None)
        purse.learn([*[(Price(TOKEN, lie), 1)] * 10, (Price(TOKEN, 500), 11), (Price(TOKEN, 510), 11)])
        assert purse.cap in (1_000, 1_020)

    def test_the_lower_median(self) -> None:
        assert lower_median([]) is None
        assert lower_median([(5, 3)]) == 5
        assert lower_median([(4, 1), (1, 1), (3, 1), (2, 1)]) == 2
        assert lower_median([(9, 1), (1, 1), (3, 1)]) == 3
        assert lower_median([(9, 2), (1, 1)]) == 9
        assert lower_median([(9, 2), (1, 2)]) == 1

    @pytest.mark.parametrize("said", [None, [], "x", {"token": TOKEN}, {"token": TOKEN, "unitsPerMiB": 0}])
    def test_what_a_status_tells_that_is_no_price(self, said: Any) -> None:
        assert price_told(said) is None
        assert price_told({"token": TOKEN, "unitsPerMiB": 5}) == Price(TOKEN, 5)


class TestDeposits:
    def test_nothing_is_signed_beyond_the_deposit(self, made: Any, chain: FakeChain, clock: Clock) -> None:
        """It is told once what the deposit would have to be; a new one is seen."""
        chain.answers["depositOf"] = (7, 0, 0)
        told: list[int] = []
        purse = made(tell=lambda payee: told.append(payee.short))
        buy(purse, 2)
        for _ in range(2):
            assert purse.voucher(OPERATOR, COST, SIZE) is None
        assert (told, purse.payees[OPERATOR].short) == ([9], 9)
        chain.answers["depositOf"] = (9, 0, 0)
        clock.now += 2.5
        assert buy(purse) == 9
        assert purse.payees[OPERATOR].short == 0

    def test_a_deposit_that_leaves_pays_nothing(self, made: Any, chain: FakeChain) -> None:
        chain.answers["depositOf"] = (1_000, 0, 1_900_000_000)
        assert made().voucher(OPERATOR, COST, SIZE) is None

    def test_a_chain_that_does_not_answer_pays_nothing(
        self, made: Any, chain: FakeChain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any, **__: Any) -> None:
            raise ChainUnreachable("down")

        monkeypatch.setattr(chain, "call", down)
        purse = made()
        assert purse.voucher(OPERATOR, COST, SIZE) is None
        assert purse.paid == 0

    def test_a_node_that_sees_no_deposit_is_not_signed_more_for(self, made: Any) -> None:
        purse = made()
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3
        assert purse.refused(OPERATOR, no(spent=0, price=COST)) is None
        assert purse.payees[OPERATOR].short == 3
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3


class TestCrashes:
    def test_what_was_signed_is_on_disk_before_it_is_used(self, made: Any, tmp_path: Path) -> None:
        """Synced at each write; the next run goes on above it, and never below."""
        purse = made()
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3
        assert purse._book._file.execute("PRAGMA synchronous").fetchone() == (2,)
        seen = sqlite3.connect(tmp_path / "reads.sqlite").execute("SELECT signed, spent FROM accounts").fetchall()
        assert seen == [("3", "0")]
        # killed here: it isn't known whether that was served
        after = made()
        assert named(after.voucher(OPERATOR, COST, SIZE)) == 3
        assert after.refused(OPERATOR, no(spent=3, price=COST)) == COST
        assert named(after.voucher(OPERATOR, COST, SIZE)) == 6
        assert after.paid == 3

    def test_a_book_that_fails_signs_nothing(self, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        purse = made()
        purse._book._file.execute("DROP TABLE accounts")
        monkeypatch.setattr("qanat.client.purse.make_voucher", lambda *_: pytest.fail("signed"))
        with pytest.raises(StoreError):
            purse.voucher(OPERATOR, COST, SIZE)
        assert purse.paid == 0

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "reads.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 30)
        with pytest.raises(StoreError):
            ReadBook(tmp_path / "reads.sqlite")

    def test_a_lost_book_begins_above_what_was_redeemed(self, made: Any, chain: FakeChain) -> None:
        """Who redeemed so much showed the reader's signature over it."""
        chain.answers["depositOf"] = (1_000, 400, 0)
        purse = made()
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 403
        assert purse.paid == COST

    def test_a_lost_book_believes_the_reader_s_own_signature(self, made: Any) -> None:
        """A voucher that the node shows is the reader's word; nothing else is believed."""
        payments = CONTRACTS["Payments"]
        own = make_voucher(READER.signer, CHAIN_ID, payments, OPERATOR, TOKEN, 60)
        purse = made()
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3
        assert purse.refused(OPERATOR, no(spent=60, price=COST, voucher=own)) == COST
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 63
        assert purse.paid == 3 + 3
        for shown in ("", "nonsense", make_voucher(PEOPLE[1].signer, CHAIN_ID, payments, OTHER, TOKEN, 60)):
            other = made()
            assert named(other.voucher(OTHER, COST, SIZE), OTHER) == 3
            assert other.refused(OTHER, no(spent=60, price=COST, voucher=shown)) is None
            assert other.payees[OTHER].left
            assert other.voucher(OTHER, COST, SIZE) is None

    def test_two_runs_at_once_share_the_account(self, made: Any) -> None:
        """What one of them bought is no lie to the other."""
        first, second = made(), made()
        assert [buy(first), buy(second), buy(first), buy(second)] == [3, 6, 9, 12]
        assert named(first.voucher(OPERATOR, COST, SIZE)) == 15
        assert named(second.voucher(OPERATOR, COST, SIZE)) == 15
        first.served(OPERATOR, COST, 15)
        assert second.refused(OPERATOR, no(spent=15, price=COST)) == COST
        assert buy(second) == 18
        assert not first.payees[OPERATOR].left + second.payees[OPERATOR].left


class TestLies:
    def test_who_counts_a_read_that_never_came_is_left(self, made: Any) -> None:
        """Not a unit more than for that one read is ever signed; another operator is still paid."""
        purse = made()
        buy(purse, 2)
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 9
        purse.unserved(OPERATOR)
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 9
        assert purse.refused(OPERATOR, no(spent=9, price=COST)) is None
        assert "3 of them" in purse.payees[OPERATOR].left
        assert purse.voucher(OPERATOR, COST, SIZE) is None
        assert buy(purse, 1, OTHER) == 3
        assert purse.to_json()["operators"][0]["left"] == purse.payees[OPERATOR].left

    @pytest.mark.parametrize("spent", [7, 1_000, (1 << 104) - 1])
    def test_who_counts_more_than_was_signed_is_left(self, made: Any, spent: int) -> None:
        purse = made()
        buy(purse, 2)
        purse.voucher(OPERATOR, COST, SIZE)
        purse.served(OPERATOR, COST, spent + 2 * COST)
        assert purse.payees[OPERATOR].left
        assert purse.voucher(OPERATOR, COST, SIZE) is None
        assert purse.paid == 3 * COST

    def test_who_serves_and_counts_two_reads_for_one_is_left(self, made: Any) -> None:
        """Believed, each read would cost two, and what was not signed would count as signed beside the limit."""
        purse = made()
        buy(purse, 2)
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 9
        purse.served(OPERATOR, COST, 9 + COST)
        assert purse.payees[OPERATOR].left
        assert purse.voucher(OPERATOR, COST, SIZE) is None
        assert made()._book._file.execute("SELECT signed FROM accounts").fetchall() == [("9",)]

    def test_who_counts_each_voucher_as_spent_and_serves_nothing_is_left(self, made: Any) -> None:
        """A refusal may count a read of a run beside this, which didn't note it yet: once."""
        purse = made()
        buy(purse, 2)
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 9
        assert purse.refused(OPERATOR, no(spent=9, price=COST)) == COST
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 12
        assert purse.refused(OPERATOR, no(spent=12, price=COST)) is None
        assert purse.payees[OPERATOR].left
        assert purse.voucher(OPERATOR, COST, SIZE) is None
        assert purse.paid == 12

    @pytest.mark.parametrize("refusal", [None, no(429), no(402, spent=6, price=COST)])
    def test_who_redeems_a_voucher_and_serves_nothing_is_left(
        self, made: Any, chain: FakeChain, clock: Clock, refusal: NodeRefused | None
    ) -> None:
        """Else it had another read's price each time it redeemed."""
        purse = made()
        buy(purse, 2)
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 9
        if refusal is None:
            purse.unserved(OPERATOR)
        else:
            assert purse.refused(OPERATOR, refusal) is None
        chain.answers["depositOf"] = (1_000, 9, 0)
        clock.now += 60
        assert purse.voucher(OPERATOR, COST, SIZE) is None
        assert "redeemed 9 units, 3" in purse.payees[OPERATOR].left
        assert purse.paid == 9
        assert buy(purse, 1, OTHER) == 12

    def test_two_runs_at_once_may_miss_each_other_s_notes_as_often_as_they_do(self, made: Any) -> None:
        """What the other one signed and had is counted before it noted that: no lie, as long as it is there."""
        first, second = made(), made()
        assert [buy(first), buy(second), buy(first), buy(second)] == [3, 6, 9, 12]
        for last in (15, 18, 21):
            assert named(first.voucher(OPERATOR, COST, SIZE)) == last
            assert named(second.voucher(OPERATOR, COST, SIZE)) == last
            assert second.refused(OPERATOR, no(spent=last, price=COST)) == COST
            first.served(OPERATOR, COST, last)
        assert not first.payees[OPERATOR].left + second.payees[OPERATOR].left

    def test_who_wants_more_than_it_said_gets_no_more_than_the_limit(self, made: Any) -> None:
        """A higher price is the node's to ask, below the cap; the limit stands."""
        purse = made(limit=20)
        buy(purse)
        purse.voucher(OPERATOR, COST, SIZE)
        assert purse.refused(OPERATOR, no(spent=3, price=17)) == 17
        assert named(purse.voucher(OPERATOR, 17, SIZE)) == 20
        assert purse.refused(OPERATOR, no(spent=3, price=18)) == 18
        assert purse.voucher(OPERATOR, 18, SIZE) is None
        assert purse.paid == 20

    @pytest.mark.parametrize(
        "said",
        [{}, {"spent": 0}, {"spent": -1, "price": 3}, {"spent": True, "price": 3}, {"spent": 1 << 104, "price": 1}],
    )
    def test_refusals_that_say_nothing(self, made: Any, said: dict[str, Any]) -> None:
        purse = made()
        purse.voucher(OPERATOR, COST, SIZE)
        assert purse.refused(OPERATOR, no(**said)) is None
        assert named(purse.voucher(OPERATOR, COST, SIZE)) == 3
