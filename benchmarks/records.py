"""Signed records a second, from the first submission to the last certificate, on a local chain with real nodes.

Everything shares two processors: Anvil, the nodes, the intake with its signature checks, encoding and dispersal, and
the process that submits. Records are signed beforehand: that is their senders' work.

    python benchmarks/records.py [--records N] [--nodes N] [--bundle-bytes N] [--items N]

With ``--items N`` a sender signs so many small ones of 256 bytes at once, as the payload of one record: what is counted
are the small ones, and what proves one is its record's proof. Without it both are run.

Written: build/bench-records.json, rows as in build/bench.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "integration")]

PAYLOAD_BYTES = 256
BATCH = 512
#: Small ones in a record of a sender that signs many at once: as many as a payload holds.
ITEMS = 255
SENDERS = 60
IN_FLIGHT = 6


def pinned() -> int:
    """Keep this process and its children to two processors; return how many there are then."""
    allowed = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, allowed)
    return len(allowed)


def sign_all(domain_fields: tuple[int, str, bytes], count: int, items: int = 1) -> list[bytes]:
    """Return submissions of one sender each, senders in turn: ``BATCH`` small ones, ``items`` in a record."""
    from coincurve import PrivateKey

    from qanat.chain.signer import KeySigner
    from qanat.records.record import Record, SigningDomain, digests

    domain = SigningDomain(*domain_fields)
    keys = [PrivateKey() for _ in range(SENDERS)]
    addresses = [bytes.fromhex(KeySigner.from_key(key.secret).address[2:]) for key in keys]
    batches = []
    each = BATCH // items
    for number in range(count // (each * items)):
        key, sender = keys[number % SENDERS], addresses[number % SENDERS]
        first = 1 + number // SENDERS * each
        bare = [Record(sender, first + i, os.urandom(items * PAYLOAD_BYTES), bytes(65)).to_bytes() for i in range(each)]
        signed = []
        for record, digest in zip(bare, digests(domain, bare), strict=True):
            signature = key.sign_recoverable(digest, hasher=None)
            signed.append(record[:28] + signature[:64] + bytes([27 + signature[64]]) + record[93:])
        batches.append(b"".join(signed))
    return batches


def submitter(url: str, domain_fields: tuple[int, str, bytes], count: int, items: int, pipe: Any) -> None:
    """Sign, report, wait for the word, submit all over HTTP, report first and last instant and what was taken."""
    import httpx

    batches = sign_all(domain_fields, count, items)
    pipe.send("signed")
    pipe.recv()

    async def submit() -> tuple[float, float, int]:
        taken = 0

        async def lane(client: httpx.AsyncClient, own: list[bytes]) -> None:
            nonlocal taken
            for batch in own:
                while (answer := await client.post(f"{url}/records", content=batch)).status_code == 503:  # noqa: ASYNC110
                    await asyncio.sleep(float(answer.headers["retry-after"]) / 10)
                answer.raise_for_status()
                taken += answer.json()["taken"]

        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
            began = time.monotonic()
            # a sender's records come in the order of their nonces: each sender has one lane
            await asyncio.gather(*(lane(client, batches[first::IN_FLIGHT]) for first in range(IN_FLIGHT)))
            return began, time.monotonic(), taken

    pipe.send(asyncio.run(submit()))
    pipe.recv()  # lives on until its processor time was read


async def measure(network: Any, folder: Path, count: int, bundle_bytes: int, items: int) -> dict[str, Any]:
    """Run intake and submitter of ``count`` small ones, ``items`` to a record; return the instants and figures."""
    import uvicorn

    from qanat.node.server import settings
    from qanat.records import RecordProof, SigningDomain
    from qanat.records.api import listen, make_records_app
    from qanat.records.bundle import Bundle
    from qanat.records.collector import Collector, Limits, Published
    from qanat.records.proof import ObjectFrame
    from qanat.records.publishing import store_bundles

    owner = network.actor("owner").session
    domain_fields = (owner.chain.chain_id, str(owner.chain.contract("Objects").address), os.urandom(32))
    domain = SigningDomain(*domain_fields)
    publish = store_bundles(owner.chain, owner.sender, shard=network.shard, epochs=2, tolerate_down=1)
    certified: list[tuple[float, int]] = []
    roots: list[bytes] = []
    certificates: set[str] = set()

    def on_certified(number: int, published: Published) -> None:
        bundle = Bundle.load(intake / f"{number:08d}.bundle")
        frame = ObjectFrame.of(published.manifest)
        proofs = list(RecordProof.each_of(bundle, frame))
        certified.append((time.monotonic(), len(proofs) * items))
        roots.append(frame.root)
        receipt = json.loads((intake / f"{number:08d}.bundle.stored.json").read_text())
        certificates.add(receipt["certifyTransaction"])
        RecordProof.from_bytes(proofs[len(proofs) // 2]).verify(frame.root, domain)

    intake = folder / "intake"
    limits = Limits(bundle_bytes=bundle_bytes, bundle_seconds=3.0, waiting_bundles=24, publishers=3)
    collector = Collector(intake, domain, publish, limits=limits, on_certified=on_certified, workers=2)
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=submitter, args=(f"http://127.0.0.1:{port}", domain_fields, count, items, theirs)
    )
    child.start()
    await asyncio.to_thread(ours.recv)
    async with collector:
        server = uvicorn.Server(settings(make_records_app(collector)))
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        # everything is compiled and imported before the clock starts
        await collector.submit(b"")
        spent = cpu_of_all()
        ours.send("go")
        began, submitted, taken = await asyncio.to_thread(ours.recv)
        await collector.flush()
        used = cpu_of_all() - spent
        ours.send("ended")
        server.should_exit = True
        await serving
    ended = max(instant for instant, _ in certified)
    proven = sum(number for _, number in certified)
    child.join()
    if taken * items != count or proven != count:
        raise SystemExit(f"{taken * items} of {count} records were taken, {proven} proven.")
    return {
        "began": began,
        "submitted": submitted,
        "ended": ended,
        "certified": certified,
        "bundles": len(certified),
        "certificates": len(certificates),
        "cpu": used,
    }


def stages() -> dict[str, float]:
    """Return what a record costs in each stage of the intake: microseconds of processor time, one thread.

    ``record_check_batch``: of one of ``ITEMS`` that were signed together, as the payload of one record.
    """
    from functools import partial

    from measure import cost

    from qanat.objects import encode
    from qanat.records import ObjectFrame, RecordProof, SigningDomain, make_bundle, split_records
    from qanat.records.journal import Journal
    from qanat.records.record import recovered_senders

    count = SENDERS * BATCH // 6
    fields = (31337, "0x" + "0b" * 20, os.urandom(32))
    records = split_records(b"".join(sign_all(fields, count)))
    bundle = make_bundle(fields[2], records)
    made = partial(encode, bundle.data, k=8, n=16, width=4096, header=bundle.head.to_bytes())
    frame = ObjectFrame.of(made().manifest)
    domain = SigningDomain(*fields)
    recovered_senders(domain, records[:10])
    batches = [records[at : at + BATCH] for at in range(0, count, BATCH)]
    together = split_records(b"".join(sign_all(fields, count, ITEMS)))
    of_item = len(records) / (len(together) * ITEMS)  # costs below are divided by the number of records

    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        journal = Journal.create(Path(name) / "journal", fields[2])
        actions = {
            "record_check": partial(recovered_senders, domain, records),
            "record_check_batch": partial(recovered_senders, domain, together),
            "record_journal": lambda: [journal.append(batch) for batch in batches],
            "record_bundle": partial(make_bundle, fields[2], records),
            "record_encode": made,
            "record_proof": lambda: list(RecordProof.each_of(bundle, frame)),
        }
        found = {what: cost(action, time.process_time) / len(records) * 1e6 for what, action in actions.items()}
        found["record_check_batch"] *= of_item
        journal.close()
    return found


def cpu_of_all() -> Counter[str]:
    """Return processor seconds by command of all processes below this one and of itself."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents, spent, names = {}, {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        number = int(entry.name)
        parents[number] = int(fields[1])
        spent[number] = (int(fields[11]) + int(fields[12])) / ticks
        line = b" ".join(words).decode(errors="replace")
        names[number] = (
            "anvil" if "anvil" in line.split(" ")[0]
            else "node" if " node --config" in line
            else "check or submit" if "multiprocessing" in line
            else "intake"
        )  # fmt: skip
    mine = {os.getpid()}
    while more := {number for number, parent in parents.items() if parent in mine} - mine:
        mine |= more
    total: Counter[str] = Counter()
    for number in mine:
        total[names[number]] += spent[number]
    return total


def run(options: argparse.Namespace, cores: int, items: int) -> float:
    """Certify what is asked for on a network of its own; print and return how many a second."""
    from local_network import running_network

    from qanat.devnet.anvil import make_blocks

    unit = BATCH // items * items
    count = options.records // unit * unit
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        folder = Path(name)
        with running_network(folder, options.nodes, pollSeconds=1.0, turnSeconds=0.5) as (network, clock):
            clock.stop()
            make_blocks(network.url, 1)
            found = asyncio.run(measure(network, folder, count, options.bundle_bytes, items))
            make_blocks(network.url, 0)
    seconds = found["ended"] - found["began"]
    rate = count / seconds
    print(f"{cores} processors, {options.nodes} nodes, {count} of 256 bytes, {items} signed together")
    print(f"{found['bundles']} bundles, {found['certificates']} certificates")
    print(f"submitted within {found['submitted'] - found['began']:.1f} s, certified within {seconds:.1f} s")
    for what, used in sorted(found["cpu"].items()):
        print(f"  {what}: {used:.1f} s of processor, {used / count * 1e6:.0f} µs each")
    print(f"{rate:.0f} a second")
    return float(rate)


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=300 * BATCH)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--bundle-bytes", type=int, default=7_900_000)
    parser.add_argument("--items", type=int, default=0)
    options = parser.parse_args()
    cores = pinned()
    from measure import row

    rows = []
    for items in (options.items,) if options.items else (1, ITEMS):
        rate = run(options, cores, items)
        rows.append(row("records_per_second" if items == 1 else "records_per_second_batched", [rate], "1/s"))
    for what, spent in stages().items():
        rows.append(row(what, [spent], "µs", higher=False))
        print(f"  {what}: {spent:.1f} µs")
    result = ROOT / "build" / "bench-records.json"
    result.write_text(json.dumps([asdict(line) for line in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    sys.exit(main())
