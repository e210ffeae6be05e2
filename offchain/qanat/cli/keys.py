"""`qanat keys`: the account's recovery key, saved elsewhere, and all its objects back with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.keys.recovery_key import RecoveryKeyFile

__all__ = ["COMMAND", "keys", "own_recovery_key", "warn_of_only_key"]


def keys(
    session: Session,
    *,
    action: str,
    out: Path | None,
    recovery: Path | None,
    out_dir: Path,
    owner: str | None,
    fetch: bool,
) -> Outcome:
    """Back the recovery key up, or restore it and what it opens."""
    from qanat.errors import BadParameters

    if action == "backup":
        if out is None or recovery is not None or owner is not None or fetch:
            raise BadParameters("backup takes --out FILE, and nothing else.")
        return _backup(session, out)
    if recovery is None or out is not None:
        raise BadParameters("restore takes the file that backup wrote: --recovery FILE.")
    return _restore(session, recovery, out_dir, owner, fetch=fetch)


def _backup(session: Session, out: Path) -> Outcome:
    from qanat.chain.deployment import write_atomically

    own = own_recovery_key(session)
    own.save(out)
    # read again: what can't be opened is no backup
    type(own).load(out).open(session.signer)
    write_atomically(_note(session.address), f"{out.absolute()}\n", mode=0o600)
    return Outcome(
        {"owner": own.owner, "public": own.public, "out": out},
        [
            f"Wrote {out}: with it and the key of {own.owner}, every object that this account stores can be had back.",
            "Keep it away from this machine. Alone it opens nothing.",
        ],
    )


def _restore(session: Session, recovery: Path, out_dir: Path, owner: str | None, *, fetch: bool) -> Outcome:
    from qanat.cli.amounts import format_size, parse_address
    from qanat.client.fetch import fetch_recovered
    from qanat.client.regain import regain
    from qanat.errors import BadParameters, QanatError
    from qanat.keys.keyfile import open_to_others
    from qanat.keys.recovery_key import RecoveryKeyFile

    warning = open_to_others(recovery)
    if warning:
        session.note(warning)
    found = RecoveryKeyFile.load(recovery)
    key = found.open(session.signer)
    home = _home(session.address)
    if not home.exists():
        _install(found, home)
    elif RecoveryKeyFile.load(home).public != found.public:
        raise BadParameters(
            f"{home} holds another recovery key of this account, to which objects were wrapped meanwhile.",
            hint="Back that one up (qanat keys backup), move it away, and restore both, one after the other.",
        )

    whose = session.address if owner is None else parse_address(owner, "owner's address")
    objects = [(item.object_id, item.size) for item in session.synced_index().objects(owner=whose, status="certified")]
    out_dir.mkdir(parents=True, exist_ok=True)
    results = regain(objects, key, chain=session.chain, signer=session.signer, out_dir=out_dir)
    rows = []
    lost: list[str] = []
    for item in results:
        why = item.why
        if fetch and item.recovery is not None:
            target = out_dir / item.object_id.hex()
            try:
                if not target.exists():
                    fetch_recovered(item.recovery, chain=session.chain, signer=session.signer, out_path=target)
            except QanatError as error:
                why = error.message.split("\n", 1)[0]
                lost.append(item.object_id.hex())
        rows.append(("0x" + item.object_id.hex(), format_size(item.size), item.state, item.recovery or "", why))
    opened = sum(item.recovery is not None for item in results)
    says = [f"The recovery key of {found.owner} opens {opened} of {len(results)} objects that {whose} stored."]
    if lost:
        says.append(f"{len(lost)} of them could not be fetched now: run the command again when more nodes are up.")
    return Outcome(
        {
            "owner": whose,
            "objects": [item.to_json() for item in results],
            "notFetched": ["0x" + item for item in lost],
        },
        says,
        [table("Objects", ["object", "stored", "state", "recovery file", "why not"], rows)] if rows else [],
    )


# ---- the key on this machine


def own_recovery_key(session: Session) -> RecoveryKeyFile:
    """Return the account's recovery key on this machine, checked with its signature; a new one if there is none.

    Raises :class:`WrongKeyFile` for one that was altered or that others can get at, since objects are wrapped to it.
    """
    from qanat.errors import WrongKeyFile
    from qanat.keys.keyfile import open_to_others
    from qanat.keys.recovery_key import RecoveryKeyFile

    home = _home(session.address)
    if not home.exists():
        _install(RecoveryKeyFile.create(session.signer), home)
        session.note(f"made {home}, the recovery key of {session.address}")
    warning = open_to_others(home)
    if warning:
        raise WrongKeyFile(f"{warning}.", path=str(home))
    own = RecoveryKeyFile.load(home)
    own.open(session.signer)
    return own


def warn_of_only_key(session: Session) -> list[str]:
    """Return what to say while the account's recovery key is on this machine alone; nothing once it was backed up."""
    if _note(session.address).exists():
        return []
    warning = "Warning: if this machine is lost, so is the only key to this data."
    return [f"{warning} Save the recovery key elsewhere, once: qanat keys backup --out FILE"]


def _home(account: str) -> Path:
    from qanat.chain.journal import state_folder

    return state_folder() / "keys" / f"{account.lower()}.json"


def _note(account: str) -> Path:
    """Says where the key was backed up to last."""
    return _home(account).with_suffix(".backup")


def _install(key: RecoveryKeyFile, home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key.save(home)


COMMAND = Command(
    name="keys",
    run=keys,
    summary="Back up the recovery key that opens all your objects, or restore it and them.",
    details=(
        "ACTION is backup or restore. The header of every object that `qanat store` encrypts wraps its data key to the "
        "account's recovery key. That key's file opens with the account's Ethereum key only, so both together, and a "
        "chain, regain every object; restore writes each object's recovery file, for `qanat fetch` and `qanat mint`."
    ),
    example="backup --out /media/stick/recovery-key.json",
    parameters=(
        click.argument("action", type=click.Choice(["backup", "restore"])),
        click.option(
            "--out", type=click.Path(path_type=Path, dir_okay=False), help="backup: file to write; it must be new."
        ),
        click.option(
            "--recovery", type=click.Path(path_type=Path, dir_okay=False), help="restore: file that backup wrote."
        ),
        click.option(
            "--out-dir",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path(),
            show_default="here",
            help="restore: folder for the objects' recovery files.",
        ),
        click.option(
            "--owner", help="restore: whose objects, where a contract stored them for the account.  [default: its own]"
        ),
        click.option("--fetch", is_flag=True, help="restore: fetch every object too, decrypted, into --out-dir."),
    ),
)
