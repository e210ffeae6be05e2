"""What the auditor reads beside events: transaction data, block headers, manifests from nodes."""

from __future__ import annotations

import asyncio
from typing import Any

from qanat.chain.connection import Chain
from qanat.chain.randomness import block_randomness
from qanat.chain.views import Views
from qanat.client.nodes import NodeClient, connections
from qanat.errors import AuditFailed, FormatError, NodeError
from qanat.objects import Manifest

__all__ = ["Evidence"]

_MANIFEST_LIMIT = 512 << 20


class Evidence:
    """Reads and keeps what proves an event. Raises :class:`AuditFailed` where the evidence itself does not hold."""

    def __init__(self, chain: Chain, views: Views) -> None:
        self.chain, self.views = chain, views
        self._manifests: dict[bytes, Manifest] = {}
        self._endpoints: dict[str, tuple[str, ...]] = {}

    def call_of(self, transaction: bytes, contract: str, *functions: str, address: str = "") -> dict[str, Any]:
        """Return the arguments of a transaction's call. Raises :class:`AuditFailed` when it was none of these.

        ``address``: of the contract, if it need not be the one in force.
        """
        found = self.chain.web3.eth.get_transaction(transaction)  # type: ignore[arg-type]
        target = self.chain.contract_at(contract, address) if address else self.chain.contract(contract)
        if str(found.get("to", "")).lower() != target.address.lower():
            raise AuditFailed(
                f"Transaction 0x{transaction.hex()} calls {found.get('to')}, not {contract}.",
                hint="Calls through other contracts need an endpoint with traces.",
            )
        called, arguments = target.decode_function_input(found["input"])
        if called.fn_name not in functions:
            names = " or ".join(functions)
            raise AuditFailed(f"Transaction 0x{transaction.hex()} calls {called.fn_name}, not {names}.")
        return dict(arguments)

    def randomness(self, block: int, sealed_block: int) -> bytes:
        """Return a block's random value, derived anew, by the module that was in force at the sealing."""
        return block_randomness(self.chain, block, sealed_block)

    def manifest(self, object_id: bytes, root: bytes, operators: list[str]) -> Manifest:
        """Return an object's manifest from the first node that has it; its root is compared with the chain's.

        Raises :class:`AuditFailed` when no node has it.
        """
        if object_id not in self._manifests:
            self._manifests[object_id] = asyncio.run(self._fetch(object_id, root, operators))
        return self._manifests[object_id]

    async def _fetch(self, object_id: bytes, root: bytes, operators: list[str]) -> Manifest:
        reasons = []
        async with connections(len(operators), connect_seconds=2.0) as http:
            for operator in operators:
                node = NodeClient(http, operator, self._endpoints_of(operator), self.chain.chain_id)
                try:
                    manifest = Manifest.from_bytes(await node.get_manifest(object_id, _MANIFEST_LIMIT))
                except (NodeError, FormatError) as error:
                    reasons.append(str(error))
                    continue
                if manifest.root == root:
                    return manifest
                reasons.append(f"{operator} serves a manifest with another root")
        raise AuditFailed(f"No node serves the manifest of object 0x{object_id.hex()}: {'; '.join(reasons)}")

    def _endpoints_of(self, operator: str) -> tuple[str, ...]:
        if operator not in self._endpoints:
            self._endpoints[operator] = self.views.operator(operator).endpoints
        return self._endpoints[operator]
