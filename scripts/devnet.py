"""`ape run devnet`: chain, contracts and nodes that stay until Ctrl-C (`make devnet` is the same)."""

from pathlib import Path

import click


@click.command(
    help="Run a local network until Ctrl-C; the next start goes on where it ended."
    "\n\n\b\nExample:\n  ape run devnet --operators 6"
)
@click.option("--operators", type=int, default=6, show_default=True, help="Operators of a new network, 4 or more.")
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    envvar="DEVNET_PORT",
    show_envvar=True,
    default=8545,
    show_default=True,
    help="Port of the chain; each has a network of its own.",
)
def cli(operators: int, port: int) -> None:
    """Run it in the checkout that this script belongs to."""
    import sys

    from rich.console import Console

    from qanat.devnet.run import run_devnet
    from qanat.errors import QanatError

    root = Path(__file__).resolve().parents[1]
    try:
        run_devnet(root, Console(highlight=False), operators=operators, port=port)
    except QanatError as error:
        click.echo(f"devnet: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("devnet: interrupted; everything it started has been stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    cli()
