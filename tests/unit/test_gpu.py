"""The kernels for CUDA devices against those for processors: on a device, or else in the simulator of numba.cuda.

The simulator runs the same steps on Python's integers, in a process of its own: it is chosen before numba.cuda loads.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qanat.errors import BadParameters, NonCanonicalElement
from qanat.field import MODULUS, base, kernel
from qanat.field.path import has_gpu

EDGES = [0, 1, MODULUS - 1, MODULUS - 2, 1 << 247, (1 << 248) - 1, (1 << 254) + 1]

on_device = pytest.mark.skipif(not has_gpu(), reason="no CUDA device, and numba.cuda does not simulate one here")


@pytest.mark.skipif(has_gpu(), reason="there is a device, or this is the simulator")
def test_all_of_this_in_the_simulator() -> None:
    """The tests below, in a process whose numba.cuda simulates a device."""
    if importlib.util.find_spec("numba.cuda") is None:
        pytest.skip("numba.cuda is not installed")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "QANAT_KERNELS": "gpu"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:ape_test", "-p", "no:cacheprovider", str(Path(__file__))]
    made = subprocess.run(
        command,
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert " passed" in made.stdout
    assert "failed" not in made.stdout


@pytest.mark.skipif(has_gpu(), reason="there is a device")
def test_a_device_that_is_missing_is_named() -> None:
    """QANAT_KERNELS=gpu without one says what to install; the processor's path is found all the same."""
    command = "from qanat.field.path import gpu_wanted, kernel_path\nprint(kernel_path())\ngpu_wanted()"
    environment = {**os.environ, "QANAT_KERNELS": "gpu"}
    made = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 1
    assert made.stdout.strip() in {"portable", "ifma"}
    assert "no CUDA device" in made.stderr


def run(operation: Any, *numbers: tuple[int, ...]) -> list[int]:
    """Return the limbs that a device function makes of numbers."""
    import numpy as np
    from numba import cuda

    from qanat.field.cuda_numbers import SIMULATED, u32

    if SIMULATED:
        return [int(limb) for limb in operation(*(tuple(u32(limb) for limb in number) for number in numbers))]
    count = len(numbers[0])
    text = ["def once(given, out):", f"    r = operation({', '.join(_tuple(i, count) for i in range(len(numbers)))})"]
    text += [f"    out[{i}] = r[{i}]" for i in range(count)]
    scope: dict[str, Any] = {"operation": operation, "u32": u32}
    exec("\n".join(text), scope)
    out = cuda.to_device(np.zeros(count, dtype=np.uint32))
    cuda.jit(scope["once"])[1, 1](cuda.to_device(np.array(numbers, dtype=np.uint32)), out)
    return [int(limb) for limb in out.copy_to_host()]


def _tuple(number: int, count: int) -> str:
    return "(" + ", ".join(f"u32(given[{number}, {i}])" for i in range(count)) + ")"


def value_of(limbs: list[int], bits: int) -> int:
    """Return the number that limbs make."""
    return sum(limb << (bits * i) for i, limb in enumerate(limbs))


@on_device
@pytest.mark.parametrize(("field", "most"), [("scalar", (3, 1)), ("scalar", (8, 8)), ("base", (50, 50))])
def test_products_at_their_worst(field: str, most: tuple[int, int]) -> None:
    """Factors as large as bounds allow, of limbs as large as there are: below 2m, and right."""
    from qanat.field.gpu import SCALARS
    from qanat.kzg.gpu import COORDINATES

    numbers = SCALARS if field == "scalar" else COORDINATES
    m, bits = numbers.modulus, numbers.bits
    full = (1 << bits * (numbers.limbs - 1)) - 1
    draw = random.Random(3)
    for left, right in [
        (most[0] * m - 1, most[1] * m - 1),
        (full, full),
        (0, most[1] * m - 1),
        (m, m),
        (draw.randrange(m), draw.randrange(m)),
    ]:
        found = run(numbers.product, numbers.limbs_of(left), numbers.limbs_of(right))
        assert all(limb < 1 << bits for limb in found[:-1])
        assert value_of(found, bits) < 2 * m
        assert value_of(found, bits) * numbers.radix % m == left * right % m
    for given in (0, 1, m - 1, m, m + 1, 2 * m - 1):
        assert value_of(run(numbers.reduced, numbers.limbs_of(given)), bits) == given % m


@on_device
def test_sums_at_their_worst() -> None:
    """What is subtracted may be as large as the multiple of p that makes up for it, in long last limbs too."""
    from qanat.kzg import gpu

    p, limbs, bits = base.MODULUS, gpu.COORDINATES.limbs_of, gpu.SHORT
    cases = [
        (gpu._opposite, [p - 1], 1),
        (gpu._twice, [4 * p - 1], 8 * p - 2),
        (gpu._thrice, [2 * p - 1], 6 * p - 3),
        (gpu._less_2, [0, 2 * p - 1], 1),
        (gpu._less_4, [2 * p - 1, 4 * p - 1], 2 * p),
        (gpu._less_6, [0, 6 * p - 1], 1),
        (gpu._less_8, [0, 8 * p - 1], 1),
        (gpu._less_twice, [0, 2 * p - 1], 2),
        (gpu._less_and_twice, [0, 2 * p - 1, 2 * p - 1], 3),
        (gpu._less_and_twice, [2 * p - 1, 0, 0], 8 * p - 1),
    ]
    for operation, numbers, wanted in cases:
        found = run(operation, *(tuple(limbs(number)) for number in numbers))
        assert value_of(found, bits) == wanted
        assert all(limb < 1 << bits for limb in found[:-1])


@on_device
def test_field_does_as_the_fast_one_does() -> None:
    """Every operation of the Protocol, on edges and random elements."""
    ours, fast = kernel("gpu"), kernel()
    draw = random.Random(1)
    values = EDGES + [draw.randrange(MODULUS) for _ in range(9)]
    a, b = ours.from_ints(values, (8, 2)), fast.from_ints(values, (8, 2))
    assert ours.shape(a) == (8, 2)
    assert ours.to_ints(a) == values
    assert ours.to_bytes(ours.from_bytes(fast.to_bytes(b), (8, 2))) == fast.to_bytes(b)
    turned_a, turned_b = ours.take(a, range(7, -1, -1)), fast.take(b, range(7, -1, -1))
    for name in ("add", "subtract", "multiply"):
        left, right = getattr(ours, name)(a, turned_a), getattr(fast, name)(b, turned_b)
        assert ours.to_bytes(left) == fast.to_bytes(right), name
    for inverse in (False, True):
        assert ours.to_bytes(ours.transform(a, inverse=inverse)) == fast.to_bytes(fast.transform(b, inverse=inverse))
    assert ours.to_bytes(ours.scale_rows(a, values[:8])) == fast.to_bytes(fast.scale_rows(b, values[:8]))
    weights = [values[:8], values[8:]]
    assert ours.to_bytes(ours.combine(weights, a)) == fast.to_bytes(fast.combine(weights, b))
    assert ours.to_ints(ours.stack([a, ours.zeros((1, 2))])) == [*values, 0, 0]


@on_device
def test_elements_not_below_the_modulus_are_refused() -> None:
    """By the position of the first, in every word."""
    ours = kernel("gpu")
    good = (MODULUS - 1).to_bytes(32, "big")
    for wrong in (*(MODULUS + more for more in (0, 1, 1 << 64, 1 << 128, 1 << 192)), (1 << 256) - 1):
        with pytest.raises(NonCanonicalElement) as caught:
            ours.from_bytes(good * 2 + wrong.to_bytes(32, "big") * 2, (4, 1))
        assert caught.value.data["position"] == 2
    with pytest.raises(NonCanonicalElement):
        ours.from_ints([MODULUS], (1,))


@on_device
@pytest.mark.parametrize(("k", "n"), [(1, 2), (2, 2), (3, 9), (4, 12), (5, 14)])
def test_any_k_rows_restore(k: int, n: int) -> None:
    """Parity as the fast code makes it; lost rows come back, one by one and together."""
    from qanat.coding import code

    ours, fast = code(k, n, "gpu"), code(k, n)
    draw = random.Random(n)
    values = [draw.randrange(MODULUS) for _ in range(k * 3)]
    data, parity = ours.field.from_ints(values, (k, 3)), fast.encode(fast.field.from_ints(values, (k, 3)))
    made = ours.encode(data)
    assert ours.field.to_bytes(made) == fast.field.to_bytes(parity)
    rows = ours.field.stack([data, made])
    for _ in range(2):
        kept = draw.sample(range(n), k)
        assert ours.field.to_ints(ours.restore(kept, ours.field.take(rows, kept))) == values
    wanted = [0, n - 1]
    rebuilt = ours.rebuild(kept, ours.field.take(rows, kept), wanted)
    assert ours.field.to_bytes(rebuilt) == ours.field.to_bytes(ours.field.take(rows, wanted))
    with pytest.raises(BadParameters):
        ours.restore([0] * k if k > 1 else [n], ours.field.take(rows, [0] * k))


@on_device
def test_sums_over_fixed_points_are_exact() -> None:
    """Equal, opposite and neutral points, full and empty buckets, the top window's extremes, many pieces."""
    from qanat.kzg import commitment_kernel, gpu
    from qanat.kzg.basis import make_table

    group: Any = commitment_kernel()
    draw = random.Random(5)
    generator = group.decompress(group.commit((1).to_bytes(32, "big") * 4096))  # all ones: the generator
    one, other = (group.multiply(generator, draw.randrange(MODULUS)) for _ in range(2))
    points = [one, one, group.negate(one), group.identity(), other]
    basis = gpu.GpuBasis(make_table([group.to_raw(point) for point in points], 5), len(points), 5)
    field = kernel("gpu")
    lines = [
        [0] * 5,
        [MODULUS - 1] * 5,
        [5, 0, 5, 1 << 254, MODULUS - 16],
        [int("1" * 51, 16) % MODULUS] * 5,
    ]
    found = basis.combine(field.from_ints([value for line in lines for value in line], (len(lines), 5)))
    assert found == [group.compress(group.combine(points, line)) for line in lines]


@on_device
def test_whole_objects_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices and manifest of an object, to the byte; in the simulator but for the set-up's commitments."""
    from qanat.field import cuda_numbers, path
    from qanat.kzg import commitment_kernel
    from qanat.objects import encode

    payload = bytes(range(1, 32)) * 64 * 2
    if cuda_numbers.SIMULATED:  # whose threads are Python's: commitments of so many points take minutes there
        group: Any = commitment_kernel("gpu")
        field = kernel("gpu")

        def commit_rows(_: Any, rows: Any) -> list[bytes]:
            return [_commit(row) for row in _split(field.to_bytes(rows), rows.shape)]

        monkeypatch.setattr(type(group), "commit_rows", commit_rows)
    monkeypatch.setattr("qanat.objects.encoder.gpu_wanted", lambda: True)
    ours = encode(payload, k=2, n=5, width=64)
    monkeypatch.setattr("qanat.objects.encoder.gpu_wanted", lambda: False)
    assert encode(payload, k=2, n=5, width=64) == ours
    assert path.has_gpu()


def _commit(row: bytes) -> bytes:
    from qanat import kzg

    return kzg.commit(row)


def _split(data: bytes, shape: tuple[int, ...]) -> list[bytes]:
    step = len(data) // shape[0]
    return [data[at : at + step] for at in range(0, len(data), step)]
