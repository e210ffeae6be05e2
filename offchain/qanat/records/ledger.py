"""Which of a sender's records are in which bundle, and what became of the bundles: a SQLite file beside them.

A sender's nonces only rise, so a bundle holds one *run* of them: first and last say which bundle a record can be in,
and the last of all what the next one must exceed. One row per sender and bundle, not per record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qanat.errors import StoreError

__all__ = ["Ledger"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    sender BLOB NOT NULL, first BLOB NOT NULL, last BLOB NOT NULL, bundle INTEGER NOT NULL,
    PRIMARY KEY (sender, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS certified (
    bundle INTEGER PRIMARY KEY, object_id BLOB NOT NULL, frame BLOB NOT NULL
);
"""


class Ledger:
    """The file's tables. A connection is for one thread: each makes its own. Raises :class:`StoreError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _told(path):
            self._database = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def add_bundle(self, bundle: int, runs: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Note a bundle's runs (sender, first nonce, last nonce), durably; a second time changes nothing."""
        with _told(self.path), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?)", ((*run, bundle) for run in runs)
            )

    def last_nonce(self, sender: bytes) -> int:
        """Return a sender's highest nonce in any bundle, -1 where there is none."""
        with _told(self.path):
            row = self._database.execute(
                "SELECT last FROM runs WHERE sender = ? ORDER BY first DESC LIMIT 1", (sender,)
            ).fetchone()
        return -1 if row is None else int.from_bytes(row[0], "big")

    def bundle_of(self, sender: bytes, nonce: int) -> int | None:
        """Return the bundle whose run of a sender's nonces this one lies in."""
        wanted = nonce.to_bytes(8, "big")
        with _told(self.path):
            row = self._database.execute(
                "SELECT bundle, last FROM runs WHERE sender = ? AND first <= ? ORDER BY first DESC LIMIT 1",
                (sender, wanted),
            ).fetchone()
        return int(row[0]) if row is not None and wanted <= row[1] else None

    def certify(self, bundle: int, object_id: bytes, frame: bytes) -> None:
        """Note the object that a bundle became."""
        with _told(self.path), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT OR REPLACE INTO certified VALUES (?, ?, ?)", (bundle, object_id, frame))

    def certified(self, bundle: int) -> tuple[bytes, bytes] | None:
        """Return object id and frame of a certified bundle."""
        with _told(self.path):
            row = self._database.execute(
                "SELECT object_id, frame FROM certified WHERE bundle = ?", (bundle,)
            ).fetchone()
        return None if row is None else (bytes(row[0]), bytes(row[1]))

    def certified_count(self) -> int:
        """Return how many bundles are certified."""
        with _told(self.path):
            return int(self._database.execute("SELECT count(*) FROM certified").fetchone()[0])


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}.", hint="Check the disk.", path=str(path)) from error
