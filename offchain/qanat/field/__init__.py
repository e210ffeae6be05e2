"""The scalar field of BLS12-381: two kernels, clear and fast, behind one Protocol.

Arithmetic on single elements is plain Python (`int`, mod :data:`MODULUS`); arrays of elements go through a
:class:`~qanat.field.protocol.FieldKernel`. Take one with :func:`kernel`; nothing heavy is imported before that.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from qanat.errors import BadParameters
from qanat.field.protocol import FieldKernel

__all__ = [
    "DATA_LIMIT",
    "ELEMENT_BYTES",
    "GENERATOR",
    "MODULUS",
    "PAYLOAD_BYTES",
    "FieldKernel",
    "batch_inverse",
    "inverse",
    "kernel",
    "root_of_unity",
]

MODULUS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""r, the order of BLS12-381's groups (EIP-4844: BLS_MODULUS)."""

GENERATOR = 7
"""A generator of the multiplicative group, the one from which EIP-4844 takes its roots of unity."""

TWO_ADICITY = 32
"""r - 1 is divisible by 2^32 and no higher power."""

ELEMENT_BYTES = 32
"""Bytes of an element, big-endian."""

PAYLOAD_BYTES = 31
"""Bytes that a data element carries: the most that always stay below the modulus."""

DATA_LIMIT = 1 << (8 * PAYLOAD_BYTES)
"""Data elements are below this."""


@cache
def root_of_unity(order: int) -> int:
    """Return 7^((r-1)/order), a primitive root of unity.

    :param order: a power of two, at most 2^32; anything else raises :class:`BadParameters`.
    """
    if order < 1 or order & (order - 1) or order > 1 << TWO_ADICITY:
        raise BadParameters(f"There is no root of unity of order {order}: it must be a power of two up to 2^32.")
    return pow(GENERATOR, (MODULUS - 1) // order, MODULUS)


def inverse(value: int) -> int:
    """Return 1/value mod r; zero raises :class:`BadParameters`."""
    if value % MODULUS == 0:
        raise BadParameters("Zero has no inverse.")
    return pow(value, -1, MODULUS)


def batch_inverse(values: list[int]) -> list[int]:
    """Return the inverses of all values with one inversion (Montgomery's trick).

    A zero raises :class:`BadParameters`.
    """
    prefix = [1]
    for value in values:
        prefix.append(prefix[-1] * value % MODULUS)
    running = inverse(prefix[-1])
    result = [0] * len(values)
    for position in range(len(values) - 1, -1, -1):
        result[position] = prefix[position] * running % MODULUS
        running = running * values[position] % MODULUS
    return result


@cache
def kernel(name: str = "fast") -> FieldKernel[Any]:
    """Return the kernel called ``fast`` (Numba), ``gpu`` (CUDA) or ``reference``; the same object every time."""
    if name == "reference":
        from qanat.field.reference import ReferenceField

        return ReferenceField()
    if name == "fast":
        from qanat.field.fast import FastField

        return FastField()
    if name == "gpu":
        from qanat.field.gpu import GpuField

        return GpuField()
    raise BadParameters(f"There is no field kernel called {name!r}.", hint="Use 'fast', 'gpu' or 'reference'.")
