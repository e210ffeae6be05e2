"""Decoders of what strangers send, fed with altered right bytes and with nonsense.

They return or raise a :class:`QanatError`, and what a decoder of bytes takes is what its encoder gives. Key files and
recovery files come from a disk, where anything may happen to them. 35,000 cases here, 15,000 of them of threshold
keys and files; ``FUZZ_CASES`` (20,000) makes more, ``FUZZ_SEED`` repeats a run (``make fuzz DEEP=1``: fifty times
as many, new ones).
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eth_account import Account

from qanat import strict_json
from qanat.errors import MalformedHex, MalformedManifest, NonCanonicalElement, QanatError
from qanat.field import MODULUS
from qanat.keys.context import KeyContext
from qanat.keys.encryption import EncryptionHeader, FileEncryption
from qanat.keys.holding import Receipt
from qanat.keys.kept import keep_secret, open_secret, subject_of
from qanat.keys.keyfile import read_keyfile, write_keyfile
from qanat.keys.receipts import SignedReceipt, read_receipts
from qanat.keys.recovery import RecoveryFile
from qanat.keys.recovery_key import RecoveryKeyFile
from qanat.keys.seal import SealingKey
from qanat.keys.shares import Commitments, deal
from qanat.node.api import byte_range
from qanat.node.checks import check_canonical
from qanat.node.keyholder import _request
from qanat.node.permits import parse_permit
from qanat.node.requests import authorization, verify_authorization
from qanat.node.shareholder import _dealing, read_share_request
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


def dealing(data: bytes) -> None:
    found = Commitments.from_bytes(data)
    assert found.to_bytes() == data
    assert (len(found.root), len(found.matches)) == (32, len(found.points))


def body_of_a_dealing(data: bytes) -> None:
    found, proof, sealed = _dealing(data)
    assert 1 <= found.threshold <= len(found.points) <= 64
    assert (len(proof), len(sealed)) == (64, 80)


def body_of_a_share_release(data: bytes) -> None:
    try:
        asked = strict_json.parse(data)
    except (ValueError, RecursionError) as error:  # as the API does
        raise MalformedHex("no JSON") from error
    found = read_share_request(asked)
    assert max(found.license_id, found.deadline) < 1 << 256
    assert (len(found.point), len(found.possession), len(found.signature) >= 65) == (96, 64, True)


def encryption_header(data: bytes) -> None:
    found = EncryptionHeader.from_bytes(data)
    assert found.to_bytes() == data
    if found.wrapped:
        found.unwrap(RECOVERY)


def line_of_a_receipt(data: bytes) -> None:
    found = SignedReceipt.from_line(data)
    assert SignedReceipt.from_line(found.to_line()) == found
    assert len(found.digest) == 32


def from_a_file(read: Callable[[Path], Any], data: bytes) -> Any:
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
        file.write(data)
        file.flush()
        return read(Path(file.name))


def file_of_receipts(data: bytes) -> None:
    assert len(set(found := from_a_file(read_receipts, data))) == len(found)


def key_file(data: bytes) -> None:
    secret, public = from_a_file(lambda path: read_keyfile(path, kind="qanat-bls", password="x"), data)
    assert (secret, public) == (b"\x01" * 32, b"\x02" * 256)


def recovery_file(data: bytes) -> None:
    assert from_a_file(RecoveryFile.load, data).open(ACCOUNT) == DATA_KEY


def recovery_key_file(data: bytes) -> None:
    assert from_a_file(RecoveryKeyFile.load, data).open(ACCOUNT).public == RECOVERY.public


def kept_secret(data: bytes) -> None:
    assert isinstance(from_a_file(subject_of, data), dict)
    assert from_a_file(lambda path: open_secret(path, ACCOUNT), data) == DATA_KEY


def of_a_file(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


ACCOUNT = Account.from_key(b"\x11" * 32)
DATA_KEY = bytes(range(32))
RECOVERY = SealingKey.from_bytes(bytes(range(1, 33)))
DEALINGS = [
    deal(KeyContext(CHAIN_ID, b"\x0a" * 20, 7, 1, tuple(bytes([i]) * 20 for i in range(m))), t, DATA_KEY)
    for t, m in ((1, 1), (2, 3))
]
COMMITMENTS = [item.commitments.to_bytes() for item in DEALINGS]
SHARES = [
    json.dumps({"dealing": "0x" + data.hex(), "proof": "0x" + "33" * 64, "sealed": "0x" + "44" * 80}).encode()
    for data in COMMITMENTS
]
SHARE_RELEASES = [
    json.dumps(
        {
            "licenseId": "1",
            "point": "0x" + "55" * 96,
            "possession": "0x" + "66" * 64,
            "deadline": 99,
            "signature": "0x" + "22" * 65,
            **record,
        }
    ).encode()
    for record in ({}, {"record": True})
]
HEADERS = [FileEncryption(DATA_KEY).header, FileEncryption(DATA_KEY, recovery_key=RECOVERY.public).header]
RECEIPTS = [
    SignedReceipt(
        CHAIN_ID, b"\x0a" * 20, Receipt(7, 1, place, 9, b"\x77" * 20, 12, b"\x01" * 96, b"\x02" * 96), b"\x03" * 128
    )
    .to_line()
    .encode()
    for place in range(2)
]
KEY_FILE = of_a_file(
    lambda path: write_keyfile(
        path, kind="qanat-bls", secret=b"\x01" * 32, public=b"\x02" * 256, password="x", cost=1 << 10
    )
)
RECOVERY_FILE = of_a_file(
    RecoveryFile.seal(
        data_key=DATA_KEY,
        manifest=ENCODED[1].manifest,
        object_id=b"\x02" * 32,
        chain_id=CHAIN_ID,
        contract="0x" + "0a" * 20,
        account=ACCOUNT,
        extra={"network": "local"},
    ).save
)
RECOVERY_KEY = of_a_file(RecoveryKeyFile.create(ACCOUNT, key=RECOVERY).save)
KEPT = of_a_file(lambda path: keep_secret(path, DATA_KEY, {"asset": 7, "key epoch": 1}, ACCOUNT))
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
    (dealing, COMMITMENTS, 0.1),
    (body_of_a_dealing, SHARES, 0.1),
    (body_of_a_share_release, SHARE_RELEASES, 0.1),
    (encryption_header, HEADERS, 0.1),
    (line_of_a_receipt, RECEIPTS, 0.1),
    (file_of_receipts, [b"\n".join(RECEIPTS) + b"\n"], 0.05),
    # these derive keys and sign: milliseconds a case
    (key_file, [KEY_FILE], 0.05),
    (recovery_file, [RECOVERY_FILE], 0.05),
    (recovery_key_file, [RECOVERY_KEY], 0.05),
    (kept_secret, [KEPT], 0.05),
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


#: for any field of a JSON document: other kinds, numbers at the edges, text that is no number, hexadecimal or Unicode
ODD = [
    None,
    True,
    -1,
    0,
    1 << 64,
    1 << 256,
    10**4000,
    1.5,
    1e308,
    "",
    "-1",
    "²",
    "\ud800",
    "0xzz",
    "A" * 70_000,
    [],
    {},
]
JSON_DECODERS: list[tuple[Callable[[bytes], Any], bytes]] = [
    (body_of_a_release, RELEASE),
    (body_of_a_dealing, SHARES[0]),
    (body_of_a_share_release, SHARE_RELEASES[1]),
    (line_of_a_receipt, RECEIPTS[0]),
    (key_file, KEY_FILE),
    (recovery_file, RECOVERY_FILE),
    (recovery_key_file, RECOVERY_KEY),
    (kept_secret, KEPT),
]


def with_odd_values(value: Any) -> Iterator[Any]:
    """Yield a document as often as it has values and there are odd ones; and without each of its fields."""
    yield from ODD
    if isinstance(value, dict):
        for name in value:
            yield {other: value[other] for other in value if other != name}
            for odd in with_odd_values(value[name]):
                yield value | {name: odd}


@pytest.mark.parametrize(("decoder", "right"), JSON_DECODERS, ids=[item[0].__name__ for item in JSON_DECODERS])
def test_odd_values_raise_our_errors(decoder: Callable[[bytes], Any], right: bytes) -> None:
    """In every field, and in place of everything; what is right is taken."""
    decoder(right)
    refused = 0
    for document in with_odd_values(json.loads(right)):
        data = json.dumps(document).encode()
        try:
            decoder(data)
        except QanatError:
            refused += 1
        except Exception as error:
            raise AssertionError(data[:2000]) from error
    assert refused > 2 * len(ODD)


def test_a_manifests_refusals_are_quick() -> None:
    """Numbers that promise gigabytes cost nothing: lengths are compared before anything is made of them."""
    right = MANIFESTS[0]
    started = time.process_time()
    for place in range(5, 26):
        with pytest.raises(MalformedManifest):
            Manifest.from_bytes(right[:place] + b"\xff\xff\xff\xff" + right[place + 4 :])
    assert time.process_time() - started < 1
    assert np.frombuffer(right[:4], dtype=np.uint8).tolist() == list(b"QNTM")
