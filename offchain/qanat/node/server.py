"""The HTTP server under the API: how long and how large a request may be before anybody looks at it; TLS.

What a connection can hold of the memory is bounded (a head, 64 KiB of a body that nobody has asked for yet, one
answer), how long it can hold it too, and so is the number of connections.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from qanat.errors import BadParameters, FileUnreadable

__all__ = ["HEAD_SECONDS", "STALL_SECONDS", "Server", "settings"]

#: Most time from a connection, or from the first byte of a next request, to the end of the request's head.
HEAD_SECONDS = 20.0
#: Most time for which a peer may leave what it asked for lying: 64 KiB in that time is the slowest reader.
STALL_SECONDS = 20.0
#: Connections and requests at a time; beyond it everybody is told 503.
_CONCURRENCY = 512
_HEAD_BYTES = 64 << 10
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 8
#: How often the certificate's file is looked at: one that was renewed serves the next connections.
_CERTIFICATE_TICKS = 600  # of 0.1 s
log = structlog.get_logger("qanat.node.server")


class _Impatient(H11Protocol):
    """Closes connections that do not finish a request's head, or don't take their answer: others wait for the room."""

    head_seconds = HEAD_SECONDS
    stall_seconds = STALL_SECONDS
    _hurry: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests():
            self._watch()
        super().data_received(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._forget_stall()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_stall()
        if self._hurry is not None:
            self._hurry.cancel()
        super().connection_lost(exc)

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

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


class Server(uvicorn.Server):
    """Serves, and takes a renewed certificate while it does."""

    _seen: float | None = None

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate now and then."""
        if self.config.is_ssl and counter % _CERTIFICATE_TICKS == 0:
            self.renew()
        return await super().on_tick(counter)

    def renew(self) -> None:
        """Read certificate and key again if the certificate's file has changed."""
        try:
            changed = Path(str(self.config.ssl_certfile)).stat().st_mtime
            if self._seen is not None and changed != self._seen:
                context: ssl.SSLContext = self.config.ssl  # type: ignore[assignment]
                context.load_cert_chain(str(self.config.ssl_certfile), str(self.config.ssl_keyfile))
                log.info("certificate renewed")
            self._seen = changed
        except OSError as error:  # ssl's errors among them; the old one still serves
            log.error("certificate not renewed", error=str(error))  # noqa: TRY400  (an expected kind)


def settings(
    app: Any,
    *,
    head_seconds: float = HEAD_SECONDS,
    stall_seconds: float = STALL_SECONDS,
    tls: tuple[Path, Path] | None = None,
    proxies: Sequence[str] = (),
) -> uvicorn.Config:
    """Return the server's settings: no access log, bounded heads, patience and concurrency.

    ``tls``: files of certificate chain and key. ``proxies``: addresses whose ``X-Forwarded-For`` is believed. Raises
    :class:`FileUnreadable` and :class:`BadParameters` for files that can't be used.
    """
    protocol = type("Impatient", (_Impatient,), {"head_seconds": head_seconds, "stall_seconds": stall_seconds})
    made = uvicorn.Config(
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
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        ssl_certfile=None if tls is None else str(tls[0]),
        ssl_keyfile=None if tls is None else str(tls[1]),
    )
    if tls is not None:
        _load(made, tls)
    return made


def _load(made: uvicorn.Config, tls: tuple[Path, Path]) -> None:
    for path in tls:
        try:
            path.read_bytes()
        except OSError as error:
            raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error
    try:
        made.load()
    except (ssl.SSLError, ValueError) as error:
        raise BadParameters(
            f"{tls[0]} and {tls[1]} are no certificate and its key: {error}.",
            hint="Both are PEM files, the key without a passphrase.",
            field="tls",
        ) from error
    if made.ssl is not None:
        made.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
