"""What the contracts compile to: ABI and creation code by name, read from Ape's build output.

Only a deployment needs creation code; all else gets along with the committed ABIs (:mod:`qanat.chain.abis`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qanat.chain.abis import BUILD_FILE
from qanat.errors import BadParameters, FileUnreadable

__all__ = ["Artifact", "load_artifacts"]


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: list[dict[str, Any]]
    #: Creation code, to which the encoded constructor arguments are appended.
    bytecode: bytes


def load_artifacts(path: str | Path | None = None, *, names: Iterable[str] | None = None) -> dict[str, Artifact]:
    """Return the compiled contracts by name.

    Args:
        path: Ape's build output; that of this checkout if not given.
        names: contracts that must be there; all that have creation code if not given.

    Raises:
        FileUnreadable: there is no build output, or it is none.
        BadParameters: a contract of ``names`` is not in it, has no code, or has to be linked first.
    """
    source = Path(path) if path is not None else BUILD_FILE
    try:
        types = json.loads(source.read_text())["contractTypes"]
    except FileNotFoundError:
        raise FileUnreadable(
            f"The contracts are not compiled: {source} is missing.",
            hint="Run `make compile` in a checkout.",
            path=str(source),
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileUnreadable(f"{source} is no build output of Ape: {error!r}.", path=str(source)) from error

    if names is None:
        return {name: _artifact(name, item) for name, item in types.items() if _code_of(item)}
    return {name: _artifact(name, types.get(name)) for name in names}


def _code_of(item: Mapping[str, Any]) -> str:
    return str((item.get("deploymentBytecode") or {}).get("bytecode") or "").removeprefix("0x")


def _artifact(name: str, item: Mapping[str, Any] | None) -> Artifact:
    code = _code_of(item) if item is not None else ""
    if item is None or not code:
        raise BadParameters(
            f"The build output holds no code of {name}.", hint="Run `make compile` in a checkout.", name=name
        )
    try:
        bytecode = bytes.fromhex(code)
    except ValueError:
        raise BadParameters(f"{name} must be linked with a library before it can be deployed.", name=name) from None
    return Artifact(name, list(item["abi"]), bytecode)
