"""Books of Payments: money that is earned over time, its waterfall, late payments, claims from several sources.

What streams earn in any order of everything that can happen is the machine's (`tests/properties/test_money.py`); here
stands who may do what, what is refused, and the figures of a few streams by hand.
"""

from __future__ import annotations

import pytest
from ape import chain
from eth_utils import keccak

from tests.contracts.reverts import reverts_with

DAY = 86_400
KEY = keccak(text="asset 1")
#: late money lies under a key of its own
LATE = keccak(text="license 7")
ALL = 2**256 - 1
NOBODY = bytes(32)


def person(account) -> bytes:
    """Return a person's account."""
    return bytes(12) + bytes.fromhex(str(getattr(account, "address", account))[2:])


class Ledger:
    """A Payments with a module in force that does what it is told, and a clock."""

    def __init__(self, project, deployer):
        self.deployer = deployer
        self.directory = deployer.deploy(project.DirectoryDouble)
        self.payments = deployer.deploy(project.Payments, self.directory)
        self.module = deployer.deploy(project.Caller)
        self.directory.set(b"licenses".ljust(32, b"\0"), self.module, sender=deployer)
        self.token = deployer.deploy(project.MintableToken)
        # the start of a day, so that days and thousands of seconds are easy to add
        self.start = (chain.blocks.head.timestamp // DAY + 2) * DAY

    def at(self, seconds, method, *arguments, token=None, key=KEY):
        """Have the module call a method of its account `key` so many seconds after the start."""
        chain.provider.set_timestamp(self.start + seconds)
        data = getattr(self.payments, method).encode_input(token or self.token, *arguments)
        return self.module.run(self.payments, data, sender=self.deployer)

    def open(self, seconds, amount, end, *, held=0, start=None, era=0, token=None, fund=True):
        """Open a stream of the deployer's money that ends so many seconds after the start."""
        token = token or self.token
        if fund:
            token.mint(self.deployer, held + amount, sender=self.deployer)
            token.approve(self.payments, held + amount, sender=self.deployer)
        begin = self.start + (seconds if start is None else start)
        arguments = (self.deployer, KEY, era, held, amount, begin, self.start + end)
        return self.at(seconds, "openStream", *arguments, token=token)

    def stop(self, seconds, amount, start, end, *, opened=None, era=0, to=NOBODY):
        """Stop a stream."""
        times = (self.start + start, self.start + end, self.start + (start if opened is None else opened))
        return self.at(seconds, "stopStream", KEY, era, amount, *times, to)

    def settle(self, seconds, to, *, until=0, era=0, upstream=NOBODY, bps=0, days=ALL):
        """Settle the book to an account."""
        return self.at(
            seconds, "settleStreams", KEY, until and self.start + until, era, person(to), upstream, bps, days
        )

    @property
    def account(self):
        """Return the book's account."""
        return self.payments.moduleAccount(self.module, KEY)

    def book(self):
        """Return (balance, counted, settled until, era)."""
        return self.payments.bookOf(self.token, self.account)


@pytest.fixture
def ledger(project, deployer):
    """Return a ledger without streams."""
    return Ledger(project, deployer)


class TestOpenStream:
    def test_refuses_who_is_no_module(self, ledger, stranger):
        """An approval is of use to modules in force only."""
        with reverts_with(ledger.payments.CallerNotModule, caller=stranger):
            ledger.payments.openStream(
                ledger.token, stranger, KEY, 0, 0, 5, ledger.start, ledger.start + 5, sender=stranger
            )

    @pytest.mark.parametrize(
        ("amount", "length"), [(2**96, 2**31), (5, 0), (5, 2**32), (2**79, 1)], ids=["much", "empty", "long", "fast"]
    )
    def test_refuses_what_its_slots_cannot_hold(self, ledger, project, amount, length):
        """One unit or second less is taken (the machine takes them)."""
        with reverts_with(project.Streams.StreamTooLarge, amount=amount):
            ledger.open(10, amount, 10 + length)

    def test_refuses_a_start_that_has_passed(self, ledger, project):
        """What was earned before now may be settled already."""
        with reverts_with(project.Streams.StreamStartPassed, start=ledger.start + 9, time=ledger.start + 10):
            ledger.open(10, 5, 100, start=9)

    def test_refuses_a_full_book(self, ledger, project):
        """Amounts of a day, and a balance, that together leave their bits."""
        ledger.open(10, 2**95, DAY - 1)
        with reverts_with(project.Streams.BookFull, value=2**136, limit=2**136):
            ledger.open(30, 2**95, DAY - 1)
        with reverts_with(project.Streams.BookFull, limit=2**127):
            ledger.open(40, 0, 50, held=2**127)

    def test_takes_and_says_so(self, ledger, deployer):
        """Held and streamed lie in the book; nothing is earned at the start."""
        receipt = ledger.open(1000, 70, 11 * DAY, held=30)
        assert ledger.book() == (100, 0, ledger.start + 1000, 0)
        assert ledger.payments.recorded(ledger.token) == ledger.token.balanceOf(ledger.payments) == 100
        assert receipt.events.filter(ledger.payments.StreamOpened) == [
            ledger.payments.StreamOpened(
                ledger.token, ledger.account, deployer, 30, 70, ledger.start + 1000, ledger.start + 11 * DAY
            )
        ]

    def test_of_nothing_touches_no_token(self, ledger):
        """A free license."""
        ledger.open(10, 0, 100, fund=False)
        assert ledger.book()[0] == 0

    def test_refuses_a_token_that_keeps_a_fee(self, ledger, project, deployer):
        """What is streamed must have arrived."""
        token = deployer.deploy(project.FeeToken)
        with reverts_with(ledger.payments.TransferShort, token=token, expected=1000, received=990):
            ledger.open(10, 1000, 100, token=token)


class TestSettleStreams:
    def test_pays_linearly_and_the_last_day_when_it_is_over(self, ledger, owner):
        """A thousand a day for two days and a half, from noon: by hand; what rounding leaves is paid at the end."""
        ledger.open(DAY // 2, 2500, 3 * DAY)
        for seconds, total in ((DAY, 499), (DAY * 3 // 2, 999), (3 * DAY - 1, 2499), (3 * DAY, 2499), (4 * DAY, 2500)):
            ledger.settle(seconds, owner)
            assert ledger.payments.claimable(ledger.token, owner) == total
        assert ledger.book()[:2] == (0, 0)

    def test_the_day_on_which_a_stream_ends_is_counted_when_it_is_over(self, ledger, owner):
        """2,000 a day until noon: from the first midnight on they are counted, at the second one all."""
        ledger.open(0, 3000, DAY * 3 // 2)
        for seconds, total in ((DAY, 1999), (2 * DAY - 1, 1999), (2 * DAY, 3000)):
            ledger.settle(seconds, owner)
            assert ledger.payments.claimable(ledger.token, owner) == total

    def test_stops_on_the_way_and_goes_on(self, ledger, owner):
        """Twenty days, at most eight at a time: the answer says how far, and the last one pays."""
        ledger.open(0, 1000, 10 * DAY)
        for call, (paid, reached) in enumerate(((0, 8 * DAY), (0, 16 * DAY), (1000, 20 * DAY + 2))):
            ledger.settle(20 * DAY + call, owner, days=8)
            assert ledger.payments.claimable(ledger.token, owner) == paid
            if not paid:
                assert ledger.book()[2] == ledger.start + reached

    def test_is_never_too_much_whatever_begins_later(self, ledger, owner):
        """Streams that begin on days of their own, as fast as may be: a day's slopes are bounded, not their sum."""
        amount, days = 2**96 - 1, range(1, 8)
        for call, day in enumerate(days):
            ledger.open(call, amount, (day + 3) * DAY + DAY // 2, start=day * DAY + DAY // 2)
        ledger.stop(4 * DAY, amount, 2 * DAY + DAY // 2, 5 * DAY + DAY // 2, opened=1, to=person(owner))
        back = ledger.payments.claimable(ledger.token, owner)
        assert back == amount // 2
        ledger.settle(5 * DAY, owner, days=2)
        ledger.settle(20 * DAY, owner)
        assert ledger.payments.claimable(ledger.token, owner) == amount * len(days)
        assert ledger.book()[:2] == (0, 0)

    def test_refuses_accounts_and_shares_that_make_no_sense(self, ledger, owner):
        """Zero as either, and more than the whole."""
        ledger.open(0, 10, 10)
        with reverts_with(ledger.payments.ZeroAccount):
            ledger.at(5, "settleStreams", KEY, 0, 0, NOBODY, NOBODY, 0, 1)
        with reverts_with(ledger.payments.ZeroAccount):
            ledger.settle(6, owner, bps=1)
        with reverts_with(ledger.payments.ShareTooLarge, bps=10_001, limit=10_000):
            ledger.settle(7, owner, upstream=person(owner), bps=10_001)

    def test_divides_by_the_waterfall(self, ledger, owner, licensee, stranger, deployer):
        """2.5 % of 1,039 to the protocol, a third of the rest upstream, rounded down; the remainder is the owner's."""
        ledger.payments.announceProtocolFee(250, stranger, sender=deployer)
        chain.provider.set_timestamp(ledger.start)
        ledger.start += 40 * DAY
        ledger.open(0, 1039, DAY)
        receipt = ledger.settle(3 * DAY, owner, upstream=person(licensee), bps=3333)

        claimable = [int(ledger.payments.claimable(ledger.token, who)) for who in (stranger, licensee, owner)]
        assert claimable == [25, 337, 677]
        (event,) = receipt.events.filter(ledger.payments.StreamsSettled)
        assert (event.amount, event.fee, event.upstreamPart) == (1039, 25, 337)

    def test_a_change_of_beneficiary_is_by_time(self, ledger, owner, licensee):
        """The first half to the old owner, whenever it is settled; before that nothing is opened, stopped or earned."""
        ledger.open(0, 4000, 4 * DAY)
        with reverts_with(ledger.payments.EraWrong, era=1, expected=0):
            ledger.open(3 * DAY, 10, 5 * DAY, era=1)
        with reverts_with(ledger.payments.EraWrong, era=1, expected=0):
            ledger.stop(3 * DAY + 1, 4000, 0, 4 * DAY, era=1)
        with reverts_with(ledger.payments.EraWrong, era=1, expected=0):
            ledger.at(3 * DAY + 2, "earnHeld", KEY, 1, 1)

        ledger.settle(3 * DAY + 3, owner, until=2 * DAY, era=1)
        ledger.settle(5 * DAY, licensee, era=1)
        assert [ledger.payments.claimable(ledger.token, who) for who in (owner, licensee)] == [1999, 2001]
        assert ledger.book()[3] == 1

    def test_a_change_of_beneficiary_that_is_not_reached_changes_nothing(self, ledger, owner, licensee):
        """Thirty days of the old owner's, eight at a time: the book is of the new one's era when all were walked."""
        ledger.open(0, 4000, 40 * DAY)
        for call, reached in enumerate((8 * DAY, 16 * DAY, 24 * DAY)):
            ledger.settle(41 * DAY + call, owner, until=30 * DAY, era=1, days=8)
            assert ledger.book()[2:4] == (ledger.start + reached, 0)
        ledger.settle(41 * DAY + 3, owner, until=30 * DAY, era=1, days=8)
        assert ledger.book()[2:4] == (ledger.start + 30 * DAY, 1)
        ledger.settle(41 * DAY + 4, licensee, era=1)
        paid = [ledger.payments.claimable(ledger.token, who) for who in (owner, licensee)]
        assert paid in ([3000, 1000], [2999, 1001])

    def test_is_the_modules_own(self, ledger, stranger):
        """Somebody else's book of the same key is another, and empty."""
        ledger.open(0, 10, 10)
        ledger.payments.settleStreams(ledger.token, KEY, 0, 0, person(stranger), NOBODY, 0, 5, sender=stranger)
        assert ledger.payments.claimable(ledger.token, stranger) == 0


class TestStopStream:
    def test_leaves_what_is_earned_and_returns_the_rest(self, ledger, owner, licensee):
        """A third of 1,000: 333.3 are earned, 666 go back, and the fraction is the owner's."""
        ledger.open(0, 1000, 3 * DAY)
        receipt = ledger.stop(DAY, 1000, 0, 3 * DAY, to=person(licensee))
        (event,) = receipt.events.filter(ledger.payments.StreamStopped)
        assert event.unearned == ledger.payments.claimable(ledger.token, licensee) == 666
        ledger.settle(9 * DAY, owner)
        assert ledger.payments.claimable(ledger.token, owner) == 334
        assert ledger.book()[0] == 0

    def test_does_nothing_to_a_stream_that_is_over(self, ledger, owner):
        """All of it is earned, its last fraction with the day."""
        ledger.open(0, 1000, 3 * DAY)
        ledger.stop(3 * DAY, 1000, 0, 3 * DAY, to=person(owner))
        assert ledger.payments.claimable(ledger.token, owner) == 0
        assert ledger.book()[:2] == (1000, 999)
        ledger.settle(4 * DAY, owner)
        assert ledger.payments.claimable(ledger.token, owner) == 1000

    def test_a_freeze_holds_one_streams_rest_only(self, ledger, owner):
        """Two licenses, one contested for a day; the other earns on, the first goes on with what was left (I-M15)."""
        ledger.open(0, 4000, 4 * DAY)
        ledger.open(1, 400, 4 * DAY + 1)
        ledger.stop(DAY, 4000, 0, 4 * DAY)
        ledger.settle(2 * DAY, owner)
        assert ledger.payments.claimable(ledger.token, owner) == 1000 + 199
        ledger.at(3 * DAY, "startStream", KEY, 0, 3000, ledger.start + 3 * DAY, ledger.start + 6 * DAY)
        ledger.settle(9 * DAY, owner)
        assert ledger.payments.claimable(ledger.token, owner) == 4400


class TestHeld:
    def test_is_earned_when_the_module_says_so(self, ledger, owner):
        """The part for the first key release."""
        ledger.open(0, 10, DAY, held=90)
        ledger.at(5, "earnHeld", KEY, 0, 90)
        ledger.settle(6, owner)
        assert ledger.payments.claimable(ledger.token, owner) == 90

    def test_goes_back_without_waterfall(self, ledger, licensee):
        """Nobody's part is taken from what is not earned."""
        ledger.open(0, 10, DAY, held=90)
        ledger.at(5, "moveHeld", KEY, person(licensee), 90)
        assert ledger.payments.claimable(ledger.token, licensee) == 90

    def test_is_not_more_than_there_is(self, ledger, licensee, project):
        """Not earned, streamed or moved; and account zero is nobody's."""
        ledger.open(0, 10, DAY)
        refused = reverts_with(ledger.payments.BalanceTooLow, account=ledger.account, balance=10, asked=11)
        with refused:
            ledger.at(5, "earnHeld", KEY, 0, 11)
        with refused:
            ledger.at(6, "startStream", KEY, 0, 11, ledger.start + 6, ledger.start + 9)
        with refused:
            ledger.at(7, "moveHeld", KEY, person(licensee), 11)
        with reverts_with(ledger.payments.ZeroAccount):
            ledger.at(8, "moveHeld", KEY, NOBODY, 1)


class TestLatePayments:
    @pytest.fixture
    def paid(self, ledger, licensee):
        """Return a ledger to which the licensee has paid 50 late."""
        ledger.token.mint(licensee, 50, sender=licensee)
        ledger.token.approve(ledger.payments, 50, sender=licensee)
        ledger.at(0, "payLate", licensee, LATE, 50)
        return ledger

    def test_lie_apart(self, paid, licensee):
        """Neither the book nor the plain account has them."""
        assert paid.payments.lateOf(paid.token, paid.module, licensee, LATE) == 50
        assert paid.payments.lateOf(paid.token, paid.module, licensee, KEY) == 0
        assert paid.payments.balanceOf(paid.token, paid.account) == paid.book()[0] == 0
        assert paid.payments.recorded(paid.token) == 50

    def test_can_be_taken_back_by_the_payer_only(self, paid, licensee, stranger):
        """Once."""
        with reverts_with(paid.payments.NothingToClaim, token=paid.token, account=stranger):
            paid.payments.takeBack(paid.token, paid.module, LATE, sender=stranger)
        paid.payments.takeBack(paid.token, paid.module, LATE, sender=licensee)
        assert paid.payments.claimable(paid.token, licensee) == 50
        with reverts_with(paid.payments.NothingToClaim):
            paid.payments.takeBack(paid.token, paid.module, LATE, sender=licensee)
        with reverts_with(paid.payments.BalanceTooLow, balance=0, asked=50):
            paid.at(9, "acceptLate", licensee, LATE, KEY, 0, 50)

    def test_can_be_accepted_by_the_module(self, paid, licensee):
        """Held, into its book; another module's acceptance finds nothing."""
        with reverts_with(paid.payments.BalanceTooLow, balance=0):
            paid.payments.acceptLate(paid.token, licensee, LATE, KEY, 0, 50, sender=licensee)
        with reverts_with(paid.payments.BalanceTooLow, balance=0, asked=20):
            paid.at(8, "acceptLate", licensee, KEY, KEY, 3, 20)
        receipt = paid.at(9, "acceptLate", licensee, LATE, KEY, 3, 20)
        assert (paid.book()[0], paid.book()[3]) == (20, 3)
        assert paid.payments.lateOf(paid.token, paid.module, licensee, LATE) == 30
        late = paid.payments.moduleAccount(paid.module, LATE)
        assert receipt.events.filter(paid.payments.LateAccepted) == [
            paid.payments.LateAccepted(paid.token, licensee, late, paid.account, 20)
        ]


class TestPourHeld:
    def test_pays_at_once_through_the_waterfall(self, ledger, owner, licensee, stranger, deployer):
        """Whatever era the book is in, and nothing that streams earn: 2.5 %, a third of the rest, the remainder."""
        ledger.payments.announceProtocolFee(250, stranger, sender=deployer)
        chain.provider.set_timestamp(ledger.start)
        ledger.start += 40 * DAY
        ledger.open(0, 4000, 4 * DAY, held=1039, era=7)
        receipt = ledger.at(2 * DAY, "pourHeld", KEY, person(owner), person(licensee), 3333, 1039)
        claimable = [int(ledger.payments.claimable(ledger.token, who)) for who in (stranger, licensee, owner)]
        assert claimable == [25, 337, 677]
        assert ledger.book()[0] == 4000
        (event,) = receipt.events.filter(ledger.payments.StreamsSettled)
        assert (event.amount, event.fee, event.upstreamPart) == (1039, 25, 337)

    def test_refuses_more_than_lies_there_and_what_is_nobodys(self, ledger, owner, licensee):
        """As a settlement does, and from nobody else's book."""
        ledger.open(0, 0, DAY, held=10)
        with reverts_with(ledger.payments.BalanceTooLow, balance=10, asked=11):
            ledger.at(1, "pourHeld", KEY, person(owner), NOBODY, 0, 11)
        with reverts_with(ledger.payments.BalanceTooLow, balance=0, asked=1):
            ledger.payments.pourHeld(ledger.token, KEY, person(owner), NOBODY, 0, 1, sender=licensee)
        for to, upstream, bps in ((NOBODY, NOBODY, 0), (person(owner), NOBODY, 1)):
            with reverts_with(ledger.payments.ZeroAccount):
                ledger.at(2, "pourHeld", KEY, to, upstream, bps, 1)
        with reverts_with(ledger.payments.ShareTooLarge, bps=10_001, limit=10_000):
            ledger.at(3, "pourHeld", KEY, person(owner), person(owner), 10_001, 1)


class TestPayIn:
    def test_takes_the_callers_own(self, ledger, licensee, owner):
        """Into any account but zero."""
        ledger.token.mint(licensee, 5, sender=licensee)
        ledger.token.approve(ledger.payments, 5, sender=licensee)
        with reverts_with(ledger.payments.ZeroAccount):
            ledger.payments.payIn(ledger.token, NOBODY, 5, sender=licensee)
        ledger.payments.payIn(ledger.token, person(owner), 5, sender=licensee)
        assert ledger.payments.claimable(ledger.token, owner) == 5


class TestProtocolFee:
    def test_is_the_governors_within_its_limit(self, ledger, stranger, deployer):
        """And never nobody's."""
        with reverts_with(ledger.payments.NotGovernor, caller=stranger):
            ledger.payments.announceProtocolFee(1, stranger, sender=stranger)
        with reverts_with(ledger.payments.FeeTooHigh, bps=251, limit=250):
            ledger.payments.announceProtocolFee(251, stranger, sender=deployer)
        with reverts_with(ledger.payments.ZeroAccount):
            ledger.payments.announceProtocolFee(1, "0x" + "00" * 20, sender=deployer)

    def test_begins_thirty_days_later(self, ledger, stranger, owner, deployer):
        """Until then the old one holds, also when another is announced."""
        chain.provider.set_timestamp(ledger.start)
        ledger.payments.announceProtocolFee(250, stranger, sender=deployer)
        assert ledger.payments.protocolFee()[0] == 0
        chain.provider.set_timestamp(ledger.start + 30 * DAY)
        chain.mine()
        assert ledger.payments.protocolFee() == (250, stranger)
        ledger.payments.announceProtocolFee(10, owner, sender=deployer)
        assert ledger.payments.protocolFee() == (250, stranger)


class TestClaimFrom:
    def test_settles_then_pays_and_passes_over_what_fails(self, ledger, project, owner, deployer):
        """One source books, one reverts; several tokens are paid."""
        source = deployer.deploy(project.SourceDouble, ledger.payments)
        ledger.directory.set(b"rewards".ljust(32, b"\0"), source, sender=deployer)
        ledger.token.mint(deployer, 40, sender=deployer)
        ledger.token.approve(ledger.payments, 40, sender=deployer)
        ledger.payments.payIn(ledger.token, ledger.payments.moduleAccount(source, bytes(32)), 40, sender=deployer)
        what = [bytes(12) + bytes.fromhex(ledger.token.address[2:]), b""]

        receipt = ledger.payments.claimFrom([source, source], what, [ledger.token], sender=owner, gas=4_000_000)
        assert ledger.token.balanceOf(owner) == 40
        assert receipt.events.filter(ledger.payments.SourceFailed) == [ledger.payments.SourceFailed(source, owner, 1)]

    def test_refuses_what_is_no_module(self, ledger, owner, stranger):
        """Nobody's list makes the ledger call a token, or itself."""
        for target in (ledger.token, ledger.payments, stranger):
            with reverts_with(ledger.payments.CallerNotModule, caller=target):
                ledger.payments.claimFrom([target], [b""], [], sender=owner)

    def test_refuses_lists_of_two_lengths_and_too_little_gas(self, ledger, owner):
        """Else a source could fail for want of gas, unseen."""
        with reverts_with(ledger.payments.LengthsDiffer, one=1, other=0):
            ledger.payments.claimFrom([ledger.module], [], [], sender=owner)
        with reverts_with(ledger.payments.GasInsufficient):
            ledger.payments.claimFrom([ledger.module], [b""], [], sender=owner, gas=1_000_000)
