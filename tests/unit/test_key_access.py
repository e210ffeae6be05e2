"""Receipts as they are kept, and the access log that is made of them and of events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qanat.bls import SecretKey
from qanat.client.access import access_log
from qanat.errors import FileUnreadable, FormatError
from qanat.index.records import Event
from qanat.keys.holding import Receipt
from qanat.keys.receipts import SignedReceipt, keep_receipts, read_receipts

KEYS, HOLDERS = "0x" + "0A" * 20, [f"0x{number:040x}" for number in (1, 2)]
LICENSEE = "0x7777777777777777777777777777777777777777"
SECRETS = [SecretKey(10), SecretKey(11)]
RECEIPT = Receipt(7, 1, 1, 3, b"\x77" * 20, 90, b"\x01" * 96, b"\x02" * 96)


def signed(receipt: Receipt = RECEIPT, key: SecretKey = SECRETS[1], chain_id: int = 5) -> SignedReceipt:
    """Return a receipt with a holder's signature."""
    contract = bytes.fromhex(KEYS[2:])
    return SignedReceipt(chain_id, contract, receipt, key.sign(receipt.digest(chain_id, contract)))


def event(block: int, name: str, contract: str = "Keys", **arguments: object) -> Event:
    """Return an event as the index gives it."""
    return Event(block, bytes(32), 0, block.to_bytes(32, "big"), contract, KEYS, name, arguments)


EVENTS = [
    event(10, "HoldersDrawn", assetId=7, epoch=1, holders=HOLDERS),
    event(20, "KeyReleased", "Licenses", licenseId=3, keyHolder=HOLDERS[0], recipientKey="0x"),
    event(
        100, "ReleaseForced", id="0xaa", assetId=7, licenseId=3, epoch=1, licensee=LICENSEE, point="0x", deadline=110
    ),
    event(101, "ReleaseAnswered", id="0xaa", place=1, answer="0x"),
    event(111, "HolderReported", assetId=7, epoch=1, operator=HOLDERS[0], fault=0, slashId="0x"),
    event(112, "ReleaseSettled", id="0xaa", paid=5, refunded=6),
    event(
        113, "ReleaseForced", id="0xbb", assetId=8, licenseId=4, epoch=1, licensee=LICENSEE, point="0x", deadline=120
    ),
]


class FakeIndex:
    """An index with these events and one license."""

    def events(self, name: str | None = None, *, contract: str) -> list[Event]:
        return [item for item in EVENTS if item.contract == contract and name in (None, item.name)]

    def licenses(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(license_id=3, asset_id=7, licensee=LICENSEE)]


class FakeViews:
    """A chain that knows one key."""

    chain = SimpleNamespace(chain_id=5)

    def keys(self) -> SimpleNamespace:
        return SimpleNamespace(address=KEYS)

    def key(self, asset_id: int, key_epoch: int) -> SimpleNamespace:
        assert (asset_id, key_epoch) == (7, 1)
        return SimpleNamespace(shard=1, roster=1)

    def key_holders(self, *_: int) -> tuple[str, ...]:
        return tuple(HOLDERS)

    def roster(self, *_: int) -> SimpleNamespace:
        return SimpleNamespace(index_of=HOLDERS.index)

    def roster_keys(self, _roster: object, seats: list[int]) -> bytes:
        return b"".join(SECRETS[seat].public_key for seat in seats)


def log(*receipts: SignedReceipt, asset: int | None = 7) -> list:
    """Return the log."""
    return access_log(FakeIndex(), FakeViews(), receipts, asset_ids=None if asset is None else [asset])  # type: ignore[arg-type]


def test_the_log_tells_who_got_at_the_key_and_from_whom() -> None:
    """Events and receipts in one order; what belongs together has one release."""
    lines = log(signed())
    assert [(line.block, line.kind) for line in lines] == [
        (20, "released"),
        (90, "receipt"),
        (100, "forced"),
        (101, "answered"),
        (111, "reported"),
        (112, "settled"),
    ]
    assert {line.licensee for line in lines if line.kind != "reported"} == {LICENSEE}
    assert [line.holder for line in lines] == [HOLDERS[0], HOLDERS[1], None, HOLDERS[1], HOLDERS[0], None]
    assert [line.release for line in lines[2:4]] == ["0xaa", "0xaa"]
    assert (lines[1].note, lines[4].note, lines[5].note) == ("", "silent", "5 paid, 6 returned")
    assert [line.asset for line in log(asset=None)].count(8) == 1


def test_a_receipt_counts_if_its_holder_signed_it() -> None:
    """Another holder's signature, another field, no such place; of another chain it isn't shown at all."""
    bad = [signed(key=SECRETS[0]), replace(signed(), receipt=replace(RECEIPT, license_id=4))]
    bad.append(signed(replace(RECEIPT, place=2)))
    for item in bad:
        (line,) = [line for line in log(item) if line.kind == "receipt"]
        assert "no evidence" in line.note
    assert [line for line in log(signed(chain_id=6)) if line.kind == "receipt"] == []


def test_receipts_are_kept_and_read_each_once(tmp_path: Path) -> None:
    """Added to, private, in their order."""
    path = tmp_path / "kept" / "receipts.jsonl"
    first, second = signed(), signed(replace(RECEIPT, block_number=91))
    keep_receipts(path, [])
    assert not path.exists()
    keep_receipts(path, [first])
    keep_receipts(path, [second, first])
    assert read_receipts(path) == [first, second]
    assert path.stat().st_mode & 0o077 == 0
    path.write_text(first.to_line() + "\n\n" + second.to_line()[:-9])
    with pytest.raises(FormatError, match="Line 3"):
        read_receipts(path)
    with pytest.raises(FileUnreadable):
        read_receipts(tmp_path / "none")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"block":90', '"block":-1'),
        ('"block":90', '"block":281474976710656'),
        ('"place":1', '"place":256'),
        ('"place":1', '"place":true'),
        ('"asset":7', '"asset":"7"'),
        ('"point":"0x01', '"point":"0x'),
        ('"point":"0x01', '"point":"0xzz'),
        ('{"chainId":5', '{"chain":5'),
    ],
)
def test_what_is_no_receipt_is_refused(old: str, new: str) -> None:
    """Field by field."""
    line = signed().to_line()
    assert old in line
    with pytest.raises(FormatError):
        SignedReceipt.from_line(line.replace(old, new, 1))


@given(st.binary(max_size=60))
def test_random_bytes_are_no_receipt(data: bytes) -> None:
    """Nothing but FormatError comes out."""
    with pytest.raises(FormatError):
        SignedReceipt.from_line(data)
