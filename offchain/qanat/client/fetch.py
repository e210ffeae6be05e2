"""Getting an object or a part of it back: any k verified rows of each matrix, decryption, the data key for licensees.

Nothing that a node says is believed: the manifest must have the root on chain, every slice must open to its
commitment, the restored bytes must have the manifest's hash, the decrypted ones the hash that the owner published.
The output file appears when all of that holds. Of a part neither hash can be told: commitments and tags stand for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_utils.address import is_address, to_checksum_address

from qanat import strict_json
from qanat.chain.connection import Chain
from qanat.chain.sender import Sender
from qanat.chain.signer import Signer
from qanat.chain.views import Views
from qanat.client.download import Downloader, SourceReport
from qanat.client.location import Location
from qanat.client.nodes import NodeClient, connections
from qanat.client.purse import Purse
from qanat.client.reader import ObjectReader
from qanat.client.release import HeldKey, ReleasedKey, force_release, held_key, request_shares
from qanat.errors import (
    BadParameters,
    DecryptionFailed,
    KeyUnavailable,
    NodeRefused,
    NodeUnreachable,
    NotLicensed,
    WrongChain,
    WrongKeyFile,
)
from qanat.keys.encryption import FileDecryption
from qanat.keys.recovery import RecoveryFile
from qanat.keys.seal import SealingKey, seal
from qanat.node.keyholder import key_request
from qanat.node.sealing import key_context
from qanat.objects import Manifest, restore_file
from qanat.objects.decoder import appearing_file
from qanat.records.bundle import split_header

__all__ = [
    "FetchedObject",
    "deposit_key",
    "fetch_asset",
    "fetch_manifest",
    "fetch_object",
    "fetch_recovered",
    "key_holder_of",
    "open_asset",
    "request_key",
]

Progress = Callable[[str, int, int], None]
"""Takes (stage: "fetch"; bytes done; bytes in all)."""

_KEY_REQUEST_SECONDS = 600
#: Beside a whole fetch it costs little to see which holders of the key fall short.
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class FetchedObject:
    """What was fetched. ``sha256``: of the written file. ``liars`` sent false slices; ``unreachable`` gave nothing.

    ``byte_range``: which bytes of the whole, where a part was asked for. ``slices``: used, of each operator;
    ``asked``: how many were asked for in all.
    """

    object_id: bytes
    path: Path
    size: int
    sha256: bytes
    decrypted: bool
    byte_range: tuple[int, int] | None
    asked: int
    slices: dict[str, int]
    liars: tuple[str, ...]
    unreachable: tuple[str, ...]
    reports: tuple[SourceReport, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "objectId": "0x" + self.object_id.hex(),
            "path": str(self.path),
            "size": self.size,
            "sha256": self.sha256.hex(),
            "decrypted": self.decrypted,
            "range": None if self.byte_range is None else list(self.byte_range),
            "slicesAsked": self.asked,
            "slices": dict(self.slices),
            "liars": list(self.liars),
            "unreachable": list(self.unreachable),
            "nodes": [report.to_json() for report in self.reports],
        }


def fetch_object(
    object_id: bytes,
    *,
    chain: Chain,
    signer: Signer | None,
    out_path: str | Path,
    data_key: bytes | None = None,
    expected_sha256: bytes | None = None,
    manifest: Manifest | None = None,
    byte_range: tuple[int, int | None] | None = None,
    progress: Progress | None = None,
    timeout_seconds: float = 900.0,
    purse: Purse | None = None,
) -> FetchedObject:
    """Fetch an object, or a part of it, into a file.

    Args:
        object_id: 32 bytes.
        chain: the connection, with a deployment.
        signer: who asks; nodes serve slices on signed request only.
        out_path: appears only when everything was verified; an existing file is replaced then.
        data_key: opens the object; without it the stored bytes are written as they are, ciphertext where it was
            encrypted.
        expected_sha256: of the decrypted file, where the owner published it.
        manifest: if known; it is checked against the chain all the same.
        byte_range: (first, one after the last or None for the end) of the file, or of the stored bytes without a data
            key: only the slices that it touches are fetched, each checked against its commitment.
        progress: told how far it is.
        timeout_seconds: most time for fetching; a minute for an object whose last epoch is over.
        purse: pays for reads beyond nodes' free shares; without one nothing is paid.

    Raises:
        NotEnoughSlices: with each node's reason.
        DecryptionFailed: wrong key, or not the published file.
        MalformedManifest: no node has a manifest with the root on chain.
        BadParameters: the chain knows no such certified object, or the range is not within it.
    """
    location = Location.of(Views(chain), object_id)
    manifest = location.find_manifest(chain.chain_id) if manifest is None else location.check(manifest)
    tell = progress or (lambda _stage, _done, _all: None)
    target = Path(out_path)
    if byte_range is not None:
        made = ObjectReader(
            location,
            manifest,
            chain_id=chain.chain_id,
            signer=signer,
            data_key=data_key,
            seconds=timeout_seconds,
            purse=purse,
        )
        return _fetch_part(made, byte_range, target, tell, decrypted=data_key is not None)
    _, encryption = split_header(manifest.header)
    hashing = _HashedOutput(None if data_key is None else FileDecryption(data_key, encryption), expected_sha256)
    with Downloader(
        object_id,
        manifest,
        location.holders,
        location.endpoints,
        chain_id=chain.chain_id,
        signer=signer,
        seconds=location.patience(timeout_seconds),
        purse=purse,
        is_over=location.is_over,
    ) as downloader:
        restore_file(
            manifest,
            downloader.slice,
            target,
            inverse=hashing,
            progress=lambda done, all_: tell("fetch", done, all_),
        )
        reports = tuple(downloader.reports.values())
    return _fetched(object_id, target, hashing, reports, None, decrypted=data_key is not None)


def _fetch_part(
    made: ObjectReader, byte_range: tuple[int, int | None], target: Path, tell: Progress, *, decrypted: bool
) -> FetchedObject:
    hashing = _HashedOutput(None, None)
    with made as reader:
        start, end = byte_range[0], reader.size if byte_range[1] is None else byte_range[1]
        chunks = reader.chunks(start, end)
        with appearing_file(target) as write:
            for chunk in hashing.apply(chunks):
                write(chunk)
                tell("fetch", hashing.size, end - start)
        return _fetched(reader.object_id, target, hashing, reader.reports, (start, end), decrypted=decrypted)


def _fetched(
    object_id: bytes,
    target: Path,
    hashing: _HashedOutput,
    reports: tuple[SourceReport, ...],
    byte_range: tuple[int, int] | None,
    *,
    decrypted: bool,
) -> FetchedObject:
    return FetchedObject(
        object_id=object_id,
        path=target,
        size=hashing.size,
        sha256=hashing.digest,
        decrypted=decrypted,
        byte_range=byte_range,
        asked=sum(report.asked for report in reports),
        slices={report.operator: report.slices for report in reports if report.slices},
        liars=tuple(report.operator for report in reports if report.liar),
        unreachable=tuple(report.operator for report in reports if report.unreachable and not report.slices),
        reports=reports,
    )


def fetch_recovered(
    recovery: str | Path, *, chain: Chain, signer: Signer, out_path: str | Path, **options: Any
) -> FetchedObject:
    """Fetch an owner's own object with nothing but its recovery file and Ethereum key.

    ``options`` as :func:`fetch_object`.

    Raises :class:`WrongKeyFile` for another account or a damaged file, :class:`WrongChain`.
    """
    loaded = RecoveryFile.load(recovery)
    if loaded.chain_id != chain.chain_id:
        raise WrongChain(
            f"{recovery} is for chain {loaded.chain_id}; this is chain {chain.chain_id}.",
            hint="Check --network and --rpc.",
            got=chain.chain_id,
            expected=loaded.chain_id,
        )
    objects = chain.contract("Objects").address
    if loaded.contract.lower() != objects.lower():
        raise WrongKeyFile(
            f"{recovery} is for the deployment whose Objects is {loaded.contract}, not {objects}.",
            hint="Check --network and --deployment.",
        )
    data_key = loaded.open(signer)
    digest = loaded.extra.get("sha256", "")
    return fetch_object(
        loaded.object_id,
        chain=chain,
        signer=signer,
        out_path=out_path,
        data_key=data_key,
        expected_sha256=bytes.fromhex(digest) if len(digest) == 64 else None,
        manifest=loaded.manifest,
        **options,
    )


def fetch_asset(
    asset_id: int,
    license_id: int,
    *,
    chain: Chain,
    signer: Signer,
    out_path: str | Path,
    key_holder: str | None = None,
    sender: Sender | None = None,
    on_answers: Callable[[ReleasedKey], None] | None = None,
    **options: Any,
) -> FetchedObject:
    """Fetch what a licensee bought: the data key, the asset's object, decrypted and compared with the published hash.

    The key comes from the holders that the chain drew, or else from ``key_holder``, or from the one that the asset's
    metadata names. ``sender``: forces the release on chain if too few of drawn holders answer. ``on_answers`` is told
    how drawn holders did.
    An asset of several objects is fetched by :func:`request_key` and one :func:`fetch_object` each. Raises
    :class:`NotLicensed`, :class:`KeyUnavailable`, and what :func:`fetch_object` raises.
    """
    views = Views(chain)
    objects = views.asset_objects(asset_id)
    if len(objects) != 1:
        raise BadParameters(f"Asset {asset_id} has {len(objects)} objects.", hint="Fetch them one by one.")
    digest = bytes(chain.call(chain.contract("Assets").functions.contentHashOf(asset_id)))
    data_key = open_asset(
        asset_id,
        license_id,
        chain=chain,
        signer=signer,
        key_holder=key_holder,
        sender=sender,
        on_answers=on_answers,
    )
    return fetch_object(
        objects[0],
        chain=chain,
        signer=signer,
        out_path=out_path,
        data_key=data_key,
        expected_sha256=digest if any(digest) else None,
        **options,
    )


def open_asset(
    asset_id: int,
    license_id: int,
    *,
    chain: Chain,
    signer: Signer,
    key_holder: str | None = None,
    sender: Sender | None = None,
    on_answers: Callable[[ReleasedKey], None] | None = None,
) -> bytes:
    """Return an asset's data key, from whoever holds it; arguments and errors as :func:`fetch_asset`."""
    held = held_key(asset_id, chain=chain) if key_holder is None else None
    if held is None:
        return request_key(asset_id, license_id, chain=chain, signer=signer, key_holder=key_holder)
    released = _from_holders(held, asset_id, license_id, chain, signer, sender)
    if on_answers is not None:
        on_answers(released)
    return released.data_key


def _from_holders(
    held: HeldKey, asset_id: int, license_id: int, chain: Chain, signer: Signer, sender: Sender | None
) -> ReleasedKey:
    try:
        return request_shares(
            asset_id, license_id, chain=chain, signer=signer, held=held, patience_seconds=_PATIENCE_SECONDS
        )
    except KeyUnavailable:
        if sender is None:
            raise
    return force_release(asset_id, license_id, chain=chain, sender=sender, held=held)


def fetch_manifest(object_id: bytes, *, chain: Chain) -> Manifest:
    """Fetch an object's manifest from whichever node has it, checked against the root on chain."""
    return Location.of(Views(chain), object_id).find_manifest(chain.chain_id)


# ---- keys


def key_holder_of(asset_id: int, *, chain: Chain) -> str:
    """Return the operator that the asset's metadata names as key holder.

    Raises :class:`KeyUnavailable` if it names none.
    """
    metadata = str(chain.call(chain.contract("Assets").functions.metadataOf(asset_id)))
    try:
        named = strict_json.parse(metadata).get("keyHolder")
    except (ValueError, AttributeError):
        named = None
    if not is_address(named):
        raise KeyUnavailable(
            f"The metadata of asset {asset_id} names no key holder.", hint="Name one with --key-holder."
        )
    return to_checksum_address(named)


def deposit_key(
    asset_id: int, data_key: bytes, *, chain: Chain, signer: Signer, key_holder: str, timeout_seconds: float = 60.0
) -> None:
    """Give an asset's data key to a key holder, sealed to its sealing key; the signer owns the asset.

    Raises :class:`NodeUnreachable`, :class:`NodeRefused`.
    """
    operator = Views(chain).operator(key_holder)
    context = key_context(chain.chain_id, chain.contract("Licenses").address, asset_id, operator.address)
    sealed = seal(data_key, operator.sealing_key, context)

    async def send(node: NodeClient) -> None:
        await node.put_key(asset_id, sealed)

    asyncio.run(_with_node(chain, operator.address, operator.endpoints, signer, send, timeout_seconds))


def request_key(
    asset_id: int,
    license_id: int,
    *,
    chain: Chain,
    signer: Signer,
    key_holder: str | None = None,
    timeout_seconds: float = 300.0,
) -> bytes:
    """Ask the key holder for an asset's data key: it comes sealed to a key made for this request only.

    ``key_holder``: the operator; by default the one that the asset's metadata names. Raises :class:`NotLicensed` when
    the chain says so, :class:`KeyUnavailable` when the holder is down, has no key, or the license does not become
    final in time.
    """
    holder = to_checksum_address(key_holder) if key_holder else key_holder_of(asset_id, chain=chain)
    operator = Views(chain).operator(holder)
    licenses = chain.contract("Licenses").address
    own = SealingKey.generate()
    deadline = max(int(time.time()), chain.timestamp()) + _KEY_REQUEST_SECONDS
    signature = signer.sign_typed_data(*key_request(chain.chain_id, licenses, license_id, holder, own.public, deadline))
    request = {
        "licenseId": license_id,
        "recipientKey": "0x" + own.public.hex(),
        "deadline": deadline,
        "signature": "0x" + bytes(signature).hex(),
    }
    sealed: list[bytes] = []

    async def ask(node: NodeClient) -> None:
        sealed.append(await node.release_key(asset_id, request))

    try:
        asyncio.run(_with_node(chain, holder, operator.endpoints, signer, ask, timeout_seconds))
    except NodeUnreachable as error:
        raise KeyUnavailable(
            f"The key holder {holder} does not answer: {error.message}",
            hint="Try again when it is up.",
            operator=holder,
        ) from error
    except NodeRefused as error:
        if error.data.get("error") == "NotLicensed" or error.data.get("status") == 403:
            raise NotLicensed(error.message, hint="Buy a license first.", license_id=license_id) from error
        raise KeyUnavailable(error.message, operator=holder, status=error.data.get("status")) from error
    context = key_context(chain.chain_id, licenses, asset_id, signer.address)
    try:
        return own.open(sealed[0], context)
    except DecryptionFailed as error:
        raise KeyUnavailable(
            f"The key holder {holder} sent something that is no sealed key.", operator=holder
        ) from error


async def _with_node(
    chain: Chain,
    operator: str,
    endpoints: tuple[str, ...],
    signer: Signer,
    body: Callable[[NodeClient], Any],
    seconds: float,
) -> None:
    """Run a call to one node, again while it says that it is too early or can't now."""
    deadline = time.monotonic() + seconds
    pause = 0.5
    async with connections(1) as http:
        node = NodeClient(http, operator, endpoints, chain.chain_id, signer)
        while True:
            try:
                await body(node)
            except (NodeUnreachable, NodeRefused) as error:
                passing = isinstance(error, NodeUnreachable) or error.data.get("status") in (425, 429, 503)
                if not passing or time.monotonic() + pause > deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(4.0, 1.5 * pause)
            else:
                return


class _HashedOutput:
    """A decryption, if there is one, and the hash of what it yields, compared at the end."""

    def __init__(self, inner: FileDecryption | None, expected: bytes | None) -> None:
        self._inner = inner
        self._expected = expected if inner is not None else None
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> bytes:
        return self._sha256.digest()

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks if self._inner is None else self._inner.apply(chunks):
            self._sha256.update(chunk)
            self.size += len(chunk)
            yield chunk
        if self._expected is not None and self.digest != self._expected:
            raise DecryptionFailed(
                "What was decrypted is not the file that its owner published.",
                hint="The owner's hash or the owner's data is false.",
                expected=self._expected,
                got=self.digest,
            )
