"""Shows the size of every contract that is deployed, and fails if one is over EIP-170's limit (`make compile`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build" / "__local__.json"
LIMIT = 24_576  # bytes of runtime code, EIP-170
LIBRARY_STUB = 200  # an internal library compiles to a stub smaller than this, and is never deployed


def sizes() -> dict[str, int]:
    """Return name → bytes of runtime code of every contract outside `contracts/mocks`."""
    found = {}
    for name, contract in json.loads(BUILD.read_text(encoding="utf-8"))["contractTypes"].items():
        source = contract.get("sourceId", "")
        code = (contract.get("runtimeBytecode") or {}).get("bytecode") or "0x"
        size = len(code.removeprefix("0x")) // 2
        if not source.startswith("contracts/mocks/") and size > LIBRARY_STUB and (ROOT / source).is_file():
            found[name] = size
    return found


def main() -> int:
    """Print the table; return 1 if a contract is too large."""
    found = sizes()
    for name, size in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{name:<24} {size:>6,} of {LIMIT:,} bytes{'  TOO LARGE' if size > LIMIT else ''}")
    return int(any(size > LIMIT for size in found.values()))


if __name__ == "__main__":
    sys.exit(main())
