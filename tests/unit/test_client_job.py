"""The memory of an unfinished storing: whole or not there, bound to its file."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from qanat.client.job import Job, JobFolder, Source, write_durably
from qanat.errors import BadParameters, FileUnreadable


def make_job(path: Path) -> Job:
    """A job of some file."""
    path.write_bytes(b"content")
    return Job(Source.of(path), 31337, "0xobjects", "0xowner", 1, 2, 3, "ab" * 32, encrypted=True)


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Also after changes; nothing there is no job."""
    folder = JobFolder(tmp_path / "file.storing")
    assert folder.load() is None
    job = folder.save(make_job(tmp_path / "file"))
    assert folder.load() == job
    job = folder.change(job, object_id="cd" * 32, nonce=5, signatures={"0x1": "ff"}, explanation=("why", "how"))
    assert folder.load() == job
    assert job.signatures == {"0x1": "ff"}
    folder.clear()
    folder.clear()
    assert folder.load() is None


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
    with folder.writer(100) as write:
        for index in (3, 0, 2, 1):
            write(index, bytes([index]) * 100)
    with folder.reader(100) as read, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, [0, 1, 2, 3] * 20))
        assert found == [bytes([index]) * 100 for index in (0, 1, 2, 3)] * 20
        with pytest.raises(FileUnreadable, match="cut short"):
            read(4)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in its place."""
    (tmp_path / "taken").write_text("x")
    with pytest.raises(FileUnreadable), JobFolder(tmp_path / "taken").writer(10):
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
        "version", "source", "chain_id", "objects", "owner", "shard", "roster", "epochs", "sha256", "encrypted",
        "explanation", "nonce", "object_id", "opened", "payment", "token", "open_transaction", "signatures",
    }  # fmt: skip
