"""Which store a node keeps its slices in: the field ``store`` of ``node.json``.

::

    {"kind": "lmdb"}                                                   the default
    {"kind": "fsspec", "url": "s3://bucket/node1", "options": {…}}
    {"kind": "tiered", "hotBytes": 50000000000, "cold": {"kind": "fsspec", "url": "s3://bucket/node1"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qanat.errors import BadParameters
from qanat.store.lmdb_store import LmdbStore
from qanat.store.protocol import SliceStore

__all__ = ["check_settings", "open_store"]

_FIELDS: dict[str, dict[str, type]] = {
    "lmdb": {},
    "fsspec": {"url": str, "options": dict},
    "tiered": {"hotBytes": int, "cold": dict},
}
_OPTIONAL = {"options"}


def check_settings(settings: Mapping[str, Any], where: str = "store") -> None:
    """Raise :class:`BadParameters`, naming the field, unless the settings say which store."""
    kind = settings.get("kind")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise BadParameters(f"{where}.kind is one of {', '.join(_FIELDS)}, not {kind!r}.", field=f"{where}.kind")
    fields = _FIELDS[kind]
    for name in settings:
        if name not in fields and name != "kind":
            raise BadParameters(f"{where} has an unknown field {name!r}.", hint="Is it misspelt?", field=name)
    for name, wanted in fields.items():
        value = settings.get(name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, wanted) or isinstance(value, bool) or value in (0, ""):
            raise BadParameters(f"{where}.{name} is missing or has the wrong type: {value!r}.", field=f"{where}.{name}")
    if kind == "tiered":
        if settings["hotBytes"] < 0:
            raise BadParameters(f"{where}.hotBytes must be above zero.", field=f"{where}.hotBytes")
        if settings["cold"].get("kind") != "fsspec":
            raise BadParameters(f"{where}.cold must be of kind fsspec.", field=f"{where}.cold")
        check_settings(settings["cold"], f"{where}.cold")


def open_store(settings: Mapping[str, Any], folder: Path) -> SliceStore:
    """Open the store that the settings name. ``folder``: of LMDB, where they need one.

    Raises :class:`BadParameters`, :class:`StoreError`.
    """
    check_settings(settings)
    if settings["kind"] == "lmdb":
        return LmdbStore(folder)
    # what speaks to file systems is imported where one is used
    from qanat.store.fsspec_store import FsspecStore

    if settings["kind"] == "fsspec":
        return FsspecStore(settings["url"], options=settings.get("options"))
    from qanat.store.tiered import TieredStore

    hot = LmdbStore(folder)
    try:
        cold = open_store(settings["cold"], folder)
        try:
            return TieredStore(hot, cold, hot_bytes=settings["hotBytes"])
        except BaseException:
            cold.close()
            raise
    except BaseException:
        hot.close()
        raise
