"""What a CUDA device makes faster, by the clock, copies to it and back included: rows of the path `gpu`."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from functools import partial
from typing import Any

import ckzg
from measure import BLOB_ELEMENTS, MEGABYTE, Row, blob, cost, data_rows, in_turn, row, setup

from qanat.coding import code
from qanat.field.path import has_gpu
from qanat.kzg.kernels import commitment_kernel
from qanat.objects import Shape
from qanat.objects.encoder import data_rows as payload_rows
from qanat.objects.encoder import encode_on_gpu


def gpu() -> list[Row]:
    """Parity, decoding, commitments, whole objects; nothing where there is no device."""
    if not has_gpu() or os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return []
    lines = [
        parity("parity_256", 256, 768, 4096),
        parity("parity_1024", 1024, 3072, 1024),
        decode(),
        commitments(),
        *objects(),
    ]
    return [replace(line, path="gpu", target=None, met=None) for line in lines]


def seconds(action: Any) -> float:
    """Return what an action takes by the clock; what it gives lies on this side, so the device is done."""
    return cost(action, time.perf_counter)


def parity(name: str, k: int, n: int, width: int) -> Row:
    """Bytes of data in, bytes of parity out."""
    coder: Any = code(k, n, "gpu")
    field = coder.field

    def once() -> tuple[float, float]:
        data, fresh = b"".join(data_rows(k, width)), blob(1 << 248)
        ours = seconds(lambda: field.to_bytes(coder.encode(field.from_bytes(data, (k, width)))))
        theirs = cost(lambda: ckzg.compute_cells(fresh, setup()))
        return k * width * 31 / MEGABYTE / ours, BLOB_ELEMENTS * 31 / MEGABYTE / theirs

    ours, theirs = in_turn(5, once)
    return row(name, ours, "MB/s", peer="ckzg.compute_cells", theirs=theirs)


def decode() -> Row:
    """All data rows lost, the pattern's locator included, which the processor makes."""
    k, n, width = 256, 1024, 1024
    coder: Any = code(k, n, "gpu")
    field = coder.field

    def once() -> tuple[float, float]:
        data = b"".join(data_rows(k, width))
        chosen = random.SystemRandom().sample(range(k, n), k)
        whole = field.stack([field.from_bytes(data, (k, width)), coder.encode(field.from_bytes(data, (k, width)))])
        kept = field.to_bytes(field.take(whole, chosen))
        found = []
        spent = seconds(lambda: found.append(field.to_bytes(coder.restore(chosen, field.from_bytes(kept, (k, width))))))
        if found != [data]:
            raise SystemExit("gpu: other bytes came back")
        again = seconds(lambda: field.to_bytes(coder.encode(field.from_bytes(data, (k, width)))))
        return k * width * 31 / MEGABYTE / spent, k * width * 31 / MEGABYTE / again

    ours, theirs = in_turn(3, once)
    return row("decode_worst", ours, "MB/s", peer="parity of the same matrix", theirs=theirs)


def commitments() -> Row:
    """256 rows at once: milliseconds for each."""
    group: Any = commitment_kernel("gpu")
    field: Any = code(1, 1, "gpu").field

    def once() -> tuple[float, float]:
        data, fresh = b"".join(data_rows(256, BLOB_ELEMENTS)), blob()
        found: list[Any] = []
        ours = seconds(lambda: found.append(group.commit_rows(field.from_bytes(data, (256, BLOB_ELEMENTS)))))
        check = data[: 32 * BLOB_ELEMENTS]
        if found[0][0] != bytes(ckzg.blob_to_kzg_commitment(check, setup())):
            raise SystemExit("gpu: ckzg commits to something else")
        return ours * 1e3 / 256, cost(lambda: ckzg.blob_to_kzg_commitment(fresh, setup())) * 1e3

    ours, theirs = in_turn(3, once)
    return row("commit_4096", ours, "ms", peer="ckzg.blob_to_kzg_commitment", theirs=theirs, higher=False)


def objects() -> list[Row]:
    """32.5 MB of 256 rows: all 768 commitments and slices; and 32 MB in the profile `wide`."""

    def once(k: int, n: int, width: int) -> tuple[float, float]:
        size = k * width * 31
        payload, fresh = os.urandom(size), blob(1 << 248)
        shape = Shape(width=width, k=k, n=n)
        ours = seconds(lambda: encode_on_gpu(payload_rows(payload, shape), shape))
        theirs = cost(lambda: ckzg.blob_to_kzg_commitment(fresh, setup()))
        theirs += cost(lambda: ckzg.compute_cells(fresh, setup()))
        return size / MEGABYTE / ours, BLOB_ELEMENTS * 31 / MEGABYTE / theirs

    peer = "ckzg commitment and cells per data row"
    ours, theirs = in_turn(3, partial(once, 256, 768, BLOB_ELEMENTS))
    wide, beside = in_turn(3, partial(once, 1024, 3072, 1024))
    return [
        row("encode_object", ours, "MB/s", peer=peer, theirs=theirs),
        row("encode_wide", wide, "MB/s", peer=peer, theirs=beside),
    ]
