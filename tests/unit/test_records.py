"""Signed records, bundles of them, and proofs: the documented bytes, strict readers, forged proofs."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

import numpy as np
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.chain.signer import KeySigner
from qanat.errors import (
    BadParameters,
    InvalidProof,
    InvalidSignature,
    MalformedBundle,
    MalformedRecord,
    QanatError,
    RecordNotFound,
)
from qanat.objects import encode, restore
from qanat.records import (
    Bundle,
    BundleHead,
    BundleReader,
    ObjectFrame,
    Record,
    RecordProof,
    RecordTree,
    SigningDomain,
    make_bundle,
    sign_record,
    split_header,
    split_records,
    verify_record,
)
from qanat.records.hashing import hash_each
from qanat.records.record import recovered_senders
from qanat.records.tree import root_from_path

STREAM = keccak(b"weather")
DOMAIN = SigningDomain(31337, "0x" + "0b" * 20, STREAM)
SENDERS = [KeySigner.from_key(keccak(f"sender {number}".encode())) for number in range(3)]


def make_records(count: int, *, domain: SigningDomain = DOMAIN) -> list[bytes]:
    """Return signed records of all senders, in no order."""
    return [
        sign_record(
            SENDERS[number * 7 % 3], domain, 1000 - number, bytes([number % 251]) * (number * 13 % 90)
        ).to_bytes()
        for number in range(count)
    ]


def unsigned(sender: int, nonce: int, payload: bytes = b"") -> bytes:
    """A record that nobody signed."""
    return Record(bytes([sender]) * 20, nonce, payload, bytes(65)).to_bytes()


RECORDS = make_records(21)
BUNDLE = make_bundle(STREAM, RECORDS)
OBJECT = encode(BUNDLE.data, k=2, n=5, width=64, header=BUNDLE.head.to_bytes())
FRAME = ObjectFrame.of(OBJECT.manifest)
ROOT = OBJECT.manifest.root


# ---- hashing, signatures


@pytest.mark.parametrize("length", [0, 1, 31, 135, 136, 137, 271, 272, 273, 1000])
def test_the_compiled_hash_is_keccak(length: int) -> None:
    """At every length around the rate's multiples, for messages that overlap."""
    data = np.frombuffer(np.random.default_rng(length).bytes(length + 40), dtype=np.uint8)
    starts = np.arange(0, 40, 13)
    made = hash_each(data, starts, np.full(len(starts), length))
    assert [row.tobytes() for row in made] == [keccak(data[at : at + length].tobytes()) for at in starts.tolist()]


def test_a_wallets_signature_is_taken() -> None:
    """What any EIP-712 signer makes of the documented type."""
    types = {
        "Record": [
            {"name": "stream", "type": "bytes32"},
            {"name": "nonce", "type": "uint64"},
            {"name": "payload", "type": "bytes"},
        ]
    }
    fields = {"name": "Qanat records", "version": "1", "chainId": 31337, "verifyingContract": DOMAIN.objects}
    account = Account.from_key(keccak(b"wallet"))
    message = encode_typed_data(fields, types, {"stream": STREAM, "nonce": 5, "payload": b"21.5 C"})
    signature = bytes(account.sign_message(message).signature)
    verify_record(DOMAIN, Record(bytes.fromhex(account.address[2:]), 5, b"21.5 C", signature))


@pytest.mark.parametrize(
    "change",
    [
        {"sender": bytes(20)},
        {"nonce": 6},
        {"payload": b"21.6 C"},
        {"signature": bytes(65)},
        {"signature": b"\xff" * 65},
    ],
)
def test_a_signature_is_of_sender_nonce_and_payload(change: dict[str, object]) -> None:
    """Any other value under it is refused."""
    record = sign_record(SENDERS[0], DOMAIN, 5, b"21.5 C")
    verify_record(DOMAIN, record)
    with pytest.raises(InvalidSignature):
        verify_record(DOMAIN, dataclasses.replace(record, **change))


@pytest.mark.parametrize(
    "domain",
    [
        SigningDomain(1, DOMAIN.objects, STREAM),
        SigningDomain(31337, "0x" + "0c" * 20, STREAM),
        SigningDomain(31337, DOMAIN.objects, keccak(b"other")),
    ],
)
def test_a_record_is_worth_nothing_elsewhere(domain: SigningDomain) -> None:
    """On another chain, for another contract, in another stream."""
    with pytest.raises(InvalidSignature):
        verify_record(domain, sign_record(SENDERS[0], DOMAIN, 5, b""))


def test_a_signature_has_one_form() -> None:
    """(r, n − s) with the other parity recovers the same key, and v as 0 or 1 too: both are refused."""
    record = sign_record(SENDERS[0], DOMAIN, 5, b"")
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r, s, v = record.signature[:32], int.from_bytes(record.signature[32:64], "big"), record.signature[64]
    twin = r + (order - s).to_bytes(32, "big") + bytes([55 - v])
    for other in (twin, record.signature[:64] + bytes([v - 27])):
        with pytest.raises(InvalidSignature):
            verify_record(DOMAIN, dataclasses.replace(record, signature=other))


def test_false_signatures_among_good_ones_are_found_each() -> None:
    """A batch with some that recover nothing, and some that recover somebody else."""
    records = RECORDS[:6]
    records[1] = records[1][:28] + bytes(65) + records[1][93:]
    records[4] = bytes(20) + records[4][20:]
    found = recovered_senders(DOMAIN, records)
    assert [sender == record[:20] for sender, record in zip(found, records, strict=True)] == [
        True, False, True, True, False, True,
    ]  # fmt: skip
    assert found[1] is None
    assert recovered_senders(DOMAIN, []) == []
    assert recovered_senders(DOMAIN, records[1:2]) == [None]


# ---- bytes


def test_a_record_has_the_documented_bytes() -> None:
    """Field by field, as docs/format.md lays them out."""
    record = Record(b"\x0a" * 20, 7, b"payload", b"\x0b" * 65)
    assert record.to_bytes() == b"\x0a" * 20 + (7).to_bytes(8, "big") + b"\x0b" * 65 + b"\x00\x07payload"
    assert Record.from_bytes(record.to_bytes()) == record


def test_records_of_other_lengths_are_refused() -> None:
    """Short, long, out of range."""
    good = RECORDS[1]
    for data in (b"", good[:-1], good + b"\0", good[:90]):
        with pytest.raises(MalformedRecord):
            Record.from_bytes(data)
    with pytest.raises(MalformedRecord):
        split_records(good + good[:50])
    for change in ({"nonce": 1 << 64}, {"nonce": -1}, {"payload": bytes(1 << 16)}, {"sender": b""}, {"signature": b""}):
        with pytest.raises(MalformedRecord):
            dataclasses.replace(Record.from_bytes(good), **change)
    assert split_records(b"".join(RECORDS)) == RECORDS
    assert split_records(b"") == []


def test_a_bundle_has_the_documented_bytes() -> None:
    """Head, ends, records in the order of sender and nonce; the tree by the definition, hash by hash."""
    data, ordered = BUNDLE.data, sorted(RECORDS, key=lambda record: record[:28])
    assert data[:5] == b"QNTB\x01"
    assert data[5:37] == STREAM
    assert struct.unpack_from(">IQ", data, 37) == (21, sum(map(len, RECORDS)))
    ends = struct.unpack_from(">21I", data, 81)
    assert list(ends) == np.cumsum([len(record) for record in ordered]).tolist()
    assert data[81 + 84 :] == b"".join(ordered)
    level = [keccak(b"\x10" + i.to_bytes(8, "big") + record) for i, record in enumerate(ordered)] + [bytes(32)] * 11
    while len(level) > 1:
        level = [keccak(b"\x11" + level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    assert data[49:81] == level[0]


def test_the_same_records_make_the_same_bundle() -> None:
    """In whatever order they came."""
    assert make_bundle(STREAM, RECORDS[::-1]).data == BUNDLE.data


def test_a_bundle_takes_no_nonce_twice_and_is_not_empty() -> None:
    with pytest.raises(BadParameters, match="have the nonce"):
        make_bundle(STREAM, [*RECORDS, unsigned(1, 5), unsigned(1, 5, b"other")])
    with pytest.raises(BadParameters):
        make_bundle(STREAM, [])


def test_every_flipped_bit_of_a_bundle_is_caught() -> None:
    """By its head, its index, a record's form, the order, or the root; the stream is the signatures' business."""
    bundle = make_bundle(STREAM, RECORDS[:4])
    for position in [*range(5), *range(37, len(bundle.data))]:
        data = bytearray(bundle.data)
        data[position] ^= 1 << position % 8
        with pytest.raises((MalformedBundle, MalformedRecord)):
            Bundle(bytes(data)).check()
    for data in (bundle.data[:-1], bundle.data + b"\0", b"", bundle.data[:80]):
        with pytest.raises(MalformedBundle):
            Bundle(data)
    Bundle(bundle.data).check()


def test_a_bundle_out_of_order_or_with_a_record_twice_is_refused() -> None:
    """Under a root that fits: two bundles of one set, or a nonce counted twice, must not exist."""
    for records in ([unsigned(2, 1), unsigned(1, 1)], [unsigned(1, 1), unsigned(1, 1, b"x")]):
        ends = np.cumsum([len(record) for record in records]).astype(">u4").tobytes()
        head = BundleHead(STREAM, 2, sum(map(len, records)), RecordTree(records).root)
        with pytest.raises(MalformedBundle, match="out of order"):
            Bundle(head.to_bytes() + ends + b"".join(records)).check()


def test_an_index_that_lies_reads_no_bytes_beyond_the_records() -> None:
    """Single records through an index made by an attacker: a plain error, whatever it says."""
    for lie in (0, 1, 94, BUNDLE.head.records_bytes + 1, (1 << 32) - 1):
        data = bytearray(BUNDLE.data)
        data[81:85] = lie.to_bytes(4, "big")
        with pytest.raises(MalformedBundle):
            Bundle(bytes(data)).record(0)
        with pytest.raises(MalformedBundle):
            _ = Bundle(bytes(data)).records


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_bundle_or_a_plain_error(tail: bytes, is_headed: bool) -> None:
    """Random bytes, also behind a good beginning, raise only errors of this package."""
    data = BUNDLE.data[: 37 + len(tail) % 60] + tail if is_headed else tail
    for read in (lambda: Bundle(data).check(), lambda: RecordProof.from_bytes(data), lambda: split_header(data)):
        try:
            read()
        except QanatError:
            continue


# ---- looking records up


def test_records_are_found_by_position_and_by_sender_and_nonce() -> None:
    """Every one, through single reads only."""
    reads: list[int] = []

    def read(start: int, length: int) -> bytes:
        reads.append(length)
        return BUNDLE.data[start : start + length]

    reader = BundleReader(BUNDLE.head, read)
    for position, record in enumerate(BUNDLE):
        assert reader.record(position) == record
        reads.clear()
        assert reader.find(*record.key) == position
        assert len(reads) <= 2 * (1 + (21).bit_length())
    with pytest.raises(RecordNotFound):
        reader.record(21)
    with pytest.raises(RecordNotFound):
        reader.record(-1)
    for sender, nonce in ((b"\0" * 20, 0), (b"\xff" * 20, 0), (BUNDLE.record(3).sender, 1)):
        with pytest.raises(RecordNotFound):
            reader.find(sender, nonce)


def test_a_bundle_comes_back_from_its_object() -> None:
    """Encoded, restored, read: the same records, and a head that fits the manifest's."""
    back = Bundle(restore(OBJECT.manifest, dict(enumerate(OBJECT.slices))))
    back.check()
    assert back.records == sorted(RECORDS, key=lambda record: record[:28])
    assert split_header(OBJECT.manifest.header) == (back.head, b"")
    assert split_header(back.head.to_bytes() + b"QNTE rest") == (back.head, b"QNTE rest")
    assert split_header(b"QNTE rest") == (None, b"QNTE rest")
    with pytest.raises(MalformedBundle):
        split_header(b"QNTB rest")


# ---- proofs


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 21])
def test_every_record_is_proven(count: int) -> None:
    """At every position of trees of all shapes, signature included, through bytes."""
    bundle = make_bundle(STREAM, RECORDS[:count])
    made = encode(bundle.data, k=2, n=3, width=64, header=bundle.head.to_bytes())
    frame = ObjectFrame.of(made.manifest)
    assert frame.root == made.manifest.root
    for position in range(count):
        proof = RecordProof.of(bundle, position, frame)
        again = RecordProof.from_bytes(proof.to_bytes())
        assert again == proof
        assert again.verify(made.manifest.root, DOMAIN) == bundle.record(position)
    with pytest.raises(RecordNotFound):
        RecordProof.of(bundle, count, frame)
    one_by_one = [RecordProof.of(bundle, position, frame).to_bytes() for position in range(count)]
    assert list(RecordProof.each_of(bundle, frame)) == one_by_one
    with pytest.raises(InvalidProof):
        list(RecordProof.each_of(make_bundle(STREAM, RECORDS[-2:]), frame))


def test_a_proof_for_another_place_record_or_root_proves_nothing() -> None:
    """Shifted and doubled positions, another record, siblings exchanged, left out or added, another root."""
    proof = RecordProof.of(BUNDLE, 5, FRAME)
    proof.verify(ROOT)
    false = [dataclasses.replace(proof, position=other) for other in [*range(5), *range(6, 21), 21, 37, 5 + 32]]
    false += [
        dataclasses.replace(proof, record=BUNDLE.records[6]),
        dataclasses.replace(proof, record=proof.record + b"\0"),
        dataclasses.replace(proof, path=proof.path[:-1]),
        dataclasses.replace(proof, path=(*proof.path, bytes(32))),
        dataclasses.replace(proof, path=proof.path[::-1]),
    ]
    for other in false:
        with pytest.raises(InvalidProof):
            other.verify(ROOT)
    with pytest.raises(InvalidProof):
        proof.verify(bytes(32))


@pytest.mark.parametrize(
    "change",
    [
        {"width": 128},
        {"k": 3},
        {"n": 6},
        {"matrices": 9},
        {"size": 1},
        {"content_hash": bytes(32)},
        {"tree_root": bytes(32)},
        {"header": b""},
        {"header": BUNDLE.head.to_bytes() + b"\0"},
        {"header": dataclasses.replace(BUNDLE.head, count=22).to_bytes()},
    ],
)
def test_the_root_commits_the_whole_frame(change: dict[str, object]) -> None:
    """No value of the manifest can be another one under the same root."""
    proof = RecordProof.of(BUNDLE, 5, FRAME)
    with pytest.raises(InvalidProof):
        dataclasses.replace(proof, frame=dataclasses.replace(FRAME, **change)).verify(ROOT)


def test_a_node_passes_for_no_leaf_and_padding_for_no_record() -> None:
    """Second preimages: a record made of two hashes, a shorter path from a node, the place behind the last record."""
    tree = BUNDLE.tree
    path = tree.path(4)
    leaf4, leaf5 = (keccak(b"\x10" + i.to_bytes(8, "big") + BUNDLE.records[i]) for i in (4, 5))
    assert path[0] == leaf5
    assert root_from_path(21, 4, BUNDLE.records[4], path) == tree.root
    for fake in (leaf4 + leaf5, b"\x11" + leaf4 + leaf5):
        assert root_from_path(11, 2, fake, path[1:]) != tree.root
    assert root_from_path(32, 21, b"", path) != tree.root
    assert keccak(b"\x11" + leaf4 + leaf5) != keccak(b"\x01" + leaf4 + leaf5)
    # a slice's leaf or node of the manifest's own tree hashes under other first bytes
    slices = OBJECT.manifest.tree
    assert slices.root != RecordTree([point[:96] for point in OBJECT.manifest.points]).root


def test_a_proof_is_of_the_stream_and_signature_asked_for() -> None:
    """A true path to a record of another stream, or that its sender did not sign, is refused."""
    proof = RecordProof.of(BUNDLE, 5, FRAME)
    with pytest.raises(InvalidProof, match="another stream"):
        proof.verify(ROOT, SigningDomain(31337, DOMAIN.objects, keccak(b"other")))
    forged = make_bundle(STREAM, [*RECORDS[:3], unsigned(9, 9)])
    made = encode(forged.data, k=1, n=2, width=64, header=forged.head.to_bytes())
    position = forged.find(b"\x09" * 20, 9)
    proof = RecordProof.of(forged, position, ObjectFrame.of(made.manifest))
    proof.verify(made.manifest.root)
    with pytest.raises(InvalidSignature):
        proof.verify(made.manifest.root, DOMAIN)


def test_a_proof_is_of_a_bundle_that_the_object_names() -> None:
    """No frame of another object, and none of an object that is no bundle."""
    with pytest.raises(InvalidProof):
        RecordProof.of(make_bundle(STREAM, RECORDS[:4]), 0, FRAME)
    plain = encode(BUNDLE.data, k=2, n=5, width=64).manifest
    proof = dataclasses.replace(RecordProof.of(BUNDLE, 0, FRAME), frame=ObjectFrame.of(plain))
    with pytest.raises(InvalidProof, match="no bundle"):
        proof.verify(plain.root)


def test_a_proof_has_the_documented_bytes_and_a_strict_reader() -> None:
    """Head, siblings, record, frame; nothing missing, nothing behind; each flipped bit fails to verify."""
    proof = RecordProof.of(BUNDLE, 5, FRAME)
    data = proof.to_bytes()
    record = BUNDLE.records[5]
    assert data[:14] == b"QNTP\x01" + (5).to_bytes(4, "big") + b"\x05" + len(record).to_bytes(4, "big")
    assert data[14:174] == b"".join(BUNDLE.tree.path(5))
    assert data[174 : 174 + len(record)] == record
    at = 174 + len(record)
    assert struct.unpack_from(">IIIIQ", data, at) == (64, 2, 5, OBJECT.manifest.matrices, len(BUNDLE.data))
    assert data[at + 24 : at + 56] == OBJECT.manifest.content_hash
    assert data[at + 56 : at + 88] == OBJECT.manifest.tree.root
    assert data[at + 88 :] == (81).to_bytes(4, "big") + BUNDLE.head.to_bytes()
    for cut in (0, 13, 100, at + 20, len(data) - 1):
        with pytest.raises(InvalidProof):
            RecordProof.from_bytes(data[:cut])
    with pytest.raises(InvalidProof):
        RecordProof.from_bytes(data + b"\0")
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        with pytest.raises(QanatError):
            RecordProof.from_bytes(bytes(changed)).verify(ROOT)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, (1 << 64) - 1)), st.binary(max_size=300), min_size=1, max_size=40
    ),
    st.data(),
)
def test_any_set_of_records_is_bundled_found_and_proven(
    content: dict[tuple[int, int], bytes], data: st.DataObject
) -> None:
    """Sizes, nonces and counts as they come: each is found and proven in its place, and in no other."""
    records: Sequence[bytes] = [unsigned(sender, nonce, payload) for (sender, nonce), payload in content.items()]
    bundle = make_bundle(STREAM, records)
    bundle.check()
    sender, nonce = data.draw(st.sampled_from(sorted(content)))
    position = bundle.find(bytes([sender]) * 20, nonce)
    assert bundle.record(position).payload == content[sender, nonce]
    path = bundle.tree.path(position)
    assert root_from_path(len(records), position, bundle.records[position], path) == bundle.head.tree_root
    other = data.draw(st.integers(0, 2 * len(records)))
    if other != position:
        assert root_from_path(len(records), other, bundle.records[position], path) != bundle.head.tree_root
