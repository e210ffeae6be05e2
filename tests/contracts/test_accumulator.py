"""The difference array against a model that keeps the amounts of every epoch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.reverts import reverts_with

START = 100
MAX_ROWS = 2**32
MAX_FEE = 2**128


@pytest.fixture(scope="module")
def fresh(project, deployer):
    """An accumulator that was not started."""
    return deployer.deploy(project.AccumulatorHarness)


@pytest.fixture(scope="module")
def accumulator(project, deployer):
    contract = deployer.deploy(project.AccumulatorHarness)
    contract.start(START, sender=deployer)
    return contract


def values(accumulator, first, count):
    """The amounts of each epoch, in one call."""
    return list(zip(*accumulator.valuesFrom(first, count), strict=True))


class TestStart:
    def test_refuses_to_start_twice(self, accumulator, deployer):
        with reverts_with(accumulator.AccumulatorStarted, cursor=START):
            accumulator.start(START + 1, sender=deployer)

    def test_refuses_to_start_twice_at_zero(self, fresh, deployer):
        fresh.start(0, sender=deployer)
        with reverts_with(fresh.AccumulatorStarted, cursor=0):
            fresh.start(5, sender=deployer)

    def test_nothing_works_before_it(self, fresh, deployer):
        for method in (fresh.add, fresh.remove):
            with reverts_with(fresh.AccumulatorNotStarted):
                method(1, 2, 1, 1, sender=deployer)
        with reverts_with(fresh.AccumulatorNotStarted):
            fresh.roll(5, 5, sender=deployer)

    def test_amounts_are_zero_before_it(self, fresh):
        assert fresh.valueAt(2**64) == (0, 0)

    def test_sets_the_cursor(self, accumulator):
        assert accumulator.cursor() == START


class TestAddAndRemove:
    @pytest.mark.parametrize("method", ["add", "remove"])
    @pytest.mark.parametrize("epoch", [0, START - 1, START])
    def test_refuses_to_change_what_is_final(self, accumulator, deployer, method, epoch):
        with reverts_with(accumulator.AccumulatorPast, epoch=epoch, cursor=START):
            getattr(accumulator, method)(epoch, START + 5, 1, 1, sender=deployer)

    @pytest.mark.parametrize("method", ["add", "remove"])
    def test_refuses_a_range_that_ends_before_it_begins(self, accumulator, deployer, method):
        with reverts_with(accumulator.AccumulatorRangeInvalid, fromEpoch=START + 5, untilEpoch=START + 4):
            getattr(accumulator, method)(START + 5, START + 4, 1, 1, sender=deployer)

    @pytest.mark.parametrize("method", ["add", "remove"])
    @pytest.mark.parametrize(("rows", "fee"), [(MAX_ROWS + 1, 0), (0, MAX_FEE + 1), (2**256 - 1, 2**256 - 1)])
    def test_refuses_amounts_that_could_overflow_a_sum(self, accumulator, deployer, method, rows, fee):
        with reverts_with(accumulator.AccumulatorAmountTooLarge, rows=rows, fee=fee):
            getattr(accumulator, method)(START + 1, START + 2, rows, fee, sender=deployer)

    def test_takes_the_largest_amounts(self, accumulator, deployer):
        for _ in range(3):
            accumulator.add(START + 1, START + 2, MAX_ROWS, MAX_FEE, sender=deployer)
        assert accumulator.valueAt(START + 1) == (3 * MAX_ROWS, 3 * MAX_FEE)
        assert accumulator.valueAt(START + 2) == (0, 0)

    def test_an_empty_range_adds_nothing(self, accumulator, deployer):
        accumulator.add(START + 3, START + 3, 5, 5, sender=deployer)
        assert values(accumulator, START, 6) == [(0, 0)] * 6

    def test_costs_the_same_for_one_epoch_and_for_a_thousand(self, accumulator, deployer):
        one = accumulator.add(START + 1, START + 2, 5, 5, sender=deployer).gas_used
        many = accumulator.add(START + 3, START + 1003, 5, 5, sender=deployer).gas_used
        assert abs(one - many) < 100


class TestRoll:
    def test_stops_after_the_steps_allowed(self, accumulator, deployer):
        accumulator.add(START + 1, START + 20, 7, 70, sender=deployer)
        accumulator.roll(START + 10, 4, sender=deployer)
        assert accumulator.cursor() == START + 4
        accumulator.roll(START + 10, 2**256 - 1, sender=deployer)
        assert accumulator.cursor() == START + 10

    @pytest.mark.parametrize(("to", "steps"), [(START - 1, 9), (START, 9), (0, 9), (START + 5, 0)])
    def test_never_goes_back_and_needs_a_step(self, accumulator, deployer, to, steps):
        accumulator.roll(to, steps, sender=deployer)
        assert accumulator.cursor() == START

    @pytest.mark.parametrize("steps", [1, 2, 20])
    def test_amounts_stay_what_they_were(self, accumulator, deployer, steps):
        """Contributions overlap, begin and end: each epoch reads the same before and after the cursor passes it."""
        accumulator.add(START + 2, START + 8, 7, 70, sender=deployer)
        accumulator.add(START + 3, START + 5, 1, 10, sender=deployer)
        accumulator.add(START + 10, START + 12, 4, 40, sender=deployer)
        expected = (
            [(0, 0)] * 2 + [(7, 70)] + [(8, 80)] * 2 + [(7, 70)] * 3 + [(0, 0)] * 2 + [(4, 40)] * 2 + [(0, 0)] * 2
        )
        assert values(accumulator, START, 14) == expected
        while accumulator.cursor() < START + 13:
            accumulator.roll(START + 13, steps, sender=deployer)
        assert values(accumulator, START, 14) == expected

    def test_epochs_passed_are_final(self, accumulator, deployer):
        accumulator.roll(START + 3, 9, sender=deployer)
        with reverts_with(accumulator.AccumulatorPast, epoch=START + 3, cursor=START + 3):
            accumulator.add(START + 3, START + 9, 1, 1, sender=deployer)

    def test_empty_epochs_are_only_read(self, accumulator, deployer):
        """A cold read costs 2,100 gas, a fresh slot 22,100."""
        receipt = accumulator.roll(START + 100, 100, sender=deployer)
        assert receipt.gas_used < 40_000 + 100 * 2_800

    @pytest.mark.parametrize(("rows", "fee"), [(2, 5), (1, 6)])
    def test_more_removed_than_added_is_an_error_not_a_number(self, accumulator, deployer, rows, fee):
        accumulator.add(START + 2, START + 9, 1, 5, sender=deployer)
        accumulator.remove(START + 4, START + 9, rows, fee, sender=deployer)
        expected = {"epoch": START + 4, "rows": 1 - rows, "fee": 5 - fee}
        with reverts_with(accumulator.AccumulatorNegative, **expected):
            accumulator.valueAt(START + 4)
        with reverts_with(accumulator.AccumulatorNegative, **expected):
            accumulator.roll(START + 9, 9, sender=deployer)


AMOUNTS = st.tuples(st.integers(0, MAX_ROWS), st.integers(0, MAX_FEE))
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 6), st.integers(0, 8), AMOUNTS),
        st.tuples(st.just("remove"), st.integers(1, 6), st.integers(0, 20), st.just(None)),
        st.tuples(st.just("roll"), st.integers(1, 7), st.integers(1, 7), st.just(None)),
    ),
    min_size=6,
    max_size=12,
)


class TestModel:
    @settings(max_examples=12)
    @given(actions=ACTIONS)
    def test_equals_a_table_of_every_epoch(self, accumulator, deployer, chain, actions):
        """Contributions are added, their rest taken back, the cursor rolled: every epoch agrees at the end."""
        with chain.isolate():
            table: dict[int, list[int]] = {}
            live: list[tuple[int, int, int, int]] = []
            cursor = START

            def apply(first, last, rows, fee):
                for epoch in range(first, last):
                    entry = table.setdefault(epoch, [0, 0])
                    entry[0] += rows
                    entry[1] += fee

            for kind, a, b, amounts in actions:
                if kind == "add":
                    first, last, (rows, fee) = cursor + a, cursor + a + b, amounts
                    accumulator.add(first, last, rows, fee, sender=deployer)
                    apply(first, last, rows, fee)
                    live.append((first, last, rows, fee))
                elif kind == "remove" and live:
                    first, last, rows, fee = live.pop(b % len(live))
                    first = max(first, cursor + 1)
                    if first < last:
                        accumulator.remove(first, last, rows, fee, sender=deployer)
                        apply(first, last, -rows, -fee)
                elif kind == "roll":
                    accumulator.roll(cursor + a, b, sender=deployer)
                    cursor += min(a, b)
            assert accumulator.cursor() == cursor
            epochs = range(START - 2, cursor + 18)
            expected = [tuple(table.get(epoch, (0, 0))) for epoch in epochs]
            assert values(accumulator, epochs.start, len(epochs)) == expected
