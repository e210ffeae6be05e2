"""Intake: a node signs exactly what it has verified and made durable, once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils import keccak

from qanat import bls
from qanat.chain.views import ObjectStatus
from qanat.errors import (
    DualCheckFailed,
    FileUnreadable,
    InvalidPoint,
    MalformedManifest,
    NodeRefused,
    NonCanonicalElement,
    SliceMismatch,
    SliceNotFound,
    StoreCorrupted,
    StoreError,
    WrongKeyFile,
)
from qanat.field import MODULUS
from qanat.kzg import commit
from qanat.node.certificate import object_id_of
from qanat.node.signing import SigningKeys
from qanat.objects import Encoded, Manifest, encode
from tests.unit.node_doubles import ROSTER, SHARD, FakeNode, FakeViews, make_people

OBJECT = b"\x11" * 32
PEOPLE = make_people(3)


def make_encoded(size: int = 5000, *, k: int = 2, n: int = 3, seed: int = 1) -> Encoded:
    """Encode some bytes into narrow slices: two matrices by default."""
    return encode(bytes((seed + i * i) % 251 for i in range(size)), k=k, n=n, width=64)


ENCODED = make_encoded()


@pytest.fixture
def views() -> FakeViews:
    found = FakeViews(PEOPLE)
    found.open_object(OBJECT, ENCODED)
    return found


@pytest.fixture
def node(views: FakeViews, tmp_path: Path) -> Iterator[FakeNode]:
    made = FakeNode(views, PEOPLE[0], tmp_path / "node")
    yield made
    made.stop()


def refuses(status: int, body, *arguments) -> NodeRefused:
    """Expect a refusal with a status."""
    with pytest.raises(NodeRefused) as found:
        body(*arguments)
    assert found.value.data["status"] == status, found.value
    return found.value


def test_a_good_object_is_signed_once_and_for_ever(node: FakeNode, views: FakeViews) -> None:
    """The signature verifies, is the same at every call and after a restart, and names no other operator."""
    node.take_all(OBJECT, ENCODED)
    signature = node.intake.sign(OBJECT)
    assert bls.verify(PEOPLE[0].key.public_key, views.digest(OBJECT), signature)
    assert node.intake.sign(OBJECT) == signature
    node.restart()
    assert node.intake.sign(OBJECT) == signature
    assert not bls.verify(PEOPLE[1].key.public_key, views.digest(OBJECT), signature)


def test_all_operators_together_hold_every_slice_once(views: FakeViews, tmp_path: Path) -> None:
    """Rows are divided between tickets without gap or overlap."""
    nodes = [FakeNode(views, person, tmp_path / person.address) for person in PEOPLE]
    own = [index for node in nodes for index in node.own(OBJECT, ENCODED)]
    assert sorted(own) == list(range(ENCODED.manifest.count))
    for node in nodes:
        node.stop()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": ObjectStatus.FAILED}, 410),
        ({"shard": 2}, 409),
        ({"status": ObjectStatus.CERTIFIED, "first_epoch": 5}, 409),
    ],
)
def test_an_object_in_another_state_is_refused(node: FakeNode, views: FakeViews, changes: dict, status: int) -> None:
    """Failed, foreign, or certified without this operator: nothing is taken in."""
    views.change_object(OBJECT, block=60, **changes)
    refuses(status, node.intake.accept_manifest, OBJECT, ENCODED.manifest.to_bytes())
    refuses(status, node.intake.manifest_limit, OBJECT)


def test_an_object_certified_without_this_operator_is_taken_in_while_it_may_adopt(
    node: FakeNode, views: FakeViews
) -> None:
    """Certified in epoch 5's time, adopted until epoch 6 is frozen; not after its fees went back."""
    epoch = views.first_epoch_after(1, views.chain.latest() + 1)
    late = {"status": ObjectStatus.CERTIFIED, "unsigned_tickets": 1}
    views.change_object(OBJECT, block=60, first_epoch=epoch - 2, **late)
    refuses(409, node.intake.accept_manifest, OBJECT, ENCODED.manifest.to_bytes())
    views.change_object(OBJECT, block=61, first_epoch=epoch - 1, end_epoch=epoch + 2, unsigned_returned=True)
    refuses(409, node.intake.accept_manifest, OBJECT, ENCODED.manifest.to_bytes())
    views.change_object(OBJECT, block=62, unsigned_returned=False)
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())


def test_an_object_that_nobody_paid_is_refused(node: FakeNode) -> None:
    """An id that the chain does not know."""
    refuses(404, node.intake.accept_manifest, b"\x99" * 32, ENCODED.manifest.to_bytes())


def test_an_object_whose_block_is_not_safe_has_to_wait(node: FakeNode, views: FakeViews) -> None:
    """Opened in the newest block: 425 until that block is safe, at the manifest and again at signing."""
    fresh = b"\x22" * 32
    views.open_object(fresh, ENCODED, block=100)
    assert refuses(425, node.intake.accept_manifest, fresh, ENCODED.manifest.to_bytes()).data["retry_after"] > 0
    views.chain.safe = 100
    node.take_all(fresh, ENCODED)
    views.chain.safe = 99
    refuses(425, node.intake.sign, fresh)
    views.chain.safe = 100
    node.intake.sign(fresh)


def test_an_operator_outside_the_roster_takes_nothing(views: FakeViews, tmp_path: Path) -> None:
    """A node whose operator has no place in the object's roster."""
    outsider = FakeNode(views, make_people(4)[3], tmp_path / "o")
    refuses(409, outsider.intake.accept_manifest, OBJECT, ENCODED.manifest.to_bytes())
    outsider.stop()


@pytest.mark.parametrize("name", ["width", "k", "n", "matrices", "size", "manifest_root"])
def test_every_field_must_equal_the_chains(node: FakeNode, views: FakeViews, name: str) -> None:
    """A manifest that differs from the record in any one field is refused."""
    old = getattr(views.object(OBJECT), name)
    changed = bytes(32) if isinstance(old, bytes) else old + (1 if name == "size" else old)
    views.change_object(OBJECT, block=60, **{name: changed})
    with pytest.raises(MalformedManifest) as found:
        node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    assert found.value.data["field"] == {"manifest_root": "root"}.get(name, name)
    assert node.state.object(OBJECT) is None


def test_bytes_that_are_no_manifest_are_refused(node: FakeNode) -> None:
    """Cut, lengthened, or with a point that is none."""
    good = ENCODED.manifest.to_bytes()
    for bad in (b"", good[:-1], good + b"\0", b"QNTX" + good[4:]):
        with pytest.raises(MalformedManifest):
            node.intake.accept_manifest(OBJECT, bad)
    with pytest.raises(InvalidPoint):
        node.intake.accept_manifest(OBJECT, good[:-48] + bytes([0x80]) + bytes(47))


def tampered(encoded: Encoded, index: int) -> Encoded:
    """Return an object one of whose parity slices, with its commitment, is of something else."""
    other = bytes(31) + b"\x07" + encoded.slices[index][32:]
    commitments = list(encoded.manifest.commitments)
    commitments[index] = commit(other)
    slices = [other if i == index else part for i, part in enumerate(encoded.slices)]
    return Encoded(replace(encoded.manifest, commitments=tuple(commitments)), slices)


def test_commitments_that_are_no_encoding_are_never_signed(views: FakeViews, tmp_path: Path) -> None:
    """A hostile owner's manifest, consistent with chain and slices but no encoding in its second matrix."""
    for index in (0, 2, 5):
        false = tampered(ENCODED, index)
        object_id = bytes([index]) * 32
        views.open_object(object_id, false)
        node = FakeNode(views, PEOPLE[0], tmp_path / str(index))
        node.take_all(object_id, false)
        with pytest.raises(DualCheckFailed):
            node.intake.sign(object_id)
        assert node.state.signed(object_id) is None
        node.stop()


def test_nothing_is_signed_while_a_slice_is_missing(node: FakeNode) -> None:
    """The refusal names the missing slices."""
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    own = node.own(OBJECT, ENCODED)
    node.intake.accept_slice(OBJECT, own[0], ENCODED.slices[own[0]])
    assert refuses(409, node.intake.sign, OBJECT).data["missing"] == own[1:]


def test_a_slice_without_a_manifest_is_refused(node: FakeNode) -> None:
    """The manifest comes first."""
    with pytest.raises(SliceNotFound):
        node.intake.accept_slice(OBJECT, 0, ENCODED.slices[0])


def test_somebody_elses_slice_is_refused(node: FakeNode) -> None:
    """Only own rows are stored."""
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    for index in set(range(8)) - set(node.own(OBJECT, ENCODED)):
        refuses(409, node.intake.accept_slice, OBJECT, index, ENCODED.slices[0])


def test_a_slice_of_another_length_is_refused(node: FakeNode) -> None:
    """One element more or less."""
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    index = node.own(OBJECT, ENCODED)[0]
    for data in (b"", ENCODED.slices[index][:-32], ENCODED.slices[index] + bytes(32)):
        refuses(400, node.intake.accept_slice, OBJECT, index, data)


def test_elements_that_are_not_canonical_are_refused(views: FakeViews, tmp_path: Path) -> None:
    """In data rows 2^248 is the bound, in parity rows the modulus; both bounds are exact."""
    for person in PEOPLE:
        node = FakeNode(views, person, tmp_path / person.address)
        node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
        for index in node.own(OBJECT, ENCODED):
            limit = 1 << 248 if index % 3 < 2 else MODULUS
            for position in (0, 63):
                for value in (limit, limit + 1, (1 << 256) - 1):
                    wrong = bytearray(ENCODED.slices[index])
                    wrong[32 * position : 32 * position + 32] = value.to_bytes(32, "big")
                    with pytest.raises(NonCanonicalElement) as found:
                        node.intake.accept_slice(OBJECT, index, bytes(wrong))
                    assert found.value.data["element"] == position
                good = bytearray(ENCODED.slices[index])
                good[32 * position : 32 * position + 32] = (limit - 1).to_bytes(32, "big")
                node.intake.accept_slice(OBJECT, index, bytes(good))  # canonical; false, which signing finds
                node.store.delete(OBJECT, index)
        node.stop()


def test_a_flipped_bit_in_any_slice_is_found_at_signing(node: FakeNode) -> None:
    """The false slice is named and dropped, so that it can be sent again; then the object is signed."""
    for index in node.own(OBJECT, ENCODED):
        node.take_all(OBJECT, ENCODED)
        node.store.delete(OBJECT, index)
        wrong = bytearray(ENCODED.slices[index])
        wrong[999] ^= 1
        node.intake.accept_slice(OBJECT, index, bytes(wrong))
        with pytest.raises(SliceMismatch) as found:
            node.intake.sign(OBJECT)
        assert found.value.data["indexes"] == [index]
        assert not node.store.has(OBJECT, index)
        assert node.state.signed(OBJECT) is None
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)


def test_a_false_slice_cannot_take_the_place_of_a_good_one(node: FakeNode) -> None:
    """Before signing and after it: strangers may send, but only what is right replaces what is there."""
    node.take_all(OBJECT, ENCODED)
    index = node.own(OBJECT, ENCODED)[0]
    wrong = ENCODED.slices[index][:-1] + b"\x55"
    with pytest.raises(SliceMismatch):
        node.intake.accept_slice(OBJECT, index, wrong)
    node.intake.sign(OBJECT)
    node.intake.accept_slice(OBJECT, index, wrong)  # what is held is intact: nothing changes
    assert node.store.get(OBJECT, index) == ENCODED.slices[index]
    node.store.delete(OBJECT, index)
    with pytest.raises(SliceMismatch):
        node.intake.accept_slice(OBJECT, index, wrong)
    node.intake.accept_slice(OBJECT, index, ENCODED.slices[index])
    assert node.intake.read_verified(OBJECT, index) == ENCODED.slices[index]


def test_another_root_is_never_signed_for_the_same_object(node: FakeNode, views: FakeViews) -> None:
    """After a reorganisation gave the id to other data: refused at the manifest, at signing, after a restart."""
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)
    other = make_encoded(seed=9)
    views.records[OBJECT].clear()
    views.open_object(OBJECT, other, block=55)
    for _ in range(2):
        refuses(409, node.intake.accept_manifest, OBJECT, other.manifest.to_bytes())
        stands = node.state.signed(OBJECT)
        assert stands is not None
        assert stands.root == ENCODED.manifest.root.hex()
        node.restart()


def test_a_restored_backup_signs_nothing_twice(node: FakeNode, views: FakeViews) -> None:
    """The memory is replaced by one of before the signature.

    An id has one root on chain, for ever, since the id is a hash over it: another manifest is refused as it always was,
    and the chain's own gets the very same signature. A backup of after the signature refuses without asking.
    """
    memory, backup = node.folder / "state", node.folder / "backup"
    node.take_all(OBJECT, ENCODED)
    node.stop()
    shutil.copytree(memory, backup)
    node.start()
    signature = node.intake.sign(OBJECT)
    node.stop()
    shutil.rmtree(memory)
    shutil.copytree(backup, memory)
    node.start()
    assert node.state.signed(OBJECT) is None
    with pytest.raises(MalformedManifest):
        node.intake.accept_manifest(OBJECT, make_encoded(seed=9).manifest.to_bytes())
    assert node.intake.sign(OBJECT) == signature
    # slices older than the memory: it knows what it signed, and says that a slice is gone
    node.store.delete(OBJECT, node.own(OBJECT, ENCODED)[0])
    assert node.intake.sign(OBJECT) == signature
    with pytest.raises(SliceNotFound):
        node.intake.read_verified(OBJECT, node.own(OBJECT, ENCODED)[0])


def test_ids_are_bound_to_roots() -> None:
    """What the restored node relies on: an id changes with each thing that it is made of, the root included."""
    given = (31337, "0x" + "11" * 20, "0x" + "22" * 20, 5, b"\x33" * 32)
    changed = (1, "0x" + "12" * 20, "0x" + "23" * 20, 6, b"\x34" * 32)
    ids = {object_id_of(*given)}
    for place in range(5):
        ids.add(object_id_of(*[(changed if place == at else given)[at] for at in range(5)]))
    assert len(ids) == 6


def test_nothing_is_signed_that_the_disk_did_not_take(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every put reaches memory, no flush succeeds: the sender is told, and signing fails too."""
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())

    def refuse() -> None:
        raise StoreError("No space left on device", status=507)

    with monkeypatch.context() as full:
        full.setattr(node.store, "flush", refuse)
        for index in node.own(OBJECT, ENCODED):
            with pytest.raises(StoreError):
                node.intake.accept_slice(OBJECT, index, ENCODED.slices[index])
        with pytest.raises(StoreError):
            node.intake.sign(OBJECT)
        assert node.state.signed(OBJECT) is None
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)


def test_what_was_signed_is_remembered_after_the_object_was_deleted(node: FakeNode, views: FakeViews) -> None:
    """Deleting an object frees its space, not the node's promise."""
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)
    node.intake.forget(OBJECT)
    assert node.store.usage().slices == 0
    assert node.state.object(OBJECT) is None
    other = make_encoded(seed=9)
    views.records[OBJECT].clear()
    views.open_object(OBJECT, other, block=55)
    refuses(409, node.intake.accept_manifest, OBJECT, other.manifest.to_bytes())


def test_slices_are_read_only_once_they_were_verified(node: FakeNode) -> None:
    """Nothing that was merely received is served or answered with."""
    node.take_all(OBJECT, ENCODED)
    index = node.own(OBJECT, ENCODED)[0]
    with pytest.raises(SliceNotFound, match="not verified"):
        node.intake.read_verified(OBJECT, index)
    node.intake.sign(OBJECT)
    assert node.intake.read_verified(OBJECT, index) == ENCODED.slices[index]


def test_a_damaged_slice_is_never_read(node: FakeNode) -> None:
    """A byte that flipped on disk: an error that names the slice, and a count for whoever watches."""
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)
    index = node.own(OBJECT, ENCODED)[0]
    node.store.close()
    path = node.folder / "slices" / "data.mdb"
    raw = bytearray(path.read_bytes())
    at = 0
    while (at := raw.find(ENCODED.slices[index], at)) >= 0:
        raw[at + 77] ^= 4
        at += 1
    path.write_bytes(raw)
    node.state.close()
    node.service.close()
    node.start()
    with pytest.raises(StoreCorrupted) as found:
        node.intake.read_verified(OBJECT, index)
    assert found.value.data["index"] == index
    assert node.metrics.value("qanat_slices_corrupted_total") == 1
    # whoever has the slice can give it back
    node.intake.accept_slice(OBJECT, index, ENCODED.slices[index])
    assert node.intake.read_verified(OBJECT, index) == ENCODED.slices[index]


def test_the_capacity_is_not_exceeded(views: FakeViews, tmp_path: Path) -> None:
    """A node with room for one slice refuses the second with 507."""
    node = FakeNode(views, PEOPLE[0], tmp_path / "n", capacity_bytes=3000)
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    own = node.own(OBJECT, ENCODED)
    node.intake.accept_slice(OBJECT, own[0], ENCODED.slices[own[0]])
    with pytest.raises(StoreError) as found:
        node.intake.accept_slice(OBJECT, own[1], ENCODED.slices[own[1]])
    assert found.value.data["status"] == 507
    node.stop()


def test_an_empty_file_and_all_zero_rows_are_stored_like_any_other(views: FakeViews, tmp_path: Path) -> None:
    """Identity commitments, zero slices, one matrix."""
    empty = encode(b"", k=2, n=3, width=64)
    object_id = b"\x33" * 32
    views.open_object(object_id, empty)
    node = FakeNode(views, PEOPLE[2], tmp_path / "n")
    node.take_all(object_id, empty)
    assert bls.verify(PEOPLE[2].key.public_key, views.digest(object_id), node.intake.sign(object_id))
    node.stop()


def test_operators_with_several_tickets_hold_all_their_rows(tmp_path: Path) -> None:
    """Tickets 1, 2 and 1 of 4, with n = 8: two rows of every matrix for each ticket."""
    views = FakeViews(PEOPLE, [1, 2, 1])
    encoded = make_encoded(k=4, n=8)
    views.open_object(OBJECT, encoded)
    held = []
    for person in PEOPLE:
        node = FakeNode(views, person, tmp_path / person.address)
        node.take_all(OBJECT, encoded)
        node.intake.sign(OBJECT)
        held.append(node.store.usage().slices // encoded.manifest.matrices)
        node.stop()
    assert held == [2, 4, 2]


def test_a_manifest_is_kept_as_it_came(node: FakeNode) -> None:
    """What is served is what was sent, and sending it again changes nothing."""
    body = ENCODED.manifest.to_bytes()
    node.intake.accept_manifest(OBJECT, body)
    node.intake.accept_manifest(OBJECT, body)
    assert node.service.manifest(OBJECT) == body
    assert Manifest.from_bytes(node.service.manifest(OBJECT)).root == ENCODED.manifest.root
    assert (node.state.object(OBJECT).roster, node.state.object(OBJECT).shard) == (ROSTER, SHARD)


# ---- keys in rotation

OLD_KEY, NEW_KEY = PEOPLE[0].key, bls.SecretKey.from_bytes((77).to_bytes(32, "big"))


def key_hash(key: bls.SecretKey) -> bytes:
    return bytes(keccak(key.public_key))


def test_each_object_is_signed_with_the_key_of_its_roster(node: FakeNode, views: FakeViews) -> None:
    """After a rotation objects of older rosters are signed with the old key, those of newer ones with the new one."""
    newer = b"\x22" * 32
    views.open_object(newer, ENCODED, roster=ROSTER + 1)
    views.key_hashes[ROSTER + 1, node.person.address] = key_hash(NEW_KEY)
    node.signing = SigningKeys.of(OLD_KEY, NEW_KEY)
    node.restart()
    for object_id, key, other in ((OBJECT, OLD_KEY, NEW_KEY), (newer, NEW_KEY, OLD_KEY)):
        node.take_all(object_id, ENCODED)
        signature = node.intake.sign(object_id)
        assert bls.verify(key.public_key, views.digest(object_id), signature)
        assert not bls.verify(other.public_key, views.digest(object_id), signature)


def test_a_key_that_is_not_here_signs_nothing(node: FakeNode, views: FakeViews) -> None:
    """Neither manifest nor signature, with no other key in its place; when the key has come, both."""
    views.key_hashes[ROSTER, node.person.address] = key_hash(NEW_KEY)
    assert refuses(503, node.intake.accept_manifest, OBJECT, ENCODED.manifest.to_bytes()).data["retry_after"] > 0
    assert node.state.object(OBJECT) is None
    node.signing = SigningKeys.of(OLD_KEY, NEW_KEY)
    node.restart()
    node.take_all(OBJECT, ENCODED)
    node.signing = SigningKeys.of(OLD_KEY)
    node.restart()
    refuses(503, node.intake.sign, OBJECT)
    assert node.state.signed(OBJECT) is None


@pytest.mark.parametrize("same_roster", [True, False])
def test_no_two_roots_across_keys(node: FakeNode, views: FakeViews, same_roster: bool) -> None:
    """What was signed with the old key is never signed otherwise with the new one, also not after a restart."""
    node.take_all(OBJECT, ENCODED)
    signature = node.intake.sign(OBJECT)
    other = make_encoded(seed=2)
    roster = ROSTER if same_roster else ROSTER + 1
    views.key_hashes[roster, node.person.address] = key_hash(NEW_KEY)
    views.change_object(OBJECT, block=60, manifest_root=other.manifest.root, roster=roster)
    node.signing = SigningKeys.of(OLD_KEY, NEW_KEY)
    for _ in range(2):
        node.restart()
        refuses(409, node.intake.accept_manifest, OBJECT, other.manifest.to_bytes())
        assert node.intake.sign(OBJECT) == signature


class TestSigningKeys:
    def test_a_key_that_comes_later_is_found(self, tmp_path: Path) -> None:
        """The files are looked at again when a roster counts a key that isn't open; what is open stays so."""
        files = [tmp_path / "old.json"]
        bls.save_key(files[0], OLD_KEY, "word", cost=1 << 10)
        keys = SigningKeys("word", lambda: files)
        assert keys.hashes == (key_hash(OLD_KEY),)
        refuses(503, keys.key, key_hash(NEW_KEY))
        files.append(tmp_path / "new.json")
        refuses(503, keys.key, key_hash(NEW_KEY))
        assert keys.key(key_hash(OLD_KEY)) == OLD_KEY
        bls.save_key(files[1], NEW_KEY, "another word", cost=1 << 10)
        refuses(503, keys.key, key_hash(NEW_KEY))
        files[1].unlink()
        bls.save_key(files[1], NEW_KEY, "word", cost=1 << 10)
        assert keys.key(key_hash(NEW_KEY)) == NEW_KEY
        files.clear()
        assert keys.key(key_hash(OLD_KEY)) == OLD_KEY

    def test_a_file_that_does_not_open_at_the_start(self, tmp_path: Path) -> None:
        """A wrong passphrase, no file: said at once."""
        path = tmp_path / "bls.json"
        with pytest.raises(FileUnreadable):
            SigningKeys("word", lambda: [path])
        bls.save_key(path, OLD_KEY, "word", cost=1 << 10)
        with pytest.raises(WrongKeyFile):
            SigningKeys("other", lambda: [path])
