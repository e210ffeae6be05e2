"""From a decoded event to the row of the table that is kept of its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["GENERAL", "NOT_FOLLOWED", "ROWS", "Arguments"]

#: An event's arguments by name: numbers, texts, bytes, lists, and for structs again mappings.
Arguments = Mapping[str, Any]


def _json(value: Any) -> str:
    return json.dumps(value, default=lambda item: "0x" + bytes(item).hex())


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
        "sealer": event["sealer"],
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
        "to_sealers": str(event["toSealers"]),
    }


def _renewal(event: Arguments) -> dict[str, Any]:
    return {
        "license_id": str(event["licenseId"]),
        "payer": event["payer"],
        "ends": event["end"],
        "price": str(event["price"]),
    }


def _asset(event: Arguments) -> dict[str, Any]:
    return {"asset_id": str(event["assetId"]), "minter": event["owner"], **_content(event)}


def _content(event: Arguments) -> dict[str, Any]:
    return {
        "content_hash": event["contentHash"],
        "objects": json.dumps([bytes(item).hex() for item in event["objectIds"]]),
        "metadata": event["metadata"],
    }


def _offer(event: Arguments) -> dict[str, Any]:
    terms = event["terms"]
    return {
        "offer_id": str(event["offerId"]),
        "asset_id": str(event["assetId"]),
        "terms": _json(terms),
        "token": terms["token"],
        "price": str(terms["price"]),
        "purposes": terms["purposes"],
        "duration": terms["duration"],
        "uses": terms["uses"],
    }


def _license(event: Arguments) -> dict[str, Any]:
    return {
        "license_id": str(event["licenseId"]),
        "offer_id": str(event["offerId"]),
        "asset_id": str(event["assetId"]),
        "buyer": event["licensee"],
        "start": event["start"],
        "ends": event["end"],
        "price": str(event["price"]),
    }


def _ended(event: Arguments, kind: str) -> dict[str, Any]:
    return {
        "license_id": str(event["licenseId"]),
        "kind": kind,
        "cause": event["causeHash"],
        "evidence": event["evidenceHash"],
    }


#: (contract, event) → (table, row).
ROWS: dict[tuple[str, str], tuple[str, Callable[[Arguments], dict[str, Any]]]] = {
    ("Shards", "ShardCreated"): (
        "shards",
        lambda event: {
            "shard": event["shard"],
            "first_block": event["firstBlock"],
            "parameters": _json(event["parameters"]),
            "collaterals": _json(event["collaterals"]),
        },
    ),
    ("Shards", "RosterTaken"): ("rosters", _roster),
    ("Members", "OperatorJoined"): (
        "memberships",
        lambda event: {"shard": event["shard"], "operator": event["operator"], "joined": 1},
    ),
    ("Members", "OperatorLeft"): (
        "memberships",
        lambda event: {"shard": event["shard"], "operator": event["operator"], "joined": 0},
    ),
    ("Members", "OperatorJailed"): (
        "jails",
        lambda event: {
            "shard": event["shard"],
            "operator": event["operator"],
            "until_epoch": event["untilEpoch"],
        },
    ),
    ("Operators", "OperatorRegistered"): (
        "operators",
        lambda event: {"operator": event["operator"], "responder": event["responder"]},
    ),
    ("Operators", "EndpointChanged"): (
        "endpoints",
        lambda event: {
            "operator": event["operator"],
            "endpoint": event["endpoint"],
            "from_block": event["fromBlock"],
        },
    ),
    ("Operators", "CommissionChanged"): (
        "commissions",
        lambda event: {
            "operator": event["operator"],
            "bps": event["commissionBps"],
            "from_block": event["fromBlock"],
        },
    ),
    ("Assets", "Transfer"): (
        "asset_transfers",
        lambda event: {"asset_id": str(event["tokenId"]), "recipient": event["to"]},
    ),
    ("Objects", "ObjectOpened"): ("objects", _object),
    ("Objects", "ObjectCertified"): ("certificates", _certificate),
    ("Objects", "ObjectFailed"): ("failures", lambda event: {"object_id": event["objectId"]}),
    ("Objects", "ObjectAdopted"): (
        "adoptions",
        lambda event: {
            "object_id": event["objectId"],
            "operator": event["operator"],
            "seat": event["seat"],
            "from_epoch": event["fromEpoch"],
        },
    ),
    ("Objects", "ObjectExtended"): (
        "extensions",
        lambda event: {
            "object_id": event["objectId"],
            "payer": event["payer"],
            "end_epoch": event["endEpoch"],
            "payment": str(event["payment"]),
            "listed_from": event["listedFrom"],
        },
    ),
    ("Objects", "ObjectTerminated"): (
        "terminations",
        lambda event: {"object_id": event["objectId"], "end_epoch": event["endEpoch"]},
    ),
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
    ("Assets", "VersionAdded"): (
        "asset_versions",
        lambda event: {"asset_id": str(event["assetId"]), "version": event["version"], **_content(event)},
    ),
    ("Licenses", "OfferPublished"): ("offers", _offer),
    ("Licenses", "OfferWithdrawn"): ("offer_withdrawals", lambda event: {"offer_id": str(event["offerId"])}),
    ("Licenses", "LicenseSold"): ("licenses", _license),
    ("Licenses", "Transfer"): (
        "license_transfers",
        lambda event: {"license_id": str(event["tokenId"]), "recipient": event["to"]},
    ),
    ("Licenses", "LicenseRevoked"): (
        "revocations",
        lambda event: {**_ended(event, "revoked"), "refund": str(event["refund"])},
    ),
    ("Licenses", "BreachClaimed"): ("revocations", lambda event: {**_ended(event, "breach"), "refund": "0"}),
    ("Licenses", "LicenseLost"): (
        "revocations",
        lambda event: {
            "license_id": str(event["licenseId"]),
            "kind": "lost",
            "cause": event["objectId"],
            "evidence": bytes(32),
            "refund": str(event["refund"]),
        },
    ),
    ("Licenses", "LicenseRenewed"): ("renewals", _renewal),
    ("Licenses", "LicenseReinstated"): ("renewals", _renewal),
    ("Licenses", "KeyReleased"): (
        "releases",
        lambda event: {
            "license_id": str(event["licenseId"]),
            "key_holder": event["keyHolder"],
            "recipient_key": event["recipientKey"],
        },
    ),
}

#: Events that are kept as every other in the table ``events`` but have no table of their own, and why.
GENERAL: dict[tuple[str, str], str] = {
    **{
        ("Directory", name): "`_announced` follows ModuleSet; who governs and what waits is asked of the contract"
        for name in ("ChangeCancelled", "ChangeQueued", "GovernorChanged", "GovernorProposed", "ModuleSet", "Sealed")
    },
    **{
        ("Operators", name): "the key and the responder of now are asked of the contract"
        for name in ("KeyPublished", "ResponderChanged")
    },
    ("Shards", "PlaceVacated"): "asked of the contract by roster and operator",
    **{
        ("Keys", name): "a licensee or a holder follows its own asset's, by the asset's number"
        for name in (
            *("HolderReported", "HoldersDrawn", "KeyDealt", "KeyRequested"),
            *("ReleaseAnswered", "ReleaseForced", "ReleaseSettled"),
        )
    },
    **{
        ("Restaking", name): "a step of stake or bond: what there is now is asked of the contract, queues by number"
        for name in (
            *("Allocated", "AllocationQueued", "Deallocated", "DeallocationQueued", "GenerationEnded"),
            *("BondPosted", "BondWithdrawalQueued", "BondWithdrawn", "Burned", "Deposited", "Withdrawn"),
            *("Delegated", "DelegationCancelled", "Matured", "RedelegationQueued"),
            *("WithdrawalQueued", "WithdrawalCompleted"),
        )
    },
    **{
        ("Restaking", name): "once for a deployment or an operator; read by people who look for it"
        for name in ("CollateralListed", "RestakerRewardsPinned", "ShardsPinned", "SlasherAccepted")
    },
    **{
        ("Rewards", name): "a booking: what is due now is asked of the contract"
        for name in (
            *("FeesBooked", "IntakeClaimed", "OpeningReturned", "UnprovenReturned", "UnsignedReturned"),
            *("UnearnedReturned", "VoidReturned"),
        )
    },
    **{
        ("RestakerRewards", name): "a booking: what is due now is asked of the contract"
        for name in ("RewardBooked", "RewardClaimed")
    },
    **{
        ("Payments", name): "a booking: what is due now is asked of the contract"
        for name in (
            *("ClaimFailed", "Claimed", "Collected", "Moved", "SourceFailed"),
            *("StreamOpened", "StreamStarted", "StreamStopped", "HeldEarned", "StreamsSettled"),
            *("LatePaid", "LateAccepted", "LateTakenBack"),
            *("ReadsDeposited", "VoucherRedeemed", "WithdrawalAnnounced", "DepositWithdrawn"),
        )
    },
    ("Licenses", "SignedOfferCancelled"): "an offer that never was: the contract refuses it",
    ("Payments", "EIP712DomainChanged"): "never: the domain is fixed",
    ("Payments", "ProtocolFeeAnnounced"): "the fee of now is asked of the contract",
    **{
        ("Licenses", name): "a booking: the license's record has the sums"
        for name in ("LicenseRefunded", "BreachDisputed", "BreachConcluded")
    },
    **{
        ("Licenses", name): "money that is its payer's: what lies there now is asked of Payments"
        for name in ("LicensePaidLate",)
    },
    **{
        ("Licenses", name): "says of every license what the standard wants said: its offer's terms have it"
        for name in ("Approval", "ApprovalForAll", "Locked", "Unlocked", "EIP712DomainChanged")
    },
    **{("Assets", name): "who may move an asset is asked of the contract" for name in ("Approval", "ApprovalForAll")},
    **{
        ("Assets", name): "says what the standard wants said: VersionAdded has it"
        for name in ("MetadataUpdate", "BatchMetadataUpdate", "EIP712DomainChanged")
    },
    **{
        ("Assets", name): "asked of the contract by who needs it: ranges and description of a version, the royalty"
        for name in ("ContentDescribed", "RoyaltySet")
    },
    ("RandaoBeacon", "RandomnessRevealed"): "EpochSealed says it of the epoch",
    ("DrandBeacon", "RandomnessRevealed"): "EpochSealed says it of the epoch",
    ("DrandBeacon", "RoundVerified"): "an auditor asks for it by its block",
}

#: Contracts whose events the index does not follow, and why.
NOT_FOLLOWED: dict[str, str] = {
    "ClaimLists": "entries come as files from who proposes them; roots and claims are asked of the contract",
    "IClaimLists": "an interface that ClaimLists has",
    "FaucetToken": "a token: its transfers concern everybody who holds it, and are asked of it",
    "LicenseChanges": "code that Licenses runs: its events are those of Licenses",
    "ObjectChanges": "code that Objects runs: its events are those of Objects",
    "IERC5192": "an interface that Licenses has: its events are followed there",
}
