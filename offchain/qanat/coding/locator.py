"""Polynomials that vanish on chosen points of a code's domain, at chosen points: what decoding divides by.

By a tree of products: from x - u for every root u on, polynomials are multiplied two by two, a layer's pairs at once by
transforms over columns, and the last one is evaluated on the whole domain by one transform. That takes O(N log^2 N)
products, where the product over all roots at every point takes the product of their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qanat.field import MODULUS, kernel

if TYPE_CHECKING:
    from qanat.coding.points import Points

DIRECT = 1 << 11
"""Factors up to which Python multiplies them sooner than transforms are set up."""


def directly(points: Sequence[int], roots: Sequence[int]) -> list[int]:
    """Return, for each point x, the product of (x - u) over all roots u other than x: the definition."""
    result = []
    for point in points:
        value = 1
        for root in roots:
            if root != point:
                value = value * (point - root) % MODULUS
        result.append(value)
    return result


def vanishing(layout: Points, roots: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Return W(u) for each wanted point u, W being the product of (x - v) over the roots v; W'(u) where u is a root.

    :param roots: distinct exponents of omega_N, at most N.
    :param wanted: exponents likewise.
    """
    if len(roots) * len(wanted) <= DIRECT:
        return directly([layout.at(e) for e in wanted], [layout.at(e) for e in roots])
    field: Any = kernel()
    count = 1 << max(0, len(roots) - 1).bit_length()
    padding = count - len(roots)  # roots at zero, which make it W * x^padding
    low = field.from_ints([-layout.at(e) % MODULUS for e in roots] + [0] * padding, (1, count))
    # a column holds a polynomial of degree `degree` without its leading one, lowest coefficient first
    for degree in (1 << i for i in range(count.bit_length() - 1)):
        columns = count // degree
        values = field.transform(field.stack([low, field.zeros((degree, columns))]))
        left, right = low[:, 0::2], low[:, 1::2]
        product = field.transform(field.multiply(values[:, 0::2], values[:, 1::2]), inverse=True)
        low = field.stack([product[:degree], field.add(product[degree:], field.add(left, right))])
    coefficients = field.to_ints(low)
    domain = layout.domain
    both = [0] * (2 * domain)  # W, and x * W', as columns; x^N is one on the domain
    for i, coefficient in enumerate([*coefficients, 1]):
        both[2 * (i % domain)] = (both[2 * (i % domain)] + coefficient) % MODULUS
        both[2 * (i % domain) + 1] = (both[2 * (i % domain) + 1] + i * coefficient) % MODULUS
    everywhere = field.to_ints(field.transform(field.from_ints(both, (domain, 2))))
    among = set(roots)
    return [everywhere[2 * e + (e in among)] * layout.at(-e * (padding + (e in among))) % MODULUS for e in wanted]
