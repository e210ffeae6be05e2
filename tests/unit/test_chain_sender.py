"""Transactions: refused before they cost, retried when stuck, never twice with one nonce."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data

from qanat.chain import abis
from qanat.chain.sender import Sender, TransactionLost
from qanat.chain.signer import KeySigner, Signer
from qanat.errors import ChainError, FileUnreadable, InsufficientFunds, MalformedHex, TransactionReverted, WrongKeyFile
from tests.unit.local_chain import anvil, compiled, deploy, key_signer


@pytest.fixture(scope="module")
def local():
    with anvil() as chain:
        yield chain


@pytest.fixture(scope="module")
def sender(local):
    return Sender(local.connect(), key_signer())


@pytest.fixture(scope="module")
def refuser(sender):
    return deploy(sender, "Refuser")


@pytest.fixture
def known(monkeypatch):
    """Errors of the test's contracts, known as those of an ABI file would be."""
    table = {
        abis.selector_of(item): item
        for name in ("Refuser", "Coin")
        for item in compiled()[name]["abi"]
        if item["type"] == "error" and item["name"] != "Unlisted"
    }
    standard = abis._errors()
    monkeypatch.setattr(abis, "_errors", lambda: standard | table)


class TestSend:
    def test_sends_and_returns_the_receipt(self, sender, refuser):
        before = refuser.functions.sum().call()
        receipt = sender.send(refuser.functions.add(3))
        assert receipt["status"] == 1
        assert refuser.functions.sum().call() == before + 3

    def test_a_refusal_costs_nothing_and_names_the_error(self, sender, refuser, known):
        balance = sender.chain.web3.eth.get_balance(sender.address)
        with pytest.raises(
            TransactionReverted, match=r"add\(\) was refused: TooMuch\(amount = 11, limit = 10"
        ) as caught:
            sender.send(refuser.functions.add(11))
        assert caught.value.error_name == "TooMuch"
        assert caught.value.arguments == {"amount": 11, "limit": 10, "id": (1).to_bytes(32, "big")}
        assert sender.chain.web3.eth.get_balance(sender.address) == balance

    @pytest.mark.parametrize(
        ("call", "says"),
        [("text", "no reason to"), ("overflow", r"Panic\(0x11"), ("empty", "refused")],
    )
    def test_other_refusals_are_read_too(self, sender, refuser, call, says):
        with pytest.raises(TransactionReverted, match=says):
            sender.send(getattr(refuser.functions, call)())

    def test_an_unknown_error_shows_its_selector(self, sender, refuser):
        abi = next(item for item in compiled()["Refuser"]["abi"] if item.get("name") == "TooMuch")
        with pytest.raises(TransactionReverted, match=abis.selector_of(abi).hex()):
            sender.send(refuser.functions.add(12))

    def test_a_view_that_reverts_is_read_in_the_same_way(self, sender, refuser):
        with pytest.raises(TransactionReverted, match="Panic"):
            sender.chain.call(refuser.functions.overflow())

    def test_too_little_to_pay_names_both_figures(self, local, refuser):
        poor = Sender(local.connect(), KeySigner.create())
        with pytest.raises(InsufficientFunds) as caught:
            poor.send(refuser.functions.add(1))
        assert caught.value.data["balance"] == 0
        assert caught.value.data["needed"] > 0

    def test_too_little_to_send_along(self, sender, refuser):
        with pytest.raises(InsufficientFunds):
            sender.send(refuser.functions.add(1), value=10**30)

    def test_many_threads_never_share_a_nonce(self, local, refuser):
        """Two senders of one account, used by eight threads: all 24 transactions get through."""
        senders = [Sender(local.connect(), key_signer()) for _ in range(2)]
        before = refuser.functions.sum().call()
        with ThreadPoolExecutor(8) as pool:
            receipts = list(pool.map(lambda n: senders[n % 2].send(refuser.functions.add(1)), range(24)))
        assert len({bytes(item["transactionHash"]) for item in receipts}) == 24
        assert refuser.functions.sum().call() == before + 24

    def test_a_nonce_taken_by_another_process_is_replaced(self, sender, refuser, monkeypatch):
        """The first nonce asked for is one that was used already."""
        real = sender._next_nonce
        answers = iter([0])
        monkeypatch.setattr(sender, "_next_nonce", lambda: next(answers, None) if False else next(answers, real()))
        assert sender.send(refuser.functions.add(1))["status"] == 1

    def test_a_chain_that_was_put_back_is_followed(self, local, refuser):
        """After a snapshot is restored the nonce that this process remembers is wrong, and is dropped."""
        sender = Sender(local.connect(), key_signer(2))
        snapshot = sender.chain.rpc("evm_snapshot")
        sender.send(refuser.functions.add(1))
        sender.send(refuser.functions.add(1))
        sender.chain.rpc("evm_revert", snapshot)
        assert sender.send(refuser.functions.add(1))["status"] == 1


class TestWaiting:
    def test_a_stuck_transaction_is_sent_again_with_a_higher_fee(self):
        """Without mining nothing happens; the second sending replaces the first, and that is the one that is mined."""
        with anvil() as local:
            chain = local.connect()
            refuser = deploy(Sender(chain, key_signer()), "Refuser")
            chain.rpc("evm_setAutomine", False)
            seen: list[str] = []
            again = threading.Event()

            def note(what, transaction):
                seen.append(transaction)
                if what == "again":
                    again.set()

            sender = Sender(chain, key_signer(), timeout=20, resend_after=0.2, on_sent=note)
            threading.Thread(target=lambda: (again.wait(10), chain.rpc("anvil_mine", "0x1")), daemon=True).start()
            receipt = sender.send(refuser.functions.add(2))
            assert len(seen) >= 2
            assert "0x" + bytes(receipt["transactionHash"]).hex() in seen[1:]
            assert refuser.functions.sum().call() == 2

    def test_what_an_earlier_run_left_waiting_is_seen_through_at_a_higher_fee(self):
        """With its nonce; and what is mined, forgotten or replaced by another one is told apart."""
        with anvil() as local:
            chain = local.connect()
            refuser = deploy(Sender(chain, key_signer()), "Refuser")
            chain.rpc("evm_setAutomine", False)
            with pytest.raises(TransactionLost) as caught:
                Sender(chain, key_signer(), timeout=0.1).send(refuser.functions.add(2))
            (waiting,) = caught.value.data["hashes"]
            before = chain.web3.eth.get_transaction(waiting)
            dearer = []
            sender = Sender(chain, key_signer(), timeout=20, on_sent=lambda _, made: dearer.append(made))
            threading.Thread(target=lambda: (time.sleep(0.3), chain.rpc("anvil_mine", "0x1")), daemon=True).start()
            receipt = sender.push(waiting)
            after = chain.web3.eth.get_transaction(receipt["transactionHash"])
            assert dearer == ["0x" + bytes(receipt["transactionHash"]).hex()]
            assert (after["nonce"], after["input"]) == (before["nonce"], before["input"])
            assert after["maxFeePerGas"] > before["maxFeePerGas"]
            assert refuser.functions.sum().call() == 2
            assert sender.push(dearer[0])["blockNumber"] == receipt["blockNumber"]
            assert sender.push(waiting) is None
            stranger = Sender(chain, KeySigner(Account.create()))
            with pytest.raises(ChainError, match="not one of"):
                stranger.push(dearer[0])

    def test_a_transaction_that_no_block_takes_is_given_up(self):
        with anvil() as local:
            chain = local.connect()
            refuser = deploy(Sender(chain, key_signer()), "Refuser")
            chain.rpc("evm_setAutomine", False)
            with pytest.raises(TransactionLost) as caught:
                Sender(chain, key_signer(), timeout=0.3).send(refuser.functions.add(2))
            assert len(caught.value.data["hashes"]) == 1

    def test_a_refusal_in_the_block_is_told_with_its_transaction(self, known):
        """Both pass the estimate; the second to be mined in the same block is refused."""
        with anvil() as local:
            chain = local.connect()
            refuser = deploy(Sender(chain, key_signer()), "Refuser")
            chain.rpc("evm_setAutomine", False)
            outcomes = []

            def run(number):
                try:
                    outcomes.append(
                        Sender(chain, key_signer(number), timeout=20).send(refuser.functions.oncePerBlock())
                    )
                except TransactionReverted as error:
                    outcomes.append(error)

            threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 10
            while int(chain.rpc("txpool_status")["pending"], 16) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            chain.rpc("anvil_mine", "0x1")
            for thread in threads:
                thread.join(20)
            refused = [item for item in outcomes if isinstance(item, TransactionReverted)]
            assert len(outcomes) == 2
            assert len(refused) == 1
            assert refused[0].data["transaction"].startswith("0x")

    def test_waits_for_confirmations(self):
        with anvil() as local:
            chain = local.connect()
            refuser = deploy(Sender(chain, key_signer()), "Refuser")
            sender = Sender(chain, key_signer(), confirmations=3)
            timer = threading.Timer(0.4, lambda: chain.rpc("anvil_mine", "0x2"))
            timer.start()
            receipt = sender.send(refuser.functions.add(1))
            assert chain.latest() >= receipt["blockNumber"] + 2


class TestTokens:
    SPENDER = "0x" + "22" * 20

    def test_too_few_tokens_names_both_figures(self, sender):
        coin = deploy(sender, "Coin", False)
        with pytest.raises(InsufficientFunds) as caught:
            sender.approve_if_needed(coin.address, self.SPENDER, 1001)
        assert (caught.value.data["balance"], caught.value.data["needed"]) == (1000, 1001)
        assert coin.functions.allowance(sender.address, self.SPENDER).call() == 0

    @pytest.mark.parametrize("stubborn", [False, True])
    def test_approves_exactly_what_is_needed_and_only_then(self, sender, stubborn):
        coin = deploy(sender, "Coin", stubborn)
        assert sender.approve_if_needed(coin.address, self.SPENDER, 400) is not None
        assert sender.approve_if_needed(coin.address, self.SPENDER, 400) is None
        assert sender.approve_if_needed(coin.address, self.SPENDER, 300) is None
        assert sender.approve_if_needed(coin.address, self.SPENDER, 900) is not None
        assert coin.functions.allowance(sender.address, self.SPENDER).call() == 900

    @pytest.mark.parametrize("others", [1, 3])
    def test_an_allowance_that_other_payments_take_is_given_anew(self, sender, monkeypatch, others):
        """Two payments of one account see the other's allowance, or none, whenever they look."""
        coin, till = deploy(sender, "Coin", False), deploy(sender, "Till")
        approve, waiting = sender.approve_if_needed, [100] * others

        def approve_and_be_overtaken(*args):
            receipt = approve(*args)
            if waiting:
                sender.send(till.functions.pay(coin.address, waiting.pop()))
            return receipt

        monkeypatch.setattr(sender, "approve_if_needed", approve_and_be_overtaken)
        sender.pay(till.functions.pay(coin.address, 400), coin.address, till.address, 400)
        assert not waiting
        assert coin.functions.balanceOf(till.address).call() == 400 + 100 * others

    def test_a_refusal_that_is_none_of_the_allowance_is_told_at_once(self, sender, monkeypatch):
        coin, till = deploy(sender, "Coin", False), deploy(sender, "Till")
        given = []
        approve = sender.approve_if_needed
        monkeypatch.setattr(sender, "approve_if_needed", lambda *args: given.append(approve(*args)))
        with pytest.raises(TransactionReverted):
            sender.pay(till.functions.pay(coin.address, 1001), coin.address, till.address, 1000)
        assert len(given) == 1


class TestKeySigner:
    def test_is_a_signer(self):
        assert isinstance(key_signer(), Signer)

    def test_keyfile_roundtrip(self, tmp_path):
        signer = KeySigner.create()
        path = tmp_path / "keys" / "a.json"
        signer.save_keyfile(path, "word", iterations=2)
        assert path.stat().st_mode & 0o777 == 0o600
        assert KeySigner.from_keyfile(path, "word").address == signer.address
        with pytest.raises(WrongKeyFile):
            KeySigner.from_keyfile(path, "other")

    def test_what_is_no_key_file(self, tmp_path):
        with pytest.raises(FileUnreadable):
            KeySigner.from_keyfile(tmp_path / "missing.json", "word")
        for text in ("", "{}", "[]", '{"crypto": 1, "version": 3}'):
            (tmp_path / "bad.json").write_text(text)
            with pytest.raises(WrongKeyFile):
                KeySigner.from_keyfile(tmp_path / "bad.json", "word")

    @pytest.mark.parametrize("key", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32, b"short"])
    def test_what_is_no_key(self, key):
        with pytest.raises(MalformedHex) as caught:
            KeySigner.from_key(key)
        assert caught.value.__cause__ is None

    def test_signatures_are_those_of_the_address(self):
        signer = key_signer()
        text = signer.sign_message("a text\nof two lines")
        assert len(text) == 65
        assert Account.recover_message(encode_defunct(text="a text\nof two lines"), signature=text) == signer.address
        typed = ({"name": "Qanat", "chainId": 1}, {"Thing": [{"name": "id", "type": "uint256"}]}, {"id": 7})
        signature = signer.sign_typed_data(*typed)
        assert Account.recover_message(encode_typed_data(*typed), signature=signature) == signer.address

    def test_shows_no_key(self):
        assert "ac0974" not in repr(key_signer())
