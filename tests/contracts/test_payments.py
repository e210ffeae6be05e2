"""Payments: the one ledger. Hostile tokens are those of `contracts/mocks`."""

from __future__ import annotations

import ape
import pytest
from ape.exceptions import ContractLogicError
from eth_abi import encode
from eth_utils import keccak

from tests.contracts.reverts import reverts_with

KEY = keccak(text="one account")
OTHER_KEY = keccak(text="another account")
REVERTS, RETURNS_FALSE, BURNS_GAS, RETURNS_MUCH, REVERTS_WITH_MUCH = range(5)
MANNERS = [REVERTS, RETURNS_FALSE, BURNS_GAS, RETURNS_MUCH, REVERTS_WITH_MUCH]


def person(account) -> bytes:
    """Return a person's account."""
    return bytes(12) + bytes.fromhex(str(getattr(account, "address", account))[2:])


@pytest.fixture
def directory(project, deployer):
    """Return a directory that takes any module."""
    return deployer.deploy(project.DirectoryDouble)


@pytest.fixture
def payments(project, deployer, directory):
    """Return the ledger."""
    return deployer.deploy(project.Payments, directory)


@pytest.fixture
def module(project, deployer, directory):
    """Return a module in force that does what a test says."""
    caller = deployer.deploy(project.Caller)
    directory.set(b"licenses".ljust(32, b"\0"), caller, sender=deployer)
    return caller


@pytest.fixture
def token(project, deployer):
    """Return a well-behaved token."""
    return deployer.deploy(project.MintableToken)


@pytest.fixture
def make_token(project, deployer):
    """Return what deploys a token of a kind."""
    return lambda kind: deployer.deploy(getattr(project, kind))


@pytest.fixture
def collect(payments, module, deployer):
    """Return what lets the module collect; the payer gets, and approves, exactly what is collected."""

    def _collect(token, payer, amount, key=KEY, **kwargs):
        token.mint(payer, amount, sender=payer)
        token.approve(payments, amount, sender=payer)
        data = payments.collect.encode_input(token, payer, key, amount)
        return module.run(payments, data, sender=deployer, **kwargs)

    return _collect


@pytest.fixture
def credit(payments, module, deployer, collect):
    """Return what gives someone a claimable balance."""

    def _credit(token, account, amount):
        collect(token, deployer, amount)
        data = payments.move.encode_input(token, KEY, person(account), amount)
        module.run(payments, data, sender=deployer)

    return _credit


class TestAccounts:
    def test_a_persons_account_is_its_address(self, payments, owner):
        """Left-padded with zeros, as an address is encoded."""
        assert payments.personAccount(owner) == person(owner)

    def test_a_contracts_account_is_the_hash_of_contract_and_key(self, payments, module):
        """And equals what is computed here."""
        assert payments.moduleAccount(module, KEY) == keccak(encode(["address", "bytes32"], [module.address, KEY]))


class TestCollect:
    def test_refuses_who_is_no_module(self, payments, token, stranger, owner):
        """An approval given to Payments is of no use to a stranger."""
        token.mint(owner, 5, sender=owner)
        token.approve(payments, 5, sender=owner)
        with reverts_with(payments.CallerNotModule, caller=stranger):
            payments.collect(token, owner, KEY, 5, sender=stranger)

    def test_refuses_a_module_that_was_replaced(self, payments, directory, module, collect, token, owner, deployer):
        """The directory of now decides."""
        directory.set(b"licenses".ljust(32, b"\0"), deployer, sender=deployer)
        with reverts_with(payments.CallerNotModule, caller=module):
            collect(token, owner, 5)

    def test_refuses_a_token_that_keeps_a_fee(self, payments, collect, make_token, owner):
        """What is booked must have arrived."""
        token = make_token("FeeToken")
        with reverts_with(payments.TransferShort, token=token, expected=1000, received=990):
            collect(token, owner, 1000)

    def test_refuses_a_token_that_returns_false(self, payments, collect, make_token, owner, deployer):
        """A polite no is a no."""
        token = make_token("RefusingToken")
        token.refuseAll(True, sender=deployer)
        token.setManner(RETURNS_FALSE, sender=deployer)
        with reverts_with(payments.SafeERC20FailedOperation, token=token):
            collect(token, owner, 5)

    def test_refuses_what_is_no_token(self, payments, module, deployer, stranger, owner):
        """An account without code can't be collected from, and books nothing."""
        data = payments.collect.encode_input(stranger, owner, KEY, 5)
        with pytest.raises(ContractLogicError):
            module.run(payments, data, sender=deployer)
        assert payments.recorded(stranger) == 0

    def test_takes_nothing_without_an_approval(self, project, payments, module, token, owner, deployer):
        """The token's own refusal comes through."""
        token.mint(owner, 5, sender=owner)
        data = payments.collect.encode_input(token, owner, KEY, 5)
        with reverts_with(project.MintableToken.ERC20InsufficientAllowance, spender=payments, allowance=0, needed=5):
            module.run(payments, data, sender=deployer)

    def test_books_to_the_modules_account(self, payments, module, collect, token, owner):
        """Record, total and actual balance agree, and the event says so."""
        receipt = collect(token, owner, 70)

        account = payments.moduleAccount(module, KEY)
        assert payments.balanceOf(token, account) == 70
        assert payments.recorded(token) == token.balanceOf(payments) == 70
        assert receipt.events.filter(payments.Collected) == [
            payments.Collected(token=token, account=account, amount=70, **{"from": owner.address})
        ]

    def test_books_no_more_than_was_asked(self, payments, module, collect, make_token, owner):
        """What a token adds by itself is a surplus, owed to nobody."""
        token = make_token("BonusToken")
        collect(token, owner, 70)
        assert payments.balanceOf(token, payments.moduleAccount(module, KEY)) == payments.recorded(token) == 70
        assert token.balanceOf(payments) == 71

    def test_takes_a_token_that_returns_nothing(self, payments, collect, make_token, owner):
        """As some of the oldest tokens do."""
        token = make_token("NoReturnToken")
        collect(token, owner, 9)
        assert payments.recorded(token) == 9

    def test_of_zero_touches_no_token(self, payments, module, deployer, owner, make_token):
        """Free things can be paid for in a token that refuses."""
        token = make_token("RefusingToken")
        token.refuseAll(True, sender=deployer)
        module.run(payments, payments.collect.encode_input(token, owner, KEY, 0), sender=deployer)
        assert payments.recorded(token) == 0

    def test_counts_an_arrival_once_when_the_token_calls_back(
        self, payments, project, directory, module, make_token, deployer, owner
    ):
        """A second collection from within the first is refused, so one arrival can't be booked twice."""
        token = make_token("ReenteringToken")
        token.mint(owner, 200, sender=owner)
        token.approve(payments, 200, sender=owner)
        inner = payments.collect.encode_input(token, owner, OTHER_KEY, 100)
        token.arm(module, module.run.encode_input(payments, inner), True, False, sender=deployer)

        module.run(payments, payments.collect.encode_input(token, owner, KEY, 100), sender=deployer)

        assert token.calls() == 1
        assert not token.lastSuccess()
        assert token.lastReturned()[:4] == keccak(text="ReentrancyGuardReentrantCall()")[:4]
        assert payments.recorded(token) == token.balanceOf(payments) == 100
        assert payments.balanceOf(token, payments.moduleAccount(module, OTHER_KEY)) == 0


class TestMove:
    def test_refuses_account_zero(self, payments, module, collect, token, owner, deployer):
        """Nobody could ever claim it."""
        collect(token, owner, 5)
        data = payments.move.encode_input(token, KEY, bytes(32), 5)
        with reverts_with(payments.ZeroAccount):
            module.run(payments, data, sender=deployer)

    def test_refuses_more_than_is_there(self, payments, module, collect, token, owner, deployer):
        """By a single unit."""
        collect(token, owner, 5)
        account = payments.moduleAccount(module, KEY)
        with reverts_with(payments.BalanceTooLow, account=account, balance=5, asked=6):
            module.run(payments, payments.move.encode_input(token, KEY, person(owner), 6), sender=deployer)

    def test_reaches_only_the_callers_own_accounts(self, payments, collect, token, owner, stranger):
        """Another caller's account of the same key is another account."""
        collect(token, owner, 5)
        account = payments.moduleAccount(stranger, KEY)
        with reverts_with(payments.BalanceTooLow, account=account, balance=0, asked=5):
            payments.move(token, KEY, person(stranger), 5, sender=stranger)

    def test_reaches_only_one_token(self, payments, module, collect, token, make_token, owner, deployer):
        """The same account in another token is empty (I-M4)."""
        collect(token, owner, 5)
        other = make_token("MintableToken")
        with reverts_with(payments.BalanceTooLow, balance=0, asked=5):
            module.run(payments, payments.move.encode_input(other, KEY, person(owner), 5), sender=deployer)

    def test_moves_and_keeps_the_total(self, payments, module, collect, token, owner, licensee, deployer):
        """To a person or to another account; what is owed in all stays."""
        collect(token, owner, 50)
        account, other = payments.moduleAccount(module, KEY), payments.moduleAccount(module, OTHER_KEY)
        receipt = module.run(payments, payments.move.encode_input(token, KEY, person(licensee), 20), sender=deployer)
        module.run(payments, payments.move.encode_input(token, KEY, other, 30), sender=deployer)

        assert payments.claimable(token, licensee) == 20
        assert payments.balanceOf(token, other) == 30
        assert payments.balanceOf(token, account) == 0
        assert payments.recorded(token) == 50
        assert receipt.events.filter(payments.Moved) == [
            payments.Moved(token=token, to=person(licensee), amount=20, **{"from": account})
        ]

    def test_to_the_same_account_changes_nothing(self, payments, module, collect, token, owner, deployer):
        """The balance is read after it was written."""
        collect(token, owner, 50)
        account = payments.moduleAccount(module, KEY)
        module.run(payments, payments.move.encode_input(token, KEY, account, 20), sender=deployer)
        assert payments.balanceOf(token, account) == 50

    def test_stays_possible_for_a_module_that_was_replaced(
        self, payments, directory, module, collect, token, owner, deployer
    ):
        """A swap locks nobody's money in."""
        collect(token, owner, 50)
        directory.set(b"licenses".ljust(32, b"\0"), deployer, sender=deployer)
        module.run(payments, payments.move.encode_input(token, KEY, person(owner), 50), sender=deployer)
        assert payments.claimable(token, owner) == 50


class TestClaim:
    def test_refuses_who_has_nothing(self, payments, token, stranger):
        """Instead of an empty transfer."""
        with reverts_with(payments.NothingToClaim, token=token, account=stranger):
            payments.claim(token, sender=stranger)

    def test_pays_the_caller(self, payments, credit, token, owner):
        """All of it, once."""
        credit(token, owner, 33)
        receipt = payments.claim(token, sender=owner)

        assert token.balanceOf(owner) == 33
        assert payments.claimable(token, owner) == payments.recorded(token) == token.balanceOf(payments) == 0
        assert receipt.events.filter(payments.Claimed) == [payments.Claimed(token, owner, 33)]
        with reverts_with(payments.NothingToClaim, token=token, account=owner):
            payments.claim(token, sender=owner)

    def test_pays_in_a_token_that_returns_nothing(self, payments, credit, make_token, owner):
        """As some of the oldest tokens do."""
        token = make_token("NoReturnToken")
        credit(token, owner, 33)
        payments.claim(token, sender=owner)
        assert token.balanceOf(owner) == 33

    @pytest.mark.parametrize("manner", [REVERTS, RETURNS_FALSE, RETURNS_MUCH])
    def test_of_a_refusing_token_keeps_the_record(self, payments, credit, make_token, owner, deployer, manner):
        """And pays when the token does again."""
        token = make_token("RefusingToken")
        credit(token, owner, 33)
        token.refuse(owner, True, sender=deployer)
        token.setManner(manner, sender=deployer)
        error = token.Refused if manner == REVERTS else payments.SafeERC20FailedOperation
        with reverts_with(error):
            payments.claim(token, sender=owner)
        assert payments.claimable(token, owner) == payments.recorded(token) == 33

        token.refuse(owner, False, sender=deployer)
        payments.claim(token, sender=owner)
        assert token.balanceOf(owner) == 33

    def test_cannot_be_entered_twice(self, payments, module, credit, make_token, deployer, owner):
        """A token that calls back for its holder finds the ledger closed, and the record already lowered."""
        token = make_token("ReenteringToken")
        credit(token, module, 40)
        credit(token, owner, 60)
        again = module.run.encode_input(payments, payments.claim.encode_input(token))
        token.arm(module, again, True, False, sender=deployer)

        module.run(payments, payments.claim.encode_input(token), sender=deployer)

        assert token.calls() == 1
        assert not token.lastSuccess()
        assert token.lastReturned()[:4] == keccak(text="ReentrancyGuardReentrantCall()")[:4]
        assert token.balanceOf(module) == 40
        assert payments.recorded(token) == token.balanceOf(payments) == 60

    def test_shows_no_stale_record_while_the_token_acts(self, payments, module, credit, make_token, deployer, owner):
        """A reader called from within the transfer sees what is owed after it."""
        token = make_token("ReenteringToken")
        credit(token, owner, 60)
        token.arm(payments, payments.recorded.encode_input(token), True, False, sender=deployer)
        payments.claim(token, sender=owner)
        assert token.lastSuccess()
        assert int.from_bytes(token.lastReturned(), "big") == 0


class TestClaimMany:
    @pytest.mark.parametrize("manner", MANNERS)
    def test_pays_the_others_when_one_fails(self, payments, credit, token, make_token, owner, deployer, manner):
        """However it fails: by a revert, a no, all its gas or a flood of bytes. Its record stands."""
        hostile, last = make_token("RefusingToken"), make_token("NoReturnToken")
        for each, amount in ((token, 10), (hostile, 20), (last, 30)):
            credit(each, owner, amount)
        hostile.refuse(owner, True, sender=deployer)
        hostile.setManner(manner, sender=deployer)

        receipt = payments.claimMany([token, hostile, last], sender=owner, gas=1_500_000)

        assert receipt.return_value == [10, 0, 30]
        assert (token.balanceOf(owner), last.balanceOf(owner)) == (10, 30)
        assert payments.claimable(hostile, owner) == payments.recorded(hostile) == 20
        assert receipt.events.filter(payments.ClaimFailed) == [payments.ClaimFailed(hostile, owner, 20)]
        assert [(event.token, event.amount) for event in receipt.events.filter(payments.Claimed)] == [
            (token.address, 10),
            (last.address, 30),
        ]

    def test_passes_over_empty_and_repeated_tokens(self, payments, credit, token, make_token, owner):
        """A token named twice is paid once."""
        credit(token, owner, 10)
        receipt = payments.claimMany([make_token("MintableToken"), token, token], sender=owner, gas=1_500_000)
        assert receipt.return_value == [0, 10, 0]
        assert token.balanceOf(owner) == 10

    def test_refuses_to_start_a_token_with_too_little_gas(self, payments, credit, token, owner):
        """Else a transaction would succeed and pay nothing, and an estimate would find just that."""
        credit(token, owner, 10)
        with reverts_with(payments.GasInsufficient):
            payments.claimMany([token], sender=owner, gas=300_000)
        assert payments.claimable(token, owner) == 10

    def test_is_estimated_with_enough_gas(self, payments, credit, token, make_token, owner):
        """The node's estimate, used as it is, pays every token."""
        tokens = [token, make_token("MintableToken"), make_token("NoReturnToken")]
        for each in tokens:
            credit(each, owner, 7)
        estimate = payments.claimMany.estimate_gas_cost(tokens, sender=owner)
        receipt = payments.claimMany(tokens, sender=owner, gas=estimate)
        assert receipt.return_value == [7, 7, 7]

    def test_is_closed_to_a_token_that_calls_back(self, payments, module, credit, make_token, token, deployer):
        """A token in the list can't claim another of the list from within."""
        hostile = make_token("ReenteringToken")
        credit(hostile, module, 1)
        credit(token, module, 5)
        again = module.run.encode_input(payments, payments.claim.encode_input(token))
        hostile.arm(module, again, False, False, sender=deployer)
        data = payments.claimMany.encode_input([hostile, token])
        module.run(payments, data, sender=deployer, gas=1_500_000)
        assert not hostile.lastSuccess()
        assert token.balanceOf(module) == 5


class TestPayOut:
    def test_is_for_the_contract_itself(self, payments, credit, token, owner, stranger):
        """Nobody pushes money to others, nor takes it."""
        credit(token, owner, 5)
        for caller in (owner, stranger):
            with reverts_with(payments.NotSelf, caller=caller):
                payments.payOut(token, owner, sender=caller)


class TestSolvency:
    def test_a_donation_changes_nothing(self, payments, module, collect, credit, token, owner, licensee, deployer):
        """One unit, or many, sent without being asked for: no record moves, nothing reverts, nobody gets it (I-M5)."""
        credit(token, owner, 10)
        collect(token, licensee, 7)
        before = payments.recorded(token)
        token.mint(payments, 1, sender=deployer)
        assert payments.recorded(token) == before == 17

        collect(token, licensee, 3, key=OTHER_KEY)
        payments.claim(token, sender=owner)
        assert token.balanceOf(owner) == 10
        assert payments.recorded(token) == 10
        assert token.balanceOf(payments) == 11

    def test_a_token_that_loses_balances_harms_only_its_own_claims(
        self, payments, credit, token, make_token, owner, licensee, project, deployer
    ):
        """Its last claimant waits; every other token pays in full."""
        bad = make_token("ReenteringToken")
        credit(bad, owner, 10)
        credit(bad, licensee, 10)
        credit(token, licensee, 10)
        ape.chain.provider.set_storage(bad.address, _balance_slot(payments.address), (15).to_bytes(32, "big"))

        payments.claim(bad, sender=owner)
        receipt = payments.claimMany([bad, token], sender=licensee, gas=1_500_000)
        assert receipt.return_value == [0, 10]
        assert payments.claimable(bad, licensee) == 10


def _balance_slot(account: str) -> int:
    """Return where an OpenZeppelin ERC-20 without other storage before it keeps a balance: mapping in slot 0."""
    return int.from_bytes(keccak(encode(["address", "uint256"], [account, 0])), "big")
