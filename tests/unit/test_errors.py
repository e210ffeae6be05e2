"""The error tree: distinct exit codes, documented, fit for programs."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest

from qanat import errors
from qanat.errors import QanatError

ROOT = Path(__file__).resolve().parents[2]


def all_errors() -> list[type[QanatError]]:
    """Return every class of the tree."""
    found = [QanatError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in dict.fromkeys(found) if kind.__module__ == "qanat.errors"]


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_is_documented_with_its_exit_code(kind: type[QanatError]) -> None:
    """docs/errors.md has one row per error, with the same code."""
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert (str(kind.exit_code), kind.__name__) in rows


def test_the_page_names_no_error_that_does_not_exist() -> None:
    """docs/errors.md has no row without a class."""
    rows = re.findall(r"^\| \d+ \| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(kind.__name__ for kind in all_errors())


def test_exit_codes_are_distinct_and_in_the_area_of_the_parent() -> None:
    """No two errors share a code; a leaf's code lies in its parent's ten."""
    kinds = all_errors()
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    for kind in kinds:
        parent = kind.__mro__[1]
        if parent is not QanatError and issubclass(parent, QanatError):
            assert kind.exit_code // 10 == parent.exit_code // 10


def test_the_tree_at_the_top_is_the_real_one() -> None:
    """The drawn tree names every class with its code, and nothing else."""
    drawn = re.findall(r"(\w+) \((\d+)\)", (errors.__doc__ or "").split("::")[1])
    assert sorted(drawn) == sorted((kind.__name__, str(kind.exit_code)) for kind in all_errors())
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in all_errors())


def test_an_error_carries_data_to_json_and_through_pickle() -> None:
    """Data becomes plain JSON, and a copy from another process is the same error."""
    error = errors.TransactionReverted(
        "open() failed.", hint="Pay more.", error_name="TooLow", arguments={"got": 1, "id": b"\x01"}
    )
    shown = json.loads(json.dumps(error.to_json()))
    assert shown["exit_code"] == 34
    assert shown["data"]["arguments"] == {"got": 1, "id": "0x01"}
    assert str(error) == "open() failed. Pay more."
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.arguments) == (type(error), str(error), error.arguments)
