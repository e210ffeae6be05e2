"""`ape run demo`: one file's whole life on a local chain (`make demo` is the same)."""

from pathlib import Path

import click


@click.command(
    help="Run a file's whole life on a local chain, and write build/demo.json."
    "\n\n\b\nExample:\n  ape run demo --file README.md --operators 6"
)
@click.option("--file", type=click.Path(path_type=Path), help="File to store.  [default: an open data set]")
@click.option("--operators", type=int, default=6, show_default=True, help="Operators, 4 or more.")
@click.option(
    "--network",
    type=click.Choice(["local"]),
    default="local",
    show_default=True,
    help="Always a chain of the demo's own: it is started, and gone at the end.",
)
@click.option(
    "--account",
    type=int,
    help="Number of the public test account that owns the file.  [default: 5]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print build/demo.json at the end, and nothing else on standard output."
)
def cli(file: Path | None, operators: int, network: str, account: int | None, as_json: bool) -> None:
    """Run it in the checkout that this script belongs to."""
    del network  # there is no other
    import json
    import sys

    from rich.console import Console

    from qanat.devnet.run import run_demo
    from qanat.errors import QanatError

    root = Path(__file__).resolve().parents[1]
    console = Console(stderr=as_json, highlight=False)
    try:
        result = run_demo(root, console, file=file, operators=operators, owner=account)
    except QanatError as error:
        click.echo(json.dumps(error.to_json(), indent=2) if as_json else f"demo: {error}", err=not as_json)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("demo: interrupted; everything it started has been stopped", err=True)
        sys.exit(130)
    if as_json:
        click.echo(json.dumps(result, indent=2))


if __name__ == "__main__":
    cli()
