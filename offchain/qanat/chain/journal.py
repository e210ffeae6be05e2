"""What an account signed and has not seen through: on disk before it leaves, so that no crash makes it pay twice.

A run of a command writes a file of its own, locked for as long as it lives::

    <state>/qanat/sent/<chain id>-<first block>/<account>/<run>.jsonl

Each line is one signed transaction, synced before it is handed to an endpoint. A run that ends well deletes its file.
What a run left that was killed, or failed, is taken over by the account's next one: a call that it is to send again is
not signed anew; the one that was signed is seen through.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qanat.errors import FileUnreadable

__all__ = ["Entry", "Journal", "state_folder"]


def state_folder() -> Path:
    """Return where state is kept: ``QANAT_STATE``, else ``qanat`` in the user's state folder."""
    named = os.environ.get("QANAT_STATE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "qanat"


@dataclass
class Entry:
    """A call that was signed, once or again with a higher fee: all with one nonce, so a block takes at most one.

    ``intent``: hash of what it does, without nonce, gas and fee. ``since``: newest block before its first sending.
    ``seen``: whether its receipt was seen, or it can't come any more.
    """

    number: int
    intent: str
    what: str
    transaction: dict[str, Any]
    since: int
    signed_at: float
    raws: list[bytes] = field(default_factory=list)
    fees: list[tuple[int, int | None]] = field(default_factory=list)
    seen: bool = False


class Journal:
    """The journal of one account on one chain, for one run. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in the account's folder, which is made when something is written first."""
        self.folder = folder
        self._lock = threading.RLock()
        self._file: int | None = None
        self._path = folder / f"{time.time_ns():x}-{secrets.token_hex(4)}.jsonl"
        self._entries: dict[int, Entry] = {}
        #: entries of earlier runs that this one has not asked for
        self._left: list[int] = []
        self._adopted = False

    @classmethod
    def of(cls, chain_id: int, first_block: bytes, account: str) -> Journal:
        """Open the journal of an account in :func:`state_folder`."""
        return cls(state_folder() / "sent" / f"{chain_id}-{first_block[:6].hex()}" / account.lower())

    # ---- writing

    def begin(self, intent: str, what: str, transaction: Mapping[str, Any], since: int) -> Entry:
        """Make an entry, to be written with its first signature."""
        with self._lock:
            number = len(self._entries)
            plain = {name: _plain(value) for name, value in transaction.items()}
            entry = Entry(number, intent, what, plain, since, time.time())
            self._entries[number] = entry
            return entry

    def signed(self, entry: Entry, raw: bytes, maximum: int, priority: int | None) -> None:
        """Put a signed transaction on disk: when this returns it may leave. Raises :class:`FileUnreadable`."""
        with self._lock:
            entry.raws.append(raw)
            entry.fees.append((maximum, priority))
            try:
                self._append(_lines(entry, len(entry.raws) - 1))
            except OSError as error:
                raise FileUnreadable(
                    f"{self._path} cannot be written: {error.strerror or error}. Nothing was sent.",
                    hint="What is signed is noted there first. Free space, or name another folder in QANAT_STATE.",
                    path=str(self._path),
                ) from error

    def _append(self, text: str) -> None:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        data = text.encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)

    # ---- what earlier runs left

    def take(self, intent: str) -> Entry | None:
        """Return a call that an earlier run signed and that does the same, once; None if there is none."""
        with self._lock:
            self._adopt()
            for number in self._left:
                if self._entries[number].intent == intent:
                    self._left.remove(number)
                    return self._entries[number]
            return None

    def has(self, intent: str) -> bool:
        """Whether :meth:`take` would return something."""
        with self._lock:
            self._adopt()
            return any(self._entries[number].intent == intent for number in self._left)

    def left(self) -> list[Entry]:
        """What earlier runs left and this one has not asked for."""
        with self._lock:
            self._adopt()
            return [self._entries[number] for number in self._left]

    def _adopt(self) -> None:
        """Take over the files of runs that are no more, once."""
        if self._adopted:
            return
        self._adopted = True
        for path in sorted(self.folder.glob("*.jsonl")) if self.folder.is_dir() else []:
            try:
                file = os.open(path, os.O_RDWR)
            except OSError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not path.exists():
                    continue  # another run took it over in between
                known = {entry.raws[0] for entry in self._entries.values() if entry.raws}
                for entry in _read(path):
                    if entry.raws[0] in known:
                        continue  # a run was killed between taking it over and deleting this file
                    entry.number = len(self._entries)
                    self._entries[entry.number] = entry
                    self._left.append(entry.number)
                    for place in range(len(entry.raws)):
                        self._append(_lines(entry, place))
                path.unlink()
            except BlockingIOError:
                continue  # its run lives
            finally:
                os.close(file)

    # ---- the end

    def close(self) -> None:
        """The run ended well: what was seen through is forgotten, what still waits for a block stays."""
        with self._lock:
            waiting = [entry for entry in self._entries.values() if entry.raws and not entry.seen]
            if self._file is not None:
                if waiting:
                    partial = self._path.with_suffix(".new")
                    lines = [_lines(entry, place) for entry in waiting for place in range(len(entry.raws))]
                    with partial.open("w") as file:
                        file.write("".join(lines))
                        file.flush()
                        os.fsync(file.fileno())
                    partial.replace(self._path)
                else:
                    self._path.unlink(missing_ok=True)
            self.release()
            for folder in (self.folder, self.folder.parent):
                with suppress(OSError):
                    folder.rmdir()

    def release(self) -> None:
        """The run failed: all that it noted is left to the next one."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
            self._entries.clear()
            self._left.clear()


def _plain(value: Any) -> Any:
    return "0x" + bytes(value).hex() if isinstance(value, (bytes, bytearray)) else value


def _lines(entry: Entry, place: int) -> str:
    line = {
        "number": entry.number,
        "intent": entry.intent,
        "what": entry.what,
        "transaction": entry.transaction,
        "since": entry.since,
        "signed_at": entry.signed_at,
        "raw": entry.raws[place].hex(),
        "fees": entry.fees[place],
    }
    return json.dumps(line) + "\n"


def _read(path: Path) -> list[Entry]:
    """Return a file's entries; a last line that was cut short was never sent."""
    found: dict[int, Entry] = {}
    for text in path.read_text().splitlines():
        try:
            line = json.loads(text)
            made = Entry(*(line[name] for name in ("number", "intent", "what", "transaction", "since", "signed_at")))
            raw, fees = bytes.fromhex(line["raw"]), (line["fees"][0], line["fees"][1])
        except (ValueError, KeyError, TypeError, IndexError):
            continue
        entry = found.setdefault(made.number, made)
        entry.raws.append(raw)
        entry.fees.append(fees)
    return list(found.values())
