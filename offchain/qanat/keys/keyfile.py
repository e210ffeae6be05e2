"""Encrypted key files: JSON, scrypt, AES-256-GCM. The layout is in docs/format.md."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from qanat import strict_json
from qanat.errors import BadParameters, FileUnreadable, WrongKeyFile

VERSION = 1
SCRYPT_COST = 1 << 15
"""N of scrypt: 32 MiB and about a tenth of a second."""

MAX_SCRYPT_COST = 1 << 20
"""A file that asks for more (1 GiB) is refused rather than obeyed."""

MAX_FILE_BYTES = 1 << 16


def write_keyfile(
    path: str | Path, *, kind: str, secret: bytes, public: bytes, password: str, cost: int | None = None
) -> None:
    """Write a new file, readable by its owner only.

    :param kind: what the key is for; bound to the ciphertext, so one kind can't be read as another.
    :param cost: scrypt's N, a power of two from 2^10; 2^15 by default.

    An existing file is never overwritten: ``FileUnreadable``.
    """
    chosen = SCRYPT_COST if cost is None else cost
    if chosen < 1 << 10 or chosen > MAX_SCRYPT_COST or chosen & (chosen - 1):
        raise BadParameters(f"scrypt's cost must be a power of two from 2^10 to 2^20, not {chosen}.")
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    header = {
        "version": VERSION,
        "kind": kind,
        "public": public.hex(),
        "kdf": {"name": "scrypt", "n": chosen, "r": 8, "p": 1, "salt": salt.hex()},
        "cipher": {"name": "aes-256-gcm", "nonce": nonce.hex()},
    }
    key = _derive(password, salt, chosen)
    sealed = AESGCM(key).encrypt(nonce, secret, _bound(header))
    text = json.dumps({**header, "ciphertext": sealed.hex()}, indent=2) + "\n"
    write_private(path, text.encode("ascii"))


def read_keyfile(path: str | Path, *, kind: str, password: str) -> tuple[bytes, bytes]:
    """Return (secret, public) of a key file.

    An unreadable file raises ``FileUnreadable``; a wrong password, another kind, or a damaged file ``WrongKeyFile``.
    """
    data = read_small(path)
    try:
        content: dict[str, Any] = strict_json.parse(data)
        header = {name: content[name] for name in ("version", "kind", "public", "kdf", "cipher")}
        kdf = header["kdf"]
        cost, salt = int(kdf["n"]), bytes.fromhex(kdf["salt"])
        nonce = bytes.fromhex(header["cipher"]["nonce"])
        ciphertext = bytes.fromhex(content["ciphertext"])
        public = bytes.fromhex(header["public"])
        usual = (kdf["name"], kdf["r"], kdf["p"], header["cipher"]["name"]) == ("scrypt", 8, 1, "aes-256-gcm")
        sane = 1 << 10 <= cost <= MAX_SCRYPT_COST and cost & (cost - 1) == 0 and len(nonce) == 12
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WrongKeyFile(f"{path} is no key file.", path=str(path)) from error
    if header["version"] != VERSION or not usual or not sane:
        raise WrongKeyFile(f"{path} is a key file of an unknown form.", path=str(path))
    if header["kind"] != kind:
        raise WrongKeyFile(f"{path} holds a key of kind {header['kind']!r}, not {kind!r}.", path=str(path))
    try:
        return AESGCM(_derive(password, salt, cost)).decrypt(nonce, ciphertext, _bound(header)), public
    except InvalidTag as error:
        raise WrongKeyFile(
            f"{path} does not open with this password.", hint="Check the password and the file.", path=str(path)
        ) from error


def read_small(path: str | Path) -> bytes:
    """Return a small file's bytes.

    ``FileUnreadable`` when it can't be read, ``WrongKeyFile`` when it is absurdly large.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error
    if len(data) > MAX_FILE_BYTES:
        raise WrongKeyFile(f"{path} is too large to be a key file.", path=str(path))
    return data


def write_private(path: str | Path, data: bytes) -> None:
    """Write a new file with mode 0600 and sync it.

    An existing one or an unwritable folder raises ``FileUnreadable``; half a file is not left behind.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            Path(path).unlink()
            raise
    except OSError as error:
        raise FileUnreadable(
            f"{path} can't be written: {error.strerror}.",
            hint="An existing key file is never overwritten.",
            path=str(path),
        ) from error


def open_to_others(path: str | Path) -> str | None:
    """Return a warning if a key file can be read or written by others than its owner, else None."""
    try:
        mode = Path(path).stat().st_mode & 0o777
    except OSError:
        return None
    if not mode & 0o077:
        return None
    return f"Others can get at {path} (mode {mode:04o}): chmod 600 {path}"


def _derive(password: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(password.encode("utf-8"))


def _bound(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode("utf-8")
