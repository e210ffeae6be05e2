"""`qanat status`: who stakes, operates, stores and licenses what."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.holdings import (
    SHOWN,
    allocated,
    money_tables,
    places,
    queue,
    rewards,
    slash_tables,
    slashes,
    stake,
    title,
)
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.index import Index

__all__ = ["COMMAND", "status"]


def status(session: Session, *, address: str | None, shard: str | None, nodes: bool) -> Outcome:
    """Tables of the network, or of what concerns one account."""
    from qanat.cli.amounts import parse_address

    index = session.synced_index()
    who = parse_address(address) if address is not None else session.address if session.has_account else None
    latest = session.chain.latest()
    numbers = (
        [session.chain.deployment.shard(shard)] if shard is not None else range(1, session.views.shard_count() + 1)
    )
    data: dict[str, Any] = {
        "network": session.chain.deployment.network,
        "chain": session.chain.chain_id,
        "block": latest,
        "safe_block": session.chain.safe_block(),
        "account": who,
        "shards": [],
    }
    tables = []
    for number in numbers:
        found = _shard(session, index, number, latest, nodes=nodes)
        data["shards"].append(found)
        tables += _shard_tables(session, found)
    data["objects"] = _objects(session, index, who, latest)
    data["assets"] = _assets(session, index, who)
    data["licenses"] = _licenses(session, index, who)
    if who is not None:
        data["stake"] = stake(session, index, who)
        data["queue"] = queue(session, index, who)
        data["rewards"] = rewards(session, index, who)
        data["allocations"] = allocated(session, index, who)
        data["places"] = places(session, index, who)
        tables += money_tables(session, who, data)
    data["slashes"] = slashes(session, index, who)
    tables += slash_tables(session, data["slashes"]) + _owned_tables(data)
    says = [
        (
            f"{data['network']}, chain {data['chain']}, block {latest} "
            f"(safe: {data['safe_block']}, {session.chain.safe_rule})"
        )
    ]
    return Outcome(data, says, tables)


def _shard(session: Session, index: Index, number: int, latest: int, *, nodes: bool) -> dict[str, Any]:
    from qanat.chain.views import as_json

    views = session.views
    terms = views.shard_parameters(number)
    active = views.active_roster(number)
    newest = views.roster_count(number)
    roster = views.roster(number, active or newest) if newest else None
    epoch = views.epoch_at(number, latest)
    members = views.members(number)
    listed = sorted({*members, *(roster.operators if roster else [])}, key=lambda item: item.lower())
    operators = []
    for operator in listed:
        entry = roster.entry_of(operator) if roster else None
        answered = [item.epoch for item in index.answers(number, operator=operator)]
        missed = [item.epoch for item in index.misses(number, operator=operator)]
        record = views.operator(operator)
        jailed_until = views.member(number, operator).jailed_until
        operators.append(
            {
                "operator": operator,
                "tickets": entry.tickets if entry else 0,
                "weight": views.weight(operator, number),
                "bond": views.bond(operator, number),
                "commission_bps": record.commission_bps,
                "endpoint": record.endpoint,
                "member": operator in members,
                "jailed_until_epoch": jailed_until if jailed_until > epoch else None,
                "answered": len(answered),
                "missed": missed,
                "last_answered": max(answered, default=None),
                "next_endpoint": record.next_endpoint,
                **({"node": _node_state(record.endpoints)} if nodes else {}),
            }
        )
    epochs = []
    sealed = {item.epoch: item for item in index.sealed_epochs(number)}
    for past in range(max(1, epoch - 4), epoch + 1):
        found = sealed.get(past)
        epochs.append(
            {
                "epoch": past,
                "seed_block": views.seed_block(number, past),
                "sealed": found is not None,
                "deadline": found.deadline if found else None,
                "answers": len(index.answers(number, past)),
                "misses": len(index.misses(number, past)),
            }
        )
    return {
        "shard": number,
        "epoch": epoch,
        "next_epoch_block": views.seed_block(number, epoch + 1),
        "parameters": as_json(terms),
        "active_roster": active,
        "rosters": newest,
        "tickets": roster.tickets if roster else 0,
        "operators": operators,
        "epochs": epochs,
    }


def _node_state(endpoints: tuple[str, ...]) -> str:
    """Whether a node answers now, at one of the places where it may be, and says that it is well."""
    import httpx

    found = "no answer"
    for endpoint in endpoints:
        try:
            answer = httpx.get(endpoint.rstrip("/") + "/health", timeout=2.0)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            continue
        if answer.status_code == 200:
            return "well"
        found = f"unwell ({answer.status_code})"
    return found


def _shard_tables(session: Session, found: dict[str, Any]) -> list[Any]:
    from qanat.cli.amounts import format_amount

    bond_token = found["parameters"]["bond_token"]
    columns = ["operator", "tickets", "weight", "bond", "answered", "missed", "endpoint"]
    with_nodes = any("node" in item for item in found["operators"])
    rows = [
        [
            item["operator"],
            item["tickets"],
            format_amount(item["weight"], 18),
            session.amount(item["bond"], bond_token),
            item["answered"],
            (", ".join(map(str, item["missed"])) or "-")
            + (f", jailed until epoch {item['jailed_until_epoch']}" if item["jailed_until_epoch"] else ""),
            " → ".join(filter(None, [item["endpoint"], item["next_endpoint"]])),
            *([item["node"]] if with_nodes else []),
        ]
        for item in found["operators"]
    ]
    title = (
        f"Shard {found['shard']}: epoch {found['epoch']} (next at block {found['next_epoch_block']}), "
        f"roster {found['active_roster'] or 'none'} with {found['tickets']} tickets"
    )
    made = [table(title, [*columns, *(["node"] if with_nodes else [])], rows, right=["tickets", "weight", "answered"])]
    if found["epochs"]:
        made.append(
            table(
                "",
                ["epoch", "seed block", "sealed", "deadline", "answers", "misses"],
                [
                    (
                        item["epoch"],
                        item["seed_block"],
                        "yes" if item["sealed"] else "no",
                        item["deadline"] or "-",
                        item["answers"],
                        item["misses"],
                    )
                    for item in found["epochs"]
                ],
                right=["epoch", "seed block", "deadline", "answers", "misses"],
            )
        )
    return made


def _objects(session: Session, index: Index, who: str | None, latest: int) -> list[dict[str, Any]]:
    made = []
    for item in index.objects(owner=who):
        certificate = index.certificate(item.object_id)
        state = item.status
        epoch = session.views.epoch_at(item.shard, latest)
        if certificate is not None:
            state = "ended" if epoch >= certificate.end_epoch else "live" if epoch >= certificate.first_epoch else state
        made.append(
            {
                "object": item.object_id,
                "owner": item.owner,
                "shard": item.shard,
                "roster": item.roster,
                "size": item.size,
                "rows": f"any {item.k} of {item.n}",
                "matrices": item.matrices,
                "state": state,
                "first_epoch": certificate.first_epoch if certificate else None,
                "end_epoch": certificate.end_epoch if certificate else None,
                "paid": item.payment,
            }
        )
    return made


def _assets(session: Session, index: Index, who: str | None) -> list[dict[str, Any]]:
    made = []
    for item in index.assets():
        owner = session.views.asset_owner(item.asset_id)
        if who is None or owner == who:
            offers = [offer.offer_id for offer in index.offers(item.asset_id) if not offer.withdrawn]
            made.append(
                {
                    "asset": item.asset_id,
                    "owner": owner,
                    "objects": list(item.objects),
                    "sha256": item.content_hash,
                    "metadata": item.metadata,
                    "offers": offers,
                    "licenses": len(index.licenses(asset_id=item.asset_id)),
                }
            )
    return made


def _licenses(session: Session, index: Index, who: str | None) -> list[dict[str, Any]]:
    from qanat.chain.views import purpose_names

    now = session.chain.timestamp()
    made = []
    for item in index.licenses(licensee=who):
        record = session.views.license(item.license_id)
        state = "revoked" if item.revoked else "ended" if now >= item.end else "in force"
        made.append(
            {
                "license": item.license_id,
                "asset": item.asset_id,
                "licensee": item.licensee,
                "purposes": purpose_names(record.purposes),
                "start": item.start,
                "end": item.end,
                "state": state,
                "key_released": item.released,
                "price": item.price,
                "token": record.token,
            }
        )
    return made


def _owned_tables(data: dict[str, Any]) -> list[Any]:
    from qanat.cli.amounts import format_size

    made = []
    rows: list[tuple[object, ...]]
    if data["objects"]:
        rows = [
            (
                "0x" + item["object"].hex(),
                item["owner"],
                format_size(item["size"]),
                item["rows"],
                f"{item['first_epoch']}-{item['end_epoch'] - 1}" if item["end_epoch"] else "-",
                item["state"],
            )
            for item in data["objects"][-SHOWN:]
        ]
        made.append(
            table(title("Objects", data["objects"]), ["object", "owner", "size", "rows", "epochs", "state"], rows)
        )
    if data["assets"]:
        rows = [
            (
                item["asset"],
                item["owner"],
                len(item["objects"]),
                ", ".join(map(str, item["offers"])) or "-",
                item["licenses"],
                item["metadata"][:40],
            )
            for item in data["assets"][-SHOWN:]
        ]
        columns = ["asset", "owner", "objects", "offers", "licenses sold", "metadata"]
        made.append(table(title("Assets", data["assets"]), columns, rows, right=["asset", "objects", "licenses sold"]))
    if data["licenses"]:
        rows = [
            (
                item["license"],
                item["asset"],
                item["licensee"],
                ", ".join(item["purposes"]),
                dt.datetime.fromtimestamp(item["end"], tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M"),
                item["state"],
            )
            for item in data["licenses"][-SHOWN:]
        ]
        columns = ["license", "asset", "licensee", "purposes", "ends (UTC)", "state"]
        made.append(table(title("Licenses", data["licenses"]), columns, rows, right=["license", "asset"]))
    return made


COMMAND = Command(
    name="status",
    run=status,
    summary="Show shards, operators, epochs, objects, assets and licenses; of one account, its stake and money too.",
    example="--address 0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    account="maybe",
    parameters=(
        click.option("--address", help="Whose things to show.  [default: everybody's]"),
        click.option("--shard", help="Only this shard, by name or number."),
        click.option("--nodes", is_flag=True, help="Ask each node whether it is well."),
    ),
)
