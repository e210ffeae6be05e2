"""Drawing a key's holders from a roster, as ``Keys.draw`` does: its sender says in which seat each step ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_hash.auto import keccak

from qanat.errors import BadParameters
from qanat.keys.context import tag

MAX_STEPS = (1 << 16) - 1
"""The contract counts them in 16 bits."""


@dataclass(frozen=True)
class Seat:
    """A roster's seat: who has it, and how many tickets."""

    number: int
    operator: str
    first_ticket: int
    tickets: int


@dataclass(frozen=True)
class Drawn:
    """A draw followed to its end: the seat of each step, and the operators by place."""

    steps: tuple[int, ...]
    operators: tuple[str, ...]


def drawn_ticket(
    chain_id: int, contract: str, asset_id: int, key_epoch: int, seed: bytes, step: int, tickets: int
) -> int:
    """Return the ticket that a step draws."""
    types = ["bytes32", "uint256", "address", "uint256", "uint32", "bytes32", "uint256"]
    values = [tag("key-draw"), chain_id, contract, asset_id, key_epoch, seed, step]
    return int.from_bytes(keccak(encode(types, values)), "big") % tickets


def follow_draw(
    seats: Sequence[Seat],
    ticket_of: Callable[[int], int],
    *,
    places: Sequence[str | None],
    former: Sequence[str] = (),
    eligible: Callable[[str], bool],
    first_step: int = 0,
) -> Drawn:
    """Fill the empty places of a key.

    :param ticket_of: a step's ticket, see :func:`drawn_ticket`.
    :param places: who has a place already, None where it is empty.
    :param former: who had one before, and gets none again.
    :param eligible: whether an operator accepted Keys as its slasher and its place is not vacant.

    ``BadParameters`` where too few operators are eligible.
    """
    holders = list(places)
    taken = {operator for operator in (*holders, *former) if operator is not None}
    free = {seat.operator for seat in seats if seat.tickets} - taken
    missing = holders.count(None)
    if sum(eligible(operator) for operator in free) < missing:
        raise BadParameters(
            f"Fewer than {missing} operators can hold a share of this key.",
            hint="Operators take part once they have accepted Keys as a slasher.",
            missing=missing,
        )
    steps = []
    step = first_step
    while missing:
        if step >= MAX_STEPS:
            raise BadParameters("The draw found too few different operators.", hint="Ask for new holders.")
        ticket = ticket_of(step)
        seat = next(seat for seat in seats if seat.first_ticket <= ticket < seat.first_ticket + seat.tickets)
        steps.append(seat.number)
        step += 1
        if seat.operator in taken or not eligible(seat.operator):
            continue
        taken.add(seat.operator)
        holders[holders.index(None)] = seat.operator
        missing -= 1
    return Drawn(tuple(steps), tuple(str(holder) for holder in holders))
