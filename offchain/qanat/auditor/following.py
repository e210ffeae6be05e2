"""An audit that goes on: round after round, each of what came since the last one; a restart goes on where it was.

::

    for report in follow(chain, index, Path("audit.json"), every=60.0, act=sender, stop=event):
        ...

The state is the last report, with the deployment that it is of, in one file that is replaced as a whole.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

from qanat.auditor.audit import audit
from qanat.auditor.report import AuditReport, Finding
from qanat.chain.connection import Chain
from qanat.chain.sender import Sender
from qanat.errors import ChainError
from qanat.index import Index

__all__ = ["follow"]

_LONGEST_PAUSE = 600.0
log = structlog.get_logger("qanat.auditor")


def follow(
    chain: Chain,
    index: Index,
    state: Path,
    *,
    every: float,
    act: Sender | None = None,
    stop: threading.Event | None = None,
) -> Iterator[AuditReport]:
    """Yield a report after each round, until ``stop`` is set.

    A round that the chain fails is tried again, later and later. What is new that does not hold is logged once.
    """
    ended = stop or threading.Event()
    last = _load(state, chain)
    failures = 0
    while not ended.is_set():
        try:
            report = audit(chain, index, act=act, since=last)
        except ChainError as error:
            failures += 1
            log.warning("chain failed", error=error.message, failures=failures)
            ended.wait(min(_LONGEST_PAUSE, every * 2 ** min(failures, 6)))
            continue
        failures = 0
        _tell(report, last)
        _save(state, chain, report)
        last = report
        yield report
        ended.wait(every)


def _tell(report: AuditReport, last: AuditReport | None) -> None:
    before: set[Finding] = set() if last is None else set(last.findings)
    for item in report.findings:
        if item not in before:
            log.error("does not hold", kind=item.kind, subject=item.subject, what=item.what)
    for what in report.acted:
        log.info("acted", what=what)
    log.info("audited", to_block=report.to_block, responses=report.responses, due=report.due, clean=report.clean)


def _identity(chain: Chain) -> dict[str, object]:
    # the Directory is what stays when modules are replaced
    return {"chainId": chain.chain_id, "directory": chain.contract("Directory").address}


def _load(state: Path, chain: Chain) -> AuditReport | None:
    """Return the last report; None where there is none, or one of another deployment, or one that can't be read."""
    try:
        given = json.loads(state.read_text(encoding="utf-8"))
        if given["deployment"] != _identity(chain):
            log.warning("state of another deployment", path=str(state))
            return None
        return AuditReport.from_json(given["report"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("state unreadable: everything is verified again", path=str(state), error=str(error))
        return None


def _save(state: Path, chain: Chain, report: AuditReport) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    new = state.with_name(state.name + ".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump({"deployment": _identity(chain), "report": report.to_json()}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(state)
