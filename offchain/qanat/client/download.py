"""Any k verified rows of every matrix, or the very slices that a range touches, from whichever nodes give them first.

Data rows are preferred (nothing has to be decoded), parity rows stand in where a node is down, slow, withholds, or
lies. Every slice is verified against its commitment before it is used, many at a time; who sent a false one is named
and asked no more. So a false slice is found where it is one, not when the whole object's hash turns out wrong, and
what was read before it stands (docs/decisions, 0030).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qanat.client.nodes import NodeClient, connections
from qanat.client.purse import Purse, price_in, price_told
from qanat.client.reasons import lines_of
from qanat.errors import BadParameters, MalformedHex, NodeError, NodeRefused, NodeUnreachable, NotEnoughSlices
from qanat.node.paid import Price
from qanat.node.requests import TextSigner
from qanat.objects import Manifest, rebuild_slices, verify_slices, wrong_slices
from qanat.objects.decoder import WINDOW_BYTES

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Downloader", "SourceReport"]

#: Bytes of slices fetched and verified together.
GROUP_BYTES = 16 << 20
#: Groups at hand or on their way beside the one that is being decoded.
AHEAD = 1
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_LONGEST_WISH = 5.0
#: How long an answer may take before another row is asked beside it: so many times what its node took before.
_PATIENCE_TIMES = 4
_LEAST_PATIENCE = 1.0
#: How long nodes have to say what reads cost, before the first one is paid for.
_PRICE_SECONDS = 3.0


class Exhausted(NotEnoughSlices, BadParameters):
    """Fewer than k rows of a matrix can be had.

    As :class:`BadParameters` too it passes through the decoder, with its reasons.
    """


@dataclass
class SourceReport:
    """What one operator's node did: slices asked of it and used, and why it was left alone.

    ``overtaken``: how often another row was asked because this node dawdled.
    """

    operator: str
    endpoint: str
    asked: int = 0
    slices: int = 0
    overtaken: int = 0
    unreachable: int = 0
    refused: int = 0
    withheld: int = 0
    liar: bool = False
    #: what it asks for reads beyond its free share, where it was asked for more
    price: Price | None = None
    #: counted more as paid for than it served
    overcharged: bool = False
    #: why it is not paid: it asks more than the purse pays for a MiB
    too_dear: str = ""
    last_error: str = ""

    @property
    def is_faultless(self) -> bool:
        """Whether it did all that was asked of it, in time."""
        fell_short = self.unreachable or self.refused or self.withheld or self.overtaken
        return not (fell_short or self.liar or self.overcharged or self.too_dear)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "operator": self.operator,
            "endpoint": self.endpoint,
            "asked": self.asked,
            "used": self.slices,
            "overtaken": self.overtaken,
            "unreachable": self.unreachable,
            "refused": self.refused,
            "withheld": self.withheld,
            "liar": self.liar,
            "price": None if self.price is None else self.price.to_json(),
            "overcharged": self.overcharged,
            "tooDear": bool(self.too_dear),
            "lastError": self.last_error,
        }


@dataclass
class _Source:
    client: NodeClient
    report: SourceReport
    #: usual seconds of an answer; before the first one is known, a guess that leaves a cold node time
    seconds: float = 0.5
    not_before: float = 0.0
    pause: float = _FIRST_PAUSE
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(6))
    #: reads that are paid for come one by one: never more than one is signed for and not served
    till: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: whether it asks for what the purse may give
    sells: bool = False
    #: what it asks in the purse's token, not judged yet, and when it would give more for free
    offer: tuple[Price, float | None] | None = None
    #: when the answers that are awaited were asked for
    waiting: list[float] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        return not self.report.liar

    @property
    def patience(self) -> float:
        """Seconds after which it dawdles."""
        return max(_LEAST_PATIENCE, _PATIENCE_TIMES * self.seconds)

    def overtake(self, now: float) -> None:
        """Leave it alone for a while if it has owed an answer for too long: the others are faster."""
        if self.waiting and now - min(self.waiting) >= self.patience and self.not_before <= now:
            self.report.overtaken += 1
            self.report.last_error = f"no answer within {now - min(self.waiting):.1f} s: others were faster"
            self.failed(now)

    def failed(self, now: float, retry_after: float | None = None) -> None:
        """Leave it alone for a while: as long as it says, else longer each time."""
        if retry_after is not None:
            # not doubled: windows come at regular times, and long pauses could meet every one of them
            self.not_before = now + min(_LONGEST_WISH, max(_FIRST_PAUSE, retry_after))
            return
        self.not_before = now + self.pause
        self.pause = min(_LONGEST_PAUSE, 2 * self.pause)

    def worked(self, took: float) -> None:
        self.pause, self.not_before = _FIRST_PAUSE, 0.0
        self.seconds = 0.8 * self.seconds + 0.2 * took


class Downloader:
    """Fetches matrices in the background, in order, a bounded number ahead.

    ``holders[row]`` is the operator that holds a row, the same for every matrix. Use as a context manager;
    :meth:`rows` blocks until k verified rows of a matrix are there. ``purse``: pays for reads beyond a node's free
    share; without one nothing is paid.
    """

    def __init__(
        self,
        object_id: bytes,
        manifest: Manifest,
        holders: Sequence[str],
        endpoints: Mapping[str, str | tuple[str, ...]],
        *,
        chain_id: int,
        signer: TextSigner | None,
        seconds: float = 900.0,
        slice_seconds: float = 20.0,
        on_slices: Callable[[int], None] | None = None,
        purse: Purse | None = None,
        is_over: bool = False,
    ) -> None:
        self.object_id = object_id
        self.manifest = manifest
        self.holders = list(holders)
        self.reports = {
            operator: SourceReport(operator, endpoint if isinstance(endpoint, str) else " ".join(endpoint))
            for operator, endpoint in endpoints.items()
        }
        self._endpoints = endpoints
        self._chain_id = chain_id
        self._signer = signer
        self._deadline = time.monotonic() + seconds
        self._slice_seconds = slice_seconds
        self._on_slices = on_slices
        self._purse = purse
        #: asks all nodes what reads cost, once it matters
        self._survey: asyncio.Task[None] | None = None
        self._is_over = is_over
        #: paid reads on their way
        self._buying: set[asyncio.Task[bytes | None]] = set()
        self._slice_bytes = 32 * manifest.width
        matrix_bytes = self._slice_bytes * manifest.k
        self._group = max(1, GROUP_BYTES // matrix_bytes)
        # the decoder asks for all matrices of its window more than once
        self._behind = -(-max(1, WINDOW_BYTES // matrix_bytes) // self._group) + 1
        self._groups: dict[int, Future[dict[int, dict[int, bytes]]]] = {}
        self._sources: dict[str, _Source] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        async def settle() -> None:
            # what is paid for is taken note of, even where nobody needs it any more
            if self._buying:
                await asyncio.wait(set(self._buying), timeout=self._slice_seconds)

        if self._purse is not None:
            asyncio.run_coroutine_threadsafe(settle(), self._loop).result()

        def stop() -> None:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.05, self._loop.stop)

        self._loop.call_soon_threadsafe(stop)
        self._thread.join(10)

    def slice(self, index: int) -> bytes | None:
        """Return a slice if it is among the k rows that were fetched of its matrix, None otherwise: a ``Fetch``.

        Raises :class:`Exhausted` when k rows can't be had. Safe to call from several threads.
        """
        matrix, row = self.manifest.place(index)
        return self.rows(matrix).get(row)

    def rows(self, matrix: int) -> dict[int, bytes]:
        """Return k verified rows of a matrix by row number. Raises :class:`Exhausted` when time or nodes run out."""
        group = matrix // self._group
        last = (self.manifest.matrices - 1) // self._group
        with self._lock:
            for wanted in range(group, min(group + AHEAD, last) + 1):
                if wanted not in self._groups:
                    self._groups[wanted] = asyncio.run_coroutine_threadsafe(self._fetch_group(wanted), self._loop)
            for old in [known for known in self._groups if known < group - self._behind]:
                del self._groups[old]
            future = self._groups[group]
        return future.result()[matrix]

    def allow(self, seconds: float) -> None:
        """Give what is asked from now on so many seconds."""
        self._deadline = time.monotonic() + seconds

    def pieces(self, indexes: Sequence[int]) -> Iterator[bytes]:
        """Yield data slices in the order given, each verified; a bounded number ahead.

        Only these are asked for. Where one can't be had, dawdles or is false, any k rows of its matrix stand in.
        Raises :class:`Exhausted` when time or nodes run out.
        """
        step = max(1, GROUP_BYTES // self._slice_bytes)
        parts = [indexes[at : at + step] for at in range(0, len(indexes), step)]

        def fetch(part: Sequence[int]) -> Future[dict[int, bytes]]:
            return asyncio.run_coroutine_threadsafe(self._fetch_exactly(part), self._loop)

        coming = [fetch(part) for part in parts[:1]]
        for number, part in enumerate(parts):
            if number + 1 < len(parts):
                coming.append(fetch(parts[number + 1]))
            found = coming.pop(0).result()
            for index in part:
                yield found[index]

    # ---- in the background thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def open_sources() -> None:
            http = connections(len(self._endpoints))
            for operator, endpoint in self._endpoints.items():
                client = NodeClient(http, operator, endpoint, self._chain_id, self._signer)
                self._sources[operator] = _Source(client, self.reports[operator])

        self._loop.run_until_complete(open_sources())
        self._loop.run_forever()
        self._loop.close()

    async def _fetch_group(self, group: int) -> dict[int, dict[int, bytes]]:
        first = group * self._group
        good: dict[int, dict[int, bytes]] = {
            matrix: {} for matrix in range(first, min(first + self._group, self.manifest.matrices))
        }
        await self._complete(good)
        return good

    async def _complete(self, good: dict[int, dict[int, bytes]]) -> None:
        """Add verified rows until there are k of each matrix."""
        while True:
            missing = [matrix for matrix, rows in good.items() if len(rows) < self.manifest.k]
            if not missing:
                return
            fetched = await _gather([self._fetch_matrix(matrix, good[matrix]) for matrix in missing])
            await self._verify(
                {
                    (matrix, row): data
                    for matrix, rows in zip(missing, fetched, strict=True)
                    for row, data in rows.items()
                },
                good,
            )

    async def _verify(self, fetched: dict[tuple[int, int], bytes], good: dict[int, dict[int, bytes]]) -> None:
        """Put the right ones of the fetched rows into ``good``, and name who sent the others."""
        n = self.manifest.n
        named = {matrix * n + row: data for (matrix, row), data in fetched.items()}
        bad = set(await asyncio.to_thread(wrong_slices, self.manifest, named)) if named else set()
        for (matrix, row), data in fetched.items():
            report = self.reports[self.holders[row]]
            if matrix * n + row in bad:
                report.liar = True
                report.last_error = f"sent a false slice {matrix * n + row}"
            else:
                good[matrix][row] = data
                report.slices += 1
        if self._on_slices is not None:
            self._on_slices(len(named) - len(bad))

    async def _fetch_exactly(self, indexes: Sequence[int]) -> dict[int, bytes]:
        """Fetch these slices, or any k rows of the matrices of those that can't be had."""
        places = {index: self.manifest.place(index) for index in indexes}
        good: dict[int, dict[int, bytes]] = {matrix: {} for matrix, _ in places.values()}
        await self._verify(await self._ask_once(list(places.values())), good)
        lost: dict[int, list[int]] = {}
        for index, (matrix, row) in places.items():
            if row not in good[matrix]:
                lost.setdefault(matrix, []).append(index)
        await self._complete({matrix: good[matrix] for matrix in lost})
        n = self.manifest.n
        for matrix, mine in lost.items():
            held = {matrix * n + row: data for row, data in good[matrix].items()}
            rebuilt = await asyncio.to_thread(
                rebuild_slices, self.manifest, held, [at for at in mine if at not in held]
            )
            await asyncio.to_thread(verify_slices, self.manifest, rebuilt)
            good[matrix].update({index - matrix * n: data for index, data in rebuilt.items()})
        return {index: good[matrix][row] for index, (matrix, row) in places.items()}

    async def _ask_once(self, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Fetch, unverified, those of the rows whose nodes answer without dawdling."""
        running = {asyncio.ensure_future(self._fetch_row(*place)): place for place in places}
        got: dict[tuple[int, int], bytes] = {}
        try:
            while running and time.monotonic() < self._deadline:
                done, _ = await asyncio.wait(running, timeout=_LEAST_PATIENCE / 4, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    place = running.pop(task)
                    data = task.result()
                    if data is not None:
                        got[place] = data
                now = time.monotonic()
                for task, (_, row) in list(running.items()):
                    source = self._sources[self.holders[row]]
                    source.overtake(now)
                    if source.not_before > now:
                        task.cancel()
                        del running[task]
        finally:
            for task in running:
                task.cancel()
        return got

    async def _fetch_matrix(self, matrix: int, have: dict[int, bytes]) -> dict[int, bytes]:
        """Fetch, unverified, as many rows as are missing: the best first, one more for each that fails or dawdles."""
        needed = self.manifest.k - len(have)
        got: dict[int, bytes] = {}
        running: dict[asyncio.Task[bytes | None], int] = {}
        tried: set[int] = set()
        try:
            while len(got) < needed:
                if time.monotonic() > self._deadline:
                    raise self._not_enough(matrix, len(have) + len(got))
                patience = self._ask_more(matrix, needed - len(got), have.keys() | got.keys(), running, tried)
                if not running:
                    await asyncio.sleep(patience)
                    continue
                done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    row = running.pop(task)
                    tried.add(row)
                    data = task.result()
                    if data is not None and len(got) < needed:
                        got[row] = data
        finally:
            for task in running:
                task.cancel()
        return got

    def _ask_more(
        self, matrix: int, needed: int, have: set[int], running: dict[asyncio.Task[bytes | None], int], tried: set[int]
    ) -> float:
        """Ask for as many rows as are needed beside those on their way; return the seconds to wait for an answer.

        Rows of nodes that dawdle are waited for, but no more counted on: others are asked in their place.
        """
        now = time.monotonic()
        for row in running.values():
            self._sources[self.holders[row]].overtake(now)
        expected = [row for row in running.values() if self._sources[self.holders[row]].not_before <= now]
        more = self._candidates(have | tried | set(running.values()), now)[: max(0, needed - len(expected))]
        for row in more:
            running[asyncio.ensure_future(self._fetch_row(matrix, row))] = row
        if expected or more:
            return min(self._sources[self.holders[row]].patience for row in (*expected, *more))
        # nobody is left to ask now: who failed may be asked again after its pause
        tried.clear()
        return self._until_somebody(matrix, have, len(have))

    def _candidates(self, taken: set[int], now: float) -> list[int]:
        usable = [
            row
            for row in range(self.manifest.n)
            if row not in taken and (source := self._sources[self.holders[row]]).usable and source.not_before <= now
        ]
        paces = sorted(source.seconds for source in self._sources.values() if source.usable)
        slow = max(_LEAST_PATIENCE, _PATIENCE_TIMES * paces[len(paces) // 2]) if paces else 0.0

        def rank(row: int) -> tuple[bool, int, bool, float, int]:
            source = self._sources[self.holders[row]]
            asks = source.report.price.units_per_mib if source.sells and source.report.price is not None else 0
            return source.seconds > slow, asks, row >= self.manifest.k, source.seconds, row

        # slow nodes last, cheap ones and data rows first; among rows of a kind the faster nodes
        return sorted(usable, key=rank)

    def _until_somebody(self, matrix: int, have: set[int], count: int) -> float:
        sources = [self._sources[self.holders[row]] for row in range(self.manifest.n) if row not in have]
        usable = [source for source in sources if source.usable]
        if len(have) + len(usable) < self.manifest.k:
            raise self._not_enough(matrix, count)
        now = time.monotonic()
        return max(0.05, min(source.not_before for source in usable) - now)

    async def _fetch_row(self, matrix: int, row: int) -> bytes | None:
        source = self._sources[self.holders[row]]
        index = matrix * self.manifest.n + row
        if not source.sells:
            async with source.gate:
                data = await self._ask(source, index)
            if data is not None or not await self._is_bought_from(source):
                return data
        await source.till.acquire()
        # who is no longer waited for is paid all the same: to the end, so that it is known what was served
        buying = asyncio.ensure_future(self._ask(source, index))
        self._buying.add(buying)

        def done(task: asyncio.Task[bytes | None]) -> None:
            source.till.release()
            self._buying.discard(task)
            if not task.cancelled():
                task.exception()  # whoever still waits is told

        buying.add_done_callback(done)
        return await asyncio.shield(buying)

    async def _ask(self, source: _Source, index: int) -> bytes | None:
        """Ask a node for a slice, at its price where that is known; None where it gives none now."""
        report = source.report
        if not source.usable or source.not_before > time.monotonic():
            return None
        is_free = not source.sells
        started = time.monotonic()
        source.waiting.append(started)
        report.asked += 1
        try:
            data = await (self._get(source, index) if is_free else self._buy(source, index))
        except NodeUnreachable as error:
            report.unreachable += 1
            report.last_error = error.message
            source.failed(time.monotonic())
            return None
        except (NodeRefused, MalformedHex) as error:
            price = price_in(error) if isinstance(error, NodeRefused) else None
            report.price = price or report.price
            if is_free and price is not None and self._purse is not None and self._purse.takes(price):
                source.offer = price, error.data.get("retry_after")
                return None
            withheld = error.data.get("status") == 429
            report.withheld += withheld
            report.refused += not withheld
            report.last_error = (withheld and report.too_dear) or error.message
            source.failed(time.monotonic(), error.data.get("retry_after") if withheld else None)
            return None
        finally:
            source.waiting.remove(started)
        if data is not None:
            source.worked(time.monotonic() - started)
        return data

    async def _is_bought_from(self, source: _Source) -> bool:
        """Whether a node's rows are paid for: judge what it asks, if that is new, beside what the others do."""
        (offer, source.offer), purse = (source.offer, None), self._purse
        if offer is None or purse is None:
            return source.sells
        if purse.max_price is None:
            if self._survey is None:
                self._survey = asyncio.ensure_future(self._ask_prices(purse))
            # whoever waits for a row may be cancelled; the others still want to know
            await asyncio.shield(self._survey)
        price, retry_after = offer
        # for a whole MiB, so that what it asks is named as it said it
        source.sells = purse.affords(source.report.operator, price.units_per_mib, 1 << 20)
        if not source.sells:
            self._note_dear(purse, source)
            source.report.withheld += 1
            source.report.last_error = source.report.too_dear
            source.failed(time.monotonic(), retry_after)
        return source.sells

    async def _ask_prices(self, purse: Purse) -> None:
        """Let the purse know what the object's nodes ask: as their status tells, else as they told when asked."""

        async def ask(source: _Source) -> Price | None:
            try:
                return price_told((await source.client.status(seconds=_PRICE_SECONDS)).get("paidReads"))
            except NodeError:
                return None

        sources = list(self._sources.values())
        told = await asyncio.gather(*(ask(source) for source in sources))
        rows, prices = Counter(self.holders), list[tuple[Price, int]]()
        for source, price in zip(sources, told, strict=True):
            known = price or source.report.price
            if known is not None and rows[source.report.operator]:
                prices.append((known, rows[source.report.operator]))
        purse.learn(prices)

    def _note_dear(self, purse: Purse, source: _Source) -> None:
        """Note why a node that asks too much is not paid."""
        asked = purse.payees[source.report.operator].dear
        source.sells = False
        source.report.too_dear = f"asks {asked} units a MiB, more than the {purse.cap} that are paid"

    async def _get(self, source: _Source, index: int) -> bytes:
        return await source.client.get_slice(self.object_id, index, self._slice_bytes, seconds=self._slice_seconds)

    async def _buy(self, source: _Source, index: int) -> bytes | None:
        """Fetch a slice with a voucher and verify it; as a free one where the purse doesn't pay.

        None for a false one, and where the node counted more than it served.
        """
        purse, report = self._purse, source.report
        if purse is None or report.price is None:
            return await self._get(source, index)
        price = report.price.of(self._slice_bytes)
        for _ in range(2):
            if not purse.affords(report.operator, price, self._slice_bytes):
                # it names that price only now: from here on as any node that asks too much
                self._note_dear(purse, source)
                break
            voucher = await asyncio.to_thread(purse.voucher, report.operator, price, self._slice_bytes)
            if voucher is None:
                break
            try:
                data, spent = await source.client.buy_slice(
                    self.object_id, index, self._slice_bytes, voucher, seconds=self._slice_seconds
                )
            except NodeRefused as error:
                asked = await asyncio.to_thread(purse.refused, report.operator, error)
                if asked is None:
                    if self._is_overcharged(source):
                        return None
                    raise
                price = asked
                continue
            except BaseException:
                purse.unserved(report.operator)
                raise
            if await asyncio.to_thread(wrong_slices, self.manifest, {index: data}):
                purse.unserved(report.operator)
                report.liar = True
                report.last_error = f"sent a false slice {index}"
                return None
            await asyncio.to_thread(purse.served, report.operator, price, spent)
            self._is_overcharged(source)
            return data
        return await self._get(source, index)

    def _is_overcharged(self, source: _Source) -> bool:
        """Name a node that counted more as paid for than it served: it is paid no more."""
        payee = None if self._purse is None else self._purse.payees.get(source.report.operator)
        if payee is None or not payee.left:
            return False
        source.report.overcharged = True
        source.report.last_error = payee.left
        return True

    def _not_enough(self, matrix: int, count: int) -> Exhausted:
        reasons = {report.operator: report.last_error for report in self.reports.values() if report.last_error}
        return Exhausted(
            f"{count} good rows of matrix {matrix} of object 0x{self.object_id.hex()} could be had; "
            f"{self.manifest.k} are needed." + lines_of(reasons),
            hint=self._hint(),
            object_id=self.object_id,
            matrix=matrix,
            got=count,
            needed=self.manifest.k,
            reasons=reasons,
        )

    def _hint(self) -> str:
        """What to try where rows are missing: the first that holds."""
        reports, purse = self.reports.values(), self._purse
        hints = [
            (
                self._is_over,
                "Its last epoch is over: operators may have deleted it, and nobody is paid to bring it back.",
            ),
            (
                purse is None and any(report.price for report in reports),
                "Nodes sell more than their free share: allow it with --pay and --token, from a deposit for reads.",
            ),
            (
                any(report.too_dear for report in reports),
                "Nodes ask more than is paid: allow it with --max-price-per-mib, or take more time.",
            ),
            (
                purse is not None and purse.is_empty,
                "What --pay allows is used up: allow more, or take more time.",
            ),
            (
                purse is not None and any(payee.short for payee in purse.payees.values()),
                "Put down more for reads with `qanat deposit`.",
            ),
            (
                any(report.withheld for report in reports),
                "Nodes serve little while challenges are open: try again after their deadline.",
            ),
        ]
        return next((hint for holds, hint in hints if holds), "Try again when more nodes are up.")


async def _gather(coroutines: Sequence[Coroutine[Any, Any, dict[int, bytes]]]) -> list[dict[int, bytes]]:
    """Run all; the first error cancels the others and is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
