"""Checks that docs/contracts/NAME.md tells the Effects and Requirements of each method that changes something; exit 1.

python toolchain/shows/methods.py restaking operators shards members restaker_rewards

A method's section is one whose heading names it. What lacks is printed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DECLARATION = re.compile(r"\n    function (\w+)\([^;]*?\)\s+external\b([^;]*);")


def methods(name: str) -> list[str]:
    """Return the methods of an interface that are no views."""
    interface = "I" + "".join(word.capitalize() for word in name.split("_"))
    source = (ROOT / "contracts" / "interfaces" / f"{interface}.sol").read_text(encoding="utf-8")
    return [found for found, rest in DECLARATION.findall(source) if "view" not in rest and "pure" not in rest]


def lacking(page: str, method: str) -> list[str]:
    """Return what a page doesn't tell of a method."""
    for section in page.split("\n## ")[1:]:
        heading = section.split("\n", 1)[0]
        if re.search(rf"\b{method}\b", heading):
            return [word for word in ("Effects", "Requirements") if f"*{word}:*" not in section]
    return ["section"]


def main() -> int:
    """Print what is missing; return the exit status."""
    missing = 0
    for name in sys.argv[1:]:
        page = (ROOT / "docs" / "contracts" / f"{name}.md").read_text(encoding="utf-8")
        found = methods(name)
        for method in found:
            lacks = lacking(page, method)
            missing += len(lacks)
            if lacks:
                print(f"docs/contracts/{name}.md, {method}: no {', no '.join(lacks)}")
        print(f"{name}: {len(found)} methods")
    return int(missing != 0)


if __name__ == "__main__":
    sys.exit(main())
