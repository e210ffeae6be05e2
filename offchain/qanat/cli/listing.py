"""`qanat list`: what there is on a network, to be chosen from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

__all__ = ["COMMAND", "list_"]

_KINDS = ("operators", "shards", "objects", "assets", "offers", "licenses")
_GB = 10**9


def list_(
    session: Session,
    *,
    kind: str,
    owner: str | None,
    shard: str | None,
    purpose: str | None,
    live: bool,
    sort: str,
    reverse: bool,
    page: int,
    per_page: int,
    index: Path | None,
) -> Outcome:
    """One page of a kind of things, with what one chooses them by."""
    from qanat.chain.views import purpose_bits
    from qanat.cli.amounts import parse_address
    from qanat.index import Catalog, Wanted

    found = session.synced_index(index)
    views, latest = session.views, session.chain.latest()
    numbers = range(1, views.shard_count() + 1)
    epochs = {number: views.epoch_at(number, latest) for number in numbers}
    catalog = Catalog(found, epochs=epochs, block=latest, time=session.chain.timestamp())
    wanted = Wanted(
        kind,
        owner=None if owner is None else parse_address(owner),
        shard=None if shard is None else session.chain.deployment.shard(shard),
        purposes=None if purpose is None else purpose_bits(purpose),
        live=live,
        sort=sort.replace("-", "_"),
        # without an order: the newest first; operators and shards as they came
        descending=reverse != (not sort and kind not in ("operators", "shards")),
        limit=per_page,
        offset=(page - 1) * per_page,
    )
    shown = catalog.page(wanted)
    rows = [_COMPLETED[kind](session, found, row) if kind in _COMPLETED else row for row in shown.rows]
    pages = max(1, -(-shown.total // per_page)) if per_page else 1
    data = {kind: rows, "total": shown.total, "page": page, "pages": pages, "block": found.cursor}
    if not rows:
        says = f"No {kind} that fit." if shown.total == 0 else f"There are {pages} pages of {kind}."
        return Outcome(data, [says])
    title = kind.capitalize() + (f", page {page} of {pages} ({shown.total} in all)" if pages > 1 else "")
    columns, cells, right, caption = _TABLES[kind]
    lines = [cells(session, row) for row in rows]
    return Outcome(data, [], [table(title, columns, lines, right=right, caption=caption)])


# ---- what a page's rows have beside what the index says


def _operator(session: Session, index: Any, row: dict[str, Any]) -> dict[str, Any]:
    views = session.views
    slashes = index.slashes(row["operator"])
    tickets, bonds = {}, {}
    for shard in row["shards"]:
        active = views.active_roster(shard)
        entry = views.roster(shard, active).entry_of(row["operator"]) if active else None
        tickets[shard] = entry.tickets if entry is not None else 0
        bonds[shard] = views.bond(row["operator"], shard)
    return {
        **row,
        "tickets": tickets,
        "bonds": bonds,
        "slash_history": [
            {
                "shard": item.shard,
                "epoch": item.epoch,
                "executed_block": item.executed_block,
                "bond_taken": item.bond_taken,
                "stake_taken": dict(item.stake_taken),
            }
            for item in slashes
        ],
    }


def _shard(session: Session, _index: Any, row: dict[str, Any]) -> dict[str, Any]:
    names = {number: name for name, number in session.chain.deployment.shards.items()}
    return {"shard": row["shard"], "name": names.get(row["shard"]), **row}


def _named_purposes(_session: Session, _index: Any, row: dict[str, Any]) -> dict[str, Any]:
    from qanat.chain.views import purpose_names

    return {**row, "purposes": purpose_names(row["purposes"] or 0)}


_COMPLETED: dict[str, Callable[[Session, Any, dict[str, Any]], dict[str, Any]]] = {
    "operators": _operator,
    "shards": _shard,
    "offers": _named_purposes,
    "licenses": _named_purposes,
}

# ---- tables


def _operator_cells(session: Session, row: dict[str, Any]) -> list[object]:
    asked = row["answered"] + row["missed"]
    commission = f"{(row['commission'] or 0) / 100:g} %"
    if row["next_commission"] is not None:
        commission += f", then {row['next_commission'] / 100:g} %"
    bonds = [
        session.amount(units, session.views.shard_parameters(shard).bond_token) for shard, units in row["bonds"].items()
    ]
    done = sum(item["executed_block"] is not None for item in row["slash_history"])
    waiting = len(row["slash_history"]) - done
    slashed = f"{done}" + (f", {waiting} pending" if waiting else "")
    return [
        row["operator"],
        ", ".join(f"{shard}" + (" (jailed)" if shard in row["jailed_in"] else "") for shard in row["shards"]) or "-",
        ", ".join(str(item) for item in row["tickets"].values()) or "-",
        ", ".join(bonds) or "-",
        commission,
        f"{row['answered'] / asked:.1%} of {asked}" if asked else "never asked",
        slashed,
        " → ".join(filter(None, [row["endpoint"], row["next_endpoint"]])) or "-",
    ]


def _shard_cells(session: Session, row: dict[str, Any]) -> list[object]:
    from qanat.cli.amounts import format_size

    terms = row["parameters"]

    def price(name: str) -> str:
        return session.amount(terms[name] * _GB // 10**18, terms["paymentToken"])

    return [
        row["shard"] if row["name"] is None else f"{row['shard']} {row['name']}",
        row["operators"],
        row["tickets"] or "-",
        price("pricePerByteEpochWad"),
        price("intakePricePerByteWad"),
        f"{terms['epochLength']} blocks",
        f"{terms['termEpochs']} epochs",
        session.amount(max(terms["minBond"], terms["bondPerTicket"]), terms["bondToken"]),
        row["live_objects"],
        format_size(row["live_bytes"]),
    ]


def _object_cells(session: Session, row: dict[str, Any]) -> list[object]:
    from qanat.cli.amounts import format_size

    token = session.views.shard_parameters(row["shard"]).payment_token
    return [
        "0x" + row["object"].hex(),
        row["owner"],
        row["shard"],
        format_size(row["size"]),
        f"any {row['k']} of {row['n']}",
        f"{row['first_epoch']}-{row['end_epoch'] - 1}" if row["end_epoch"] else "-",
        row["state"],
        session.amount(row["paid"], token),
    ]


def _asset_cells(_session: Session, row: dict[str, Any]) -> list[object]:
    from qanat.cli.amounts import format_size

    return [
        row["asset"],
        row["owner"],
        format_size(row["size"]),
        len(row["objects"]),
        "yes" if row["live"] else "no",
        ", ".join(map(str, row["offers"])) or "-",
        row["licenses"],
        row["metadata"][:40],
    ]


def _offer_cells(session: Session, row: dict[str, Any]) -> list[object]:
    return [
        row["offer"],
        row["asset"],
        row["owner"],
        session.amount(row["price"], row["token"]),
        ", ".join(row["purposes"]),
        f"{row['duration'] / 86_400:g} days",
        row["uses"] or "any number",
        row["sold"],
        row["state"],
    ]


def _license_cells(session: Session, row: dict[str, Any]) -> list[object]:
    return [
        row["license"],
        row["asset"],
        row["owner"],
        ", ".join(row["purposes"]),
        _day(row["start"]),
        _day(row["end"]),
        session.amount(row["price"], row["token"]) if row["token"] else row["price"],
        "yes" if row["key_released"] else "no",
        row["state"],
    ]


def _day(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M")


#: Kind → columns, cells of a row, columns aligned to the right, what the columns mean.
_TABLES: dict[str, tuple[list[str], Callable[[Session, dict[str, Any]], list[object]], list[str], str]] = {
    "operators": (
        ["operator", "shards", "tickets", "own bond", "commission", "availability", "slashes", "endpoint"],
        _operator_cells,
        ["tickets", "own bond"],
        (
            "tickets: its weight in each shard now · commission: its part of what it earns, else its restakers' · "
            "availability: epochs answered, of those answered and reported missed · slashes: misses that cost it stake"
        ),
    ),
    "shards": (
        [
            *("shard", "operators", "tickets", "GB per epoch", "GB once", "epoch", "longest term", "least bond"),
            *("live objects", "live bytes"),
        ],
        _shard_cells,
        ["operators", "tickets", "GB per epoch", "GB once", "live objects", "live bytes"],
        (
            "GB per epoch: price of keeping a stored gigabyte for an epoch (a file takes n/k of its size) · GB once: "
            "price of taking it in · longest term: for how many epochs an object can be opened"
        ),
    ),
    "objects": (
        ["object", "owner", "shard", "size", "rows", "epochs", "state", "paid"],
        _object_cells,
        ["shard", "size", "paid"],
        (
            "rows: how many of its rows restore it · epochs: in which its operators prove that they hold it · state: "
            "open (paid, not certified), certified (begins with the next epoch), live, ended, failed (not certified)"
        ),
    ),
    "assets": (
        ["asset", "owner", "size", "objects", "stored", "offers", "licenses sold", "metadata"],
        _asset_cells,
        ["asset", "size", "objects", "licenses sold"],
        (
            "stored: whether all its objects are proven to be held now · offers: numbers of those on sale, for "
            "`qanat license --offer`"
        ),
    ),
    "offers": (
        ["offer", "asset", "owner", "price", "purposes", "lasts", "uses", "sold", "state"],
        _offer_cells,
        ["offer", "asset", "price", "sold"],
        "purposes: what the data may be used for · lasts: from the sale on · buy one: `qanat license --offer NUMBER`",
    ),
    "licenses": (
        ["license", "asset", "licensee", "purposes", "begins (UTC)", "ends (UTC)", "price", "key", "state"],
        _license_cells,
        ["license", "asset", "price"],
        "key: whether its holder was given the data's key",
    ),
}


COMMAND = Command(
    name="list",
    run=list_,
    summary="List operators, shards, objects, assets, offers or licenses, with what one chooses them by.",
    example="offers --purpose train --live --sort price",
    account="no",
    parameters=(
        click.argument("kind", type=click.Choice(_KINDS)),
        click.option("--owner", metavar="ADDRESS", help="Only this owner's, operator's or licensee's."),
        click.option("--shard", help="Only what is in this shard, by name or number."),
        click.option(
            "--purpose", help="Only what allows this: train, fine-tune, evaluate, infer, …; several by comma."
        ),
        click.option("--live", is_flag=True, help="Only what counts now: proven, on sale, in force, at work."),
        click.option(
            "--sort", default="", metavar="FIELD", help="Order: a field of its kind.  [default: newest first]"
        ),
        click.option("--reverse", is_flag=True, help="The other way round."),
        click.option("--page", type=click.IntRange(min=1), default=1, show_default=True, help="Which page."),
        click.option(
            "--per-page", type=click.IntRange(min=0), default=20, show_default=True, help="Rows of a page; 0: all."
        ),
        click.option(
            "--index",
            type=click.Path(path_type=Path),
            help="Index of events to use.  [default: QANAT_INDEX, else one in the cache folder, built if need be]",
        ),
    ),
    details="Fields to sort by: operators: registered, availability, commission, slashes; shards: shard, live-bytes, "
    "operators; objects: opened, size, end-epoch, paid; assets: asset, licenses; offers: offer, price, sold; "
    "licenses: license, end, price.",
)
