"""What there is on a network, a page at a time: operators, shards, objects, assets, offers, licenses.

All of it comes from the index, by queries of which only the page that is asked for is ever in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qanat.errors import BadParameters
from qanat.index.database import Index

__all__ = ["KINDS", "SORTS", "Catalog", "Page", "Wanted"]

#: Kind → what it can be sorted by, the default first: texts of numbers are sorted as numbers.
SORTS: dict[str, tuple[str, ...]] = {
    "operators": ("registered", "availability", "commission", "slashes"),
    "shards": ("shard", "live_bytes", "operators"),
    "objects": ("opened", "size", "end_epoch", "paid"),
    "assets": ("asset", "licenses"),
    "offers": ("offer", "price", "sold"),
    "licenses": ("license", "end", "price"),
}
KINDS = tuple(SORTS)
_TEXTS = frozenset({"asset", "offer", "license", "price", "paid"})

#: Of a table of announcements, those that none replaced before they came into force.
_LASTING = """SELECT * FROM {0} AS word WHERE NOT EXISTS (SELECT 1 FROM {0} AS later
        WHERE later.operator = word.operator AND (later.block, later.log_index) > (word.block, word.log_index)
        AND later.block < word.from_block)"""

#: Tables that the queries share, by name; ``now`` and ``here`` are put before them.
_SHARED = {
    "lasting_endpoints": _LASTING.format("endpoints"),
    "lasting_commissions": _LASTING.format("commissions"),
    "members": """SELECT shard, operator FROM (SELECT shard, operator, joined,
        row_number() OVER (PARTITION BY shard, operator ORDER BY block DESC, log_index DESC) AS age FROM memberships)
        WHERE age = 1 AND joined = 1""",
    "states": """SELECT objects.*, certificates.first_epoch, certificates.end_epoch, CASE
        WHEN failures.object_id IS NOT NULL THEN 'failed' WHEN certificates.object_id IS NULL THEN 'open'
        WHEN now.epoch >= certificates.end_epoch THEN 'ended'
        WHEN now.epoch >= certificates.first_epoch THEN 'live' ELSE 'certified' END AS state
        FROM objects LEFT JOIN now ON now.shard = objects.shard
        LEFT JOIN certificates ON certificates.object_id = objects.object_id
        LEFT JOIN failures ON failures.object_id = objects.object_id""",
    # as its newest version says
    "owned": """SELECT assets.asset_id, assets.minter, assets.block, (SELECT recipient FROM asset_transfers
        WHERE asset_transfers.asset_id = assets.asset_id ORDER BY block DESC, log_index DESC LIMIT 1) AS owner,
        coalesce(newest.version, 1) AS version, coalesce(newest.content_hash, assets.content_hash) AS content_hash,
        coalesce(newest.objects, assets.objects) AS objects, coalesce(newest.metadata, assets.metadata) AS metadata
        FROM assets LEFT JOIN asset_versions AS newest ON newest.asset_id = assets.asset_id AND newest.version =
        (SELECT max(version) FROM asset_versions WHERE asset_versions.asset_id = assets.asset_id)""",
    "sales": """SELECT offer_id AS offer, offers.asset_id AS asset, owner, token, price, purposes, duration, uses,
        terms, offers.block AS published,
        (SELECT count(*) FROM licenses WHERE licenses.offer_id = offers.offer_id) AS sold,
        CASE WHEN EXISTS (SELECT 1 FROM offer_withdrawals WHERE offer_withdrawals.offer_id = offers.offer_id)
            THEN 'withdrawn'
            WHEN EXISTS (SELECT 1 FROM asset_transfers AS moved WHERE moved.asset_id = offers.asset_id
                AND (moved.block, moved.log_index) > (offers.block, offers.log_index)
                AND moved.recipient <> (SELECT recipient FROM asset_transfers AS had
                WHERE had.asset_id = offers.asset_id AND (had.block, had.log_index) < (offers.block, offers.log_index)
                ORDER BY had.block DESC, had.log_index DESC LIMIT 1))
            THEN 'asset changed hands' ELSE 'on sale' END AS state
        FROM offers LEFT JOIN owned ON owned.asset_id = offers.asset_id""",
}

#: Kind → a query of all there is of it, and the condition of what is live.
_QUERIES: dict[str, tuple[str, str]] = {
    "operators": (
        """SELECT operators.operator, operators.block AS registered,
            (SELECT endpoint FROM lasting_endpoints AS word
                WHERE word.operator = operators.operator AND from_block <= here.block
                ORDER BY block DESC, log_index DESC LIMIT 1) AS endpoint,
            (SELECT endpoint FROM lasting_endpoints AS word
                WHERE word.operator = operators.operator AND from_block > here.block
                ORDER BY block DESC, log_index DESC LIMIT 1) AS next_endpoint,
            (SELECT bps FROM lasting_commissions AS word
                WHERE word.operator = operators.operator AND from_block <= here.block
                ORDER BY block DESC, log_index DESC LIMIT 1) AS commission,
            (SELECT bps FROM lasting_commissions AS word
                WHERE word.operator = operators.operator AND from_block > here.block
                ORDER BY block DESC, log_index DESC LIMIT 1) AS next_commission,
            (SELECT group_concat(shard) FROM members WHERE members.operator = operators.operator) AS shards,
            (SELECT group_concat(jails.shard) FROM jails JOIN now ON now.shard = jails.shard
                WHERE jails.operator = operators.operator AND jails.until_epoch > now.epoch) AS jailed_in,
            (SELECT count(*) FROM answers WHERE answers.operator = operators.operator) AS answered,
            (SELECT count(*) FROM misses WHERE misses.operator = operators.operator) AS missed,
            (SELECT 1.0 * count(*) / (count(*) + (SELECT count(*) FROM misses
                WHERE misses.operator = operators.operator))
                FROM answers WHERE answers.operator = operators.operator) AS availability,
            (SELECT count(*) FROM slashes WHERE slashes.operator = operators.operator) AS slashes
        FROM operators, here""",
        "shards IS NOT NULL AND jailed_in IS NULL",
    ),
    "shards": (
        """SELECT shards.shard, first_block, parameters, collaterals, now.epoch,
            (SELECT count(*) FROM members WHERE members.shard = shards.shard) AS operators,
            (SELECT tickets FROM rosters WHERE rosters.shard = shards.shard ORDER BY roster DESC LIMIT 1) AS tickets,
            (SELECT count(*) FROM states WHERE states.shard = shards.shard AND state = 'live') AS live_objects,
            (SELECT coalesce(sum(size), 0) FROM states
                WHERE states.shard = shards.shard AND state = 'live') AS live_bytes
        FROM shards LEFT JOIN now ON now.shard = shards.shard""",
        "live_objects > 0",
    ),
    "objects": (
        """SELECT object_id AS object, owner, shard, roster, size, k, n, matrices, epochs, first_epoch, end_epoch,
            state, payment AS paid, block AS opened, content_hash FROM states""",
        "state = 'live'",
    ),
    "assets": (
        """SELECT asset_id AS asset, owner, minter, version, content_hash, objects, metadata, block AS minted,
            (SELECT coalesce(sum(held.size), 0) FROM json_each(owned.objects) AS item
                JOIN objects AS held ON held.object_id = unhex(item.value)) AS size,
            (SELECT count(*) FROM licenses WHERE licenses.asset_id = owned.asset_id) AS licenses,
            (SELECT group_concat(offer) FROM sales
                WHERE sales.asset = owned.asset_id AND sales.state = 'on sale') AS offers,
            json_array_length(owned.objects) = (SELECT count(*) FROM json_each(owned.objects) AS item
                JOIN states ON states.object_id = unhex(item.value) WHERE states.state = 'live') AS live
        FROM owned""",
        "live",
    ),
    "offers": ("SELECT * FROM sales", "state = 'on sale'"),
    "licenses": (
        """SELECT licenses.license_id AS license, licenses.offer_id AS offer, licenses.asset_id AS asset,
            (SELECT recipient FROM license_transfers WHERE license_transfers.license_id = licenses.license_id
                ORDER BY block DESC, log_index DESC LIMIT 1) AS owner,
            licenses.start, coalesce((SELECT max(ends) FROM renewals
                WHERE renewals.license_id = licenses.license_id), licenses.ends) AS "end", licenses.price, offers.token,
            offers.purposes, offers.uses,
            EXISTS (SELECT 1 FROM releases WHERE releases.license_id = licenses.license_id) AS key_released,
            CASE WHEN EXISTS (SELECT 1 FROM revocations WHERE revocations.license_id = licenses.license_id)
                THEN 'revoked' WHEN here.time >= coalesce((SELECT max(ends) FROM renewals
                WHERE renewals.license_id = licenses.license_id), licenses.ends)
                THEN 'ended' ELSE 'in force' END AS state
        FROM here, licenses LEFT JOIN offers ON offers.offer_id = licenses.offer_id""",
        "state = 'in force'",
    ),
}

#: Kind → conditions of the filters that it has.
_FILTERS: dict[str, dict[str, str]] = {
    "operators": {
        "owner": "operator = ?",
        "shard": "EXISTS (SELECT 1 FROM members WHERE members.operator = found.operator AND members.shard = ?)",
    },
    "shards": {"shard": "shard = ?"},
    "objects": {"owner": "owner = ?", "shard": "shard = ?"},
    "assets": {
        "owner": "owner = ?",
        "shard": """EXISTS (SELECT 1 FROM json_each(found.objects) AS item
            JOIN objects AS o ON o.object_id = unhex(item.value) WHERE o.shard = ?)""",
        "purposes": """EXISTS (SELECT 1 FROM sales WHERE sales.asset = found.asset AND sales.state = 'on sale'
            AND (sales.purposes & ?1) = ?1)""",
    },
    "offers": {"owner": "owner = ?", "purposes": "(purposes & ?1) = ?1"},
    "licenses": {"owner": "owner = ?", "purposes": "(purposes & ?1) = ?1"},
}


@dataclass(frozen=True)
class Wanted:
    """What of a kind is wanted, in which order.

    ``owner``: checksummed address of the owner, operator or licensee. ``purposes``: bits that must all be granted.
    ``sort``: a field of :data:`SORTS`, the first if empty. ``limit`` rows from ``offset`` on; 0: all.
    """

    kind: str
    owner: str | None = None
    shard: int | None = None
    purposes: int | None = None
    live: bool = False
    sort: str = ""
    descending: bool = False
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True)
class Page:
    """Rows by the names of their fields, and how many there are in all."""

    rows: list[dict[str, Any]]
    total: int


class Catalog:
    """Answers from an index, as of a block."""

    def __init__(self, index: Index, *, epochs: Mapping[int, int], block: int, time: int) -> None:
        """Take an index that was brought up to date.

        Args:
            index: the index.
            epochs: current epoch of each shard.
            block: newest block.
            time: its time, seconds since 1970.
        """
        self.index = index
        values = ", ".join(f"({int(shard)}, {int(epoch)})" for shard, epoch in epochs.items()) or "(0, 0)"
        shared = ", ".join(f"{name} AS ({query})" for name, query in _SHARED.items())
        here = f"here(block, time) AS (VALUES ({int(block)}, {int(time)}))"
        self._with = f"WITH now(shard, epoch) AS (VALUES {values}), {here}, {shared}"

    def page(self, wanted: Wanted) -> Page:
        """Return a page. Raises :class:`BadParameters` for a filter or an order that a kind does not have."""
        query, live = _QUERIES[wanted.kind]
        where, values = self._conditions(wanted)
        if wanted.live:
            where.append(live)
        source = f"FROM ({query}) AS found{' WHERE ' + ' AND '.join(where) if where else ''}"
        total = int(self.index.query(f"{self._with} SELECT count(*) AS total {source}", values)[0]["total"])
        limit = f" LIMIT {int(wanted.limit)} OFFSET {int(wanted.offset)}" if wanted.limit else ""
        rows = self.index.query(f"{self._with} SELECT * {source} ORDER BY {self._order(wanted)}{limit}", values)
        return Page([_row(dict(row)) for row in rows], total)

    @staticmethod
    def _conditions(wanted: Wanted) -> tuple[list[str], Sequence[Any]]:
        known = _FILTERS[wanted.kind]
        where: list[str] = []
        values: list[Any] = []
        for name in ("purposes", "owner", "shard"):  # ?1 is the purposes
            value = getattr(wanted, name)
            if value is None:
                continue
            if name not in known:
                raise BadParameters(
                    f"{wanted.kind} can't be chosen by {name.rstrip('s')}.",
                    hint=f"They can by: {', '.join([*(item.rstrip('s') for item in known), 'live'])}.",
                )
            where.append(known[name])
            values.append(value)
        return where, values

    @staticmethod
    def _order(wanted: Wanted) -> str:
        field = wanted.sort or SORTS[wanted.kind][0]
        if field not in SORTS[wanted.kind]:
            raise BadParameters(
                f"{wanted.kind} can't be sorted by {field}.", hint=f"They can by: {', '.join(SORTS[wanted.kind])}."
            )
        way = "DESC" if wanted.descending else "ASC"
        first = SORTS[wanted.kind][0]
        fields = [field] if field == first else [field, first]
        # prices of one token are compared with each other
        made = ["token"] if field == "price" else []
        for item in fields:
            made += [f"length({item}) {way}", f"{item} {way}"] if item in _TEXTS else [f'"{item}" {way} NULLS LAST']
        return ", ".join(made)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers of texts, values of JSON, lists of what SQLite joined with commas."""
    for name, value in row.items():
        if name in _TEXTS and value is not None:
            row[name] = int(value)
        elif name == "objects":
            # bytes, as every other id of a row: shown with 0x, as commands take them
            row[name] = [bytes.fromhex(item) for item in json.loads(value)]
        elif name in ("parameters", "collaterals", "terms"):
            row[name] = json.loads(value)
        elif name in ("shards", "jailed_in", "offers"):
            row[name] = sorted({int(item) for item in str(value).split(",")}) if value is not None else []
    return row
