"""Writes the ABIs of the compiled contracts into the Python package, one file per contract (`make abi`).

    python toolchain/export_abi.py           # write offchain/qanat/chain/abi/<Contract>.json, remove stale ones
    python toolchain/export_abi.py --check   # exit 1, naming the files, if committed ones aren't what contracts say

Reads what `ape compile` built, so compile first (the make targets do). Files are stable: entries sorted by kind, name
and types, one a line, so that a change of an interface shows as a change of that line. Test doubles are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "offchain" / "qanat" / "chain" / "abi"
BUILD = ROOT / ".build" / "__local__.json"
# Doubles are for tests; this one is what test networks are given as collateral and money.
DEPLOYED_DOUBLES = {"FaucetToken"}


def read_build(path: Path = BUILD) -> dict[str, list[dict[str, Any]]]:
    """Return name → ABI of every compiled contract and interface that isn't a test double."""
    if not path.is_file():
        sys.exit(f"{path.relative_to(ROOT)} is missing: run `make compile` first")
    compiled = json.loads(path.read_text(encoding="utf-8")).get("contractTypes", {})
    chosen = {}
    for name, contract in compiled.items():
        source = contract.get("sourceId", "")
        if not (ROOT / source).is_file():
            continue  # Ape keeps what was deleted since
        if source.startswith("contracts/mocks/") and name not in DEPLOYED_DOUBLES:
            continue
        if contract.get("abi"):
            chosen[name] = contract["abi"]
    return chosen


def canonical_type(item: dict[str, Any]) -> str:
    """Return the ABI type of an input with structs written out, as in a signature."""
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(canonical_type(part) for part in item['components'])}){kind.removeprefix('tuple')}"


def order(entry: dict[str, Any]) -> tuple[str, str, str]:
    """Return the sort key of an ABI entry: kind, name, types."""
    return entry["type"], entry.get("name", ""), ",".join(canonical_type(item) for item in entry.get("inputs", []))


def render(abi: list[dict[str, Any]]) -> str:
    """Return a file's text: a JSON list, one sorted entry a line."""
    lines = [json.dumps(entry, sort_keys=True, separators=(",", ":")) for entry in sorted(abi, key=order)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> int:
    """Write or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a committed file is stale")
    check = parser.parse_args().check
    wanted = {FOLDER / f"{name}.json": render(abi) for name, abi in read_build().items()}
    stale = sorted(path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text)
    gone = sorted(set(FOLDER.glob("*.json")) - set(wanted))
    if check:
        for path in stale + gone:
            print(f"stale: {path.relative_to(ROOT)}")
        if stale or gone:
            print("The contracts have changed: run `make abi` and commit what it writes.")
            return 1
        print(f"{len(wanted)} ABIs are what the contracts say")
        return 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    for path in gone:
        path.unlink()
    print(f"{len(wanted)} ABIs: {len(stale)} written, {len(gone)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
