"""Keccak-256 of many messages in one compiled call, without the GIL: records are hashed by the ten thousand a second.

Source: FIPS 202 (the permutation) with Ethereum's padding byte 0x01; the 64-bit lanes are little-endian. Pure-Python
callers that hash one thing take ``eth_hash``; tests hold the two together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qanat.field.compiled import compiled

__all__ = ["HASH_BYTES", "Bytes", "Hashes", "hash_each", "hash_rows"]

Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint8]

HASH_BYTES = 32
_RATE = 136

_ROUND_CONSTANTS = np.array(
    [
        0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B,
        0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088,
        0x0000000080008009, 0x000000008000000A, 0x000000008000808B, 0x800000000000008B, 0x8000000000008089,
        0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
        0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
    ],
    dtype=np.uint64,
)  # fmt: skip
#: Where ρ and π carry lane 1, and by how many bits, step after step.
_PATH = np.array([10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1])
_TURNS = np.array(
    [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44], dtype=np.uint64
)


@compiled
def _permute(a: NDArray[np.uint64], row: NDArray[np.uint64]) -> None:
    for turn in range(24):
        for x in range(5):
            row[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]
        for x in range(5):
            after = row[(x + 1) % 5]
            d = row[(x + 4) % 5] ^ ((after << np.uint64(1)) | (after >> np.uint64(63)))
            for y in range(0, 25, 5):
                a[x + y] ^= d
        carried = a[1]
        for step in range(24):
            place = _PATH[step]
            kept = a[place]
            bits = _TURNS[step]
            a[place] = (carried << bits) | (carried >> (np.uint64(64) - bits))
            carried = kept
        for y in range(0, 25, 5):
            for x in range(5):
                row[x] = a[y + x]
            for x in range(5):
                a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])
        a[0] ^= _ROUND_CONSTANTS[turn]


@compiled
def _hash_each(data: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64], out: Hashes) -> None:
    state = np.empty(25, dtype=np.uint64)
    row = np.empty(5, dtype=np.uint64)
    block = np.empty(_RATE, dtype=np.uint8)
    lanes = block.view(np.uint64)
    for i in range(len(starts)):
        state[:] = 0
        at, left = starts[i], lengths[i]
        while left >= _RATE:
            block[:] = data[at : at + _RATE]
            for lane in range(_RATE // 8):
                state[lane] ^= lanes[lane]
            _permute(state, row)
            at += _RATE
            left -= _RATE
        block[:] = 0
        block[:left] = data[at : at + left]
        block[left] = 1
        block[_RATE - 1] ^= 0x80
        for lane in range(_RATE // 8):
            state[lane] ^= lanes[lane]
        _permute(state, row)
        for lane in range(4):
            value = state[lane]
            for byte in range(8):
                out[i, 8 * lane + byte] = np.uint8((value >> np.uint64(8 * byte)) & np.uint64(255))


def hash_each(data: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Hashes:
    """Return (n, 32): Keccak-256 of ``data[starts[i] : starts[i] + lengths[i]]`` for every i."""
    out = np.empty((len(starts), HASH_BYTES), dtype=np.uint8)
    _hash_each(data, starts, lengths, out)
    return out


def hash_rows(rows: Bytes) -> Hashes:
    """Return (n, 32): Keccak-256 of each row of a two-dimensional array."""
    count, width = rows.shape
    starts = np.arange(count, dtype=np.int64) * width
    return hash_each(np.ascontiguousarray(rows).reshape(-1), starts, np.full(count, width, dtype=np.int64))
