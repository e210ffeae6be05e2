"""From bytes to slices and a manifest, one matrix in memory at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from qanat.coding import code
from qanat.errors import BadParameters, FileChanged, FileUnreadable
from qanat.field import ELEMENT_BYTES, PAYLOAD_BYTES
from qanat.field.path import gpu_wanted
from qanat.field.threads import processors
from qanat.kzg import commit, commitment_kernel, parity_commitments
from qanat.kzg.points import COMPRESSED_IDENTITY
from qanat.objects.manifest import MAX_HEADER_BYTES, Manifest
from qanat.objects.shape import Shape

Sink = Callable[[int, bytes], None]
"""Takes (slice index, slice bytes); slices come matrix after matrix, rows in order."""

Progress = Callable[[int, int], None]
"""Takes (bytes done, bytes in all)."""

READ_BYTES = 1 << 20


class Transform(Protocol):
    """What turns a file's bytes into the bytes that are stored: an encryption."""

    @property
    def header(self) -> bytes:
        """What the manifest's header must carry so that the bytes can be turned back."""
        ...

    def stored_size(self, size: int) -> int:
        """Return how many bytes will be stored for a file of this size."""
        ...

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the stored bytes."""
        ...


class Memory(Protocol):
    """What an interrupted encoding leaves to the next, so that no matrix is computed twice."""

    def recall(self, matrix: int, digest: bytes) -> Sequence[bytes] | None:
        """Return a matrix's n commitments if its slices are written; None if they are not.

        :param digest: SHA-256 of the matrix's bytes; ``FileChanged`` if they were others.
        """
        ...

    def keep(self, matrix: int, digest: bytes, commitments: Sequence[bytes]) -> None:
        """Note a matrix whose slices have all gone to the sink."""
        ...


@dataclass(frozen=True)
class Encoded:
    """An object in memory: its manifest and all slices in index order."""

    manifest: Manifest
    slices: list[bytes]


def encode(data: bytes, *, k: int, n: int, width: int, header: bytes = b"") -> Encoded:
    """Encode bytes in memory; parameters out of range raise ``BadParameters``."""
    slices: list[bytes] = []
    manifest = encode_stream([data], len(data), Shape(width, k, n), lambda _, part: slices.append(part), header=header)
    return Encoded(manifest, slices)


def encode_stream(
    chunks: Iterable[bytes],
    size: int,
    shape: Shape,
    sink: Sink,
    *,
    header: bytes = b"",
    progress: Progress | None = None,
    memory: Memory | None = None,
) -> Manifest:
    """Encode a stream of bytes whose length is known.

    :param chunks: pieces of any length, ``size`` bytes in all; more or fewer raise ``FileChanged``.
    :param sink: receives every slice once; what it raises ends the encoding.
    :param memory: of an earlier try: what it recalls is not computed, and does not go to the sink, again.

    The rows of a matrix are committed on all processors, and its parity rows computed meanwhile; one matrix is in
    memory at a time.
    """
    count = shape.matrices(size)
    if len(header) > MAX_HEADER_BYTES:
        raise BadParameters(f"A header has at most {MAX_HEADER_BYTES} bytes, not {len(header)}.")
    digest = hashlib.sha256()
    commitments: list[bytes] = []
    done = 0
    with ThreadPoolExecutor(max_workers=processors(), thread_name_prefix="qanat-encode") as workers:
        for matrix, payload in enumerate(_matrices(chunks, size, shape.matrix_payload, count)):
            digest.update(payload)
            done += len(payload)
            mark = hashlib.sha256(payload).digest() if memory else b""
            known = memory.recall(matrix, mark) if memory else None
            if known is None:
                known = _encode_matrix(workers, payload, shape, sink, matrix * shape.n)
                if memory:
                    memory.keep(matrix, mark, known)
            commitments += known
            if progress:
                progress(done, size)
    return Manifest(
        width=shape.width,
        k=shape.k,
        n=shape.n,
        matrices=count,
        size=size,
        content_hash=digest.digest(),
        header=header,
        commitments=tuple(commitments),
    )


def _encode_matrix(workers: ThreadPoolExecutor, payload: bytes, shape: Shape, write: Sink, first: int) -> list[bytes]:
    """Write a matrix's n rows, slices from ``first`` on; return their commitments."""
    rows = data_rows(payload, shape)
    if gpu_wanted():
        commitments, more = encode_on_gpu(rows, shape)
        for index, part in enumerate([*rows, *more], first):
            write(index, part)
        return commitments
    parity: Future[list[bytes]] = workers.submit(_parity_rows, rows, shape)
    made = list(workers.map(_commit_row, rows))
    made += parity_commitments(made, shape.k, shape.n)
    for index, part in enumerate(rows, first):
        write(index, part)
    for index, part in enumerate(parity.result(), first + shape.k):
        write(index, part)
    return made


def encode_file(
    path: str | Path,
    plan: Shape,
    sink: Sink | str | Path,
    *,
    transform: Transform | None = None,
    progress: Progress | None = None,
    memory: Memory | None = None,
) -> Manifest:
    """Encode a file.

    :param plan: a :class:`~qanat.objects.planner.Plan` or any shape; M follows from the file's size.
    :param sink: a function, or a folder (made if missing) that gets a file per slice, named by :func:`slice_name`.
    :param transform: an encryption, such as ``qanat.keys.FileEncryption``; its header goes into the manifest.
    :param memory: of an earlier try of the same file under the same encryption.

    An unreadable file raises ``FileUnreadable``; one whose size or time of change differs afterwards ``FileChanged``,
    and then, as with any other failure, no slice file is left behind.
    """
    source = Path(path)
    with _opened(source) as file:
        before = _state(file)
        size = before[0]
        chunks: Iterable[bytes] = _read(file, source)
        stored = size
        if transform is not None:
            stored = transform.stored_size(size)
            chunks = transform.apply(_exactly(chunks, size, source))
        header = transform.header if transform is not None else b""
        with _slice_sink(sink) as write:
            manifest = encode_stream(chunks, stored, plan, write, header=header, progress=progress, memory=memory)
            if _state(file) != before or _path_state(source) != before:
                raise FileChanged(
                    f"{source} changed while it was read.",
                    hint="Store a copy that nothing writes to.",
                    path=str(source),
                )
        return manifest


def slice_name(index: int) -> str:
    """Return the file name of a slice in a slice folder."""
    return f"{index:010d}.slice"


def data_rows(payload: bytes, shape: Shape) -> list[bytes]:
    """Return a matrix's k data rows: 31 bytes of payload per element, a zero byte before each, zeros at the end."""
    padded = np.zeros(shape.matrix_payload, dtype=np.uint8)
    padded[: len(payload)] = np.frombuffer(payload, dtype=np.uint8)
    rows = np.zeros((shape.k, shape.width, ELEMENT_BYTES), dtype=np.uint8)
    rows[:, :, 1:] = padded.reshape(shape.k, shape.width, PAYLOAD_BYTES)
    return [rows[row].tobytes() for row in range(shape.k)]


def row_payloads(rows: Iterable[bytes]) -> bytes:
    """Return the payload bytes of data rows: every element without its leading zero byte."""
    joined = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, ELEMENT_BYTES)
    return joined[:, 1:].tobytes()


def _commit_row(row: bytes) -> bytes:
    return commit(row) if any(row) else COMPRESSED_IDENTITY


def _parity_rows(rows: list[bytes], shape: Shape) -> list[bytes]:
    if shape.n == shape.k:
        return []
    coder = code(shape.k, shape.n)
    field: Any = coder.field
    parity = coder.encode(field.from_bytes(b"".join(rows), (shape.k, shape.width)))
    joined, step = field.to_bytes(parity), shape.slice_bytes
    return [joined[at : at + step] for at in range(0, len(joined), step)]


def encode_on_gpu(rows: list[bytes], shape: Shape) -> tuple[list[bytes], list[bytes]]:
    """Return all n commitments and the parity rows, made on a CUDA device.

    Parity rows are committed to like data rows: there that is cheaper than transforms of points, whose layers wait for
    each other.
    """
    group: Any = commitment_kernel("gpu")
    coder = code(shape.k, shape.n, "gpu")
    field: Any = coder.field
    data = field.from_bytes(b"".join(rows), (shape.k, shape.width))
    parity = coder.encode(data)
    commitments = group.commit_rows(data) + group.commit_rows(parity)
    joined, step = field.to_bytes(parity), shape.slice_bytes
    return commitments, [joined[at : at + step] for at in range(0, len(joined), step)]


def _matrices(chunks: Iterable[bytes], size: int, step: int, count: int) -> Iterator[bytes]:
    """Yield ``count`` pieces of ``step`` bytes, the last one shorter (or empty, for an empty object)."""
    pending = bytearray()
    total = made = 0
    for chunk in chunks:
        total += len(chunk)
        if total > size:
            break
        pending += chunk
        while len(pending) >= step and made < count:
            yield bytes(pending[:step])
            del pending[:step]
            made += 1
    if total != size:
        raise FileChanged(f"The stream should have had {size} bytes and had {'more' if total > size else total}.")
    if made < count:
        yield bytes(pending)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileUnreadable(
            f"{path} can't be read: {error.strerror}.", hint="Check the path and its permissions.", path=str(path)
        ) from error
    with file:
        yield file


def _state(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _path_state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise FileChanged(f"{path} vanished while it was read.", path=str(path)) from error
    return status.st_size, status.st_mtime_ns


def _read(file: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        while chunk := file.read(READ_BYTES):
            yield chunk
    except OSError as error:
        raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error


def _exactly(chunks: Iterable[bytes], size: int, path: Path) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > size:
            break
        yield chunk
    if total != size:
        raise FileChanged(f"{path} changed while it was read: it had {size} bytes.", path=str(path))


@contextmanager
def _slice_sink(sink: Sink | str | Path) -> Iterator[Sink]:
    if callable(sink):
        yield sink
        return
    folder = Path(sink)
    written: list[Path] = []

    def write(index: int, data: bytes) -> None:
        path = folder / slice_name(index)
        written.append(path)
        try:
            path.write_bytes(data)
        except OSError as error:
            raise FileUnreadable(f"{path} can't be written: {error.strerror}.", path=str(path)) from error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnreadable(f"{folder} can't be made: {error.strerror}.", path=str(folder)) from error
    try:
        yield write
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
