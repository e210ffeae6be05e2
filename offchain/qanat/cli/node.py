"""`qanat node`: the daemon."""

from __future__ import annotations

from pathlib import Path

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "CONFIG_OPTION", "node"]

CONFIG_OPTION = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("node/node.json"),
    show_default=True,
    help="The node's settings, as `qanat register` wrote them.",
)


def node(
    _session: Session,
    *,
    config: Path,
    network_name: str | None = None,
    endpoint: str | None = None,
    operator: str | None = None,
) -> Outcome:
    """Run the node until it is stopped (SIGTERM or Ctrl-C)."""
    from qanat.cli.command import endpoint_of
    from qanat.node.daemon import run

    if endpoint is None and network_name is not None:
        endpoint = endpoint_of(network_name)
    run(config, rpc=endpoint, operator=operator)
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
        CONFIG_OPTION,
        click.option(
            "--network",
            "network_name",
            help="Network whose endpoint (NETWORK_RPC_URL) to use.  [default: the settings' endpoint]",
        ),
        click.option("--rpc", "endpoint", help="Endpoint to use instead of the settings'."),
        click.option("--account", "operator", help="Address that the settings' operator must have."),
    ),
)
