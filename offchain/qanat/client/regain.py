"""An owner's objects back, from the chain, the nodes, and the recovery key alone.

The header of each object's manifest wraps its data key to the recovery key. What comes of an object is its recovery
file, as ``store`` leaves it: with that it is fetched, and minted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qanat.chain.connection import Chain
from qanat.chain.signer import Signer
from qanat.client.fetch import fetch_manifest
from qanat.errors import DecryptionFailed, QanatError, WrongKeyFile
from qanat.keys.encryption import EncryptionHeader
from qanat.keys.recovery import RecoveryFile
from qanat.keys.seal import SealingKey
from qanat.records.bundle import split_header

if TYPE_CHECKING:
    from qanat.objects import Manifest

__all__ = ["Regained", "regain"]


@dataclass(frozen=True)
class Regained:
    """What became of one object.

    ``state``: ``regained`` (its recovery file was written), ``there`` (it was there, and opens), ``plain`` (it needs
    none), ``foreign`` (wrapped to another recovery key, or to none), ``unreachable`` (no node has its manifest now, or
    it is not stored any more), ``damaged`` (a file is in its place that is not its), ``unwritten`` (its file could not
    be written).
    """

    object_id: bytes
    size: int
    state: str
    recovery: Path | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "objectId": "0x" + self.object_id.hex(),
            "size": self.size,
            "state": self.state,
            "recovery": None if self.recovery is None else str(self.recovery),
            "why": self.why,
        }


def regain(
    objects: Iterable[tuple[bytes, int]], key: SealingKey, *, chain: Chain, signer: Signer, out_dir: Path
) -> list[Regained]:
    """Write the recovery file ``<object id>.recovery.json`` of every object that the recovery key opens.

    ``objects``: (id, stored bytes). ``signer``: whose Ethereum key is to open the recovery files. What goes wrong with
    one object is told of it, and costs the others nothing.
    """
    return [_one(object_id, size, key, chain, signer, out_dir) for object_id, size in objects]


def _one(object_id: bytes, size: int, key: SealingKey, chain: Chain, signer: Signer, out_dir: Path) -> Regained:
    path = out_dir / f"{object_id.hex()}.recovery.json"
    if path.exists():
        return _there(object_id, size, path, signer)
    try:
        manifest = fetch_manifest(object_id, chain=chain)
    except (QanatError, OSError) as error:
        return Regained(object_id, size, "unreachable", why=_first_line(error))
    try:
        data_key = _data_key(manifest, key)
    except DecryptionFailed as error:
        return Regained(object_id, size, "foreign", why=_first_line(error))
    if data_key is None:
        return Regained(object_id, size, "plain")
    try:
        RecoveryFile.seal(
            data_key=data_key,
            manifest=manifest,
            object_id=object_id,
            chain_id=chain.chain_id,
            contract=chain.contract("Objects").address,
            account=signer,
        ).save(path)
    except (QanatError, OSError) as error:
        return Regained(object_id, size, "unwritten", why=_first_line(error))
    return Regained(object_id, size, "regained", path)


def _there(object_id: bytes, size: int, path: Path, signer: Signer) -> Regained:
    """Judge a file that was there: it is kept, whosever it is, but counts only if it is this object's and opens."""
    try:
        found = RecoveryFile.load(path)
        if found.object_id != object_id:
            raise WrongKeyFile(f"it is the recovery file of object 0x{found.object_id.hex()}.")
        found.open(signer)
    except QanatError as error:
        return Regained(object_id, size, "damaged", why=f"move {path} away: {_first_line(error)}")
    return Regained(object_id, size, "there", path)


def _data_key(manifest: Manifest, key: SealingKey) -> bytes | None:
    """Return an object's data key, None if it is not encrypted. Raises :class:`DecryptionFailed`."""
    try:
        _, encryption = split_header(manifest.header)
        header = EncryptionHeader.from_bytes(encryption)
    except QanatError:
        return None
    return header.unwrap(key)


def _first_line(error: BaseException) -> str:
    return (error.message if isinstance(error, QanatError) else str(error)).split("\n", 1)[0]
