"""Who reads past a response window's budget: adopters of what is open on chain (DESIGN §5.3).

An operator of an object's roster that isn't under its certificate may adopt its rows until the object's second epoch is
frozen. It isn't drawn for them before that, so what it reads answers no challenge of its own; and without more than the
strangers' few rows it could never rebuild them in time where windows follow each other closely.
"""

from __future__ import annotations

import threading
import time

import structlog

from qanat.chain.views import ObjectRecord, Views
from qanat.errors import ChainError
from qanat.node.duty import non_signers_of
from qanat.node.follower import Follower

__all__ = ["Adoptions"]

log = structlog.get_logger("qanat.node.adoptions")
_EVER = (1 << 63) - 1
_OBJECTS = 1024


class Adoptions:
    """Knows whose signature is missing from objects that are open to it. Safe to use from several threads."""

    def __init__(self, views: Views, follower: Follower) -> None:
        self._views = views
        self._follower = follower
        #: object → (when it was asked, addresses that may adopt)
        self._known: dict[bytes, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def is_adopter(self, object_id: bytes, reader: str) -> bool:
        """Whether an address is an operator, or its responder, that may adopt rows of the object now.

        Whom the chain's logs don't tell is none. Raises :class:`ChainError` when the object's record can't be had.
        """
        record = self._follower.record(object_id)
        return reader in self._adopters(object_id, record) and self._is_adoptable(record)

    def _is_adoptable(self, record: ObjectRecord) -> bool:
        return record.is_adoptable(self._views.first_epoch_after(record.shard, self._follower.heads.latest + 1))

    def _adopters(self, object_id: bytes, record: ObjectRecord) -> frozenset[str]:
        """Read at most once per round: a stranger's requests cost the chain's endpoint nothing."""
        now = time.monotonic()
        with self._lock:
            known = self._known.get(object_id)
        if known is not None and now - known[0] < max(1.0, self._follower.poll_seconds):
            return known[1]
        try:
            found = self._look(object_id, record)
        except ChainError as error:
            log.warning("who may adopt is not known", object=object_id.hex(), error=error.message)
            found = frozenset()
        with self._lock:
            if len(self._known) >= _OBJECTS:
                self._known.clear()
            self._known[object_id] = (now, found)
        return found

    def _look(self, object_id: bytes, record: ObjectRecord) -> frozenset[str]:
        if not self._is_adoptable(record):
            return frozenset()
        roster = self._views.roster(record.shard, record.roster)
        vacant = self._views.vacant_operators(roster)
        absent = frozenset(non_signers_of(self._views, object_id, _EVER))
        operators = [
            entry.operator for entry in roster.entries if entry.seat in absent and entry.operator not in vacant
        ]
        return frozenset(operators) | {self._views.operator(operator).responder for operator in operators}
