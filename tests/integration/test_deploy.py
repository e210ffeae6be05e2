"""Deploying: all at once, twice, cut off anywhere, on the wrong chain, on a chain that is gone."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from qanat.chain.artifacts import load_artifacts
from qanat.chain.connection import Chain
from qanat.chain.deploy import CONTRACTS, ENTRIES, deploy, plan_deployment
from qanat.chain.deployment import Deployment
from qanat.chain.header import encode_header
from qanat.chain.parameters import load_parameters
from qanat.chain.sender import Sender
from qanat.chain.signer import KeySigner
from qanat.devnet.anvil import find_anvil
from qanat.errors import (
    BadParameters,
    ChainError,
    ChainUnreachable,
    FileUnreadable,
    InsufficientFunds,
    MissingPrecompiles,
    NotDeployed,
    WrongChain,
)

ROOT = Path(__file__).resolve().parents[2]
# contracts, tokens, entries, collaterals, shard, seal
STEPS = 19 + 4 + 16 + 2 + 1 + 1


def _start(tmp_path, *options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path / f"anvil-{port}.log").open("w")
    process = subprocess.Popen(
        [find_anvil(ROOT), "--port", str(port), "--silent", *options], stdout=log, stderr=subprocess.STDOUT
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            return process, Chain.connect(url)
        except ChainUnreachable:
            time.sleep(0.05)
    process.kill()
    message = f"Anvil did not start: {log.name}"
    raise RuntimeError(message)


@pytest.fixture(scope="module")
def anvil(tmp_path_factory):
    """Start one chain for the module."""
    process, chain = _start(tmp_path_factory.mktemp("anvil"), "--hardfork", "prague")
    yield chain
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def deployed_anvil(tmp_path_factory, parameters, artifacts):
    """Start a second chain, deploy on it, and return it with the deployment's file."""
    folder = tmp_path_factory.mktemp("deployed")
    process, chain = _start(folder, "--hardfork", "prague")
    deploy(chain, Sender(chain, account(0)), parameters, artifacts, folder / "local.json")
    yield chain, folder / "local.json"
    process.kill()
    process.wait()


@pytest.fixture
def start(tmp_path):
    """Return what starts further chains."""
    running = []

    def _start_one(*options):
        process, chain = _start(tmp_path, *options)
        running.append(process)
        return chain

    yield _start_one
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def chain(anvil):
    """Return the module's chain as it was at its start."""
    snapshot = anvil.rpc("evm_snapshot")
    yield Chain(anvil.web3, url=anvil.url)
    anvil.rpc("evm_revert", snapshot)


@pytest.fixture
def deployed(deployed_anvil, path):
    """Return a chain on which all is deployed, its file copied to where the test's is."""
    anvil, file = deployed_anvil
    path.parent.mkdir(parents=True)
    shutil.copy(file, path)
    snapshot = anvil.rpc("evm_snapshot")
    yield Chain(anvil.web3, url=anvil.url)
    anvil.rpc("evm_revert", snapshot)


def account(number):
    Account.enable_unaudited_hdwallet_features()
    mnemonic = "test test test test test test test test test test test junk"
    return KeySigner(Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{number}"))


@pytest.fixture(scope="module")
def artifacts():
    return load_artifacts()


@pytest.fixture(scope="module")
def parameters():
    return load_parameters(ROOT / "networks" / "local.yaml")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deployments" / "local.json"


@pytest.fixture
def run(parameters, artifacts, path):
    """Return what deploys on a chain, and returns (deployment, progress)."""

    def _run(chain, sender=None, **changes):
        told = []
        given = {"parameters": parameters, "artifacts": artifacts, "deployment_path": path} | changes
        return deploy(chain, sender or Sender(chain, account(0)), **given, progress=told.append), told

    return _run


def nonce(chain, address=None):
    return chain.web3.eth.get_transaction_count(address or account(0).address)


def states(told):
    return [item.state for item in told if item.state != "note"]


class Cut(Exception):
    """Stands for the loss of the process."""


class CutSender(Sender):
    """A sender whose process is lost at its n-th transaction, before it leaves or before its receipt comes."""

    def __init__(self, chain, signer, *, after, before_sending):
        super().__init__(chain, signer)
        self.left, self.before_sending = after, before_sending

    def send(self, function, value=0, *, gas=None):
        self.left -= 1
        if self.left < 0 and self.before_sending:
            raise Cut
        receipt = super().send(function, value, gas=gas)
        if self.left < 0:
            raise Cut
        return receipt


class TestDeploy:
    def test_deploys_wires_and_seals(self, run, chain, path, parameters):
        """Every contract has code, every entry its module, the Directory its seal, and the file says all of it."""
        deployment, told = run(chain)

        assert states(told) == ["sent"] * STEPS
        assert nonce(chain) == STEPS
        assert [(item.number, item.total) for item in told if item.state == "sent"] == [
            (number, STEPS) for number in range(1, STEPS + 1)
        ]
        content = json.loads(path.read_text())
        assert (content["network"], content["chainId"]) == ("local", 31337)
        assert set(content["contracts"]) == set(CONTRACTS)
        for name, item in content["contracts"].items():
            receipt = chain.web3.eth.get_transaction_receipt(item["transaction"])
            assert receipt["contractAddress"] == item["address"], name
            assert receipt["blockNumber"] == item["block"], name
            assert chain.has_code(item["address"]), name
        directory = content["contracts"]["Directory"]["address"]
        assert content["contracts"]["Restaking"]["arguments"] == [directory, 66, 3, 3]
        assert len(content["commit"]) in (0, 40, 41)
        assert content["shards"] == {"main": 1}
        assert {symbol: item["roles"] for symbol, item in content["tokens"].items()} == {
            "QALPHA": ["collateral"],
            "QBETA": ["collateral"],
            "QBOND": ["bond"],
            "QUSD": ["payment"],
        }
        assert all(item["faucet"] for item in content["tokens"].values())
        assert not path.with_name("local.json.partial").exists()

        functions = chain.contract("Directory").functions
        assert functions.sealedBlock().call() > 0
        assert functions.governor().call() == functions.guardian().call() == account(0).address
        for entry, name in ENTRIES.items():
            assert functions.module(entry.encode().ljust(32, b"\0")).call() == deployment.address(name)
        assert chain.contract("Shards").functions.parametersOf(1).call()[0] == parameters.shards["main"].epoch
        assert Deployment.load(path).to_json() == deployment.to_json()

    def test_a_second_run_sends_nothing_and_says_so(self, run, deployed, path):
        """Also with another account, which could not have done it."""
        before, written = nonce(deployed), path.read_bytes()
        for number in (0, 1):
            _, told = run(deployed, Sender(deployed, account(number)))
            assert states(told) == ["found"] * STEPS
            assert told[-1].label == "everything was deployed before; nothing was sent"
        assert nonce(deployed) == before == STEPS
        assert nonce(deployed, account(1).address) == 0
        assert path.read_bytes() == written

    @pytest.mark.parametrize(
        ("after", "before_sending"), [(0, False), (1, True), (18, False), (25, False), (40, False), (41, False)]
    )
    def test_a_run_that_was_cut_off_is_continued(self, run, chain, path, after, before_sending):
        """At a contract, a token, an entry, the shard, the seal, before it left or before its receipt came.

        Nothing is sent twice, nothing is forgotten.
        """
        with pytest.raises(Cut):
            run(chain, CutSender(chain, account(0), after=after, before_sending=before_sending))
        assert not path.exists()
        assert nonce(chain) == after + (0 if before_sending else 1)

        deployment, _ = run(chain)
        assert nonce(chain) == STEPS
        assert deployment.shards == {"main": 1}
        assert chain.contract("Shards").functions.count().call() == 1
        assert states(run(chain)[1]) == ["found"] * STEPS

    def test_a_shard_made_but_not_written_down_is_adopted(self, run, deployed, path):
        """Even where the notes about its transaction are lost."""
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "shards": {}}))
        deployment, told = run(deployed)
        assert deployment.shards == Deployment.load(path).shards == {"main": 1}
        assert deployed.contract("Shards").functions.count().call() == 1
        assert [item.transaction for item in told if item.state == "sent"] == [""]
        assert nonce(deployed) == STEPS

    def test_hands_over_to_the_governor_named(self, run, deployed, parameters):
        """The deployer proposes, once; the governor accepts by itself."""
        governor = account(5).address
        for expected in (1, 0):
            _, told = run(deployed, parameters=replace(parameters, governor=governor))
            assert states(told).count("sent") == expected
        assert deployed.contract("Directory").functions.pendingGovernor().call() == governor

    def test_takes_tokens_that_exist(self, run, deployed, parameters, tmp_path):
        """And refuses one with other decimals, or none at all."""
        token = Deployment.load(tmp_path / "deployments" / "local.json").tokens["QUSD"].address
        plan = parameters.tokens["QUSD"]

        def with_token(**changes):
            tokens = {"QUSD": replace(plan, **changes), **parameters.tokens}
            tokens["QUSD"] = replace(plan, **changes)
            return replace(parameters, tokens=tokens)

        for number, (changes, message) in enumerate(
            [
                ({"address": token, "decimals": 6}, "18 decimals, not 6"),
                ({"address": account(7).address}, "no contract"),
            ]
        ):
            with pytest.raises(BadParameters, match=message):
                run(deployed, parameters=with_token(**changes), deployment_path=tmp_path / f"wrong{number}.json")
        taken, _ = run(deployed, parameters=with_token(address=token), deployment_path=tmp_path / "other.json")
        assert taken.tokens["QUSD"].address == token
        assert not taken.tokens["QUSD"].faucet


class TestLaterShards:
    @pytest.fixture
    def wider(self, parameters):
        """Return the same network with one shard more."""
        main = parameters.shards["main"]
        source = json.loads(json.dumps(parameters.source))
        source["shards"]["wide"] = {**source["shards"]["main"], "epoch": 10}
        return replace(
            parameters,
            shards={"main": main, "wide": replace(main, name="wide", epoch=10)},
            source=source,
        )

    def test_a_shard_is_added_to_a_sealed_deployment(self, run, deployed, wider, path):
        """One transaction; the rest is found."""
        for expected in (1, 0):
            deployment, told = run(deployed, parameters=wider)
            assert states(told).count("sent") == expected
            assert deployment.shards == Deployment.load(path).shards == {"main": 1, "wide": 2}

    def test_only_the_governor_adds_one(self, run, deployed, wider):
        """Said before anything is sent."""
        with pytest.raises(BadParameters, match="only the governor"):
            run(deployed, Sender(deployed, account(1)), parameters=wider)
        assert nonce(deployed, account(1).address) == 0


class TestRefusals:
    """Each before anything is sent or written."""

    @pytest.fixture(autouse=True)
    def nothing_happens(self, chain, path):
        """Look at the chain and the folder afterwards."""
        yield
        assert nonce(chain) == 0
        assert not path.exists()
        assert not path.with_name("local.json.partial").exists()

    def test_of_another_chain(self, run, chain, parameters):
        """The id decides."""
        with pytest.raises(WrongChain):
            run(chain, parameters=replace(parameters, chain_id=11155111))

    def test_of_parameters_that_do_not_hold_together(self, run, chain, parameters):
        """A timelock as long as withdrawal delay and epoch is too short by one."""
        with pytest.raises(BadParameters, match="timelock"):
            run(chain, parameters=replace(parameters, delays=replace(parameters.delays, timelock=86)))

    def test_of_contracts_that_are_not_compiled(self, run, chain, artifacts):
        """Naming them."""
        with pytest.raises(BadParameters, match="No code of Objects"):
            run(chain, artifacts={name: item for name, item in artifacts.items() if name != "Objects"})

    def test_of_a_chain_without_the_precompiles(self, run, start):
        """Cancun has point evaluation, but no BLS12-381."""
        cancun = start("--hardfork", "cancun")
        with pytest.raises(MissingPrecompiles, match="0x0b"):
            run(cancun)
        assert nonce(cancun) == 0

    def test_of_a_chain_whose_headers_prove_nothing(self, run, chain, monkeypatch):
        """Headers that do not hash to the block's hash."""
        chain.rpc("evm_mine")
        block = chain.block("latest") | {"gasUsed": "0x7"}
        monkeypatch.setattr(chain, "block", lambda _number: block)
        with pytest.raises(MissingPrecompiles, match="random value"):
            run(chain)

    def test_of_an_account_that_cannot_pay(self, run, chain):
        """With what it has and what it needs."""
        poor = KeySigner.create()
        with pytest.raises(InsufficientFunds):
            run(chain, Sender(chain, poor))
        assert nonce(chain, poor.address) == 0


class TestWhatWasDeployed:
    def test_is_made_anew_where_a_disposable_chain_is_gone(self, run, deployed, chain, path):
        """A fresh chain has no code where the file says: all is deployed on it, and the file follows."""
        first = Deployment.load(path)
        second, told = run(chain, Sender(chain, account(2)))
        assert any("gone" in item.label for item in told)
        assert states(told) == ["sent"] * STEPS
        assert chain.has_code(second.address("Objects"))
        assert second.address("Objects") != first.address("Objects")
        assert Deployment.load(path).address("Objects") == second.address("Objects")

    def test_is_never_replaced_on_another_network(self, run, deployed, chain, parameters, path):
        """The file of a live network may be the only record of what holds people's money."""
        written = path.read_bytes()
        with pytest.raises(NotDeployed, match="no code"):
            run(chain, parameters=replace(parameters, disposable=False))
        assert nonce(chain) == 0
        assert path.read_bytes() == written

    def test_is_not_taken_over_where_only_some_of_it_is_gone(self, run, deployed, path):
        """Then something is wrong, on a disposable chain too."""
        deployed.rpc("anvil_setCode", Deployment.load(path).address("Payments"), "0x")
        with pytest.raises(NotDeployed, match="Payments"):
            run(deployed)

    def test_cannot_be_given_other_parameters(self, run, deployed, parameters):
        """Naming what differs; flags about the file itself may change."""
        source = {**parameters.source, "delays": {**parameters.source["delays"], "withdrawal": 67}}
        changed = replace(parameters, delays=replace(parameters.delays, withdrawal=67), source=source)
        with pytest.raises(BadParameters, match="delays"):
            run(deployed, parameters=changed)
        harmless = replace(parameters, source={**parameters.source, "disposable": False})
        assert states(run(deployed, parameters=harmless)[1]) == ["found"] * STEPS

    def test_is_told_apart_from_another_networks(self, run, deployed, parameters):
        """A file can't be used for two networks."""
        with pytest.raises(WrongChain):
            run(deployed, parameters=replace(parameters, network="other"))

    def test_may_have_swapped_modules(self, run, deployed, artifacts, path):
        """A module that the governor changed since is noted, not undone."""
        before = Deployment.load(path)
        deployed.use(before)
        sender = Sender(deployed, account(0))
        artifact = artifacts["FlatPricing"]
        factory = deployed.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        pricing = sender.send(factory.constructor())["contractAddress"]
        directory = deployed.contract("Directory").functions
        name = b"pricing".ljust(32, b"\0")
        sender.send(directory.queueChange(name, pricing))
        deployed.rpc("anvil_mine", hex(90))
        sender.send(directory.applyChange(name))

        again, told = run(deployed)
        assert any(f"pricing is {pricing} by now" in item.label for item in told if item.state == "note")
        assert states(told) == ["found"] * STEPS
        assert again.address("FlatPricing") == before.address("FlatPricing")

    def test_of_other_sources_is_noted(self, run, deployed, artifacts):
        """The contracts at hand may be newer than those that stand."""
        changed = replace(artifacts["Objects"], bytecode=artifacts["Objects"].bytecode[:-1] + b"\x55")
        _, told = run(deployed, artifacts={**artifacts, "Objects": changed})
        assert any("other sources" in item.label and "Objects" in item.label for item in told)

    def test_begun_by_another_account_or_with_other_code_is_not_continued(self, run, chain, artifacts):
        """The Directory names its governor, and half of one version makes no whole with half of another."""
        with pytest.raises(Cut):
            run(chain, CutSender(chain, account(0), after=3, before_sending=True))
        with pytest.raises(BadParameters, match="began this deployment"):
            run(chain, Sender(chain, account(1)))
        changed = replace(artifacts["Directory"], bytecode=artifacts["Directory"].bytecode + b"\0")
        with pytest.raises(BadParameters, match="Directory was compiled anew"):
            run(chain, artifacts={**artifacts, "Directory": changed})

    def test_cannot_be_read_when_the_file_is_broken(self, run, chain, path):
        """Nor is it overwritten."""
        path.parent.mkdir()
        path.write_text("{")
        with pytest.raises(FileUnreadable):
            run(chain)
        assert path.read_text() == "{"


def _true_hash(block):
    """Return what a header hashes to, whatever hash the block claims."""
    with pytest.raises(ChainError) as refused:
        encode_header(block | {"hash": "0x" + "00" * 32})
    return "0x" + refused.value.data["got"].hex()


class TestPlan:
    def test_names_every_step_and_covers_the_cost(self, run, chain, parameters, artifacts, path):
        """Nothing is sent or written by it, and the deployment costs less, but not much less."""
        plan = plan_deployment(chain, account(0).address, parameters, artifacts, path)
        assert len(plan.steps) == STEPS
        assert not path.parent.exists() or not list(path.parent.iterdir())
        assert nonce(chain) == 0

        first = chain.latest()
        run(chain)
        used = sum(int(chain.block(number)["gasUsed"], 16) for number in range(first + 1, chain.latest() + 1))
        assert used < plan.gas < 2 * used
        assert plan_deployment(chain, account(0).address, parameters, artifacts, path).steps == ()

    def test_no_two_deployments_write_to_one_folder(self, run, chain, path):
        """The second is refused while the first runs."""
        path.parent.mkdir()
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with pytest.raises(BadParameters, match="Another deployment"):
                run(chain)
        finally:
            os.close(handle)
        assert nonce(chain) == 0
