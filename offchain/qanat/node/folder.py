"""A node's folder as its operator's commands see it: ``node.json`` and the files of its BLS keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from qanat import bls
from qanat.chain.deployment import write_atomically
from qanat.errors import BadParameters, FileUnreadable
from qanat.node.config import load_config

__all__ = ["NodeFolder"]

_FIRST_KEY = "keys/bls.json"


class NodeFolder:
    """The folder ``path``; nothing need be there yet.

    ``settings``: ``node.json`` as it stands, empty where there is none. Raises :class:`BadParameters` for one that is
    not valid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "node.json"
        self.settings: dict[str, Any] = {}
        if self.file.exists():
            load_config(self.file)
            self.settings = json.loads(self.file.read_text(encoding="utf-8"))

    @property
    def bls_files(self) -> list[str]:
        """Names of the BLS keys' files, relative to the folder, the newest last."""
        named = self.settings.get("keys", {}).get("bls", _FIRST_KEY)
        return [named] if isinstance(named, str) else list(named)

    def operator(self) -> str:
        """Whose node it is. Raises :class:`FileUnreadable` where no node was set up."""
        if not self.settings:
            raise FileUnreadable(
                f"{self.file} is not there.", hint="Name the node's folder with --folder.", path=str(self.file)
            )
        return str(self.settings["operator"])

    def bls_keys(self, password: str) -> dict[str, bls.SecretKey]:
        """Open the BLS keys whose files are there, by their names."""
        return {
            name: bls.load_key(self.path / name, password) for name in self.bls_files if (self.path / name).exists()
        }

    def add_bls_key(self, key: bls.SecretKey, password: str) -> str:
        """Keep another BLS key: its file first, then its name in ``node.json``; returns the name.

        From then on a running node finds it.
        """
        name = f"keys/bls-{keccak(key.public_key).hex()[:8]}.json"
        bls.save_key(self.path / name, key, password)
        self._name([*(item for item in self.bls_files if (self.path / item).exists()), name])
        return name

    def drop_bls_key(self, name: str) -> None:
        """Forget a BLS key: its name first, then its file. The last one stays (:class:`BadParameters`)."""
        left = [item for item in self.bls_files if item != name]
        if not left:
            raise BadParameters(f"{name} is the only BLS key of {self.path}.")
        self._name(left)
        (self.path / name).unlink(missing_ok=True)

    def _name(self, files: list[str]) -> None:
        self.settings["keys"]["bls"] = files[0] if len(files) == 1 else files
        self.write()

    def write(self) -> None:
        """Write ``node.json``, whole or not at all."""
        write_atomically(self.file, json.dumps(self.settings, indent=2) + "\n")
