"""Reporting misses: one operator by name, several of an epoch by the bits of their seats in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from qanat.chain.views import Views

__all__ = ["reports"]

#: Of one transaction. A miss takes 180,000 gas or less, so a report stays below the 2^24 of EIP-7825.
MOST_MISSES = 64


def reports(
    views: Views, shard: int, epoch: int, operators: Iterable[str], *, audits: str = ""
) -> Iterator[tuple[Any, list[str]]]:
    """Yield the calls of Audits that report so many operators' misses of an epoch, each with those whom it reports.

    Each operator is named once, in the oldest roster in which it has a seat; who is in none of the epoch's, is left
    out: it owed nothing. What was reported meanwhile the contract passes over, but not where a call names only one.
    """
    functions = views.audits(audits).functions
    left = set(operators)
    for number in views.rosters_live_in(shard, epoch):
        entries = [entry for entry in views.roster(shard, number).entries if entry.operator in left]
        left -= {entry.operator for entry in entries}
        for start in range(0, len(entries), MOST_MISSES):
            part = entries[start : start + MOST_MISSES]
            named = [entry.operator for entry in part]
            if len(part) == 1:
                yield functions.reportMiss(shard, epoch, named[0]), named
            else:
                yield functions.reportMisses(shard, epoch, number, seat_bits(entry.seat for entry in part)), named


def seat_bits(seats: Iterable[int]) -> list[int]:
    """Return the words whose bits are the seats, 256 to a word, the lowest first."""
    bits = sum(1 << seat for seat in set(seats))
    return [bits >> at & ((1 << 256) - 1) for at in range(0, bits.bit_length(), 256)]
