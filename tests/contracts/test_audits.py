"""Audits: seeds, draws, answers, misses; and that what the chain draws is what `qanat.chain.draws` draws."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import ckzg
import pytest
from ape import chain
from eth_utils import keccak
from py_arkworks_bls12381 import G1Point

from qanat.chain import draws
from qanat.chain.connection import Chain
from qanat.chain.deployment import DeployedContract, Deployment
from qanat.chain.snapshots import SnapshotReader
from qanat.chain.views import Views
from tests.contracts import curve_points as cp
from tests.contracts.reverts import reverts_with
from tests.contracts.system import (
    TIMELOCK,
    ZERO_ADDRESS,
    Data,
    deploy_system,
    make_data,
    module_name,
)

NONE, ANSWERED, MISSED = 0, 1, 2
ZERO_PROOF = cp.IDENTITY_COMPRESSED


@pytest.fixture(scope="module")
def system(project, deployer, guardian, operators, owner, stranger, auditor):
    """Six operators of one ticket each; four rows are drawn of each."""
    made = deploy_system(project, deployer, guardian)
    made.enroll(operators)
    made.take_roster()
    return made


@pytest.fixture(scope="module")
def wide(system):
    """Data of which every ticket holds four rows."""
    return make_data(n=12, k=4, matrices=2)


@pytest.fixture
def sealed(system, owner, wide):
    """One object that everybody signed, in its first epoch, sealed. Returns (epoch, object id)."""
    object_id = system.store(owner, wide)
    epoch = system.objects.record(object_id).firstEpoch
    system.seal(epoch)
    return epoch, object_id


def send(system, response, sender=None):
    """Bring an answer."""
    return system.audits.respond(response.as_tuple(), sender=sender or system.governor)


def changed(response, read, **values):
    """Return an answer whose witness of one read is changed."""
    reads = list(response.reads)
    reads[read] = replace(reads[read], **values)
    return replace(response, reads=tuple(reads))


def answered_event(system, receipt):
    (event,) = receipt.decode_logs(system.audits.Answered)
    return event


class TestSeal:
    """I-A1: when an epoch is sealed, and what that fixes."""

    def test_refuses_epoch_zero(self, system, stranger):
        with reverts_with(system.audits.EpochInvalid, epoch=0):
            system.audits.seal(1, 0, b"", stranger, sender=stranger)

    def test_refuses_an_unknown_shard(self, system, stranger):
        with reverts_with(system.shards.ShardUnknown, shard=7):
            system.audits.seal(7, 1, b"", stranger, sender=stranger)

    def test_refuses_before_the_seed_block_is_past(self, system, stranger):
        epoch = system.epoch + 1
        seed_block = system.shards.seedBlockOf(1, epoch)
        system.go_to_block(seed_block - 1)
        with reverts_with(system.audits.EpochNotStarted, epoch=epoch, seedBlock=seed_block, blockNumber=seed_block):
            system.audits.seal(1, epoch, b"", stranger, sender=stranger)

    def test_refuses_after_the_sealing_limit_and_the_epoch_is_void(self, system, stranger):
        epoch = system.epoch + 1
        limit = system.shards.seedBlockOf(1, epoch) + 20
        system.go_to_block(limit - 1)
        assert not system.audits.isVoid(1, epoch)
        with chain.isolate():
            system.seal(epoch, sender=stranger)
            assert chain.blocks.height == limit
            chain.mine(100)
            assert not system.audits.isVoid(1, epoch)
        system.go_to_block(limit)
        with reverts_with(system.audits.SealingTooLate, epoch=epoch, limit=limit, blockNumber=limit + 1):
            system.seal(epoch, sender=stranger)
        assert system.audits.isVoid(1, epoch)
        assert tuple(system.audits.seedOf(1, epoch)) == (bytes(32), 0, 0)

    def test_refuses_a_header_of_another_block(self, system, stranger):
        epoch = system.epoch + 1
        system.go_to_epoch(epoch)
        other = system.header(system.shards.seedBlockOf(1, epoch) - 1)
        with reverts_with(system.beacon.HeaderMismatch, got=keccak(other)):
            system.audits.seal(1, epoch, other, stranger, sender=stranger)

    def test_refuses_twice(self, system, stranger):
        epoch = system.epoch + 1
        system.seal(epoch)
        with reverts_with(system.audits.AlreadySealed, shard=1, epoch=epoch):
            system.seal(epoch, sender=stranger)

    def test_stores_the_value_of_the_seed_block_and_counts_from_the_sealing(self, system, stranger):
        """A late seal leaves the whole window: a halted chain can't slash."""
        epoch = system.epoch + 1
        seed_block = system.shards.seedBlockOf(1, epoch)
        system.go_to_block(seed_block + 15)
        receipt = system.seal(epoch, sender=stranger)
        value = system.block_value(seed_block)
        deadline = receipt.block_number + 8
        assert tuple(system.audits.seedOf(1, epoch)) == (value, receipt.block_number, deadline)
        (event,) = receipt.decode_logs(system.audits.EpochSealed)
        assert (bytes(event.seed), event.sealedBlock, event.deadline) == (value, receipt.block_number, deadline)

    def test_names_who_is_paid_for_it_once(self, system, owner, stranger):
        """The first sealing names somebody, whoever sends it; a copy that comes second is refused (I-A6)."""
        epoch = system.epoch + 1
        assert system.audits.sealerOf(1, epoch) == ZERO_ADDRESS
        receipt = system.seal(epoch, sender=stranger, sealer=owner)
        (event,) = receipt.decode_logs(system.audits.EpochSealed)
        assert event.sealer == system.audits.sealerOf(1, epoch) == owner
        with reverts_with(system.audits.AlreadySealed, shard=1, epoch=epoch):
            system.seal(epoch, sender=stranger)
        assert (system.audits.sealerOf(1, epoch), system.audits.sealerOf(2, epoch)) == (owner, ZERO_ADDRESS)

    def test_may_name_nobody(self, system, stranger):
        """Then the epoch is sealed as any other."""
        epoch = system.epoch + 1
        system.seal(epoch, sender=stranger, sealer=ZERO_ADDRESS)
        assert system.audits.sealerOf(1, epoch) == ZERO_ADDRESS
        assert system.audits.seedOf(1, epoch).sealedBlock == chain.blocks.height

    def test_takes_a_value_that_somebody_else_revealed(self, system, stranger):
        epoch = system.epoch + 1
        system.go_to_epoch(epoch)
        seed_block = system.shards.seedBlockOf(1, epoch)
        system.beacon.reveal(seed_block, system.header(seed_block), sender=stranger)
        system.audits.seal(1, epoch, b"", stranger, sender=stranger)
        assert bytes(system.audits.seedOf(1, epoch).seed) == bytes(system.beacon.valueOf(seed_block))


class TestDraw:
    """I-A3: what is asked is a function of the sealed seed, the operator and the state at B_e alone."""

    def test_refuses_an_epoch_that_is_not_sealed(self, system, operator):
        with reverts_with(system.audits.NotSealed, shard=1, epoch=system.epoch + 1):
            system.audits.draw(1, system.epoch + 1, operator)

    def test_is_the_same_on_chain_and_off(self, system, owner, wide, operators):
        """Objects of different shapes, with and without non-signers, expired ones among them; no two draws alike."""
        shapes = [(wide, 1, []), (make_data(), 3, [1]), (make_data(n=18, k=6, matrices=1), 2, [0, 4]), (wide, 4, [])]
        last = 0
        for data, epochs, absent in shapes:
            last = system.objects.record(system.store(owner, data, epochs=epochs, absent=absent)).firstEpoch
        contexts = set()
        for epoch in range(last, last + 4):
            system.seal(epoch)
            for account in operators:
                off = system.draw(account, epoch)
                on = system.audits.draw(1, epoch, account)
                assert bytes(on.context) == off.context
                assert (on.snapshotRows, on.samples) == (off.snapshot.rows, off.samples)
                assert list(on.positions) == list(off.positions())
                assert system.audits.heldRows(1, epoch, account) == off.snapshot.held
                contexts.add(off.context)
        assert len(contexts) == 4 * 6

    def test_is_what_the_package_reads_from_the_chain(self, system, owner, wide, operators):
        """`SnapshotReader` gives the same draws and reads by its own calls, also while later objects are listed."""
        for data, epochs, absent in [(wide, 1, []), (make_data(), 3, [1]), (wide, 4, [0, 4])]:
            object_id = system.store(owner, data, epochs=epochs, absent=absent)
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        reader = package_reader(system)
        for round_ in range(2):
            for account in operators:
                draw = reader.draw(1, epoch, account.address)
                reads = draws.follow(draw, epoch, lambda listed, epoch=epoch: system.absent_in(listed.object_id, epoch))
                assert (draw.context, draw.samples) == (system.draw(account, epoch).context, 4)
                assert reads_of(reads) == reads_of(system.reads(account, epoch))
            if round_ == 0:
                system.store(owner, make_data(zeros=True, n=12, k=4), epochs=4)

    def test_the_first_positions_lie_one_in_each_stratum(self, system, owner, wide, operator):
        object_id = system.store(owner, make_data(n=12, k=4, matrices=9, zeros=True))
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        drawn = system.audits.draw(1, epoch, operator)
        assert (drawn.snapshotRows, drawn.samples, len(drawn.positions)) == (18, 4, 16)
        edges = [0, 4, 9, 13, 18]
        for stratum, position in enumerate(drawn.positions[:4]):
            assert edges[stratum] <= position < edges[stratum + 1]
        assert all(position < 18 for position in drawn.positions)

    def test_asks_no_more_than_is_held(self, system, owner, operator):
        epoch = system.objects.record(system.store(owner, make_data())).firstEpoch
        system.seal(epoch)
        drawn = system.audits.draw(1, epoch, operator)
        assert (drawn.snapshotRows, drawn.samples, list(drawn.positions)) == (1, 1, [0] * 4)


class TestHeldRows:
    """I-A3: what an operator holds is the state at B_e."""

    def test_counts_live_signed_rows_as_of_the_frozen_block(self, system, owner, wide, operators, stranger):
        first = system.store(owner, wide, absent=[3], epochs=2)
        epoch = system.objects.record(first).firstEpoch
        absent = system.shards.rosterEntry(1, 1, 3).operator
        system.go_past_frozen(epoch)
        late = system.store(owner, wide, epochs=2)
        assert system.objects.record(late).firstEpoch == epoch + 1
        held = {item.address: [system.audits.heldRows(1, epoch + i, item) for i in range(4)] for item in operators}
        assert held.pop(absent) == [0, 4, 4, 0]
        assert list(held.values()) == [[4, 8, 4, 0]] * 5
        assert system.audits.heldRows(1, epoch, stranger) == 0

    def test_what_was_certified_after_the_frozen_block_is_not_drawn(self, system, owner, wide, operator):
        first = system.store(owner, make_data())
        epoch = system.objects.record(first).firstEpoch
        system.go_past_frozen(epoch)
        system.store(owner, wide)
        system.seal(epoch)
        assert [read.object_id for read in system.reads(operator, epoch)] == [first]
        assert answered_event(system, system.answer(operator, epoch)).live == 1


class TestRespond:
    """I-A2 and I-A4: who answers in time, with every live row of its own draw, and nothing else."""

    def test_refuses_before_sealing(self, system, owner, wide, operator, sealed):
        epoch, _ = sealed
        response = replace(system.response(operator, epoch), epoch=epoch + 1)
        with reverts_with(system.audits.NotSealed, shard=1, epoch=epoch + 1):
            send(system, response)

    def test_refuses_after_the_deadline_and_not_at_it(self, system, sealed, operators):
        epoch, _ = sealed
        deadline = system.audits.seedOf(1, epoch).deadline
        first, second = (system.response(item, epoch) for item in operators[:2])
        system.go_to_block(deadline - 1)
        send(system, first)
        assert chain.blocks.height == deadline
        with reverts_with(system.audits.AnswerTooLate, deadline=deadline, blockNumber=deadline + 1):
            send(system, second)

    def test_refuses_a_second_answer(self, system, sealed, operator):
        epoch, _ = sealed
        response = system.response(operator, epoch)
        send(system, response)
        with reverts_with(system.audits.AlreadyAnswered, shard=1, epoch=epoch, operator=operator):
            send(system, response)

    def test_refuses_whoever_holds_nothing(self, system, owner, wide, stranger):
        object_id = system.store(owner, wide, absent=[3])
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        absent = system.shards.rosterEntry(1, 1, 3).operator
        for who in (stranger.address, absent):
            with reverts_with(system.audits.NoDuty, shard=1, epoch=epoch, operator=who):
                system.audits.respond((1, epoch, who, 0, b"", [], [], b"", b"", []), sender=stranger)

    def test_refuses_a_partial_answer(self, system, sealed, operator):
        epoch, _ = sealed
        response = system.response(operator, epoch)
        for count in (0, 3):
            with reverts_with(system.audits.ReadsCountWrong, got=count, expected=count + 1):
                send(system, replace(response, reads=response.reads[:count]))

    def test_refuses_more_reads_than_were_drawn(self, system, sealed, operator):
        epoch, _ = sealed
        response = system.response(operator, epoch)
        with reverts_with(system.audits.ReadsCountWrong, got=5, expected=4):
            send(system, replace(response, reads=(*response.reads, response.reads[0])))

    def test_refuses_another_order(self, system, sealed, operator):
        epoch, object_id = sealed
        response = system.response(operator, epoch)
        turned = (response.reads[1], response.reads[0], *response.reads[2:])
        first = system.reads(operator, epoch)[0]
        with reverts_with(system.audits.PathInvalid, read=0, objectId=object_id, slice=first.slice):
            send(system, replace(response, reads=turned))

    def test_refuses_another_object_than_the_one_drawn(self, system, owner, wide, operator):
        system.store(owner, wide)
        object_id = system.store(owner, make_data())
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        response, reads = system.response(operator, epoch), system.reads(operator, epoch)
        listed = reads[0].listed
        other = 1 - listed.index
        edges = system.listings(1, reads[0].spot.bucket, epoch)[other]
        offset = reads[0].spot.offset
        with reverts_with(system.audits.ListingWrong, read=0, position=offset, start=edges.start, end=edges.end):
            send(system, changed(response, 0, object_id=edges.object_id))

    def test_refuses_an_object_that_is_not_listed_there(self, system, owner, operator, wide):
        """One that is unknown, one that is open, one that ends in another bucket, and none."""
        system.store(owner, wide)
        still_open = system.open(owner, wide)
        elsewhere = system.store(owner, wide, epochs=10)
        epoch = system.objects.record(elsewhere).firstEpoch
        system.seal(epoch)
        response, offset = system.response(operator, epoch), system.reads(operator, epoch)[0].spot.offset
        named = {"read": 0, "position": offset, "start": 0, "end": 0}
        for object_id in (keccak(b"none"), still_open, elsewhere):
            with reverts_with(system.audits.ListingWrong, **named):
                send(system, changed(response, 0, object_id=object_id))
        values = list(response.as_tuple())
        values[5] = []
        with reverts_with(system.audits.ListingWrong, **named):
            system.audits.respond(tuple(values), sender=operator)

    def test_refuses_the_commitment_of_another_slice(self, system, sealed, operator, wide):
        epoch, object_id = sealed
        response, reads = system.response(operator, epoch), system.reads(operator, epoch)
        other = next(index for index in range(24) if index != reads[2].slice)
        named = {"read": 2, "objectId": object_id, "slice": reads[2].slice}
        with reverts_with(system.audits.PathInvalid, **named):
            send(system, changed(response, 2, point=wide.points[other]))
        with reverts_with(system.audits.PathInvalid, **named):
            send(system, changed(response, 2, point=wide.points[other], path=tuple(wide.merkle_path(other))))

    @pytest.mark.parametrize("read", [0, 1, 3])
    @pytest.mark.parametrize("part", ["params_hash", "short path", "path", "other point"])
    def test_refuses_a_broken_path(self, system, sealed, operator, part, read):
        """Of the first row shown, whose path goes to the root, and of a later one, whose path meets the one before."""
        epoch, _ = sealed
        response = system.response(operator, epoch)
        witness = response.reads[read]
        if part != "other point" and part != "params_hash" and not witness.path:
            pytest.skip("the row is its neighbour's sibling: it shows no path")
        values = {
            "params_hash": {"params_hash": keccak(b"other")},
            "short path": {"path": witness.path[:-1]},
            "path": {"path": (*witness.path[:-1], keccak(b"other"))},
            "other point": {"point": witness.point[:-1] + bytes([witness.point[-1] ^ 1])},
        }[part]
        with reverts_with(system.audits.PathInvalid, read=read):
            send(system, changed(response, read, **values))

    @pytest.mark.parametrize(
        ("field", "by"), [("points", -1), ("points", 1), ("points", 96), ("siblings", 1), ("reads", 1), ("reads", -1)]
    )
    def test_refuses_more_or_fewer_bytes_than_the_rows_take(self, system, sealed, operator, field, by):
        epoch, _ = sealed
        values = list(system.response(operator, epoch).as_tuple())
        number = ("points", "siblings", "reads").index(field)
        place = (8, 9, 7)[number]
        given = values[place]
        size = len(given)
        values[place] = given[:by] if by < 0 else given + (given[:1] if field == "siblings" else b"\0" * by)
        error = system.audits.ReadsCountWrong if field == "reads" else system.audits.WitnessLengthWrong
        named = {} if field == "reads" else {"got": size + by, "expected": size}
        with reverts_with(error, **named):
            system.audits.respond(tuple(values), sender=operator)

    def test_refuses_a_wrong_value_or_proof(self, system, sealed, operator):
        epoch, _ = sealed
        response = system.response(operator, epoch)
        named = {"shard": 1, "epoch": epoch, "operator": operator}
        other = cp.opening(cp.blob_of([1, 2, 3]), 5)[0]
        aliased = {"y": response.y + cp.R}
        for wrong in ({"y": response.y ^ 1}, {"y": cp.R}, aliased, {"proof": other}, {"proof": ZERO_PROOF}):
            with reverts_with(system.audits.OpeningInvalid, **named):
                send(system, replace(response, **wrong))

    @pytest.mark.parametrize("size", [0, 47, 49])
    def test_refuses_a_proof_of_another_length(self, system, sealed, operator, size):
        epoch, _ = sealed
        response = system.response(operator, epoch)
        with reverts_with(system.audits.OpeningInvalid, epoch=epoch):
            send(system, replace(response, proof=(response.proof * 2)[:size]))

    def test_refuses_an_answer_with_one_byte_lost(self, system, sealed, operator):
        """Every drawn slice counts whole: one byte of one of them changes the value."""
        epoch, _ = sealed
        reads, context = system.reads(operator, epoch), system.draw(operator, epoch).context
        honest = system.response(operator, epoch)
        weights, z = folding(system, reads, context)
        for lost in range(4):
            slices = [system.data[read.object_id].slices[read.slice] for read in reads]
            slices[lost] = slices[lost][:-1] + bytes([slices[lost][-1] ^ 1])
            proof, y = cp.opening(fold(slices, weights), z)
            with reverts_with(system.audits.OpeningInvalid, operator=operator):
                send(system, replace(honest, y=y, proof=proof))
        slices = [system.data[read.object_id].slices[read.slice] for read in reads]
        proof, y = cp.opening(fold(slices, weights), z)
        send(system, replace(honest, y=y, proof=proof))

    def test_takes_an_answer_from_anyone_and_records_it(self, system, sealed, operator, stranger):
        epoch, _ = sealed
        assert system.audits.statusOf(1, epoch, operator) == NONE
        receipt = system.answer(operator, epoch, sender=stranger)
        assert system.audits.statusOf(1, epoch, operator) == ANSWERED
        event = answered_event(system, receipt)
        assert (event.operator, event.epoch, event.live, event.read) == (operator, epoch, 4, 4)

    def test_statuses_of_neighbouring_epochs_and_operators_are_apart(self, system, owner, operators):
        object_id = system.store(owner, make_data(zeros=True), epochs=4)
        first = system.objects.record(object_id).firstEpoch
        for epoch in range(first, first + 3):
            system.seal(epoch)
            if epoch != first + 1:
                system.answer(operators[0], epoch)
        statuses = [[system.audits.statusOf(1, epoch, item) for epoch in range(first, first + 4)] for item in operators]
        assert statuses == [[ANSWERED, NONE, ANSWERED, NONE], *[[NONE] * 4] * 5]

    def test_opens_objects_of_different_widths_together(self, system, owner, operators):
        for seed, (width, n) in enumerate([(64, 6), (128, 6), (256, 12)]):
            object_id = system.store(owner, make_data(width=width, n=n, k=2, seed=seed))
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        widths = set()
        for item in operators:
            widths |= {len(system.data[read.object_id].slices[0]) for read in system.reads(item, epoch)}
            system.answer(item, epoch)
        assert len(widths) == 3

    def test_takes_the_identity_for_an_all_zero_object(self, system, owner, operators):
        """Padding rows give identity commitments, folds and proofs: they are valid answers, and only with value 0."""
        object_id = system.store(owner, make_data(zeros=True))
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        response = system.response(operators[0], epoch)
        assert (response.y, response.proof, response.reads[0].point) == (0, ZERO_PROOF, bytes(96))
        with reverts_with(system.audits.OpeningInvalid):
            send(system, replace(response, y=1))
        with reverts_with(system.audits.OpeningInvalid):
            send(system, replace(response, proof=b""))
        for item in operators:
            system.answer(item, epoch)


class TestGrinding:
    """Who knows the seed can't change what it asks: not by opening, certifying or ending objects."""

    def test_the_draw_is_the_same_after_the_seed_is_known(self, system, owner, wide, operators):
        kept = system.store(owner, wide, epochs=5)
        ended = system.store(owner, wide, epochs=5)
        epoch = system.objects.record(ended).firstEpoch + 1
        system.seal(epoch - 1)
        system.seal(epoch)
        before = [system.response(item, epoch) for item in operators[:2]]
        positions = [list(system.audits.draw(1, epoch, item).positions) for item in operators[:2]]
        added = system.open(owner, make_data(seed=4))
        system.certify(added)
        system.terminate(ended, owner)
        system.snapshots.clear()
        assert [system.response(item, epoch) for item in operators[:2]] == before
        assert [list(system.audits.draw(1, epoch, item).positions) for item in operators[:2]] == positions
        assert added not in {witness.object_id for response in before for witness in response.reads}
        assert {witness.object_id for response in before for witness in response.reads} == {kept, ended}
        system.audits.respondMany([response.as_tuple() for response in before], sender=owner)
        assert [system.audits.statusOf(1, epoch, item) for item in operators[:2]] == [ANSWERED] * 2

    def test_points_of_the_same_answer_in_each_others_places(self, system, sealed, operator):
        """Permuted slices: all of them are the draw's own, each with its own path, and yet refused."""
        epoch, _ = sealed
        response, reads = system.response(operator, epoch), system.reads(operator, epoch)
        turned = [*response.reads]
        turned[1], turned[2] = replace(turned[1], point=turned[2].point), replace(turned[2], point=turned[1].point)
        with reverts_with(system.audits.PathInvalid, read=1, slice=reads[1].slice):
            send(system, replace(response, reads=tuple(turned)))


class TestReorganisation:
    """What a block held that is no more is not asked for."""

    def test_an_object_whose_certificate_went_is_not_asked_for(self, system, owner, wide, operators):
        kept, gone = system.store(owner, wide), system.open(owner, make_data(n=12, k=4, matrices=3))
        before = chain.snapshot()
        system.certify(gone)
        epoch = system.objects.record(gone).firstEpoch
        system.seal(epoch)
        former = [system.response(item, epoch) for item in operators]
        assert {read.object_id for response in former for read in response.reads} == {kept, gone}
        assert {system.audits.heldRows(1, epoch, item) for item in operators} == {4 + 6}
        chain.restore(before)
        system.snapshots.clear()
        system.seal(epoch)
        assert {system.audits.heldRows(1, epoch, item) for item in operators} == {4}
        for item in operators:
            assert {read.object_id for read in system.reads(item, epoch)} == {kept}
            system.answer(item, epoch)


class TestRespondMany:
    """One runner's several operators answer in one transaction."""

    def many(self, system, epoch, operators, **values):
        made = [system.response(item, epoch) for item in operators]
        return [replace(item, **values).as_tuple() if not i else item.as_tuple() for i, item in enumerate(made)]

    def test_answers_for_all(self, system, sealed, operators, stranger):
        epoch, _ = sealed
        receipt = system.audits.respondMany(self.many(system, epoch, operators[:3]), sender=stranger)
        assert [event.operator for event in receipt.decode_logs(system.audits.Answered)] == operators[:3]
        assert [system.audits.statusOf(1, epoch, item) for item in operators[:4]] == [ANSWERED] * 3 + [NONE]

    def test_passes_over_what_is_answered(self, system, sealed, operators, stranger):
        """Who copied one and was faster does not stop the others; one that is there twice counts once."""
        epoch, _ = sealed
        system.answer(operators[0], epoch, sender=stranger)
        responses = self.many(system, epoch, operators[:2])
        receipt = system.audits.respondMany([*responses, responses[1]], sender=operators[0])
        (event,) = receipt.decode_logs(system.audits.Answered)
        assert event.operator == operators[1]
        assert [system.audits.answeredCount(item) for item in operators[:2]] == [1, 1]

    def two_open(self, system, owner, wide):
        """Seal an epoch late and the next one at once: return them, at the last block that counts for the first."""
        epoch = system.objects.record(system.store(owner, wide)).firstEpoch
        system.go_to_block(system.shards.seedBlockOf(1, epoch) + 18)
        system.seal(epoch)
        system.seal(epoch + 1)
        system.go_to_block(system.audits.seedOf(1, epoch).deadline)
        assert system.audits.seedOf(1, epoch + 1).deadline > chain.blocks.height + 1
        return epoch, epoch + 1

    def test_passes_over_what_comes_too_late(self, system, owner, wide, operators):
        """A transaction that waited too long for one epoch still answers the other, wherever it stands."""
        epochs = self.two_open(system, owner, wide)
        responses = [system.response(item, epoch).as_tuple() for item, epoch in zip(operators, epochs, strict=False)]
        late = system.response(operators[2], epochs[0]).as_tuple()
        receipt = system.audits.respondMany([*responses, late], sender=owner)
        (event,) = receipt.decode_logs(system.audits.Answered)
        assert (event.operator, event.epoch) == (operators[1], epochs[1])
        assert [system.audits.statusOf(1, epochs[0], item) for item in operators] == [NONE] * 6

    def test_refuses_when_all_that_is_not_answered_comes_too_late(self, system, owner, wide, operators):
        """Its sender doesn't pay for nothing."""
        epochs = self.two_open(system, owner, wide)
        late, stands = (system.response(operators[0], epoch) for epoch in epochs)
        send(system, stands)
        deadline = system.audits.seedOf(1, epochs[0]).deadline
        with reverts_with(system.audits.AnswerTooLate, deadline=deadline):
            system.audits.respondMany([late.as_tuple(), stands.as_tuple()], sender=owner)

    def test_refuses_all_if_one_is_wrong(self, system, sealed, operators):
        epoch, _ = sealed
        with reverts_with(system.audits.OpeningInvalid, operator=operators[0]):
            system.audits.respondMany(self.many(system, epoch, operators[:2], y=1), sender=operators[0])
        assert system.audits.statusOf(1, epoch, operators[1]) == NONE


class TestOthersAnswers:
    """What one operator showed is of no use to another, nor to itself another time: z and the weights are its own."""

    def test_refuses_the_answer_of_another_operator(self, system, sealed, operators):
        epoch, object_id = sealed
        copied = replace(system.response(operators[0], epoch), operator=operators[1].address)
        first = system.reads(operators[1], epoch)[0]
        with reverts_with(system.audits.PathInvalid, read=0, objectId=object_id, slice=first.slice):
            send(system, copied)

    def test_refuses_anothers_opening_under_own_witnesses(self, system, sealed, operators):
        epoch, _ = sealed
        theirs, own = (system.response(item, epoch) for item in operators[:2])
        with reverts_with(system.audits.OpeningInvalid, operator=operators[1]):
            send(system, replace(own, y=theirs.y, proof=theirs.proof))

    def test_refuses_the_answer_of_an_earlier_epoch(self, system, owner, operator):
        """With one row the draw names the same slice in every epoch; the opening is another one each time."""
        object_id = system.store(owner, make_data())
        first = system.objects.record(object_id).firstEpoch
        system.seal(first)
        old = system.response(operator, first)
        send(system, old)
        system.seal(first + 1)
        new = system.response(operator, first + 1)
        assert new.reads == old.reads
        with reverts_with(system.audits.OpeningInvalid, epoch=first + 1):
            send(system, replace(old, epoch=first + 1))
        send(system, new)

    def test_z_and_weights_differ_by_operator(self, system, owner, operators):
        """Of an all-zero object all commitments are equal; what is drawn from them is not."""
        object_id = system.store(owner, make_data(zeros=True, n=12, k=4, matrices=2))
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        seen = set()
        for item in operators:
            weights, z = folding(system, system.reads(item, epoch), system.draw(item, epoch).context)
            assert weights[0] == 1
            seen |= {z, *weights[1:]}
        assert len(seen) == 6 * 4
        assert min(seen) > 2**200

    def test_refuses_a_sum_of_other_operators_openings(self, system, owner):
        """Openings at one point add up, but each operator's point is its own; at a named point they would pass.

        Row A = row B + row C. What B and C publish adds up to nothing. Openings at A's point, which no node gives to
        anybody, do add up to A's answer: the last lines show that this is all that stands in the way.
        """
        members = system.members_of(1)
        a, b, c = members[:3]
        data = related_data(system, owner)
        object_id = system.store(owner, data)
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        answers = {item.address: system.response(item.account, epoch) for item in (a, b, c)}
        rows = {item.address: system.reads(item.account, epoch)[0].slice for item in (a, b, c)}
        assert sums_to(data, rows[a.address], [rows[b.address], rows[c.address]])
        send(system, answers[b.address])
        send(system, answers[c.address])

        forged = added(answers[a.address], [answers[b.address], answers[c.address]])
        with reverts_with(system.audits.OpeningInvalid, operator=a.address):
            send(system, forged)

        _, z = folding(system, system.reads(a.account, epoch), system.draw(a.account, epoch).context)
        named = []
        for item in (b, c):
            proof, y = cp.opening(data.slices[rows[item.address]].ljust(cp.BLOB_BYTES, b"\0"), z)
            named.append(replace(answers[item.address], y=y, proof=proof))
        send(system, added(answers[a.address], named))


class TestVoids:
    """Positions on expired or unsigned rows open nothing, and are replaced from the whole snapshot."""

    @pytest.fixture
    def mixed(self, system, owner, wide):
        """Objects that some did not sign beside one that all signed. Returns the first epoch."""
        for seed, absent in enumerate([[0, 1], [2, 3], [4, 5], []]):
            data = make_data(n=12, k=4, matrices=1 + seed % 3, seed=seed, zeros=seed == 2)
            object_id = system.store(owner, data, absent=absent)
        return system.objects.record(object_id).firstEpoch

    @pytest.fixture
    def aging(self, system, owner):
        """A large object that has expired in a bucket where a small one lives. Returns (epoch, large, small)."""
        head = system.head(1)
        width = -(-(head.endEpoch - head.activeFromEpoch) // 8)
        assert width == 2
        # ends at the first and the last epoch of one bucket
        if (system.shards.firstEpochAfter(1, chain.blocks.height + 4) + 1 - head.activeFromEpoch) % width != 1:
            system.go_to_epoch(system.epoch + 1)
        large = system.store(owner, make_data(zeros=True, n=12, k=4, matrices=20), epochs=1)
        small = system.store(owner, make_data(zeros=True), epochs=2)
        epoch = system.objects.endEpochOf(large)
        assert system.objects.endEpochOf(small) == epoch + 1
        assert sum(system.objects.listedRows(1, 1, epoch)) == 41
        return epoch, large, small

    def test_are_shown_void_and_replaced(self, system, mixed, operators):
        voids = 0
        for epoch in range(mixed, mixed + 3):
            system.seal(epoch)
            for item in operators:
                reads = system.reads(item, epoch)
                live = sum(read.void is None for read in reads)
                event = answered_event(system, system.answer(item, epoch))
                assert (event.live, event.read) == (live, len(reads))
                assert live == 4 or len(reads) == 16
                assert {read.void for read in reads} <= {None, draws.Void.UNSIGNED}
                voids += len(reads) - live
        # of 4·6·3 stratified positions a quarter is void: none at all has probability 0.75^72 < 10^-8
        assert voids > 0

    def test_refuses_to_replace_a_void_within_its_stratum(self, system, mixed, operators):
        """Replacements come from the whole snapshot: one from the void's stratum is another row than the chain's."""
        tried = 0
        for epoch in range(mixed, mixed + 3):
            system.seal(epoch)
            for item in operators:
                found = stratum_forgery(system, item, epoch)
                if found is None:
                    continue
                response, error, number = found
                with reverts_with(error, read=number):
                    send(system, response)
                send(system, system.response(item, epoch))
                tried += 1
                if tried == 2:
                    return
        pytest.fail("fewer than two draws with a void among 18: probability below 10^-6")

    def test_refuses_an_opening_of_a_row_that_was_not_signed(self, system, mixed, operators):
        epoch, item, read = first_void(system, range(mixed, mixed + 3), operators)
        response = system.response(item, epoch)
        data = system.data[read.object_id]
        point, path = data.points[read.slice], tuple(data.merkle_path(read.slice))
        size = len(response.as_tuple()[8])
        values = list(response.as_tuple())
        values[8] += point
        with reverts_with(system.audits.WitnessLengthWrong, got=size + 96, expected=size):
            system.audits.respond(tuple(values), sender=system.governor)
        values = list(response.as_tuple())
        values[9] = [*values[9], *path]
        with reverts_with(system.audits.WitnessLengthWrong):
            system.audits.respond(tuple(values), sender=system.governor)
        send(system, response)

    def test_refuses_a_wrong_list_of_non_signers(self, system, mixed, operators):
        epoch, item, read = first_void(system, range(mixed, mixed + 3), operators)
        response = system.response(item, epoch)
        index = read.spot.place.index
        for absent in ((), (index,), (*read.non_signers, 5 if 5 not in read.non_signers else 0)):
            with reverts_with(system.audits.NonSignersWrong, read=read.number, objectId=read.object_id):
                send(system, changed(response, read.number, non_signers=absent))

    def test_refuses_to_call_a_signed_row_unsigned(self, system, sealed, operator):
        epoch, object_id = sealed
        response = system.response(operator, epoch)
        index = system.shards.rosterIndexOf(1, 1, operator)
        empty = {"point": b"", "path": (), "params_hash": bytes(32), "non_signers": (index,)}
        with reverts_with(system.audits.NonSignersWrong, read=0, objectId=object_id):
            send(system, changed(response, 0, **empty))

    def test_a_live_row_of_an_incomplete_object_shows_the_list_too(self, system, owner, wide):
        object_id = system.store(owner, wide, absent=[2])
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        signer = system.shards.rosterEntry(1, 1, 0).operator
        response = system.response(signer, epoch)
        with reverts_with(system.audits.NonSignersWrong, read=3, objectId=object_id):
            send(system, changed(response, 3, non_signers=()))
        send(system, response)

    def test_an_object_whose_rows_were_all_adopted_needs_no_list(self, system, owner, wide, operators):
        """Nobody is left on it: it may be shown empty or left out, by whoever answers; no other list fits."""
        object_id = system.store(owner, wide, absent=[2])
        epoch = system.objects.record(object_id).firstEpoch
        system.adopt(object_id, 2)
        system.seal(epoch)
        first, second, *others = (system.response(item, epoch) for item in operators)
        assert first.as_tuple()[6] == []
        with reverts_with(system.audits.NonSignersWrong, read=0, objectId=object_id):
            send(system, changed(first, 0, non_signers=(2,)))
        values = list(first.as_tuple())
        values[6] = [[]]
        system.audits.respond(tuple(values), sender=system.governor)
        for response in (second, *others):
            send(system, response)

    def test_a_list_that_counts_may_not_be_left_out(self, system, owner, wide, operators):
        """Adopted after the first epoch was frozen: in that one the seat is absent still, in the next it isn't."""
        object_id = system.store(owner, wide, absent=[2])
        epoch = system.objects.record(object_id).firstEpoch
        system.go_past_frozen(epoch)
        system.adopt(object_id, 2)
        system.seal(epoch)
        signer = system.shards.rosterEntry(1, 1, 0).operator
        response = system.response(signer, epoch)
        values = list(response.as_tuple())
        assert values[6] == [b"\0\2"]
        values[6] = []
        with reverts_with(system.audits.NonSignersWrong, read=0, objectId=object_id):
            system.audits.respond(tuple(values), sender=system.governor)
        send(system, response)
        system.seal(epoch + 1)
        for item in operators:
            send(system, system.response(item, epoch + 1))

    def test_expired_rows_are_void_and_few_live_ones_suffice(self, system, aging, operators):
        """One live row among 41: most draws of four read none of it, and nothing is then opened."""
        epoch, _, small = aging
        for earlier in range(epoch - 1, epoch + 1):
            system.seal(earlier)
        lives = []
        for item in operators:
            reads = system.reads(item, epoch)
            live = [read for read in reads if read.void is None]
            assert all(read.object_id == small for read in live)
            assert {read.void for read in reads if read.object_id != small} <= {draws.Void.EXPIRED}
            assert len(live) <= 1
            assert len(reads) == 4 or live
            event = answered_event(system, system.answer(item, epoch))
            assert (event.live, event.read) == (len(live), len(reads))
            lives.append(len(live))
        # a draw finds the live row with probability 1 − (40/41)^4 < 0.095; all six with less than 10^-6
        assert 0 in lives

    def test_refuses_an_opening_where_nothing_is_live(self, system, aging, operators):
        epoch, _, _ = aging
        for earlier in range(epoch - 1, epoch + 1):
            system.seal(earlier)
        item = next(item for item in operators if all(read.void for read in system.reads(item, epoch)))
        response = system.response(item, epoch)
        assert (response.y, response.proof) == (0, b"")
        for wrong in ({"y": 1}, {"proof": ZERO_PROOF}):
            with reverts_with(system.audits.OpeningInvalid, operator=item):
                send(system, replace(response, **wrong))
        for values in ({"point": bytes(96)}, {"path": (bytes(32),)}):
            with reverts_with(system.audits.WitnessLengthWrong, expected=0):
                send(system, changed(response, 2, **values))
        send(system, response)


class TestReportMiss:
    """I-A2 and I-A5: who had a duty and did not answer is slashed once."""

    def test_refuses_before_sealing(self, system, operator, stranger):
        with reverts_with(system.audits.NotSealed, shard=1, epoch=system.epoch + 1):
            system.audits.reportMiss(1, system.epoch + 1, operator, sender=stranger)

    def test_refuses_while_an_answer_still_counts(self, system, sealed, operator, auditor):
        epoch, _ = sealed
        deadline = system.audits.seedOf(1, epoch).deadline
        system.go_to_block(deadline - 1)
        with reverts_with(system.audits.ReportTooEarly, deadline=deadline, blockNumber=deadline):
            system.audits.reportMiss(1, epoch, operator, sender=auditor)
        system.audits.reportMiss(1, epoch, operator, sender=auditor)

    def test_refuses_after_the_reporting_period(self, system, sealed, operators, auditor):
        epoch, _ = sealed
        limit = system.audits.seedOf(1, epoch).deadline + 10
        system.go_to_block(limit - 1)
        system.audits.reportMiss(1, epoch, operators[0], sender=auditor)
        assert chain.blocks.height == limit
        with reverts_with(system.audits.ReportTooLate, limit=limit, blockNumber=limit + 1):
            system.audits.reportMiss(1, epoch, operators[1], sender=auditor)

    def test_refuses_to_report_who_answered(self, system, sealed, operator, auditor):
        epoch, _ = sealed
        system.answer(operator, epoch)
        system.end_window(epoch)
        with reverts_with(system.audits.AlreadyAnswered, shard=1, epoch=epoch, operator=operator):
            system.audits.reportMiss(1, epoch, operator, sender=auditor)

    def test_refuses_a_second_report(self, system, sealed, operator, auditor, stranger):
        epoch, _ = sealed
        system.end_window(epoch)
        system.audits.reportMiss(1, epoch, operator, sender=auditor)
        with reverts_with(system.audits.AlreadyReported, shard=1, epoch=epoch, operator=operator):
            system.audits.reportMiss(1, epoch, operator, sender=stranger)

    def test_refuses_to_report_who_had_no_duty(self, system, owner, wide, auditor, stranger):
        """A non-signer is neither paid nor challenged."""
        object_id = system.store(owner, wide, absent=[3])
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        system.end_window(epoch)
        absent = system.shards.rosterEntry(1, 1, 3).operator
        for who in (absent, stranger.address):
            with reverts_with(system.audits.NoDuty, shard=1, epoch=epoch, operator=who):
                system.audits.reportMiss(1, epoch, who, sender=auditor)
        assert system.restaking.pendingSlashes(absent) == 0

    def test_queues_the_slash_in_the_reporters_name(self, system, sealed, operator, auditor):
        epoch, _ = sealed
        system.end_window(epoch)
        receipt = system.audits.reportMiss(1, epoch, operator, sender=auditor)
        assert system.audits.statusOf(1, epoch, operator) == MISSED
        slash_id = system.restaking.slashId(1, epoch, operator)
        (event,) = receipt.decode_logs(system.audits.MissReported)
        assert (event.operator, event.reporter, bytes(event.slashId)) == (operator, auditor, bytes(slash_id))
        slash = system.restaking.slashOf(slash_id)
        assert (slash.operator, slash.shard, slash.roster, slash.epoch) == (operator, 1, 1, epoch)
        assert slash.reporter == auditor

    def test_an_answer_after_the_report_is_too_late(self, system, sealed, operator, auditor):
        epoch, _ = sealed
        response = system.response(operator, epoch)
        system.end_window(epoch)
        system.audits.reportMiss(1, epoch, operator, sender=auditor)
        with reverts_with(system.audits.AnswerTooLate):
            send(system, response)


class TestReportMisses:
    """Many misses by the seats' bits."""

    def test_reports_those_that_did_not_answer_once(self, system, sealed, operators, auditor, stranger):
        """One answered, one was reported by another: they are passed over, and so is everybody the second time."""
        epoch, _ = sealed
        seats = {item.address: system.shards.rosterIndexOf(1, 1, item) for item in operators}
        answered, reported, *missing = operators
        system.answer(answered, epoch)
        system.end_window(epoch)
        system.audits.reportMiss(1, epoch, reported, sender=stranger)
        receipt = system.audits.reportMisses(1, epoch, 1, [2**6 - 1], sender=auditor)
        events = receipt.decode_logs(system.audits.MissReported)
        assert [seats[event.operator] for event in events] == sorted(seats[item.address] for item in missing)
        assert {event.reporter for event in events} == {auditor.address}
        assert system.restaking.slashOf(system.restaking.slashId(1, epoch, reported)).reporter == stranger
        again = system.audits.reportMisses(1, epoch, 1, [2**6 - 1], sender=stranger)
        assert again.decode_logs(system.audits.MissReported) == []
        for item in operators:
            assert system.restaking.pendingSlashes(item) == (item != answered)

    def test_reports_only_the_seats_named(self, system, sealed, operators, auditor):
        """A seat that the roster does not have is refused, in a second word too."""
        epoch, _ = sealed
        system.end_window(epoch)
        receipt = system.audits.reportMisses(1, epoch, 1, [2**2], sender=auditor)
        (event,) = receipt.decode_logs(system.audits.MissReported)
        assert system.shards.rosterIndexOf(1, 1, event.operator) == 2
        with reverts_with(system.shards.SeatOutOfRange, seat=256, seats=6):
            system.audits.reportMisses(1, epoch, 1, [0, 1], sender=auditor)

    def test_passes_over_who_had_no_duty(self, system, owner, wide, auditor):
        object_id = system.store(owner, wide, absent=[3])
        epoch = system.objects.record(object_id).firstEpoch
        system.seal(epoch)
        system.end_window(epoch)
        receipt = system.audits.reportMisses(1, epoch, 1, [2**3], sender=auditor)
        assert receipt.decode_logs(system.audits.MissReported) == []

    def test_refuses_outside_the_reporting_period(self, system, sealed, auditor):
        epoch, _ = sealed
        with reverts_with(system.audits.ReportTooEarly):
            system.audits.reportMisses(1, epoch, 1, [1], sender=auditor)
        system.go_to_block(system.audits.seedOf(1, epoch).deadline + system.parameters["reporting"])
        with reverts_with(system.audits.ReportTooLate):
            system.audits.reportMisses(1, epoch, 1, [1], sender=auditor)


class TestVacancies:
    """I-A5: a vacant place has no duty."""

    def test_a_vacant_place_has_no_duty_from_the_next_frozen_block_on(self, system, owner, wide, operator):
        """One slash takes the bond below its least; slashes already due stand."""
        object_id = system.store(owner, wide, epochs=6)
        first = system.objects.record(object_id).firstEpoch
        vacated = system.vacate(operator, first)
        assert system.shards.vacatedAt(1, 1, operator) == vacated
        frozen = [system.shards.frozenBlockOf(1, epoch) for epoch in range(first, first + 6)]
        held = [system.audits.heldRows(1, epoch, operator) for epoch in range(first, first + 6)]
        assert held == [4 if vacated > block else 0 for block in frozen]
        assert (held[0], held[-1]) == (4, 0)

        still, ended = held.index(0) - 1 + first, held.index(0) + first
        for epoch in range(first + 1, ended + 1):
            system.seal(epoch)
        if still > first:
            system.answer(operator, still)
        with reverts_with(system.audits.NoDuty, epoch=ended, operator=operator):
            system.audits.respond((1, ended, operator, 0, b"", [], [], b"", b"", []), sender=operator)
        system.end_window(ended)
        with reverts_with(system.audits.NoDuty, epoch=ended, operator=operator):
            system.audits.reportMiss(1, ended, operator, sender=operator)


class TestSeveralRosters:
    """I-A3 and I-A5 where several rosters are live."""

    @pytest.fixture
    def two(self, system, owner, wide, operators, accounts):
        """An object under roster 1, one under a later one with more operators. Returns an epoch in which both live."""
        system.store(owner, wide, epochs=10)
        system.enroll(accounts[15:17], tickets=2)
        assert system.take_roster() == 2
        newer = make_data(n=20, k=6, seed=9)
        object_id = system.store(owner, newer, epochs=3)
        assert system.objects.record(object_id).roster == 2
        return system.objects.record(object_id).firstEpoch

    def test_a_draw_spans_all_of_them(self, system, two, operators, accounts):
        system.seal(two)
        for item in [*operators, accounts[15]]:
            off, on = system.draw(item, two), system.audits.draw(1, two, item)
            assert list(on.positions) == list(off.positions())
            assert len(off.snapshot.places) == (2 if item in operators else 1)
            system.answer(item, two)

    def test_a_miss_is_slashed_under_the_roster_with_most_tickets(self, system, two, operators, accounts, auditor):
        system.seal(two)
        system.end_window(two)
        terms = {roster: system.shards.slashTerms(1, roster, operators[0]).bondSlash for roster in (1, 2)}
        system.audits.reportMiss(1, two, operators[0], sender=auditor)
        system.audits.reportMiss(1, two, accounts[15], sender=auditor)
        rosters = [
            system.restaking.slashOf(system.restaking.slashId(1, two, item)).roster
            for item in (operators[0], accounts[15])
        ]
        # one ticket in each: the oldest; two tickets in the newer one alone
        assert rosters == [1, 2]
        assert terms[1] == terms[2]

    def test_a_roster_answers_to_the_audits_in_force_at_its_snapshot(
        self, project, system, owner, wide, operators, deployer, accounts
    ):
        """A new Audits finds no duty under rosters that it may not slash; the old one goes on with them."""
        object_id = system.store(owner, wide, epochs=10)
        newer = deployer.deploy(project.Audits, system.directory)
        system.directory.queueChange(module_name("audits"), newer, sender=system.governor)
        chain.mine(TIMELOCK)
        system.directory.applyChange(module_name("audits"), sender=system.governor)
        epoch = system.epoch + 1
        assert epoch < system.objects.endEpochOf(object_id)
        assert newer.heldRows(1, epoch, operators[0]) == 0
        assert system.audits.heldRows(1, epoch, operators[0]) == 4
        system.seal(epoch)
        system.answer(operators[0], epoch)
        newer.seal(1, epoch, b"", owner, sender=system.governor)
        with reverts_with(newer.NoDuty, operator=operators[0]):
            newer.respond((1, epoch, operators[0], 0, b"", [], [], b"", b"", []), sender=operators[0])
        before = system.earned(operators[0])
        system.rewards.settle(1, epoch, operators[0], sender=operators[0])
        assert system.earned(operators[0]) > before


# ---- helpers ---------------------------------------------------------------------------------------------------------


def package_reader(system) -> SnapshotReader:
    """Return the package's reader on this chain."""
    names = {"Directory": "directory", "Shards": "shards", "Objects": "objects", "Audits": "audits"}
    contracts = {name: DeployedContract(system.contracts[key].address, 0, type=name) for name, key in names.items()}
    deployment = Deployment(network="test", chain_id=chain.chain_id, contracts=contracts)
    return SnapshotReader(Views(Chain(chain.provider.web3, deployment=deployment)))


def reads_of(reads):
    return [(read.position, read.object_id, read.slice, read.void, read.non_signers, read.listed) for read in reads]


def folding(system, reads, context):
    """Return (weights, z) of a draw's live rows, from the formulas."""
    live = [read for read in reads if read.void is None]
    bound = draws.transcript_hash(
        (read.object_id, read.slice, system.data[read.object_id].points[read.slice]) for read in live
    )
    return draws.fold_weights(context, bound, len(live)), draws.opening_point(context, bound)


def fold(slices, weights) -> bytes:
    """Return the weighted sum of slices as a blob, in plain integers."""
    elements = [[int.from_bytes(part[i : i + 32], "big") for i in range(0, len(part), 32)] for part in slices]
    width = max(map(len, elements))
    sums = [
        sum(weight * row[i] for weight, row in zip(weights, elements, strict=True) if i < len(row)) % cp.R
        for i in range(width)
    ]
    return cp.blob_of(sums)


def related_data(system, owner) -> Data:
    """Return data whose row of roster index 0 is the sum of the rows of indexes 1 and 2."""
    nonce = system.objects.nonceOf(owner)
    for seed in range(200):
        # who holds which row follows from the id, and that from the rows: tried until it comes right
        plain = make_data(seed=seed)
        slices = [fold(plain.slices[1:3], [1, 1])[: 32 * 64], *plain.slices[1:]]
        blob = slices[0].ljust(cp.BLOB_BYTES, b"\0")
        commitment = bytes(ckzg.blob_to_kzg_commitment(blob, cp.trusted_setup()))
        made = replace(plain, slices=tuple(slices), commitments=(commitment, *plain.commitments[1:]))
        object_id = system.id_of(owner, nonce, made.root)
        if [draws.row_of_ticket(object_id, 6, ticket, 0) for ticket in range(3)] == [0, 1, 2]:
            return made
    return pytest.fail("no such id among 200: probability below 10^-15")


def sums_to(data, row, parts) -> bool:
    """Say whether a row's commitment is the sum of others'."""
    points = [G1Point.from_compressed_bytes(data.commitments[part]) for part in parts]
    return cp.raw(cp.sum_of(points)) == data.points[row]


def added(own, others):
    """Return an answer with own witnesses whose opening is the sum of others'."""
    proofs = [G1Point.from_compressed_bytes(other.proof) for other in others]
    total = cp.sum_of(proofs)
    return replace(own, y=sum(other.y for other in others) % cp.R, proof=bytes(total.to_compressed_bytes()))


def first_void(system, epochs, operators):
    """Seal epochs until a draw of theirs holds an unsigned position; return (epoch, operator, read)."""
    for epoch in epochs:
        system.seal(epoch)
        for item in operators:
            for read in system.reads(item, epoch):
                if read.void is draws.Void.UNSIGNED:
                    return epoch, item, read
    return pytest.fail("no void among 18 draws: probability below 10^-8")


def stratum_forgery(system, operator, epoch):
    """Return an answer that replaces voids within their strata, the error it meets, and the read that meets it.

    None where no such answer differs from the honest one.
    """
    draw = system.draw(operator, epoch)
    honest = system.reads(operator, epoch)
    voids = [read.number for read in honest[: draw.samples] if read.void]
    rows, samples = draw.snapshot.rows, draw.samples

    def position(context, total, count, number):
        if number < samples or number - samples >= len(voids):
            return draws.position_of(context, total, count, number)
        stratum = voids[number - samples]
        begin, end = stratum * rows // samples, (stratum + 1) * rows // samples
        digest = hashlib.sha256(context + bytes([number])).digest()
        return begin + int.from_bytes(digest, "big") % (end - begin)

    class Forged(draws.Draw):
        def positions(self):
            return (position(self.context, rows, samples, number) for number in range(self.most))

    forged = Forged(draw.context, draw.snapshot, draw.samples)
    for good, bad in zip(honest, system.reads(operator, epoch, forged), strict=False):
        if good.position == bad.position or (good.void and good.object_id == bad.object_id):
            continue
        kind = "PathInvalid" if good.object_id == bad.object_id else "ListingWrong"
        return system.response(operator, epoch, forged), getattr(system.audits, kind), good.number
    return None
