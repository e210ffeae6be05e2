"""Which functions of a Forge handler did nothing."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
always_reverted = runpy.run_path(str(ROOT / "toolchain" / "analysers" / "fuzz_calls.py"))["always_reverted"]

PRINTED = """
[PASS] invariant_money() (runs: 64, calls: 12800, reverts: 1076)
╭--------------+------------------+-------+---------+----------╮
| Contract     | Selector         | Calls | Reverts | Discards |
+==============================================================+
| MoneyHandler | claimMany        | 616   | 616     | 0        |
|--------------+------------------+-------+---------+----------|
| MoneyHandler | collect          | 570   | 569     | 0        |
| MoneyHandler | open             | 40    | 40      | 0        |
╰--------------+------------------+-------+---------+----------╯
"""


def test_names_what_always_reverted_but_not_what_was_hardly_called() -> None:
    """One success in many calls is something; forty calls show nothing."""
    assert list(always_reverted(PRINTED.splitlines())) == [("MoneyHandler.claimMany", 616)]
    assert len(list(always_reverted(PRINTED.splitlines(), least=40))) == 2
