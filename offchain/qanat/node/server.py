"""The HTTP server under the API: how long and how large a request may be before anybody looks at it."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_SECONDS", "settings"]

#: Most time from a connection, or from the first byte of a next request, to the end of the request's head.
HEAD_SECONDS = 20.0
#: Connections and requests at a time; beyond it everybody is told 503.
_CONCURRENCY = 512
_HEAD_BYTES = 64 << 10
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 8


class _Impatient(H11Protocol):
    """Closes connections that do not finish a request's head: idle ones would use up what all others may use."""

    head_seconds = HEAD_SECONDS
    _hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests():
            self._watch()
        super().data_received(data)

    def _watch(self) -> None:
        if self._hurry is None:
            self._hurry = self.loop.call_later(self.head_seconds, self._give_up)

    def _give_up(self) -> None:
        self._hurry = None
        if self._is_between_requests() and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.transport.close()

    def _is_between_requests(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is None or bool(cycle.response_complete)


def settings(app: Any, *, head_seconds: float = HEAD_SECONDS) -> uvicorn.Config:
    """Return the server's settings: no access log, bounded heads, patience and concurrency."""
    protocol = type("Impatient", (_Impatient,), {"head_seconds": head_seconds})
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        limit_concurrency=_CONCURRENCY,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        server_header=False,
    )
