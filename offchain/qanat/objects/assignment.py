"""Which ticket holds which rows.

Row i of every matrix belongs to ticket (offset + i) mod T (docs/design, section 5.1).
"""

from __future__ import annotations

from eth_hash.auto import keccak

from qanat.errors import BadParameters


def ticket_offset(object_id: bytes, total_tickets: int) -> int:
    """Return int(keccak(object id)) mod T."""
    if len(object_id) != 32:
        raise BadParameters(f"An object id has 32 bytes, not {len(object_id)}.")
    if total_tickets < 1:
        raise BadParameters("A roster has at least one ticket.")
    return int.from_bytes(keccak(object_id), "big") % total_tickets


def ticket_of_row(object_id: bytes, total_tickets: int, row: int) -> int:
    """Return the ticket that holds a row of every matrix."""
    return (ticket_offset(object_id, total_tickets) + row) % total_tickets


def rows_of_ticket(object_id: bytes, total_tickets: int, n: int, ticket: int) -> list[int]:
    """Return the n/T rows of every matrix that a ticket holds, ascending.

    N no multiple of T raises ``BadParameters``.
    """
    _check(total_tickets, n)
    if not 0 <= ticket < total_tickets:
        raise BadParameters(f"There is no ticket {ticket} of {total_tickets}.")
    first = (ticket - ticket_offset(object_id, total_tickets)) % total_tickets
    return list(range(first, n, total_tickets))


def rows_of_operator(object_id: bytes, total_tickets: int, first_ticket: int, tickets: int, n: int) -> list[int]:
    """Return the rows of every matrix that an operator with a range of tickets holds, ascending."""
    if tickets < 0 or first_ticket < 0 or first_ticket + tickets > total_tickets:
        raise BadParameters(f"Tickets {first_ticket}..{first_ticket + tickets} are not within {total_tickets}.")
    held = range(first_ticket, first_ticket + tickets)
    return sorted(row for ticket in held for row in rows_of_ticket(object_id, total_tickets, n, ticket))


def slices_of_operator(
    object_id: bytes, total_tickets: int, first_ticket: int, tickets: int, n: int, matrices: int
) -> list[int]:
    """Return the indexes of all slices that an operator holds, by matrix, then row."""
    rows = rows_of_operator(object_id, total_tickets, first_ticket, tickets, n)
    return [matrix * n + row for matrix in range(matrices) for row in rows]


def _check(total_tickets: int, n: int) -> None:
    if total_tickets < 1 or n % total_tickets:
        raise BadParameters(f"n={n} is no multiple of the roster's {total_tickets} tickets.")
