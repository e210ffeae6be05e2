"""JSON from strangers."""

from __future__ import annotations

import json
import time

import py_ecc  # noqa: F401 (raises the recursion limit, which is what makes nesting dangerous)
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qanat import strict_json

DEEP = strict_json.MAX_DEPTH


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * (DEEP + 1) + "]" * (DEEP + 1)])
def test_nesting_is_refused_before_it_is_parsed(text: str) -> None:
    """A process that parsed the first two would end without a word."""
    with pytest.raises(ValueError, match="nested"):
        strict_json.parse(text)


def test_brackets_in_strings_are_no_nesting() -> None:
    """Escapes do not hide a string's end."""
    text = json.dumps(["[" * 1000, '\\"{' * 1000])
    assert strict_json.parse(text) == json.loads(text)
    assert strict_json.parse("[" * DEEP + "]" * DEEP)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_do_not_hide_nesting(encoding: str) -> None:
    """Ģ has the byte of a quote there: what follows looked like a string's inside, and ended the process."""
    deep = '["Ģ",' + "[" * 90_000 + "]" * 90_000 + ',"x"]'
    for text in (deep, '["x"]'):
        with pytest.raises(ValueError):
            strict_json.parse(text.encode(encoding))


def test_a_byte_order_mark_is_passed_over() -> None:
    """Some editors write one."""
    assert strict_json.parse('{"a": "é"}'.encode("utf-8-sig")) == {"a": "é"}


@pytest.mark.parametrize("end", [b"", b"\\", b"[" * 100])
def test_a_string_that_does_not_end_is_refused_at_once(end: bytes) -> None:
    """Sixteen kilobytes of it, as much as a node reads of a request, took three seconds: every quote was tried."""
    started = time.process_time()
    with pytest.raises(ValueError):
        strict_json.parse(b'"' + b'\\"' * 100_000 + end)
    assert time.process_time() - started < 1


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=20))
def test_all_else_is_as_usual(value: object) -> None:
    """What json writes is read back, from text and from bytes."""
    text = json.dumps(value)
    assert strict_json.parse(text) == strict_json.parse(text.encode()) == value


@pytest.mark.parametrize("text", ["1e400", "-1e400", "[Infinity]", '{"a": -Infinity}', "NaN"])
def test_numbers_are_finite(text: str) -> None:
    """Python's parser gives infinity for them, of which ``int`` makes an error of its own."""
    with pytest.raises(ValueError, match="no finite number"):
        strict_json.parse(text)
