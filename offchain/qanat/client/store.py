"""Storing a file: encrypt, plan, encode, pay, send, gather signatures, certify.

Before anything is paid the whole file has been read and encoded, and the recovery file is on disk. A run that was
interrupted, at whatever instant, goes on where it was when it is started again with the same file and folder:

===========================================  ===========================================================================
interrupted                                  the next run
===========================================  ===========================================================================
while it encodes                             reads the file again, and encodes the matrices that are not on disk yet
encoded, nothing sent                        asks, and pays
after the payment's number was noted         looks on chain for an object with this manifest, from that number on; pays
                                             only if there is none and no transaction of the account is on its way
paid, while it sends                         sends what nodes say they lack; signatures gathered stand
certified                                    finds it certified, and tidies up
===========================================  ===========================================================================

What is on disk, and what is synced before what: :mod:`qanat.client.job`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from qanat.chain.connection import Chain
from qanat.chain.sender import Sender
from qanat.chain.views import ObjectRecord, ObjectStatus, Roster, Views
from qanat.client.absence import Absence, AbsenceKind
from qanat.client.availability import measured_availability
from qanat.client.certifying import Certifier
from qanat.client.disperse import Dispersal
from qanat.client.job import Job, JobFolder, Source, sync_folder, write_durably
from qanat.client.opening import Opener, open_request
from qanat.client.stored import Quote, StoredObject
from qanat.client.together import Brought, Together
from qanat.errors import BadParameters, FileChanged, FileUnreadable, QuorumNotReached, Refused
from qanat.keys import FileEncryption, generate_data_key
from qanat.keys.recovery import RecoveryFile
from qanat.kzg.points import COMPRESSED_IDENTITY
from qanat.objects import Failures, Manifest, Plan, Shape, encode_file, plan
from qanat.records.bundle import head_of_file

__all__ = ["Quote", "StoredObject", "store_file"]

Progress = Callable[[str, int, int], None]
"""Takes (stage: "encode", "send" or "sign"; done; in all): bytes, slices, operators."""


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
    tolerate_absent: int = 0,
    availability: float | None = None,
    target: float = 0.9999,
    durability: float = 0.0,
    failures: Failures | None = None,
    profile: str = "",
    encrypt: bool = True,
    recovery_key: bytes | None = None,
    confirm: Callable[[Quote], bool] | None = None,
    progress: Progress | None = None,
    together: Together | None = None,
    grace_seconds: float = 15.0,
    timeout_seconds: float = 900.0,
) -> StoredObject:
    """Store a file with the operators of a shard's active roster for a number of epochs.

    Args:
        path: the file; it must not change while it is encoded.
        chain: the connection, with a deployment.
        sender: whose account owns and pays.
        shard: number of the shard.
        epochs: term.
        out_dir: folder for the recovery file ``<name>.recovery.json`` (of a file that is not encrypted a receipt,
            ``<name>.stored.json``) and, while it works, ``<name>.storing``.
        name: of those, the file's own by default.
        tolerate_down: operators, any, that may be down without losing the file.
        tolerate_absent: operators, any, that may fail to sign without preventing the certificate.
        availability: probability with which an operator answers; by default measured, one for each, when a storing
            begins.
        target: probability with which the file must be restorable at a moment.
        durability: nines a year asked for.
        failures: how operators are lost for good.
        profile: "" or "wide".
        encrypt: False stores the bytes as they are, for anybody to read; no recovery file is written.
        recovery_key: public half of the owner's recovery key: the header wraps the data key to it.
        confirm: asked before paying; ``False`` ends with :class:`Refused`, nothing paid.
        progress: told how far it is.
        together: what brings the certificate, shared with other storings of the account that run at the same time.
        grace_seconds: how long to wait for the rest once a certificate is possible.
        timeout_seconds: most time for sending and signing.

    Raises:
        FileUnreadable, FileChanged: nothing paid.
        BadParameters: the roster can't hold it as asked, or another process is at it; nothing paid.
        InsufficientFunds: with figures; nothing paid.
        QuorumNotReached: with each operator's reason. Run again within the epoch: signatures stand, nothing is paid
            twice. After it the fee is taken back, all but the intake, and the file stays encoded.
        TransactionReverted, ChainUnreachable: run again.
    """
    source = Source.of(Path(path))
    folder = Path(out_dir)
    stem = name or Path(path).name
    views = Views(chain)

    def judged(roster: Roster, before: Mapping[str, float]) -> dict[str, float]:
        operators = [entry.operator for entry in roster.entries]
        if availability is not None:
            return dict.fromkeys(operators, availability)
        if all(operator in before for operator in operators):
            return {operator: before[operator] for operator in operators}
        measured = dict(zip(operators, measured_availability(views, roster), strict=True))
        return {operator: before.get(operator, measured[operator]) for operator in operators}

    def planned(size: int, roster: Roster, chances: Mapping[str, float]) -> Plan:
        return plan(
            size,
            roster.tickets,
            [entry.tickets for entry in roster.entries],
            tolerate_down=tolerate_down,
            tolerate_absent=tolerate_absent,
            availability=[chances[entry.operator] for entry in roster.entries],
            target=target,
            durability=durability,
            failures=failures,
            profile=profile,
        )

    job_folder = JobFolder(folder / f"{stem}.storing")
    storing = _Storing(
        opener=Opener(views, sender),
        source=source,
        shard=shard,
        epochs=epochs,
        judged=judged,
        planned=planned,
        job_folder=job_folder,
        recovery=folder / f"{stem}.recovery.json" if encrypt else None,
        receipt=None if encrypt else folder / f"{stem}.stored.json",
        recovery_key=recovery_key,
        progress=progress or (lambda _stage, _done, _all: None),
        confirm=confirm,
        together=together,
    )
    with job_folder.locked():
        job = storing.resume()
        resumed = job is not None
        if job is None:
            job = storing.begin()
        job = storing.encode(job)
        job = storing.open(job)
        outcome = storing.gather(job, grace_seconds, timeout_seconds, again=resumed)
        return storing.certify(job, outcome, resumed=resumed)


@dataclass
class _Storing:
    opener: Opener
    source: Source
    shard: int
    epochs: int
    judged: Callable[[Roster, Mapping[str, float]], dict[str, float]]
    planned: Callable[[int, Roster, Mapping[str, float]], Plan]
    job_folder: JobFolder
    recovery: Path | None
    receipt: Path | None
    recovery_key: bytes | None
    progress: Progress
    confirm: Callable[[Quote], bool] | None
    together: Together | None
    _manifest: Manifest | None = None
    _data_key: bytes = b""

    @property
    def views(self) -> Views:
        return self.opener.views

    @property
    def sender(self) -> Sender:
        return self.opener.sender

    # ---- before paying

    def resume(self) -> Job | None:
        """Return the job of an earlier run if it is for the same file and still of use."""
        job = self.job_folder.load()
        if job is None:
            self.job_folder.empty()
            return None
        if job.prepared:
            here = (self.views.chain.chain_id, self.opener.objects.address, self.sender.address)
            if (job.chain_id, job.objects, job.owner) != here:
                raise self._unfinished(job, f"prepared for account {job.owner} on chain {job.chain_id}")
            found = self.opener.find_settled(job)
            if found is not None:
                object_id, _ = found
                if not self._is_same_file(job) or (job.shard, job.epochs) != (self.shard, self.epochs):
                    raise self._unfinished(job, f"paid: object 0x{object_id.hex()} of {job.source.path}")
                return self.job_folder.change(job, object_id=object_id.hex(), opened=True)
        if self._is_same_file(job):
            roster = self._active_roster()
            # operators are judged once per storing: what they answered meanwhile is no reason to encode again
            chances = self.judged(roster, job.availability)
            chosen = self.planned(self._stored_size(), roster, chances)
            if Shape(chosen.width, chosen.k, chosen.n) == job.shape:
                return self.job_folder.change(
                    job,
                    chain_id=self.views.chain.chain_id,
                    objects=self.opener.objects.address,
                    shard=self.shard,
                    roster=roster.number,
                    epochs=self.epochs,
                    explanation=chosen.explanation,
                    availability=chances,
                    opened=False,
                )
        self._abandon(job)
        return None

    def _is_same_file(self, job: Job) -> bool:
        here = (self.source, self.recovery is not None, self.sender.address)
        return (job.source, job.encrypted, job.owner) == here

    def _unfinished(self, job: Job, what: str) -> BadParameters:
        return BadParameters(
            f"{self.job_folder.path} holds an unfinished storing that was {what}.",
            hint="Finish that one first (same file, account, shard and epochs), or choose another --name.",
            object_id=job.object_id,
        )

    def _abandon(self, job: Job) -> None:
        """Begin anew: nothing was paid. The recovery file is put aside, not deleted, if a payment was prepared."""
        if job.prepared and self.recovery is not None and self.recovery.exists():
            names = (self.recovery.with_name(f"{self.recovery.name}.unused{number or ''}") for number in count())
            self.recovery.rename(next(name for name in names if not name.exists()))
            sync_folder(self.recovery.parent)
        self.job_folder.empty()

    def begin(self) -> Job:
        """Plan, and write down what is going to be encoded, and the sealed key."""
        self._check_not_there()
        roster = self._active_roster()
        chances = self.judged(roster, {})
        chosen = self.planned(self._stored_size(), roster, chances)
        encryption = None
        if self.recovery is not None:
            self._data_key = generate_data_key()
            encryption = FileEncryption(self._data_key, recovery_key=self.recovery_key)
        job = Job(
            source=self.source,
            chain_id=self.views.chain.chain_id,
            objects=self.opener.objects.address,
            owner=self.sender.address,
            shard=self.shard,
            roster=roster.number,
            epochs=self.epochs,
            encrypted=encryption is not None,
            width=chosen.width,
            k=chosen.k,
            n=chosen.n,
            header="" if encryption is None else encryption.header.hex(),
            explanation=chosen.explanation,
            availability=chances,
        )
        # what the account can't pay for is refused before anything is written
        self.opener.check_affordable(open_request(job, chosen, chosen.size))
        if encryption is not None:
            self._seal(_nothing(encryption.header), bytes(32), job).save(self.job_folder.key)
        return self.job_folder.save(job)

    def _check_not_there(self) -> None:
        left = self.recovery or self.receipt
        if left is not None and left.exists():
            raise FileUnreadable(
                f"{left} is there already, of an object that was stored; it may be the only way to it.",
                hint="Move it away, or choose another --name.",
                path=str(left),
            )

    def encode(self, job: Job) -> Job:
        """Encrypt and encode the file, but for what an earlier run did, and write the manifest."""
        if job.encoded:
            return job
        encryption = FileEncryption.resumed(self._key(), bytes.fromhex(job.header)) if job.encrypted else None
        hashing = _Hashing(encryption, head_of_file(self.source.path))
        try:
            with self.job_folder.encoding(job.shape) as (sink, memory):
                self._manifest = encode_file(
                    self.source.path,
                    job.shape,
                    sink,
                    transform=hashing,
                    progress=lambda done, all_: self.progress("encode", done, all_),
                    memory=memory,
                )
            _check_unchanged(self.source)
        except FileChanged:
            self.job_folder.empty()
            raise
        write_durably(self.job_folder.manifest, self._manifest.to_bytes())
        return self.job_folder.change(
            job, encoded=True, sha256=hashing.sha256.hexdigest(), root=self._manifest.root.hex()
        )

    # ---- paying

    def open(self, job: Job) -> Job:
        """Open the object and pay, unless that has happened."""
        if job.opened:
            return job
        manifest = self._load_manifest()
        self._check_recovery_is_ours(job)
        request = open_request(job, manifest.shape, manifest.size, manifest)
        storage, intake, token = self.opener.check_affordable(request)
        quote = Quote(
            token=token,
            storage_fee=storage,
            intake_fee=intake,
            size=job.source.size,
            stored_bytes=manifest.count * manifest.slice_bytes,
            epochs=job.epochs,
            explanation=job.explanation,
        )
        if self.confirm is not None and not self.confirm(quote):
            raise Refused("Not stored: nothing was paid.", hint="The encoded file is kept for the next time.")
        request = replace(request, max_payment=quote.total)
        first = job.nonce

        def prepared(nonce: int, object_id: bytes) -> None:
            # both are on disk before the payment leaves: whatever happens, the next run finds what was paid
            nonlocal job
            nonce = min(first, nonce) if first >= 0 else nonce
            job = self.job_folder.change(
                job, nonce=nonce, object_id=object_id.hex(), payment=quote.total, token=quote.token
            )
            self._name_object(object_id, job)

        opened = self.opener.pay(request, bytes.fromhex(job.root), token, prepared)
        self._name_object(opened.object_id, job)  # another opening of the account may have come first
        return self.job_folder.change(
            job,
            object_id=opened.object_id.hex(),
            opened=True,
            payment=opened.payment,
            open_transaction=opened.transaction,
        )

    # ---- sending, certifying

    def gather(self, job: Job, grace_seconds: float, seconds: float, *, again: bool) -> Dispersal:
        """Send slices and gather verified signatures, at least as many as a certificate needs."""
        object_id = bytes.fromhex(job.object_id)
        record = self.views.object(object_id)
        if record.status is ObjectStatus.CERTIFIED:
            return Dispersal(signatures={name: bytes.fromhex(mine) for name, mine in job.signatures.items()})
        deadline = self.views.certification_deadline(object_id)
        if record.status is ObjectStatus.FAILED or self.views.chain.latest() >= deadline:
            self._take_back(job, object_id, record)
        return self._certifier(again=again).gather(job, record, deadline, grace_seconds, seconds)

    def _certifier(self, *, again: bool) -> Certifier:
        return Certifier(self.views, self.sender, self.job_folder, self._load_manifest(), again, self.progress)

    def _take_back(self, job: Job, object_id: bytes, record: ObjectRecord) -> None:
        if record.status is ObjectStatus.OPEN:
            if self.views.chain.latest() <= self.views.certification_deadline(object_id):
                raise QuorumNotReached(
                    f"Object 0x{object_id.hex()} can't be certified any more, in this very block.",
                    hint="Run again when there is a new block: the storage fee is taken back then.",
                    object_id=object_id,
                )
            self.sender.send(self.opener.objects.functions.fail(object_id))
        if self.recovery is not None:
            self.recovery.unlink(missing_ok=True)
        self.job_folder.change(job, nonce=-1, object_id="", opened=False, payment=0, open_transaction="", signatures={})
        raise QuorumNotReached(
            f"Object 0x{object_id.hex()} was not certified within its epoch. The storage fee was taken back.",
            hint="Store the file again: it is encoded already.",
            object_id=object_id,
        )

    def certify(self, job: Job, outcome: Dispersal, *, resumed: bool) -> StoredObject:
        """Bring the certificate, unless somebody did, and tidy up."""
        object_id = bytes.fromhex(job.object_id)
        brought = Brought("")
        record = self.views.object(object_id)
        if record.status is not ObjectStatus.CERTIFIED:
            certifier, opened = self._certifier(again=resumed), record

            def alone() -> str:
                return certifier.certify(object_id, opened, outcome)

            brought = Brought(alone()) if self.together is None else self.together.bring(object_id, alone)
            record = self.views.object(object_id)
        signers, absent = _under(brought, outcome)
        stored = StoredObject(
            object_id=object_id,
            manifest=self._load_manifest(),
            shard=record.shard,
            roster=record.roster,
            first_epoch=record.first_epoch,
            end_epoch=record.end_epoch,
            token=job.token,
            payment=job.payment,
            recovery=self.recovery,
            receipt=self.receipt,
            sha256=bytes.fromhex(job.sha256),
            size=job.source.size,
            signers=signers,
            absent=absent,
            explanation=job.explanation,
            open_transaction=job.open_transaction,
            certify_transaction=brought.transaction,
            resumed=resumed,
        )
        # one of the two is left: a further run finds it, and pays nothing
        self._name_object(object_id, job)
        if self.receipt is not None:
            write_durably(self.receipt, (json.dumps(stored.to_json(), indent=1) + "\n").encode(), mode=0o644)
        self.job_folder.empty()
        return stored

    # ---- the data key and the recovery file

    def _key(self) -> bytes:
        if not self._data_key:
            self._data_key = RecoveryFile.load(self.job_folder.key).open(self.sender.signer)
        return self._data_key

    def _seal(self, manifest: Manifest, object_id: bytes, job: Job) -> RecoveryFile:
        return RecoveryFile.seal(
            data_key=self._data_key,
            manifest=manifest,
            object_id=object_id,
            chain_id=job.chain_id,
            contract=job.objects,
            account=self.sender.signer,
            extra={"name": Path(job.source.path).name, "sha256": job.sha256, "size": str(job.source.size)},
        )

    def _check_recovery_is_ours(self, job: Job) -> None:
        """A recovery file that is there must be this job's, of an earlier try to pay."""
        if not job.prepared:
            self._check_not_there()
        elif self.recovery is not None and self.recovery.exists():
            present = RecoveryFile.load(self.recovery)
            if present.manifest.content_hash != self._load_manifest().content_hash:
                self._check_not_there()

    def _name_object(self, object_id: bytes, job: Job) -> None:
        """Write the recovery file, bound to the object's id, unless it is there. At no instant is there none."""
        if self.recovery is None:
            return
        if self.recovery.exists() and RecoveryFile.load(self.recovery).object_id == object_id:
            return
        self._key()
        made = self._seal(self._load_manifest(), object_id, job)
        partial = self.recovery.with_name(f".{self.recovery.name}.new")
        partial.unlink(missing_ok=True)
        made.save(partial)
        partial.replace(self.recovery)
        sync_folder(self.recovery.parent)

    # ---- helpers

    def _active_roster(self) -> Roster:
        number = self.views.active_roster(self.shard)
        if number == 0:
            raise BadParameters(
                f"Shard {self.shard} has no active roster.", hint="Take a snapshot and wait for the next epoch."
            )
        return self.views.roster(self.shard, number)

    def _stored_size(self) -> int:
        size = self.source.size
        return size if self.recovery is None else FileEncryption(bytes(32)).stored_size(size)

    def _load_manifest(self) -> Manifest:
        if self._manifest is None:
            try:
                self._manifest = Manifest.from_bytes(self.job_folder.manifest.read_bytes())
            except OSError as error:
                raise FileUnreadable(f"{self.job_folder.manifest} can't be read: {error.strerror}.") from error
        return self._manifest


def _under(brought: Brought, outcome: Dispersal) -> tuple[tuple[str, ...], dict[str, Absence]]:
    """Return who signed the certificate and who didn't: of a list, those that signed the list."""
    if brought.listed is None:
        return tuple(sorted(outcome.signatures)), outcome.failures
    absent = {
        operator: outcome.failures.get(operator, Absence(AbsenceKind.LATE, why))
        for operator, why in brought.listed.failures.items()
    }
    return tuple(sorted(brought.listed.signatures)), absent


def _nothing(header: bytes) -> Manifest:
    """The manifest of no bytes: what a data key is sealed with before there is the object's own."""
    digest = hashlib.sha256(b"").digest()
    return Manifest(64, 1, 1, 1, 0, digest, header, (COMPRESSED_IDENTITY,))


class _Hashing:
    """A transform that hashes what it reads, before an encryption if there is one.

    ``head``: what the manifest's header begins with: a bundle's, so that its records can be proven.
    """

    def __init__(self, inner: FileEncryption | None, head: bytes) -> None:
        self._inner = inner
        self._head = head
        self.sha256 = hashlib.sha256()

    @property
    def header(self) -> bytes:
        return self._head + (b"" if self._inner is None else self._inner.header)

    def stored_size(self, size: int) -> int:
        return size if self._inner is None else self._inner.stored_size(size)

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        hashed = self._hashed(chunks)
        return hashed if self._inner is None else self._inner.apply(hashed)

    def _hashed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.sha256.update(chunk)
            yield chunk


def _check_unchanged(source: Source) -> None:
    if Source.of(Path(source.path)) != source:
        raise FileChanged(
            f"{source.path} changed while it was read.", hint="Store a copy that nothing writes to.", path=source.path
        )
