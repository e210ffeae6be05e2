"""`qanat withdraw`: completes whatever is due for the account, and pays it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.index import Index

__all__ = ["COMMAND", "withdraw"]


@dataclass(frozen=True)
class _Queued:
    """Something queued: its name, the call that completes it, the block until which a roster binds it (or less)."""

    what: str
    call: Any
    bound_until: int


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


def _withdrawals(session: Session, index: Index) -> list[_Queued]:
    """What the account queued as restaker."""
    restaking = session.chain.contract("Restaking")
    done = {event.arguments["id"] for event in index.events("WithdrawalCompleted", contract="Restaking")}
    heirs = {
        event.arguments["id"]: f", to operator {event.arguments['toOperator']}"
        for event in index.events("RedelegationQueued", contract="Restaking")
    }
    return [
        _Queued(
            f"withdrawal {event.arguments['id']} of {session.token(str(event.arguments['collateral']))[0]}"
            + heirs.get(event.arguments["id"], ""),
            restaking.functions.completeWithdrawal(event.arguments["id"]),
            session.views.withdrawal(int(str(event.arguments["id"]))).free_from_block,
        )
        for event in index.events("WithdrawalQueued", contract="Restaking")
        if event.arguments["restaker"] == session.address and event.arguments["id"] not in done
    ]


def _releases(session: Session, index: Index) -> list[_Queued]:
    """What the account queued as operator: allocations and bonds."""
    views, restaking, me = session.views, session.chain.contract("Restaking"), session.address
    calls: list[_Queued] = []
    for event in _latest(index.events("DeallocationQueued", contract="Restaking"), me, "shard", "collateral"):
        shard, token = int(event.arguments["shard"]), str(event.arguments["collateral"])
        if views.magnitudes(me, shard, token).queued:
            what = f"allocation of {session.token(token)[0]} in shard {shard}"
            call = restaking.functions.completeDeallocation(me, shard, token)
            calls.append(_Queued(what, call, views.bound_in(shard, me, 0, event.block)))
    for event in _latest(index.events("BondWithdrawalQueued", contract="Restaking"), me, "shard"):
        shard = int(event.arguments["shard"])
        queued, since = views.queued_bond(me, shard)
        if queued:
            call = restaking.functions.completeBondWithdrawal(me, shard)
            calls.append(_Queued(f"bond of shard {shard}", call, views.bound_in(shard, me, 0, since)))
    return calls


def _latest(events: list[Any], operator: str, *names: str) -> list[Any]:
    """An operator's events, the newest for each value of ``names``."""
    found = {
        tuple(event.arguments[name] for name in names): event
        for event in events
        if event.arguments["operator"] == operator
    }
    return list(found.values())


def _sort(session: Session, calls: list[_Queued]) -> tuple[list[tuple[str, Any]], list[tuple[str, str]]]:
    """Tell apart what can be completed now from what has to wait, and why it has to."""
    from qanat.errors import TransactionReverted

    due, waiting = [], []
    for item in calls:
        try:
            session.sender.estimate(item.call)
        except TransactionReverted as error:
            waiting.append((item.what, _reason(error, item.bound_until)))
        else:
            due.append((item.what, item.call))
    return due, waiting


def _reason(error: Any, bound_until: int) -> str:
    """Why something has to wait; the contract names the delay first, and only after it a roster that binds longer."""
    if error.error_name == "WithdrawalNotReady":
        ready = int(error.arguments["readyBlock"])
        return f"bound by a roster until block {bound_until}" if bound_until > ready else f"from block {ready} on"
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
