"""What `--pay` asks for before it spends, and what its bill says: who was paid how much, and who asked too much."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from qanat.cli.paying import bill, open_purse
from qanat.client.purse import Purse, ReadBook
from qanat.errors import BadParameters
from qanat.node.paid import Price
from tests.unit.node_doubles import FakeChain, make_people

PEOPLE = make_people(3)
HONEST, GREEDY, READER = PEOPLE[0].address, PEOPLE[1].address, PEOPLE[2]
TOKEN = "0x" + "70" * 20
MIB = 1 << 20


class FakeSession:
    """As much of a session as paying needs: a token with two decimals."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain, self.signer = chain, READER.signer
        self.asked: list[str] = []

    def token(self, _named: str) -> tuple[str, Any]:
        return "QUSD", SimpleNamespace(address=TOKEN, decimals=2)

    def amount(self, units: int, _token: str) -> str:
        return f"{units / 100:.2f} QUSD"

    def confirm(self, _title: str, lines: Sequence[str], *, transactions: int) -> None:
        assert transactions == 0
        self.asked += lines

    def note(self, _text: str) -> None:
        pass


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(ReadBook, "of", lambda _chain: ReadBook(tmp_path / "reads.sqlite"))
    return FakeSession(FakeChain(answers={"depositOf": (10_000, 0, 0)}))


def read(purse: Purse, operator: str, price: int) -> None:
    """Buy a MiB, if it isn't too dear."""
    if purse.voucher(operator, price, MIB) is not None:
        purse.served(operator, price, price)


def shown(tables: Sequence[Any]) -> str:
    console = Console(width=200, record=True)
    for table in tables:
        console.print(table)
    return console.export_text()


def test_the_bill_names_who_was_paid_and_who_asked_too_much(session: Any) -> None:
    """With the price that was asked, and what to say to pay it all the same."""
    with open_purse(session, "50", "QUSD", None) as purse:
        assert purse is not None
        purse.learn([(Price(TOKEN, 150), 2), (Price(TOKEN, 900), 1)])
        read(purse, HONEST, 150)
        read(purse, GREEDY, 900)
    data, says, tables = bill(session, purse)
    assert session.asked[1] == "at most twice the median of what the object's nodes ask for each MiB"
    assert says[0] == "Paid 1.50 QUSD for reads, of 50.00 QUSD that were allowed."
    assert says[1] == (
        "Refused for their price, since a MiB is paid with at most 3.00 QUSD, twice the median of what nodes ask: "
        f"{GREEDY} asks 9.00 QUSD a MiB. To pay more: --max-price-per-mib 9"
    )
    rows = [line for line in shown(tables).splitlines() if "0x" in line]
    assert [(HONEST in line, "1.50 QUSD" in line) for line in rows] == [(True, True), (False, False)]
    assert GREEDY in rows[1]
    assert "asks 9.00 QUSD a MiB" in rows[1]
    paid = data["paid"]
    assert (paid["paid"], paid["maxPricePerMiB"]) == (150, 300)
    assert [(item["operator"], item["tooDearPerMiB"]) for item in paid["operators"]] == [(HONEST, 0), (GREEDY, 900)]


def test_a_cap_of_the_readers_own_is_what_is_paid_at_most(session: Any) -> None:
    """Whatever nodes ask; said before it is agreed to, and in the bill."""
    with open_purse(session, "50", "QUSD", "9.00") as purse:
        assert purse is not None
        purse.learn([(Price(TOKEN, 1), 1)])
        read(purse, GREEDY, 900)
        read(purse, HONEST, 901)
    _, says, _ = bill(session, purse)
    assert session.asked[1] == "at most 9.00 QUSD for each MiB"
    assert says[0] == "Paid 9.00 QUSD for reads, of 50.00 QUSD that were allowed."
    assert f"as --max-price-per-mib says: {HONEST} asks 9.01 QUSD a MiB." in says[1]


@pytest.mark.parametrize(
    ("pay", "token", "most"),
    [
        (None, None, "1"),
        ("1", None, None),
        (None, "QUSD", "1"),
        ("1", "QUSD", "0"),
        ("1", "QUSD", "-1"),
        ("1", "QUSD", "0.001"),
        ("0", "QUSD", None),
    ],
)
def test_what_makes_no_sense_is_refused(session: Any, pay: str | None, token: str | None, most: str | None) -> None:
    """Before anybody is asked for a yes."""
    with pytest.raises(BadParameters), open_purse(session, pay, token, most):
        pytest.fail("opened")
    assert session.asked == []


def test_without_pay_nothing_is_opened(session: Any) -> None:
    with open_purse(session, None, None, None) as purse:
        assert purse is None
    assert bill(session, purse) == ({"paid": None}, [], [])
