"""A node's settings, its memory across kills, and signed requests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qanat.chain.signer import KeySigner
from qanat.errors import BadParameters, FileUnreadable, InvalidSignature, NodeRefused, StoreError
from qanat.node.config import load_config, passphrase
from qanat.node.metrics import Metrics
from qanat.node.requests import MAX_AGE_SECONDS, authorization, request_text, verify_authorization
from qanat.node.state import (
    FORMAT,
    DepositedKey,
    Duty,
    DutyState,
    HeldObject,
    NodeState,
    PendingRelease,
    Signed,
    moved,
)
from qanat.store.environment import Environment, Format, Transaction

A, B = b"\xaa" * 32, b"\xbb" * 32
SIGNER = KeySigner.from_key(b"\x07" * 32)
OPERATOR = "0x52908400098527886E0F7030069857D2E4169EE7"


def make_held(**overrides) -> HeldObject:
    """An object held, of 3 tickets."""
    fields = dict.fromkeys(HeldObject.__dataclass_fields__, 1)
    return HeldObject(**{**fields, "root": "01" * 32, **overrides})


# ---- memory


def test_objects_and_signatures_are_there_after_reopening(tmp_path: Path) -> None:
    """Manifest, signature, duty, key, release, number."""
    state = NodeState(tmp_path / "s")
    state.keep_manifest(A, make_held(), b"manifest")
    signed = Signed("01" * 32, "02" * 32, "03" * 128)
    assert state.record_signature(A, signed) == signed
    duty = Duty(1, 7, DutyState.OPEN, deadline=99)
    state.record_duty(duty)
    state.keep_key(5, DepositedKey("aa", OPERATOR, 10))
    release = PendingRelease(9, "0b" * 32, 100, "0c" * 65)
    state.keep_release(release)
    state.set_number("block", 1234)
    state.close()
    state = NodeState(tmp_path / "s")
    assert state.object(A) == make_held()
    assert state.manifest(A) == b"manifest"
    assert state.signed(A) == signed
    assert state.signed_objects() == {A: signed}
    assert state.duties(1) == [duty]
    assert (state.duty(1, 7), state.duty(2, 7)) == (duty, None)
    assert state.key(5) == DepositedKey("aa", OPERATOR, 10)
    assert state.releases() == [release]
    assert (state.number("block"), state.number("other")) == (1234, 0)
    state.forget_release(9)
    assert state.releases() == []
    state.close()


def test_no_second_root_is_recorded(tmp_path: Path) -> None:
    """Neither as manifest nor as signature; the first one stands, also after the object was forgotten."""
    state = NodeState(tmp_path / "s")
    state.keep_manifest(A, make_held(), b"m")
    first = state.record_signature(A, Signed("01" * 32, "02" * 32, "03"))
    assert state.record_signature(A, Signed("01" * 32, "02" * 32, "ff")) == first
    for root, digest in (("99" * 32, "02" * 32), ("01" * 32, "99" * 32)):
        with pytest.raises(NodeRefused):
            state.record_signature(A, Signed(root, digest, "03"))
    state.forget_object(A)
    with pytest.raises(NodeRefused):
        state.keep_manifest(A, make_held(root="99" * 32), b"other")
    state.keep_manifest(B, make_held(root="99" * 32), b"other")
    assert state.signed(A) == first
    state.close()


def test_duties_are_listed_by_epoch(tmp_path: Path) -> None:
    """In order, per shard, the newest if asked."""
    state = NodeState(tmp_path / "s")
    for epoch in (300, 2, 40):
        state.record_duty(Duty(1, epoch, DutyState.WAITING))
    state.record_duty(Duty(2, 1, DutyState.WAITING))
    assert [duty.epoch for duty in state.duties(1)] == [2, 40, 300]
    assert [duty.epoch for duty in state.duties(1, last=2)] == [40, 300]
    duty = moved(state.duties(1)[0], DutyState.SENT, transaction="0x1")
    state.record_duty(duty)
    assert state.duty(1, 2) == duty
    state.close()


def test_an_older_deposit_does_not_replace_a_newer_key(tmp_path: Path) -> None:
    """A replayed request must not bring an old key back."""
    state = NodeState(tmp_path / "s")
    state.keep_key(1, DepositedKey("aa", OPERATOR, 100))
    state.keep_key(1, DepositedKey("aa", OPERATOR, 100))  # the same again is harmless
    for time_ in (99, 100):
        with pytest.raises(NodeRefused):
            state.keep_key(1, DepositedKey("bb", OPERATOR, time_))
    state.keep_key(1, DepositedKey("bb", OPERATOR, 101))
    assert state.key(1) == DepositedKey("bb", OPERATOR, 101)
    state.close()


def test_a_killed_process_never_signs_twice(tmp_path: Path) -> None:
    """Killed at random instants while it records signatures: whatever it printed stands after every restart."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from qanat.node.state import NodeState, Signed\n"
        f"state = NodeState(Path({str(tmp_path / 's')!r}))\n"
        "start = int(sys.argv[1])\n"
        "for number in range(start, start + 100000):\n"
        "    name = number.to_bytes(32, 'big')\n"
        "    signed = Signed(f'{number:064x}', 'd', f'{start}')\n"
        "    print(number, state.record_signature(name, signed).signature, flush=True)\n"
    )
    told: dict[int, str] = {}
    for attempt in range(3):
        start = max(0, len(told) - 3)
        child = subprocess.Popen([sys.executable, "-c", program, str(start)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for count, line in enumerate(child.stdout):
            number, signature = line.split()
            assert told.setdefault(int(number), signature) == signature
            if count == 20 + 13 * attempt:
                os.kill(child.pid, signal.SIGKILL)
                break
        child.wait()
        child.stdout.close()
    state = NodeState(tmp_path / "s")
    for number, signature in told.items():
        found = state.signed(number.to_bytes(32, "big"))
        assert found is not None
        assert found.signature == signature
    state.close()


def write_version_2(path: Path, duties: dict[int, dict]) -> None:
    """A memory as version 2 left it: an epoch's duty has no Audits, neither in its key nor in itself; no shares."""
    tables = ("objects", "manifests", "signatures", "duties", "keys", "releases", "meta")
    made = Environment(path, tables, Format("node memory", 2))

    def body(transaction: Transaction) -> None:
        held = {**dict.fromkeys(HeldObject.__dataclass_fields__, 1), "root": "01" * 32}
        transaction.put("objects", A, json.dumps(held).encode())
        transaction.put("manifests", A, b"manifest")
        transaction.put("signatures", A, b'{"root":"%s","digest":"02","signature":"03"}' % (b"01" * 32))
        for epoch, duty in duties.items():
            fields = {"shard": 1, "epoch": epoch, "deadline": 0, "transaction": "", "note": "", **duty}
            key = (1).to_bytes(4, "big") + epoch.to_bytes(8, "big")
            transaction.put("duties", key, json.dumps(fields).encode())
        transaction.put("meta", b"intake 1", b"30")

    made.write(body)
    made.close()


def test_a_memory_of_version_2_is_opened(tmp_path: Path) -> None:
    """All that it held is there, it signs no other root, and what it is from now on an older program refuses."""
    write_version_2(tmp_path / "s", {4: {"state": "answered", "deadline": 91}, 5: {"state": "sent"}})
    for _ in range(2):
        state = NodeState(tmp_path / "s")
        assert (state.object(A), state.manifest(A)) == (make_held(), b"manifest")
        assert state.signed(A) == Signed("01" * 32, "02", "03")
        with pytest.raises(NodeRefused, match="Another root"):
            state.record_signature(A, Signed("09" * 32, "02", "03"))
        assert state.duties(1) == [Duty(1, 4, DutyState.ANSWERED, 91), Duty(1, 5, DutyState.SENT)]
        assert state.duty(1, 5, OPERATOR) is None  # of an Audits it says nothing
        assert (state.number("intake 1"), state.dealings()) == (30, {})
        state.close()
    with pytest.raises(StoreError, match=f"version {FORMAT.version} .* knows 2"):
        Environment(tmp_path / "s", ("objects",), Format("node memory", 2))


def test_two_nodes_never_share_a_memory(tmp_path: Path) -> None:
    """A second process on the same folder is refused: it could sign what the first one would not."""
    state = NodeState(tmp_path / "s")
    with pytest.raises(StoreError, match="belongs to a process"):
        NodeState(tmp_path / "s")
    state.close()


# ---- settings

GOOD = {
    "operator": OPERATOR.lower(),
    "shard": 1,
    "rpc": "http://x",
    "deployment": "d.json",
    "data": "data",
    "host": "127.0.0.1",
    "port": 7101,
    "keys": {"bls": "keys/bls.json", "sealing": "keys/s.json", "responder": "/abs/r.json"},
}


def write(tmp_path: Path, **changes) -> Path:
    """Write settings with changes; a value of None leaves the field out."""
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    path = tmp_path / "node.json"
    path.write_text(json.dumps(fields))
    return path


def test_settings_are_read_with_paths_relative_to_the_file(tmp_path: Path) -> None:
    """Relative, absolute, defaults."""
    config = load_config(write(tmp_path))
    assert config.data == tmp_path / "data"
    assert config.bls_keys == (tmp_path / "keys/bls.json",)
    assert config.responder_key == Path("/abs/r.json")
    assert config.operator == OPERATOR
    assert (config.poll_seconds, config.seal, config.settle, config.report) == (2.0, True, True, False)
    assert load_config(write(tmp_path, report=True, pollSeconds=0.5)).poll_seconds == 0.5
    assert (config.turn_blocks, config.turn_seconds) == (2, 0.0)
    turns = load_config(write(tmp_path, turnBlocks=0, turnSeconds=1))
    assert (turns.turn_blocks, turns.turn_seconds) == (0, 1.0)
    rotated = load_config(write(tmp_path, keys={**GOOD["keys"], "bls": ["keys/bls.json", "/abs/new.json"]}))
    assert rotated.bls_keys == (tmp_path / "keys/bls.json", Path("/abs/new.json"))


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": "0x12"},
        {"operator": None},
        {"shard": "1"},
        {"shard": True},
        {"shard": -1},
        {"port": 0},
        {"port": 70000},
        {"keys": {"bls": "x"}},
        {"keys": []},
        {"keys": {**GOOD["keys"], "bls": []}},
        {"keys": {**GOOD["keys"], "bls": ["keys/bls.json", 1]}},
        {"pollSeconds": 0},
        {"report": 1},
        {"logLevel": "loud"},
        {"pollSecond": 3},
        {"capacityBytes": -5},
        {"turnBlocks": -1},
        {"turnBlocks": 1.5},
        {"turnSeconds": -0.1},
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, changes: dict) -> None:
    """Missing, misspelt, of the wrong type, out of range."""
    with pytest.raises(BadParameters):
        load_config(write(tmp_path, **changes))


def test_unreadable_settings_are_named(tmp_path: Path) -> None:
    """No file, no JSON, no object."""
    with pytest.raises(FileUnreadable):
        load_config(tmp_path / "none.json")
    for text in ("{", "[1]"):
        (tmp_path / "node.json").write_text(text)
        with pytest.raises(BadParameters):
            load_config(tmp_path / "node.json")


def test_the_passphrase_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable first, then the first line of the file, else an error."""
    monkeypatch.delenv("QANAT_PASSPHRASE", raising=False)
    monkeypatch.delenv("QANAT_PASSPHRASE_FILE", raising=False)
    with pytest.raises(BadParameters):
        passphrase()
    monkeypatch.setenv("QANAT_PASSPHRASE_FILE", str(tmp_path / "p"))
    with pytest.raises(FileUnreadable):
        passphrase()
    (tmp_path / "p").write_text("from the file\nsecond line\n")
    assert passphrase() == "from the file"
    monkeypatch.setenv("QANAT_PASSPHRASE", "from the variable")
    assert passphrase() == "from the variable"


# ---- signed requests


def check(header: str | None, *, now: float | None = None, **changes):
    """Verify a header against a usual request, with changes."""
    fields = {"chain_id": 5, "operator": OPERATOR, "method": "GET", "path": "/x", "body": b"", **changes}
    return verify_authorization(
        header, fields["chain_id"], fields["operator"], fields["method"], fields["path"], fields["body"], now=now
    )


def test_a_signed_request_names_its_signer() -> None:
    """Address and time."""
    asker = check(authorization(SIGNER, 5, OPERATOR, "GET", "/x"))
    assert asker.address == SIGNER.address
    assert abs(asker.time - time.time()) < 5


@pytest.mark.parametrize(
    "changes",
    [{"chain_id": 6}, {"operator": SIGNER.address}, {"method": "PUT"}, {"path": "/y"}, {"body": b"z"}],
)
def test_a_signed_request_serves_for_nothing_else(changes: dict) -> None:
    """Chain, operator, method, path and body are bound."""
    with pytest.raises(InvalidSignature):
        check(authorization(SIGNER, 5, OPERATOR, "GET", "/x"), **changes)


def test_a_signed_request_ends() -> None:
    """60 seconds, in either direction, exactly."""
    header = authorization(SIGNER, 5, OPERATOR, "GET", "/x")
    signed_at = int(header.split("time=")[1].split(",")[0])
    for age in (-MAX_AGE_SECONDS, 0, MAX_AGE_SECONDS):
        check(header, now=signed_at + age)
    for age in (-MAX_AGE_SECONDS - 1, MAX_AGE_SECONDS + 1):
        with pytest.raises(InvalidSignature, match="limit"):
            check(header, now=signed_at + age)


@given(st.text(max_size=300))
def test_any_text_as_header_is_refused_as_an_error_of_the_package(text: str) -> None:
    """Nothing that a stranger sends raises anything else."""
    with pytest.raises(InvalidSignature):
        check(text)
    with pytest.raises(InvalidSignature):
        check(f"Qanat address={SIGNER.address}, time=1, signature=0x{text}")


def test_a_malformed_signature_is_refused() -> None:
    """65 bytes that are no signature."""
    now = int(time.time())
    for signature in ("00" * 65, "ff" * 65, "00" * 64 + "1b"):
        with pytest.raises(InvalidSignature):
            check(f"Qanat address={SIGNER.address}, time={now}, signature=0x{signature}")


def test_the_signed_text_is_that_of_the_protocol_page() -> None:
    """Lines, hash of the body in hex, checksummed operator."""
    text = request_text(31337, OPERATOR.lower(), "put", "/keys/1", b"abc", 1_700_000_000)
    assert text == (
        f"qanat request\n31337\n{OPERATOR}\nPUT /keys/1\n"
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n1700000000"
    )


def test_metrics_are_prometheus_text() -> None:
    """Counters with and without a label, gauges, help once."""
    metrics = Metrics()
    metrics.count("qanat_requests_refused_total", label="NodeRefused")
    metrics.count("qanat_requests_refused_total", 2, label="InvalidSignature")
    metrics.gauge("qanat_block", 12345678901)
    lines = metrics.text().splitlines()
    assert 'qanat_requests_refused_total{kind="NodeRefused"} 1' in lines
    assert 'qanat_requests_refused_total{kind="InvalidSignature"} 2' in lines
    assert "qanat_block 12345678901" in lines
    assert sum(line.startswith("# TYPE qanat_requests_refused_total counter") for line in lines) == 1
    assert metrics.value("qanat_requests_refused_total", "InvalidSignature") == 2


def test_a_certified_objects_manifest_outlives_its_slices(tmp_path: Path) -> None:
    """Auditors verify certificates and answers again long after the term."""
    state = NodeState(tmp_path / "s")
    state.keep_manifest(A, make_held(), b"manifest")
    state.forget_object(A, keep_manifest=True)
    assert (state.manifest(A), state.object(A)) == (b"manifest", None)
    state.forget_object(A)
    assert state.manifest(A) is None
    state.close()
