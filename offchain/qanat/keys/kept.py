"""Secrets that must outlive the process that made them: sealed to the account that can always make their key again.

A licensee's x stands here before it pays for a forced release, a dealing before a holder has heard of it. A file is
written once, with mode 0600, and is on the disk when it is used. It opens with the account's Ethereum key only. Layout:
docs/format.md.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qanat import strict_json
from qanat.errors import FileUnreadable, WrongKeyFile
from qanat.keys.account_signature import TypedData, sign_for_secret, sign_twice
from qanat.keys.keyfile import read_small, write_private

__all__ = ["keep_secret", "open_secret", "subject_of"]

KIND = "qanat-kept-secret"
VERSION = 1
NOTICE = "Sign only in Qanat: this signature opens a secret that your own machine keeps for a key of an asset."


def keep_secret(path: Path, secret: bytes, subject: Mapping[str, Any], account: Any) -> None:
    """Write a new file, durable on return, its name included.

    :param subject: what the secret is for, as JSON values; it can be read by anybody, and is bound to the secret.
    :param account: as in :func:`~qanat.keys.account_signature.sign_twice`.

    An existing file raises ``FileUnreadable``, an account whose signatures are not deterministic ``BadParameters``.
    """
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    header = {
        "kind": KIND,
        "version": VERSION,
        "owner": str(account.address),
        "salt": salt.hex(),
        "subject": dict(subject),
    }
    sealed = AESGCM(_key(sign_twice(account, _to_sign(salt)), salt)).encrypt(nonce, secret, _bound(header))
    content = {**header, "nonce": nonce.hex(), "ciphertext": sealed.hex()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FileUnreadable(f"{path.parent} can't be made: {error.strerror}.", path=str(path.parent)) from error
    write_private(path, (json.dumps(content, indent=1) + "\n").encode("ascii"))
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def subject_of(path: Path) -> dict[str, Any]:
    """Return what a file says that its secret is for: believed once it opened. ``WrongKeyFile`` for another file."""
    header, _, _ = _read(path)
    return dict(header["subject"])


def open_secret(path: Path, account: Any) -> bytes:
    """Return a secret; another account, or an altered file, raises ``WrongKeyFile``."""
    header, nonce, ciphertext = _read(path)
    if str(account.address).lower() != str(header["owner"]).lower():
        raise WrongKeyFile(f"{path} belongs to {header['owner']}, not to {account.address}.", path=str(path))
    salt = bytes.fromhex(header["salt"])
    try:
        return AESGCM(_key(sign_for_secret(account, _to_sign(salt)), salt)).decrypt(nonce, ciphertext, _bound(header))
    except InvalidTag as error:
        raise WrongKeyFile(f"{path} does not open: it was altered.", path=str(path)) from error


def _read(path: Path) -> tuple[dict[str, Any], bytes, bytes]:
    try:
        content = strict_json.parse(read_small(path))
        header = {name: content[name] for name in ("kind", "version", "owner", "salt", "subject")}
        nonce, ciphertext = bytes.fromhex(content["nonce"]), bytes.fromhex(content["ciphertext"])
        known = (header["kind"], header["version"]) == (KIND, VERSION) and isinstance(header["subject"], dict)
        sized = len(bytes.fromhex(header["salt"])) == 32 and len(nonce) == 12
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WrongKeyFile(f"{path} keeps no secret, or is damaged.", path=str(path)) from error
    if not known or not sized:
        raise WrongKeyFile(f"{path} keeps no secret in the form of version {VERSION}.", path=str(path))
    return header, nonce, ciphertext


def _to_sign(salt: bytes) -> TypedData:
    types = {"KeptSecret": [{"name": "notice", "type": "string"}, {"name": "salt", "type": "bytes32"}]}
    return {"name": "Qanat kept secret", "version": "1"}, types, {"notice": NOTICE, "salt": salt}


def _key(signature: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"QANAT_KEPT_SECRET_V1").derive(signature)


def _bound(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode("utf-8")
