"""Commitments and openings of whole blobs on the compiled loops; the GIL is released but for microseconds."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np

from qanat.errors import NonCanonicalElement
from qanat.field import ELEMENT_BYTES, MODULUS, inverse, root_of_unity
from qanat.field.fast import Limbs, bit_reversal, factors, pack
from qanat.kzg import msm, openings
from qanat.kzg.basis import FixedBasis, Workspace
from qanat.kzg.setup import BLOB_BYTES, BLOB_ELEMENTS
from qanat.kzg.table import cache_folder, one_process, setup_basis

_lock = threading.Lock()


def commit(blob: bytes) -> bytes:
    """Return the commitment of up to 4,096 elements, the rest being zero; one not below r raises."""
    basis = ready_basis()
    with basis.workspace() as space:
        return basis.combine(_read(blob, space), space)


def commit_elements(elements: Limbs) -> bytes:
    """Return the commitment of up to 4,096 canonical elements, shape (count, 4), the rest being zero."""
    basis = ready_basis()
    with basis.workspace() as space:
        return basis.combine(elements, space)


def open_at(blob: bytes, z: bytes) -> tuple[bytes, bytes]:
    """Return (proof, y) of a whole blob at z; an element not below r raises ``NonCanonicalElement``."""
    basis = ready_basis()
    with basis.workspace() as space:
        y, quotient = divide(_read(blob, space), int.from_bytes(z, "big"))
        return basis.combine(quotient, space), y.to_bytes(ELEMENT_BYTES, "big")


def ready_basis() -> FixedBasis:
    """Return the set-up's points, with all loops compiled.

    One process at a time computes and compiles what none has yet; the others wait, and find it done.
    """
    with _lock:
        return _ready_basis()


@cache
def _ready_basis() -> FixedBasis:
    with one_process(cache_folder() / "kzg.lock"):
        basis = setup_basis()
        with basis.workspace() as space:
            _, quotient = divide(_read(bytes(31) + b"\1" + bytes(BLOB_BYTES - 32), space), 2)
            basis.combine(quotient, space)
    return basis


def divide(elements: Limbs, z: int) -> tuple[int, Limbs]:
    """Return p(z) and (p(X) - p(z)) / (X - z), both polynomials by their values on the 4,096 roots of unity.

    At a root of unity m other than z the quotient is (p_m - y) / (w_m - z). Away from the roots, by the barycentric
    formula, y = (z^W - 1)/W * sum of p_i w_i / (z - w_i). If z is the root w_m, y = p_m, and the quotient there is
    sum over i != m of (p_i - y) w_i / (z (z - w_i)).
    """
    points, one, room = _roots(), factors([1]), np.empty((1, 4), dtype=np.uint64)
    below = np.empty((BLOB_ELEMENTS, 4), dtype=np.uint64)
    prefixes = np.empty((BLOB_ELEMENTS + 1, 4), dtype=np.uint64)
    at = openings.distances(points, factors([z]), one, below, prefixes)
    # prefixes are numbers times R: the inverse of a*R, times R again, is a^-1 R
    whole = int.from_bytes(prefixes[-1].astype("<u8").tobytes(), "little")
    openings.invert_all(below, prefixes, pack([inverse(whole) * (1 << 512) % MODULUS]))
    y = np.zeros((1, 4), dtype=np.uint64)
    total = np.empty((1, 4), dtype=np.uint64)
    if at < 0:
        openings.weighted_sum(elements, y, points, below, room, total)
        share = (pow(z, BLOB_ELEMENTS, MODULUS) - 1) * pow(BLOB_ELEMENTS, -1, MODULUS) % MODULUS
        value = _number(total) * share % MODULUS
        y = pack([value])
    else:
        y[0] = elements[at]
        value = _number(y)
    quotient = np.empty((BLOB_ELEMENTS, 4), dtype=np.uint64)
    openings.quotients(elements, y, below, quotient)
    if at >= 0:
        openings.weighted_sum(elements, y, points, below, room, total)
        quotient[at] = pack([_number(total) * inverse(z) % MODULUS])[0]
    return value, quotient


@cache
def _roots() -> Limbs:
    """Return the roots of unity as a blob's elements lie, times R."""
    root = root_of_unity(BLOB_ELEMENTS)
    powers, power = [], 1
    for _ in range(BLOB_ELEMENTS):
        powers.append(power)
        power = power * root % MODULUS
    return factors([powers[i] for i in bit_reversal(BLOB_ELEMENTS)])


def _read(blob: bytes, space: Workspace) -> Limbs:
    elements = space.elements[: len(blob) // ELEMENT_BYTES]
    position = int(msm.read_elements(np.frombuffer(blob, dtype=np.uint64), elements))
    if position >= 0:
        raise NonCanonicalElement(f"Element {position} is not below the modulus.", position=position)
    return elements


def _number(limbs: Limbs) -> int:
    return int.from_bytes(limbs.astype("<u8").tobytes(), "little")
