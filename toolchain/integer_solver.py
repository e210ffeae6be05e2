"""Decides what Halmos asks by integer arithmetic instead of bits: `halmos --solver-command "python toolchain/integer_solver.py"`.

Products of 104-bit numbers are out of reach of bit-blasting, which is all that Halmos' own solvers do with them (an 8-bit version of the
simplest proof here ran out of a minute). As statements about integers they take milliseconds. So each query, QF_AUFBV in SMT-LIB, is
translated: every bit vector becomes the integer in [0, 2^w) that it stands for, with its bounds computed beside it; sums and products that
can't leave that range become plain ones, the others are reduced by a multiple of 2^w that is a variable of its own; quotients are what
division with remainder says. Whatever isn't understood (arrays, shifts by variables) becomes an unknown of its type, and each assertion
that it is in says less. So the translation admits every solution of the original: `unsat` of it is `unsat` of the original. Nothing else is concluded:
the answer is `unsat` or `unknown`, never `sat`. Trusted: this file, and Z3's integer arithmetic.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import z3

#: Milliseconds for one query.
LIMIT_MS = 60_000

#: What Halmos leaves open at first, and what its own refinement (`halmos.solve.refine`) puts there.
_BINARY = r" \(\(_ BitVec \2\) \(_ BitVec \2\)\) \(_ BitVec \2\)\)"
_DEFINED = r"(define-fun f_evm_\1_\2 ((x (_ BitVec \2)) (y (_ BitVec \2))) (_ BitVec \2) "
ABSTRACTIONS = (
    (re.compile(r"\(declare-fun f_evm_(bvmul)_([0-9]+)" + _BINARY), _DEFINED + r"(\1 x y))"),
    (
        re.compile(r"\(declare-fun f_evm_(bvudiv|bvurem)_([0-9]+)" + _BINARY),
        _DEFINED + r"(ite (= y (_ bv0 \2)) (_ bv0 \2) (\1 x y)))",
    ),
)

#: An integer term and bounds of it.
Bounded = tuple[z3.ArithRef, int, int]


class Translation:
    """Integer terms for bit vectors, each with bounds, and what else is known of the variables made on the way."""

    def __init__(self) -> None:
        self.facts: list[z3.BoolRef] = []
        #: Upper bounds that assertions give to terms, by the term's id.
        self.limits: dict[int, int] = {}
        self._ints: dict[int, Bounded] = {}
        self._bools: dict[int, z3.BoolRef] = {}
        self._products: dict[tuple[int, int], z3.ArithRef] = {}
        self._splits: dict[tuple[int, int], tuple[Bounded, Bounded]] = {}
        self._kept: list[z3.AstRef] = []  # ids of terms are free again once nobody holds them

    def boolean(self, term: z3.BoolRef) -> z3.BoolRef:
        """Return an integer statement that holds wherever `term` does and fails wherever it fails (or an unknown)."""
        found = self._bools.get(term.get_id())
        if found is None:
            found = self._boolean(term)
            self._bools[term.get_id()] = found
            self._kept.append(term)
        return found

    def _boolean(self, term: z3.BoolRef) -> z3.BoolRef:
        kind, parts = term.decl().kind(), term.children()
        if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
            return term
        if kind == z3.Z3_OP_AND:
            return z3.And([self.boolean(part) for part in parts])
        if kind == z3.Z3_OP_OR:
            return z3.Or([self.boolean(part) for part in parts])
        if kind == z3.Z3_OP_NOT:
            return z3.Not(self.boolean(parts[0]))
        if kind == z3.Z3_OP_IMPLIES:
            return z3.Implies(self.boolean(parts[0]), self.boolean(parts[1]))
        if kind == z3.Z3_OP_XOR:
            return z3.Xor(self.boolean(parts[0]), self.boolean(parts[1]))
        if kind == z3.Z3_OP_ITE:
            return z3.If(*[self.boolean(part) for part in parts])
        if kind in (z3.Z3_OP_EQ, z3.Z3_OP_DISTINCT) and len(parts) == 2:
            if z3.is_bv(parts[0]):
                (a, a_low, a_high), (b, b_low, b_high) = self.integer(parts[0]), self.integer(parts[1])
                equal = z3.BoolVal(False) if a_high < b_low or b_high < a_low else a == b
                return equal if kind == z3.Z3_OP_EQ else z3.Not(equal)
            if z3.is_bool(parts[0]):
                equal = self.boolean(parts[0]) == self.boolean(parts[1])
                return equal if kind == z3.Z3_OP_EQ else z3.Not(equal)
        if kind in (z3.Z3_OP_UGEQ, z3.Z3_OP_UGT):
            parts = parts[::-1]
        if kind in (z3.Z3_OP_ULEQ, z3.Z3_OP_UGEQ):
            return self.integer(parts[0])[0] <= self.integer(parts[1])[0]
        if kind in (z3.Z3_OP_ULT, z3.Z3_OP_UGT):
            return self.integer(parts[0])[0] < self.integer(parts[1])[0]
        return z3.FreshBool("unknown")

    def integer(self, term: z3.BitVecRef) -> Bounded:
        """Return the integer that a bit vector stands for, and bounds of it, both reached at most."""
        found = self._ints.get(term.get_id())
        if found is None:
            value, low, high = self._integer(term)
            limit = self.limits.get(term.get_id(), high)
            if limit < high:
                self.facts.append(value <= limit)
            found = value, low, min(high, limit)
            self._ints[term.get_id()] = found
            self._kept.append(term)
        return found

    def _integer(self, term: z3.BitVecRef) -> Bounded:
        if z3.is_bv_value(term):
            value = term.as_long()
            return z3.IntVal(value), value, value
        kind, parts, width = term.decl().kind(), term.children(), term.size()
        if kind == z3.Z3_OP_BADD:
            return self._sum([(1, part) for part in parts], width)
        if kind == z3.Z3_OP_BSUB:
            return self._sum([(1, parts[0]), *[(-1, part) for part in parts[1:]]], width)
        if kind == z3.Z3_OP_BNEG:
            return self._sum([(-1, parts[0])], width)
        if kind == z3.Z3_OP_BXOR and len(parts) == 2:
            return self._chosen(parts, width)
        if kind == z3.Z3_OP_BNOT:
            value, low, high = self.integer(parts[0])
            top = (1 << width) - 1
            return z3.simplify(top - value), top - high, top - low
        if kind == z3.Z3_OP_BMUL:
            return self._product(parts, width)
        if kind in (z3.Z3_OP_BUDIV, z3.Z3_OP_BUDIV_I):
            quotient, _ = self._divided(*[self.integer(part) for part in parts], width=width)
            return quotient
        if kind in (z3.Z3_OP_BUREM, z3.Z3_OP_BUREM_I):
            _, rest = self._divided(*[self.integer(part) for part in parts], width=width)
            return rest
        if kind == z3.Z3_OP_CONCAT:
            value, low, high = self.integer(parts[0])
            for part in parts[1:]:
                more, more_low, more_high = self.integer(part)
                scale = 1 << part.size()
                value = value * scale + more if high else more
                low, high = low * scale + more_low, high * scale + more_high
            return value, low, high
        if kind == z3.Z3_OP_ZERO_EXT:
            return self.integer(parts[0])
        if kind == z3.Z3_OP_EXTRACT:
            upper, lower = term.params()
            return self._extract(parts[0], upper, lower)
        if kind == z3.Z3_OP_ITE:
            condition = z3.simplify(self.boolean(parts[0]))
            if z3.is_true(condition) or z3.is_false(condition):
                return self.integer(parts[1] if z3.is_true(condition) else parts[2])
            (a, a_low, a_high), (b, b_low, b_high) = self.integer(parts[1]), self.integer(parts[2])
            return z3.If(condition, a, b), min(a_low, b_low), max(a_high, b_high)
        if kind == z3.Z3_OP_BSHL and z3.is_bv_value(parts[1]):
            shift = min(parts[1].as_long(), width)
            return self._sum([(1 << shift, parts[0])], width)
        if kind == z3.Z3_OP_BLSHR and z3.is_bv_value(parts[1]):
            shift = min(parts[1].as_long(), width)
            return self._extract(parts[0], width - 1, shift) if shift < width else (z3.IntVal(0), 0, 0)
        return self._unknown(0, (1 << width) - 1)

    def _unknown(self, low: int, high: int) -> Bounded:
        value = z3.FreshInt("x")
        self.facts += [value >= low, value <= high]
        return value, low, high

    def _reduced(self, value: z3.ArithRef, low: int, high: int, width: int) -> Bounded:
        """Return `value` modulo 2^width."""
        modulus = 1 << width
        least, most = low // modulus, high // modulus
        if least == most:
            return value - least * modulus if least else value, low - least * modulus, high - least * modulus
        return self._split(value, least, most, modulus)[1]

    def _split(self, value: z3.ArithRef, least: int, most: int, modulus: int) -> tuple[Bounded, Bounded]:
        """Return quotient, which lies between `least` and `most`, and remainder."""
        key = (value.get_id(), modulus)
        found = self._splits.get(key)
        if found is None:
            found = self._unknown(least, most), self._unknown(0, modulus - 1)
            self.facts.append(value == found[0][0] * modulus + found[1][0])
            self._splits[key] = found
            self._kept.append(value)
        return found

    def _sum(self, summands: list[tuple[int, z3.BitVecRef]], width: int) -> Bounded:
        """Return the sum of multiples. Halmos writes a - b as a + (2^w - 1)·b, which is read as what it means."""
        value: z3.ArithRef = z3.IntVal(0)
        low = high = 0
        for factor, term in summands:
            factor, term = _multiple(factor, term)
            number, least, most = self.integer(term)
            if z3.is_int_value(number) and least >= 1 << (width - 1):  # a negative constant
                least = most = least - (1 << width)
                number = z3.IntVal(least)
            value = value + factor * number if factor != 1 else value + number
            low += min(factor * least, factor * most)
            high += max(factor * least, factor * most)
        return self._reduced(z3.simplify(value), low, high, width)

    def _product(self, parts: list[z3.BitVecRef], width: int) -> Bounded:
        factor, rest = _constant_and_rest(parts)
        if not rest:
            return z3.IntVal(factor % (1 << width)), factor % (1 << width), factor % (1 << width)
        value, low, high = self.integer(rest[0])
        for part in rest[1:]:
            other, other_low, other_high = self.integer(part)
            value, low, high = self._reduced(value * other, low * other_low, high * other_high, width)
        if factor == 1:
            return value, low, high
        bounds = sorted((factor * low, factor * high))
        return self._reduced(factor * value, bounds[0], bounds[1], width)

    def _chosen(self, parts: list[z3.BitVecRef], width: int) -> Bounded:
        """Return b ^ ((a ^ b)·c) as what it means where c is 0 or 1: OpenZeppelin's `Math.ternary`, so `min` and `max`."""
        for b, product in (parts, parts[::-1]):
            # of the low bits of a product with 0 or 1 as much holds as of the product
            cut = product.decl().kind() == z3.Z3_OP_EXTRACT and product.params()[1] == 0
            whole = product.arg(0) if cut else product
            if whole.decl().kind() != z3.Z3_OP_BMUL or whole.num_args() != 2:
                continue
            for either, choice in (whole.children(), whole.children()[::-1]):
                if self.integer(choice)[2] > 1:
                    continue
                if cut:
                    b, either = z3.simplify(b), z3.simplify(z3.Extract(width - 1, 0, either))
                a = _exclusive_or(b, either)
                if a is not None:
                    (x, x_low, x_high), (y, y_low, y_high) = self.integer(a), self.integer(b)
                    chosen = z3.If(self.integer(choice)[0] == 1, x, y)
                    return chosen, min(x_low, y_low), max(x_high, y_high)
        return self._unknown(0, (1 << width) - 1)

    def _divided(self, a: Bounded, b: Bounded, width: int) -> tuple[Bounded, Bounded]:
        """Return quotient and remainder as SMT-LIB has them: by zero, all ones and the dividend."""
        if b[1] > a[2]:
            return (z3.IntVal(0), 0, 0), a
        key = (a[0].get_id(), b[0].get_id())
        found = self._products.get(key)
        top = (1 << width) - 1
        if found is None:
            quotient = self._unknown(0, a[2] // b[1] if b[1] else top)[0]
            self._kept += [a[0], b[0]]
            self._products[key] = found = quotient
            product = quotient * b[0]
            exact = z3.And(product <= a[0], a[0] < product + b[0])
            self.facts.append(exact if b[1] else z3.If(b[0] == 0, quotient == top, exact))
        rest = self._unknown(0, min(a[2], b[2] - 1) if b[1] else a[2])[0]
        exact = rest == a[0] - found * b[0]
        self.facts.append(exact if b[1] else z3.If(b[0] == 0, rest == a[0], exact))
        return (found, 0, a[2] // b[1] if b[1] else top), (rest, 0, a[2])

    def _extract(self, term: z3.BitVecRef, upper: int, lower: int) -> Bounded:
        value, low, high = self.integer(term)
        if lower:
            scale = 1 << lower
            if high < scale:
                return z3.IntVal(0), 0, 0
            value, low, high = self._split(value, low // scale, high // scale, scale)[0]
        return self._reduced(value, low, high, upper - lower + 1)


def _constant_and_rest(parts: list[z3.BitVecRef]) -> tuple[int, list[z3.BitVecRef]]:
    """Return the constant part of a product, as a signed number, and the other factors."""
    factor, rest = 1, []
    for part in parts:
        if z3.is_bv_value(part):
            value = part.as_long()
            factor *= value - (1 << part.size()) if value >= 1 << (part.size() - 1) else value
        else:
            rest.append(part)
    return factor, rest


def _multiple(factor: int, term: z3.BitVecRef) -> tuple[int, z3.BitVecRef]:
    """Take a constant out of a product: (f, c·t) is (f·c, t)."""
    if z3.is_app(term) and term.decl().kind() == z3.Z3_OP_BMUL:
        constant, rest = _constant_and_rest(term.children())
        if len(rest) == 1:
            return factor * constant, rest[0]
    return factor, term


def limits_of(assertions: list[z3.BoolRef]) -> list[tuple[z3.BitVecRef, int]]:
    """Return terms with upper bounds that assertions of a few forms give them.

    x = 0…0 ‖ x[top:0]: so Halmos declares arguments; x[w-1:low] = 0: so compilers check sums; x ≤ constant, not constant ≤ x.
    """
    found = []
    for item in assertions:
        negated = z3.is_not(item)
        statement = item.arg(0) if negated else item
        kind = statement.decl().kind()
        if kind == z3.Z3_OP_EQ and not negated and z3.is_bv(statement.arg(0)):
            for term, other in (statement.children(), statement.children()[::-1]):
                if other.decl().kind() == z3.Z3_OP_CONCAT and other.num_args() == 2:
                    zeros, low = other.children()
                    if _is_zero(zeros) and low.decl().kind() == z3.Z3_OP_EXTRACT and low.arg(0).eq(term):
                        found += [(term, (1 << low.size()) - 1)] if low.params()[1] == 0 else []
                if _is_zero(other) and term.decl().kind() == z3.Z3_OP_EXTRACT:
                    upper, lower = term.params()
                    found += [(term.arg(0), (1 << lower) - 1)] if upper == term.arg(0).size() - 1 else []
        if kind == z3.Z3_OP_ULEQ:
            small, large = statement.children()
            if not negated and z3.is_bv_value(large):
                found.append((small, large.as_long()))
            if negated and z3.is_bv_value(small) and small.as_long():
                found.append((large, small.as_long() - 1))
    return found


def _exclusive_or(a: z3.BitVecRef, b: z3.BitVecRef) -> z3.BitVecRef | None:
    """Return a ^ b where it is plain: 0 ^ x, x ^ (x ^ y), also within both branches of a choice; else None."""
    if _is_zero(a) or _is_zero(b):
        return b if _is_zero(a) else a
    if b.decl().kind() == z3.Z3_OP_ITE:
        condition, then, other = b.children()
        same = a.decl().kind() == z3.Z3_OP_ITE and a.arg(0).eq(condition)
        results = _exclusive_or(a.arg(1) if same else a, then), _exclusive_or(a.arg(2) if same else a, other)
        return None if results[0] is None or results[1] is None else z3.If(condition, *results)
    if b.decl().kind() == z3.Z3_OP_BXOR and b.num_args() == 2:
        for x, y in (b.children(), b.children()[::-1]):
            if x.eq(a):
                return y
    return z3.BitVecVal(0, a.size()) if a.eq(b) else None


def _is_zero(term: z3.ExprRef) -> bool:
    return z3.is_bv_value(term) and term.as_long() == 0


def decide(text: str) -> str:
    """Return `unsat` if the query has no solution, `unknown` if that wasn't found."""
    for pattern, meaning in ABSTRACTIONS:
        text = pattern.sub(meaning, text)
    assertions = list(z3.parse_smt2_string(text))
    translation = Translation()
    for term, limit in limits_of(assertions):
        translation.limits[term.get_id()] = min(limit, translation.limits.get(term.get_id(), limit))
    statements = [translation.boolean(item) for item in assertions]
    solver = z3.Solver()
    solver.set("timeout", LIMIT_MS)
    solver.add(*translation.facts, *statements)
    if "--show" in sys.argv:
        print(solver.sexpr())
    return "unsat" if solver.check() == z3.unsat else "unknown"


def main() -> int:
    """Decide the query in the file named."""
    print(decide(Path(sys.argv[1]).read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
