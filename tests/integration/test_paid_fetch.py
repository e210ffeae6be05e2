"""Fetching beyond nodes' free shares: what is paid is what was served, to the unit, whatever nodes do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request, Response

from qanat.chain.signer import KeySigner
from qanat.client.purse import Purse, ReadBook
from qanat.errors import NodeRefused, NotEnoughSlices, StoreError
from qanat.node.paid import PaidReads, Price
from qanat.objects import ticket_of_row
from tests.integration.served_nodes import DATA, ENCODED, OBJECT, PEOPLE, Network

TOKEN = "0x" + "70" * 20
#: Three units for a slice of 2 KiB.
COST = 3
UNITS_PER_MIB = 1_280
#: What a node asks that asks ten times as much as the others: 30 units for a slice.
DEAR = 10 * UNITS_PER_MIB
ROW = ENCODED.manifest.shape.row_payload
N = ENCODED.manifest.n
SLICES = -(-len(DATA) // ROW)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Nodes that give one slice for free, and for hours no other."""
    folder = tmp_path_factory.mktemp("selling")
    made = Network(folder, read_bytes_per_second=1.0, paid_reads={"token": TOKEN, "unitsPerMiB": UNITS_PER_MIB})
    made.fill()
    made.views.chain.answers["depositOf"] = (1_000, 0, 0)
    yield made
    made.stop()


@pytest.fixture
def network(served: Network) -> Iterator[Network]:
    """The nodes, for a reader whom they don't know yet; it has no free share at this address if another one had it."""
    served.signer = KeySigner.create()
    yield served
    served.faults.clear()


@pytest.fixture
def purses(network: Network, tmp_path: Path) -> Iterator[Any]:
    """Make purses over one book."""
    opened: list[Purse] = []

    def make(limit: int = 1_000, max_price: int | None = None) -> Purse:
        double: Any = network.views.chain
        book = ReadBook(tmp_path / "reads.sqlite")
        opened.append(Purse(double, network.signer, TOKEN, limit, book, max_price=max_price))
        return opened[-1]

    yield make
    for purse in opened:
        purse.close()


def books(network: Network) -> dict[str, tuple[int, int]]:
    """What each node holds of the reader: (named by its newest voucher, spent)."""
    found = {}
    for node in network.nodes:
        account = node.service.paid.book.account(node.service.paid.price.token, network.signer.address)
        if account is not None:
            found[node.person.address] = (account.voucher.cumulative, account.spent)
    return found


def holder(row: int) -> int:
    """Number of the node that holds a row."""
    return ticket_of_row(OBJECT, 6, row)


def check_bill(network: Network, purse: Purse) -> None:
    """What each node holds is what the reader says that it paid it, for slices that it got."""
    held = books(network)
    for payee in purse.payees.values():
        assert held.get(payee.operator, (0, 0)) == (payee.paid, payee.slices * COST)
        assert payee.paid == payee.slices * COST
    assert sum(named for named, _ in held.values()) == purse.paid


def test_nothing_is_paid_without_consent(network: Network, tmp_path: Path) -> None:
    """It ends for want of rows, and says what would help."""
    with pytest.raises(NotEnoughSlices, match="--pay"):
        network.fetch(tmp_path / "out", seconds=4.0)
    assert not (tmp_path / "out").exists()
    assert books(network) == {}


def test_a_whole_object_is_paid_for_to_the_unit(network: Network, purses: Any, tmp_path: Path) -> None:
    """Beyond what each node gives for free; again, in another run, above what was signed before."""
    purse = purses()
    network.fetch(tmp_path / "out", purse=purse)
    check_bill(network, purse)
    bought = sum(payee.slices for payee in purse.payees.values())
    assert bought >= SLICES - len(PEOPLE)
    before, again = books(network), purses()
    network.fetch(tmp_path / "again", purse=again)
    assert again.paid == sum(payee.slices for payee in again.payees.values()) * COST >= SLICES * COST
    for operator, (named, spent) in books(network).items():
        paid = again.payees[operator].paid if operator in again.payees else 0
        assert named == spent == before.get(operator, (0, 0))[0] + paid


def test_ranges_are_paid_for_slice_by_slice(network: Network, purses: Any) -> None:
    """A range costs the slices that it touches; one purse serves many reads."""
    purse = purses()
    with network.reader(purse=purse) as reader:
        for start, end in ((0, 10), (0, 10), (ROW - 1, ROW + 1), (5 * ROW, 9 * ROW)):
            assert reader.read(start, end) == DATA[start:end]
    check_bill(network, purse)
    assert purse.paid > 0


def test_the_limit_holds(network: Network, purses: Any, tmp_path: Path) -> None:
    """Of all nodes together: then it goes on at the free pace, here for hours."""
    purse = purses(limit=2 * COST + 1)
    with pytest.raises(NotEnoughSlices, match="allow more"):
        network.fetch(tmp_path / "out", purse=purse, seconds=4.0)
    check_bill(network, purse)
    assert purse.paid == 2 * COST
    assert purse.is_empty


def reprice(monkeypatch: pytest.MonkeyPatch, network: Network, number: int, units: int) -> str:
    """Let a node ask another price from now on; return its operator."""
    paid: PaidReads | None = network.nodes[number].service.paid
    assert paid is not None
    monkeypatch.setattr(paid, "price", Price(paid.price.token, units))
    return network.nodes[number].person.address


def test_a_node_that_asks_far_more_than_the_others_is_not_paid(
    network: Network, purses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for the very rows that it holds: others stand in, and it is named with its price."""
    dear = reprice(monkeypatch, network, holder(0), DEAR)
    purse = purses()
    network.fetch(tmp_path / "out", purse=purse)
    with network.reader(purse=purse) as reader:
        # each time a row that is that node's, more than it gives for free
        for _ in range(3):
            assert reader.read(0, 10) == DATA[:10]
        (report,) = (found for found in reader.reports if found.operator == dear)
    assert dear not in books(network)
    check_bill(network, purse)
    assert purse.cap == 2 * UNITS_PER_MIB
    assert (purse.payees[dear].dear, purse.payees[dear].paid) == (DEAR, 0)
    assert f"asks {DEAR} units a MiB" in report.last_error
    assert report.to_json()["tooDear"]
    assert not report.is_faultless
    assert purse.paid > 0


def test_two_nodes_of_six_move_the_cap_nowhere(
    network: Network, purses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of the rows: all that attackers may hold. The four others have k rows, and are paid."""
    greedy = {reprice(monkeypatch, network, holder(row), 1 << 80) for row in (0, 1)}
    purse = purses()
    network.fetch(tmp_path / "out", purse=purse)
    check_bill(network, purse)
    assert purse.cap == 2 * UNITS_PER_MIB
    assert not greedy & books(network).keys()


def test_a_node_that_asks_more_at_402_than_its_status_tells_gets_one_read_at_most(
    network: Network, purses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its voucher at the price that it told is all that it gets; what it asks then is above the cap."""
    liar = network.nodes[holder(0)]
    assert liar.service.paid is not None
    monkeypatch.setattr(liar.service.paid, "pay", refuses(0, 10 * COST))
    purse = purses()
    network.fetch(tmp_path / "out", purse=purse)
    with network.reader(purse=purse) as reader:
        assert reader.read(0, 10) == DATA[:10]
    payee = purse.payees[liar.person.address]
    assert payee.paid <= COST
    assert payee.dear > 2 * UNITS_PER_MIB
    honest = [other for other in purse.payees.values() if other is not payee]
    assert all(other.paid == other.slices * COST and not other.dear for other in honest)


def test_a_cap_of_the_readers_own_holds(network: Network, purses: Any, tmp_path: Path) -> None:
    """Below what all ask nothing is signed, and it says what would help; at what they ask all is as without it."""
    purse = purses(max_price=UNITS_PER_MIB - 1)
    with pytest.raises(NotEnoughSlices, match="--max-price-per-mib"):
        network.fetch(tmp_path / "out", purse=purse, seconds=4.0)
    assert books(network) == {}
    assert purse.paid == 0
    assert {payee.dear for payee in purse.payees.values()} == {UNITS_PER_MIB}
    again = purses(max_price=UNITS_PER_MIB)
    network.fetch(tmp_path / "out", purse=again)
    check_bill(network, again)
    assert again.paid > 0


def claims(more: int, real: Any) -> Any:
    def pay(header: str, size: int, reader: str) -> int:
        return int(real(header, size, reader)) + more

    return pay


def refuses(spent: int, price: int = COST) -> Any:
    def pay(_header: str, _size: int, _reader: str) -> int:
        raise NodeRefused("More!", status=402, token=TOKEN, price=price, spent=spent)

    return pay


@pytest.mark.parametrize("lie", ["counts too much", "refuses for too much", "sells what is false", "serves nothing"])
def test_a_node_that_takes_what_it_did_not_earn_is_left_and_named(
    network: Network, purses: Any, tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets one read's price at most; the file comes from the others."""
    number = holder(0)
    liar = network.nodes[number]
    paid: PaidReads | None = liar.service.paid
    assert paid is not None
    if lie == "counts too much":
        monkeypatch.setattr(paid, "pay", claims(100, paid.pay))
    elif lie == "refuses for too much":
        monkeypatch.setattr(paid, "pay", refuses(500))
    else:
        real = liar.service.read_slice

        def spoil(*arguments: Any) -> tuple[bytes, int | None]:
            data, spent = real(*arguments)
            if spent is None:
                return data, None
            if lie == "serves nothing":
                raise StoreError("After it was paid.")
            return bytes([data[0], data[1] ^ 1]) + data[2:], spent

        monkeypatch.setattr(liar.service, "read_slice", spoil)
    purse = purses()
    network.fetch(tmp_path / "out", purse=purse)
    report = network.reports[liar.person.address]
    if lie == "serves nothing":
        # that it counted the read shows when it is asked again
        assert report.refused
        with network.reader(purse=purse) as reader:
            assert reader.read(0, 10) == DATA[:10]
            (report,) = (found for found in reader.reports if found.operator == liar.person.address)
    assert report.liar or report.overcharged
    assert not report.is_faultless
    assert sum(payee.paid for payee in purse.payees.values() if payee.operator == liar.person.address) <= COST
    assert books(network).get(liar.person.address, (0, 0))[0] <= COST
    honest = [payee for payee in purse.payees.values() if payee.operator != liar.person.address]
    assert all(payee.paid == payee.slices * COST and not payee.left for payee in honest)


def test_a_read_that_is_refused_costs_nothing(network: Network, purses: Any, tmp_path: Path) -> None:
    """A node that takes no paid reads for a while: its voucher serves for the read that it serves at last."""
    number = holder(1)
    refusals: list[int] = []

    def busy(request: Request) -> Response | None:
        if "Qanat-Voucher" in request.headers and len(refusals) < 2:
            refusals.append(1)
            body = {"error": "NodeRefused", "message": "not now", "data": {}}
            return Response(json.dumps(body), 429, {"Retry-After": "1"}, "application/json")
        return None

    network.faults[number] = busy
    purse = purses()
    network.fetch(tmp_path / "out", purse=purse)
    with network.reader(purse=purse) as reader:
        reader.read(ROW, ROW + 1)
    payee = purse.payees[network.nodes[number].person.address]
    assert refusals
    assert not payee.left
    assert payee.paid in (payee.slices * COST, (payee.slices + 1) * COST)
    assert books(network).get(payee.operator, (0, 0))[1] == payee.slices * COST
