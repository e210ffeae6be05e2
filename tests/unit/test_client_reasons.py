"""What nodes said is told once for each reason."""

from __future__ import annotations

import pytest

from qanat.cli.fetch import _fell_short
from qanat.client.download import SourceReport
from qanat.client.reasons import grouped, lines_of

PEOPLE = ["0x" + f"{number:02x}" * 20 for number in (0x11, 0x22, 0x33, 0x44)]
WINDOW = "Challenges of epoch 7 are open; until they close 1 rows of a matrix are served."


def said(operator, what=WINDOW):
    return f"The node of {operator} said: {what}"


def silent(operator, index):
    return (
        f"The node of {operator} at http://{index}.example does not answer GET /objects/0x01/slices/{index}: timeout."
    )


def test_the_same_reason_is_one_line_with_the_number_of_nodes():
    """Who alone has a reason is named, with all of it."""
    text = lines_of({**{item: said(item) for item in PEOPLE[:3]}, PEOPLE[3]: silent(PEOPLE[3], 3)})
    assert text.splitlines() == ["", f"  3 nodes: said: {WINDOW}", f"  {PEOPLE[3]}: {silent(PEOPLE[3], 3)}"]


def test_nodes_that_are_silent_are_counted_whatever_was_asked_of_them():
    """Their addresses and the slices' numbers differ, the reason doesn't."""
    ((who, reason),) = grouped([(item, silent(item, number)) for number, item in enumerate(PEOPLE)])
    assert who == PEOPLE
    assert reason == "does not answer GET /objects/0x01/slices/…: timeout."


@pytest.mark.parametrize("other", [WINDOW.replace("7", "8"), "no such object"])
def test_other_reasons_are_other_lines(other):
    """Another epoch is another reason."""
    assert len(grouped([(PEOPLE[0], said(PEOPLE[0])), (PEOPLE[1], said(PEOPLE[1], other))])) == 2


class TestTable:
    def report(self, operator, **changes):
        return SourceReport(operator, "http://node", last_error=said(operator), **changes)

    def test_nodes_that_withheld_the_same_are_one_row(self):
        """With what they did in all; faultless ones have none."""
        reports = [self.report(item, withheld=2, slices=1) for item in PEOPLE[:3]]
        rows = _fell_short([*reports, SourceReport(PEOPLE[3], "http://node", slices=9)])
        assert rows == [("3 nodes", "withheld 6x", 3, f"said: {WINDOW}")]

    def test_who_fell_short_in_another_way_has_a_row(self):
        """Also with the same last word."""
        rows = _fell_short([self.report(PEOPLE[0], withheld=1), self.report(PEOPLE[1], withheld=1, refused=1)])
        assert [row[:2] for row in rows] == [(PEOPLE[0], "withheld 1x"), (PEOPLE[1], "refused 1x, withheld 1x")]

    @pytest.mark.parametrize("fault", ["liar", "overcharged"])
    def test_liars_are_named_each(self, fault):
        """A false slice, or a count of more than was served, has a name."""
        rows = _fell_short([self.report(item, withheld=1, **{fault: True}) for item in PEOPLE[:2]])
        assert [row[0] for row in rows] == PEOPLE[:2]
