"""Stores, certifies, range-reads and fetches one large file on a network of nodes; prints speed and peak memory.

    python benchmarks/large_file.py [--mib 1024] [--operators 8]

Chain, contracts, nodes and client are processes of their own, all on this machine. The client's peak is what the kernel
says of its process when it has ended. Of a node it is the most of its own memory (RssAnon) seen in samples: pages of
its store that the kernel keeps mapped are the kernel's to drop. A fetched byte that is wrong, a slice too many asked
for, or more memory than the bounds below ends it with an error. The figures are written to build/large_file.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qanat.chain.artifacts import load_artifacts
from qanat.chain.connection import Chain
from qanat.chain.deploy import deploy
from qanat.chain.parameters import load_parameters
from qanat.chain.sender import Sender
from qanat.cli.command import development_account
from qanat.devnet.anvil import Clock, start_anvil
from qanat.devnet.network import Network
from qanat.devnet.processes import Supervisor, assign_ports
from qanat.errors import ScenarioFailed

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "build" / "large_file.json"
MIB = 1 << 20
#: What is read of the middle.
PART_BYTES = MIB + 12_345
#: Bounds, whatever the file's size.
CLIENT_MIB, NODE_MIB = 768.0, 512.0
SAMPLE_SECONDS = 0.5
console = Console(width=140)


class Sampler(threading.Thread):
    """Notes the most memory of their own that processes were seen with."""

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self.peaks = dict.fromkeys(pids, 0.0)
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._ended.wait(SAMPLE_SECONDS):
            for pid in self.peaks:
                self.peaks[pid] = max(self.peaks[pid], anonymous_mib(pid))

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self.join()


def anonymous_mib(pid: int) -> float:
    """Return a process's own memory now, 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


@dataclass
class Step:
    """One command of the client: how long it took, its peak memory, what it said."""

    name: str
    size: int
    seconds: float
    peak_mib: float
    said: dict[str, Any] = field(repr=False)


def command(name: str, size: int, words: Sequence[object], environment: dict[str, str]) -> Step:
    """Run `qanat` in a process of its own. Raises :class:`ScenarioFailed` if it fails."""
    line = [str(Path(sys.executable).with_name("qanat")), *map(str, words), "--json", "--yes"]
    started = time.monotonic()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        process = subprocess.Popen(line, env={**os.environ, **environment}, stdout=said, stderr=complained)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        said.seek(0)
        complained.seek(0)
        text = said.read().decode()
        if process.returncode:
            raise ScenarioFailed(f"{name} ended with {process.returncode}: {text}{complained.read().decode()}")
    return Step(name, size, seconds, usage.ru_maxrss / 1024, json.loads(text))


def write_file(path: Path, size: int) -> bytes:
    """Write bytes that no two slices share; return their SHA-256."""
    digest = hashlib.sha256()
    source = random.Random(size)
    with path.open("wb") as file:
        for at in range(0, size, MIB):
            piece = source.randbytes(min(MIB, size - at))
            digest.update(piece)
            file.write(piece)
    return digest.digest()


def sha256_of(path: Path, start: int = 0, size: int | None = None) -> bytes:
    """Hash a file, or a part of it."""
    digest = hashlib.sha256()
    left = path.stat().st_size - start if size is None else size
    with path.open("rb") as file:
        file.seek(start)
        while left > 0 and (piece := file.read(min(MIB, left))):
            digest.update(piece)
            left -= len(piece)
    return digest.digest()


def check(holds: bool, what: str) -> None:
    """Raise :class:`ScenarioFailed` unless something holds."""
    if not holds:
        raise ScenarioFailed(what)


def bring_up(network: Network, folder: Path, operators: int, clock: Clock) -> None:
    """Deploy, enroll operators, take a roster, start nodes."""
    parameters = load_parameters(ROOT / "networks" / "local.yaml")
    # who misses on a slow machine keeps its place
    shards = {name: replace(plan, jail_misses=1000) for name, plan in parameters.shards.items()}
    chain = Chain.connect(network.url)
    deployed = deploy(
        chain,
        Sender(chain, development_account(0)),
        replace(parameters, shards=shards),
        load_artifacts(),
        folder / "local.json",
    )
    network.use(deployed)
    network.add_hosts(operators)
    network.give_tokens()
    network.enroll(1)
    roster = network.take_roster()
    clock.mine_to(network.views.seed_block(network.shard, roster.head.active_from_epoch))
    network.start_nodes()


def run_client(network: Network, folder: Path, size: int) -> list[Step]:
    """Store, read a part, fetch; compare."""
    original, part, back = folder / "file", folder / "part", folder / "back"
    digest = write_file(original, size)
    environment = {**network.environment(), "QANAT_RPC": network.url}
    shared = ("--deployment", folder / "local.json", "--test-account", network.actor("owner").number)
    steps = [command("store", size, ("store", original, "--epochs", 2, "--out-dir", folder, *shared), environment)]
    stored = steps[0].said
    check(stored["absent"] == {}, f"Operators that did not sign: {stored['absent']}")
    recovery = ("fetch", "--recovery", stored["recovery"])
    start = size // 2 - 777
    words = (*recovery, "--range", f"{start}:{start + PART_BYTES}", "--out", part, *shared)
    steps.append(command("range of 1 MiB", PART_BYTES, words, environment))
    check(sha256_of(part) == sha256_of(original, start, PART_BYTES), "The part has other bytes.")
    asked, row = steps[-1].said["slicesAsked"], 31 * stored["width"]
    # the part, its cipher's tags, and a chunk of 64 KiB on both sides
    most = -(-(PART_BYTES + 2 * (64 << 10) + 16 * (PART_BYTES // (64 << 10) + 2)) // row) + 1
    # where a node dawdled, k rows of the matrices in question were asked for beside it
    fell_short = any(node["overtaken"] or node["unreachable"] for node in steps[-1].said["nodes"])
    check(fell_short or asked <= most, f"{asked} slices were asked for, {most} hold the part.")
    steps.append(command("fetch", size, (*recovery, "--out", back, *shared), environment))
    check(sha256_of(back) == digest, "Other bytes came back.")
    return steps


def show(steps: Sequence[Step], nodes: Sequence[float], size: int) -> None:
    """Print the table and write the figures."""
    table = Table(title=f"{size // MIB} MiB, {len(nodes)} nodes, one machine of {os.cpu_count()} processors")
    for name in ("step", "seconds", "MB/s", "client's peak, MiB"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for step in steps:
        table.add_row(step.name, f"{step.seconds:.1f}", f"{step.size / 1e6 / step.seconds:.1f}", f"{step.peak_mib:.0f}")
    console.print(table)
    stored, part = steps[0].said, steps[1].said
    shape = f"k={stored['k']}, n={stored['n']}, {stored['matrices']} matrices of width {stored['width']}"
    overtaken = sum(node["overtaken"] for node in part["nodes"])
    console.print(
        f"{shape}: {stored['slices']} slices; the range asked for {part['slicesAsked']} of them, "
        f"{overtaken} times because a node dawdled"
    )
    console.print(f"nodes' peaks, MiB: {', '.join(f'{peak:.0f}' for peak in nodes)}")
    RESULT.parent.mkdir(exist_ok=True)
    figures = {
        "bytes": size,
        "slices": stored["slices"],
        "rangeSlices": part["slicesAsked"],
        "steps": [{"name": step.name, "seconds": step.seconds, "peakMib": step.peak_mib} for step in steps],
        "nodePeaksMib": list(nodes),
    }
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> int:
    """Run; what it wrote, but for the figures, is removed."""
    parser = argparse.ArgumentParser(description="Store, range-read and fetch a large file on a network of nodes.")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--operators", type=int, default=8)
    options = parser.parse_args()
    folder = ROOT / "build" / "large_file"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with Supervisor(folder / "logs") as supervisor:
            network = Network(ROOT, folder, supervisor, "", bonds=100)
            _, network.url = start_anvil(supervisor, ROOT, assign_ports(1)[0])
            clock = Clock(network.url, 0.1).start()
            # enough for a block to be safe; more would let the time for certification pass while nothing happens
            clock.FOLLOWING = 1
            try:
                with network.environment_set():
                    bring_up(network, folder, options.operators, clock)
                    sampler = Sampler([host.process.pid for host in network.hosts])
                    sampler.start()
                    with clock.settling():
                        steps = run_client(network, folder, options.mib * MIB)
                    sampler.stop()
            finally:
                clock.stop()
        nodes = list(sampler.peaks.values())
        show(steps, nodes, options.mib * MIB)
        check(max(step.peak_mib for step in steps) <= CLIENT_MIB, f"The client took more than {CLIENT_MIB:.0f} MiB.")
        check(max(nodes) <= NODE_MIB, f"A node took more than {NODE_MIB:.0f} MiB.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
