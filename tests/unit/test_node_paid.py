"""Reads for vouchers: free ones first, then what is paid, exactly, durably, by who signed; over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qanat.errors import BadParameters, InvalidSignature, NodeRefused, StoreError
from qanat.node.paid import FILE, PaidReads, Price, VoucherBook, load_price
from qanat.node.requests import authorization
from qanat.objects import encode
from qanat.payments.vouchers import make_voucher
from tests.unit.node_doubles import CHAIN_ID, CONTRACTS, FakeChain, FakeNode, FakeViews, make_people, serve_node

OBJECT = b"\x46" * 32
PEOPLE = make_people(3)
ENCODED = encode(bytes(range(256)) * 60, k=2, n=3, width=64)
OPERATOR, READER, OTHER = PEOPLE[0].address, PEOPLE[1], PEOPLE[2]
TOKEN = "0x" + "70" * 20
SLICE = 32 * 64
#: Three units a slice of 2 KiB, and a rounding: 2.5 would do.
PRICE = {"token": TOKEN, "unitsPerMiB": 1_280}
COST = 3


def voucher(cumulative: int, person: Any = READER, token: str = TOKEN) -> str:
    return make_voucher(person.signer, CHAIN_ID, CONTRACTS["Payments"], OPERATOR, token, cumulative)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain(answers={"depositOf": (100, 0, 0)})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paid(chain: FakeChain, clock: Clock, tmp_path: Path) -> Iterator[PaidReads]:
    book = VoucherBook(tmp_path / FILE)
    price = load_price(PRICE)
    assert price is not None
    double: Any = chain
    yield PaidReads(double, OPERATOR, price, book, clock=clock)
    book.close()


class TestPaidReads:
    def test_a_read_costs_its_price_rounded_up(self, paid: PaidReads) -> None:
        """Of one voucher, until what it names is used up; then a higher one."""
        assert paid.price.of(SLICE) == COST
        for number in range(3):
            paid.pay(voucher(10), SLICE, READER.address)
            kept = paid.book.account(paid.price.token, READER.address)
            assert kept is not None
            assert (kept.spent, kept.voucher.cumulative) == (COST * (number + 1), 10)
        with pytest.raises(NodeRefused) as refused:
            paid.pay(voucher(10), SLICE, READER.address)
        assert refused.value.data["status"] == 402
        assert (refused.value.data["price"], refused.value.data["spent"]) == (COST, 9)
        paid.pay(voucher(12), SLICE, READER.address)

    def test_an_older_voucher_replaces_nothing(self, paid: PaidReads) -> None:
        """What was named once stays named: the highest is kept, and pays for reads that come with an older one."""
        paid.pay(voucher(50), SLICE, READER.address)
        paid.pay(voucher(4), SLICE, READER.address)
        kept = paid.book.account(paid.price.token, READER.address)
        assert kept is not None
        assert (kept.voucher.cumulative, kept.spent) == (50, 2 * COST)

    @pytest.mark.parametrize("made", [voucher(50, OTHER), voucher(50, token="0x" + "71" * 20)])
    def test_only_who_asks_pays(self, paid: PaidReads, made: str) -> None:
        """An overheard voucher, or one in another token, buys nothing."""
        with pytest.raises(InvalidSignature):
            paid.pay(made, SLICE, READER.address)
        assert paid.book.accounts(paid.price.token) == []

    def test_a_voucher_beyond_the_deposit_is_worth_nothing(
        self, paid: PaidReads, chain: FakeChain, clock: Clock
    ) -> None:
        """Until the deposit grew: the chain is asked again soon, but not at every try."""
        with pytest.raises(NodeRefused):
            paid.pay(voucher(101), SLICE, READER.address)
        chain.answers["depositOf"] = (101, 0, 0)
        with pytest.raises(NodeRefused):
            paid.pay(voucher(101), SLICE, READER.address)
        clock.now += 2.5
        paid.pay(voucher(101), SLICE, READER.address)

    def test_a_deposit_that_is_being_withdrawn_buys_nothing(
        self, paid: PaidReads, chain: FakeChain, clock: Clock
    ) -> None:
        """Within a minute of its notice, long before it can leave."""
        paid.pay(voucher(50), SLICE, READER.address)
        chain.answers["depositOf"] = (100, 0, 1_900_000_000)
        clock.now += 61
        with pytest.raises(NodeRefused) as refused:
            paid.pay(voucher(60), SLICE, READER.address)
        assert refused.value.data["status"] == 402
        kept = paid.book.account(paid.price.token, READER.address)
        assert kept is not None
        assert kept.voucher.cumulative == 50

    def test_what_was_not_served_is_not_paid(self, paid: PaidReads) -> None:
        paid.pay(voucher(3), SLICE, READER.address)
        paid.give_back(READER.address, SLICE)
        paid.pay(voucher(3), SLICE, READER.address)
        paid.give_back(OTHER.address, SLICE)  # nobody known
        assert [item.spent for item in paid.book.accounts(paid.price.token)] == [COST]

    def test_is_on_disk_when_it_returns(self, paid: PaidReads, tmp_path: Path) -> None:
        """Another process reads it beside the node; the file is synced at each write."""
        paid.pay(voucher(90), SLICE, READER.address)
        assert paid.book._file.execute("PRAGMA synchronous").fetchone() == (2,)
        other = VoucherBook(tmp_path / FILE, read_only=True)
        (found,) = other.accounts(paid.price.token)
        assert (found.payer, found.voucher.cumulative, found.spent) == (READER.address, 90, COST)
        with pytest.raises(StoreError):
            other.keep(paid.price.token, found)
        other.close()

    def test_a_book_that_fails_serves_nothing(self, paid: PaidReads) -> None:
        paid.book._file.execute("DROP TABLE accounts")
        with pytest.raises(StoreError):
            paid.pay(voucher(9), SLICE, READER.address)

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be looked at" * 30)
        with pytest.raises(StoreError):
            VoucherBook(tmp_path / FILE)
        with pytest.raises(StoreError):
            VoucherBook(tmp_path / "none" / FILE, read_only=True)


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"token": TOKEN},
        {"token": "x", "unitsPerMiB": 1},
        {"token": TOKEN, "unitsPerMiB": 0},
        {"token": TOKEN, "unitsPerMiB": True},
        {"token": TOKEN, "unitsPerMiB": 1.5},
        {**PRICE, "more": 1},
    ],
)
def test_settings_that_make_no_price(setting: dict[str, Any]) -> None:
    assert load_price(None) is None
    with pytest.raises(BadParameters):
        load_price(setting)


def test_prices() -> None:
    assert [Price(TOKEN, 1).of(size) for size in (0, 1, 1 << 20, (1 << 20) + 1)] == [0, 1, 1, 2]


class TestNode:
    @pytest.fixture
    def views(self) -> FakeViews:
        found = FakeViews(PEOPLE)
        found.open_object(OBJECT, ENCODED)
        found.chain.answers["depositOf"] = (100, 0, 0)
        return found

    @pytest.fixture
    def made(self, views: FakeViews, tmp_path: Path) -> Iterator[Any]:
        """A served node with a free share of one slice, and what reads from it."""
        parts: list[Any] = []

        def make(**settings: Any) -> tuple[FakeNode, Any]:
            node = FakeNode(views, PEOPLE[0], tmp_path, read_bytes_per_second=64.0, **settings)
            served = serve_node(node)
            http = httpx.Client(base_url=served.url, timeout=20, trust_env=False)
            parts.extend((http, served, node))
            node.take_all(OBJECT, ENCODED)
            node.intake.sign(OBJECT)
            path = f"/objects/0x{OBJECT.hex()}/slices/{node.own(OBJECT, ENCODED)[0]}"

            def read(header: str | None = None, person: Any = READER, at: str = path) -> httpx.Response:
                signed = authorization(person.signer, CHAIN_ID, OPERATOR, "GET", at)
                return http.get(at, headers={"Authorization": signed, **({"Qanat-Voucher": header} if header else {})})

            return node, read

        yield make
        for part in parts:
            part.close() if isinstance(part, httpx.Client) else part.stop()

    def test_the_free_share_first_then_for_vouchers(self, made: Any) -> None:
        """A voucher isn't touched while a read is free; afterwards each read takes its price, and without one waits."""
        node, read = made(paid_reads=PRICE)
        while read(voucher(3)).status_code == 200 and not node.service.paid.book.accounts(
            node.service.paid.price.token
        ):
            pass
        kept = node.service.paid.book.account(node.service.paid.price.token, READER.address)
        assert (kept.spent, kept.voucher.cumulative) == (COST, 3)
        assert read().status_code == 429
        refused = read(voucher(5))
        assert (refused.status_code, refused.json()["data"]["spent"]) == (402, COST)
        assert read(voucher(6)).headers["Qanat-Spent"] == str(2 * COST)
        assert read(voucher(50, OTHER), OTHER).status_code == 200  # another reader at the same address pays for itself
        assert read(voucher(90, OTHER)).status_code == 401
        assert node.metrics.value("qanat_bytes_paid_total") == 3 * SLICE

    def test_a_reader_is_told_what_it_needs_to_pay(self, made: Any) -> None:
        """What reads cost, before it attached anything, and by the status; its own newest voucher, if it is low."""
        _, read = made(paid_reads=PRICE)
        while (answer := read()).status_code == 200:
            assert "Qanat-Spent" not in answer.headers
        told = answer.json()["data"]
        assert {name: told[name] for name in PRICE} == PRICE
        assert answer.headers["Retry-After"]
        assert read(at="/status").json()["paidReads"] == PRICE
        assert "voucher" not in read(voucher(2)).json()["data"]
        read(voucher(4))
        assert read(voucher(2)).json()["data"]["voucher"] == voucher(4)

    def test_what_is_paid_outlives_a_restart(self, made: Any) -> None:
        node, read = made(paid_reads=PRICE)
        while read(voucher(3)).status_code == 200:
            pass
        node.restart()
        kept = node.service.paid.book.account(node.service.paid.price.token, READER.address)
        assert (kept.spent, kept.voucher.cumulative) == (COST, 3)

    def test_what_is_not_here_costs_nothing(self, made: Any) -> None:
        """Nor does what the window's budget withholds: no voucher buys rows while challenges are open."""
        node, read = made(paid_reads=PRICE)
        while read().status_code == 200:
            pass
        missing = f"/objects/0x{'99' * 32}/slices/0"
        assert read(voucher(9), at=missing).status_code == 404
        other = f"/objects/0x{OBJECT.hex()}/slices/{next(i for i in range(3) if i not in node.own(OBJECT, ENCODED))}"
        assert read(voucher(9), at=other).status_code == 404
        node.follower.window_epochs_of = lambda _object_id: [7]
        node.service.budget.take = lambda *_: False
        assert read(voucher(9)).status_code == 429
        spent = [item.spent for item in node.service.paid.book.accounts(node.service.paid.price.token)]
        assert spent in ([], [0])

    def test_a_node_without_prices_takes_no_vouchers(self, made: Any) -> None:
        node, read = made()
        answers = [read(voucher(90)).status_code for _ in range(4)]
        assert answers[0] == 200
        assert answers[-1] == 429
        assert node.service.paid is None
