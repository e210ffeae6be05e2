"""The set-up's table of multiples: made once, kept on disk, believed only if its hash is the one written here."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np

from qanat.errors import BadParameters, FileUnreadable
from qanat.field import base
from qanat.field.emit import words_of
from qanat.kzg import msm
from qanat.kzg.basis import BITS, FixedBasis, Words, make_table, windows_of
from qanat.kzg.points import FIELD_MODULUS, NUMBER_BYTES, RAW_BYTES
from qanat.kzg.setup import BLOB_ELEMENTS, trusted_setup

TABLE_HASHES = {
    1: "97db289b8ae58098e799d03feac6cbf1f50927eaeef561f5ada66f6f0b31fa09",
    2: "b7231ee100034c8e5c304c59e3a4aa060ecda96f1f9cea9750f2cd6d1970c28e",
    4: "b24ceec8e057f046ef9ae92cc07e93fdb3b9dd4b31a1346a2b8c7c4e452df524",
    5: "43cb53d7601e55ac15dcbffe68543c8ab10ae6b5bd7c7aa850f6c696d5693a10",
    10: "cea6e5ff07ea4d1a1c2e389629b5ff5d90d9be7752760050a30ffa48cf49f168",
    20: "104db8c1be5138d0d0f121e77351c0b2cb7c792831758f2e533e0c817929ecde",
}
"""SHA-256 of the tables of Ethereum's set-up that hold every first, second ... of the windows of 13 bits.

They depend on nothing else, machine included. The first is the fastest: wider windows need more buckets than they save
entries, narrower ones more entries.
"""

FILE_RADIX_BITS = 384

_lock = threading.Lock()


def cache_folder() -> Path:
    """Return where derived files are kept: ``QANAT_CACHE``, else ``$XDG_CACHE_HOME/qanat``, else ``~/.cache/qanat``."""
    named = os.environ.get("QANAT_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "qanat"


def table_bytes(step: int) -> int:
    """Return the size of the table that holds every step-th window."""
    return windows_of(BITS) // step * BLOB_ELEMENTS * RAW_BYTES


def table_name(step: int) -> str:
    """Return the name of its file."""
    return f"kzg-lagrange-{BLOB_ELEMENTS}x{windows_of(BITS) // step}.table"


def allowed_step() -> int:
    """Return the step of the largest table that ``QANAT_TABLE_MB`` allows; unset, it is the whole one, 8 MB.

    No number, or too few megabytes for the smallest, raise ``BadParameters``.
    """
    named = os.environ.get("QANAT_TABLE_MB")
    if not named:
        return 1
    try:
        allowed = float(named) * 1e6
    except ValueError:
        allowed = 0.0
    for step in TABLE_HASHES:
        if table_bytes(step) <= allowed:
            return step
    raise BadParameters(
        f"QANAT_TABLE_MB={named!r} holds no table.", hint="Leave it unset (8), or say a number from 0.4 on."
    )


def setup_basis() -> FixedBasis:
    """Return the set-up's Lagrange points with as many multiples as are allowed; the same object every time.

    A set-up whose table has another hash than it must raises ``FileUnreadable``.
    """
    with _lock:
        return _setup_basis()


@cache
def _setup_basis() -> FixedBasis:
    step = allowed_step()
    return FixedBasis(ready_table(step), BLOB_ELEMENTS, step=step)


def ready_table(step: int = 1) -> Words:
    """Return the set-up's table from its file, or make both; a set-up that has another raises ``FileUnreadable``."""
    path = cache_folder() / table_name(step)
    table = load_table(path, step)
    if table is None:
        table = build_table(step)
        save_table(path, table)
    return table


@contextmanager
def one_process(path: Path) -> Iterator[None]:
    """Hold a lock file, so that one process at a time computes and compiles; do without where none can be had."""
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (ImportError, OSError):
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def load_table(path: Path, step: int = 1) -> Words | None:
    """Return the table in a file; None if there is none, or another than there must be."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != TABLE_HASHES[step]:
        return None
    return times(np.frombuffer(bytearray(data), dtype=np.uint64).reshape(-1, 12), base.RADIX_BITS - FILE_RADIX_BITS)


def build_table(step: int = 1) -> Words:
    """Compute the table from the set-up's file, in about a second."""
    # Neither curve nor subgroup is checked point by point: the hash leaves one set of points.
    table = make_table([_decompress(point) for point in trusted_setup().lagrange], step=step)
    if hashlib.sha256(_stored(table)).hexdigest() != TABLE_HASHES[step]:
        raise FileUnreadable(
            "The KZG set-up is not Ethereum's: the table of its points has another hash.",
            hint="Reinstall eth-account.",
        )
    return table


def _stored(table: Words) -> bytes:
    """Return a table as it lies in its file: coordinates times 2^384, whatever the path's R is."""
    return times(table, FILE_RADIX_BITS - base.RADIX_BITS).tobytes()


def times(table: Words, power: int) -> Words:
    """Return a table with all coordinates times 2^power mod p."""
    if not power:
        return table
    numbers = table.reshape(-1, base.WORDS)
    out = np.empty_like(numbers)
    factor = pow(2, power + base.RADIX_BITS, base.MODULUS)
    msm.scale(numbers, np.array(words_of(factor, base.WORDS), dtype=np.uint64), out)
    return out.reshape(table.shape)


def _decompress(point: bytes) -> bytes:
    """Return the raw form of a compressed point that is taken to lie on the curve: y = (x^3 + 4)^((p+1)/4) or -y."""
    x = int.from_bytes(point, "big") & ((1 << 381) - 1)
    y = pow(x**3 + 4, (FIELD_MODULUS + 1) // 4, FIELD_MODULUS)
    if bool(point[0] & 0x20) != (2 * y > FIELD_MODULUS):
        y = FIELD_MODULUS - y
    return x.to_bytes(NUMBER_BYTES, "big") + y.to_bytes(NUMBER_BYTES, "big")


def save_table(path: Path, table: Words) -> None:
    """Write a table, whole or not at all; where nothing can be written, the next process computes it again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_stored(table))
            Path(partial).replace(path)
        except OSError:
            Path(partial).unlink(missing_ok=True)
            raise
