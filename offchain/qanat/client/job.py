"""The memory of one storing: what was done so far, so that an interrupted one goes on and never pays twice.

A folder ``<name>.storing`` beside the recovery file holds ``job.json``, the manifest and the slices (``slices.bin``:
slice i at i·32·w). It holds no secret; it is removed when the object is certified.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qanat import strict_json
from qanat.errors import BadParameters, FileUnreadable

__all__ = ["Job", "JobFolder", "Source", "write_durably"]

_VERSION = 1


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
    """How far it is.

    ``nonce`` and ``object_id`` (hex) are the owner's next when the payment was prepared; "" and -1 before.

    ``opened``: whether the chain was seen to have the object. ``payment``: most that was approved, token units.
    ``sha256``: of the file, hex.
    """

    source: Source
    chain_id: int
    objects: str
    owner: str
    shard: int
    roster: int
    epochs: int
    sha256: str
    encrypted: bool
    explanation: tuple[str, ...] = ()
    nonce: int = -1
    object_id: str = ""
    opened: bool = False
    payment: int = 0
    token: str = ""
    open_transaction: str = ""
    signatures: dict[str, str] = field(default_factory=dict)


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

    def load(self) -> Job | None:
        """Return the job, None if there is none that was completely encoded.

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

    def clear(self) -> None:
        """Remove the folder."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(self.path)

    @contextlib.contextmanager
    def writer(self, slice_bytes: int) -> Iterator[Any]:
        """Give a sink (index, slice) that writes the slices' file; the file is synced at the end."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.slices, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileUnreadable(f"{self.slices} can't be written: {error.strerror}.", path=str(self.slices)) from error

        def write(index: int, data: bytes) -> None:
            try:
                os.pwrite(descriptor, data, index * slice_bytes)
            except OSError as error:
                raise FileUnreadable(
                    f"{self.slices} can't be written: {error.strerror}.",
                    hint="All slices are kept here until they are sent: free some space.",
                    path=str(self.slices),
                ) from error

        try:
            yield write
            os.fsync(descriptor)
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
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise FileUnreadable(f"{path} can't be written: {error.strerror}.", path=str(path)) from error
