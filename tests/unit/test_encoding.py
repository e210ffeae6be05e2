"""Objects: any k slices of each matrix restore the bytes.

Lies are found; files stream, and nothing half-written stays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.errors import (
    BadParameters,
    FileChanged,
    FileUnreadable,
    MalformedManifest,
    NodeUnreachable,
    NonCanonicalElement,
    NotEnoughSlices,
    SliceMismatch,
)
from qanat.keys import FileDecryption, FileEncryption
from qanat.kzg import commit, parity_commitments
from qanat.objects import (
    Encoded,
    Manifest,
    Shape,
    decoder,
    encode,
    encode_file,
    encode_stream,
    encoder,
    rebuild_slices,
    restore,
    restore_file,
    restore_stream,
    slice_name,
    verify_slices,
    wrong_slices,
)
from qanat.objects.encoder import _parity_rows, data_rows

KEY = bytes(range(32))


def make_data(size: int, seed: int = 0) -> bytes:
    """Return random bytes, the same every time."""
    return random.Random(seed).randbytes(size)


def make_object(size: int = 9000, **overrides: int) -> tuple[bytes, Encoded]:
    """Return (data, encoded): by default three matrices of 2 data rows and 5 rows in all."""
    data = make_data(size)
    return data, encode(data, **{"k": 2, "n": 5, "width": 64, **overrides})


DATA, ENCODED = make_object()
MANIFEST = ENCODED.manifest
SLICES = dict(enumerate(ENCODED.slices))


# ---- any k of n ------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    shape=st.sampled_from([(1, 1), (1, 3), (2, 5), (3, 3), (3, 7), (5, 9), (6, 6)]), draw=st.randoms(), part=st.data()
)
def test_any_k_slices_of_each_matrix_restore(shape: tuple[int, int], draw: random.Random, part: st.DataObject) -> None:
    """Whatever k rows survive in each matrix, at sizes on and around the matrices' borders."""
    k, n = shape
    full = k * 64 * 31
    size = part.draw(st.sampled_from([0, 1, 30, 31, 32, full - 1, full, full + 1, 2 * full]))
    data, encoded = make_object(size, k=k, n=n)
    manifest = encoded.manifest
    assert manifest.matrices == max(1, -(-size // full))
    kept = {m * n + row for m in range(manifest.matrices) for row in draw.sample(range(n), k)}
    survivors = {index: encoded.slices[index] for index in kept}
    assert restore(manifest, survivors) == data
    assert restore(Manifest.from_bytes(manifest.to_bytes()), survivors) == data
    manifest.check(manifest.root)


def test_a_small_wide_object_restores_from_any_third_of_its_rows() -> None:
    """The profile at an eighth of its rows and a sixteenth of its width: 384 slices of one matrix, any 128 restore."""
    size = 128 * 64 * 31 - 17
    data, encoded = make_object(size, k=128, n=384)
    assert len(encoded.slices) == 384
    encoded.manifest.check(encoded.manifest.root)
    for seed in range(3):
        kept = random.Random(seed).sample(range(384), 128)
        assert restore(encoded.manifest, {index: encoded.slices[index] for index in kept}) == data
    with pytest.raises(NotEnoughSlices):
        restore(encoded.manifest, {index: encoded.slices[index] for index in kept[1:]})


def test_rows_are_the_data_itself() -> None:
    """Data rows carry 31 payload bytes per element after a zero byte; commitments are those of the rows."""
    first = ENCODED.slices[0]
    assert first[0] == 0
    assert first[1:32] == DATA[:31]
    assert first[33:64] == DATA[31:62]
    assert len(first) == 32 * 64
    for index in (0, 1, 4, 7, 14):
        assert commit(ENCODED.slices[index]) == MANIFEST.commitments[index]
    assert MANIFEST.content_hash == hashlib.sha256(DATA).digest()


def test_an_empty_object_is_one_zero_matrix() -> None:
    """Its commitments are identities, its check holds, and it comes back empty."""
    _, encoded = make_object(0)
    assert encoded.manifest.matrices == 1
    assert set(encoded.manifest.commitments) == {b"\xc0" + bytes(47)}
    assert encoded.slices == [bytes(32 * 64)] * 5
    encoded.manifest.check()
    verify_slices(encoded.manifest, dict(enumerate(encoded.slices)))
    assert restore(encoded.manifest, {3: encoded.slices[3], 4: encoded.slices[4]}) == b""


def test_too_few_slices_are_an_error_that_says_which_matrix() -> None:
    """k-1 of one matrix, whatever there is of the others."""
    few = {index: part for index, part in SLICES.items() if not 5 <= index < 9}
    with pytest.raises(NotEnoughSlices) as caught:
        restore(MANIFEST, few)
    assert caught.value.data == {"matrix": 1, "have": 1, "need": 2, "bad": []}


# ---- lies ------------------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(index=st.integers(0, 14), bit=st.integers(0, 64 * 32 * 8 - 1))
def test_a_flipped_bit_anywhere_in_a_slice_is_found_and_left_aside(index: int, bit: int) -> None:
    """The slice is named, the object restores from the others."""
    flipped = bytearray(SLICES[index])
    flipped[bit // 8] ^= 1 << bit % 8
    slices = {**SLICES, index: bytes(flipped)}
    assert wrong_slices(MANIFEST, slices) == [index]
    assert restore(MANIFEST, slices) == DATA


def test_wrong_slices_of_every_kind_are_named() -> None:
    """Short, long, empty, swapped, non-canonical, or with a data element of 2^248."""
    slices = dict(SLICES)
    slices[0] = slices[0][:-1]
    slices[3] = slices[3] + bytes(32)
    slices[5] = b""
    slices[8], slices[9] = slices[9], slices[8]
    slices[12] = b"\xff" * len(slices[12])
    assert wrong_slices(MANIFEST, slices) == [0, 3, 5, 8, 9, 12]
    with pytest.raises(SliceMismatch) as caught:
        verify_slices(MANIFEST, slices)
    assert caught.value.data["bad"] == [0, 3, 5, 8, 9, 12]
    assert restore(MANIFEST, slices) == DATA
    verify_slices(MANIFEST, SLICES)
    with pytest.raises(BadParameters):
        verify_slices(MANIFEST, {15: SLICES[0]})
    with pytest.raises(NotEnoughSlices) as caught:
        restore(MANIFEST, {**dict.fromkeys(range(4), SLICES[14]), 4: SLICES[4]})
    assert caught.value.data["bad"] == [0, 1, 2, 3]


def hostile_object() -> tuple[Manifest, dict[int, bytes]]:
    """Return an object whose data elements pass 2^248: commitments, dual check and slices all hold."""
    shape = Shape(64, 2, 5)
    rows = [b"\x01" + bytes(shape.slice_bytes - 1), bytes(shape.slice_bytes)]
    slices = [*rows, *_parity_rows(rows, shape)]
    made = [commit(row) for row in rows]
    commitments = tuple(made + parity_commitments(made, 2, 5))
    manifest = Manifest(64, 2, 5, 1, 100, hashlib.sha256(bytes(100)).digest(), b"", commitments)
    manifest.check()
    return manifest, dict(enumerate(slices))


def test_data_elements_of_2_to_the_248_are_refused_in_rows_and_after_decoding() -> None:
    """They match their commitments, and still are no data: as slices, and when parity rows decode to them."""
    manifest, slices = hostile_object()
    assert wrong_slices(manifest, slices) == [0]
    with pytest.raises(NonCanonicalElement):
        restore(manifest, {index: slices[index] for index in (2, 3)})


def test_a_manifest_with_another_content_hash_is_found_out() -> None:
    """All slices match, the restored bytes don't."""
    with pytest.raises(MalformedManifest):
        restore(dataclasses.replace(MANIFEST, content_hash=bytes(32)), SLICES)


# ---- mending ---------------------------------------------------------------------------------------------------------


def test_a_node_rebuilds_lost_slices_from_k_others() -> None:
    """Data and parity slices alike, with a wrong one among the helpers left aside."""
    helpers = {index: SLICES[index] for index in (6, 8, 9)}
    helpers[8] = bytes(len(helpers[8]))
    assert rebuild_slices(MANIFEST, helpers, [5, 7, 8]) == {index: SLICES[index] for index in (5, 7, 8)}
    assert rebuild_slices(MANIFEST, helpers, []) == {}
    with pytest.raises(NotEnoughSlices):
        rebuild_slices(MANIFEST, {6: SLICES[6], 8: helpers[8]}, [5])
    with pytest.raises(BadParameters):
        rebuild_slices(MANIFEST, {5: SLICES[5], 6: SLICES[6]}, [11])


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_file_goes_to_slices_and_back_with_two_operators_down(tmp_path: Path) -> None:
    """Encrypted, encoded into a folder, a third of the rows removed, restored and decrypted.

    Progress reaches the end.
    """
    data = make_data(20_000)
    (tmp_path / "in").write_bytes(data)
    encryption = FileEncryption(KEY, chunk_bytes=1000)
    seen: list[tuple[int, int]] = []
    manifest = encode_file(
        tmp_path / "in",
        Shape(64, 4, 6),
        tmp_path / "slices",
        transform=encryption,
        progress=lambda done, size: seen.append((done, size)),
    )
    assert manifest.header == encryption.header
    assert manifest.size == encryption.stored_size(len(data)) == seen[-1][0] == seen[-1][1]
    assert data[:100] not in b"".join((tmp_path / "slices" / slice_name(i)).read_bytes()[1:] for i in range(4))
    for index in range(manifest.count):
        if index % 6 in {0, 3}:
            (tmp_path / "slices" / slice_name(index)).unlink()
    restore_file(manifest, tmp_path / "slices", tmp_path / "out", inverse=FileDecryption(KEY, manifest.header))
    assert (tmp_path / "out").read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "slices"]


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_files_of_any_size_come_back(tmp_path: Path, size: int) -> None:
    """From nothing on, encrypted or not."""
    data = make_data(size)
    (tmp_path / "in").write_bytes(data)
    plain = encode_file(tmp_path / "in", Shape(64, 2, 4), tmp_path / "plain")
    restore_file(plain, tmp_path / "plain", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert plain == encode(data, k=2, n=4, width=64).manifest
    sealed = encode_file(tmp_path / "in", Shape(64, 2, 4), tmp_path / "sealed", transform=FileEncryption(KEY))
    restore_file(sealed, tmp_path / "sealed", tmp_path / "out", inverse=FileDecryption(KEY, sealed.header))
    assert (tmp_path / "out").read_bytes() == data


def test_a_failed_restore_leaves_no_file(tmp_path: Path) -> None:
    """Too few slices, a wrong hash, a wrong key: nothing appears, and an older file stays as it was."""
    target = tmp_path / "out"
    target.write_bytes(b"older")
    failing = [
        (MANIFEST, {0: SLICES[0]}.get, NotEnoughSlices),
        (dataclasses.replace(MANIFEST, content_hash=bytes(32)), SLICES.get, MalformedManifest),
    ]
    for manifest, fetch, error in failing:
        with pytest.raises(error):
            restore_file(manifest, fetch, target)
    assert target.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    for bad in (tmp_path / "none" / "out", tmp_path):
        with pytest.raises(FileUnreadable):
            restore_file(MANIFEST, SLICES.get, bad)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    """Missing files and folders raise FileUnreadable, and no slice folder is begun."""
    for bad in (tmp_path / "none", tmp_path):
        with pytest.raises(FileUnreadable):
            encode_file(bad, Shape(64, 2, 4), tmp_path / "slices")
    (tmp_path / "in").write_bytes(b"x")
    with pytest.raises(FileUnreadable):
        encode_file(tmp_path / "in", Shape(64, 2, 4), tmp_path / "in" / "slices")


@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "replace", "vanish"])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_file_that_changes_while_it_is_read_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, sealed: bool
) -> None:
    """Whatever the change, FileChanged, and every slice written so far is gone."""
    monkeypatch.setattr(encoder, "READ_BYTES", 4000)
    path, folder = tmp_path / "in", tmp_path / "slices"
    path.write_bytes(make_data(20_000))

    def meddle(_done: int, _size: int) -> None:
        if change == "grow":
            with path.open("ab") as file:
                file.write(b"more")
        elif change == "shrink":
            os.truncate(path, 9000)
        elif change == "touch":
            os.utime(path, ns=(1, 1))
        elif change == "replace":
            (tmp_path / "other").write_bytes(b"")
            (tmp_path / "other").replace(path)
        elif path.exists():
            path.unlink()

    encryption = FileEncryption(KEY, chunk_bytes=1000) if sealed else None
    with pytest.raises(FileChanged):
        encode_file(path, Shape(64, 2, 2), folder, transform=encryption, progress=meddle)
    assert list(folder.iterdir()) == []


def test_a_stream_of_another_length_is_refused() -> None:
    """One byte more or less than announced raises FileChanged."""
    for size in (99, 101):
        with pytest.raises(FileChanged):
            encode_stream([bytes(60), bytes(40)], size, Shape(64, 1, 2), lambda _index, _part: None)
    with pytest.raises(BadParameters):
        encode(b"", k=1, n=1, width=64, header=bytes((1 << 16) + 1))


def test_what_a_sink_raises_ends_the_encoding_and_removes_its_slices(tmp_path: Path) -> None:
    """As when the program is interrupted."""
    (tmp_path / "in").write_bytes(make_data(10_000))

    def interrupt(_done: int, _size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_file(tmp_path / "in", Shape(64, 2, 4), tmp_path / "slices", progress=interrupt)
    assert list((tmp_path / "slices").iterdir()) == []


# ---- fetching --------------------------------------------------------------------------------------------------------


def test_rows_that_failed_are_asked_for_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that is down is asked about the first window only, once others are known to answer."""
    data, encoded = make_object(64 * 31 * 2 * 12)
    asked: list[int] = []

    def fetch(index: int) -> bytes | None:
        asked.append(index)
        if index % 5 == 0:
            raise NodeUnreachable("down")
        return None if index % 5 == 1 else encoded.slices[index]

    monkeypatch.setattr(decoder, "WINDOW_BYTES", 4 * 2 * 64 * 32)  # four matrices
    assert b"".join(restore_stream(encoded.manifest, fetch, workers=3)) == data
    late = [index for index in asked if index >= 4 * 5]
    assert {index % 5 for index in late} == {2, 3}
    assert len(late) == 2 * 8


def test_an_unexpected_error_of_a_fetch_is_not_swallowed() -> None:
    """Only this package's errors count as a slice that can't be had."""

    def fetch(_index: int) -> bytes | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        b"".join(restore_stream(MANIFEST, fetch))


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_file() -> None:
    """Encoding 40 matrices of zeros peaks as low as 4: only a bounded number of matrices is held."""

    def peak(matrices: int) -> int:
        shape = Shape(4096, 1, 2)
        tracemalloc.start()
        try:
            encode_stream(
                (bytes(shape.matrix_payload) for _ in range(matrices)),
                matrices * shape.matrix_payload,
                shape,
                lambda _index, _part: None,
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    assert peak(40) < 1.5 * peak(4)


def test_data_rows_pad_with_zeros() -> None:
    """What is short of a matrix is zero."""
    rows = data_rows(b"\xff" * 32, Shape(64, 2, 2))
    assert rows[0][:34] == b"\0" + b"\xff" * 31 + b"\0\xff"
    assert not any(rows[0][34:])
    assert not any(rows[1])
