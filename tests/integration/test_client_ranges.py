"""Parts of an object from served nodes: the right bytes, from no more slices than they touch, whatever nodes do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import Request, Response

from qanat.client.reader import touched_slices
from qanat.errors import BadParameters, DecryptionFailed, NotEnoughSlices
from qanat.keys import FileEncryption
from qanat.objects import encode, ticket_of_row
from tests.integration.served_nodes import DATA, ENCODED, OBJECT, Network, refuse

ROW = ENCODED.manifest.shape.row_payload
N, K = ENCODED.manifest.n, ENCODED.manifest.k
KEY = bytes(range(32))
CHUNK = 1000
ENCRYPTION = FileEncryption(KEY, chunk_bytes=CHUNK)
SEALED = encode(b"".join(ENCRYPTION.apply([DATA])), k=4, n=6, width=64, header=ENCRYPTION.header)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Nodes that hold the plain object."""
    made = Network(tmp_path_factory.mktemp("plain"))
    made.fill()
    yield made
    made.stop()


@pytest.fixture
def network(filled: Network) -> Iterator[Network]:
    yield filled
    filled.faults.clear()


def holder(row: int) -> int:
    """Number of the node that holds a row."""
    return ticket_of_row(OBJECT, 6, row)


@pytest.mark.parametrize(
    ("start", "end", "touched"),
    [
        (0, 1, [0]),
        (ROW - 1, ROW + 1, [0, 1]),
        (ROW, 2 * ROW, [1]),
        (4 * ROW - 1, 4 * ROW + 1, [3, N]),
        (len(DATA) - 1, len(DATA), [(len(DATA) - 1) // ROW // K * N + (len(DATA) - 1) // ROW % K]),
        (17, 17, []),
    ],
)
def test_only_the_touched_slices_are_asked_for(network: Network, start: int, end: int, touched: list[int]) -> None:
    """A byte, both sides of a row, a whole row, both sides of a matrix, the end, nothing."""
    seen = network.asked()
    with network.reader() as reader:
        assert reader.read(start, end) == DATA[start:end]
        assert sum(report.asked for report in reader.reports) == len(touched)
    assert sorted(index for _, index in seen) == touched
    assert touched_slices(ENCODED.manifest, start, end) == touched


def test_every_byte_can_be_read(network: Network) -> None:
    """One range over the whole object asks for each data slice once and for no parity."""
    seen = network.asked()
    with network.reader() as reader:
        assert reader.size == len(DATA)
        assert b"".join(reader.chunks(0, len(DATA))) == DATA
    assert len(seen) == -(-len(DATA) // ROW)
    assert all(index % N < K for _, index in seen)


def test_a_range_outside_of_the_object_is_refused(network: Network) -> None:
    """Nothing is asked for it."""
    seen = network.asked()
    with network.reader() as reader:
        for start, end in ((-1, 5), (5, 3), (0, len(DATA) + 1)):
            with pytest.raises(BadParameters):
                reader.read(start, end)
    assert seen == []


def test_a_missing_slice_is_rebuilt_from_its_matrix(network: Network) -> None:
    """The node of row 1 refuses: k rows of the touched matrices stand in, other matrices are left alone."""
    seen = network.asked()
    note = network.faults[holder(1)]

    def refusing(request: Request) -> Response | None:
        note(request)
        return refuse(500)(request)

    network.faults[holder(1)] = refusing
    with network.reader() as reader:
        assert reader.read(ROW + 3, ROW + 9) == DATA[ROW + 3 : ROW + 9]
    assert {index // N for _, index in seen} == {0}
    assert len({index for _, index in seen}) <= 1 + K


def test_a_liar_is_named_and_the_range_is_right(network: Network) -> None:
    """The node of row 2 sends one flipped bit: its slice is not used, its name is told."""
    liar = network.nodes[holder(2)]
    real = liar.service.serve_slice

    def lie(object_id: bytes, index: int, reader: str) -> bytes:
        data = bytearray(real(object_id, index, reader))
        data[-1] ^= 1
        return bytes(data)

    liar.service.serve_slice = lie  # type: ignore[method-assign]
    try:
        with network.reader() as reader:
            assert reader.read(0, 5 * ROW) == DATA[: 5 * ROW]
            assert [report.operator for report in reader.reports if report.liar] == [liar.person.address]
    finally:
        liar.service.serve_slice = real  # type: ignore[method-assign]


def test_too_few_nodes_end_with_each_reason(network: Network) -> None:
    """Three of six refuse: no byte is made up."""
    for row in (0, 1, 2):
        network.faults[holder(row)] = refuse(500)
    with network.reader(seconds=2.0) as reader, pytest.raises(NotEnoughSlices, match="by order"):
        reader.read(0, 10)


def test_ranges_of_an_encrypted_object(tmp_path: Path) -> None:
    """Inside a chunk, over its borders, to the end: plaintext comes back from the touched slices only."""
    network = Network(tmp_path, SEALED)
    try:
        network.fill()
        seen = network.asked()
        with network.reader(data_key=KEY) as reader:
            assert reader.size == len(DATA)
            last = len(DATA)
            for start, end in ((10, 20), (CHUNK - 1, CHUNK + 1), (7 * CHUNK, 8 * CHUNK), (last - 1, last), (0, 0)):
                seen.clear()
                assert reader.read(start, end) == DATA[start:end]
                step = CHUNK + 16
                stored = (start // CHUNK * step, min(SEALED.manifest.size, -(-end // CHUNK) * step) if end else 0)
                assert sorted(index for _, index in seen) == touched_slices(SEALED.manifest, *stored)
            with pytest.raises(BadParameters):
                reader.read(0, last + 1)
        with pytest.raises(DecryptionFailed):
            network.reader(data_key=bytes(32))
    finally:
        network.stop()
