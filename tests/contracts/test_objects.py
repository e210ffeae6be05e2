"""Objects: opening, certificates, failures, and what draws and pay are computed from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ape import chain
from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from py_arkworks_bls12381 import G1Point

from tests.contracts import curve_points as cp
from tests.contracts.reverts import reverts_with
from tests.contracts.system import deploy_contracts, deploy_system, fund, make_data

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
        with reverts_with(system.objects.FeeTooLarge, fee=fee, limit=2**80 - 1):
            system.objects.quote(dear.request(data))
        dear = system.with_shard(intakePricePerByteWad=2**150)
        with reverts_with(system.objects.FeeTooLarge, limit=2**80 - 1):
            system.objects.quote(dear.request(data))


class TestCertify:
    def test_refuses_an_object_that_nobody_opened(self, system, stranger):
        signature = cp.g1(cp.sign(cp.secret(1), bytes(32)))
        unknown = keccak(text="nobody opened this")
        with reverts_with(system.objects.ObjectUnknown, objectId=unknown):
            system.objects.certify(unknown, signature, [], sender=stranger)

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
        record = system.objects.record(object_id)
        assert record.nonSignersHash == hash_of([index])
        # its rows are paid back like any other's that did not sign
        system.go_past_frozen(record.firstEpoch + 1)
        system.objects.returnUnsigned(object_id, sender=rich)
        assert system.earned(rich) - before == record.rowFee * 3

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
        signature, _ = system.certificate(object_id, [3])
        with reverts_with(system.shards.SeatOutOfRange, seat=6, seats=6):
            system.objects.certify(object_id, signature, [6], sender=rich)

    def test_refuses_an_empty_seat_among_the_non_signers(self, system, rich):
        """Nobody sits there: nobody's key is to be taken out of the sum."""
        system.members.exit(1, sender=system.members_of(1)[3].account)
        system.take_roster()
        object_id = system.open(rich, make_data(n=5, zeros=True))
        signature, _ = system.certificate(object_id)
        with reverts_with(system.objects.NonSignerUnknown, seat=3):
            system.objects.certify(object_id, signature, [3], sender=rich)

    def test_refuses_other_non_signers_than_those_that_did_not_sign(self, system, rich, data):
        """The keys that are taken out of the sum are those of the seats named, whoever names them."""
        object_id = system.open(rich, data)
        signature, _ = system.certificate(object_id, [3])
        for named in ([2], [4], [2, 3], [2, 4]):
            with reverts_with(system.objects.SignatureInvalid, subject=object_id):
                system.objects.certify(object_id, signature, named, sender=rich)
        system.objects.certify(object_id, signature, [3], sender=rich)

    def test_takes_the_keys_that_the_roster_counts(self, system, rich, data):
        """A non-signer that has changed its key since the snapshot is left out with the key that is in the sum."""
        keys = [item.key for item in system.members_of(1)]
        found = system.shards.absenceIn(1, 1, [1, 4])
        assert bytes(found.keys) == keys[1] + keys[4]
        assert list(found.operators) == [system.members_of(1)[seat].address for seat in (1, 4)]
        assert (list(found.tickets), found.vacantElsewhere) == ([1, 1], 0)
        assert bytes(found.aggregateKey) == bytes(system.shards.aggregateKeyOf(1, 1))
        nobody = system.shards.absenceIn(1, 1, [])
        assert (bytes(nobody.keys), list(nobody.operators), list(nobody.tickets)) == (b"", [], [])

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
        signature, _ = system.certificate(object_id, [3])
        with reverts_with(system.objects.SignatureInvalid, subject=object_id):
            system.objects.certify(object_id, signature, [], sender=rich)

    def test_refuses_a_certificate_of_another_object(self, system, rich, data):
        signed, other = system.open(rich, data), system.open(rich, data)
        with reverts_with(system.objects.SignatureInvalid, subject=other):
            system.objects.certify(other, *system.certificate(signed), sender=rich)

    def test_refuses_the_identity_as_a_signature(self, system, rich, data):
        object_id = system.open(rich, data)
        with reverts_with(system.objects.SignatureInvalid, subject=object_id):
            system.objects.certify(object_id, cp.IDENTITY_G1, [], sender=rich)

    def test_refuses_possessions_as_signatures(self, system, rich, data):
        object_id = system.open(rich, data)
        digest = bytes(system.objects.certificateDigest(object_id))
        proofs = [cp.sign(item.secret, digest, cp.POSSESSION_TAG) for item in system.members_of(1)]
        with reverts_with(system.objects.SignatureInvalid, subject=object_id):
            system.objects.certify(object_id, cp.g1(cp.sum_of(proofs, G1Point.identity())), [], sender=rich)

    def test_records_and_lists_an_object(self, system, rich, data, stranger):
        object_id = system.open(rich, data, epochs=3)
        record = system.objects.record(object_id)
        next_epoch = system.shards.firstEpochAfter(1, chain.blocks.height + 1)

        receipt = system.certify(object_id, [1, 4], sender=stranger)

        after = system.objects.record(object_id)
        assert (after.status, after.firstEpoch) == (CERTIFIED, next_epoch)
        assert bytes(after.nonSignersHash) == hash_of([1, 4])
        assert system.objects.endEpochOf(object_id) == next_epoch + 3
        assert (after.endEpoch, after.epochs, after.unsignedTickets) == (next_epoch + 3, 3, 2)
        assert (bytes(after.firstNonSignersHash), after.unsignedReturned, after.terminated) == (
            hash_of([1, 4]),
            False,
            False,
        )
        assert system.earned(rich) == 0  # both may still adopt their rows
        intake_each = record.intakeFee // 4
        absent = system.shards.rosterEntry(1, 1, 4).operator
        assert tuple(system.objects.intakePerTicket(1, 1, absent)) == (intake_each, intake_each)
        present = system.shards.rosterEntry(1, 1, 0).operator
        assert tuple(system.objects.intakePerTicket(1, 1, present)) == (intake_each, 0)
        assert (system.repair_fund, record.intakeFee - 4 * intake_each) == (0, 3)  # until somebody claims intake fees
        assert system.objects.takeIntakeRest(1, 1, sender=rich).return_value == 0  # it stays for Rewards
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
        listed = system.listings(1, bucket, 0)
        assert [(item.object_id, item.start, item.end) for item in listed] == [(first, 0, 3), (second, 3, 7)]


OPEN_TYPES = {
    "Open": [
        *({"name": name, "type": "uint32"} for name in ("shard", "roster", "width", "k", "n", "matrices")),
        {"name": "size", "type": "uint64"},
        {"name": "epochs", "type": "uint32"},
        *({"name": name, "type": "bytes32"} for name in ("treeRoot", "contentHash", "headerHash")),
        *({"name": name, "type": "uint256"} for name in ("maxPayment", "nonce", "deadline")),
    ]
}


class TestOpenFor:
    def sign(self, system, signer, request, nonce, deadline) -> bytes:
        """Return the owner's signature as any wallet makes it."""
        domain = {
            "name": "Qanat objects",
            "version": "1",
            "chainId": chain.chain_id,
            "verifyingContract": system.objects.address,
        }
        message = encode_typed_data(domain, OPEN_TYPES, {**request, "nonce": nonce, "deadline": deadline})
        return bytes(Account.sign_message(message, signer.private_key).signature)

    def test_opens_for_who_signed_and_pays(self, system, rich, data, stranger):
        request, deadline = system.request(data), 2**40
        signature = self.sign(system, rich, request, 0, deadline)
        before = system.payment_token.balanceOf(rich)
        object_id = system.id_of(rich, 0, data.root)
        system.objects.openFor(request, rich, deadline, signature, sender=stranger)
        storage, intake, _ = system.objects.quote(request)
        assert system.objects.ownerOf(object_id) == rich
        assert before - system.payment_token.balanceOf(rich) == storage + intake
        with reverts_with(system.objects.SignerInvalid, owner=rich):  # once
            system.objects.openFor(request, rich, deadline, signature, sender=stranger)

    def test_opens_for_a_contract_that_says_so(self, project, system, deployer, rich, data, stranger):
        wallet = deployer.deploy(project.SignerWallet, rich)
        fund(system.payment_token, rich, 2**90, system.payments)
        system.payment_token.transfer(wallet, 2**90, sender=rich)
        approve = system.payment_token.approve.encode_input(system.payments, 2**90)
        wallet.run(system.payment_token, approve, sender=stranger)
        request = system.request(data)
        system.objects.openFor(request, wallet, 2**40, self.sign(system, rich, request, 0, 2**40), sender=stranger)
        assert system.objects.ownerOf(system.id_of(wallet, 0, data.root)) == wallet

    def test_refuses_another_signer_another_request_and_a_late_one(self, system, rich, data, stranger):
        request, now = system.request(data), chain.pending_timestamp
        for signer, asked in ((stranger, request), (rich, {**request, "epochs": 2})):
            signature = self.sign(system, signer, asked, 0, 2**40)
            with reverts_with(system.objects.SignerInvalid, owner=rich):
                system.objects.openFor(request, rich, 2**40, signature, sender=stranger)
        signature = self.sign(system, rich, request, 0, now - 100)
        with reverts_with(system.objects.SignatureExpired, deadline=now - 100):
            system.objects.openFor(request, rich, now - 100, signature, sender=stranger)


class TestCertifyMany:
    def test_refuses_no_object_and_objects_of_two_rosters(self, system, accounts, rich, data):
        with reverts_with(system.objects.CertificateListEmpty):
            system.objects.certifyMany([], b"", [], sender=rich)
        with reverts_with(system.objects.CertificateListEmpty):
            system.objects.certificateListDigest([])
        other = system.with_shard()
        other.enroll(accounts[15:16])
        other.take_roster()
        second = other.open(rich, make_data(zeros=True, n=1, k=1))
        first = system.open(rich, data)
        with reverts_with(system.objects.CertificateListMixed, objectId=second):
            system.objects.certificateListDigest([first, second])
        with reverts_with(system.objects.CertificateListMixed, objectId=second):
            system.objects.certifyMany([first, second], *system.certificate(first), sender=rich)

    def test_refuses_an_object_twice(self, system, rich, data):
        object_id = system.open(rich, data)
        with reverts_with(system.objects.ObjectNotOpen, objectId=object_id, status=CERTIFIED):
            system.certify_many([object_id, object_id])

    def test_refuses_a_list_that_nobody_signed(self, system, rich, data):
        """Not in another order, not a part of it, not by what was signed for one of them alone."""
        ids = [system.open(rich, data) for _ in range(3)]
        good = system.list_certificate(ids)
        for chosen, certificate in (
            (ids[::-1], good),
            (ids[:2], good),
            (ids[:1], system.certificate(ids[0])),
        ):
            digest = bytes(system.objects.certificateListDigest(chosen))
            with reverts_with(system.objects.SignatureInvalid, subject=digest):
                system.objects.certifyMany(chosen, *certificate, sender=rich)
        with reverts_with(system.objects.SignatureInvalid, subject=ids[0]):
            system.objects.certify(ids[0], *system.list_certificate(ids[:1]), sender=rich)

    def test_needs_the_highest_quorum_of_its_objects(self, system, rich, data):
        """Four of six tickets are enough for one object, five must sign the other."""
        low, high = system.open(rich, data), system.open(rich, make_data(zeros=True, n=6, k=3))
        with reverts_with(system.objects.QuorumNotReached, signedTickets=4, needed=5):
            system.certify_many([low, high], [1, 4])

    def test_books_each_object_as_if_it_came_alone(self, system, rich, data):
        """The same objects one by one and in a list: every record, list, sum and account is the same."""
        other = make_data(zeros=True, n=12, k=4, matrices=2)

        def outcome(certify):
            with chain.isolate():
                ids = [system.open(rich, item, epochs=epochs) for item, epochs in ((data, 2), (other, 3), (data, 3))]
                certify(ids)
                epoch = system.objects.record(ids[0]).firstEpoch
                absent = system.shards.rosterEntry(1, 1, 4).operator
                return (
                    [tuple(system.objects.record(object_id)) for object_id in ids],
                    [tuple(system.objects.tally(1, 1, epoch + i)) for i in range(5)],
                    [tuple(system.objects.excludedTally(1, 1, absent, epoch + i)) for i in range(5)],
                    list(system.objects.listedRows(1, 1, epoch)),
                    system.listings(1, system.objects.bucketOf(1, 1, epoch + 3), epoch),
                    tuple(system.objects.intakePerTicket(1, 1, absent)),
                    (system.repair_fund, system.fees_left, system.objects.reservedRows(1, 1)),
                )

        alone = outcome(lambda ids: [system.certify(object_id, [4]) for object_id in ids])
        assert outcome(lambda ids: system.certify_many(ids, [4])) == alone

    def test_signs_over_the_digests_in_order(self, system, rich, data):
        ids = [system.open(rich, data) for _ in range(2)]
        packed = b"".join(bytes(system.objects.certificateDigest(object_id)) for object_id in ids)
        kinds = ["bytes32", "uint256", "address", "uint32", "uint32", "bytes32"]
        tag = keccak(text="qanat/v1/certificate-list")
        digest = keccak(encode(kinds, [tag, chain.chain_id, system.objects.address, 1, 1, keccak(packed)]))
        assert bytes(system.objects.certificateListDigest(ids)) == digest
        unknown = keccak(text="nothing")
        with reverts_with(system.objects.ObjectUnknown, objectId=unknown):
            system.objects.certificateListDigest([ids[0], unknown])


class TestAdopt:
    def test_refuses_what_is_not_certified(self, system, rich, data):
        object_id = system.open(rich, data)
        with reverts_with(system.objects.ObjectNotCertified, objectId=object_id, status=OPEN):
            system.objects.adopt(object_id, 1, b"", b"", [], sender=rich)
        with reverts_with(system.objects.ObjectUnknown, objectId=bytes(32)):
            system.objects.adopt(bytes(32), 1, b"", b"", [], sender=rich)

    def test_refuses_a_wrong_list_a_signer_another_key_another_signature(self, system, rich, data):
        object_id = system.store(rich, data, absent=[1, 4])
        seat, signature, key, listed = system.adoption(object_id, 4)
        for wrong in ([], [4], [1, 4, 5]):
            with reverts_with(system.objects.NonSignersWrong, objectId=object_id):
                system.objects.adopt(object_id, seat, signature, key, wrong, sender=rich)
        with reverts_with(system.objects.SeatSigned, objectId=object_id, seat=2):
            system.objects.adopt(object_id, *system.adoption(object_id, 2), sender=rich)
        other = system.adoption(object_id, 1)
        with reverts_with(system.objects.NonSignerKeyWrong, index=4, got=keccak(other[2]), expected=keccak(key)):
            system.objects.adopt(object_id, seat, other[1], other[2], listed, sender=rich)
        with reverts_with(system.objects.SignatureInvalid, subject=object_id):
            system.objects.adopt(object_id, seat, other[1], key, listed, sender=rich)

    def test_refuses_a_vacant_place(self, system, rich, data):
        gone = system.members_of(1)[2].account
        system.vacate(gone, system.objects.record(system.store(rich, data, epochs=4)).firstEpoch)
        object_id = system.store(rich, data, absent=[2])
        with reverts_with(system.objects.PlaceVacant, seat=2):
            system.adopt(object_id, 2)

    def test_counts_from_the_next_epoch_that_is_not_frozen(self, system, rich, data, stranger):
        """Before the first epoch is frozen from that one on, later from the second; then nobody can."""
        object_id = system.store(rich, data, epochs=3, absent=[1, 4])
        record = system.objects.record(object_id)
        first, late, later = record.firstEpoch, system.members_of(1)[1], system.members_of(1)[4]

        system.adopt(object_id, 1, sender=stranger)
        for epoch in range(first, first + 3):
            assert system.objects.excludedTally(1, 1, late.account, epoch).rows == 0
            assert system.objects.excludedTally(1, 1, later.account, epoch).rows == 1
        system.go_past_frozen(first)
        held = system.audits.heldRows(1, first, later.account)
        system.adopt(object_id, 4)
        assert system.audits.heldRows(1, first, later.account) == held == 0
        assert [system.audits.heldRows(1, first + i, later.account) for i in range(4)] == [0, 1, 1, 0]
        assert system.earned(rich) == record.rowFee  # of the one epoch that nobody held row 4 for
        after = system.objects.record(object_id)
        assert (bytes(after.nonSignersHash), bytes(after.firstNonSignersHash)) == (EMPTY_HASH, hash_of([4]))
        assert (after.unsignedTickets, system.objects.endEpochOf(object_id)) == (0, first + 3)
        with reverts_with(system.objects.NothingUnsigned, objectId=object_id):
            system.objects.returnUnsigned(object_id, sender=rich)

    def test_refuses_after_the_second_epoch_is_frozen_and_beyond_the_term(self, system, rich, data):
        long, short = (system.store(rich, data, epochs=epochs, absent=[3]) for epochs in (3, 1))
        first = system.objects.record(long).firstEpoch
        system.go_past_frozen(first)
        with reverts_with(system.objects.AdoptionOver, objectId=short, fromEpoch=first + 1):
            system.adopt(short, 3)
        frozen = system.shards.frozenBlockOf(1, first + 1)
        system.go_to_block(frozen - 1)
        with chain.isolate():
            system.adopt(long, 3)
            assert chain.blocks.height == frozen
        system.go_to_block(frozen)
        with reverts_with(system.objects.AdoptionOver, objectId=long, fromEpoch=first + 2):
            system.adopt(long, 3)

    def test_refuses_twice(self, system, rich, data):
        object_id = system.store(rich, data, absent=[1, 3])
        system.adopt(object_id, 3)
        with reverts_with(system.objects.SeatSigned, objectId=object_id, seat=3):
            system.objects.adopt(object_id, *system.adoption(object_id, 3), sender=rich)

    def test_who_adopts_and_never_stored_misses(self, system, rich, data, stranger):
        """It is asked from then on as anyone who signed, and slashed as anyone who can't answer."""
        object_id = system.store(rich, data, absent=[3])
        late = system.members_of(1)[3].account
        first = system.objects.record(object_id).firstEpoch
        system.adopt(object_id, 3)
        system.seal(first)
        system.end_window(first)
        system.audits.reportMiss(1, first, late, sender=stranger)
        assert system.restaking.pendingSlashes(late) == 1


class TestReturnUnsigned:
    def test_returns_what_nobody_signed_once_and_not_before_nobody_can(self, system, rich, data, stranger):
        object_id = system.store(rich, data, epochs=3, absent=[1, 4])
        record = system.objects.record(object_id)
        system.go_past_frozen(record.firstEpoch)
        with reverts_with(system.objects.AdoptionOpen, objectId=object_id, fromEpoch=record.firstEpoch + 1):
            system.objects.returnUnsigned(object_id, sender=stranger)
        system.go_past_frozen(record.firstEpoch + 1)
        receipt = system.objects.returnUnsigned(object_id, sender=stranger)
        assert system.earned(rich) == 2 * 3 * record.rowFee
        (event,) = receipt.decode_logs(system.rewards.UnsignedReturned)
        assert (bytes(event.objectId), event.payer, event.amount) == (object_id, rich, 2 * 3 * record.rowFee)
        with reverts_with(system.objects.NothingUnsigned, objectId=object_id):
            system.objects.returnUnsigned(object_id, sender=stranger)
        assert system.objects.record(object_id).unsignedReturned

    def test_finds_nothing_where_all_signed(self, system, rich, data):
        object_id = system.store(rich, data)
        with reverts_with(system.objects.NothingUnsigned, objectId=object_id):
            system.objects.returnUnsigned(object_id, sender=rich)


class TestExtend:
    def test_anyone_pays_for_signed_rows_at_the_objects_own_fee(self, system, rich, data, stranger):
        object_id = system.store(rich, data, epochs=2, absent=[1])
        record = system.objects.record(object_id)
        first, absent = record.firstEpoch, system.members_of(1)[1].account
        system.go_past_frozen(first + 1)
        before = (system.fees_left, system.earned(rich))
        receipt = system.extend(object_id, 3, stranger)
        unsigned = 2 * record.rowFee
        assert system.fees_left == before[0] + 5 * 3 * record.rowFee - unsigned
        assert system.earned(rich) == before[1] + unsigned  # settled on the way
        assert (system.objects.endEpochOf(object_id), system.objects.record(object_id).epochs) == (first + 5, 2)
        assert [system.objects.tally(1, 1, first + i).rows for i in range(6)] == [1, 1, 1, 1, 1, 0]
        assert [system.objects.excludedTally(1, 1, absent, first + i).rows for i in range(6)] == [1, 1, 1, 1, 1, 0]
        (event,) = receipt.decode_logs(system.objects.ObjectExtended)
        assert (event.payer, event.endEpoch, event.payment) == (stranger, first + 5, 15 * record.rowFee)
        assert bytes(system.objects.certificateDigest(object_id)) == self.digest_of(system, object_id, data)

    def digest_of(self, system, object_id, data) -> bytes:
        kinds = ["bytes32", "uint256", "address", "bytes32", "uint32", "uint32", "bytes32"] + ["uint32"] * 5
        tag = keccak(text="qanat/v1/certificate")
        values = [tag, chain.chain_id, system.objects.address, object_id, 1, 1, data.root, 64, 2, 6, 1, 2]
        return keccak(encode(kinds, values))

    def test_is_live_in_exactly_one_listing_in_each_epoch(self, system, rich, data):
        """Extended into a later bucket twice and within one: what was frozen stays, no epoch has it twice or never."""
        object_id = system.store(rich, data, epochs=2)
        system.store(rich, data, epochs=2)
        first = system.objects.record(object_id).firstEpoch

        def live(epoch):
            listed = system.objects.listedRows(1, 1, epoch)
            found = []
            for bucket, rows in enumerate(listed):
                items = [item for item in system.listings(1, bucket, epoch) if item.start < rows]
                assert [item.start for item in items] == [0, *(item.end for item in items[:-1])][: len(items)]
                assert rows == (items[-1].end if items else 0)
                found += [item for item in items if item.object_id == object_id and epoch < item.end_epoch]
            return found

        def frozen():
            latest = system.shards.firstEpochAfter(1, chain.blocks.height)
            # where it lives, not until when
            return {epoch: [replace(item, end_epoch=0) for item in live(epoch)] for epoch in range(first, latest)}

        known = {}
        for wait, epochs in ((first, 1), (first + 1, 3), (first + 5, 4)):
            system.go_past_frozen(wait)
            known |= frozen()
            system.extend(object_id, epochs, rich)
            assert known.items() <= frozen().items()
        end = system.objects.endEpochOf(object_id)
        assert end == first + 10
        for epoch in range(first, end + 2):
            assert len(live(epoch)) == (epoch < end)
        system.go_to_epoch(end - 1)
        system.seal(end - 1)
        system.answer_all(end - 1)  # which reads void places, and the one that lives

    def test_refuses_while_somebody_may_still_adopt(self, system, rich, data):
        object_id = system.store(rich, data, absent=[2])
        with reverts_with(system.objects.AdoptionOpen, objectId=object_id):
            system.extend(object_id, 1, rich)

    def test_refuses_what_is_over_and_what_was_terminated(self, system, rich, data):
        object_id, other = system.store(rich, data, epochs=1), system.store(rich, data, epochs=3)
        first = system.objects.record(object_id).firstEpoch
        system.terminate(other, rich)
        with reverts_with(system.objects.ObjectOver, objectId=other, endEpoch=first + 1, nextEpoch=first):
            system.extend(other, 1, rich)
        system.go_to_block(system.shards.frozenBlockOf(1, first + 1) - 3)
        with chain.isolate():
            system.extend(object_id, 1, rich)
        system.go_past_frozen(first + 1)
        with reverts_with(system.objects.ObjectOver, objectId=object_id, endEpoch=first + 1, nextEpoch=first + 2):
            system.extend(object_id, 1, rich)

    def test_refuses_terms_beyond_the_rosters(self, system, rich, data):
        object_id = system.store(rich, data, epochs=2)
        limit = system.head(1).endEpoch - system.objects.endEpochOf(object_id)
        for epochs in (0, limit + 1):
            with reverts_with(system.objects.TermInvalid, epochs=epochs, limit=limit):
                system.objects.extend(object_id, epochs, 2**255, [], sender=rich)
        system.extend(object_id, limit, rich)
        assert system.objects.endEpochOf(object_id) == system.head(1).endEpoch

    def test_binds_nobody_longer_once_a_newer_roster_is_active(self, system, accounts, rich, data):
        """Who waits for its stake under a roster that was replaced sees a date: no stranger's extension moves it."""
        short, long = system.store(rich, data, epochs=6), system.store(rich, data, epochs=8)
        system.enroll(accounts[15:16])
        system.take_roster()
        operator, height = system.members_of(1)[0].account, chain.blocks.height + 20
        system.go_to_block(height)
        bound = system.shards.boundUntil(operator, 0, system.head(1).snapshotBlock)
        end = system.objects.endEpochOf(long)
        with reverts_with(system.objects.TermInvalid, epochs=3, limit=2):
            system.objects.extend(short, 3, 2**255, [], sender=rich)
        system.extend(short, 2, rich)
        assert system.objects.endEpochOf(short) == end
        assert system.shards.boundUntil(operator, 0, system.head(1).snapshotBlock) == bound

    def test_refuses_to_cost_more_than_the_payer_said(self, system, rich, data):
        object_id = system.store(rich, data)
        fee = system.objects.record(object_id).rowFee * 6
        with reverts_with(system.objects.PaymentAboveMaximum, payment=fee, maximum=fee - 1):
            system.objects.extend(object_id, 1, fee - 1, [], sender=rich)
        with reverts_with(system.objects.NonSignersWrong, objectId=object_id):
            system.objects.extend(object_id, 1, fee, [1], sender=rich)

    def test_refuses_more_rows_than_a_ticket_may_hold(self, system, rich):
        """At its last chance, when the next epoch counts it no more, others may have taken its room."""
        part = make_data(zeros=True, matrices=20)
        object_id = system.store(rich, part, epochs=1)
        end = system.objects.endEpochOf(object_id)
        system.go_past_frozen(end - 1)
        system.store(rich, part)
        with chain.isolate():
            system.extend(object_id, 1, rich)
        system.open(rich, make_data(zeros=True))
        with reverts_with(system.objects.RowsPerTicketExceeded, rows=41, limit=40):
            system.extend(object_id, 1, rich)


class TestTerminate:
    def test_refuses_everyone_but_the_owner_and_a_wrong_list(self, system, rich, data, stranger):
        object_id = system.store(rich, data)
        with reverts_with(system.objects.NotOwner, caller=stranger, owner=rich):
            system.objects.terminate(object_id, [], sender=stranger)
        with reverts_with(system.objects.NonSignersWrong, objectId=object_id):
            system.objects.terminate(object_id, [1], sender=rich)

    def test_returns_all_that_comes_after_the_last_frozen_epoch(self, system, rich, data):
        object_id = system.store(rich, data, epochs=5, absent=[1])
        record = system.objects.record(object_id)
        first = record.firstEpoch
        system.go_past_frozen(first + 1)
        frozen = [tuple(system.objects.tally(1, 1, epoch)) for epoch in (first, first + 1)]
        receipt = system.terminate(object_id, rich)
        assert [tuple(system.objects.tally(1, 1, epoch)) for epoch in (first, first + 1)] == frozen
        assert system.objects.tally(1, 1, first + 2).rows == 0
        absent = system.members_of(1)[1].account
        assert [system.objects.excludedTally(1, 1, absent, first + i).rows for i in range(4)] == [1, 1, 0, 0]
        # five rows of three epochs, and the one that nobody signed of all five
        assert system.earned(rich) == (5 * 3 + 5) * record.rowFee
        assert system.objects.endEpochOf(object_id) == first + 2
        (event,) = receipt.decode_logs(system.objects.ObjectTerminated)
        assert (bytes(event.objectId), event.endEpoch) == (object_id, first + 2)
        (event,) = receipt.decode_logs(system.rewards.UnearnedReturned)
        assert (bytes(event.objectId), event.payer, event.amount) == (object_id, rich, 5 * 3 * record.rowFee)
        with reverts_with(system.objects.ObjectOver, objectId=object_id):
            system.terminate(object_id, rich)
        with reverts_with(system.objects.NothingUnsigned, objectId=object_id):
            system.objects.returnUnsigned(object_id, sender=rich)
        with reverts_with(system.objects.AdoptionOver, objectId=object_id):
            system.adopt(object_id, 1)

    def test_changes_nothing_of_an_epoch_whose_seed_is_known(self, system, rich, data):
        """The owner learns the draw and ends the object: it is still answered, paid, and missed by who doesn't."""
        object_id = system.store(rich, data, epochs=4)
        first = system.objects.record(object_id).firstEpoch
        system.seal(first)
        lazy, *others = [item.account for item in system.members_of(1)]
        system.terminate(object_id, rich)
        assert system.objects.endEpochOf(object_id) == first + 1
        system.answer_all(first, others)
        system.end_window(first)
        system.audits.reportMiss(1, first, lazy, sender=rich)
        assert sum(system.rewards.earnedIn(1, first, other).amount for other in others) == 5 * (
            system.objects.record(object_id).rowFee
        )

    def test_owes_an_epoch_at_least(self, system, rich, data):
        """Else whoever pays the intake alone fills the lists with places that are void."""
        object_id = system.store(rich, data, epochs=3)
        record = system.objects.record(object_id)
        system.terminate(object_id, rich)
        assert system.objects.endEpochOf(object_id) == record.firstEpoch + 1
        assert system.earned(rich) == 6 * 2 * record.rowFee
        single = system.store(rich, data, epochs=1)
        with reverts_with(system.objects.ObjectOver, objectId=single):
            system.terminate(single, rich)

    def test_frees_its_room(self, system, rich):
        part = make_data(zeros=True, matrices=40)
        object_id = system.store(rich, part, epochs=5)
        system.go_past_frozen(system.objects.record(object_id).firstEpoch)
        system.terminate(object_id, rich)
        system.open(rich, part)


class TestChanges:
    def test_called_directly_know_no_object(self, project, system, rich, data):
        """Its code runs on the state of Objects alone."""
        object_id = system.store(rich, data, absent=[1])
        changes = project.ObjectChanges.at(system.objects.changes())
        for call in (
            lambda: changes.terminate(object_id, [1], sender=rich),
            lambda: changes.extend(object_id, 1, 2**255, [1], sender=rich),
            lambda: changes.returnUnsigned(object_id, sender=rich),
            lambda: changes.adopt(object_id, *system.adoption(object_id, 1), sender=rich),
            lambda: changes.fail(object_id, sender=rich),
        ):
            with reverts_with(project.IObjects.ObjectUnknown, objectId=object_id):
                call()

    def test_nothing_is_opened_before_the_directory_is_sealed(self, project, deployer, guardian, rich, data):
        contracts, _ = deploy_contracts(project, deployer, guardian)
        with reverts_with(project.IObjects.DirectoryNotSealed):
            contracts["objects"].open(_request(data), sender=rich)


def _request(data) -> dict:
    """Return a request for roster 1 of shard 1, whatever there is."""
    return {
        "shard": 1,
        "roster": 1,
        "width": data.width,
        "k": data.k,
        "n": data.n,
        "matrices": data.matrices,
        "size": data.size,
        "epochs": 1,
        "maxPayment": 2**255,
        "treeRoot": data.tree_root,
        "contentHash": data.content_hash,
        "headerHash": data.header_hash,
    }


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
