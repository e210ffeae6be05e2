"""Objects: opening, certificates, failures, and what draws and pay are computed from."""

from __future__ import annotations

import pytest
from ape import chain
from eth_abi import encode
from eth_utils import keccak
from py_arkworks_bls12381 import G1Point

from tests.contracts import curve_points as cp
from tests.contracts.reverts import reverts_with
from tests.contracts.system import deploy_system, fund, make_data

OPEN, CERTIFIED, FAILED = 1, 2, 3
EMPTY_HASH = keccak(b"")


@pytest.fixture(scope="module")
def system(project, deployer, guardian, operators, stranger):
    """Six operators of one ticket each; a ticket may hold 40 live rows."""
    made = deploy_system(project, deployer, guardian, maxRowsPerTicket=40)
    made.enroll(operators)
    made.take_roster()
    return made


@pytest.fixture(scope="module")
def rich(system, owner):
    """An owner that can pay for anything."""
    fund(system.payment_token, owner, 2**100, system.payments)
    return owner


@pytest.fixture(scope="module")
def data():
    return make_data(zeros=True)


def hash_of(indexes) -> bytes:
    return keccak(b"".join(index.to_bytes(2, "big") for index in indexes))


class TestOpen:
    def test_refuses_a_roster_that_is_not_active(self, system, rich, data):
        with reverts_with(system.objects.RosterNotActive, roster=2, active=1):
            system.objects.open(system.request(data, roster=2), sender=rich)
        with reverts_with(system.objects.RosterNotActive, roster=0, active=1):
            system.objects.open(system.request(data, roster=0), sender=rich)

    def test_refuses_while_a_shard_has_no_roster(self, system, rich, data):
        other = system.with_shard()
        with reverts_with(system.objects.RosterNotActive, roster=0, active=0):
            system.objects.open(other.request(data), sender=rich)

    def test_refuses_an_unknown_shard(self, system, rich, data):
        with reverts_with(system.shards.ShardUnknown, shard=9):
            system.objects.open({**system.request(data), "shard": 9}, sender=rich)

    @pytest.mark.parametrize("width", [0, 1, 32, 63, 96, 8192, 2**32 - 1])
    def test_refuses_widths_that_are_no_power_of_two_in_range(self, system, rich, data, width):
        with reverts_with(system.objects.WidthInvalid, width=width):
            system.objects.open(system.request(data, width=width), sender=rich)

    @pytest.mark.parametrize(("k", "n"), [(0, 6), (7, 6), (1, 12), (2, 18), (16_384, 65_538), (0, 0)])
    def test_refuses_row_counts_out_of_range(self, system, rich, data, k, n):
        with reverts_with(system.objects.RowsInvalid, k=k, n=n):
            system.objects.open(system.request(data, k=k, n=n), sender=rich)

    @pytest.mark.parametrize("n", [5, 7, 2, 8])
    def test_refuses_rows_that_tickets_do_not_divide(self, system, rich, data, n):
        """With fewer rows than tickets a few operators would hold whole matrices."""
        with reverts_with(system.objects.TicketsDoNotDivideRows, tickets=6, n=n):
            system.objects.open(system.request(data, k=2, n=n), sender=rich)

    @pytest.mark.parametrize(("k", "n"), [(5, 6), (6, 6), (9, 12), (13, 18)])
    def test_refuses_what_lying_thirds_could_make_unrecoverable(self, system, rich, data, k, n):
        with reverts_with(system.objects.ThresholdUnreachable, k=k, n=n, tickets=6):
            system.objects.open(system.request(data, k=k, n=n), sender=rich)

    def test_refuses_an_operator_with_more_than_k_rows_of_a_matrix(self, system, rich, data):
        with reverts_with(system.objects.OperatorHoldsTooManyRows, rows=4, k=3):
            system.objects.open(system.request(data, k=3, n=24), sender=rich)
        # a third of the tickets would hold 4 rows, but nobody has a third
        system.objects.open(system.request(data, k=3, n=12), sender=rich)

    def test_refuses_more_bytes_than_the_matrices_hold(self, system, rich, data):
        capacity = 31 * 64 * 2
        with reverts_with(system.objects.SizeInvalid, size=capacity + 1, capacity=capacity):
            system.objects.open(system.request(data, size=capacity + 1), sender=rich)
        system.objects.open(system.request(data, size=capacity), sender=rich)
        system.objects.open(system.request(data, size=0), sender=rich)

    def test_refuses_no_matrix(self, system, rich, data):
        with reverts_with(system.objects.SizeInvalid, size=0, capacity=0):
            system.objects.open(system.request(data, size=0, matrices=0), sender=rich)

    def test_refuses_a_term_beyond_the_roster_even_if_certified_late(self, system, rich, data):
        head = system.head(1)
        latest_first = system.shards.firstEpochAfter(system.shard, chain.blocks.height + 1 + 20)
        limit = head.endEpoch - latest_first
        with reverts_with(system.objects.TermInvalid, epochs=0, limit=limit):
            system.objects.open(system.request(data, epochs=0), sender=rich)
        with reverts_with(system.objects.TermInvalid, epochs=limit + 1, limit=limit):
            system.objects.open(system.request(data, epochs=limit + 1), sender=rich)

        object_id = system.open(rich, data, epochs=limit)
        system.go_to_block(system.objects.certificationDeadlineOf(object_id) - 1)
        system.certify(object_id)
        assert system.objects.endEpochOf(object_id) == head.endEpoch

    def test_refuses_any_term_near_the_rosters_end(self, system, rich, data):
        system.go_to_epoch(system.head(1).endEpoch - 1)
        with reverts_with(system.objects.TermInvalid, epochs=1, limit=0):
            system.objects.open(system.request(data, epochs=1), sender=rich)

    def test_refuses_to_cost_more_than_the_owner_said(self, system, rich, data):
        storage, intake, _ = system.objects.quote(system.request(data))
        with reverts_with(system.objects.PaymentAboveMaximum, payment=storage + intake, maximum=storage + intake - 1):
            system.objects.open(system.request(data, maxPayment=storage + intake - 1), sender=rich)
        system.objects.open(system.request(data, maxPayment=storage + intake), sender=rich)

    def test_refuses_without_payment(self, system, stranger, data):
        with reverts_with(system.payment_token.ERC20InsufficientAllowance, spender=system.payments, allowance=0):
            system.objects.open(system.request(data), sender=stranger)
        assert system.objects.nonceOf(stranger) == 0

    def test_refuses_more_rows_than_a_ticket_may_hold(self, system, rich):
        with reverts_with(system.objects.RowsPerTicketExceeded, rows=41, limit=40):
            system.objects.open(system.request(make_data(zeros=True), matrices=41), sender=rich)

    def test_counts_live_rows_and_reservations_against_the_limit(self, system, rich):
        part, row = make_data(zeros=True, matrices=20), make_data(zeros=True)
        first, second = system.open(rich, part), system.open(rich, part)
        assert system.objects.reservedRows(1, 1) == 40
        with reverts_with(system.objects.RowsPerTicketExceeded, rows=41, limit=40):
            system.objects.open(system.request(row), sender=rich)

        system.certify(first)  # reserved 20, live 20
        assert system.objects.reservedRows(1, 1) == 20
        with reverts_with(system.objects.RowsPerTicketExceeded, rows=41, limit=40):
            system.objects.open(system.request(row), sender=rich)
        system.certify(second)
        assert system.objects.reservedRows(1, 1) == 0
        with reverts_with(system.objects.RowsPerTicketExceeded, rows=41, limit=40):
            system.objects.open(system.request(row), sender=rich)

    def test_an_object_that_was_paid_is_never_refused_at_certification_for_the_limit(self, system, rich):
        """Reserved in one epoch, certified in the next, while others fill what is left."""
        part = make_data(zeros=True, matrices=20)
        first = system.open(rich, part)
        system.go_to_block(system.objects.certificationDeadlineOf(first) - 6)
        second = system.open(rich, part)
        assert system.objects.reservedRows(1, 1) == 40
        with reverts_with(system.objects.RowsPerTicketExceeded, rows=41, limit=40):
            system.objects.open(system.request(make_data(zeros=True)), sender=rich)
        system.certify(first)
        system.certify(second)
        epoch = system.objects.record(second).firstEpoch
        assert system.objects.tally(1, 1, epoch).rows == 40

    def test_a_reservation_lapses_by_itself(self, system, rich):
        part = make_data(zeros=True, matrices=40)
        object_id = system.open(rich, part)
        system.go_to_block(system.objects.certificationDeadlineOf(object_id))
        assert system.objects.reservedRows(1, 1) == 40
        system.go_to_block(chain.blocks.height + 20)
        assert system.objects.reservedRows(1, 1) == 0
        system.open(rich, part)
        # failing the first one now takes nothing from what the second reserved
        system.objects.fail(object_id, sender=rich)
        assert system.objects.reservedRows(1, 1) == 40

    def test_refuses_more_rows_than_the_book_can_sum(self, project, system, accounts, rich):
        other = system.with_shard(maxRowsPerTicket=2**64 - 1)
        other.enroll(accounts[15:16])
        other.take_roster()
        request = other.request(make_data(zeros=True, n=1, k=1), n=2, matrices=2**32 - 1, size=0)
        with reverts_with(project.IObjects.RowsPerTicketExceeded, rows=2**33 - 2, limit=2**32):
            system.objects.open({**request, "k": 2, "epochs": 1}, sender=rich)

    def test_takes_exactly_the_quote_and_records_the_object(self, system, rich, data):
        request = system.request(data, epochs=5)
        storage, intake, token = system.objects.quote(request)
        row_fee = -(-SHARD_PRICE * 32 * 64 // 10**18)
        assert (storage, token) == (row_fee * 6 * 5, system.payment_token)
        assert intake == -(-INTAKE_PRICE * 32 * 64 * 6 // 10**18)
        before = system.payment_token.balanceOf(rich)

        object_id = system.id_of(rich, system.objects.nonceOf(rich), data.root)
        receipt = system.objects.open(request, sender=rich)

        assert system.payment_token.balanceOf(rich) == before - storage - intake
        assert system.fees_left == storage + intake
        record = system.objects.record(object_id)
        assert (record.owner, record.status, record.shard, record.roster) == (rich, OPEN, 1, 1)
        assert (record.width, record.k, record.n, record.matrices) == (64, 2, 6, 1)
        assert (record.size, record.epochs, record.firstEpoch) == (data.size, 5, 0)
        assert (record.openedBlock, bytes(record.manifestRoot)) == (receipt.block_number, data.root)
        assert (bytes(record.nonSignersHash), record.rowFee, record.intakeFee) == (EMPTY_HASH, row_fee, intake)
        assert system.objects.ownerOf(object_id) == rich
        assert system.objects.endEpochOf(object_id) == 0
        assert system.objects.certificationDeadlineOf(object_id) == receipt.block_number + 20
        (event,) = receipt.decode_logs(system.objects.ObjectOpened)
        assert (bytes(event.objectId), event.owner, event.payment) == (object_id, rich, storage + intake)

    def test_two_objects_of_an_owner_differ(self, system, rich, data):
        assert system.open(rich, data) != system.open(rich, data)
        assert system.objects.nonceOf(rich) == 2

    def test_an_id_is_of_one_manifest_alone(self, system, rich, data):
        """Whatever a reorganized chain, or a node that came back from a backup, remembers of the owner's number."""
        ids = set()
        for chosen in (data, make_data(seed=1)):
            with chain.isolate():
                assert system.objects.nonceOf(rich) == 0
                ids.add(system.open(rich, chosen))
        assert len(ids) == 2


SHARD_PRICE, INTAKE_PRICE = 3 * 10**16, 7 * 10**15


class TestQuote:
    def test_refuses_fees_that_do_not_fit(self, system, data):
        dear = system.with_shard(pricePerByteEpochWad=2**150)
        fee = 2**150 * 2048 // 10**18 + 1
        with reverts_with(system.objects.FeeTooLarge, fee=fee, limit=2**96 - 1):
            system.objects.quote(dear.request(data))
        dear = system.with_shard(intakePricePerByteWad=2**150)
        with reverts_with(system.objects.FeeTooLarge, limit=2**96 - 1):
            system.objects.quote(dear.request(data))


class TestCertify:
    def test_refuses_an_object_that_nobody_opened(self, system, stranger):
        signature = cp.g1(cp.sign(cp.secret(1), bytes(32)))
        unknown = keccak(text="nobody opened this")
        with reverts_with(system.objects.ObjectUnknown, objectId=unknown):
            system.objects.certify(unknown, signature, [], b"", sender=stranger)

    def test_refuses_a_second_certificate(self, system, rich, data, stranger):
        object_id = system.store(rich, data)
        with reverts_with(system.objects.ObjectNotOpen, objectId=object_id, status=CERTIFIED):
            system.certify(object_id, sender=stranger)

    def test_refuses_after_the_deadline_and_not_before(self, system, rich, data):
        object_id = system.open(rich, data)
        deadline = system.objects.certificationDeadlineOf(object_id)
        certificate = system.certificate(object_id)
        system.go_to_block(deadline - 1)
        with chain.isolate():
            system.objects.certify(object_id, *certificate, sender=rich)
            assert chain.blocks.height == deadline
        system.go_to_block(deadline)
        with reverts_with(system.objects.CertificationTooLate, blockNumber=deadline + 1, deadline=deadline):
            system.objects.certify(object_id, *certificate, sender=rich)

    @pytest.mark.parametrize("size", [0, 255, 257, 512])
    def test_refuses_a_wrong_number_of_keys(self, system, rich, data, size):
        object_id = system.open(rich, data)
        signature, absent, _ = system.certificate(object_id, [3])
        with reverts_with(system.objects.ExcludedKeysLengthWrong, length=size, expected=256):
            system.objects.certify(object_id, signature, absent, bytes(size), sender=rich)

    def test_refuses_a_vacant_place_among_the_signers(self, system, rich, data):
        """Who lost its place has no duty and nothing to lose: it counts towards no threshold, takes no intake fee."""
        first_id = system.store(rich, data, epochs=4)
        index, gone = 2, system.members_of(1)[2].account
        assert system.shards.vacantTicketsOf(1, 1) == 0
        system.vacate(gone, system.objects.record(first_id).firstEpoch)
        assert system.shards.vacantTicketsOf(1, 1) == 1

        object_id = system.open(rich, data)
        for absent in ([], [index - 1]):
            with reverts_with(system.objects.SignersVacant, tickets=1):
                system.certify(object_id, absent)
        before = system.earned(rich)
        system.certify(object_id, [index])
        assert system.objects.record(object_id).nonSignersHash == hash_of([index])
        # its rows are paid back like any other's that did not sign
        assert system.earned(rich) - before == system.objects.record(object_id).rowFee * 3

    def test_takes_a_vacancy_of_an_older_roster_for_none(self, system, rich, data):
        """A place of the roster asked about is vacant only if it fell vacant after the roster's snapshot."""
        gone = system.members_of(1)[2].account
        system.vacate(gone, system.objects.record(system.store(rich, data)).firstEpoch)
        roster = system.take_roster()
        assert (system.shards.vacantTicketsOf(1, roster), system.shards.vacantTicketsOf(1, roster - 1)) == (0, 1)

    @pytest.mark.parametrize(("absent", "position"), [([3, 3], 1), ([3, 1], 1), ([0, 2, 1], 2)])
    def test_refuses_non_signers_out_of_order_or_twice(self, system, rich, data, absent, position):
        """The same key subtracted twice could make a sum that nobody's signature stands for."""
        object_id = system.open(rich, data)
        certificate = system.certificate(object_id, absent)
        with reverts_with(system.objects.NonSignersUnordered, position=position):
            system.objects.certify(object_id, *certificate, sender=rich)

    def test_refuses_a_non_signer_that_the_roster_does_not_have(self, system, rich, data):
        object_id = system.open(rich, data)
        signature, _, keys = system.certificate(object_id, [3])
        with reverts_with(system.shards.SeatOutOfRange, seat=6, seats=6):
            system.objects.certify(object_id, signature, [6], keys, sender=rich)

    def test_refuses_an_empty_seat_among_the_non_signers(self, system, rich):
        """Nobody sits there: nobody's key is to be taken out of the sum."""
        system.members.exit(1, sender=system.members_of(1)[3].account)
        system.take_roster()
        object_id = system.open(rich, make_data(n=5, zeros=True))
        signature, _, _ = system.certificate(object_id)
        with reverts_with(system.objects.NonSignerUnknown, seat=3):
            system.objects.certify(object_id, signature, [3], bytes(256), sender=rich)

    def test_refuses_a_key_that_is_not_the_non_signers(self, system, rich, data):
        object_id = system.open(rich, data)
        signature, _, keys = system.certificate(object_id, [3])
        entry = system.shards.rosterEntry(1, 1, 2)
        with reverts_with(system.objects.NonSignerKeyWrong, index=2, got=keccak(keys), expected=bytes(entry.keyHash)):
            system.objects.certify(object_id, signature, [2], keys, sender=rich)

    def test_refuses_fewer_than_two_thirds_of_the_tickets(self, system, rich, data):
        object_id = system.open(rich, data)
        with reverts_with(system.objects.QuorumNotReached, signedTickets=3, needed=4):
            system.certify(object_id, [0, 1, 2])
        system.certify(object_id, [0, 1])

    @pytest.mark.parametrize(("k", "n", "needed"), [(3, 6, 5), (4, 6, 6), (7, 12, 6), (5, 12, 5)])
    def test_refuses_fewer_than_leave_k_honest_rows(self, system, rich, k, n, needed):
        object_id = system.open(rich, make_data(zeros=True, k=k, n=n))
        absent = list(range(6 - needed + 1))
        with reverts_with(system.objects.QuorumNotReached, signedTickets=needed - 1, needed=needed):
            system.certify(object_id, absent)
        system.certify(object_id, absent[1:])

    def test_refuses_a_signature_that_lacks_a_signer(self, system, rich, data):
        object_id = system.open(rich, data)
        signature, _, _ = system.certificate(object_id, [3])
        with reverts_with(system.objects.SignatureInvalid, objectId=object_id):
            system.objects.certify(object_id, signature, [], b"", sender=rich)

    def test_refuses_a_certificate_of_another_object(self, system, rich, data):
        signed, other = system.open(rich, data), system.open(rich, data)
        with reverts_with(system.objects.SignatureInvalid, objectId=other):
            system.objects.certify(other, *system.certificate(signed), sender=rich)

    def test_refuses_the_identity_as_a_signature(self, system, rich, data):
        object_id = system.open(rich, data)
        with reverts_with(system.objects.SignatureInvalid, objectId=object_id):
            system.objects.certify(object_id, cp.IDENTITY_G1, [], b"", sender=rich)

    def test_refuses_a_key_at_infinity_in_a_non_signers_place(self, system, rich, data):
        """Subtracting the identity would certify with a signer that is counted as absent."""
        object_id = system.open(rich, data)
        signature, _, _ = system.certificate(object_id)
        with reverts_with(system.objects.NonSignerKeyWrong, index=0, got=keccak(cp.IDENTITY_G2)):
            system.objects.certify(object_id, signature, [0], cp.IDENTITY_G2, sender=rich)

    def test_refuses_possessions_as_signatures(self, system, rich, data):
        object_id = system.open(rich, data)
        digest = bytes(system.objects.certificateDigest(object_id))
        proofs = [cp.sign(item.secret, digest, cp.POSSESSION_TAG) for item in system.members_of(1)]
        with reverts_with(system.objects.SignatureInvalid, objectId=object_id):
            system.objects.certify(object_id, cp.g1(cp.sum_of(proofs, G1Point.identity())), [], b"", sender=rich)

    def test_records_lists_and_returns_what_was_not_signed(self, system, rich, data, stranger):
        object_id = system.open(rich, data, epochs=3)
        record = system.objects.record(object_id)
        next_epoch = system.shards.firstEpochAfter(1, chain.blocks.height + 1)

        receipt = system.certify(object_id, [1, 4], sender=stranger)

        after = system.objects.record(object_id)
        assert (after.status, after.firstEpoch) == (CERTIFIED, next_epoch)
        assert bytes(after.nonSignersHash) == hash_of([1, 4])
        assert system.objects.endEpochOf(object_id) == next_epoch + 3
        assert system.earned(rich) == record.rowFee * 3 * 2  # two rows of six for three epochs
        intake_each = record.intakeFee // 4
        absent = system.shards.rosterEntry(1, 1, 4).operator
        assert tuple(system.objects.intakePerTicket(1, 1, absent)) == (intake_each, intake_each)
        present = system.shards.rosterEntry(1, 1, 0).operator
        assert tuple(system.objects.intakePerTicket(1, 1, present)) == (intake_each, 0)
        assert system.repair_fund == record.intakeFee - 4 * intake_each
        (event,) = receipt.decode_logs(system.objects.ObjectCertified)
        assert (event.firstEpoch, event.endEpoch, event.nonSigners) == (next_epoch, next_epoch + 3, [1, 4])
        assert system.shards.boundUntil(present, 0, chain.blocks.height) > 0

    def test_counts_from_the_first_epoch_not_yet_frozen(self, system, rich, data):
        """Certified in block B_e: drawn in e. One block later: drawn from e + 1 on."""
        object_id = system.open(rich, data)
        certificate = system.certificate(object_id)
        epoch = system.shards.firstEpochAfter(1, chain.blocks.height + 1)
        frozen = system.shards.frozenBlockOf(1, epoch)
        system.go_to_block(frozen - 1)
        with chain.isolate():
            system.objects.certify(object_id, *certificate, sender=rich)
            assert chain.blocks.height == frozen
            assert system.objects.record(object_id).firstEpoch == epoch
            assert system.objects.tally(1, 1, epoch).rows == 1
            assert sum(system.objects.listedRows(1, 1, epoch)) == 1
        system.go_to_block(frozen)
        system.objects.certify(object_id, *certificate, sender=rich)
        assert system.objects.record(object_id).firstEpoch == epoch + 1
        assert system.objects.tally(1, 1, epoch).rows == 0
        assert sum(system.objects.listedRows(1, 1, epoch)) == 0
        assert sum(system.objects.listedRows(1, 1, epoch + 1)) == 1

    def test_signs_over_everything_that_matters(self, system, rich, data):
        object_id = system.open(rich, data, epochs=3)
        kinds = ["bytes32", "uint256", "address", "bytes32", "uint32", "uint32", "bytes32"] + ["uint32"] * 5
        tag = keccak(text="qanat/v1/certificate")
        values = [tag, chain.chain_id, system.objects.address, object_id, 1, 1, data.root, 64, 2, 6, 1, 3]
        assert bytes(system.objects.certificateDigest(object_id)) == keccak(encode(kinds, values))

    def test_is_listed_behind_the_one_before(self, system, rich):
        first = system.store(rich, make_data(zeros=True, matrices=3))
        second = system.store(rich, make_data(zeros=True, matrices=2, n=12, k=4))
        bucket = system.objects.bucketOf(1, 1, system.objects.endEpochOf(first))
        assert system.objects.listingCount(1, 1, bucket) == 2
        listed = [system.objects.listing(1, 1, bucket, index) for index in range(2)]
        assert [(bytes(item.objectId), item.start, item.end) for item in listed] == [(first, 0, 3), (second, 3, 7)]


class TestFail:
    def test_refuses_an_unknown_object(self, system, stranger):
        with reverts_with(system.objects.ObjectUnknown):
            system.objects.fail(keccak(text="nothing"), sender=stranger)

    def test_refuses_while_it_can_still_be_certified(self, system, rich, data, stranger):
        object_id = system.open(rich, data)
        deadline = system.objects.certificationDeadlineOf(object_id)
        system.go_to_block(deadline - 1)
        with reverts_with(system.objects.CertificationStillPossible, blockNumber=deadline, deadline=deadline):
            system.objects.fail(object_id, sender=stranger)

    def test_refuses_a_certified_and_a_failed_one(self, system, rich, data, stranger):
        certified, failed = system.store(rich, data), system.open(rich, data)
        system.go_to_block(system.objects.certificationDeadlineOf(failed))
        system.objects.fail(failed, sender=stranger)
        with reverts_with(system.objects.ObjectNotOpen, objectId=certified, status=CERTIFIED):
            system.objects.fail(certified, sender=stranger)
        with reverts_with(system.objects.ObjectNotOpen, objectId=failed, status=FAILED):
            system.objects.fail(failed, sender=stranger)
        with reverts_with(system.objects.ObjectNotOpen, objectId=failed, status=FAILED):
            system.certify(failed)

    def test_returns_all_but_the_intake_fee(self, system, rich, data, stranger):
        object_id = system.open(rich, data)
        storage, intake, _ = system.objects.quote(system.request(data))
        system.go_to_block(system.objects.certificationDeadlineOf(object_id))
        receipt = system.objects.fail(object_id, sender=stranger)
        assert (system.earned(rich), system.repair_fund, system.fees_left) == (storage, intake, 0)
        assert system.objects.record(object_id).status == FAILED
        assert [bytes(event.objectId) for event in receipt.decode_logs(system.objects.ObjectFailed)] == [object_id]

    def test_frees_its_reservation_at_once(self, system, rich):
        object_id = system.open(rich, make_data(zeros=True, matrices=40))
        system.go_to_block(system.objects.certificationDeadlineOf(object_id))
        assert system.objects.reservedRows(1, 1) == 40
        system.objects.fail(object_id, sender=rich)
        assert system.objects.reservedRows(1, 1) == 0


class TestRoll:
    def test_refuses_an_epoch_that_is_not_frozen(self, system, rich, data, stranger):
        system.store(rich, data)
        latest = system.shards.firstEpochAfter(1, chain.blocks.height + 1) - 1
        with reverts_with(system.objects.EpochNotFrozen, epoch=latest + 1, latest=latest):
            system.objects.roll(1, 1, ZERO, latest + 1, 10, sender=stranger)

    def test_changes_no_value_and_stops_nothing(self, system, rich, data, stranger):
        object_id = system.store(rich, data, epochs=4, absent=[2])
        absent = system.shards.rosterEntry(1, 1, 2).operator
        first = system.objects.record(object_id).firstEpoch
        span = range(first - 1, first + 6)
        system.go_past_frozen(first + 2)

        def values():
            tallies = [tuple(system.objects.tally(1, 1, epoch)) for epoch in span]
            return tallies + [tuple(system.objects.excludedTally(1, 1, absent, epoch)) for epoch in span]

        before = values()
        for operator in (ZERO, absent, stranger.address):
            system.objects.roll(1, 1, operator, first + 2, 2, sender=stranger)
            assert values() == before
            system.objects.roll(1, 1, operator, first + 2, 100, sender=stranger)
            assert values() == before
        assert [rows for rows, _ in before] == [0, 1, 1, 1, 1, 0, 0] * 2
        system.store(rich, data)


class TestLists:
    def test_refuses_an_index_that_is_not_listed(self, system, rich, data):
        object_id = system.store(rich, data)
        bucket = system.objects.bucketOf(1, 1, system.objects.endEpochOf(object_id))
        with reverts_with(system.objects.ListingOutOfRange, index=1, count=1):
            system.objects.listing(1, 1, bucket, 1)
        with reverts_with(system.objects.ListingOutOfRange, index=0, count=0):
            system.objects.listed(1, 1, bucket + 1, 0)

    def test_buckets_partition_the_rosters_life_and_leave_when_all_have_expired(self, system, rich, data):
        head = system.head(1)
        width = -(-(head.endEpoch - head.activeFromEpoch) // 8)
        object_id = system.store(rich, data, epochs=3)
        end = system.objects.endEpochOf(object_id)
        for epoch in range(head.activeFromEpoch + 1, head.endEpoch + 1):
            bucket = system.objects.bucketOf(1, 1, epoch)
            assert bucket == (epoch - 1 - head.activeFromEpoch) // width < 8
        bucket = system.objects.bucketOf(1, 1, end)
        leaves = head.activeFromEpoch + (bucket + 1) * width
        counts = [sum(system.objects.listedRows(1, 1, epoch)) for epoch in range(end - 4, leaves + 2)]
        assert counts == [0] + [1] * (leaves - end + 3) + [0, 0]

    def test_what_an_epoch_counts_does_not_change_later(self, system, rich, data):
        first = system.objects.record(system.store(rich, data)).firstEpoch
        system.go_past_frozen(first)
        before = (list(system.objects.listedRows(1, 1, first)), tuple(system.objects.tally(1, 1, first)))
        system.store(rich, data)
        system.store(rich, data, absent=[0])
        after = (list(system.objects.listedRows(1, 1, first)), tuple(system.objects.tally(1, 1, first)))
        assert after == before
        assert sum(system.objects.listedRows(1, 1, first + 1)) == 3


class TestViews:
    def test_know_nothing_of_an_unknown_object(self, system):
        unknown = keccak(text="nothing")
        assert system.objects.record(unknown).status == 0
        assert system.objects.endEpochOf(unknown) == 0
        assert system.objects.ownerOf(unknown) == ZERO
        with reverts_with(system.objects.ObjectUnknown, objectId=unknown):
            system.objects.certificateDigest(unknown)

    def test_rows_and_fees_are_a_tickets_share(self, system, rich):
        object_id = system.store(rich, make_data(zeros=True, n=12, k=4, matrices=3), absent=[5])
        record = system.objects.record(object_id)
        absent = system.shards.rosterEntry(1, 1, 5).operator
        tally = system.objects.tally(1, 1, record.firstEpoch)
        assert tuple(tally) == (6, 6 * record.rowFee)
        assert tuple(system.objects.excludedTally(1, 1, absent, record.firstEpoch)) == tuple(tally)
        assert tuple(system.objects.tally(1, 1, record.firstEpoch + 3)) == (0, 0)


ZERO = "0x" + "00" * 20
