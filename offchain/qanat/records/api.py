"""The intake's HTTP endpoint: records in, proofs out (docs/records.md)."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from qanat.errors import MalformedHex, PortInUse, QanatError, StoreError
from qanat.node.api import read_body
from qanat.node.api import status_of as _status_of
from qanat.node.server import settings
from qanat.records.collector import Collector

__all__ = ["SUBMISSION_BYTES", "listen", "make_records_app", "serve"]

#: Most bytes of one submission.
SUBMISSION_BYTES = 4 << 20
_BODY_SECONDS = 30.0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises :class:`PortInUse`."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise PortInUse(
            f"Port {port} of {host} can't be had: {error.strerror}.", hint="Choose another --port.", port=port
        ) from error


async def serve(collector: Collector, listening: socket.socket) -> None:
    """Run a collector and its endpoint until the process is told to stop (SIGTERM or SIGINT).

    Raises what the collector raises when it starts.
    """
    async with collector:
        await uvicorn.Server(settings(make_records_app(collector))).serve(sockets=[listening])


def make_records_app(collector: Collector) -> FastAPI:
    """Return the application over a collector that runs."""
    app = FastAPI(title="Qanat records", openapi_url=None, docs_url=None, redoc_url=None)

    @app.exception_handler(QanatError)
    async def refused(_request: Request, error: Exception) -> Response:
        if not isinstance(error, QanatError):  # what the handler is registered for
            raise error
        shown = error.to_json()
        body = {"error": shown["error"], "message": str(error), "data": shown["data"]}
        headers = {"Retry-After": str(error.data["retry_after"])} if "retry_after" in error.data else {}
        status = 503 if isinstance(error, StoreError) else _status_of(error)
        return JSONResponse(body, status_code=400 if status == 500 else status, headers=headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        message = f"{request.method} {request.url.path}: {error.detail}."
        return JSONResponse({"error": "QanatError", "message": message, "data": {}}, status_code=error.status_code)

    @app.post("/records")
    async def submit(request: Request) -> Response:
        answer = await collector.submit(await read_body(request, SUBMISSION_BYTES, _BODY_SECONDS))
        refusals = [{"position": position, "reason": reason} for position, reason in answer.refused]
        return JSONResponse({"bundle": answer.bundle, "taken": answer.taken, "refused": refusals})

    @app.get("/records/{sender}/{nonce}")
    async def proof(sender: str, nonce: str) -> Response:
        object_id, found = await collector.proof(_address(sender), _nonce(nonce))
        return JSONResponse({"objectId": "0x" + object_id.hex(), **found.to_json()})

    @app.get("/status")
    async def status() -> Response:
        return JSONResponse(collector.status())

    @app.get("/health")
    async def health() -> Response:
        failed = collector.status()["failed"]
        return JSONResponse({"ok": not failed, "problem": failed}, status_code=503 if failed else 200)

    return app


def _address(text: str) -> bytes:
    try:
        if len(text) == 42 and text.startswith("0x"):
            return bytes.fromhex(text[2:])
    except ValueError:
        pass
    raise MalformedHex(f"{text[:80]!r} is no address: 0x and 40 hexadecimal digits.")


def _nonce(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) >= 1 << 64:
        raise MalformedHex(f"{text[:80]!r} is no nonce: a number below 2^64.")
    return int(text)
