"""What storing takes, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qanat.client.absence import Absence
from qanat.objects import Manifest

__all__ = ["Quote", "StoredObject"]


@dataclass(frozen=True)
class Quote:
    """What an opening will take, in units of ``token``, and what it buys."""

    token: str
    storage_fee: int
    intake_fee: int
    size: int
    stored_bytes: int
    epochs: int
    explanation: tuple[str, ...]

    @property
    def total(self) -> int:
        """Storage and intake."""
        return self.storage_fee + self.intake_fee


@dataclass(frozen=True)
class StoredObject:
    """A certified object. ``absent``: operators that did not sign, with the reason; ``sha256``: of the file.

    ``recovery``: of an encrypted file, ``receipt``: of one that is not; what is left of the storing.
    """

    object_id: bytes
    manifest: Manifest = field(repr=False)
    shard: int
    roster: int
    first_epoch: int
    end_epoch: int
    token: str
    payment: int
    recovery: Path | None
    receipt: Path | None
    sha256: bytes
    size: int
    signers: tuple[str, ...]
    absent: dict[str, Absence]
    explanation: tuple[str, ...]
    open_transaction: str
    certify_transaction: str
    resumed: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "objectId": "0x" + self.object_id.hex(),
            "manifestRoot": "0x" + self.manifest.root.hex(),
            "shard": self.shard,
            "roster": self.roster,
            "width": self.manifest.width,
            "k": self.manifest.k,
            "n": self.manifest.n,
            "matrices": self.manifest.matrices,
            "slices": self.manifest.count,
            "firstEpoch": self.first_epoch,
            "endEpoch": self.end_epoch,
            "token": self.token,
            "payment": self.payment,
            "recovery": None if self.recovery is None else str(self.recovery),
            "receipt": None if self.receipt is None else str(self.receipt),
            "sha256": self.sha256.hex(),
            "size": self.size,
            "signers": list(self.signers),
            "absent": {operator: why.to_json() for operator, why in self.absent.items()},
            "explanation": list(self.explanation),
            "openTransaction": self.open_transaction,
            "certifyTransaction": self.certify_transaction,
            "resumed": self.resumed,
        }
