"""The records intake: what it takes and refuses, that what it acknowledged survives, and proofs of it all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_hash.auto import keccak

from qanat.chain.signer import KeySigner
from qanat.client.job import write_durably
from qanat.errors import (
    BadParameters,
    ChainUnreachable,
    InvalidProof,
    MalformedRecord,
    RecordNotFound,
    RecordRefused,
    StoreCorrupted,
    StoreError,
)
from qanat.objects import encode
from qanat.records import Bundle, Record, SigningDomain, make_bundle, sign_record
from qanat.records.api import make_records_app
from qanat.records.collector import Answer, Collector, Limits, Published
from qanat.records.journal import Journal
from qanat.records.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
STREAM = keccak(b"meters")
DOMAIN = SigningDomain(31337, "0x" + "0b" * 20, STREAM)
ALICE, BOB = (KeySigner.from_key(keccak(name)) for name in (b"alice", b"bob"))
NEVER = Limits(bundle_seconds=3600.0, retry_seconds=0.01)


def record(nonce: int, payload: bytes = b"", signer: KeySigner = ALICE, domain: SigningDomain = DOMAIN) -> bytes:
    return sign_record(signer, domain, nonce, payload).to_bytes()


def sender_of(signer: KeySigner) -> bytes:
    return bytes.fromhex(signer.address[2:])


def publish(path: Path) -> Published:
    """Encode a bundle, as a storing would, and take its root for certified."""
    bundle = Bundle.load(path)
    bundle.check()
    manifest = encode(bundle.data, k=1, n=2, width=64, header=bundle.head.to_bytes()).manifest
    return Published(keccak(manifest.root), manifest)


def down(_path: Path) -> Published:
    """A storing while the chain is not reached."""
    raise ChainUnreachable("no chain")


def collector(folder: Path, **options: Any) -> Collector:
    return Collector(folder, DOMAIN, options.pop("publish", publish), **{"workers": 0, "limits": NEVER, **options})


def run(folder: Path, body: Callable[[Collector], Any], **options: Any) -> Any:
    """Run a collector's life."""

    async def live() -> Any:
        async with collector(folder, **options) as taking:
            return await body(taking)

    return asyncio.run(live())


def die(folder: Path, body: Callable[[Collector], Any], **options: Any) -> None:
    """Begin a collector's life and leave it as a dead process would: nothing is closed, only its lock is let go."""

    async def live() -> None:
        taking = collector(folder, **options)
        await taking.__aenter__()
        await body(taking)
        taking._committer.cancel()
        for task in taking._tasks:
            task.cancel()
        os.close(taking._lock)

    asyncio.run(live())


# ---- what is taken


def test_records_are_taken_bundled_and_proven(tmp_path: Path) -> None:
    """Of two senders in several submissions: one bundle, a proof for each."""
    objects: list[Published] = []

    async def body(taking: Collector) -> None:
        assert await taking.submit(record(1, b"a") + record(5, b"b") + record(1, b"c", BOB)) == Answer(1, 3, ())
        assert await taking.submit(record(2, b"d", BOB)) == Answer(1, 1, ())
        with pytest.raises(RecordNotFound) as early:
            await taking.proof(sender_of(ALICE), 5)
        assert early.value.data["status"] == 425
        await taking.flush()
        for signer, nonce, payload in ((ALICE, 1, b"a"), (ALICE, 5, b"b"), (BOB, 1, b"c"), (BOB, 2, b"d")):
            object_id, proof = await taking.proof(sender_of(signer), nonce)
            assert object_id == objects[0].object_id
            assert proof.verify(objects[0].manifest.root, DOMAIN).payload == payload
        for sender, nonce in ((sender_of(ALICE), 2), (sender_of(ALICE), 6), (bytes(20), 1)):
            with pytest.raises(RecordNotFound) as none:
                await taking.proof(sender, nonce)
            assert none.value.data.get("status", 404) == 404
        assert taking.status()["certified"] == 1

    run(tmp_path, body, on_certified=lambda _number, published: objects.append(published))
    assert [path.name for path in sorted(tmp_path.glob("*.bundle"))] == ["00000001.bundle"]


def test_what_is_not_signed_for_here_is_refused_one_by_one(tmp_path: Path) -> None:
    """A false signature, another stream, a sender that isn't admitted: the rest of the submission is taken."""
    other = SigningDomain(31337, DOMAIN.objects, keccak(b"other"))
    forged = Record.from_bytes(record(3))
    forged = Record(sender_of(BOB), forged.nonce, forged.payload, forged.signature)
    carol = KeySigner.from_key(keccak(b"carol"))

    async def body(taking: Collector) -> None:
        sent = [record(1), forged.to_bytes(), record(2, domain=other), record(2, signer=carol), record(2)]
        answer = await taking.submit(b"".join(sent))
        assert answer.taken == 2
        assert [position for position, _ in answer.refused] == [1, 2, 3]
        assert [("signed" in reason, "sender is not" in reason) for _, reason in answer.refused] == [
            (True, False), (True, False), (False, True),
        ]  # fmt: skip
        with pytest.raises(MalformedRecord):
            await taking.submit(record(3)[:-1])
        assert await taking.submit(b"") == Answer(1, 0, ())

    run(tmp_path, body, admits=lambda sender: sender != sender_of(carol))


def test_a_nonce_is_used_once(tmp_path: Path) -> None:
    """The same record again counts as taken; another one with its nonce, or a lower one, is refused, for ever."""

    async def body(taking: Collector) -> None:
        assert (await taking.submit(record(7, b"x"))).taken == 1
        again = await taking.submit(record(7, b"x") + record(7, b"y") + record(6) + record(8) + record(8))
        assert again.taken == 3
        assert [position for position, _ in again.refused] == [1, 2]
        await taking.flush()
        await later(taking)

    async def later(taking: Collector) -> None:
        again = await taking.submit(record(7, b"x") + record(7, b"y") + record(6) + record(8))
        assert again.taken == 2
        assert [position for position, _ in again.refused] == [1, 2]

    run(tmp_path, body)
    run(tmp_path, later)
    assert len(list(tmp_path.glob("*.bundle"))) == 1


def test_two_submissions_at_once_cant_both_have_a_nonce(tmp_path: Path) -> None:
    """One of two different records is taken, the other refused."""

    async def body(taking: Collector) -> None:
        one, two = await asyncio.gather(taking.submit(record(1, b"x")), taking.submit(record(1, b"y")))
        assert one.taken + two.taken == 1

    run(tmp_path, body)


def test_a_repetition_is_acknowledged_only_when_the_first_is_durable(tmp_path: Path) -> None:
    """It waits for the same write."""

    async def body(taking: Collector) -> None:
        release = threading.Event()
        real = taking._open.journal.append

        def slow(records: list[bytes]) -> None:
            release.wait(10)
            real(records)

        taking._open.journal.append = slow  # type: ignore[method-assign]
        first = asyncio.ensure_future(taking.submit(record(1)))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(taking.submit(record(1)))
        await asyncio.sleep(0.1)
        assert not first.done()
        assert not second.done()
        release.set()
        assert (await first).taken == (await second).taken == 1

    run(tmp_path, body)


def test_a_bundle_closes_by_size_and_by_age(tmp_path: Path) -> None:
    """Whichever comes first."""
    sizes: list[int] = []

    def count(path: Path) -> Published:
        sizes.append(len(Bundle.load(path)))
        return publish(path)

    async def by_size(taking: Collector) -> None:
        for nonce in range(1, 6):
            await taking.submit(record(nonce, bytes(400)))
        await taking.flush()

    run(tmp_path / "size", by_size, publish=count, limits=Limits(bundle_bytes=900, bundle_seconds=3600))
    assert sizes == [2, 2, 1]

    async def by_age(taking: Collector) -> None:
        await taking.submit(record(1))
        await asyncio.wait_for(certified.wait(), 20)

    certified = asyncio.Event()
    run(
        tmp_path / "age",
        by_age,
        limits=Limits(bundle_seconds=0.1),
        on_certified=lambda _number, _published: certified.set(),
    )


def test_too_many_waiting_bundles_are_back_pressure(tmp_path: Path) -> None:
    """Nothing is stored for a while: records are refused with a time to come back, and taken later."""
    is_up = threading.Event()

    def stubborn(path: Path) -> Published:
        if not is_up.is_set():
            return down(path)
        return publish(path)

    async def body(taking: Collector) -> None:
        for nonce in (1, 2):
            await taking.submit(record(nonce))
            await asyncio.sleep(0)
        with pytest.raises(RecordRefused) as busy:
            await taking.submit(record(3))
        assert busy.value.data["status"] == 503
        assert busy.value.data["retry_after"] > 0
        is_up.set()
        await taking.flush()
        assert (await taking.submit(record(3))).taken == 1

    run(tmp_path, body, publish=stubborn, limits=Limits(bundle_bytes=1, waiting_bundles=2, retry_seconds=0.01))


# ---- what was acknowledged survives


def test_nothing_acknowledged_is_lost_whenever_the_process_ends(tmp_path: Path) -> None:
    """Killed after the acknowledgement, after the bundle's file, before the ledger, before the journal is removed."""

    async def take(taking: Collector) -> None:
        assert (await taking.submit(record(1, b"a") + record(2, b"b"))).taken == 2

    async def prove(taking: Collector) -> None:
        await taking.flush()
        for nonce, payload in ((1, b"a"), (2, b"b")):
            assert Record.from_bytes((await taking.proof(sender_of(ALICE), nonce))[1].record).payload == payload
        assert (await taking.submit(record(2, b"b"))).taken == 1
        assert (await taking.submit(record(2, b"other"))).taken == 0
        assert taking.status()["certified"] == 1

    for name in ("journal", "bundle", "ledger"):
        folder = tmp_path / name
        die(folder, take)
        if name != "journal":
            bundle = folder / "00000001.bundle"
            journal, records = Journal.resume(folder / "00000001.journal", STREAM)
            journal.close()
            if name == "bundle":
                write_durably(bundle, make_bundle(STREAM, records).data)
            else:
                taking = collector(folder)
                taking._ledger = Ledger(folder / "ledger.sqlite")
                taking._make(1, records)
                taking._ledger.close()
        run(folder, prove)
        assert [path.name for path in folder.glob("*.bundle")] == ["00000001.bundle"]


def test_a_bundle_that_was_not_certified_is_stored_after_a_restart(tmp_path: Path) -> None:
    """The file is taken up as it is, under its number; new records go into the next one."""
    asked = threading.Event()

    def unreachable(path: Path) -> Published:
        asked.set()
        return down(path)

    async def take(taking: Collector) -> None:
        await taking.submit(record(1))
        assert await asyncio.to_thread(asked.wait, 20)

    run(tmp_path, take, publish=unreachable, limits=Limits(bundle_bytes=1, retry_seconds=0.01))

    async def more(taking: Collector) -> None:
        assert await taking.submit(record(2)) == Answer(2, 1, ())
        await taking.flush()
        assert taking.status()["certified"] == 2

    run(tmp_path, more)


_VICTIM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, "tests/unit")
from test_records_intake import *

async def main():
    limits = Limits(bundle_bytes=3000, waiting_bundles=10**6, retry_seconds=60.0)
    async with collector(Path(sys.argv[1]), publish=down, limits=limits) as taking:
        first = int(sys.argv[2])
        for nonce in range(first, first + 10**6, 3):
            answer = await taking.submit(b"".join(record(nonce + i, bytes([i]) * 50) for i in range(3)))
            assert answer.taken == 3
            print("acknowledged", nonce + 2, flush=True)

asyncio.run(main())
"""


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A process that takes records and closes bundles all the time, killed at random instants: all are proven."""
    chance = random.Random(5)
    ends: list[int] = []
    for _ in range(2):
        first = ends[-1] + 1000 if ends else 1000
        command = [sys.executable, "-c", _VICTIM, str(tmp_path), str(first)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            told: list[int] = []
            wanted = chance.randrange(10, 40)
            for line in child.stdout:
                told += [int(line.split()[1])] if line.startswith("acknowledged") else []
                if len(told) == wanted:
                    child.send_signal(signal.SIGKILL)
            assert len(told) >= wanted, "the victim died on its own"
        ends.append(told[-1])
    assert list(tmp_path.glob("*.bundle"))

    async def body(taking: Collector) -> None:
        await taking.flush()
        begin = 1000
        for end in ends:
            for nonce in range(begin, end + 1):
                object_id, proof = await taking.proof(sender_of(ALICE), nonce)
                assert proof.verify(proof.frame.root).nonce == nonce
                assert object_id == keccak(proof.frame.root)
            begin = end + 1000

    run(tmp_path, body)


def test_a_write_that_was_cut_short_is_cut_off(tmp_path: Path) -> None:
    """At every byte of the last entry: what came before it stands, what comes later is read again."""
    records = [record(nonce, bytes(10)) for nonce in range(1, 4)]
    path = tmp_path / "1.journal"
    journal = Journal.create(path, STREAM)
    journal.append(records[:2])
    whole = path.stat().st_size
    journal.append(records[2:])
    journal.close()
    data = path.read_bytes()
    for cut in [*range(whole, len(data), 7), len(data)]:
        path.write_bytes(data[:cut])
        journal, found = Journal.resume(path, STREAM)
        assert found == records[: 3 if cut == len(data) else 2]
        journal.append([records[2]])
        journal.close()
        journal, found = Journal.resume(path, STREAM)
        journal.close()
        assert found[:3] == records
    for cut in (0, 3, 5, 36):
        path.write_bytes(data[:cut])
        journal, found = Journal.resume(path, STREAM)
        journal.append(records)
        journal.close()
        assert Journal.resume(path, STREAM)[1] == records
    path.write_bytes(data[:whole] + bytes([data[whole] ^ 0xFF]) + data[whole + 1 :])
    assert Journal.resume(path, STREAM)[1] == records[:2]
    with pytest.raises(StoreCorrupted):
        Journal.resume(path, keccak(b"other"))


def test_a_full_disk_acknowledges_nothing(tmp_path: Path) -> None:
    """The write fails: an error, no acknowledgement, nothing more taken; after a restart what stands is taken again."""

    async def body(taking: Collector) -> None:
        assert (await taking.submit(record(1))).taken == 1

        def full(_records: list[bytes]) -> None:
            raise StoreError("No space left on device.")

        taking._open.journal.append = full  # type: ignore[method-assign]
        for nonce in (2, 3):
            with pytest.raises(StoreError, match="No space"):
                await taking.submit(record(nonce))
        assert taking.status()["failed"]

    run(tmp_path, body)

    async def again(taking: Collector) -> None:
        assert await taking.submit(record(1) + record(2)) == Answer(1, 2, ())

    run(tmp_path, again)


def test_a_folder_has_one_intake_of_one_stream(tmp_path: Path) -> None:
    async def body(_taking: Collector) -> None:
        with pytest.raises(StoreError, match="Another intake"):
            await collector(tmp_path).__aenter__()

    async def one(taking: Collector) -> None:
        await taking.submit(record(1))
        await taking.flush()

    run(tmp_path, body)
    run(tmp_path, one)
    other = Collector(tmp_path, SigningDomain(31337, DOMAIN.objects, keccak(b"other")), publish, workers=0)
    with pytest.raises((BadParameters, StoreCorrupted)):
        asyncio.run(other.__aenter__())


# ---- HTTP


def test_the_endpoint_takes_records_and_gives_proofs(tmp_path: Path) -> None:
    """Submission, refusals, proof, status, and plain errors for whatever else is asked."""
    taking = collector(tmp_path)
    app = make_records_app(taking)
    address = "0x" + sender_of(ALICE).hex()

    async def body() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            taking,
            httpx.AsyncClient(transport=transport, base_url="http://intake") as client,
        ):
            answer = await client.post("/records", content=record(1, b"x") + record(1, b"y"))
            assert answer.status_code == 200
            assert answer.json()["taken"] == 1
            assert answer.json()["refused"][0]["position"] == 1
            early = await client.get(f"/records/{address}/1")
            assert early.status_code == 425
            assert early.headers["retry-after"]
            await taking.flush()
            found = (await client.get(f"/records/{address}/1")).json()
            assert found["record"]["payload"] == "0x78"
            assert found["position"] == 0
            assert (await client.get("/status")).json()["certified"] == 1
            assert (await client.get("/health")).status_code == 200
            for path, status in ((f"/records/{address}/2", 404), ("/records/0xzz/2", 400), ("/else", 404)):
                assert (await client.get(path)).status_code == status
            for nonce in ("-1", "1e3", str(1 << 64), "²"):
                assert (await client.get(f"/records/{address}/{nonce}")).status_code == 400
            assert (await client.post("/records", content=b"short")).status_code == 400
            assert (await client.post("/records", content=bytes((4 << 20) + 1))).status_code == 413

    asyncio.run(body())


def test_signatures_are_checked_by_processes_too(tmp_path: Path) -> None:
    """The same answers as in a thread."""

    async def body(taking: Collector) -> None:
        answer = await taking.submit(record(1) + record(2, b"z")[:-1] + b"!" + record(3))
        assert answer.taken == 2
        assert [position for position, _ in answer.refused] == [1]

    run(tmp_path, body, workers=1)


def test_a_manifest_is_not_taken_for_another_bundles(tmp_path: Path) -> None:
    """A storing that returns another object gives no proof."""
    stranger = encode(b"something", k=1, n=2, width=64).manifest

    def wrong(_path: Path) -> Published:
        return Published(bytes(32), stranger)

    async def body(taking: Collector) -> None:
        await taking.submit(record(1))
        await taking.flush()
        with pytest.raises(InvalidProof, match="not of this bundle"):
            await taking.proof(sender_of(ALICE), 1)

    run(tmp_path, body, publish=wrong)
