"""A list's signature: given for objects that the node signs one by one, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak

from qanat import bls
from qanat.chain.views import ObjectStatus, Roster
from qanat.client.listing import CertifiedList, gather_list
from qanat.errors import MalformedHex, NodeRefused, QuorumNotReached, SliceNotFound
from qanat.node.certificate import certificate_list_digest
from qanat.node.lists import MOST_OBJECTS, read_list, sign_list
from qanat.node.signing import SigningKeys
from qanat.objects import Encoded, encode
from tests.unit.node_doubles import CHAIN_ID, CONTRACTS, ROSTER, SHARD, FakeNode, FakeViews, make_people, serve_node

PEOPLE = make_people(4)
OBJECTS: dict[bytes, Encoded] = {
    bytes([number]) * 32: encode(bytes([number]) * 4000, k=2, n=4, width=64) for number in (1, 2, 3)
}
IDS = list(OBJECTS)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    views = FakeViews(PEOPLE)
    for object_id, encoded in OBJECTS.items():
        views.open_object(object_id, encoded)
    made = FakeNode(views, PEOPLE[0], tmp_path / "node")
    yield made
    made.stop()


def take(node: FakeNode, *object_ids: bytes) -> None:
    for object_id in object_ids:
        node.take_all(object_id, OBJECTS[object_id])


def digest(node: FakeNode, object_ids: list[bytes]) -> bytes:
    digests = [node.views.digest(object_id) for object_id in object_ids]
    return certificate_list_digest(CHAIN_ID, CONTRACTS["Objects"], SHARD, ROSTER, digests)


def refuses(node: FakeNode, status: int, object_ids: list[bytes]) -> NodeRefused:
    with pytest.raises(NodeRefused) as found:
        sign_list(node.intake, object_ids)
    assert found.value.data["status"] == status
    return found.value


def test_a_list_is_signed_in_its_order(node: FakeNode) -> None:
    """Each object is signed too, durably; the same bytes at every call, after a restart too."""
    take(node, *IDS)
    signature = sign_list(node.intake, IDS)
    assert bls.verify(PEOPLE[0].key.public_key, digest(node, IDS), signature)
    assert not bls.verify(PEOPLE[0].key.public_key, digest(node, IDS[::-1]), signature)
    assert all(node.state.signed(object_id) is not None for object_id in IDS)
    node.restart()
    assert sign_list(node.intake, IDS) == signature


def test_one_object_that_would_not_be_signed_spoils_the_list(node: FakeNode) -> None:
    """Its slices are missing, or nobody opened it."""
    take(node, *IDS[:2])
    with pytest.raises(SliceNotFound):
        sign_list(node.intake, IDS)
    node.intake.accept_manifest(IDS[2], OBJECTS[IDS[2]].manifest.to_bytes())
    assert refuses(node, 409, IDS).data["missing"]
    refuses(node, 404, [*IDS[:2], b"\x09" * 32])
    assert node.state.signed(IDS[2]) is None


def test_lists_of_another_shape_are_refused(node: FakeNode) -> None:
    """Empty, too long, an object twice: before anything is looked up."""
    take(node, *IDS)
    refuses(node, 400, [])
    refuses(node, 400, [IDS[0], IDS[0]])
    refuses(node, 400, [bytes([0, number]) * 16 for number in range(MOST_OBJECTS + 1)])


def test_a_list_has_objects_of_one_roster_that_need_a_certificate(node: FakeNode) -> None:
    """None of another roster, none that was certified meanwhile."""
    take(node, *IDS)
    sign_list(node.intake, IDS)
    node.views.change_object(IDS[1], block=60, status=ObjectStatus.CERTIFIED)
    assert refuses(node, 409, IDS).data["object_id"] == IDS[1]
    node.views.change_object(IDS[2], block=60, roster=ROSTER + 1)
    assert refuses(node, 409, [IDS[0], IDS[2]]).data["object_id"] == IDS[2]


def test_what_was_signed_in_one_form_is_in_no_list_in_another(node: FakeNode) -> None:
    """A reorganization opened the object again for a longer term: its first signature stands, alone."""
    take(node, *IDS)
    sign_list(node.intake, IDS)
    node.views.change_object(IDS[1], block=60, epochs=9)
    assert "another form" in refuses(node, 409, IDS).message
    assert node.intake.sign(IDS[1])


# ---- a network's nodes


class RosterViews(FakeViews):
    """With what a gatherer of signatures asks besides."""

    def roster_keys(self, _roster: Roster, seats: Sequence[int]) -> bytes:
        return b"".join(PEOPLE[seat].key.public_key for seat in seats)

    def vacant_operators(self, _roster: Roster) -> frozenset[str]:
        return frozenset()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[RosterViews, list[FakeNode]]]:
    """Four served nodes that took all three objects."""
    views = RosterViews(PEOPLE)
    for object_id, encoded in OBJECTS.items():
        views.open_object(object_id, encoded)
    nodes = [FakeNode(views, person, tmp_path / person.address, poll_seconds=60) for person in PEOPLE]
    for node in nodes:
        take(node, *IDS)
    served = [serve_node(node) for node in nodes]
    yield views, nodes
    for item in served:
        item.stop()
    for node in nodes:
        node.stop()


def gather(views: RosterViews, **options: float) -> CertifiedList:
    records = [views.object(object_id) for object_id in IDS]
    options = {"seconds": 8.0, "grace_seconds": 0.5, **options}
    real: Any = views
    return gather_list(real, views.roster(SHARD, ROSTER), IDS, records, **options)


def test_a_networks_signatures_of_a_list_add_up(network: tuple[RosterViews, list[FakeNode]]) -> None:
    """Over HTTP from every node: one aggregate under the roster's key."""
    views, nodes = network
    found = gather(views, grace_seconds=20.0)
    assert found.failures == {}
    key = bls.aggregate_keys([person.key.public_key for person in PEOPLE])
    signature = bls.aggregate([found.signatures[person.address] for person in PEOPLE])
    assert bls.verify_aggregate(key, [], digest(nodes[0], IDS), signature)


def test_who_refuses_or_lies_costs_its_own_signature(network: tuple[RosterViews, list[FakeNode]]) -> None:
    """One lacks a slice of one object: named, and three of four are enough. A second one, and they are not."""
    views, nodes = network
    lacking = nodes[1].own(IDS[0], OBJECTS[IDS[0]])[0]
    nodes[1].store.delete(IDS[0], lacking)
    found = gather(views)
    assert set(found.signatures) == {PEOPLE[number].address for number in (0, 2, 3)}
    assert "missing" in found.failures[PEOPLE[1].address]
    nodes[2].signing = SigningKeys.of(PEOPLE[3].key)
    views.key_hashes[ROSTER, PEOPLE[2].address] = bytes(keccak(PEOPLE[3].key.public_key))
    nodes[2].intake._keys = nodes[2].signing
    with pytest.raises(QuorumNotReached, match="false signature") as few:
        gather(views, seconds=3.0)
    assert few.value.data["signed_tickets"] == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"objects": 1}', b'{"objects": ["0x12"]}', b'{"objects": [1]}', b'{"objects": [], "x": 1}'],
)
def test_bodies_that_are_no_list_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedHex):
        read_list(body)
