"""Commitments, openings, parity, decoding, verification: against ckzg, on one thread."""

from __future__ import annotations

import os
import time
from typing import Any

import ckzg
import reed_solomon_leopard
from measure import BLOB_ELEMENTS, MEGABYTE, MODULUS, Row, blob, cost, data_rows, in_turn, row, setup

from qanat import kzg
from qanat.coding import code
from qanat.coding.dual import dual_check


def commit_4096() -> list[Row]:
    """One commitment: milliseconds."""

    def once() -> tuple[float, float]:
        fresh = blob()
        return cost(lambda: kzg.commit(fresh)) * 1e3, cost(lambda: ckzg.blob_to_kzg_commitment(fresh, setup())) * 1e3

    ours, theirs = in_turn(15, once)
    name = "ckzg.blob_to_kzg_commitment"
    return [row("commit_4096", ours, "ms", peer=name, theirs=theirs, higher=False)]


def open_4096() -> list[Row]:
    """One opening: milliseconds."""

    def once() -> tuple[float, float]:
        fresh, z = blob(), (int.from_bytes(os.urandom(40), "big") % MODULUS).to_bytes(32, "big")
        return cost(lambda: kzg.open_at(fresh, z)) * 1e3, cost(lambda: ckzg.compute_kzg_proof(fresh, z, setup())) * 1e3

    ours, theirs = in_turn(15, once)
    return [row("open_4096", ours, "ms", peer="ckzg.compute_kzg_proof", theirs=theirs, higher=False)]


def commit_threads() -> list[Row]:
    """Commitments per second of two threads, by the clock, against one thread's."""
    from concurrent.futures import ThreadPoolExecutor

    def once() -> tuple[float, float]:
        fresh = [blob() for _ in range(8)]
        one = cost(lambda: [kzg.commit(part) for part in fresh], time.perf_counter)
        with ThreadPoolExecutor(2) as pool:
            two = cost(lambda: list(pool.map(kzg.commit, fresh)), time.perf_counter)
        return len(fresh) / two, len(fresh) / one

    ours, theirs = in_turn(5, once)
    return [row("commit_two_threads", ours, "1/s", peer="one thread", theirs=theirs)]


def parity(name: str, k: int, n: int, width: int) -> list[Row]:
    """Parity rows: megabytes of data per second, against cells of a whole blob, which are as many again as its data.

    Beside it Leopard's additive transforms over a field of 2^16 elements: another field, in which nothing can be
    committed with KZG, for as many bytes of data in as many pieces, to as many more. It is a package of the extra
    ``dev``: where that is not installed, this fails.
    """
    coder: Any = code(k, n)
    payload = k * width * 31 / MEGABYTE

    def once() -> tuple[float, float]:
        rows = coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width))
        fresh = blob(1 << 248)
        ours = payload / cost(lambda: coder.encode(rows))
        return ours, BLOB_ELEMENTS * 31 / MEGABYTE / cost(lambda: ckzg.compute_cells(fresh, setup()))

    def unlike() -> tuple[float, float]:
        rows = coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width))
        pieces = [os.urandom(width * 32) for _ in range(k)]
        theirs = cost(lambda: reed_solomon_leopard.encode(pieces, n - k))
        return payload / cost(lambda: coder.encode(rows)), k * width * 32 / MEGABYTE / theirs

    ours, theirs = in_turn(5, once)
    beside, leopard = in_turn(5, unlike)
    peer = "reed-solomon-leopard, GF(2^16): unlike work"
    return [
        row(name, ours, "MB/s", peer="ckzg.compute_cells", theirs=theirs),
        row(f"{name}_leopard", beside, "MB/s", peer=peer, theirs=leopard),
    ]


def decode_worst() -> list[Row]:
    """Decoding from parity rows alone, at random, the pattern's locator included: megabytes of data per second."""
    import random

    k, n, width = 256, 1024, 1024
    coder: Any = code(k, n)
    payload = k * width * 31 / MEGABYTE

    def once() -> tuple[float, float]:
        rows = coder.field.from_bytes(b"".join(data_rows(k, width)), (k, width))
        made = coder.encode(rows)
        chosen = random.SystemRandom().sample(range(n - k), k)
        kept, names = coder.field.take(made, chosen), [k + i for i in chosen]
        ours = payload / cost(lambda: coder.restore(names, kept))
        return ours, payload / cost(lambda: coder.encode(rows))

    ours, theirs = in_turn(5, once)
    return [row("decode_worst", ours, "MB/s", peer="parity of the same matrix", theirs=theirs)]


def verify_intake() -> list[Row]:
    """Slices against their commitments: hash, range check, fold, one commitment for all; megabytes per second.

    The peer takes 64 at once, where its time per slice has long been constant; ours 64, and 256.
    """
    slices = [blob(1 << 248) for _ in range(64)]
    commitments = [kzg.commit(part) for part in slices]
    proofs = [ckzg.compute_blob_kzg_proof(part, made, setup()) for part, made in zip(slices, commitments, strict=True)]
    payload = len(slices) * BLOB_ELEMENTS * 31 / MEGABYTE
    theirs_input = (b"".join(slices), b"".join(commitments), b"".join(bytes(proof) for proof in proofs))

    def once() -> tuple[float, float]:
        ours = payload / cost(lambda: kzg.verify_slices(slices, commitments))
        theirs = cost(lambda: ckzg.verify_blob_kzg_proof_batch(*theirs_input, setup()))
        return ours, payload / theirs

    def more() -> tuple[float, float]:
        ours = 4 * payload / cost(lambda: kzg.verify_slices(slices * 4, commitments * 4))
        return ours, payload / cost(lambda: ckzg.verify_blob_kzg_proof_batch(*theirs_input, setup()))

    name = "ckzg.verify_blob_kzg_proof_batch"
    ours, theirs = in_turn(5, once)
    many, beside = in_turn(3, more)
    return [
        row("verify_intake", ours, "MB/s", peer=name, theirs=theirs),
        row("verify_intake_256", many, "MB/s", peer=f"{name} of 64", theirs=beside),
    ]


def manifests() -> list[Row]:
    """Parity commitments of 256 rows, and the check of a manifest of 3,072 commitments, subgroup checks included."""
    data = [kzg.commit(b"".join(data_rows(1, 64))) for _ in range(256)]
    kzg.parity_commitments(data, 256, 768)
    times = [cost(lambda: kzg.parity_commitments(data, 256, 768)) for _ in range(3)]
    data = (data * 4)[:1024]
    wide = data + kzg.parity_commitments(data, 1024, 3072)

    def once() -> tuple[float, float]:
        fresh = blob()
        ours = cost(lambda: dual_check(wide, 1024, 3072))
        return ours * 1e3, cost(lambda: ckzg.blob_to_kzg_commitment(fresh, setup())) * 1e3

    ours, theirs = in_turn(3, once)
    return [
        row("parity_commitments_256", times, "s", higher=False),
        row("manifest_check_3072", ours, "ms", peer="one ckzg commitment", theirs=theirs, higher=False),
    ]
