"""Reporting holders of keys on chain whose receipts prove a fault."""

from __future__ import annotations

import asyncio
from typing import Any

from eth_utils.address import to_checksum_address

from qanat.chain.header import encode_header
from qanat.chain.views import Views
from qanat.client.access import ReceiptJudge
from qanat.client.nodes import NodeClient, connections
from qanat.client.release import HeldKey, held_key
from qanat.errors import FormatError, NodeError, TransactionReverted
from qanat.keys.receipts import SignedReceipt
from qanat.keys.release import blinded_base, is_right
from qanat.keys.shares import Commitments

__all__ = ["fetch_dealing", "report_call"]


def report_call(views: Views, receipt: SignedReceipt, cache: dict[tuple[int, int], Commitments | None]) -> Any | None:
    """Return the call that reports a receipt's fault, None where it shows none.

    ``cache``: dealings by asset and key epoch, asked for once. A fault that can't be told for want of the dealing,
    which only holders have, counts as none.
    """
    judge = ReceiptJudge(views)
    if not judge.is_of_here(receipt) or not judge.is_signed(receipt):
        return None
    said, functions = receipt.receipt, views.keys().functions
    struct = (
        said.asset_id,
        said.key_epoch,
        said.place,
        said.license_id,
        to_checksum_address("0x" + said.licensee.hex()),
    )
    given = (*struct, said.block_number, said.point, said.answer)
    headers = _unlicensed_span(views, receipt)
    if headers is not None:
        return functions.reportUnlicensed(given, receipt.signature, *headers)
    held = held_key(said.asset_id, chain=views.chain, key_epoch=said.key_epoch)
    if held is None:
        return None
    names = (said.asset_id, said.key_epoch)
    if names not in cache:
        cache[names] = fetch_dealing(views, held)
    dealing = cache[names]
    if dealing is None or _is_right(held, dealing, receipt):
        return None
    witness = dealing.points[said.place] + b"".join(dealing.path(said.place))
    return functions.reportWrong(given, receipt.signature, witness)


def fetch_dealing(views: Views, held: HeldKey) -> Commitments | None:
    """Return the dealing that the chain names, from whichever holder gives it; None where none does."""
    return asyncio.run(_fetch_dealing(views, held))


async def _fetch_dealing(views: Views, held: HeldKey) -> Commitments | None:
    async with connections(len(held.holders)) as http:
        for holder in held.holders:
            node = NodeClient(http, holder, views.endpoints_of(holder), views.chain.chain_id)
            try:
                raw = await node.get_dealing(held.context.asset_id, held.context.key_epoch)
                found = Commitments.from_bytes(raw)
            except (NodeError, FormatError):
                continue
            if held.is_dealing(found):
                return found
    return None


def _is_right(held: HeldKey, dealing: Commitments, receipt: SignedReceipt) -> bool:
    try:
        blinded = blinded_base(held.context, receipt.receipt.point)
    except FormatError:
        return True  # a P that is no point is no evidence: no holder may sign for one, and the chain can't tell
    return is_right(blinded, dealing.points[receipt.receipt.place], receipt.receipt.answer)


def _unlicensed_span(views: Views, receipt: SignedReceipt) -> tuple[bytes, bytes] | None:
    """Return the headers that prove that a license was in force nowhere in a receipt's span, None where it was."""
    said = receipt.receipt
    finality = views.shard_parameters(views.key(said.asset_id, said.key_epoch).shard).finality
    if said.block_number > views.chain.latest():
        return None
    blocks = [views.chain.web3.eth.get_block(n) for n in (max(0, said.block_number - finality), said.block_number)]
    since, until = (int(block["timestamp"]) for block in blocks)
    try:
        record = views.license(said.license_id)
    except TransactionReverted as error:
        if error.error_name != "LicenseUnknown":
            raise
    else:
        if record.asset_id == said.asset_id:
            stop = min(record.revoked_at or record.end, record.end)
            was_in_force = record.start <= until and since <= stop
            if was_in_force or int(record.licensee, 16) != int.from_bytes(said.licensee, "big"):
                return None
    first, last = (encode_header(block) for block in blocks)
    return first, last
