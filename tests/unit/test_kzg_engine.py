"""The compiled engine: numbers of the base field, sums over fixed points, its table; ``ckzg`` and integers judge."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import ckzg
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qanat.errors import BadParameters, FileUnreadable, NonCanonicalElement
from qanat.field import MODULUS, base, emit, root_of_unity
from qanat.field.compiled import compiled
from qanat.field.fast import pack
from qanat.kzg import commitment_kernel, engine, msm, table
from qanat.kzg.basis import BITS, FixedBasis, batch_workspace, make_table, raw_of, windows_of
from qanat.kzg.points import COMPRESSED_IDENTITY, RAW_IDENTITY
from qanat.kzg.setup import BLOB_BYTES, BLOB_ELEMENTS, reverse_bits, trusted_setup_path

P = base.MODULUS
R = 1 << base.RADIX_BITS
EDGES = [0, 1, 2, P - 1, P - 2, (P + 1) // 2, (1 << 64) - 1, 1 << 64, (1 << 320) - 1, R % P, R * R % P, -R % P]


def number(value: int) -> Any:
    """Return a number as six words."""
    return np.array(emit.words_of(value, 6), dtype=np.uint64)


def value_of(words: Any) -> int:
    """Return what words say."""
    return int.from_bytes(words.astype("<u8").tobytes(), "little")


# ---- the base field --------------------------------------------------------------------------------------------------


@compiled
def calculate(left: Any, right: Any, out: Any) -> None:
    """Write product, sum, difference, the opposite of the left and its inverse."""
    a, b, to = left.ctypes.data, right.ctypes.data, out.ctypes.data
    base.product((to, a, b))
    base.total((to + 48, a, b))
    base.difference((to + 96, a, b))
    base.opposite((to + 144, a, 1))
    base.opposite((to + 192, a, 0))
    base.invert(to + 240, a)


@given(st.sampled_from(EDGES) | st.integers(0, P - 1), st.sampled_from(EDGES) | st.integers(0, P - 1))
@example(P - 1, P - 1)
@example(0, P - 1)
def test_base_field_arithmetic_is_that_of_integers_mod_p(a: int, b: int) -> None:
    """Montgomery product, sum, difference, opposite and inverse, all canonical, at the edges of words and modulus."""
    out = np.empty((6, 6), dtype=np.uint64)
    calculate(number(a), number(b), out)
    inverse_r = pow(R, -1, P)
    inverse = pow(a, -1, P) * R * R % P if a else 0
    assert [value_of(line) for line in out] == [a * b * inverse_r % P, (a + b) % P, (a - b) % P, -a % P, a, inverse]


def test_inverses_of_powers_of_two_and_their_opposites() -> None:
    """Where the division steps take long runs of zeros or of ones, and at 2,000 random numbers; zero stays zero."""
    draw = random.Random(5)
    values = [0, *((1 << i) % P for i in range(382)), *(-(1 << i) % P for i in range(382))]
    out = np.empty((6, 6), dtype=np.uint64)
    for value in values + [draw.randrange(P) for _ in range(2000)]:
        calculate(number(value), number(1), out)
        assert value_of(out[5]) * value % P == (R * R % P if value else 0), hex(value)


@pytest.mark.slow
def test_the_product_of_other_processors_gives_the_same_words() -> None:
    """Compiled without MULX and two carry chains, as for any processor: edges and random numbers."""
    code = """
import random, sys
import numpy as np
from numba import njit
from numba.core.registry import cpu_target
from qanat.field import base, emit
triple, name, features = cpu_target.target_context.codegen().magic_tuple()
assert name == "generic" and not emit.has_two_carry_chains(triple, features), (name, features)
@njit
def multiply(left, right, out):
    base.product((out.ctypes.data, left.ctypes.data, right.ctypes.data))
def number(value):
    return np.array(emit.words_of(value, 6), dtype=np.uint64)
draw, p, out = random.Random(4), base.MODULUS, number(0)
edges = [0, 1, p - 1, p - 2, (1 << 64) - 1, (1 << 320) - 1] + [draw.randrange(p) for _ in range(40)]
for a in edges:
    for b in edges:
        multiply(number(a), number(b), out)
        assert emit.words_of(a * b * pow(1 << 384, -1, p) % p, 6) == [int(word) for word in out], (a, b)
"""
    path = [part for part in (str(Path(base.__file__).parents[2]), os.environ.get("PYTHONPATH")) if part]
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "QANAT_KERNELS": "portable",
        "PYTHONPATH": os.pathsep.join(path),
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_product_compiles_for_another_architecture() -> None:
    """For aarch64 the same code gives its 64x64 -> 128-bit products: 36 for a*b, 36 for m*p."""
    assembly = emit.product_assembly(emit.Arithmetic("base", P, 6), "aarch64-unknown-linux-gnu")
    assert assembly.count("umulh") == 72
    assert not emit.has_two_carry_chains("aarch64-unknown-linux-gnu", "+neon,+adx,+bmi2")
    assert not emit.has_two_carry_chains("x86_64-unknown-linux-gnu", "+bmi2,+sse2")
    assert emit.has_two_carry_chains("x86_64-unknown-linux-gnu", "+adx,+sse2,+bmi2")


# ---- additions -------------------------------------------------------------------------------------------------------


@cache
def multiples() -> list[bytes]:
    """Return 0*G, 1*G ... 40*G, raw."""
    group = commitment_kernel()
    generator = group.decompress(engine.commit((1).to_bytes(32, "big") * BLOB_ELEMENTS))  # commits to 1: G itself
    return [group.to_raw(group.multiply(generator, i)) for i in range(41)]


def opposite(raw: bytes) -> bytes:
    """Return the opposite of a raw point."""
    if raw == RAW_IDENTITY:
        return raw
    return raw[:48] + (P - int.from_bytes(raw[48:], "big")).to_bytes(48, "big")


def point(value: int) -> bytes:
    """Return value*G for |value| <= 40, raw."""
    return multiples()[value] if value >= 0 else opposite(multiples()[-value])


def in_words(raws: list[bytes]) -> Any:
    """Return raw points in Montgomery form, (count, 12): the first layer of a table."""
    return make_table(raws)[: len(raws)].copy()


def to_raw(words: Any) -> bytes:
    """Return the raw bytes of a point in Montgomery form."""
    out = np.empty((2, 6), dtype=np.uint64)
    msm.scale(words.reshape(2, 6), number(1), out)
    return raw_of(out)


def test_pairs_of_every_kind_add_up_in_one_batch() -> None:
    """Plain, equal, opposite points and the identity on either side or both, mixed, more than a batch of them."""
    values = [(a, b) for a in range(-3, 4) for b in range(-3, 4)]
    sources = in_words([point(value) for pair in values for value in pair])
    repeats = msm.BATCH // len(values)
    pairs, work, kept = batch_workspace()
    addresses, targets = work[0], work[1]
    out = np.empty((repeats * len(values), 12), dtype=np.uint64)
    for i in range(len(out)):
        addresses[i] = sources.ctypes.data + 192 * (i % len(values))
        targets[i] = out.ctypes.data + 96 * i
    msm.add_pairs(len(out), *work)
    expected = [point(a + b) for a, b in values]
    assert [to_raw(line) for line in out] == expected * repeats
    assert pairs is not None
    assert kept


@given(st.lists(st.lists(st.integers(-4, 4), max_size=9), min_size=1, max_size=12))
@example([[1] * 16, [-1] * 3, [], [2, -2], [0], [0, 0, 0]])
@example([[1, -1] * 13, [0, 1, -1, 0, 2, -2, 1]])
def test_groups_add_up_whatever_meets_in_their_trees(groups: list[list[int]]) -> None:
    """Small multiples of one point, so that equal and opposite sums meet on every layer."""
    flat = [value for group in groups for value in group]
    words = in_words([point(value) for value in flat]) if flat else np.empty((1, 12), dtype=np.uint64)
    other = np.empty((len(flat) // 2 + len(groups) + 1, 12), dtype=np.uint64)
    sizes = np.array([len(group) for group in groups], dtype=np.int64)
    results = np.zeros((len(groups), 12), dtype=np.uint64)
    _, work, kept = batch_workspace()
    msm.sum_groups(words, other, np.cumsum(sizes) - sizes, sizes.copy(), results, work)
    assert [to_raw(line) for line in results] == [point(sum(group)) for group in groups]
    assert kept


# ---- sums over fixed points ------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    st.integers(0, 1 << 32),
    st.sampled_from([3, 5, 7, 13]),
)
@example([1] * 40, 0, 5)
@example([1, -1] * 20, 1, 3)
@example([0, 0, 0], 2, 5)
def test_any_basis_gives_the_sum_even_of_equal_and_opposite_points(values: list[int], seed: int, bits: int) -> None:
    """Points that repeat, oppose or vanish, under few distinct scalars, so that they meet in the same buckets."""
    draw = random.Random(seed)
    few = [0, 1, MODULUS - 1, 1 << (bits - 1), draw.randrange(MODULUS)]
    scalars = [draw.choice(few) for _ in values]
    count = len(values)
    fixed = FixedBasis(make_table([point(value) for value in values], bits), count, bits)
    with fixed.workspace() as space:
        got = fixed.combine(pack(scalars), space)
        again = fixed.combine(pack(scalars), space)
    group = commitment_kernel()
    factor = sum(value * scalar for value, scalar in zip(values, scalars, strict=True)) % MODULUS
    assert got == again == group.compress(group.multiply(group.from_raw(point(1)), factor))


def test_windows_have_an_odd_number_of_bits() -> None:
    """Others leave buckets that form no square, or digits that do not fit."""
    for bits in (1, 2, 4, 12, 17):
        fixed = FixedBasis(in_words([point(1)]), 1, bits)
        with pytest.raises(BadParameters), fixed.workspace():
            pass


@pytest.mark.parametrize("bits", [4, 13, 15])
def test_signed_digits_say_the_scalar(bits: int) -> None:
    """At carries through all windows, the largest scalar, digits on the border; each digit in its half-open range."""
    half = 1 << (bits - 1)
    windows = -(-256 // bits)
    scalars = [0, 1, half, half + 1, MODULUS - 1, (1 << 254) - 1, sum(half << (bits * j) for j in range(windows - 1))]
    scalars += [sum((half + 1) << (bits * j) for j in range(windows - 1)), sum(1 << (bits * j) for j in range(16))]
    scalars = [scalar % MODULUS for scalar in scalars]
    digits = np.empty((len(scalars), windows), dtype=np.int16)
    counts = np.empty(half, dtype=np.int64)
    msm.recode(pack(scalars), bits, windows, digits, counts)
    for scalar, line in zip(scalars, digits.tolist(), strict=True):
        assert sum(digit << (bits * j) for j, digit in enumerate(line)) == scalar
        assert all(-half < digit <= half for digit in line)
    magnitudes = np.abs(digits.astype(np.int64)).ravel()
    assert counts.tolist() == np.bincount(magnitudes, minlength=half + 1)[1:].tolist()


# ---- commitments and openings against ckzg ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge() -> Any:
    """Return ckzg's set-up."""
    return ckzg.load_trusted_setup(str(trusted_setup_path()), 0)


def elements(values: list[int]) -> bytes:
    """Return a whole blob, zeros at the end."""
    return b"".join(value.to_bytes(32, "big") for value in values).ljust(BLOB_BYTES, b"\0")


def blobs() -> dict[str, bytes]:
    """Return random blobs and such as an adversary would choose."""
    draw = random.Random(11)
    border = sum((1 << 12) << (13 * j) for j in range(19))  # every digit is the largest one
    carries = sum(((1 << 12) + 1) << (13 * j) for j in range(19))  # every digit carries
    return {
        "random": elements([draw.randrange(MODULUS) for _ in range(BLOB_ELEMENTS)]),
        "data": elements([draw.randrange(1 << 248) for _ in range(BLOB_ELEMENTS)]),
        "zero": bytes(BLOB_BYTES),
        "ones": elements([1] * BLOB_ELEMENTS),
        "largest": elements([MODULUS - 1] * BLOB_ELEMENTS),
        "first": elements([MODULUS - 1]),
        "last": elements([0] * (BLOB_ELEMENTS - 1) + [7]),
        "one digit": elements([sum(5 << (13 * j) for j in range(19))] * BLOB_ELEMENTS),
        "borders": elements([border] * BLOB_ELEMENTS),
        "carries": elements([carries] * BLOB_ELEMENTS),
        "opposite digits": elements([5, MODULUS - 5] * (BLOB_ELEMENTS // 2)),
        "two buckets": elements([draw.choice([1, MODULUS - 1]) for _ in range(BLOB_ELEMENTS)]),
        "top window": elements([0x73 << 248] * BLOB_ELEMENTS),
        "24 in a bucket": elements([9] * 24),
        **{
            f"width {width}": elements([draw.randrange(MODULUS) for _ in range(width)])
            for width in (64, 128, 512, 2048)
        },
    }


@pytest.mark.parametrize("name", blobs())
def test_commitments_are_those_of_ckzg(judge: Any, name: str) -> None:
    """Byte for byte, on random blobs, narrow ones, and those that put many points into one bucket."""
    blob = blobs()[name]
    assert engine.commit(blob) == ckzg.blob_to_kzg_commitment(blob, judge)


def test_openings_are_those_of_ckzg(judge: Any) -> None:
    """Proof and value, outside the domain, at its first, second, last and other roots, at zero and r-1."""
    root = root_of_unity(BLOB_ELEMENTS)
    inside = [
        1,
        MODULUS - 1,
        pow(root, reverse_bits(BLOB_ELEMENTS - 1, BLOB_ELEMENTS), MODULUS),
        pow(root, 77, MODULUS),
    ]
    cases = [("random", z) for z in (0, 5, MODULUS - 2, *inside)]
    cases += [("largest", inside[0]), ("zero", inside[1]), ("zero", 9), ("first", 1), ("width 64", inside[2])]
    for name, z in cases:
        blob, at = blobs()[name], z.to_bytes(32, "big")
        proof, value = ckzg.compute_kzg_proof(blob, at, judge)
        assert engine.open_at(blob, at) == (bytes(proof), bytes(value)), (name, z)


def test_the_engine_names_the_element_that_is_not_canonical() -> None:
    """r itself, r with one more bit, and all ones, first and last; r-1 passes."""
    for bad in (MODULUS, MODULUS + (1 << 64), MODULUS + (1 << 192), (1 << 256) - 1):
        for position in (0, BLOB_ELEMENTS - 1):
            blob = bytearray(BLOB_BYTES)
            blob[32 * position : 32 * position + 32] = bad.to_bytes(32, "big")
            for call in (engine.commit, lambda data: engine.open_at(data, bytes(32))):
                with pytest.raises(NonCanonicalElement) as caught:
                    call(bytes(blob))
                assert caught.value.data["position"] == position


def test_threads_that_commit_at_the_same_time_do_not_meet() -> None:
    """Two threads, different blobs, one basis: every commitment is as if made alone."""
    chosen = [blobs()[name] for name in ("random", "data", "two buckets", "zero")]
    alone = [engine.commit(blob) for blob in chosen]
    wrong: list[int] = []

    def work(order: list[int]) -> None:
        wrong.extend(i for i in order if engine.commit(chosen[i]) != alone[i])

    threads = [threading.Thread(target=work, args=([i, 3 - i, i],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(set(alone)) == 4
    assert alone[3] == COMPRESSED_IDENTITY


# ---- the table -------------------------------------------------------------------------------------------------------


def test_a_damaged_table_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flipped bit, a cut file, none, a folder in its place: all are refused, and the next one written is whole."""
    monkeypatch.setenv("QANAT_CACHE", str(tmp_path / "new"))
    path = table.cache_folder() / table.table_name(1)
    assert table.load_table(path) is None
    good = table.setup_basis()._table
    table.save_table(path, good)
    assert [file.name for file in path.parent.iterdir()] == [table.table_name(1)]
    loaded = table.load_table(path)
    assert loaded is not None
    assert np.array_equal(loaded, good)
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for bad in (bytes(flipped), data[:-96], b"", data + b"\0"):
        path.write_bytes(bad)
        assert table.load_table(path) is None
    monkeypatch.setattr(table, "build_table", lambda _: good)  # what it computes is another test's
    table._setup_basis.cache_clear()
    assert table.setup_basis() is table.setup_basis()
    assert path.read_bytes() == data
    path.unlink()
    path.mkdir()
    assert table.load_table(path) is None
    table.save_table(path, good)  # nothing can be written there, which costs only time
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", table.TABLE_HASHES)
def test_a_smaller_table_gives_the_same_commitments(judge: Any, step: int) -> None:
    """Every step-th window of the whole table, whose hash is the one that is written down; widths and edges."""
    whole = table.setup_basis()._table.reshape(windows_of(BITS), -1)
    part = np.ascontiguousarray(whole[::step]).reshape(-1, 12)
    assert hashlib.sha256(table._stored(part)).hexdigest() == table.TABLE_HASHES[step]
    assert part.nbytes == table.table_bytes(step)
    small = FixedBasis(part, BLOB_ELEMENTS, step=step)
    chosen = blobs()
    with small.workspace() as space:
        for name in ("width 64", "largest", "zero", "last", "opposite digits") if step < 20 else ("width 64", "zero"):
            numbers = pack([int.from_bytes(chosen[name][at : at + 32], "big") for at in range(0, BLOB_BYTES, 32)])
            assert small.combine(numbers, space) == ckzg.blob_to_kzg_commitment(chosen[name], judge), name


def test_a_table_of_few_windows_is_what_the_whole_one_holds() -> None:
    """Computed for itself, window after window."""
    raws = [point(value) for value in (1, 2, -3, 0)]
    whole = make_table(raws).reshape(windows_of(BITS), -1)
    for step in (2, 20):
        assert np.array_equal(make_table(raws, step=step).reshape(-1, whole.shape[1]), whole[::step])


def test_the_table_is_the_largest_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In megabytes; less than the smallest, or no number, is refused."""
    for named, step in (("", 1), ("8", 1), ("7.8", 2), ("1000", 1), ("2", 4), ("1.9", 5), ("0.4", 20)):
        monkeypatch.setenv("QANAT_TABLE_MB", named)
        assert table.allowed_step() == step
    for bad in ("0.3", "0", "-8", "eight", "nan"):
        monkeypatch.setenv("QANAT_TABLE_MB", bad)
        with pytest.raises(BadParameters):
            table.allowed_step()


def test_where_nothing_can_be_locked_work_goes_on(tmp_path: Path) -> None:
    """A lock file is made with its folder, held by one, and done without where it can't be made."""
    path = tmp_path / "new" / "kzg.lock"
    order: list[str] = []

    def second() -> None:
        with table.one_process(path):
            order.append("second")

    with table.one_process(path):
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
    with table.one_process(path / "below a file" / "kzg.lock"):
        order.append("unlocked")
    assert order[-1] == "unlocked"


def test_a_set_up_that_is_not_ethereums_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The set-up itself gives the table; with two points swapped its hash is another."""
    assert np.array_equal(table.build_table(), table.setup_basis()._table)
    real = table.trusted_setup()
    swapped = (real.lagrange[1], real.lagrange[0], *real.lagrange[2:])
    assert all(left != right for left, right in pairwise(real.lagrange[:3]))
    monkeypatch.setattr(table, "trusted_setup", lambda: type(real)(swapped, real.monomial_g2))
    with pytest.raises(FileUnreadable):
        table.build_table()
