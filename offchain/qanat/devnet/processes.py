"""Child processes that can't be left behind.

Each child leads a process group of its own, is told by the kernel to die with its parent (Linux,
``PR_SET_PDEATHSIG``), and is ended by
:meth:`Supervisor.stop_all`, which ``with Supervisor()`` calls on the way out, whatever the way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType

from qanat.errors import NodeError, PortInUse

__all__ = ["Child", "Supervisor", "assign_ports"]

_STOP_SECONDS = 10.0
#: Signals that end a run. SIGINT too: Ape puts a handler of its own there, which ends the process on the spot.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def assign_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return distinct TCP ports that are free on ``host`` now. Raises :class:`PortInUse` if there are too few."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.bind((host, 0))
            sockets.append(held)
        return [int(held.getsockname()[1]) for held in sockets]
    except OSError as error:
        raise PortInUse(f"no free port on {host}: {error}; close other programs and try again") from error
    finally:
        for held in sockets:
            held.close()


def _dying_with_parent(command: Sequence[str]) -> list[str]:
    """Wrap a command so that the kernel ends it with its parent, where util-linux has the tool for it."""
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *command]


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C, SIGTERM and SIGHUP while the body runs (signals are the main thread's)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Child:
    """One running process: its name, its log file, how it was started."""

    name: str
    command: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.process.poll() is None

    def pause(self) -> None:
        """Stops the process where it is (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Ends the process as a power cut would (SIGKILL) and waits until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """Asks the process to end (SIGTERM), and ends it if it has not within ``seconds``."""
        if not self.running:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 12) -> str:
        """Returns the last lines of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


class Supervisor:
    """Starts children and ends them all.

    Use as a context manager; SIGINT, SIGTERM and SIGHUP become :class:`KeyboardInterrupt` inside it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Supervisor:  # noqa: PYI034 (typing.Self begins with Python 3.11)
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @staticmethod
    def _interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start ``command`` with its output in ``<folder>/<name>.log`` (appended).

        Raises :class:`NodeError` if it can't be started.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.log"
        added = dict(environment or {})
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    _dying_with_parent(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **added},
                    start_new_session=True,
                )
        except OSError as error:
            raise NodeError(f"{name} could not be started: {error}") from error
        child = Child(name, tuple(command), log, process, added)
        self.children.append(child)
        return child

    def restart(self, child: Child) -> Child:
        """Starts an ended child again, as it was started before."""
        self.children.remove(child)
        return self.start(child.name, child.command, child.environment)

    def stop_all(self, *, last: str = "") -> list[Child]:
        """End every child: first ask all, then wait for each, then kill what is left. Returns them.

        ``last``: name of the child that is asked only when the others have ended.

        A second Ctrl-C is not heard meanwhile: children that were left to themselves could not save what they hold.
        """
        with _deaf_to_interrupts():
            _stop([child for child in self.children if child.name != last])
            _stop([child for child in self.children if child.name == last])
        ended, self.children = self.children, []
        return ended


def _stop(children: Sequence[Child]) -> None:
    """Ask all, wait for each, kill what is left."""
    for child in children:
        if child.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGCONT)
                os.kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    for child in children:
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
