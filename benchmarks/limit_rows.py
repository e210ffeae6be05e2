"""The arithmetic limit of the kernels, and how they grow with k, n and w."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from measure import PATH, Row, cost, data_rows, in_turn, row

from qanat import kzg
from qanat.coding import code

PLOT = Path(__file__).resolve().parent.parent / "build" / "growth.svg"
PAYLOAD = 31


def limits() -> list[Row]:
    """Nanoseconds per product, products per byte of data, and how far from their product each kernel runs."""
    from qanat.field.timing import commitment_products, decode_products, parity_products, product_ns
    from qanat.kzg.basis import BITS, windows_of

    times = product_ns()
    rows = [
        row("product_scalar", [times.scalar], "ns", higher=False),
        row("product_base", [times.base], "ns", higher=False),
    ]
    for name, k, n, width in (("parity_256", 256, 768, 4096), ("parity_1024", 1024, 3072, 1024)):
        coder: Any = code(k, n)
        data = k * width * PAYLOAD

        def encode(coder: Any = coder, k: int = k, width: int = width) -> tuple[float, float]:
            made = coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width))
            return cost(lambda: coder.encode(made)) * 1e9, product_ns().scalar

        spent, nanoseconds = in_turn(3, encode)
        rows += limit(name, parity_products(k, n), [at / data for at in spent], nanoseconds)
    k, n, width = 256, 1024, 1024
    coder = code(k, n)

    def decode() -> tuple[float, float]:
        made = coder.encode(coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width)))
        return cost(lambda: coder.restore(list(range(k, 2 * k)), made[:k])) * 1e9, product_ns().scalar

    spent, nanoseconds = in_turn(3, decode)
    rows += limit("decode_worst", decode_products(k, n, k), [at / (k * width * PAYLOAD) for at in spent], nanoseconds)

    def commit() -> tuple[float, float]:
        (made,) = data_rows(1, 4096)
        return cost(lambda: kzg.commit(made)) * 1e9, product_ns().base

    spent, nanoseconds = in_turn(9, commit)
    count = commitment_products(4096, BITS, windows_of(BITS)) / (4096 * PAYLOAD)
    return rows + limit("commit_4096", count, [at / (4096 * PAYLOAD) for at in spent], nanoseconds)


def limit(name: str, products: float, spent: list[float], nanoseconds: list[float]) -> list[Row]:
    """Return the products per byte, and the time per byte against the limit's; a ratio of 1 is the limit."""
    least = [products * at for at in nanoseconds]
    return [
        row(f"products_{name}", [products], "1/B", higher=False),
        row(f"limit_{name}", spent, "ns/B", peer="products × ns per product", theirs=least, higher=False),
    ]


def growth() -> list[Row]:
    """Parity by k (n = 3k) and by n (k = 256), commitments by width; the plot is build/growth.svg."""
    series: dict[str, list[tuple[float, float]]] = {"k": [], "n": [], "w": []}
    rows = []
    for k, n in [(k, 3 * k) for k in (4, 16, 64, 256, 1024)] + [(256, 256 * m) for m in (2, 4, 6, 8)]:
        coder: Any = code(k, n)
        width = min(4096, (1 << 18) // k)

        def once(coder: Any = coder, k: int = k, width: int = width) -> tuple[float, float]:
            made = coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width))
            return k * width * PAYLOAD / 1e6 / cost(lambda: coder.encode(made)), 1.0

        found, _ = in_turn(3, once)
        rows.append(row(f"growth_parity_{k}_of_{n}", found, "MB/s"))
        if n == 3 * k:
            series["k"].append((k, rows[-1].value))
        if k == 256:
            series["n"].append((n / k, rows[-1].value))
    for width in (64, 128, 256, 512, 1024, 2048, 4096):

        def commit(width: int = width) -> tuple[float, float]:
            (made,) = data_rows(1, width)
            return cost(lambda: kzg.commit(made)) * 1e6 / width, 1.0

        found, _ = in_turn(9, commit)
        rows.append(row(f"growth_commit_{width}", found, "us/element", higher=False))
        series["w"].append((width, rows[-1].value))
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(plot(series), encoding="utf-8")
    return rows


TITLES = {
    "k": "parity, MB/s, by k (n = 3k)",
    "n": "parity, MB/s, by n/k (k = 256)",
    "w": "commitment, µs per element, by w",
}


def plot(series: dict[str, list[tuple[float, float]]]) -> str:
    """Return a picture of three panels: logarithmic to the right, from zero upwards."""
    from math import log2

    width, height = 240, 200
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 290" font-family="sans-serif" font-size="11">',
        f'<rect width="900" height="290" fill="white"/><text x="20" y="18">path {PATH}</text>',
    ]
    for number, (name, unsorted) in enumerate(series.items()):
        points = sorted(unsorted)
        left, top = 50 + 290 * number, 50
        first, last = log2(points[0][0]), log2(points[-1][0])
        most = max(value for _, value in points) * 1.1
        places = [
            (left + width * (log2(at) - first) / (last - first), top + height * (1 - value / most))
            for at, value in points
        ]
        parts.append(f'<text x="{left}" y="{top - 10}">{TITLES[name]}</text>')
        parts.append(f'<path d="M{left} {top}V{top + height}H{left + width}" fill="none" stroke="black"/>')
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="M{path}" fill="none" stroke="#1f618d" stroke-width="2"/>')
        for (at, value), (x, y) in zip(points, places, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f618d"/>')
            parts.append(f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle">{value:.3g}</text>')
            parts.append(f'<text x="{x:.1f}" y="{top + height + 14}" text-anchor="middle">{at:g}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
