"""Programs that a chaos test runs beside it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str | Path, seconds: float = 900) -> subprocess.CompletedProcess[str]:
    """Run a program from the root of the checkout, the tests' modules importable, for so long at most."""
    return subprocess.run(
        [*map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
