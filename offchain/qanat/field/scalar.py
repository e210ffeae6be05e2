"""The scalar field over addresses: four 64-bit words, R = 2^256, as :mod:`qanat.field.emit` says.

A product of a number in Montgomery form (times R) and a plain one is plain, so data stays plain and only its factors
are in Montgomery form.
"""

from __future__ import annotations

from qanat.field import MODULUS
from qanat.field.emit import Arithmetic

WORDS = 4

_ARITHMETIC = Arithmetic("scalar", MODULUS, WORDS)

product = _ARITHMETIC.operation("product")
total = _ARITHMETIC.operation("sum")
difference = _ARITHMETIC.operation("difference")
multiples = _ARITHMETIC.operation("multiples")
add_multiples = _ARITHMETIC.operation("add_multiples")
sums_and_differences = _ARITHMETIC.operation("sums_and_differences")
butterflies_in_time = _ARITHMETIC.operation("butterflies_in_time")
butterflies_in_frequency = _ARITHMETIC.operation("butterflies_in_frequency")
accumulate = _ARITHMETIC.operation("accumulate")
