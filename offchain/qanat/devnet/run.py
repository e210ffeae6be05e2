"""Starts a local network: once through the demo, or to stay."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qanat.devnet.anvil import Clock, make_blocks, rpc, start_anvil
from qanat.devnet.processes import Supervisor, assign_ports
from qanat.errors import (
    BadParameters,
    ChainError,
    ChainUnreachable,
    FileUnreadable,
    NotDeployed,
    PortInUse,
    ScenarioFailed,
    TransactionReverted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from qanat.chain.deployment import Deployment

__all__ = ["DEVNET_PORT", "FEWEST_OPERATORS", "Devnet", "commands", "run_demo", "run_devnet"]

FEWEST_OPERATORS = 4
MOST_OPERATORS = 32
DEVNET_PORT = 8545
DEVNET_BLOCK_SECONDS = 2
DEVNET_TICKETS = 2
#: Why a snapshot is refused where nothing is wrong.
_NOT_DUE = frozenset({"SnapshotTooEarly", "TicketsUnchanged"})


def run_demo(
    root: Path,
    console: Console,
    *,
    file: Path | None,
    operators: int,
    owner: int | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Run the demo in a checkout and write ``build/demo.json``.

    :param file: what is stored; by default a data set that set-up brought.
    :param operators: how many, 4 to 32.
    :param owner: number of the data owner's test account, by default one that no other role has.
    :param folder: where all it leaves goes, its report and deployment too; by default ``build/demo``, with the report
        beside it and the deployment in ``deployments``. It is emptied first.

    Raises what went wrong; no process is left behind either way.
    """
    from qanat.devnet.dataset import DEFAULT, default_file
    from qanat.devnet.demo import Demo
    from qanat.devnet.network import Network

    _check_operators(operators)
    _check_owner(owner, operators)
    chosen = default_file(root) if file is None else file
    size = _readable(chosen)
    kept = root / "build" / "demo" if folder is None else folder
    report = root / "build" / "demo.json" if folder is None else folder / "demo.json"
    report.unlink(missing_ok=True)
    started = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {what}")

    named = f"{DEFAULT.title}; {DEFAULT.license}" if file is None else str(chosen)
    console.print(f"A file's whole life on a local chain: {size:,} bytes ({named})", highlight=False)
    with Supervisor(kept / "logs") as supervisor:
        network = Network(root, kept, supervisor, "", owner=owner, hold_keys=True)
        network.clear()
        tell("Anvil starts, all contracts are deployed")
        _, network.url = start_anvil(supervisor, root, assign_ports(1)[0])
        clock = Clock(network.url).start()
        try:
            with network.environment_set():
                deployment = _deployment_file(root) if folder is None else folder / "local.json"
                network.use(_deploy(network.url, deployment))
                demo = Demo(network, clock, chosen, operators, tell, console)
                result = demo.run()
        except BaseException:
            console.print(f"Logs of all processes: {supervisor.folder}", markup=False)
            raise
        finally:
            clock.stop()
        if any(child.running for child in supervisor.stop_all()):
            raise ScenarioFailed("A process did not end.")
    report.write_text(json.dumps(result, indent=2) + "\n")
    _show(console, demo.story, result, report.relative_to(root) if folder is None else report)
    return result


def run_devnet(root: Path, console: Console, *, operators: int, port: int = DEVNET_PORT) -> None:
    """Run a local network until it is interrupted; the next start goes on where this one ended.

    On port 8545 it lives in ``build/devnet``, and ``deployments/local.json`` is its deployment; on another port it
    lives, with its deployment, in a folder of its own, ``build/devnet-PORT``, and leaves the first alone.

    :param operators: how many a new network has, 4 to 32; one that is resumed keeps its own.
    :param port: where Anvil listens.

    Raises :class:`PortInUse` if something listens there already.
    """
    _check_operators(operators)
    _check_port(port)
    folder = root / "build" / ("devnet" if port == DEVNET_PORT else f"devnet-{port}")
    with Supervisor(folder / "logs") as supervisor:
        devnet = Devnet(root, console, folder, port, supervisor)
        try:
            devnet.start(operators)
            devnet.greet()
            devnet.stay()
        except KeyboardInterrupt:
            console.print("\nStopping.")
            devnet.stop()
            if not devnet.lives:
                raise
    console.print("Everything is stopped; the next start resumes.")


class Devnet:
    """A network that stays: chain, contracts, people with stake and tokens, nodes."""

    def __init__(self, root: Path, console: Console, folder: Path, port: int, supervisor: Supervisor) -> None:
        from qanat.devnet.network import Network

        self.root, self.console, self.folder, self.port, self.supervisor = root, console, folder, port, supervisor
        self.network = Network(root, folder, supervisor, f"http://127.0.0.1:{port}", hold_keys=True)
        #: Whether everything is there, so that a later start can resume.
        self.lives = False

    @property
    def _plan(self) -> Path:
        """What a later start has to know; written when everything else is on chain and disk."""
        return self.folder / "network.json"

    @property
    def _deployment(self) -> Path:
        return self.folder / "local.json"

    def start(self, operators: int) -> None:
        """Make a network, or go on with the one in the folder; returns when files can be stored."""
        resumed = self._plan.exists()
        if not resumed:
            self.network.clear()
        self.console.print("Anvil starts" + (", with the state of last time" if resumed else ""))
        state = self.folder / "anvil-state.json"
        start_anvil(self.supervisor, self.root, self.port, state=state)
        with self.network.environment_set():
            (self._resume if resumed else self._make)(operators)
            self._publish()
            self.lives = True
            self.console.print("One process per node starts")
            self.network.start_nodes()
            make_blocks(self.network.url, DEVNET_BLOCK_SECONDS)
            self._keep_roster()
            self._wait_for_roster()

    def stop(self) -> None:
        """Stop blocks first, so that no answer is missed, then nodes, then the chain, which saves its state."""
        with contextlib.suppress(ChainUnreachable):
            make_blocks(self.network.url, 0)
        self.supervisor.stop_all(last="anvil")

    def _make(self, operators: int) -> None:
        network = self.network
        # a block for each transaction, and none waited for, until people come
        clock = Clock(network.url).start()
        try:
            self.console.print("All contracts are deployed")
            network.use(_deploy(network.url, self._deployment))
            network.add_hosts(operators)
            self.console.print(f"{operators} operators register, restakers stake")
            network.give_tokens()
            network.enroll(DEVNET_TICKETS)
            roster = network.take_roster()
            clock.mine_to(network.views.seed_block(network.shard, roster.head.active_from_epoch))
        finally:
            clock.stop()
        self._plan.write_text(json.dumps({"ports": [host.port for host in network.hosts]}))

    def _resume(self, operators: int) -> None:
        from qanat.chain.artifacts import load_artifacts
        from qanat.chain.deploy import check_deployment
        from qanat.chain.parameters import load_parameters

        network, anew = self.network, f"Remove {self.folder} to begin anew."
        network.use(_load(self._deployment))
        try:
            network.chain.check_deployed()
        except NotDeployed as error:
            raise NotDeployed(f"The chain of last time is lost: {error.message}", hint=anew) from error
        try:
            notes = check_deployment(
                network.chain, network.chain.deployment, load_parameters("local"), load_artifacts()
            )
        except ChainError as error:
            notes = [error.message]
        for note in notes:
            # a pull may have brought other contracts: commands made for those can meet odd refusals
            said = f"The contracts of last time are not those of now: {note}. {anew}"
            self.console.print(said, style="yellow", markup=False, soft_wrap=True)
        ports = _ports(self._plan)
        if len(ports) != operators:
            kept = f"It keeps its {len(ports)} operators; remove {self.folder} for another network."
            self.console.print(kept, markup=False, soft_wrap=True)
        network.find_hosts(ports)

    def _publish(self) -> None:
        """Make this deployment the one that commands find by the network's name."""
        from qanat.chain.deployment import write_atomically

        if self.port == DEVNET_PORT:
            target = self.root / "deployments" / "local.json"
            target.parent.mkdir(exist_ok=True)
            write_atomically(target, self._deployment.read_text())

    # ---- while it runs

    def stay(self) -> None:
        """Keep it running until it is interrupted: a new roster when one is due; says so when a process ends."""
        told: set[str] = set()
        rounds = 0
        while True:
            time.sleep(1)
            rounds += 1
            for child in self.supervisor.children:
                if not child.running and child.name not in told:
                    told.add(child.name)
                    what = self._who(child.name)
                    said = f"{what} ended; its log is {child.log}. A new start of the devnet starts it again."
                    self.console.print(said, style="red", markup=False, soft_wrap=True)
                    if child.name == "anvil":
                        raise ChainUnreachable("Anvil ended by itself.", hint=f"Its log is {child.log}.")
            if rounds % DEVNET_BLOCK_SECONDS == 0:
                with contextlib.suppress(ChainError):
                    self._keep_roster()

    def _who(self, name: str) -> str:
        for host in self.network.hosts:
            if name == f"node-{host.folder.name}":
                return f"Node {host.folder.name}, of {host.address},"
        return name

    def _keep_roster(self) -> None:
        """Take a new roster when one is due: objects can't outlive the roster under which they are opened."""
        try:
            taken = self.network.take_roster()
        except TransactionReverted as error:
            if error.error_name not in _NOT_DUE:
                raise
        else:
            self.console.print(
                f"Roster {taken.number} is taken: {len(taken.entries)} operators, {taken.tickets} tickets"
            )

    def _wait_for_roster(self) -> None:
        """Wait until files can be stored under a roster: it counts from the epoch after its snapshot on."""
        from qanat.devnet.network import wait_until

        views, shard = self.network.views, self.network.shard
        seconds = 2.0 * DEVNET_BLOCK_SECONDS * self.network.parameters.epoch_length + 30
        wait_until("The roster is not active", lambda: bool(views.active_roster(shard)), seconds)

    # ---- what people type

    def greet(self) -> None:
        """Print where everything is, and ready commands for each person."""
        put = partial(self.console.print, markup=False, highlight=False, soft_wrap=True)
        there = "deployments" if self.port == DEVNET_PORT else self.folder.relative_to(self.root)
        chain = self.network.chain
        put(f"\nThe network runs at {chain.url}, chain {chain.chain_id}; contracts in {there}/local.json.")
        put("Test tokens for another account: .venv/bin/qanat faucet --test-account 0 --to ADDRESS --yes")
        epoch = self.network.parameters.epoch_length
        put(
            f"An epoch is {epoch} blocks, {epoch * DEVNET_BLOCK_SECONDS} s: a file can be fetched until the last epoch "
            "that was paid for ends."
        )
        put("In another terminal, in this folder:\n")
        if self.port != DEVNET_PORT:
            put(f"  {'first':12} export QANAT_RPC={self.network.url} QANAT_DEPLOYMENTS={there}")
        token = next(iter(chain.deployment.tokens_with_role("collateral")))
        for who, line in commands([host.address for host in self.network.hosts], token):
            put(f"  {who:12} {line}")
        put("\nCtrl-C stops everything.")


def commands(operators: Sequence[str], token: str) -> list[tuple[str, str]]:
    """Return ready commands: (person, or "" for the one before; command line), in an order in which they work.

    :param operators: the operators' addresses; who tries out running a node gets the account after theirs.
    :param token: symbol of a collateral token.
    """
    from qanat.cli.command import development_account
    from qanat.devnet.actors import account_number

    qanat = ".venv/bin/qanat"
    restaker, owner, licensee = (f"--test-account {account_number(role)}" for role in ("restaker", "owner", "licensee"))
    number = account_number("operator", len(operators))
    runner, new = f"--test-account {number}", development_account(number).address
    register = f"{qanat} register {runner} --endpoint http://127.0.0.1:7101 --folder build/mynode --yes"
    return [
        ("anyone", f"{qanat} status"),
        ("restaker", f"{qanat} stake {restaker} --token {token} --amount 100 --yes"),
        ("", f"{qanat} delegate {restaker} --operator {operators[0]} --token {token} --amount 100 --yes"),
        ("node runner", f"{qanat} faucet {runner} --yes"),
        ("", f"QANAT_PASSPHRASE=x {register} --responder-coins 10"),
        ("", f"{qanat} stake {restaker} --token {token} --amount 200 --yes"),
        ("", f"{qanat} delegate {restaker} --operator {new} --token {token} --amount 200 --yes"),
        ("", f"QANAT_PASSPHRASE=x {register}"),
        ("", "QANAT_PASSPHRASE=x .venv/bin/qanat node --config build/mynode/node.json"),
        ("data owner", f"{qanat} store README.md {owner} --epochs 5 --out-dir build/mine --yes"),
        ("", f"{qanat} mint {owner} --recovery build/mine/README.md.recovery.json --yes"),
        ("", f"{qanat} offer {owner} --asset 1 --price 5 --purposes train --days 30 --yes"),
        ("licensee", f"{qanat} license {licensee} --offer 1 --yes"),
        ("", f"{qanat} fetch {licensee} --asset 1 --out build/licensed.md"),
        ("auditor", f"{qanat} audit"),
    ]


def _deploy(url: str, path: Path) -> Deployment:
    """Deploy with the code of `ape run deploy`; the governor is the first account."""
    from qanat.chain.artifacts import load_artifacts
    from qanat.chain.connection import Chain
    from qanat.chain.deploy import deploy
    from qanat.chain.parameters import load_parameters
    from qanat.chain.sender import Sender
    from qanat.cli.command import development_account
    from qanat.devnet.actors import account_number

    chain = Chain.connect(url)
    sender = Sender(chain, development_account(account_number("governor")))
    return deploy(chain, sender, load_parameters("local"), load_artifacts(), path)


def _load(path: Path) -> Deployment:
    from qanat.chain.deployment import Deployment

    return Deployment.load(path)


def _deployment_file(root: Path) -> Path:
    """Where the demo's deployment goes: ``deployments/local.json``, unless a devnet uses that one now."""
    try:
        rpc(f"http://127.0.0.1:{DEVNET_PORT}", "eth_chainId", timeout=1)
    except ChainUnreachable:
        return root / "deployments" / "local.json"
    return root / "build" / "demo" / "local.json"


def _check_owner(owner: int | None, operators: int) -> None:
    from qanat.devnet.actors import account_number
    from qanat.devnet.anvil import ACCOUNTS

    usual = account_number("owner")
    taken = range(account_number("operator") + operators)
    if owner is not None and owner != usual and (owner in taken or not 0 <= owner < ACCOUNTS):
        raise BadParameters(
            f"The owner can't be test account {owner}.",
            hint=f"Take {usual}, or one from {len(taken)} to {ACCOUNTS - 1}: the others are other people's.",
        )


def _check_operators(operators: int) -> None:
    if not FEWEST_OPERATORS <= operators <= MOST_OPERATORS:
        raise BadParameters(
            f"OPERATORS is {FEWEST_OPERATORS} to {MOST_OPERATORS}, not {operators}.", operators=operators
        )


def _check_port(port: int) -> None:
    """Raise :class:`PortInUse` unless Anvil can listen on the port."""
    hint = "Is a devnet running? End it first, or choose another port (DEVNET_PORT)."
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # as servers do: a connection that ended a moment ago is no hindrance
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUse(f"Port {port} can't be had: {error.strerror}.", hint=hint, port=port) from error


def _ports(plan: Path) -> list[int]:
    """Read the nodes' ports. Raises :class:`FileUnreadable`."""
    try:
        return [int(port) for port in json.loads(plan.read_text())["ports"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileUnreadable(
            f"{plan} cannot be read: {error}.", hint=f"Remove {plan.parent} to begin anew.", path=str(plan)
        ) from error


def _readable(file: Path) -> int:
    """Return a file's size. Raises :class:`FileUnreadable`."""
    try:
        with file.open("rb") as opened:
            opened.read(1)
        return file.stat().st_size
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be read: {error.strerror}.", path=str(file)) from error


def _show(console: Console, story: list[tuple[str, str]], result: dict[str, Any], report: Path) -> None:
    from rich import box
    from rich.table import Table

    table = Table(title="What happened", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    for who, what in story:
        table.add_row(who, what)
    table.columns[1].overflow = "fold"
    table.add_row("file", f"SHA-256 {result['file']['sha256']}, restored and equal")
    table.add_row("time", f"{result['seconds']} s; details in {report}")
    console.print(table)
