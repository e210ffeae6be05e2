"""Blobs: commit, open, verify, byte for byte as in EIP-4844."""

from __future__ import annotations

from collections.abc import Sequence

from qanat.errors import FormatError, NonCanonicalElement
from qanat.field import ELEMENT_BYTES, MODULUS
from qanat.kzg.kernels import commitment_kernel
from qanat.kzg.points import check_compressed
from qanat.kzg.setup import BLOB_BYTES, BLOB_ELEMENTS


def commit(blob: bytes, *, kernel: str = "fast") -> bytes:
    """Return the 48-byte commitment of a blob.

    Source: EIP-4844, ``blob_to_kzg_commitment``. An element not below r raises ``NonCanonicalElement``, a length that
    is no power of two of elements ``FormatError``.
    """
    return commitment_kernel(kernel).commit(_padded(blob))


def open_at(blob: bytes, z: bytes, *, kernel: str = "fast") -> tuple[bytes, bytes]:
    """Return (proof, y): the 48-byte proof that the blob's polynomial takes the 32-byte value y at z.

    Source: EIP-4844, ``compute_kzg_proof``. Errors as :func:`commit`, also for z.
    """
    padded = _padded(blob)
    _check_element(z, "z")
    return commitment_kernel(kernel).open_at(padded, z)


def verify(commitment: bytes, z: bytes, y: bytes, proof: bytes, *, kernel: str = "fast") -> bool:
    """Say whether the polynomial under the commitment takes the value y at z.

    Source: EIP-4844, ``verify_kzg_proof``. Malformed input is no ``False``: it raises ``InvalidPoint``,
    ``NonCanonicalElement`` or ``FormatError``.
    """
    _check_element(z, "z")
    _check_element(y, "y")
    check_compressed(commitment)
    check_compressed(proof)
    return commitment_kernel(kernel).verify(commitment, z, y, proof)


def decompress(commitment: bytes) -> bytes:
    """Return the 96 raw bytes x, y of a 48-byte point.

    One off the curve or outside the subgroup raises ``InvalidPoint``.
    """
    group = commitment_kernel()
    return group.to_raw(group.decompress(commitment))


def decompress_all(commitments: Sequence[bytes]) -> list[bytes]:
    """Return the raw bytes of many points; errors as :func:`decompress`."""
    group = commitment_kernel()
    return [group.to_raw(point) for point in group.decompress_all(commitments)]


def compress(raw: bytes) -> bytes:
    """Return the 48-byte form of 96 raw bytes.

    A point off the curve or outside the subgroup raises ``InvalidPoint``.
    """
    group = commitment_kernel()
    return group.compress(group.from_raw(raw))


def _padded(blob: bytes) -> bytes:
    elements, rest = divmod(len(blob), ELEMENT_BYTES)
    if rest or not 1 <= elements <= BLOB_ELEMENTS or elements & (elements - 1):
        raise FormatError(
            f"A blob has 32 bytes times a power of two up to {BLOB_ELEMENTS}, not {len(blob)} bytes.", length=len(blob)
        )
    return bytes(blob) + bytes(BLOB_BYTES - len(blob))


def _check_element(value: bytes, what: str) -> None:
    if len(value) != ELEMENT_BYTES:
        raise FormatError(f"{what} has {ELEMENT_BYTES} bytes, not {len(value)}.", length=len(value))
    if int.from_bytes(value, "big") >= MODULUS:
        raise NonCanonicalElement(f"{what} is not below the modulus.", value=value)
