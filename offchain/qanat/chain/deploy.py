"""Deploys all contracts on a chain, wires and seals them; a second time it finds everything done.

::

    parameters = load_parameters("local")
    deployment = deploy(chain, sender, parameters, load_artifacts(), "deployments/local.json", progress=print)

Order: probe the chain → contracts → tokens → Directory entries → collaterals → shards → seal → hand-over → check.

What was done is on disk before the next transaction leaves: in ``<file>.partial`` until all is done, then in the file
itself. A run that was cut off, after a ``kill -9`` too, is continued by the next; of a transaction that had left
already the receipt is waited for, and nothing is deployed twice.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound
from web3.types import TxParams, TxReceipt

from qanat.chain.artifacts import Artifact
from qanat.chain.connection import MODULES, Chain
from qanat.chain.deployment import DeployedContract, Deployment, Token, write_atomically
from qanat.chain.header import encode_header
from qanat.chain.parameters import NetworkParameters, ShardPlan, TokenPlan
from qanat.chain.probe import check_precompiles, has_own_randomness
from qanat.chain.randomness import drand_key
from qanat.chain.sender import GAS_EXTRA, GAS_MARGIN, Sender, TransactionLost
from qanat.errors import (
    BadParameters,
    ChainError,
    FileUnreadable,
    MissingPrecompiles,
    NotDeployed,
    TransactionReverted,
    WrongChain,
)

__all__ = ["CONTRACTS", "DeploymentPlan", "Progress", "check_deployment", "deploy", "plan_deployment"]

#: Contracts in the order in which they are deployed: each only after those that its constructor names. Where drand
#: gives the random values, ``DrandBeacon`` stands in the place of ``RandaoBeacon``.
CONTRACTS = (
    "Directory",
    "Restaking",
    "Operators",
    "Shards",
    "BlsCertificateVerifier",
    "KzgOpeningVerifier",
    "RandaoBeacon",
    "FlatPricing",
    "Payments",
    "ClaimLists",
    "RestakerRewards",
    "ObjectChanges",
    "Objects",
    "Audits",
    "Rewards",
    "Assets",
    "Licenses",
    "KeyProofs",
    "Keys",
)
#: The test token, needed where a network's tokens are made.
TEST_TOKEN = "FaucetToken"  # noqa: S105 (no secret)
#: Entries of the Directory: name → contract.
ENTRIES = {
    **{name: contract for contract, name in MODULES.items() if contract in CONTRACTS},
    "stakeSource": "Restaking",
}
_RANDAO, _DRAND = "RandaoBeacon", "DrandBeacon"

#: Upper figures for what can't be estimated before the contracts stand, in gas (`tests/integration/test_deploy.py`).
_GAS = {"entry": 90_000, "collateral": 110_000, "shard": 700_000, "seal": 200_000, "governor": 60_000}


@dataclass(frozen=True)
class Progress:
    """One step of a deployment: ``state`` is ``sent``, ``found`` (done before), or ``note``."""

    number: int
    total: int
    label: str
    state: str
    transaction: str = ""

    def __str__(self) -> str:
        return f"[{self.number}/{self.total}] {self.label}: {self.state} {self.transaction}".rstrip()


@dataclass(frozen=True)
class DeploymentPlan:
    """What a deployment has left to do, and what it will cost at most, at the gas price of now."""

    steps: tuple[str, ...]
    gas: int
    wei: int


@dataclass(frozen=True)
class _Step:
    label: str
    is_done: Callable[[], bool]
    perform: Callable[[], str]
    gas: Callable[[], int]


def deploy(
    chain: Chain,
    sender: Sender,
    parameters: NetworkParameters,
    artifacts: Mapping[str, Artifact],
    deployment_path: str | Path,
    progress: Callable[[Progress], None] | None = None,
) -> Deployment:
    """Deploy everything that is not there yet, and return the deployment, which is also saved.

    Args:
        chain: the connection; it takes the deployment into use.
        sender: who deploys: the governor until another accepts.
        parameters: of the network.
        artifacts: compiled contracts by name.
        deployment_path: the file that keeps the deployment.
        progress: told of every step.

    Raises:
        WrongChain: the chain is not the network's, or the file's.
        MissingPrecompiles: the chain lacks Prague rules, or random values in its headers. Nothing was sent.
        BadParameters: the parameters do not hold together, or contradict what is deployed. Nothing was sent.
        NotDeployed: the recorded contracts have no code here, on a network that is not disposable.
        TransactionReverted, InsufficientFunds, ChainUnreachable: what sending raises; run again to continue.
    """
    run = _Run(chain, sender.address, parameters, artifacts, Path(deployment_path), progress)
    with _alone(run.path):
        run.open()
        run.perform(sender)
    return run.deployment


def plan_deployment(
    chain: Chain,
    deployer: str,
    parameters: NetworkParameters,
    artifacts: Mapping[str, Artifact],
    deployment_path: str | Path,
) -> DeploymentPlan:
    """Return what :func:`deploy` would send. Sends and writes nothing; raises what it would raise before sending."""
    run = _Run(chain, to_checksum_address(deployer), parameters, artifacts, Path(deployment_path), None)
    run.open(dry=True)
    left = [step for step in run.steps() if not step.is_done()]
    gas = sum(step.gas() for step in left)
    return DeploymentPlan(tuple(step.label for step in left), gas, gas * int(chain.web3.eth.gas_price))


class _Run:
    """One run: the deployment as far as it has come, and what remains."""

    def __init__(
        self,
        chain: Chain,
        deployer: str,
        parameters: NetworkParameters,
        artifacts: Mapping[str, Artifact],
        path: Path,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.chain = chain
        self.deployer = deployer
        self.parameters = parameters
        self.artifacts = artifacts
        self.path = path
        self.partial_path = path.with_name(path.name + ".partial")
        self._progress = progress
        self._sender: Sender | None = None
        # the step whose transaction has left, and the hashes under which it may be found
        self._pending: tuple[str, list[str]] = ("", [])
        self._complete = False
        self._is_governor = False
        self._beacon = ""
        self._contracts: dict[str, Any] = {}
        self.deployment = Deployment(parameters.network, chain.chain_id)
        self._number = self._total = 0

    # ---- before anything is sent

    def open(self, *, dry: bool = False) -> None:
        """Check parameters and chain, and take up what an earlier run left."""
        self.parameters.check()
        if self.chain.chain_id != self.parameters.chain_id:
            raise WrongChain(
                f"The chain has id {self.chain.chain_id}; {self.parameters.network} has {self.parameters.chain_id}.",
                hint="Check --network and --rpc.",
                got=self.chain.chain_id,
                expected=self.parameters.chain_id,
            )
        needed = self.contracts() + (
            (TEST_TOKEN,) if any(t.address is None for t in self.parameters.tokens.values()) else ()
        )
        missing = [name for name in needed if name not in self.artifacts]
        if missing:
            raise BadParameters(f"No code of {', '.join(missing)}.", hint="Run `make compile`.", missing=missing)
        check_precompiles(self.chain.web3)
        _check_headers(self.chain)
        if self._load_partial() or (self._load() and self._stands()):
            return
        if not dry:
            if self.path.exists():
                self._tell("the recorded contracts are gone with their chain: deploying anew", "note")
            self.partial_path.unlink(missing_ok=True)
        self._begin()

    def _load(self) -> bool:
        if not self.path.exists():
            return False
        self.deployment, self._complete = Deployment.load(self.path), True
        self._pending = ("", [])
        self._check_same(self.path)
        return True

    def _check_same(self, path: Path) -> None:
        """Refuse a file of another network, or one made with other parameters."""
        found = self.deployment
        if found.chain_id != self.chain.chain_id or found.network != self.parameters.network:
            raise WrongChain(
                f"{path} is a deployment on {found.network} (chain {found.chain_id}), not on "
                f"{self.parameters.network} (chain {self.chain.chain_id}).",
                hint="Name another file with --deployment.",
                path=str(path),
            )
        changed = _changes(found.parameters, _plain(self.parameters.source))
        if changed:
            raise BadParameters(
                f"{path} was deployed with other parameters: {'; '.join(changed)}.",
                hint="What is deployed can't change. Restore them, or name another file with --deployment.",
                changed=changed,
            )

    def _load_partial(self) -> bool:
        """Load what a run that was cut off left, if that is it."""
        if not self.partial_path.exists():
            return False
        try:
            content = json.loads(self.partial_path.read_text())
            self.deployment = replace(Deployment.from_json(content["deployment"]), path=self.path)
            self._pending = (str(content["pending"][0]), [str(item) for item in content["pending"][1]])
            codes, deployer = dict(content["codes"]), str(content["deployer"])
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise FileUnreadable(
                f"{self.partial_path} cannot be read: {error!r}.", path=str(self.partial_path)
            ) from error
        self._check_same(self.partial_path)
        if not self._stands():
            return False
        hint = f"Continue as it was begun, or delete {self.partial_path} to begin anew."
        if deployer != self.deployer:
            raise BadParameters(f"{deployer} began this deployment, not {self.deployer}.", hint=hint)
        for name, code in codes.items():
            if name in self.deployment.contracts and code != _code_hash(self.artifacts[name]):
                raise BadParameters(f"{name} was compiled anew since this deployment was begun.", hint=hint)
        return True

    def _begin(self) -> None:
        self.deployment = Deployment(
            self.parameters.network,
            self.chain.chain_id,
            commit=_source_commit(),
            parameters=_plain(self.parameters.source),
            path=self.path,
        )
        self._pending, self._complete = ("", []), False

    def _stands(self) -> bool:
        """Whether what is recorded has code; False if nothing of it has, on a disposable network."""
        codes = {name: self.chain.has_code(item.address) for name, item in self.deployment.contracts.items()}
        gone = [name for name, has_code in codes.items() if not has_code]
        if not gone:
            return True
        if self.parameters.disposable and len(gone) == len(codes):
            return False
        raise NotDeployed(
            f"{', '.join(gone)} of {self.path} {'has' if len(gone) == 1 else 'have'} no code on chain "
            f"{self.chain.chain_id}.",
            hint="Another chain, or a reorganisation? Look before you move the file away and deploy again.",
            gone=gone,
        )

    def contracts(self) -> tuple[str, ...]:
        """Return the names of all contracts, in order, with the randomness module that fits the chain."""
        return tuple(map(self._chosen, CONTRACTS))

    def _chosen(self, contract: str) -> str:
        if contract != _RANDAO:
            return contract
        if not self._beacon:
            # what was begun is gone on with; else as the parameters say, or as the chain's blocks are
            begun = [name for name in (_RANDAO, _DRAND) if name in self.deployment.contracts]
            scheme = self.parameters.randomness
            if scheme == "auto":
                scheme = "randao" if has_own_randomness(self.chain) else "drand"
            self._beacon = begun[0] if begun else {"randao": _RANDAO, "drand": _DRAND}[scheme]
        return self._beacon

    # ---- the steps

    def steps(self) -> list[_Step]:
        """Return all steps, in order."""
        made = [self._contract_step(name) for name in self.contracts()]
        made += [self._token_step(token) for token in self.parameters.tokens.values()]
        made += [self._entry_step(name, self._chosen(contract)) for name, contract in ENTRIES.items()]
        made += [self._collateral_step(t.symbol) for t in self.parameters.tokens.values() if "collateral" in t.roles]
        made += [self._shard_step(shard) for shard in self.parameters.shards.values()]
        made.append(self._seal_step())
        if self.parameters.governor is not None and self.parameters.governor != self.deployer:
            made.append(self._governor_step(self.parameters.governor))
        return made

    def perform(self, sender: Sender) -> None:
        """Do what is left, check the whole, save it."""
        self._sender = sender
        steps = self.steps()
        self._total = len(steps)
        sent = 0
        for number, step in enumerate(steps, start=1):
            self._number = number
            if step.is_done():
                self._tell(step.label, "found")
                continue
            transaction = step.perform()
            sent += 1
            self._tell(step.label, "sent", transaction)
        self.chain.use(self.deployment)
        for note in check_deployment(self.chain, self.deployment, self.parameters, self.artifacts):
            self._tell(note, "note")
        if sent or not self._complete:
            # also what was only adopted: a file that lacks a shard would lack it for good
            self.deployment = replace(self.deployment, parameters=_plain(self.parameters.source))
            self.deployment.save(self.path)
            self.partial_path.unlink(missing_ok=True)
            self.chain.use(self.deployment)
        else:
            self._tell("everything was deployed before; nothing was sent", "note")

    def _contract_step(self, name: str) -> _Step:
        def arguments() -> tuple[Any, ...]:
            directory, delays = self._address("Directory"), self.parameters.delays
            special: dict[str, tuple[Any, ...]] = {
                "Directory": (self.deployer, self.parameters.guardian or self.deployer, delays.timelock),
                "Restaking": (directory, delays.withdrawal, delays.resolution, delays.guardian),
                "RestakerRewards": (directory, self._address("Restaking"), self._address("Payments")),
                "ClaimLists": (self._address("Payments"),),
                "Objects": (directory, self._address("ObjectChanges")),
                "Licenses": (directory, self._address("Assets"), self._address("Payments")),
                "Keys": (
                    directory,
                    self._address("Assets"),
                    self._address("Payments"),
                    self._address("Licenses"),
                    self._address("KeyProofs"),
                    self.parameters.key_answer_fee,
                ),
                "BlsCertificateVerifier": (),
                "KzgOpeningVerifier": (),
                "KeyProofs": (),
                _RANDAO: (),
                _DRAND: self._drand_arguments(),
                "FlatPricing": (),
            }
            return special.get(name, (directory,))

        def perform() -> str:
            given = arguments()
            receipt = self._send(f"contract {name}", self._constructor(name, given))
            transaction = "0x" + bytes(receipt["transactionHash"]).hex()
            self.deployment = self.deployment.with_contract(
                name, DeployedContract(_created(receipt), int(receipt["blockNumber"]), given, transaction, name)
            )
            self._save()
            return transaction

        return _Step(
            f"contract {name}",
            lambda: name in self.deployment.contracts,
            perform,
            lambda: self._estimate(name, arguments()),
        )

    def _token_step(self, token: TokenPlan) -> _Step:
        label = f"token {token.symbol}"

        def arguments() -> tuple[Any, ...]:
            return (token.name, token.symbol, token.decimals, token.mint_limit)

        def perform() -> str:
            transaction = ""
            address = token.address
            if address is None:
                receipt = self._send(label, self._constructor(TEST_TOKEN, arguments()))
                address, transaction = _created(receipt), "0x" + bytes(receipt["transactionHash"]).hex()
            else:
                self._check_token(token, address)
            self.deployment = self.deployment.with_token(
                token.symbol, Token(address, token.decimals, token.roles, token.address is None)
            )
            self._save()
            return transaction

        return _Step(
            label,
            lambda: token.symbol in self.deployment.tokens,
            perform,
            lambda: self._estimate(TEST_TOKEN, arguments()) if token.address is None else 0,
        )

    def _check_token(self, token: TokenPlan, address: str) -> None:
        if not self.chain.has_code(address):
            raise BadParameters(f"{token.symbol}: there is no contract at {address}.", token=address)
        decimals = int(self.chain.call(self.chain.token(address).functions.decimals()))
        if decimals != token.decimals:
            raise BadParameters(f"{token.symbol} has {decimals} decimals, not {token.decimals}.", token=address)

    def _entry_step(self, name: str, contract: str) -> _Step:
        key = name.encode().ljust(32, b"\0")

        def is_done() -> bool:
            if "Directory" not in self.deployment.contracts or contract not in self.deployment.contracts:
                return False
            # after the seal an entry changes only by announcement: one that differs was swapped, and stays
            if self._is_sealed():
                return True
            try:
                module = self.chain.call(self._contract("Directory").functions.module(key))
            except TransactionReverted:  # unset
                return False
            return bool(module == self._address(contract))

        def perform() -> str:
            return self._call(f"entry {name}", self._contract("Directory").functions.set(key, self._address(contract)))

        return _Step(f"entry {name}", is_done, perform, lambda: _GAS["entry"])

    def _collateral_step(self, symbol: str) -> _Step:
        def address() -> str:
            return self.deployment.tokens[symbol].address

        def is_done() -> bool:
            if "Restaking" not in self.deployment.contracts or symbol not in self.deployment.tokens:
                return False
            return bool(self.chain.call(self._contract("Restaking").functions.isCollateral(address())))

        def perform() -> str:
            return self._call(f"collateral {symbol}", self._contract("Restaking").functions.listCollateral(address()))

        return _Step(f"collateral {symbol}", is_done, perform, lambda: _GAS["collateral"])

    def _shard_step(self, shard: ShardPlan) -> _Step:
        label = f"shard {shard.name}"

        def perform() -> str:
            # a shard may stand whose number an earlier run did not live to write down
            number, transaction = self._find_shard(shard), ""
            if number is None:
                self._check_governor(label)
                shards = self._contract("Shards")
                receipt = self._send(label, shards.functions.create(*self._shard_arguments(shard)))
                created = shards.events.ShardCreated().process_receipt(receipt)
                number, transaction = int(created[0]["args"]["shard"]), "0x" + bytes(receipt["transactionHash"]).hex()
            self.deployment = self.deployment.with_shard(shard.name, number)
            self._save()
            return transaction

        return _Step(label, lambda: shard.name in self.deployment.shards, perform, lambda: _GAS["shard"])

    def _seal_step(self) -> _Step:
        def is_done() -> bool:
            return "Directory" in self.deployment.contracts and self._is_sealed()

        def perform() -> str:
            return self._call("seal", self._contract("Directory").functions.seal())

        return _Step("seal", is_done, perform, lambda: _GAS["seal"])

    def _governor_step(self, governor: str) -> _Step:
        def is_done() -> bool:
            if "Directory" not in self.deployment.contracts:
                return False
            directory = self._contract("Directory").functions
            return governor in (self.chain.call(directory.governor()), self.chain.call(directory.pendingGovernor()))

        def perform() -> str:
            function = self._contract("Directory").functions.proposeGovernor(governor)
            return self._call(f"governor {governor} proposed", function)

        return _Step(f"governor {governor} proposed", is_done, perform, lambda: _GAS["governor"])

    # ---- sending

    def _send(self, label: str, function: Any) -> TxReceipt:
        """Send, or take the receipt of what an earlier run sent for the same step."""
        sender = cast("Sender", self._sender)
        if self._pending[0] == label:
            receipt = self._await(self._pending[1], sender.timeout)
            if receipt is not None and receipt.get("status") != 0:
                return receipt
        self._pending = (label, [])
        told = sender.on_sent

        def remember(what: str, transaction: str) -> None:
            self._pending[1].append(transaction)
            self._save()
            if told is not None:
                told(what, transaction)

        sender.on_sent = remember
        try:
            return sender.send(function)
        finally:
            sender.on_sent = told

    def _call(self, label: str, function: Any) -> str:
        self._check_governor(label)
        return "0x" + bytes(self._send(label, function)["transactionHash"]).hex()

    def _check_governor(self, label: str) -> None:
        if self._is_governor:
            return
        governor = str(self.chain.call(self._contract("Directory").functions.governor()))
        if governor != self.deployer:
            raise BadParameters(
                f"{label}: only the governor {governor} can do this, not {self.deployer}.",
                hint="Run it with the governor's account.",
                governor=governor,
            )
        self._is_governor = True

    def _await(self, transactions: list[str], timeout: float) -> TxReceipt | None:
        """Return the receipt of one of the transactions; None if the chain knows none of them."""
        started = time.monotonic()
        while True:
            known = False
            for transaction in transactions:
                try:
                    return self.chain.web3.eth.get_transaction_receipt(HexBytes(transaction))
                except TransactionNotFound:
                    known = known or self._is_known(transaction)
            if not known:
                return None
            if time.monotonic() - started > timeout:
                raise TransactionLost(
                    f"{self._pending[0]}: no block takes transaction {transactions[-1]}.",
                    hint="It is waiting; run again later.",
                    hashes=transactions,
                )
            time.sleep(0.5)

    def _is_known(self, transaction: str) -> bool:
        try:
            self.chain.web3.eth.get_transaction(HexBytes(transaction))
        except TransactionNotFound:
            return False
        return True

    def _save(self) -> None:
        if self._complete:
            # a new shard or token of a deployment that stands: its file stays true at every moment
            self.deployment.save(self.path)
            return
        content = {
            "deployment": self.deployment.to_json(),
            "deployer": self.deployer,
            "pending": self._pending,
            "codes": {name: _code_hash(self.artifacts[name]) for name in self.deployment.contracts},
        }
        write_atomically(self.partial_path, json.dumps(content, indent=2) + "\n")

    # ---- help

    def _constructor(self, name: str, arguments: tuple[Any, ...]) -> Any:
        artifact = self.artifacts[name]
        factory = self.chain.web3.eth.contract(abi=cast("Any", artifact.abi), bytecode=artifact.bytecode)
        return factory.constructor(*arguments)

    def _drand_arguments(self) -> tuple[Any, ...]:
        if self._chosen(_RANDAO) != _DRAND:
            return ()
        plan = self.parameters.drand
        key = drand_key(plan.network.public_key)
        words = [int.from_bytes(key[at : at + 32], "big") for at in range(0, len(key), 32)]
        return words, plan.network.genesis, plan.network.period, plan.lead

    def _estimate(self, name: str, arguments: tuple[Any, ...]) -> int:
        transaction = cast("TxParams", {"from": to_checksum_address(self.deployer)})
        return int(self._constructor(name, arguments).estimate_gas(transaction) * GAS_MARGIN) + GAS_EXTRA

    def _address(self, name: str) -> str:
        """Return a contract's address; for an estimate before it stands, the deployer's instead."""
        recorded = self.deployment.contracts.get(name)
        return recorded.address if recorded is not None else self.deployer

    def _contract(self, name: str) -> Any:
        address = to_checksum_address(self.deployment.address(name))
        known = self._contracts.get(address)
        if known is None:
            known = self.chain.web3.eth.contract(address=address, abi=cast("Any", self.artifacts[name].abi))
            self._contracts[address] = known
        return known

    def _is_sealed(self) -> bool:
        return int(self.chain.call(self._contract("Directory").functions.sealedBlock())) != 0

    def _shard_arguments(self, shard: ShardPlan) -> tuple[Any, list[Any]]:
        return _shard_tuple(shard, self.deployment, self.artifacts)

    def _find_shard(self, shard: ShardPlan) -> int | None:
        shards = self._contract("Shards").functions
        expected = self._shard_arguments(shard)
        for number in range(1, int(self.chain.call(shards.count())) + 1):
            if number in self.deployment.shards.values():
                continue
            if _read_shard(self.chain, shards, number) == expected:
                return number
        return None

    def _tell(self, label: str, state: str, transaction: str = "") -> None:
        if self._progress is not None:
            self._progress(Progress(self._number, self._total, label, state, transaction))


# ---- checking what stands


def check_deployment(
    chain: Chain, deployment: Deployment, parameters: NetworkParameters, artifacts: Mapping[str, Artifact]
) -> list[str]:
    """Check a whole deployment against its chain and parameters, and return what is worth knowing, in words.

    Worth knowing, but no fault, are modules that were swapped since, and contracts that were made from other sources
    than those at hand.

    Raises:
        NotDeployed: something is missing, not sealed, or not what the parameters say.
    """
    view = _Reader(chain, deployment, artifacts)
    _check_constants(view, parameters)
    _check_tokens(view)
    shards = view.contract("Shards").functions
    for shard in parameters.shards.values():
        number = deployment.shard(shard.name)
        if _read_shard(chain, shards, number) != _shard_tuple(shard, deployment, artifacts):
            raise NotDeployed(f"Shard {number} has other parameters than {shard.name}.", shard=number)

    notes = []
    drand = _DRAND in deployment.contracts
    for name, usual in ENTRIES.items():
        contract = _DRAND if drand and usual == _RANDAO else usual
        module = view("Directory", "module", name.encode().ljust(32, b"\0"))
        if module != deployment.address(contract):
            notes.append(f"{name} is {module} by now; {contract} was deployed at {deployment.address(contract)}")
    names = [_DRAND if drand and name == _RANDAO else name for name in CONTRACTS]
    changed = [name for name in names if not _is_made_from(chain, deployment.contract(name), artifacts[name])]
    if changed:
        notes.append(f"made from other sources than those compiled here: {', '.join(changed)}")
    return notes


class _Reader:
    """Reads views of a deployment's contracts through the compiled ABIs."""

    def __init__(self, chain: Chain, deployment: Deployment, artifacts: Mapping[str, Artifact]) -> None:
        self.chain, self.deployment, self.artifacts = chain, deployment, artifacts
        self._known: dict[str, Any] = {}

    def contract(self, name: str) -> Any:
        if name not in self._known:
            address = to_checksum_address(self.deployment.address(name))
            abi = cast("Any", self.artifacts[name].abi)
            self._known[name] = self.chain.web3.eth.contract(address=address, abi=abi)
        return self._known[name]

    def __call__(self, name: str, function: str, *arguments: Any) -> Any:
        return self.chain.call(self.contract(name).functions[function](*arguments))


def _check_constants(view: _Reader, parameters: NetworkParameters) -> None:
    delays, deployment = parameters.delays, view.deployment
    expected: list[tuple[str, str, Any]] = [
        ("Directory", "timelock", delays.timelock),
        ("Restaking", "withdrawalDelay", delays.withdrawal),
        ("Restaking", "resolutionDelay", delays.resolution),
        ("Restaking", "guardianDelay", delays.guardian),
        ("Objects", "changes", deployment.address("ObjectChanges")),
        ("RestakerRewards", "restaking", deployment.address("Restaking")),
        ("RestakerRewards", "payments", deployment.address("Payments")),
        ("ClaimLists", "PAYMENTS", deployment.address("Payments")),
        ("Licenses", "ASSETS", deployment.address("Assets")),
        ("Licenses", "PAYMENTS", deployment.address("Payments")),
        ("Keys", "ASSETS", deployment.address("Assets")),
        ("Keys", "PAYMENTS", deployment.address("Payments")),
        ("Keys", "LICENSES", deployment.address("Licenses")),
        ("Keys", "PROOFS", deployment.address("KeyProofs")),
        ("Keys", "answerFee", parameters.key_answer_fee),
    ]
    if parameters.guardian is not None:
        expected.append(("Directory", "guardian", parameters.guardian))
    for name, function, wanted in expected:
        got = view(name, function)
        if got != wanted:
            raise NotDeployed(f"{name}.{function} is {got}, not {wanted}.", got=got, expected=wanted)
    if int(view("Directory", "sealedBlock")) == 0:
        raise NotDeployed("The Directory is not sealed: its entries could still be changed at once.")


def _check_tokens(view: _Reader) -> None:
    for symbol, token in view.deployment.tokens.items():
        if not view.chain.has_code(token.address):
            raise NotDeployed(f"{symbol} has no code at {token.address}.", token=token.address)
        if "collateral" in token.roles and not view("Restaking", "isCollateral", token.address):
            raise NotDeployed(f"{symbol} is not listed as collateral.", token=token.address)


def _is_made_from(chain: Chain, contract: DeployedContract, artifact: Artifact) -> bool:
    try:
        transaction = chain.web3.eth.get_transaction(HexBytes(contract.transaction))
    except (TransactionNotFound, ValueError):
        return True  # the endpoint keeps no old transactions: nothing can be said
    return bytes(transaction["input"]).startswith(artifact.bytecode)


def _read_shard(chain: Chain, shards: Any, number: int) -> tuple[Any, list[Any]]:
    parameters = tuple(chain.call(shards.parametersOf(number)))
    return parameters, [tuple(item) for item in chain.call(shards.collateralsOf(number))]


def _shard_tuple(shard: ShardPlan, deployment: Deployment, artifacts: Mapping[str, Artifact]) -> tuple[Any, list[Any]]:
    """Return the arguments of ``Shards.create`` with fields in the order of its ABI."""
    parameters, weights = shard.solidity({symbol: token.address for symbol, token in deployment.tokens.items()})
    create = next(item for item in artifacts["Shards"].abi if item.get("name") == "create")
    fields, weight_fields = (item["components"] for item in create["inputs"])
    if {item["name"] for item in fields} != set(parameters):
        raise BadParameters("Shards.create takes other parameters than this version knows.")
    return (
        tuple(parameters[item["name"]] for item in fields),
        [tuple(weight[item["name"]] for item in weight_fields) for weight in weights],
    )


def _check_headers(chain: Chain) -> None:
    """Refuse a chain whose headers do not hash to their blocks' hashes: seeds are proven by them."""
    number = chain.latest()
    if number == 0:
        return
    try:
        encode_header(chain.block(number))
    except ChainError as error:
        raise MissingPrecompiles(
            f"Headers of chain {chain.chain_id} are built otherwise than Ethereum's: {error.message}",
            hint="The randomness modules prove a block's time and random value by its header.",
            missing=["block headers"],
        ) from error


# ---- small things


def _created(receipt: TxReceipt) -> str:
    address = receipt.get("contractAddress")
    if not address:
        raise ChainError("The transaction made no contract.", transaction=bytes(receipt["transactionHash"]))
    return str(to_checksum_address(address))


def _code_hash(artifact: Artifact) -> str:
    return "0x" + bytes(keccak(artifact.bytecode)).hex()


def _plain(value: Any) -> Any:
    """Return the value as JSON would bring it back."""
    return json.loads(json.dumps(value))


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs between the parameters of a deployment and those of now; new tokens and shards do not."""
    found = []
    for name in sorted(set(old) | set(new)):
        if name in ("tokens", "shards"):
            before, after = old.get(name) or {}, new.get(name) or {}
            found += [f"{name}: {item}" for item in before if before[item] != after.get(item)]
        elif name not in ("disposable", "governor") and old.get(name) != new.get(name):
            found.append(f"{name}: {old.get(name)} became {new.get(name)}")
    return found


def _source_commit() -> str:
    """Return the checkout's commit, with ``+`` if its contracts differ from it; empty outside a checkout."""
    folder = Path(__file__).parents[3]
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "contracts"], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep a second deployment into the same folder out while one runs."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise FileUnreadable(f"{path.parent} cannot be used: {error.strerror or error}.", path=str(path)) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadParameters(
                f"Another deployment is being written to {path.parent}.", hint="Wait until it ends.", path=str(path)
            ) from None
        yield
    finally:
        os.close(handle)
