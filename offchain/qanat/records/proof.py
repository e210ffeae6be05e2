"""That a record is in an object: from the record to the manifest's root, which stands on chain.

::

    record ─ leaf, path ─▶ tree root ─ head ─▶ manifest's header ─ keccak ─▶ params hash ─ slices' tree root ─▶ root

Who has the root from the chain (``Objects.record(id).manifestRoot`` of a certified object) needs nothing else: no node,
no manifest, no trust in who made the proof. Bytes: docs/format.md, "Record proofs".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_hash.auto import keccak

from qanat.errors import InvalidProof
from qanat.objects.manifest import MAX_HEADER_BYTES, Manifest
from qanat.objects.tree import root_hash
from qanat.records.bundle import BundleHead, split_header
from qanat.records.record import Record, SigningDomain, verify_record
from qanat.records.tree import root_from_path

if TYPE_CHECKING:
    from qanat.records.bundle import Bundle

__all__ = ["ObjectFrame", "RecordProof"]

MAGIC = b"QNTP"
VERSION = 1

_FRAME = struct.Struct(">IIIIQ32s32sI")
_HEAD = struct.Struct(">4sBIBI")
_PARAMS = struct.Struct(">IIIIQ32s32s")


@dataclass(frozen=True)
class ObjectFrame:
    """What a manifest's root is made of, the commitments replaced by the root of their tree."""

    width: int
    k: int
    n: int
    matrices: int
    size: int
    content_hash: bytes
    tree_root: bytes
    header: bytes

    @classmethod
    def of(cls, manifest: Manifest) -> ObjectFrame:
        """Return a manifest's."""
        return cls(
            manifest.width,
            manifest.k,
            manifest.n,
            manifest.matrices,
            manifest.size,
            manifest.content_hash,
            manifest.tree.root,
            manifest.header,
        )

    @property
    def root(self) -> bytes:
        """The manifest's root."""
        packed = _PARAMS.pack(
            self.width, self.k, self.n, self.matrices, self.size, self.content_hash, keccak(self.header)
        )
        return root_hash(self.tree_root, keccak(packed))

    @classmethod
    def from_bytes(cls, data: bytes) -> ObjectFrame:
        """Read a frame strictly: a wrong length raises :class:`InvalidProof`."""
        if len(data) < _FRAME.size:
            raise InvalidProof("The record proof is cut short.")
        width, k, n, matrices, size, content_hash, tree_root, header_length = _FRAME.unpack_from(data)
        header = bytes(data[_FRAME.size :])
        if header_length > MAX_HEADER_BYTES or len(header) != header_length:
            raise InvalidProof(f"The header should have {header_length} bytes and has {len(header)}.")
        return cls(width, k, n, matrices, size, content_hash, tree_root, header)

    def to_bytes(self) -> bytes:
        """Write the frame."""
        return (
            _FRAME.pack(
                self.width,
                self.k,
                self.n,
                self.matrices,
                self.size,
                self.content_hash,
                self.tree_root,
                len(self.header),
            )
            + self.header
        )


@dataclass(frozen=True)
class RecordProof:
    """A record, its position, the siblings on its way up, and the frame of the object that it is in."""

    record: bytes
    position: int
    path: tuple[bytes, ...]
    frame: ObjectFrame

    @classmethod
    def of(cls, bundle: Bundle, position: int, frame: ObjectFrame) -> RecordProof:
        """Prove a record of a bundle. Raises :class:`RecordNotFound`, and :class:`InvalidProof` for another's frame."""
        head, _ = split_header(frame.header)
        if head != bundle.head:
            raise InvalidProof("The object is not of this bundle.")
        return cls(bundle.record_bytes(position), position, bundle.tree.path(position), frame)

    @classmethod
    def each_of(cls, bundle: Bundle, frame: ObjectFrame) -> Iterator[bytes]:
        """Yield the bytes of every record's proof, in their order: ten times as fast as one by one.

        Raises :class:`InvalidProof` for another bundle's frame.
        """
        head, _ = split_header(frame.header)
        if head != bundle.head:
            raise InvalidProof("The object is not of this bundle.")
        end, levels = frame.to_bytes(), bundle.tree.padded_levels()
        for position, record in enumerate(bundle.records):
            begin = _HEAD.pack(MAGIC, VERSION, position, len(levels), len(record))
            path = [
                level[at : at + 32] for height, level in enumerate(levels) for at in (32 * ((position >> height) ^ 1),)
            ]
            yield b"".join([begin, *path, record, end])

    def verify(self, manifest_root: bytes, domain: SigningDomain | None = None) -> Record:
        """Return the record if it is in the object with this root on chain; else raise :class:`InvalidProof`.

        :param domain: chain, contract and stream for which the sender must have signed it: another stream raises
            :class:`InvalidProof`, a false signature :class:`InvalidSignature`.
        """
        head = self.head
        if self.frame.root != manifest_root:
            raise InvalidProof(
                "The proof is of an object with another root.", expected=manifest_root, got=self.frame.root
            )
        found = root_from_path(head.count, self.position, self.record, self.path)
        if found != head.tree_root:
            raise InvalidProof(f"The record is not record {self.position} of the bundle.", position=self.position)
        record = Record.from_bytes(self.record)
        if domain is not None:
            if domain.stream != head.stream:
                raise InvalidProof("The bundle is of another stream.", expected=domain.stream, got=head.stream)
            verify_record(domain, record)
        return record

    @property
    def head(self) -> BundleHead:
        """The bundle's head. Raises :class:`InvalidProof` where the object is no bundle."""
        head, _ = split_header(self.frame.header)
        if head is None:
            raise InvalidProof("The object is no bundle.")
        return head

    def to_bytes(self) -> bytes:
        """Write the proof."""
        return b"".join(
            [
                _HEAD.pack(MAGIC, VERSION, self.position, len(self.path), len(self.record)),
                *self.path,
                self.record,
                self.frame.to_bytes(),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> RecordProof:
        """Read a proof strictly: other magic, version or lengths, or trailing bytes, raise :class:`InvalidProof`."""
        if len(data) < _HEAD.size:
            raise InvalidProof(f"A record proof has at least {_HEAD.size} bytes, this has {len(data)}.")
        magic, version, position, depth, length = _HEAD.unpack_from(data)
        if magic != MAGIC or version != VERSION or depth > 32:
            raise InvalidProof("These bytes are no record proof that this program knows.")
        record_at = _HEAD.size + 32 * depth
        frame_at = record_at + length
        frame = ObjectFrame.from_bytes(data[frame_at:])
        path = tuple(bytes(data[at : at + 32]) for at in range(_HEAD.size, record_at, 32))
        return cls(bytes(data[record_at:frame_at]), position, path, frame)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values: the record in parts, and the whole proof in hexadecimal."""
        return {
            "record": Record.from_bytes(self.record).to_json(),
            "position": self.position,
            "count": self.head.count,
            "manifestRoot": "0x" + self.frame.root.hex(),
            "proof": "0x" + self.to_bytes().hex(),
        }
