"""`qanat fetch`: bytes back, by license or by recovery file."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.paying import PAY_OPTIONS
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qanat.client.download import SourceReport
    from qanat.client.ranges import Range
    from qanat.client.release import ReleasedKey

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
    force_release: bool,
    pay: str | None,
    token: str | None,
    max_price_per_mib: str | None,
) -> Outcome:
    """Fetch an asset as its licensee, a file as its owner, or an object's stored bytes as anybody."""
    from qanat.cli.access import keep_answers
    from qanat.cli.amounts import format_size, parse_address, parse_bytes32
    from qanat.cli.paying import bill, open_purse
    from qanat.cli.store import stages
    from qanat.client.fetch import fetch_asset, fetch_object, fetch_recovered
    from qanat.client.ranges import ranges_of
    from qanat.errors import BadParameters, FileUnreadable

    if sum(item is not None for item in (asset, recovery, object_id)) != 1:
        raise BadParameters("Give one of --asset, --recovery and --object.")
    if out.exists() and not force:
        raise FileUnreadable(f"{out} exists.", hint="Choose another name, or say --force.", path=str(out))
    ranges = ranges_of(asset, chain=session.chain) if asset is not None else ()
    if ranges:
        return _records(
            session, asset or 0, ranges, license_id, key_holder, byte_range, out, pay, token, max_price_per_mib
        )
    chain, signer = session.chain, session.signer
    part = None if byte_range is None else _range(byte_range)
    if force_release:
        _confirm_force(session, asset)
    released: list[ReleasedKey] = []
    with open_purse(session, pay, token, max_price_per_mib) as purse, stages(session) as progress:
        if recovery is not None:
            done = fetch_recovered(
                recovery,
                chain=chain,
                signer=signer,
                out_path=out,
                byte_range=part,
                progress=progress,
                purse=purse,
            )
        elif asset is not None:
            done = fetch_asset(
                asset,
                _license(session, asset) if license_id is None else license_id,
                chain=chain,
                signer=signer,
                out_path=out,
                key_holder=None if key_holder is None else parse_address(key_holder, "operator's address"),
                sender=session.sender if force_release else None,
                on_answers=released.append,
                byte_range=part,
                progress=progress,
                purse=purse,
            )
        else:
            found = parse_bytes32(object_id or "", "object id")
            done = fetch_object(
                found, chain=chain, signer=signer, out_path=out, byte_range=part, progress=progress, purse=purse
            )
    if released:
        keep_answers(session, released, session.views.keys().address)
    rows = _fell_short(done.reports)
    what = "" if done.byte_range is None else f"bytes {done.byte_range[0]} to {done.byte_range[1]}, "
    says = [f"Wrote {out}: {what}{format_size(done.size)}, SHA-256 {done.sha256.hex()}, verified against the chain."]
    if not done.decrypted:
        says.append("These are the bytes as they are stored: encrypted, unless the owner stored them plainly.")
    answers = [answer for key in released for answer in key.answers]
    short = [(a.operator, a.state, f"{a.seconds:.3f}", a.error) for a in answers if a.state not in ("right", "slow")]
    tables = (
        [table("Holders of the key that fell short", ["operator", "how", "seconds", "why"], short)] if short else []
    )
    tables += [table("Nodes that fell short", ["operator", "how", "slices", "last"], rows)] if rows else []
    shown = [
        {"operator": a.operator, "place": a.place, "state": a.state, "seconds": a.seconds, "error": a.error}
        for a in answers
    ]
    paid, more, bills = bill(session, purse)
    return Outcome({**done.to_json(), "holders": shown, **paid}, [*says, *more], [*tables, *bills])


def _records(
    session: Session,
    asset: int,
    ranges: tuple[Range, ...],
    license_id: int | None,
    key_holder: str | None,
    byte_range: str | None,
    out: Path,
    pay: str | None,
    token: str | None,
    max_price_per_mib: str | None,
) -> Outcome:
    """Fetch an asset that is made of records: as lines of JSON, each record verified."""
    from qanat.cli.amounts import format_size, parse_address
    from qanat.cli.paying import bill, open_purse
    from qanat.cli.store import stages
    from qanat.client.fetch import open_asset
    from qanat.client.ranges import fetch_records, is_encrypted
    from qanat.errors import BadParameters

    if byte_range is not None:
        raise BadParameters(f"Asset {asset} is made of records: --range is for files.")
    chain, signer = session.chain, session.signer
    number = _license(session, asset) if license_id is None else license_id
    digest = bytes(chain.call(chain.contract("Assets").functions.contentHashOf(asset)))
    data_key = None
    if is_encrypted(ranges, chain=chain):
        holder = None if key_holder is None else parse_address(key_holder, "operator's address")
        data_key = open_asset(asset, number, chain=chain, signer=signer, key_holder=holder)
    with open_purse(session, pay, token, max_price_per_mib) as purse, stages(session) as progress:
        done = fetch_records(
            ranges,
            chain=chain,
            signer=signer,
            out_path=out,
            data_key=data_key,
            expected_sha256=digest if any(digest) else None,
            progress=progress,
            purse=purse,
        )
    paid, more, tables = bill(session, purse)
    says = [
        f"Wrote {out}: {done.records} records, {format_size(done.size)}, SHA-256 {done.sha256.hex()}, a line each.",
        "Each opens to the commitments under its bundle's root on chain, and is signed by its sender.",
    ]
    return Outcome({**done.to_json(), **paid}, [*says, *more], tables)


def _confirm_force(session: Session, asset: int | None) -> None:
    """Show what a forced release would cost, and ask."""
    from qanat.client.release import held_key
    from qanat.errors import BadParameters

    held = None if asset is None else held_key(asset, chain=session.chain)
    if held is None:
        raise BadParameters("--force-release is for an --asset whose key was dealt to drawn holders.")
    token = session.views.shard_parameters(held.record.shard).payment_token
    fee = int(session.chain.call(session.views.keys().functions.answerFee())) * len(held.holders)
    session.confirm(
        f"Force the release of asset {asset}'s key, if too few holders answer",
        [f"{session.amount(fee, token)} for {len(held.holders)} answers; what isn't answered comes back"],
        transactions=2,
    )


def _range(text: str) -> tuple[int, int | None]:
    """Read START:END, either of which may be missing. Raises :class:`BadParameters`."""
    from qanat.errors import BadParameters

    found = re.fullmatch(r"([0-9]{0,19}):([0-9]{0,19})", text, re.ASCII)
    if found is None:
        raise BadParameters(f"{text!r} is no range.", hint="Say --range START:END in bytes, END not included.")
    return int(found[1] or 0), int(found[2]) if found[2] else None


def _fell_short(reports: Sequence[SourceReport]) -> list[tuple[str, str, int, str]]:
    """Rows of the table of nodes that fell short: one of all that did and said the same; liars each for themselves."""
    from qanat.client.reasons import without_node

    found: dict[tuple[str, ...], list[SourceReport]] = {}
    for report in reports:
        if not report.is_faultless:
            alone = (report.operator,) if report.liar or report.overcharged else ()
            kinds = (name for name, times in _counts(report).items() if times)
            found.setdefault((*alone, *kinds, without_node(report.last_error)), []).append(report)
    rows = []
    for key, alike in found.items():
        if len(alike) == 1:
            (report,) = alike
            rows.append((report.operator, _trouble(report), report.slices, report.last_error))
            continue
        together = Counter[str]()
        for report in alike:
            together.update(_counts(report))
        how = ", ".join(f"{what} {times}x" for what, times in together.items() if times)
        rows.append((f"{len(alike)} nodes", how, sum(report.slices for report in alike), key[-1]))
    return rows


def _counts(report: SourceReport) -> dict[str, int]:
    """How often a node fell short, by how."""
    return {
        "did not answer": report.unreachable,
        "refused": report.refused,
        "withheld": report.withheld,
        "dawdled": report.overtaken,
    }


def _trouble(report: SourceReport) -> str:
    """What a node did wrong, the worst first."""
    counts = _counts(report)
    found = ["sent false slices"] if report.liar else []
    if report.overcharged:
        found.append("counted more as paid for than it served")
    if report.too_dear:
        found.append("asked too much")
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
        click.option(
            "--key-holder",
            help="Operator to ask for the data key.  [default: drawn holders, or the one that the asset names]",
        ),
        click.option(
            "--range",
            "byte_range",
            metavar="START:END",
            help="Bytes to fetch, END not included, either may be left out: only the slices that they touch.",
        ),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write."),
        click.option("--force", is_flag=True, help="Replace the file if it exists."),
        click.option(
            "--force-release",
            is_flag=True,
            help="If too few drawn holders of the key answer, demand their answers on chain, which are prepaid.",
        ),
        *PAY_OPTIONS,
    ),
)
