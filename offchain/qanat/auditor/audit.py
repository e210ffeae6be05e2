"""One audit: brings the index up to a block, then checks everything in the order in which it depends on each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from qanat.auditor.checks import (
    Shown,
    check_certificate,
    check_openings,
    check_roster,
    check_seed,
    check_slash,
    read_answer,
)
from qanat.auditor.evidence import Evidence
from qanat.auditor.population import Population
from qanat.auditor.report import AuditReport
from qanat.chain.connection import Chain
from qanat.chain.misses import reports
from qanat.chain.sender import Sender
from qanat.chain.views import Views
from qanat.errors import AuditFailed, BadParameters, FormatError, TransactionReverted
from qanat.index import Index
from qanat.index.records import Answer, Miss, SealedEpoch, SlashRecord

__all__ = ["audit"]

#: How a finding begins that is none of the chain's: evidence was missing, or did not hold.
_UNVERIFIED = "cannot be verified"
#: Answers whose openings are checked together: more save little, and 16 points each fill the engine's batches.
_BATCH = 64

Progress = Callable[[str, int, int], None]


def audit(
    chain: Chain,
    index: Index,
    *,
    to_block: int | None = None,
    act: Sender | None = None,
    progress: Progress | None = None,
    since: AuditReport | None = None,
) -> AuditReport:
    """Re-verify all shards up to a block (default: the newest safe one) and return what holds and what doesn't.

    :param since: the report of an earlier audit of this deployment. What it verified of certificates, seeds, responses
        is counted, and what it found is found again, without another look; all else is checked anew.
    :param act: if given, misses that nobody reported are reported and due slashes carried out with this account.
    :param progress: called with (what, done, of).

    Raises ``ChainError`` and its leaves; what does not hold is no error but a finding of the report.
    """
    until = chain.safe_block() if to_block is None else to_block
    index.sync(until)
    views = Views(chain)
    report = AuditReport(from_block=chain.deployment.first_block, to_block=until)
    evidence = Evidence(chain, views)
    keys = {
        bytes.fromhex(str(event.arguments["keyHash"])[2:]): bytes.fromhex(str(event.arguments["key"])[2:])
        for event in index.events("KeyPublished", contract="Operators")
    }
    for shard in sorted({item.shard for item in index.rosters()}):
        population = Population(views, index, shard)
        _Shard(population, index, evidence, keys, report, progress or _silent, since).run(until)
    if act is not None:
        _act(chain, act, index, views, report)
    return report


class _Shard:
    """The audit of one shard."""

    def __init__(
        self,
        population: Population,
        index: Index,
        evidence: Evidence,
        keys: dict[bytes, bytes],
        report: AuditReport,
        progress: Progress,
        since: AuditReport | None,
    ) -> None:
        self.population, self.index, self.evidence = population, index, evidence
        self.keys, self.report, self.progress = keys, report, progress
        self.shard = population.shard
        self.seen = -1 if since is None else since.to_block
        self.known: dict[tuple[str, str], list[str]] = {}
        for item in () if since is None else since.findings:
            self.known.setdefault((item.kind, item.subject), []).append(item.what)

    def run(self, until: int) -> None:
        for roster in self.population.rosters.values():
            self.report.rosters += self._holds(
                "roster", f"{self.shard}/{roster.number}", check_roster(roster, self.keys)
            )
        objects = self.population.objects
        for done, item in enumerate(objects, 1):
            subject = f"0x{item.opened.object_id.hex()}"
            found = check_certificate(item, self.population, self.evidence, self.keys)
            block = max([item.certificate.block, *(adoption.block for adoption in item.certificate.adoptions)])
            self.report.certificates += self._holds_since("certificate", subject, block, found)
            self.progress("certificates", done, len(objects))
        sealed = {(item.epoch, item.audits): item for item in self.index.sealed_epochs(self.shard)}
        for (epoch, audits), seal in sealed.items():
            found = check_seed(seal, self.population, self.evidence)
            subject = f"{self.shard}/{epoch}{self._at(audits)}"
            self.report.seeds += self._holds_since("seed", subject, seal.sealed_block, found)
        answers = self.index.answers(self.shard)
        for start in range(0, len(answers), _BATCH):
            self._responses(answers[start : start + _BATCH], sealed)
            self.progress("responses", min(start + _BATCH, len(answers)), len(answers))
        self._misses(sealed, until)
        self._settlements(sealed)

    def _at(self, audits: str) -> str:
        """What tells one Audits from another in a subject: nothing for the shard's first."""
        return "" if audits == self.population.first_audits else f" at {audits}"

    def _duty(self, epoch: int, operator: str, audits: str) -> str:
        return _duty(epoch, operator) + self._at(audits)

    def _responses(self, answers: Sequence[Answer], sealed: dict[tuple[int, str], SealedEpoch]) -> None:
        """Check some answers, what they open all together."""
        opened: list[Shown] = []
        whose: list[list[str]] = []
        results: list[tuple[str, int, list[str]]] = []
        for answer in answers:
            duty = self._duty(answer.epoch, answer.operator, answer.audits)
            found: list[str] = []
            if self._is_new("response", duty, answer.block):
                found = _listed(self._answered(answer, sealed.get((answer.epoch, answer.audits)), opened))
            # what was wrong before anything was opened does not keep it from being opened
            whose += [found] * (len(opened) - len(whose))
            results.append((duty, answer.block, found))
        for listed, wrong in zip(whose, check_openings(opened), strict=True):
            listed.extend([f"{_UNVERIFIED}: {wrong}"] if isinstance(wrong, FormatError) else wrong)
        for duty, block, found in results:
            self.report.responses += self._holds_since("response", duty, block, found)

    def _answered(self, answer: Answer, seal: SealedEpoch | None, opened: list[Shown]) -> Iterator[str]:
        if seal is None:
            yield "answers an epoch that was never sealed"
        else:
            yield from read_answer(answer, seal, self.population, self.evidence, opened)

    def _holds_since(self, kind: str, subject: str, block: int, found: Iterable[str]) -> bool:
        """The same, without another look at what an earlier audit saw, unless it could not be verified then."""
        if self._is_new(kind, subject, block):
            return self._holds(kind, subject, found)
        return self._holds(kind, subject, self.known.get((kind, subject), []))

    def _is_new(self, kind: str, subject: str, block: int) -> bool:
        known = self.known.get((kind, subject), [])
        return block > self.seen or any(what.startswith(_UNVERIFIED) for what in known)

    def _holds(self, kind: str, subject: str, found: Iterable[str]) -> bool:
        """Note what was found; tell whether nothing was."""
        listed = _listed(found)
        for what in listed:
            self.report.add(kind, subject, what)
        return not listed

    def _misses(self, sealed: dict[tuple[int, str], SealedEpoch], until: int) -> None:
        answered = {(item.epoch, item.operator, item.audits) for item in self.index.answers(self.shard)}
        reported = {(item.epoch, item.operator, item.audits): item for item in self.index.misses(self.shard)}
        slashes = {(item.epoch, item.operator): item for item in self.index.slashes() if item.shard == self.shard}
        punished = {(epoch, operator) for epoch, operator, _ in reported}
        for (epoch, audits), item in sorted(sealed.items()):
            if until <= item.deadline:
                continue
            for operator in self.population.operators_in(epoch, audits):
                duty = (epoch, operator, audits)
                if self.population.snapshot(*duty).held == 0 or duty in answered:
                    continue
                if duty not in reported and (epoch, operator) in punished:
                    continue  # missed at another Audits too: an epoch is slashed once
                self._missed(item, operator, reported.get(duty), slashes.get((epoch, operator)), until)
        for duty, miss in reported.items():
            self._justified(miss, sealed.get((miss.epoch, miss.audits)), duty in answered)
        queued = Counter((item.epoch, item.operator) for item in self.index.slashes() if item.shard == self.shard)
        for (epoch, operator), times in queued.items():
            if (epoch, operator) not in punished:
                self.report.add("slash", _duty(epoch, operator), "slashed, but no miss was reported")
            elif times > 1:
                self.report.add("slash", _duty(epoch, operator), f"slashed {times} times")

    def _missed(
        self, item: SealedEpoch, operator: str, miss: Miss | None, slash: SlashRecord | None, until: int
    ) -> None:
        subject = self._duty(item.epoch, operator, item.audits)
        if miss is None:
            if until > item.deadline + self.population.parameters.reporting:
                self.report.add("miss", subject, "was never reported")
            else:
                self.report.due += 1
        elif slash is None:
            self.report.add("slash", subject, "was reported but no slash is queued")
        elif slash.executed_block is None:
            self.report.due += 1
        else:
            found = check_slash(slash, self.population, self.evidence, item.audits)
            self.report.faults += self._holds("slash", subject, found)

    def _justified(self, miss: Miss, sealed: SealedEpoch | None, answered: bool) -> None:
        subject = self._duty(miss.epoch, miss.operator, miss.audits)
        if sealed is None:
            self.report.add("slash", subject, "reported for an epoch that was never sealed")
        elif answered:
            self.report.add("slash", subject, "reported although it answered")
        elif not sealed.deadline < miss.block <= sealed.deadline + self.population.parameters.reporting:
            self.report.add("slash", subject, f"reported in block {miss.block}, outside the reporting period")
        elif self.population.snapshot(miss.epoch, miss.operator, miss.audits).held == 0:
            self.report.add("slash", subject, "reported although it held nothing")

    def _settlements(self, sealed: dict[tuple[int, str], SealedEpoch]) -> None:
        # each Audits' answer is paid once: by the first settlement after it
        answers: dict[tuple[int, str], list[Answer]] = {}
        for answer in self.index.answers(self.shard):
            answers.setdefault((answer.epoch, answer.operator), []).append(answer)
        paid: set[tuple[int, str, str]] = set()
        for item in self.index.settlements(self.shard):
            found = []
            given = {
                answer.audits
                for answer in answers.get((item.epoch, item.operator), ())
                if (answer.block, answer.log_index) < (item.block, item.log_index)
            }
            new = {audits for audits in given if (item.epoch, item.operator, audits) not in paid}
            paid |= {(item.epoch, item.operator, audits) for audits in new}
            due = sum(self.population.earned(item.epoch, item.operator, audits) for audits in new)
            seals = [sealed[item.epoch, audits] for audits in new if (item.epoch, audits) in sealed]
            sealers = sum(self.population.sealers_part(seal, item.operator) for seal in seals)
            if not new:
                found.append("paid twice" if given else "paid for an epoch without an answer")
            elif item.amount != due:
                found.append(f"paid {item.amount}, earned {due}")
            elif item.to_sealers != sealers:
                found.append(f"paid {item.to_sealers} for sealing, whose part is {sealers}")
            if not 0 <= item.to_operator <= item.amount - item.to_sealers:
                found.append(f"{item.to_operator} of {item.amount} went to the operator")
            self.report.settlements += self._holds("payment", _duty(item.epoch, item.operator), found)


def _listed(found: Iterable[str]) -> list[str]:
    """Return what is found, and at its end why no more could be."""
    listed: list[str] = []
    try:
        listed.extend(found)
    except (AuditFailed, BadParameters, FormatError, KeyError) as error:
        listed.append(f"{_UNVERIFIED}: {error}")
    return listed


def _act(chain: Chain, sender: Sender, index: Index, views: Views, report: AuditReport) -> None:
    """Report unreported misses whose period still runs, and carry out due slashes."""
    restaking = chain.contract("Restaking")
    for shard in sorted({item.shard for item in index.rosters()}):
        population = Population(views, index, shard)
        reported = {(item.epoch, item.operator) for item in index.misses(shard)}
        answered = {(item.epoch, item.operator, item.audits) for item in index.answers(shard)}
        for item in index.sealed_epochs(shard):
            if not item.deadline < chain.latest() + 1 <= item.deadline + population.parameters.reporting:
                continue
            missed = [
                operator
                for operator in population.operators_in(item.epoch, item.audits)
                if (item.epoch, operator) not in reported
                and (item.epoch, operator, item.audits) not in answered
                and population.snapshot(item.epoch, operator, item.audits).held != 0
            ]
            # whom one Audits was told of, no other need be: an epoch is slashed once
            reported |= {(item.epoch, operator) for operator in missed}
            for call, operators in reports(views, shard, item.epoch, missed, audits=item.audits):
                _try(sender, call, report, f"reported {_duty(item.epoch, ', '.join(operators))}")
    for slash in index.slashes():
        if slash.executed_block is None and chain.latest() + 1 >= slash.ready_block:
            call = restaking.functions.executeSlash(slash.slash_id)
            _try(sender, call, report, f"carried out the slash of {_duty(slash.epoch, slash.operator)}")


def _try(sender: Sender, call: object, report: AuditReport, what: str) -> None:
    try:
        sender.send(call)
    except TransactionReverted as error:
        report.acted.append(f"{what}: refused, {error}")  # somebody else was first
    else:
        report.acted.append(what)


def _duty(epoch: int, operator: str) -> str:
    return f"epoch {epoch}, {operator}"


def _silent(what: str, done: int, of: int) -> None:
    """Say nothing."""
