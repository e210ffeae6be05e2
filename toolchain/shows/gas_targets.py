"""Compares gas figures with what "stake that is at risk" asks for; exit 1, naming those above.

python toolchain/shows/gas_targets.py tests/gas.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

#: Most gas of a warm transaction.
TARGETS = {
    "restaking.deposit": 95_000,
    "restaking.delegate": 95_000,
    "operators.register": 265_000,
    "restaking.slash": 120_000,
    "restaking.claim": 65_000,
}


def snapshot_target(operators: int, changed: int) -> int:
    """Return the most that a snapshot may cost."""
    return 60_000 + 1_500 * operators + 12_000 * changed


def main() -> int:
    """Print figures and targets; return the exit status."""
    figures = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # in the measured snapshots one operator's stake changed
    targets = TARGETS | {f"shards.snapshot_{count}": snapshot_target(count, 1) for count in (10, 64)}
    above = 0
    for name, target in targets.items():
        gas = figures.get(name)
        met = gas is not None and gas <= target
        above += not met
        print(f"{name:<24} {gas if gas is not None else 'missing':>10} of {target:>8}  {'met' if met else 'NOT MET'}")
    return int(above != 0)


if __name__ == "__main__":
    sys.exit(main())
