"""Eight numbers at a time: each operation at the worst of its bounds, what it compiles to, and both paths' results."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numba import njit

from qanat.field import MODULUS, base, columns
from qanat.field.lanes import LANES, LIMB, Lanes, assembly, has_ifma, limbs_of

R = 1 << 260
EMULATED = Lanes("tested", MODULUS, 5, 4, native=False)
load, store, scale = (EMULATED.operation(name) for name in ("load", "store", "scale"))
add_scaled, split, split_twice, turn_twice = (
    EMULATED.operation(name) for name in ("add_scaled", "split", "split_twice", "turn_twice")
)
accumulate, carry, reduce = (EMULATED.operation(name) for name in ("accumulate", "carry", "reduce"))


def row(values: list[int], limbs: int = 5) -> Any:
    """Return eight numbers as a row, shape (limbs, 8)."""
    return np.array([limbs_of(value, limbs) for value in values], dtype=np.uint64).T.copy()


def numbers(limbs: Any) -> list[int]:
    """Return a row's numbers, whose limbs must be normal."""
    assert int(limbs.max()) < 1 << LIMB
    return [sum(int(limb) << (LIMB * i) for i, limb in enumerate(column)) for column in limbs.T]


def words(values: list[int]) -> Any:
    """Return canonical numbers as words of 64 bits, shape (8, 4)."""
    return np.frombuffer(b"".join(value.to_bytes(32, "little") for value in values), dtype="<u8").reshape(-1, 4).copy()


def factor(value: int, limbs: int = 5) -> Any:
    """Return a number's limbs."""
    return np.array(limbs_of(value, limbs), dtype=np.uint64)


@njit
def once(canonical: Any, loaded: Any, rows: Any, by: Any, out: Any, pairs: Any) -> None:
    """Load; scale, store and add the worst row; split the worst pair."""
    load((loaded.ctypes.data, canonical.ctypes.data))
    scale((rows.ctypes.data, rows.ctypes.data + 320, by.ctypes.data))
    store((out.ctypes.data, rows.ctypes.data + 320))
    add_scaled((rows.ctypes.data + 640, rows.ctypes.data + 320, by.ctypes.data))
    split((pairs.ctypes.data, pairs.ctypes.data + 320))


@njit
def two_layers(fresh: Any, grown: Any, inner: Any, outer: Any, last: Any) -> None:
    """Do two layers on four rows of each kind."""
    a, b = fresh.ctypes.data, grown.ctypes.data
    split_twice((a, a + 320, a + 640, a + 960, inner.ctypes.data))
    turn_twice((b, b + 320, b + 640, b + 960, inner.ctypes.data, outer.ctypes.data, last.ctypes.data))


@pytest.mark.parametrize("by", [0, 1, MODULUS - 1, 1 << 254])
def test_operations_on_rows_at_the_worst_of_their_bounds(by: int) -> None:
    """What each may take goes in, and its result is right modulo r and within what it says, limbs normal."""
    worst = 35 * MODULUS - 1
    high = [worst, worst - 1, 34 * MODULUS, 0, 1, MODULUS, (1 << 259) - 1, 1 << 255]
    low = [2 * MODULUS - 1, 0, 2 * MODULUS - 1, 2 * MODULUS - 1, MODULUS, 1, 2 * MODULUS - 2, 5]
    bottom = [0, 2 * MODULUS - 1, 2 * MODULUS - 1, 1, MODULUS - 1, MODULUS, MODULUS + 1, 6]
    canonical = [0, 1, MODULUS - 1, MODULUS >> 1, (1 << 64) - 1, 1 << 208, (1 << 52) - 1, 1 << 52]
    loaded, out, given = np.empty((5, 8), dtype=np.uint64), np.empty((8, 4), dtype=np.uint64), words(canonical)
    rows = np.stack([np.zeros((5, 8), dtype=np.uint64), row(high), row(low)])
    pairs = np.stack([row(low), row(bottom)])
    once(given, loaded, rows, factor(by), out, pairs)
    share = pow(R, -1, MODULUS)
    assert numbers(loaded) == canonical
    scaled = numbers(rows[0])
    assert [value % MODULUS for value in scaled] == [value * by * share % MODULUS for value in high]
    assert max(scaled) < 2 * MODULUS
    assert out.tobytes() == words([value % MODULUS for value in high]).tobytes()
    added = numbers(rows[2])
    assert [value % MODULUS for value in added] == [
        (a + b * by * share) % MODULUS for a, b in zip(low, high, strict=True)
    ]
    assert max(added) < 2 * MODULUS
    assert numbers(pairs[0]) == [a + b for a, b in zip(low, bottom, strict=True)]
    assert numbers(pairs[1]) == [a - b + 2 * MODULUS for a, b in zip(low, bottom, strict=True)]


@pytest.mark.parametrize("factors", [(0, 1, MODULUS - 1), (1, 1 << 254, 1), (MODULUS - 1, MODULUS - 1, 0)])
def test_two_layers_at_the_worst_of_their_bounds(factors: tuple[int, int, int]) -> None:
    """Every corner of what rows may hold goes in; results are right modulo r and within what is said, limbs normal."""
    share = pow(R, -1, MODULUS)
    inner, outer, last = (value * share % MODULUS for value in factors)

    def turned(a: int, b: int, by: int) -> tuple[int, int]:
        return (a + b * by) % MODULUS, (a - b * by) % MODULUS

    corners = [[8 * i + lane for lane in range(LANES)] for i in range(2)]  # the sixteen choices of least and greatest
    for bound, steps, chosen in ((2, (1, inner), 8), (30, (inner, last), 34)):
        for lanes in corners:
            values = [[(bound * MODULUS - 1) * (lane >> i & 1) for lane in lanes] for i in range(4)]
            first, second = (np.stack([row(value) for value in values]) for _ in range(2))
            two_layers(first, second, *(factor(value) for value in factors))
            got = [numbers(line) for line in (first if bound == 2 else second)]
            by, fourth = steps
            third = 1 if bound == 2 else outer
            for lane in range(LANES):
                a, b = turned(values[0][lane], values[1][lane], by)
                c, d = turned(values[2][lane], values[3][lane], by)
                (a, c), (b, d) = turned(a, c, third), turned(b, d, fourth)
                assert [line[lane] % MODULUS for line in got] == [a, b, c, d]
            assert max(max(line) for line in got) < chosen * MODULUS


@njit
def sums_of(sums: Any, data: Any, by: Any, flag: Any, times: int, factors: Any, out: Any) -> None:
    """Accumulate so often, carry, reduce."""
    for _ in range(times):
        accumulate((sums.ctypes.data, data.ctypes.data + 1, by.ctypes.data, flag.ctypes.data))
    carry((sums.ctypes.data,))
    reduce((out.ctypes.data, sums.ctypes.data, factors.ctypes.data))


def test_sums_of_products_hold_as_many_as_they_say() -> None:
    """From the greatest normal limbs, the greatest factor times the greatest bytes, 512 times; then reduced."""
    begun = [(1 << 410) - 1] * LANES
    values = [(1 << 256) - 1] * 4 + [MODULUS, MODULUS - 1, 0, 1]
    data = np.frombuffer(b"\0" + b"".join(value.to_bytes(32, "big") for value in values), dtype=np.uint8).copy()
    for chosen, flagged in ((values, 1), ([MODULUS - 1] * LANES, 0)):
        data[1:] = np.frombuffer(b"".join(value.to_bytes(32, "big") for value in chosen), dtype=np.uint8)
        sums, flag, out = row(begun, 8), np.zeros(1, dtype=np.uint64), np.empty((5, 8), dtype=np.uint64)
        constants = np.stack([factor(R % MODULUS), factor(R * R % MODULUS)])
        sums_of(sums, data, factor((1 << 128) - 1, 3), flag, columns.CARRY, constants, out)
        expected = [begun[0] + columns.CARRY * ((1 << 128) - 1) * value for value in chosen]
        assert numbers(sums) == expected
        assert [value % MODULUS for value in numbers(out)] == [value % MODULUS for value in expected]
        assert max(numbers(out)) < 2 * MODULUS
        assert int(flag[0]) == flagged


@pytest.mark.parametrize("processor", ["icelake-server", "znver4"])
def test_products_become_the_processors_own(processor: str) -> None:
    """4n^2 + n 52-bit products of vectors of eight for n limbs, and nothing is called but functions of ours."""
    on_columns = ("scale", "split_twice", "turn_twice", "add_scaled", "accumulate")
    for lanes, operations in (
        (Lanes("columns", MODULUS, 5, 4, native=True), on_columns),
        (Lanes("pairs", base.MODULUS, 8, 6, native=True), ("product", "pairs_forward", "pairs_backward")),
    ):
        for operation in operations:
            lines = [line.split() for line in assembly(lanes, operation, processor).splitlines()]
            counts = {name: sum(line[:1] == [name] for line in lines) for name in ("vpmadd52luq", "vpmadd52huq")}
            expected = 4 * lanes.limbs**2 + lanes.limbs
            expected = {"accumulate": 30, "turn_twice": 4 * expected}.get(operation, expected)
            assert sum(counts.values()) == expected, operation
            assert all("%zmm" in line[-1] for line in lines if line and line[0] in counts)
            called = {line[1] for line in lines if line[:1] in (["callq"], ["jmp"]) and line[1].isidentifier()}
            assert called <= {"qanat_pairs_product"}, (operation, called)


def test_a_target_needs_all_of_the_features() -> None:
    """Vectors without the products, or another architecture, take the other path."""
    every = "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512ifma"
    assert has_ifma("x86_64-unknown-linux-gnu", f"+adx,{every},-amx")
    assert not has_ifma("aarch64-unknown-linux-gnu", every)
    assert not has_ifma("x86_64-unknown-linux-gnu", every.replace("+avx512ifma", "-avx512ifma"))
    assert not has_ifma("x86_64-unknown-linux-gnu", every.replace("+avx512f,", ""))


RESULTS = '''
import hashlib, itertools, random
import numpy as np
from qanat import kzg
from qanat.coding import code
from qanat.field import MODULUS, base, kernel
from qanat.field.compiled import PATH
from qanat.kzg import msm, points_in_words
from qanat.kzg.basis import batch_workspace

draw = random.Random(8)
field = kernel()

def elements(rows, width, limit=MODULUS):
    edges = [0, 1, limit - 1]
    values = [draw.choice(edges) if draw.random() < 0.2 else draw.randrange(limit) for _ in range(rows * width)]
    return field.from_ints(values, (rows, width))

def digest(value):
    return hashlib.sha256(value if isinstance(value, bytes) else field.to_bytes(value)).hexdigest()

def results():
    """Return digests of what every kernel gives, the path's name left out."""
    made = []
    for size, width in ((1, 3), (2, 8), (4, 8), (32, 5), (64, 17), (8192, 1), (16384, 1), (32768, 1)):
        # the last two have more layers than go unreduced, one an even and one an odd number of them
        made.append(digest(field.transform(elements(size, width), inverse=size == 64)))
    for k, n, width in ((1, 4, 8), (3, 9, 5), (64, 200, 24)):
        data = elements(k, width)
        coder = code(k, n)
        whole = field.stack([data, coder.encode(data)])
        kept = sorted(draw.sample(range(k // 2, n), k))
        assert field.to_bytes(coder.restore(kept, field.take(whole, kept))) == field.to_bytes(data), (k, n)
        made.append(digest(whole))
    blobs = [field.to_bytes(elements(1, 4096)) for _ in range(2)]
    blobs.append(field.to_bytes(field.from_ints([5] * 4096, (1, 4096))))
    commitments = [kzg.commit(blob) for blob in blobs]
    kzg.verify_slices(blobs, commitments)
    assert kzg.bad_slices(blobs, commitments[::-1]) == [0, 2]
    made += [digest(commitment) for commitment in commitments]
    made.append(digest(kzg.fold_slices(blobs, [1, MODULUS - 1, 1 << 200])))
    # every kind of addition in every lane: identities, equal points, opposite ones; 17 pairs again and again
    first, second = (kzg.decompress(commitment) for commitment in commitments[:2])
    opposite = first[:48] + (base.MODULUS - int.from_bytes(first[48:], "big")).to_bytes(48, "big")
    some = points_in_words.to_words([bytes(96), first, opposite, second])
    chosen = [*itertools.product(range(4), repeat=2), (1, 3)]
    points = some[np.array(chosen * 8).reshape(-1)]
    _, work, kept = batch_workspace()
    starts, sizes, sums = (np.arange(0, 2 * 17 * 8, 2), np.full(17 * 8, 2), np.empty((17 * 8, 12), dtype=np.uint64))
    msm.sum_groups(points, np.empty_like(points), starts, sizes, sums, work)
    del kept
    made.append(digest(b"".join(points_in_words.to_raw(sums))))
    return "\\n".join(made)
'''


def test_both_paths_give_the_same() -> None:
    """Transforms, codes, folds, commitments, all kinds of additions: equal bytes."""
    other = "portable" if columns.LAZY else "ifma-emulated"
    made = subprocess.run(
        [sys.executable, "-c", RESULTS + f"\nassert PATH == {other!r}\nprint(results())"],
        env={**os.environ, "QANAT_KERNELS": other},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    space: dict[str, Any] = {}
    exec(RESULTS, space)
    assert made.stdout.split() == space["results"]().split()


def test_loading_and_storing_are_inverse_at_random() -> None:
    """Any canonical numbers, back in their words."""
    draw = random.Random(3)
    for _ in range(20):
        values = [draw.randrange(MODULUS) for _ in range(LANES)]
        loaded, out = np.empty((5, 8), dtype=np.uint64), np.empty((8, 4), dtype=np.uint64)
        rows = np.stack([row(values)] * 3)
        once(words(values), loaded, rows, factor(1), out, np.stack([row(values)] * 4))
        assert numbers(loaded) == values
        assert out.tobytes() == words(values).tobytes()
