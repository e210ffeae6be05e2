"""Modular arithmetic on eight numbers at once, emitted as LLVM: limbs of 52 bits in vectors of eight 64-bit lanes.

A row is eight numbers: limb i of all of them lies in one vector, 64 bytes at 64*i. Limbs are normal, in [0, 2^52): the
processor's 52-bit products (AVX-512 IFMA) read no more. Products are Montgomery's with R = 2^(52 limbs), limb by limb:
t <- t + a*b_i, q <- -t_0/p mod 2^52, t <- (t + q*p)/2^52. From a and b it gives a number below a*b/R + p.

*Bounds.* R is 35.2 times r, and 2^35 times the base field's p: numbers need not be reduced after every step. What each
operation takes and gives is written beside it, in multiples of the modulus. Within a product a column gets at most
four addends below 2^52 in each of at most eight steps, so 64 bits hold it. Differences have a multiple of p added that
is at least what is subtracted; limbs may be negative until they are carried, by arithmetic shifts.

The two 52-bit products come as the processor's own instructions, or (``native=False``) as 26-bit products of ordinary
vectors: slow, on any machine, and the rest of the code is the same.
"""

# Numba's and llvmlite's objects are untyped; this module speaks to their code generators only.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, ANN205, ARG001

from __future__ import annotations

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
LIMB = 52
ROW_LIMB = 8 * LANES
"""Bytes from one limb of a row to the next."""

_MASK = (1 << LIMB) - 1
_I1, _I8, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_POINTER = _I64.as_pointer()
_VECTOR = ir.VectorType(_I64, LANES)
_FEATURES = {"+avx512f", "+avx512bw", "+avx512dq", "+avx512vl", "+avx512ifma"}


def has_ifma(triple: str, features: str) -> bool:
    """Say whether a target has 52-bit products in vectors of 512 bits, and what goes with them."""
    return triple.startswith("x86_64") and set(features.split(",")) >= _FEATURES


def limbs_of(value: int, count: int) -> list[int]:
    """Return a number's limbs of 52 bits, least significant first."""
    return [(value >> (LIMB * i)) & _MASK for i in range(count)]


def splat(value: int):
    """Return a constant in all lanes."""
    return ir.Constant(_VECTOR, [ir.Constant(_I64, value)] * LANES)


class Lanes:
    """The functions of one modulus on rows of eight numbers, added to a module where they are first called.

    :param name: begins the functions' names.
    :param modulus: odd, at most 2^(52 limbs) / 35.
    :param limbs: of 52 bits, 5 or 8.
    :param words: of 64 bits, in which numbers lie in memory, canonical.
    :param native: emit the processor's 52-bit products.
    """

    def __init__(self, name: str, modulus: int, limbs: int, words: int, *, native: bool) -> None:
        self.name, self.modulus, self.limbs, self.words, self.native = name, modulus, limbs, words, native
        self.montgomery = (1 << (LIMB * limbs)) % modulus
        """R mod p: the one of Montgomery form."""
        self.row_bytes = ROW_LIMB * limbs
        self._negative_inverse = splat(-pow(modulus, -1, 1 << LIMB) & _MASK)

    def function(self, module, operation: str):
        """Return the function called ``operation``; all its arguments are pointers to 64-bit words."""
        name = f"qanat_{self.name}_{operation}"
        function = module.globals.get(name)
        if function is None:
            emit, arity = {
                "product": (self._product_rows, 3),
                "load": (self._load, 2),
                "store": (self._store, 2),
                "scale": (self._scale, 3),
                "add_scaled": (self._add_scaled, 3),
                "split": (self._split, 2),
                "split_twice": (self._split_twice, 5),
                "turn_twice": (self._turn_twice, 7),
                "accumulate": (self._accumulate, 4),
                "carry": (self._carry, 1),
                "reduce": (self._reduce, 3),
                "pairs_forward": (self._pairs_forward, 5),
                "pairs_backward": (self._pairs_backward, 6),
            }[operation]
            kind = ir.FunctionType(ir.VoidType(), [_POINTER] * arity)
            function = ir.Function(module, kind, name=name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            function.attributes.add("nounwind")
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            emit(builder, *function.args)
            builder.ret_void()
        return function

    def operation(self, name: str):
        """Return the intrinsic that calls a function: it takes one tuple of addresses."""
        lanes = self

        @intrinsic
        def call(typingctx, addresses):
            def emit(context, builder, signature, arguments):
                function = lanes.function(builder.module, name)
                values = cgutils.unpack_tuple(builder, arguments[0])
                if len(values) != len(function.args):
                    raise TypeError(f"{name} takes {len(function.args)} addresses, not {len(values)}.")
                builder.call(function, [builder.inttoptr(value, _POINTER) for value in values])
                return context.get_dummy_value()

            return types.void(addresses), emit

        return call

    # ---- rows of a block: any number of columns, eight at a time -----------------------------------------------------

    def _load(self, builder, row, elements) -> None:
        """Read eight numbers of 64-bit words that lie one after the other: below p."""
        self._write(builder, self._from_words(builder, self._columns(builder, elements)), row)

    def _store(self, builder, elements, row) -> None:
        """Write eight canonical numbers of 64-bit words; the row may hold up to 35p."""
        one = self._constant(self.montgomery)
        value = self._product(builder, self._read(builder, row), one)
        self._write_columns(builder, self._to_words(builder, self._canonical(builder, value, 2)), elements)

    def _scale(self, builder, out, row, factor) -> None:
        """Write row * factor, below 2p, from up to 35p; the factor is one number below p, times R, in limbs."""
        self._write(builder, self._product(builder, self._read(builder, row), self._broadcast(builder, factor)), out)

    def _add_scaled(self, builder, out, row, factor) -> None:
        """Add row * factor to out, both below 2p before and after; the row up to 35p."""
        value = self._product(builder, self._read(builder, row), self._broadcast(builder, factor))
        total = self._carried(builder, self._each(builder.add, self._read(builder, out), value))
        self._write(builder, self._less(builder, total, 2), out)

    def _split(self, builder, top, bottom) -> None:
        """Replace (a, b), below 2p, by (a + b, a - b + 2p), below 4p."""
        self._write_sums(builder, self._read(builder, top), self._read(builder, bottom), 2, top, bottom)

    def _split_twice(self, builder, first, second, third, fourth, factor) -> None:
        """Do two layers on (a, b, c, d), below 2p: split (a, b) and (c, d), then (a, c), then (b, d) with d * factor.

        The factor is a square root of -1, or its inverse. The first results reach 8p, of which 4p come from a + b.
        """
        a, b, c, d = (self._read(builder, row) for row in (first, second, third, fourth))
        difference, factors = self._difference(builder, c, d, 2), self._broadcast(builder, factor)
        turned = self._product(builder, difference, factors, carry=False)
        total, other = self._each(builder.add, a, b), self._each(builder.add, c, d)
        self._write_sums(builder, total, other, 4, first, third)
        self._write_sums(builder, self._plus(builder, self._each(builder.sub, a, b), 2), turned, 2, second, fourth)

    def _turn_twice(self, builder, first, second, third, fourth, inner, outer, last) -> None:
        """Do two layers on (a, b, c, d), below 2cp for a c <= 15: results are below 2(c+2)p.

        (a, b) and (c, d) become (a + b*inner, a - b*inner + 2p) and so on; then (a, c) with the factor ``outer``, and
        (b, d) with ``last``. What lies between the layers stays in registers, and only what is multiplied is carried.
        """
        factors = self._broadcast(builder, inner)
        a, c = self._read(builder, first), self._read(builder, third)
        b = self._product(builder, self._read(builder, second), factors, carry=False)
        d = self._product(builder, self._read(builder, fourth), factors, carry=False)
        total = self._carried(builder, self._each(builder.add, c, d))
        total = self._product(builder, total, self._broadcast(builder, outer), carry=False)
        other = self._difference(builder, c, d, 2)
        other = self._product(builder, other, self._broadcast(builder, last), carry=False)
        self._write_sums(builder, self._each(builder.add, a, b), total, 2, first, third)
        self._write_sums(builder, self._plus(builder, self._each(builder.sub, a, b), 2), other, 2, second, fourth)

    def _write_sums(self, builder, left, right, multiple: int, top, bottom) -> None:
        """Write left + right and left - right + multiple * p; the right one is at most that multiple."""
        self._write(builder, self._carried(builder, self._each(builder.add, left, right)), top)
        self._write(builder, self._difference(builder, left, right, multiple), bottom)

    # ---- sums of products, reduced once ------------------------------------------------------------------------------

    def _accumulate(self, builder, sums, elements, factor, flag) -> None:
        """Add elements * factor to sums, unreduced; set the flag (a word) if an element is not below p.

        Eight elements of big-endian bytes, one after the other, anywhere; the factor has three limbs, below 2^128; the
        sums have limbs + 3. A limb of them gets at most six addends below 2^52, so 512 times from normal limbs give
        less than (6 * 512 + 1) * 2^52 < 2^64.
        """
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        swap = cgutils.get_or_insert_function(builder.module, kind, "llvm.bswap.v8i64")
        words = [builder.call(swap, [word]) for word in reversed(self._columns(builder, elements))]
        value = self._from_words(builder, words)
        less = self._carried(builder, self._each(builder.sub, value, self._constant(self.modulus)))
        below = builder.icmp_signed("<", less[-1], splat(0))
        excess = builder.zext(builder.icmp_unsigned("!=", builder.bitcast(below, _I8), _I8(255)), _I64)
        builder.store(builder.or_(builder.load(flag), excess), flag)
        totals = self._read(builder, sums, self.limbs + 3)
        for j, part in enumerate(self._broadcast(builder, factor, 3)):
            for i in range(self.limbs):
                totals[i + j] = self._low(builder, totals[i + j], value[i], part)
                totals[i + j + 1] = self._high(builder, totals[i + j + 1], value[i], part)
        self._write(builder, totals, sums)

    def _carry(self, builder, sums) -> None:
        """Make the limbs of sums normal."""
        totals = self._read(builder, sums, self.limbs + 3)
        self._write(builder, self._carried(builder, totals, signed=False), sums)

    def _reduce(self, builder, row, sums, factors) -> None:
        """Write l*factor_0/R + h*factor_1/R, below 2p, for normal sums l + h*R; two factors below p, in limbs."""
        totals = self._read(builder, sums, self.limbs + 3)
        low, high = totals[: self.limbs], totals[self.limbs :] + [splat(0)] * (self.limbs - 3)
        second = builder.gep(factors, [ir.Constant(_I64, self.limbs)])
        left = self._product(builder, low, self._broadcast(builder, factors))
        right = self._product(builder, high, self._broadcast(builder, second))
        self._write(builder, self._less(builder, self._carried(builder, self._each(builder.add, left, right)), 2), row)

    # ---- affine additions of eight pairs of points -------------------------------------------------------------------

    def _pairs_forward(self, builder, sources, below, kinds, before, after) -> None:
        """Write the denominators of eight additions to ``below``, up to 2p, and before * below to ``after``.

        sources: eight addresses, of two points each, one after the other. kinds: four bytes, whose bits say for each
        pair whether the left point is the identity, the right one, whether they are opposite, whether equal. Where no
        division is needed, the denominator is one.
        """
        (x1, y1), (x2, y2) = self._points(builder, sources)
        left, right = self._vanishes(builder, y1), self._vanishes(builder, y2)
        neither = builder.not_(builder.or_(left, right))
        same_x = builder.and_(neither, self._vanishes(builder, self._each(builder.xor, x1, x2)))
        equal = builder.and_(same_x, self._vanishes(builder, self._each(builder.xor, y1, y2)))
        opposite = builder.and_(same_x, builder.not_(equal))
        for i, mask in enumerate((left, right, opposite, equal)):
            at = builder.gep(builder.bitcast(kinds, _I8.as_pointer()), [ir.Constant(_I64, i)])
            builder.store(builder.bitcast(mask, _I8), at)
        usual = self._difference(builder, self._from_words(builder, x2), self._from_words(builder, x1), 1)
        y = self._from_words(builder, y1)
        doubling = self._carried(builder, self._each(builder.add, y, y))
        trivial = builder.or_(builder.not_(neither), opposite)
        value = self._chosen(builder, equal, doubling, usual)
        value = self._chosen(builder, trivial, self._constant(self.montgomery), value)
        self._write(builder, value, below)
        builder.call(self.function(builder.module, "product"), [after, before, below])

    def _pairs_backward(self, builder, sources, targets, below, kinds, before, inverse) -> None:
        """Write the sums of eight pairs of points to their targets: see ``pairs_forward``, whose output it takes.

        inverse is that of before * below; it becomes the inverse of before.
        """
        product = self.function(builder.module, "product")
        slope, numerator, x, y = (self._room(builder) for _ in range(4))
        builder.call(product, [slope, inverse, before])
        builder.call(product, [inverse, inverse, below])
        (x1, y1), (x2, y2) = self._points(builder, sources)
        left, right, opposite, equal = (
            builder.bitcast(
                builder.load(builder.gep(builder.bitcast(kinds, _I8.as_pointer()), [ir.Constant(_I64, i)])),
                ir.VectorType(_I1, LANES),
            )
            for i in range(4)
        )
        first, second = self._from_words(builder, x1), self._from_words(builder, x2)
        ordinate = self._from_words(builder, y1)
        self._write(builder, self._difference(builder, self._from_words(builder, y2), ordinate, 1), numerator)
        with builder.if_then(builder.icmp_unsigned("!=", builder.bitcast(equal, _I8), _I8(0))):
            self._write(builder, first, x)
            builder.call(product, [y, x, x])
            square = self._read(builder, y)  # below 2p, so three times it is below 6p
            triple = self._each(builder.add, self._each(builder.add, square, square), square)
            triple = self._carried(builder, triple)
            self._write(builder, self._chosen(builder, equal, triple, self._read(builder, numerator)), numerator)
        builder.call(product, [slope, slope, numerator])
        builder.call(product, [x, slope, slope])
        value = self._each(builder.sub, self._each(builder.sub, self._read(builder, x), first), second)
        value = self._carried(builder, self._each(builder.add, value, self._constant(2 * self.modulus)))
        abscissa = self._canonical(builder, value, 4)
        self._write(builder, self._difference(builder, first, abscissa, 1), x)
        builder.call(product, [y, x, slope])
        value = self._difference(builder, self._read(builder, y), ordinate, 1)
        words = self._to_words(builder, abscissa)
        words += self._to_words(builder, self._canonical(builder, value, 4))
        words = [
            builder.select(left, theirs, builder.select(right, ours, builder.select(opposite, splat(0), word)))
            for word, ours, theirs in zip(words, x1 + y1, x2 + y2, strict=True)
        ]
        self._write_points(builder, words, targets)

    # ---- parts: a number is a list of vectors, one for each limb -----------------------------------------------------

    def _product_rows(self, builder, out, left, right) -> None:
        """Write left*right/R, below left*right/R + p."""
        self._write(builder, self._product(builder, self._read(builder, left), self._read(builder, right)), out)

    def _product(self, builder, left, right, *, carry: bool = True):
        """Return left*right/R; without carrying, its limbs are below 2^58, enough for what is carried after a sum."""
        modulus = self._constant(self.modulus)
        total = [splat(0)] * (self.limbs + 1)
        for factor in right:
            for j in range(self.limbs):
                total[j] = self._low(builder, total[j], left[j], factor)
            q = self._low(builder, splat(0), total[0], self._negative_inverse)
            for j in range(self.limbs):
                total[j] = self._low(builder, total[j], q, modulus[j])
            total[1] = builder.add(total[1], builder.lshr(total[0], splat(LIMB)))
            for j in range(self.limbs):
                total[j + 1] = self._high(builder, total[j + 1], left[j], factor)
                total[j + 1] = self._high(builder, total[j + 1], q, modulus[j])
            total = [*total[1:], splat(0)]
        return self._carried(builder, total[: self.limbs]) if carry else total[: self.limbs]

    def _low(self, builder, total, left, right):
        """Add the low half of the product of two limbs to a vector."""
        return builder.call(self._madd(builder.module, "l"), [total, left, right])

    def _high(self, builder, total, left, right):
        """Add the high half."""
        return builder.call(self._madd(builder.module, "h"), [total, left, right])

    def _madd(self, module, half: str):
        """Return total + the half of (left mod 2^52) * (right mod 2^52), as a function of vectors."""
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        if self.native:
            return cgutils.get_or_insert_function(module, kind, f"llvm.x86.avx512.vpmadd52{half}.uq.512")
        name = f"qanat_madd_{half}"
        function = module.globals.get(name)
        if function is None:
            function = ir.Function(module, kind, name=name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            bits, mask = splat(LIMB // 2), splat((1 << LIMB // 2) - 1)
            total, *numbers = function.args
            (a0, a1), (b0, b1) = ((builder.and_(x, mask), builder.and_(builder.lshr(x, bits), mask)) for x in numbers)
            middle = builder.add(builder.mul(a0, b1), builder.mul(a1, b0))
            low = builder.add(builder.mul(a0, b0), builder.shl(builder.and_(middle, mask), bits))
            high = builder.add(builder.mul(a1, b1), builder.lshr(middle, bits))
            high = builder.add(high, builder.lshr(low, splat(LIMB)))
            builder.ret(builder.add(total, builder.and_(low, splat(_MASK)) if half == "l" else high))
        return function

    def _constant(self, value: int):
        return [splat(limb) for limb in limbs_of(value, self.limbs)]

    @staticmethod
    def _each(operation, left, right):
        return [operation(a, b) for a, b in zip(left, right, strict=True)]

    def _carried(self, builder, value, *, signed: bool = True):
        """Return the same number with all limbs but the last normal; the last one is negative if the number is."""
        shift = builder.ashr if signed else builder.lshr
        result = []
        for i, limb in enumerate(value):
            limb = builder.add(limb, carry) if i else limb  # noqa: F821, PLW2901
            carry = shift(limb, splat(LIMB))  # noqa: F841
            result.append(builder.and_(limb, splat(_MASK)) if i < len(value) - 1 else limb)
        return result

    def _difference(self, builder, left, right, multiple: int):
        """Return left - right + multiple * p; right is at most that multiple."""
        return self._carried(builder, self._plus(builder, self._each(builder.sub, left, right), multiple))

    def _plus(self, builder, value, multiple: int):
        """Return a number plus a multiple of p, its limbs as they are."""
        return self._each(builder.add, value, self._constant(multiple * self.modulus))

    def _less(self, builder, value, multiple: int):
        """Subtract a multiple of p where the number is not below it."""
        less = self._carried(builder, self._each(builder.sub, value, self._constant(multiple * self.modulus)))
        return self._chosen(builder, builder.icmp_signed("<", less[-1], splat(0)), value, less)

    def _canonical(self, builder, value, bound: int):
        """Return a number below p from one below bound * p, a power of two."""
        while bound > 1:
            bound //= 2
            value = self._less(builder, value, bound)
        return value

    @staticmethod
    def _chosen(builder, mask, left, right):
        return [builder.select(mask, a, b) for a, b in zip(left, right, strict=True)]

    @staticmethod
    def _vanishes(builder, words):
        joined = words[0]
        for word in words[1:]:
            joined = builder.or_(joined, word)
        return builder.icmp_unsigned("==", joined, splat(0))

    def _from_words(self, builder, words):
        """Return limbs of 52 bits from words of 64."""
        limbs = []
        for i in range(self.limbs):
            at, shift = divmod(LIMB * i, 64)
            if at >= len(words):
                limbs.append(splat(0))
                continue
            limb = builder.lshr(words[at], splat(shift)) if shift else words[at]
            if shift > 64 - LIMB and at + 1 < len(words):
                limb = builder.or_(limb, builder.shl(words[at + 1], splat(64 - shift)))
            limbs.append(builder.and_(limb, splat(_MASK)))
        return limbs

    def _to_words(self, builder, limbs):
        """Return words of 64 bits from normal limbs."""
        words = []
        for j in range(self.words):
            word = splat(0)
            for i in range(self.limbs):
                shift = LIMB * i - 64 * j
                if -LIMB < shift < 64:
                    part = builder.shl(limbs[i], splat(shift)) if shift >= 0 else builder.lshr(limbs[i], splat(-shift))
                    word = builder.or_(word, part)
            words.append(word)
        return words

    # ---- memory ------------------------------------------------------------------------------------------------------

    def _room(self, builder):
        return builder.bitcast(builder.alloca(ir.ArrayType(_VECTOR, self.limbs)), _POINTER)

    @staticmethod
    def _vector_at(builder, pointer, word: int, length: int = LANES):
        at = builder.gep(pointer, [ir.Constant(_I64, word)])
        return builder.bitcast(at, ir.VectorType(_I64, length).as_pointer())

    def _read(self, builder, row, count: int | None = None):
        return [
            builder.load(self._vector_at(builder, row, LANES * i), align=8)
            for i in range(self.limbs if count is None else count)
        ]

    def _write(self, builder, value, row) -> None:
        for i, limb in enumerate(value):
            builder.store(limb, self._vector_at(builder, row, LANES * i), align=8)

    def _broadcast(self, builder, number, count: int | None = None):
        """Return one number's limbs, each in all lanes."""
        zeros = ir.Constant(ir.VectorType(_I32, LANES), [_I32(0)] * LANES)
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        result = []
        for i in range(self.limbs if count is None else count):
            limb = builder.load(builder.gep(number, [ir.Constant(_I64, i)]))
            single = builder.insert_element(undefined, limb, _I32(0))
            result.append(builder.shuffle_vector(single, undefined, zeros))
        return result

    @staticmethod
    def _shuffled(builder, left, right, order):
        mask = ir.Constant(ir.VectorType(_I32, len(order)), [_I32(i) for i in order])
        return builder.shuffle_vector(left, right, mask)

    def _transposed(self, builder, rows):
        """Return eight vectors whose lane i is row i, from eight rows: three steps that exchange halves."""
        for step in (1, 2, 4):
            low = [i + (LANES - step if i & step else 0) for i in range(LANES)]
            high = [i + step if not i & step else i + LANES for i in range(LANES)]
            following = list(rows)
            for i in range(LANES):
                if not i & step:
                    following[i] = self._shuffled(builder, rows[i], rows[i + step], low)
                    following[i + step] = self._shuffled(builder, rows[i], rows[i + step], high)
            rows = following
        return rows

    def _columns(self, builder, elements):
        """Return vectors of the words of eight numbers that lie one after the other, at any address."""
        undefined = ir.Constant(ir.VectorType(_I64, self.words), ir.Undefined)
        widened = [*range(self.words), *([0] * (LANES - self.words))]
        rows = []
        for i in range(LANES):
            number = builder.load(self._vector_at(builder, elements, self.words * i, self.words), align=1)
            rows.append(self._shuffled(builder, number, undefined, widened))
        return self._transposed(builder, rows)[: self.words]

    def _write_columns(self, builder, words, elements) -> None:
        rows = self._transposed(builder, words + [splat(0)] * (LANES - self.words))
        for i, row in enumerate(rows):
            part = self._shuffled(builder, row, row, range(self.words))
            builder.store(part, self._vector_at(builder, elements, self.words * i, self.words), align=8)

    def _points(self, builder, sources):
        """Return the words of the eight left points' x and y, and of the right ones'; twelve words make a point."""
        pairs = [
            builder.inttoptr(builder.load(builder.gep(sources, [ir.Constant(_I64, i)])), _POINTER) for i in range(LANES)
        ]
        undefined = ir.Constant(ir.VectorType(_I64, 4), ir.Undefined)
        points = []
        for side in range(2):
            head = [builder.load(self._vector_at(builder, pair, 12 * side), align=8) for pair in pairs]
            tail = [
                self._shuffled(
                    builder,
                    builder.load(self._vector_at(builder, pair, 12 * side + 8, 4), align=8),
                    undefined,
                    [0, 1, 2, 3, 0, 0, 0, 0],
                )
                for pair in pairs
            ]
            words = self._transposed(builder, head) + self._transposed(builder, tail)[:4]
            points.append((words[:6], words[6:]))
        return points

    def _write_points(self, builder, words, targets) -> None:
        head = self._transposed(builder, words[:8])
        tail = self._transposed(builder, words[8:] + [splat(0)] * 4)
        for i in range(LANES):
            target = builder.inttoptr(builder.load(builder.gep(targets, [ir.Constant(_I64, i)])), _POINTER)
            builder.store(head[i], self._vector_at(builder, target, 0), align=8)
            part = self._shuffled(builder, tail[i], tail[i], range(4))
            builder.store(part, self._vector_at(builder, target, 8, 4), align=8)


def assembly(lanes: Lanes, operation: str, processor: str) -> str:
    """Return what an operation becomes on an x86-64 processor that LLVM knows by name, such as ``icelake-server``."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module(name=lanes.name)
    module.triple = "x86_64-unknown-linux-gnu"
    lanes.function(module, operation).linkage = "external"
    target = llvm.Target.from_triple(module.triple).create_target_machine(cpu=processor, opt=3)
    return str(target.emit_assembly(llvm.parse_assembly(str(module))))
