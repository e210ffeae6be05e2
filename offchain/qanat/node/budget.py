"""What a node gives to whom: rows while challenges can be answered, requests and bytes to each asker, memory to bodies.

Between an epoch's seed block and its deadline all askers together get few rows of each matrix, so that whoever lost
its slices can't fetch them to answer: all nodes of a roster together serve fewer than k (DESIGN §5.3). Rows served
before are free: they teach nothing new. At all times nobody gets more than its rate (:class:`Meter`), and bodies that
are being read take a bounded part of the memory (:class:`Room`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import anyio

from qanat.errors import NodeRefused

__all__ = ["Meter", "Room", "ServingBudget", "asker_of", "rows_in_window"]

#: Askers remembered; who was not heard of for longest is forgotten, by when its bucket is full again.
_ASKERS = 16_384
#: What may be taken at once after a pause, in seconds of the rate.
_BURST_SECONDS = 4.0
#: Bodies that wait for room, and for how long; beyond it the sender is told to come back.
_WAITING = 256
_PATIENCE_SECONDS = 5.0


def rows_in_window(k: int, operators: int) -> int:
    """Return how many rows of one matrix a node may serve inside a window: ⌊(k−1) ÷ operators⌋."""
    return (k - 1) // operators


class ServingBudget:
    """Counts distinct rows served per epoch, object and matrix.

    ``closed_epochs``: epochs whose window was open when the daemon started. What was served before is forgotten by a
    restart, so nothing is served in them.
    """

    def __init__(self, closed_epochs: Iterable[int] = ()) -> None:
        self._closed = frozenset(closed_epochs)
        self._served: dict[int, dict[tuple[bytes, int], set[int]]] = {}
        self._lock = threading.Lock()

    def take(self, object_id: bytes, matrix: int, row: int, limit: int, open_epochs: Iterable[int]) -> bool:
        """Whether the row may be served now; if so it is counted in every open epoch.

        ``open_epochs``: epochs whose window is open and in which the object can be drawn.
        """
        epochs = list(open_epochs)
        with self._lock:
            for epoch in epochs:
                rows = self._served.get(epoch, {}).get((object_id, matrix), set())
                if row not in rows and (epoch in self._closed or len(rows) >= limit):
                    return False
            for epoch in epochs:
                self._served.setdefault(epoch, {}).setdefault((object_id, matrix), set()).add(row)
        return True

    def forget(self, open_epochs: Iterable[int]) -> None:
        """Drop the counts of epochs whose window is over."""
        keep = set(open_epochs)
        with self._lock:
            for epoch in [epoch for epoch in self._served if epoch not in keep]:
                del self._served[epoch]


def asker_of(host: str) -> str:
    """Return whom an address counts as: itself, of IPv6 its /64, which one person has whole."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False).network_address)


class Meter:
    """A token bucket for each asker. ``rate``: tokens a second, 0 for no limit. Safe to use from several threads.

    Whoever has a token left may take more than that, and waits until the debt is paid.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        #: asker → (tokens, when)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, asker: str, amount: float) -> float:
        """Take tokens; returns 0, or, with nothing taken, the seconds until there are some."""
        if self._rate <= 0:
            return 0.0
        now = self._clock()
        with self._lock:
            tokens, since = self._buckets.get(asker, (self._rate * _BURST_SECONDS, now))
            tokens = min(self._rate * _BURST_SECONDS, tokens + (now - since) * self._rate)
            left = tokens - amount if tokens > 0 else tokens
            self._buckets[asker] = (left, now)
            self._buckets.move_to_end(asker)
            while len(self._buckets) > _ASKERS:
                self._buckets.popitem(last=False)
        return 0.0 if tokens > 0 else max(-tokens / self._rate, 1e-3)


class Room:
    """Memory for bodies that are being read: who finds none waits its turn, unread, for a few seconds.

    ``limit``: bytes; a body larger than that is taken alone. For one event loop.
    """

    def __init__(self, limit: int, *, patience: float = _PATIENCE_SECONDS) -> None:
        self._limit = limit
        self._patience = patience
        self._waiting: OrderedDict[asyncio.Event, int] = OrderedDict()
        self.taken = 0

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes. Raises :class:`NodeRefused` (503) where there is no room in time."""
        if self._waiting or not self._fits(size):
            await self._queue(size)
        else:
            self.taken += size
        try:
            yield
        finally:
            self.taken -= size
            self._wake()

    def _fits(self, size: int) -> bool:
        return self.taken == 0 or self.taken + size <= self._limit

    async def _queue(self, size: int) -> None:
        if len(self._waiting) >= _WAITING:
            raise _full()
        turn = asyncio.Event()
        self._waiting[turn] = size
        try:
            with anyio.move_on_after(self._patience):
                await turn.wait()
        except BaseException:
            self._leave(turn, size)
            raise
        if not turn.is_set():
            self._leave(turn, size)
            raise _full()

    def _leave(self, turn: asyncio.Event, size: int) -> None:
        if self._waiting.pop(turn, None) is None:  # it was given room meanwhile
            self.taken -= size
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn, size = next(iter(self._waiting.items()))
            if not self._fits(size):
                return
            del self._waiting[turn]
            self.taken += size
            turn.set()


def _full() -> NodeRefused:
    return NodeRefused(
        "The node is taking in as much as it can hold.", hint="Send it again.", status=503, retry_after=1
    )
