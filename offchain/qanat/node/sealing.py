"""An operator's sealing key: its file, and what a sealed data key of an asset is bound to.

The file has the envelope of the BLS key's (docs/format.md), of kind ``qanat-sealing``.
"""

from __future__ import annotations

from pathlib import Path

from eth_utils.conversions import to_bytes

from qanat.errors import WrongKeyFile
from qanat.keys.keyfile import read_keyfile, write_keyfile
from qanat.keys.seal import SealContext, SealingKey

__all__ = ["KIND", "key_context", "load_sealing_key", "save_sealing_key"]

KIND = "qanat-sealing"


def save_sealing_key(path: str | Path, key: SealingKey, password: str, *, cost: int | None = None) -> None:
    """Write a key file that only the password opens; an existing file raises :class:`FileUnreadable`."""
    write_keyfile(path, kind=KIND, secret=key.to_bytes(), public=key.public, password=password, cost=cost)


def load_sealing_key(path: str | Path, password: str) -> SealingKey:
    """Read a key file.

    Raises :class:`FileUnreadable`, and :class:`WrongKeyFile` for a wrong password, kind or damage.
    """
    secret, public = read_keyfile(path, kind=KIND, password=password)
    key = SealingKey.from_bytes(secret)
    if key.public != public:
        raise WrongKeyFile(f"{path} names another public key than that of its secret key.", path=str(path))
    return key


def key_context(chain_id: int, licenses: str, asset_id: int, recipient: str) -> SealContext:
    """Return what the data key of an asset is bound to when it is sealed to a recipient's account.

    ``licenses``: address of the contract that says who is licensed. One key opens all objects of an asset, so no
    object is named.
    """
    return SealContext(
        chain_id=chain_id,
        contract=to_bytes(hexstr=licenses),
        asset_id=asset_id,
        object_id=bytes(32),
        recipient=to_bytes(hexstr=recipient),
    )
