"""An operator's BLS key in an encrypted file."""

from __future__ import annotations

from pathlib import Path

from qanat.bls.signatures import SecretKey
from qanat.errors import WrongKeyFile
from qanat.keys.keyfile import read_keyfile, write_keyfile

KIND = "qanat-bls"


def save_key(path: str | Path, key: SecretKey, password: str, *, cost: int | None = None) -> None:
    """Write a key file that only the password opens (format: docs/format.md).

    An existing file raises ``FileUnreadable``.
    """
    write_keyfile(path, kind=KIND, secret=key.to_bytes(), public=key.public_key, password=password, cost=cost)


def load_key(path: str | Path, password: str) -> SecretKey:
    """Read a key file.

    A file that can't be read raises ``FileUnreadable``; a wrong password, another kind of key file, or a damaged one
    ``WrongKeyFile``.
    """
    secret, public = read_keyfile(path, kind=KIND, password=password)
    key = SecretKey.from_bytes(secret)
    if key.public_key != public:
        raise WrongKeyFile(f"{path} names another public key than that of its secret key.", path=str(path))
    return key
