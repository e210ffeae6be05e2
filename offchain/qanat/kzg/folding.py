"""Sums of slices and of their commitments: what linearity gives.

Folding is the same weighted sum on slices (field elements) and on commitments (points): the fold of the commitments is
the commitment of the fold. Batch verification rests on it, and so do responses to challenges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from qanat.coding.points import points as code_points
from qanat.errors import BadParameters, SliceMismatch
from qanat.field import ELEMENT_BYTES, MODULUS, kernel, root_of_unity
from qanat.kzg.kernels import commitment_kernel
from qanat.kzg.points import COMPRESSED_IDENTITY, compress_raw
from qanat.kzg.setup import BLOB_ELEMENTS

COMPILED_FROM = 64
"""K from which loops over many points at once are faster: with few points, inversions are most of their work."""

_BATCH_DOMAIN = b"QANAT_SLICE_BATCH_V1"


def fold_slices(slices: Sequence[bytes | memoryview], gammas: Sequence[int]) -> bytes:
    """Return the sum of gammas[j] * slices[j], as a slice.

    :param slices: at least one, of equal length, 32 bytes per element.
    :param gammas: one weight below r for each.

    A non-canonical element raises ``NonCanonicalElement``, unequal lengths or counts ``BadParameters``.
    """
    if not slices or len(slices) != len(gammas):
        raise BadParameters(
            f"{len(slices)} slices and {len(gammas)} weights: need one weight for each of at least one."
        )
    length = len(slices[0])
    if length % ELEMENT_BYTES or any(len(part) != length for part in slices):
        raise BadParameters("Slices that are folded must have the same length, a multiple of 32 bytes.")
    if not length:
        return b""
    from qanat.field.fast import fold

    field: Any = kernel()
    folded, malformed = fold(slices, [gamma % MODULUS for gamma in gammas])
    if malformed:
        field.from_bytes(slices[malformed[0]], (length // ELEMENT_BYTES,))  # which says what is wrong
    return bytes(field.to_bytes(folded))


def fold_commitments(commitments: Sequence[bytes], gammas: Sequence[int], kernel_name: str = "fast") -> bytes:
    """Return the sum of gammas[j] * commitments[j], compressed; a bad point raises ``InvalidPoint``."""
    group = commitment_kernel(kernel_name)
    if len(commitments) != len(gammas):
        raise BadParameters(f"{len(commitments)} commitments and {len(gammas)} weights.")
    points = group.decompress_all(commitments)
    return group.compress(group.combine(points, [gamma % MODULUS for gamma in gammas]))


def batch_weights(slices: Sequence[bytes | memoryview], commitments: Sequence[bytes]) -> list[int]:
    """Return weights below 2^128, derived from all commitments *and the hash of every slice*.

    If a slice is wrong, at most one of its 2^128 weights lets the sums agree, whatever the others are. Whoever made the
    slices could not know the weights before the slices were fixed; weights from the commitments alone would let a
    sender choose wrong slices whose errors cancel.
    """
    state = hashlib.sha256(_BATCH_DOMAIN + len(slices).to_bytes(8, "big"))
    for part, commitment in zip(slices, commitments, strict=True):
        state.update(commitment)
        state.update(hashlib.sha256(part).digest())
    seed = state.digest()
    return [
        int.from_bytes(hashlib.sha256(seed + index.to_bytes(8, "big")).digest()[:16], "big")
        for index in range(len(slices))
    ]


def verify_slices(slices: Sequence[bytes | memoryview], commitments: Sequence[bytes]) -> None:
    """Check that every slice opens to its commitment, all with one commitment's work.

    :param slices: of equal length, a power of two of elements up to 4,096.
    :param commitments: 48 bytes each, in the same order; taken from a manifest.

    Raises ``SliceMismatch`` with ``data["bad"]``, the positions of every slice that is malformed or does not match, and
    ``InvalidPoint`` for a bad commitment. An error passes with probability 2^-128 at most.
    """
    bad = bad_slices(slices, commitments)
    if bad:
        shown = ", ".join(str(position) for position in bad[:8]) + (", ..." if len(bad) > 8 else "")
        raise SliceMismatch(
            f"{len(bad)} of {len(slices)} slices do not match their commitments (positions {shown}).",
            hint="Take them from another node.",
            bad=bad,
        )


def bad_slices(slices: Sequence[bytes | memoryview], commitments: Sequence[bytes]) -> list[int]:
    """Return the positions of all slices that are malformed or do not match; see :func:`verify_slices`."""
    if len(slices) != len(commitments):
        raise BadParameters(f"{len(slices)} slices and {len(commitments)} commitments.")
    if not slices:
        return []
    lengths = [len(part) for part in slices]
    usual = max(set(lengths), key=lengths.count)
    width, rest = divmod(usual, ELEMENT_BYTES)
    if rest or not 1 <= width <= BLOB_ELEMENTS or width & (width - 1):
        return list(range(len(slices)))
    from qanat.field.fast import fold
    from qanat.kzg.engine import commit_elements

    group = commitment_kernel()
    points = group.decompress_all(commitments)

    def search(positions: list[int]) -> list[int]:
        if not positions:
            return []
        chosen = [slices[i] for i in positions]
        weights = batch_weights(chosen, [commitments[i] for i in positions]) if len(positions) > 1 else [1]
        folded, malformed = fold(chosen, weights)
        if malformed:
            return [positions[i] for i in malformed] + search(
                [i for j, i in enumerate(positions) if j not in malformed]
            )
        if commit_elements(folded) == group.compress(group.combine([points[i] for i in positions], weights)):
            return []
        if len(positions) == 1:
            return positions
        half = len(positions) // 2
        return search(positions[:half]) + search(positions[half:])

    of_length = [position for position, length in enumerate(lengths) if length == usual]
    return sorted(set(range(len(slices))) - set(of_length) | set(search(of_length)))


def parity_commitments(data_commitments: Sequence[bytes], k: int, n: int, kernel_name: str = "fast") -> list[bytes]:
    """Return the n-k parity rows' commitments: the row code applied to points instead of elements.

    :param data_commitments: k compressed points; a bad one raises ``InvalidPoint``.

    Two transforms over the group, O(K log K) scalar products per coset; from K = 64 on in compiled loops, all of a
    layer's in step.
    """
    layout = code_points(k, n)
    if len(data_commitments) != k:
        raise BadParameters(f"{len(data_commitments)} commitments for k={k} data rows.")
    if n == k:
        return []
    if all(commitment == COMPRESSED_IDENTITY for commitment in data_commitments):
        return [COMPRESSED_IDENTITY] * (n - k)
    group = commitment_kernel(kernel_name)
    size = layout.size
    if kernel_name == "fast" and size >= COMPILED_FROM:
        from qanat.kzg.points_in_words import decompress, extend

        return [compress_raw(point) for point in extend(decompress(data_commitments), k, n)]
    values = group.decompress_all(data_commitments)
    values += [group.identity()] * (size - k)
    omega = root_of_unity(size)
    coefficients = _group_transform(group, values, pow(omega, -1, MODULUS))
    share = pow(size, -1, MODULUS)
    result: list[bytes] = []
    for coset in range(-(-(n - k) // size)):
        shifted = [
            group.multiply(point, layout.at((1 + coset) * i) * share % MODULUS) for i, point in enumerate(coefficients)
        ]
        rows = _group_transform(group, shifted, omega)
        result.extend(group.compress(point) for point in rows[: n - k - len(result)])
    return result


def _group_transform(group: Any, values: list[Any], root: int) -> list[Any]:
    """Return sum over j of root^(i*j) * values[j] for every i (no division), recursively."""
    size = len(values)
    if size == 1:
        return values
    square = root * root % MODULUS
    even = _group_transform(group, values[0::2], square)
    odd = _group_transform(group, values[1::2], square)
    low, high, power = [], [], 1
    for left, right in zip(even, odd, strict=True):
        turned = right if power == 1 else group.multiply(right, power)
        low.append(group.add(left, turned))
        high.append(group.add(left, group.negate(turned)))
        power = power * root % MODULUS
    return low + high
