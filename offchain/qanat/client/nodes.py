"""One operator's node as seen by a client: bounded answers, errors that name the operator.

An operator announces a new endpoint a withdrawal delay before it comes into force. Until then its node may be at
either: it is asked at the announced one first, and where no node answers there, at the one in force.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx

from qanat import strict_json
from qanat.errors import MalformedHex, NodeRefused, NodeUnreachable
from qanat.node.permits import PERMIT_HEADER
from qanat.node.requests import TextSigner, authorization
from qanat.payments.vouchers import SPENT_HEADER, VOUCHER_HEADER

__all__ = ["NodeClient", "connections"]

_ANSWER_LIMIT = 64 << 10
_SIGNATURE_BYTES = 128


def connections(operators: int, *, connect_seconds: float = 5.0) -> httpx.AsyncClient:
    """Return a pool of connections to nodes that follows no redirects and uses no proxy of the environment."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(30.0, connect=connect_seconds),
        limits=httpx.Limits(max_connections=16 * max(1, operators), max_keepalive_connections=8 * max(1, operators)),
        follow_redirects=False,
        trust_env=False,
        verify=_trust(),
    )


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


@dataclass(frozen=True)
class NodeClient:
    """Calls of docs/protocol.md to the node of one operator.

    Every method raises :class:`NodeUnreachable` when the node does not answer in time, and :class:`NodeRefused` (with
    ``status``, ``error`` and ``retry_after`` in its data) when it answers no.
    """

    http: httpx.AsyncClient
    operator: str
    #: where it is, or may be, in the order in which to ask (:attr:`qanat.chain.views.OperatorRecord.endpoints`)
    endpoint: str | tuple[str, ...]
    chain_id: int
    signer: TextSigner | None = None
    #: the payer's word for what is put (:func:`qanat.node.permits.make_permit`)
    permit: str = ""
    #: as `endpoint`; the one at which a node answered last comes first
    _order: list[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_order", [self.endpoint] if isinstance(self.endpoint, str) else [*self.endpoint])

    async def put_manifest(self, object_id: bytes, manifest: bytes, *, seconds: float = 60.0) -> None:
        """Send an object's manifest."""
        await self._call("PUT", f"/objects/0x{object_id.hex()}/manifest", manifest, seconds=seconds)

    async def put_slice(self, object_id: bytes, index: int, data: bytes, *, seconds: float = 60.0) -> None:
        """Send one slice."""
        await self._call("PUT", f"/objects/0x{object_id.hex()}/slices/{index}", data, seconds=seconds)

    async def put_slices(self, object_id: bytes, slices: Sequence[tuple[int, bytes]], *, seconds: float = 60.0) -> None:
        """Send several slices in one request, each with its index; after an error some may have been taken."""
        body = b"".join(part for index, data in slices for part in (index.to_bytes(8, "big"), data))
        await self._call("PUT", f"/objects/0x{object_id.hex()}/slices", body, seconds=seconds)

    async def sign(self, object_id: bytes, *, seconds: float = 600.0) -> bytes:
        """Ask for the node's signature: 128 bytes, not verified."""
        answer = await self._json("POST", f"/objects/0x{object_id.hex()}/signature", b"", seconds=seconds)
        return self._hex(answer.get("signature"), _SIGNATURE_BYTES)

    async def sign_list(self, object_ids: Sequence[bytes], *, seconds: float = 600.0) -> bytes:
        """Ask for the node's signature of a list of objects: 128 bytes, not verified."""
        body = json.dumps({"objects": ["0x" + object_id.hex() for object_id in object_ids]}).encode()
        answer = await self._json("POST", "/lists/signature", body, seconds=seconds)
        return self._hex(answer.get("signature"), _SIGNATURE_BYTES)

    async def get_manifest(self, object_id: bytes, limit: int, *, seconds: float = 60.0) -> bytes:
        """Fetch an object's manifest of at most ``limit`` bytes, not verified."""
        return await self._call("GET", f"/objects/0x{object_id.hex()}/manifest", limit=limit, seconds=seconds)

    async def get_slice(self, object_id: bytes, index: int, length: int, *, seconds: float = 20.0) -> bytes:
        """Fetch one slice of exactly ``length`` bytes, not verified; the request is signed."""
        path = f"/objects/0x{object_id.hex()}/slices/{index}"
        data = await self._call("GET", path, signed=True, limit=length, seconds=seconds)
        if len(data) != length:
            raise self._refused(f"sent {len(data)} bytes of slice {index} instead of {length}", status=502)
        return data

    async def buy_slice(
        self, object_id: bytes, index: int, length: int, voucher: str, *, seconds: float = 20.0
    ) -> tuple[bytes, int | None]:
        """Fetch one slice as :meth:`get_slice`, with a voucher for it.

        Returns beside it what all reads cost so far, as the node says; None where it was free.
        """
        path = f"/objects/0x{object_id.hex()}/slices/{index}"
        data, headers = await self._exchange("GET", path, signed=True, limit=length, seconds=seconds, voucher=voucher)
        if len(data) != length:
            raise self._refused(f"sent {len(data)} bytes of slice {index} instead of {length}", status=502)
        spent = headers.get(SPENT_HEADER)
        if spent is None:
            return data, None
        if not (spent.isascii() and spent.isdigit() and len(spent) <= 32):
            raise self._refused(f"says that reads cost {spent[:40]!r}", status=502)
        return data, int(spent)

    async def put_key(self, asset_id: int, sealed: bytes, *, seconds: float = 30.0) -> None:
        """Deposit an asset's data key, sealed to the operator's sealing key; the request is signed."""
        body = json.dumps({"sealed": "0x" + sealed.hex()}).encode()
        await self._call("PUT", f"/keys/{asset_id}", body, signed=True, seconds=seconds)

    async def release_key(self, asset_id: int, request: dict[str, Any], *, seconds: float = 240.0) -> bytes:
        """Ask for an asset's data key with a signed KeyRequest; returns it sealed to the recipient key."""
        answer = await self._json("POST", f"/keys/{asset_id}/release", json.dumps(request).encode(), seconds=seconds)
        return self._hex(answer.get("sealed"))

    async def put_share(
        self, asset_id: int, key_epoch: int, dealing: bytes, proof: bytes, sealed: bytes, *, seconds: float = 30.0
    ) -> bytes:
        """Deal the operator its share, sealed; the request is signed. Returns its acknowledgement, not verified."""
        body = {"dealing": "0x" + dealing.hex(), "proof": "0x" + proof.hex(), "sealed": "0x" + sealed.hex()}
        path, raw = f"/keys/{asset_id}/{key_epoch}/share", json.dumps(body).encode()
        answer = await self._json("PUT", path, raw, seconds=seconds, signed=True)
        return self._hex(answer.get("signature"), _SIGNATURE_BYTES)

    async def get_dealing(self, asset_id: int, key_epoch: int, *, seconds: float = 20.0) -> bytes:
        """Fetch the dealing of a key, not verified."""
        return await self._call("GET", f"/keys/{asset_id}/{key_epoch}/dealing", seconds=seconds)

    async def release_share(
        self, asset_id: int, key_epoch: int, request: dict[str, Any], *, seconds: float = 30.0
    ) -> dict[str, Any]:
        """Ask for the operator's answer to P with a signed request; returns what it says, not verified."""
        path = f"/keys/{asset_id}/{key_epoch}/release"
        return await self._json("POST", path, json.dumps(request).encode(), seconds=seconds)

    async def status(self, *, seconds: float = 10.0) -> dict[str, Any]:
        """Fetch what the node says of itself."""
        return await self._json("GET", "/status", b"", seconds=seconds, limit=4 << 20)

    # ---- below the calls

    async def _json(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        seconds: float,
        signed: bool = False,
        limit: int = _ANSWER_LIMIT,
    ) -> dict[str, Any]:
        raw = await self._call(method, path, body, seconds=seconds, signed=signed, limit=limit)
        try:
            answer = strict_json.parse(raw)
        except (ValueError, RecursionError) as error:
            raise self._refused(f"answered {method} {path} with something that is no JSON", status=502) from error
        if not isinstance(answer, dict):
            raise self._refused(f"answered {method} {path} with something that is no JSON object", status=502)
        return answer

    async def _call(self, method: str, path: str, body: bytes = b"", **how: Any) -> bytes:
        return (await self._exchange(method, path, body, **how))[0]

    async def _exchange(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        seconds: float,
        signed: bool = False,
        limit: int = _ANSWER_LIMIT,
        voucher: str = "",
    ) -> tuple[bytes, httpx.Headers]:
        until = time.monotonic() + seconds
        places = list(self._order)
        while True:
            endpoint = places.pop(0)
            left = max(0.0, until - time.monotonic())
            try:
                answer = await self._call_at(
                    endpoint, method, path, body, seconds=left, signed=signed, limit=limit, voucher=voucher
                )
            except (NodeUnreachable, NodeRefused) as error:
                # what doesn't refuse as a node does is none: the proxy of an empty house, or somebody else by now
                is_node = bool(error.data.get("error"))
                if is_node:
                    self._prefer(endpoint)
                if is_node or not places or time.monotonic() >= until:
                    raise
            else:
                self._prefer(endpoint)
                return answer

    def _prefer(self, endpoint: str) -> None:
        self._order.sort(key=lambda other: other != endpoint)

    async def _call_at(
        self,
        endpoint: str,
        method: str,
        path: str,
        body: bytes,
        *,
        seconds: float,
        signed: bool,
        limit: int,
        voucher: str,
    ) -> tuple[bytes, httpx.Headers]:
        headers = {"Accept-Encoding": "identity"}
        if voucher:
            headers[VOUCHER_HEADER] = voucher
        if signed and self.signer is not None:
            headers["Authorization"] = authorization(self.signer, self.chain_id, self.operator, method, path, body)
        if method == "PUT" and self.permit:
            headers[PERMIT_HEADER] = self.permit
        url = endpoint.rstrip("/") + path
        timeout = httpx.Timeout(seconds, connect=min(seconds, 5.0))

        async def exchange() -> tuple[httpx.Response, bytes]:
            async with self.http.stream(method, url, content=body, headers=headers, timeout=timeout) as response:
                parts: list[bytes] = []
                size = 0
                allowed = limit if response.is_success else _ANSWER_LIMIT
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > allowed:
                        raise self._refused(f"answered {method} {path} with more than {allowed} bytes", status=502)
                    parts.append(part)
            return response, b"".join(parts)

        try:
            # the timeout of httpx counts anew with every byte: a node that drips must not hold anybody up
            response, raw = await asyncio.wait_for(exchange(), seconds)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NodeUnreachable(
                f"The node of {self.operator} at {endpoint} does not answer {method} {path}: "
                f"{type(error).__name__} {error}".rstrip()
                + ".",
                hint="Is it up? `qanat status --nodes` asks every node.",
                operator=self.operator,
                endpoint=endpoint,
            ) from error
        if response.is_success:
            return raw, response.headers
        raise self._error(response.status_code, raw, response.headers.get("retry-after"))

    def _error(self, status: int, raw: bytes, retry_after: str | None) -> NodeRefused:
        try:
            answer = strict_json.parse(raw)
            name, message = str(answer["error"])[:64], str(answer["message"])[:2000]
            data = answer["data"] if isinstance(answer.get("data"), dict) else {}
        except (ValueError, KeyError, TypeError, RecursionError):
            name, message, data = "", f"HTTP status {status}", {}
        is_number = retry_after is not None and retry_after.isascii() and retry_after.isdigit()
        wait = float(retry_after or 0) if is_number else None
        return self._refused(f"said: {message}", status=status, error=name, retry_after=wait, answer=data)

    def _refused(self, what: str, **data: Any) -> NodeRefused:
        return NodeRefused(
            f"The node of {self.operator} {what}", operator=self.operator, endpoint=self._order[0], **data
        )

    def _hex(self, value: Any, length: int | None = None) -> bytes:
        try:
            raw = bytes.fromhex(str(value).removeprefix("0x"))
        except ValueError as error:
            raise MalformedHex(
                f"The node of {self.operator} sent {str(value)[:40]!r}, which is not hexadecimal."
            ) from error
        if length is not None and len(raw) != length:
            raise MalformedHex(f"The node of {self.operator} sent {len(raw)} bytes instead of {length}.")
        return raw
