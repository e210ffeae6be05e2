"""`qanat node`: the daemon."""

from __future__ import annotations

from pathlib import Path

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "node"]


def node(_session: Session, *, config: Path) -> Outcome:
    """Run the node until it is stopped (SIGTERM or Ctrl-C)."""
    from qanat.node.daemon import run

    run(config)
    return Outcome({"config": str(config), "stopped": True}, ["The node has stopped."])


COMMAND = Command(
    name="node",
    run=node,
    summary="Run a node: takes slices, signs, answers challenges, until it is stopped.",
    details=(
        "Its key files are opened by QANAT_PASSPHRASE, or by the first line of the file named by QANAT_PASSPHRASE_FILE."
    ),
    example="--config node1/node.json",
    account="no",
    chain=False,
    parameters=(
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            default=Path("node/node.json"),
            show_default=True,
            help="The node's settings, as `qanat register` wrote them.",
        ),
    ),
)
