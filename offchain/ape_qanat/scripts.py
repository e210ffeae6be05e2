"""Makes `ape run` scripts of the commands of `qanat`: the same functions and options, Ape's networks and accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command, fee_ceiling, output_options, run_command
from qanat.cli.session import Session

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

    from qanat.chain.connection import Chain

__all__ = ["ape_command"]

_SHARED = ("account", "as_json", "yes", "deployment", "max_fee", "confirmations")


def ape_command(command: Command, *, compile_first: bool = False) -> click.Command:
    """Return a command as a click command for `ape run`; ``compile_first``: bring Ape's build up to date before."""
    if not command.chain:
        return _plain(command)
    from ape.cli import ConnectedProviderCommand, account_option, network_option

    def callback(provider: ProviderAPI, **options: Any) -> None:
        if compile_first:
            from ape import project

            project.load_contracts()
        own = {name: options.pop(name) for name in list(options) if name not in _SHARED}
        run_command(command, _session(command, provider, **options), own)

    decorators = [*command.parameters, network_option()]
    if command.account == "yes":
        decorators.append(account_option())
    elif command.account == "maybe":
        decorators.append(account_option(prompt=None))
    decorators.append(
        click.option("--deployment", help="Deployment: a file, or a name in deployments/.  [default: the network's]")
    )
    decorated: Any = callback
    for decorator in reversed((*decorators, *output_options(command))):
        decorated = decorator(decorated)
    account = " --account alice" if command.account == "yes" else ""
    text = command.help_with(f"ape run {command.name} --network ethereum:local:http://127.0.0.1:8545{account}")
    made: click.Command = click.command(cls=_quiet(ConnectedProviderCommand), name=command.name, help=text)(decorated)
    return made


def _quiet(kind: type[click.Command]) -> type[click.Command]:
    """Keep Ape's own messages, which go to standard output, out of a JSON document's way."""

    class Quiet(kind):  # type: ignore[misc, valid-type]
        def invoke(self, ctx: click.Context) -> Any:
            if ctx.params.get("as_json"):
                from ape.logging import LogLevel, logger

                logger.set_level(LogLevel.ERROR)
            return super().invoke(ctx)

    return Quiet


def _plain(command: Command) -> click.Command:
    """A command without chain and account."""

    def callback(*, as_json: bool, **options: Any) -> None:
        run_command(command, Session(as_json=as_json), options)

    decorated: Any = callback
    for decorator in reversed((*command.parameters, *output_options(command))):
        decorated = decorator(decorated)
    return click.command(name=command.name, help=command.help_with(f"ape run {command.name}"))(decorated)


def _session(
    command: Command,
    provider: ProviderAPI,
    *,
    as_json: bool,
    account: AccountAPI | None = None,
    yes: bool = False,
    deployment: str | None = None,
    max_fee: float | None = None,
    confirmations: int = 1,
) -> Session:
    from ape_qanat.adapters import ApeSigner, chain_of, connect

    def chain() -> Chain:
        return chain_of(provider, deployment) if command.deployed else connect(provider)

    return Session(
        chain=chain,
        signer=None if account is None else (lambda: ApeSigner(account)),
        network=provider.network.name,
        deployment=deployment,
        as_json=as_json,
        yes=yes,
        confirmations=confirmations,
        fee_ceiling=fee_ceiling(max_fee),
    )
