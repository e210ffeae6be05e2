"""The tests' chain in memory and nodes over it, for what is measured without a chain."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["node_doubles"]


def _loaded() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / "tests" / "unit" / "node_doubles.py"
    spec = importlib.util.spec_from_file_location("node_doubles", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


#: tests/unit/node_doubles.py; by its path, since other distributions bring packages named `tests`, too
node_doubles = _loaded()
