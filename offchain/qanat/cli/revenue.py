"""`qanat revenue`: who earned what, from which sale, and when."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.licensing.shares import Sale

__all__ = ["COMMAND", "revenue"]

_COLUMNS = ("time", "block", "asset", "event", "license", "account", "token", "amount")
#: What goes out of a book to stay, and to whom.
_PAID = {"paid to the owner": "owner", "protocol's part": "protocol", "upstream part": "upstream"}


def revenue(session: Session, *, asset: int | None, csv_file: Path | None) -> Outcome:
    """What licenses of assets brought: sales and renewals, refunds, what is earned, and to whom it went."""
    from qanat.errors import BadParameters, FileUnreadable

    index = session.synced_index()
    if asset is None and not session.has_account:
        raise BadParameters("Name an --asset, or an account, whose assets are then shown.")
    wanted = [asset] if asset is not None else sorted(index.assets_held(session.address))
    entries = sorted(_entries(session, index, set(wanted)), key=lambda item: item["block"])
    if csv_file is not None:
        try:
            with csv_file.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, _COLUMNS)
                writer.writeheader()
                writer.writerows(entries)
        except OSError as error:
            message = f"The file {csv_file} cannot be written: {error.strerror}."
            raise FileUnreadable(message, path=str(csv_file)) from error
    books = [
        {**book, "paid": _paid(entries, number, book["token"])}
        for number in wanted
        for book in _books(session, index, number)
    ]
    rows = [
        [item["time"], item["asset"], item["event"], item["license"], item["account"], _shown(session, item)]
        for item in entries
    ]
    columns = ["when (UTC)", "asset", "what", "license", "who", "amount"]
    says = [] if entries else ["Nothing was sold yet."]
    if csv_file is not None:
        says.append(f"Written: {csv_file}")
    tables = [table("What happened", columns, rows, right=["asset", "license", "amount"])] if rows else []
    return Outcome({"entries": entries, "books": books}, says, [*tables, *_tree(session, books)])


def _entries(session: Session, index: Any, wanted: set[int]) -> Iterator[dict[str, Any]]:
    """Every event that has to do with an asset's money, with its amount; what goes out of a book is negative."""
    from qanat.licensing.shares import divide

    licenses = {item.license_id: item for item in index.licenses() if item.asset_id in wanted}
    offers = {item.offer_id: item.terms for item in index.offers()}
    times: dict[int, str] = {}

    def entry(
        event: Any, asset: int, what: str, license_id: int | None, who: str, token: str, amount: int
    ) -> dict[str, Any]:
        if event.block not in times:
            seconds = int(session.chain.block(event.block)["timestamp"], 16)
            times[event.block] = dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        return dict(
            zip(_COLUMNS, (times[event.block], event.block, asset, what, license_id, who, token, amount), strict=True)
        )

    kinds = {
        "LicenseSold": ("sale", "licensee", "price", 1),
        "LicenseRenewed": ("renewal", "payer", "price", 1),
        "LicenseReinstated": ("reinstatement", "payer", "price", 1),
        "LicenseRevoked": ("refund: revoked", None, "refund", -1),
        "LicenseLost": ("refund: storage ended", None, "refund", -1),
        "LicenseRefunded": ("refund: no key came", None, "amount", -1),
        "BreachConcluded": ("refund: breach", None, "refund", -1),
    }
    for name, (what, who, field, sign) in kinds.items():
        for event in index.events(name, contract="Licenses"):
            number = int(event.arguments["licenseId"])
            if number not in licenses:
                continue
            item = licenses[number]
            account = item.licensee if who is None else str(event.arguments[who])
            token = str(offers[item.offer_id].token)
            yield entry(event, item.asset_id, what, number, account, token, sign * int(event.arguments[field]))
    for event, asset, parts in _settlements(session, index, wanted):
        token, owner = str(event.arguments["token"]), "0x" + str(event.arguments["to"])[-40:]
        taken = {"protocol's part": int(event.arguments["fee"]), "upstream part": int(event.arguments["upstreamPart"])}
        for license_id, amount in divide(parts, sum(taken.values())).items():
            account = session.chain.web3.to_checksum_address(owner)
            yield entry(event, asset, "paid to the owner", license_id, account, token, -amount)
        for what, amount in taken.items():
            if amount:
                yield entry(event, asset, what, None, "", token, -amount)


def _settlements(session: Session, index: Any, wanted: set[int]) -> Iterator[tuple[Any, int, dict[int | None, int]]]:
    """What was paid out of assets' books: the event, the asset, each license's part."""
    payments, module = session.chain.contract("Payments"), session.chain.contract("Licenses").address
    accounts = {}
    for number in wanted:
        account = session.chain.call(payments.functions.moduleAccount(module, number.to_bytes(32, "big")))
        accounts["0x" + bytes(account).hex()] = number
    settled: dict[tuple[int, str], list[Any]] = {}
    for event in index.events("StreamsSettled", contract="Payments"):
        asset = accounts.get(str(event.arguments["account"]))
        if asset is not None:
            settled.setdefault((asset, str(event.arguments["token"])), []).append(event)
    for (asset, token), events in settled.items():
        for event, parts in zip(events, _parts(session, index, asset, token, events), strict=True):
            yield event, asset, parts


def _parts(session: Session, index: Any, asset: int, token: str, events: list[Any]) -> list[dict[int | None, int]]:
    """Which licenses each settlement of an asset's book paid for: what a breach was decided to earn, or by streams."""
    from qanat.licensing.shares import parts_of

    sales = _sales(session, index, asset, token)
    mine = {sale.license_id for sale in sales}
    decided = {
        (event.transaction, int(event.arguments["earned"])): int(event.arguments["licenseId"])
        for event in index.events("BreachConcluded", contract="Licenses")
        if int(event.arguments["licenseId"]) in mine
    }
    breaches = [decided.get((event.transaction, int(event.arguments["amount"]))) for event in events]
    linear = [
        (int(event.arguments["settledTo"]), int(event.arguments["amount"]))
        for event, license_id in zip(events, breaches, strict=True)
        if license_id is None
    ]
    found = iter(parts_of(sales, linear))
    return [
        next(found) if license_id is None else {license_id: int(event.arguments["amount"])}
        for event, license_id in zip(events, breaches, strict=True)
    ]


def _sales(session: Session, index: Any, asset: int, token: str) -> list[Sale]:
    """An asset's licenses in a token with what their periods stream, as `LicenseChanges` opens and stops it."""
    from qanat.licensing.shares import Sale
    from qanat.licensing.streams import Stream

    offers = {item.offer_id: item.terms for item in index.offers(asset)}
    times: dict[int, int] = {}

    def time_of(event: Any) -> int:
        if event.block not in times:
            times[event.block] = session.chain.timestamp(event.block)
        return times[event.block]

    later: dict[int, list[tuple[int, int, int]]] = {}
    for name in ("LicenseRenewed", "LicenseReinstated"):
        for event in index.events(name, contract="Licenses"):
            end, paid = int(event.arguments["end"]), int(event.arguments["price"])
            later.setdefault(int(event.arguments["licenseId"]), []).append((end, paid, time_of(event)))
    sales = []
    for item in index.licenses(asset_id=asset):
        terms = offers[item.offer_id]
        if str(terms.token) != token:
            continue
        record = session.views.license(item.license_id)
        for_release = record.price * record.earned_at_release_bps // 10_000
        periods = [(record.start + terms.duration, record.price - for_release, record.start)]
        sale = Sale(item.license_id)
        for end, amount, opened in periods + sorted(later.get(item.license_id, [])):
            stream = Stream(amount, end - terms.duration, end, opened)
            sale.streams.append(stream.stop(record.revoked_at) if record.revoked_at else stream)
        if record.released_at:
            sale.at_once.append((record.released_at, for_release))
        sales.append(sale)
    return sales


def _books(session: Session, index: Any, asset: int) -> Iterator[dict[str, Any]]:
    """An asset's book in each token, with its licenses and what each has earned by now."""
    licenses = session.chain.contract("Licenses").functions
    offers = {item.offer_id: item.terms for item in index.offers(asset)}
    for token in sorted({str(terms.token) for terms in offers.values()}):
        balance, due = session.views.license_book(asset, token)
        items = []
        for item in index.licenses(asset_id=asset):
            if str(offers[item.offer_id].token) != token:
                continue
            record = session.views.license(item.license_id)
            items.append(
                {
                    "license": item.license_id,
                    "licensee": record.licensee,
                    "price": record.price,
                    "earned": int(session.chain.call(licenses.earned(item.license_id))),
                    "refunded": record.refunded,
                    "revoked": bool(record.revoked_at),
                    "ends": record.end,
                }
            )
        if items:
            yield {"asset": asset, "token": token, "balance": balance, "due": due, "licenses": items}


def _paid(entries: list[dict[str, Any]], asset: int, token: str) -> list[dict[str, Any]]:
    """To whom what licenses earned has gone by now, and from which: owners for their time, the protocol, upstream."""
    sums: dict[tuple[str, str], dict[int | None, int]] = {}
    for item in entries:
        if (item["asset"], item["token"]) == (asset, token) and item["event"] in _PAID:
            sales = sums.setdefault((_PAID[item["event"]], item["account"]), {})
            sales[item["license"]] = sales.get(item["license"], 0) - item["amount"]
    return [
        {
            "who": who,
            "account": account or None,
            "amount": sum(sales.values()),
            "sales": [{"license": number, "amount": units} for number, units in sales.items() if who == "owner"],
        }
        for (who, account), sales in sums.items()
    ]


def _tree(session: Session, books: list[dict[str, Any]]) -> list[Any]:
    from rich.tree import Tree

    trees = []
    for book in books:
        balance, due = (session.amount(book[name], book["token"]) for name in ("balance", "due"))
        tree = Tree(f"asset {book['asset']}: {balance} lie here, of which {due} can be claimed")
        for item in book["licenses"]:
            earned, back = (session.amount(item[name], book["token"]) for name in ("earned", "refunded"))
            state = "revoked" if item["revoked"] else f"price {session.amount(item['price'], book['token'])}"
            tree.add(f"license {item['license']} of {item['licensee']}: {state}, earned {earned}, returned {back}")
        for item in book["paid"]:
            whom = " ".join(filter(None, (item["who"], item["account"])))
            branch = tree.add(f"{whom}: was paid {session.amount(item['amount'], book['token'])}")
            for sale in item["sales"]:
                of = "sales that the index lacks" if sale["license"] is None else f"license {sale['license']}"
                branch.add(f"of {of}: {session.amount(sale['amount'], book['token'])}")
        trees.append(tree)
    return trees


def _shown(session: Session, item: dict[str, Any]) -> str:
    return session.amount(item["amount"], item["token"])


COMMAND = Command(
    name="revenue",
    run=revenue,
    summary="Who earned what, from which sale, and when: as a table, a tree, and a CSV file.",
    details=(
        "Of one asset, or of all that are or were the account's. What goes out is negative; amounts in the file are in "
        "the token's smallest units."
    ),
    example="--asset 1 --csv revenue.csv",
    account="maybe",
    parameters=(
        click.option(
            "--asset", type=click.IntRange(min=1), help="Number of the asset.  [default: the account's assets]"
        ),
        click.option(
            "--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the table here, too."
        ),
    ),
)
