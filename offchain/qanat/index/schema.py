"""Tables of the index.

Every row belongs to the block in which it happened and is never changed: what an object, a slash, or a license *is* now
is put together from rows when it is asked for. So undoing a reorganised block is deleting its rows.
"""

from __future__ import annotations

__all__ = ["EVENT_TABLES", "SCHEMA", "VERSION"]

#: Counted up with every change of a table: an index of another version is built anew.
VERSION = 8

#: Table → its own columns. Each has ``block``, ``log_index`` and ``tx`` besides, and (block, log_index) as its key.
#: Amounts and token ids are decimal texts, since they may pass 64 bits.
_TABLES = {
    "events": ("block_hash BLOB", "contract TEXT", "address TEXT", "name TEXT", "arguments TEXT"),
    "rosters": (
        "shard INTEGER",
        "roster INTEGER",
        "tickets INTEGER",
        "operators INTEGER",
        "active_from INTEGER",
        "key_sum TEXT",
        "slasher TEXT",
    ),
    "objects": (
        "object_id BLOB",
        "owner TEXT",
        "shard INTEGER",
        "roster INTEGER",
        "width INTEGER",
        "k INTEGER",
        "n INTEGER",
        "matrices INTEGER",
        "size INTEGER",
        "epochs INTEGER",
        "tree_root BLOB",
        "content_hash BLOB",
        "header_hash BLOB",
        "manifest_root BLOB",
        "payment TEXT",
    ),
    "certificates": ("object_id BLOB", "first_epoch INTEGER", "end_epoch INTEGER", "non_signers TEXT"),
    "failures": ("object_id BLOB",),
    "adoptions": ("object_id BLOB", "operator TEXT", "seat INTEGER", "from_epoch INTEGER"),
    "extensions": ("object_id BLOB", "payer TEXT", "end_epoch INTEGER", "payment TEXT", "listed_from INTEGER"),
    "terminations": ("object_id BLOB", "end_epoch INTEGER"),
    "seals": (
        "shard INTEGER",
        "epoch INTEGER",
        "seed BLOB",
        "sealed_block INTEGER",
        "deadline INTEGER",
        "sealer TEXT",
    ),
    "answers": ("shard INTEGER", "epoch INTEGER", "operator TEXT", "live INTEGER", "reads INTEGER"),
    "misses": ("shard INTEGER", "epoch INTEGER", "operator TEXT", "reporter TEXT", "slash_id BLOB"),
    "slashes": (
        "slash_id BLOB",
        "shard INTEGER",
        "roster INTEGER",
        "epoch INTEGER",
        "operator TEXT",
        "reporter TEXT",
        "ready_block INTEGER",
    ),
    "slash_delays": ("slash_id BLOB", "ready_block INTEGER"),
    "slash_executions": ("slash_id BLOB", "bond_taken TEXT", "reporter_reward TEXT"),
    "stake_slashes": ("slash_id BLOB", "collateral TEXT", "amount TEXT"),
    "settlements": (
        "shard INTEGER",
        "epoch INTEGER",
        "operator TEXT",
        "amount TEXT",
        "to_operator TEXT",
        "to_sealers TEXT",
    ),
    "assets": ("asset_id TEXT", "minter TEXT", "content_hash BLOB", "objects TEXT", "metadata TEXT"),
    "asset_versions": ("asset_id TEXT", "version INTEGER", "content_hash BLOB", "objects TEXT", "metadata TEXT"),
    "offers": (
        "offer_id TEXT",
        "asset_id TEXT",
        "terms TEXT",
        "token TEXT",
        "price TEXT",
        "purposes INTEGER",
        "duration INTEGER",
        "uses INTEGER",
    ),
    "offer_withdrawals": ("offer_id TEXT",),
    "licenses": (
        "license_id TEXT",
        "offer_id TEXT",
        "asset_id TEXT",
        "buyer TEXT",
        "start INTEGER",
        "ends INTEGER",
        "price TEXT",
    ),
    "license_transfers": ("license_id TEXT", "recipient TEXT"),
    "renewals": ("license_id TEXT", "payer TEXT", "ends INTEGER", "price TEXT"),
    "revocations": ("license_id TEXT", "kind TEXT", "cause BLOB", "evidence BLOB", "refund TEXT"),
    "shards": ("shard INTEGER", "first_block INTEGER", "parameters TEXT", "collaterals TEXT"),
    "operators": ("operator TEXT", "responder TEXT"),
    "endpoints": ("operator TEXT", "endpoint TEXT", "from_block INTEGER"),
    "commissions": ("operator TEXT", "bps INTEGER", "from_block INTEGER"),
    "memberships": ("shard INTEGER", "operator TEXT", "joined INTEGER"),
    "jails": ("shard INTEGER", "operator TEXT", "until_epoch INTEGER"),
    "asset_transfers": ("asset_id TEXT", "recipient TEXT"),
    "releases": ("license_id TEXT", "key_holder TEXT", "recipient_key BLOB"),
}

_INDEXES = (
    "events (name, block)",
    "objects (object_id)",
    "objects (owner)",
    "certificates (object_id)",
    "failures (object_id)",
    "adoptions (object_id)",
    "extensions (object_id)",
    "terminations (object_id)",
    "seals (shard, epoch)",
    "answers (shard, epoch)",
    "misses (shard, epoch)",
    "slashes (slash_id)",
    "slash_executions (slash_id)",
    "stake_slashes (slash_id)",
    "answers (operator)",
    "misses (operator)",
    "slashes (operator)",
    "operators (operator)",
    "endpoints (operator)",
    "commissions (operator)",
    "memberships (shard, operator)",
    "assets (asset_id)",
    "asset_versions (asset_id)",
    "asset_transfers (asset_id)",
    "offers (asset_id)",
    "offers (offer_id)",
    "offer_withdrawals (offer_id)",
    "licenses (license_id)",
    "licenses (asset_id)",
    "license_transfers (license_id)",
    "license_transfers (recipient)",
    "renewals (license_id)",
    "revocations (license_id)",
    "releases (license_id)",
)

SCHEMA = "\n".join(
    [
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
        "CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);",
        "CREATE TABLE modules (address TEXT PRIMARY KEY, contract TEXT NOT NULL, block INTEGER NOT NULL);",
        *(
            f"CREATE TABLE {name} (block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx BLOB NOT NULL, "
            f"{', '.join(f'{column} NOT NULL' for column in columns)}, PRIMARY KEY (block, log_index)) WITHOUT ROWID;"
            for name, columns in _TABLES.items()
        ),
        *(f"CREATE INDEX by_{number} ON {index};" for number, index in enumerate(_INDEXES)),
    ]
)

#: Tables whose rows go when their block goes.
EVENT_TABLES = tuple(_TABLES)
