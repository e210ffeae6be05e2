"""Speed against other implementations in the same process, on fresh random inputs, into build/bench.json.

Single-thread figures are processor time of one thread, so that what else runs on the machine disturbs them less; both
sides of a ratio are measured in turn, repetition by repetition. What two threads gain is measured by the clock. A row:
``name, value, unit, peer, peer_value, ratio, path``, beside these ``quartiles`` (of the value), ``target`` (of the
ratio, or of the value where there is no peer) and ``met``. What the rows mean: docs/benchmarks.md.

    python benchmarks/run.py [NAME ...]     all, or the named ones
    python benchmarks/run.py --judge        exit 1 if a row of build/bench.json is unmet and not known to be
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from gpu_rows import gpu
from judge import judge
from kernel_rows import commit_4096, commit_threads, decode_worst, manifests, open_4096, parity, verify_intake
from key_rows import keys
from limit_rows import growth, limits
from measure import PATH, Row, setup, threads
from object_rows import encode_object, first_use, memory, wide
from rich.console import Console
from rich.table import Table

RESULT = Path(__file__).resolve().parent.parent / "build" / "bench.json"
console = Console(width=150)

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "commit_4096": commit_4096,
    "open_4096": open_4096,
    "commit_two_threads": commit_threads,
    "parity_256": lambda: parity("parity_256", 256, 768, 4096),
    "parity_1024": lambda: parity("parity_1024", 1024, 3072, 1024),
    "decode_worst": decode_worst,
    "verify_intake": verify_intake,
    "manifests": manifests,
    "encode_object": encode_object,
    "wide": wide,
    "first_use": first_use,
    "limits": limits,
    "growth": growth,
    "memory": memory,
    "keys": keys,
    "gpu": gpu,
}


def show(rows: list[Row]) -> None:
    """Print the rows as a table."""
    table = Table(title=f"Speed, path {PATH}: medians", title_justify="left")
    for name, justify in (("name", "left"), ("value", "right"), ("quartiles", "right"), ("peer", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("peer's value", "ratio", "target", ""):
        table.add_column(name, justify="right")
    for line in rows:
        verdict = "" if line.met is None else ("[green]met[/]" if line.met else "[red]UNMET[/]")
        table.add_row(
            line.name,
            f"{line.value:.3g} {line.unit}",
            f"{line.quartiles[0]:.3g}–{line.quartiles[1]:.3g}",
            line.peer,
            "" if line.peer_value is None else f"{line.peer_value:.3g} {line.unit}",
            "" if line.ratio is None else f"{line.ratio:.2f}",
            "" if line.target is None else f"{line.target:g}",
            verdict,
        )
    console.print(table)


def main(names: list[str]) -> int:
    """Run, print, write; unmet targets are shown as unmet."""
    if names == ["--judge"]:
        return judge(RESULT)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        console.print(f"Unknown: {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
        return 2
    RESULT.parent.mkdir(exist_ok=True)
    with console.status("ckzg's set-up"):
        setup()
    before = os.getloadavg()[0]
    rows: list[Row] = []
    with threads("1"):
        for name in names or list(BENCHMARKS):
            with console.status(name):
                rows += BENCHMARKS[name]()
    show(rows)
    if max(before, os.getloadavg()[0]) > (os.cpu_count() or 1) + 0.5:
        console.print(
            "[yellow]Other work kept the processors busy: what is measured by the clock (two threads) is too low.[/]"
        )
    unmet = [line.name for line in rows if line.met is False]
    aimed = sum(line.met is not None for line in rows)
    console.print(f"{aimed - len(unmet)} of {aimed} targets met" + (f"; not: {', '.join(unmet)}." if unmet else "."))
    if not names:
        RESULT.write_text(json.dumps([asdict(line) for line in rows], indent=1) + "\n", encoding="utf-8")
        console.print(f"Written: {RESULT.relative_to(Path.cwd()) if RESULT.is_relative_to(Path.cwd()) else RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
