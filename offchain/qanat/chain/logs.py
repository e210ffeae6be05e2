"""Events of a range of blocks, in as many questions as the endpoint wants.

Endpoints refuse ranges that are too long for them, or that hold too many events, each with limits of its own. What
guards stake may not stand still for that: a range that is refused is halved, down to single blocks.
"""

from __future__ import annotations

from typing import Any

from web3.exceptions import Web3Exception

from qanat.errors import ChainError, ChainUnreachable

__all__ = ["logs_between"]


def logs_between(event: Any, first: int, last: int, **filters: Any) -> list[Any]:
    """Return an event's logs of blocks ``first`` to ``last``, in order. ``event``: of a web3 contract.

    Raises :class:`ChainUnreachable` if nothing answers, :class:`ChainError` if not even one block's logs are to be had.
    """
    if last < first:
        return []
    try:
        return list(event().get_logs(from_block=first, to_block=last, argument_filters=filters or None))
    except ChainUnreachable as error:
        # an answer too large, or too late, may be had in parts; an endpoint that is gone, not
        if not error.data.get("timeout") or first == last:
            raise
    except (ChainError, Web3Exception) as error:
        if first == last:
            raise ChainError(f"The endpoint does not give the events of block {first}: {error}") from error
    middle = (first + last) // 2
    return logs_between(event, first, middle, **filters) + logs_between(event, middle + 1, last, **filters)
