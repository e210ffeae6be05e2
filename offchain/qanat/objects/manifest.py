"""The manifest: an object's parameters and its slices' commitments, and the root that stands on chain.

Bytes, all numbers big-endian (docs/format.md)::

    "QNTM" | u8 version=1 | u32 w | u32 k | u32 n | u32 M | u64 size | 32 content hash (SHA-256)
           | u32 header length | header | n*M * 48 compressed commitments, slice index = matrix*n + row
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eth_hash.auto import keccak

from qanat.coding.dual import dual_check_points, random_scalar
from qanat.errors import BadParameters, MalformedManifest
from qanat.kzg.kernels import commitment_kernel
from qanat.objects.shape import Shape
from qanat.objects.tree import SliceTree, root_hash

MAGIC = b"QNTM"
VERSION = 1
COMMITMENT_BYTES = 48
MAX_HEADER_BYTES = 1 << 16

_FIXED = struct.Struct(">4sBIIIIQ32sI")
_PARAMS = struct.Struct(">IIIIQ32s32s")


@dataclass(frozen=True)
class Manifest:
    """What an object is.

    :param width: w, elements per slice.
    :param k: data rows, :param n: rows of a matrix, :param matrices: M.
    :param size: stored bytes (of the ciphertext, where the object is encrypted).
    :param content_hash: SHA-256 of those bytes.
    :param header: opaque bytes, at most 64 KiB; an encryption header, for instance.
    :param commitments: n*M compressed points, slice index = matrix*n + row.

    Values that contradict each other raise ``MalformedManifest``. Points are read, with their subgroup checks, when
    they are first needed: by :attr:`root`, :attr:`points` or :meth:`check`.
    """

    width: int
    k: int
    n: int
    matrices: int
    size: int
    content_hash: bytes
    header: bytes
    commitments: tuple[bytes, ...]

    def __post_init__(self) -> None:
        try:
            needed = self.shape.matrices(self.size)
        except BadParameters as error:
            raise MalformedManifest(
                f"A manifest's parameters are out of range. {error.message}", **error.data
            ) from error
        if self.matrices != needed:
            raise MalformedManifest(
                f"{self.size} bytes fill {needed} matrices, the manifest says {self.matrices}.", matrices=self.matrices
            )
        if len(self.content_hash) != 32:
            raise MalformedManifest(f"A content hash has 32 bytes, not {len(self.content_hash)}.")
        if len(self.header) > MAX_HEADER_BYTES:
            raise MalformedManifest(f"A header has at most {MAX_HEADER_BYTES} bytes, not {len(self.header)}.")
        if len(self.commitments) != self.count:
            raise MalformedManifest(f"{len(self.commitments)} commitments for n*M = {self.count} slices.")
        if any(len(commitment) != COMMITMENT_BYTES for commitment in self.commitments):
            raise MalformedManifest(f"A commitment has {COMMITMENT_BYTES} bytes.")

    # -- parameters ----------------------------------------------------------------------------------------------------

    @cached_property
    def shape(self) -> Shape:
        """Width, k and n."""
        return Shape(self.width, self.k, self.n)

    @property
    def count(self) -> int:
        """n*M, the number of slices."""
        return self.n * self.matrices

    @property
    def slice_bytes(self) -> int:
        """Bytes of one slice."""
        return self.shape.slice_bytes

    def place(self, index: int) -> tuple[int, int]:
        """Return (matrix, row) of a slice; an index out of range raises ``BadParameters``."""
        if not 0 <= index < self.count:
            raise BadParameters(f"There is no slice {index}: the object has {self.count}.", index=index)
        return divmod(index, self.n)

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Write the manifest."""
        fixed = _FIXED.pack(
            MAGIC,
            VERSION,
            self.width,
            self.k,
            self.n,
            self.matrices,
            self.size,
            self.content_hash,
            len(self.header),
        )
        return fixed + self.header + b"".join(self.commitments)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest strictly: wrong magic, counts, lengths or trailing bytes raise ``MalformedManifest``."""
        if len(data) < _FIXED.size:
            raise MalformedManifest(f"A manifest has at least {_FIXED.size} bytes, this has {len(data)}.")
        magic, version, width, k, n, matrices, size, content_hash, header_length = _FIXED.unpack_from(data)
        if magic != MAGIC:
            raise MalformedManifest("These bytes are no manifest: they don't begin with QNTM.")
        if version != VERSION:
            raise MalformedManifest(f"A manifest of version {version}: this program reads version {VERSION}.")
        if header_length > MAX_HEADER_BYTES:
            raise MalformedManifest(f"A header has at most {MAX_HEADER_BYTES} bytes, not {header_length}.")
        start = _FIXED.size + header_length
        expected = start + COMMITMENT_BYTES * n * matrices
        if len(data) != expected:
            raise MalformedManifest(f"This manifest should have {expected} bytes and has {len(data)}.")
        commitments = tuple(bytes(data[at : at + COMMITMENT_BYTES]) for at in range(start, expected, COMMITMENT_BYTES))
        return cls(width, k, n, matrices, size, content_hash, bytes(data[_FIXED.size : start]), commitments)

    # -- the root ------------------------------------------------------------------------------------------------------

    @cached_property
    def decoded(self) -> tuple[Any, ...]:
        """The commitments as points of the fast kernel, each checked to be in the subgroup (else ``InvalidPoint``)."""
        group = commitment_kernel()
        return tuple(group.decompress_all(self.commitments))

    @cached_property
    def points(self) -> tuple[bytes, ...]:
        """The commitments as 96 raw bytes x, y."""
        group = commitment_kernel()
        return tuple(group.to_raw(point) for point in self.decoded)

    @cached_property
    def tree(self) -> SliceTree:
        """The Merkle tree over the raw points."""
        return SliceTree(self.points)

    @cached_property
    def params_hash(self) -> bytes:
        """keccak(w, k, n, M as uint32 | size as uint64 | content hash | keccak(header)), packed."""
        packed = _PARAMS.pack(
            self.width, self.k, self.n, self.matrices, self.size, self.content_hash, keccak(self.header)
        )
        return keccak(packed)

    @cached_property
    def root(self) -> bytes:
        """keccak(0x02 | tree root | params hash): what the chain keeps of the object."""
        return root_hash(self.tree.root, self.params_hash)

    def merkle_path(self, index: int) -> list[bytes]:
        """Return the siblings of a slice's leaf, from the leaf up."""
        return self.tree.path(index)

    # -- trust ---------------------------------------------------------------------------------------------------------

    def check(self, root: bytes | None = None, rng: Callable[[], int] = random_scalar) -> None:
        """Check what an operator must before it signs, slices apart.

        Every commitment canonical and in the subgroup (``InvalidPoint``), every matrix an encoding
        (``DualCheckFailed``), the recomputed root equal to the one given (``MalformedManifest``).

        :param rng: the verifier's own randomness.
        """
        dual_check_points(self.decoded, self.k, self.n, rng)
        if root is not None and self.root != root:
            raise MalformedManifest(
                "The manifest's root is not the one on chain.",
                hint="Fetch the manifest again.",
                expected=root,
                got=self.root,
            )
