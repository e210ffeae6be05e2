"""Payments: deposits for reads, vouchers, withdrawals after a notice. `qanat.payments.vouchers` makes vouchers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ape import chain
from eth_account import Account
from eth_account.messages import encode_typed_data

from qanat.payments.vouchers import Voucher, read_voucher, signed_by, voucher_request
from tests.contracts.reverts import reverts_with

ZERO = "0x" + "00" * 20
NOTICE = 7 * 86_400
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture(scope="module")
def reads(project, deployer, operator, accounts):
    """A ledger and a token; two readers with deposits for one operator."""
    directory = deployer.deploy(project.DirectoryDouble)
    payments = deployer.deploy(project.Payments, directory)
    token = deployer.deploy(project.MintableToken)
    world = SimpleNamespace(payments=payments, token=token, operator=operator, readers=accounts[16:18])
    for reader in world.readers:
        deposit(world, reader, 1_000)
    return world


def deposit(world, payer, *amounts, operators=None, sender=None, token=None):
    """Deposit so much for each operator, from a wallet that has and approves exactly that."""
    sender, token = sender or payer, token or world.token
    token.mint(sender, sum(amounts), sender=sender)
    token.approve(world.payments, sum(amounts), sender=sender)
    operators = operators or [world.operator]
    return world.payments.depositForReads(token, payer, operators, list(amounts), sender=sender)


def voucher(world, payer, cumulative, *, operator=None, token=None, payments=None, chain_id=None) -> Voucher:
    """A voucher that a payer signed."""
    typed = voucher_request(
        chain_id or chain.chain_id,
        (payments or world.payments).address,
        (operator or world.operator).address,
        (token or world.token).address,
        cumulative,
    )
    signed = Account.sign_message(encode_typed_data(*typed), payer.private_key)
    return Voucher(cumulative, bytes(signed.signature))


def redeem(world, *vouchers, operator=None, token=None, sender=None):
    made = [item.as_tuple() for item in vouchers]
    operator = operator or world.operator
    return world.payments.redeem(token or world.token, operator, made, sender=sender or operator)


def has(world, person) -> int:
    return int(world.payments.claimable(world.token, person))


def held(world, payer) -> tuple[int, int, int]:
    return tuple(int(value) for value in world.payments.depositOf(world.token, world.operator, payer))


def check_solvent(world, *people):
    """I-P1: what is recorded is what lies there, and what accounts and deposits sum up to."""
    deposits = sum(held(world, reader)[0] - held(world, reader)[1] for reader in world.readers)
    recorded = int(world.payments.recorded(world.token))
    assert recorded == int(world.token.balanceOf(world.payments)) == deposits + sum(has(world, who) for who in people)


class TestDepositForReads:
    def test_refuses_lists_of_different_lengths(self, reads, owner):
        with reverts_with(reads.payments.LengthsDiffer, one=2, other=1):
            deposit(reads, owner, 5, operators=[reads.operator, owner])

    def test_refuses_nobodys_deposit(self, reads, owner):
        """A signature of nobody's recovers to zero elsewhere."""
        with reverts_with(reads.payments.ZeroAccount):
            reads.payments.depositForReads(reads.token, ZERO, [reads.operator], [5], sender=owner)

    def test_refuses_what_does_not_arrive(self, reads, project, deployer, owner):
        token = deployer.deploy(project.FeeToken)
        with reverts_with(reads.payments.TransferShort, expected=1_000, received=990):
            deposit(reads, owner, 1_000, token=token)

    def test_refuses_more_than_fits(self, reads, owner):
        """2^104 units of one payer for one operator, in all."""
        with reverts_with(reads.payments.DepositTooLarge, sum=2**104, limit=2**104 - 1):
            deposit(reads, reads.readers[0], 2**104 - 1_000, sender=owner)

    def test_adds_to_each_operators_own(self, reads, operators, stranger):
        """Of the payer named, paid by anyone; one operator's says nothing of another's."""
        payer = reads.readers[0]
        receipt = deposit(reads, payer, 7, 9, operators=operators[:2], sender=stranger)
        assert held(reads, payer) == (1_007, 0, 0)
        assert tuple(reads.payments.depositOf(reads.token, operators[1], payer)) == (9, 0, 0)
        events = receipt.events.filter(reads.payments.ReadsDeposited)
        assert [(event.operator, event.payer, event.amount) for event in events] == [
            (operators[0].address, payer.address, 7),
            (operators[1].address, payer.address, 9),
        ]


class TestRedeem:
    def test_pays_what_is_new_of_each_payer(self, reads, stranger):
        """In one transaction, sent by anyone, into the operator's account."""
        one, two = reads.readers
        receipt = redeem(reads, voucher(reads, one, 100), voucher(reads, two, 30), sender=stranger)
        assert receipt.return_value == has(reads, reads.operator) == 130
        events = receipt.events.filter(reads.payments.VoucherRedeemed)
        assert [(event.payer, event.amount) for event in events] == [(one.address, 100), (two.address, 30)]
        assert redeem(reads, voucher(reads, one, 101)).return_value == 1
        check_solvent(reads, reads.operator)

    def test_a_replay_pays_nothing(self, reads):
        """Nor does an older one, in any order, in one transaction or two."""
        payer = reads.readers[0]
        newest, older = voucher(reads, payer, 100), voucher(reads, payer, 60)
        assert redeem(reads, older, newest, newest, older).return_value == 100
        for again in (newest, older):
            with reverts_with(reads.payments.NothingToRedeem, token=reads.token, operator=reads.operator):
                redeem(reads, again)
        assert held(reads, payer) == (1_000, 100, 0)

    def test_a_batch_is_not_stopped_by_what_is_worth_nothing(self, reads, stranger):
        """Signatures of nobody's, with a high s, of somebody without a deposit."""
        one, two = reads.readers
        good = voucher(reads, two, 5)
        zeros = Voucher(9, bytes(64) + b"\x1b")
        signature = voucher(reads, one, 9).signature
        s = ORDER - int.from_bytes(signature[32:64], "big")
        other_form = Voucher(9, signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]]))
        batch = (zeros, voucher(reads, stranger, 9), good)
        assert redeem(reads, *batch).return_value == 5
        # the highest bit of s is v's: a high s is none of ours, and recovers to somebody without a deposit, or nobody
        with reverts_with(reads.payments.NothingToRedeem):
            made = (9, signature[:32], other_form.signature[32:64])
            reads.payments.redeem(reads.token, reads.operator, [made], sender=stranger)

    @pytest.mark.parametrize("what", ["operator", "token", "payments", "chain_id", "cumulative"])
    def test_is_worth_nothing_elsewhere(self, reads, project, deployer, operators, what):
        """Of another operator, token, ledger or chain, or over another amount, nothing is paid."""
        payer = reads.readers[0]
        others = {
            "operator": operators[1],
            "token": deployer.deploy(project.MintableToken),
            "payments": deployer.deploy(project.Payments, deployer),
            "chain_id": chain.chain_id + 1,
        }
        made = voucher(reads, payer, 10, **({} if what == "cumulative" else {what: others[what]}))
        if what == "cumulative":
            made = Voucher(11, made.signature)
        with reverts_with(reads.payments.NothingToRedeem):
            redeem(reads, made)

    def test_pays_up_to_the_deposit_and_the_rest_after_another(self, reads):
        payer = reads.readers[0]
        made = voucher(reads, payer, 1_500)
        assert redeem(reads, made).return_value == 1_000
        with reverts_with(reads.payments.NothingToRedeem):
            redeem(reads, made)
        deposit(reads, payer, 600)
        assert redeem(reads, made).return_value == 500
        check_solvent(reads, reads.operator)

    def test_the_package_signs_what_the_contract_says(self, reads):
        """Digest, header, signer."""
        payer = reads.readers[0]
        typed = voucher_request(
            chain.chain_id, reads.payments.address, reads.operator.address, reads.token.address, 10**20
        )
        signable = encode_typed_data(*typed)
        signed = Account.sign_message(signable, payer.private_key)
        assert bytes(signed.message_hash) == bytes(reads.payments.voucherDigest(reads.token, reads.operator, 10**20))
        read = read_voucher(f"cumulative={10**20}, signature=0x{bytes(signed.signature).hex()}")
        place = (chain.chain_id, reads.payments.address, reads.operator.address, reads.token.address)
        assert signed_by(read, *place) == payer.address


class TestWithdrawal:
    def test_waits_for_its_notice(self, reads):
        """To the second; unannounced not at all."""
        payer = reads.readers[0]
        with reverts_with(reads.payments.NoticeNotOver, withdrawableAt=0):
            reads.payments.withdrawDeposit(reads.token, reads.operator, sender=payer)
        receipt = reads.payments.announceWithdrawal(reads.token, reads.operator, sender=payer)
        at = receipt.timestamp // 1_000 + NOTICE if receipt.timestamp > 10**11 else receipt.timestamp + NOTICE
        assert held(reads, payer) == (1_000, 0, at)
        chain.provider.set_timestamp(at - 1)
        with reverts_with(reads.payments.NoticeNotOver, withdrawableAt=at, timestamp=at - 1):
            reads.payments.withdrawDeposit(reads.token, reads.operator, sender=payer)
        chain.provider.set_timestamp(at)
        assert reads.payments.withdrawDeposit(reads.token, reads.operator, sender=payer).return_value == 1_000
        assert (has(reads, payer), held(reads, payer)) == (1_000, (0, 0, 0))
        check_solvent(reads, payer)

    def test_vouchers_are_redeemed_meanwhile(self, reads):
        """And what they took is not withdrawn; a replay afterwards takes nothing from a later deposit."""
        payer = reads.readers[0]
        reads.payments.announceWithdrawal(reads.token, reads.operator, sender=payer)
        made = voucher(reads, payer, 400)
        redeem(reads, made)
        pass_notice()
        assert reads.payments.withdrawDeposit(reads.token, reads.operator, sender=payer).return_value == 600
        deposit(reads, payer, 50)
        with reverts_with(reads.payments.NothingToRedeem):
            redeem(reads, made)
        assert redeem(reads, voucher(reads, payer, 425)).return_value == 25
        check_solvent(reads, payer, reads.operator)

    def test_every_withdrawal_has_a_notice_of_its_own(self, reads):
        payer = reads.readers[0]
        reads.payments.announceWithdrawal(reads.token, reads.operator, sender=payer)
        pass_notice()
        reads.payments.withdrawDeposit(reads.token, reads.operator, sender=payer)
        deposit(reads, payer, 50)
        with reverts_with(reads.payments.NoticeNotOver, withdrawableAt=0):
            reads.payments.withdrawDeposit(reads.token, reads.operator, sender=payer)

    def test_is_called_off_by_its_payer_alone(self, reads, stranger):
        """A deposit by somebody else changes nothing of it."""
        payer = reads.readers[0]
        reads.payments.announceWithdrawal(reads.token, reads.operator, sender=payer)
        announced = held(reads, payer)[2]
        reads.payments.cancelWithdrawal(reads.token, reads.operator, sender=stranger)
        deposit(reads, payer, 1, sender=stranger)
        assert held(reads, payer) == (1_001, 0, announced)
        receipt = reads.payments.cancelWithdrawal(reads.token, reads.operator, sender=payer)
        assert receipt.events.filter(reads.payments.WithdrawalAnnounced)[0].withdrawableAt == 0
        pass_notice()
        with reverts_with(reads.payments.NoticeNotOver, withdrawableAt=0):
            reads.payments.withdrawDeposit(reads.token, reads.operator, sender=payer)


def pass_notice():
    chain.provider.set_timestamp(int(chain.blocks.head.timestamp) + NOTICE)
    chain.mine()
