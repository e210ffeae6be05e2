"""From slices back to bytes: verified, from any k rows of each matrix, a bounded number of matrices in memory."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from qanat.coding import code
from qanat.errors import (
    BadParameters,
    FileUnreadable,
    MalformedManifest,
    NonCanonicalElement,
    NotEnoughSlices,
    QanatError,
    SliceMismatch,
)
from qanat.field import ELEMENT_BYTES
from qanat.kzg import bad_slices
from qanat.objects.encoder import Progress, row_payloads, slice_name
from qanat.objects.manifest import Manifest

Fetch = Callable[[int], "bytes | None"]
"""Takes a slice index, returns its bytes, or None when they can't be had; called from several threads."""

WINDOW_BYTES = 64 << 20
"""Slices of this many bytes are verified as one batch."""


class Inverse(Protocol):
    """What turns stored bytes back into a file's: a decryption."""

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the file's bytes."""
        ...


def wrong_slices(manifest: Manifest, slices: Mapping[int, bytes]) -> list[int]:
    """Return the indexes of all slices that are not what the manifest says.

    A right slice has 32*w bytes, canonical elements (below 2^248 in data rows), and opens to its commitment; all are
    checked as one batch. An index that the object doesn't have raises ``BadParameters``.
    """
    wrong: list[int] = []
    plausible: list[int] = []
    for index, data in slices.items():
        _, row = manifest.place(index)
        overflows = row < manifest.k and any(data[::ELEMENT_BYTES])
        (wrong if len(data) != manifest.slice_bytes or overflows else plausible).append(index)
    bad = bad_slices([slices[index] for index in plausible], [manifest.commitments[index] for index in plausible])
    return sorted(wrong + [plausible[position] for position in bad])


def verify_slices(manifest: Manifest, slices: Mapping[int, bytes]) -> None:
    """Check slices against their manifest.

    Any wrong one raises ``SliceMismatch`` with ``data["bad"]``, their indexes.
    """
    bad = wrong_slices(manifest, slices)
    if bad:
        raise SliceMismatch(
            f"{len(bad)} of {len(slices)} slices do not match the manifest, the first is slice {bad[0]}.",
            hint="Take them from another node.",
            bad=bad,
        )


def restore(manifest: Manifest, slices: Mapping[int, bytes]) -> bytes:
    """Return an object's bytes from any k good slices of every matrix; wrong slices are left aside.

    Too few good ones raise ``NotEnoughSlices``, with ``data["bad"]``; bytes that don't have the manifest's hash
    ``MalformedManifest``.
    """
    return b"".join(restore_stream(manifest, slices.get, workers=1))


def restore_stream(
    manifest: Manifest,
    fetch: Fetch,
    *,
    workers: int = 4,
    progress: Progress | None = None,
) -> Iterator[bytes]:
    """Yield an object's bytes, a matrix at a time; their hash is checked after the last.

    So a caller must not use what it got before the iterator has ended without an error (:func:`restore_file` does
    that). Rows that failed before are asked for last: row i of every matrix lies with the same operator. An error of
    this package that ``fetch`` raises counts as a slice that can't be had.
    """
    digest = hashlib.sha256()
    done = 0
    step = max(1, WINDOW_BYTES // (manifest.k * manifest.slice_bytes))
    rows = _Rows(manifest, fetch)
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="qanat-fetch") as pool:
        for first in range(0, manifest.matrices, step):
            window = range(first, min(first + step, manifest.matrices))
            for matrix, found in zip(window, rows.collect(window, pool), strict=True):
                payload = _matrix_payload(manifest, matrix, found)[: manifest.size - done]
                digest.update(payload)
                done += len(payload)
                yield payload
                if progress:
                    progress(done, manifest.size)
    if digest.digest() != manifest.content_hash:
        raise MalformedManifest(
            "Every slice matches, but the restored bytes don't have the hash that the manifest names.",
            hint="Whoever made the manifest was faulty or hostile.",
            expected=manifest.content_hash,
            got=digest.digest(),
        )


def restore_file(
    manifest: Manifest,
    fetch: Fetch | str | Path,
    out_path: str | Path,
    *,
    inverse: Inverse | None = None,
    workers: int = 4,
    progress: Progress | None = None,
) -> None:
    """Restore an object into a file, which appears only when all of it is right.

    :param fetch: a function, or a folder as ``encode_file`` writes it.
    :param inverse: a decryption, such as ``qanat.keys.FileDecryption``.

    Errors as :func:`restore`; a file that can't be written raises ``FileUnreadable``.
    """
    source = fetch if callable(fetch) else folder_fetch(fetch)
    with appearing_file(out_path) as write:
        chunks: Iterable[bytes] = restore_stream(manifest, source, workers=workers, progress=progress)
        for chunk in inverse.apply(chunks) if inverse is not None else chunks:
            write(chunk)


@contextmanager
def appearing_file(path: str | Path) -> Iterator[Callable[[bytes], None]]:
    """Give a function that writes; the file appears, synced, when the body ends without an error.

    An existing file is replaced then. One that can't be written raises ``FileUnreadable``.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        file = partial.open("xb")
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        with file:
            yield lambda chunk: _write(file, chunk, target)
            file.flush()
            os.fsync(file.fileno())
        try:
            partial.replace(target)
        except OSError as error:
            raise _unwritable(target, error) from error
    finally:
        partial.unlink(missing_ok=True)


def folder_fetch(folder: str | Path) -> Fetch:
    """Return a fetch function over a slice folder."""
    base = Path(folder)

    def fetch(index: int) -> bytes | None:
        try:
            return (base / slice_name(index)).read_bytes()
        except OSError:
            return None

    return fetch


class _Rows:
    """Finds k good rows of each matrix, remembering which rows failed."""

    def __init__(self, manifest: Manifest, fetch: Fetch) -> None:
        self.manifest, self.fetch = manifest, fetch
        self.failures = [0] * manifest.n
        self.bad: list[int] = []

    def collect(self, window: range, pool: ThreadPoolExecutor) -> list[dict[int, bytes]]:
        """Return {row: slice} with k good rows for each matrix of the window."""
        n, k = self.manifest.n, self.manifest.k
        found: list[dict[int, bytes]] = [{} for _ in window]
        order = sorted(range(n), key=lambda row: (self.failures[row], row))
        waiting = [list(order) for _ in window]
        while True:
            asked = [
                (position, row)
                for position in range(len(window))
                for row in waiting[position][: k - len(found[position])]
            ]
            if not asked:
                break
            for position in range(len(window)):
                del waiting[position][: k - len(found[position])]
            indexes = [window[position] * n + row for position, row in asked]
            answers = dict(zip(indexes, pool.map(self._fetched, indexes), strict=True))
            received = {index: data for index, data in answers.items() if data is not None}
            wrong = set(wrong_slices(self.manifest, received))
            self.bad += sorted(wrong)
            for (position, row), index in zip(asked, indexes, strict=True):
                if index in received and index not in wrong:
                    found[position][row] = received[index]
                else:
                    self.failures[row] += 1
            if any(self.failures):  # rows that work elsewhere first
                for rows in waiting:
                    rows.sort(key=lambda row: (self.failures[row], row))
        for position, matrix in enumerate(window):
            if len(found[position]) < k:
                raise NotEnoughSlices(
                    f"Matrix {matrix} has {len(found[position])} good slices at hand, {k} are needed.",
                    hint="Wait for more nodes to answer.",
                    matrix=matrix,
                    have=len(found[position]),
                    need=k,
                    bad=self.bad,
                )
        return found

    def _fetched(self, index: int) -> bytes | None:
        try:
            return self.fetch(index)
        except BadParameters:
            raise
        except QanatError:
            return None


def _matrix_payload(manifest: Manifest, matrix: int, found: Mapping[int, bytes]) -> bytes:
    k = manifest.k
    if all(row in found for row in range(k)):
        return row_payloads(found[row] for row in range(k))
    coder = code(k, manifest.n)
    field: Any = coder.field
    indices = sorted(found)[:k]
    rows = field.from_bytes(b"".join(found[row] for row in indices), (k, manifest.width))
    data = field.to_bytes(coder.restore(indices, rows))
    if any(data[::ELEMENT_BYTES]):
        raise NonCanonicalElement(
            f"Matrix {matrix} holds data elements of 2^248 or more: its encoder was faulty or hostile.", matrix=matrix
        )
    return row_payloads([data])


def rebuild_slices(manifest: Manifest, slices: Mapping[int, bytes], wanted: Iterable[int]) -> dict[int, bytes]:
    """Return lost slices of one matrix from any k of its others: how a node mends itself.

    :param slices: at least k of the same matrix; they are verified first, wrong ones are left aside.
    :param wanted: indexes of that matrix.

    Raises ``NotEnoughSlices``, or ``BadParameters`` when slices of several matrices are mixed.
    """
    targets = list(wanted)
    places = [manifest.place(index) for index in (*slices, *targets)]
    if len({matrix for matrix, _ in places}) > 1:
        raise BadParameters("Slices of one matrix only can be rebuilt together.")
    if not targets:
        return {}
    wrong = set(wrong_slices(manifest, slices))
    good = {manifest.place(index)[1]: data for index, data in slices.items() if index not in wrong}
    if len(good) < manifest.k:
        raise NotEnoughSlices(
            f"{len(good)} good slices are at hand, {manifest.k} are needed.",
            have=len(good),
            need=manifest.k,
            bad=sorted(wrong),
        )
    coder = code(manifest.k, manifest.n)
    field: Any = coder.field
    indices = sorted(good)[: manifest.k]
    rows = field.from_bytes(b"".join(good[row] for row in indices), (manifest.k, manifest.width))
    made = field.to_bytes(coder.rebuild(indices, rows, [manifest.place(index)[1] for index in targets]))
    step = manifest.slice_bytes
    return {index: made[step * position : step * (position + 1)] for position, index in enumerate(targets)}


def _write(file: Any, chunk: bytes, target: Path) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise _unwritable(target, error) from error


def _unwritable(target: Path, error: OSError) -> FileUnreadable:
    return FileUnreadable(f"{target} can't be written: {error.strerror}.", path=str(target))
