"""`qanat record`: one record of a bundle, read, proven, or its proof checked against the chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.paying import PAY_OPTIONS
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.client.purse import Purse
    from qanat.records import RecordProof

__all__ = ["COMMAND", "record"]


def record(
    session: Session,
    *,
    object_id: str,
    sender: str | None,
    nonce: int | None,
    position: int | None,
    bundle: Path | None,
    proof: Path | None,
    out: Path | None,
    pay: str | None,
    token: str | None,
    max_price_per_mib: str | None,
) -> Outcome:
    """Read or prove a record of a certified bundle, or check a proof, against the object's root on chain."""
    from qanat.chain.views import ObjectStatus
    from qanat.cli.amounts import parse_bytes32
    from qanat.cli.paying import bill, open_purse
    from qanat.client.job import write_durably
    from qanat.errors import BadParameters
    from qanat.records import SigningDomain

    found = parse_bytes32(object_id, "object id")
    chain = session.chain
    held = session.views.object(found)
    if held.status is not ObjectStatus.CERTIFIED:
        raise BadParameters(
            f"Object 0x{found.hex()} is {held.status.name.lower()}, not certified.",
            hint="Check the id and --network; records can be read from certified bundles.",
        )
    if proof is None and (position is None) == (sender is None or nonce is None):
        raise BadParameters("Give --position, or --sender and --nonce.")
    with open_purse(session, pay, token, max_price_per_mib) as purse:
        if proof is None and bundle is None and out is None:
            return _read(session, found, sender, nonce, position, purse)
        if proof is not None:
            made = _read_proof(proof)
        else:
            made = _prove(session, found, sender, nonce, position, bundle, purse)
    domain = SigningDomain(chain.chain_id, str(chain.contract("Objects").address), made.head.stream)
    proven = made.verify(held.manifest_root, domain)
    if out is not None:
        write_durably(out, made.to_bytes(), mode=0o644)
    paid, more, tables = bill(session, purse)
    data = {"objectId": "0x" + found.hex(), "stream": "0x" + made.head.stream.hex(), **made.to_json(), **paid}
    says = [
        f"Record {proven.nonce} of 0x{proven.sender.hex()} is record {made.position} of {made.head.count}.",
        f"It is in object 0x{found.hex()}, certified on chain, and signed by its sender.",
        f"{len(proven.payload)} bytes: 0x{proven.payload[:64].hex()}" + ("…" if len(proven.payload) > 64 else ""),
    ]
    if out is not None:
        says.append(f"Wrote {out}: who has it needs nothing but the object's root on chain.")
    return Outcome(data, [*says, *more], tables)


def _read(
    session: Session,
    object_id: bytes,
    sender: str | None,
    nonce: int | None,
    position: int | None,
    purse: Purse | None,
) -> Outcome:
    """Read a record of the object's data, from the slices that it touches."""
    from qanat.cli.amounts import parse_address
    from qanat.cli.paying import bill
    from qanat.client.reader import ObjectReader
    from qanat.records import SigningDomain, verify_record
    from qanat.records.reading import open_bundle

    chain = session.chain
    signer = session.signer if session.has_account else None
    with ObjectReader.of(object_id, chain=chain, signer=signer, purse=purse) as reader:
        bundle = open_bundle(reader)
        if position is None:
            position = bundle.find(bytes.fromhex(parse_address(sender or "", "sender")[2:]), nonce or 0)
        found = bundle.record(position)
    verify_record(SigningDomain(chain.chain_id, str(chain.contract("Objects").address), bundle.head.stream), found)
    paid, more, tables = bill(session, purse)
    data = {
        "objectId": "0x" + object_id.hex(),
        "stream": "0x" + bundle.head.stream.hex(),
        "record": found.to_json(),
        "position": position,
        "count": len(bundle),
        "manifestRoot": "0x" + reader.manifest.root.hex(),
        "proof": None,
        **paid,
    }
    says = [
        f"Record {found.nonce} of 0x{found.sender.hex()} is record {position} of {len(bundle)}.",
        "Its bytes open to the commitments under the object's root on chain, and its sender signed it.",
        f"{len(found.payload)} bytes: 0x{found.payload[:64].hex()}" + ("…" if len(found.payload) > 64 else ""),
    ]
    return Outcome(data, [*says, *more], tables)


def _prove(
    session: Session,
    object_id: bytes,
    sender: str | None,
    nonce: int | None,
    position: int | None,
    file: Path | None,
    purse: Purse | None,
) -> RecordProof:
    """Prove from a bundle's file, or from the object, fetched whole: the tree is over all its records."""
    import tempfile

    from qanat.cli.amounts import parse_address
    from qanat.client.fetch import fetch_manifest, fetch_object
    from qanat.records import Bundle, ObjectFrame, RecordProof

    manifest = fetch_manifest(object_id, chain=session.chain)
    if file is not None:
        bundle = Bundle.load(file)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bundle"
            signer = session.signer if session.has_account else None
            fetch_object(object_id, chain=session.chain, signer=signer, out_path=path, manifest=manifest, purse=purse)
            bundle = Bundle.load(path)
    bundle.check()
    if position is None:
        address = bytes.fromhex(parse_address(sender or "", "sender")[2:])
        position = bundle.find(address, nonce or 0)
    return RecordProof.of(bundle, position, ObjectFrame.of(manifest))


def _read_proof(path: Path) -> RecordProof:
    from qanat.errors import FileUnreadable
    from qanat.records import RecordProof

    try:
        return RecordProof.from_bytes(path.read_bytes())
    except OSError as error:
        raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error


COMMAND = Command(
    name="record",
    run=record,
    summary="Read or prove a record of a certified bundle, or check a proof, against the chain.",
    details="Without --out only the slices that the record touches are fetched; a proof is made of the whole bundle.",
    example="--object 0x… --sender 0x… --nonce 7 --out record.proof",
    account="maybe",
    parameters=(
        click.option("--object", "object_id", required=True, help="Object that is a bundle."),
        click.option("--sender", help="Who signed the record."),
        click.option("--nonce", type=click.IntRange(0, (1 << 64) - 1), help="The sender's number of it."),
        click.option("--position", type=click.IntRange(min=0), help="Its place in the bundle instead."),
        click.option(
            "--bundle",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The bundle's file.  [default: fetched from the nodes]",
        ),
        click.option(
            "--proof", type=click.Path(path_type=Path, dir_okay=False), help="Check this proof instead of making one."
        ),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the proof to this file."),
        *PAY_OPTIONS,
    ),
)
