"""`qanat market`: offers to browse, with what they are of."""

from __future__ import annotations

import json
from typing import Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

__all__ = ["COMMAND", "market"]


def market(
    session: Session, *, purpose: str | None, max_price: str | None, token: str | None, words: str, schema: str
) -> Outcome:
    """Offers on sale that fit, the cheapest first."""
    from qanat.chain.views import purpose_bits
    from qanat.cli.amounts import parse_amount
    from qanat.index import Catalog, Wanted

    index = session.synced_index()
    views, latest = session.views, session.chain.latest()
    epochs = {number: views.epoch_at(number, latest) for number in range(1, views.shard_count() + 1)}
    catalog = Catalog(index, epochs=epochs, block=latest, time=session.chain.timestamp())
    bits = None if purpose is None else purpose_bits(purpose)
    page = catalog.page(Wanted("offers", purposes=bits, live=True, sort="price", limit=0))
    assets = {row["asset"]: row for row in catalog.page(Wanted("assets", limit=0)).rows}
    paid_in = None if token is None else session.token(token)[1].address
    found = []
    for row in page.rows:
        row_token = str(row["token"])
        if paid_in is not None and row_token != paid_in:
            continue
        if max_price is not None and row["price"] > parse_amount(max_price, session.token(row_token)[1].decimals):
            continue
        asset = assets.get(row["asset"], {})
        told = _told(str(asset.get("metadata") or ""))
        if words.lower() not in told["text"].lower() or schema.lower() not in told["schema"].lower():
            continue
        found.append(_item(session, row, asset, told))
    columns = ["offer", "asset", "what", "schema", "size", "price", "purposes", "lasts", "terms", "stored"]
    cells = [_cells(session, item) for item in found]
    if not found:
        return Outcome({"offers": []}, ["No offer on sale fits."])
    caption = "Buy one: `qanat license --offer NUMBER`"
    shown = table("Market", columns, cells, right=["offer", "asset", "size", "price"], caption=caption)
    return Outcome({"offers": found}, [], [shown])


def _told(metadata: str) -> dict[str, str]:
    """What an asset's description says: its name, what kind of data it names, all of its text."""
    try:
        content = json.loads(metadata)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return {"name": metadata[:60], "schema": "", "text": metadata}
    kinds = [content.get(key) for key in ("schema", "conformsTo", "@type", "encodingFormat")]
    return {
        "name": str(content.get("name") or content.get("description") or "")[:60],
        "schema": ", ".join(str(item) for item in kinds if item),
        "text": metadata,
    }


def _item(session: Session, row: dict[str, Any], asset: dict[str, Any], told: dict[str, str]) -> dict[str, Any]:
    from qanat.chain.views import purpose_names
    from qanat.licensing.texts import name_of_text

    terms = json.loads(row["terms"]) if isinstance(row["terms"], str) else row["terms"]
    seats = int(terms["seats"])
    free = session.views.free_seat(int(row["offer"]), 1, seats) if seats else None
    return {
        "offer": int(row["offer"]),
        "asset": int(row["asset"]),
        "name": told["name"],
        "schema": told["schema"],
        "size": int(asset.get("size") or 0),
        "stored": bool(asset.get("live")),
        "owner": row["owner"],
        "token": row["token"],
        "price": int(row["price"]),
        "purposes": purpose_names(int(row["purposes"])),
        "duration": int(row["duration"]),
        "seats": seats,
        "free_seat": free,
        "exclusive": bool(terms["exclusive"]),
        "transferable": bool(terms["transferable"]),
        "arbiter": terms["arbiter"],
        "text": name_of_text(bytes.fromhex(str(terms["textHash"]).removeprefix("0x"))),
        "sold": int(row["sold"]),
    }


def _cells(session: Session, item: dict[str, Any]) -> list[object]:
    from qanat.cli.amounts import format_size

    terms = [word for word in ("exclusive", "transferable") if item[word]]
    if item["seats"]:
        terms.append(f"{item['seats']} seats" + ("" if item["free_seat"] else ", all taken"))
    if int(item["arbiter"], 16):
        terms.append("with an arbiter")
    if item["text"] != "none":
        terms.append("own text" if item["text"].startswith("SHA-256 ") else item["text"])
    return [
        item["offer"],
        item["asset"],
        item["name"],
        item["schema"][:60],
        format_size(item["size"]),
        session.amount(item["price"], item["token"]),
        ", ".join(item["purposes"]),
        f"{item['duration'] / 86_400:g} days",
        ", ".join(terms),
        "yes" if item["stored"] else "no",
    ]


COMMAND = Command(
    name="market",
    run=market,
    summary="Offers on sale, by purpose, price, schema and words of their descriptions; the cheapest first.",
    example="--purpose train --max-price 30",
    account="no",
    parameters=(
        click.option(
            "--purpose", help="Only what allows this: train, fine-tune, evaluate, infer, …; several by comma."
        ),
        click.option("--max-price", help="Only what costs at most this, in whole tokens."),
        click.option("--token", help="Only what is paid in this token: symbol or address."),
        click.option("--words", default="", help="Only assets whose description has this text."),
        click.option("--schema", default="", help="Only assets whose description names this schema or kind of data."),
    ),
)
