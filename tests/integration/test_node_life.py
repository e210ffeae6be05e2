"""Nodes as real processes on a real chain: kills, restarts, damage, absence, interrupted clients, money arriving."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from qanat.auditor import Finding, audit, follow
from qanat.chain.artifacts import load_artifacts
from qanat.chain.journal import state_folder
from qanat.chain.views import DutyStatus, ObjectStatus
from qanat.cli import main
from qanat.cli.command import development_account
from qanat.cli.keys import keys
from qanat.cli.session import Session
from qanat.client.certifying import Certifier
from qanat.client.fetch import deposit_key, fetch_asset, fetch_object, fetch_recovered, request_key
from qanat.client.listing import certify_list
from qanat.client.store import StoredObject, store_file
from qanat.client.together import Together
from qanat.devnet.anvil import Clock
from qanat.devnet.corruption import flip_byte
from qanat.devnet.network import Network, OperatorHost
from qanat.errors import (
    DecryptionFailed,
    FileChanged,
    FileUnreadable,
    KeyUnavailable,
    NotLicensed,
    QuorumNotReached,
    Refused,
    WrongKeyFile,
)
from qanat.index import Index
from qanat.keys.recovery import RecoveryFile
from qanat.node.duty import non_signers_of
from qanat.store.lmdb_store import LmdbStore
from tests.drand_relay import Relay
from tests.integration.local_network import ROOT, TICKETS_EACH, configure, go_to_epoch, running_network, ticking

OPERATORS = 4
SECONDS = 180.0
#: Epochs of the longest object stored here: what is over is looked for when it is over, too.
LONGEST = 30
#: Epochs of the roster that serves all tests here, on a slow machine too.
TERM = 140


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """A relay of a drand network of our own."""
    with Relay() as served:
        yield served


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, relay: Relay) -> Iterator[tuple[Network, Clock]]:
    """Four nodes, of which the first reports misses and carries out slashes."""
    folder = tmp_path_factory.mktemp("network")
    # each transaction is a block here: reports and settlements of other epochs must not use up a window; and windows
    # leave time between them, in which nodes serve what is challenged
    longer = {"plan_changes": {"epoch": 40, "window": 24}, "delays": {"withdrawal": 110, "timelock": 160}}
    with running_network(folder, OPERATORS, term_epochs=TERM, drandRelays=[relay.url], **longer) as (network, clock):
        yield network, clock


@pytest.fixture
def network(running: tuple[Network, Clock]) -> Network:
    return running[0]


@pytest.fixture
def clock(running: tuple[Network, Clock]) -> Clock:
    return running[1]


@pytest.fixture(autouse=True)
def everybody_up(network: Network) -> Iterator[None]:
    """Every test begins with all nodes up."""
    down = [host for host in network.hosts if host.child is None or not host.child.running]
    if down:
        network.start_nodes(down)
    yield
    for host in network.hosts:
        if host.child is not None and host.child.running:
            host.child.resume()


def eventually(what: str, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def store(network: Network, clock: Clock, path: Path, **options: Any) -> StoredObject:
    """Store a file as the owner; any one operator may be down. The clock jumps over epochs: misses say nothing here."""
    settings = {
        "epochs": 4,
        "out_dir": path.parent,
        "tolerate_down": 1,
        "availability": 0.99,
        "grace_seconds": 30.0,
        **options,
    }
    with clock.settling():
        return store_file(
            path,
            chain=network.chain,
            sender=network.actor("owner").session.sender,
            shard=network.shard,
            **settings,
        )


def make_file(folder: Path, size: int, name: str = "file") -> Path:
    """Write a file that compresses badly."""
    path = folder / name
    chunks = [hashlib.sha256(f"{name} {number}".encode()).digest() for number in range(-(-size // 32))]
    path.write_bytes(b"".join(chunks)[:size])
    return path


def fetch(network: Network, clock: Clock, stored: StoredObject, out: Path) -> bytes:
    """Fetch with the recovery file."""
    assert stored.recovery is not None
    with ticking(clock):
        fetch_recovered(
            stored.recovery,
            chain=network.chain,
            signer=network.actor("owner").session.signer,
            out_path=out,
            timeout_seconds=SECONDS,
        )
    return out.read_bytes()


def answers(network: Network, epoch: int, *hosts: OperatorHost) -> bool:
    """Whether these operators have answered."""
    return all(network.views.duty(network.shard, epoch, host.address) is DutyStatus.ANSWERED for host in hosts)


def begin(network: Network, clock: Clock, epoch: int) -> None:
    """Go to an epoch and wait until a node seals it."""
    go_to_epoch(network, clock, epoch)
    eventually(f"epoch {epoch} is sealed", lambda: network.views.seed(network.shard, epoch).is_sealed)


def status_of(host: OperatorHost, epoch: int) -> str:
    """What a node says of an epoch."""
    duties = {item["epoch"]: item["state"] for item in host.status()["duties"]}
    return str(duties.get(epoch, ""))


# ---- one node's process


def test_a_taken_port_is_an_exit_code(network: Network) -> None:
    """A second daemon on the port ends at once with 44, and says so."""
    host = network.hosts[0]
    done = run_node(host.config, network)
    assert done.returncode == 44, done.stderr
    assert str(host.port) in done.stderr


def test_a_wrong_passphrase_is_an_exit_code(network: Network, tmp_path: Path) -> None:
    """63, before anything is touched."""
    done = run_node(network.hosts[0].config, network, QANAT_PASSPHRASE="not it")
    assert done.returncode == 63, done.stderr


def test_two_daemons_never_share_a_folder(network: Network, tmp_path: Path) -> None:
    """Another port, the same data: refused, since both could sign."""
    host = network.hosts[0]
    settings = json.loads(host.config.read_text())
    settings["port"] = free_port()
    other = host.config.with_name("other.json")
    other.write_text(json.dumps(settings))
    done = run_node(other, network)
    assert done.returncode == 50, done.stderr
    other.unlink()


def test_sigterm_ends_a_node_well(network: Network) -> None:
    """Exit code 0, quickly, and the next start finds everything."""
    host = network.hosts[1]
    before = host.status()
    started = time.monotonic()
    os.kill(host.process.pid, signal.SIGTERM)
    assert host.process.process.wait(30) == 0
    assert time.monotonic() - started < 25
    network.start_nodes([host])
    after = host.status()
    assert {name: after[name] for name in ("objects", "signed", "slices")} == {
        name: before[name] for name in ("objects", "signed", "slices")
    }


def run_node(config: Path, network: Network, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a daemon that is expected to end by itself."""
    command = [str(Path(sys.executable).with_name("qanat")), "node", "--config", str(config)]
    return subprocess.run(
        command,
        env={**os.environ, **network.environment(), **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
        check=False,
    )


def free_port() -> int:
    """Return a port that is free now."""
    from qanat.devnet.processes import assign_ports

    return assign_ports(1)[0]


# ---- storing and fetching


def test_a_file_goes_in_and_comes_back(network: Network, clock: Clock, tmp_path: Path) -> None:
    """Several matrices, nothing of it in plain with any node; progress is told; only the recovery file is left."""
    path = make_file(tmp_path, 700_000)
    told: list[tuple[str, int, int]] = []
    stored = store(network, clock, path, progress=lambda *what: told.append(what))
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert len(stored.signers) == OPERATORS
    assert stored.absent == {}
    assert network.views.object(stored.object_id).status is ObjectStatus.CERTIFIED
    assert {stage for stage, _, _ in told} == {"encode", "send", "sign"}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "file.recovery.json"]
    assert fetch(network, clock, stored, tmp_path / "back") == path.read_bytes()
    stranger = network.actor("stranger").session.signer
    with ticking(clock):
        taken = fetch_object(stored.object_id, chain=network.chain, signer=stranger, out_path=tmp_path / "cipher")
    assert taken.sha256 == stored.manifest.content_hash
    assert path.read_bytes()[:32] not in (tmp_path / "cipher").read_bytes()
    with pytest.raises(WrongKeyFile):
        fetch_recovered(stored.recovery, chain=network.chain, signer=stranger, out_path=tmp_path / "no")
    with pytest.raises(DecryptionFailed):
        fetch_object(
            stored.object_id, chain=network.chain, signer=stranger, out_path=tmp_path / "no", data_key=bytes(32)
        )
    assert not (tmp_path / "no").exists()


def test_one_list_certifies_what_several_storings_sent(
    network: Network, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real contract takes `certifyMany` as the client makes it, with a node missing; the storings end by it."""
    sent: list[bytes] = []

    class Stopped(Exception):
        pass

    def stop(_certifier: Any, object_id: bytes, *_: Any) -> str:
        sent.append(object_id)
        raise Stopped

    paths = [make_file(tmp_path, 40_000, f"file{number}") for number in range(2)]
    epochs = longest(network)  # what waits here for others is read at the end
    with monkeypatch.context() as patched:
        patched.setattr(Certifier, "certify", stop)
        for path in paths:
            with pytest.raises(Stopped):
                store(network, clock, path, epochs=epochs)
    away = network.hosts[3]
    os.kill(away.process.pid, signal.SIGTERM)
    assert away.process.process.wait(30) == 0
    with clock.settling():
        listed = certify_list(
            network.views, network.actor("stranger").session.sender, sent, seconds=60.0, grace_seconds=0.5
        )
    assert set(listed.failures) == {away.address}
    records = [network.views.object(object_id) for object_id in sent]
    assert [record.status for record in records] == [ObjectStatus.CERTIFIED] * 2
    assert [record.unsigned_tickets for record in records] == [TICKETS_EACH] * 2
    seat = network.views.roster(network.shard, records[0].roster).entry_of(away.address).seat
    assert [non_signers_of(network.views, object_id, 2**63 - 1) for object_id in sent] == [(seat,)] * 2
    for path, object_id in zip(paths, sent, strict=True):
        stored = store(network, clock, path, epochs=epochs)
        assert (stored.object_id, stored.certify_transaction, stored.resumed) == (object_id, "", True)
        assert fetch(network, clock, stored, tmp_path / f"{path.name}.back") == path.read_bytes()


def test_storings_that_wait_together_share_a_certificate(network: Network, clock: Clock, tmp_path: Path) -> None:
    """Three bundles' storings, of which none goes first: one `certifyMany`, and each ends with its own receipt."""
    sender = network.actor("owner").session.sender
    # each storing would set the allowance anew, and use up another one's
    token = network.views.shard_parameters(network.shard).payment_token
    held = int(network.chain.call(network.chain.token(token).functions.balanceOf(sender.address)))
    sender.approve_if_needed(token, network.chain.contract("Payments").address, held)
    together = Together(network.views, sender)
    together._is_busy = True  # as if another certificate were under way
    paths = [make_file(tmp_path, 40_000, f"file{number}") for number in range(3)]

    def let_go() -> None:
        with together._turn:
            together._is_busy = False
            together._turn.notify_all()

    def work(path: Path) -> StoredObject:
        return store_file(
            path,
            chain=network.chain,
            sender=sender,
            shard=network.shard,
            epochs=4,
            out_dir=tmp_path,
            tolerate_down=1,
            availability=0.99,
            encrypt=False,
            together=together,
        )

    with clock.settling(), ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(work, path) for path in paths]
        try:
            eventually(
                "all wait for a certificate",
                lambda: len(together._waiting) == 3 or any(task.done() for task in tasks),
            )
        finally:
            let_go()
        stored = [task.result(SECONDS) for task in tasks]
    (transaction,) = {item.certify_transaction for item in stored}
    receipt = network.chain.web3.eth.get_transaction_receipt(transaction)
    events = network.chain.contract("Objects").events.ObjectCertified().process_receipt(receipt)
    assert {bytes(event["args"]["objectId"]) for event in events} == {item.object_id for item in stored}
    assert [network.views.object(item.object_id).status for item in stored] == [ObjectStatus.CERTIFIED] * 3
    assert all(len(item.signers) == OPERATORS and item.absent == {} for item in stored)


def test_an_empty_file_goes_in_and_comes_back(network: Network, clock: Clock, tmp_path: Path) -> None:
    """Zero bytes, encrypted and plain."""
    path = make_file(tmp_path, 0)
    stored = store(network, clock, path)
    assert fetch(network, clock, stored, tmp_path / "back") == b""
    plain = store(network, clock, path, encrypt=False, name="plain")
    assert plain.recovery is None
    with ticking(clock):
        signer = network.actor("stranger").session.signer
        fetch_object(plain.object_id, chain=network.chain, signer=signer, out_path=tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == b""


def test_nothing_is_paid_when_it_cannot_work(network: Network, clock: Clock, tmp_path: Path) -> None:
    """Unreadable, changed while read, declined: an error before any transaction, nothing half-written."""
    owner = network.actor("owner")
    before = network.views.nonce(owner.address)
    with pytest.raises(FileUnreadable):
        store(network, clock, tmp_path / "missing")
    with pytest.raises(FileUnreadable):
        store(network, clock, tmp_path, name="folder")
    path = make_file(tmp_path, 400_000)

    def change(stage: str, done: int, _all: int) -> None:
        if stage == "encode" and done:
            with path.open("ab") as file:
                file.write(b"more")

    with pytest.raises(FileChanged):
        store(network, clock, path, progress=change)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file"]
    with pytest.raises(Refused):
        store(network, clock, path, confirm=lambda _quote: False)
    assert network.views.nonce(owner.address) == before


@dataclass
class Client:
    """`qanat store` as a process of its own, that a test may kill."""

    network: Network
    path: Path

    @property
    def folder(self) -> Path:
        return self.path.with_name(f"{self.path.name}.storing")

    def start(self) -> subprocess.Popen[bytes]:
        owner = self.network.actor("owner").number
        deployed = str(self.network.folder / "local.json")
        command = [str(Path(sys.executable).with_name("qanat")), "store", str(self.path), "--json", "--yes"]
        command += ["--epochs", "4", "--tolerate-down", "1", "--availability", "0.99"]
        command += ["--out-dir", str(self.path.parent)]
        command += ["--rpc", self.network.url, "--deployment", deployed, "--test-account", str(owner)]
        environment = {**os.environ, **self.network.environment(), "QANAT_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def kill_when(self, what: str, holds: Callable[[], bool]) -> None:
        """Start one, and send SIGKILL at the first moment at which something holds."""
        with self.start() as process:
            deadline = time.monotonic() + SECONDS
            while not holds():
                assert process.poll() is None, (what, process.stdout.read(), process.stderr.read())
                assert time.monotonic() < deadline, what
                time.sleep(0.002)
            process.kill()

    def job(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / "job.json").read_text()))
        except FileNotFoundError:
            return {}

    def encoded(self) -> int:
        """Bytes of the records of matrices that need not be encoded again."""
        try:
            return (self.folder / "encoded.bin").stat().st_size
        except FileNotFoundError:
            return 0


def test_a_storing_that_is_killed_goes_on_and_pays_once(network: Network, clock: Clock, tmp_path: Path) -> None:
    """kill -9 while it encodes, when the payment has left, when a node signed: one payment, nothing encoded twice."""
    owner = network.actor("owner")
    token = network.chain.token(network.parameters.payment_token)
    balance = network.chain.call(token.functions.balanceOf(owner.address))
    nonce = network.views.nonce(owner.address)
    path = make_file(tmp_path, 12_000_000)
    client = Client(network, path)
    with clock.settling():
        client.kill_when("some is encoded", lambda: client.encoded() > 0)
        first, header = client.encoded(), client.job()["header"]
        assert not client.job()["encoded"]
        client.kill_when("more is encoded", lambda: client.encoded() > first)
        client.kill_when("it is paid", lambda: network.views.nonce(owner.address) > nonce)
        written = (client.folder / "slices.bin").stat().st_mtime_ns
        assert client.job()["header"] == header
        client.kill_when("somebody signed", lambda: bool(client.job().get("signatures")))
        assert (client.folder / "slices.bin").stat().st_mtime_ns == written
        with client.start() as process:
            out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["resumed"]
    assert network.views.nonce(owner.address) == nonce + 1
    assert balance - network.chain.call(token.functions.balanceOf(owner.address)) == told["payment"]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "file.recovery.json"]
    recovery = RecoveryFile.load(tmp_path / "file.recovery.json")
    assert recovery.manifest.header.hex() == header
    assert recovery.object_id.hex() == told["objectId"].removeprefix("0x")
    with ticking(clock):
        fetch_recovered(
            tmp_path / "file.recovery.json",
            chain=network.chain,
            signer=owner.session.signer,
            out_path=tmp_path / "back",
            timeout_seconds=SECONDS,
        )
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_too_few_operators_is_told_and_can_be_finished_later(network: Network, clock: Clock, tmp_path: Path) -> None:
    """Two of four are down: who and why; with them up again the same payment is certified."""
    path = make_file(tmp_path, 100_000)
    for host in network.hosts[:2]:
        host.process.kill()
    with pytest.raises(QuorumNotReached) as found:
        store(network, clock, path, timeout_seconds=12.0)
    assert set(found.value.data["reasons"]) >= {host.address for host in network.hosts[:2]}
    nonce = network.views.nonce(network.actor("owner").address)
    network.start_nodes(network.hosts[:2])
    stored = store(network, clock, path)
    assert stored.resumed
    assert network.views.nonce(network.actor("owner").address) == nonce
    assert fetch(network, clock, stored, tmp_path / "back") == path.read_bytes()


def test_an_object_that_was_not_certified_in_time_is_refunded(network: Network, clock: Clock, tmp_path: Path) -> None:
    """After the epoch the storage fee comes back, all but the intake; the nodes delete what they took in."""
    path = make_file(tmp_path, 100_000)
    for host in network.hosts[:2]:
        host.process.kill()
    with pytest.raises(QuorumNotReached) as found:
        store(network, clock, path, timeout_seconds=10.0)
    object_id = found.value.data["object_id"]
    witness = network.hosts[2]
    assert witness.status()["objects"] >= 1
    clock.mine_to(found.value.data["deadline"] + 5)
    with pytest.raises(QuorumNotReached, match="taken back"):
        store(network, clock, path)
    assert network.views.object(object_id).status is ObjectStatus.FAILED
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "file.storing"]
    network.start_nodes(network.hosts[:2])
    slices = tmp_path / "file.storing" / "slices.bin"
    written = slices.stat().st_mtime_ns
    with pytest.raises(Refused):  # it is encoded, and asks again before it pays again
        store(network, clock, path, confirm=lambda _quote: False)
    assert slices.stat().st_mtime_ns == written
    clock.mine(30)
    eventually(
        "the node deletes it",
        lambda: httpx.get(f"{witness.url}/objects/0x{object_id.hex()}/manifest", trust_env=False).status_code == 404,
    )


# ---- duties


def test_a_killed_node_loses_nothing_and_misses_nothing(network: Network, clock: Clock, tmp_path: Path) -> None:
    """kill -9 after signing and again while its challenge is open: same signature, all slices, an answer in time."""
    path = make_file(tmp_path, 300_000)
    stored = store(network, clock, path)
    host = network.hosts[2]
    sign = f"{host.url}/objects/0x{stored.object_id.hex()}/signature"
    signature = httpx.post(sign, trust_env=False, timeout=30).json()
    slices = host.status()["slices"]
    host.process.kill()
    network.start_nodes([host])
    assert httpx.post(sign, trust_env=False, timeout=30).json() == signature
    assert host.status()["slices"] == slices
    host.process.kill()
    begin(network, clock, stored.first_epoch)
    network.start_nodes([host])
    eventually("all answer", lambda: answers(network, stored.first_epoch, *network.hosts))
    clock.mine_to(network.views.seed(network.shard, stored.first_epoch).deadline + 3)
    with ticking(clock):  # it says so once that is final
        eventually("it is settled", lambda: status_of(host, stored.first_epoch) == "settled")
    epoch = stored.first_epoch + 1
    begin(network, clock, epoch)
    eventually("all answer again", lambda: answers(network, epoch, *network.hosts))
    sent = [
        event
        for event in network.chain.contract("Audits").events.Answered().get_logs(from_block=0)
        if event["args"]["operator"] == host.address
    ]
    assert len({event["args"]["epoch"] for event in sent}) == len(sent)


def test_operators_and_restakers_are_paid(network: Network, clock: Clock, tmp_path: Path) -> None:
    """After an answered epoch the operator can claim; intake too; without anybody's doing but the nodes'."""
    token = network.parameters.payment_token
    host = network.hosts[3]
    before = network.views.claimable(token, host.address)
    stored = store(network, clock, make_file(tmp_path, 200_000))
    begin(network, clock, stored.first_epoch)
    eventually("all answer", lambda: answers(network, stored.first_epoch, *network.hosts))
    clock.mine_to(network.views.seed(network.shard, stored.first_epoch).deadline + 3)
    views, shard = network.views, network.shard
    eventually("it is settled", lambda: views.is_settled(shard, stored.first_epoch, host.address))
    eventually("it can claim", lambda: network.views.claimable(token, host.address) > before)


def test_a_missing_signer_has_no_duty_for_that_object(network: Network, clock: Clock, tmp_path: Path) -> None:
    """One is down until it is too late to adopt: the others answer with its absence proven; it owes nothing."""
    absent = network.hosts[3]
    absent.process.kill()
    stored = store(network, clock, make_file(tmp_path, 300_000), grace_seconds=1.0)
    assert set(stored.absent) == {absent.address}
    begin(network, clock, stored.first_epoch)
    signers = [host for host in network.hosts if host is not absent]
    eventually("the signers answer", lambda: answers(network, stored.first_epoch, *signers))
    # one ticket each: what the absent one owes less than the others is its part of this object
    held = {
        host.address: network.views.held_rows(network.shard, stored.first_epoch, host.address) for host in network.hosts
    }
    part = stored.manifest.count // OPERATORS
    assert {held[host.address] - held[absent.address] for host in signers} == {part}
    assert fetch(network, clock, stored, tmp_path / "back") == (tmp_path / "file").read_bytes()


def test_a_late_operator_adopts_its_rows(network: Network, clock: Clock, tmp_path: Path) -> None:
    """It was down while a file was stored: it takes its rows from the others, joins, and owes what they owe."""
    late = network.hosts[3]
    late.process.kill()
    stored = store(network, clock, make_file(tmp_path, 300_000), grace_seconds=1.0)
    assert set(stored.absent) == {late.address}
    assert network.views.object(stored.object_id).unsigned_tickets == 1
    network.start_nodes([late])
    eventually("it adopts", lambda: network.views.object(stored.object_id).unsigned_tickets == 0)
    events = network.chain.contract("Objects").events.ObjectAdopted()
    (log,) = events.get_logs(from_block=0, argument_filters={"objectId": stored.object_id})
    # the second epoch, if the first was frozen when it adopted
    epoch = int(log["args"]["fromEpoch"])
    begin(network, clock, epoch)
    eventually("all answer", lambda: answers(network, epoch, *network.hosts))
    # it may lack the rows of other tests' objects, and not those of this one
    part = stored.manifest.count // OPERATORS
    assert network.views.held_rows(network.shard, epoch, late.address) >= part


def test_damage_is_found_and_a_miss_is_reported_and_slashed(network: Network, clock: Clock, tmp_path: Path) -> None:
    """A flipped byte in a drawn slice: no answer is sent; a node that reports carries the slash through."""
    reporter, damaged = network.hosts[0], network.hosts[1]
    configure(reporter, report=True)
    reporter.process.stop()
    network.start_nodes([reporter])
    stored = store(network, clock, make_file(tmp_path, 300_000))
    epoch = stored.first_epoch
    damaged.process.pause()
    manifest = stored.manifest
    for index in range(manifest.count):
        flip_if_held(damaged, stored.object_id, index)
    go_to_epoch(network, clock, epoch)
    eventually("it is sealed", lambda: network.views.seed(network.shard, epoch).is_sealed)
    damaged.process.resume()
    eventually("it sees the damage", lambda: status_of(damaged, epoch) == "unable")
    others = [host for host in network.hosts if host is not damaged]
    eventually("the others answer", lambda: answers(network, epoch, *others))
    bond = network.views.bond(damaged.address, network.shard)
    # everybody settles then, and a block for each transaction would use up the time for reports
    with clock.gathering():
        clock.mine_to(network.views.seed(network.shard, epoch).deadline + 2)
        views, shard = network.views, network.shard
        eventually("it is reported", lambda: views.duty(shard, epoch, damaged.address) is DutyStatus.MISSED)
    clock.mine(8)
    eventually("it is slashed", lambda: network.views.bond(damaged.address, network.shard) < bond)
    assert network.views.pending_slashes(damaged.address) == 0
    # its damaged slices are served to nobody, and the file is still whole
    assert fetch(network, clock, stored, tmp_path / "back") == (tmp_path / "file").read_bytes()


def flip_if_held(host: OperatorHost, object_id: bytes, index: int) -> None:
    """Flip a byte of a slice where the node holds it."""
    from qanat.errors import SliceNotFound

    try:
        flip_byte(host.slices, object_id, index)
    except SliceNotFound:
        return


# ---- licenses


def test_the_key_goes_to_the_licensee_and_to_nobody_else(network: Network, clock: Clock, tmp_path: Path) -> None:
    """Minted, deposited, bought, released, fetched, with the release on chain; strangers are refused at every step."""
    path = make_file(tmp_path, 150_000)
    stored = store(network, clock, path, epochs=8)
    owner, licensee, stranger = (network.actor(role) for role in ("owner", "licensee", "stranger"))
    holder = network.hosts[0].address
    with clock.settling():
        minted = owner.run("mint", recovery=stored.recovery, key_holder=holder)
        asset = int(minted["asset"])
        offer = owner.run("offer", asset=asset, price="25", purposes="train", days=365.0)
        bought = licensee.run("license", offer=int(offer["offer"]), max_price="25")
        license_id = int(bought["license"])
    with ticking(clock):
        for person, number in ((stranger, license_id), (licensee, license_id + 1000)):
            with pytest.raises((NotLicensed, KeyUnavailable)):
                request_key(asset, number, chain=network.chain, signer=person.session.signer, timeout_seconds=20)
        assert network.views.license(license_id).released_at == 0
        done = fetch_asset(
            asset,
            license_id,
            chain=network.chain,
            signer=licensee.session.signer,
            out_path=tmp_path / "licensed",
            timeout_seconds=SECONDS,
        )
        assert done.decrypted
        with pytest.raises(Exception, match="does not own asset"):
            deposit_key(asset, bytes(32), chain=network.chain, signer=stranger.session.signer, key_holder=holder)
    assert (tmp_path / "licensed").read_bytes() == path.read_bytes()
    assert network.views.license(license_id).released_at > 0


def test_an_owner_comes_back_with_a_recovery_file_alone(
    network: Network, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two objects, a backup; then all else is gone, this machine's keys, files and index: both come back.

    A third object, stored under another recovery key, is told apart; somebody else's Ethereum key opens nothing.
    """
    owner, stranger = network.actor("owner"), network.actor("stranger")
    made, kept = tmp_path / "made", tmp_path / "stick"
    for folder in (made, kept):
        folder.mkdir()
    files = {number: make_file(made, 30_000 + number, f"file{number}") for number in range(3)}
    contents = {number: path.read_bytes() for number, path in files.items()}
    settings = {"shard": str(network.shard), "epochs": 4, "out_dir": made, "tolerate_down": 1, "availability": 0.99}
    home = state_folder() / "keys" / f"{owner.address.lower()}.json"
    ids = {}
    with clock.settling():
        for number in (2, 0, 1):
            ids[number] = owner.run("store", file=files[number], **settings)["objectId"]
            if number == 2:
                home.unlink()
    backup = kept / "recovery-key.json"
    owner.run("keys", action="backup", out=backup)
    public = json.loads(backup.read_text())["public"]

    shutil.rmtree(made)
    shutil.rmtree(home.parent)
    monkeypatch.setenv("QANAT_INDEX", str(tmp_path / "index.sqlite"))
    back = tmp_path / "back"
    fresh = Session(chain=lambda: network.chain, signer=lambda: development_account(owner.number), yes=True)
    with ticking(clock):
        outcome = keys(fresh, action="restore", recovery=backup, out_dir=back, owner=None, out=None, fetch=True)
        with pytest.raises(WrongKeyFile):
            stranger.run("keys", action="restore", recovery=backup, out_dir=tmp_path / "no")
    found = {item["objectId"]: item for item in outcome.data["objects"]}
    assert outcome.data["notFetched"] == []
    for number in (0, 1):
        assert found[ids[number]]["state"] == "regained"
        assert (back / ids[number][2:]).read_bytes() == contents[number]
    assert found[ids[2]]["state"] == "foreign"
    assert not (back / ids[2][2:]).exists()
    assert json.loads(home.read_text())["public"] == public
    assert home.stat().st_mode & 0o077 == 0


def test_who_has_the_only_key_is_warned_until_it_is_backed_up(
    network: Network, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed says so after storing, and after minting what only its owner can open; no longer after a backup."""
    monkeypatch.setenv("QANAT_STATE", str(tmp_path / "state"))
    warning = "Warning: if this machine is lost, so is the only key to this data."
    who = ("--test-account", network.actor("owner").number, "--yes")
    where = ("--rpc", network.url, "--deployment", network.folder / "local.json")

    def said(*words: object) -> str:
        with clock.settling():
            done = CliRunner().invoke(main, [str(word) for word in (*words, *who, *where)])
        assert done.exit_code == 0, (done.output, done.exception)
        return " ".join(done.output.split())

    for name, warned in (("before", True), ("after", False)):
        out = tmp_path / name
        settings = ("--shard", network.shard, "--epochs", 4, "--tolerate-down", 1, "--availability", 0.99)
        stored = said("store", make_file(tmp_path, 20_000, f"{name}.bin"), *settings, "--out-dir", out)
        minted = said("mint", "--recovery", *out.glob("*.recovery.json"), "--key-holder", "self")
        assert ("operators signed" in stored, "is minted" in minted) == (True, True)
        assert [warning in text for text in (stored, minted)] == [warned, warned]
        assert ["qanat keys backup --out FILE" in text for text in (stored, minted)] == [warned, warned]
        if warned:
            assert "Keep it away from this machine" in said("keys", "backup", "--out", tmp_path / "backup.json")


def longest(network: Network) -> int:
    """Return for how long an object may be stored now: to the end of its roster, whose term began with other tests."""
    views, shard = network.views, network.shard
    rest = views.roster(shard, views.active_roster(shard)).head.end_epoch
    soon = network.chain.latest() + network.parameters.epoch_length
    return min(LONGEST, rest - views.first_epoch_after(shard, soon) - 1)


# ---- randomness


def test_randomness_is_swapped_while_nodes_run(network: Network, clock: Clock, tmp_path: Path, relay: Relay) -> None:
    """RANDAO, then drand through the timelock: nodes stay up, everybody answers, an auditor derives both seeds."""
    views, shard = network.views, network.shard
    # other tests' objects, some damaged on purpose, are over: nobody is unable to answer because of them
    clock.mine(6 * network.parameters.epoch_length)
    stored = store(network, clock, make_file(tmp_path, 100_000), epochs=longest(network))
    holders = [host for host in network.hosts if host.address not in stored.absent]
    begin(network, clock, stored.first_epoch)
    eventually("all answer", lambda: answers(network, stored.first_epoch, *holders))

    sender = network.actor("governor").session.sender
    artifact = load_artifacts()["DrandBeacon"]
    factory = network.chain.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    words = [int.from_bytes(relay.key[at : at + 32], "big") for at in range(0, 256, 32)]
    beacon = sender.send(factory.constructor(words, 1_000_000_000, 3, 6))["contractAddress"]
    directory = network.chain.contract("Directory").functions
    name = b"randomness".ljust(32, b"\0")
    sender.send(directory.queueChange(name, beacon))
    clock.mine(network.chain.call(directory.timelock()))
    sender.send(directory.applyChange(name))

    epoch = views.first_epoch_after(shard, network.chain.latest()) + 1
    begin(network, clock, epoch)
    eventually("all answer", lambda: answers(network, epoch, *holders))
    assert relay.refused > 0, "it was asked before the round was signed, and again"
    assert relay.served > 0
    clock.mine(4)
    index = Index(tmp_path / "index.sqlite", network.chain)
    report = audit(network.chain, index)
    # a restarted auditor counts what it verified before, and says the same
    rounds = [next(follow(network.chain, index, tmp_path / "audit.json", every=0.0)) for _ in range(2)]
    index.close()
    assert report.seeds > 1
    assert report.responses > 1
    assert [item for item in report.findings if "seed" in item.what] == []
    for again in rounds:
        assert (again.findings, again.responses) == (report.findings, report.responses)


# ---- another Audits


def test_audits_is_swapped_while_an_epoch_is_open(network: Network, clock: Clock, tmp_path: Path) -> None:
    """The older roster is asked by the one before, a newer one by the new: nodes answer both, and nobody is slashed.

    The last operator accepts no new slasher: it stays bound to the old Audits alone, and is none of the newer roster.
    """
    views, shard, chain = network.views, network.shard, network.chain
    configure(network.hosts[0], report=True)
    network.hosts[0].process.stop()
    network.start_nodes([network.hosts[0]])
    clock.mine(6 * network.parameters.epoch_length)
    with Index(tmp_path / "index.sqlite", chain) as index:
        earlier = audit(chain, index).findings  # of an operator whose slices another test damaged
    older = store(network, clock, make_file(tmp_path, 100_000, "older"), epochs=longest(network))
    holders = [host for host in network.hosts if host.address not in older.absent]
    old = views.audits().address

    sender = network.actor("governor").session.sender
    artifact = load_artifacts()["Audits"]
    factory = chain.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    directory = chain.contract("Directory")
    new = str(sender.send(factory.constructor(directory.address))["contractAddress"])
    name = b"audits".ljust(32, b"\0")
    sender.send(directory.functions.queueChange(name, new))
    clock.mine(chain.call(directory.functions.timelock()))
    epoch = max(older.first_epoch, views.first_epoch_after(shard, chain.latest()) + 1)
    for host in holders:
        host.process.pause()
    go_to_epoch(network, clock, epoch)
    sender.send(directory.functions.applyChange(name))
    chain.forget_modules()
    assert views.audits().address == new
    for host in holders:
        host.process.resume()
    answered_at(network, epoch, old, holders)

    bound = network.hosts[-1]
    # who was slashed below the least bond stands for no roster
    free = [host for host in network.hosts[:-1] if views.standing(shard, host.address)[2]]
    for host in free:
        host.actor.session.sender.send(chain.contract("Restaking").functions.acceptSlasher(new))
    roster = network.take_roster()
    assert set(roster.operators) == {host.address for host in free}
    clock.mine_to(views.seed_block(shard, roster.head.active_from_epoch))
    newer = store(network, clock, make_file(tmp_path, 60_000, "newer"))
    assert views.object(newer.object_id).roster == roster.number
    assert views.object(older.object_id).end_epoch > newer.first_epoch
    go_to_epoch(network, clock, newer.first_epoch)
    answered_at(network, newer.first_epoch, old, [*free, bound])
    answered_at(network, newer.first_epoch, new, free)

    # time to report whoever had not answered
    with clock.gathering():
        clock.mine_to(max(views.seed(shard, newer.first_epoch, audits=at).deadline for at in (old, new)) + 3)
        time.sleep(3)
    with Index(tmp_path / "index.sqlite", chain) as index:
        report = audit(chain, index)
        # the windows of epochs in between pass in one step, where the clock goes on to the next thing
        reported = [item for item in index.misses(shard) if item.epoch in (epoch, newer.first_epoch)]
        assert {item.audits for item in index.answers(shard, newer.first_epoch)} == {old, new}
    assert reported == []
    kinds = ("seed", "response", "miss", "slash", "payment")
    found = [item for item in report.findings if item.kind in kinds and item not in earlier]
    assert [item for item in found if not jumped(item, but=(epoch, newer.first_epoch))] == []


def jumped(finding: Finding, *, but: Sequence[int]) -> bool:
    """Tell of a finding whether the test's clock made it: a window mined past in one step, and its reporting period."""
    return finding.what == "was never reported" and all(f"epoch {epoch}," not in finding.subject for epoch in but)


def answered_at(network: Network, epoch: int, audits: str, hosts: Sequence[OperatorHost]) -> None:
    """Wait until these operators have answered an epoch at an Audits."""

    def all_answered() -> bool:
        duties = [network.views.duty(network.shard, epoch, host.address, audits=audits) for host in hosts]
        return all(duty is DutyStatus.ANSWERED for duty in duties)

    eventually(f"epoch {epoch} is answered at {audits}", all_answered, 60.0)


# ---- the end


def test_what_is_over_is_deleted(network: Network, clock: Clock) -> None:
    """After the last term nothing is left with the nodes but what they signed, and nothing went before."""
    indexed = [host.status()["objects"] for host in network.hosts]
    assert max(indexed) > 0
    clock.mine((LONGEST + 2) * network.parameters.epoch_length)
    for host in network.hosts:
        eventually("it deletes what is over", lambda host=host: host.status()["slices"] == 0)  # type: ignore[misc]
        assert host.status()["signed"] > 0
    host = network.hosts[0]
    host.process.stop()
    kept = LmdbStore(host.slices)
    assert kept.usage().slices == 0
    kept.close()
