"""The dual check: anyone sees from the commitments alone that they are an encoding (docs/design, section 4.4).

C_0..C_(n-1) are an encoding iff the sum of q(x_i)/Z'(x_i) * C_i vanishes for every q of degree < n-k, where Z
vanishes on the used and the virtual points. One q with coefficients from the verifier's own randomness suffices,
error <= n/r.

Why: f of degree < K, zero on the virtual points, times q has degree at most K+n-k-2, two less than the number of
points, and then its residues f(x)q(x)/Z'(x) add up to zero; conversely those conditions are n-k independent ones.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from qanat.coding.locator import vanishing
from qanat.coding.points import points
from qanat.errors import BadParameters, DualCheckFailed
from qanat.field import MODULUS, batch_inverse, kernel


@lru_cache(maxsize=32)
def dual_weights(k: int, n: int) -> tuple[int, ...]:
    """Return 1/Z'(x_i) for the n used points.

    Z(x) = (x^N - 1)/U(x) with U over the unused points, so Z'(x_i) = N x_i^-1 / U(x_i).
    """
    layout = points(k, n)
    used = {*layout.exponents, *layout.virtual}
    unused = [exponent for exponent in range(layout.domain) if exponent not in used]
    values = vanishing(layout, unused, layout.exponents)
    share = pow(layout.domain, -1, MODULUS)
    return tuple(value * x * share % MODULUS for value, x in zip(values, layout.values, strict=True))


def dual_combination(k: int, n: int, coefficients: Sequence[int]) -> list[int]:
    """Return q(x_i)/Z'(x_i) for the n used points.

    :param coefficients: of q, lowest first, at most n-k.
    """
    layout = points(k, n)
    if len(coefficients) > n - k:
        raise BadParameters(f"q has {len(coefficients)} coefficients, at most n-k={n - k} are allowed.")
    weights = dual_weights(k, n)
    if layout.domain <= 64:
        values = [_horner(coefficients, x) for x in layout.values]
    else:
        field: Any = kernel()
        padded = [*coefficients, *([0] * (layout.domain - len(coefficients)))]
        everywhere = field.to_ints(field.transform(field.from_ints(padded, (layout.domain, 1))))
        values = [everywhere[exponent] for exponent in layout.exponents]
    return [value * weight % MODULUS for value, weight in zip(values, weights, strict=True)]


def random_scalar() -> int:
    """Return a scalar below 2^254 from the system's randomness."""
    return secrets.randbits(254)


def dual_check(
    commitments: Sequence[bytes],
    k: int,
    n: int,
    rng: Callable[[], int] = random_scalar,
    *,
    kernel_name: str = "fast",
) -> None:
    """Check that commitments are those of encoded matrices, or raise.

    :param commitments: 48 bytes each, n per matrix, matrix after matrix.
    :param rng: gives scalars that whoever made the commitments cannot foresee.

    A point that is malformed, off the curve or outside the subgroup raises ``InvalidPoint``; commitments that are no
    encoding raise ``DualCheckFailed``. Every matrix gets its own q, and all sums are checked as one: a second sum could
    only hide an error with probability 1/r.
    """
    from qanat.kzg.kernels import commitment_kernel

    matrices, rest = divmod(len(commitments), n)
    if rest or not matrices:
        raise BadParameters(f"{len(commitments)} commitments are no multiple of n={n}.")
    group = commitment_kernel(kernel_name)
    decoded = group.decompress_all(commitments)
    dual_check_points(decoded, k, n, rng, kernel_name=kernel_name)


def dual_check_points(
    decoded: Sequence[Any],
    k: int,
    n: int,
    rng: Callable[[], int] = random_scalar,
    *,
    kernel_name: str = "fast",
) -> None:
    """Do :func:`dual_check` on points that a kernel has already read (and so checked for their subgroup)."""
    from qanat.kzg.kernels import commitment_kernel

    group = commitment_kernel(kernel_name)
    scalars: list[int] = []
    for _ in range(len(decoded) // n):
        scalars += dual_combination(k, n, [rng() % MODULUS for _ in range(n - k)])
    total = group.combine(decoded, scalars)
    if group.to_raw(total) == group.to_raw(group.identity()):
        return
    for matrix in range(len(decoded) // n):  # name the matrix, with fresh randomness
        part = decoded[matrix * n : (matrix + 1) * n]
        sums = group.combine(part, dual_combination(k, n, [rng() % MODULUS for _ in range(n - k)]))
        if group.to_raw(sums) != group.to_raw(group.identity()):
            raise DualCheckFailed(
                f"The commitments of matrix {matrix} are no encoding of {k} data rows into {n}.",
                hint="The encoder is faulty or hostile: neither sign nor pay.",
                matrix=matrix,
                k=k,
                n=n,
            )
    raise DualCheckFailed("The commitments are no encoding.", k=k, n=n)


def _horner(coefficients: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % MODULUS
    return value


def reference_weights(k: int, n: int) -> list[int]:
    """Return 1/Z'(x_i) by the definition, the product over all other used and virtual points.

    What tests compare with.
    """
    layout = points(k, n)
    everything = layout.values + [layout.at(e) for e in layout.virtual]
    products = []
    for x in layout.values:
        value = 1
        for other in everything:
            if other != x:
                value = value * (x - other) % MODULUS
        products.append(value)
    return batch_inverse(products)
