"""Measured availability: what operators answered, of what they were asked, with a belief for those never asked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from qanat.chain.views import DutyStatus, Seed
from qanat.client.availability import CALLS, measured_availability

LENGTH, AUDITS = 10, "the roster's"


class Views:
    """A shard whose epochs have ten blocks, the deadline at the fifth; ``answers[operator]``: epochs answered."""

    def __init__(self, latest: int, answers: dict[str, set[int]], held: dict[str, set[int]]) -> None:
        self.chain = SimpleNamespace(latest=lambda: latest)
        self.answers, self.held, self.calls = answers, held, 0

    def first_block(self, _shard: int) -> int:
        return 0

    def epoch_at(self, _shard: int, block: int) -> int:
        return block // LENGTH

    def seed(self, _shard: int, epoch: int, *, audits: str) -> Seed:
        assert audits == AUDITS
        return Seed(bytes(32), 0 if epoch == 3 else LENGTH * epoch + 1, LENGTH * epoch + 5)

    def duty(self, _shard: int, epoch: int, operator: str, *, audits: str) -> DutyStatus:
        assert audits == AUDITS
        self.calls += 1
        return DutyStatus.ANSWERED if epoch in self.answers.get(operator, set()) else DutyStatus.NONE

    def held_rows(self, _shard: int, epoch: int, operator: str, *, audits: str) -> int:
        assert audits == AUDITS
        self.calls += 1
        return int(epoch in self.held.get(operator, set()))


def measure(views: Views, *operators: str, epochs: int = 20) -> list[float]:
    entries = [SimpleNamespace(operator=operator) for operator in operators]
    roster = SimpleNamespace(shard=1, entries=entries, head=SimpleNamespace(slasher=AUDITS))
    return measured_availability(views, roster, epochs=epochs)  # type: ignore[arg-type]


def test_answers_count_against_what_was_asked() -> None:
    """Epoch 3 was never sealed, the tenth is not over; who held nothing was asked nothing."""
    every = set(range(11))
    found = measure(
        Views(104, {"good": every, "half": {0, 2, 4, 6}}, {"good": every, "half": every}), "good", "half", "new"
    )
    assert found == pytest.approx([(9.9 + 9) / 19, (9.9 + 4) / 19, 0.99])
    found = measure(Views(106, {"good": every}, {"good": every}), "good")
    assert found == pytest.approx([(9.9 + 9) / 19])  # the running epoch is never counted


def test_a_shard_without_a_past_is_taken_on_trust() -> None:
    """No epoch is over."""
    assert measure(Views(4, {}, {}), "one", "two") == [0.99, 0.99]


def test_large_rosters_are_judged_by_few_questions() -> None:
    """And the last epochs only."""
    many = [f"operator {number}" for number in range(1000)]
    views = Views(1000, {}, {name: set(range(200)) for name in many})
    assert measure(views, *many) == pytest.approx([9.9 / 11] * 1000)
    assert views.calls == 2000
    few = Views(1000, {"one": set(range(98))}, {"one": set(range(200))})
    assert measure(few, "one", epochs=5) == pytest.approx([(9.9 + 3) / 15])
    assert few.calls <= CALLS
