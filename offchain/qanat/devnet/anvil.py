"""A local chain: Anvil with the Prague rules, and the clock that makes its blocks.

Every period of the protocol counts blocks. A scenario that wants to say when they pass starts Anvil without mining and
lets :class:`Clock` mine; a chain that people use makes one block per interval (docs/decisions/0007), from when its
nodes are up until they are stopped: nobody misses what happens while they are not.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from qanat.devnet.processes import Child, Supervisor
from qanat.errors import ChainUnreachable, InputError

__all__ = ["MNEMONIC", "Clock", "find_anvil", "make_blocks", "rpc", "start_anvil"]

#: Foundry's public development mnemonic. Its accounts are worth nothing anywhere else.
MNEMONIC = "test test test test test test test test test test test junk"
ACCOUNTS = 60


def find_anvil(root: Path) -> str:
    """Return the path of Anvil: from ``node_modules`` under ``root``, else from PATH. Raises :class:`InputError`."""
    for found in sorted(root.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")):
        if os.access(found, os.X_OK):
            return str(found)
    on_path = shutil.which("anvil")
    if on_path is None:
        raise InputError("Anvil is missing: run `make setup` in the checkout, or install Foundry")
    return on_path


#: One pool of connections for the process: a client of its own for each call would read all certificates each time.
_HTTP = httpx.Client(trust_env=False, verify=False)  # noqa: S501 (loopback, plain HTTP)


def rpc(url: str, method: str, *parameters: Any, timeout: float = 30.0) -> Any:
    """Calls one JSON-RPC method. Raises :class:`ChainUnreachable` if nothing answers or the answer is an error."""
    try:
        answer = _HTTP.post(
            url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}, timeout=timeout
        ).json()
    except (httpx.HTTPError, ValueError) as error:
        raise ChainUnreachable(f"{method} at {url}: {error}") from error
    if "error" in answer:
        raise ChainUnreachable(f"{method} at {url}: {answer['error'].get('message')}")
    return answer["result"]


def start_anvil(
    supervisor: Supervisor,
    root: Path,
    port: int,
    *,
    state: Path | None = None,
) -> tuple[Child, str]:
    """Starts Anvil on ``port`` and waits until it answers.

    It makes no block: a :class:`Clock` has to, or :func:`make_blocks`. ``state``: file in which the chain outlives
    the process.
    Returns the child and its URL. Raises :class:`ChainUnreachable` if it does not answer within 20 s.
    """
    command = [
        find_anvil(root),
        *("--host", "127.0.0.1", "--port", str(port), "--hardfork", "prague", "--slots-in-an-epoch", "1"),
        *("--accounts", str(ACCOUNTS), "--mnemonic", MNEMONIC, "--silent", "--no-mining"),
    ]
    if state is not None:
        command += ["--state", str(state), "--state-interval", "5"]
    child = supervisor.start("anvil", command)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            rpc(url, "eth_chainId", timeout=2)
        except ChainUnreachable as error:
            if not child.running or time.monotonic() > deadline:
                raise ChainUnreachable(f"Anvil did not start: {error}\n{child.tail()}") from error
            time.sleep(0.05)
        else:
            return child, url


def make_blocks(url: str, seconds: int) -> None:
    """Let Anvil make a block every ``seconds`` from now on, with or without transactions; 0: none any more."""
    rpc(url, "evm_setIntervalMining", seconds)


class Clock:
    """Mines the blocks of a chain that does not mine by itself. Start with :meth:`start`, end with :meth:`stop`.

    It mines a block when a transaction waits. Inside :meth:`settling` it lets a few empty blocks follow each such
    block, so that it becomes final; otherwise no block passes in which nothing happens. Inside :meth:`gathering` it
    waits a while for other transactions to share the block, so that answers and settlements of many nodes use few
    blocks.
    """

    #: Empty blocks that make a block final on Anvil with one slot an epoch.
    FOLLOWING = 2
    #: How long nothing must have waited before empty blocks follow: transactions of one command come closer together.
    IDLE_SECONDS = 1.0
    #: How long a block waits for company while gathering.
    GATHER_SECONDS = 2.0

    def __init__(self, url: str, interval: float = 0.1) -> None:
        self.url = url
        self.interval = interval
        self._failure: ChainUnreachable | None = None
        self._settling = threading.Event()
        self._gathering = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="clock", daemon=True)

    def start(self) -> Clock:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the clock's thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def check(self) -> None:
        """Raise the :class:`ChainUnreachable` that the last tick met, if any."""
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Let blocks become final while the body runs."""
        self._settling.set()
        try:
            yield
        finally:
            self._settling.clear()

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Put many transactions into each block while the body runs."""
        self._gathering.set()
        try:
            yield
        finally:
            self._gathering.clear()

    @property
    def block(self) -> int:
        """Number of the latest block."""
        return int(rpc(self.url, "eth_blockNumber"), 16)

    def mine(self, count: int = 1) -> int:
        """Mine ``count`` blocks at once, and return the number of the latest."""
        with self._lock:
            if count > 0:
                rpc(self.url, "anvil_mine", hex(count))
            return self.block

    def mine_to(self, block: int) -> int:
        """Mine until ``block`` is the latest block, nothing if it has passed."""
        with self._lock:
            missing = block - self.block
            if missing > 0:
                rpc(self.url, "anvil_mine", hex(missing))
            return self.block

    def _loop(self) -> None:
        following, mined = self.FOLLOWING, time.monotonic()
        while not self._ended.wait(self.interval):
            try:
                if int(rpc(self.url, "txpool_status")["pending"], 16) > 0:
                    if self._gathering.is_set():
                        self._ended.wait(self.GATHER_SECONDS)
                    self.mine()
                    following, mined = self.FOLLOWING, time.monotonic()
                elif self._settling.is_set() and following > 0 and time.monotonic() > mined + self.IDLE_SECONDS:
                    self.mine()
                    following -= 1
                self._failure = None
            except ChainUnreachable as error:
                self._failure = error
