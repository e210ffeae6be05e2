"""A local network from nothing: chain, contracts, stake, operators, a roster, one process per node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from qanat.chain.connection import Chain
from qanat.chain.deployment import Deployment
from qanat.chain.signer import KeySigner
from qanat.chain.views import Roster, ShardParameters, Views
from qanat.devnet.actors import Actor, account_number
from qanat.devnet.anvil import Clock
from qanat.devnet.processes import Child, Supervisor, assign_ports
from qanat.errors import NodeUnreachable, ScenarioFailed

__all__ = ["Network", "OperatorHost", "together", "wait_until"]

RESTAKERS = 3
_LIGHT_SCRYPT = 1 << 12
PASSPHRASE = "devnet"  # noqa: S105 (guards keys that guard nothing)
_READY_SECONDS = 180.0
_HTTP = httpx.Client(trust_env=False, verify=False)  # noqa: S501 (loopback, plain HTTP)


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 120.0, pause: float = 0.2) -> None:
    """Wait until something holds. Raises :class:`ScenarioFailed` naming it if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise ScenarioFailed(f"{what}: not within {seconds:.0f} s.")
        time.sleep(pause)


@dataclass
class OperatorHost:
    """An operator's machine: its account, its folder, its port, its process while it runs."""

    actor: Actor
    folder: Path
    port: int
    child: Child | None = None

    @property
    def address(self) -> str:
        """The operator's address."""
        return self.actor.address

    @property
    def url(self) -> str:
        """The node's base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        """The node's settings."""
        return self.folder / "node.json"

    @property
    def slices(self) -> Path:
        """Folder of the node's LMDB store."""
        return self.folder / "data" / "slices"

    @property
    def process(self) -> Child:
        """The node's process. Raises :class:`ScenarioFailed` if it was never started."""
        if self.child is None:
            raise ScenarioFailed(f"{self.address} has no process.")
        return self.child

    def status(self) -> dict[str, Any]:
        """Ask the node what it says of itself. Raises :class:`NodeUnreachable`."""
        try:
            return dict(_HTTP.get(f"{self.url}/status", timeout=5).raise_for_status().json())
        except (httpx.HTTPError, ValueError) as error:
            raise NodeUnreachable(f"The node of {self.address} at {self.url} does not answer: {error}") from error

    def is_healthy(self) -> bool:
        """Whether the node answers that it works."""
        try:
            return _HTTP.get(f"{self.url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False


@dataclass
class Network:
    """A chain with contracts and people; see the module."""

    root: Path
    folder: Path
    supervisor: Supervisor
    url: str
    clock: Clock | None = None
    chain: Chain = field(init=False)
    hosts: list[OperatorHost] = field(default_factory=list)
    #: Number of the data owner's account, where it is not the usual one.
    owner: int | None = None
    #: How many times the least bond operators post: so many slashes and more leave them in their places.
    bonds: int = 1
    #: Whether operators hold shares of assets' keys.
    hold_keys: bool = False
    _people: dict[tuple[str, int], Actor] = field(default_factory=dict)

    # ---- people

    def use(self, deployment: Deployment) -> None:
        """Connect everybody to a deployment."""
        self.chain = Chain.connect(self.url, deployment=deployment)
        self._people.clear()

    def actor(self, role: str, index: int = 0) -> Actor:
        """Return a person by role; restakers and operators are numbered."""
        key = (role, index)
        if key not in self._people:
            number = self.owner if role == "owner" and self.owner is not None else account_number(role, index)
            self._people[key] = Actor(role, number, self.chain)
        return self._people[key]

    @property
    def restakers(self) -> list[Actor]:
        """The restakers."""
        return [self.actor("restaker", index) for index in range(RESTAKERS)]

    @property
    def views(self) -> Views:
        """Typed views of the chain."""
        return self.actor("governor").session.views

    @property
    def shard(self) -> int:
        """The first shard's number."""
        return self.chain.deployment.shard()

    @property
    def parameters(self) -> ShardParameters:
        """The first shard's parameters."""
        return self.views.shard_parameters(self.shard)

    @contextmanager
    def environment_set(self) -> Iterator[None]:
        """Let this process know, while the body runs, what child processes know."""
        before = {name: os.environ.get(name) for name in self.environment()}
        os.environ.update(self.environment())
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def environment(self) -> dict[str, str]:
        """What child processes need to know."""
        return {
            "QANAT_PASSPHRASE": PASSPHRASE,
            "QANAT_INDEX": str(self.folder / "index.sqlite"),
            "PYTHONUNBUFFERED": "1",
        }

    # ---- stake and operators

    def give_tokens(self, amount: int = 1_000_000) -> None:
        """Mint test tokens for everybody who pays or stakes."""
        people = [*self.restakers, self.actor("owner"), self.actor("licensee"), *[host.actor for host in self.hosts]]
        together(lambda person: person.run("faucet", amount=str(amount)), people)

    def add_hosts(self, count: int) -> None:
        """Give each operator a folder and a port."""
        self.find_hosts(assign_ports(count))
        for host in self.hosts:
            # the library's default cost takes seconds for a key that guards nothing here
            keys = host.folder / "keys"
            keys.mkdir(parents=True, mode=0o700)
            KeySigner.create().save_keyfile(keys / "responder.json", PASSPHRASE, iterations=_LIGHT_SCRYPT)

    def find_hosts(self, ports: Sequence[int]) -> None:
        """Give operators the folders and ports of an earlier start."""
        for index, port in enumerate(ports):
            folder = self.folder / "nodes" / str(index + 1)
            self.hosts.append(OperatorHost(self.actor("operator", index), folder, port))

    def register(self, host: OperatorHost, *, tickets: int, join: bool) -> None:
        """Register an operator with bond for so many tickets, or, when it has stake, let it join."""
        host.actor.run("register", **self._register_options(host, tickets), join=join)

    def register_through_ape(self, host: OperatorHost, *, tickets: int, join: bool) -> None:
        """Do :meth:`register` by the real `ape run register` command line. Raises :class:`ScenarioFailed`."""
        options = self._register_options(host, tickets)
        words = [
            *("--endpoint", options["endpoint"], "--bond", options["bond"], "--folder", str(options["folder"])),
            *("--port", str(options["port"]), "--responder-coins", options["responder_coins"]),
            "--join" if join else "--no-join",
            *(("--hold-keys",) if self.hold_keys else ()),
        ]
        self.ape("register", *words, account=host.actor.number)

    def _register_options(self, host: OperatorHost, tickets: int) -> dict[str, Any]:
        terms = self.parameters
        decimals = self.chain.deployment.token(terms.bond_token).decimals
        bond = self.bonds * max(terms.min_bond, tickets * terms.bond_per_ticket)
        registered = self.views.is_registered(host.address)
        return {
            "endpoint": host.url,
            "bond": f"{bond / 10**decimals:.6f}",
            "folder": host.folder,
            "port": host.port,
            "responder_coins": "0" if registered else "10",
            "hold_keys": self.hold_keys,
        }

    def stake(self, tickets: int) -> None:
        """Let the restakers put stake for so many tickets behind each operator, in all collaterals of the shard."""
        terms = self.parameters
        collaterals = self.views.collaterals(self.shard)
        share = -(-tickets * terms.ticket_price // (RESTAKERS * len(collaterals)))

        def invest(person: Actor) -> None:
            for item in collaterals:
                token = self.chain.deployment.token(item.token)
                units = -(-share * 10**18 // item.weight_wad)
                whole = -(-units // 10**token.decimals)
                person.run("stake", token=item.token, amount=str(whole * len(self.hosts)))
                for host in self.hosts:
                    person.run("delegate", operator=host.address, token=item.token, amount=str(whole))

        together(invest, self.restakers)

    def enroll(self, tickets: int, *, ape_index: int | None = None) -> None:
        """Register all operators, one of them by Ape's command line; stake behind them, let them join."""

        def begin(host: OperatorHost) -> None:
            through_ape = ape_index is not None and host is self.hosts[ape_index]
            (self.register_through_ape if through_ape else self.register)(host, tickets=tickets, join=False)

        together(begin, self.hosts)
        self.stake(tickets)
        together(lambda host: self.register(host, tickets=tickets, join=True), self.hosts)

    def take_roster(self) -> Roster:
        """Take a roster of the shard."""
        taken = self.actor("governor").run("roster")
        return self.views.roster(self.shard, int(taken["roster"]))

    # ---- processes

    def start_node(self, host: OperatorHost) -> None:
        """Start a node's process, without waiting for it."""
        command = [str(Path(sys.executable).with_name("qanat")), "node", "--config", str(host.config)]
        if host.child is not None and not host.child.running:
            host.child = self.supervisor.restart(host.child)
        else:
            host.child = self.supervisor.start(f"node-{host.folder.name}", command, self.environment())

    def start_nodes(self, hosts: Sequence[OperatorHost] | None = None) -> None:
        """Start nodes and wait until all work. Raises :class:`ScenarioFailed` with the log of one that does not."""
        chosen = list(self.hosts if hosts is None else hosts)
        for host in chosen:
            self.start_node(host)
        deadline = time.monotonic() + _READY_SECONDS
        for host in chosen:
            while not host.is_healthy():
                if host.child is None or not host.child.running or time.monotonic() > deadline:
                    tail = host.child.tail() if host.child else ""
                    raise ScenarioFailed(f"The node of {host.address} did not start:\n{tail}")
                time.sleep(0.2)

    def ape(self, name: str, *words: str, account: int | None = None) -> str:
        """Run a command through Ape as its own process; returns what it printed. Raises :class:`ScenarioFailed`."""
        ape = Path(sys.executable).with_name("ape")
        command = [str(ape), "run", name, "--network", f"ethereum:local:{self.url}", *words]
        if account is not None:
            command += ["--account", f"TEST::{account}", "--yes"]
        environment = {**os.environ, **self.environment()}
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ScenarioFailed(
                f"`{' '.join(command[1:])}` ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done.stdout

    def clear(self) -> None:
        """Remove what an earlier network left in the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)


def together(do: Callable[[Any], None], items: Sequence[Any]) -> None:
    """Do something for all items at once, and raise the first error."""
    with ThreadPoolExecutor(max_workers=max(1, min(8, len(items)))) as pool:
        for result in [pool.submit(do, item) for item in items]:
            result.result()
