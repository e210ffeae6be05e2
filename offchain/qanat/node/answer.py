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

from qanat.chain.draws import Read, fold_weights, opening_point, transcript_hash
from qanat.errors import SliceMismatch

__all__ = ["AnswerManifest", "ReadWitness", "Response", "build_response", "levels_to_show"]

_ELEMENT_BYTES = 32
_READ_BYTES = 2


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
    """What is shown for one position; of a void one only who did not sign. ``path``: see :func:`levels_to_show`."""

    object_id: bytes
    params_hash: bytes
    point: bytes
    path: tuple[bytes, ...]
    non_signers: tuple[int, ...]

    @property
    def subject(self) -> tuple[bytes, bytes, tuple[int, ...]]:
        """What is shown once for all positions of an object."""
        return (self.object_id, self.params_hash, self.non_signers)


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
        """The values in the order of the contract's struct: objects once each, then what differs from read to read."""
        subjects = list(dict.fromkeys(witness.subject for witness in self.reads))
        absent = [b"".join(index.to_bytes(_READ_BYTES, "big") for index in indexes) for _, _, indexes in subjects]
        return (
            self.shard,
            self.epoch,
            self.operator,
            self.y,
            self.proof,
            [(object_id, params_hash) for object_id, params_hash, _ in subjects],
            absent if any(absent) else [],
            b"".join(subjects.index(witness.subject).to_bytes(_READ_BYTES, "big") for witness in self.reads),
            b"".join(witness.point for witness in self.reads),
            [node for witness in self.reads for node in witness.path],
        )


def levels_to_show(index: int, before: int | None, path: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the siblings that a slice must show where slice ``before`` (None: none) of its object was shown last.

    They are those below the level at which both paths meet: what lies above is known.
    """
    return tuple(path if before is None else path[: max((index ^ before).bit_length() - 1, 0)])


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
    opened = {read.object_id for read in reads if read.void is None}
    shown: dict[tuple[bytes, tuple[int, ...]], int] = {}
    witnesses = []
    for read in reads:
        object_id = read.object_id
        params_hash = bytes(manifest_of(object_id).params_hash) if object_id in opened else bytes(32)
        if read.void is not None:
            witnesses.append(ReadWitness(object_id, params_hash, b"", (), read.non_signers))
            continue
        nodes = [bytes(node) for node in manifest_of(object_id).merkle_path(read.slice)]
        # an object that was listed anew is void in one list and live in another: shown twice
        key = (object_id, read.non_signers)
        path = levels_to_show(read.slice, shown.get(key), nodes)
        shown[key] = read.slice
        witnesses.append(ReadWitness(object_id, params_hash, next(remaining), path, read.non_signers))
    return tuple(witnesses)
