"""Storing a file: encrypt, plan, encode, pay, send, gather signatures, certify.

Before anything is paid the whole file has been read and encoded, and the recovery file is on disk. An interrupted run
goes on where it was when it is started again with the same file and folder; what was paid is found again by the
object's id, which is known before the payment.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.logs import DISCARD

from qanat import bls
from qanat.chain.connection import Chain
from qanat.chain.sender import Sender
from qanat.chain.views import ObjectRecord, ObjectStatus, OpenRequest, Roster, Views
from qanat.client.disperse import Dispersal, Target, disperse
from qanat.client.job import Job, JobFolder, Source, write_durably
from qanat.errors import (
    BadParameters,
    ChainError,
    FileChanged,
    FileUnreadable,
    QuorumNotReached,
    Refused,
    TransactionReverted,
)
from qanat.keys import FileEncryption, generate_data_key
from qanat.keys.recovery import RecoveryFile
from qanat.node.certificate import certificate_digest, object_id_of
from qanat.objects import Manifest, Plan, encode_file, plan, slices_of_operator

__all__ = ["Quote", "StoredObject", "needed_tickets", "store_file"]

Progress = Callable[[str, int, int], None]
"""Takes (stage: "encode", "send" or "sign"; done; in all): bytes, slices, operators."""

_PENDING_SECONDS = 120.0


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
    """A certified object. ``absent``: operators that did not sign, with the reason; ``sha256``: of the file."""

    object_id: bytes
    manifest: Manifest = field(repr=False)
    shard: int
    roster: int
    first_epoch: int
    end_epoch: int
    token: str
    payment: int
    recovery: Path | None
    sha256: bytes
    size: int
    signers: tuple[str, ...]
    absent: dict[str, str]
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
            "sha256": self.sha256.hex(),
            "size": self.size,
            "signers": list(self.signers),
            "absent": dict(self.absent),
            "explanation": list(self.explanation),
            "openTransaction": self.open_transaction,
            "certifyTransaction": self.certify_transaction,
            "resumed": self.resumed,
        }


def needed_tickets(tickets: int, k: int, n: int) -> int:
    """Return how many signed tickets a certificate needs: ⌈2T/3⌉, and k + ⌊T/3⌋·n/T rows' worth (DESIGN §5.2)."""
    per_ticket = n // tickets
    rows = k + tickets // 3 * per_ticket
    return max(-(-2 * tickets // 3), -(-rows // per_ticket))


def store_file(
    path: str | Path,
    *,
    chain: Chain,
    sender: Sender,
    shard: int,
    epochs: int,
    out_dir: str | Path,
    name: str | None = None,
    tolerate_down: int = 2,
    availability: float = 0.99,
    target: float = 0.9999,
    profile: str = "",
    encrypt: bool = True,
    confirm: Callable[[Quote], bool] | None = None,
    progress: Progress | None = None,
    grace_seconds: float = 15.0,
    timeout_seconds: float = 900.0,
) -> StoredObject:
    """Store a file with the operators of a shard's active roster for a number of epochs.

    Args:
        path: the file; it is read once, and must not change meanwhile.
        chain: the connection, with a deployment.
        sender: whose account owns and pays.
        shard: number of the shard.
        epochs: term.
        out_dir: folder for the recovery file ``<name>.recovery.json`` and, while it works, ``<name>.storing``.
        name: of those, the file's own by default.
        tolerate_down: operators, any, that may be down without losing the file.
        availability: probability with which an operator answers.
        target: probability with which the file must be restorable.
        profile: "" or "wide".
        encrypt: False stores the bytes as they are, for anybody to read; no recovery file is written.
        confirm: asked before paying; ``False`` ends with :class:`Refused`, nothing paid.
        progress: told how far it is.
        grace_seconds: how long to wait for the rest once a certificate is possible.
        timeout_seconds: most time for sending and signing.

    Raises:
        FileUnreadable, FileChanged: nothing paid.
        BadParameters: the roster can't hold it as asked; nothing paid.
        InsufficientFunds: with figures; nothing paid.
        QuorumNotReached: with each operator's reason. Run again within the epoch: signatures stand, nothing is paid
            twice. After it the fee is
            taken back, all but the intake.
        TransactionReverted, ChainUnreachable: run again.
    """
    source = Source.of(Path(path))
    folder = Path(out_dir)
    stem = name or Path(path).name
    storing = _Storing(
        views=Views(chain),
        sender=sender,
        source=source,
        shard=shard,
        epochs=epochs,
        job_folder=JobFolder(folder / f"{stem}.storing"),
        recovery=folder / f"{stem}.recovery.json" if encrypt else None,
        progress=progress or (lambda _stage, _done, _all: None),
        confirm=confirm,
    )
    job, resumed = storing.resume()
    if job is None:
        job = storing.encode(tolerate_down, availability, target, profile)
    job = storing.open(job)
    outcome = storing.gather(job, grace_seconds, timeout_seconds)
    return storing.certify(job, outcome, resumed=resumed)


@dataclass
class _Storing:
    views: Views
    sender: Sender
    source: Source
    shard: int
    epochs: int
    job_folder: JobFolder
    recovery: Path | None
    progress: Progress
    confirm: Callable[[Quote], bool] | None
    _manifest: Manifest | None = None

    @property
    def objects(self) -> Any:
        return self.views.chain.contract("Objects")

    # ---- before paying

    def resume(self) -> tuple[Job | None, bool]:
        """Return the job of an earlier run if it is for the same file and still of use."""
        job = self.job_folder.load()
        if job is None:
            self.job_folder.clear()
            return None, False
        here = (job.chain_id, job.objects, job.owner, job.shard, job.epochs)
        wanted = (self.views.chain.chain_id, self.objects.address, self.sender.address, self.shard, self.epochs)
        same = here == wanted and job.source == self.source and job.encrypted == (self.recovery is not None)
        record = self._paid(job)
        if record is None and job.object_id:
            self._wait_for_pending(job)
            record = self._paid(job)
        if record is None:
            if same and job.roster == self.views.active_roster(self.shard):
                return job, True
            # nothing was paid for it: begin anew. Its recovery file is put aside, not deleted, where a
            # payment was prepared
            if self.recovery is not None and self.recovery.exists():
                self.recovery.replace(self.recovery.with_name(self.recovery.name + ".unused"))
            self.job_folder.clear()
            return None, False
        if not same:
            raise BadParameters(
                f"{self.job_folder.path} holds an unfinished storing that was paid: object 0x{job.object_id} "
                f"of {job.source.path}.",
                hint="Finish that one first (same file, account, shard and epochs), or choose another --name.",
                object_id=job.object_id,
            )
        return job, True

    def _paid(self, job: Job) -> ObjectRecord | None:
        """Return the chain's record of the job's object if this job's payment made it."""
        if not job.object_id or job.chain_id != self.views.chain.chain_id:
            return None
        record = self.views.object(bytes.fromhex(job.object_id))
        if record.status is ObjectStatus.NONE or record.manifest_root != self._load_manifest().root:
            return None
        return record

    def encode(self, tolerate_down: int, availability: float, target: float, profile: str) -> Job:
        """Encrypt and encode the whole file, and write manifest and recovery file."""
        roster = self._active_roster()
        data_key = generate_data_key()
        encryption = FileEncryption(data_key) if self.recovery is not None else None
        hashing = _Hashing(encryption)
        chosen = plan(
            hashing.stored_size(self.source.size),
            roster.tickets,
            [entry.tickets for entry in roster.entries],
            tolerate_down=tolerate_down,
            availability=availability,
            target=target,
            profile=profile,
        )
        self._check_affordable(chosen, roster)
        if self.recovery is not None and self.recovery.exists():
            raise FileUnreadable(
                f"{self.recovery} is there already; it may be the only way to another object's data.",
                hint="Move it away, or choose another --name.",
                path=str(self.recovery),
            )
        try:
            with self.job_folder.writer(chosen.slice_bytes) as sink:
                self._manifest = encode_file(
                    self.source.path,
                    chosen,
                    sink,
                    transform=hashing,
                    progress=lambda done, all_: self.progress("encode", done, all_),
                )
            _check_unchanged(self.source)
            write_durably(self.job_folder.manifest, self._manifest.to_bytes())
        except BaseException:
            self.job_folder.clear()
            raise
        job = Job(
            source=self.source,
            chain_id=self.views.chain.chain_id,
            objects=self.objects.address,
            owner=self.sender.address,
            shard=self.shard,
            roster=roster.number,
            epochs=self.epochs,
            sha256=hashing.sha256.hexdigest(),
            encrypted=encryption is not None,
            explanation=chosen.explanation,
        )
        if self.recovery is not None:
            nonce = self.views.nonce(job.owner)
            object_id = object_id_of(job.chain_id, job.objects, job.owner, nonce)
            self._write_recovery(data_key, object_id, job)
        return self.job_folder.save(job)

    def _check_affordable(self, chosen: Plan, roster: Roster) -> None:
        """Refuse what the account can't pay before anything is written: the price follows from the shape alone."""
        request = OpenRequest(
            shard=self.shard,
            roster=roster.number,
            width=chosen.width,
            k=chosen.k,
            n=chosen.n,
            matrices=chosen.count,
            size=chosen.size,
            epochs=self.epochs,
            tree_root=bytes(32),
            content_hash=bytes(32),
            header_hash=bytes(32),
            max_payment=0,
        )
        storage, intake, token = self.views.quote(request)
        self.sender.check_tokens(token, storage + intake)

    # ---- paying

    def open(self, job: Job) -> Job:
        """Open the object and pay, unless that has happened."""
        if self._paid(job) is not None:
            return job if job.opened else self.job_folder.change(job, opened=True)
        manifest = self._load_manifest()
        self._wait_for_pending(job)
        if self._paid(job) is not None:
            return self.job_folder.change(job, opened=True)
        if self.recovery is not None and not self.recovery.exists():
            raise FileUnreadable(
                f"The recovery file {self.recovery} is gone; without it nobody could read what would be paid for.",
                hint=f"Remove {self.job_folder.path} and begin anew.",
                path=str(self.recovery),
            )
        request = OpenRequest(
            shard=job.shard,
            roster=job.roster,
            width=manifest.width,
            k=manifest.k,
            n=manifest.n,
            matrices=manifest.matrices,
            size=manifest.size,
            epochs=job.epochs,
            tree_root=manifest.tree.root,
            content_hash=manifest.content_hash,
            header_hash=_keccak(manifest.header),
            max_payment=0,
        )
        storage, intake, token = self.views.quote(request)
        quote = Quote(
            token=token,
            storage_fee=storage,
            intake_fee=intake,
            size=job.source.size,
            stored_bytes=manifest.count * manifest.slice_bytes,
            epochs=job.epochs,
            explanation=job.explanation,
        )
        self.sender.check_tokens(token, quote.total)
        if self.confirm is not None and not self.confirm(quote):
            raise Refused("Not stored: nothing was paid.", hint="The encoded file is kept for the next time.")
        request = OpenRequest(**{**_fields(request), "max_payment": quote.total})
        function = self.objects.functions.open(request.as_tuple())
        self._check_refusal(function)
        self.sender.approve_if_needed(token, self.views.chain.contract("Payments").address, quote.total)
        self.sender.estimate(function)
        nonce = self.views.nonce(job.owner)
        object_id = object_id_of(job.chain_id, job.objects, job.owner, nonce)
        # the id is on disk before the payment leaves: whatever happens, the next run finds what was paid
        self._name_object(object_id, job)
        job = self.job_folder.change(job, nonce=nonce, object_id=object_id.hex(), payment=quote.total, token=token)
        receipt = self.sender.send(function)
        opened = self.objects.events.ObjectOpened().process_receipt(receipt, errors=DISCARD)
        actual = bytes(opened[0]["args"]["objectId"])
        if actual != object_id:  # another opening of the same account came first
            job = self.job_folder.change(job, object_id=actual.hex())
            self._name_object(actual, job)
        transaction = "0x" + bytes(receipt["transactionHash"]).hex()
        return self.job_folder.change(
            job, opened=True, payment=int(opened[0]["args"]["payment"]), open_transaction=transaction
        )

    def _check_refusal(self, function: Any) -> None:
        """Raise what ``Objects`` itself refuses, before an allowance is given that would stay.

        It takes the payment last, so a refusal for want of the allowance says that it found nothing wrong.
        """
        own = {item["name"] for item in self.objects.abi if item["type"] == "error"}
        try:
            self.sender.estimate(function)
        except TransactionReverted as error:
            if error.error_name in own:
                raise

    def _wait_for_pending(self, job: Job) -> None:
        """If an earlier run may have sent the payment, wait until no transaction of the account is on its way."""
        if not job.object_id:
            return
        eth = self.views.chain.web3.eth
        account = to_checksum_address(self.sender.address)
        deadline = time.monotonic() + _PENDING_SECONDS
        while eth.get_transaction_count(account, "pending") > eth.get_transaction_count(account, "latest"):
            if time.monotonic() > deadline:
                raise ChainError(
                    f"A transaction of {self.sender.address} still waits for a block; it may be the payment.",
                    hint="Run again when it is through.",
                )
            time.sleep(1.0)

    # ---- sending

    def gather(self, job: Job, grace_seconds: float, seconds: float) -> Dispersal:
        """Send slices and gather verified signatures, at least as many as a certificate needs."""
        object_id = bytes.fromhex(job.object_id)
        record = self.views.object(object_id)
        if record.status is ObjectStatus.CERTIFIED:
            return Dispersal()
        manifest = self._load_manifest()
        roster = self.views.roster(record.shard, record.roster)
        deadline = self.views.certification_deadline(object_id)
        if record.status is ObjectStatus.FAILED or self.views.chain.latest() >= deadline:
            self._take_back(object_id, record)
        digest = certificate_digest(job.chain_id, self.objects.address, object_id, record)
        vacant = self.views.vacant_operators(roster)
        targets = [item for item in self._targets(object_id, roster, manifest) if item.operator not in vacant]
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

        with self.job_folder.reader(manifest.slice_bytes) as read:
            outcome = disperse(
                object_id,
                manifest.to_bytes(),
                read,
                targets,
                chain_id=job.chain_id,
                digest=digest,
                is_enough=is_enough,
                is_possible=lambda: self.views.chain.latest() < deadline,
                known={operator: bytes.fromhex(signature) for operator, signature in signatures.items()},
                grace_seconds=grace_seconds,
                seconds=seconds,
                on_slice=lambda done, _bytes: self.progress("send", min(done, total), total),
                on_signature=on_signature,
            )
        if not is_enough(frozenset(outcome.signatures)):
            got = sum(held[operator] for operator in outcome.signatures)
            reasons = "".join(f"\n  {operator}: {reason}" for operator, reason in sorted(outcome.failures.items()))
            raise QuorumNotReached(
                f"{got} of {roster.tickets} tickets signed for object 0x{object_id.hex()}; {needed} are needed."
                + reasons,
                hint=f"Run again before block {deadline}: what was signed and paid stands.",
                object_id=object_id,
                signed_tickets=got,
                needed_tickets=needed,
                tickets=roster.tickets,
                deadline=deadline,
                reasons=outcome.failures,
            )
        return outcome

    def _targets(self, object_id: bytes, roster: Roster, manifest: Manifest) -> list[Target]:
        targets = []
        for entry in roster.entries:
            operator = self.views.operator(entry.operator)
            if _keccak(operator.key) != entry.key_hash:
                continue  # its key changed since the snapshot: it can't sign under this roster
            indexes = slices_of_operator(
                object_id, roster.tickets, entry.first_ticket, entry.tickets, manifest.n, manifest.matrices
            )
            targets.append(Target(entry.operator, operator.endpoint, operator.key, indexes))
        return targets

    def _take_back(self, object_id: bytes, record: ObjectRecord) -> None:
        if record.status is ObjectStatus.OPEN:
            if self.views.chain.latest() <= self.views.certification_deadline(object_id):
                raise QuorumNotReached(
                    f"Object 0x{object_id.hex()} can't be certified any more, in this very block.",
                    hint="Run again when there is a new block: the storage fee is taken back then.",
                    object_id=object_id,
                )
            self.sender.send(self.objects.functions.fail(object_id))
        self.job_folder.clear()
        if self.recovery is not None:
            self.recovery.unlink(missing_ok=True)
        raise QuorumNotReached(
            f"Object 0x{object_id.hex()} was not certified within its epoch. The storage fee was taken back.",
            hint="Store the file again.",
            object_id=object_id,
        )

    # ---- certifying

    def certify(self, job: Job, outcome: Dispersal, *, resumed: bool) -> StoredObject:
        """Bring the certificate, unless somebody did."""
        object_id = bytes.fromhex(job.object_id)
        manifest = self._load_manifest()
        transaction = ""
        record = self.views.object(object_id)
        roster = self.views.roster(record.shard, record.roster)
        if record.status is not ObjectStatus.CERTIFIED:
            transaction = self._send_certificate(object_id, roster, outcome)
            record = self.views.object(object_id)
        signers = tuple(sorted(outcome.signatures))
        stored = StoredObject(
            object_id=object_id,
            manifest=manifest,
            shard=record.shard,
            roster=record.roster,
            first_epoch=record.first_epoch,
            end_epoch=record.end_epoch,
            token=job.token,
            payment=job.payment,
            recovery=self.recovery,
            sha256=bytes.fromhex(job.sha256),
            size=job.source.size,
            signers=signers,
            absent=outcome.failures,
            explanation=job.explanation,
            open_transaction=job.open_transaction,
            certify_transaction=transaction,
            resumed=resumed,
        )
        self._name_object(object_id, job)
        self.job_folder.clear()
        return stored

    def _send_certificate(self, object_id: bytes, roster: Roster, outcome: Dispersal) -> str:
        # a place may have fallen vacant since it signed
        signers = outcome.signatures.keys() - self.views.vacant_operators(roster)
        absent = [index for index, entry in enumerate(roster.entries) if entry.operator not in signers]
        excluded = b"".join(self.views.operator(roster.entries[index].operator).key for index in absent)
        ordered = [entry.operator for entry in roster.entries if entry.operator in signers]
        signature = bls.aggregate([outcome.signatures[operator] for operator in ordered])
        function = self.objects.functions.certify(object_id, signature, absent, excluded)
        try:
            receipt = self.sender.send(function)
        except TransactionReverted:
            if self.views.object(object_id).status is ObjectStatus.CERTIFIED:
                return ""  # anyone may bring it, and somebody did
            raise
        return "0x" + bytes(receipt["transactionHash"]).hex()

    # ---- the recovery file

    def _write_recovery(self, data_key: bytes, object_id: bytes, job: Job) -> None:
        if self.recovery is None:
            return
        made = RecoveryFile.seal(
            data_key=data_key,
            manifest=self._load_manifest(),
            object_id=object_id,
            chain_id=job.chain_id,
            contract=job.objects,
            account=self.sender.signer,
            extra={"name": Path(job.source.path).name, "sha256": job.sha256, "size": str(job.source.size)},
        )
        # beside the old one first: at no instant is there none
        partial = self.recovery.with_name(f".{self.recovery.name}.new")
        partial.unlink(missing_ok=True)
        self.recovery.parent.mkdir(parents=True, exist_ok=True)
        made.save(partial)
        partial.replace(self.recovery)

    def _name_object(self, object_id: bytes, job: Job) -> None:
        """Bind the recovery file to the object's id, unless it is."""
        if self.recovery is None:
            return
        present = RecoveryFile.load(self.recovery)
        if present.object_id != object_id:
            self._write_recovery(present.open(self.sender.signer), object_id, job)

    # ---- helpers

    def _active_roster(self) -> Roster:
        number = self.views.active_roster(self.shard)
        if number == 0:
            raise BadParameters(
                f"Shard {self.shard} has no active roster.", hint="Take a snapshot and wait for the next epoch."
            )
        return self.views.roster(self.shard, number)

    def _load_manifest(self) -> Manifest:
        if self._manifest is None:
            try:
                self._manifest = Manifest.from_bytes(self.job_folder.manifest.read_bytes())
            except OSError as error:
                raise FileUnreadable(f"{self.job_folder.manifest} can't be read: {error.strerror}.") from error
        return self._manifest


class _Hashing:
    """A transform that hashes what it reads, before an encryption if there is one."""

    def __init__(self, inner: FileEncryption | None) -> None:
        self._inner = inner
        self.sha256 = hashlib.sha256()

    @property
    def header(self) -> bytes:
        return b"" if self._inner is None else self._inner.header

    def stored_size(self, size: int) -> int:
        return size if self._inner is None else self._inner.stored_size(size)

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        hashed = self._hashed(chunks)
        return hashed if self._inner is None else self._inner.apply(hashed)

    def _hashed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.sha256.update(chunk)
            yield chunk


def _fields(request: OpenRequest) -> dict[str, Any]:
    return {item.name: getattr(request, item.name) for item in fields(request)}


def _keccak(data: bytes) -> bytes:
    return bytes(keccak(data))


def _check_unchanged(source: Source) -> None:
    if Source.of(Path(source.path)) != source:
        raise FileChanged(
            f"{source.path} changed while it was read.", hint="Store a copy that nothing writes to.", path=source.path
        )
