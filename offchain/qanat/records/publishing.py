"""Storing bundles' files as objects, for a collector: paid by one account, taken up where an earlier try ended."""

from __future__ import annotations

import threading
from pathlib import Path

from qanat import strict_json
from qanat.chain.connection import Chain
from qanat.chain.sender import Sender
from qanat.chain.views import Views
from qanat.client.fetch import fetch_manifest
from qanat.client.store import store_file
from qanat.client.stored import Quote
from qanat.client.together import Together
from qanat.errors import FileUnreadable
from qanat.records.collector import Publish, Published

__all__ = ["store_bundles"]

_PAID_AT_A_TIME = 8
_APPROVED_AHEAD = 64


def store_bundles(
    chain: Chain,
    sender: Sender,
    *,
    shard: int,
    epochs: int,
    tolerate_down: int = 2,
    tolerate_absent: int = 0,
    availability: float | None = None,
    max_payment: int | None = None,
) -> Publish:
    """Return what stores a bundle's file, unencrypted, and leaves ``<file>.stored.json`` beside it.

    Bundles that wait for their certificates at the same time share one.
    The account's allowance to ``Payments`` is raised for some bundles ahead, and what is left of it stays.
    ``max_payment``: of one bundle, in units of the shard's token: a dearer one waits. The other arguments are those of
    :func:`~qanat.client.store.store_file`.
    """
    approving = threading.Lock()
    together = Together(Views(chain), sender)

    def confirm(quote: Quote) -> bool:
        if max_payment is not None and quote.total > max_payment:
            return False
        # several bundles are paid for at a time: an allowance for one would be used up by another
        with approving:
            token = chain.token(quote.token).functions
            payments = chain.contract("Payments").address
            if chain.call(token.allowance(sender.address, payments)) < _PAID_AT_A_TIME * quote.total:
                held = int(chain.call(token.balanceOf(sender.address)))
                sender.approve_if_needed(quote.token, payments, min(held, _APPROVED_AHEAD * quote.total))
        return True

    def publish(path: Path) -> Published:
        receipt = path.with_name(f"{path.name}.stored.json")
        if receipt.exists():  # of an earlier run, which ended before its collector noted it
            object_id = _object_of(receipt)
            return Published(object_id, fetch_manifest(object_id, chain=chain))
        stored = store_file(
            path,
            chain=chain,
            sender=sender,
            shard=shard,
            epochs=epochs,
            out_dir=path.parent,
            encrypt=False,
            tolerate_down=tolerate_down,
            tolerate_absent=tolerate_absent,
            availability=availability,
            confirm=confirm,
            together=together,
        )
        return Published(stored.object_id, stored.manifest)

    return publish


def _object_of(receipt: Path) -> bytes:
    try:
        return bytes.fromhex(strict_json.parse(receipt.read_text(encoding="utf-8"))["objectId"].removeprefix("0x"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileUnreadable(f"{receipt} can't be read: {error}.", path=str(receipt)) from error
