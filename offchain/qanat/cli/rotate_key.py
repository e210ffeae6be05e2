"""`qanat rotate-key`: another BLS key for an operator, and the end of the old one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.bls import SecretKey
    from qanat.node.folder import NodeFolder

__all__ = ["COMMAND", "rotate_key"]


def rotate_key(session: Session, *, folders: tuple[Path, ...], drop: bool) -> Outcome:
    """Make a BLS key, let the node have it, make it the operator's; or drop those that nothing needs any more.

    The node has the new key before the chain does: the next roster may count it at once. A run that was interrupted
    is finished by the next one, with the same key.
    """
    from qanat.errors import BadParameters
    from qanat.node.config import passphrase
    from qanat.node.folder import NodeFolder

    me = session.address
    found = [NodeFolder(folder) for folder in folders]
    for folder in found:
        if folder.operator().lower() != me.lower():
            raise BadParameters(
                f"{folder.file} is the node of {folder.operator()}, not of {me}.",
                hint="Name the folder of the operator's own node with --folder.",
                operator=folder.operator(),
            )
    password = passphrase()
    return _drop(session, found, password) if drop else _rotate(session, found, password)


def _rotate(session: Session, folders: list[NodeFolder], password: str) -> Outcome:
    from qanat import bls

    chain, me = session.chain, session.address
    operators = chain.contract("Operators").functions
    held = [folder.bls_keys(password) for folder in folders]
    waiting = [key for keys in held for key in keys.values() if session.views.operator_of_key(_hash(key)) is None]
    session.confirm(
        f"Replace the BLS key of {me}",
        [
            f"a new key for the node in {', '.join(str(folder.path) for folder in folders)}",
            "the next rosters count the new key; the old one signs for objects under those that there are",
            "no key can be used again once it was replaced",
        ],
    )
    key = waiting[0] if waiting else bls.SecretKey.generate()
    files = []
    for folder, keys in zip(folders, held, strict=True):
        names = [name for name, item in keys.items() if item.public_key == key.public_key]
        files.append(folder.path / (names[0] if names else folder.add_bls_key(key, password)))
    possession = key.prove_possession(bytes(chain.call(operators.possessionDigest(me, key.public_key))))
    receipt = session.sender.send(operators.rotateKey(key.public_key, possession))

    old = {item: until for item, until in _needed_until(session).items() if item != _hash(key)}
    says = [f"The BLS key of {me} is now that of {', '.join(map(str, files))}: the next rosters count it."]
    if old:
        says.append(
            f"Older keys are counted by rosters under which objects end at block {max(old.values())} at the latest. "
            "Then run: qanat rotate-key --drop"
        )
    return Outcome(
        {
            "operator": me,
            "key_hash": _hash(key),
            "files": files,
            "old_keys": [{"key_hash": item, "needed_until_block": until} for item, until in old.items()],
            "transaction": bytes(receipt["transactionHash"]),
        },
        says,
    )


def _drop(session: Session, folders: list[NodeFolder], password: str) -> Outcome:
    me = session.address
    current = session.views.key_of(me)
    needed = _needed_until(session)
    kept: dict[Path, int] = {}
    unneeded: list[tuple[NodeFolder, str]] = []
    for folder in folders:
        for name, key in folder.bls_keys(password).items():
            if key.public_key == current or session.views.operator_of_key(_hash(key)) is None:
                continue  # it signs now, or is about to
            if _hash(key) in needed:
                kept[folder.path / name] = needed[_hash(key)]
            else:
                unneeded.append((folder, name))
    if unneeded:
        session.confirm(
            "Delete BLS keys that no roster counts any more",
            [str(folder.path / name) for folder, name in unneeded],
            transactions=0,
        )
    for folder, name in unneeded:
        folder.drop_bls_key(name)
    dropped = [folder.path / name for folder, name in unneeded]
    says = [f"Deleted {path}." for path in dropped] or ["There is no key to drop."]
    says += [f"{path} is still needed, until block {block} at the latest." for path, block in kept.items()]
    return Outcome(
        {
            "operator": me,
            "dropped": dropped,
            "kept": [{"file": path, "needed_until_block": block} for path, block in kept.items()],
        },
        says,
    )


def _needed_until(session: Session) -> dict[bytes, int]:
    """Hash of each of the operator's keys that a roster counts → block at which the last object under it has ended."""
    views, me = session.views, session.address
    latest = session.chain.latest()
    found: dict[bytes, int] = {}
    for shard in range(1, views.shard_count() + 1):
        live = views.rosters_live_in(shard, views.epoch_at(shard, latest))
        for number in range(live.start, views.roster_count(shard) + 1):
            roster = views.roster(shard, number)
            entry = roster.entry_of(me)
            if entry is not None:
                until = views.seed_block(shard, roster.head.end_epoch)
                found[entry.key_hash] = max(until, found.get(entry.key_hash, 0))
    return found


def _hash(key: SecretKey) -> bytes:
    from eth_utils.crypto import keccak

    return bytes(keccak(key.public_key))


COMMAND = Command(
    name="rotate-key",
    run=rotate_key,
    summary="Replace an operator's BLS key; later drop the old one.",
    details=(
        "Rosters that there are keep counting the old key: the node holds both, and signs each object with the one "
        "that its roster counts. It needs no restart. With --drop: deletes the files of keys that no roster counts "
        "any more. Key files are opened by QANAT_PASSPHRASE or QANAT_PASSPHRASE_FILE."
    ),
    example="--folder node1",
    parameters=(
        click.option(
            "--folder",
            "folders",
            multiple=True,
            type=click.Path(path_type=Path, file_okay=False),
            default=(Path("node"),),
            show_default=True,
            help="Folder of the node; several times for an operator with nodes in several shards.",
        ),
        click.option("--drop", is_flag=True, help="Delete old keys that no roster counts any more."),
    ),
)
