"""Parts of an object: only the slices that a range touches are asked for, each checked against its commitment.

A range of an encrypted object is that of the file: the chunks of ciphertext around it are read and opened whole, each
bound to its place by its nonce and tag. What is yielded is right, byte by byte: nothing waits for the whole object's
hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qanat.chain.connection import Chain
from qanat.chain.views import Views
from qanat.client.download import Downloader, SourceReport
from qanat.client.location import Location
from qanat.client.purse import Purse
from qanat.errors import BadParameters
from qanat.keys.encryption import FileDecryption
from qanat.node.requests import TextSigner
from qanat.objects import Manifest
from qanat.objects.encoder import row_payloads
from qanat.records.bundle import split_header

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ObjectReader", "read_range", "touched_slices"]


def touched_slices(manifest: Manifest, start: int, end: int) -> list[int]:
    """Return the data slices that hold the stored bytes [start, end), in order.

    A range outside of the object raises :class:`BadParameters`.
    """
    if not 0 <= start <= end <= manifest.size:
        raise BadParameters(f"Bytes {start} to {end} are not within an object of {manifest.size}.", size=manifest.size)
    if start == end:
        return []
    step = manifest.shape.row_payload
    rows = range(start // step, -(-end // step))
    return [row // manifest.k * manifest.n + row % manifest.k for row in rows]


class ObjectReader:
    """Reads parts of one object, as often as one likes. Use as a context manager.

    ``seconds``: most time for one read. ``purse``: pays for reads beyond nodes' free shares.
    """

    def __init__(
        self,
        location: Location,
        manifest: Manifest,
        *,
        chain_id: int,
        signer: TextSigner | None,
        data_key: bytes | None = None,
        seconds: float = 900.0,
        purse: Purse | None = None,
    ) -> None:
        self.object_id = location.object_id
        self.manifest = manifest
        _, encryption = split_header(manifest.header)
        self._decryption = None if data_key is None else FileDecryption(data_key, encryption)
        self._seconds = location.patience(seconds)
        self._downloader = Downloader(
            location.object_id,
            manifest,
            location.holders,
            location.endpoints,
            chain_id=chain_id,
            signer=signer,
            seconds=self._seconds,
            purse=purse,
            is_over=location.is_over,
        )

    @classmethod
    def of(
        cls,
        object_id: bytes,
        *,
        chain: Chain,
        signer: TextSigner | None,
        data_key: bytes | None = None,
        manifest: Manifest | None = None,
        seconds: float = 900.0,
        purse: Purse | None = None,
    ) -> Self:
        """Look an object up on the chain and make its reader; arguments and errors as ``fetch_object``."""
        location = Location.of(Views(chain), object_id)
        known = location.find_manifest(chain.chain_id) if manifest is None else location.check(manifest)
        return cls(
            location,
            known,
            chain_id=chain.chain_id,
            signer=signer,
            data_key=data_key,
            seconds=seconds,
            purse=purse,
        )

    def __enter__(self) -> Self:
        self._downloader.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._downloader.__exit__(*exception)

    @property
    def size(self) -> int:
        """Bytes of the file; without a data key those that are stored."""
        return self.manifest.size if self._decryption is None else self._decryption.plain_size(self.manifest.size)

    @property
    def reports(self) -> tuple[SourceReport, ...]:
        """What each node did so far."""
        return tuple(self._downloader.reports.values())

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end); errors as :meth:`chunks`."""
        return b"".join(self.chunks(start, end))

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [start, end), a bounded number of slices ahead.

        Raises :class:`BadParameters` for a range outside of the object, :class:`NotEnoughSlices`,
        :class:`DecryptionFailed`.
        """
        if self._decryption is None:
            return self._stored(start, end)
        stored = self.manifest.size
        first, last = self._decryption.stored_range(start, end, stored)
        return self._decryption.apply_range(self._stored(first, last), start, end, stored)

    def _stored(self, start: int, end: int) -> Iterator[bytes]:
        indexes = touched_slices(self.manifest, start, end)
        self._downloader.allow(self._seconds)
        return self._trimmed(indexes, start, end)

    def _trimmed(self, indexes: list[int], start: int, end: int) -> Iterator[bytes]:
        step = self.manifest.shape.row_payload
        at = start // step * step
        for data in self._downloader.pieces(indexes):
            yield row_payloads([data])[max(0, start - at) : end - at]
            at += step


def read_range(
    object_id: bytes,
    start: int,
    end: int,
    *,
    chain: Chain,
    signer: TextSigner | None,
    data_key: bytes | None = None,
    manifest: Manifest | None = None,
    seconds: float = 900.0,
    purse: Purse | None = None,
) -> bytes:
    """Return the bytes [start, end) of an object: of the file with a data key, without one as they are stored.

    For many reads keep an :class:`ObjectReader`. Errors as :meth:`ObjectReader.of` and :meth:`ObjectReader.chunks`.
    """
    with ObjectReader.of(
        object_id,
        chain=chain,
        signer=signer,
        data_key=data_key,
        manifest=manifest,
        seconds=seconds,
        purse=purse,
    ) as reader:
        return reader.read(start, end)
