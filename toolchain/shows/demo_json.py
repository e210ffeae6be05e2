"""Checks that a `build/demo.json` holds what the demo promises; exit 1, naming what doesn't.

    python toolchain/shows/demo_json.py FILE [--file STORED]

The stored file's size and hash are taken from the file itself where it is given, so a report can't vouch for itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
LISTS = (
    *("operators", "down_during_fetch", "corrupted", "killed", "slashed"),
    *("key_holders", "dead_key_holders", "lying_key_holders"),
)
COUNTS = ("slices", "k", "w", "epochs", "key_threshold")


def integer(value: Any) -> bool:
    """Return whether a JSON value is an integer (JSON's `true` isn't)."""
    return isinstance(value, int) and not isinstance(value, bool)


def problems(report: dict[str, Any], stored: Path | None) -> list[str]:
    """Return what is wrong with a report, an empty list if nothing is."""
    found = shape_problems(report)
    if found:
        return found

    def need(good: bool, message: str) -> None:
        if not good:
            found.append(message)

    operators = report["operators"]
    for name in LISTS[1:]:
        need(set(report[name]) <= set(operators), f"{name} names somebody who is no operator")
    need(len(operators) >= 4, "fewer than 4 operators")
    need(report["restored_sha256"] == report["file"]["sha256"], "what was restored is not what was stored")
    need(len(report["down_during_fetch"]) == 2, "not two operators were down during the fetch")
    need((report["key_threshold"], len(report["key_holders"])) == (2, 3), "the key was not released by two of three")
    for name in ("dead_key_holders", "lying_key_holders"):
        need(len(report[name]) == 1, f"{name}: not one")
        need(set(report[name]) <= set(report["key_holders"]), f"{name} names somebody who is no holder")
    need(set(report["dead_key_holders"]) <= set(report["down_during_fetch"]), "the dead holder was not down")
    need(report["dead_key_holders"] != report["lying_key_holders"], "the dead holder is the liar")
    need(len(report["corrupted"]) == 1, "not one operator was corrupted")
    need(len(report["killed"]) == 1, "not one operator was killed")
    need(not set(report["corrupted"]) & set(report["killed"]), "the corrupted operator is the killed one")
    expected = sorted(report["corrupted"] + report["killed"])
    need(sorted(report["slashed"]) == expected, f"slashed {report['slashed']}, expected {expected}")
    need(bool(report["unaccounted"]), "no token was accounted for")
    need(all(value == 0 for value in report["unaccounted"].values()), f"unaccounted: {report['unaccounted']}")
    need(any(value > 0 for value in report["paid"].values()), "nobody was paid")
    need(report["epochs"] >= 3, "fewer than three epochs")
    need(report["audit"]["certificates"] >= 1, "the auditor saw no certificate")
    need(report["audit"]["responses"] >= 1, "the auditor saw no response")
    need(report["audit"]["faults"] >= len(expected), f"the auditor saw {report['audit']['faults']} faults")
    need(report["stranger_refused"] is True, "the stranger was not refused")
    if stored is not None:
        digest = hashlib.sha256()
        with stored.open("rb") as content:
            while chunk := content.read(1 << 20):
                digest.update(chunk)
        need(report["file"]["bytes"] == stored.stat().st_size, "another size than the file's")
        need(report["file"]["sha256"] == digest.hexdigest(), "another hash than the file's")
    else:
        need(report["file"]["bytes"] >= 1_000_000, "the default file is smaller than 1 MB")
    return found


def shape_problems(report: dict[str, Any]) -> list[str]:
    """Return which keys are missing or of another type."""
    keys = {"file", "restored_sha256", "seconds", "paid", "unaccounted", "audit", "stranger_refused", *LISTS, *COUNTS}
    missing = sorted(keys - set(report))
    if missing:
        return [f"{name} is missing" for name in missing]
    found = [f"{name} is no count" for name in COUNTS if not integer(report[name]) or report[name] < 1]
    for name in LISTS:
        listed = report[name]
        if not isinstance(listed, list) or not all(isinstance(one, str) and ADDRESS.fullmatch(one) for one in listed):
            found.append(f"{name} is no list of addresses")
        elif len(set(listed)) != len(listed):
            found.append(f"{name} names somebody twice")
    for name in ("paid", "unaccounted"):
        amounts = report[name]
        if not isinstance(amounts, dict) or not all(ADDRESS.fullmatch(k) and integer(v) for k, v in amounts.items()):
            found.append(f"{name} is no table from token to integer")
    for name, inner in (("file", ("bytes",)), ("audit", ("certificates", "responses", "faults"))):
        table = report[name]
        if not isinstance(table, dict) or not all(integer(table.get(key)) for key in inner):
            found.append(f"{name} lacks integers {', '.join(inner)}")
    return found


def main() -> int:
    """Print what is wrong; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--file", type=Path, help="the file that was stored")
    arguments = parser.parse_args()
    found = problems(json.loads(arguments.report.read_text(encoding="utf-8")), arguments.file)
    for problem in found:
        print(f"{arguments.report}: {problem}", file=sys.stderr)
    if not found:
        print(f"{arguments.report}: all holds")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
