"""Judges the gas figures of some contracts by their targets; exit 1, naming what is wrong.

python toolchain/shows/gas_targets.py restaking operators shards

Figures: tests/gas.json; targets: tests/gas_targets.json; targets that are known to be unmet: a table of docs/gas.md.
Wrong are a target that is missed and not in the table, one that is there and met, one without a figure, and a line of
the table whose figure or target is another one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = "## Known to be unmet"
#: As for tests/gas.json: addresses and signatures differ by some zero bytes.
TOLERANCE = 0.02


def known_unmet(page: str) -> dict[str, tuple[int, int]]:
    """Return name → (figure, target) of every line of the page's table of targets that are known to be unmet."""
    section = page.split(HEAD, 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): (int(cells[1].replace(",", "")), int(cells[2].replace(",", ""))) for cells in rows}


def problems(figures: dict[str, int], targets: dict[str, int], known: dict[str, tuple[int, int]]) -> list[str]:
    """Return what is wrong with figures, given their targets and which are known to be unmet."""
    found = [f"{name} is known to be unmet, and has no target" for name in known if name not in targets]
    for name, target in targets.items():
        gas = figures.get(name)
        if gas is None:
            found.append(f"{name} has a target and no figure")
        elif gas > target and name not in known:
            found.append(f"{name}: {gas:,}, aimed at {target:,}")
        elif gas <= target and name in known:
            found.append(f"{name}: {gas:,} meets {target:,}, and is still known to be unmet")
        elif name in known:
            said, aim = known[name]
            if aim != target:
                found.append(f"{name}: the page says target {aim:,}, not {target:,}")
            if abs(said - gas) > gas * TOLERANCE:
                found.append(f"{name}: the page says {said:,}, not {gas:,}")
    return found


def main() -> int:
    """Print figures and targets of the contracts named; return the exit status."""
    contracts = sys.argv[1:]

    def ours(name: str) -> bool:
        return name.split(".", 1)[0] in contracts

    figures = json.loads((ROOT / "tests" / "gas.json").read_text(encoding="utf-8"))
    every = json.loads((ROOT / "tests" / "gas_targets.json").read_text(encoding="utf-8"))
    targets = {name: target for name, target in every.items() if ours(name)}
    page = known_unmet((ROOT / "docs" / "gas.md").read_text(encoding="utf-8"))
    known = {name: said for name, said in page.items() if ours(name)}
    if not targets:
        print(f"no targets of {', '.join(contracts) or 'no contract'}")
        return 1

    for name, target in targets.items():
        gas = figures.get(name)
        state = (
            "no figure"
            if gas is None
            else "met"
            if gas <= target
            else "known to be unmet"
            if name in known
            else "NOT MET"
        )
        print(f"{name:<24} {'' if gas is None else format(gas, ','):>10} of {target:>8,}  {state}")
    found = problems(figures, targets, known)
    for problem in found:
        print(problem)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
