"""Descriptions of commands, and what makes `qanat` commands of them.

The same descriptions become `ape run` scripts (``ape_qanat.scripts``): only where chain and account come from differs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.session import Outcome, Session
from qanat.errors import BadParameters, ChainError, FileUnreadable, NotDeployed, QanatError

if TYPE_CHECKING:
    from qanat.chain.connection import Chain
    from qanat.chain.signer import Signer

__all__ = [
    "DEVELOPMENT_CHAINS",
    "Command",
    "check_directory",
    "development_account",
    "endpoint_of",
    "fee_ceiling",
    "output_options",
    "run_command",
]

#: Chains that exist only on somebody's desk: the public development accounts may be used there.
DEVELOPMENT_CHAINS = (31337, 1337)
DEVELOPMENT_MNEMONIC = "test test test test test test test test test test test junk"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Command:
    """A command.

    Args:
        name: as typed.
        run: takes a session and the options by name.
        summary: one sentence.
        example: what follows name, network and account in the example that ``--help`` shows: own options only.
        parameters: click's decorators for its own options and arguments.
        account: whether it needs an account ("yes"), may use one ("maybe"), or never does ("no").
        chain: whether it needs a chain.
        deployed: whether it needs a deployment there.
        details: more text for ``--help``.
    """

    name: str
    run: Callable[..., Outcome]
    summary: str
    example: str
    parameters: tuple[Decorator, ...] = ()
    account: str = "yes"
    chain: bool = True
    deployed: bool = True
    details: str = ""

    @property
    def help(self) -> str:
        """Text of ``--help``, with an example for `qanat`."""
        return self.help_with(f"qanat {self.name}" + (" --keyfile alice.json" if self.account == "yes" else ""))

    def help_with(self, how: str) -> str:
        """Text of ``--help``, with an example that begins with ``how``."""
        details = f"\n\n{self.details}" if self.details else ""
        return f"{self.summary}{details}\n\n\b\nExample:\n  {how} {self.example}".rstrip()

    def for_click(self) -> click.Command:
        """Make the `qanat` command."""

        def callback(**options: Any) -> None:
            own = {name: options.pop(name) for name in list(options) if name not in _SHARED}
            run_command(self, _session(self, **options), own)

        decorated: Callable[..., Any] = callback
        for decorator in reversed((*self.parameters, *_shared_options(self))):
            decorated = decorator(decorated)
        return click.command(self.name, help=self.help)(decorated)


def run_command(command: Command, session: Session, options: dict[str, Any]) -> None:
    """Run a command, show what came of it, and end the process with the error's exit code if it fails."""
    from web3.exceptions import Web3Exception

    try:
        try:
            outcome = command.run(session, **options)
        except Web3Exception as error:
            raise ChainError(
                f"The chain's endpoint gave an answer that makes no sense here: {error}.",
                hint="Try another endpoint (--rpc).",
            ) from error
    except QanatError as error:
        session.finish(well=False)
        if session.as_json:
            click.echo(json.dumps(error.to_json(), indent=2))
        else:
            click.echo(f"{command.name}: {error}", err=True)
        sys.exit(error.exit_code)
    session.show(outcome)
    session.finish(well=True)
    if outcome.failure is not None:
        # what failed is part of what was shown
        if not session.as_json:
            click.echo(f"{command.name}: {outcome.failure}", err=True)
        sys.exit(outcome.failure.exit_code)


# ---- options that all commands share

_SHARED = (
    *("network", "rpc", "deployment", "keyfile", "passphrase_file", "test_account", "as_json", "yes", "timeout"),
    *("max_fee", "confirmations"),
)


def output_options(command: Command) -> tuple[Decorator, ...]:
    """Options about output and questions, the same for `qanat` and `ape run`."""
    asks: tuple[Decorator, ...] = ()
    if command.account != "no":
        asks = (
            click.option("--yes", is_flag=True, help="Do not ask before spending."),
            click.option(
                "--max-fee",
                envvar="QANAT_MAX_FEE",
                show_envvar=True,
                type=click.FloatRange(min=0, min_open=True),
                metavar="GWEI",
                help="Most that a unit of gas may cost, also when a transaction is sent again with a higher fee.",
            ),
            click.option(
                "--confirmations",
                type=click.IntRange(min=1),
                default=1,
                show_default=True,
                envvar="QANAT_CONFIRMATIONS",
                show_envvar=True,
                help="Blocks to wait for after each transaction, its own counted: what a reorganisation could undo.",
            ),
        )
    return (*asks, click.option("--json", "as_json", is_flag=True, help="Print one JSON document."))


def _shared_options(command: Command) -> tuple[Decorator, ...]:
    made: list[Decorator] = []
    if command.chain:
        made += [
            click.option(
                "--network",
                envvar="QANAT_NETWORK",
                show_envvar=True,
                help="Name of the network: local, sepolia, hoodi, galileo.  [default: local]",
            ),
            click.option(
                "--rpc",
                envvar="QANAT_RPC",
                show_envvar=True,
                help="Address of the chain's JSON-RPC endpoint (http or https); or several, with commas between, "
                "asked in turn.",
            ),
            click.option(
                "--deployment", help="Deployment to use: a file, or a name in deployments/.  [default: the network's]"
            ),
            click.option(
                "--timeout",
                type=click.FloatRange(min=0.1),
                default=20.0,
                show_default=True,
                help="Seconds per request.",
            ),
        ]
    if command.account != "no":
        made += [
            click.option(
                "--keyfile",
                envvar="QANAT_KEYFILE",
                show_envvar=True,
                type=click.Path(path_type=Path),
                help="Ethereum key file of the account (keystore version 3).",
            ),
            click.option(
                "--passphrase-file",
                type=click.Path(path_type=Path),
                help="File whose first line opens the key file.  [default: QANAT_KEYFILE_PASSPHRASE, or asked for]",
            ),
            click.option(
                "--test-account",
                type=click.IntRange(0, 1000),
                help="Public development account of this number; local chains only.",
            ),
        ]
    return (*made, *output_options(command))


def _session(
    command: Command,
    *,
    as_json: bool,
    network: str | None = None,
    rpc: str | None = None,
    deployment: str | None = None,
    keyfile: Path | None = None,
    passphrase_file: Path | None = None,
    test_account: int | None = None,
    yes: bool = False,
    timeout: float = 20.0,
    max_fee: float | None = None,
    confirmations: int = 1,
) -> Session:
    def chain() -> Chain:
        if command.deployed:
            return _connect(network, rpc, deployment, timeout)
        from qanat.chain.connection import Chain

        return Chain.connect(rpc or endpoint_of(network or "local"), timeout=timeout)

    def signer() -> Signer:
        return _signer(session, keyfile, passphrase_file, test_account)

    named = keyfile is not None or test_account is not None
    wanted = command.account == "yes" or (command.account == "maybe" and named)
    session = Session(
        chain=chain if command.chain else None,
        signer=signer if wanted else None,
        network=network or "local",
        deployment=deployment,
        as_json=as_json,
        yes=yes,
        confirmations=confirmations,
        fee_ceiling=fee_ceiling(max_fee),
    )
    return session


def fee_ceiling(gwei: float | None) -> int | None:
    """Return a fee given in gwei in wei; None: no ceiling."""
    return None if gwei is None else int(gwei * 10**9)


def endpoint_of(network: str) -> str:
    """Return the RPC address of a network: Anvil's own for ``local``, else what ``<NETWORK>_RPC_URL`` says."""
    if network == "local":
        return "http://127.0.0.1:8545"
    variable = f"{network.upper().replace('-', '_')}_RPC_URL"
    url = os.environ.get(variable)
    if not url:
        raise BadParameters(
            f"No endpoint is known for {network}.", hint=f"Give --rpc, or set {variable}.", network=network
        )
    return url


def _connect(network: str | None, rpc: str | None, deployment: str | None, timeout: float) -> Chain:
    from qanat.chain.connection import Chain
    from qanat.chain.deployment import Deployment

    if deployment is None and network is None and rpc is not None:
        # only an endpoint: the deployment is the one for its chain
        chain = Chain.connect(rpc, timeout=timeout)
        chain.use(Deployment.for_chain(chain.chain_id))
    else:
        found = Deployment.load(deployment or network or "local")
        chain = Chain.connect(rpc or endpoint_of(network or found.network), deployment=found, timeout=timeout)
    check_directory(chain)
    return chain


def check_directory(chain: Chain) -> None:
    """Raise :class:`NotDeployed` if the deployment's Directory has no code on the chain: a fresh one, or another."""
    address = chain.deployment.address("Directory")
    if not chain.has_code(address):
        raise NotDeployed(
            f"{chain.deployment.network} is recorded with its Directory at {address}, but chain {chain.chain_id} has "
            "no contract there: it is a fresh one, or another.",
            hint="Connect to the chain of the deployment, or deploy anew.",
            address=address,
        )


def _signer(session: Session, keyfile: Path | None, passphrase_file: Path | None, test_account: int | None) -> Signer:
    from qanat.chain.signer import KeySigner
    from qanat.keys.keyfile import open_to_others

    if test_account is not None:
        if session.chain.chain_id not in DEVELOPMENT_CHAINS:
            raise BadParameters(
                f"The keys of development accounts are public; chain {session.chain.chain_id} is no local one.",
                hint="Use --keyfile.",
            )
        return development_account(test_account)
    if keyfile is None:
        raise BadParameters("No account was named.", hint="Give --keyfile FILE (on a local chain: --test-account 0).")
    for file in filter(None, (keyfile, passphrase_file)):
        warning = open_to_others(file)
        if warning:
            click.echo(f"Warning: {warning}", err=True)
    return KeySigner.from_keyfile(keyfile, _passphrase(keyfile, passphrase_file))


def development_account(number: int) -> Signer:
    """Return an account of the public development mnemonic."""
    from eth_account import Account

    from qanat.chain.signer import KeySigner

    Account.enable_unaudited_hdwallet_features()
    return KeySigner(Account.from_mnemonic(DEVELOPMENT_MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}"))


def _passphrase(keyfile: Path, file: Path | None) -> str:
    if file is not None:
        try:
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FileUnreadable(f"The passphrase file {file} cannot be read: {error}.", path=str(file)) from error
        return lines[0] if lines else ""
    given = os.environ.get("QANAT_KEYFILE_PASSPHRASE")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise BadParameters(
            f"{keyfile} needs a passphrase, and there is nobody to ask.",
            hint="Give --passphrase-file, or set QANAT_KEYFILE_PASSPHRASE.",
        )
    return str(click.prompt(f"Passphrase of {keyfile}", hide_input=True, err=True))
