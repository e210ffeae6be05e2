"""Sending an object's slices to a roster's nodes and gathering their signatures, all operators at once.

An operator that is down, slow, refuses or lies costs its own signature and nobody else's: the others go on, and who
failed is told with its reason. A request that takes much longer than its node's usual is sent again beside the first,
on another connection: one that hangs holds nothing up. All requests may be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import httpx

from qanat import bls
from qanat.client.absence import Absence, AbsenceKind
from qanat.client.nodes import NodeClient, connections
from qanat.errors import ChainError, InvalidPoint, InvalidSignature, MalformedHex, NodeRefused, NodeUnreachable

__all__ = ["Dispersal", "Target", "disperse"]

T = TypeVar("T")

#: Slices on their way to one operator at a time.
_IN_FLIGHT = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 8.0
#: Answers after which trying again makes sense: too slow, too early, too many, and the server's own troubles.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: How often a node may ask for slices again before it is given up.
_RESENDS = 3
_WATCH_SECONDS = 2.0
#: A put is sent again beside the first after so many times the usual, within these bounds; a request to sign, which
#: verifies all slices, after the second time.
_PATIENCE_TIMES, _LEAST_PATIENCE, _MOST_PATIENCE = 8.0, 5.0, 20.0
_SIGN_PATIENCE = 30.0
#: How often one request is under way at a time.
_MOST_ASKED = 3
#: Most time for one put, and so for a node whose connections all hang.
_PUT_SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """One operator of the roster: where its node is, its 256-byte BLS key, and the slices that are its own."""

    operator: str
    endpoint: str | tuple[str, ...]
    key: bytes
    indexes: Sequence[int] = field(repr=False)


@dataclass
class Dispersal:
    """What came of it: verified signatures, and why the others gave none."""

    signatures: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, Absence] = field(default_factory=dict)


@dataclass
class _Course:
    """How it goes with one operator."""

    target: Target
    unsent: set[int]
    taken: set[int] = field(default_factory=set)
    tries: int = 0
    #: usual seconds of a put
    pace: float = 0.5
    said: tuple[AbsenceKind, str] | None = None

    @property
    def patience(self) -> float:
        return min(_MOST_PATIENCE, max(_LEAST_PATIENCE, _PATIENCE_TIMES * self.pace))

    def absence(self) -> Absence:
        every = len(self.target.indexes)
        late = AbsenceKind.LATE, f"did not sign in time; its node took {len(self.taken)} of {every} slices"
        kind, why = self.said or late
        return Absence(kind, why, len(self.taken), every, self.tries)


def disperse(
    object_id: bytes,
    manifest: bytes,
    read_slice: Callable[[int], bytes],
    targets: Sequence[Target],
    *,
    chain_id: int,
    permits: Mapping[str, str],
    digest: bytes,
    is_enough: Callable[[frozenset[str]], bool],
    is_possible: Callable[[], bool],
    known: Mapping[str, bytes],
    grace_seconds: float,
    seconds: float,
    again: bool = False,
    on_slice: Callable[[int, int], None] | None = None,
    on_signature: Callable[[str, bytes], None] | None = None,
) -> Dispersal:
    """Send, and return once all have signed, or enough have and the grace time is over, or nothing more can come.

    ``permits``: by operator, the payer's word for what is put. ``digest``: what is signed; every signature is verified
    against it and its operator's key. ``is_enough``: whether signers suffice for a certificate. ``is_possible``:
    whether the chain would still take one; asked now and then, from a thread. ``known``: signatures of an earlier run.
    ``again``: that run sent slices, too: nodes are asked to sign first, and say what they lack.
    """
    work = _Work(
        object_id,
        manifest,
        read_slice,
        targets,
        permits,
        digest,
        is_enough,
        is_possible,
        grace_seconds,
        seconds,
        again,
        on_slice,
        on_signature,
    )
    work.result.signatures.update(known)
    return asyncio.run(work.run(chain_id))


@dataclass
class _Work:
    object_id: bytes
    manifest: bytes
    read_slice: Callable[[int], bytes]
    targets: Sequence[Target]
    permits: Mapping[str, str]
    digest: bytes
    is_enough: Callable[[frozenset[str]], bool]
    is_possible: Callable[[], bool]
    grace_seconds: float
    seconds: float
    again: bool
    on_slice: Callable[[int, int], None] | None
    on_signature: Callable[[str, bytes], None] | None
    result: Dispersal = field(default_factory=Dispersal)
    sent: int = 0
    courses: dict[str, _Course] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for target in self.targets:
            self.courses[target.operator] = _Course(target, set() if self.again else set(target.indexes))

    async def run(self, chain_id: int) -> Dispersal:
        started = time.monotonic()
        async with connections(len(self.targets)) as http:
            tasks = {
                asyncio.ensure_future(self._serve(self._node(http, target, chain_id)))
                for target in self.targets
                if target.operator not in self.result.signatures
            }
            watch = asyncio.ensure_future(self._watch())
            enough_since: float | None = None
            try:
                while tasks:
                    now = time.monotonic()
                    if enough_since is None and self.is_enough(frozenset(self.result.signatures)):
                        enough_since = now
                    end = started + self.seconds
                    if enough_since is not None:
                        end = min(end, enough_since + self.grace_seconds)
                    if now >= end or watch.done():
                        break
                    done, _ = await asyncio.wait(
                        {*tasks, watch}, timeout=end - now, return_when=asyncio.FIRST_COMPLETED
                    )
                    tasks -= done
                    for task in done - {watch}:
                        task.result()
            finally:
                for task in (*tasks, watch):
                    task.cancel()
                await asyncio.gather(*tasks, watch, return_exceptions=True)
        self.result.failures = {
            operator: course.absence()
            for operator, course in self.courses.items()
            if operator not in self.result.signatures
        }
        return self.result

    def _node(self, http: httpx.AsyncClient, target: Target, chain_id: int) -> NodeClient:
        return NodeClient(
            http, target.operator, target.endpoint, chain_id, permit=self.permits.get(target.operator, "")
        )

    async def _watch(self) -> None:
        """End when the chain would take no certificate any more."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            with contextlib.suppress(ChainError):
                if not await asyncio.to_thread(self.is_possible):
                    return

    async def _serve(self, node: NodeClient) -> None:
        course = self.courses[node.operator]
        own = course.target.indexes
        pause = _FIRST_PAUSE
        resends = -1 if self.again else 0
        has_manifest = False
        while True:
            course.tries += 1
            try:
                if not has_manifest:
                    await _hedged(partial(node.put_manifest, self.object_id, self.manifest), _MOST_PATIENCE)
                    has_manifest = True
                await self._send(node, course)
                await self._sign(node, course)
            except NodeUnreachable as error:
                course.said = AbsenceKind.UNREACHABLE, error.message
            except NodeRefused as error:
                course.said = AbsenceKind.REFUSED, error.message
                wanted = _wanted(error, own)
                if wanted and resends < _RESENDS:
                    resends += 1
                    course.unsent |= wanted
                    course.said = None
                    continue
                if error.data.get("status") == 404 and has_manifest and resends < _RESENDS:
                    resends += 1
                    has_manifest = False
                elif error.data.get("status") not in _PASSING:
                    return
            except (MalformedHex, InvalidSignature, InvalidPoint) as error:
                course.said = AbsenceKind.FALSE, error.message
                return
            else:
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _send(self, node: NodeClient, course: _Course) -> None:
        queue = deque(sorted(course.unsent))

        async def lane() -> None:
            while queue:
                index = queue.popleft()
                data = await asyncio.to_thread(self.read_slice, index)
                started = time.monotonic()
                put = partial(node.put_slice, self.object_id, index, data, seconds=_PUT_SECONDS)
                await _hedged(put, course.patience)
                course.pace = 0.8 * course.pace + 0.2 * (time.monotonic() - started)
                # what was wrong before is over
                course.said = None
                course.unsent.discard(index)
                course.taken.add(index)
                self.sent += 1
                if self.on_slice is not None:
                    self.on_slice(self.sent, len(data))

        lanes = [asyncio.ensure_future(lane()) for _ in range(min(_IN_FLIGHT, len(queue)))]
        try:
            await asyncio.gather(*lanes)
        except BaseException:
            for other in lanes:
                other.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            raise

    async def _sign(self, node: NodeClient, course: _Course) -> None:
        signature = await _hedged(partial(node.sign, self.object_id, seconds=self.seconds), _SIGN_PATIENCE)
        if not await asyncio.to_thread(bls.verify, course.target.key, self.digest, signature):
            raise InvalidSignature(f"The node of {node.operator} sent a false signature.", operator=node.operator)
        self.result.signatures[node.operator] = signature
        if self.on_signature is not None:
            self.on_signature(node.operator, signature)


async def _hedged(ask: Callable[[], Awaitable[T]], patience: float) -> T:
    """Ask, and again beside it while no answer comes in time; the first answer counts, or the last failure."""
    running = {asyncio.ensure_future(ask())}
    asked = 1
    try:
        while True:
            timeout = patience * asked if asked < _MOST_ASKED else None
            done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                running.add(asyncio.ensure_future(ask()))
                asked += 1
            for task in done:
                if running and isinstance(task.exception(), NodeUnreachable):
                    continue  # another may be through
                return task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _wanted(error: NodeRefused, own: Sequence[int]) -> set[int]:
    """Return the own slices that a node says it lacks or found false, none if its refusal is about something else."""
    answer = error.data.get("answer")
    if not isinstance(answer, dict):
        return set()
    for name in ("missing", "indexes"):
        listed = answer.get(name)
        if isinstance(listed, list) and listed and all(isinstance(index, int) for index in listed):
            lacks = answer.get("missing_count", len(listed))
            # a node that lacks many names the first only
            return set(own) if isinstance(lacks, int) and lacks > len(listed) else set(listed) & set(own)
    return set()
