"""The scalar field over addresses: four 64-bit words, R = 2^256, as :mod:`qanat.field.emit` says.

A product of a number in Montgomery form (times R) and a plain one is plain, so data stays plain and only its factors
are in Montgomery form.
"""

from __future__ import annotations

from qanat.field import MODULUS
from qanat.field.emit import Arithmetic

WORDS = 4

ARITHMETIC = Arithmetic("scalar", MODULUS, WORDS)

product = ARITHMETIC.operation("product")
total = ARITHMETIC.operation("sum")
difference = ARITHMETIC.operation("difference")
multiples = ARITHMETIC.operation("multiples")
add_multiples = ARITHMETIC.operation("add_multiples")
