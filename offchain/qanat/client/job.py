"""The memory of one storing: what was done so far, so that an interrupted one goes on and never pays twice.

A folder ``<name>.storing`` beside the recovery file holds

========================  ==============================================================================================
``job.json``              how far it is; replaced as a whole, so it is always one of the states of :class:`Job`
``key.json``              the data key, sealed to the owner's account, of an encrypted file
``slices.bin``            slice i at i·32·w
``encoded.bin``           which matrices' slices are on disk, and their commitments (:mod:`qanat.client.checkpoint`)
``manifest.bin``          when all are
========================  ==============================================================================================

It holds no secret in plain; it is removed when the object is certified. Everything that a later step relies on is
synced before the step: file contents, then the folder's entry.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qanat import strict_json
from qanat.client.checkpoint import Checkpoint, write_at
from qanat.errors import BadParameters, FileUnreadable
from qanat.objects import Shape

__all__ = ["Job", "JobFolder", "Source", "sync_folder", "write_durably"]

_VERSION = 2


@dataclass(frozen=True)
class Source:
    """Which file it is: a file that was changed is another one."""

    path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Return a file's. Raises :class:`FileUnreadable`."""
        try:
            status = path.stat()
        except OSError as error:
            raise FileUnreadable(
                f"{path} can't be read: {error.strerror}.", hint="Check the path.", path=str(path)
            ) from error
        if not path.is_file():
            raise FileUnreadable(f"{path} is no file.", hint="Pack a folder into an archive first.", path=str(path))
        return cls(str(path.resolve()), status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Job:
    """How far it is: begun, then ``encoded``, then prepared (``nonce`` ≥ 0), then ``opened``.

    ``width``, ``k``, ``n``: the shape. ``header``: of the encryption, hex. ``sha256``: of the file, ``root``: of the
    manifest, hex, "" before it is encoded. ``availability``: by operator, what the shape was planned with.

    ``nonce``: the owner's next when a payment was first prepared, -1 before; a payment made for this job opened the
    object of that number or a later one. ``object_id`` (hex): of the object as last expected or seen.
    ``opened``: whether the chain was seen to have it. ``payment``: what was approved, then what was paid, in units of
    ``token``.
    """

    source: Source
    chain_id: int
    objects: str
    owner: str
    shard: int
    roster: int
    epochs: int
    encrypted: bool
    width: int
    k: int
    n: int
    header: str = ""
    encoded: bool = False
    sha256: str = ""
    root: str = ""
    explanation: tuple[str, ...] = ()
    availability: dict[str, float] = field(default_factory=dict)
    nonce: int = -1
    object_id: str = ""
    opened: bool = False
    payment: int = 0
    token: str = ""
    open_transaction: str = ""
    signatures: dict[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> Shape:
        """Width, k and n."""
        return Shape(self.width, self.k, self.n)

    @property
    def prepared(self) -> bool:
        """Whether a payment may have left."""
        return self.nonce >= 0


class JobFolder:
    """The folder of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def slices(self) -> Path:
        """The slices' file."""
        return self.path / "slices.bin"

    @property
    def manifest(self) -> Path:
        """The manifest's file."""
        return self.path / "manifest.bin"

    @property
    def key(self) -> Path:
        """The sealed data key's file."""
        return self.path / "key.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other processes out of it; it is removed at the end if nothing is in it.

        Raises :class:`FileUnreadable` if it can't be made, :class:`BadParameters` if another process is at work.
        """
        handle = self._lock()
        try:
            yield
        finally:
            try:
                with contextlib.suppress(OSError):
                    self.path.rmdir()
            finally:
                os.close(handle)

    def _lock(self) -> int:
        while True:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                sync_folder(self.path.parent)
                handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise FileUnreadable(f"{self.path} can't be made: {error.strerror}.", path=str(self.path)) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_ino == self.path.stat().st_ino:
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise BadParameters(
                    f"Another process is at work in {self.path}.",
                    hint="Wait until it ends, or choose another --name.",
                    path=str(self.path),
                ) from None
            except FileNotFoundError:
                pass
            os.close(handle)  # whoever had it removed it meanwhile

    def load(self) -> Job | None:
        """Return the job, None if none was begun.

        Raises :class:`BadParameters` for a damaged one.
        """
        path = self.path / "job.json"
        try:
            raw: dict[str, Any] = strict_json.parse(path.read_text(encoding="utf-8"))
            version = raw.pop("version")
            if version != _VERSION:
                raise BadParameters(f"{path} was written by another version ({version}).", path=str(path))
            return Job(**{**raw, "source": Source(**raw["source"]), "explanation": tuple(raw["explanation"])})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BadParameters(
                f"{path} can't be read: {error}.",
                hint="If nothing was paid yet, remove the folder; otherwise keep it and ask.",
                path=str(path),
            ) from error

    def save(self, job: Job) -> Job:
        """Write the job, durably and whole; returns it."""
        text = json.dumps({"version": _VERSION, **asdict(job)}, indent=1)
        write_durably(self.path / "job.json", text.encode())
        return job

    def change(self, job: Job, **changes: Any) -> Job:
        """Write the job with changes; returns it."""
        return self.save(replace(job, **changes))

    def empty(self) -> None:
        """Remove what is in the folder, the job first: what then remains is of no job, and removed the next time."""
        (self.path / "job.json").unlink(missing_ok=True)
        sync_folder(self.path)
        for item in self.path.iterdir():
            if item.is_dir():
                shutil.rmtree(item)
            else:
                item.unlink(missing_ok=True)

    @contextlib.contextmanager
    def encoding(self, shape: Shape) -> Iterator[tuple[Any, Checkpoint]]:
        """Give a sink (index, slice) that writes the slices' file, and the memory of an earlier try.

        All is synced at the end, and what was done so far also when it ends early.
        """
        slice_bytes = shape.slice_bytes
        try:
            descriptor = os.open(self.slices, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileUnreadable(f"{self.slices} can't be written: {error.strerror}.", path=str(self.slices)) from error

        def write(index: int, data: bytes) -> None:
            try:
                write_at(descriptor, data, index * slice_bytes)
            except OSError as error:
                raise FileUnreadable(
                    f"{self.slices} can't be written: {error.strerror}.",
                    hint="All slices are kept here until they are sent: free some space.",
                    path=str(self.slices),
                ) from error

        try:
            with Checkpoint.opened(self.path / "encoded.bin", descriptor, shape) as memory:
                yield write, memory
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def reader(self, slice_bytes: int) -> Iterator[Any]:
        """Give a function index → slice, usable from several threads."""
        try:
            descriptor = os.open(self.slices, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise FileUnreadable(f"{self.slices} can't be read: {error.strerror}.", path=str(self.slices)) from error

        def read(index: int) -> bytes:
            data = os.pread(descriptor, slice_bytes, index * slice_bytes)
            if len(data) != slice_bytes:
                raise FileUnreadable(f"{self.slices} was cut short.", path=str(self.slices), index=index)
            return data

        try:
            yield read
        finally:
            os.close(descriptor)


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that is there whole or not at all, also after a crash. Raises :class:`FileUnreadable`."""
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise FileUnreadable(f"{path} can't be written: {error.strerror}.", path=str(path)) from error


def sync_folder(path: Path) -> None:
    """Make a folder's entries survive a crash of the machine. Raises :class:`OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
