"""From a decoded event to the row of the table that is kept of its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["ROWS", "Arguments"]

#: An event's arguments by name: numbers, texts, bytes, lists, and for structs again mappings.
Arguments = Mapping[str, Any]


def _roster(event: Arguments) -> dict[str, Any]:
    return {
        "shard": event["shard"],
        "roster": event["roster"],
        "tickets": event["tickets"],
        "operators": event["operators"],
        "active_from": event["activeFromEpoch"],
        "key_sum": event["keySum"],
        "slasher": event["slasher"],
    }


def _object(event: Arguments) -> dict[str, Any]:
    request = event["request"]
    return {
        "object_id": event["objectId"],
        "owner": event["owner"],
        "shard": event["shard"],
        "roster": event["roster"],
        "width": request["width"],
        "k": request["k"],
        "n": request["n"],
        "matrices": request["matrices"],
        "size": request["size"],
        "epochs": request["epochs"],
        "tree_root": request["treeRoot"],
        "content_hash": request["contentHash"],
        "header_hash": request["headerHash"],
        "manifest_root": event["manifestRoot"],
        "payment": str(event["payment"]),
    }


def _certificate(event: Arguments) -> dict[str, Any]:
    return {
        "object_id": event["objectId"],
        "first_epoch": event["firstEpoch"],
        "end_epoch": event["endEpoch"],
        "non_signers": json.dumps(list(event["nonSigners"])),
    }


def _seal(event: Arguments) -> dict[str, Any]:
    return {
        "shard": event["shard"],
        "epoch": event["epoch"],
        "seed": event["seed"],
        "sealed_block": event["sealedBlock"],
        "deadline": event["deadline"],
    }


def _answer(event: Arguments) -> dict[str, Any]:
    return {
        "shard": event["shard"],
        "epoch": event["epoch"],
        "operator": event["operator"],
        "live": event["live"],
        "reads": event["read"],
    }


def _miss(event: Arguments) -> dict[str, Any]:
    return {
        "shard": event["shard"],
        "epoch": event["epoch"],
        "operator": event["operator"],
        "reporter": event["reporter"],
        "slash_id": event["slashId"],
    }


def _slash(event: Arguments) -> dict[str, Any]:
    return {
        "slash_id": event["id"],
        "shard": event["shard"],
        "roster": event["roster"],
        "epoch": event["epoch"],
        "operator": event["operator"],
        "reporter": event["reporter"],
        "ready_block": event["readyBlock"],
    }


def _settlement(event: Arguments) -> dict[str, Any]:
    return {
        "shard": event["shard"],
        "epoch": event["epoch"],
        "operator": event["operator"],
        "amount": str(event["amount"]),
        "to_operator": str(event["toOperator"]),
    }


def _asset(event: Arguments) -> dict[str, Any]:
    return {
        "asset_id": str(event["assetId"]),
        "minter": event["owner"],
        "content_hash": event["contentHash"],
        "objects": json.dumps([bytes(item).hex() for item in event["objectIds"]]),
        "metadata": event["metadata"],
    }


def _offer(event: Arguments) -> dict[str, Any]:
    terms = {name: "0x" + item.hex() if isinstance(item, bytes) else item for name, item in event["terms"].items()}
    return {"offer_id": str(event["offerId"]), "asset_id": str(event["assetId"]), "terms": json.dumps(terms)}


def _license(event: Arguments) -> dict[str, Any]:
    return {
        "license_id": str(event["licenseId"]),
        "offer_id": str(event["offerId"]),
        "asset_id": str(event["assetId"]),
        "licensee": event["licensee"],
        "start": event["start"],
        "ends": event["end"],
        "price": str(event["price"]),
    }


#: (contract, event) → (table, row).
ROWS: dict[tuple[str, str], tuple[str, Callable[[Arguments], dict[str, Any]]]] = {
    ("Shards", "RosterTaken"): ("rosters", _roster),
    ("Objects", "ObjectOpened"): ("objects", _object),
    ("Objects", "ObjectCertified"): ("certificates", _certificate),
    ("Objects", "ObjectFailed"): ("failures", lambda event: {"object_id": event["objectId"]}),
    ("Audits", "EpochSealed"): ("seals", _seal),
    ("Audits", "Answered"): ("answers", _answer),
    ("Audits", "MissReported"): ("misses", _miss),
    ("Restaking", "SlashQueued"): ("slashes", _slash),
    ("Restaking", "SlashDelayed"): (
        "slash_delays",
        lambda event: {"slash_id": event["id"], "ready_block": event["readyBlock"]},
    ),
    ("Restaking", "SlashExecuted"): (
        "slash_executions",
        lambda event: {
            "slash_id": event["id"],
            "bond_taken": str(event["bondTaken"]),
            "reporter_reward": str(event["reporterReward"]),
        },
    ),
    ("Restaking", "StakeSlashed"): (
        "stake_slashes",
        lambda event: {
            "slash_id": event["id"],
            "collateral": event["collateral"],
            "amount": str(event["amount"]),
        },
    ),
    ("Rewards", "EpochSettled"): ("settlements", _settlement),
    ("Assets", "AssetMinted"): ("assets", _asset),
    ("Licenses", "OfferPublished"): ("offers", _offer),
    ("Licenses", "OfferWithdrawn"): ("offer_withdrawals", lambda event: {"offer_id": str(event["offerId"])}),
    ("Licenses", "LicenseSold"): ("licenses", _license),
    ("Licenses", "LicenseRevoked"): (
        "revocations",
        lambda event: {"license_id": str(event["licenseId"]), "refund": str(event["refund"])},
    ),
    ("Licenses", "KeyReleased"): (
        "releases",
        lambda event: {
            "license_id": str(event["licenseId"]),
            "key_holder": event["keyHolder"],
            "recipient_key": event["recipientKey"],
        },
    ),
}
