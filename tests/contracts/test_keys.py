"""Keys: holders drawn, dealt to, forced to answer, and slashed for what the chain can see."""

from __future__ import annotations

import copy

import pytest
from ape import chain
from eth_utils import keccak, to_bytes

from qanat.keys.context import BASE_TAG, tag
from qanat.keys.curve import curve_kernel
from qanat.keys.holding import Receipt
from qanat.keys.release import LicenseeKey, blinded_base, is_right, open_key
from qanat.keys.shares import deal, deal_polynomial, digest_of
from tests.contracts.keyholders import DATA_KEY, make_key_world
from tests.contracts.reverts import reverts_with
from tests.contracts.system import ANSWER_FEE, RESOLUTION_DELAY, TIMELOCK, deploy_system, module_name

KERNEL = curve_kernel()
MINUS_ONE = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000000
SILENT, WRONG, UNLICENSED = 1 << 40, 2 << 40, 3 << 40


@pytest.fixture(scope="module")
def base(project, deployer, guardian, operators, owner, licensee):
    """Six operators, the first with two tickets; a licensed asset; nobody asked for a key yet."""
    system = deploy_system(project, deployer, guardian)
    system.enroll(operators, tickets=[2, 1, 1, 1, 1, 1])
    system.take_roster()
    return make_key_world(project, system, owner, licensee, operators)


@pytest.fixture
def world(base):
    """What a test changes of it is the test's own."""
    return copy.copy(base)


@pytest.fixture
def drawn(world):
    """Four holders were drawn."""
    world.request(4)
    world.draw()
    return world


@pytest.fixture
def dealt(drawn):
    """A key of 2 of 4 is in force."""
    drawn.deal(2)
    return drawn


@pytest.fixture
def forced(dealt):
    """The licensee demands answers."""
    dealt.force()
    return dealt


class TestRequest:
    """`request`"""

    def test_refuses_who_does_not_own_the_asset(self, world, stranger):
        with reverts_with(world.keys.NotAssetOwner, assetId=world.asset, caller=stranger, owner=world.owner):
            world.keys.request(world.asset, 1, 3, sender=stranger)

    @pytest.mark.parametrize(("places", "limit"), [(0, 64), (65, 64), (7, 6)])
    def test_refuses_more_places_than_there_can_be(self, world, places, limit):
        with reverts_with(world.keys.PlacesOutOfRange, places=places, limit=limit):
            world.keys.request(world.asset, 1, places, sender=world.owner)

    def test_refuses_a_shard_without_a_roster(self, world):
        world.system.with_shard()
        with reverts_with(world.keys.NoRoster, shard=2):
            world.keys.request(world.asset, 2, 3, sender=world.owner)

    def test_counts_key_epochs_and_names_a_later_block(self, world):
        receipt = world.keys.request(world.asset, 1, 3, sender=world.owner)
        record = world.keys.keyOf(world.asset, 1)
        assert record.seedBlock == receipt.block_number + world.system.parameters["finality"]
        assert (record.places, record.roster, record.threshold, record.drawnBlock) == (3, 1, 0, 0)
        world.keys.request(world.asset, 1, 3, sender=world.owner)
        assert tuple(world.keys.epochsOf(world.asset)) == (2, 0, False)
        assert world.keys.holdersOf(world.asset, 2) == []


class TestDraw:
    """`draw`"""

    def test_refuses_an_unknown_key(self, world):
        for call in (
            lambda: world.keys.draw(world.asset, 9, b"", [], sender=world.owner),
            lambda: world.keys.keyOf(world.asset, 9),
        ):
            with reverts_with(world.keys.KeyUnknown, assetId=world.asset, epoch=9):
                call()

    def test_refuses_before_the_seed_block(self, world):
        world.keys.request(world.asset, 1, 3, sender=world.owner)
        with reverts_with(world.system.beacon.BlockUnreachable):
            world.keys.draw(world.asset, 1, b"\xc0", [0], sender=world.owner)

    def test_draws_distinct_operators_by_their_tickets(self, world, stranger):
        """Each step lies in the seat named; a repeated operator is passed over; the stream's length is kept."""
        world.request(6)
        expected = world.follow([None] * 6)
        world.draw(sender=stranger)
        assert tuple(world.holders()) == expected.operators
        assert len(set(world.holders())) == 6
        assert len(expected.steps) >= 6
        assert world.record.steps == len(expected.steps)

    def test_refuses_another_seat_than_the_one_drawn(self, world):
        world.request(4)
        steps = list(world.follow([None] * 4).steps)
        other = next(seat.number for seat in world.seats() if seat.number != steps[1])
        header = world.system.header(world.record.seedBlock)
        with reverts_with(world.keys.SeatWrong, step=1, ticket=world.ticket_of(1), seat=other):
            world.keys.draw(world.asset, 1, header, [steps[0], other], sender=world.owner)
        with reverts_with(world.keys.DrawIncomplete, missing=4 - len(set(steps[:3]))):
            world.keys.draw(world.asset, 1, header, steps[:3], sender=world.owner)

    def test_passes_over_who_did_not_accept_to_be_slashed(self, world, project, deployer):
        """An operator becomes a holder by its own will only: here, nobody accepted this other Keys."""
        system = world.system
        parts = (system.directory, system.assets, system.payments, system.licenses)
        other = deployer.deploy(project.Keys, *parts, deployer.deploy(project.KeyProofs), 1)
        other.request(world.asset, 1, 1, sender=world.owner)
        record = other.keyOf(world.asset, 1)
        system.go_to_block(record.seedBlock + 1)
        from qanat.keys.drawing import drawn_ticket

        seed = system.block_value(record.seedBlock)
        ticket = drawn_ticket(chain.chain_id, other.address, world.asset, 1, seed, 0, 7)
        entries = system.shards.rosterEntries(1, 1, 0, 99)
        seat = next(i for i, e in enumerate(entries) if e.firstTicket <= ticket < e.firstTicket + e.tickets)
        with reverts_with(other.DrawIncomplete, missing=1):
            other.draw(world.asset, 1, system.header(record.seedBlock), [seat], sender=world.owner)

    def test_refuses_a_second_draw(self, drawn):
        with reverts_with(drawn.keys.AlreadyDrawn, assetId=drawn.asset, epoch=drawn.epoch):
            drawn.keys.draw(drawn.asset, drawn.epoch, b"", [], sender=drawn.owner)


class TestRedraw:
    """`redraw`"""

    def wait(self, world):
        world.system.go_to_block(world.record.drawnBlock + world.system.parameters["window"])

    def test_refuses_before_holders_had_their_time(self, drawn):
        from_block = drawn.record.drawnBlock + drawn.system.parameters["window"] + 1
        with reverts_with(drawn.keys.RedrawTooEarly, fromBlock=from_block):
            drawn.keys.redraw(drawn.asset, drawn.epoch, 1, [], sender=drawn.owner)

    def test_replaces_the_silent_by_the_next_of_the_same_draw(self, drawn):
        """Never by one that was silent; the others keep their places, and with all six the key can be dealt."""
        before, record = drawn.holders(), drawn.record
        self.wait(drawn)
        places = [None if place in (1, 3) else holder for place, holder in enumerate(before)]
        expected = drawn.follow(places, former=before, first_step=record.steps)
        drawn.keys.redraw(drawn.asset, drawn.epoch, 0b1010, list(expected.steps), sender=drawn.owner)
        after = drawn.holders()
        assert tuple(after) == expected.operators
        assert (after[0], after[2]) == (before[0], before[2])
        assert not {after[1], after[3]} & set(before)
        drawn.deal(3)
        assert drawn.record.redraws == 2

    def test_who_was_silent_gets_no_other_silent_holders_place(self, world):
        """Two that are silent don't swap places: the draw names one of them again first, and passes it over."""
        for _ in range(12):  # one in twenty draws names both others first: the test fails without a fault once in 10^15
            world.request(4)
            world.draw()
            before, first = world.holders(), world.record.steps
            named = self.named_before_both_others(world, before, first)
            if named is not None:
                break
        silent = {before.index(named), (before.index(named) + 1) % 4}
        self.wait(world)
        places = [None if place in silent else item for place, item in enumerate(before)]
        expected = world.follow(places, former=before, first_step=first)
        bits = sum(1 << place for place in silent)
        world.keys.redraw(world.asset, world.epoch, bits, list(expected.steps), sender=world.owner)
        after = world.holders()
        assert tuple(after) == expected.operators
        assert {after[place] for place in silent} == set(self.others(world, before))

    def others(self, world, holders):
        return [seat.operator for seat in world.seats() if seat.operator not in holders]

    def named_before_both_others(self, world, holders, step):
        """The first holder that the draw names again before it has named both operators that are none."""
        others = set(self.others(world, holders))
        while others:
            ticket = world.ticket_of(step)
            (seat,) = (item for item in world.seats() if 0 <= ticket - item.first_ticket < item.tickets)
            if seat.operator in holders:
                return seat.operator
            others.discard(seat.operator)
            step += 1
        return None

    def test_refuses_strangers_nothing_too_many_and_before_a_draw(self, drawn, stranger):
        keys, names = drawn.keys, (drawn.asset, drawn.epoch)
        self.wait(drawn)
        with reverts_with(keys.NotAssetOwner):
            keys.redraw(*names, 1, [], sender=stranger)
        with reverts_with(keys.NothingToRedraw, silent=16):
            keys.redraw(*names, 16, [], sender=drawn.owner)
        keys.request(drawn.asset, 1, 6, sender=drawn.owner)
        with reverts_with(keys.NotDrawn, assetId=drawn.asset, epoch=2):
            keys.redraw(drawn.asset, 2, 1, [], sender=drawn.owner)
        drawn.request(6)
        drawn.draw()
        self.wait(drawn)
        with reverts_with(keys.TooManyRedraws, redraws=5, limit=4):
            keys.redraw(drawn.asset, drawn.epoch, 31, [], sender=drawn.owner)
        drawn.epoch = 1

    def test_refuses_once_dealt(self, dealt):
        with reverts_with(dealt.keys.AlreadyDealt, assetId=dealt.asset, epoch=dealt.epoch):
            dealt.keys.redraw(dealt.asset, dealt.epoch, 1, [], sender=dealt.owner)


class TestDeal:
    """`deal`"""

    def test_a_key_comes_into_force_and_the_licensee_opens_it(self, drawn):
        """With the holders' answers made off chain; the digest here and there is the same."""
        receipt = drawn.deal(3)
        record = drawn.record
        assert (record.threshold, record.dealtBlock) == (3, receipt.block_number)
        assert bytes(record.root) == drawn.dealing.commitments.root
        (event,) = receipt.decode_logs(drawn.keys.KeyDealt)
        assert bytes(event.published) == drawn.dealing.commitments.published
        digest = drawn.keys.dealingDigest(*drawn.deal_arguments())
        assert bytes(digest) == digest_of(drawn.context, drawn.dealing.commitments)
        assert tuple(drawn.keys.epochsOf(drawn.asset)) == (drawn.epoch, drawn.epoch, False)
        from qanat.keys.release import release

        answers = {i: release(drawn.context, drawn.dealing.shares[i], drawn.licensee_key.point) for i in (0, 2, 3)}
        assert open_key(drawn.context, drawn.dealing.commitments, drawn.licensee_key, answers) == DATA_KEY

    def test_binds_the_holders_until_their_rosters_term_is_over(self, dealt):
        """Though no object lives so long: else a holder could leave, and then stay silent."""
        shards, holder = dealt.system.shards, dealt.operator_at(0)
        end = dealt.record.endEpoch
        last = shards.seedBlockOf(1, end - 1)
        p = dealt.system.parameters
        dealt.system.go_to_block(shards.seedBlockOf(1, 8) + 1)
        assert shards.boundUntil(holder, 0, chain.blocks.height) == (
            last + p["sealingLimit"] + p["window"] + p["reporting"] + 1
        )

    def test_binds_who_left_also_when_another_roster_is_active(self, dealt):
        """One that was replaced binds no longer than what was recorded of it: an object's few epochs, or a key."""
        system, shards = dealt.system, dealt.system.shards
        holder = next(
            item for item in system.enrolled if item.address == dealt.operator_at(place_with_one_ticket(dealt))
        )
        system.members.exit(1, sender=holder.account)
        system.go_to_epoch(system.head(system.take_roster()).activeFromEpoch + 2)
        assert shards.activeRoster(1) == 2
        p = system.parameters
        last = shards.seedBlockOf(1, dealt.record.endEpoch - 1)
        assert shards.boundUntil(holder.address, 0, chain.blocks.height) == (
            last + p["sealingLimit"] + p["window"] + p["reporting"] + 1
        )

    def test_refuses_with_any_signature_missing_or_over_anything_else(self, drawn):
        """Three of four; over another asset's, epoch's, threshold's, root's digest."""
        dealing = drawn.make_dealing(2)
        digest = digest_of(drawn.context, dealing.commitments)
        arguments = drawn.deal_arguments()
        others = [
            drawn.make_context(asset_id=drawn.asset + 1),
            drawn.make_context(key_epoch=drawn.epoch + 1),
            drawn.make_context(chain_id=1),
            drawn.make_context(holders=drawn.context.holders[::-1]),
        ]
        signatures = [drawn.signature(digest, drawn.holders()[:3])]
        signatures += [drawn.signature(digest_of(other, dealing.commitments)) for other in others]
        for signature in signatures:
            with reverts_with(drawn.keys.DealingSignatureInvalid, digest=digest):
                drawn.keys.deal(*arguments, signature, sender=drawn.owner)
        arguments[2] = 3
        with reverts_with(drawn.keys.DealingSignatureInvalid):
            drawn.keys.deal(*arguments, drawn.signature(digest), sender=drawn.owner)

    def test_refuses_what_does_not_fit(self, drawn, stranger):
        keys = drawn.keys
        drawn.make_dealing(2)
        asset, epoch, threshold, root, published = drawn.deal_arguments()
        with reverts_with(keys.NotAssetOwner, caller=stranger):
            keys.deal(asset, epoch, threshold, root, published, bytes(128), sender=stranger)
        for wrong in (0, 5):
            with reverts_with(keys.ThresholdInvalid, threshold=wrong, places=4):
                keys.deal(asset, epoch, wrong, root, published, bytes(128), sender=drawn.owner)
        with reverts_with(keys.PublishedLengthWrong, got=len(published) + 1, expected=192 + 4 * 96 + 48):
            keys.deal(asset, epoch, threshold, root, published + b"\0", bytes(128), sender=drawn.owner)
        keys.request(asset, 1, 4, sender=drawn.owner)
        with reverts_with(keys.NotDrawn):
            keys.deal(asset, epoch + 1, threshold, root, published, bytes(128), sender=drawn.owner)

    def test_refuses_a_second_time_and_an_older_epoch(self, drawn):
        older = drawn.epoch
        drawn.request(4)
        drawn.draw()
        drawn.deal(2)
        with reverts_with(drawn.keys.AlreadyDealt, epoch=drawn.epoch):
            drawn.keys.deal(*drawn.deal_arguments(), bytes(128), sender=drawn.owner)
        newest, drawn.epoch = drawn.epoch, older
        drawn.make_dealing(2)
        with reverts_with(drawn.keys.EpochPassed, epoch=older, current=newest):
            drawn.keys.deal(*drawn.deal_arguments(), bytes(128), sender=drawn.owner)

    def test_refuses_the_secret_of_another_key(self, drawn):
        """Copied commitments: though all holders sign it, the same Y_0 is not dealt twice."""
        coefficients = (777, 888)
        drawn.context = drawn.make_context()
        drawn.dealing = deal_polynomial(drawn.context, coefficients, DATA_KEY)
        digest = digest_of(drawn.context, drawn.dealing.commitments)
        drawn.keys.deal(*drawn.deal_arguments(), drawn.signature(digest), sender=drawn.owner)
        older = drawn.epoch
        drawn.request(4)
        drawn.draw()
        drawn.context = drawn.make_context()
        drawn.dealing = deal_polynomial(drawn.context, coefficients, DATA_KEY)
        digest = digest_of(drawn.context, drawn.dealing.commitments)
        secret_hash = keccak(drawn.dealing.commitments.secret_point)
        with reverts_with(drawn.keys.SecretUsed, secretHash=secret_hash):
            drawn.keys.deal(*drawn.deal_arguments(), drawn.signature(digest), sender=drawn.owner)
        drawn.epoch = older

    def test_refuses_when_the_rosters_term_is_almost_over(self, drawn):
        """Nobody could be held to it."""
        drawn.system.go_to_epoch(drawn.record.endEpoch - 1)
        drawn.make_dealing(2)
        digest = digest_of(drawn.context, drawn.dealing.commitments)
        with reverts_with(drawn.keys.KeyEnded, assetId=drawn.asset, epoch=drawn.epoch):
            drawn.keys.deal(*drawn.deal_arguments(), drawn.signature(digest), sender=drawn.owner)

    def test_refuses_when_another_roster_is_active(self, drawn):
        """Or an owner with one holder that signs binds everybody in a roster that had let them go (I-S5)."""
        system = drawn.system
        drawn.make_dealing(2)
        signature = drawn.signature(digest_of(drawn.context, drawn.dealing.commitments))
        leaver = next(item for item in system.enrolled if item.address not in drawn.holders())
        system.members.exit(1, sender=leaver.account)
        system.take_roster()
        with reverts_with(drawn.keys.RosterReplaced, roster=1, active=2):
            drawn.keys.deal(*drawn.deal_arguments(), signature, sender=drawn.owner)

    def test_a_handover_makes_a_key_stale(self, dealt, stranger):
        """The new owner sees it, and asks for a new key epoch; the old one serves until then."""
        dealt.system.assets.transferFrom(dealt.owner, stranger, dealt.asset, sender=dealt.owner)
        assert tuple(dealt.keys.epochsOf(dealt.asset)) == (dealt.epoch, dealt.epoch, True)
        dealt.keys.request(dealt.asset, 1, 4, sender=stranger)
        dealt.force()


class TestForce:
    """`force`"""

    def test_prepays_every_holder_and_sets_a_deadline(self, dealt):
        payments, token = dealt.system.payments, dealt.system.payment_token
        dealt.pay_for()
        before = token.balanceOf(dealt.licensee)
        receipt = dealt.keys.force(*dealt.force_arguments(), sender=dealt.licensee)
        release = dealt.keys.releaseOf(dealt.release_id())
        p = dealt.system.parameters
        assert release.licensee == dealt.licensee
        assert (release.deadline, release.reportLimit) == (
            receipt.block_number + p["window"],
            receipt.block_number + p["window"] + p["reporting"],
        )
        assert before - token.balanceOf(dealt.licensee) == 4 * ANSWER_FEE
        account = payments.moduleAccount(dealt.keys, module_name("forced releases"))
        assert payments.balanceOf(token, account) == 4 * ANSWER_FEE
        (event,) = receipt.decode_logs(dealt.keys.ReleaseForced)
        assert (bytes(event.id), bytes(event.point)) == (dealt.release_id(), dealt.licensee_key.point)

    def test_once_for_each_license_key_epoch_and_point(self, forced):
        with reverts_with(forced.keys.AlreadyForced, id=forced.release_id()):
            forced.force()
        other = LicenseeKey(5)
        forced.force(other)
        assert forced.release_id(other) != forced.release_id()

    def test_refuses_who_is_not_licensed(self, dealt, stranger):
        keys = dealt.keys
        arguments = dealt.force_arguments()
        with reverts_with(keys.NotLicensee, licenseId=dealt.license, caller=stranger, licensee=dealt.licensee):
            keys.force(*arguments, sender=stranger)
        with reverts_with(keys.NotDealt):
            keys.request(dealt.asset, 1, 4, sender=dealt.owner)
            keys.force(arguments[0], 2, *arguments[2:], sender=dealt.licensee)
        other = dealt.system.store(dealt.owner, dealt.system.data[next(iter(dealt.system.data))])
        dealt.system.assets.mint([other], bytes(32), "", sender=dealt.owner)
        offer = dealt.market.offer(dealt.owner, dealt.system.assets.count(), earnedAtReleaseBps=0)
        foreign = dealt.market.buy(offer, dealt.licensee)
        with reverts_with(keys.LicenseNotInForce, licenseId=foreign):
            keys.force(*arguments[:2], foreign, *arguments[3:], sender=dealt.licensee)
        dealt.system.licenses.revoke(dealt.license, bytes(32), bytes(32), sender=dealt.owner)
        with reverts_with(keys.LicenseNotInForce, licenseId=dealt.license):
            keys.force(*arguments, sender=dealt.licensee)

    def test_refuses_a_license_that_is_over(self, dealt):
        chain.pending_timestamp += 31 * 86_400
        with reverts_with(dealt.keys.LicenseNotInForce, licenseId=dealt.license):
            dealt.keys.force(*dealt.force_arguments(), sender=dealt.licensee)

    def test_what_is_earned_at_the_release_must_be(self, dealt):
        """Else a licensee takes the key here, and its money back at the end."""
        offer = dealt.market.offer(dealt.owner, dealt.asset, earnedAtReleaseBps=1)
        bought = dealt.market.buy(offer, dealt.licensee)
        arguments = dealt.force_arguments()
        with reverts_with(dealt.keys.ReleaseNotRecorded, licenseId=bought):
            dealt.keys.force(*arguments[:2], bought, *arguments[3:], sender=dealt.licensee)

        # no holder need record it: the licensee does
        licenses, far = dealt.market.licenses, 2**40
        licenses.recordRelease(bought, dealt.licensee, bytes(32), far, b"", sender=dealt.licensee)
        dealt.pay_for()
        receipt = dealt.keys.force(*arguments[:2], bought, *arguments[3:], sender=dealt.licensee)
        assert receipt.events.filter(dealt.keys.ReleaseForced)

    def test_refuses_points_without_a_proof(self, dealt, stranger):
        """Somebody else's proof, another point's, none; P made of R, of which nobody knows the logarithm."""
        keys, sender = dealt.keys, dealt.licensee
        asset, epoch, licensed, point, c, z = dealt.force_arguments()
        base = dealt.context.base(KERNEL)
        crooked = KERNEL.combine_g1([base, point], [MINUS_ONE, 1])
        stolen = dealt.force_arguments(licensee=stranger)[4:]
        for values in ((point, c, z + 1), (point, c ^ 1, z), (crooked, c, z), (point, *stolen), (point, 0, 0)):
            with reverts_with(keys.PossessionInvalid, licensee=sender):
                keys.force(asset, epoch, licensed, *values, sender=sender)

    def test_refuses_the_identity_and_what_is_no_point(self, dealt):
        """As P; R + P: the next test."""
        from tests.contracts import curve_points as cp

        asset, epoch, licensed, _, c, z = dealt.force_arguments()
        for bad in (bytes(96), b"\1" * 96, b"\xff" * 96, cp.raw(cp.g1_outside_subgroup())):
            with reverts_with(dealt.system.project.IKeyProofs.PointRejected, point=bad):
                dealt.keys.force(asset, epoch, licensed, bad, c, z, sender=dealt.licensee)

    def test_a_sum_that_is_the_identity_is_refused(self, dealt):
        """P = -R: no proof of it is known that would get it past `force`, so the contract that adds is asked itself."""
        proofs = dealt.system.project.KeyProofs.at(dealt.keys.PROOFS())
        digest = keccak(tag("key-base") + dealt.context.identity)
        minus_base = KERNEL.combine_g1([dealt.context.base(KERNEL)], [MINUS_ONE])
        with reverts_with(dealt.system.project.IKeyProofs.PointRejected, point=minus_base):
            proofs.blind(digest, minus_base)
        point = dealt.licensee_key.point
        assert bytes(proofs.blind(digest, point)) == blinded_base(dealt.context, point)

    def test_refuses_when_holders_have_no_duty_any_more(self, dealt):
        dealt.system.go_to_epoch(dealt.record.endEpoch - 1)
        with reverts_with(dealt.keys.KeyEnded, assetId=dealt.asset, epoch=dealt.epoch):
            dealt.keys.force(*dealt.force_arguments(), sender=dealt.licensee)


class TestAnswer:
    """`answer`"""

    def test_answers_open_the_key(self, forced, stranger):
        """Whoever brings them: what the events hold is enough, with what the dealing published."""
        answers = {}
        for place in (1, 3):
            receipt = forced.answer(place, sender=stranger)
            (event,) = receipt.decode_logs(forced.keys.ReleaseAnswered)
            answers[event.place] = bytes(event.answer)
        assert open_key(forced.context, forced.dealing.commitments, forced.licensee_key, answers) == DATA_KEY
        assert forced.keys.releaseOf(forced.release_id()).answered == 0b1010

    def test_refuses_every_wrong_answer(self, forced):
        """To another P, of another holder, altered, the identity, outside of the subgroup; Python says the same."""
        from tests.contracts import curve_points as cp

        good = forced.witness(0)
        right = good[96:192]
        other = forced.witness(0, LicenseeKey(5))[96:192]
        foreign = forced.witness(1)[96:192]
        negative = KERNEL.combine_g1([right], [MINUS_ONE])
        bad = (other, foreign, negative, bytes(96), cp.raw(cp.g1_outside_subgroup()), b"\1" * 96, good[:96])
        commitment = forced.dealing.commitments.points[0]
        for answer in bad:
            assert not any(is_right(good[:96], commitment, answer, kernel=name) for name in ("fast", "reference"))
            with reverts_with(forced.keys.AnswerWrong, place=0):
                forced.keys.answer(*forced.names(), 0, good[:96] + answer + good[192:], sender=forced.owner)
        assert all(is_right(good[:96], commitment, right, kernel=name) for name in ("fast", "reference"))
        receipt = forced.keys.answer(*forced.names(), 0, good, sender=forced.owner)
        (event,) = receipt.decode_logs(forced.keys.ReleaseAnswered)
        assert bytes(event.answer) == right

    def test_refuses_what_does_not_belong_to_it(self, forced):
        """Another R + P, another place's commitment or path, other lengths, an unknown place or release."""
        keys, names = forced.keys, forced.names()
        good = forced.witness(0)
        with reverts_with(keys.BlindedWrong, got=keccak(good[96:192])):
            keys.answer(*names, 0, good[96:192] + good[96:], sender=forced.owner)
        for place, witness in ((1, good), (0, good[:-1] + bytes([good[-1] ^ 1]))):
            with reverts_with(keys.CommitmentWrong, place=place):
                keys.answer(*names, place, witness, sender=forced.owner)
        for witness in (good[:-32], good + bytes(32), b""):
            with reverts_with(keys.WitnessLengthWrong, got=len(witness), expected=384 + 64):
                keys.answer(*names, 0, witness, sender=forced.owner)
        with reverts_with(keys.PlaceUnknown, place=4, places=4):
            keys.answer(*names, 4, good, sender=forced.owner)
        with reverts_with(keys.ReleaseUnknown):
            keys.answer(names[0], names[1], names[2] + 1, names[3], 0, good, sender=forced.owner)
        with reverts_with(keys.ReleaseUnknown):
            keys.releaseOf(bytes(32))

    def test_counts_once_and_in_time(self, forced):
        forced.answer(0)
        with reverts_with(forced.keys.AlreadyAnswered, id=forced.release_id(), place=0):
            forced.answer(0)
        deadline = forced.keys.releaseOf(forced.release_id()).deadline
        forced.system.go_to_block(deadline - 1)
        forced.answer(1)
        with reverts_with(forced.keys.AnswerTooLate, deadline=deadline, blockNumber=deadline + 1):
            forced.answer(2)


def replace(system, name, module):
    """Put a module in force, as the governor can: announced, waited for, applied."""
    system.directory.queueChange(module_name(name), module, sender=system.governor)
    chain.mine(TIMELOCK)
    system.directory.applyChange(module_name(name), sender=system.governor)


def place_with_one_ticket(world):
    """Return the place of a holder whose bond one miss takes below the least; a bond of two tickets stands one."""
    seats = {seat.operator: seat.tickets for seat in world.seats()}
    return next(place for place, holder in enumerate(world.holders()) if seats[holder] == 1)


def due_slash(world, place):
    """Report a holder's miss that takes it below the least bond; return the slash, which may be executed now."""
    system, epoch = world.system, max(world.system.epoch + 1, 2)
    system.seal(epoch)
    system.end_window(epoch)
    system.audits.reportMiss(1, epoch, world.operator_at(place), sender=world.owner)
    chain.mine(RESOLUTION_DELAY)
    return system.restaking.slashId(1, epoch, world.operator_at(place))


class TestReportSilent:
    """`reportSilent`"""

    def end(self, world):
        deadline = world.keys.releaseOf(world.release_id()).deadline
        world.system.go_to_block(deadline)
        return deadline

    def test_a_silent_holder_is_slashed_as_for_a_missed_ticket(self, forced, auditor):
        holder = forced.operator_at(2)
        deadline = self.end(forced)
        receipt = forced.keys.reportSilent(*forced.names(), 2, sender=auditor)
        (event,) = receipt.decode_logs(forced.keys.HolderReported)
        restaking, shards = forced.system.restaking, forced.system.shards
        epoch = shards.epochAt(1, deadline)
        assert bytes(event.slashId) == bytes(restaking.slashId(1, SILENT | epoch, holder))
        slash = restaking.slashOf(event.slashId)
        assert (slash.operator, slash.reporter, slash.roster) == (holder, auditor, 1)
        bond = restaking.bondOf(holder, 1)
        taken = shards.slashTerms(1, 1, holder)[0]
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(event.slashId, sender=auditor)
        assert bond - restaking.bondOf(holder, 1) == taken > 0
        state = forced.system.members.memberOf(1, holder)
        assert state.missEpoch == epoch

    def test_a_miss_of_the_same_epoch_is_another_fault(self, forced, auditor):
        """Neither hides the other."""
        self.end(forced)
        receipt = forced.keys.reportSilent(*forced.names(), 2, sender=auditor)
        (event,) = receipt.decode_logs(forced.keys.HolderReported)
        epoch = forced.system.shards.epochAt(1, chain.blocks.height)
        miss = forced.system.restaking.slashId(1, epoch, forced.operator_at(2))
        assert bytes(miss) != bytes(event.slashId)
        with reverts_with(forced.system.restaking.SlashUnknown, id=miss):
            forced.system.restaking.slashOf(miss)

    def test_one_slash_for_each_operator_and_epoch(self, forced):
        """Many requests of one licensee while a holder is away cost it one missed ticket an epoch."""
        other = LicenseeKey(5)
        forced.force(other)
        self.end(forced)
        chain.mine(1)
        forced.keys.reportSilent(*forced.names(), 2, sender=forced.owner)
        with reverts_with(forced.system.restaking.SlashExists):
            forced.keys.reportSilent(*forced.names(other), 2, sender=forced.owner)

    def test_refuses_early_late_answered_or_reported(self, forced):
        keys, names = forced.keys, forced.names()
        release = keys.releaseOf(forced.release_id())
        forced.answer(0)
        with reverts_with(keys.ReportTooEarly, deadline=release.deadline):
            keys.reportSilent(*names, 2, sender=forced.owner)
        self.end(forced)
        with reverts_with(keys.AlreadyAnswered, place=0):
            keys.reportSilent(*names, 0, sender=forced.owner)
        with reverts_with(keys.PlaceUnknown, place=4):
            keys.reportSilent(*names, 4, sender=forced.owner)
        keys.reportSilent(*names, 2, sender=forced.owner)
        with reverts_with(keys.AlreadyReported, id=forced.release_id(), place=2):
            keys.reportSilent(*names, 2, sender=forced.owner)
        forced.system.go_to_block(release.reportLimit)
        with reverts_with(keys.ReportTooLate, limit=release.reportLimit):
            keys.reportSilent(*names, 3, sender=forced.owner)

    def test_a_vacant_place_has_no_duty(self, dealt, auditor):
        """Its bond is gone, and with it what it could answer for."""
        # one with a single ticket: its bond is the least
        restaking, least = dealt.system.restaking, dealt.system.parameters["minBond"]
        holder = next(item for item in dealt.holders() if restaking.bondOf(item, 1) == least)
        place = dealt.holders().index(holder)
        epoch = dealt.system.epoch + 1
        vacated = dealt.system.vacate(holder, max(epoch, 2))
        dealt.force()
        self.end(dealt)
        with reverts_with(dealt.keys.PlaceVacant, operator=holder, sinceBlock=vacated):
            dealt.keys.reportSilent(*dealt.names(), place, sender=auditor)

    def test_a_place_that_falls_vacant_after_its_silence_answers_for_it(self, dealt, auditor):
        """Its stake is bound for as long as it can be reported; a slash that is due stands."""
        place = place_with_one_ticket(dealt)
        due = due_slash(dealt, place)
        dealt.force()
        self.end(dealt)
        dealt.system.restaking.executeSlash(due, sender=auditor)
        assert dealt.system.shards.vacatedAt(1, 1, dealt.operator_at(place)) != 0
        dealt.keys.reportSilent(*dealt.names(), place, sender=auditor)


class TestSettle:
    """`settle`"""

    def test_pays_who_answered_and_the_licensee_the_rest(self, forced, stranger):
        """To the unit; nothing is left here."""
        system = forced.system
        forced.answer(1)
        forced.answer(3)
        deadline = forced.keys.releaseOf(forced.release_id()).deadline
        with reverts_with(forced.keys.SettleTooEarly, deadline=deadline):
            forced.keys.settle(*forced.names(), sender=stranger)
        system.go_to_block(deadline)
        before = {holder: system.earned(holder) for holder in (*forced.holders(), forced.licensee.address)}
        receipt = forced.keys.settle(*forced.names(), sender=stranger)
        gained = {holder: system.earned(holder) - was for holder, was in before.items()}
        holders = forced.holders()
        assert gained == {
            holders[0]: 0,
            holders[1]: ANSWER_FEE,
            holders[2]: 0,
            holders[3]: ANSWER_FEE,
            forced.licensee.address: 2 * ANSWER_FEE,
        }
        (event,) = receipt.decode_logs(forced.keys.ReleaseSettled)
        assert (event.paid, event.refunded) == (2 * ANSWER_FEE, 2 * ANSWER_FEE)
        account = system.payments.moduleAccount(forced.keys, module_name("forced releases"))
        assert system.payments.balanceOf(system.payment_token, account) == 0
        with reverts_with(forced.keys.AlreadySettled, id=forced.release_id()):
            forced.keys.settle(*forced.names(), sender=stranger)

    def test_at_once_when_all_have_answered(self, forced):
        for place in range(4):
            forced.answer(place)
        receipt = forced.keys.settle(*forced.names(), sender=forced.owner)
        (event,) = receipt.decode_logs(forced.keys.ReleaseSettled)
        assert (event.paid, event.refunded) == (4 * ANSWER_FEE, 0)


class TestReportWrong:
    """`reportWrong`"""

    def test_a_signed_wrong_answer_is_slashed(self, dealt, auditor):
        """Once for the epoch of its block."""
        wrong = dealt.receipt(0, answer=dealt.receipt(1)["answer"])
        call = (wrong, dealt.sign_receipt(wrong), dealt.commitment_witness(0))
        receipt = dealt.keys.reportWrong(*call, sender=auditor)
        (event,) = receipt.decode_logs(dealt.keys.HolderReported)
        epoch = dealt.system.shards.epochAt(1, wrong["blockNumber"])
        expected = dealt.system.restaking.slashId(1, WRONG | epoch, dealt.operator_at(0))
        assert (event.operator, event.fault, bytes(event.slashId)) == (dealt.operator_at(0), 1, bytes(expected))
        with reverts_with(dealt.system.restaking.SlashExists):
            dealt.keys.reportWrong(*call, sender=auditor)

    def test_one_receipt_is_one_fault_in_later_epochs_too(self, dealt, auditor):
        """Else its reporter has its holder slashed epoch after epoch, until nothing is left."""
        end = dealt.system.shards.seedBlockOf(1, dealt.system.epoch + 1)
        dealt.system.go_to_block(end - 3)
        wrong = dealt.receipt(0, answer=dealt.receipt(1)["answer"])
        call = (wrong, dealt.sign_receipt(wrong), dealt.commitment_witness(0))
        dealt.keys.reportWrong(*call, sender=auditor)
        dealt.system.go_to_block(end + 1)
        assert dealt.system.shards.epochAt(1, wrong["blockNumber"]) < dealt.system.epoch
        with reverts_with(dealt.system.restaking.SlashExists):
            dealt.keys.reportWrong(*call, sender=auditor)

    def test_refuses_what_is_long_past_or_still_to_come(self, dealt, auditor):
        """Who delegates to a holder later pays for nothing of before."""
        wrong = dealt.receipt(0, answer=dealt.receipt(1)["answer"])
        call = (wrong, dealt.sign_receipt(wrong), dealt.commitment_witness(0))
        limit = wrong["blockNumber"] + dealt.system.parameters["window"] + dealt.system.parameters["reporting"]
        coming = {**wrong, "blockNumber": limit + 100}
        with reverts_with(dealt.keys.ReportTooEarly, deadline=limit + 100):
            dealt.keys.reportWrong(coming, dealt.sign_receipt(coming), call[2], sender=auditor)
        dealt.system.go_to_block(limit)
        with reverts_with(dealt.keys.ReportTooLate, limit=limit, blockNumber=limit + 1):
            dealt.keys.reportWrong(*call, sender=auditor)

    def test_a_place_that_falls_vacant_after_the_fault_answers_for_it(self, dealt, auditor):
        place = place_with_one_ticket(dealt)
        due = due_slash(dealt, place)
        wrong = dealt.receipt(place, answer=dealt.receipt((place + 1) % 4)["answer"])
        call = (wrong, dealt.sign_receipt(wrong), dealt.commitment_witness(place))
        dealt.system.restaking.executeSlash(due, sender=auditor)
        vacated = dealt.system.shards.vacatedAt(1, 1, dealt.operator_at(place))
        dealt.keys.reportWrong(*call, sender=auditor)
        late = dealt.receipt(place, answer=wrong["answer"])
        with reverts_with(dealt.keys.PlaceVacant, operator=dealt.operator_at(place), sinceBlock=vacated):
            dealt.keys.reportWrong(late, dealt.sign_receipt(late), call[2], sender=auditor)

    @pytest.mark.parametrize("answer", [bytes(96), b"", b"\1" * 96, bytes(97)])
    def test_what_is_no_answer_at_all_is_wrong_too(self, dealt, auditor, answer):
        wrong = dealt.receipt(0, answer=answer)
        dealt.keys.reportWrong(wrong, dealt.sign_receipt(wrong), dealt.commitment_witness(0), sender=auditor)

    def test_a_right_answer_is_none(self, dealt, auditor):
        right = dealt.receipt(0)
        with reverts_with(dealt.keys.AnswerRight, place=0):
            dealt.keys.reportWrong(right, dealt.sign_receipt(right), dealt.commitment_witness(0), sender=auditor)

    def test_refuses_what_the_holder_did_not_sign(self, dealt, auditor):
        """Another's signature, another receipt's, another place's commitment, a place that there is not."""
        wrong = dealt.receipt(0, answer=dealt.receipt(1)["answer"])
        witness = dealt.commitment_witness(0)
        for signature in (
            dealt.sign_receipt(wrong, dealt.operator_at(1)),
            dealt.sign_receipt(dealt.receipt(0)),
        ):
            with reverts_with(dealt.keys.ReceiptSignatureInvalid, operator=dealt.operator_at(0)):
                dealt.keys.reportWrong(wrong, signature, witness, sender=auditor)
        signature = dealt.sign_receipt(wrong)
        with reverts_with(dealt.keys.CommitmentWrong, place=0):
            dealt.keys.reportWrong(wrong, signature, dealt.commitment_witness(1), sender=auditor)
        with reverts_with(dealt.keys.WitnessLengthWrong):
            dealt.keys.reportWrong(wrong, signature, witness[:-32], sender=auditor)
        with reverts_with(dealt.keys.PlaceUnknown, place=4):
            dealt.keys.reportWrong({**wrong, "place": 4}, signature, witness, sender=auditor)
        off_curve = dealt.receipt(0, point=b"\1" * 96)
        with reverts_with(dealt.system.project.IKeyProofs.PointRejected, point=b"\1" * 96):
            dealt.keys.reportWrong(off_curve, dealt.sign_receipt(off_curve), witness, sender=auditor)


class TestReportUnlicensed:
    """`reportUnlicensed`"""

    def headers(self, world, last):
        return world.system.header(last - world.system.parameters["finality"]), world.system.header(last)

    def report(self, world, receipt, sender):
        headers = self.headers(world, receipt["blockNumber"])
        return world.keys.reportUnlicensed(receipt, world.sign_receipt(receipt), *headers, sender=sender)

    def test_a_release_after_the_revocation_is_slashed(self, dealt, auditor):
        """When the license ended before block - finality: what the holder saw final said no."""
        dealt.system.licenses.revoke(dealt.license, bytes(32), bytes(32), sender=dealt.owner)
        chain.pending_timestamp += 1
        chain.mine(3)
        given = dealt.receipt(0)
        chain.mine(1)
        receipt = self.report(dealt, given, auditor)
        (event,) = receipt.decode_logs(dealt.keys.HolderReported)
        epoch = dealt.system.shards.epochAt(1, given["blockNumber"])
        expected = dealt.system.restaking.slashId(1, UNLICENSED | epoch, dealt.operator_at(0))
        assert (event.fault, bytes(event.slashId)) == (2, bytes(expected))

    def test_a_license_that_was_never_sold_is_none(self, dealt, auditor):
        given = dealt.receipt(0, licenseId=999)
        chain.mine(1)
        self.report(dealt, given, auditor)

    def test_a_license_that_ended_within_the_span_is_no_fault(self, dealt, auditor):
        """It was in force at the final block that the holder looked at; so are one that began, and one that is."""
        dealt.system.licenses.revoke(dealt.license, bytes(32), bytes(32), sender=dealt.owner)
        given = dealt.receipt(0)
        chain.mine(1)
        with reverts_with(dealt.keys.WasLicensed, licenseId=dealt.license):
            self.report(dealt, given, auditor)
        began = dealt.market.buy(dealt.offer, dealt.licensee)
        given = dealt.receipt(0, licenseId=began)
        chain.mine(1)
        with reverts_with(dealt.keys.WasLicensed, licenseId=began):
            self.report(dealt, given, auditor)

    def test_somebody_elses_license_proves_nothing(self, dealt, auditor, stranger):
        """It may have been the licensee's then, and passed on."""
        dealt.system.licenses.revoke(dealt.license, bytes(32), bytes(32), sender=dealt.owner)
        chain.mine(4)
        given = dealt.receipt(0, licensee=stranger.address)
        chain.mine(1)
        with reverts_with(dealt.keys.WasLicensed):
            self.report(dealt, given, auditor)

    def test_is_judged_by_the_licenses_that_holders_saw(self, dealt, project, deployer, auditor):
        """Not by those of a module that came later, which knows none of them; and who paid can force a release."""
        system = dealt.system
        later = deployer.deploy(project.Licenses, system.directory, system.assets, system.payments)
        replace(system, "licenses", later)
        with reverts_with(later.LicenseUnknown, licenseId=dealt.license):
            later.license(dealt.license)
        given = dealt.receipt(0)
        chain.mine(1)
        with reverts_with(dealt.keys.WasLicensed, licenseId=dealt.license):
            self.report(dealt, given, auditor)
        dealt.force()

    def test_refuses_headers_of_other_blocks(self, dealt, auditor):
        given = dealt.receipt(0, licenseId=999)
        last = given["blockNumber"]
        chain.mine(1)
        first, second = self.headers(dealt, last)
        signature = dealt.sign_receipt(given)
        with reverts_with(dealt.system.project.IKeyProofs.HeaderWrong, blockNumber=last):
            dealt.keys.reportUnlicensed(given, signature, first, first, sender=auditor)
        with reverts_with(dealt.system.project.IKeyProofs.HeaderWrong, blockNumber=last - 2):
            dealt.keys.reportUnlicensed(given, signature, second, second, sender=auditor)
        future = dealt.receipt(0, licenseId=999, blockNumber=last + 1000)
        with reverts_with(dealt.keys.ReportTooEarly, deadline=last + 1000):
            dealt.keys.reportUnlicensed(future, dealt.sign_receipt(future), first, second, sender=auditor)


def test_r_is_the_same_on_chain(project, dealt, deployer):
    """Hashed by the contract's own library and by the package, under the contract's own tag."""
    harness = deployer.deploy(project.Bls12381Harness)
    digest = keccak(tag("key-base") + dealt.context.identity)
    from qanat.kzg.points import to_padded

    found = harness.hashToG1(digest, BASE_TAG)
    padded = b"".join(int(part).to_bytes(32, "big") for part in found)
    assert padded == to_padded(dealt.context.base(KERNEL))


def test_a_receipts_digest_is_the_same_on_chain(dealt):
    """What a holder signs, computed by the package and by the contract."""
    receipt = dealt.receipt(1)
    fields = (receipt[name] for name in ("assetId", "epoch", "place", "licenseId"))
    made = Receipt(
        *fields, to_bytes(hexstr=receipt["licensee"]), receipt["blockNumber"], receipt["point"], receipt["answer"]
    )
    assert bytes(dealt.keys.receiptDigest(receipt)) == made.digest(chain.chain_id, dealt.contract)


def test_deal_makes_fresh_secrets(dealt):
    """Two dealings to the same holders share nothing."""
    first, second = (deal(dealt.context, 2, DATA_KEY).commitments for _ in range(2))
    assert first.secret_point != second.secret_point
    assert not set(first.matches) & set(second.matches)
