"""What judges gas figures by their targets: missed ones must be listed, met ones must not."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

TARGETS = {"a.b": 100}


@pytest.fixture(scope="module")
def judge(checkout: Path) -> ModuleType:
    """The module toolchain/shows/gas_targets.py."""
    spec = importlib.util.spec_from_file_location("gas_targets", checkout / "toolchain" / "shows" / "gas_targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("figures", "known", "said"),
    [
        ({"a.b": 100}, {}, []),
        ({"a.b": 101}, {}, ["a.b: 101, aimed at 100"]),
        ({"a.b": 101}, {"a.b": (101, 100)}, []),
        ({"a.b": 100}, {"a.b": (101, 100)}, ["a.b: 100 meets 100, and is still known to be unmet"]),
        ({}, {}, ["a.b has a target and no figure"]),
        ({"a.b": 200}, {"a.b": (190, 100)}, ["a.b: the page says 190, not 200"]),
        ({"a.b": 200}, {"a.b": (200, 90)}, ["a.b: the page says target 90, not 100"]),
        ({"a.b": 100}, {"a.c": (2, 1)}, ["a.c is known to be unmet, and has no target"]),
    ],
)
def test_what_is_wrong_with_figures_is_told(
    judge: ModuleType, figures: dict[str, int], known: dict[str, tuple[int, int]], said: list[str]
) -> None:
    """A target missed, met though listed, without a figure, or listed with another one is named."""
    assert judge.problems(figures, TARGETS, known) == said


def test_the_page_is_read(judge: ModuleType, checkout: Path) -> None:
    """Every line of the page's table names a target that there is."""
    known = judge.known_unmet((checkout / "docs" / "gas.md").read_text())
    targets = json.loads((checkout / "tests" / "gas_targets.json").read_text())
    assert known
    assert set(known) <= set(targets)
    assert judge.known_unmet(
        f"x\n{judge.HEAD}\n| name |\n| `a.b` | 1,200 | 1,000 | y |\n\n## B\n| `c.d` | 1 | 2 | z |"
    ) == {"a.b": (1200, 1000)}


def test_what_the_repository_says_is_right(
    judge: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The committed figures of the contracts of restaking meet their targets, or the page says which don't."""
    monkeypatch.setattr("sys.argv", ["gas_targets", "restaking", "operators", "shards"])
    assert judge.main() == 0, capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["gas_targets"])
    assert judge.main() == 1
