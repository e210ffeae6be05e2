"""Invariants as the contracts' opening comments number them: each of restaking's is cited by a test."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

_STATED = re.compile(r"^/// - (I-[A-Z]+\d+) ", re.MULTILINE)
_CITED = re.compile(r"\bI-[A-Z]+\d+\b")
_RANGE = re.compile(r"\bI-[A-Z]+\d+ … I-[A-Z]+\d+\b")
CONTRACTS = ("restaking/*.sol", "Directory.sol", "rewards/RestakerRewards.sol")


def stated(root: Path, patterns: tuple[str, ...]) -> list[str]:
    """Return the ids in contracts' opening comments; one that two contracts state is there twice."""
    paths = [path for pattern in patterns for path in sorted((root / "contracts").glob(pattern))]
    return [name for path in paths for name in _STATED.findall(path.read_text(encoding="utf-8"))]


def cited(root: Path) -> set[str]:
    """Return the ids that tests name one by one, not as ends of a range."""
    paths = [path for kind in ("py", "sol") for path in (root / "tests").rglob(f"*.{kind}")]
    return {name for path in paths for name in _CITED.findall(_RANGE.sub("", path.read_text(encoding="utf-8")))}


@pytest.mark.parametrize(("prefix", "last"), [("I-R", 9), ("I-S", 9), ("I-N", 5), ("I-D", 3)])
def test_they_are_numbered_without_gaps(checkout: Path, prefix: str, last: int):
    """What a comment leaves out would be missed here."""
    found = {name for name in stated(checkout, CONTRACTS) if name.startswith(prefix)}
    assert found == {f"{prefix}{number}" for number in range(1, last + 1)}


def test_a_test_cites_each(checkout: Path):
    """In a comment where it is checked, or in a docstring."""
    assert set(stated(checkout, CONTRACTS)) - cited(checkout) == set()


def test_money_s_are_formulas_each_cited(checkout: Path):
    """I-M1 to I-M32, as formulas in the opening comments of who keeps them, in docs/invariants.md, and in tests."""
    found = {name for name in stated(checkout, ("**/*.sol",)) if name.startswith("I-M")}
    assert found == {f"I-M{number}" for number in range(1, 33)}
    page = set(_CITED.findall((checkout / "docs" / "invariants.md").read_text(encoding="utf-8")))
    assert found - page == found - cited(checkout) == set()


def test_each_id_is_of_one_contract(checkout: Path):
    """I-D1 alone is stated twice: Directory and Shards keep it together."""
    counts = Counter(stated(checkout, ("**/*.sol",)))
    assert {name: count for name, count in counts.items() if count > 1} == {"I-D1": 2}


def test_what_tests_cite_is_stated_somewhere(checkout: Path):
    """In a contract, or (money's, I-M…) in docs/invariants.md."""
    page = _CITED.findall((checkout / "docs" / "invariants.md").read_text(encoding="utf-8"))
    assert cited(checkout) - set(stated(checkout, ("**/*.sol",))) - set(page) == set()
