"""A TCP proxy between client and node that does to connections what networks do: delays, cuts, swallows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass

__all__ = ["Fault", "Proxy"]


@dataclass
class Fault:
    """What happens to connections, from each one's beginning on.

    ``delay``: seconds before every piece of an answer. ``swallow``: "both" ways (a partition: nothing arrives
    anywhere), or only "answers" (half-open: the node gets and does what is asked, and nobody hears of it).
    ``cut_requests_after``, ``cut_answers_after``: bytes of the stream after which the connection is reset.
    ``times``: of how many connections, all by default.
    """

    delay: float = 0.0
    swallow: str = ""
    cut_requests_after: int = -1
    cut_answers_after: int = -1
    times: int = 1 << 30


class Proxy:
    """Listens on a free port of loopback and passes connections on to another one."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.fault = Fault()
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self, fault: Fault | None = None) -> None:
        """Reset all connections, and treat those that come from now on like this."""
        self.fault = fault or Fault()
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(self._loop)])

    def stop(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        # none is left to the collector of garbage, which would end it wherever it happens to run
        while tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault = self.fault if self.fault.times > 0 else Fault()
        self.fault.times -= 1
        node_writer = None
        try:
            if fault.swallow == "both":
                await asyncio.Event().wait()
            node_reader, node_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ways = [
                self._pass(reader, node_writer, 0.0, fault.cut_requests_after),
                self._pass(
                    node_reader,
                    None if fault.swallow == "answers" else writer,
                    fault.delay,
                    fault.cut_answers_after,
                ),
            ]
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        except OSError:
            pass
        finally:
            for end in (writer, node_writer):
                if end is not None:
                    _reset(end)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter | None, delay: float, cut_after: int
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := await source.read(16 << 10):
                await asyncio.sleep(delay)
                if sink is None:
                    continue
                rest = piece if cut_after < 0 else piece[: cut_after - passed]
                passed += len(rest)
                sink.write(rest)
                await sink.drain()
                if len(rest) < len(piece):
                    return


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset: what is on its way is lost."""
    with contextlib.suppress(OSError, AttributeError):
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
