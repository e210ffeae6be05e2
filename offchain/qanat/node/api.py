"""The node's HTTP API (docs/protocol.md, ``/openapi.json``): bounded bodies, JSON errors, all heavy work in threads."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse

import qanat
from qanat import strict_json
from qanat.errors import (
    ChainError,
    FormatError,
    InputError,
    InvalidSignature,
    KeyUnavailable,
    MalformedHex,
    NodeRefused,
    NotLicensed,
    QanatError,
    SliceNotFound,
    StoreError,
)
from qanat.node.budget import Room, asker_of
from qanat.node.lists import MOST_OBJECTS, read_list, sign_list
from qanat.node.openapi import (
    Answer,
    AssetId,
    Authorization,
    Health,
    KeyEpoch,
    ObjectId,
    Permit,
    Range,
    Sealed,
    Signature,
    SliceIndex,
    Status,
    Voucher,
    binary,
    body_of,
    errors,
    hash_of,
    number_of,
)
from qanat.node.service import Service
from qanat.payments.vouchers import SPENT_HEADER

__all__ = ["INDEX_BYTES", "byte_range", "make_app", "read_body", "status_of"]

T = TypeVar("T")
log = structlog.get_logger("qanat.node.api")
#: In front of each slice of a body of several: its index, big-endian.
INDEX_BYTES = 8
_JSON_LIMIT = 16 << 10
#: A dealing to 64 holders in hexadecimal, and a share.
_DEALING_LIMIT = 64 << 10
_READ = "qanat.read"
#: What is still read of a refused body, so that the refusal reaches a sender that has not finished.
_DRAIN_BYTES = 4 << 20
_DRAIN_SECONDS = 3.0
#: Slices of one body that are handed on together, made durable by one sync: at least one, and about so many bytes.
_GROUP_BYTES = 1 << 20
#: What a call costs of its asker's requests per second. Puts with a permit that is known cost nothing: they are paid.
_READ_COST, _LOOK_COST, _PROOF_COST = 1.0, 5.0, 20.0
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})", re.ASCII)
_HEX = {"type": "string", "pattern": "^0x[0-9a-fA-F]*$"}
_RELEASE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["licenseId", "recipientKey", "deadline", "signature"],
    "properties": {
        "licenseId": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,78}$"}]},
        "recipientKey": {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"},
        "deadline": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,78}$"}]},
        "signature": _HEX,
    },
}
_LIST_SCHEMA = {
    "type": "object",
    "required": ["objects"],
    "additionalProperties": False,
    "properties": {
        "objects": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_OBJECTS,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"},
        }
    },
}
_SHARE_SCHEMA = {
    "type": "object",
    "required": ["dealing", "proof", "sealed"],
    "properties": {
        "dealing": _HEX,
        "proof": {"type": "string", "pattern": "^0x[0-9a-fA-F]{128}$"},
        "sealed": {"type": "string", "pattern": "^0x[0-9a-fA-F]{160}$"},
    },
}
_ASK_SCHEMA = {
    "type": "object",
    "required": ["licenseId", "point", "possession", "deadline", "signature"],
    "properties": {
        "licenseId": _RELEASE_SCHEMA["properties"]["licenseId"],
        "point": {"type": "string", "pattern": "^0x[0-9a-fA-F]{192}$"},
        "possession": {"type": "string", "pattern": "^0x[0-9a-fA-F]{128}$"},
        "deadline": _RELEASE_SCHEMA["properties"]["deadline"],
        "signature": _HEX,
        "record": {"type": "boolean"},
    },
}
_SPENT = "Of a paid read: token units that the reader's reads cost in all, this one included."
_KEY_SCHEMA = {"type": "object", "required": ["sealed"], "properties": {"sealed": _HEX}}


def status_of(error: QanatError) -> int:
    """Return the HTTP status of an error: what it says itself, else what its kind means."""
    said = error.data.get("status")
    if isinstance(said, int):
        return said
    for kind, status in (
        (InvalidSignature, 401),
        (NotLicensed, 403),
        (SliceNotFound, 404),
        (KeyUnavailable, 503),
        (NodeRefused, 409),
        (FormatError, 422),
        (InputError, 400),
        (ChainError, 503),
        (StoreError, 500),
    ):
        if isinstance(error, kind):
            return status
    return 500


def byte_range(header: str | None, length: int) -> tuple[int, int] | None:
    """Return (start, end) of the one range asked for, None for the whole. Source: RFC 9110, 14.2.

    A header of another form, or of several ranges, asks for the whole. Raises :class:`NodeRefused` (416) for a range
    that holds nothing.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(0, length - int(last)), length
    else:
        start, end = int(first), min(length, int(last) + 1) if last else length
        if last and int(last) < start:
            return None  # malformed, not unsatisfiable
    if start >= length or start >= end:
        raise NodeRefused(f"The slice has {length} bytes.", status=416, length=length)
    return start, end


def _check_declared(request: Request, limit: int) -> int:
    """Return how many bytes a body may have: what it declares, else the limit. Raises :class:`NodeRefused` (413)."""
    declared = request.headers.get("content-length")
    if declared is None:
        return limit
    if not declared.isdigit() or int(declared) > limit:
        raise NodeRefused(f"The body has {declared} bytes; at most {limit} are taken.", status=413, limit=limit)
    return int(declared)


async def _parts(request: Request, limit: int, scope: anyio.CancelScope) -> AsyncIterator[bytes]:
    """Yield a body's parts as they come, at most ``limit`` bytes of it, until the scope's deadline.

    Raises :class:`NodeRefused`: 413 too many, 400 cut short. When the deadline passed the iteration just ends.
    """
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise NodeRefused(f"The body has more than {limit} bytes.", status=413, limit=limit)
            if part:
                yield part
        request.scope[_READ] = True
    except ClientDisconnect as error:
        request.scope[_READ] = True
        raise NodeRefused("The body was cut short.", status=400, got=size) from error
    finally:
        if scope.cancel_called:
            request.scope[_READ] = True  # no more is waited for


async def read_body(request: Request, limit: int, seconds: float, *, exact: bool = False) -> bytes:
    """Return a request's body of at most ``limit`` bytes, refused by its declared length and again while it streams.

    ``exact``: fewer bytes are refused too. Raises :class:`NodeRefused` with status 413, 400 (cut short) or 408 (too
    slow).
    """
    _check_declared(request, limit)
    parts: list[bytes] = []
    with anyio.move_on_after(seconds) as scope:
        parts.extend([part async for part in _parts(request, limit, scope)])
    if scope.cancelled_caught:
        request.scope[_READ] = True
        raise NodeRefused(f"The body took longer than {seconds:g} s.", status=408)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if exact and len(body) != limit:
        raise NodeRefused(
            f"The body has {len(body)} bytes instead of {limit}.", status=400, got=len(body), expected=limit
        )
    return body


async def _drain(request: Request) -> None:
    """Read on for a while after a refusal: a socket closed over unread bytes would swallow the answer."""
    if request.method not in ("PUT", "POST") or request.scope.get(_READ, False):
        return
    left = _DRAIN_BYTES
    with anyio.move_on_after(_DRAIN_SECONDS):
        while left > 0:
            message = await request.receive()
            left -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return


def make_app(service: Service) -> FastAPI:  # noqa: C901, PLR0915  (one function per call)
    """Return the application over a node's service."""
    app = FastAPI(
        title="Qanat node",
        version=qanat.__version__,
        description="Takes in, keeps and serves slices. It never opens, folds or evaluates anything for anybody.",
        openapi_url="/openapi.json",
        docs_url=None,  # pages of scripts from elsewhere
        redoc_url=None,
    )
    seconds = service.config.request_seconds
    room = Room(service.config.body_bytes)

    async def work(body: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(service.workers, body, *arguments)

    def begin(request: Request, cost: float) -> str:
        """Count a request and return whom it counts for."""
        asker = asker_of("" if request.client is None else request.client.host)
        service.metrics.count("qanat_requests_total", label=f"{request.method} {request.scope['route'].path}")
        if cost:
            service.charge(asker, cost)
        return asker

    async def admit(request: Request, object_id: bytes, permit: str | None) -> None:
        """Let a put in by its permit; one that was seen costs neither chain nor curve."""
        if service.permits.is_known(object_id, permit):
            begin(request, 0)
        else:
            begin(request, _PROOF_COST)
            await work(service.admit, object_id, permit)

    @asynccontextmanager
    async def held(size: int) -> AsyncIterator[None]:
        """Hold memory for a body."""
        async with room.of(size):
            service.metrics.gauge("qanat_body_bytes", room.taken)
            yield
        service.metrics.gauge("qanat_body_bytes", room.taken)

    @app.exception_handler(QanatError)
    async def refused(request: Request, error: Exception) -> Response:
        if not isinstance(error, QanatError):  # what the handler is registered for
            raise error
        service.metrics.count("qanat_requests_refused_total", label=type(error).__name__)
        shown = error.to_json()
        status = status_of(error)
        body = {"error": shown["error"], "message": str(error), "data": shown["data"]}
        headers = {"Retry-After": str(error.data["retry_after"])} if "retry_after" in error.data else {}
        if status == 416:
            headers["Content-Range"] = f"bytes */{error.data['length']}"
        if request.method in ("PUT", "POST") and not request.scope.get(_READ, False):
            # answered before the body was read: what is still on its way must not be taken for a next request
            headers["Connection"] = "close"
            await _drain(request)
        return JSONResponse(body, status_code=status, headers=headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        body = {"error": "NodeRefused", "message": f"{request.method} {request.url.path}: {error.detail}.", "data": {}}
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        await _drain(request)
        wrong = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
        body = {"error": "MalformedHex", "message": f"The request is malformed: {wrong}.", "data": {}}
        return JSONResponse(body, status_code=400, headers={"Connection": "close"})

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
        body = {"error": "QanatError", "message": "The node failed; its log says why.", "data": {}}
        return JSONResponse(body, status_code=500)

    @app.get(
        "/health",
        summary="Whether the chain is reached and the store writable",
        response_class=JSONResponse,
        responses={**errors(), 200: {"model": Health}, 503: {"model": Health, "description": "It is not."}},
    )
    async def health(request: Request) -> Response:
        begin(request, _LOOK_COST)
        problems = await work(service.problems)
        return JSONResponse({"ok": not problems, "problems": problems}, status_code=503 if problems else 200)

    @app.get(
        "/status",
        summary="Operator, places, holdings, duties",
        response_class=JSONResponse,
        responses={**errors(), 200: {"model": Status}},
    )
    async def status(request: Request) -> Response:
        begin(request, _LOOK_COST)
        return JSONResponse(await work(service.status))

    @app.get(
        "/metrics",
        summary="Numbers for Prometheus",
        response_class=Response,
        responses={
            **errors(),
            200: {"description": "Text format 0.0.4.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        },
    )
    async def metrics(request: Request) -> Response:
        begin(request, _LOOK_COST)
        return PlainTextResponse(await work(service.metrics_text), media_type="text/plain; version=0.0.4")

    @app.put(
        "/objects/{object_id}/manifest",
        summary="Send an object's manifest",
        status_code=204,
        responses=errors(401, 403, 404, 408, 409, 410, 413, 425),
        openapi_extra=body_of("The manifest (docs/format.md)."),
    )
    async def put_manifest(object_id: ObjectId, request: Request, permit: Permit = None) -> Response:
        wanted = hash_of(object_id)
        await admit(request, wanted, permit)
        limit = await work(service.intake.manifest_limit, wanted)
        async with held(_check_declared(request, limit)):
            body = await read_body(request, limit, seconds)
            await work(service.intake.accept_manifest, wanted, body)
        return Response(status_code=204)

    @app.put(
        "/objects/{object_id}/slices/{index}",
        summary="Send one of the operator's own slices, after the manifest",
        status_code=204,
        responses=errors(401, 403, 404, 408, 409, 410, 413, 425, 507),
        openapi_extra=body_of("The slice: 32·w bytes."),
    )
    async def put_slice(object_id: ObjectId, index: SliceIndex, request: Request, permit: Permit = None) -> Response:
        wanted = hash_of(object_id)
        await admit(request, wanted, permit)
        length = await work(service.intake.slice_length, wanted, index)
        async with held(_check_declared(request, length)):
            body = await read_body(request, length, seconds, exact=True)
            await work(service.intake.accept_slice, wanted, index, body)
        return Response(status_code=204)

    @app.put(
        "/objects/{object_id}/slices",
        summary="Send some of the operator's own slices, after the manifest",
        description="All are durable when it answers. After an error some may be kept; sending them again is harmless.",
        status_code=204,
        responses=errors(401, 403, 404, 408, 409, 410, 413, 425, 507),
        openapi_extra=body_of("Slices, each behind its index: 8 bytes, big-endian, then 32·w bytes."),
    )
    async def put_slices(object_id: ObjectId, request: Request, permit: Permit = None) -> Response:
        wanted = hash_of(object_id)
        await admit(request, wanted, permit)
        length, own = await work(service.intake.slices_room, wanted)
        framed = INDEX_BYTES + length
        group = framed * max(1, _GROUP_BYTES // framed)
        declared = _check_declared(request, framed * own)
        async with held(min(group, declared)):
            await take_slices(request, wanted, framed, group, framed * own)
        return Response(status_code=204)

    async def take_slices(request: Request, object_id: bytes, framed: int, group: int, limit: int) -> None:
        """Take a body of several slices as it streams, a group at a time."""
        gathered = bytearray()

        async def hand_on() -> None:
            frames = len(gathered) // framed
            slices = [
                (
                    int.from_bytes(gathered[at : at + INDEX_BYTES], "big"),
                    bytes(memoryview(gathered)[at + INDEX_BYTES : at + framed]),
                )
                for at in range(0, frames * framed, framed)
            ]
            del gathered[: frames * framed]
            await work(service.intake.accept_slices, object_id, slices)

        with anyio.move_on_after(seconds) as scope:
            async for part in _parts(request, limit, scope):
                gathered += part
                if len(gathered) >= group:
                    with anyio.CancelScope(shield=True):
                        await hand_on()
                    scope.deadline = anyio.current_time() + seconds  # each group has its time
        if scope.cancelled_caught:
            request.scope[_READ] = True
            raise NodeRefused(f"Slices took longer than {seconds:g} s to come.", status=408)
        if len(gathered) % framed:
            raise NodeRefused(
                f"The body ends inside a slice: each has {framed} bytes with its index.", status=400, expected=framed
            )
        if gathered:
            await hand_on()

    @app.post(
        "/objects/{object_id}/signature",
        summary="Run the whole checklist and sign, once; repeated calls return the same",
        response_class=JSONResponse,
        responses={**errors(404, 408, 409, 410, 413, 425), 200: {"model": Signature}},
    )
    async def sign(object_id: ObjectId, request: Request) -> Response:
        begin(request, _LOOK_COST)
        wanted = hash_of(object_id)
        await read_body(request, 0, seconds)
        signature = await asyncio.get_running_loop().run_in_executor(service.verifiers, service.intake.sign, wanted)
        return JSONResponse({"operator": service.config.operator, "signature": "0x" + signature.hex()})

    @app.post(
        "/lists/signature",
        summary="Sign each of some objects as above, then one signature for all of them",
        response_class=JSONResponse,
        responses={**errors(404, 408, 409, 410, 413, 425), 200: {"model": Signature}},
        openapi_extra=body_of("The objects, all of one roster.", _LIST_SCHEMA),
    )
    async def sign_objects(request: Request) -> Response:
        begin(request, _PROOF_COST)
        listed = read_list(await read_body(request, _JSON_LIMIT, seconds))
        signature = await asyncio.get_running_loop().run_in_executor(
            service.verifiers, sign_list, service.intake, listed
        )
        return JSONResponse({"operator": service.config.operator, "signature": "0x" + signature.hex()})

    @app.get(
        "/objects/{object_id}/manifest",
        summary="The manifest, as it came",
        response_class=Response,
        responses={**errors(404), **binary(200, "The manifest (docs/format.md).")},
    )
    async def get_manifest(object_id: ObjectId, request: Request) -> Response:
        begin(request, _LOOK_COST)
        return Response(await work(service.manifest, hash_of(object_id)), media_type="application/octet-stream")

    @app.get(
        "/objects/{object_id}/slices/{index}",
        summary="A slice, or one range of its bytes, on signed request",
        description=(
            "Inside a response window within the small budget of docs/protocol.md. Free within the node's rate; beyond "
            "it for a voucher, where the node takes them (402: it names too little)."
        ),
        response_class=Response,
        responses={
            **errors(401, 402, 404, 416),
            **binary(200, "The slice.", Accept_Ranges="bytes", Qanat_Spent=_SPENT),
            **binary(206, "The range.", Content_Range="bytes first-last/length", Qanat_Spent=_SPENT),
        },
    )
    async def get_slice(
        object_id: ObjectId,
        index: SliceIndex,
        request: Request,
        authorization: Authorization = None,
        wanted: Range = None,
        voucher: Voucher = None,
    ) -> Response:
        asker = begin(request, _READ_COST)
        data, spent = await work(
            service.read_slice, hash_of(object_id), index, authorization, request.url.path, asker, voucher
        )
        headers = {"Accept-Ranges": "bytes"}
        if spent is not None:
            headers[SPENT_HEADER] = str(spent)
        # a validator was never given out, so none can match
        part = None if "if-range" in request.headers else byte_range(wanted, len(data))
        if part is None:
            return Response(data, media_type="application/octet-stream", headers=headers)
        headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{len(data)}"
        return Response(data[part[0] : part[1]], 206, media_type="application/octet-stream", headers=headers)

    @app.put(
        "/keys/{asset_id}",
        summary="Deposit an asset's data key, sealed to the operator's sealing key, by a request that its owner signed",
        status_code=204,
        responses=errors(401, 403, 404, 408, 409, 413),
        openapi_extra=body_of("The sealed key.", _KEY_SCHEMA),
    )
    async def put_key(asset_id: AssetId, request: Request, authorization: Authorization = None) -> Response:
        begin(request, _PROOF_COST)
        asset = number_of(asset_id)
        body = await read_body(request, _JSON_LIMIT, seconds)
        asker = await work(service.authorize_account, authorization, "PUT", request.url.path, body)
        await work(service.key_holder.deposit, asset, body, asker)
        return Response(status_code=204)

    @app.post(
        "/keys/{asset_id}/release",
        summary="Release an asset's data key to a licensee, after recording it on chain",
        response_class=JSONResponse,
        responses={**errors(401, 403, 404, 408, 413), 200: {"model": Sealed}},
        openapi_extra=body_of("A signed KeyRequest (EIP-712).", _RELEASE_SCHEMA),
    )
    async def release(asset_id: AssetId, request: Request) -> Response:
        begin(request, _PROOF_COST)
        asset = number_of(asset_id)
        body = await read_body(request, _JSON_LIMIT, seconds)
        try:
            asked = strict_json.parse(body)
        except (ValueError, RecursionError) as error:
            raise MalformedHex("The body is no JSON.") from error
        sealed = await asyncio.get_running_loop().run_in_executor(
            service.releasers, service.key_holder.release, asset, asked
        )
        return JSONResponse({"sealed": "0x" + sealed.hex()})

    @app.put(
        "/keys/{asset_id}/{key_epoch}/share",
        summary="Deal the operator its share of an asset's key, by a request that the asset's owner signed",
        description="Answers with the acknowledgement once the dealing was checked and the share is durable.",
        response_class=JSONResponse,
        responses={**errors(401, 403, 404, 408, 409, 413, 425), 200: {"model": Signature}},
        openapi_extra=body_of("The dealing, the dealer's proof, the share sealed to the operator.", _SHARE_SCHEMA),
    )
    async def put_share(
        asset_id: AssetId, key_epoch: KeyEpoch, request: Request, authorization: Authorization = None
    ) -> Response:
        begin(request, _PROOF_COST)
        asset = number_of(asset_id)
        body = await read_body(request, _DEALING_LIMIT, seconds)
        asker = await work(service.authorize_account, authorization, "PUT", request.url.path, body)
        signature = await asyncio.get_running_loop().run_in_executor(
            service.releasers, service.share_holder.accept, asset, key_epoch, body, asker
        )
        return JSONResponse({"operator": service.config.operator, "signature": "0x" + signature.hex()})

    @app.get(
        "/keys/{asset_id}/{key_epoch}/dealing",
        summary="What everybody may know of a key's dealing: by it answers are checked",
        response_class=Response,
        responses={**errors(404), **binary(200, "The dealing (docs/format.md).")},
    )
    async def get_dealing(asset_id: AssetId, key_epoch: KeyEpoch, request: Request) -> Response:
        begin(request, _LOOK_COST)
        dealing = await work(service.share_holder.dealing, number_of(asset_id), key_epoch)
        return Response(dealing, media_type="application/octet-stream")

    @app.post(
        "/keys/{asset_id}/{key_epoch}/release",
        summary="Answer a licensee's P with the operator's share of the key, and sign a receipt",
        description="`signature` is of a KeyRequest (EIP-712) whose recipient key names key and P (docs/protocol.md).",
        response_class=JSONResponse,
        responses={**errors(401, 403, 404, 408, 409, 413), 200: {"model": Answer}},
        openapi_extra=body_of("P, its proof of possession, the signed request.", _ASK_SCHEMA),
    )
    async def release_share(asset_id: AssetId, key_epoch: KeyEpoch, request: Request) -> Response:
        begin(request, _PROOF_COST)
        asset = number_of(asset_id)
        body = await read_body(request, _JSON_LIMIT, seconds)
        try:
            asked = strict_json.parse(body)
        except (ValueError, RecursionError) as error:
            raise MalformedHex("The body is no JSON.") from error
        receipt, signature = await asyncio.get_running_loop().run_in_executor(
            service.releasers, service.share_holder.release, asset, key_epoch, asked
        )
        return JSONResponse(
            {
                "operator": service.config.operator,
                "place": receipt.place,
                "blockNumber": receipt.block_number,
                "answer": "0x" + receipt.answer.hex(),
                "signature": "0x" + signature.hex(),
            }
        )

    return app
