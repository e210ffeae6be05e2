"""How many rows a node serves while challenges can be answered.

Between an epoch's seed block and its deadline all askers together get few rows of each matrix, so that whoever lost
its slices can't fetch them to answer: all nodes of a roster together serve fewer than k (DESIGN §5.3). Rows served
before are free: they teach nothing new.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

__all__ = ["ServingBudget", "rows_in_window"]


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
