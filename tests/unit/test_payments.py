"""Lists of claims and vouchers off chain: trees of sums, files, headers. Contracts' tests compare with the chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.cli.claim_list import read_entries
from qanat.errors import BadParameters, FileUnreadable, InvalidSignature
from qanat.payments.claims import ClaimList, changes
from qanat.payments.vouchers import make_voucher, read_voucher, signed_by
from tests.unit.node_doubles import PAYER

CONTRACT = to_checksum_address("0x" + "c0" * 20)
TOKEN, OPERATOR = to_checksum_address("0x" + "70" * 20), to_checksum_address("0x" + "0b" * 20)
amounts = st.dictionaries(
    st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    st.integers(0, 2**100),
    min_size=1,
    max_size=9,
)


def people(*units: int) -> dict[str, int]:
    return {f"0x{number + 1:040x}": amount for number, amount in enumerate(units)}


@given(amounts)
@settings(max_examples=25)
def test_every_path_leads_to_the_root_and_its_total(entries: dict[str, int]) -> None:
    """By the documented rule, written out here."""
    made = ClaimList.of(7, CONTRACT, 3, entries)
    assert [int(who, 16) for who, _ in made.entries] == sorted(int(who, 16) for who in entries)
    for who, units in entries.items():
        leaf = made.leaf(who)
        assert leaf.cumulative == units == made.amount_of(who)
        values = [7, CONTRACT, 3, leaf.index, leaf.account, units]
        kinds = ["uint256", "address", "uint256", "uint256", "address", "uint256"]
        node, total, index = keccak(keccak(encode(kinds, values))), units, leaf.index
        for sibling, other in zip(leaf.siblings, leaf.sums, strict=True):
            pair = [(node, total), (sibling, other)][:: -1 if index & 1 else 1]
            node = keccak(b"\x01" + b"".join(part + units_.to_bytes(32, "big") for part, units_ in pair))
            total, index = total + other, index >> 1
        assert (node, total) == (made.node, made.total) == (made.node, sum(entries.values()))


@pytest.mark.parametrize(
    "entries", [{}, people(2**128), people(2**127, 2**127), {"0x" + "ab" * 20: 1, "0x" + "AB" * 20: 2}]
)
def test_what_no_contract_would_take(entries: dict[str, int]) -> None:
    """Nobody, too much for one or for all, and an account in two spellings."""
    with pytest.raises(BadParameters):
        ClaimList.of(7, CONTRACT, 3, entries)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Amounts are text there: other programs' numbers lose digits."""
    made = ClaimList.of(7, CONTRACT, 3, people(2**99 + 1, 5))
    made.save(tmp_path / "list.json")
    assert ClaimList.load(tmp_path / "list.json") == made
    with pytest.raises(FileUnreadable):
        ClaimList.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    "change",
    [
        {"entries": []},
        {"entries": {"0x12": "1"}},
        {"entries": {"0x" + "ab" * 20: "-1"}},
        {"entries": {"0x" + "ab" * 20: 1.5}},
        {"contract": "nobody"},
        {"listId": True},
        {"more": 1},
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "list.json"
    good = {"chainId": 7, "contract": CONTRACT, "listId": 3, "entries": people(1)}
    path.write_text(json.dumps(good | change))
    with pytest.raises(BadParameters):
        ClaimList.load(path)
    path.write_text("{")
    with pytest.raises(BadParameters):
        ClaimList.load(path)


def test_who_is_given_less_is_found() -> None:
    """What somebody who looks at a new list looks for."""
    before, after = ClaimList.of(7, CONTRACT, 3, people(5, 6, 7)), ClaimList.of(7, CONTRACT, 3, people(5, 3))
    assert [(int(who, 16), was, now) for who, was, now in changes(before, after)] == [(2, 6, 3), (3, 7, 0)]
    with pytest.raises(BadParameters):
        after.leaf(f"0x{3:040x}")


class TestVouchers:
    HEADER = make_voucher(PAYER, 7, CONTRACT, OPERATOR, TOKEN, 2**90)

    def test_says_who_pays(self) -> None:
        """And somebody else's address, or nobody's, in another place."""
        voucher = read_voucher(self.HEADER)
        assert voucher.cumulative == 2**90
        assert signed_by(voucher, 7, CONTRACT, OPERATOR, TOKEN) == PAYER.address
        for place in ((8, CONTRACT, OPERATOR, TOKEN), (7, TOKEN, OPERATOR, TOKEN), (7, CONTRACT, TOKEN, TOKEN)):
            assert signed_by(voucher, *place) != PAYER.address

    def test_compact_form(self) -> None:
        """Source: EIP-2098: v's parity in the highest bit of s."""
        voucher = read_voucher(self.HEADER)
        _, r, vs = voucher.as_tuple()
        assert r == voucher.signature[:32]
        assert vs[0] >> 7 == voucher.signature[64] - 27
        assert int.from_bytes(vs, "big") & (2**255 - 1) == int.from_bytes(voucher.signature[32:64], "big")

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "cumulative=1",
            HEADER.replace("cumulative=", "cumulative=-"),
            HEADER[:-2],
            HEADER + "00",
            HEADER[:-2] + "00",
            f"cumulative={2**104}, signature=0x{'11' * 64}1b",
            f"cumulative=1, signature=0x{'11' * 32}{'f1' * 32}1b",
        ],
    )
    def test_what_the_contract_would_not_take_is_refused(self, header: str) -> None:
        """Other forms, sums that don't fit, v that is neither, a high s."""
        with pytest.raises(InvalidSignature):
            read_voucher(header)


class TestFaults:
    """What `claim-list challenge` looks for in what a proposer published."""

    @pytest.mark.parametrize("as_pairs", [True, False])
    def test_neighbours_out_of_order(self, tmp_path: Path, as_pairs: bool) -> None:
        """The first of them, with their places; an honest list has none."""
        one, two, three = (f"0x{number:040x}" for number in (1, 2, 3))
        good = {"chainId": 7, "contract": CONTRACT, "listId": 3}
        for order, places in (([one, two, three], None), ([one, three, two], (1, 2)), ([two, one, three], (0, 1))):
            pairs = [[who, "5"] for who in order]
            (tmp_path / "list.json").write_text(json.dumps(good | {"entries": pairs if as_pairs else dict(pairs)}))
            found = ClaimList.published(tmp_path / "list.json").fault_of_order()
            assert (None if found is None else tuple(leaf.index for leaf in found)) == places

    def test_an_account_twice(self, tmp_path: Path) -> None:
        """In JSON, too, which other readers would pass over; a list that is to be claimed is refused."""
        who = "0x" + "ab" * 20
        text = f'{{"chainId": 7, "contract": "{CONTRACT}", "listId": 3, "entries": {{"{who}": "1", "{who}": "2"}}}}'
        (tmp_path / "list.json").write_text(text)
        found = ClaimList.published(tmp_path / "list.json").fault_of_order()
        assert found is not None
        assert [leaf.cumulative for leaf in found] == [1, 2]
        with pytest.raises(BadParameters, match="twice"):
            ClaimList.load(tmp_path / "list.json")

    def test_what_shows_how_much_an_account_has(self) -> None:
        """Its own leaf; its neighbours; the first or the last alone."""
        made = ClaimList.of(7, CONTRACT, 3, {f"0x{number:040x}": number for number in (2, 4, 6)})
        shown = {number: [leaf.index for leaf in made.around(f"0x{number:040x}")] for number in range(1, 8)}
        assert shown == {1: [0], 2: [0], 3: [0, 1], 4: [1], 5: [1, 2], 6: [2], 7: [2]}


class TestEntries:
    """What `claim-list propose` reads: the same from CSV and JSON, and what is wrong by its line."""

    ANN, BEN = "0x" + "a1" * 20, "0x" + "be" * 20

    @pytest.mark.parametrize(
        ("name", "text", "decimals"),
        [
            ("e.csv", "address,amount\n{ann}, 1.5\n\n{ben},2\n", 18),
            ("e.json", '{{"{ben}": 2, "{ann}": "1.5"}}', 18),
            ("e.json", '[{{"address": "{ann}", "amount": 1.5}}, ["{ben}", "2"]]', 18),
            ("e.csv", "{ann},1500000000000000000\n{ben},2000000000000000000", 0),
        ],
    )
    def test_forms_that_say_the_same(self, tmp_path: Path, name: str, text: str, decimals: int) -> None:
        (tmp_path / name).write_text(text.format(ann=self.ANN, ben=self.BEN))
        units = {who.lower(): amount for who, amount in read_entries(tmp_path / name, decimals).items()}
        assert units == {self.ANN: 3 * 10**18 // 2, self.BEN: 2 * 10**18}

    @pytest.mark.parametrize(
        ("name", "text", "where"),
        [
            ("e.csv", "{ann},1\n{again},2", "line 2"),
            ("e.csv", "{ann},1\n{zero},2", "line 2"),
            ("e.csv", "{ann},-1", "line 1"),
            ("e.csv", "{ann},1.0000000000000000001", "line 1"),
            ("e.csv", "{ann}", "line 1"),
            ("e.csv", "{ann},1,2", "line 1"),
            ("e.csv", "nobody,1", "line 1"),
            ("e.json", '{{"{ann}": 1, "{again}": 1}}', "entry 2"),
            ("e.json", '{{"{ann}": 1, "{ann}": 1}}', "entry 2"),
            ("e.json", '{{"{ann}": 1e3}}', "entry 1"),
            ("e.json", '{{"{ann}": null}}', "entry 1"),
            ("e.json", '[{{"address": "{ann}"}}]', "e.json"),
            ("e.json", "[1]", "e.json"),
            ("e.json", "{{", "e.json"),
        ],
    )
    def test_what_is_refused_is_named(self, tmp_path: Path, name: str, text: str, where: str) -> None:
        """An account twice in any spelling, the zero address, amounts that are none."""
        again = "0x" + self.ANN[2:].upper()
        (tmp_path / name).write_text(text.format(ann=self.ANN, again=again, zero="0x" + "00" * 20))
        with pytest.raises(BadParameters, match=where):
            read_entries(tmp_path / name, 18)
