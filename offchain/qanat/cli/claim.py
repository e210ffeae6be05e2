"""`qanat claim`: what the account earned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qanat.cli.claim_list import round_of
from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table
from qanat.cli.settling import passing, settle_calls

__all__ = ["COMMAND", "claim"]

#: Days of one settlement: 2,200 gas each.
DAYS_AT_ONCE = 2_000


def claim(session: Session, *, lists: tuple[Path, ...] = ()) -> Outcome:
    """Collect what is due as operator, restaker, owner, payer, licensee, or stands in lists; then pay it out."""
    chain, views = session.chain, session.views
    me = session.address
    index = session.synced_index()
    calls = [
        *_as_operator(session, index),
        *_as_restaker(session, index),
        *_as_asset_owner(session, index),
        *_as_payer(session, index),
        *_as_licensee(session, index),
        *(call for path in lists for call in _of_list(session, path)),
    ]
    due = passing(session, calls)
    payments = chain.contract("Payments")
    tokens = sorted(
        {item.address for item in chain.deployment.tokens.values()}
        | {str(item.terms.token) for item in index.offers()}
        | {_token_of(session, path) for path in lists}
    )
    before = {token: views.claimable(token, me) for token in tokens}
    if not due and not any(before.values()):
        return Outcome({"account": me, "collected": [], "paid": {}}, ["There is nothing to claim."])
    session.confirm(
        "Claim earnings",
        [what for what, _ in due] + ["pay out the account's balance in Payments"],
        transactions=len(due) + 1,
    )
    collected = []
    for what, call in due:
        session.sender.send(call)
        collected.append(what)
    owed = {token: units for token in tokens if (units := views.claimable(token, me))}
    if owed:
        session.sender.send(payments.functions.claimMany(list(owed)))
    paid = {token: units - views.claimable(token, me) for token, units in owed.items()}
    rows = [(session.token(token)[0], session.amount(units, token)) for token, units in paid.items()]
    failed = [session.token(token)[0] for token, units in owed.items() if paid[token] != units]
    says = [f"Collected {len(collected)} earnings."]
    if failed:
        says.append(f"These tokens refused to be paid out; what is owed stays recorded: {', '.join(failed)}.")
    return Outcome(
        {"account": me, "collected": collected, "paid": paid, "failed": failed},
        says,
        [table("", ["token", "paid"], rows)],
    )


def _as_operator(session: Session, index: Any) -> list[tuple[str, Any]]:
    if session.address not in index.operators():
        return []
    rewards, me = session.chain.contract("Rewards"), session.address
    used = {(item.shard, item.roster) for item in index.objects(status="certified")}
    intake = [
        (f"intake fees under roster {roster}", rewards.functions.claimIntake(shard, roster, me))
        for shard, roster in sorted(used)
    ]
    return settle_calls(session, index, me) + intake


def _as_restaker(session: Session, index: Any) -> list[tuple[str, Any]]:
    rewards, me = session.chain.contract("RestakerRewards"), session.address
    pools = {
        (str(event.arguments["operator"]), str(event.arguments["collateral"]))
        for event in index.events("Delegated", contract="Restaking")
        if event.arguments["restaker"] == me
    }
    paid_in = {
        (str(event.arguments["operator"]), str(event.arguments["token"]))
        for event in index.events("RewardBooked", contract="RestakerRewards")
    }
    return [
        (
            f"restaking rewards from {operator} on {session.token(collateral)[0]}",
            rewards.functions.claim(operator, collateral, token),
        )
        for operator, collateral in sorted(pools)
        for payer, token in sorted(paid_in)
        if payer == operator and int(session.chain.call(rewards.functions.claimable(me, operator, collateral, token)))
    ]


def _as_asset_owner(session: Session, index: Any) -> list[tuple[str, Any]]:
    """What licenses of assets earned that are or were the account's: a settlement pays all owners who are due."""
    licenses, views = session.chain.contract("Licenses"), session.views
    mine = set(index.assets_held(session.address))
    sold = sorted(
        {(item.terms.asset_id, str(item.terms.token)) for item in index.offers() if item.terms.asset_id in mine}
    )
    return [
        (
            f"what licenses of asset {asset_id} have earned in {session.token(token)[0]}",
            licenses.functions.settle(asset_id, token, DAYS_AT_ONCE),
        )
        for asset_id, token in sold
        if views.license_book(asset_id, token)[1]
    ]


def _as_licensee(session: Session, index: Any) -> list[tuple[str, Any]]:
    """What licenses that are over would have paid for a key that never came."""
    licenses, now = session.chain.contract("Licenses").functions, session.chain.timestamp()
    ended = [item for item in index.licenses(licensee=session.address) if item.end <= now and not item.released]
    return [(f"the key of license {item.license_id}", licenses.refundUnreleased(item.license_id)) for item in ended]


def _of_list(session: Session, path: Path) -> list[tuple[str, Any]]:
    """What the account may still claim under the root of a list's file, if that is accepted."""
    from qanat.payments.claims import ClaimList

    made = ClaimList.load(path)
    chain, me = session.chain, session.address
    contract = chain.contract("ClaimLists")
    number, accepted = round_of(session, made, path)
    left = made.amount_of(me) - int(chain.call(contract.functions.claimed(made.list_id, me)))
    if left <= 0 or chain.timestamp() < accepted:
        return []
    call = contract.functions.claim((made.list_id, number, 0, made.leaf(me).as_tuple()))
    return [(f"{session.amount(left, _token_of(session, path))} of list {made.list_id}", call)]


def _token_of(session: Session, path: Path) -> str:
    """The token of a list's file."""
    from qanat.payments.claims import ClaimList

    lists = session.chain.contract("ClaimLists").functions
    terms = session.chain.call(lists.list(ClaimList.load(path).list_id))[0]
    return session.chain.web3.to_checksum_address(str(terms[0]))


def _as_payer(session: Session, index: Any) -> list[tuple[str, Any]]:
    """What comes back for objects: fees that were not proven, of void epochs, of openings that came to nothing."""
    chain, views, latest = session.chain, session.views, session.chain.latest()
    rewards, objects = chain.contract("Rewards").functions, chain.contract("Objects").functions
    returned = {_key(event) for event in index.events("UnprovenReturned", contract="Rewards")}
    calls: list[tuple[str, Any]] = []
    for item in index.objects(owner=session.address):
        name = f"0x{item.object_id.hex()[:8]}…"
        if item.status == "open" and latest > views.certification_deadline(item.object_id):
            calls.append((f"storage fee of {name}, never certified", objects.fail(item.object_id)))
        certificate = index.certificate(item.object_id)
        if certificate is None:
            continue
        roster = views.roster(item.shard, item.roster)
        record = views.object(item.object_id)
        adoptable = record.is_adoptable(views.first_epoch_after(item.shard, latest + 1))
        if record.unsigned_tickets and not record.unsigned_returned and not adoptable:
            calls.append((f"fees of {name} that nobody signed for", objects.returnUnsigned(item.object_id)))
        for epoch in range(certificate.first_epoch, min(certificate.end_epoch, views.epoch_at(item.shard, latest) + 1)):
            absent = list(certificate.absent_in(epoch))
            if views.is_void(item.shard, epoch, audits=roster.head.slasher):
                call = rewards.returnVoid(item.object_id, epoch, absent)
                calls.append((f"fees of {name} for void epoch {epoch}", call))
                continue
            answered = {
                answer.operator for answer in index.answers(item.shard, epoch) if answer.audits == roster.head.slasher
            }
            for entry in roster.entries:
                key = ("0x" + item.object_id.hex(), epoch, entry.operator)
                if entry.seat in absent or entry.operator in answered or key in returned:
                    continue
                call = rewards.returnUnproven(item.object_id, epoch, entry.operator, absent)
                calls.append((f"fees of {name} that {entry.operator} did not prove in epoch {epoch}", call))
    return calls


def _key(event: Any) -> tuple[str, int, str]:
    """Object, epoch and operator of an event."""
    return str(event.arguments["objectId"]), int(event.arguments["epoch"]), str(event.arguments["operator"])


COMMAND = Command(
    name="claim",
    run=claim,
    summary="Collect everything that the account has earned, and pay it out.",
    details=(
        "Storage and intake fees of an operator, rewards of a restaker, "
        "license earnings of an asset's owner, refunds of a payer, what a licensee's key that never came would have "
        "cost, and what lists of claims have for the account."
    ),
    example="--list harvest.json",
    parameters=(
        click.option(
            "--list",
            "lists",
            type=click.Path(path_type=Path, dir_okay=False),
            multiple=True,
            help="A list's file, as who proposed it published it. May be given several times.",
        ),
    ),
)
