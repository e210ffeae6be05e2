"""Many openings at once: exactly those are named that one by one do not hold."""

from __future__ import annotations

import random

import pytest

from qanat import kzg
from qanat.errors import BadParameters, NonCanonicalElement
from qanat.field import MODULUS
from qanat.kzg.points import RAW_IDENTITY

SEED = random.Random(20)
ROWS = [b"".join(SEED.randrange(MODULUS).to_bytes(32, "big") for _ in range(64)) for _ in range(6)]
COMMITMENTS = kzg.decompress_all([kzg.commit(row) for row in ROWS])


def opening(rows: list[int], **changes: object) -> kzg.Opening:
    """A true claim about a sum of rows, or one with something changed."""
    weights = [SEED.randrange(MODULUS) for _ in rows]
    z = SEED.randrange(MODULUS)
    proof, y = kzg.open_at(kzg.fold_slices([ROWS[row] for row in rows], weights), z.to_bytes(32, "big"))
    fields = {
        "points": [COMMITMENTS[row] for row in rows],
        "weights": weights,
        "z": z,
        "y": int.from_bytes(y, "big"),
        "proof": kzg.decompress(proof),
    }
    return kzg.Opening(**{**fields, **changes})


def alone(item: kzg.Opening) -> bool:
    """What the check of one blob says of it."""
    commitments = [kzg.compress(point) for point in item.points]
    folded = kzg.fold_commitments(commitments, item.weights)
    z, y = (value.to_bytes(32, "big") for value in (item.z, item.y))
    return kzg.verify(folded, z, y, kzg.compress(item.proof))


@pytest.fixture(scope="module")
def true() -> list[kzg.Opening]:
    return [opening([number % 6, (number + 1) % 6, 5 - number % 5][: 1 + number % 3]) for number in range(20)]


def test_all_that_hold_hold_together(true: list[kzg.Opening]) -> None:
    """Few, whose points are summed one way, many, summed another way, and none."""
    for count in (0, 1, 2, 20):
        assert kzg.bad_openings(true[:count]) == []
    assert all(map(alone, true[:4]))


@pytest.mark.parametrize("places", [[0], [19], [3, 4], [0, 7, 19], list(range(20))])
def test_exactly_those_that_do_not_hold_are_named(true: list[kzg.Opening], places: list[int]) -> None:
    """Each wrong in another way: value, point, proof, weight, commitment."""
    ways = (
        lambda item: {"y": (item.y + 1) % MODULUS},
        lambda item: {"z": (item.z + 1) % MODULUS},
        lambda _: {"proof": RAW_IDENTITY},
        lambda item: {"weights": [(item.weights[0] + 1) % MODULUS, *item.weights[1:]]},
        lambda item: {"points": [RAW_IDENTITY, *item.points[1:]]},
    )
    tried = list(true)
    for number, place in enumerate(places):
        tried[place] = kzg.Opening(**{**vars(tried[place]), **ways[number % len(ways)](tried[place])})
        assert not alone(tried[place])
    assert kzg.bad_openings(tried) == places


def test_errors_that_cancel_in_a_plain_sum_are_found(true: list[kzg.Opening]) -> None:
    """Two answers of one row at one point, one too high and one too low by the same: the weights are the verifier's."""
    first = true[0]
    high, low = (kzg.Opening(**{**vars(first), "y": (first.y + by) % MODULUS}) for by in (1, -1))
    assert kzg.bad_openings([true[1], high, true[2], low]) == [1, 3]


def test_the_sum_of_nothing_opens_to_zero() -> None:
    """Identities everywhere are a true claim."""
    nothing = kzg.Opening([RAW_IDENTITY], [1], 5, 0, RAW_IDENTITY)
    assert kzg.bad_openings([nothing] * 2) == []
    assert kzg.bad_openings([nothing, kzg.Opening([RAW_IDENTITY], [1], 5, 1, RAW_IDENTITY)]) == [1]


def test_what_is_no_claim_is_refused() -> None:
    """Counts that differ, nothing at all, numbers that are not below r."""
    point = COMMITMENTS[0]
    for points, weights in (([], []), ([point], []), ([point], [1, 2])):
        with pytest.raises(BadParameters):
            kzg.Opening(points, weights, 0, 0, point)
    for z, y in ((MODULUS, 0), (0, MODULUS), (-1, 0), (0, -1)):
        with pytest.raises(NonCanonicalElement):
            kzg.Opening([point], [1], z, y, point)
