"""Intake killed at each step, disks full or damaged: nothing signed is lost, nothing lost is signed."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from tests.chaos.programs import run

OBJECT = b"\x51" * 32


def test_intake_killed_at_every_step(tmp_path: Path) -> None:
    """kill -9 before and after everything that becomes durable; QANAT_CRASH_STRIDE=n takes every n-th only."""
    done = run(sys.executable, "tests/chaos/intake_crash.py", str(tmp_path), os.environ.get("QANAT_CRASH_STRIDE", "1"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == []
    assert found["killed"] > 3


FILL = f"""
import resource, sys
from pathlib import Path
from qanat.errors import StoreError
from qanat.store import LmdbStore
kind, more, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
store = LmdbStore(folder, map_bytes=1 << 20)
what, now = resource.RLIMIT_FSIZE, 0
if kind == "memory":
    what, now = resource.RLIMIT_AS, int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
before = resource.getrlimit(what)
resource.setrlimit(what, (now + more, before[1]))
flushed = 0
try:
    for index in range(4000):
        store.put({OBJECT!r}, index, index.to_bytes(4, "big") * 8192)
        store.flush()
        flushed += 1
except StoreError as error:
    print(flushed, error.message)
resource.setrlimit(what, before)
if kind == "file":
    assert all(store.get({OBJECT!r}, index)[:4] == index.to_bytes(4, "big") for index in range(flushed))
    store.flush()  # what could not be written before
    assert store.usage().slices == flushed + 1
    assert store.delete_object({OBJECT!r}) == flushed + 1
    store.put({OBJECT!r}, 7, b"room again")
    store.close()
"""


def test_a_full_disk_is_told_and_heals(tmp_path: Path) -> None:
    """A file that may not grow (RLIMIT_FSIZE): an error, what was flushed is readable, with room again it goes on."""
    done = run(sys.executable, "-c", FILL, "file", str(8 << 20), str(tmp_path / "s"))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split(" ", 1)[0]) > 100


def test_a_map_that_cannot_grow_is_an_error(tmp_path: Path) -> None:
    """No more address space (RLIMIT_AS): an error, no crash, and what was flushed is there at the next start."""
    from qanat.store import LmdbStore

    done = run(sys.executable, "-c", FILL, "memory", str(40 << 20), str(tmp_path / "s"))
    assert done.returncode == 0, done.stderr
    flushed = int(done.stdout.split(" ", 1)[0])
    assert 0 < flushed < 4000
    store = LmdbStore(tmp_path / "s")
    assert list(store.indexes(OBJECT))[:flushed] == list(range(flushed))
    assert all(store.get(OBJECT, index)[:4] == index.to_bytes(4, "big") for index in range(flushed))
    store.close()


READ = f"""
import sys
from qanat.errors import StoreError
from qanat.store import LmdbStore
store = LmdbStore(sys.argv[1])
for index in range(200):
    try:
        data = store.get({OBJECT!r}, index)
    except StoreError:
        continue
    assert data == index.to_bytes(4, "big") * 1024, index
"""


@pytest.mark.parametrize("seed", range(int(os.environ.get("QANAT_PAGES", "4"))))
def test_a_damaged_page_never_becomes_a_slice(tmp_path: Path, seed: int) -> None:
    """Pages full of noise, branches and leaves included: errors, or an end of the process, but no other bytes."""
    from qanat.store import LmdbStore

    store = LmdbStore(tmp_path / "s")
    for index in range(200):
        store.put(OBJECT, index, index.to_bytes(4, "big") * 1024)
    store.close()
    path = tmp_path / "s" / "data.mdb"
    raw = bytearray(path.read_bytes())
    draw = random.Random(seed)
    for _ in range(1 + 4 * seed):
        page = draw.randrange(2, len(raw) // 4096)
        raw[4096 * page : 4096 * (page + 1)] = draw.randbytes(4096)
    path.write_bytes(raw)
    done = run(sys.executable, "-c", READ, str(tmp_path / "s"), seconds=120)
    # 1: an error that the program did not catch, as long as it is one of ours; below 0: a signal
    assert done.returncode == 0 or done.returncode < 0 or "qanat.errors." in done.stderr, done.stderr
    assert "AssertionError" not in done.stderr
