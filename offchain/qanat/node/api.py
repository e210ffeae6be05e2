"""The node's HTTP API (docs/protocol.md): bounded bodies, JSON errors, all heavy work in threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse

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
from qanat.node.lists import read_list, sign_list
from qanat.node.service import Service

__all__ = ["make_app", "read_body", "status_of"]

T = TypeVar("T")
log = structlog.get_logger("qanat.node.api")
_JSON_LIMIT = 16 << 10
_READ = "qanat.read"
#: What is still read of a refused body, so that the refusal reaches a sender that has not finished.
_DRAIN_BYTES = 4 << 20
_DRAIN_SECONDS = 3.0


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


async def read_body(request: Request, limit: int, seconds: float, *, exact: bool = False) -> bytes:
    """Return a request's body of at most ``limit`` bytes, refused by its declared length and again while it streams.

    ``exact``: fewer bytes are refused too. Raises :class:`NodeRefused` with status 413, 400 (cut short) or 408 (too
    slow).
    """
    declared = request.headers.get("content-length")
    if declared is not None and (not declared.isdigit() or int(declared) > limit):
        raise NodeRefused(f"The body has {declared} bytes; at most {limit} are taken.", status=413, limit=limit)
    parts: list[bytes] = []
    size = 0

    async def collect() -> None:
        nonlocal size
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise NodeRefused(f"The body has more than {limit} bytes.", status=413, limit=limit)
            parts.append(part)

    try:
        await asyncio.wait_for(collect(), seconds)
        request.scope[_READ] = True
    except TimeoutError as error:
        request.scope[_READ] = True  # no more is waited for
        raise NodeRefused(f"The body took longer than {seconds:g} s.", status=408) from error
    except ClientDisconnect as error:
        request.scope[_READ] = True
        raise NodeRefused("The body was cut short.", status=400, got=size) from error
    if exact and size != limit:
        raise NodeRefused(f"The body has {size} bytes instead of {limit}.", status=400, got=size, expected=limit)
    return b"".join(parts)


async def _drain(request: Request) -> None:
    """Read on for a while after a refusal: a socket closed over unread bytes would swallow the answer."""

    async def swallow() -> None:
        left = _DRAIN_BYTES
        while left > 0:
            message = await request.receive()
            left -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return

    if request.method in ("PUT", "POST") and not request.scope.get(_READ, False):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(swallow(), _DRAIN_SECONDS)


def _hash(text: str) -> bytes:
    if len(text) != 66 or not text.startswith("0x"):
        raise MalformedHex(f"{text[:80]!r} is no object id: 0x and 64 hexadecimal digits.")
    try:
        return bytes.fromhex(text[2:])
    except ValueError as error:
        raise MalformedHex(f"{text!r} is not hexadecimal.") from error


def _number(text: str, bits: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 78 or int(text) >= 1 << bits:
        raise MalformedHex(f"{text[:80]!r} is no number below 2^{bits}.")
    return int(text)


def make_app(service: Service) -> FastAPI:  # noqa: C901  (one function per call)
    """Return the application over a node's service."""
    app = FastAPI(title="Qanat node", openapi_url=None, docs_url=None, redoc_url=None)
    seconds = service.config.request_seconds

    async def work(body: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(service.workers, body, *arguments)

    @app.exception_handler(QanatError)
    async def refused(request: Request, error: Exception) -> Response:
        if not isinstance(error, QanatError):  # what the handler is registered for
            raise error
        service.metrics.count("qanat_requests_refused_total", label=type(error).__name__)
        shown = error.to_json()
        body = {"error": shown["error"], "message": str(error), "data": shown["data"]}
        headers = {"Retry-After": str(error.data["retry_after"])} if "retry_after" in error.data else {}
        if request.method in ("PUT", "POST") and not request.scope.get(_READ, False):
            # answered before the body was read: what is still on its way must not be taken for a next request
            headers["Connection"] = "close"
            await _drain(request)
        return JSONResponse(body, status_code=status_of(error), headers=headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        body = {"error": "NodeRefused", "message": f"{request.method} {request.url.path}: {error.detail}.", "data": {}}
        return JSONResponse(body, status_code=error.status_code)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"error": "BadParameters", "message": "Malformed request.", "data": {}}, status_code=400)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
        body = {"error": "QanatError", "message": "The node failed; its log says why.", "data": {}}
        return JSONResponse(body, status_code=500)

    @app.get("/health")
    async def health() -> Response:
        problems = await work(service.problems)
        return JSONResponse({"ok": not problems, "problems": problems}, status_code=503 if problems else 200)

    @app.get("/status")
    async def status() -> Response:
        return JSONResponse(await work(service.status))

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(await work(service.metrics_text), media_type="text/plain; version=0.0.4")

    @app.put("/objects/{object_id}/manifest")
    async def put_manifest(object_id: str, request: Request) -> Response:
        wanted = _hash(object_id)
        limit = await work(service.intake.manifest_limit, wanted)
        body = await read_body(request, limit, seconds)
        await work(service.intake.accept_manifest, wanted, body)
        return Response(status_code=204)

    @app.put("/objects/{object_id}/slices/{index}")
    async def put_slice(object_id: str, index: str, request: Request) -> Response:
        wanted, number = _hash(object_id), _number(index, 64)
        length = await work(service.intake.slice_length, wanted, number)
        body = await read_body(request, length, seconds, exact=True)
        await work(service.intake.accept_slice, wanted, number, body)
        return Response(status_code=204)

    @app.post("/objects/{object_id}/signature")
    async def sign(object_id: str, request: Request) -> Response:
        wanted = _hash(object_id)
        await read_body(request, 0, seconds)
        signature = await asyncio.get_running_loop().run_in_executor(service.verifiers, service.intake.sign, wanted)
        return JSONResponse({"operator": service.config.operator, "signature": "0x" + signature.hex()})

    @app.post("/lists/signature")
    async def sign_objects(request: Request) -> Response:
        listed = read_list(await read_body(request, _JSON_LIMIT, seconds))
        signature = await asyncio.get_running_loop().run_in_executor(
            service.verifiers, sign_list, service.intake, listed
        )
        return JSONResponse({"operator": service.config.operator, "signature": "0x" + signature.hex()})

    @app.get("/objects/{object_id}/manifest")
    async def get_manifest(object_id: str) -> Response:
        return Response(await work(service.manifest, _hash(object_id)), media_type="application/octet-stream")

    @app.get("/objects/{object_id}/slices/{index}")
    async def get_slice(object_id: str, index: str, request: Request) -> Response:
        wanted, number = _hash(object_id), _number(index, 64)
        service.authorize(request.headers.get("authorization"), "GET", request.url.path)
        return Response(await work(service.serve_slice, wanted, number), media_type="application/octet-stream")

    @app.put("/keys/{asset_id}")
    async def put_key(asset_id: str, request: Request) -> Response:
        asset = _number(asset_id, 256)
        body = await read_body(request, _JSON_LIMIT, seconds)
        asker = service.authorize(request.headers.get("authorization"), "PUT", request.url.path, body)
        await work(service.key_holder.deposit, asset, body, asker)
        return Response(status_code=204)

    @app.post("/keys/{asset_id}/release")
    async def release(asset_id: str, request: Request) -> Response:
        asset = _number(asset_id, 256)
        body = await read_body(request, _JSON_LIMIT, seconds)
        try:
            asked = strict_json.parse(body)
        except (ValueError, RecursionError) as error:
            raise MalformedHex("The body is no JSON.") from error
        sealed = await asyncio.get_running_loop().run_in_executor(
            service.releasers, service.key_holder.release, asset, asked
        )
        return JSONResponse({"sealed": "0x" + sealed.hex()})

    return app
