"""A whole demo, in which holders of a key crash as well: none of its secrets stands in anything that it leaves."""

from __future__ import annotations

import base64
import inspect
import json
import os
import re
import resource
import secrets as randomness
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_utils import to_bytes
from rich.console import Console

from qanat.chain.journal import state_folder
from qanat.client.release import held_key
from qanat.devnet import liar, network
from qanat.devnet.demo import Demo
from qanat.devnet.network import OperatorHost, wait_until
from qanat.devnet.run import FEWEST_OPERATORS, run_demo
from qanat.keys.sealed_share import open_share, seal_share
from qanat.keys.shares import Commitments, digest_of
from qanat.node.sealing import load_sealing_key
from qanat.node.shareholder import ShareHolder
from qanat.node.state import NodeState
from tests.integration.local_network import ROOT, signed_ask
from tests.integration.secret_search import Secrets, forms, secrets_noted

SECONDS = 120.0
TRIES = 6
#: No holder has this place, and receipts can't name it.
NO_PLACE = 300
KINDS = {
    *("data key", "file key", "share", "polynomial", "threshold key", "part of a threshold key", "wrapping key"),
    *("licensee's key", "Ethereum key", "BLS key", "X25519 key", "sealing key", "recovery key"),
    *("passphrase", "key of a key file", "key of a kept secret", "unlocking signature"),
}


def ask(demo: Demo, host: OperatorHost) -> httpx.Response:
    """Ask a holder for its part, as the licensee may."""
    chain, signer = demo.network.chain, demo.network.actor("licensee").session.signer
    held = held_key(demo._asset, chain=chain)
    assert held is not None
    path, body = signed_ask(held, demo._license, host.address, chain=chain, signer=signer)
    return httpx.post(host.url + path, json=body, timeout=SECONDS, trust_env=False)


@contextmanager
def asked_all_the_time(demo: Demo, host: OperatorHost) -> Iterator[list[int]]:
    """Ask a holder from several threads while the body runs; gives the statuses of its answers."""
    ended, answers = threading.Event(), []

    def go() -> None:
        while not ended.is_set():
            try:
                answers.append(ask(demo, host).status_code)
            except httpx.HTTPError:  # it is down by now
                return

    threads = [threading.Thread(target=go, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join(SECONDS)


def share_opened() -> int:
    """Return the line in which a holder opens its share to answer; from the next one on it has it."""
    lines, first = inspect.getsourcelines(ShareHolder.release)
    return first + next(at for at, line in enumerate(lines) if "self._open(" in line)


def abort_answering(demo: Demo, host: OperatorHost) -> None:
    """Abort a holder as it answers, up to six times until the trace that it writes shows it with the share in hand.

    Which line an abort meets is chance: where none of the six meets that one, six traces of others are searched.
    """
    for _ in range(TRIES):
        log = host.process.log
        size, limits = log.stat().st_size, Path(f"/proc/{host.process.pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core file size" in line).split()[4] == "0"
        with asked_all_the_time(demo, host) as answers:
            wait_until("a holder answers", lambda: answers.count(200) > 3, SECONDS, pause=0.01)
            os.kill(host.process.pid, signal.SIGABRT)
            assert host.process.process.wait(SECONDS) == -signal.SIGABRT
        trace = log.read_bytes()[size:]
        assert b"Fatal Python error: Aborted" in trace
        demo.network.start_nodes([host])
        lines = [int(line) for line in re.findall(rb'shareholder\.py", line (\d+) in release', trace)]
        if any(line > share_opened() for line in lines):
            return


def fail_answering(demo: Demo, host: OperatorHost) -> None:
    """Damage what a holder keeps, so that it opens its share and then fails as nobody foresaw."""
    host.process.kill()
    key = load_sealing_key(host.folder / "keys" / "sealing.json", network.PASSPHRASE)
    held = held_key(demo._asset, chain=demo.network.chain)
    assert held is not None
    memory = NodeState(host.folder / json.loads(host.config.read_text())["data"] / "state")
    try:
        kept = memory.dealing(demo._asset, held.context.key_epoch, held.record.root)
        assert kept is not None
        digest = digest_of(held.context, Commitments.from_bytes(bytes.fromhex(kept.dealing)))
        holder = to_bytes(hexstr=host.address)
        share = open_share(bytes.fromhex(kept.sealed), digest, kept.place, holder, key)
        sealed = seal_share(share, digest, NO_PLACE, holder, key.public)
        memory.forget_dealing(demo._asset, held.context.key_epoch, held.record.root)
        damaged = replace(kept, place=NO_PLACE, sealed=sealed.hex())
        memory.keep_dealing(demo._asset, held.context.key_epoch, held.record.root, damaged)
    finally:
        memory.close()
    demo.network.start_nodes([host])
    assert ask(demo, host).status_code == 500
    told = [line for line in host.process.log.read_text().splitlines() if "request failed" in line]
    assert len(told) == 1
    assert "Traceback" in told[0]
    assert "in release" in told[0]


def fail_reading(host: OperatorHost, asset: int) -> None:
    """Send a holder what is no request."""
    for body in (b"{", b"[]", b"x" * 100, b'{"a":' * 20_000):
        answer = httpx.post(f"{host.url}/keys/{asset}/1/release", content=body, timeout=SECONDS, trust_env=False)
        assert 400 <= answer.status_code < 500


def with_output_kept(real: Callable[..., Any], kept: Path) -> Callable[..., Any]:
    """Keep what processes print that a demo waits for."""

    def run(*arguments: Any, **options: Any) -> Any:
        done = real(*arguments, **options)
        with kept.open("a") as out:
            for text in (done.stdout, done.stderr):
                out.write(text.decode(errors="replace") if isinstance(text, bytes) else text or "")
        return done

    return run


@pytest.fixture
def cores_wanted() -> Iterator[None]:
    """Let the system write core dumps, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.usefixtures("cores_wanted")
def test_a_demo_leaves_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs, databases, settings, key files, journals, traces of crashes, and all output of the run and its commands.

    While it runs, a holder is aborted as it answers, another fails with its share in hand, a third gets no requests.
    """
    folder, passphrase = tmp_path / "demo", randomness.token_hex(16)
    monkeypatch.chdir(tmp_path)  # where core dumps would go
    for name in (network, liar):
        monkeypatch.setattr(name, "PASSPHRASE", passphrase)
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    monkeypatch.setenv("QANAT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QANAT_DEPLOYMENTS", str(folder))
    monkeypatch.setattr(subprocess, "run", with_output_kept(subprocess.run, tmp_path / "commands.log"))
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 40)
    crashed: list[Demo] = []
    real = Demo.lie

    def lie_and_crash(demo: Demo) -> None:
        real(demo)
        one, other, third = demo._holder_hosts()
        abort_answering(demo, one)
        fail_answering(demo, other)
        fail_reading(third, demo._asset)
        crashed.append(demo)

    monkeypatch.setattr(Demo, "lie", lie_and_crash)
    with secrets_noted() as secrets:
        result = run_demo(ROOT, Console(), file=file, operators=FEWEST_OPERATORS, folder=folder)
        secrets.add("passphrase", passphrase.encode())
        secrets.add_all_of(crashed[0].network, passphrase)
    printed = capfd.readouterr()
    (tmp_path / "printed.log").write_text(printed.out + printed.err)
    assert "A file's whole life" in printed.out
    assert result["key_threshold"] == 2
    assert set(secrets.made) == KINDS
    assert len(secrets.made["share"]) >= len(result["key_holders"])

    left = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    names = ("printed.log", "commands.log", "demo/demo.json", "demo/local.json", "demo/owner/file.recovery.json")
    assert {Path(name) for name in names} <= left
    assert len([path for path in left if path.match("logs/node-*.log")]) == FEWEST_OPERATORS
    assert len([path for path in left if path.suffix == ".sqlite"]) >= 2
    assert len([path for path in left if path.suffix == ".mdb"]) >= FEWEST_OPERATORS
    assert [path for path in left if path.name.startswith("core")] == []
    assert state_folder() == tmp_path / "state"
    assert secrets.found_in(tmp_path) == []

    log = folder / "logs" / "node-1.log"
    with log.open("a") as out:
        out.write(f'{{"event": "a slip", "key": "0x{min(secrets.made["share"]).hex()}"}}\n')
    assert secrets.found_in(tmp_path) == [f"share in {log}"]


def test_a_secret_is_found_in_every_form(tmp_path: Path) -> None:
    """As bytes and as text, in base64 wherever it begins, in a name."""
    secrets = Secrets()
    secrets.add("number", int.from_bytes(randomness.token_bytes(30), "big"))
    secrets.add("key", randomness.token_bytes(32))
    secrets.add_point("point", randomness.token_bytes(96))
    for number, (kind, made) in enumerate(secrets.made.items()):
        for at, form in enumerate(sorted(forms(min(made)))):
            planted = tmp_path / f"{number}-{at}"
            planted.write_bytes(bytes(5000) + b"key=" + form + b"\n")
            assert secrets.found_in(planted) == [f"{kind} in {planted}"], (kind, at)
    (key,) = secrets.made["key"]
    inside = tmp_path / "inside"
    for before in (b"", b"a", b"ab"):
        inside.write_bytes(base64.b64encode(before + key + b"c"))
        assert secrets.found_in(inside) == [f"key in {inside}"]
    named = tmp_path / key.hex()
    named.write_bytes(b"")
    assert secrets.found_in(named) == [f"key in {named}"]
