"""Whether a result of the benchmarks is what it should be, and which unmet targets were known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
KEYS = ("name", "value", "unit", "peer", "peer_value", "ratio", "path")
PATHS = ("ifma", "portable", "gpu", "-")
HEAD = "## Known to be unmet"


def known_unmet(page: str) -> set[tuple[str, str]]:
    """Return (name, path) of every line of the page's table of targets that are known to be unmet."""
    section = page.split(HEAD, 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {(cells[0].strip(" `"), cells[1].strip(" `")) for cells in rows}


def problems(rows: list[dict[str, Any]], known: set[tuple[str, str]]) -> list[str]:
    """Return what is wrong with a result: its form, then targets that are unmet and not known to be."""
    found = []
    for line in rows:
        name = f"{line.get('name')} ({line.get('path')})"
        missing = [key for key in KEYS if key not in line]
        if missing:
            found.append(f"{name} lacks {', '.join(missing)}")
            continue
        if line["path"] not in PATHS:
            found.append(f"{name}: there is no such path")
        for key in ("value", "peer_value", "ratio"):
            optional = key != "value"
            if not (optional and line[key] is None) and not _number(line[key]):
                found.append(f"{name}: {key} is no number")
        if line.get("met") is False and (line["name"], line["path"]) not in known:
            aim = line.get("target")
            found.append(f"{name}: {line['value'] if line['ratio'] is None else line['ratio']:.3g}, aimed at {aim:g}")
    names = [(line.get("name"), line.get("path")) for line in rows]
    found += [
        f"{name} ({path}) is there twice" for name, path in sorted({pair for pair in names if names.count(pair) > 1})
    ]
    return found


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def judge(result: Path) -> int:
    """Print what is wrong with a result; return the exit status."""
    rows = json.loads(result.read_text(encoding="utf-8"))
    known = known_unmet(PAGE.read_text(encoding="utf-8"))
    found = problems(rows, known)
    for line in rows:
        if line.get("met") is not None and (line["name"], line["path"]) in known:
            print(f"known to be unmet: {line['name']} ({line['path']})" + (", and met today" if line["met"] else ""))
    for problem in found:
        print(f"{result.name}: {problem}")
    if not found:
        aimed = sum(line.get("met") is not None for line in rows)
        print(f"{result.name}: {len(rows)} rows, {aimed} targets, none unmet that is not known to be")
    return int(bool(found))
