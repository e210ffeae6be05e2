"""What durability costs: the tables of docs/planner.md and the picture beside them, computed by the planner's model.

python benchmarks/planner_picture.py            write both
python benchmarks/planner_picture.py --check    exit 1 if one is not what the planner computes
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, log1p
from math import expm1 as expm1_
from pathlib import Path

from qanat.objects import Failures, annual_loss, needed_tickets, nines
from qanat.objects.durability import replicas_loss
from qanat.objects.planner import MAX_TICKETS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, PICTURE = DOCS / "planner.md", DOCS / "planner.svg"
NETWORKS = (3, 6, 30, 300, 3000)
FAILURES = Failures(loss_per_year=0.05, repair_days=7)
HARSH = Failures(loss_per_year=0.25, repair_days=30)
ELEMENT = 32 / 31
"""Bytes of an element per byte that it carries."""
COPIES = 3
MOST_NINES = 20
"""Beyond that the model says only that independent losses are not what will lose the object."""


@dataclass(frozen=True)
class Network:
    """Operators of one ticket each, in as few shards as 1,024 tickets allow; each shard keeps its own objects."""

    operators: int
    failures: Failures = FAILURES

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.operators // MAX_TICKETS)

    @property
    def tickets(self) -> int:
        """Operators, and tickets, of one shard."""
        return self.operators // self.shards

    def any_shard(self, loss: float) -> float:
        """Return the probability that one of as many objects is lost, one in each shard."""
        return -expm1_(self.shards * log1p(-loss)) if loss < 1 else 1.0

    def code(self, needed: int, signed: int | None = None) -> float:
        """Return the nines a year of a code that needs so many tickets, of those that signed (all, by default)."""
        held = self.tickets if signed is None else signed
        return nines(self.any_shard(float(annual_loss([1] * held, self.failures)[needed])))

    def copies(self) -> float:
        """Return the nines a year of three copies on three operators."""
        return nines(self.any_shard(replicas_loss(COPIES, self.failures)))

    def three_liars(self) -> float:
        """Return the probability that three operators drawn at random lie, when a third of all do."""
        return comb(self.tickets // 3, COPIES) / comb(self.tickets, COPIES)


@dataclass(frozen=True)
class Choice:
    """The code of least overhead for which certificates can be had while ``absent`` operators of a shard don't sign."""

    network: Network
    absent: int

    @property
    def needed(self) -> int:
        """Tickets that restore."""
        return self.network.tickets - self.network.tickets // 3 - self.absent

    @property
    def overhead(self) -> float:
        """Bytes stored per byte of the object, padding and commitments apart."""
        return self.network.tickets / self.needed * ELEMENT

    @property
    def signatures(self) -> int:
        """Tickets that must sign."""
        return needed_tickets(self.network.tickets, self.needed, self.network.tickets)


def choices(operators: int) -> Iterator[Choice]:
    """Yield the choices of a network: nobody may be absent; a twentieth, at least one."""
    network = Network(operators)
    for absent in (0, max(1, network.tickets // 20)):
        yield Choice(network, absent)


def shown(value: float) -> str:
    """Return nines as a table shows them."""
    return f"over {MOST_NINES}" if value > MOST_NINES else f"{value:.1f}"


def header(*names: str) -> list[str]:
    """Return a table's first two lines."""
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]


def main_table() -> str:
    """Return the table of overhead against durability."""
    heads = ("operators", "may not sign", "restores", "must sign", "stored per byte", "of three copies")
    lines = header(*heads, "nines a year, all signed", "no more than must", "three copies")
    for operators in NETWORKS:
        for choice in choices(operators):
            network = choice.network
            name = f"{operators:,}" if network.shards == 1 else f"{operators:,}: {network.shards} × {network.tickets:,}"
            lines.append(
                f"| {name} | {choice.absent} | any {choice.needed} of {network.tickets} | {choice.signatures} "
                f"| {choice.overhead:.2f} | {choice.overhead / COPIES:.0%} | {shown(network.code(choice.needed))} "
                f"| {shown(network.code(choice.needed, choice.signatures))} | {shown(network.copies())} |"
            )
    return "\n".join(lines)


def half() -> tuple[int, int]:
    """Return the operators from which on the cheapest code outlasts three copies: gentle, and harsh failures."""
    found = []
    for failures in (FAILURES, HARSH):
        better = []
        for operators in range(3, 121):
            choice = Choice(Network(operators, failures), 0)
            better.append(choice.network.code(choice.needed) >= choice.network.copies())
        found.append(3 + len(better) - next(i for i, good in enumerate([*reversed(better), False]) if not good))
    return found[0], found[1]


def threats_table() -> str:
    """Return the table of what a third of liars, and harsher failures, do."""
    heads = ("operators", "three copies all with liars", "copies that a third of liars can't take")
    lines = header(*heads, "nines a year, harsh", "three copies, harsh")
    for operators in NETWORKS:
        network = Network(operators, HARSH)
        choice = Choice(network, 0)
        lines.append(
            f"| {operators:,} | {network.three_liars():.1%} | {network.tickets // 3 + 1} "
            f"| {shown(network.code(choice.needed))} | {shown(network.copies())} |"
        )
    return "\n".join(lines)


def tables() -> dict[str, str]:
    """Return the generated parts of the page by their names."""
    gentle, harsh = half()
    sentence = (
        f"The cheapest code outlasts three copies on the same operators from {gentle} operators on, and under the "
        f"harsh failures from {harsh} on."
    )
    return {"main": main_table(), "threats": threats_table(), "half": sentence}


def filled(page: str) -> str:
    """Return the page with its generated parts replaced."""
    for name, text in tables().items():
        begin, end = f"<!-- {name}: benchmarks/planner_picture.py -->", f"<!-- end {name} -->"
        head, rest = page.split(begin)
        _, tail = rest.split(end)
        page = f"{head}{begin}\n{text}\n{end}{tail}"
    return page


# ---- the picture -----------------------------------------------------------------------------------------------------

LEFT, TOP, WIDTH, HEIGHT = 60, 30, 560, 360
MOST_OVERHEAD = 4.0
COLORS = ("#b03a2e", "#b9770e", "#1e8449", "#1f618d", "#6c3483")


def at(overhead: float, value: float) -> tuple[float, float]:
    """Return the place of a point."""
    x = LEFT + WIDTH * (overhead - 1) / (MOST_OVERHEAD - 1)
    return round(x, 1), round(TOP + HEIGHT * (1 - min(value, MOST_NINES) / MOST_NINES), 1)


def picture() -> str:
    """Return the picture: nines a year over bytes stored per byte, a line for each network."""
    right, bottom = LEFT + WIDTH, TOP + HEIGHT
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 450" font-family="sans-serif" font-size="12">',
        '<rect width="800" height="450" fill="white"/>',
    ]
    for value in range(0, MOST_NINES + 1, 5):
        _, y = at(1, value)
        parts.append(f'<path d="M{LEFT} {y}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{value}</text>')
    for tick in (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0):
        x, _ = at(tick, 0)
        parts.append(f'<path d="M{x} {TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">bytes stored per byte</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 12}">nines a year</text>')
    limit, _ = at(1.5 * ELEMENT, 0)
    parts.append(
        f'<path d="M{limit} {TOP}V{bottom}" stroke="black" stroke-dasharray="2 4"/>'
        f'<text x="{limit + 4}" y="{bottom - 6}">left of it no certificate</text>'
    )
    for color, operators in zip(COLORS, NETWORKS, strict=True):
        parts += line(Network(operators), color)
    x, y = at(COPIES, Network(3).copies())
    parts.append(f'<path d="M{x - 5} {y - 5}l10 10m0 -10l-10 10" stroke="black" stroke-width="2"/>')
    parts.append(f'<text x="{x + 9}" y="{y + 4}">three copies</text>')
    for row, (color, operators) in enumerate(zip(COLORS, NETWORKS, strict=True)):
        y = TOP + 20 + 20 * row
        parts.append(f'<path d="M{right + 20} {y}h24" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{right + 50}" y="{y + 4}">{operators:,} operators</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def line(network: Network, color: str) -> list[str]:
    """Return a network's line, dashed where there is no certificate, with dots where there are few choices."""
    losses = annual_loss([1] * network.tickets, network.failures)
    points = []
    for needed in range(network.tickets, 0, -1):
        overhead = network.tickets / needed * ELEMENT
        value = nines(network.any_shard(float(losses[needed])))
        if overhead <= MOST_OVERHEAD:
            points.append((needed, at(overhead, value), value))
        if value > MOST_NINES:
            break
    certified = network.tickets - network.tickets // 3
    dashed = [place for needed, place, _ in points if needed >= certified]
    solid = [place for needed, place, _ in points if needed <= certified]
    found = []
    for places, style in ((dashed, ' stroke-dasharray="5 4"'), (solid, "")):
        if len(places) > 1:
            path = "L".join(f"{x} {y}" for x, y in places)
            found.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"{style}/>')
    if network.tickets <= 6:
        found += [f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>' for x, y in solid]
    return found


def main(arguments: list[str]) -> int:
    """Write, or check."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = {PAGE: filled(page), PICTURE: picture()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is not what the planner computes: run benchmarks/planner_picture.py", file=sys.stderr)
        return int(bool(stale))
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
