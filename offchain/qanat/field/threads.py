"""How many threads heavy work may use."""

from __future__ import annotations

import os

from qanat.errors import BadParameters

MOST = 16
"""More threads than this gain nothing: memory is the bound by then."""


def processors() -> int:
    """Return ``QANAT_THREADS``, or the number of processors that this process may use, at most 16.

    Anything but a positive number raises ``BadParameters``.
    """
    named = os.environ.get("QANAT_THREADS")
    if named:
        if not named.isdecimal() or not int(named):
            raise BadParameters(f"QANAT_THREADS={named!r} is no number of threads.", hint="Leave it unset, or say 1.")
        return min(MOST, int(named))
    try:
        return min(MOST, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on every system
        return min(MOST, os.cpu_count() or 1)
