"""What an audit found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["AuditReport", "Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold.

    ``kind``: certificate, response, seed, roster, miss, slash or payment; ``subject``: which one; ``what``: why.
    """

    kind: str
    subject: str
    what: str

    def to_json(self) -> dict[str, str]:
        """Return the finding for machines."""
        return {"kind": self.kind, "subject": self.subject, "what": self.what}


_COUNTS = ("rosters", "certificates", "seeds", "responses", "faults", "due", "settlements")


@dataclass
class AuditReport:
    """Counts of what was re-verified, and every finding.

    ``faults`` counts misses that were verified to be misses and were slashed; ``due`` those whose reporting or
    resolution period still runs.
    """

    from_block: int
    to_block: int
    rosters: int = 0
    certificates: int = 0
    seeds: int = 0
    responses: int = 0
    faults: int = 0
    due: int = 0
    settlements: int = 0
    findings: list[Finding] = field(default_factory=list)
    acted: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether everything held."""
        return not self.findings

    def add(self, kind: str, subject: str, what: str) -> None:
        """Note something that does not hold."""
        self.findings.append(Finding(kind, subject, what))

    def to_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "fromBlock": self.from_block,
            "toBlock": self.to_block,
            "rosters": self.rosters,
            "certificates": self.certificates,
            "seeds": self.seeds,
            "responses": self.responses,
            "faults": self.faults,
            "due": self.due,
            "settlements": self.settlements,
            "findings": [finding.to_json() for finding in self.findings],
            "acted": self.acted,
            "clean": self.clean,
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> AuditReport:
        """Return what :meth:`to_json` gave. Raises ``KeyError``, ``TypeError`` for anything else."""
        report = cls(int(given["fromBlock"]), int(given["toBlock"]))
        report.findings = [Finding(**item) for item in given["findings"]]
        for name in _COUNTS:
            setattr(report, name, int(given[name]))
        return report
