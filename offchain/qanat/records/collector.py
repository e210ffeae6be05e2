"""Takes records in, acknowledges what is durable, closes bundles, has them stored, and proves every record.

::

    submit → signatures (other processes) → nonce → journal, one sync for all that wait → acknowledged
    size or age → bundle's file → runs in the ledger → journal removed → stored as an object → certified → proofs

What is acknowledged is on disk at every instant: in a journal, then in a bundle's file, then in a certified object too.
After ``kill -9`` the next start finds it there and goes on; a bundle is a function of its records, so whatever was half
done is done again with the same result, and nothing is paid twice (:mod:`qanat.client.store`).

A folder holds ``<number>.journal``, ``<number>.bundle``, ``ledger.sqlite`` and what storing leaves beside the bundles.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from qanat.client.job import sync_folder, write_durably
from qanat.errors import BadParameters, QanatError, RecordNotFound, RecordRefused, StoreError
from qanat.field.threads import processors
from qanat.objects import Manifest
from qanat.records.bundle import Bundle, BundleHead, head_of_file, make_bundle
from qanat.records.journal import Journal
from qanat.records.ledger import Ledger
from qanat.records.proof import ObjectFrame, RecordProof
from qanat.records.record import HEAD_BYTES, SigningDomain, recovered_senders, split_records

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Answer", "Collector", "Limits", "Publish", "Published"]

log = structlog.get_logger("qanat.records")
_KEY_BYTES = 28
_BUNDLES_KEPT = 4
_LONGEST_PAUSE = 60.0
_RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True)
class Published:
    """The certified object that a bundle became."""

    object_id: bytes
    manifest: Manifest


Publish = Callable[[Path], Published]
"""Stores a bundle's file and returns when it is certified; called again, after whatever, it goes on. In threads."""


@dataclass(frozen=True)
class Limits:
    """When a bundle closes, and how much may wait.

    :param bundle_bytes: of records, after which a bundle closes.
    :param bundle_seconds: since its first record, after which it closes.
    :param waiting_bundles: closed and not certified, beyond which records are refused for a while.
    :param publishers: bundles that are stored at a time.
    :param retry_seconds: pause after a storing that failed, doubled up to a minute.
    """

    bundle_bytes: int = 8_000_000
    bundle_seconds: float = 30.0
    waiting_bundles: int = 16
    publishers: int = 3
    retry_seconds: float = 2.0


@dataclass(frozen=True)
class Answer:
    """What became of the records of one submission: ``taken`` are durable, in ``bundle`` or one before it.

    ``refused``: (position in the submission, reason). A record that was taken before counts as taken.
    """

    bundle: int
    taken: int
    refused: tuple[tuple[int, str], ...]


@dataclass
class _Open:
    """The bundle in the making: its durable records, their bytes, and when the first came."""

    number: int
    journal: Journal
    records: list[bytes] = field(default_factory=list)
    size: int = 0
    since: float = 0.0

    def add(self, records: Sequence[bytes]) -> None:
        if records and not self.records:
            self.since = time.monotonic()
        self.records += records
        self.size += sum(map(len, records))


@dataclass(frozen=True)
class _Waiting:
    """Records that were found good and are on their way to the disk; ``done`` gets the bundle's number."""

    records: list[bytes]
    done: asyncio.Future[int]


class Collector:
    """An intake of one stream's records. Use as ``async with``; every call is for the event loop's thread.

    :param folder: of its own; a second collector on it is refused.
    :param domain: what records are signed for.
    :param publish: stores bundles.
    :param admits: whether a sender may send; everybody by default.
    :param workers: processes that check signatures, one per processor by default; 0 checks in a thread.
    :param on_certified: told number and object of every bundle that was certified.
    """

    def __init__(
        self,
        folder: str | Path,
        domain: SigningDomain,
        publish: Publish,
        *,
        limits: Limits | None = None,
        admits: Callable[[bytes], bool] = lambda _sender: True,
        workers: int | None = None,
        on_certified: Callable[[int, Published], None] = lambda _number, _published: None,
    ) -> None:
        self.folder = Path(folder)
        self.domain = domain
        self.limits = limits or Limits()
        self._publish = publish
        self._admits = admits
        self._workers = processors() if workers is None else workers
        self._on_certified = on_certified
        self._failed: StoreError | None = None
        self._ended = False
        self._hurried = False
        #: Records that are in no bundle's file yet, by sender and nonce, and the highest nonce of their senders.
        self._held: dict[bytes, bytes] = {}
        self._last: dict[bytes, int] = {}
        self._waiting: list[_Waiting] = []
        self._uncertified: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bundle = lru_cache(maxsize=_BUNDLES_KEPT)(self._load)

    # ---- life

    async def __aenter__(self) -> Self:
        """Take up what is in the folder. Raises :class:`BadParameters`, :class:`StoreError`."""
        self._lock = _locked(self.folder)
        self._ledger = Ledger(self.folder / "ledger.sqlite")
        self._wake = asyncio.Event()
        self._checkers: Executor = (
            ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"))
            if self._workers
            else ThreadPoolExecutor(1, "records-check")
        )
        # one thread each, so that each has its own order
        self._disk = ThreadPoolExecutor(1, "records-disk")
        self._closer = ThreadPoolExecutor(1, "records-close")
        self._publishers = ThreadPoolExecutor(self.limits.publishers, "records-store")
        # processes are up and loops compiled before the first sender waits for them
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(
                loop.run_in_executor(self._checkers, recovered_senders, self.domain, [bytes(HEAD_BYTES)])
                for _ in range(max(1, self._workers))
            )
        )
        await self._recover()
        self._committer = asyncio.ensure_future(self._commit_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Acknowledge what waits and stop; what is not certified yet is taken up at the next start."""
        self._ended = True
        self._wake.set()
        await self._committer
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pool in (self._checkers, self._disk, self._closer, self._publishers):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        self._open.journal.close()
        self._ledger.close()
        os.close(self._lock)

    async def _recover(self) -> None:
        """The newest journal goes on; older ones become bundles; bundles that are not certified are stored."""
        stream = self.domain.stream
        bundles, journals = _numbers(self.folder, "bundle"), _numbers(self.folder, "journal")
        for number in bundles:
            data = head_of_file(self._path(number, "bundle"))
            if not data or BundleHead.from_bytes(data).stream != stream:
                raise BadParameters(f"{self.folder} belongs to another stream.", hint="Choose another folder.")
        newest = max([0, *bundles, *journals])
        for number in journals:
            path = self._path(number, "journal")
            journal, records = Journal.resume(path, stream)
            if number == newest and number not in bundles:
                self._open = _Open(number, journal)
                self._open.add(records)
                self._remember(records)
                continue
            journal.close()
            if records:
                self._make(number, records)
            path.unlink()
        if newest not in journals or newest in bundles:
            self._open = self._begin(newest + 1)
        for number in _numbers(self.folder, "bundle"):
            if self._ledger.certified(number) is None:
                self._start(self._store_until_certified(number))

    # ---- records in

    async def submit(self, data: bytes) -> Answer:
        """Take whole records that stand one behind the other; returns when those that were taken are durable.

        A sender's records come in the order of their nonces. Raises :class:`MalformedRecord` for bytes that are no
        records, :class:`RecordRefused` (503) while too much waits, :class:`StoreError` when the disk failed.
        """
        self._check_room()
        records = split_records(data)
        check = partial(recovered_senders, self.domain, records)
        signers = await asyncio.get_running_loop().run_in_executor(self._checkers, check)
        self._check_room()
        # from here to the queue nothing else runs: two submissions can't both take a nonce
        taken: list[bytes] = []
        refused: list[tuple[int, str]] = []
        for position, (record, signer) in enumerate(zip(records, signers, strict=True)):
            sender, nonce = record[:20], int.from_bytes(record[20:28], "big")
            if signer != sender:
                refused.append((position, "It is not signed by its sender for this chain, contract and stream."))
            elif not self._admits(sender):
                refused.append((position, "This sender is not taken here."))
            elif nonce > (last := self._last_nonce(sender)):
                self._last[sender] = nonce
                self._held[record[:_KEY_BYTES]] = record
                taken.append(record)
            elif self._known(record) != record:
                refused.append((position, f"Its nonce was used or passed: the sender's last is {last}."))
        # one that was taken before may still be on its way to the disk: the same write is waited for
        waiting = _Waiting(taken, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        number = await waiting.done
        return Answer(number, len(records) - len(refused), tuple(refused))

    def _check_room(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._ended or len(self._uncertified) >= self.limits.waiting_bundles:
            what = "The intake is stopping." if self._ended else "Too many bundles wait to be stored."
            raise RecordRefused(what, hint="Send it again later.", status=503, retry_after=_RETRY_AFTER_SECONDS)

    def _last_nonce(self, sender: bytes) -> int:
        if sender not in self._last:
            self._last[sender] = self._ledger.last_nonce(sender)
        return self._last[sender]

    def _remember(self, records: Sequence[bytes]) -> None:
        for record in records:
            self._held[record[:_KEY_BYTES]] = record
            self._last[record[:20]] = max(int.from_bytes(record[20:28], "big"), self._last_nonce(record[:20]))

    def _known(self, record: bytes) -> bytes | None:
        """Return the record of the same sender and nonce that was taken before."""
        held = self._held.get(record[:_KEY_BYTES])
        if held is not None:
            return held
        number = self._ledger.bundle_of(record[:20], int.from_bytes(record[20:28], "big"))
        if number is None:
            return None
        try:
            bundle = self._bundle(number)
            return bundle.record_bytes(bundle.find(record[:20], int.from_bytes(record[20:28], "big")))
        except QanatError:  # not in it, or its file was removed
            return None

    async def _commit_forever(self) -> None:
        """Write what waits, all of it with one sync, and close the bundle when it is time."""
        loop = asyncio.get_running_loop()
        while not self._ended or self._waiting:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._time_left())
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            records = [record for item in waiting for record in item.records]
            try:
                if self._failed is not None:
                    raise self._failed
                if records:
                    await loop.run_in_executor(self._disk, self._open.journal.append, records)
                    self._open.add(records)
                number = self._open.number
                if self._is_due():
                    await self._close()
            except StoreError as error:
                # what is on disk is not known: only a new start finds out
                self._failed = error
                log.error("records can't be kept", error=error.message)  # noqa: TRY400  (an expected kind)
            for item in waiting:
                if not item.done.done():
                    item.done.set_exception(self._failed) if self._failed else item.done.set_result(number)

    def _time_left(self) -> float | None:
        if not self._open.records:
            return None
        return max(0.0, self._open.since + self.limits.bundle_seconds - time.monotonic())

    def _is_due(self) -> bool:
        left = self._time_left()
        is_hurried, self._hurried = self._hurried, False
        return left is not None and (is_hurried or left <= 0 or self._open.size >= self.limits.bundle_bytes)

    # ---- bundles

    async def _close(self) -> None:
        full = self._open
        self._open = await asyncio.get_running_loop().run_in_executor(self._disk, self._begin, full.number + 1)
        full.journal.close()
        self._start(self._finish(full))

    async def _finish(self, full: _Open) -> None:
        """Make a bundle's file of a closed journal, and have it stored."""
        self._uncertified.add(full.number)
        try:
            runs = await asyncio.get_running_loop().run_in_executor(self._closer, self._make, full.number, full.records)
            self._path(full.number, "journal").unlink()
        except StoreError as error:
            self._failed = error
            log.error("a bundle can't be written", error=error.message)  # noqa: TRY400  (an expected kind)
            return
        for record in full.records:
            self._held.pop(record[:_KEY_BYTES], None)
        for sender, last in runs.items():
            if self._last.get(sender) == last:  # the ledger knows it
                del self._last[sender]
        await self._store_until_certified(full.number)

    def _make(self, number: int, records: Sequence[bytes]) -> dict[bytes, int]:
        """Write a bundle's file, then its runs; return each sender's last nonce in it. Again: the same."""
        bundle = make_bundle(self.domain.stream, records)
        write_durably(self._path(number, "bundle"), bundle.data)
        first: dict[bytes, bytes] = {}
        last: dict[bytes, bytes] = {}
        for record in bundle.records:  # in the order of sender and nonce
            first.setdefault(record[:20], record[20:28])
            last[record[:20]] = record[20:28]
        ledger = Ledger(self._ledger.path)  # this thread's
        try:
            ledger.add_bundle(number, ((sender, first[sender], last[sender]) for sender in first))
        finally:
            ledger.close()
        return {sender: int.from_bytes(nonce, "big") for sender, nonce in last.items()}

    async def _store_until_certified(self, number: int) -> None:
        self._uncertified.add(number)
        pause = self.limits.retry_seconds
        while True:
            try:
                path = self._path(number, "bundle")
                published = await asyncio.get_running_loop().run_in_executor(self._publishers, self._publish, path)
                frame = await asyncio.to_thread(ObjectFrame.of, published.manifest)
            except QanatError as error:
                log.warning("a bundle is not stored yet", bundle=number, error=error.message, again_in=pause)
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)
            else:
                self._ledger.certify(number, published.object_id, frame.to_bytes())
                self._uncertified.discard(number)
                self._on_certified(number, published)
                log.info("bundle certified", bundle=number, object=published.object_id.hex())
                return

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the work on a bundle ended", exc_info=error)

    # ---- answers

    async def proof(self, sender: bytes, nonce: int) -> tuple[bytes, RecordProof]:
        """Return a record's object and its proof.

        Raises :class:`RecordNotFound`, its ``data["status"]`` 425 while the record waits for a certificate.
        """
        number = self._ledger.bundle_of(sender, nonce)
        found = None if number is None else self._ledger.certified(number)
        if number is None or found is None:
            is_held = number is not None or sender + nonce.to_bytes(8, "big") in self._held
            raise RecordNotFound(
                f"Record {nonce} of 0x{sender.hex()} is "
                + ("taken; its bundle is not certified yet." if is_held else "not here."),
                hint="Ask again in a while." if is_held else "",
                status=425 if is_held else 404,
                retry_after=_RETRY_AFTER_SECONDS,
            )
        object_id, frame = found

        def make() -> RecordProof:
            bundle = self._bundle(number)
            return RecordProof.of(bundle, bundle.find(sender, nonce), ObjectFrame.from_bytes(frame))

        return object_id, await asyncio.to_thread(make)

    def status(self) -> dict[str, Any]:
        """Return stream, bundles and what waits, as JSON values."""
        return {
            "chainId": self.domain.chain_id,
            "objects": self.domain.objects,
            "stream": "0x" + self.domain.stream.hex(),
            "open": {"bundle": self._open.number, "records": len(self._open.records), "bytes": self._open.size},
            "waiting": sorted(self._uncertified),
            "certified": self._ledger.certified_count(),
            "failed": "" if self._failed is None else self._failed.message,
        }

    async def flush(self) -> None:
        """Close the bundle in the making now, if it has records, and return when all bundles are certified."""
        done = asyncio.get_running_loop().create_future()
        # behind what waits
        self._waiting.append(_Waiting([], done))
        self._hurried = True
        self._wake.set()
        await done
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._failed is not None:
            raise self._failed

    # ---- files

    def _path(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:08d}.{kind}"

    def _begin(self, number: int) -> _Open:
        return _Open(number, Journal.create(self._path(number, "journal"), self.domain.stream))

    def _load(self, number: int) -> Bundle:
        return Bundle.load(self._path(number, "bundle"))


def _numbers(folder: Path, kind: str) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob(f"*.{kind}") if path.stem.isdigit())


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{folder} can't be used: {error.strerror}.", path=str(folder)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreError(f"Another intake is at work in {folder}.", path=str(folder)) from error
    return handle
