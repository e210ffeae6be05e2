"""Modular arithmetic emitted as LLVM: functions over addresses, for a modulus of any number of 64-bit words.

A number is ``count`` words of 64 bits, least significant first, canonical: below the modulus p, whose top bit (at
least) is clear, so 2p < R = 2^(64 count). The product is Montgomery's, a*b/R mod p, by words (CIOS): after each word of
b the running sum is at most (2p - 1) + carry of a word, which count + 1 words hold; at the end it is below 2p, and one
conditional subtraction makes it canonical.

Each operation is one function that is not inlined (a loop of twenty products compiles in a second, not in a minute),
and takes addresses: whoever calls keeps the arrays alive. Some work on a run of numbers that lie one after the other.
Two ways of emitting the product, the same words out:

- ``i128``: LLVM's 64x64 -> 128-bit products, for every processor;
- ``mulx``: the same products as x86-64 assembly with two carry chains (MULX, ADCX, ADOX), half as slow again without,
  since LLVM knows only one carry flag. Taken where the target that Numba compiles for has BMI2 and ADX.
"""

# Numba's and llvmlite's objects are untyped; this module speaks to their code generators only.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201, ANN202, ARG001

from __future__ import annotations

from contextlib import contextmanager

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WORD = 64
_MASK = (1 << WORD) - 1
_I1, _I64, _I128 = ir.IntType(1), ir.IntType(64), ir.IntType(128)
_POINTER = _I64.as_pointer()
_MULX_WORDS = 6
"""More words than these do not fit the registers."""

# Numba sets up LLVM's assembler for what it prints itself, not for assembly that is read.
llvm.initialize_native_asmparser()


def words_of(value: int, count: int) -> list[int]:
    """Return a number's words, least significant first."""
    return [(value >> (WORD * i)) & _MASK for i in range(count)]


def has_two_carry_chains(triple: str, features: str) -> bool:
    """Say whether a target has MULX, ADCX and ADOX."""
    return triple.startswith("x86_64") and {"+bmi2", "+adx"} <= set(features.split(","))


class Arithmetic:
    """The functions of one modulus, added to a module where they are first called.

    :param name: begins the functions' names.
    :param modulus: odd, below 2^(64 count - 1).
    :param extra: R is 2^(64 count + extra); below 64.
    """

    def __init__(self, name: str, modulus: int, count: int, extra: int = 0) -> None:
        self.name, self.modulus, self.count, self.extra = name, modulus, count, extra
        self.bits = WORD * count
        self.montgomery = (1 << (self.bits + extra)) % modulus
        """R mod p: the one of Montgomery form."""
        self.square = self.montgomery * self.montgomery % modulus
        """R^2 mod p: a product with it brings a number into Montgomery form."""
        self._words = words_of(modulus, count)
        self._negative_inverse = -pow(modulus, -1, 1 << WORD) & _MASK
        self._mulx = False
        self._index = None

    # ---- functions ---------------------------------------------------------------------------------------------------

    def function(self, module, operation: str, *, mulx: bool):
        """Return the function called ``operation``, all pointers to words; the first is where the result goes."""
        name = f"qanat_{self.name}_{operation}"
        function = module.globals.get(name)
        if function is None:
            emit, arity, counted = {
                "product": (self._product, 3, False),
                "sum": (self._sum, 3, False),
                "difference": (self._difference, 3, False),
                "opposite": (self._opposite, 2, True),
                "multiples": (self._multiples, 3, True),
                "add_multiples": (self._add_multiples, 3, True),
                "sums_and_differences": (self._sums_and_differences, 2, True),
                "double_sums": (self._double_sums, 5, True),
                "double_butterflies": (self._double_butterflies, 7, True),
                "copies": (self._copies, 2, True),
                "accumulate": (self._accumulate, 4, True),
                "reduce": (self._reduce, 3, True),
            }[operation]
            arguments = [_POINTER] * arity + ([_I64] if counted else [])
            function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name=name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            function.attributes.add("nounwind")
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            self._mulx = mulx and self.count <= _MULX_WORDS
            emit(builder, *function.args)
            builder.ret_void()
        return function

    def _product(self, builder, out, left, right) -> None:
        """Write left*right/R mod p; out may be either."""
        (self._product_mulx if self._mulx else self._product_i128)(builder, out, left, right)
        if self.extra:
            self._divide(builder, out)

    def _divide(self, builder, out) -> None:
        """Divide a number below p by 2^extra: t <- (t + q*p)/2^extra, below p + p/2^extra, made canonical."""
        total = self._load(builder, out)
        q = builder.mul(total[0], ir.Constant(_I64, self._negative_inverse))
        q = builder.zext(builder.and_(q, ir.Constant(_I64, (1 << self.extra) - 1)), _I128)
        carry = ir.Constant(_I128, 0)
        for i in range(self.count):
            step = builder.mul(q, ir.Constant(_I128, self._words[i]))
            step = builder.add(builder.add(step, builder.zext(total[i], _I128)), carry)
            total[i] = builder.trunc(step, _I64)
            carry = builder.lshr(step, ir.Constant(_I128, WORD))
        whole = self._join(builder, [*total, builder.trunc(carry, _I64)])
        whole = builder.lshr(whole, ir.Constant(whole.type, self.extra))
        self._store(builder, self._reduced(builder, builder.trunc(whole, ir.IntType(self.bits))), out)

    def _product_i128(self, builder, out, left, right) -> None:
        high = ir.Constant(_I128, WORD)
        wide = [builder.zext(word, _I128) for word in self._load(builder, left)]
        modulus = [ir.Constant(_I128, word) for word in self._words]
        total = [ir.Constant(_I64, 0)] * self.count
        for word in self._load(builder, right):
            factor = builder.zext(word, _I128)
            # t + a*b_i, carried in `a_carry`; + m*p, carried in `m_carry`, shifted down by one word
            step = builder.add(builder.mul(wide[0], factor), builder.zext(total[0], _I128))
            low = builder.trunc(step, _I64)
            a_carry = builder.lshr(step, high)
            m = builder.zext(builder.mul(low, ir.Constant(_I64, self._negative_inverse)), _I128)
            m_carry = builder.lshr(builder.add(builder.mul(m, modulus[0]), builder.zext(low, _I128)), high)
            following = []
            for j in range(1, self.count):
                step = builder.add(builder.mul(wide[j], factor), builder.zext(total[j], _I128))
                step = builder.add(step, a_carry)
                a_carry = builder.lshr(step, high)
                step = builder.add(builder.mul(m, modulus[j]), builder.zext(builder.trunc(step, _I64), _I128))
                step = builder.add(step, m_carry)
                m_carry = builder.lshr(step, high)
                following.append(builder.trunc(step, _I64))
            following.append(builder.trunc(builder.add(a_carry, m_carry), _I64))
            total = following
        self._store(builder, self._reduced(builder, self._join(builder, total)), out)

    def _product_mulx(self, builder, out, left, right) -> None:
        constants = self._constants(builder.module)
        lines = ["movq %rdi, %xmm0"]  # out; the register is needed
        total = ["r8", "r9", "r10", "r11", "r12", "r13", "r14"][: self.count + 1]
        for i in range(self.count):
            lines += [f"movq {8 * i}(%rcx), %rdx", "xorl %eax, %eax"]  # the word of b; zero, and both carries clear
            if i == 0:
                lines.append(f"mulxq 0(%rsi), %{total[0]}, %{total[1]}")
                for j in range(1, self.count):
                    lines += [f"mulxq {8 * j}(%rsi), %r15, %{total[j + 1]}", f"adcxq %r15, %{total[j]}"]
            else:
                lines += self._row("rsi", total)
            lines.append(f"adcxq %rax, %{total[-1]}")
            lines += [f"movq {8 * self.count}(%rbx), %rdx", f"imulq %{total[0]}, %rdx", "xorl %eax, %eax"]
            lines += self._row("rbx", total)
            lines.append(f"adcxq %rax, %{total[-1]}")
            total = total[1:] + total[:1]  # the lowest word is zero now: the next row's highest
        reduced = ["r15", "rax", "rdx", "rsi", "rcx", total[-1]][: self.count]
        lines += [f"movq %{total[j]}, %{reduced[j]}" for j in range(self.count)]
        lines += [f"{'sbbq' if j else 'subq'} {8 * j}(%rbx), %{reduced[j]}" for j in range(self.count)]
        lines += [f"cmovcq %{total[j]}, %{reduced[j]}" for j in range(self.count)]
        lines.append("movq %xmm0, %rdi")
        lines += [f"movq %{reduced[j]}, {8 * j}(%rdi)" for j in range(self.count)]
        changed = ["rax", "rdx", *(f"r{i}" for i in range(8, 16)), "xmm0", "memory", "flags"]
        kind = ir.FunctionType(ir.LiteralStructType([_POINTER] * 4), [_POINTER] * 4)
        constraints = ",".join(["={rdi},={rsi},={rcx},={rbx},0,1,2,3", *(f"~{{{name}}}" for name in changed)])
        assembly = ir.InlineAsm(kind, "\n\t".join(lines), constraints, side_effect=True)
        builder.call(assembly, [out, left, right, constants])

    def _row(self, factors: str, total: list[str]) -> list[str]:
        """Return lines that add rdx times the words at a register; low halves on one carry chain, high on the other."""
        lines = []
        for j in range(self.count):
            lines += [f"mulxq {8 * j}(%{factors}), %r15, %rdi", f"adcxq %r15, %{total[j]}"]
            lines.append(f"adoxq %rdi, %{total[j + 1]}")
        return lines

    def _constants(self, module):
        name = f"qanat_{self.name}_constants"
        constants = module.globals.get(name)
        if constants is None:
            kind = ir.ArrayType(_I64, self.count + 1)
            constants = ir.GlobalVariable(module, kind, name)
            constants.global_constant, constants.linkage = True, "internal"
            constants.initializer = ir.Constant(kind, [*self._words, self._negative_inverse])
        return constants.bitcast(_POINTER)

    def _sum(self, builder, out, left, right) -> None:
        total = builder.add(self._read(builder, left), self._read(builder, right))
        self._store(builder, self._reduced(builder, total), out)

    def _difference(self, builder, out, left, right) -> None:
        self._store(builder, self._subtract(builder, self._read(builder, left), self._read(builder, right)), out)

    def _opposite(self, builder, out, value, sign) -> None:
        """Write -value if the sign is 1, value if it is 0."""
        number = self._read(builder, value)
        opposite = self._subtract(builder, ir.Constant(number.type, 0), number)
        self._store(builder, builder.select(builder.trunc(sign, _I1), opposite, number), out)

    # ---- runs of numbers ---------------------------------------------------------------------------------------------

    def _multiples(self, builder, out, values, factor, count) -> None:
        """Write values[i] * factor."""
        with self._each(builder, count, out, values) as (to, value):
            self._product(builder, to, value, factor)

    def _add_multiples(self, builder, out, values, factor, count) -> None:
        """Add values[i] * factor to out[i]."""
        room = self._room(builder)
        with self._each(builder, count, out, values) as (to, value):
            self._product(builder, room, value, factor)
            self._sum(builder, to, to, room)

    def _sums_and_differences(self, builder, top, bottom, count) -> None:
        """Replace (a, b) by (a + b, a - b)."""
        with self._each(builder, count, top, bottom) as (a, b):
            self._pair(builder, a, b, b)

    def _double_sums(self, builder, first, second, third, fourth, factor, count) -> None:
        """Do two layers on (a, b, c, d): sums and differences, but those of b and d after d is times the factor."""
        room = self._room(builder)
        with self._each(builder, count, first, second, third, fourth) as (a, b, c, d):
            self._pair(builder, a, b, b)
            self._pair(builder, c, d, d)
            self._pair(builder, a, c, c)
            self._product(builder, room, d, factor)
            self._pair(builder, b, room, d)

    def _double_butterflies(self, builder, first, second, third, fourth, inner, outer, last, count) -> None:
        """Do two layers on (a, b, c, d): butterflies of (a, b) and (c, d) by inner, (a, c) by outer, (b, d) by last."""
        room = self._room(builder)
        with self._each(builder, count, first, second, third, fourth) as (a, b, c, d):
            for left, right, factor in ((a, b, inner), (c, d, inner), (a, c, outer), (b, d, last)):
                self._product(builder, room, right, factor)
                self._pair(builder, left, room, right)

    def _pair(self, builder, top, value, bottom) -> None:
        """Write top + value to top, and top - value to bottom."""
        left, right = self._read(builder, top), self._read(builder, value)
        self._store(builder, self._reduced(builder, builder.add(left, right)), top)
        self._store(builder, self._subtract(builder, left, right), bottom)

    def _copies(self, builder, out, values, count) -> None:
        """Write values[i]."""
        with self._each(builder, count, out, values) as (to, value):
            for i, word in enumerate(self._load(builder, value)):
                builder.store(word, builder.gep(to, [ir.Constant(_I64, i)]))

    def _accumulate(self, builder, totals, values, factor, flag, count) -> None:
        """Add values[i] * factor to totals[i], unreduced; set the flag (a word) if a value is not below p.

        A value is big-endian bytes wherever they lie, a factor two words, a total three words more than a value: the
        sum of 2^64 such products fits, whatever the values.
        """
        factors = [builder.load(builder.gep(factor, [ir.Constant(_I64, j)])) for j in range(2)]
        length = self.count + 3
        with self._each(builder, count, values) as (value,):
            words = self._big_endian(builder, value)
            wide = builder.zext(self._join(builder, words), ir.IntType(self.bits + WORD))
            below = builder.icmp_unsigned("<", wide, ir.Constant(wide.type, self.modulus))
            excess = builder.zext(builder.not_(below), _I64)
            builder.store(builder.or_(builder.load(flag), excess), flag)
            total = builder.gep(totals, [builder.mul(self._index, ir.Constant(_I64, length))])
            sums = [builder.load(builder.gep(total, [ir.Constant(_I64, i)])) for i in range(length)]
            for j in range(2):
                carry = ir.Constant(_I64, 0)
                for i in range(self.count):
                    step = builder.mul(builder.zext(words[i], _I128), builder.zext(factors[j], _I128))
                    step = builder.add(step, builder.zext(sums[i + j], _I128))
                    step = builder.add(step, builder.zext(carry, _I128))
                    sums[i + j] = builder.trunc(step, _I64)
                    carry = builder.trunc(builder.lshr(step, ir.Constant(_I128, WORD)), _I64)
                for i in range(self.count + j, length):
                    sums[i] = builder.add(sums[i], carry)
                    carry = builder.zext(builder.icmp_unsigned("<", sums[i], carry), _I64)
            for i in range(length):
                builder.store(sums[i], builder.gep(total, [ir.Constant(_I64, i)]))

    def _reduce(self, builder, out, totals, factors, count) -> None:
        """Write l*factor_0/R + h*factor_1/R for totals l + h*R, as ``accumulate`` makes them.

        In a product the left number is below p; the right one may be any words, as the bounds do not depend on it.
        """
        low, high = self._room(builder), self._room(builder)
        second = builder.gep(factors, [ir.Constant(_I64, self.count)])
        with self._each(builder, count, out) as (to,):
            total = builder.gep(totals, [builder.mul(self._index, ir.Constant(_I64, self.count + 3))])
            for i in range(self.count):
                at = builder.gep(total, [ir.Constant(_I64, self.count + i)])
                word = builder.load(at) if i < 3 else ir.Constant(_I64, 0)
                builder.store(word, builder.gep(high, [ir.Constant(_I64, i)]))
            self._product(builder, low, factors, total)
            self._product(builder, high, second, high)
            self._sum(builder, to, low, high)

    def _big_endian(self, builder, pointer):
        """Return the words of a number that lies anywhere, most significant byte first."""
        swap = builder.module.declare_intrinsic("llvm.bswap", [_I64])
        at = [builder.gep(pointer, [ir.Constant(_I64, self.count - 1 - i)]) for i in range(self.count)]
        return [builder.call(swap, [builder.load(place, align=1)]) for place in at]

    def _room(self, builder):
        return builder.bitcast(builder.alloca(ir.ArrayType(_I64, self.count)), _POINTER)

    @contextmanager
    def _each(self, builder, count, *runs):
        """Emit a loop over at least one number of each run."""
        before = builder.block
        loop = builder.append_basic_block("each")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        index = builder.phi(_I64)
        index.add_incoming(ir.Constant(_I64, 0), before)
        self._index = index
        yield tuple(builder.gep(run, [builder.mul(index, ir.Constant(_I64, self.count))]) for run in runs)
        following = builder.add(index, ir.Constant(_I64, 1))
        index.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_unsigned("<", following, count), loop, after)
        builder.position_at_end(after)

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _load(self, builder, pointer):
        return [builder.load(builder.gep(pointer, [ir.Constant(_I64, i)])) for i in range(self.count)]

    def _join(self, builder, words):
        kind = ir.IntType(WORD * len(words))
        value = builder.zext(words[0], kind)
        for i in range(1, len(words)):
            value = builder.or_(value, builder.shl(builder.zext(words[i], kind), ir.Constant(kind, WORD * i)))
        return value

    def _read(self, builder, pointer):
        return self._join(builder, self._load(builder, pointer))

    def _store(self, builder, value, pointer) -> None:
        for i in range(self.count):
            word = builder.trunc(builder.lshr(value, ir.Constant(value.type, WORD * i)), _I64)
            builder.store(word, builder.gep(pointer, [ir.Constant(_I64, i)]))

    def _reduced(self, builder, value):
        """Subtract p once from a number below 2p, if it is not below p."""
        kind = ir.IntType(self.bits + WORD)
        less = builder.sub(builder.zext(value, kind), ir.Constant(kind, self.modulus))
        return self._back(builder, less)

    def _subtract(self, builder, left, right):
        kind = ir.IntType(self.bits + WORD)
        return self._back(builder, builder.sub(builder.zext(left, kind), builder.zext(right, kind)))

    def _back(self, builder, wide):
        """Add p once to a number in (-p, p) that is negative; one word wider than the result."""
        kind = ir.IntType(self.bits)
        sign = builder.trunc(builder.ashr(wide, ir.Constant(wide.type, self.bits + WORD - 1)), kind)
        return builder.add(builder.trunc(wide, kind), builder.and_(sign, ir.Constant(kind, self.modulus)))

    # ---- what compiled loops call ------------------------------------------------------------------------------------

    def operation(self, name: str, count: int | None = None):
        """Return the intrinsic that calls a function: it takes one tuple of addresses (and the sign or count, if any).

        With a count, it is called for runs of so many numbers.
        """
        arithmetic = self

        @intrinsic
        def call(typingctx, addresses):
            def emit(context, builder, signature, arguments):
                triple, _, features = context.codegen().magic_tuple()
                function = arithmetic.function(builder.module, name, mulx=has_two_carry_chains(triple, features))
                values = cgutils.unpack_tuple(builder, arguments[0])
                values += [] if count is None else [ir.Constant(_I64, count)]
                pointers = [
                    value if isinstance(kind, ir.IntType) else builder.inttoptr(value, kind)
                    for value, kind in zip(values, function.function_type.args, strict=True)
                ]
                builder.call(function, pointers)
                return context.get_dummy_value()

            return types.void(addresses), emit

        return call


def product_assembly(arithmetic: Arithmetic, triple: str) -> str:
    """Return the assembly of the product of another target (``aarch64-unknown-linux-gnu``), by ``i128``."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module(name=arithmetic.name)
    module.triple = triple
    function = arithmetic.function(module, "product", mulx=False)
    function.linkage = "external"
    target = llvm.Target.from_triple(triple).create_target_machine(opt=3)
    return str(target.emit_assembly(llvm.parse_assembly(str(module))))


@intrinsic
def copy_words(typingctx, addresses, count):
    """Copy a constant number of words: ``copy_words((to, from), 12)``."""

    def emit(context, builder, signature, arguments):
        to, source = (builder.inttoptr(value, _POINTER) for value in cgutils.unpack_tuple(builder, arguments[0]))
        words = [builder.load(builder.gep(source, [ir.Constant(_I64, i)])) for i in range(count.literal_value)]
        for i, word in enumerate(words):
            builder.store(word, builder.gep(to, [ir.Constant(_I64, i)]))
        return context.get_dummy_value()

    if not isinstance(count, types.IntegerLiteral):
        return None
    return types.void(addresses, count), emit


@intrinsic
def all_zero(typingctx, address, count):
    """Say whether a constant number of words at an address are all zero."""

    def emit(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _POINTER)
        joined = builder.load(pointer)
        for i in range(1, count.literal_value):
            joined = builder.or_(joined, builder.load(builder.gep(pointer, [ir.Constant(_I64, i)])))
        return builder.icmp_unsigned("==", joined, ir.Constant(_I64, 0))

    if not isinstance(count, types.IntegerLiteral):
        return None
    return types.boolean(address, count), emit


@intrinsic
def all_equal(typingctx, addresses, count):
    """Say whether a constant number of words at two addresses are equal."""

    def emit(context, builder, signature, arguments):
        left, right = (builder.inttoptr(value, _POINTER) for value in cgutils.unpack_tuple(builder, arguments[0]))
        joined = ir.Constant(_I64, 0)
        for i in range(count.literal_value):
            at = [ir.Constant(_I64, i)]
            difference = builder.xor(builder.load(builder.gep(left, at)), builder.load(builder.gep(right, at)))
            joined = builder.or_(joined, difference)
        return builder.icmp_unsigned("==", joined, ir.Constant(_I64, 0))

    if not isinstance(count, types.IntegerLiteral):
        return None
    return types.boolean(addresses, count), emit


@intrinsic
def greater(typingctx, addresses, count):
    """Say whether the number of a constant number of words at the first address is greater than at the second."""

    def emit(context, builder, signature, arguments):
        whole = ir.IntType(WORD * count.literal_value)
        numbers = [
            builder.load(builder.inttoptr(value, whole.as_pointer()), align=8)
            for value in cgutils.unpack_tuple(builder, arguments[0])
        ]
        return builder.icmp_unsigned(">", *numbers)

    if not isinstance(count, types.IntegerLiteral):
        return None
    return types.boolean(addresses, count), emit


@intrinsic
def prefetch(typingctx, address):
    """Ask for the cache line of an address."""

    def emit(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(address), emit


@intrinsic
def swap_bytes(typingctx, word):
    """Return a 64-bit word with its bytes reversed."""

    def emit(context, builder, signature, arguments):
        kind = ir.FunctionType(_I64, [_I64])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.bswap.i64")
        return builder.call(function, [arguments[0]])

    return types.uint64(types.uint64), emit


@intrinsic
def trailing_zeros(typingctx, word):
    """Return how many of a 64-bit number's lowest bits are zero."""

    def emit(context, builder, signature, arguments):
        kind = ir.FunctionType(_I64, [_I64, _I1])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i64")
        return builder.call(function, [arguments[0], ir.Constant(_I1, 0)])

    return types.int64(types.int64), emit
