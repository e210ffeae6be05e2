"""The BLS keys that a node signs with: the current one, and older ones as long as rosters count them.

Every roster names, by its hash, the key under which it counts an operator. Objects are signed with that key, whatever
the operator's current one is. A key that ``node.json`` names only since the node started is read when a roster first
asks for it, so that a rotation needs no restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from eth_utils.crypto import keccak

from qanat import bls
from qanat.errors import NodeRefused, QanatError

__all__ = ["SigningKeys"]

_RETRY_SECONDS = 10
log = structlog.get_logger("qanat.node")


class SigningKeys:
    """An operator's keys by keccak256 of their 256-byte public keys. Safe to use from several threads.

    :param password: opens all key files.
    :param files: where key files are now: asked again when a key is missing.

    Raises :class:`FileUnreadable` and :class:`WrongKeyFile` for a file that can't be opened at the start.
    """

    def __init__(self, password: str, files: Callable[[], Sequence[Path]]) -> None:
        self._password = password
        self._files = files
        self._lock = threading.Lock()
        self._keys: dict[bytes, bls.SecretKey] = {}
        self._read: set[Path] = set()
        for path in files():
            self._open(path)

    @classmethod
    def of(cls, *keys: bls.SecretKey) -> SigningKeys:
        """Return keys that come from no file."""
        made = cls("", tuple)
        made._keys = {bytes(keccak(key.public_key)): key for key in keys}
        return made

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Hashes of the keys that are open, in the order of their files."""
        with self._lock:
            return tuple(self._keys)

    def key(self, key_hash: bytes) -> bls.SecretKey:
        """Return the key with this hash. Raises :class:`NodeRefused` (503) where no file holds it yet."""
        with self._lock:
            if key_hash not in self._keys:
                self._open_new()
            found = self._keys.get(key_hash)
        if found is None:
            raise NodeRefused(
                f"The roster counts BLS key 0x{key_hash.hex()}, which this node doesn't have.",
                hint="Its operator adds the key's file to keys.bls in node.json.",
                status=503,
                retry_after=_RETRY_SECONDS,
                key_hash=key_hash,
            )
        return found

    def _open(self, path: Path) -> None:
        key = bls.load_key(path, self._password)
        self._keys[bytes(keccak(key.public_key))] = key
        self._read.add(path)

    def _open_new(self) -> None:
        """Read the files that came since. One that can't be opened is logged: the keys that there are still serve."""
        try:
            for path in self._files():
                if path not in self._read:
                    self._open(path)
                    log.info("BLS key opened", file=str(path))
        except QanatError as error:
            log.error("BLS key not opened", error=error.message)  # noqa: TRY400  (an expected kind)
