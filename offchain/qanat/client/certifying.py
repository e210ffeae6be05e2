"""Sending an opened object's slices, gathering signatures, bringing the certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qanat import bls
from qanat.chain.sender import Sender
from qanat.chain.views import ObjectRecord, ObjectStatus, Roster, Views
from qanat.client.absence import Absence, AbsenceKind, counted
from qanat.client.disperse import Dispersal, Target, disperse
from qanat.client.job import Job, JobFolder
from qanat.errors import QuorumNotReached, TransactionReverted
from qanat.node.certificate import certificate_digest
from qanat.node.permits import make_permit
from qanat.objects import Manifest, needed_tickets, slices_of_operator

__all__ = ["Certifier"]

#: What clocks may differ by, and more: a permit only says whose bytes these are.
_PERMIT_SLACK_SECONDS = 3600.0


@dataclass(frozen=True)
class Certifier:
    """Certifies one opened object. ``again``: an earlier run may have sent slices."""

    views: Views
    sender: Sender
    job_folder: JobFolder
    manifest: Manifest
    again: bool
    progress: Callable[[str, int, int], None]

    @property
    def objects(self) -> Any:
        """The contract."""
        return self.views.chain.contract("Objects")

    def gather(self, job: Job, record: ObjectRecord, deadline: int, grace_seconds: float, seconds: float) -> Dispersal:
        """Send slices and gather verified signatures, at least as many as a certificate needs.

        Raises :class:`QuorumNotReached` with each operator's reason; signatures are on disk as they come.
        """
        object_id = bytes.fromhex(job.object_id)
        roster = self.views.roster(record.shard, record.roster)
        vacant = self.views.vacant_operators(roster)
        targets = [item for item in self._targets(object_id, roster) if item.operator not in vacant]
        needed = needed_tickets(roster.tickets, record.k, record.n)
        held = {entry.operator: entry.tickets for entry in roster.entries}
        total = sum(len(item.indexes) for item in targets)

        def is_enough(signers: frozenset[str]) -> bool:
            return sum(held[operator] for operator in signers) >= needed

        signatures = {operator: mine for operator, mine in job.signatures.items() if operator not in vacant}

        def on_signature(operator: str, signature: bytes) -> None:
            signatures[operator] = signature.hex()
            self.job_folder.change(job, signatures=dict(signatures))
            self.progress("sign", len(signatures), len(targets))

        with self.job_folder.reader(self.manifest.slice_bytes) as read:
            outcome = disperse(
                object_id,
                self.manifest.to_bytes(),
                read,
                targets,
                chain_id=job.chain_id,
                permits=self._permits(job, object_id, [item.operator for item in targets], seconds),
                digest=certificate_digest(job.chain_id, self.objects.address, object_id, record),
                is_enough=is_enough,
                is_possible=lambda: self.views.chain.latest() < deadline,
                known={operator: bytes.fromhex(signature) for operator, signature in signatures.items()},
                again=self.again,
                grace_seconds=grace_seconds,
                seconds=seconds,
                on_slice=lambda done, _bytes: self.progress("send", min(done, total), total),
                on_signature=on_signature,
            )
        if not is_enough(frozenset(outcome.signatures)):
            got = sum(held[operator] for operator in outcome.signatures)
            gone = Absence(AbsenceKind.VACANT, "its place in the roster is vacant")
            absences = {**dict.fromkeys(vacant, gone), **outcome.failures}
            raise QuorumNotReached(
                f"{got} of {roster.tickets} tickets signed for object 0x{object_id.hex()}; {needed} are needed. "
                f"Operators that did not sign: {counted(absences)}.",
                hint=f"Run again before block {deadline}: what was signed and paid stands.",
                object_id=object_id,
                signed_tickets=got,
                needed_tickets=needed,
                tickets=roster.tickets,
                deadline=deadline,
                reasons={operator: str(why) for operator, why in absences.items()},
                absent={operator: why.to_json() for operator, why in absences.items()},
            )
        return outcome

    def _permits(self, job: Job, object_id: bytes, operators: list[str], seconds: float) -> dict[str, str]:
        """Sign, once for each operator that has not signed, that what it will be sent comes from the payer."""
        objects = self.objects.address
        return {
            operator: make_permit(
                self.sender.signer,
                job.chain_id,
                objects,
                object_id,
                self.manifest.root,
                operator,
                seconds=seconds + _PERMIT_SLACK_SECONDS,
            )
            for operator in operators
            if operator not in job.signatures
        }

    def _targets(self, object_id: bytes, roster: Roster) -> list[Target]:
        targets = []
        manifest = self.manifest
        keys = self.views.roster_keys(roster, [entry.seat for entry in roster.entries])
        for number, entry in enumerate(roster.entries):
            indexes = slices_of_operator(
                object_id, roster.tickets, entry.first_ticket, entry.tickets, manifest.n, manifest.matrices
            )
            endpoints = self.views.operator(entry.operator).endpoints
            targets.append(Target(entry.operator, endpoints, keys[number * 256 : (number + 1) * 256], indexes))
        return targets

    def certify(self, object_id: bytes, record: ObjectRecord, outcome: Dispersal) -> str:
        """Bring the certificate; return its transaction, "" if somebody else brought one first."""
        roster = self.views.roster(record.shard, record.roster)
        # a place may have fallen vacant since it signed
        signers = outcome.signatures.keys() - self.views.vacant_operators(roster)
        absent = [entry.seat for entry in roster.entries if entry.operator not in signers]
        ordered = [entry.operator for entry in roster.entries if entry.operator in signers]
        signature = bls.aggregate([outcome.signatures[operator] for operator in ordered])
        function = self.objects.functions.certify(object_id, signature, absent)
        try:
            receipt = self.sender.send(function)
        except TransactionReverted:
            if self.views.object(object_id).status is ObjectStatus.CERTIFIED:
                return ""  # anyone may bring it, and somebody did
            raise
        return "0x" + bytes(receipt["transactionHash"]).hex()
