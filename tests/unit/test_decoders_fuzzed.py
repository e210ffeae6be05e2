"""Decoders of what strangers send, fed with altered right bytes and with nonsense.

They return or raise a :class:`QanatError`, and what a manifest's decoder takes is what its encoder gives. 20,000 cases
here; ``FUZZ_CASES`` says how many, ``FUZZ_SEED`` repeats a run (``make fuzz DEEP=1``: a million, new ones).
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qanat import strict_json
from qanat.errors import MalformedHex, MalformedManifest, NonCanonicalElement, QanatError
from qanat.field import MODULUS
from qanat.node.api import byte_range
from qanat.node.checks import check_canonical
from qanat.node.keyholder import _request
from qanat.node.permits import parse_permit
from qanat.node.requests import authorization, verify_authorization
from qanat.objects import Manifest, encode
from tests.unit.node_doubles import CHAIN_ID, make_people, permit

CASES = int(os.environ.get("FUZZ_CASES", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "20261126"))
OPERATOR = make_people(1)[0]
ENCODED = [encode(bytes(range(256)) * 3, k=2, n=3, width=64), encode(b"", k=1, n=1, width=64)]
MANIFESTS = [item.manifest.to_bytes() for item in ENCODED]
PERMIT = permit(bytes(32), ENCODED[0], OPERATOR.address)
RELEASE = json.dumps(
    {"licenseId": 1, "recipientKey": "0x" + "11" * 32, "deadline": "99", "signature": "0x" + "22" * 65}
).encode()
NUMBERS = [0, 1, 2, 31, 32, 63, 64, 255, 4096, 4097, (1 << 16) - 1, 1 << 31, (1 << 32) - 1, (1 << 63), (1 << 64) - 1]
WORDS = [b"0x", b",", b"=", b" ", b"-", b'"', b"[", b"{", b"null", b"1e999", b"NaN", b"\xff", b"\x00", "²".encode()]


def altered(dice: random.Random, seeds: list[bytes]) -> bytes:
    """Return right bytes with a few wrongs: flipped, cut, doubled, exchanged, with numbers at the edges."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(8):
            case 0 if data:
                data[at % len(data)] ^= 1 << dice.randrange(8)
            case 1 if data:
                data[at % len(data)] = dice.randrange(256)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + dice.randrange(1, 9)]
            case 4:
                data[at:at] = dice.choice(WORDS)
            case 5:
                size = dice.choice((1, 4, 8))
                data[at : at + size] = (dice.choice(NUMBERS) % (1 << 8 * size)).to_bytes(size, "big")
            case 6:
                other = dice.choice(seeds)
                data[at:] = other[dice.randrange(len(other) + 1) :]
            case _:
                data[at:at] = dice.randbytes(dice.randrange(1, 65))
    return bytes(data)


def manifest(data: bytes) -> None:
    found = Manifest.from_bytes(data)
    assert found.to_bytes() == data
    assert len(found.commitments) == found.n * found.matrices


def slice_of_a_row(data: bytes) -> None:
    cut = data[: len(data) // 32 * 32]
    elements = [int.from_bytes(cut[at : at + 32], "big") for at in range(0, len(cut), 32)]
    for data_row, limit in ((True, 1 << 248), (False, MODULUS)):
        wrong = [place for place, element in enumerate(elements) if element >= limit]
        if not wrong:
            check_canonical(cut, data_row=data_row)
            continue
        with pytest.raises(NonCanonicalElement) as caught:
            check_canonical(cut, data_row=data_row)
        assert caught.value.data["element"] == wrong[0]
        raise caught.value


def header_of_a_permit(data: bytes) -> None:
    deadline, signature = parse_permit(data.decode("latin-1"))
    assert 0 <= deadline < 1 << 64
    assert 65 <= len(signature) <= 2048


def header_of_a_read(data: bytes) -> None:
    asker = verify_authorization(data.decode("latin-1"), CHAIN_ID, OPERATOR.address, "GET", "/x")
    assert asker.address == OPERATOR.address


def header_of_a_range(data: bytes) -> None:
    found = byte_range(data.decode("latin-1"), 2048)
    assert found is None or 0 <= found[0] < found[1] <= 2048


def body_of_a_release(data: bytes) -> None:
    try:
        asked = strict_json.parse(data)
    except (ValueError, RecursionError) as error:  # as the API does
        raise MalformedHex("no JSON") from error
    license_id, recipient, deadline, signature = _request(asked)
    assert max(license_id, deadline) < 1 << 256
    assert (len(recipient), len(signature) >= 65) == (32, True)


ELEMENTS = [MODULUS - 1, MODULUS, MODULUS + 1, 1 << 248, (1 << 248) - 1, (1 << 256) - 1, 0]
SLICES = [b"".join(element.to_bytes(32, "big") for element in ELEMENTS[start:]) for start in range(len(ELEMENTS))]
#: decoder, seeds, its part of the cases
DECODERS: list[tuple[Callable[[bytes], Any], list[bytes], float]] = [
    (manifest, MANIFESTS, 0.35),
    (slice_of_a_row, SLICES, 0.2),
    (header_of_a_permit, [PERMIT.encode()], 0.1),
    (header_of_a_read, [], 0.1),  # signed when its turn comes: it is good for a minute
    (header_of_a_range, [b"bytes=0-31", b"bytes=-5", b"bytes=2047-"], 0.1),
    (body_of_a_release, [RELEASE], 0.15),
]


@pytest.mark.parametrize(("decoder", "seeds", "part"), DECODERS, ids=[item[0].__name__ for item in DECODERS])
def test_nothing_else_than_our_errors(decoder: Callable[[bytes], Any], seeds: list[bytes], part: float) -> None:
    """Whatever comes: a value or one of the package's errors, and both occur."""
    dice = random.Random(f"{SEED} {decoder.__name__}")
    seeds = seeds or [authorization(OPERATOR.signer, CHAIN_ID, OPERATOR.address, "GET", "/x").encode()]
    outcomes = {"taken": 0, "refused": 0}
    for number in range(round(CASES * part)):
        data = altered(dice, seeds) if number % 16 else dice.randbytes(dice.randrange(200))
        try:
            decoder(data)
        except QanatError:
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"seed {SEED}, case {number}: {data!r}") from error
        else:
            outcomes["taken"] += 1
    assert min(outcomes.values()) > 0, outcomes


def test_a_manifests_refusals_are_quick() -> None:
    """Numbers that promise gigabytes cost nothing: lengths are compared before anything is made of them."""
    right = MANIFESTS[0]
    started = time.process_time()
    for place in range(5, 26):
        with pytest.raises(MalformedManifest):
            Manifest.from_bytes(right[:place] + b"\xff\xff\xff\xff" + right[place + 4 :])
    assert time.process_time() - started < 1
    assert np.frombuffer(right[:4], dtype=np.uint8).tolist() == list(b"QNTM")
