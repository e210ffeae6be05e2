"""Slice stores: conformance, durability, damage, a map that grows, one owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from qanat.errors import SliceNotFound, StoreCorrupted, StoreError
from qanat.store import LmdbStore, MemoryStore
from qanat.store.conformance import ConformanceError, check_store
from qanat.store.environment import Environment, Format, Transaction
from qanat.store.protocol import SliceStore, Usage, frame, slice_key

OBJECT = b"\x07" * 32


def damage_memory(store: SliceStore, object_id: bytes, index: int) -> SliceStore:
    """Flip one bit in the middle of a slice in memory."""
    assert isinstance(store, MemoryStore)
    framed = bytearray(store.frames[slice_key(object_id, index)])
    framed[len(framed) // 2] ^= 1
    store.frames[slice_key(object_id, index)] = bytes(framed)
    return store


def test_the_memory_store_conforms() -> None:
    """MemoryStore does all that SliceStore says."""
    check_store(MemoryStore, durable=False, damage=damage_memory)


def test_the_lmdb_store_conforms(tmp_path: Path) -> None:
    """LmdbStore does all that SliceStore says, reopening and damage on disk included."""

    def damage(store: SliceStore, object_id: bytes, index: int) -> SliceStore:
        good = store.get(object_id, index)
        store.close()
        path = tmp_path / "slices" / "data.mdb"
        raw = bytearray(path.read_bytes())
        at = raw.find(slice_key(object_id, index))
        assert at >= 0
        # the two equal slices lie on overflow pages: flip a byte of the first and see whose it was
        place = raw.find(good)
        raw[place + 100] ^= 1
        path.write_bytes(raw)
        store = LmdbStore(tmp_path / "slices")
        try:
            store.get(object_id, index)
        except StoreCorrupted:
            return store
        store.close()
        raw[place + 100] ^= 1
        place = raw.find(good, place + 1)
        raw[place + 100] ^= 1
        path.write_bytes(raw)
        return LmdbStore(tmp_path / "slices")

    check_store(lambda: LmdbStore(tmp_path / "slices", map_bytes=1 << 20), durable=True, damage=damage)


def test_conformance_fails_a_store_that_forgets() -> None:
    """The conformance test is able to fail: here a store that loses every slice with an odd index."""

    class Forgetful(MemoryStore):
        def put(self, object_id: bytes, index: int, data: bytes) -> None:
            if index % 2 == 0:
                super().put(object_id, index, data)

    with pytest.raises((ConformanceError, SliceNotFound)):
        check_store(Forgetful, durable=False)


def test_exchanged_slices_are_found() -> None:
    """The checksum binds object and index, so two slices that changed places fail both."""
    store = MemoryStore()
    store.put(OBJECT, 1, b"one" * 9)
    store.put(OBJECT, 2, b"two" * 9)
    one, two = slice_key(OBJECT, 1), slice_key(OBJECT, 2)
    store.frames[one], store.frames[two] = store.frames[two], store.frames[one]
    for index in (1, 2):
        with pytest.raises(StoreCorrupted) as found:
            store.get(OBJECT, index)
        assert found.value.data["index"] == index


def test_the_map_grows_while_others_read(tmp_path: Path) -> None:
    """A store that began with 64 KiB takes 12 MiB, and every slice is readable on the way."""
    store = LmdbStore(tmp_path / "s", map_bytes=1 << 16)
    for index in range(96):
        store.put(OBJECT, index, index.to_bytes(2, "big") * 65536)
        if index % 8 == 0:
            store.flush()
        assert store.get(OBJECT, index // 2) == (index // 2).to_bytes(2, "big") * 65536
    store.close()
    again = LmdbStore(tmp_path / "s")
    assert [again.get(OBJECT, index)[:2] for index in range(96)] == [index.to_bytes(2, "big") for index in range(96)]
    again.close()


def test_one_process_owns_a_store(tmp_path: Path) -> None:
    """A second opening is refused while the first lives, in this process or another."""
    store = LmdbStore(tmp_path / "s")
    with pytest.raises(StoreError, match="belongs to a process that runs"):
        LmdbStore(tmp_path / "s")
    store.close()
    LmdbStore(tmp_path / "s").close()


def test_what_was_flushed_outlives_a_killed_process(tmp_path: Path) -> None:
    """A process killed right after flush loses nothing that it flushed."""
    program = (
        "import sys, time\nfrom qanat.store import LmdbStore\n"
        f"store = LmdbStore({str(tmp_path / 's')!r})\n"
        "for index in range(50):\n"
        f"    store.put({OBJECT!r}, index, bytes([index]) * 4000)\n"
        "    store.flush()\n    print(index, flush=True)\n"
        "time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    last = -1
    while last < 20:
        last = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    store = LmdbStore(tmp_path / "s")
    held = list(store.indexes(OBJECT))
    assert held[: last + 1] == list(range(last + 1))
    assert all(store.get(OBJECT, index) == bytes([index]) * 4000 for index in held)
    store.close()


def test_a_folder_that_is_no_store_is_named(tmp_path: Path) -> None:
    """A file where the folder should be, and a data file that LMDB cannot read, are clear errors."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be used"):
        LmdbStore(tmp_path / "file")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorrupted, match="cannot be read"):
        LmdbStore(tmp_path / "broken")
    # the folder was given up: it can be opened once the damage is away
    (tmp_path / "broken" / "data.mdb").unlink()
    LmdbStore(tmp_path / "broken").close()


def test_a_closed_store_refuses(tmp_path: Path) -> None:
    """After close nothing is read or written."""
    store = LmdbStore(tmp_path / "s")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.get(OBJECT, 1)


class TestFormat:
    """Every environment says which version of its format it has (docs/node.md, "On disk")."""

    @staticmethod
    def write_version_1(path: Path) -> None:
        """Slices as the first version left them, with totals that are wrong."""
        path.mkdir()
        with lmdb.open(str(path), max_dbs=4, map_size=1 << 24) as raw:
            slices, totals = raw.open_db(b"slices"), raw.open_db(b"totals")
            with raw.begin(write=True) as transaction:
                for index in range(5):
                    key = slice_key(OBJECT, index)
                    transaction.put(key, frame(OBJECT, index, bytes([index]) * 2048), db=slices)
                transaction.put(b"usage", bytes(16), db=totals)

    @staticmethod
    def version(path: Path) -> bytes | None:
        """What the folder itself says."""
        with lmdb.open(str(path), max_dbs=4, readonly=True) as raw:
            try:
                table = raw.open_db(b"format", create=False)
            except lmdb.NotFoundError:
                return None
            with raw.begin(db=table) as transaction:
                return transaction.get(b"version")

    def test_version_1_is_migrated(self, tmp_path: Path) -> None:
        """Every slice is there, counted anew, and the record says 2."""
        self.write_version_1(tmp_path / "s")
        store = LmdbStore(tmp_path / "s")
        assert [store.get(OBJECT, index) for index in range(5)] == [bytes([index]) * 2048 for index in range(5)]
        assert (store.usage().slices, store.usage().bytes) == (5, 5 * 2048)
        store.close()
        assert self.version(tmp_path / "s") == (2).to_bytes(4, "big")
        LmdbStore(tmp_path / "s").close()

    def test_killed_while_migrating(self, tmp_path: Path) -> None:
        """It is version 1 still, and migrated at the next start."""
        self.write_version_1(tmp_path / "s")
        program = (
            "import os, signal\nfrom qanat.store import lmdb_store\nfrom qanat.store.environment import Transaction\n"
            "put = Transaction.put\n"
            "def die(self, table, key, value):\n    put(self, table, key, value)\n"
            "    if table == 'format' and key == b'version':\n        os.kill(os.getpid(), signal.SIGKILL)\n"
            "Transaction.put = die\n"
            f"lmdb_store.LmdbStore({str(tmp_path / 's')!r})\n"
        )
        done = subprocess.run([sys.executable, "-c", program], check=False)
        assert done.returncode == -signal.SIGKILL
        assert self.version(tmp_path / "s") is None
        store = LmdbStore(tmp_path / "s")
        assert store.usage().slices == 5
        store.close()

    def test_steps_run_one_after_the_other(self, tmp_path: Path) -> None:
        """From 1 to 3 by way of 2; then none again."""
        ran: list[int] = []
        steps = {1: lambda _: ran.append(1), 2: lambda _: ran.append(2)}
        Environment(tmp_path / "e", ("t",), Format("kind", 1)).close()
        for _ in range(2):
            Environment(tmp_path / "e", ("t",), Format("kind", 3, steps)).close()
        assert ran == [1, 2]

    def test_a_newer_version_is_refused_untouched(self, tmp_path: Path) -> None:
        """By its number; nothing in the folder changes, and it is given up."""
        Environment(tmp_path / "e", ("t",), Format("slices", 9)).close()
        before = (tmp_path / "e" / "data.mdb").read_bytes()
        with pytest.raises(StoreError, match="version 9 .* knows 2"):
            LmdbStore(tmp_path / "e")
        assert (tmp_path / "e" / "data.mdb").read_bytes() == before
        Environment(tmp_path / "e", ("t",), Format("slices", 9)).close()

    def test_another_kind_is_refused(self, tmp_path: Path) -> None:
        """A node's memory where its slices should be."""
        Environment(tmp_path / "e", ("t",), Format("node memory", 2)).close()
        with pytest.raises(StoreError, match="holds 'node memory'"):
            LmdbStore(tmp_path / "e")

    def test_a_step_that_fails_changes_nothing(self, tmp_path: Path) -> None:
        """What it wrote goes with it."""

        def fail(transaction: Transaction) -> None:
            transaction.put("t", b"half", b"done")
            raise StoreError("no")

        Environment(tmp_path / "e", ("t",), Format("kind", 1)).close()
        with pytest.raises(StoreError, match="no"):
            Environment(tmp_path / "e", ("t",), Format("kind", 2, {1: fail}))
        again = Environment(tmp_path / "e", ("t",), Format("kind", 1))
        assert again.read(lambda transaction: transaction.get("t", b"half")) is None
        again.close()


def test_a_copied_store_is_a_backup(tmp_path: Path) -> None:
    """Its folder, copied while nobody has it open, opens elsewhere."""
    store = LmdbStore(tmp_path / "s")
    store.put(OBJECT, 1, b"x")
    store.close()
    shutil.copytree(tmp_path / "s", tmp_path / "copy")
    copy = LmdbStore(tmp_path / "copy")
    assert copy.get(OBJECT, 1) == b"x"
    copy.close()


def test_failing_commits_stop_no_reads_and_no_memory_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be committed: what is held is read, counted and deleted; memory doesn't grow; then it goes on."""
    store = LmdbStore(tmp_path / "s")
    store.put(OBJECT, 1, b"held")
    store.flush()

    def refuse(_frames: dict[bytes, bytes]) -> None:
        raise StoreError("No space left on device")

    def fill() -> None:
        for index in range(2, 100):
            store.put(OBJECT, index, bytes(1 << 20))

    with monkeypatch.context() as full:
        full.setattr(store, "_commit", refuse)
        with pytest.raises(StoreError, match="space"):
            fill()
        assert store._gathered_bytes < 18 << 20
        assert (store.get(OBJECT, 1), store.usage().slices) == (b"held", 17)
        assert list(store.indexes(OBJECT)) == list(range(1, 18))
        assert store.delete(OBJECT, 1)
        assert store.delete(OBJECT, 2)
    store.flush()
    assert list(store.indexes(OBJECT)) == list(range(3, 18))
    assert store.usage() == Usage(15, 15 << 20)
    store.close()
