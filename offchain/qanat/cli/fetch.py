"""`qanat fetch`: bytes back, by license or by recovery file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.client.download import SourceReport

__all__ = ["COMMAND", "fetch"]


def fetch(
    session: Session,
    *,
    asset: int | None,
    license_id: int | None,
    recovery: Path | None,
    object_id: str | None,
    key_holder: str | None,
    byte_range: str | None,
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
    part = None if byte_range is None else _range(byte_range)
    with stages(session) as progress:
        if recovery is not None:
            done = fetch_recovered(
                recovery, chain=chain, signer=signer, out_path=out, byte_range=part, progress=progress
            )
        elif asset is not None:
            done = fetch_asset(
                asset,
                _license(session, asset) if license_id is None else license_id,
                chain=chain,
                signer=signer,
                out_path=out,
                key_holder=None if key_holder is None else parse_address(key_holder, "operator's address"),
                byte_range=part,
                progress=progress,
            )
        else:
            found = parse_bytes32(object_id or "", "object id")
            done = fetch_object(found, chain=chain, signer=signer, out_path=out, byte_range=part, progress=progress)
    rows = [
        (report.operator, _trouble(report), report.slices, report.last_error)
        for report in done.reports
        if not report.is_faultless
    ]
    what = "" if done.byte_range is None else f"bytes {done.byte_range[0]} to {done.byte_range[1]}, "
    says = [f"Wrote {out}: {what}{format_size(done.size)}, SHA-256 {done.sha256.hex()}, verified against the chain."]
    if not done.decrypted:
        says.append("These are the bytes as they are stored: encrypted, unless the owner stored them plainly.")
    return Outcome(
        done.to_json(),
        says,
        [table("Nodes that fell short", ["operator", "how", "slices", "last"], rows)] if rows else [],
    )


def _range(text: str) -> tuple[int, int | None]:
    """Read START:END, either of which may be missing. Raises :class:`BadParameters`."""
    from qanat.errors import BadParameters

    found = re.fullmatch(r"([0-9]{0,19}):([0-9]{0,19})", text, re.ASCII)
    if found is None:
        raise BadParameters(f"{text!r} is no range.", hint="Say --range START:END in bytes, END not included.")
    return int(found[1] or 0), int(found[2]) if found[2] else None


def _trouble(report: SourceReport) -> str:
    """What a node did wrong, the worst first."""
    counts = {
        "did not answer": report.unreachable,
        "refused": report.refused,
        "withheld": report.withheld,
        "dawdled": report.overtaken,
    }
    found = ["sent false slices"] if report.liar else []
    return ", ".join([*found, *(f"{what} {times}x" for what, times in counts.items() if times)])


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
        click.option(
            "--range",
            "byte_range",
            metavar="START:END",
            help="Bytes to fetch, END not included, either may be left out: only the slices that they touch.",
        ),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write."),
        click.option("--force", is_flag=True, help="Replace the file if it exists."),
    ),
)
