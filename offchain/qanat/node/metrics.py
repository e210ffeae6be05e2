"""Counters and gauges in Prometheus' text format, version 0.0.4."""

from __future__ import annotations

import threading

__all__ = ["Metrics"]

_HELP = {
    "qanat_slices_received_total": "Slices taken in",
    "qanat_slices_served_total": "Slices served",
    "qanat_slices_withheld_total": "Reads refused inside a response window",
    "qanat_slices_corrupted_total": "Slices whose checksum failed when read",
    "qanat_scrubbed_bytes_total": "Bytes of slices reread",
    "qanat_scrub_passes_total": "Times that everything held was reread",
    "qanat_slices_lost_total": "Slices found missing or damaged when reread",
    "qanat_slices_mended_total": "Slices rebuilt from other nodes' rows",
    "qanat_mends_failed_total": "Tries to mend an object that failed",
    "qanat_objects_signed_total": "Objects that the node signed for",
    "qanat_objects_deleted_total": "Objects deleted after their term",
    "qanat_bytes_received_total": "Bytes of slices taken in",
    "qanat_bytes_served_total": "Bytes of slices served",
    "qanat_requests_total": "Requests, by call",
    "qanat_requests_refused_total": "Requests refused, by error",
    "qanat_requests_limited_total": "Requests refused because their asker had had its share",
    "qanat_body_bytes": "Bytes of request bodies for which memory is held",
    "qanat_epochs_sealed_total": "Epochs sealed by this node",
    "qanat_epochs_answered_total": "Challenges answered",
    "qanat_epochs_unanswerable_total": "Challenges that could not be answered",
    "qanat_epochs_settled_total": "Epochs whose fees were settled by this node",
    "qanat_misses_reported_total": "Misses of others that were reported",
    "qanat_slashes_executed_total": "Slashes executed by this node",
    "qanat_keys_released_total": "Data keys released to licensees",
    "qanat_epochs_of_gas_left": "Epochs whose answers the responder can still pay, at what the last one cost",
    "qanat_alarms_total": "Times that the runner was told of something, by kind",
    "qanat_alarms_unsent_total": "Alarms that the webhook did not take",
    "qanat_chain_errors_total": "Rounds of the duty loop that the chain failed",
    "qanat_block": "Latest block seen",
    "qanat_slices": "Slices held",
    "qanat_bytes": "Bytes of slices held",
}


class Metrics:
    """Named numbers; safe to use from several threads."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def count(self, name: str, amount: float = 1, *, label: str = "") -> None:
        """Add to a counter. ``label``: value of its label ``kind``, none when empty."""
        with self._lock:
            self._values[name, label] = self._values.get((name, label), 0) + amount

    def gauge(self, name: str, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            self._values[name, ""] = value

    def value(self, name: str, label: str = "") -> float:
        """Return a number, 0 if it never was set."""
        with self._lock:
            return self._values.get((name, label), 0)

    def text(self) -> str:
        """Return all numbers as Prometheus reads them."""
        with self._lock:
            values = sorted(self._values.items())
        lines: list[str] = []
        last = ""
        for (name, label), value in values:
            if name != last:
                kind = "counter" if name.endswith("_total") else "gauge"
                lines += [f"# HELP {name} {_HELP.get(name, name)}", f"# TYPE {name} {kind}"]
                last = name
            lines.append(f'{name}{{kind="{label}"}} {value:g}' if label else f"{name} {value:.17g}")
        return "\n".join(lines) + "\n"
