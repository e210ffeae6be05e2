"""Why an operator's signature is missing from a certificate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["Absence", "AbsenceKind", "counted"]


class AbsenceKind(str, Enum):
    """What an operator did instead of signing."""

    VACANT = "vacant"
    """Its place in the roster is vacant."""
    UNREACHABLE = "unreachable"
    """Its node did not answer."""
    REFUSED = "refused"
    """Its node said no."""
    FALSE = "false"
    """Its node sent something that is not its signature."""
    LATE = "late"
    """Its node was still taking slices, or verifying them, when enough others had signed or the time was over."""


@dataclass(frozen=True)
class Absence:
    """What came of one operator.

    ``taken``: how many of its ``slices`` its node took in this run, in so many ``tries``. ``why``: for people.
    """

    kind: AbsenceKind
    why: str
    taken: int = 0
    slices: int = 0
    tries: int = 0

    def __str__(self) -> str:
        return self.why

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "kind": self.kind.value,
            "why": self.why,
            "slicesTaken": self.taken,
            "slices": self.slices,
            "tries": self.tries,
        }


def counted(absences: Mapping[str, Absence]) -> str:
    """Return how many of each kind there are: ``2 unreachable, 1 late``."""
    kinds = Counter(absence.kind for absence in absences.values())
    return ", ".join(f"{kinds[kind]} {kind.value}" for kind in AbsenceKind if kinds[kind])
