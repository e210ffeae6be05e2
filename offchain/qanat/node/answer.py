"""The response to a draw, made from manifests and slices.

::

    response = build_response(shard, epoch, operator, reads, context, manifest_of=..., slice_of=...)
    sender.send(audits.functions.respond(response.as_tuple()))

Nothing is answered from data that was not checked: the opening that is sent was verified against the commitments, as
the chain will.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qanat.chain.draws import Read, Void, fold_weights, opening_point, transcript_hash
from qanat.errors import SliceMismatch

__all__ = ["AnswerManifest", "ReadWitness", "Response", "build_response"]

_ELEMENT_BYTES = 32


class AnswerManifest(Protocol):
    """What of a manifest an answer needs (``qanat.objects.Manifest`` is one)."""

    @property
    def commitments(self) -> Sequence[bytes]:
        """48-byte commitments by slice index."""
        ...

    @property
    def params_hash(self) -> bytes:
        """Hash of the parameters (docs/protocol.md)."""
        ...

    def merkle_path(self, index: int) -> list[bytes]:
        """Siblings of a slice's leaf, from the leaf's up."""
        ...


@dataclass(frozen=True)
class ReadWitness:
    """What is shown for one position; see ``ReadWitness`` in ``contracts/types/Types.sol``."""

    index: int
    params_hash: bytes
    point: bytes
    path: tuple[bytes, ...]
    non_signers: tuple[int, ...]

    def as_tuple(self) -> tuple[Any, ...]:
        """The values in the order of the contract's struct."""
        return (self.index, self.params_hash, self.point, list(self.path), list(self.non_signers))


@dataclass(frozen=True)
class Response:
    """An answer to a draw. ``y``: the fold's value at z; ``proof``: 48 bytes; both 0 and empty if nothing was live."""

    shard: int
    epoch: int
    operator: str
    y: int
    proof: bytes
    reads: tuple[ReadWitness, ...]

    def as_tuple(self) -> tuple[Any, ...]:
        """The values in the order of the contract's struct."""
        reads = [witness.as_tuple() for witness in self.reads]
        return (self.shard, self.epoch, self.operator, self.y, self.proof, reads)


def build_response(
    shard: int,
    epoch: int,
    operator: str,
    reads: Sequence[Read],
    context: bytes,
    *,
    manifest_of: Callable[[bytes], AnswerManifest],
    slice_of: Callable[[bytes, int], bytes],
) -> Response:
    """Return the response to the positions that :func:`qanat.chain.draws.follow` named.

    :param manifest_of: object id → manifest, checked against the root on chain.
    :param slice_of: object id, slice index → the 32·w bytes as stored; its errors (a slice lost, damaged) pass through.

    Raises ``SliceMismatch`` naming the slices that do not open to their commitments: then there is no answer to send.
    """
    from qanat import kzg

    live = [read for read in reads if read.void is None]
    points = [kzg.decompress(manifest_of(read.object_id).commitments[read.slice]) for read in live]
    witnesses = _witnesses(reads, points, manifest_of)
    if not live:
        return Response(shard, epoch, operator, 0, b"", witnesses)

    bound = transcript_hash((read.object_id, read.slice, point) for read, point in zip(live, points, strict=True))
    point_z = opening_point(context, bound).to_bytes(_ELEMENT_BYTES, "big")
    weights = fold_weights(context, bound, len(live))
    slices = [slice_of(read.object_id, read.slice) for read in live]
    commitments = [bytes(manifest_of(read.object_id).commitments[read.slice]) for read in live]
    proof, value = _open(slices, commitments, weights, point_z, live)
    return Response(shard, epoch, operator, int.from_bytes(value, "big"), proof, witnesses)


def _open(
    slices: Sequence[bytes], commitments: Sequence[bytes], weights: Sequence[int], point: bytes, live: Sequence[Read]
) -> tuple[bytes, bytes]:
    """Open the weighted sum of the slices, and check the opening as the chain will."""
    from qanat import kzg
    from qanat.kzg.folding import bad_slices, fold_commitments, fold_slices

    # Slices of narrower objects are blobs whose other elements are zero: the fold is as wide as the widest.
    width = max(len(part) for part in slices)
    padded = [part.ljust(width, b"\0") for part in slices]
    proof, value = kzg.open_at(fold_slices(padded, weights), point)
    if kzg.verify(fold_commitments(commitments, weights), point, value, proof):
        return proof, value
    bad = [f"0x{live[number].object_id.hex()}/{live[number].slice}" for number in bad_slices(padded, commitments)]
    raise SliceMismatch(
        f"{len(bad)} drawn slices do not open to their commitments: {', '.join(bad)}.",
        hint="Fetch them from other operators before the deadline.",
        slices=bad,
    )


def _witnesses(
    reads: Sequence[Read], points: Sequence[bytes], manifest_of: Callable[[bytes], AnswerManifest]
) -> tuple[ReadWitness, ...]:
    remaining = iter(points)
    witnesses = []
    for read in reads:
        if read.void is not None:
            absent = read.non_signers if read.void is Void.UNSIGNED else ()
            witnesses.append(ReadWitness(read.listed.index, bytes(32), b"", (), absent))
            continue
        manifest = manifest_of(read.object_id)
        path = tuple(bytes(node) for node in manifest.merkle_path(read.slice))
        witnesses.append(
            ReadWitness(read.listed.index, bytes(manifest.params_hash), next(remaining), path, read.non_signers)
        )
    return tuple(witnesses)
