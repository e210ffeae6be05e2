"""Checks that docs/contracts/NAME.md speaks of each method that changes something; exit 1, naming what lacks.

python toolchain/shows/methods.py restaking operators shards
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DECLARATION = re.compile(r"\n    function (\w+)\([^;]*?\)\s+external\b([^;]*);")


def methods(name: str) -> list[str]:
    """Return the methods of an interface that are no views."""
    source = (ROOT / "contracts" / "interfaces" / f"I{name.capitalize()}.sol").read_text(encoding="utf-8")
    return [found for found, rest in DECLARATION.findall(source) if "view" not in rest and "pure" not in rest]


def main() -> int:
    """Print what is missing; return the exit status."""
    missing = 0
    for name in sys.argv[1:]:
        text = (ROOT / "docs" / "contracts" / f"{name}.md").read_text(encoding="utf-8")
        for method in methods(name):
            if not re.search(rf"\b{method}\b[`(,\n]", text):
                print(f"docs/contracts/{name}.md doesn't speak of {method}")
                missing += 1
        for word in ("Effects", "Requirements"):
            if word not in text:
                print(f"docs/contracts/{name}.md has no {word}")
                missing += 1
        print(f"{name}: {len(methods(name))} methods")
    return int(missing != 0)


if __name__ == "__main__":
    sys.exit(main())
