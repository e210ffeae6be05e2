"""Renewals, breaches with an arbiter, refunds where storage ended; what each leaves, by the exact model of streams."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_utils import keccak

from qanat.licensing.streams import Stream
from tests.contracts.licensing import DAY, EVALUATE, TERMS_FIELDS, TRAIN, make_market, name, object_id, terms_hash
from tests.contracts.reverts import reverts_with

CAUSE, EVIDENCE = keccak(text="cause"), keccak(text="evidence")
PRICE = 1_000_003
MONTH = 30 * DAY
FAR = 2**40


@pytest.fixture(scope="module")
def market(project, deployer, owner, licensee, stranger, auditor, operator):
    made = make_market(project, deployer)
    made.operators.put(operator, operator, sender=deployer)
    return made


@pytest.fixture(scope="module")
def licenses(market):
    return market.licenses


@pytest.fixture
def asset(market, owner):
    return market.mint(owner)


@pytest.fixture
def at(chain):
    """Return what mines the next block at a time."""

    def _at(time):
        chain.provider.set_timestamp(time)

    return _at


@pytest.fixture
def sell(market, owner, licensee, asset):
    """Return what sells a license, a quarter earned at the release, and returns (id, start, end)."""

    def _sell(**overrides):
        number = market.buy(market.offer(owner, asset, **overrides), licensee, seat=1 if "seats" in overrides else None)
        record = market.licenses.license(number)
        return number, record.start, record.end

    return _sell


@pytest.fixture
def renew(market, licenses, licensee):
    """Return what pays a license for one more period."""

    def _renew(number, payer=licensee):
        record = licenses.license(number)
        market.fund(payer, record.price)
        return licenses.renew(number, terms_hash(licenses.offer(record.offerId)[0]), sender=payer)

    return _renew


@pytest.fixture
def release(licenses, licensee, operator):
    def _release(number):
        digest = licenses.keyRequestDigest(number, operator, CAUSE, FAR)
        signature = bytes(Account.unsafe_sign_hash(digest, licensee.private_key).signature)
        return licenses.recordRelease(number, operator, CAUSE, FAR, signature, sender=operator)

    return _release


class TestRenew:
    def test_adds_a_period_at_the_end(self, market, licenses, asset, sell, renew, licensee, owner, at):
        """Paid now, earned then, and licensed without a gap, the past included."""
        number, start, end = sell()
        at(start + 10 * DAY)
        receipt = renew(number)
        assert receipt.events.filter(licenses.LicenseRenewed) == [
            licenses.LicenseRenewed(number, licensee, end + MONTH, PRICE)
        ]
        assert licenses.license(number).end == end + MONTH
        assert market.book(asset) == 2 * PRICE
        for time, answer in (
            (start - 1, False),
            (start, True),
            (end, True),
            (end + MONTH - 1, True),
            (end + MONTH, False),
        ):
            assert licenses.isLicensedAt(licensee, asset, TRAIN, time) is answer
            assert licenses.isActiveAt(number, TRAIN, time) is answer
        at(end + DAY + 1)
        assert market.settle(asset, sender=owner) < 750_003 + PRICE // 29
        at(end + MONTH + 2 * DAY)
        market.settle(asset, sender=owner)
        # the key was never released, and can't be any more
        assert market.payments.claimable(market.token, owner) == 750_003 + PRICE
        licenses.refundUnreleased(number, sender=owner)
        assert market.payments.claimable(market.token, licensee) == 250_000
        assert market.book(asset) == 0

    def test_goes_one_period_ahead_and_no_further(self, licenses, sell, renew, at):
        """Again when the period that it added has begun, any number of times."""
        number, _, end = sell()
        renew(number)
        with reverts_with(licenses.AlreadyRenewed, licenseId=number, end=end + MONTH):
            renew(number)
        at(end - 60)
        with reverts_with(licenses.AlreadyRenewed, licenseId=number, end=end + MONTH):
            renew(number)
        for period in range(1, 4):
            at(end + (period - 1) * MONTH + DAY)
            renew(number)
            assert licenses.license(number).end == end + (period + 1) * MONTH

    def test_anybody_may_pay_once_a_key_came(self, licenses, asset, sell, renew, release, licensee, stranger, owner):
        """It is the holder's all the same. Before, that would put off what comes back if none does."""
        number, _, end = sell()
        for payer in (stranger, owner):
            with reverts_with(licenses.NotLicensee, licenseId=number, caller=payer, licensee=licensee):
                renew(number, payer)
        release(number)
        renew(number, stranger)
        assert licenses.isLicensedAt(licensee, asset, TRAIN, end)
        assert not licenses.isLicensedAt(stranger, asset, TRAIN, end)

    def test_needs_the_offer_to_stand(self, market, licenses, asset, sell, renew, owner, licensee, stranger, chain):
        """Not withdrawn, of this tenure, with the terms that the payer read."""
        number, _, _ = sell()
        with reverts_with(licenses.TermsChanged, got=CAUSE):
            licenses.renew(number, CAUSE, sender=licensee)
        with chain.isolate():
            licenses.withdrawOffer(1, sender=owner)
            with reverts_with(licenses.OfferIsWithdrawn, offerId=1):
                renew(number)
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        with reverts_with(licenses.OfferVoid, offerId=1, publisher=owner, owner=stranger):
            renew(number)

    def test_needs_a_license_in_force(self, licenses, sell, renew, owner, at, chain):
        number, _, end = sell()
        with chain.isolate():
            licenses.revoke(number, CAUSE, EVIDENCE, sender=owner)
            with reverts_with(licenses.LicenseNotActive, licenseId=number):
                renew(number)
        at(end)
        with reverts_with(licenses.LicenseNotActive, licenseId=number):
            renew(number)

    def test_keeps_its_seat_and_its_purposes(self, market, licenses, asset, sell, renew, owner, stranger, at, chain):
        """An exclusive one stays alone to its new end, and its holder may renew it."""
        number, _, end = sell(seats=1, exclusive=True)
        plain = market.offer(owner, asset)
        renew(number)
        at(end + 1)
        chain.mine()
        with reverts_with(licenses.SeatTaken, offerId=1, seat=1, licenseId=number):
            market.buy(1, stranger, seat=1)
        with reverts_with(licenses.PurposeTaken, purpose=TRAIN, until=end + MONTH):
            market.buy(plain, stranger)
        licenses.revoke(number, CAUSE, EVIDENCE, sender=owner)
        market.buy(plain, stranger)

    def test_a_plain_one_keeps_exclusive_ones_out(
        self, market, licenses, asset, sell, renew, owner, stranger, at, chain
    ):
        number, _, end = sell()
        sole = market.offer(owner, asset, exclusive=True)
        renew(number)
        at(end + 1)
        chain.mine()
        with reverts_with(licenses.PurposeTaken, purpose=TRAIN, until=end + MONTH):
            market.buy(sole, stranger)

    @pytest.mark.parametrize("days", [10, 29, 31, 45, 59])
    def test_a_revocation_returns_what_both_periods_leave(
        self, market, licenses, asset, sell, renew, release, owner, licensee, at, days
    ):
        """In the first period the whole second one, too; in the second nothing of the first."""
        number, start, end = sell()
        release(number)
        paid = start + 5 * DAY
        at(paid)
        renew(number)
        time = start + days * DAY
        at(time)
        refund = licenses.revoke(number, CAUSE, EVIDENCE, sender=owner).return_value
        periods = [Stream(750_003, start, end, start), Stream(PRICE, end, end + MONTH, paid)]
        left = [item.unearned(time) if time < item.end else 0 for item in periods]
        assert refund == sum(left) == market.payments.claimable(market.token, licensee)
        assert licenses.earned(number) == 2 * PRICE - refund == market.settle(asset, sender=owner)
        assert market.book(asset) == 0

    def test_all_that_was_earned_is_told(self, licenses, sell, renew, release, at, chain):
        """Of a license in its fourth period: three whole ones, and what has passed of that."""
        number, start, end = sell()
        release(number)
        for period in range(3):
            at(start + period * MONTH + DAY)
            renew(number)
        time = end + 2 * MONTH + 7 * DAY
        at(time)
        chain.mine()
        last = Stream(PRICE, end + 2 * MONTH, end + 3 * MONTH, start + 2 * MONTH + DAY)
        assert licenses.earned(number) == 3 * PRICE + PRICE - last.unearned(time)


class TestLate:
    """What is paid for a license that is over is its payer's, until the asset's owner wants it."""

    @pytest.fixture
    def over(self, sell, release, at):
        """Return what sells a license whose key is released, and lets it end: (id, start, end)."""

        def _over(**overrides):
            number, start, end = sell(**overrides)
            release(number)
            at(end)
            return number, start, end

        return _over

    def late(self, market, number, payer):
        return market.payments.lateOf(market.token, market.licenses, payer, number.to_bytes(32, "big"))

    def test_goes_to_escrow_and_back(self, market, licenses, asset, over, renew, licensee, stranger, owner, at):
        """Anybody's, each its own, once; the license stays over, and the book knows nothing of it."""
        number, _, end = over()
        book = market.book(asset)
        for payer in (licensee, stranger):
            receipt = renew(number, payer)
            assert receipt.events.filter(licenses.LicensePaidLate) == [licenses.LicensePaidLate(number, payer, PRICE)]
            assert self.late(market, number, payer) == PRICE
            with reverts_with(licenses.AlreadyRenewed, licenseId=number, end=end):
                renew(number, payer)
        assert (market.book(asset), licenses.license(number).end) == (book, end)
        assert not licenses.isLicensed(licensee, asset, TRAIN)
        at(end + 400 * DAY)
        key = number.to_bytes(32, "big")
        market.payments.takeBack(market.token, licenses, key, sender=licensee)
        assert market.payments.claimable(market.token, licensee) == PRICE
        assert self.late(market, number, licensee) == 0
        with reverts_with(market.payments.BalanceTooLow, balance=0, asked=PRICE):
            licenses.reinstate(number, licensee, 0, sender=owner)
        licenses.reinstate(number, stranger, 0, sender=owner)
        assert licenses.isLicensed(licensee, asset, TRAIN)
        assert not licenses.isLicensed(stranger, asset, TRAIN)

    def test_is_refused_where_nothing_could_go_on(self, market, licenses, sell, renew, owner, licensee, at, chain):
        """After a revocation; for a license whose key never came; under other terms; of an offer that was withdrawn."""
        revoked, _, end = sell()
        licenses.revoke(revoked, CAUSE, EVIDENCE, sender=owner)
        with reverts_with(licenses.LicenseNotActive, licenseId=revoked):
            renew(revoked)
        unused, _, end = sell()
        free, _, end = sell(earnedAtReleaseBps=0)
        at(end)
        for number in (revoked, unused):
            with reverts_with(licenses.LicenseNotActive, licenseId=number):
                renew(number)
            with reverts_with(licenses.LicenseNotActive, licenseId=number):
                licenses.reinstate(number, licensee, 0, sender=owner)
        with reverts_with(licenses.TermsChanged, got=CAUSE):
            licenses.renew(free, CAUSE, sender=licensee)
        with chain.isolate():
            renew(free)
        licenses.withdrawOffer(3, sender=owner)
        with reverts_with(licenses.OfferIsWithdrawn, offerId=3):
            renew(free)

    def test_begins_a_period_now_with_the_owners_consent(
        self, market, licenses, asset, over, renew, licensee, owner, stranger, at, chain
    ):
        """The gap stays a gap; what is earned adds up, over both lives, a renewal and a revocation."""
        number, _, end = over()
        renew(number)
        with reverts_with(licenses.NotAssetOwner, assetId=asset, caller=licensee, owner=owner):
            licenses.reinstate(number, licensee, 0, sender=licensee)
        again = end + 10 * DAY
        at(again)
        receipt = licenses.reinstate(number, licensee, 0, sender=owner)
        assert receipt.events.filter(licenses.LicenseReinstated) == [
            licenses.LicenseReinstated(number, licensee, again + MONTH, PRICE)
        ]
        with reverts_with(licenses.LicenseStillRuns, licenseId=number, end=again + MONTH):
            licenses.reinstate(number, licensee, 0, sender=owner)
        told = {time: licenses.isLicensedAt(licensee, asset, TRAIN, time) for time in (end - 1, end, again - 1, again)}
        assert list(told.values()) == [True, False, False, True]
        assert [licenses.isActiveAt(number, TRAIN, time) for time in (again - 1, again, again + MONTH)] == [
            *(False, True, False),
        ]
        assert tuple(licenses.periodsOf(number)) == (again, 1, 1)
        second = Stream(PRICE, again, again + MONTH, again)
        # the call that was refused took a block, which may lie in the next second
        assert licenses.earned(number) == PRICE + PRICE - second.unearned(chain.blocks.head.timestamp)
        renew(number)
        assert tuple(licenses.periodsOf(number)) == (again, 2, 1)
        at(again + 7 * DAY)
        market.settle(asset, sender=stranger)
        assert licenses.earned(number) == PRICE + PRICE - second.unearned(again + 7 * DAY)
        at(again + 9 * DAY)
        receipt = licenses.revoke(number, CAUSE, EVIDENCE, sender=owner)
        assert receipt.return_value == second.unearned(again + 9 * DAY) + PRICE
        market.settle(asset, sender=owner)
        assert market.book(asset) == 0
        paid = market.payments.claimable(market.token, owner)
        assert paid == licenses.earned(number) == 3 * PRICE - receipt.return_value

    def test_every_life_counts(self, market, licenses, asset, over, renew, licensee, owner, at):
        """Renewed twice, over, reinstated, renewed, over, reinstated: all that was paid is earned."""
        number, _, _ = over()
        periods = 1
        for _ in range(2):
            renew(number)
            at(licenses.license(number).end + 3 * DAY)
            licenses.reinstate(number, licensee, 0, sender=owner)
            periods += 1
            for _ in range(2):
                renew(number)
                periods += 1
                at(licenses.license(number).end - MONTH + DAY)
            at(licenses.license(number).end)
        assert tuple(licenses.periodsOf(number))[1:] == (3, 4)
        at(licenses.license(number).end + 2 * DAY)
        market.settle(asset, sender=owner)
        assert licenses.earned(number) == periods * PRICE == market.payments.claimable(market.token, owner)

    def test_needs_its_seat(self, market, licenses, asset, over, renew, licensee, stranger, owner, chain):
        """The one that it had, if nobody has taken it since."""
        number, _, _ = over(seats=2)
        renew(number)
        for seat in (0, 3):
            with reverts_with(licenses.SeatUnknown, seat=seat, seats=2):
                licenses.reinstate(number, licensee, seat, sender=owner)
        with reverts_with(licenses.SeatTaken, seat=2, licenseId=0):
            licenses.reinstate(number, licensee, 2, sender=owner)
        with chain.isolate():
            licenses.reinstate(number, licensee, 1, sender=owner)
            with reverts_with(licenses.SeatTaken, seat=1, licenseId=number):
                market.buy(1, stranger, seat=1)
        other = market.buy(1, stranger, seat=1)
        with reverts_with(licenses.SeatTaken, seat=1, licenseId=other):
            licenses.reinstate(number, licensee, 1, sender=owner)

    def test_needs_its_purposes(self, project, market, licenses, asset, over, renew, licensee, stranger, owner, chain):
        """An exclusive one comes back only alone, a plain one only beside no exclusive one."""
        number, _, _ = over(exclusive=True)
        renew(number)
        plain = market.offer(owner, asset)
        with chain.isolate():
            licenses.reinstate(number, licensee, 0, sender=owner)
            with reverts_with(project.Reservations.PurposeTaken, purpose=TRAIN):
                market.buy(plain, stranger)
        market.buy(plain, stranger)
        with reverts_with(project.Reservations.PurposeTaken, purpose=TRAIN):
            licenses.reinstate(number, licensee, 0, sender=owner)

    def test_of_nothing_needs_nobody(self, licenses, asset, over, renew, licensee, stranger, owner):
        """A license that costs nothing goes on when its owner says so."""
        number, _, _ = over(price=0, earnedAtReleaseBps=0)
        licenses.reinstate(number, stranger, 0, sender=owner)
        assert licenses.isLicensed(licensee, asset, TRAIN)


class TestBreach:
    @pytest.fixture
    def claim(self, licenses, sell, owner, auditor, at):
        """Return what sells a license with an arbiter, and claims a breach after ten days."""

        def _claim():
            number, start, _ = sell(arbiter=auditor.address)
            at(start + 10 * DAY)
            receipt = licenses.revokeForBreach(number, CAUSE, EVIDENCE, sender=owner)
            return number, receipt.return_value, start + 10 * DAY

        return _claim

    def test_needs_an_arbiter_in_the_offer(self, licenses, asset, sell, owner, licensee):
        """An owner can't judge its own case: without one the unearned part always goes back."""
        number, _, _ = sell()
        with reverts_with(licenses.NoArbiter, licenseId=number):
            licenses.revokeForBreach(number, CAUSE, EVIDENCE, sender=owner)
        with reverts_with(licenses.NotAssetOwner, assetId=asset, caller=licensee, owner=owner):
            licenses.revokeForBreach(number, CAUSE, EVIDENCE, sender=licensee)
        with reverts_with(licenses.NoContest, licenseId=number):
            licenses.dispute(number, sender=licensee)

    def test_freezes_the_unearned_part_of_that_license_alone(
        self, market, licenses, asset, claim, sell, owner, licensee, at
    ):
        """It has ended; another license of the asset earns, and is paid, as ever."""
        number, contested, now = claim()
        assert contested == 250_000 + 500_002
        assert not licenses.isLicensed(licensee, asset, TRAIN)
        amount, until, disputed = licenses.contestOf(number)
        assert (amount, until, disputed) == (contested, now + 14 * DAY, False)
        assert market.settle(asset, sender=owner) == PRICE - contested
        _, _, end = sell(purposes=EVALUATE, earnedAtReleaseBps=0)
        at(end + 2 * DAY)
        assert market.settle(asset, sender=owner) == PRICE
        assert market.book(asset) == contested

    def test_undisputed_it_is_earned(self, market, licenses, asset, claim, owner, stranger, licensee, at):
        """From the second after the last in which it could be disputed; anybody concludes it, once."""
        number, contested, now = claim()
        at(now + 14 * DAY)
        with reverts_with(licenses.ContestOpen, licenseId=number, until=now + 14 * DAY):
            licenses.conclude(number, sender=stranger)
        at(now + 14 * DAY + 1)
        with reverts_with(licenses.DisputeOver, licenseId=number, until=now + 14 * DAY):
            licenses.dispute(number, sender=licensee)
        receipt = licenses.conclude(number, sender=stranger)
        assert receipt.events.filter(licenses.BreachConcluded) == [licenses.BreachConcluded(number, 0, contested)]
        assert market.payments.claimable(market.token, owner) == contested
        assert market.settle(asset, sender=owner) == PRICE - contested
        assert market.payments.claimable(market.token, licensee) == 0
        assert licenses.earned(number) == PRICE
        assert tuple(licenses.contestOf(number)) == (0, 0, False)
        with reverts_with(licenses.NoContest, licenseId=number):
            licenses.conclude(number, sender=stranger)

    @pytest.mark.parametrize("part", [0, 1, 333_333, None])
    def test_the_arbiter_divides_it(self, market, licenses, asset, claim, owner, licensee, auditor, stranger, part, at):
        """From nothing to all; not a unit more, nobody else, and only what was disputed."""
        number, contested, now = claim()
        refund = contested if part is None else part
        with reverts_with(licenses.NothingToDecide, licenseId=number):
            licenses.decide(number, refund, sender=auditor)
        with reverts_with(licenses.NotLicensee, licenseId=number, caller=stranger, licensee=licensee):
            licenses.dispute(number, sender=stranger)
        at(now + 14 * DAY)
        licenses.dispute(number, sender=licensee)
        with reverts_with(licenses.DisputeOver, licenseId=number):
            licenses.dispute(number, sender=licensee)
        with reverts_with(licenses.NotArbiter, licenseId=number, caller=owner, arbiter=auditor):
            licenses.decide(number, refund, sender=owner)
        with reverts_with(licenses.RefundTooLarge, licenseId=number, refund=contested + 1, contested=contested):
            licenses.decide(number, contested + 1, sender=auditor)
        at(now + 74 * DAY)
        licenses.decide(number, refund, sender=auditor)
        assert market.payments.claimable(market.token, licensee) == refund == licenses.license(number).refunded
        assert licenses.earned(number) == PRICE - refund
        market.settle(asset, sender=owner)
        assert market.payments.claimable(market.token, owner) == PRICE - refund
        assert market.book(asset) == 0

    def test_undecided_it_goes_back(self, market, licenses, claim, licensee, auditor, stranger, at):
        """An arbiter that sleeps takes nobody's money."""
        number, contested, now = claim()
        at(now + DAY)
        licenses.dispute(number, sender=licensee)
        at(now + 61 * DAY)
        with reverts_with(licenses.ContestOpen, licenseId=number, until=now + 61 * DAY):
            licenses.conclude(number, sender=stranger)
        at(now + 61 * DAY + 1)
        with reverts_with(licenses.NothingToDecide, licenseId=number):
            licenses.decide(number, 0, sender=auditor)
        licenses.conclude(number, sender=stranger)
        assert market.payments.claimable(market.token, licensee) == contested

    @pytest.mark.parametrize("disputed", [False, True])
    def test_it_is_who_claimed_it_that_earns_or_gives_in(
        self, market, licenses, asset, claim, owner, licensee, stranger, auditor, at, chain, disputed
    ):
        """Not who owns the asset on the day of the decision, whether the book was settled or not (I-M31)."""
        number, contested, now = claim()
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        if disputed:
            licenses.dispute(number, sender=licensee)
        with reverts_with(licenses.ContestOpen, licenseId=number):
            licenses.conclude(number, sender=stranger)
        with chain.isolate():
            licenses.conclude(number, sender=owner)
            assert market.payments.claimable(market.token, licensee) == contested
            assert licenses.earned(number) == PRICE - contested
        if disputed:
            licenses.decide(number, 1_000, sender=auditor)
        else:
            at(now + 14 * DAY + 1)
            licenses.conclude(number, sender=stranger)
        back = 1_000 if disputed else 0
        assert market.payments.claimable(market.token, owner) == contested - back
        assert licenses.earned(number) == PRICE - back
        market.settle(asset, sender=stranger)
        assert market.payments.claimable(market.token, owner) == PRICE - back
        assert market.payments.claimable(market.token, stranger) == market.book(asset) == 0

    @pytest.mark.parametrize("disputed", [False, True])
    def test_the_owner_can_give_in(self, market, licenses, claim, owner, licensee, disputed):
        """Any time before it is over."""
        number, contested, _ = claim()
        if disputed:
            licenses.dispute(number, sender=licensee)
        licenses.conclude(number, sender=owner)
        assert market.payments.claimable(market.token, licensee) == contested


class TestRefundLost:
    @pytest.fixture
    def epochs(self, project, market, deployer):
        """Stand in for Shards and Randomness: the test says which epoch it is, and when each began."""
        double = deployer.deploy(project.EpochDouble)
        market.objects.setShards(double, sender=deployer)
        market.directory.set(name("randomness"), double, sender=deployer)
        return double

    @pytest.fixture
    def lost(self, market, asset):
        """Return the asset's object, whose last epoch is 8."""
        return object_id(market.objects_made)

    def test_refunds_its_holder_when_an_object_is_stored_no_longer(
        self, market, licenses, asset, sell, epochs, lost, licensee, stranger, deployer, at
    ):
        """From the first epoch after its last, by its holder alone, once, as a revocation would."""
        number, start, _ = sell()
        epochs.reveal(9, start + 10 * DAY - 100, sender=deployer)
        epochs.setEpoch(8, sender=deployer)
        with reverts_with(licenses.ObjectStillStored, objectId=lost, epoch=8, endEpoch=9):
            licenses.refundLost(number, lost, 9, sender=licensee)
        epochs.setEpoch(9, sender=deployer)
        with reverts_with(licenses.NotLicensee, licenseId=number, caller=stranger, licensee=licensee):
            licenses.refundLost(number, lost, 9, sender=stranger)
        at(start + 10 * DAY)
        receipt = licenses.refundLost(number, lost, 9, sender=licensee)
        assert receipt.return_value == 250_000 + 500_002 == market.payments.claimable(market.token, licensee)
        assert receipt.events.filter(licenses.LicenseLost) == [licenses.LicenseLost(number, lost, 250_000 + 500_002)]
        assert not licenses.isLicensed(licensee, asset, TRAIN)
        with reverts_with(licenses.AlreadyRevoked, licenseId=number):
            licenses.refundLost(number, lost, 9, sender=licensee)

    def test_refuses_another_assets_object(self, market, licenses, asset, sell, epochs, owner, licensee, deployer):
        number, start, _ = sell()
        market.mint(owner)
        epochs.setEpoch(99, sender=deployer)
        epochs.reveal(9, start + 1, sender=deployer)
        for wrong in (object_id(market.objects_made), CAUSE):
            with reverts_with(licenses.ObjectNotOfAsset, objectId=wrong, assetId=asset):
                licenses.refundLost(number, wrong, 9, sender=licensee)

    def test_refuses_what_began_when_it_was_over(
        self, market, licenses, sell, epochs, lost, licensee, deployer, release, project
    ):
        """Else who buys of an asset that outlived an object takes the key, and the price back, in the same second."""
        number, start, _ = sell()
        release(number)
        epochs.setEpoch(99, sender=deployer)
        for time in (start - 1, start):  # a license of the first second without it is not older
            epochs.reveal(9, time, sender=deployer)
            with reverts_with(licenses.LicenseNotOlder, start=start, epoch=9, time=time):
                licenses.refundLost(number, lost, 9, sender=licensee)
        epochs.reveal(10, start + 1, sender=deployer)
        with reverts_with(licenses.EpochAfterLoss, objectId=lost, epoch=10, endEpoch=9):
            licenses.refundLost(number, lost, 10, sender=licensee)
        with reverts_with(project.RandaoBeacon.RandomnessUnknown, blockNumber=8):
            licenses.refundLost(number, lost, 8, sender=licensee)
        assert market.payments.claimable(market.token, licensee) == 0
        assert licenses.license(number).refunded == 0

    def test_an_earlier_epoch_shows_it_too(self, market, licenses, sell, epochs, lost, licensee, deployer):
        """Where nobody sealed the one in which it was lost."""
        number, start, _ = sell()
        epochs.setEpoch(9, sender=deployer)
        epochs.reveal(3, start, sender=deployer)
        epochs.reveal(4, start + 1, sender=deployer)
        with reverts_with(licenses.LicenseNotOlder, start=start, epoch=3, time=start):
            licenses.refundLost(number, lost, 3, sender=licensee)
        licenses.refundLost(number, lost, 4, sender=licensee)
        assert market.payments.claimable(market.token, licensee) > 0

    def test_a_renewal_is_as_old_as_its_license_a_reinstated_one_is_not(
        self, licenses, sell, release, renew, epochs, lost, owner, licensee, deployer, at
    ):
        """Who renews after the loss was licensed before it; who paid late bought again."""
        number, start, end = sell()
        paid_late, _, _ = sell()
        for each in (number, paid_late):
            release(each)
        epochs.setEpoch(9, sender=deployer)
        epochs.reveal(9, start + DAY, sender=deployer)
        at(end - 2 * DAY)
        renew(number)
        at(end + MONTH // 2)
        receipt = licenses.refundLost(number, lost, 9, sender=licensee)
        assert receipt.return_value == PRICE // 2
        renew(paid_late)
        again = end + MONTH
        at(again)
        licenses.reinstate(paid_late, licensee, 0, sender=owner)
        with reverts_with(licenses.LicenseNotOlder, start=again, epoch=9, time=start + DAY):
            licenses.refundLost(paid_late, lost, 9, sender=licensee)


class TestTenures:
    def test_are_kept_with_their_ends(self, market, asset, owner, stranger, at, chain):
        """Number, owner, last second; the one of now has none."""
        start = chain.pending_timestamp + 100
        moves = [(owner, stranger), (stranger, owner), (owner, stranger)]
        for number, (giver, taker) in enumerate(moves):
            with reverts_with(market.assets.TenureNotOver, assetId=asset, number=number):
                market.assets.tenureAt(asset, number)
            at(start + number * DAY)
            market.assets.transferFrom(giver, taker, asset, sender=giver)
            # stays in the tenure, whatever it is called
            market.assets.transferFrom(taker, taker, asset, sender=taker)
        told = [tuple(market.assets.tenureAt(asset, number)) for number in range(3)]
        assert told == [(giver.address, start + number * DAY) for number, (giver, _) in enumerate(moves)]
        with reverts_with(market.assets.TenureNotOver, assetId=asset, number=3):
            market.assets.tenureAt(asset, 3)


def test_nothing_is_done_in_its_code_alone(project, licenses, owner):
    """LicenseChanges has no state of its own: called directly it knows no license."""
    changes = project.LicenseChanges.at(licenses.changes())
    for call in (changes.revoke, changes.revokeForBreach):
        with reverts_with(licenses.LicenseUnknown, licenseId=1):
            call(1, CAUSE, EVIDENCE, sender=owner)


def test_streams_that_open_and_stop_at_once_take_nothing_from_the_book(
    market, licenses, project, deployer, owner, licensee, chain
):
    """Hundreds of long ones at one time, settled in between: another's money, held for its release, stays whole."""
    asset = market.mint(owner)
    victim = market.buy(market.offer(owner, asset, price=10**9, earnedAtReleaseBps=10_000), licensee)
    offer = market.offer(owner, asset, price=1, earnedAtReleaseBps=0, duration=3_150_463_117, purposes=EVALUATE)
    caller = deployer.deploy(project.Caller)
    market.token.mint(caller, 350, sender=deployer)
    caller.runMany([market.token], [market.token.approve.encode_input(market.payments, 350)], sender=deployer)
    market.assets.transferFrom(owner, caller, asset, sender=owner)
    # the seller's offers ended with the sale: the attacker, who owns the asset now, publishes its own
    terms = dict(zip(TERMS_FIELDS, licenses.offer(offer)[0], strict=True))
    publish = licenses.publishOffer.encode_input(terms)
    caller.runMany([licenses], [publish], sender=deployer)
    buy = licenses.buy.encode_input(offer + 1, terms_hash(terms), 1)
    calls = [buy] * 350
    calls.append(licenses.settle.encode_input(asset, market.token, 400))
    calls += [licenses.revoke.encode_input(victim + 1 + number, CAUSE, EVIDENCE) for number in range(350)]
    # 49 million gas: a block of a chain that has larger ones
    chain.provider.web3.provider.make_request("evm_setBlockGasLimit", [hex(100_000_000)])
    chain.mine()
    caller.runMany([licenses] * len(calls), calls, sender=deployer, gas=90_000_000)
    assert market.book(asset) == 10**9
    assert market.payments.claimable(market.token, caller) == 350
