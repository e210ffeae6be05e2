"""Points of order r that are on another curve: only the equation of ours tells them from points of the subgroup.

The addition formulas of y² = x³ + b don't use b: for u ≠ 0, (u²x, u³y) is on y² = x³ + u⁶b, and has (x, y)'s order.
"""

from __future__ import annotations

from qanat.kzg.points import FIELD_MODULUS, NUMBER_BYTES


def on_another_curve(raw: bytes) -> bytes:
    """Return the raw form of (4x, 8y) for a raw (x, y) of G1 or G2."""
    half = len(raw) // 2
    numbers = [int.from_bytes(raw[at : at + NUMBER_BYTES], "big") for at in range(0, len(raw), NUMBER_BYTES)]
    factors = [4 if at < half else 8 for at in range(0, len(raw), NUMBER_BYTES)]
    moved = [number * factor % FIELD_MODULUS for number, factor in zip(numbers, factors, strict=True)]
    return b"".join(number.to_bytes(NUMBER_BYTES, "big") for number in moved)
