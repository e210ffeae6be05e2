"""The node's process: ``qanat.node.daemon.run("node.json")``.

Start: settings, keys, port, chain, stores, one look at the chain, then API, duty loop and keeper. SIGTERM or SIGINT:
no new requests, those under way are finished, the loops end after what they are sending, the stores are flushed.
After ``kill -9`` the next start goes on from what is durable.
"""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from eth_utils.crypto import keccak

from qanat.chain.connection import Chain
from qanat.chain.sender import Sender
from qanat.chain.signer import KeySigner
from qanat.chain.views import Views
from qanat.errors import BadParameters, ChainUnreachable, PortInUse, WrongKeyFile
from qanat.keys.keyfile import open_to_others
from qanat.node.adopter import Adopter
from qanat.node.alarms import Alarms
from qanat.node.api import make_app
from qanat.node.config import NodeConfig, load_config, passphrase
from qanat.node.duty import DutyLoop
from qanat.node.follower import Follower, Watch
from qanat.node.forced import ForcedReleases
from qanat.node.intake import Intake
from qanat.node.keeper import Keeper
from qanat.node.keyholder import KeyHolder
from qanat.node.metrics import Metrics
from qanat.node.scrubber import Scrubber
from qanat.node.sealing import load_sealing_key
from qanat.node.server import Server, settings
from qanat.node.service import Service
from qanat.node.shareholder import ShareHolder
from qanat.node.signing import SigningKeys
from qanat.node.state import NodeState
from qanat.store.settings import open_store

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Node", "Patience", "run", "warm_up"]

T = TypeVar("T")
_STARTUP_SECONDS = 60.0
_GRACE_SECONDS = 8
log = structlog.get_logger("qanat.node")


def run(config_path: str | Path, *, rpc: str | None = None, operator: str | None = None) -> None:
    """Run a node until SIGTERM or SIGINT.

    ``rpc``: endpoint to use instead of the settings'. ``operator``: whose node this must be.

    Raises :class:`PortInUse`, :class:`WrongKeyFile`, :class:`BadParameters`, :class:`ChainUnreachable`,
    :class:`StoreError` before it serves anything.
    """
    config = load_config(config_path)
    if operator is not None and operator.lower() != config.operator.lower():
        raise BadParameters(
            f"{config_path} is the node of {config.operator}, not of {operator}.",
            hint="Name the operator's own node.json with --config.",
            operator=config.operator,
        )
    if rpc is not None:
        config = replace(config, rpc=rpc)
    _log_to_stderr(config.log_level)
    with Node(config, config_path) as node:
        node.serve()


class Node:
    """A node's parts, wired. Use as a context manager: leaving it closes the stores."""

    def __init__(self, config: NodeConfig, config_path: str | Path) -> None:
        password = passphrase()
        keys = SigningKeys(password, lambda: load_config(config_path).bls_keys)
        sealing_key = load_sealing_key(config.sealing_key, password)
        responder = KeySigner.from_keyfile(config.responder_key, password)
        for path in (*config.bls_keys, config.sealing_key, config.responder_key):
            if warning := open_to_others(path):
                log.warning(warning)
        self.config = config
        self.socket = _listen(config.host, config.port)
        try:
            patiently = Patience(_STARTUP_SECONDS)
            chain = patiently.do(lambda: _connect(config))
            views = Views(chain)
            patiently.do(lambda: _check_operator(config, views, keys, sealing_key.public))
            follower = patiently.do(lambda: Follower(views, config.shard, config.poll_seconds))
            patiently.do(follower.refresh)
            self.state = NodeState(config.data / "state")
            try:
                self.store = open_store(config.store, config.data / "slices")
            except BaseException:
                self.state.close()
                raise
        except BaseException:
            self.socket.close()
            raise
        metrics = Metrics()
        intake = Intake(config, views, self.store, self.state, keys, metrics)
        sender = Sender(chain, responder, timeout=120.0, fee_ceiling=config.max_fee)
        key_holder = KeyHolder(config, views, self.state, sealing_key, sender, metrics)
        share_holder = ShareHolder(config, views, self.state, keys, sealing_key, key_holder, metrics)
        self.service = Service(
            config, views, self.store, self.state, follower, intake, key_holder, share_holder, metrics
        )
        self.watch = Watch(follower)
        alarms = Alarms(metrics, config.alarm_url, operator=config.operator)
        self.duty = DutyLoop(config, views, self.state, follower, intake, responder, metrics, alarms)
        self.keeper = Keeper(config, views, self.state, follower, intake, key_holder, responder, metrics)
        self.forced = ForcedReleases(config, views, self.state, follower, share_holder, responder, metrics, alarms)
        self.scrubber = Scrubber(config, views, self.store, self.state, follower, intake, responder, metrics)
        self.adopter = Adopter(config, views, follower, intake, responder, metrics)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        threads = (self.watch, self.duty, self.keeper, self.scrubber, self.adopter, self.forced)
        for thread in threads:
            thread.stop()
        for thread in threads:
            if thread.is_alive():
                thread.join(_GRACE_SECONDS)
        self.service.close()
        self.store.close()
        self.state.close()
        self.socket.close()
        log.info("stopped")

    def serve(self) -> None:
        """Serve until a signal."""
        server = Server(settings(make_app(self.service), tls=self.config.tls, proxies=self.config.proxies))
        self.watch.start()
        self.duty.start()
        self.keeper.start()
        self.forced.start()
        if self.config.scrub_bytes_per_second:
            self.scrubber.start()
        self.adopter.start()
        threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
        host, port = self.socket.getsockname()[:2]
        log.info("serving", operator=self.config.operator, host=host, port=port)
        with _calm_signals():
            server.run(sockets=[self.socket])


@contextmanager
def _calm_signals() -> Iterator[None]:
    """The server raises a signal again once it has ended: by then it has done its work."""

    def ignore(_number: int, _frame: FrameType | None) -> None:
        return

    before = {number: signal.signal(number, ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(256)
    except OSError as error:
        listening.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortInUse(
                f"Port {port} of {host} can't be had: {error.strerror}.",
                hint="Stop what listens there, or set another port in node.json.",
                host=host,
                port=port,
            ) from error
        raise BadParameters(f"Can't listen on {host}: {error}.", host=host, port=port) from error
    listening.setblocking(False)
    return listening


class Patience:
    """Asks the chain again until it answers, for so many seconds from now in all: it may fail at any question."""

    def __init__(self, seconds: float, *, pause: float = 2.0) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = pause

    def do(self, question: Callable[[], T]) -> T:
        """Return what a question gives; raises what it raises, :class:`ChainUnreachable` only when the time is over."""
        while True:
            try:
                return question()
            except ChainUnreachable as error:
                if time.monotonic() > self._deadline:
                    raise
                log.warning("waiting for the chain", error=error.message)
                time.sleep(self._pause)


def _connect(config: NodeConfig) -> Chain:
    chain = Chain.connect(config.rpc, deployment=config.deployment)
    chain.check_deployed()
    return chain


def _check_operator(config: NodeConfig, views: Views, keys: SigningKeys, sealing_key: bytes) -> None:
    if not views.is_registered(config.operator):
        raise BadParameters(
            f"{config.operator} is not registered as operator.", hint="Register first.", operator=config.operator
        )
    registered = views.operator(config.operator)
    # one that belongs to nobody is about to replace the current one
    holders = {key_hash: views.operator_of_key(key_hash) for key_hash in keys.hashes}
    own = [key_hash for key_hash, holder in holders.items() if holder == config.operator]
    strange = [key_hash for key_hash, holder in holders.items() if holder not in (config.operator, None)]
    if strange or not own:
        raise WrongKeyFile(
            f"node.json names a BLS key of {holders[strange[0]]}."
            if strange
            else f"node.json names no BLS key under which {config.operator} is registered."
        )
    if registered.key and keccak(registered.key) not in own:
        log.warning("the current BLS key is not here", key_hash=keccak(registered.key).hex())
    if registered.sealing_key != sealing_key:
        raise WrongKeyFile(f"{config.sealing_key} is not the sealing key under which {config.operator} is registered.")


def warm_up() -> None:
    """Load set-up and compiled kernels before the first object or challenge needs them."""
    from qanat import kzg

    zeros = bytes(32 * kzg.BLOB_ELEMENTS)
    started = time.monotonic()
    identity = bytes([0xC0]) + bytes(47)
    kzg.verify_slices([zeros, zeros], [identity, identity])
    kzg.open_at(zeros, bytes(32))
    log.info("warm", seconds=round(time.monotonic() - started, 2))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s", force=True)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
