"""Holds what Slither found against toolchain/analysers/findings.toml.

python toolchain/analysers/slither.py FINDINGS.json

Exit 1 for a finding of medium impact or above that isn't explained there, and for an explanation of nothing.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import tomllib

EXPLAINED = Path(__file__).parent / "findings.toml"
#: What a description begins with: `Restaking._receive(address,uint256) (…) uses …`, `Reentrancy in Restaking._queue…`.
PLACE = re.compile(r"\b[A-Z]\w*\.\w+")


def place_of(description: str) -> str:
    """Return the contract and function that a finding names first."""
    found = PLACE.search(description)
    return found[0] if found else description.splitlines()[0]


def main() -> int:
    """Print what isn't explained, and what explains nothing; return the exit status."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not report["success"]:
        print(report["error"], file=sys.stderr)
        return 1
    entries = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["finding"]
    explained = {(entry["detector"], where) for entry in entries for where in entry["where"]}

    used: set[tuple[str, str]] = set()
    unexplained = 0
    findings = [item for item in report["results"].get("detectors", []) if item["impact"] in ("High", "Medium")]
    for item in findings:
        keys = {(item["check"], "*"), (item["check"], place_of(item["description"]))} & explained
        used |= keys
        if not keys:
            unexplained += 1
            print(f"unexplained, {item['impact'].lower()}: {item['check']}\n{item['description']}")
    for detector, where in sorted(explained - used):
        print(f"explained, but not found: {detector} in {where}")
    print(f"{len(findings)} findings of medium impact and above, {unexplained} of them unexplained")
    return int(unexplained != 0 or explained != used)


if __name__ == "__main__":
    sys.exit(main())
