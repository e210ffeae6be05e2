"""How soon loss is found: the simulation of docs/detection.md, shorter, and the page itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def made(checkout: Path) -> ModuleType:
    """The script that simulates and writes the page."""
    spec = importlib.util.spec_from_file_location("detection", checkout / "benchmarks" / "detection.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_one_lost_byte_of_a_drawn_slice_is_always_caught(made: ModuleType) -> None:
    """And who lost nothing never is."""
    holdings = made.make_holdings()
    assert made.simulate_one_byte(holdings, 8, 40, "byte") == 40
    assert made.simulate(holdings, 8, 10, "whole", made.scattered(0.0)) == 0


@pytest.mark.parametrize("name", ["scattered", "clustered"])
def test_lost_slices_are_caught_as_often_as_the_closed_form_says(made: ModuleType, name: str) -> None:
    """A right simulation fails here with probability 1e-6."""
    form = {"scattered": made.closed_form, "clustered": made.clustered_form}[name]
    caught = made.simulate(made.make_holdings(), 8, 120, f"test {name}", getattr(made, name)(0.05))
    assert made.Case(name, 8, 0.05, caught, 120, form(0.05, 8)).holds


def test_a_wrong_rate_is_called_wrong(made: ModuleType) -> None:
    """Five draws instead of eight: the bounds of the page's epochs do not overlap."""
    low, high = made.bounds(made.closed_form(0.05, 8), 1_000)
    assert low <= 1_000 * made.closed_form(0.05, 8) <= high
    assert not low <= 1_000 * made.closed_form(0.05, 5) <= high
    assert not made.Case("", 8, 0.05, 226, 1_000, made.closed_form(0.05, 8)).holds


@pytest.mark.parametrize("samples", [8, 16])
def test_a_clustered_loss_is_found_at_least_as_soon(made: ModuleType, samples: int) -> None:
    """Of what its slices are when rounded to whole ones."""
    total = made.OBJECTS * made.ROWS
    for fraction in made.FRACTIONS:
        rounded = round(fraction * total) / total
        assert made.clustered_form(fraction, samples) >= made.closed_form(rounded, samples) - 1e-12


def test_the_page_holds_the_closed_forms(made: ModuleType, checkout: Path) -> None:
    """The simulated part is checked by the script itself (`--check`)."""
    page = (checkout / "docs" / "detection.md").read_text(encoding="utf-8")
    assert page.startswith(made.INTRODUCTION + "\n" + made.comparison() + made.SIMULATION)
