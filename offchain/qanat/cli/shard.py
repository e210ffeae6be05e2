"""`qanat shard`: shards with their parameters and members; a new one; which part of a pool stands behind one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.cli.allocation import Allocation

__all__ = ["COMMAND", "shard"]

#: Parameters that are amounts of the bond token, of weight (18 decimals), of the payment token per 1e18 bytes.
_BOND_AMOUNTS = ("bond_per_ticket", "min_bond", "bond_slash_per_ticket", "reporter_fee")
_WEIGHTS = ("ticket_price", "stake_slash_per_ticket")


def shard(
    session: Session,
    *,
    shard: str | None,
    opened: Path | None,
    name: str | None,
    allocate: tuple[str, ...],
    complete: bool,
    operator: str | None,
) -> Outcome:
    """Show shards; open one; set, or complete, what part of an operator's pools stands behind one."""
    from qanat.errors import BadParameters

    if (opened is not None) + bool(allocate) + complete > 1:
        raise BadParameters("--open, --allocate and --complete exclude each other.")
    if operator is not None and not complete:
        raise BadParameters("--operator says whose allocations to --complete.")
    if name is not None and opened is None:
        raise BadParameters("--name says which shard of a file to --open.")
    if opened is not None:
        return _open(session, opened, name)
    if allocate:
        return _allocate(session, session.chain.deployment.shard(shard), allocate)
    if complete:
        return _complete(session, shard, operator)
    return _show(session, shard)


# ---- showing


def _show(session: Session, wanted: str | None) -> Outcome:
    numbers = (
        [session.chain.deployment.shard(wanted)] if wanted is not None else range(1, session.views.shard_count() + 1)
    )
    found = [_facts(session, number) for number in numbers]
    tables = [item for facts in found for item in _tables(session, facts)]
    says = [] if found else ["No shard is open."]
    return Outcome({"shards": found}, says, tables)


def _facts(session: Session, number: int) -> dict[str, Any]:
    from qanat.chain.views import as_json
    from qanat.cli.allocation import allocations

    views, latest = session.views, session.chain.latest()
    names = {known: label for label, known in session.chain.deployment.shards.items()}
    epoch, active = views.epoch_at(number, latest), views.active_roster(number)
    members = []
    for operator in views.members(number):
        bond, weight, tickets = views.standing(number, operator)
        members.append(
            {
                "operator": operator,
                "tickets": tickets,
                "weight": weight,
                "bond": bond,
                "allocations": [item.to_json() for item in allocations(session, operator, number)],
            }
        )
    return {
        "shard": number,
        "name": names.get(number),
        "epoch": epoch,
        "next_epoch_block": views.seed_block(number, epoch + 1),
        "active_roster": active,
        "rosters": views.roster_count(number),
        "parameters": as_json(views.shard_parameters(number)),
        "collaterals": {item.token: item.weight_wad for item in views.collaterals(number)},
        "members": members,
    }


def _tables(session: Session, facts: dict[str, Any]) -> list[Any]:
    from qanat.cli.amounts import format_amount

    terms = facts["parameters"]

    def figure(name: str, value: Any) -> str:
        if name in _BOND_AMOUNTS:
            return session.amount(value, terms["bond_token"])
        if name in _WEIGHTS:
            return f"{format_amount(value, 18)} of weight"
        if name.endswith("_token"):
            return str(session.token(value)[0])
        if name.endswith("_wad"):
            return f"{session.amount(value, terms['payment_token'])} for 1e18 bytes"
        return str(value)

    label = f"Shard {facts['shard']}" + (f", {facts['name']}" if facts["name"] else "")
    rows = [(name.replace("_", " "), figure(name, value)) for name, value in terms.items()]
    rows += [
        (f"weight of one {session.token(token)[0]}", format_amount(weight, 18))
        for token, weight in facts["collaterals"].items()
    ]
    title = (
        f"{label}: epoch {facts['epoch']} (next at block {facts['next_epoch_block']}), "
        f"roster {facts['active_roster'] or 'none'} of {facts['rosters']}"
    )
    made = [table(title, ["parameter", ""], rows)]
    members = [
        (
            item["operator"],
            item["tickets"],
            format_amount(item["weight"], 18),
            session.amount(item["bond"], terms["bond_token"]),
            "; ".join(_part(session, one) for one in item["allocations"] if one["effective"] or one["waiting"]) or "-",
        )
        for item in facts["members"]
    ]
    if members:
        made.append(
            table(
                "Members", ["operator", "tickets", "weight", "bond", "allocated"], members, right=["tickets", "weight"]
            )
        )
    return made


def _part(session: Session, item: dict[str, Any]) -> str:
    whole = item["whole"] or 1
    text = f"{item['effective'] / whole:.2%} of {session.token(item['token'])[0]}"
    if item["waiting"]:
        text += f" (+{item['waiting'] / whole:.2%} from block {item['ready_block']})"
    return text


# ---- opening


def _open(session: Session, file: Path, name: str | None) -> Outcome:
    """Open a shard whose parameters a file gives; record its name in the deployment's file."""
    from qanat.chain.connection import events_in
    from qanat.chain.parameters import load_shard
    from qanat.errors import BadParameters

    chain = session.chain
    deployment = chain.deployment
    plan, source = load_shard(file, deployment.parameters, name)
    if plan.name in deployment.shards:
        raise BadParameters(
            f"Shard {plan.name} is open already, as number {deployment.shards[plan.name]}.",
            hint="Give the new one another name in the file.",
            shard=plan.name,
        )
    addresses = {symbol: token.address for symbol, token in deployment.tokens.items()}
    lacking = sorted({plan.bond_token, plan.payment_token, *plan.collaterals} - set(addresses))
    if lacking:
        raise BadParameters(
            f"The deployment knows no token {', '.join(lacking)}.", hint="`qanat deploy` adds tokens.", tokens=lacking
        )
    shards = chain.contract("Shards")
    create = shards.functions.create(*plan.solidity(addresses))
    session.sender.estimate(create)
    session.confirm(f"Open shard {plan.name}", ["its parameters never change", "the other shards run on"])
    receipt = session.sender.send(create)
    number = int(events_in(receipt, shards, "ShardCreated")[0]["shard"])
    if deployment.path is not None:
        parameters = {
            **deployment.parameters,
            "shards": {**deployment.parameters.get("shards", {}), plan.name: source},
        }
        made = replace(deployment.with_shard(plan.name, number), parameters=parameters)
        made.save(deployment.path)
        chain.use(made)
    return Outcome(
        {
            "shard": number,
            "name": plan.name,
            "first_block": session.views.first_block(number),
            "transaction": bytes(receipt["transactionHash"]),
        },
        [
            f"Shard {number}, {plan.name}, is open.",
            f"Operators come in with `qanat register --shard {plan.name}`; then `qanat roster --shard {plan.name}`.",
        ],
    )


# ---- allocating


def _allocate(session: Session, number: int, texts: tuple[str, ...]) -> Outcome:
    """Let the named parts of the account's pools stand behind a shard: more is allocated, less queued for removal."""
    from qanat.cli.allocation import allocation, parts, shown
    from qanat.errors import BadParameters

    views, me = session.views, session.address
    wanted = parts(session, texts, [item.token for item in views.collaterals(number)])
    restaking = session.chain.contract("Restaking").functions
    lines, calls = [], []
    for token, part in wanted.items():
        now, symbol = allocation(session, me, number, token), session.token(token)[0]
        change = now.missing(part)
        if change > now.free:
            raise BadParameters(
                f"{change / now.whole:.2%} more of {symbol} is asked; only {now.free / now.whole:.2%} is free.",
                hint="Let less stand behind another shard first.",
                free=now.free,
            )
        if change < 0 and -change > now.effective:
            raise BadParameters(
                f"{now.waiting / now.whole:.2%} of {symbol} waits to stand behind the shard: that can't be reduced.",
                hint=f"Wait for block {now.ready_block}, complete it, and remove it then.",
                ready_block=now.ready_block,
            )
        if change > 0:
            calls.append(restaking.allocate(number, token, change))
            lines.append(
                f"{change / now.whole:.2%} more of {symbol}, which its slashes then can reach; with stake in the pool "
                "already, after a withdrawal delay"
            )
        elif change < 0:
            calls.append(restaking.deallocate(number, token, -change))
            lines.append(f"{-change / now.whole:.2%} less of {symbol}: rosters don't count it from now on")
    if calls:
        session.confirm(f"Change what stands behind shard {number}", lines, transactions=len(calls))
    for call in calls:
        session.sender.send(call)
    after = [allocation(session, me, number, token) for token in wanted]
    return Outcome(
        {"operator": me, "shard": number, "sent": len(calls), "allocations": [item.to_json() for item in after]},
        [f"Behind shard {number}: {shown(session, item)}." for item in after],
    )


def _complete(session: Session, wanted: str | None, operator: str | None) -> Outcome:
    """Complete an operator's allocations whose wait is over, in one shard or in all."""
    from qanat.cli.allocation import allocations
    from qanat.cli.amounts import parse_address

    who = session.address if operator is None else parse_address(operator, "operator's address")
    views, latest = session.views, session.chain.latest()
    numbers = [session.chain.deployment.shard(wanted)] if wanted is not None else range(1, views.shard_count() + 1)
    held: list[tuple[int, Allocation]] = [
        (number, item) for number in numbers for item in allocations(session, who, number) if item.waiting
    ]
    due = [(number, item) for number, item in held if item.is_due(latest)]
    restaking = session.chain.contract("Restaking").functions
    if due:
        session.confirm(
            f"Complete allocations of {who}",
            [f"{session.token(item.token)[0]} behind shard {number}" for number, item in due],
            transactions=len(due),
        )
    for number, item in due:
        session.sender.send(restaking.completeAllocation(who, number, item.token))
    waiting = [(number, item) for number, item in held if (number, item) not in due]
    says = [f"{session.token(item.token)[0]} stands behind shard {number}." for number, item in due]
    says += [
        f"{session.token(item.token)[0]} for shard {number} waits until block {item.ready_block}."
        for number, item in waiting
    ]
    return Outcome(
        {
            "operator": who,
            "completed": [{"shard": number, "token": item.token, "magnitude": item.waiting} for number, item in due],
            "waiting": [
                {"shard": number, "token": item.token, "ready_block": item.ready_block} for number, item in waiting
            ],
        },
        says or ["Nothing waits."],
    )


COMMAND = Command(
    name="shard",
    run=shard,
    summary="Show shards with their parameters and members; open one; change what stands behind one.",
    details=(
        "Without options that change something it only shows. --open takes a parameter file as in networks/, or one "
        "with shards alone, and is the governor's. --allocate is the operator's: what is more than now waits one "
        "withdrawal delay if there is stake in the pool, so that restakers can leave before; --complete ends the wait."
    ),
    example="--shard main",
    account="maybe",
    parameters=(
        click.option("--shard", help="Shard, by name or number.  [default: all, or the first]"),
        click.option(
            "--open",
            "opened",
            metavar="FILE",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="Open the shard that this file describes.",
        ),
        click.option("--name", help="Which one to open, where the file describes several."),
        click.option(
            "--allocate",
            multiple=True,
            metavar="TOKEN=PERCENT",
            help="Part of the account's pool to stand behind the shard in all.",
        ),
        click.option("--complete", is_flag=True, help="Complete allocations whose wait is over."),
        click.option("--operator", help="Whose allocations to complete.  [default: the account's]"),
    ),
)
