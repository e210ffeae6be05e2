"""Where an object is: what the chain says of it, whose nodes hold which rows, and its manifest from any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from qanat.chain.views import ObjectRecord, ObjectStatus, Views
from qanat.client.nodes import NodeClient, connections
from qanat.client.reasons import lines_of
from qanat.errors import BadParameters, FormatError, MalformedManifest, NodeError
from qanat.objects import Manifest, ticket_of_row

__all__ = ["Location"]

_MANIFEST_HEAD_BYTES = 61 + (64 << 10)
#: Rows of an object that is over are waited for so long: a window that is still open, then what is left.
_OVER_SECONDS = 60.0


@dataclass(frozen=True)
class Location:
    """A certified object: its record, the endpoints of its roster's nodes, who holds each row of every matrix."""

    object_id: bytes
    record: ObjectRecord
    endpoints: Mapping[str, str | tuple[str, ...]] = field(repr=False)
    holders: tuple[str, ...] = field(repr=False)
    #: its last epoch has passed: nodes serve what they have not deleted yet, and nobody will have it later
    is_over: bool = False

    def patience(self, seconds: float) -> float:
        """Return for how long rows are waited for: not for long where none can come back."""
        return min(seconds, _OVER_SECONDS) if self.is_over else seconds

    @classmethod
    def of(cls, views: Views, object_id: bytes) -> Location:
        """Look an object up. Raises :class:`BadParameters` if the chain knows no such certified object."""
        record = views.object(object_id)
        if record.status is ObjectStatus.NONE:
            raise BadParameters(f"The chain knows no object 0x{object_id.hex()}.", hint="Check the id and --network.")
        if record.status is not ObjectStatus.CERTIFIED:
            raise BadParameters(
                f"Object 0x{object_id.hex()} is {record.status.name.lower()}, not certified.",
                hint="Nodes serve what is certified only: its owner runs `qanat store` again.",
            )
        roster = views.roster(record.shard, record.roster)
        endpoints = {entry.operator: views.operator(entry.operator).endpoints for entry in roster.entries}
        holders = (roster.holder_of(ticket_of_row(object_id, roster.tickets, row)).operator for row in range(record.n))
        is_over = views.epoch_at(record.shard, views.chain.latest()) >= record.end_epoch
        return cls(object_id, record, endpoints, tuple(holders), is_over)

    def check(self, manifest: Manifest) -> Manifest:
        """Return a manifest if it has the root on chain. Raises :class:`MalformedManifest`."""
        if manifest.root != self.record.manifest_root:
            raise MalformedManifest("The manifest at hand does not have the root on chain.", object_id=self.object_id)
        return manifest

    def find_manifest(self, chain_id: int) -> Manifest:
        """Return the manifest from whichever node has it first, checked against the root on chain.

        Raises :class:`MalformedManifest` with each node's reason.
        """
        return asyncio.run(self._find_manifest(chain_id))

    async def _find_manifest(self, chain_id: int) -> Manifest:
        limit = _MANIFEST_HEAD_BYTES + 48 * self.record.slices
        reasons: dict[str, str] = {}
        async with connections(len(self.endpoints)) as http:

            async def ask(operator: str, endpoint: str | tuple[str, ...]) -> Manifest | None:
                node = NodeClient(http, operator, endpoint, chain_id)
                try:
                    found = Manifest.from_bytes(await node.get_manifest(self.object_id, limit))
                    if await asyncio.to_thread(lambda: found.root) == self.record.manifest_root:
                        return found
                    reasons[operator] = "sent a manifest with another root"
                except (NodeError, FormatError) as error:
                    reasons[operator] = error.message
                return None

            waiting = {asyncio.ensure_future(ask(operator, endpoint)) for operator, endpoint in self.endpoints.items()}
            try:
                while waiting:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        found = task.result()
                        if found is not None:
                            return found
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        raise MalformedManifest(
            f"No node has the manifest of object 0x{self.object_id.hex()}." + lines_of(reasons),
            hint="Try again when more nodes are up.",
            reasons=reasons,
        )
