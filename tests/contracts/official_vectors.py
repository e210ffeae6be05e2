"""Official vectors, kept beside the checkout; tests that need them are skipped, saying so, where they are absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "vectors"

needs_vectors = pytest.mark.skipif(not FOLDER.is_dir(), reason="no ../shared/vectors beside this checkout")


def hash_to_curve(name: str) -> dict[str, Any]:
    """A file of RFC 9380's vectors; without the folder, one that holds none."""
    path = FOLDER / "hash_to_curve" / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def kzg_cases() -> list[tuple[str, dict[str, Any]]]:
    """The official `verify_kzg_proof` cases by name."""
    paths = sorted((FOLDER / "kzg").glob("*.yaml")) if FOLDER.is_dir() else []
    return [(path.stem.removeprefix("verify_kzg_proof_case_"), yaml.safe_load(path.read_text())) for path in paths]
