"""One signature for a list of objects, so that one certificate can bring all of them (``Objects.certifyMany``).

A list is signed only after each of its objects was: the whole checklist ran for each, its root is in the node's memory
for good, its own signature was durable. So the list's signature commits the operator to nothing new, and needs no
memory of its own: asked again, after a crash too, the node gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qanat import strict_json
from qanat.chain.views import ObjectStatus
from qanat.errors import MalformedHex, NodeRefused
from qanat.node.certificate import certificate_digest, certificate_list_digest
from qanat.node.intake import Intake

__all__ = ["MOST_OBJECTS", "read_list", "sign_list"]

#: Of one list: what certifying it costs must fit a block.
MOST_OBJECTS = 64
_ID = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


def read_list(body: bytes) -> list[bytes]:
    """Read ``{"objects": ["0x…", …]}`` strictly. Raises :class:`MalformedHex`."""
    try:
        asked = strict_json.parse(body)
        listed = asked["objects"] if set(asked) == {"objects"} else None
        if isinstance(listed, list) and all(_ID.fullmatch(item) for item in listed):
            return [bytes.fromhex(item[2:]) for item in listed]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise MalformedHex('The body is not {"objects": [ids of 0x and 64 hexadecimal digits]}.')


def sign_list(intake: Intake, object_ids: Sequence[bytes]) -> bytes:
    """Sign a list of open objects of one roster, in its order; return the 128-byte signature.

    Raises :class:`NodeRefused` for a list that is empty, too long, names an object twice or mixes rosters, and for an
    object that is certified already; and whatever :meth:`Intake.sign` raises for any of them.
    """
    if not 1 <= len(object_ids) <= MOST_OBJECTS:
        raise NodeRefused(
            f"A list has 1 to {MOST_OBJECTS} objects, not {len(object_ids)}.", status=400, limit=MOST_OBJECTS
        )
    if len(set(object_ids)) != len(object_ids):
        raise NodeRefused("The list names an object twice.", status=400)
    chain = intake.views.chain
    contract = chain.contract("Objects").address
    for object_id in object_ids:
        intake.sign(object_id)
    # as of one block for all of them
    block = chain.safe_block()
    records = [intake.views.object(object_id, block) for object_id in object_ids]
    first = records[0]
    for object_id, record in zip(object_ids, records, strict=True):
        if record.status is not ObjectStatus.OPEN:
            raise NodeRefused(
                f"Object 0x{object_id.hex()} is {record.status.name.lower()}: it needs no certificate.",
                hint="Leave it out of the list.",
                status=409,
                object_id=object_id,
            )
        if (record.shard, record.roster) != (first.shard, first.roster):
            raise NodeRefused(
                f"Object 0x{object_id.hex()} is of another roster than the list's first.",
                hint="Make a list for each roster.",
                status=409,
                object_id=object_id,
            )
    digests = []
    for object_id, record in zip(object_ids, records, strict=True):
        digests.append(certificate_digest(chain.chain_id, contract, object_id, record))
        signed = intake.state.signed(object_id)
        if signed is None or signed.digest != digests[-1].hex():
            # a reorganization opened it again in another way: what was signed first stands, alone
            raise NodeRefused(
                f"Object 0x{object_id.hex()} was signed in another form.", status=409, object_id=object_id
            )
    digest = certificate_list_digest(chain.chain_id, contract, first.shard, first.roster, digests)
    return bytes(intake.key_for(first).sign(digest))
