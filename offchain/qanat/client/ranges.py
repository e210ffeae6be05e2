"""Assets of records: ranges of bundles, fetched from the slices that they touch, each record verified.

Every byte of a record opens to the commitments under its object's root on chain, and its sender signed it for the
bundle's stream. A licensee gets lines of JSON, a record each, with the object and the place where it stands.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qanat.chain.connection import Chain
from qanat.chain.signer import Signer
from qanat.chain.views import Views
from qanat.client.download import SourceReport
from qanat.client.location import Location
from qanat.client.purse import Purse
from qanat.client.reader import ObjectReader
from qanat.errors import BadParameters, DecryptionFailed
from qanat.objects.decoder import appearing_file
from qanat.records import Record, SigningDomain, split_header, verify_record
from qanat.records.reading import read_records

__all__ = ["FetchedRecords", "Range", "digest_of", "fetch_records", "is_encrypted", "ranges_of", "records_in"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Range:
    """Records of a bundle: ``count`` from place ``first`` on."""

    object_id: bytes
    first: int
    count: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"object": "0x" + self.object_id.hex(), "first": self.first, "count": self.count}


@dataclass(frozen=True)
class FetchedRecords:
    """What was fetched. ``sha256``: of the records' bytes one after the other, which the asset's content hash is of.

    ``reports``: what each node did, of one bundle after the other.
    """

    ranges: tuple[Range, ...]
    path: Path
    records: int
    size: int
    sha256: bytes
    decrypted: bool
    reports: tuple[SourceReport, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "ranges": [item.to_json() for item in self.ranges],
            "path": str(self.path),
            "records": self.records,
            "size": self.size,
            "sha256": self.sha256.hex(),
            "decrypted": self.decrypted,
            "slicesAsked": sum(report.asked for report in self.reports),
            "liars": sorted({report.operator for report in self.reports if report.liar}),
            "nodes": [report.to_json() for report in self.reports],
        }


def ranges_of(asset_id: int, *, chain: Chain) -> tuple[Range, ...]:
    """Return the ranges that an asset's newest version consists of; none where it has whole objects."""
    assets = chain.contract("Assets").functions
    content = chain.call(assets.contentOf(asset_id, chain.call(assets.versionCount(asset_id))))
    if content[0]:
        return ()
    return tuple(Range(bytes(item), int(first), int(count)) for item, first, count in content[1])


def is_encrypted(ranges: Iterable[Range], *, chain: Chain) -> bool:
    """Whether any of the bundles is encrypted, so that a key is needed."""
    views = Views(chain)
    ids = {item.object_id for item in ranges}
    manifests = [Location.of(views, object_id).find_manifest(chain.chain_id) for object_id in ids]
    return any(split_header(manifest.header)[1] for manifest in manifests)


def records_in(
    ranges: Iterable[Range],
    *,
    chain: Chain,
    signer: Signer | None,
    data_key: bytes | None = None,
    purse: Purse | None = None,
    reports: list[SourceReport] | None = None,
    seconds: float = 900.0,
) -> Iterator[tuple[Range, int, Record]]:
    """Yield (range, place, record) of ranges of bundles, in their order, each verified.

    ``reports``: takes what each node did. Raises :class:`MalformedBundle` for an object that is no bundle, or whose
    records aren't in order, :class:`RecordNotFound` for places that it lacks, :class:`InvalidSignature`, and what
    :meth:`ObjectReader.chunks` raises.
    """
    contract = str(chain.contract("Objects").address)
    for item in ranges:
        with ObjectReader.of(
            item.object_id, chain=chain, signer=signer, data_key=data_key, purse=purse, seconds=seconds
        ) as reader:
            head, _ = split_header(reader.manifest.header)
            for place, record in enumerate(read_records(reader, item.first, item.count), item.first):
                if head is not None:
                    verify_record(SigningDomain(chain.chain_id, contract, head.stream), record)
                yield item, place, record
            if reports is not None:
                reports.extend(reader.reports)


def digest_of(records: Iterable[tuple[Range, int, Record]]) -> bytes:
    """Return what the content hash of an asset of records is: SHA-256 of their bytes, one after the other."""
    digest = hashlib.sha256()
    for _, _, record in records:
        digest.update(record.to_bytes())
    return digest.digest()


def fetch_records(
    ranges: tuple[Range, ...],
    *,
    chain: Chain,
    signer: Signer | None,
    out_path: str | Path,
    data_key: bytes | None = None,
    expected_sha256: bytes | None = None,
    progress: Progress | None = None,
    purse: Purse | None = None,
    timeout_seconds: float = 900.0,
) -> FetchedRecords:
    """Fetch the records of an asset into a file of JSON lines, which appears when all were verified.

    ``expected_sha256``: of their bytes, as the owner published it; other ones raise :class:`DecryptionFailed`. Errors
    as :func:`records_in`, and :class:`BadParameters` where there are no ranges.
    """
    if not ranges:
        raise BadParameters("The asset has no ranges of records.")
    target, reports = Path(out_path), list[SourceReport]()
    digest, size, done = hashlib.sha256(), 0, 0
    total = sum(item.count for item in ranges)
    with appearing_file(target) as write:
        for item, place, record in records_in(
            ranges,
            chain=chain,
            signer=signer,
            data_key=data_key,
            purse=purse,
            reports=reports,
            seconds=timeout_seconds,
        ):
            line = {"object": "0x" + item.object_id.hex(), "position": place, **record.to_json()}
            write((json.dumps(line, separators=(",", ":")) + "\n").encode())
            raw = record.to_bytes()
            digest.update(raw)
            size, done = size + len(raw), done + 1
            if progress is not None:
                progress("fetch", done, total)
        if expected_sha256 is not None and digest.digest() != expected_sha256:
            raise DecryptionFailed(
                "These are not the records that the asset's owner published.",
                hint="The owner's hash or the owner's ranges are false.",
                expected=expected_sha256,
                got=digest.digest(),
            )
    return FetchedRecords(ranges, target, done, size, digest.digest(), data_key is not None, tuple(reports))
