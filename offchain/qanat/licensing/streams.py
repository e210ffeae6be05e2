"""What streams earn: the exact numbers of `contracts/libraries/Streams.sol`, computed stream by stream.

The contract keeps one line for all streams of a book; here each stream is computed by itself, from its definition, with
integers. Both must agree to the unit: `tests/properties/test_money.py` compares them.

Scaled units are 1/2^40 of a unit. A stream of P units over [s, e), d = e - s, whose last day begins at b, has the rate
r = floor(P * 2^40 / d) and m = P * 2^40 - r * d besides, which is counted when that day is over: no number of streams
together counts what is not earned.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

__all__ = ["DAY_S", "FRACTION_BITS", "Book", "Stream", "Waterfall", "pour"]

#: Slopes change at the starts of days (UTC) only, in seconds.
DAY_S = 86_400
FRACTION_BITS = 40
BPS = 10_000


@dataclass(frozen=True)
class Stream:
    """An amount in token units, earned linearly over [start, end); times in seconds, as blocks are stamped."""

    amount: int
    start: int
    end: int
    opened: int
    stopped: int | None = None

    @property
    def rate(self) -> int:
        """Scaled units a second, rounded down."""
        return (self.amount << FRACTION_BITS) // (self.end - self.start)

    @property
    def rest(self) -> int:
        """Scaled units that the rate leaves over: less than 2^-8 unit, counted last."""
        return (self.amount << FRACTION_BITS) - self.rate * (self.end - self.start)

    def earned(self, time: int) -> int:
        """Scaled units earned at a time, as if it were never stopped: what a stop goes by."""
        if time < self.start:
            return 0
        if time >= self.end:
            return self.amount << FRACTION_BITS
        return self.rate * (time - self.start)

    def unearned(self, time: int) -> int:
        """Whole units, rounded down, that a stop at a time leaves."""
        return ((self.amount << FRACTION_BITS) - self.earned(time)) >> FRACTION_BITS

    def stop(self, time: int) -> Stream:
        """Return the stream, ended at a time; one that is over stays as it is."""
        return self if time >= self.end else replace(self, stopped=time)

    def counted(self, time: int) -> int:
        """Scaled units that a settlement at a time counts."""
        if self.stopped is not None and time >= self.stopped:
            return (self.amount - self.unearned(self.stopped)) << FRACTION_BITS
        if self.amount == 0:
            return 0
        first_day, last_day = self.start // DAY_S, self.end // DAY_S
        if time >= (last_day + 1) * DAY_S:
            return self.amount << FRACTION_BITS
        if first_day == last_day or time < self.start:
            return 0
        if self.start > self.opened and time < (first_day + 1) * DAY_S:
            return 0
        return self.rate * (min(time, last_day * DAY_S) - self.start)


@dataclass(frozen=True)
class Waterfall:
    """How a settled amount was divided, in units; the parts add up to it."""

    fee: int
    upstream: int
    beneficiary: int


def pour(amount: int, fee_bps: int, upstream_bps: int) -> Waterfall:
    """Divide an amount: the protocol's part and the one upstream rounded down, the remainder to the beneficiary."""
    fee = amount * fee_bps // BPS
    upstream = (amount - fee) * upstream_bps // BPS
    return Waterfall(fee, upstream, amount - fee - upstream)


@dataclass
class Book:
    """All streams of one beneficiary in one token, and what was done with it."""

    streams: list[Stream] = field(default_factory=list)
    #: Units that came in, units that `earnHeld` added to what is counted, units that went back, and that were settled.
    paid_in: int = 0
    added: int = 0
    returned: int = 0
    settled: int = 0
    settled_to: int = 0

    @property
    def balance(self) -> int:
        """Units that lie in the book."""
        return self.paid_in - self.returned - self.settled

    def counted(self, time: int) -> int:
        """Scaled units counted at a time, settled ones included."""
        return sum(item.counted(time) for item in self.streams) + (self.added << FRACTION_BITS)

    def due(self, time: int) -> int:
        """Whole units that a settlement at a time pays."""
        return (self.counted(time) >> FRACTION_BITS) - self.settled

    def reach(self, until: int, max_days: int) -> int:
        """Return how far a settlement gets that may pass so many starts of days."""
        day = self.settled_to // DAY_S
        if until // DAY_S <= day + max_days:
            return max(until, self.settled_to)
        return self.settled_to if max_days == 0 else (day + max_days) * DAY_S

    def settle(self, until: int, max_days: int) -> int:
        """Settle, and return the units that go into the waterfall: none where it doesn't get as far."""
        self.settled_to = self.reach(until, max_days)
        amount = max(0, self.due(self.settled_to)) if self.settled_to >= until else 0
        self.settled += amount
        return amount
