"""A roster's list as it was followed: where it doesn't hold what a draw hit, nothing is named, and it is read anew."""

from __future__ import annotations

from typing import Any

import pytest

from qanat.chain.draws import ListedObject
from qanat.chain.snapshots import _Bucket, _Entry, _Objects
from qanat.errors import BadParameters, ChainError

ROWS = 30


class Reader:
    """Tells of each entry what the chain would; counts how often it was made to forget."""

    def __init__(self, spans: dict[bytes, tuple[int, int]]) -> None:
        self.spans, self.forgotten = spans, 0

    def forget(self, _roster: Any) -> None:
        self.forgotten += 1

    def listed(self, _roster: Any, entry: _Entry, index: int, _epoch: int) -> ListedObject:
        start, end = self.spans[entry.object_id]
        return ListedObject(index, entry.object_id, start, end, 9, 4, 1, bytes(32), bytes(32))


def bucket(followed: list[tuple[bytes, int]], spans: dict[bytes, tuple[int, int]]) -> tuple[_Bucket, Reader]:
    reader = Reader(spans)
    entries = [_Entry(name, 0, start) for name, start in followed]
    return _Bucket(ROWS, _Objects(reader, None, entries, 5)), reader  # type: ignore[arg-type]


def test_the_object_that_holds_a_position_is_found() -> None:
    """First and last position of each, and none is forgotten."""
    found, reader = bucket([(b"a", 0), (b"b", 10)], {b"a": (0, 10), b"b": (10, 30)})
    assert [found.at(offset).object_id for offset in (0, 9, 10, 29)] == [b"a", b"a", b"b", b"b"]
    assert reader.forgotten == 0


@pytest.mark.parametrize(
    ("followed", "offset"),
    [
        ([(b"b", 10)], 3),  # the first one's event is lacking
        ([], 0),  # all are
        ([(b"a", 0)], 12),  # a later one's is
        ([(b"a", 0), (b"b", 5)], 7),  # what is listed there lies elsewhere by now
    ],
)
def test_what_the_logs_lack_is_said_and_read_anew(followed: list[tuple[bytes, int]], offset: int) -> None:
    """A ChainError, which holds up no other epoch; the next try asks for all events again."""
    found, reader = bucket(followed, {b"a": (0, 10), b"b": (10, 30)})
    with pytest.raises(ChainError, match="do not tell"):
        found.at(offset)
    assert reader.forgotten == 1


@pytest.mark.parametrize("offset", [-1, ROWS])
def test_a_position_outside_is_a_mistake(offset: int) -> None:
    """The caller's, not the endpoint's."""
    found, reader = bucket([(b"a", 0)], {b"a": (0, 30)})
    with pytest.raises(BadParameters):
        found.at(offset)
    assert reader.forgotten == 0
