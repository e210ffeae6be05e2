"""What nodes said, a line for each reason: many nodes often have the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["grouped", "lines_of", "without_node"]

#: How messages of :class:`~qanat.client.nodes.NodeClient` begin, and what in them differs from slice to slice.
_WHO = re.compile(r"The node of 0x[0-9a-fA-F]{40}(?: at \S+)? ")
_WHICH = re.compile(r"(/slices/)\d+")


def without_node(reason: str) -> str:
    """Return a reason without the node and the slice that it names, so that the same ones are equal."""
    return _WHICH.sub(r"\1…", _WHO.sub("", reason, count=1))


def grouped(reasons: Iterable[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """Return (operators, reason) for each reason of (operator, reason); one of a single operator as it was told."""
    found: dict[str, list[tuple[str, str]]] = {}
    for operator, reason in sorted(reasons):
        found.setdefault(without_node(reason), []).append((operator, reason))
    return [
        ([operator for operator, _ in told], told[0][1] if len(told) == 1 else reason) for reason, told in found.items()
    ]


def lines_of(reasons: Mapping[str, str]) -> str:
    """Return lines for the end of an error's message: an operator and its reason, or how many have the same."""
    return "".join(
        f"\n  {who[0] if len(who) == 1 else f'{len(who)} nodes'}: {reason}" for who, reason in grouped(reasons.items())
    )
