"""docs/planner.md: its tables and its picture are what the planner computes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest


@pytest.fixture(scope="module")
def made(checkout: Path) -> ModuleType:
    """The script that writes them."""
    spec = importlib.util.spec_from_file_location("planner_picture", checkout / "benchmarks" / "planner_picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_planner_computes(made: ModuleType, checkout: Path) -> None:
    """Tables, the sentence on where three copies are outlasted, and the picture."""
    page = (checkout / "docs" / "planner.md").read_text(encoding="utf-8")
    assert made.filled(page) == page
    assert "| 6 | 1 | any 3 of 6 | 5 |" in page
    assert (checkout / "docs" / "planner.svg").read_text(encoding="utf-8") == made.picture()


def test_a_stale_page_is_found(made: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other networks give other tables and another picture, and `--check` says so until they are written."""
    for name in ("PAGE", "PICTURE"):
        copy = tmp_path / getattr(made, name).name
        copy.write_text(getattr(made, name).read_text(encoding="utf-8"), encoding="utf-8")
        monkeypatch.setattr(made, name, copy)
    assert made.main(["--check"]) == 0
    monkeypatch.setattr(made, "NETWORKS", (3, 6, 30, 300, 2000))
    assert made.main(["--check"]) == 1
    assert made.main([]) == 0
    assert made.main(["--check"]) == 0
    assert "2 × 1,000" in made.PAGE.read_text(encoding="utf-8")


def test_the_choices_are_those_of_the_planner(made: ModuleType) -> None:
    """The page's codes are what `plan` gives for such a roster."""
    from qanat.objects import plan

    for operators in made.NETWORKS:
        for choice in made.choices(operators):
            tickets = choice.network.tickets
            options = {"tolerate_down": 0, "tolerate_absent": choice.absent, "availability": 1.0}
            chosen = plan(1 << 40, tickets, [1] * tickets, **options)
            assert (chosen.k, chosen.n, chosen.signatures) == (choice.needed, tickets, choice.signatures)
            assert chosen.overhead == pytest.approx(choice.overhead, rel=1e-3)


def test_the_picture_is_well_formed(made: ModuleType) -> None:
    """XML that a browser reads, nothing drawn outside."""
    root = ET.fromstring(made.picture())
    assert root.tag.endswith("svg")
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.attrib["cx"]) < 800
        assert 0 < float(circle.attrib["cy"]) < 450
