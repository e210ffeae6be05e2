"""What tells a node's runner that something needs a person, before it is too late: a log line, a counter, a webhook.

::

    alarms = Alarms(metrics, "https://…")
    alarms.raise_("answer_late", ("answer_late", epoch), epoch=epoch, blocks_left=40)

An alarm is raised once per key, however often the loop sees its cause. The webhook gets a POST of
``{"alarm": kind, …}`` from a thread of its own: a webhook that hangs delays no duty.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable

import httpx
import structlog

from qanat.node.metrics import Metrics

__all__ = ["Alarms"]

_POST_SECONDS = 10.0
#: Keys that are remembered.
_KEPT = 1024
log = structlog.get_logger("qanat.node.alarms")


class Alarms:
    """Raises alarms; safe to use from several threads. ``url``: the webhook, none when empty."""

    def __init__(self, metrics: Metrics, url: str = "", *, operator: str = "") -> None:
        self._metrics = metrics
        self._url = url
        self._operator = operator
        self._raised: deque[Hashable] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def raise_(self, kind: str, key: Hashable, **facts: str | float) -> None:
        """Tell the runner, unless it was told of this key before."""
        with self._lock:
            if key in self._raised:
                return
            self._raised.append(key)
        self._metrics.count("qanat_alarms_total", label=kind)
        log.error("alarm", alarm=kind, **facts)
        if self._url:
            body = {"alarm": kind, "operator": self._operator, **facts}
            threading.Thread(target=self._post, args=(body,), name="alarm", daemon=True).start()

    def _post(self, body: dict[str, str | float]) -> None:
        try:
            httpx.post(self._url, json=body, timeout=_POST_SECONDS).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._metrics.count("qanat_alarms_unsent_total")
            log.warning("webhook failed", error=str(error))
