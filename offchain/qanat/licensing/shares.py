"""Which sale brought how much of what a book of licenses has paid out, to the unit.

All licenses of an asset in one token are one book of Payments, and a settlement pays what they have earned together.
Each license's part follows from what its streams count by then (:mod:`qanat.licensing.streams`). Fractions of a unit
are rounded along the list of sales, in their order: the first sales together have the whole units that they counted, so
parts add up to what was paid, and each is less than a unit from the rational number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qanat.licensing.streams import FRACTION_BITS, Stream

__all__ = ["Sale", "divide", "parts_of"]


@dataclass
class Sale:
    """A license, its periods' streams, and (time, units) of what was earned at once: its first key release."""

    license_id: int
    streams: list[Stream] = field(default_factory=list)
    at_once: list[tuple[int, int]] = field(default_factory=list)

    def counted(self, time: int) -> int:
        """Scaled units that a settlement at a time has counted of it, in all."""
        added = sum(units for when, units in self.at_once if when <= time)
        return sum(stream.counted(time) for stream in self.streams) + (added << FRACTION_BITS)


def parts_of(sales: Sequence[Sale], settlements: Sequence[tuple[int, int]]) -> list[dict[int | None, int]]:
    """Return the part of each license in each settlement (time that it reached, units), which come in their order.

    Parts of a settlement add up to its units; what no sale explains is under None.
    """
    before = dict.fromkeys((sale.license_id for sale in sales), 0)
    found: list[dict[int | None, int]] = []
    for time, units in settlements:
        parts: dict[int | None, int] = {}
        line = 0
        for sale in sales:
            below = line >> FRACTION_BITS
            line += sale.counted(time)
            total = (line >> FRACTION_BITS) - below
            part, before[sale.license_id] = total - before[sale.license_id], total
            if part:
                parts[sale.license_id] = part
        rest = units - sum(parts.values())
        found.append({**parts, None: rest} if rest else parts)
    return found


def divide(parts: dict[int | None, int], taken: int) -> dict[int | None, int]:
    """Return what is left of parts when so many units are taken off their sum, from each in proportion."""
    whole = sum(parts.values())
    left: dict[int | None, int] = {}
    above = off = 0
    for license_id, part in parts.items():
        above += part
        share = taken * above // whole - off if whole else 0
        off += share
        left[license_id] = part - share
    return left
