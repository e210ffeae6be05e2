"""Checks of what strangers sent: elements, manifests against the chain's record, slices against commitments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qanat.chain.views import ObjectRecord
from qanat.errors import MalformedManifest, NonCanonicalElement, SliceMismatch
from qanat.field import ELEMENT_BYTES, MODULUS
from qanat.kzg import bad_slices
from qanat.objects.manifest import Manifest

__all__ = ["check_canonical", "check_equal", "verify_batch"]

_MODULUS_WORDS = [int(word) for word in np.frombuffer(MODULUS.to_bytes(ELEMENT_BYTES, "big"), dtype=">u8")]


def check_canonical(data: bytes, *, data_row: bool) -> None:
    """Raise :class:`NonCanonicalElement` unless all 32-byte elements are below r, and below 2^248 in a data row."""
    words = np.frombuffer(data, dtype=">u8").reshape(-1, ELEMENT_BYTES // 8)
    if data_row:
        wrong = words[:, 0] >> np.uint64(56) != 0
    else:
        # lexicographic: not below r where the first word that differs is larger, or none differs
        wrong = np.ones(len(words), dtype=bool)
        for column in range(ELEMENT_BYTES // 8 - 1, -1, -1):
            limit = np.uint64(_MODULUS_WORDS[column])
            wrong = (words[:, column] > limit) | ((words[:, column] == limit) & wrong)
    if wrong.any():
        first = int(np.argmax(wrong))
        bound = "2^248, as data must be" if data_row else "the modulus"
        raise NonCanonicalElement(f"Element {first} of the slice is not below {bound}.", element=first)


def check_equal(manifest: Manifest, record: ObjectRecord) -> None:
    """Raise :class:`MalformedManifest` unless manifest and record agree in every field and in the root.

    The root is recomputed from the whole manifest, for which every commitment is read and checked to be in the subgroup
    (:class:`InvalidPoint`).
    """
    pairs = {
        "width": (manifest.width, record.width),
        "k": (manifest.k, record.k),
        "n": (manifest.n, record.n),
        "matrices": (manifest.matrices, record.matrices),
        "size": (manifest.size, record.size),
        "root": (manifest.root, record.manifest_root),
    }
    for name, (got, expected) in pairs.items():
        if got != expected:
            raise MalformedManifest(
                f"The manifest's {name} is not the one on chain.", field=name, got=got, expected=expected
            )


def verify_batch(slices: Sequence[bytes], commitments: Sequence[bytes], indexes: Sequence[int]) -> None:
    """Raise :class:`SliceMismatch`, naming the false ``indexes``, unless every slice opens to its commitment."""
    bad = [indexes[position] for position in bad_slices(slices, commitments)]
    if bad:
        raise SliceMismatch(
            f"{len(bad)} of {len(slices)} slices do not match their commitments: {', '.join(map(str, bad[:8]))}"
            + (", …." if len(bad) > 8 else "."),
            hint="Send them again.",
            indexes=bad,
        )
