"""Encryption against the library that it is made of, and the arithmetic of threshold keys."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from measure import MEGABYTE, Row, cost, in_turn, row

from qanat.keys import FileDecryption, FileEncryption, generate_data_key
from qanat.keys.context import KeyContext
from qanat.keys.encryption import CHUNK_BYTES, TAG_BYTES
from qanat.keys.release import LicenseeKey, blinded_base, is_right, open_key, release
from qanat.keys.shares import deal

SIZE = 16 << 20
RANGE = 4096


def keys() -> list[Row]:
    """AES-256-GCM of a file in chunks, a range of it, and a key released by five of ten."""
    return [*_streams(), _range(), *_threshold()]


def _streams() -> list[Row]:
    """MB/s against the library's own calls for the same chunks, which are cut beforehand."""
    turns = itertools.cycle((False, True))

    def rates(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
        if next(turns):  # who comes second finds the chunks nearer
            second, first = cost(theirs), cost(ours)
        else:
            first, second = cost(ours), cost(theirs)
        return SIZE / first / MEGABYTE, SIZE / second / MEGABYTE

    def encrypt() -> tuple[float, float]:
        chunks = [os.urandom(CHUNK_BYTES) for _ in range(SIZE // CHUNK_BYTES)]
        encryption, raw, bound = FileEncryption(generate_data_key()), AESGCM(os.urandom(32)), os.urandom(81)
        nonces = [number.to_bytes(12, "big") for number in range(len(chunks))]
        pairs = list(zip(nonces, chunks, strict=True))
        return rates(
            lambda: [len(part) for part in encryption.apply(chunks)],
            lambda: [len(raw.encrypt(nonce, chunk, bound)) for nonce, chunk in pairs],
        )

    def decrypt() -> tuple[float, float]:
        chunks = [os.urandom(CHUNK_BYTES) for _ in range(SIZE // CHUNK_BYTES)]
        key = generate_data_key()
        encryption, raw, bound = FileEncryption(key), AESGCM(os.urandom(32)), os.urandom(81)
        stored = list(encryption.apply(chunks))
        pairs = [(n.to_bytes(12, "big"), raw.encrypt(n.to_bytes(12, "big"), c, bound)) for n, c in enumerate(chunks)]
        decryption = FileDecryption(key, encryption.header)
        return rates(
            lambda: [len(part) for part in decryption.apply(stored)],
            lambda: [len(raw.decrypt(nonce, sealed, bound)) for nonce, sealed in pairs],
        )

    peer = "cryptography AESGCM"
    rows = []
    for name, once in (("encrypt", encrypt), ("decrypt", decrypt)):
        ours, theirs = in_turn(16, once)
        rows.append(row(name, ours, "MB/s", peer=peer, theirs=theirs))
    return rows


def _range() -> Row:
    """4 KiB from a random place of an open file, the one or two chunks around them at hand."""
    key = generate_data_key()
    encryption = FileEncryption(key)
    sealed = b"".join(encryption.apply([os.urandom(SIZE)]))
    decryption = FileDecryption(key, encryption.header)
    spent = []
    for _ in range(200):
        start = int.from_bytes(os.urandom(4), "big") % (SIZE - RANGE)
        first, last = decryption.stored_range(start, start + RANGE, len(sealed))
        pieces = [sealed[at : at + CHUNK_BYTES + TAG_BYTES] for at in range(first, last, CHUNK_BYTES + TAG_BYTES)]
        taken = cost(lambda p=pieces, s=start: list(decryption.apply_range(p, s, s + RANGE, len(sealed))))  # type: ignore[misc]
        spent.append(taken * 1e6)
    return row("decrypt_range_4k", spent, "us", higher=False)


def _threshold() -> list[Row]:
    """Milliseconds of one thread: a dealing to ten, a holder's answer, its check, a licensee's opening."""
    context = KeyContext(1, bytes(20), 1, 1, tuple(bytes([number]) * 20 for number in range(1, 11)))
    data_key = generate_data_key()
    dealt, answered, checked, opened = [], [], [], []
    for _ in range(9):
        dealt.append(cost(lambda: deal(context, 5, data_key)) * 1e3)
        dealing, key = deal(context, 5, data_key), LicenseeKey.generate()
        blinded = blinded_base(context, key.point)
        answers = {place: release(context, dealing.shares[place], key.point) for place in range(5)}
        answered.append(cost(lambda d=dealing, k=key: release(context, d.shares[0], k.point)) * 1e3)  # type: ignore[misc]
        point = dealing.commitments.points[0]
        checked.append(cost(lambda b=blinded, p=point, a=answers: is_right(b, p, a[0])) * 1e3)  # type: ignore[misc]
        opened.append(cost(lambda d=dealing, k=key, a=answers: open_key(context, d.commitments, k, a)) * 1e3)  # type: ignore[misc]
    return [
        row("key_deal_10", dealt, "ms", higher=False),
        row("key_answer", answered, "ms", higher=False),
        row("key_answer_check", checked, "ms", higher=False),
        row("key_open_5_of_10", opened, "ms", higher=False),
    ]
