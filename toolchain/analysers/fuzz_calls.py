"""Pass on what ``forge test`` prints, and fail if a function of a handler always reverted.

An invariant under random calls shows nothing where the calls do nothing: ``fail_on_revert`` is off, since most calls
that a handler makes up can't be done, so a handler that may no longer do something at all would go unnoticed.

    forge test ... | python toolchain/analysers/fuzz_calls.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

#: Fewer calls than this say nothing: the rarest of what handlers do succeeds once in some hundred calls.
LEAST_CALLS = 400

_ROW = re.compile(r"^\|\s*(\w+)\s*\|\s*(\w+)\s*\|\s*(\d+)\s*\|\s*(\d+)\s*\|\s*\d+\s*\|$")


def always_reverted(lines: Iterable[str], least: int = LEAST_CALLS) -> Iterator[tuple[str, int]]:
    """Yield each function, as Contract.function, that reverted at every one of its calls, and how many these were."""
    for line in lines:
        row = _ROW.match(line.strip())
        if row and int(row[3]) >= least and row[3] == row[4]:
            yield f"{row[1]}.{row[2]}", int(row[3])


def main() -> int:
    """Copy standard input to standard output, and judge it."""
    lines = []
    for line in sys.stdin:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line)
    idle = list(always_reverted(lines))
    for name, calls in idle:
        print(f"{name} did nothing in {calls} calls: its invariants are not tested by it", file=sys.stderr)
    return 1 if idle else 0


if __name__ == "__main__":
    sys.exit(main())
