"""Slices in file systems of others (S3 as a process of its own), and two tiers of stores."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qanat.errors import BadParameters, SliceNotFound, StoreCorrupted, StoreError
from qanat.store import LmdbStore, MemoryStore, tiered
from qanat.store.conformance import check_store
from qanat.store.fsspec_store import FsspecStore
from qanat.store.protocol import SliceStore, Usage, slice_key
from qanat.store.settings import check_settings, open_store
from qanat.store.tiered import TieredStore
from tests.s3_server import S3
from tests.unit.faulty_stores import Failing, Slow

A, B = b"\x0a" * 32, b"\x0b" * 32


class Way:
    """A way to a port that can be cut: connections end, new ones are closed at once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.is_cut = False
        self.ends: list[socket.socket] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listening.close()
        self.cut()

    def cut(self) -> None:
        self.is_cut = True
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.is_cut = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.port))
                self.ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    yield server
    server.stop()


def damage_file(store: SliceStore, object_id: bytes, index: int) -> SliceStore:
    """Flip a bit of a stored slice's file."""
    assert isinstance(store, FsspecStore)
    path = store._path(object_id, index)
    raw = bytearray(store._fs.cat_file(path))
    raw[len(raw) // 2] ^= 1
    store._fs.pipe_file(path, bytes(raw))
    return store


class TestFsspec:
    def test_s3_conforms(self, s3: S3) -> None:
        """Over HTTP, through s3fs."""
        url = s3.bucket("conforms")
        check_store(lambda: FsspecStore(url, options=s3.options()), durable=True, damage=damage_file, steps=4)

    def test_local_files_conform(self, tmp_path: Path) -> None:
        """file://, synced and moved into place."""
        check_store(lambda: FsspecStore(f"file://{tmp_path}/cold"), durable=True, damage=damage_file)
        assert list((tmp_path / "cold" / ".partial").iterdir()) == []

    def test_other_file_systems_conform(self, tmp_path: Path) -> None:
        """Written beside and moved, as where uploads are seen while they grow (here: a folder in another's clothes)."""
        check_store(lambda: FsspecStore(f"dir::file://{tmp_path}/cold"), durable=True, damage=damage_file)

    def test_a_file_is_never_seen_half_written(self, tmp_path: Path) -> None:
        """Readers see the old slice or the new one while it is replaced, never a piece."""
        store = FsspecStore(f"file://{tmp_path}/cold")
        whole = {bytes([value]) * 300_000 for value in range(2)}
        store.put(A, 0, min(whole))
        store.flush()
        ended = threading.Event()
        seen: set[bytes] = set()

        def read() -> None:
            while not ended.is_set():
                seen.add(store.get(A, 0))

        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(60):
            store.put(A, 0, bytes([turn % 2]) * 300_000)
            store.flush()
        ended.set()
        reader.join()
        assert seen <= whole
        store.close()

    def test_killed_while_writing(self, tmp_path: Path) -> None:
        """kill -9 between writes: all that was flushed is there, nothing is half there."""
        program = (
            "from qanat.store.fsspec_store import FsspecStore\n"
            f"store = FsspecStore('file://{tmp_path}/cold')\n"
            "for index in range(10000):\n"
            f"    store.put({A!r}, index, bytes([index % 256]) * 200_000)\n"
            "    store.flush()\n    print(index, flush=True)\n"
        )
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        last = -1
        while last < 15:
            last = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        store = FsspecStore(f"file://{tmp_path}/cold")
        held = list(store.indexes(A))
        assert held[: last + 1] == list(range(last + 1))
        assert all(store.get(A, index) == bytes([index]) * 200_000 for index in held)
        store.close()

    def test_an_outage_is_an_error_and_loses_nothing(self, s3: S3) -> None:
        """Nobody answers for a while: what can't be written stays for the next flush, and is all there afterwards."""
        url = s3.bucket("outage")
        with contextlib.closing(Way(s3.port)) as way:
            store = FsspecStore(url, options=s3.options() | {"endpoint_url": way.url}, attempts=1)
            store.put(A, 1, b"before")
            store.flush()
            way.cut()
            store.put(A, 2, b"during")
            with pytest.raises(StoreError, match="could not write"):
                store.flush()
            assert store.get(A, 2) == b"during"
            with pytest.raises(StoreError, match="could not read"):
                store.get(A, 1)
            way.mend()
            store.close()
        again = FsspecStore(url, options=s3.options())
        assert (again.get(A, 1), again.get(A, 2)) == (b"before", b"during")
        again.close()

    def test_passing_faults_are_tried_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two failures of three cost time only; one that lasts is told, with what was tried."""
        store = FsspecStore("memory://retries", attempts=3)
        store.put(A, 1, b"x")
        store.flush()
        whole = store._fs.cat_file
        failures = [ConnectionResetError("gone"), TimeoutError("late")]

        def flaky(path: str) -> bytes:
            if failures:
                raise failures.pop()
            return bytes(whole(path))

        monkeypatch.setattr(store._fs, "cat_file", flaky)
        assert store.get(A, 1) == b"x"
        assert failures == []
        failures[:] = [OSError("down")] * 3
        with pytest.raises(StoreError, match="could not read .* OSError down"):
            store.get(A, 1)
        failures[:] = [PermissionError("no")] * 3
        with pytest.raises(StoreError, match="credentials"):
            store.get(A, 1)
        assert len(failures) == 2
        store.close()

    def test_a_lost_file_is_not_found(self, tmp_path: Path) -> None:
        """Somebody deleted it: said as such, and not listed any more."""
        store = FsspecStore(f"file://{tmp_path}/cold")
        store.put(A, 1, b"x")
        store.flush()
        (tmp_path / "cold" / A.hex() / f"{1:016x}").unlink()
        with pytest.raises(SliceNotFound):
            store.get(A, 1)
        assert not store.has(A, 1)
        store.close()

    def test_memory_does_not_grow_while_nothing_can_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once what gathered is full, puts are refused."""
        store = FsspecStore("memory://full", attempts=1)

        def refuse(_path: str, _body: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(store._fs, "pipe_file", refuse)

        def fill() -> None:
            for index in range(40):
                store.put(A, index, bytes(1 << 20))

        with pytest.raises(StoreError):
            fill()
        assert store._gathered_bytes <= (16 << 20) + (1 << 20) + 64

    def test_a_newer_format_is_refused(self, tmp_path: Path) -> None:
        """By its number; a marker that is none is damage."""
        FsspecStore(f"file://{tmp_path}/cold").close()
        marker = tmp_path / "cold" / "qanat-store.json"
        marker.write_text('{"kind": "qanat slices", "version": 2}')
        with pytest.raises(StoreError, match="version 2"):
            FsspecStore(f"file://{tmp_path}/cold")
        marker.write_text("{")
        with pytest.raises(StoreCorrupted):
            FsspecStore(f"file://{tmp_path}/cold")

    def test_a_url_that_nothing_speaks_to(self) -> None:
        """An unknown protocol."""
        with pytest.raises(BadParameters, match="can't be used"):
            FsspecStore("carrier-pigeon://x")


def wait_until(holds: Any, seconds: float = 20.0) -> None:
    """Wait for another thread."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestTiers:
    @pytest.mark.parametrize("hot_bytes", [200_000, 1 << 30])
    def test_tiers_conform(self, tmp_path: Path, hot_bytes: int) -> None:
        """With room for all, and with room for one large slice, so that nearly all moves."""

        def make() -> SliceStore:
            hot = LmdbStore(tmp_path / str(hot_bytes))
            return TieredStore(hot, FsspecStore(f"file://{tmp_path}/cold{hot_bytes}"), hot_bytes=hot_bytes)

        check_store(make, durable=True)

    def test_the_hot_store_stays_within_its_bytes(self) -> None:
        """Whatever is put, whoever puts it; all of it is readable; used slices are the ones that stay."""
        hot, cold = MemoryStore(), MemoryStore()
        store = TieredStore(hot, Slow(cold, 0.001), hot_bytes=50_000)
        store.put(A, 0, bytes(1000))
        highest = 0

        def work(thread: int) -> None:
            nonlocal highest
            for step in range(60):
                store.put(B, 100 * thread + step, bytes([thread]) * 1000)
                highest = max(highest, hot.usage().bytes)
                store.get(A, 0)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert highest <= 50_000
        assert store.usage() == Usage(241, 241_000)
        assert hot.has(A, 0)
        assert all(
            store.get(B, 100 * thread + step) == bytes([thread]) * 1000 for thread in range(4) for step in (0, 59)
        )
        wait_until(lambda: sum(part.bytes for part in store.tiers()) == 241_000 and store.tiers()[0].bytes <= 45_000)
        assert hot.usage().slices + cold.usage().slices == 241
        store.close()

    def test_what_is_read_twice_comes_back(self) -> None:
        """One pass over everything moves nothing; a second reading does."""
        hot, cold = MemoryStore(), MemoryStore()
        cold.put(A, 1, b"cold")
        cold.put(A, 2, b"colder")
        store = TieredStore(hot, cold, hot_bytes=100)
        assert [store.get(A, 1), store.get(A, 2)] == [b"cold", b"colder"]
        assert hot.usage().slices == 0
        assert store.get(A, 1) == b"cold"
        assert (hot.has(A, 1), cold.has(A, 1), hot.has(A, 2)) == (True, False, False)
        assert store.usage() == Usage(2, 10)
        store.close()

    def test_a_put_replaces_what_is_cold(self) -> None:
        """The cold copy goes, so that it can't come back."""
        hot, cold = MemoryStore(), MemoryStore()
        cold.put(A, 1, b"old")
        store = TieredStore(hot, cold, hot_bytes=100)
        store.put(A, 1, b"newer")
        assert (store.get(A, 1), cold.has(A, 1), store.usage()) == (b"newer", False, Usage(1, 5))
        assert store.delete(A, 1)
        assert not store.has(A, 1)
        store.close()

    @pytest.mark.parametrize("broken", ["put", "flush"])
    def test_nothing_leaves_before_its_copy_is_durable(self, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cold store fails: nothing is deleted, reads go on, puts are refused once the hot store is full."""
        monkeypatch.setattr(tiered, "_RETRY_SECONDS", 0.2)
        hot, cold = MemoryStore(), Failing(MemoryStore(), broken)
        store = TieredStore(hot, cold, hot_bytes=10_000)

        def fill() -> None:
            for index in range(20):
                store.put(A, index, bytes([index]) * 1000)

        with pytest.raises(StoreError, match="nothing can be moved") as found:
            fill()
        assert found.value.data["status"] == 507
        held = list(hot.indexes(A))
        assert held == list(range(10))
        assert all(store.get(A, index) == bytes([index]) * 1000 for index in held)
        cold.broken.clear()
        wait_until(lambda: hot.usage().bytes <= 9000)
        store.put(A, 10, bytes([10]) * 1000)
        assert all(store.get(A, index) == bytes([index]) * 1000 for index in range(11))
        store.close()

    def test_a_crash_between_copy_and_delete_leaves_one_slice(self) -> None:
        """Both copies are there at the start: the hot one counts, unless it is damaged."""
        hot, cold = MemoryStore(), MemoryStore()
        for index in range(3):
            hot.put(A, index, b"hot %d" % index)
            cold.put(A, index, b"cold %d" % index)
        key = slice_key(A, 2)
        hot.frames[key] = hot.frames[key][:-1] + b"?"
        store = TieredStore(hot, cold, hot_bytes=1000)
        assert [store.get(A, index) for index in range(3)] == [b"hot 0", b"hot 1", b"cold 2"]
        assert store.usage() == Usage(3, 16)
        assert (hot.usage().slices, cold.usage().slices) == (2, 1)
        store.close()

    def test_killed_while_it_moves(self, tmp_path: Path) -> None:
        """kill -9 at random instants of putting and moving: nothing flushed is missing, nothing counts twice."""
        program = (
            "import sys\nfrom qanat.store import LmdbStore\nfrom qanat.store.fsspec_store import FsspecStore\n"
            "from qanat.store.tiered import TieredStore\n"
            f"cold = FsspecStore('file://{tmp_path}/cold')\n"
            f"store = TieredStore(LmdbStore({str(tmp_path / 'hot')!r}), cold, hot_bytes=300_000)\n"
            "for index in range(int(sys.argv[1]), 10000):\n"
            f"    store.put({A!r}, index, bytes([index % 256]) * 20_000)\n"
            "    store.flush()\n    print(index, flush=True)\n"
        )
        last = -1
        for attempt in range(3):
            command = [sys.executable, "-c", program, str(last + 1)]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            until = last + 25 + 7 * attempt
            while last < until:
                last = int(child.stdout.readline())
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()
        hot, cold = LmdbStore(tmp_path / "hot"), FsspecStore(f"file://{tmp_path}/cold")
        store = TieredStore(hot, cold, hot_bytes=300_000)
        held = list(store.indexes(A))
        assert held[: last + 1] == list(range(last + 1))
        assert all(store.get(A, index) == bytes([index % 256]) * 20_000 for index in held)
        assert store.usage().slices == len(held)
        store.close()

    def test_reads_go_on_while_the_cold_store_is_slow(self) -> None:
        """Hot slices don't wait for cold ones."""
        cold = Slow(MemoryStore(), 0.1)
        store = TieredStore(MemoryStore(), cold, hot_bytes=10_000)
        for index in range(10):
            store.put(A, index, bytes(950))  # the last ones set the mover going
        started = time.monotonic()
        for _ in range(50):
            store.get(A, 9)
        assert time.monotonic() - started < 0.1
        store.close()


class TestSettings:
    def test_each_kind_is_opened(self, tmp_path: Path) -> None:
        """LMDB, fsspec, both."""
        cold = {"kind": "fsspec", "url": f"file://{tmp_path}/cold"}
        for settings, kind in (
            ({"kind": "lmdb"}, LmdbStore),
            (cold, FsspecStore),
            ({"kind": "tiered", "hotBytes": 1000, "cold": cold}, TieredStore),
        ):
            store = open_store(settings, tmp_path / "slices")
            assert isinstance(store, kind)
            store.close()

    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"kind": "tape"},
            {"kind": 1},
            {"kind": "lmdb", "url": "file:///x"},
            {"kind": "fsspec"},
            {"kind": "fsspec", "url": ""},
            {"kind": "fsspec", "url": "file:///x", "options": []},
            {"kind": "tiered", "hotBytes": 1},
            {"kind": "tiered", "hotBytes": True, "cold": {"kind": "fsspec", "url": "file:///x"}},
            {"kind": "tiered", "hotBytes": -1, "cold": {"kind": "fsspec", "url": "file:///x"}},
            {"kind": "tiered", "hotBytes": 1, "cold": {"kind": "lmdb"}},
            {"kind": "tiered", "hotBytes": 1, "cold": {"kind": "fsspec", "ulr": "file:///x"}},
        ],
    )
    def test_wrong_settings_are_named(self, settings: dict) -> None:
        """Missing, misspelt, of the wrong type."""
        with pytest.raises(BadParameters):
            check_settings(settings)

    def test_a_store_that_cannot_be_opened_leaves_nothing_open(self, tmp_path: Path) -> None:
        """The hot half is given up when the cold one is refused."""
        settings = {"kind": "tiered", "hotBytes": 1000, "cold": {"kind": "fsspec", "url": "pigeon://x"}}
        with pytest.raises(BadParameters):
            open_store(settings, tmp_path / "slices")
        LmdbStore(tmp_path / "slices").close()
