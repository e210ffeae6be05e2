"""`qanat fetch`: bytes back, by license or by recovery file."""

from __future__ import annotations

from pathlib import Path

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

__all__ = ["COMMAND", "fetch"]


def fetch(
    session: Session,
    *,
    asset: int | None,
    license_id: int | None,
    recovery: Path | None,
    object_id: str | None,
    key_holder: str | None,
    out: Path,
    force: bool,
) -> Outcome:
    """Fetch an asset as its licensee, a file as its owner, or an object's stored bytes as anybody."""
    from qanat.cli.amounts import format_size, parse_address, parse_bytes32
    from qanat.cli.store import stages
    from qanat.client.fetch import fetch_asset, fetch_object, fetch_recovered
    from qanat.errors import BadParameters, FileUnreadable

    if sum(item is not None for item in (asset, recovery, object_id)) != 1:
        raise BadParameters("Give one of --asset, --recovery and --object.")
    if out.exists() and not force:
        raise FileUnreadable(f"{out} exists.", hint="Choose another name, or say --force.", path=str(out))
    chain, signer = session.chain, session.signer
    with stages(session) as progress:
        if recovery is not None:
            done = fetch_recovered(recovery, chain=chain, signer=signer, out_path=out, progress=progress)
        elif asset is not None:
            done = fetch_asset(
                asset,
                _license(session, asset) if license_id is None else license_id,
                chain=chain,
                signer=signer,
                out_path=out,
                key_holder=None if key_holder is None else parse_address(key_holder, "operator's address"),
                progress=progress,
            )
        else:
            found = parse_bytes32(object_id or "", "object id")
            done = fetch_object(found, chain=chain, signer=signer, out_path=out, progress=progress)
    rows = [(operator, "sent false slices") for operator in done.liars]
    rows += [(operator, "gave nothing") for operator in done.unreachable]
    says = [f"Wrote {out}: {format_size(done.size)}, SHA-256 {done.sha256.hex()}, verified against the chain."]
    if not done.decrypted:
        says.append("These are the bytes as they are stored: encrypted, unless the owner stored them plainly.")
    return Outcome(done.to_json(), says, [table("Operators of no use", ["operator", "why"], rows)] if rows else [])


def _license(session: Session, asset: int) -> int:
    """A license of the account that is in force, the longest first."""
    from qanat.errors import NotLicensed

    index = session.synced_index()
    now = session.chain.timestamp()
    mine = [
        item for item in index.licenses(licensee=session.address, asset_id=asset) if not item.revoked and item.end > now
    ]
    if not mine:
        raise NotLicensed(
            f"{session.address} holds no license of asset {asset} that is in force.",
            hint="Buy one with `qanat license`.",
            asset=asset,
        )
    return max(mine, key=lambda item: item.end).license_id


COMMAND = Command(
    name="fetch",
    run=fetch,
    summary="Fetch data: an asset with a license, your own file with its recovery file, or an object's stored bytes.",
    details="The file appears under its name only when every byte was verified.",
    example="--asset 1 --out photos.tar",
    parameters=(
        click.option("--asset", type=click.IntRange(min=1), help="Asset of which the account holds a license."),
        click.option(
            "--license",
            "license_id",
            type=click.IntRange(min=0),
            help="Which license.  [default: the account's longest]",
        ),
        click.option(
            "--recovery",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Recovery file; the account must be its owner's.",
        ),
        click.option("--object", "object_id", help="Object whose stored (usually encrypted) bytes to fetch."),
        click.option("--key-holder", help="Operator to ask for the data key.  [default: the one that the asset names]"),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write."),
        click.option("--force", is_flag=True, help="Replace the file if it exists."),
    ),
)
