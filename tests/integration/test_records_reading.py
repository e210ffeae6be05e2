"""Single records from served nodes: of plain and encrypted bundles, from the slices that they touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from qanat.errors import MalformedBundle, RecordNotFound
from qanat.keys import FileEncryption
from qanat.objects import encode
from qanat.records import Record, make_bundle
from qanat.records.bundle import HEAD_BYTES
from qanat.records.reading import open_bundle, read_records
from tests.integration.served_nodes import Network

KEY = bytes(range(32))
RECORDS = [Record(bytes([i % 3]) * 20, i, bytes([i % 251]) * (60 + i % 50), bytes(65)) for i in range(300)]
BUNDLE = make_bundle(b"\x05" * 32, [record.to_bytes() for record in RECORDS])


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_record_is_read_from_the_slices_it_touches(tmp_path: Path, is_encrypted: bool) -> None:
    """By position and by sender and nonce; no slice is fetched twice, most are never."""
    stored, header = BUNDLE.data, BUNDLE.head.to_bytes()
    if is_encrypted:
        encryption = FileEncryption(KEY, chunk_bytes=1000)
        stored, header = b"".join(encryption.apply([stored])), header + encryption.header
    network = Network(tmp_path, encode(stored, k=4, n=6, width=64, header=header))
    try:
        network.fill()
        seen = network.asked()
        with network.reader(data_key=KEY if is_encrypted else None) as reader:
            bundle = open_bundle(reader)
            record = RECORDS[100]
            assert bundle.record(bundle.find(*record.key)) == record
            if not is_encrypted:
                assert len(seen) == len(set(seen))
            assert len(set(seen)) < len(stored) / (31 * 64) / 1.5
            assert bundle.record(0) == BUNDLE.record(0)
            assert bundle.record(299) == BUNDLE.record(299)
            with pytest.raises(RecordNotFound):
                bundle.find(b"\x01" * 20, 2)
    finally:
        network.stop()


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_ranges_are_read_at_once(tmp_path: Path, is_encrypted: bool) -> None:
    """The first, one alone, the last, all: from their slices; what lies beyond the last is told."""
    stored, header = BUNDLE.data, BUNDLE.head.to_bytes()
    if is_encrypted:
        encryption = FileEncryption(KEY, chunk_bytes=1000)
        stored, header = b"".join(encryption.apply([stored])), header + encryption.header
    network = Network(tmp_path, encode(stored, k=4, n=6, width=64, header=header))
    try:
        network.fill()
        seen = network.asked()
        with network.reader(data_key=KEY if is_encrypted else None) as reader:
            for first, count in ((0, 1), (0, 20), (150, 1), (290, 10)):
                seen.clear()
                expected = [BUNDLE.record(place) for place in range(first, first + count)]
                assert list(read_records(reader, first, count)) == expected
                assert len(set(seen)) < len(stored) / (31 * 64) / 1.5
            assert [record.to_bytes() for record in read_records(reader, 0, 300)] == BUNDLE.records
            for first, count in ((300, 1), (299, 2), (0, 301), (1 << 31, 1)):
                with pytest.raises(RecordNotFound):
                    next(read_records(reader, first, count))
    finally:
        network.stop()


@pytest.mark.parametrize("fault", ["order", "index backwards", "index beyond", "record too small"])
def test_bundles_that_lie_of_their_records(tmp_path: Path, fault: str) -> None:
    """Stored as they are by an owner who may store anything: no record of them is made up."""
    data = bytearray(BUNDLE.data)
    ends = [int.from_bytes(data[HEAD_BYTES + 4 * place :][:4], "big") for place in range(6)]
    if fault == "order":
        start = BUNDLE.head.records_start + ends[4]
        data[start : start + 28] = bytes(28)  # sender and nonce of the first
    else:
        wrong = {"index backwards": ends[3] - 1, "index beyond": 1 << 31, "record too small": ends[4] + 3}[fault]
        data[HEAD_BYTES + 4 * 5 : HEAD_BYTES + 4 * 6] = wrong.to_bytes(4, "big")
    network = Network(tmp_path, encode(bytes(data), k=4, n=6, width=64, header=BUNDLE.head.to_bytes()))
    try:
        network.fill()
        with network.reader() as reader, pytest.raises(MalformedBundle):
            list(read_records(reader, 3, 5))
    finally:
        network.stop()


def test_an_object_that_is_no_bundle_or_too_short_for_its_head_is_told(tmp_path: Path) -> None:
    """Before a slice is asked for."""
    for name, header in (("plain", b""), ("short", BUNDLE.head.to_bytes())):
        network = Network(tmp_path / name, encode(bytes(500), k=4, n=6, width=64, header=header))
        try:
            with network.reader() as reader, pytest.raises(MalformedBundle):
                open_bundle(reader)
        finally:
            network.stop()
