"""Starts a local network: once through the demo, or to stay."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qanat.devnet.anvil import Clock, rpc, start_anvil
from qanat.devnet.processes import Supervisor, assign_ports
from qanat.errors import BadParameters, ChainUnreachable, FileUnreadable, PortInUse, ScenarioFailed

if TYPE_CHECKING:
    from rich.console import Console

    from qanat.chain.connection import Chain
    from qanat.chain.deployment import Deployment
    from qanat.devnet.network import Network

__all__ = ["FEWEST_OPERATORS", "run_demo", "run_devnet"]

FEWEST_OPERATORS = 4
MOST_OPERATORS = 32
DEVNET_PORT = 8545
DEVNET_BLOCK_SECONDS = 2
DEVNET_TICKETS = 2


def run_demo(root: Path, console: Console, *, file: Path | None, operators: int) -> dict[str, Any]:
    """Run the demo in a checkout and write ``build/demo.json``.

    :param file: what is stored; by default a data set that set-up brought.
    :param operators: how many, 4 to 32.

    Raises what went wrong; no process is left behind either way.
    """
    from qanat.devnet.dataset import DEFAULT, default_file
    from qanat.devnet.demo import Demo
    from qanat.devnet.network import Network

    _check_operators(operators)
    chosen = default_file(root) if file is None else file
    size = _readable(chosen)
    report = root / "build" / "demo.json"
    report.unlink(missing_ok=True)
    started = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {what}")

    named = f"{DEFAULT.title}; {DEFAULT.license}" if file is None else str(chosen)
    console.print(f"A file's whole life on a local chain: {size:,} bytes ({named})", highlight=False)
    with Supervisor(root / "build" / "demo" / "logs") as supervisor:
        network = Network(root, root / "build" / "demo", supervisor, "")
        network.clear()
        tell("Anvil starts, all contracts are deployed")
        _, network.url = start_anvil(supervisor, root, assign_ports(1)[0])
        clock = Clock(network.url).start()
        try:
            with network.environment_set():
                network.use(_deploy(network.url, _deployment_file(root)))
                demo = Demo(network, clock, chosen, operators, tell)
                result = demo.run()
        except BaseException:
            console.print(f"Logs of all processes: {supervisor.folder}", markup=False)
            raise
        finally:
            clock.stop()
        if any(child.running for child in supervisor.stop_all()):
            raise ScenarioFailed("A process did not end.")
    report.write_text(json.dumps(result, indent=2) + "\n")
    _show(console, demo.story, result)
    return result


def run_devnet(root: Path, console: Console, *, operators: int) -> None:
    """Run a local network until it is interrupted; the next start goes on where this one ended.

    Anvil listens on port 8545 and keeps its state, the deployment is ``deployments/local.json``, nodes live in
    ``build/devnet``. Raises :class:`PortInUse` if something listens there already.
    """
    from qanat.chain.connection import Chain
    from qanat.devnet.network import Network

    _check_operators(operators)
    url = f"http://127.0.0.1:{DEVNET_PORT}"
    with contextlib.suppress(ChainUnreachable):
        rpc(url, "eth_chainId", timeout=1)
        raise PortInUse(f"Something listens on port {DEVNET_PORT} already.", hint="Is a devnet running? End it first.")
    folder = root / "build" / "devnet"
    plan = folder / "network.json"
    with Supervisor(folder / "logs") as supervisor:
        network = Network(root, folder, supervisor, url)
        resumed = plan.exists()
        if not resumed:
            network.clear()
        console.print("Anvil starts" + (", with the state of last time" if resumed else ""))
        start_anvil(
            supervisor, root, DEVNET_PORT, block_seconds=DEVNET_BLOCK_SECONDS, state=folder / "anvil-state.json"
        )
        with network.environment_set():
            deployment = folder / "local.json"
            if resumed:
                saved = json.loads(plan.read_text())
                network.use(_load(deployment))
                network.chain.check_deployed()
                network.find_hosts(saved["ports"])
                _publish(root, deployment)
            else:
                console.print("All contracts are deployed")
                network.use(_deploy(url, deployment))
                _publish(root, deployment)
                network.add_hosts(operators)
                console.print(f"{operators} operators register, restakers stake")
                network.give_tokens()
                network.enroll(DEVNET_TICKETS)
                network.take_roster()
                plan.write_text(json.dumps({"ports": [host.port for host in network.hosts]}))
            console.print("One process per node starts")
            network.start_nodes()
            _greet(console, network, Chain.connect(url, deployment=deployment))
            _stay(console, network)


def _stay(console: Console, network: Network) -> None:
    """Wait for Ctrl-C, and say so when a node ends by itself."""
    told: set[str] = set()
    try:
        while True:
            time.sleep(1)
            for host in network.hosts:
                if host.child is not None and not host.child.running and host.address not in told:
                    told.add(host.address)
                    console.print(f"The node of {host.address} ended; its log is {host.child.log}", style="red")
    except KeyboardInterrupt:
        console.print("\nEverything is stopped; `make devnet` resumes.")


def _greet(console: Console, network: Network, chain: Chain) -> None:
    """Print a ready command for each person."""
    token = next(iter(chain.deployment.tokens_with_role("collateral")), "")
    operator = network.hosts[0].address
    common = "--test-account"
    lines = [
        ("anyone", ".venv/bin/qanat status"),
        ("restaker", f".venv/bin/qanat stake {common} 2 --token {token} --amount 100 --yes"),
        (
            "",
            f".venv/bin/qanat delegate {common} 2 --operator {operator} --token {token} --amount 100 --yes",
        ),
        (
            "node runner",
            f"QANAT_PASSPHRASE=x .venv/bin/qanat register {common} 50 --endpoint http://127.0.0.1:7101 --yes",
        ),
        ("data owner", f".venv/bin/qanat store {common} 5 --file README.md --epochs 3 --out-dir build/mine --yes"),
        (
            "",
            f".venv/bin/qanat mint {common} 5 --recovery build/mine/README.md.recovery.json --yes",
        ),
        ("", f".venv/bin/qanat offer {common} 5 --asset 1 --price 5 --purposes train --days 30 --yes"),
        ("licensee", f".venv/bin/qanat license {common} 6 --offer 1 --yes"),
        ("", f".venv/bin/qanat fetch {common} 6 --asset 1 --out build/licensed.md --yes"),
        ("auditor", ".venv/bin/qanat audit"),
    ]
    console.print(f"\nThe network runs at {network.url}, chain {chain.chain_id}; contracts in deployments/local.json.")
    console.print("Accounts are Anvil's; test tokens: qanat faucet --test-account 0 --to ADDRESS --yes\n")
    for who, line in lines:
        console.print(f"  {who:12} {line}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nCtrl-C stops everything.")


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


def _publish(root: Path, deployment: Path) -> None:
    """Make the devnet's deployment the one that commands find by the network's name."""
    from qanat.chain.deployment import write_atomically

    target = root / "deployments" / "local.json"
    target.parent.mkdir(exist_ok=True)
    write_atomically(target, deployment.read_text())


def _check_operators(operators: int) -> None:
    if not FEWEST_OPERATORS <= operators <= MOST_OPERATORS:
        raise BadParameters(
            f"OPERATORS is {FEWEST_OPERATORS} to {MOST_OPERATORS}, not {operators}.", operators=operators
        )


def _readable(file: Path) -> int:
    """Return a file's size. Raises :class:`FileUnreadable`."""
    try:
        with file.open("rb") as opened:
            opened.read(1)
        return file.stat().st_size
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be read: {error.strerror}.", path=str(file)) from error


def _show(console: Console, story: list[tuple[str, str]], result: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(title="What happened", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    for who, what in story:
        table.add_row(who, what)
    table.add_row("file", f"SHA-256 {result['file']['sha256']}, restored and equal")
    table.add_row("time", f"{result['seconds']} s; details in build/demo.json")
    console.print(table)
