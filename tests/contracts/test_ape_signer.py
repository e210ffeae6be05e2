"""Ape's accounts as signers of transactions that were filled in elsewhere."""

from __future__ import annotations

import pytest
from eth_account import Account

from ape_qanat.adapters import ApeSigner

CREATION = bytes.fromhex("6001600c60003960016000f300")  # deploys the one byte STOP


@pytest.fixture
def fields(owner, chain):
    return {
        "chainId": chain.chain_id,
        "from": owner.address,
        "nonce": owner.nonce,
        "gas": 100_000,
        "maxFeePerGas": 2 * 10**9,
        "maxPriorityFeePerGas": 10**9,
        "value": 0,
        "type": 2,
    }


class TestSignTransaction:
    @pytest.mark.parametrize("to", [{"to": b""}, {"to": ""}, {"to": None}, {}], ids=["bytes", "text", "none", "absent"])
    def test_creations_however_the_missing_address_is_written(self, fields, owner, chain, to):
        raw = ApeSigner(owner).sign_transaction({**fields, **to, "data": CREATION})
        assert Account.recover_transaction(raw) == owner.address
        web3 = chain.provider.web3
        receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw))
        assert web3.eth.get_code(receipt["contractAddress"]) == b"\x00"

    def test_calls(self, fields, owner, stranger, chain):
        raw = ApeSigner(owner).sign_transaction({**fields, "to": stranger.address, "value": 7, "data": b""})
        before = stranger.balance
        web3 = chain.provider.web3
        web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw))
        assert stranger.balance == before + 7
