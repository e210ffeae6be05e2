"""`qanat withdraw`: completes whatever is due for the account, and pays it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.index import Index

__all__ = ["COMMAND", "withdraw"]


def withdraw(session: Session, *, keep: bool) -> Outcome:
    """Complete queued withdrawals, deallocations and bond withdrawals that are due; pay out all free balances."""
    restaking = session.chain.contract("Restaking")
    me = session.address
    index = session.synced_index()
    due, waiting = _sort(session, [*_withdrawals(session, index), *_releases(session, index)])
    tokens = sorted(
        {item.address for item in session.chain.deployment.tokens.values()}
        | {str(event.arguments["collateral"]) for event in index.events("Deposited", contract="Restaking")}
    )
    free = {} if keep else {token: session.views.free_balance(me, token) for token in tokens}
    paid: dict[str, int] = {}
    if due or any(free.values()):
        out = [
            f"pay out all that is free, now {session.amount(units, token)}" for token, units in free.items() if units
        ]
        session.confirm("Withdraw", [*(f"complete {what}" for what, _ in due), *out], transactions=len(due) + len(free))
        for _, call in due:
            session.sender.send(call)
        for token in free:
            units = session.views.free_balance(me, token)
            if units:
                session.sender.send(restaking.functions.withdraw(token, units))
                paid[token] = units
    rows = [(what, "completed") for what, _ in due] + waiting
    says = [f"Paid out: {', '.join(session.amount(units, token) for token, units in paid.items()) or 'nothing'}."]
    if not rows:
        says.append("Nothing is queued.")
    return Outcome(
        {
            "account": me,
            "completed": [what for what, _ in due],
            "waiting": [{"what": what, "why": why} for what, why in waiting],
            "paid": paid,
        },
        says,
        [table("", ["what", "state"], rows)] if rows else [],
    )


def _withdrawals(session: Session, index: Index) -> list[tuple[str, Any]]:
    """What the account queued as restaker."""
    restaking = session.chain.contract("Restaking")
    done = {event.arguments["id"] for event in index.events("WithdrawalCompleted", contract="Restaking")}
    heirs = {
        event.arguments["id"]: f", to operator {event.arguments['toOperator']}"
        for event in index.events("RedelegationQueued", contract="Restaking")
    }
    return [
        (
            f"withdrawal {event.arguments['id']} of {session.token(str(event.arguments['collateral']))[0]}"
            + heirs.get(event.arguments["id"], ""),
            restaking.functions.completeWithdrawal(event.arguments["id"]),
        )
        for event in index.events("WithdrawalQueued", contract="Restaking")
        if event.arguments["restaker"] == session.address and event.arguments["id"] not in done
    ]


def _releases(session: Session, index: Index) -> list[tuple[str, Any]]:
    """What the account queued as operator: allocations and bonds."""
    chain, restaking, me = session.chain, session.chain.contract("Restaking"), session.address
    calls: list[tuple[str, Any]] = []
    for item in _latest(index.events("DeallocationQueued", contract="Restaking"), me, "shard", "collateral"):
        shard, token = int(item["shard"]), str(item["collateral"])
        if session.views.magnitudes(me, shard, token).queued:
            what = f"allocation of {session.token(token)[0]} in shard {shard}"
            calls.append((what, restaking.functions.completeDeallocation(me, shard, token)))
    for item in _latest(index.events("BondWithdrawalQueued", contract="Restaking"), me, "shard"):
        shard = int(item["shard"])
        if int(chain.call(restaking.functions.bondState(me, shard))[1]):
            calls.append((f"bond of shard {shard}", restaking.functions.completeBondWithdrawal(me, shard)))
    return calls


def _latest(events: list[Any], operator: str, *names: str) -> list[dict[str, Any]]:
    """Arguments of an operator's events, the newest for each value of ``names``."""
    found = {
        tuple(event.arguments[name] for name in names): event.arguments
        for event in events
        if event.arguments["operator"] == operator
    }
    return list(found.values())


def _sort(session: Session, calls: list[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], list[tuple[str, str]]]:
    """Tell apart what can be completed now from what has to wait, and why it has to."""
    from qanat.errors import TransactionReverted

    due, waiting = [], []
    for what, call in calls:
        try:
            session.sender.estimate(call)
        except TransactionReverted as error:
            waiting.append((what, _reason(error)))
        else:
            due.append((what, call))
    return due, waiting


def _reason(error: Any) -> str:
    if error.error_name == "WithdrawalNotReady":
        return f"from block {error.arguments['readyBlock']} on"
    if error.error_name == "StakeBound":
        return f"bound by a roster until block {error.arguments['untilBlock']}"
    if error.error_name == "SlashPending":
        return "a reported miss waits for its resolution"
    return str(error.message)


COMMAND = Command(
    name="withdraw",
    run=withdraw,
    summary="Complete withdrawals whose time has come, and pay out what is free.",
    details=(
        "Restakers queue with `qanat undelegate`, operators with `qanat "
        "exit`. What still has to wait is listed with its date."
    ),
    example="",
    parameters=(click.option("--keep", is_flag=True, help="Complete only; leave the free balance deposited."),),
)
