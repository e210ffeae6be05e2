"""The `qanat` command line: one file per command.

Each command's file holds a plain function of a :class:`~qanat.cli.session.Session` and a
:class:`~qanat.cli.command.Command` that describes its options; ``scripts/`` makes `ape run` commands of the same.
"""

from __future__ import annotations

import importlib
import resource
from typing import TYPE_CHECKING

import click

from qanat import __version__

if TYPE_CHECKING:
    from qanat.cli.command import Command

__all__ = ["COMMANDS", "load", "main"]

#: Command → its module in this package, in the order in which people meet them.
COMMANDS = {
    "deploy": "deploy",
    "faucet": "faucet",
    "stake": "stake",
    "delegate": "delegate",
    "register": "register",
    "rotate-key": "rotate_key",
    "shard": "shard",
    "roster": "roster",
    "node": "node",
    "store": "store",
    "extend": "extend",
    "terminate": "terminate",
    "mint": "mint",
    "offer": "offer",
    "market": "market",
    "license": "license",
    "renew": "renew",
    "revoke": "revoke",
    "breach": "breach",
    "transfer": "transfer",
    "revenue": "revenue",
    "fetch": "fetch",
    "keys": "keys",
    "access": "access",
    "records": "records",
    "record": "record",
    "list": "listing",
    "status": "status",
    "audit": "audit",
    "deposit": "deposit",
    "redeem": "redeem",
    "claim": "claim",
    "claim-list": "claim_list",
    "undelegate": "undelegate",
    "exit": "exit",
    "withdraw": "withdraw",
}


def load(name: str) -> Command:
    """Return a command's description by its name."""
    command: Command = importlib.import_module(f"qanat.cli.{COMMANDS[name]}").COMMAND
    return command


class _Commands(click.Group):
    """Loads a command when it is used or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        return load(cmd_name).for_click() if cmd_name in COMMANDS else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="qanat")
def main() -> None:
    """Store data that you own, prove on an EVM chain that it is still stored, license it, be paid when it is used.

    Every command takes --json for programs, shows what it is about to spend and asks first, unless --yes. Exit codes:
    docs/errors.md.
    """
    _leave_no_core()


def _leave_no_core() -> None:
    """Let no core dump be written of this process, nor of those it starts: all its keys would stand in it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
