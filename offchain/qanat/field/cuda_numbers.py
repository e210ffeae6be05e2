"""Numbers of both fields on a CUDA device: short limbs in 32-bit words, and room instead of carries.

A number is a tuple of n limbs of b bits, least significant first, each in a word of 32 bits; the last limb takes what
is above. R = 2^(n b). An operation is a list of steps on words of 32 and 64 bits, made for one modulus m. The steps are
written twice: as PTX, one block of assembly, and as Python, which runs under the simulator of ``numba.cuda``
(``NUMBA_ENABLE_CUDASIM=1``) on integers without a width: so no step may overflow its word.

**Product**, Montgomery's: for each limb of the right factor, add its n partial products to n sums of 64 bits, then the
multiple q*m that makes the lowest sum zero modulo 2^b, and drop that. Nothing is carried meanwhile but from the lowest
sum to the next. *Bounds.* A sum takes at most n partial products of each kind, and one carry: with limbs of both
factors below 2^b it stays below 2n*2^2b + 2^(64-b) < 2^64, as 2n*2^2b is 2^62.2 for the scalar field (n = 9, b = 29)
and 2^60.9 for the base field (n = 14, b = 28). For factors below A*m and B*m the result is below (A*B*m/R + 1)*m: below
2m while A*B < R/m, 70 for the scalar field and 2,520 for the base field.

**Sums and differences** are carried at once, limb by limb with a signed carry of 32 bits, so that limbs are short
again: what is subtracted is made up for by a multiple of m. ``tests/unit/test_gpu.py`` gives each operation the worst
that it may take.
"""

# What is compiled has no types of Python's.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN202, ARG001, S102

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cuda
from numba.core import config
from numpy.typing import NDArray

SIMULATED = bool(config.ENABLE_CUDASIM)
"""Everything runs on Python's integers."""

u32 = int if SIMULATED else np.uint32
u64 = int if SIMULATED else np.uint64

Step = tuple[str, ...]
"""Name, result, operands: names of words, or numbers."""

_PTX = {
    "wide": "mul.wide.u32 {0}, {1}, {2};",
    "mad": "mad.wide.u32 {0}, {1}, {2}, {3};",
    "low": "cvt.u32.u64 {0}, {1};",
    "mul": "mul.lo.u32 {0}, {1}, {2};",
    "and": "and.b32 {0}, {1}, {2};",
    "shift": "shr.u64 {0}, {1}, {2};",
    "add": "add.u64 {0}, {1}, {2};",
    "plus": "add.s32 {0}, {1}, {2};",
    "times": "mad.lo.s32 {0}, {1}, {2}, {3};",
    "minus": "sub.s32 {0}, {1}, {2};",
    "down": "shr.s32 {0}, {1}, {2};",
    "if": "selp.b32 {0}, {1}, {2}, {3};",
    "negative": "setp.lt.s32 {0}, {1}, 0;",
}
_PYTHON = {
    "wide": "{0} = {1} * {2}",
    "mad": "{0} = {1} * {2} + {3}",
    "low": "{0} = {1} & 0xFFFFFFFF",
    "mul": "{0} = {1} * {2} & 0xFFFFFFFF",
    "and": "{0} = {1} & {2}",
    "shift": "{0} = {1} >> {2}",
    "add": "{0} = {1} + {2}",
    "plus": "{0} = {1} + {2}",
    "times": "{0} = {1} * {2} + {3}",
    "minus": "{0} = {1} - {2}",
    "down": "{0} = {1} >> {2}",
    "if": "{0} = {1} if {3} else {2}",
    "negative": "{0} = {1} < 0",
}
_LONG = ("wide", "mad", "shift", "add")
"""Steps whose result has 64 bits."""


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function callable in kernels."""
    return function if SIMULATED else cuda.jit(device=True)(function)


class Numbers:
    """Operations on numbers modulo m, as device functions of tuples of limbs."""

    def __init__(self, modulus: int, limbs: int, bits: int) -> None:
        self.modulus, self.limbs, self.bits = modulus, limbs, bits
        self.radix = 1 << (limbs * bits)
        self.product = self.operation(2, self._product())
        self.reduced = self.operation(1, self._reduced())

    def limbs_of(self, value: int) -> list[int]:
        """Return a number's limbs."""
        mask = (1 << self.bits) - 1
        parts = [value >> (self.bits * i) & mask for i in range(self.limbs - 1)]
        return [*parts, value >> (self.bits * (self.limbs - 1))]

    def factors(self, values: Sequence[int]) -> NDArray[np.uint32]:
        """Return values times R, as products want one of their factors, shape (count, limbs)."""
        lines = [self.limbs_of(value * self.radix % self.modulus) for value in values]
        return np.array(lines, dtype=np.uint32).reshape(len(lines), self.limbs)

    def constant(self, value: int) -> tuple[Any, ...]:
        """Return a number for use in device code."""
        return tuple(u32(limb) for limb in self.limbs_of(value))

    def sum_of(self, terms: Sequence[int], multiple: int) -> Callable[..., Any]:
        """Return the function of a, b, c that is terms[0]*a + terms[1]*b + ... + multiple*m, never negative."""
        steps: list[Step] = []
        for i, limb in enumerate(self.limbs_of(multiple * self.modulus)):
            steps.append(("plus", "s0", f"s{i}_", str(limb)) if i else ("plus", "s0", "zero", str(limb)))
            for at, term in enumerate(terms):
                steps.append(("times", f"s{at + 1}", f"{'abc'[at]}{i}", str(term), f"s{at}"))
            steps += self._carry(i, f"s{len(terms)}", f"s{i + 1}_")
        return self.operation(len(terms), steps)

    def _carry(self, limb: int, value: str, carry: str) -> list[Step]:
        if limb == self.limbs - 1:
            return [("plus", f"r{limb}", value, "0")]
        return [("and", f"r{limb}", value, str((1 << self.bits) - 1)), ("down", carry, value, str(self.bits))]

    def _product(self) -> list[Step]:
        n, mask = self.limbs, (1 << self.bits) - 1
        moduli = self.limbs_of(self.modulus)
        inverse = -pow(self.modulus, -1, 1 << self.bits) % (1 << self.bits)
        steps: list[Step] = []
        for j in range(n):
            for i in range(n):
                if j == 0 or i == n - 1:
                    steps.append(("wide", f"t{i}", f"a{i}", f"b{j}"))
                else:
                    steps.append(("mad", f"t{i}", f"a{i}", f"b{j}", f"t{i}"))
            steps += [("low", "q", "t0"), ("mul", "q", "q", str(inverse)), ("and", "q", "q", str(mask))]
            steps += [("mad", "c", "q", str(moduli[0]), "t0"), ("shift", "c", "c", str(self.bits))]
            steps += [("mad", f"t{i - 1}", "q", str(moduli[i]), f"t{i}") for i in range(1, n)]
            steps.append(("add", "t0", "t0", "c"))
        for i in range(n - 1):
            steps += [("low", f"r{i}", f"t{i}"), ("and", f"r{i}", f"r{i}", str(mask))]
            steps.append(("shift", "c", f"t{i}", str(self.bits)))
            steps.append(("add", f"t{i + 1}", f"t{i + 1}", "c") if i < n - 2 else ("low", f"r{n - 1}", "c"))
        return steps

    def _reduced(self) -> list[Step]:
        """Subtract m once if that leaves something."""
        steps: list[Step] = []
        for i, limb in enumerate(self.limbs_of(self.modulus)):
            steps += [("minus", f"s{i}", f"a{i}", str(limb)), ("plus", f"s{i}", f"s{i}", f"s{i}_" if i else "zero")]
            if i < self.limbs - 1:
                steps.append(("down", f"s{i + 1}_", f"s{i}", str(self.bits)))
                steps.append(("and", f"s{i}", f"s{i}", str((1 << self.bits) - 1)))
        steps.append(("negative", "p", f"s{self.limbs - 1}"))
        return [*steps, *(("if", f"r{i}", f"a{i}", f"s{i}", "p") for i in range(self.limbs))]

    def operation(self, count: int, steps: Sequence[Step]) -> Callable[..., Any]:
        """Return the device function of so many numbers that does the steps, from a0, a1 ..., b0 ... to r0, r1 ..."""
        inputs = [f"{name}{i}" for name in "abc"[:count] for i in range(self.limbs)]
        return _in_python(count, self.limbs, steps) if SIMULATED else _in_ptx(inputs, count, self.limbs, steps)


def _in_python(count: int, limbs: int, steps: Sequence[Step]) -> Callable[..., Any]:
    names = "abc"[:count]
    lines = [f"def operation({', '.join(names)}):", "    zero = 0"]
    lines += [f"    {', '.join(f'{name}{i}' for i in range(limbs))} = {name}" for name in names]
    lines += ["    " + _PYTHON[step[0]].format(*step[1:]) for step in steps]
    lines.append(f"    return ({', '.join(f'r{i}' for i in range(limbs))})")
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)
    return scope["operation"]


def _in_ptx(inputs: list[str], count: int, limbs: int, steps: Sequence[Step]) -> Callable[..., Any]:
    from numba.core import cgutils, types

    try:
        from numba.cuda.extending import intrinsic
    except ImportError:  # the target that comes with Numba
        from numba.core.extending import intrinsic

    places = {f"r{i}": f"${i}" for i in range(limbs)}
    places |= {name: f"${limbs + i}" for i, name in enumerate(inputs)}
    kinds = {step[1]: "u64" if step[0] in _LONG else "pred" if step[0] == "negative" else "u32" for step in steps}
    named = {"zero": "u32", **{name: kind for name, kind in kinds.items() if name not in places}}
    lines = ["{", *(f".reg .{kind} {name};" for name, kind in named.items()), "mov.u32 zero, 0;"]
    lines += [_PTX[step[0]].format(*(places.get(part, part) for part in step[1:])) for step in steps]
    text = "\n".join([*lines, "}"])
    constraints = ",".join(["=&r"] * limbs + ["r"] * len(inputs))
    number = types.UniTuple(types.uint32, limbs)
    word = ir.IntType(32)

    def code(context, builder, signature, arguments):
        words = [part for argument in arguments for part in cgutils.unpack_tuple(builder, argument, limbs)]
        kind = ir.FunctionType(ir.LiteralStructType([word] * limbs), [word] * len(words))
        found = builder.call(ir.InlineAsm(kind, text, constraints, side_effect=False), words)
        return context.make_tuple(builder, number, [builder.extract_value(found, i) for i in range(limbs)])

    # an intrinsic's number of parameters is that of the function, so one for each
    if count == 1:

        @intrinsic
        def one(_typing, a):
            return number(number), code

        return one
    if count == 2:

        @intrinsic
        def two(_typing, a, b):
            return number(number, number), code

        return two

    @intrinsic
    def three(_typing, a, b, c):
        return number(number, number, number), code

    return three
