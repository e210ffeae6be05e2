"""Slither's checks of standards (what `slither-check-erc` does), on one build; erc.sh runs it.

Every function, return type, event, index and emission that a standard names must be there. Exit 1 if one isn't.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict

from slither import Slither
from slither.tools.erc_conformance.erc.ercs import generic_erc_checks
from slither.utils.erc import ERCS

#: Contract → standards that it has.
CHECKED = {
    "Assets": ("ERC165", "ERC721"),
    "FaucetToken": ("ERC20", "ERC2612"),
    "Licenses": ("ERC165", "ERC721"),
}


class Lines(logging.Handler):
    """Keeps what Slither says: a line for each thing that it looked for, with a tick if it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())


def main() -> int:
    """Check them all and print how many of each stand."""
    said = Lines()
    logger = logging.getLogger("Slither-conformance")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(said)
    slither = Slither(".", foundry_out_directory="build/forge/erc/out")
    wrong = 0
    for name, standards in CHECKED.items():
        (contract,) = slither.get_contract_from_name(name)
        for standard in standards:
            said.lines.clear()
            functions, events = ERCS[standard]
            generic_erc_checks(contract, functions, events, defaultdict(list))
            missing = [line for line in said.lines if "[ ]" in line]
            there = sum("[✓]" in line for line in said.lines)
            print(f"{name} {standard}: {there} as the standard says, {len(missing)} not")
            print("\n".join(missing), end="\n" if missing else "")
            wrong += bool(missing) or not there
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
