"""Terms: intervals whose union is asked for any time, against a plain list. Purposes: against their definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.reverts import reverts_with

# Mostly short ones with gaps between them, so that a long one is alone in holding a time: where several do, a forgotten
# one is not missed.
LENGTHS = st.sampled_from([0, 0, 0, 1, 1, 2, 20, 90])


@pytest.fixture(scope="module")
def harness(project, deployer):
    return deployer.deploy(project.TermsHarness)


class TestAdd:
    def test_refuses_a_start_before_the_last(self, harness, deployer):
        harness.add(0, 10, 20, sender=deployer)
        harness.add(0, 10, 12, sender=deployer)
        with reverts_with(harness.StartFell, start=9, last=10):
            harness.add(0, 9, 20, sender=deployer)

    def test_refuses_an_end_before_the_start(self, harness, deployer):
        with reverts_with(harness.EndBeforeStart, start=10, end=9):
            harness.add(0, 10, 9, sender=deployer)

    def test_refuses_times_that_do_not_fit(self, harness, deployer):
        harness.add(0, 2**40 - 1, 2**40 - 1, sender=deployer)
        with reverts_with(harness.TermTooLarge, got=2**40, limit=2**40 - 1):
            harness.add(0, 2**40 - 1, 2**40, sender=deployer)

    def test_refuses_one_more_than_the_limit(self, harness, deployer):
        harness.skipTo(0, 2**24 - 1, sender=deployer)
        with reverts_with(harness.TermTooLarge, got=2**24 - 1, limit=2**24 - 1):
            harness.add(0, 1, 2, sender=deployer)


class TestShorten:
    def test_refuses_what_is_not_there(self, harness, deployer):
        harness.add(0, 1, 2, sender=deployer)
        with reverts_with(harness.TermUnknown, index=1, count=1):
            harness.shorten(0, 1, 1, sender=deployer)

    def test_refuses_a_later_end(self, harness, deployer):
        harness.add(0, 1, 5, sender=deployer)
        with reverts_with(harness.EndRose, end=6, current=5):
            harness.shorten(0, 0, 6, sender=deployer)

    def test_refuses_an_end_before_the_start(self, harness, deployer):
        harness.add(0, 3, 5, sender=deployer)
        with reverts_with(harness.EndBeforeStart, start=3, end=2):
            harness.shorten(0, 0, 2, sender=deployer)

    def test_the_other_way_refuses_an_earlier_end(self, harness, deployer):
        harness.add(0, 1, 5, sender=deployer)
        with reverts_with(harness.EndFell, end=4, current=5):
            harness.prolong(0, 0, 4, sender=deployer)
        with reverts_with(harness.TermTooLarge, got=2**40, limit=2**40 - 1):
            harness.prolong(0, 0, 2**40, sender=deployer)
        with reverts_with(harness.TermUnknown, index=1, count=1):
            harness.prolong(0, 1, 9, sender=deployer)

    def test_leaves_the_neighbour_in_the_word_alone(self, harness, deployer):
        harness.addMany(0, [1, 2, 3], [2**40 - 1, 2**40 - 1, 2**40 - 1], sender=deployer)
        harness.shorten(0, 0, 1, sender=deployer)
        assert [tuple(harness.termAt(0, index)) for index in range(3)] == [(1, 1), (2, 2**40 - 1), (3, 2**40 - 1)]
        assert harness.count(0) == 3


class TestMark:
    def test_stands_beside_the_first_two_terms(self, harness, deployer):
        """Setting it changes no term and no count, and no change of a term changes it."""
        harness.addMany(0, [1, 2, 3], [2**40 - 1, 2**40 - 1, 2**40 - 1], sender=deployer)
        for mark in (2**72 - 1, 5):
            harness.setMark(0, mark, sender=deployer)
            terms = [tuple(harness.termAt(0, index)) for index in range(3)]
            assert terms == [(1, 2**40 - 1), (2, 2**40 - 1), (3, 2**40 - 1)]
            assert harness.count(0) == 3
        harness.shorten(0, 1, 4, sender=deployer)
        harness.prolong(0, 1, 9, sender=deployer)
        harness.add(0, 4, 5, sender=deployer)
        assert (harness.markOf(0), harness.count(0), tuple(harness.termAt(0, 1))) == (5, 4, (2, 9))


class TestCovers:
    def test_nothing_when_empty(self, harness):
        assert harness.covers(0, [0, 1, 2**40 - 1, 2**64]) == [False] * 4

    def test_from_the_start_until_before_the_end(self, harness, deployer):
        harness.add(0, 10, 20, sender=deployer)
        assert harness.covers(0, [9, 10, 19, 20, 2**64]) == [False, True, True, False, False]

    @pytest.mark.parametrize("place", [0, 1, 2, 3, 7, 8, 9, 30, 31, 32, 33, 34, 63, 64, 69])
    def test_one_long_term_among_empty_ones(self, harness, deployer, place):
        """It is found from wherever later terms stand, at every level of the tree, and not before it starts."""
        size, times = 70, list(range(250))
        starts = list(range(1, size + 1))
        ends = [start + 150 * (index == place) for index, start in enumerate(starts)]
        harness.addMany(0, starts, ends, sender=deployer)
        assert harness.covers(0, times) == [starts[place] <= time < starts[place] + 150 for time in times]
        harness.shorten(0, place, starts[place] + 100, sender=deployer)
        assert harness.covers(0, times) == [starts[place] <= time < starts[place] + 100 for time in times]
        harness.shorten(0, place, starts[place], sender=deployer)
        assert harness.covers(0, times) == [False] * 250

    @settings(max_examples=25)
    @given(data=st.data())
    def test_equals_a_search_of_the_list(self, harness, deployer, chain, data):
        """For lists over several levels of the tree, ends brought forward and put off in any order, at every time."""
        terms: list[list[int]] = []
        with chain.isolate():
            for _ in range(data.draw(st.integers(1, 4), label="rounds")):
                size = data.draw(st.integers(1, 30), label="added")
                steps = data.draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
                lengths = data.draw(st.lists(LENGTHS, min_size=size, max_size=size))
                added, start = [], terms[-1][0] if terms else 5
                for step, length in zip(steps, lengths, strict=True):
                    start += step
                    added.append([start, start + length])
                harness.addMany(0, [a for a, _ in added], [b for _, b in added], sender=deployer)
                terms += added
                for index in data.draw(st.lists(st.integers(0, len(terms) - 1), max_size=3), label="shortened"):
                    terms[index][1] = data.draw(st.integers(*terms[index]))
                    harness.shorten(0, index, terms[index][1], sender=deployer)
                for index in data.draw(st.lists(st.integers(0, len(terms) - 1), max_size=2), label="prolonged"):
                    terms[index][1] += data.draw(LENGTHS, label="by")
                    harness.prolong(0, index, terms[index][1], sender=deployer)

                times = list(range(terms[-1][0] + 100))
                expected = [any(start <= time < end for start, end in terms) for time in times]
                assert harness.covers(0, times) == expected


class TestPurposes:
    def test_covering_sets_are_those_that_hold_all_bits_asked(self, harness):
        """For every valid question, by the definition; for others none."""
        for asked in range(1, 64):
            assert harness.coveringSets(asked) == sum(1 << held for held in range(64) if held & asked == asked)
        for asked in (0, 64, 65, 2**32 - 1):
            assert harness.coveringSets(asked) == 0
