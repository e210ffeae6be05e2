"""Reads what the Forge tests reached; exit 1, naming what of contracts/restaking and its libraries they didn't.

python toolchain/analysers/coverage.py build/coverage.lcov
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = "contracts/restaking/"
#: The libraries that restaking alone stands on. Those that it shares are covered by tests/contracts, too.
NAMES = ("MissTerms", "RewardBooks", "StakePools", "TicketMath")
LIBRARIES = tuple(f"contracts/libraries/{name}.sol" for name in NAMES)
EXPECTED = {FOLDER + f"{name}.sol" for name in ("Members", "Operators", "Restaking", "ShardRules", "Shards")}
MISSED = ("0", "-")


def main() -> int:
    """Print figures per file and what was missed; return the exit status."""
    figures: dict[str, list[int]] = {}
    missed: list[str] = []
    source = ""
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            source = rest
            if not source.startswith((FOLDER, *LIBRARIES)):
                source = ""
        elif source and kind in ("DA", "BRDA"):
            number, *_, hits = rest.split(",")
            reached, total = (0, 1) if kind == "DA" else (2, 3)
            figure = figures.setdefault(source, [0, 0, 0, 0])
            figure[total] += 1
            figure[reached] += hits not in MISSED
            if hits in MISSED:
                missed.append(f"{source}:{number}: a {'line' if kind == 'DA' else 'branch'} that no test reaches")

    for name, (lines, all_lines, branches, all_branches) in sorted(figures.items()):
        print(f"{name:<42} lines {lines:>3} of {all_lines:>3}   branches {branches:>2} of {all_branches:>2}")
    absent = (EXPECTED | set(LIBRARIES)) - figures.keys()
    print(
        "\n".join(missed + [f"{name}: not measured" for name in sorted(absent)]), end="\n" if missed or absent else ""
    )
    return int(bool(missed or absent))


if __name__ == "__main__":
    sys.exit(main())
