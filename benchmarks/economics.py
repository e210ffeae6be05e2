# ruff: noqa: E501  (the lines of a page are as long as its sentences)
"""docs/economics.md: what the defaults of each network file pay and take, and whether honesty pays at three gas prices.

python benchmarks/economics.py            # writes the page
python benchmarks/economics.py --check    # exit 1 if it is stale, or if a network file's defaults are not incentive compatible

All sums are of one ticket and one epoch. Assumed, and stated on the page: a gas token's price, and that a unit of bond
and of weight is worth a unit of the payment token.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qanat.auditor.population import SEALER_BPS
from qanat.chain.parameters import ShardPlan, load_parameters

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "economics.md"

#: Gas of a warm transaction, rounded; a test compares them with tests/gas.json.
GAS = {"respond_q8": 360_000, "respond_q16": 529_000, "report_miss": 180_000, "seal": 216_000, "settle": 290_000}
#: What of an epoch's pay is whoever sealed it's (`Rewards.SEALER_BPS`).
SEALER = SEALER_BPS / 10_000
#: A gas token in payment tokens.
GAS_TOKEN = 3_000
#: Gwei: quiet, usual, busy.
GAS_PRICES = (0.2, 1.0, 5.0)
#: At which the defaults must be incentive compatible.
REQUIRED_PRICES = GAS_PRICES[:2]

UNIT = 10**18
ROW_BYTES = 4096 * 32
FRACTIONS = (0.01, 0.05, 0.20, 1.0)


def cost(gas: float, gwei: float) -> float:
    """Return what gas costs, in payment tokens."""
    return gas * gwei * 1e-9 * GAS_TOKEN


@dataclass(frozen=True)
class Ticket:
    """One ticket's part of a shard, filled to its cap, in payment tokens and epochs."""

    name: str
    plan: ShardPlan

    @property
    def row_fee(self) -> float:
        """For one row of full width."""
        return ROW_BYTES * self.plan.price_per_byte_epoch_wad / 1e18 / UNIT

    @property
    def fee(self) -> float:
        """Of all rows that it may hold: the price of its capacity."""
        return self.row_fee * self.plan.max_rows_per_ticket

    @property
    def pay(self) -> float:
        """What of the fee is the operator's and its restakers': all but the sealer's part."""
        return self.fee * (1 - SEALER)

    @property
    def bond_slash(self) -> float:
        """Taken from the operator's own bond for a miss."""
        return self.plan.bond_slash_per_ticket / UNIT

    @property
    def slash(self) -> float:
        """Taken in all for a miss."""
        return self.bond_slash + self.plan.stake_slash_per_ticket / UNIT

    @property
    def respond_gas(self) -> int:
        """Gas of an answer, between the two that were measured."""
        slope = (GAS["respond_q16"] - GAS["respond_q8"]) / 8
        return round(GAS["respond_q8"] + (self.plan.samples - 8) * slope)

    @property
    def duty_gas(self) -> int:
        """Gas of an answer and of being paid for it."""
        return self.respond_gas + GAS["settle"]

    def break_even_bytes(self, gwei: float) -> float:
        """Return how many bytes' fees pay for a duty's gas."""
        return cost(self.duty_gas, gwei) / (self.row_fee * (1 - SEALER)) * ROW_BYTES

    def sealing_tickets(self, gwei: float) -> float:
        """Return how many full tickets' fees pay, by the sealer's part, for a sealing's gas."""
        return cost(GAS["seal"], gwei) / (self.fee * SEALER)

    def loss(self, fraction: float) -> float:
        """Return what dropping a fraction of whole slices costs, expected: with 1 - (1 - f)^q the fee and a miss's slash."""
        return (1 - (1 - fraction) ** self.plan.samples) * (self.fee + self.slash)

    def margin(self, fraction: float) -> float:
        """Return that loss over the gain: at most the fee of what was dropped, since storing it costs less than it pays."""
        return self.loss(fraction) / (fraction * self.fee)


@dataclass(frozen=True)
class Condition:
    """A condition that must hold: `left` at least `right`."""

    name: str
    left: float
    right: float

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.left >= self.right


def conditions(ticket: Ticket, prices: tuple[float, ...] = REQUIRED_PRICES) -> Iterator[Condition]:
    """Yield what makes a shard's defaults incentive compatible."""
    plan = ticket.plan
    yield Condition("a miss costs at least the price of the capacity behind its ticket", ticket.slash, ticket.fee)
    yield Condition(
        "dropping any fraction costs at least twice what it gains", min(ticket.margin(f) for f in FRACTIONS), 2
    )
    for gwei in prices:
        duty, report = cost(ticket.duty_gas, gwei), cost(GAS["report_miss"], gwei)
        yield Condition(f"a full ticket's fee pays for its duty at {gwei:g} gwei", ticket.pay, duty)
        yield Condition(
            f"missing costs the operator more than answering at {gwei:g} gwei",
            ticket.bond_slash + ticket.pay,
            cost(ticket.respond_gas, gwei),
        )
        yield Condition(
            f"a full ticket's fee pays for its duty and for sealing alone at {gwei:g} gwei",
            ticket.fee,
            duty + cost(GAS["seal"], gwei),
        )
        yield Condition(f"a report is paid at {gwei:g} gwei", plan.reporter_fee / UNIT, report)
    yield Condition(
        "who reports itself loses at least what it gets", ticket.bond_slash - plan.reporter_fee / UNIT,
        plan.reporter_fee / UNIT,
    )  # fmt: skip
    yield Condition("the bond behind a ticket covers a miss", plan.bond_per_ticket, plan.bond_slash_per_ticket)
    yield Condition("the weight behind a ticket covers a miss", plan.ticket_price, plan.stake_slash_per_ticket)


def tickets() -> list[Ticket]:
    """Return every shard of every network file."""
    found = []
    for path in sorted((ROOT / "networks").glob("*.yaml")):
        network = load_parameters(path)
        found += [Ticket(f"{path.stem}, {shard.name}", shard) for shard in network.shards.values()]
    return found


# ---- the page

TEXT = f"""# Economics

Made by `benchmarks/economics.py` from the network files and measured gas (`tests/gas.json`, rounded). All sums are payment tokens of 18 decimals, of one ticket and one epoch.
Assumed: a gas token is worth {GAS_TOKEN:,}; a unit of bond, and of weight, is worth one. `tests/unit/test_economics.py` fails when the defaults of a network file don't keep the
conditions below at {" and ".join(f"{price:g}" for price in REQUIRED_PRICES)} gwei.

## What each default follows from

| default | follows from |
|---|---|
| price | the least at which a full ticket's fee pays for its answer and its settlement; below it nobody should join |
| epoch | gas is paid once an epoch, whatever is stored: twice as long halves it, and doubles how long a loss goes unseen |
| window | time to read q slices and to get a transaction included although the fee has to rise; the guard periods follow (I-D1) |
| q | of the draws: 1 - (1 - f)^q an epoch; each more costs some 21,000 gas |
| ticket's rows | price times rows is the fee at risk: the slash is at least that |
| bond, and weight of a ticket | at least one miss's slash; a bond below its minimum opens the place |
| slash | at least the price of the capacity behind it, so that who keeps nothing loses more than all it was paid |
| reporter's fee | above a report's gas; at most half of what the bond loses, so that reporting oneself only loses |

Refetching is not kept in check by prices: fetching q slices costs less than keeping everything. What stands against it is that other nodes give a stranger, and operators too, fewer
than k rows of an object within the window, and that the draw isn't known before. Bounties: a reporter is paid from the bond that it has taken; whoever seals an epoch gets {SEALER:.1%} of what it
pays ([decision 0054](decisions/0054-sealing-is-paid-from-what-the-epoch-earns.md)). The tables say how many full tickets make that as much as a sealing's gas; in a smaller shard, or an emptier one, each operator with a duty has its fee to gain
from sealing; whether one full ticket pays for both at a gas price is a row of each table.
"""


def section(ticket: Ticket) -> Iterator[str]:
    """Yield the lines of one shard."""
    plan = ticket.plan
    yield f"\n## {ticket.name}\n"
    yield (
        f"q = {plan.samples}; a ticket holds up to {plan.max_rows_per_ticket:,} rows ({plan.max_rows_per_ticket * ROW_BYTES / 1e9:.1f} GB), "
        f"which pay {ticket.fee:.2f} an epoch; a miss takes {ticket.bond_slash:g} of the bond and {ticket.slash - ticket.bond_slash:g} of the stake. "
        f"An answer and its settlement take {ticket.duty_gas:,} gas.\n"
    )
    yield (
        "| gwei | a duty's gas costs | bytes that pay for it | share of a full ticket's fee | a report costs (pays "
        f"{plan.reporter_fee / UNIT:g}) | a sealing costs | full tickets that pay for it |\n|---|---|---|---|---|---|---|"
    )
    for gwei in GAS_PRICES:
        duty = cost(ticket.duty_gas, gwei)
        yield (
            f"| {gwei:g} | {duty:.2f} | {ticket.break_even_bytes(gwei) / 1e9:.2f} GB | {duty / ticket.fee:.0%} "
            f"| {cost(GAS['report_miss'], gwei):.2f} | {cost(GAS['seal'], gwei):.2f} | {ticket.sealing_tickets(gwei):.1f} |"
        )
    yield "\n| dropped | gains at most | loses, expected | loses per gain |\n|---|---|---|---|"
    for fraction in FRACTIONS:
        gain = fraction * ticket.fee
        yield f"| {fraction:.0%} | {gain:.2f} | {ticket.loss(fraction):.2f} | {ticket.margin(fraction):.1f} |"
    yield "\n| condition | is | at least | |\n|---|---|---|---|"
    for item in conditions(ticket, GAS_PRICES):
        left, right = (value / UNIT if value > 1e12 else value for value in (item.left, item.right))
        yield f"| {item.name} | {left:.2f} | {right:.2f} | {'holds' if item.holds else 'DOES NOT HOLD'} |"


def page() -> str:
    """Return the whole page."""
    return TEXT + "\n".join(line for ticket in tickets() for line in section(ticket)) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it; either way check the conditions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    broken = [f"{ticket.name}: {item.name}" for ticket in tickets() for item in conditions(ticket) if not item.holds]
    if given.check and PAGE.read_text(encoding="utf-8") != page():
        broken.append(f"{PAGE} is stale")
    elif not given.check:
        PAGE.write_text(page(), encoding="utf-8")
    print("\n".join(broken), file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
