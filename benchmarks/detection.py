# ruff: noqa: E501  (the lines of a page are as long as its sentences)
"""docs/detection.md: how soon loss is found, by simulation with the real draws and kernels against the closed form.

python benchmarks/detection.py            # writes the page
python benchmarks/detection.py --check    # exit 1 if its closed forms or the simulation say something else

An operator holds rows of several objects. In each simulated epoch a draw names q of them, the operator opens the fold
of what it has (zeros where a slice is lost), and the opening is judged against the commitments, as the chain does. What
is counted are the openings that are refused.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from eth_utils.crypto import keccak

from qanat import kzg
from qanat.chain import draws
from qanat.kzg.folding import fold_commitments, fold_slices

PAGE = Path(__file__).parent.parent / "docs" / "detection.md"

#: Probability that a right simulation is called wrong, for each case.
FALSE_FAILURE = 1e-6

#: Objects, and rows of the operator in each.
OBJECTS, ROWS = 16, 32
WIDTH = 64

FRACTIONS = (0.01, 0.05, 0.20)
EPOCHS = 30

Slice = tuple[int, int]


@dataclass(frozen=True)
class Holdings:
    """An operator's rows: one ticket of two, OBJECTS objects of ROWS rows each."""

    snapshot: draws.Snapshot
    slices: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    numbers: dict[bytes, int]

    def of(self, read: draws.Read) -> int:
        """Number of the slice that a read names."""
        return self.numbers[read.object_id] * ROWS + read.spot.offset - read.listed.start


def make_holdings() -> Holdings:
    """Return rows with random content; the operator's ticket is the first of two."""
    choose = random.Random("holdings")
    listed = [
        draws.ListedObject(
            index=number,
            object_id=bytes(keccak(text=f"object {number}")),
            start=ROWS * number,
            end=ROWS * (number + 1),
            end_epoch=10**6,
            n=2,
            matrices=ROWS,
            manifest_root=bytes(32),
            non_signers_hash=draws.non_signers_hash(()),
        )
        for number in range(OBJECTS)
    ]
    total = OBJECTS * ROWS
    place = draws.Place(1, 2, 0, 0, 1, total, (draws.Bucket(total, listed),))
    slices = tuple(b"".join(b"\0" + choose.randbytes(31) for _ in range(WIDTH)) for _ in range(total))
    numbers = {item.object_id: item.index for item in listed}
    return Holdings(draws.Snapshot((place,)), slices, tuple(kzg.commit(part) for part in slices), numbers)


def drawn(holdings: Holdings, samples: int, epoch: int, seed: str) -> tuple[draws.Draw, list[int]]:
    """Return an epoch's draw and the numbers of the slices that it names."""
    draw = draws.Draw.of(bytes(keccak(text=f"{seed} {epoch}")), holdings.snapshot, samples)
    return draw, [holdings.of(read) for read in draws.follow(draw, epoch, lambda _: ())]


def is_caught(holdings: Holdings, draw: draws.Draw, numbers: list[int], has: Callable[[int], bytes]) -> bool:
    """Open the fold of what the operator has, and judge it as the chain does."""
    points = [kzg.decompress(holdings.commitments[number]) for number in numbers]
    bound = draws.transcript_hash((bytes(32), number, point) for number, point in zip(numbers, points, strict=True))
    z = draws.opening_point(draw.context, bound).to_bytes(32, "big")
    weights = draws.fold_weights(draw.context, bound, len(numbers))
    proof, value = kzg.open_at(fold_slices([has(number) for number in numbers], weights), z)
    folded = fold_commitments([holdings.commitments[number] for number in numbers], weights)
    return not kzg.verify(folded, z, value, proof)


def simulate(
    holdings: Holdings, samples: int, epochs: int, seed: str, lose: Callable[[random.Random], Collection[int]]
) -> int:
    """Return in how many of so many epochs an operator that lost some slices is caught; each epoch loses anew."""
    choose = random.Random(seed)
    caught = 0
    nothing = bytes(32 * WIDTH)
    for epoch in range(epochs):
        lost = lose(choose)
        draw, numbers = drawn(holdings, samples, epoch, seed)
        caught += is_caught(holdings, draw, numbers, lambda n, lost=lost: nothing if n in lost else holdings.slices[n])
    return caught


def simulate_one_byte(holdings: Holdings, samples: int, epochs: int, seed: str) -> int:
    """Return in how many epochs an operator is caught that lost one byte of one drawn slice and has all else."""
    choose = random.Random(seed)
    caught = 0
    for epoch in range(epochs):
        draw, numbers = drawn(holdings, samples, epoch, seed)
        victim, at = choose.choice(numbers), 32 * choose.randrange(WIDTH) + 1 + choose.randrange(31)
        whole = holdings.slices[victim]
        damaged = whole[:at] + bytes([whole[at] ^ (1 + choose.randrange(255))]) + whole[at + 1 :]
        caught += is_caught(holdings, draw, numbers, lambda n, v=victim, d=damaged: d if n == v else holdings.slices[n])
    return caught


# ---- what is lost


def scattered(fraction: float) -> Callable[[random.Random], Collection[int]]:
    """Each slice is lost with this probability, whatever the others are."""
    return lambda choose: {number for number in range(OBJECTS * ROWS) if choose.random() < fraction}


def clustered(fraction: float) -> Callable[[random.Random], Collection[int]]:
    """As many slices, one after another: in as few objects as hold them."""
    count = round(fraction * OBJECTS * ROWS)

    def lose(choose: random.Random) -> Collection[int]:
        first = choose.randrange(OBJECTS * ROWS - count + 1)
        return range(first, first + count)

    return lose


def closed_form(fraction: float, samples: int) -> float:
    """Return 1 - (1 - f)^q."""
    return 1 - (1 - fraction) ** samples


def clustered_form(fraction: float, samples: int) -> float:
    """Return the exact probability for a clustered loss: of the strata, those that it lies in are lost in part.

    Never below the closed form for the same count: the product of (1 - f_i) is largest where all f_i are equal.
    """
    total = OBJECTS * ROWS
    count = round(fraction * total)
    edges = [i * total // samples for i in range(samples + 1)]
    passing = 0.0
    starts = range(total - count + 1)
    for first in starts:
        share = 1.0
        for begin, end in pairwise(edges):
            share *= 1 - max(0, min(end, first + count) - max(begin, first)) / (end - begin)
        passing += share
    return 1 - passing / len(starts)


def bounds(probability: float, trials: int) -> tuple[int, int]:
    """Return between which counts a binomial lies but with probability FALSE_FAILURE, half of it on each side."""
    if probability > 1 - 1e-12:
        return trials, trials
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(probability) + (trials - k) * math.log1p(-probability)
        for k in range(trials + 1)
    ]  # fmt: skip
    weights = [math.exp(item) for item in logs]
    low, below = 0, 0.0
    while below + weights[low] <= FALSE_FAILURE / 2:
        below += weights[low]
        low += 1
    high, above = trials, 0.0
    while above + weights[high] <= FALSE_FAILURE / 2:
        above += weights[high]
        high -= 1
    return low, high


@dataclass(frozen=True)
class Case:
    """One simulated case and what it must be."""

    name: str
    samples: int
    fraction: float
    caught: int
    epochs: int
    expected: float

    @property
    def holds(self) -> bool:
        """Whether the count lies where it must."""
        low, high = bounds(self.expected, self.epochs)
        return low <= self.caught <= high


def cases(epochs: int) -> Iterator[Case]:
    """Simulate every case with so many epochs."""
    holdings = make_holdings()
    for samples in (8, 16):
        for fraction in FRACTIONS:
            for name, lose, form in (
                ("scattered", scattered, closed_form),
                ("clustered", clustered, clustered_form),
            ):
                seed = f"{name} {samples} {fraction}"
                caught = simulate(holdings, samples, epochs, seed, lose(fraction))
                yield Case(name, samples, fraction, caught, epochs, form(fraction, samples))


# ---- the page


def percent(value: float) -> str:
    """Return a probability as people read it."""
    return f"{100 * value:.1f} %" if value < 0.9995 else f"{100 * value:.4f} %"


def over(probability: float) -> str:
    """Return a probability of one epoch, and of being caught at least once in EPOCHS."""
    return f"{percent(probability)} · {percent(1 - (1 - probability) ** EPOCHS)}"


def comparison() -> str:
    """Return the table of closed forms."""
    head = "| lost | Qanat, q = 8 | Qanat, q = 16 | PDP, Codex (5 leaves) | 0G |\n|---|---|---|---|---|"
    rows = [
        f"| {fraction:.0%} of whole slices | {over(closed_form(fraction, 8))} | {over(closed_form(fraction, 16))} "
        f"| {over(closed_form(fraction, 5))} | nobody has to answer |"
        for fraction in FRACTIONS
    ]
    rows += [
        f"| {fraction:.0%} of the bytes of every slice | {over(1.0)} | {over(1.0)} "
        f"| {over(closed_form(fraction, 5))} | nobody has to answer |"
        for fraction in FRACTIONS
    ]
    return "\n".join([head, *rows])


def simulated(epochs: int, found: list[Case], one_byte: tuple[int, int]) -> str:
    """Return the table of simulated cases."""
    lines = [
        f"{epochs:,} epochs for each line; every opening was made and judged with the real kernels.",
        "",
        "| loss | q | lost | caught | expected |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {case.name} | {case.samples} | {case.fraction:.0%} | {case.caught:,} ({percent(case.caught / case.epochs)}) "
        f"| {percent(case.expected)} |"
        for case in found
    ]
    lines += ["", f"One byte of one drawn slice, nothing else: caught {one_byte[0]:,} times of {one_byte[1]:,}."]
    return "\n".join(lines)


INTRODUCTION = f"""# How soon loss is found

Made by `benchmarks/detection.py`. An answer opens q whole slices at a random point: who lost one byte of a drawn slice can't answer (it passes with
probability below 2^-240). So what counts is whether a slice that is lost, or damaged anywhere, is drawn: with a fraction f of the slices gone,
1 - (1 - f)^q in an epoch. PDP and Codex open five leaves of 32 bytes to 2 KB a challenge; 0G rewards who answers and asks nobody.

## Per epoch · over {EPOCHS} epochs
"""

SIMULATION = f"""

## Simulated

{OBJECTS} objects with {ROWS} rows of the operator each, slices of {WIDTH} elements. *Scattered*: each slice is lost independently, and the expected is the closed form.
*Clustered*: as many neighbouring slices, in as few objects as hold them; stratified draws then find more than the closed form says, never less: the expected is
the exact product over the strata. A line that were right is called wrong with probability {FALSE_FAILURE:g}; `tests/unit/test_detection.py` runs a shorter version.

"""


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--epochs", type=int, default=1_000)
    given = parser.parse_args(arguments)
    found = list(cases(given.epochs))
    one_byte = (simulate_one_byte(make_holdings(), 8, given.epochs, "byte"), given.epochs)
    page = INTRODUCTION + "\n" + comparison() + SIMULATION + simulated(given.epochs, found, one_byte) + "\n"
    wrong = [case for case in found if not case.holds]
    for case in wrong:
        print(f"{case.name}, q = {case.samples}, {case.fraction:.0%}: {case.caught} of {case.epochs}", file=sys.stderr)
    if one_byte[0] != one_byte[1]:
        print(f"a lost byte passed {one_byte[1] - one_byte[0]} times", file=sys.stderr)
    stale = given.check and PAGE.read_text(encoding="utf-8") != page
    if stale:
        print(f"{PAGE} is stale", file=sys.stderr)
    if not given.check:
        PAGE.write_text(page, encoding="utf-8")
    return int(bool(wrong) or one_byte[0] != one_byte[1] or stale)


if __name__ == "__main__":
    sys.exit(main())
