"""One certificate for several storings that run at the same time, where several wait for theirs.

One certificate is under way at a time. What becomes ready meanwhile waits for its end, and then goes in one list: a
single storing waits for nobody, many share a transaction, and nothing is delayed in the hope of more. A list that
can't be certified (nodes that refuse one of its objects, a roster that changed between them) costs one attempt: each
of its storings then brings its own certificate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from qanat.chain.sender import Sender
from qanat.chain.views import Views
from qanat.client.listing import CertifiedList, certify_list
from qanat.errors import QanatError

__all__ = ["Brought", "Together"]

log = structlog.get_logger("qanat.client.together")
_SECONDS, _GRACE_SECONDS = 60.0, 1.0


@dataclass(frozen=True)
class Brought:
    """A certificate's transaction, "" if somebody else brought one; ``listed``: the list that it was in."""

    transaction: str
    listed: CertifiedList | None = None


@dataclass
class _Ready:
    """An object whose slices were sent and signed for."""

    object_id: bytes
    is_done: bool = False
    listed: CertifiedList | None = None


class Together:
    """Brings certificates for the threads that store, of one account.

    :param most: objects of one list.
    """

    def __init__(self, views: Views, sender: Sender, *, most: int = 32) -> None:
        self._views, self._sender, self._most = views, sender, most
        self._turn = threading.Condition()
        self._is_busy = False
        self._waiting: list[_Ready] = []

    def bring(self, object_id: bytes, alone: Callable[[], str]) -> Brought:
        """Return when the object is certified; ``alone`` brings its own certificate and returns the transaction."""
        mine = _Ready(object_id)
        with self._turn:
            self._waiting.append(mine)
            while self._is_busy and not mine.is_done:
                self._turn.wait()
            chosen: list[_Ready] = []
            if not mine.is_done:
                self._is_busy = True
                self._waiting.remove(mine)
                chosen = [mine, *self._waiting[: self._most - 1]]
                del self._waiting[: self._most - 1]
        if chosen:
            try:
                if len(chosen) == 1:
                    return Brought(alone())
                self._certify(chosen)
            finally:
                with self._turn:
                    self._is_busy = False
                    for ready in chosen:
                        ready.is_done = True
                    self._turn.notify_all()
        if mine.listed is None:
            return Brought(alone())
        return Brought(mine.listed.transaction, mine.listed)

    def _certify(self, chosen: list[_Ready]) -> None:
        object_ids = [ready.object_id for ready in chosen]
        try:
            listed = certify_list(self._views, self._sender, object_ids, seconds=_SECONDS, grace_seconds=_GRACE_SECONDS)
        except QanatError as error:
            log.warning("a list was not certified", objects=len(chosen), error=error.message)
            return
        for ready in chosen:
            ready.listed = listed
