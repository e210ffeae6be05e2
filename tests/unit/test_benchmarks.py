"""What judges a result of the benchmarks: form, uniqueness, targets unmet and not known to be."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def judge(checkout: Path) -> ModuleType:
    """The module benchmarks/judge.py."""
    spec = importlib.util.spec_from_file_location("judge_of_benchmarks", checkout / "benchmarks" / "judge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make_row(**overrides: Any) -> dict[str, Any]:
    """A line with a met target."""
    line = {"name": "a", "value": 1.5, "unit": "ms", "peer": "p", "peer_value": 3, "ratio": 2.0, "path": "portable"}
    return {**line, "target": 1.8, "met": True, **overrides}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"value": None}, "value is no number"),
        ({"value": float("nan")}, "value is no number"),
        ({"ratio": "2"}, "ratio is no number"),
        ({"peer_value": True}, "peer_value is no number"),
        ({"path": "fast"}, "no such path"),
        ({"met": False, "ratio": 1.2}, "aimed at 1.8"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(judge: ModuleType, overrides: dict[str, Any], said: str) -> None:
    """Its form, or its target."""
    assert judge.problems([make_row()], set()) == []
    (found,) = judge.problems([make_row(**overrides)], set())
    assert said in found


def test_rows_are_unique_and_whole(judge: ModuleType) -> None:
    """One name may be there once for each path."""
    assert judge.problems([make_row(), make_row(path="ifma")], set()) == []
    assert judge.problems([make_row(), make_row()], set()) == ["a (portable) is there twice"]
    short = make_row()
    del short["peer"]
    assert judge.problems([short], set()) == ["a (portable) lacks peer"]


def test_known_targets_may_be_unmet_on_their_path_alone(
    judge: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the page says; a page that lists none knows none."""
    page = tmp_path / "page.md"
    page.write_text(
        f"x\n{judge.HEAD}\n\n| name | path | why |\n|---|---|---|\n| `a` | portable | slow |\n\n## B\n| `b` | ifma |\n"
    )
    assert judge.known_unmet(page.read_text()) == {("a", "portable")}
    monkeypatch.setattr(judge, "PAGE", page)
    result = tmp_path / "bench.json"
    result.write_text(json.dumps([make_row(met=False)]))
    assert judge.judge(result) == 0
    assert "known to be unmet: a (portable)" in capsys.readouterr().out
    result.write_text(json.dumps([make_row(met=False, path="ifma")]))
    assert judge.judge(result) == 1
    assert "a (ifma): 2, aimed at 1.8" in capsys.readouterr().out


def test_the_page_is_read(judge: ModuleType, checkout: Path) -> None:
    """Every line of its table of unmet targets names a row that has one, on a path that there is."""
    page = (checkout / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    sources = (checkout / "benchmarks" / "measure.py").read_text(encoding="utf-8")
    for name, path in judge.known_unmet(page):
        assert f'"{name}": {{' in sources
        assert path in judge.PATHS
