"""The memory of an unfinished storing: whole or not there, bound to its file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from qanat.client.checkpoint import Checkpoint, write_at
from qanat.client.job import Job, JobFolder, Source, write_durably
from qanat.errors import BadParameters, FileChanged, FileUnreadable
from qanat.keys import FileEncryption
from qanat.objects import Manifest, Shape, encode_file


def make_job(path: Path) -> Job:
    """A job of some file."""
    path.write_bytes(b"content")
    return Job(Source.of(path), 31337, "0xobjects", "0xowner", 1, 2, 3, encrypted=True, width=64, k=2, n=5)


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Also after changes; nothing there is no job."""
    folder = JobFolder(tmp_path / "file.storing")
    assert folder.load() is None
    with folder.locked():
        job = folder.save(make_job(tmp_path / "file"))
        assert folder.load() == job
        assert job.shape == Shape(64, 2, 5)
        assert not job.prepared
        job = folder.change(job, object_id="cd" * 32, nonce=0, signatures={"0x1": "ff"}, explanation=("why", "how"))
        assert folder.load() == job
        assert job.prepared
        assert job.signatures == {"0x1": "ff"}
    assert folder.load() == job
    with folder.locked():
        folder.empty()
        folder.empty()
        assert folder.load() is None
        (folder.path / "sub").mkdir()
        folder.empty()
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second one is told; when the first is gone, also by kill -9, the folder is free."""
    folder = JobFolder(tmp_path / "file.storing")
    with folder.locked(), pytest.raises(BadParameters, match="at work"), JobFolder(folder.path).locked():
        pass
    code = f"""
import os, signal
from pathlib import Path
from qanat.client.job import JobFolder
with JobFolder(Path({str(folder.path)!r})).locked():
    print("locked", flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BadParameters, match="at work"), folder.locked():
            pass
        other.kill()
        other.wait(20)
    with folder.locked():
        pass
    assert not folder.path.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 99}', '{"version": 1}', '{"version": 1, "source": {}}']
)
def test_a_damaged_job_is_named_and_kept(tmp_path: Path, content: str) -> None:
    """It may know of a payment: it is never thrown away."""
    folder = JobFolder(tmp_path / "file.storing")
    folder.save(make_job(tmp_path / "file"))
    (folder.path / "job.json").write_text(content)
    with pytest.raises(BadParameters, match="job.json"):
        folder.load()
    assert (folder.path / "job.json").exists()


def test_a_changed_file_is_another_source(tmp_path: Path) -> None:
    """By size, time of change, or path."""
    path = tmp_path / "file"
    before = make_job(path).source
    assert Source.of(path) == before
    path.write_bytes(b"contenu")
    os.utime(path, ns=(0, before.modified_ns + 1))
    assert Source.of(path) != before
    path.write_bytes(b"longer content")
    assert Source.of(path).size == 14
    assert replace(before, path="x") != before
    for bad in (tmp_path / "none", tmp_path):
        with pytest.raises(FileUnreadable):
            Source.of(bad)


def test_slices_are_written_in_any_order_and_read_from_threads(tmp_path: Path) -> None:
    """Slice i at i times its length."""
    folder = JobFolder(tmp_path / "file.storing")
    folder.path.mkdir()
    with folder.encoding(Shape(64, 2, 4)) as (write, _):
        for index in (3, 0, 2, 1):
            write(index, bytes([index]) * 2048)
    with folder.reader(2048) as read, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, [0, 1, 2, 3] * 20))
        assert found == [bytes([index]) * 2048 for index in (0, 1, 2, 3)] * 20
        with pytest.raises(FileUnreadable, match="cut short"):
            read(4)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in its place."""
    (tmp_path / "taken").write_text("x")
    with pytest.raises(FileUnreadable), JobFolder(tmp_path / "taken").locked():
        pass
    with pytest.raises(FileUnreadable), JobFolder(tmp_path / "taken").encoding(Shape(64, 1, 1)):
        pass
    with pytest.raises(FileUnreadable):
        write_durably(tmp_path / "taken" / "x", b"")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Private, and no part is left."""
    path = tmp_path / "x.json"
    for size in (10, 500_000, 0):
        write_durably(path, b"z" * size)
        assert path.stat().st_size == size
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["x.json"]


def test_the_job_holds_no_secret(tmp_path: Path) -> None:
    """Its fields are known; a new one that is a key would have to be named here."""
    folder = JobFolder(tmp_path / "file.storing")
    folder.save(make_job(tmp_path / "file"))
    assert set(json.loads((folder.path / "job.json").read_text())) == {
        "version", "source", "chain_id", "objects", "owner", "shard", "roster", "epochs", "encrypted", "width", "k",
        "n", "header", "encoded", "sha256", "root", "explanation", "nonce", "object_id", "opened", "payment", "token",
        "open_transaction", "signatures", "availability",
    }  # fmt: skip


# ---- an encoding that is interrupted ---------------------------------------------------------------------------------

SHAPE = Shape(64, 2, 5)
MATRICES = 7


class Killed(BaseException):
    """What stands for kill -9 here: nothing after it reaches the disk."""


class Encodings:
    """Encodes one file again and again, and counts the matrices that are computed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from qanat.objects import encoder

        self.path = folder / "file"
        self.data = bytes((i * i + 7 * i) % 251 for i in range(MATRICES * SHAPE.matrix_payload - 500))
        self.path.write_bytes(self.data)
        self.folder = JobFolder(folder / "file.storing")
        self.folder.path.mkdir()
        self.key = bytes(range(32))
        self.header = FileEncryption(self.key).header
        self.computed = 0
        self.patch = monkeypatch
        real = encoder._encode_matrix

        def counted(*arguments: object) -> object:
            self.computed += 1
            return real(*arguments)

        monkeypatch.setattr(encoder, "_encode_matrix", counted)

    def run(self, *, die_at: int = -1) -> Manifest:
        """Encode; with ``die_at`` raise ``Killed`` when so many slices were written, nothing being synced any more."""
        with self.patch.context() as patch, self.folder.encoding(SHAPE) as (write, memory):
            written = 0

            def sink(index: int, data: bytes) -> None:
                nonlocal written
                if written == die_at:
                    patch.setattr(memory, "sync", lambda: None)
                    raise Killed
                written += 1
                write(index, data)

            self.known = memory.known
            self.computed = 0
            encryption = FileEncryption.resumed(self.key, self.header)
            return encode_file(self.path, SHAPE, sink, transform=encryption, memory=memory)


@pytest.mark.parametrize("die_at", [0, 4, 5, 13, 5 * MATRICES - 1])
def test_an_interrupted_encoding_computes_no_matrix_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, die_at: int
) -> None:
    """Whatever was synced is taken up; manifest and slices are those of an encoding in one go."""
    from qanat.client import checkpoint

    monkeypatch.setattr(checkpoint, "SYNC_BYTES", 1)  # after every matrix
    work = Encodings(tmp_path, monkeypatch)
    with pytest.raises(Killed):
        work.run(die_at=die_at)
    manifest = work.run()
    assert work.known == die_at // 5
    assert work.computed == MATRICES - work.known
    whole: list[bytes] = []
    encryption = FileEncryption.resumed(work.key, work.header)
    assert encode_file(work.path, SHAPE, lambda _, part: whole.append(part), transform=encryption) == manifest
    assert work.folder.slices.read_bytes() == b"".join(whole)
    assert work.run() == manifest
    assert work.computed == 0


def test_what_was_not_synced_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records come after their slices; a run that ends by an exception leaves what it did."""
    work = Encodings(tmp_path, monkeypatch)
    with pytest.raises(Killed):
        work.run(die_at=20)
    work.run()
    assert (work.known, work.computed) == (0, MATRICES)

    def interrupt(index: int, data: bytes) -> None:
        if index == 16:
            raise KeyboardInterrupt

    work.folder.empty()
    with pytest.raises(KeyboardInterrupt), work.folder.encoding(SHAPE) as (_, memory):
        encode_file(work.path, SHAPE, interrupt, memory=memory)
    with work.folder.encoding(SHAPE) as (_, memory):
        assert memory.known == 0  # the slices never came to the file: its records don't count
    assert (work.folder.path / "encoded.bin").stat().st_size == 0


@pytest.mark.parametrize("damage", ["cut", "torn", "flipped", "slices"])
def test_damaged_records_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """A cut or altered record, and all after it, and records whose slices are not there."""
    work = Encodings(tmp_path, monkeypatch)
    manifest = work.run()
    log = work.folder.path / "encoded.bin"
    data, record = log.read_bytes(), 64 + 5 * 48
    assert len(data) == MATRICES * record
    if damage == "cut":
        log.write_bytes(data[: 3 * record])
    elif damage == "torn":
        log.write_bytes(data[: 4 * record - 1])
    elif damage == "flipped":
        log.write_bytes(data[: 3 * record + 40] + bytes([data[3 * record + 40] ^ 1]) + data[3 * record + 41 :])
    else:
        os.truncate(work.folder.slices, 4 * 5 * SHAPE.slice_bytes - 1)
    assert work.run() == manifest
    assert (work.known, work.computed) == (3, MATRICES - 3)


def test_another_file_of_the_same_size_is_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if its time of change is the same: its bytes are compared with those of the first try."""
    work = Encodings(tmp_path, monkeypatch)
    work.run()
    work.path.write_bytes(work.data[:-1] + b"x")
    with pytest.raises(FileChanged):
        work.run()


def test_an_encryption_is_taken_up_with_its_own_key_alone(tmp_path: Path) -> None:
    """The same header, the same bytes, the same ciphertext."""
    from qanat.errors import DecryptionFailed, FormatError

    first = FileEncryption(bytes(32), chunk_bytes=100)
    cipher = b"".join(first.apply([bytes(1000)]))
    assert b"".join(FileEncryption.resumed(bytes(32), first.header).apply([bytes(1000)])) == cipher
    with pytest.raises(DecryptionFailed):
        FileEncryption.resumed(bytes(31) + b"x", first.header)
    with pytest.raises(FormatError):
        FileEncryption.resumed(bytes(32), first.header[:-1])


def test_writes_that_the_system_takes_in_parts_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And matrices that come out of order are a mistake of the caller."""
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, data[:7], offset))
    descriptor = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    try:
        write_at(descriptor, bytes(range(100)), 5)
        assert os.pread(descriptor, 200, 5) == bytes(range(100))
        with Checkpoint.opened(tmp_path / "log", descriptor, Shape(64, 1, 1)) as memory, pytest.raises(ValueError):
            memory.keep(1, hashlib.sha256(b"").digest(), [bytes(48)])
    finally:
        os.close(descriptor)
