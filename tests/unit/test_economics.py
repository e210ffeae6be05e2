"""docs/economics.md: what every network file's defaults must keep, and that the page says it."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def made(checkout: Path) -> ModuleType:
    """The script that writes the page."""
    spec = importlib.util.spec_from_file_location("economics", checkout / "benchmarks" / "economics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def broken(made: ModuleType, ticket: Any, **changes: Any) -> list[str]:
    """Return the conditions that a shard's defaults, changed, do not keep."""
    plan = replace(ticket.plan, **changes)
    return [item.name for item in made.conditions(replace(ticket, plan=plan)) if not item.holds]


def test_the_defaults_of_every_network_are_incentive_compatible(made: ModuleType, checkout: Path) -> None:
    """At the prices that the page names as required."""
    tickets = made.tickets()
    assert len(tickets) >= len(list((checkout / "networks").glob("*.yaml"))) > 0
    assert {ticket.name: broken(made, ticket) for ticket in tickets} == {ticket.name: [] for ticket in tickets}


@pytest.mark.parametrize(
    ("name", "factor", "found"),
    [
        ("max_rows_per_ticket", 2, "a miss costs at least the price of the capacity behind its ticket"),
        ("bond_slash_per_ticket", 3, "the bond behind a ticket covers a miss"),
        ("stake_slash_per_ticket", 11, "the weight behind a ticket covers a miss"),
        ("reporter_fee", 1.5, "who reports itself loses at least what it gets"),
        ("reporter_fee", 0.2, "a report is paid at 1 gwei"),
        ("price_per_byte_epoch_wad", 0.2, "a full ticket's fee pays for its duty at 1 gwei"),
        ("stake_slash_per_ticket", 0, "dropping any fraction costs at least twice what it gains"),
    ],
)
def test_other_defaults_are_not(made: ModuleType, name: str, factor: float, found: str) -> None:
    """One default changed breaks the condition that is about it."""
    ticket = next(item for item in made.tickets() if item.name.startswith("sepolia"))
    assert found in broken(made, ticket, **{name: int(getattr(ticket.plan, name) * factor)})


def test_the_gas_is_what_was_measured(made: ModuleType, checkout: Path) -> None:
    """Within a tenth, so that a figure that moves little does not make the page stale."""
    figures = json.loads((checkout / "tests" / "gas.json").read_text(encoding="utf-8"))
    names = {"settle": "rewards.settle"}
    for name, gas in made.GAS.items():
        measured = figures[names.get(name, f"audits.{name}")]
        assert gas <= 1.2 * measured or name == "settle"
        assert gas >= 0.9 * measured


def test_the_page_is_what_the_script_writes(made: ModuleType, checkout: Path) -> None:
    assert (checkout / "docs" / "economics.md").read_text(encoding="utf-8") == made.page()
