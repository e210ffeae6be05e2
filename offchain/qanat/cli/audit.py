"""`qanat audit`: everything that the network claims, verified again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.auditor import AuditReport

__all__ = ["COMMAND", "audit"]


def audit(
    session: Session, *, to_block: int | None, act: bool, index: Path | None, every: float | None, state: Path | None
) -> Outcome:
    """Re-verify certificates, seeds, responses, misses, slashes and payments from chain data and manifests alone.

    With ``act`` the account reports misses that nobody reported, and carries out slashes that are due. With ``every``
    it goes on, round after round, until it is interrupted.
    """
    from qanat.auditor import audit as run_audit
    from qanat.auditor import follow
    from qanat.cli.store import stages
    from qanat.errors import AuditFailed, BadParameters
    from qanat.index import Index

    if act and not session.has_account:
        raise BadParameters("--act sends transactions and needs an account.", hint="Name one with --keyfile.")
    if act:
        session.confirm(
            "Report misses and carry out slashes that are found", ["reporters are paid from the slashed bond"]
        )
    opened = session.index if index is None else Index(index, session.chain)
    if every is not None:
        if to_block is not None:
            raise BadParameters("--every goes on for ever, --to-block ends: give one of them.")
        kept = state or Path("audit.json")
        last = None
        try:
            for report in follow(session.chain, opened, kept, every=every, act=session.sender if act else None):
                last = report
        except KeyboardInterrupt:
            if last is None:
                raise
        if last is None:
            raise AuditFailed("No round ended.")
        return _outcome(last)
    with stages(session) as progress:
        report = run_audit(
            session.chain, opened, to_block=to_block, act=session.sender if act else None, progress=progress
        )
    return _outcome(report)


def _outcome(report: AuditReport) -> Outcome:
    from qanat.errors import AuditFailed

    counts = [
        ("rosters", report.rosters),
        ("certificates", report.certificates),
        ("seeds", report.seeds),
        ("responses", report.responses),
        ("settlements", report.settlements),
        ("faults, slashed", report.faults),
        ("faults, still due", report.due),
    ]
    tables = [
        table(
            f"Verified, blocks {report.from_block} to {report.to_block}", ["what", "number"], counts, right=["number"]
        )
    ]
    if report.findings:
        rows = [(item.kind, item.subject, item.what) for item in report.findings]
        tables.append(table("Does not hold", ["kind", "which", "what"], rows))
    failure = None
    if not report.clean:
        failure = AuditFailed(
            f"{len(report.findings)} things do not hold.",
            hint="Each is listed above.",
            findings=[item.to_json() for item in report.findings],
        )
    says = ["Everything holds."] if report.clean else []
    return Outcome(report.to_json(), says, tables, failure)


COMMAND = Command(
    name="audit",
    run=audit,
    summary="Verify every certificate, response, slash and payment again, from chain data and manifests alone.",
    details=(
        "Ends with exit code 71 if anything does not hold. Needs an endpoint that keeps the logs since the deployment."
    ),
    example="--json",
    account="maybe",
    parameters=(
        click.option(
            "--to-block", type=click.IntRange(min=0), help="Last block to look at.  [default: the newest safe one]"
        ),
        click.option("--act", is_flag=True, help="Report misses that nobody reported, and carry out due slashes."),
        click.option(
            "--every",
            type=click.FloatRange(min=1.0),
            metavar="SECONDS",
            help="Go on, a round in so many seconds, until interrupted; logs to standard error what does not hold.",
        ),
        click.option(
            "--state",
            type=click.Path(path_type=Path, dir_okay=False),
            help="With --every: file of what was verified, from which a restart goes on.  [default: audit.json]",
        ),
        click.option(
            "--index",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File of the event index.  [default: in the cache]",
        ),
    ),
)
