"""What a commitment kernel must do: the group G1 and the KZG scheme of EIP-4844 over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

Point = TypeVar("Point")
"""A kernel's own points of G1, always in the r-order subgroup; the identity is a point like any other."""


class CommitmentKernel(Protocol[Point]):
    """G1 of BLS12-381 and polynomial commitments on Ethereum's set-up.

    Byte forms: 48 compressed (ZCash: 0x80 compressed, 0x40 identity, 0x20 larger y), 96 raw (x then y, big-endian; the
    identity is 96 zero bytes). Blobs are 131,072 bytes here: padding is the callers' business (``qanat.kzg.commit``).
    ``tests/unit/test_kzg.py`` is the conformance test: add an implementation's name there.
    """

    @property
    def name(self) -> str:
        """How the kernel is called."""
        ...

    def identity(self) -> Point:
        """Return the neutral element."""
        ...

    def decompress(self, data: bytes) -> Point:
        """Read 48 bytes; anything but the one encoding of a subgroup point raises ``InvalidPoint``."""
        ...

    def decompress_all(self, data: Sequence[bytes]) -> list[Point]:
        """Read many points of 48 bytes, as :meth:`decompress` does; the first bad one raises ``InvalidPoint``."""
        ...

    def compress(self, point: Point) -> bytes:
        """Write 48 bytes."""
        ...

    def from_raw(self, data: bytes) -> Point:
        """Read 96 bytes; anything but the one encoding of a subgroup point raises ``InvalidPoint``."""
        ...

    def to_raw(self, point: Point) -> bytes:
        """Write 96 bytes."""
        ...

    def add(self, left: Point, right: Point) -> Point:
        """Return the sum."""
        ...

    def negate(self, point: Point) -> Point:
        """Return the opposite point."""
        ...

    def multiply(self, point: Point, scalar: int) -> Point:
        """Return the point times a scalar in [0, r)."""
        ...

    def combine(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        """Return the sum of scalars[i] * points[i]; scalars in [0, r), empty sums are the identity."""
        ...

    def commit(self, blob: bytes) -> bytes:
        """Return the 48-byte commitment of a whole blob (EIP-4844: blob_to_kzg_commitment)."""
        ...

    def open_at(self, blob: bytes, z: bytes) -> tuple[bytes, bytes]:
        """Return (proof, y) of a whole blob at z (EIP-4844: compute_kzg_proof)."""
        ...

    def verify(self, commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
        """Say whether the committed polynomial takes the value y at z (EIP-4844: verify_kzg_proof)."""
        ...
