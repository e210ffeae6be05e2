"""Single records from served nodes: of plain and encrypted bundles, from the slices that they touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from qanat.errors import MalformedBundle, RecordNotFound
from qanat.keys import FileEncryption
from qanat.objects import encode
from qanat.records import Record, make_bundle
from qanat.records.reading import open_bundle
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


def test_an_object_that_is_no_bundle_or_too_short_for_its_head_is_told(tmp_path: Path) -> None:
    """Before a slice is asked for."""
    for name, header in (("plain", b""), ("short", BUNDLE.head.to_bytes())):
        network = Network(tmp_path / name, encode(bytes(500), k=4, n=6, width=64, header=header))
        try:
            with network.reader() as reader, pytest.raises(MalformedBundle):
                open_bundle(reader)
        finally:
            network.stop()
