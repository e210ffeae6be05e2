"""What is paid is paid once, whatever happens between a program and its chain, and to the program."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from qanat.chain import provider as chain_provider
from qanat.chain import sender as chain_sender
from qanat.chain.connection import Chain
from qanat.chain.journal import Journal
from qanat.chain.sender import Sender, TransactionLost
from qanat.chain.signer import KeySigner
from qanat.errors import ChainError, ChainUnreachable, FileUnreadable, NotDeployed, TransactionReverted
from tests.unit.fault_proxy import FAULTS, TOGETHER, FaultProxy
from tests.unit.local_chain import KEYS, anvil, compiled, deploy, free_port, key_signer

ROOT = Path(__file__).resolve().parents[2]
SEND = "eth_sendRawTransaction"
PASSING = sorted(set(FAULTS) - {"hang", "swallow"})
GWEI = 10**9


@pytest.fixture(scope="module")
def local():
    with anvil() as chain:
        yield chain


@pytest.fixture
def counter(local):
    """A contract whose sum says how often it was paid."""
    return deploy(Sender(local.connect(), key_signer()), "Refuser")


@pytest.fixture
def proxy(local):
    with FaultProxy(local.url, patience=1.2) as made:
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Waits of fractions of a second instead of seconds."""
    monkeypatch.setattr(chain_provider, "PAUSE", 0.01)
    monkeypatch.setattr(chain_sender, "LOOK_AGAIN", 0.3)


def sum_of(counter):
    return counter.functions.sum().call()


class TestAnswers:
    @pytest.mark.parametrize("times", [1, 4])
    @pytest.mark.parametrize("fault", PASSING)
    def test_a_transaction_is_sent_once_whatever_its_answer(self, local, counter, proxy, fault, times, monkeypatch):
        """Also when all tries to hand it over fail: it is waited for, and handed over again if it never arrived."""
        monkeypatch.setattr(chain_sender.time, "sleep", short_sleep)
        chain = Chain.connect(proxy.url, timeout=1.2)
        proxy.once(SEND, fault, times=times)
        before = nonce(local)
        receipt = Sender(chain, key_signer(), timeout=20).send(counter.functions.add(1))
        assert receipt["status"] == 1
        assert sum_of(counter) == 1
        assert nonce(local) == before + 1

    @pytest.mark.parametrize("seed", [1, 2])
    def test_every_third_request_fails(self, local, counter, proxy, seed, monkeypatch):
        """Faults of all kinds, seeded, at all methods: eight sendings are eight payments."""
        monkeypatch.setattr(chain_sender.time, "sleep", short_sleep)
        chance = random.Random(seed)
        chain = Chain.connect(proxy.url, timeout=1.2)
        sender = Sender(chain, key_signer(), timeout=30)
        faults = [item for item in PASSING if item != "late"]
        proxy.fault = lambda _method, _count: chance.choice(faults) if chance.random() < 1 / 3 else ""
        before = nonce(local)
        sent = 0
        for _ in range(40):
            try:
                sender.send(counter.functions.add(1))
            except TransactionLost:
                raise  # what was signed is not given up so soon
            except ChainUnreachable:
                continue  # before it was signed: nothing can have left
            sent += 1
            if sent == 8:
                break
        proxy.fault = lambda _method, _count: ""
        assert sent == 8
        assert sum_of(counter) == 8
        assert nonce(local) == before + 8

    def test_an_endpoint_that_is_gone_while_it_is_waited_for(self, local, counter, proxy):
        """It comes back, and the receipt is had."""
        chain = Chain.connect(proxy.url, timeout=1.2)
        proxy.fault = lambda method, count: "broken" if method == "eth_getTransactionReceipt" and count < 9 else ""
        assert Sender(chain, key_signer(), timeout=20).send(counter.functions.add(1))["status"] == 1
        assert sum_of(counter) == 1

    def test_given_up_says_where_to_look(self, local, counter, proxy):
        chain = Chain.connect(proxy.url, timeout=1.2)
        proxy.fault = lambda method, _count: "broken" if method in (SEND, "eth_getTransactionReceipt") else ""
        with pytest.raises(TransactionLost, match="503") as caught:
            Sender(chain, key_signer(), timeout=0.5).send(counter.functions.add(1))
        assert len(caught.value.data["hashes"]) == 1

    def test_an_endpoint_s_name_for_a_transaction_is_not_believed(self, local, counter, monkeypatch):
        """Its hash is what its bytes hash to."""
        chain = local.connect()
        real = chain.rpc
        monkeypatch.setattr(chain, "rpc", lambda *a: (real(*a), "0x" + "11" * 32)[1] if a[0] == SEND else real(*a))
        assert Sender(chain, key_signer(), timeout=5).send(counter.functions.add(1))["status"] == 1


class TestEndpoints:
    """Several of one chain, asked in turn."""

    def test_the_next_one_answers_where_one_fails(self, local, counter, proxy):
        proxy.fault = lambda method, _count: "" if method == "eth_chainId" else "broken"
        chain = Chain.connect(f"{proxy.url}, {local.url}", timeout=0.5)
        assert Sender(chain, key_signer()).send(counter.functions.add(1))["status"] == 1
        asked = len(proxy.seen)
        chain.latest()
        assert len(proxy.seen) == asked  # it stays with the one that answers

    def test_one_that_is_not_there_at_the_beginning(self, local):
        chain = Chain.connect(f"http://127.0.0.1:{free_port()},{local.url}", timeout=0.5)
        assert chain.latest() >= 0

    def test_one_of_another_chain_is_never_asked(self, local, proxy):
        with anvil("--chain-id", "77") as other:
            chain = Chain.connect(f"{proxy.url},{other.url}", timeout=0.5)
            proxy.fault = lambda _method, _count: "broken"
            with pytest.raises(ChainUnreachable, match="cannot be reached"):
                chain.latest()
            proxy.fault = lambda _method, _count: ""
            assert chain.latest() == local.connect().latest()

    def test_the_chain_s_id_is_asked_once(self, local, counter, proxy):
        """web3 wants it before every call; it is what the connection was checked with."""
        chain = Chain.connect(proxy.url, chain_id=31337)
        contract = chain.web3.eth.contract(address=counter.address, abi=counter.abi)
        for _ in range(3):
            chain.call(contract.functions.sum())
        asked = [method for method, _ in proxy.seen]
        assert asked == ["eth_chainId", "eth_call", "eth_call", "eth_call"]

    def test_all_gone_is_said_once_without_secrets(self):
        urls = ",".join(f"http://127.0.0.1:{free_port()}/v3/secret" for _ in range(2))
        with pytest.raises(ChainUnreachable, match="nor 1 more") as caught:
            Chain.connect(urls, timeout=0.5)
        assert "secret" not in str(caught.value)

    def test_an_answer_without_end_is_cut_off(self, local, proxy, monkeypatch):
        chain = Chain.connect(proxy.url, timeout=0.5)
        monkeypatch.setattr(chain_provider, "MOST_BYTES", 10)
        with pytest.raises(ChainUnreachable, match="MiB"):
            chain.block()

    @pytest.mark.parametrize("fault", PASSING)
    def test_what_is_asked_is_asked_again(self, local, proxy, fault):
        chain = Chain.connect(proxy.url, timeout=1.2)
        proxy.once("eth_blockNumber", fault, times=2)
        assert chain.latest() == local.connect().latest()


class TestTogether:
    """Independent questions in one request."""

    @pytest.fixture
    def chain(self, proxy):
        return Chain.connect(proxy.url, timeout=1.2)

    def ask(self, chain, counter):
        """Sum, one that reverts, the same sum at block 0 (before the contract), the last block; and the heads."""
        functions = chain.web3.eth.contract(address=counter.address, abi=counter.abi).functions
        calls = [(functions.sum(), "latest"), (functions.overflow(), "latest"), (functions.sum(), 0)]
        return chain.call_together([*calls, (functions.lastBlock(), "latest")]), chain.heads()

    def check(self, local, counter, said):
        (total, reverted, early, last), (head, finalized) = said
        assert (total, last) == (sum_of(counter), 0)
        assert isinstance(reverted, TransactionReverted)
        assert isinstance(early, NotDeployed)
        assert (int(head["number"], 16), finalized) == (local.connect().latest(), local.connect().finalized_block())

    def test_each_is_answered_in_one_request_or_asked_again(self, local, counter, proxy, chain):
        Sender(local.connect(), key_signer()).send(counter.functions.add(3))
        self.check(local, counter, self.ask(chain, counter))
        asked = [method for method, _ in proxy.seen]
        # what failed is asked again on its own: the second time says why
        assert asked == ["eth_chainId", TOGETHER, "eth_call", "eth_call", "eth_getCode", TOGETHER]

    @pytest.mark.parametrize("fault", PASSING)
    def test_whatever_goes_wrong_each_is_answered(self, local, counter, proxy, chain, fault):
        proxy.once(TOGETHER, fault, times=2)
        self.check(local, counter, self.ask(chain, counter))

    def test_an_endpoint_that_takes_one_at_a_time_is_asked_so(self, local, counter, proxy, chain, monkeypatch):
        refused = json.dumps(
            {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
        ).encode()
        passed_on = proxy._pass_on
        monkeypatch.setattr(proxy, "_pass_on", lambda asked: refused if isinstance(asked, list) else passed_on(asked))
        for _ in range(2):
            self.check(local, counter, self.ask(chain, counter))
        assert [method for method, _ in proxy.seen].count(TOGETHER) == 1

    def test_answers_may_come_in_any_order(self, local, counter, proxy, chain, monkeypatch):
        """The order of the questions says nothing (JSON-RPC 2.0, section 6)."""
        passed_on = proxy._pass_on

        def reversed_answers(asked):
            answers = json.loads(passed_on(asked))
            return json.dumps(answers[::-1] if isinstance(answers, list) else answers).encode()

        monkeypatch.setattr(proxy, "_pass_on", reversed_answers)
        Sender(local.connect(), key_signer()).send(counter.functions.add(4))
        self.check(local, counter, self.ask(chain, counter))

    def test_many_are_asked_in_parts(self, counter, proxy, chain, monkeypatch):
        monkeypatch.setattr(chain_provider, "MOST_TOGETHER", 4)
        functions = chain.web3.eth.contract(address=counter.address, abi=counter.abi).functions
        assert chain.call_together([(functions.sum(), "latest")] * 10) == [sum_of(counter)] * 10
        assert [len(request) for method, request in proxy.seen if method == TOGETHER] == [4, 4, 2]

    def test_another_chain_s_endpoint_is_not_asked(self, counter, proxy):
        with anvil("--chain-id", "77") as other:
            chain = Chain.connect(f"{proxy.url},{other.url}", timeout=0.5)
            proxy.fault = lambda _method, _count: "broken"
            functions = chain.web3.eth.contract(address=counter.address, abi=counter.abi).functions
            with pytest.raises(ChainUnreachable):
                chain.call_together([(functions.sum(), "latest")] * 2)


class TestFees:
    @pytest.fixture
    def still(self, local):
        """The chain mines only when it is told to."""
        chain = local.connect()
        chain.rpc("evm_setAutomine", False)
        yield chain
        chain.rpc("evm_setAutomine", True)
        chain.rpc("anvil_mine", "0x1")

    def mined_when(self, chain, hashes, sent, base_fee=None):
        """Mine a block when so many transactions were sent, at a base fee."""
        deadline = time.monotonic() + 10
        while len(hashes) < sent and time.monotonic() < deadline:
            time.sleep(0.02)
        if base_fee is not None:
            chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
        chain.rpc("anvil_mine", "0x1")

    def test_a_spike_is_followed(self, local, counter, still):
        """The base fee rises twentyfold while it waits: what is sent again pays for it."""
        hashes = []
        spike = 20 * int(still.block()["baseFeePerGas"], 16) + 20 * GWEI

        def run():
            self.mined_when(still, hashes, 1, base_fee=spike)
            self.mined_when(still, hashes, 2)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        sender = Sender(still, key_signer(), timeout=20, resend_after=0.5, on_sent=lambda _, sent: hashes.append(sent))
        receipt = sender.send(counter.functions.add(1))
        thread.join()
        assert receipt["effectiveGasPrice"] > spike // 2
        assert "0x" + bytes(receipt["transactionHash"]).hex() in hashes[1:]
        assert sum_of(counter) == 1

    def test_no_more_is_ever_paid_than_the_ceiling(self, local, counter, still):
        base = int(still.block()["baseFeePerGas"], 16)
        ceiling = 3 * base + 2 * GWEI
        hashes = []
        sender = Sender(
            still,
            key_signer(),
            timeout=20,
            resend_after=0.1,
            fee_ceiling=ceiling,
            on_sent=lambda _, sent: hashes.append(sent),
        )
        threading.Thread(target=self.mined_when, args=(still, hashes, 3), daemon=True).start()
        sender.send(counter.functions.add(1))
        offered = [seen["maxFeePerGas"] for item in hashes if (seen := known(still, item)) is not None]
        assert offered
        assert all(int(item) <= ceiling for item in offered)
        assert len(hashes) > 1

    def test_dearer_than_the_ceiling_sends_nothing(self, local, counter, still):
        before = nonce(local)
        with pytest.raises(ChainError, match="Nothing was sent") as caught:
            Sender(still, key_signer(), fee_ceiling=1).send(counter.functions.add(1))
        assert caught.value.data["ceiling"] == 1
        assert nonce(local, "pending") == before

    def test_advice_on_a_tip_is_not_followed_blindly(self, local, counter, monkeypatch):
        """An endpoint that is in league with a block's proposer names ten coins."""
        chain = local.connect()
        monkeypatch.setattr(type(chain.web3.eth), "max_priority_fee", property(lambda _: 10**19))
        receipt = Sender(chain, key_signer()).send(counter.functions.add(1))
        assert receipt["effectiveGasPrice"] <= 200 * GWEI


class TestNonces:
    def test_one_that_another_program_takes_while_it_is_waited_for(self, local, counter):
        """Another one's transaction replaces ours in the pool: ours is signed anew, and counts once."""
        chain = local.connect()
        chain.rpc("evm_setAutomine", False)
        sent = threading.Event()

        def replace():
            sent.wait(10)
            taken = {"from": KeySigner.from_key(KEYS[0]).address, "to": "0x" + "11" * 20, "value": 1, "gas": 21_000}
            taken |= {"nonce": nonce(local), "chainId": 31337, "maxFeePerGas": 900 * GWEI, "data": b""}
            raw = key_signer().sign_transaction(taken | {"maxPriorityFeePerGas": 400 * GWEI})
            chain.rpc(SEND, "0x" + raw.hex())
            chain.rpc("anvil_mine", "0x1")
            chain.rpc("evm_setAutomine", True)

        thread = threading.Thread(target=replace)
        thread.start()
        before = nonce(local)
        try:
            Sender(local.connect(), key_signer(), timeout=20, on_sent=lambda *_: sent.set()).send(
                counter.functions.add(1)
            )
        finally:
            thread.join()
        assert sum_of(counter) == 1
        assert nonce(local) == before + 2

    def test_a_reorganisation_that_drops_it(self, local, counter):
        """Its block is replaced by an empty one: it is handed over again, and waited for until it lies deep enough."""
        chain = local.connect()
        chain.rpc("anvil_mine", "0x2")

        def reorganise():
            deadline = time.monotonic() + 10
            while sum_of(counter) == 0 and time.monotonic() < deadline:
                time.sleep(0.02)
            chain.rpc("anvil_reorg", 1, [])
            assert sum_of(counter) == 0
            while sum_of(counter) == 0 and time.monotonic() < deadline:
                time.sleep(0.02)
            chain.rpc("anvil_mine", "0x3")

        thread = threading.Thread(target=reorganise)
        thread.start()
        receipt = Sender(local.connect(), key_signer(), timeout=20, confirmations=3).send(counter.functions.add(1))
        thread.join()
        assert sum_of(counter) == 1
        assert chain.latest() >= receipt["blockNumber"] + 2

    def test_a_reorganisation_that_drops_what_others_wait_behind(self, local, counter):
        """One of ours lies in a block that is replaced, the next waits: what is sent then takes the free nonce."""
        chain = local.connect()
        chain.rpc("anvil_mine", "0x2")
        first = nonce(local)
        Sender(local.connect(), key_signer(), timeout=20).send(counter.functions.add(1))
        chain.rpc("evm_setAutomine", False)
        try:
            with pytest.raises(TransactionLost):
                Sender(local.connect(), key_signer(), timeout=0.1).send(counter.functions.add(2))
            chain.rpc("anvil_reorg", 1, [])
            assert (sum_of(counter), nonce(local)) == (0, first)
            with pytest.raises(TransactionLost) as caught:
                Sender(local.connect(), key_signer(), timeout=0.1).send(counter.functions.add(4))
            assert caught.value.data["nonce"] == first
            chain.rpc("anvil_mine", "0x1")
        finally:
            chain.rpc("evm_setAutomine", True)
        assert (sum_of(counter), nonce(local)) == (4, first + 1)
        # Anvil forgets the second now, other clients take it: what is sent next is taken in either case
        assert Sender(local.connect(), key_signer(), timeout=20).send(counter.functions.add(8))["status"] == 1


RUN = """
import json
import sys
from pathlib import Path
from qanat.chain import sender as chain_sender
from qanat.chain.connection import Chain
from qanat.chain.journal import Journal
from qanat.chain.sender import Sender
from qanat.chain.signer import KeySigner

chain_sender.LOOK_AGAIN = 0.3
url, folder, key, address, abi = sys.argv[1:]
journal = Journal(Path(folder))
sender = Sender(Chain.connect(url), KeySigner.from_key(key), timeout=20, journal=lambda: journal)
counter = sender.chain.web3.eth.contract(address=address, abi=json.loads(abi))
sender.send(counter.functions.add(1))
print("sent", flush=True)
sys.stdin.readline()
journal.close()
"""


class TestKilled:
    """`kill -9` of a real process at each instant of a payment; the next run of the same pays no second time."""

    def start(self, url, folder, counter):
        abi = json.dumps(compiled()["Refuser"]["abi"])
        command = [sys.executable, "-c", RUN, url, str(folder), KEYS[1], counter.address, abi]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

    def complete(self, url, folder, counter):
        journal = Journal(folder)
        sender = Sender(Chain.connect(url), key_signer(1), timeout=20, journal=lambda: journal)
        sender.send(counter.functions.add(1))
        journal.close()

    @pytest.mark.parametrize("instant", ["before it left", "when it was mined", "while it waits", "after its receipt"])
    def test_and_run_again(self, local, counter, proxy, tmp_path, instant):
        chain = local.connect()
        before = nonce(local, number=1)
        if instant == "while it waits":
            chain.rpc("evm_setAutomine", False)
        if instant != "after its receipt":
            proxy.once(SEND, "swallow" if instant == "before it left" else "hang")
        process = self.start(proxy.url, tmp_path, counter)
        try:
            if instant == "after its receipt":
                assert process.stdout.readline() == "sent\n"
            else:
                assert proxy.reached.wait(60)
        finally:
            self.kill(process)
        assert sum_of(counter) == (1 if instant in ("when it was mined", "after its receipt") else 0)
        assert len(list(tmp_path.glob("*.jsonl"))) == 1
        timer = threading.Timer(2.0, lambda: chain.rpc("evm_setAutomine", True) or chain.rpc("anvil_mine", "0x1"))
        timer.start()
        self.complete(local.url, tmp_path, counter)
        timer.join()
        assert sum_of(counter) == 1
        assert nonce(local, number=1) == before + 1
        # it ended well: the same once more is another payment
        self.complete(local.url, tmp_path, counter)
        assert sum_of(counter) == 2


class TestJournal:
    def sender(self, local, tmp_path, **options):
        journal = Journal(tmp_path / "sent" / "account")
        return Sender(local.connect(), key_signer(), timeout=10, journal=lambda: journal, **options), journal

    def test_nothing_is_left_of_a_run_that_ends_well(self, local, counter, tmp_path):
        sender, journal = self.sender(local, tmp_path)
        sender.send(counter.functions.add(1))
        (file,) = (tmp_path / "sent" / "account").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        journal.close()
        assert not list(tmp_path.iterdir()) or not list((tmp_path / "sent").rglob("*.jsonl"))

    def test_the_same_call_twice_in_one_run_is_two(self, local, counter, tmp_path):
        sender, journal = self.sender(local, tmp_path)
        sender.send(counter.functions.add(1))
        sender.send(counter.functions.add(1))
        assert sum_of(counter) == 2
        journal.close()

    def test_a_run_that_failed_leaves_its_steps_to_the_next(self, local, counter, tmp_path):
        """Two steps, the second refused: run again, the first is not paid again, another amount is."""
        first, journal = self.sender(local, tmp_path)
        first.send(counter.functions.add(2))
        with pytest.raises(TransactionReverted):
            first.send(counter.functions.add(11))
        journal.release()
        second, journal = self.sender(local, tmp_path)
        assert second.is_under_way(counter.functions.add(2))
        second.send(counter.functions.add(2))
        assert sum_of(counter) == 2
        second.send(counter.functions.add(3))
        assert sum_of(counter) == 5
        journal.close()

    def test_a_run_that_lives_keeps_what_it_noted(self, local, counter, tmp_path):
        """Two commands side by side: each sends its own."""
        first, one = self.sender(local, tmp_path)
        first.send(counter.functions.add(1))
        second, two = self.sender(local, tmp_path)
        second.send(counter.functions.add(1))
        assert sum_of(counter) == 2
        one.close()
        two.close()

    def test_what_was_left_and_not_asked_for_is_told_and_forgotten(self, local, counter, tmp_path):
        first, journal = self.sender(local, tmp_path)
        receipt = first.send(counter.functions.add(1))
        journal.release()
        second, journal = self.sender(local, tmp_path)
        second.send(counter.functions.add(5))
        assert second.left_behind() == [("add()", receipt["transactionHash"].to_0x_hex(), receipt["blockNumber"])]
        journal.close()
        third, journal = self.sender(local, tmp_path)
        assert not third.is_under_way(counter.functions.add(1))
        journal.close()

    def test_what_still_waits_stays_noted(self, local, counter, tmp_path):
        chain = local.connect()
        chain.rpc("evm_setAutomine", False)
        sender, journal = self.sender(local, tmp_path)
        sender.timeout = 0.3
        try:
            with pytest.raises(TransactionLost, match="looks for it before it pays again"):
                sender.send(counter.functions.add(1))
        finally:
            chain.rpc("evm_setAutomine", True)
        journal.close()
        again, journal = self.sender(local, tmp_path)
        assert again.is_under_way(counter.functions.add(1))
        chain.rpc("anvil_mine", "0x1")
        again.send(counter.functions.add(1))
        journal.close()
        assert sum_of(counter) == 1

    def test_a_gap_is_closed_with_what_was_noted(self, local, counter, tmp_path):
        """Both were dropped from the pool; the later one is asked for, and the earlier one has to come before it."""
        chain = local.connect()
        chain.rpc("evm_setAutomine", False)
        sender, journal = self.sender(local, tmp_path)
        sender.timeout = 0.2
        for amount in (1, 2):
            with pytest.raises(TransactionLost) as caught:
                sender.send(counter.functions.add(amount))
            assert caught.value.data["hashes"]
        journal.release()
        chain.rpc("anvil_dropAllTransactions")
        chain.rpc("evm_setAutomine", True)
        again, journal = self.sender(local, tmp_path)
        again.send(counter.functions.add(2))
        again.send(counter.functions.add(1))
        journal.close()
        assert sum_of(counter) == 3

    def test_a_gap_that_nothing_fills_is_named(self, local, counter, tmp_path):
        """A chain that was put back: what was signed for its old future is not sent, and the folder is named."""
        chain = local.connect()
        snapshot = chain.rpc("evm_snapshot")
        sender, journal = self.sender(local, tmp_path)
        chain_sender.Sender(chain, key_signer()).send(counter.functions.add(1))
        sender.send(counter.functions.add(2))
        journal.release()
        chain.rpc("evm_revert", snapshot)
        again, journal = self.sender(local, tmp_path)
        with pytest.raises(ChainError, match="waits for its transaction"):
            again.send(counter.functions.add(2))
        assert sum_of(counter) == 0

    def test_a_line_cut_short_was_never_sent(self, tmp_path):
        journal = Journal(tmp_path)
        entry = journal.begin("aa", "add()", {"nonce": 1, "to": b""}, 3)
        journal.signed(entry, b"raw", 5, None)
        journal.signed(entry, b"dearer", 7, None)
        journal.release()
        (file,) = tmp_path.glob("*.jsonl")
        content = file.read_bytes()
        for cut in range(1, len(content), 37):
            file.write_bytes(content[:-cut])
            again = Journal(tmp_path)
            raws = [raw for item in again.left() for raw in item.raws]
            assert raws in ([], [b"raw"], [b"raw", b"dearer"])
            again.release()
            for item in tmp_path.glob("*.jsonl"):
                item.unlink()

    def test_a_run_killed_while_it_took_over_leaves_no_call_twice(self, tmp_path):
        journal = Journal(tmp_path)
        journal.signed(journal.begin("aa", "add()", {"nonce": 1}, 3), b"raw", 5, None)
        journal.release()
        (file,) = tmp_path.glob("*.jsonl")
        file.with_name("copy.jsonl").write_bytes(file.read_bytes())
        again = Journal(tmp_path)
        assert [item.raws for item in again.left()] == [[b"raw"]]
        again.release()

    def test_nothing_leaves_that_cannot_be_noted(self, local, counter, tmp_path):
        (tmp_path / "sent").write_text("a file where a folder should be")
        sender, _ = self.sender(local, tmp_path)
        with pytest.raises((FileUnreadable, OSError)):
            sender.send(counter.functions.add(1))
        assert sum_of(counter) == 0


def nonce(local, block="latest", number=0):
    return local.connect().web3.eth.get_transaction_count(key_signer(number).address, block)


def known(chain, transaction):
    from web3.exceptions import TransactionNotFound

    try:
        return chain.web3.eth.get_transaction(transaction)
    except TransactionNotFound:
        return None


_sleep = time.sleep


def short_sleep(seconds):
    _sleep(min(seconds, 0.05))
