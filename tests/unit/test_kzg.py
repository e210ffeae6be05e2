"""Commitments, folds, batch verification, parity commitments, the dual check.

Fast against reference and against lies.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat import kzg
from qanat.coding import code
from qanat.coding.dual import dual_check, dual_combination, dual_weights, reference_weights
from qanat.errors import BadParameters, DualCheckFailed, FormatError, InvalidPoint, NonCanonicalElement, SliceMismatch
from qanat.field import MODULUS, root_of_unity
from qanat.kzg import commitment_kernel
from qanat.kzg.folding import batch_weights
from qanat.kzg.points import COMPRESSED_IDENTITY, FIELD_MODULUS, RAW_IDENTITY, compress_raw, from_padded, to_padded
from tests.unit.foreign_points import on_another_curve

GENERATOR = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
ORDER_THREE = b"\x80" + bytes(47)  # x = 0, y^2 = 4: on the curve, of order 3


def make_blob(width: int, seed: int, limit: int = MODULUS) -> bytes:
    """Return a slice of random elements."""
    draw = random.Random(seed)
    return b"".join(draw.randrange(limit).to_bytes(32, "big") for _ in range(width))


def make_rows(k: int, n: int, width: int = 4, seed: int = 1) -> list[bytes]:
    """Return the n encoded rows of a random matrix."""
    coder: Any = code(k, n)
    draw = random.Random(seed * 1000 + k)
    data = coder.field.from_ints([draw.randrange(1 << 248) for _ in range(k * width)], (k, width))
    joined = coder.field.to_bytes(coder.field.stack([data, coder.encode(data)]))
    return [joined[at : at + 32 * width] for at in range(0, len(joined), 32 * width)]


def random_points(count: int, seed: int = 1) -> list[bytes]:
    """Return commitments of nothing in particular."""
    group = commitment_kernel()
    generator = group.decompress(bytes.fromhex(GENERATOR))
    draw = random.Random(seed)
    return [group.compress(group.multiply(generator, draw.randrange(1, MODULUS))) for _ in range(count)]


def encoded_points(k: int, n: int, seed: int = 1) -> list[bytes]:
    """Return honest commitments without committing to anything: random data points and their parity."""
    data = random_points(k, seed)
    return data + kzg.parity_commitments(data, k, n)


# ---- blobs -----------------------------------------------------------------------------------------------------------


def test_fast_and_reference_agree_on_commitments_and_openings() -> None:
    """Same commitment, proof and value, outside the domain and on it; each verifies, and no other value does."""
    blob = make_blob(4, 1)
    commitment = kzg.commit(blob)
    assert commitment == kzg.commit(blob, kernel="reference")
    for z in (5, 1):  # 1 lies in the domain
        point = z.to_bytes(32, "big")
        proof, y = kzg.open_at(blob, point)
        if z == 5:
            assert (proof, y) == kzg.open_at(blob, point, kernel="reference")
        else:
            assert y == blob[:32]
        for kernel in ("fast", "reference"):
            assert kzg.verify(commitment, point, y, proof, kernel=kernel)
        wrong = ((int.from_bytes(y, "big") + 1) % MODULUS).to_bytes(32, "big")
        assert not kzg.verify(commitment, point, wrong, proof)
    assert not kzg.verify(commitment, (5).to_bytes(32, "big"), wrong, proof, kernel="reference")


def test_reference_opens_inside_the_domain_as_the_fast_path_does() -> None:
    """At a root of unity whose element is zero the quotient has few terms, and both formulas agree."""
    blob = make_blob(4, 1)
    inside = pow(root_of_unity(4096), 1234, MODULUS).to_bytes(32, "big")
    assert kzg.open_at(blob, inside, kernel="reference") == kzg.open_at(blob, inside)


def test_a_narrow_blob_is_one_padded_with_zeros() -> None:
    """Width w and 4,096 elements with zeros after w have the same commitment and openings."""
    blob = make_blob(64, 2)
    padded = blob + bytes(kzg.BLOB_BYTES - len(blob))
    assert kzg.commit(blob) == kzg.commit(padded)
    assert kzg.open_at(blob, bytes(32)) == kzg.open_at(padded, bytes(32))


def test_the_zero_blob_has_the_identity_as_commitment_and_proof() -> None:
    """And it verifies: padding rows give it."""
    commitment = kzg.commit(bytes(64 * 32))
    proof, y = kzg.open_at(bytes(64 * 32), (9).to_bytes(32, "big"))
    assert commitment == proof == COMPRESSED_IDENTITY
    assert y == bytes(32)
    assert kzg.verify(commitment, (9).to_bytes(32, "big"), y, proof)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 96, 32 * 4097, 32 * 8192, 131071])
def test_lengths_that_are_no_width_are_refused(length: int) -> None:
    """Only powers of two of elements, up to 4,096."""
    with pytest.raises(FormatError):
        kzg.commit(bytes(length))


def test_elements_that_are_not_canonical_are_refused() -> None:
    """In the blob, in z, in y."""
    good, bad = make_blob(4, 3), MODULUS.to_bytes(32, "big")
    for kernel in ("fast", "reference"):
        with pytest.raises(NonCanonicalElement) as caught:
            kzg.commit(good[:32] + bad + good[64:], kernel=kernel)
        assert caught.value.data["position"] == 1
        with pytest.raises(NonCanonicalElement):
            kzg.open_at(good[:32] + bad + good[64:], bytes(32), kernel=kernel)
    with pytest.raises(NonCanonicalElement):
        kzg.open_at(good, bad)
    commitment = kzg.commit(good)
    for z, y in ((bad, bytes(32)), (bytes(32), bad)):
        with pytest.raises(NonCanonicalElement):
            kzg.verify(commitment, z, y, commitment)
    for z, y in ((bytes(31), bytes(32)), (bytes(32), bytes(33))):
        with pytest.raises(FormatError):
            kzg.verify(commitment, z, y, commitment)


# ---- points ----------------------------------------------------------------------------------------------------------


def bad_compressed() -> dict[str, bytes]:
    """Return 48-byte strings (and others) that are not the one encoding of a subgroup point."""
    good = bytes.fromhex(GENERATOR)
    return {
        "empty": b"",
        "short": good[:-1],
        "long": good + b"\0",
        "no compression bit": bytes([good[0] & 0x7F]) + good[1:],
        "identity with a bit more": COMPRESSED_IDENTITY[:-1] + b"\1",
        "identity with the sign bit": b"\xe0" + bytes(47),
        "identity, all ones": b"\xff" * 48,
        "x not below p": (FIELD_MODULUS | 1 << 383).to_bytes(48, "big"),
        "x off the curve": b"\x80" + bytes(46) + b"\x01",
        "outside the subgroup": ORDER_THREE,
    }


@pytest.mark.parametrize("kernel", ["reference", "fast"])
@pytest.mark.parametrize("case", bad_compressed())
def test_bad_compressed_points_are_refused(kernel: str, case: str) -> None:
    """Every implementation refuses each, alone, as commitment and as proof."""
    bad = bad_compressed()[case]
    with pytest.raises(InvalidPoint):
        commitment_kernel(kernel).decompress(bad)
    good = bytes.fromhex(GENERATOR)
    for commitment, proof in ((bad, good), (good, bad)):
        with pytest.raises(InvalidPoint):
            kzg.verify(commitment, bytes(32), bytes(32), proof, kernel=kernel)


@pytest.mark.parametrize("kernel", ["reference", "fast"])
def test_byte_forms_of_points_go_back_and_forth(kernel: str) -> None:
    """Compressed, raw and EIP-2537 forms name the same point, the identity included."""
    group = commitment_kernel(kernel)
    for data in [COMPRESSED_IDENTITY, bytes.fromhex(GENERATOR), *random_points(4)]:
        point = group.decompress(data)
        raw = group.to_raw(point)
        assert group.compress(group.from_raw(raw)) == compress_raw(raw) == data
        assert from_padded(to_padded(raw)) == raw
        assert len(to_padded(raw)) == 128
        assert group.compress(group.negate(group.negate(point))) == data
        assert compress_raw(group.to_raw(group.negate(point))) == group.compress(group.negate(point))
    assert group.to_raw(group.identity()) == RAW_IDENTITY
    for bad in (
        bytes(95),
        bytes(47) + b"\1" + bytes(48),
        bytes(95) + b"\2",  # order 3
        FIELD_MODULUS.to_bytes(48, "big") + bytes(47) + b"\2",
        b"\x40" + bytes(95),
        on_another_curve(raw),
    ):
        with pytest.raises(InvalidPoint):
            group.from_raw(bad)


def test_padded_forms_are_strict() -> None:
    """16 zero bytes before every number, 128 or 256 bytes in all."""
    for bad in (b"", bytes(127), bytes(129), b"\1" + bytes(127), bytes(64) + b"\1" + bytes(63), bytes(192)):
        with pytest.raises(InvalidPoint):
            from_padded(bad)
    for bad in (b"", bytes(95), bytes(128)):
        with pytest.raises(InvalidPoint):
            to_padded(bad)


@pytest.mark.parametrize("kernel", ["reference", "fast"])
def test_kzg_helpers_read_what_they_write(kernel: str) -> None:
    """The group's own identities: empty sums, zero scalars, opposite points."""
    group = commitment_kernel(kernel)
    one, two = (group.decompress(point) for point in random_points(2))
    assert group.compress(group.combine([], [])) == COMPRESSED_IDENTITY
    assert group.compress(group.combine([one, two], [0, 0])) == COMPRESSED_IDENTITY
    assert group.compress(group.add(one, group.negate(one))) == COMPRESSED_IDENTITY
    assert group.compress(group.multiply(one, MODULUS - 1)) == group.compress(group.negate(one))
    sums = group.combine([one, two, one], [3, MODULUS - 1, 1])
    assert group.compress(sums) == group.compress(group.add(group.multiply(one, 4), group.negate(two)))
    assert kzg.compress(kzg.decompress(group.compress(one))) == group.compress(one)


def test_reference_sums_by_buckets_as_by_single_products() -> None:
    """The bucket method, used from 32 points on, agrees with the fast kernel."""
    points = random_points(33)
    scalars = [random.Random(i).randrange(MODULUS) for i in range(33)]
    assert kzg.fold_commitments(points, scalars, "reference") == kzg.fold_commitments(points, scalars)


# ---- folds and batches -----------------------------------------------------------------------------------------------


def test_the_fold_of_commitments_commits_to_the_fold_of_slices() -> None:
    """Linearity, through an opening as a challenge asks for it."""
    slices = [make_blob(64, seed) for seed in range(3)]
    gammas = [1, MODULUS - 5, 1 << 254]
    folded = kzg.fold_slices(slices, gammas)
    commitment = kzg.fold_commitments([kzg.commit(part) for part in slices], gammas)
    assert kzg.commit(folded) == commitment
    z = (77).to_bytes(32, "big")
    proof, y = kzg.open_at(folded, z)
    assert kzg.verify(commitment, z, y, proof)
    for parts, weights in (([], []), (slices, gammas[:2]), ([slices[0], slices[1][:-32]], [1, 2]), ([b"\0"], [1])):
        with pytest.raises(BadParameters):
            kzg.fold_slices(parts, weights)
    with pytest.raises(BadParameters):
        kzg.fold_commitments(random_points(2), [1])
    with pytest.raises(NonCanonicalElement):
        kzg.fold_slices([b"\xff" * 32], [1])


def test_a_batch_names_exactly_the_slices_that_are_wrong() -> None:
    """One flipped bit, a short slice, a swapped pair, a non-canonical element: found, whatever else is right."""
    slices = make_rows(3, 9)
    commitments = [kzg.commit(part) for part in slices]
    kzg.verify_slices(slices, commitments)
    kzg.verify_slices([], [])
    for length in (0, 31, 96, 32 * 8192):  # no width at all
        assert kzg.bad_slices([bytes(length)] * 2, commitments[:2]) == [0, 1]
    bad = list(slices)
    bad[1] = bytes([bad[1][0], bad[1][1] ^ 1]) + bad[1][2:]
    bad[3], bad[4] = bad[4], bad[3]
    bad[6] = bad[6][:-32]
    bad[8] = b"\xff" * len(bad[8])
    assert kzg.bad_slices(bad, commitments) == [1, 3, 4, 6, 8]
    with pytest.raises(SliceMismatch) as caught:
        kzg.verify_slices(bad, commitments)
    assert caught.value.data["bad"] == [1, 3, 4, 6, 8]
    with pytest.raises(BadParameters):
        kzg.verify_slices(slices, commitments[:-1])
    with pytest.raises(InvalidPoint):
        kzg.verify_slices(slices, [ORDER_THREE, *commitments[1:]])


@settings(max_examples=12, deadline=None)
@given(which=st.integers(0, 3), position=st.integers(0, 4 * 32 * 8 - 1))
def test_any_single_flipped_bit_of_a_slice_is_caught(which: int, position: int) -> None:
    """Whatever slice, whatever bit."""
    slices = make_rows(2, 4)
    commitments = [kzg.commit(part) for part in slices]
    flipped = bytearray(slices[which])
    flipped[position // 8] ^= 1 << position % 8
    slices[which] = bytes(flipped)
    assert kzg.bad_slices(slices, commitments) == [which]


def test_batch_weights_depend_on_every_slice() -> None:
    """Errors chosen to cancel under the weights of other slices do not cancel.

    Weights from commitments alone would fail.

    The sender knows all commitments, so if the weights came from them only he could add d to slice 0 and
    -gamma_0/gamma_1*d to slice 1.
    """
    slices = [make_blob(4, 1), make_blob(4, 2)]
    commitments = [kzg.commit(part) for part in slices]
    known = batch_weights(slices, commitments)
    ratio = known[0] * pow(known[1], -1, MODULUS) % MODULUS
    first = (int.from_bytes(slices[0][:32], "big") + 1) % MODULUS
    second = (int.from_bytes(slices[1][:32], "big") - ratio) % MODULUS
    forged = [first.to_bytes(32, "big") + slices[0][32:], second.to_bytes(32, "big") + slices[1][32:]]
    assert kzg.fold_slices(forged, known) == kzg.fold_slices(slices, known)  # the attack that must not work
    assert kzg.bad_slices(forged, commitments) == [0, 1]
    assert batch_weights([slices[0], forged[1]], commitments)[0] != known[0]
    assert batch_weights(slices, commitments[::-1]) != known


# ---- parity commitments and the dual check ---------------------------------------------------------------------------

SHAPES = [(1, 1), (1, 3), (2, 2), (2, 5), (3, 4), (3, 9), (4, 12), (5, 11), (6, 18), (7, 7), (7, 20), (8, 40)]


@pytest.mark.parametrize(("k", "n"), [(1, 3), (3, 9), (5, 11)])
def test_parity_commitments_commit_to_the_parity_rows(k: int, n: int) -> None:
    """The code over points gives what committing to each encoded row gives, reference and fast."""
    commitments = [kzg.commit(row) for row in make_rows(k, n)]
    assert kzg.parity_commitments(commitments[:k], k, n) == commitments[k:]
    if k == 3:
        assert kzg.parity_commitments(commitments[:k], k, n, "reference") == commitments[k:]
    dual_check(commitments, k, n)


def test_parity_commitments_of_zeros_and_wrong_counts() -> None:
    """Zero rows give identities, mixed with others too; k commitments are needed, and only good ones."""
    assert kzg.parity_commitments([COMPRESSED_IDENTITY] * 2, 2, 6) == [COMPRESSED_IDENTITY] * 4
    mixed = [COMPRESSED_IDENTITY, *random_points(2)]
    dual_check(mixed + kzg.parity_commitments(mixed, 3, 7), 3, 7)
    dual_check([COMPRESSED_IDENTITY] * 6, 2, 6)
    with pytest.raises(BadParameters):
        kzg.parity_commitments(random_points(2), 3, 9)
    with pytest.raises(InvalidPoint):
        kzg.parity_commitments([ORDER_THREE, *random_points(1)], 2, 4)


@pytest.mark.parametrize(("k", "n"), [*SHAPES, (16, 48), (33, 99), (100, 130)])
def test_dual_weights_are_those_of_the_definition(k: int, n: int) -> None:
    """The closed formula equals the product over all other used and virtual points."""
    assert list(dual_weights(k, n)) == reference_weights(k, n)


def test_dual_combination_by_transform_equals_horner() -> None:
    """Both ways of evaluating q give the same weights; q of degree n-k or more is refused."""
    k, n = 33, 99
    draw = random.Random(5)
    q = [draw.randrange(MODULUS) for _ in range(n - k)]
    from qanat.coding import points

    values = [sum(c * pow(x, e, MODULUS) for e, c in enumerate(q)) % MODULUS for x in points(k, n).values]
    weights = dual_weights(k, n)
    assert dual_combination(k, n, q) == [v * w % MODULUS for v, w in zip(values, weights, strict=True)]
    with pytest.raises(BadParameters):
        dual_combination(k, n, [*q, 1])


@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_the_dual_check_accepts_honest_and_rejects_every_tampered_commitment(k: int, n: int) -> None:
    """Any one commitment replaced, any two swapped, any identity put in: rejected (unless n = k, where all encode)."""
    honest = encoded_points(k, n)
    dual_check(honest, k, n)
    stranger = random_points(1, seed=99)[0]
    tampered = [[*honest[:i], other, *honest[i + 1 :]] for i in range(n) for other in (stranger, COMPRESSED_IDENTITY)]
    tampered += [
        [*honest[:i], honest[i + 1], honest[i], *honest[i + 2 :]] for i in range(n - 1) if honest[i] != honest[i + 1]
    ]
    for commitments in tampered:
        if n == k:
            dual_check(commitments, k, n)
            continue
        with pytest.raises(DualCheckFailed):
            dual_check(commitments, k, n)


def test_a_matrix_of_too_high_degree_is_rejected() -> None:
    """Rows of a (k+1)-dimensional encoding, valid on fewer points, are no encoding for k.

    Data of degree K slips nowhere.
    """
    wider = encoded_points(5, 16)  # K = 8, N = 32
    with pytest.raises(DualCheckFailed):
        dual_check(wider, 4, 16)
    virtual = encoded_points(8, 24)  # k = 8 uses all of K = 8; for k = 7 row 7 would have to be zero
    with pytest.raises(DualCheckFailed):
        dual_check(virtual[:7] + virtual[8:], 7, 23)


def test_the_dual_check_sees_every_matrix_and_names_the_wrong_one() -> None:
    """Among many matrices one tampered commitment is found; errors in two matrices do not cancel."""
    matrices = [encoded_points(3, 9, seed) for seed in range(4)]
    dual_check(list(chain(*matrices)), 3, 9)
    matrices[2][4] = random_points(1, 7)[0]
    with pytest.raises(DualCheckFailed) as caught:
        dual_check(list(chain(*matrices)), 3, 9)
    assert caught.value.data["matrix"] == 2
    group = commitment_kernel()
    honest = [encoded_points(3, 9, seed) for seed in range(2)]
    shift = group.decompress(random_points(1, 8)[0])
    honest[0][0] = group.compress(group.add(group.decompress(honest[0][0]), shift))
    honest[1][0] = group.compress(group.add(group.decompress(honest[1][0]), group.negate(shift)))
    with pytest.raises(DualCheckFailed):
        dual_check(list(chain(*honest)), 3, 9)


def test_a_commitment_outside_the_subgroup_is_refused_before_the_sum() -> None:
    """A point of order 3 added to an honest commitment raises InvalidPoint, for every draw of q."""
    from py_arkworks_bls12381 import G1Point

    honest = encoded_points(3, 9)
    small = G1Point.from_compressed_bytes_unchecked(ORDER_THREE)
    honest[5] = (G1Point.from_compressed_bytes(honest[5]) + small).to_compressed_bytes()
    for _ in range(8):
        with pytest.raises(InvalidPoint):
            dual_check(honest, 3, 9)


def test_the_dual_check_uses_the_verifiers_randomness() -> None:
    """With a q that the encoder knew beforehand a lie could pass; with another it does not."""
    k, n = 2, 4
    group = commitment_kernel()
    honest = [group.decompress(point) for point in encoded_points(k, n)]

    def fixed(values: Sequence[int]) -> Any:
        it = iter(values * 4)
        return lambda: next(it)

    scalars = dual_combination(k, n, [3, 4])
    lie = list(honest)
    generator = group.decompress(bytes.fromhex(GENERATOR))
    lie[0] = group.add(lie[0], group.multiply(generator, scalars[1]))
    lie[1] = group.add(lie[1], group.negate(group.multiply(generator, scalars[0])))
    forged = [group.compress(point) for point in lie]
    dual_check(forged, k, n, fixed([3, 4]))  # what foreseeable randomness would allow
    with pytest.raises(DualCheckFailed):
        dual_check(forged, k, n)
    with pytest.raises(BadParameters):
        dual_check(forged[:-1], k, n)
    with pytest.raises(BadParameters):
        dual_check([], k, n)


def test_reference_and_fast_dual_checks_agree() -> None:
    """The clear kernel accepts and rejects the same."""
    honest = encoded_points(3, 5)
    dual_check(honest, 3, 5, kernel_name="reference")
    with pytest.raises(DualCheckFailed):
        dual_check([*honest[:-1], COMPRESSED_IDENTITY], 3, 5, kernel_name="reference")
    with pytest.raises(BadParameters):
        commitment_kernel("magic")
