"""A connection to a chain: one RPC endpoint or several, one chain id, one deployment.

::

    chain = Chain.connect("http://127.0.0.1:8545", deployment="local")
    chain.contract("Shards").functions.count().call()
    chain.call(chain.contract("Objects").functions.record(object_id), block=chain.safe_block())
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

from eth_abi.exceptions import DecodingError
from eth_typing import ChecksumAddress
from eth_utils.abi import get_abi_output_types
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3._utils.abi import map_abi_data
from web3._utils.normalizers import BASE_RETURN_NORMALIZERS
from web3.contract import Contract
from web3.exceptions import BadFunctionCallOutput, ContractLogicError, Web3Exception, Web3RPCError
from web3.logs import DISCARD
from web3.types import BlockIdentifier, RPCEndpoint, TxReceipt

from qanat.chain.abis import CODEC, abi_of, decode_error
from qanat.chain.deployment import Deployment
from qanat.chain.provider import Provider, without_secrets
from qanat.errors import BadParameters, ChainError, ChainUnreachable, NotDeployed, TransactionReverted, WrongChain

__all__ = ["MODULES", "Chain", "call_name", "events_in", "raise_reverted"]

#: Reorgs deeper than two epochs of Ethereum's slots are not followed without a restart.
_REORG_BLOCKS = 64
#: Contract → name under which the Directory keeps the one in force.
MODULES = {
    "Restaking": "restaking",
    "Operators": "operators",
    "Shards": "shards",
    "Objects": "objects",
    "Audits": "audits",
    "RandaoBeacon": "randomness",
    "DrandBeacon": "randomness",
    "BlsCertificateVerifier": "certificateVerifier",
    "KzgOpeningVerifier": "openingVerifier",
    "FlatPricing": "pricing",
    "Assets": "assets",
    "Licenses": "licenses",
    "Rewards": "rewards",
    "Payments": "payments",
    "RestakerRewards": "restakerRewards",
    "Keys": "keys",
}
#: Contract → (the one that made it, the view that names it).
MADE_BY = {"Members": ("Shards", "members")}


class _LenientCodec:
    """web3's codec, but texts that are no UTF-8 are decoded too (:data:`qanat.chain.abis.CODEC`)."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.decode = CODEC.decode

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Chain:
    """A chain that is reached through its RPC endpoints. Safe to share between threads."""

    def __init__(self, web3: Web3, *, deployment: Deployment | None = None, url: str = "") -> None:
        """Wrap a ``Web3`` that is connected already; :meth:`connect` makes one from a URL.

        Raises:
            ChainUnreachable: no answer.
            WrongChain: the deployment is for another chain.
        """
        web3.codec = cast("Any", _LenientCodec(web3.codec))
        self.web3 = web3
        self.url = url
        self.chain_id = int(web3.eth.chain_id)
        self._deployment = deployment
        self._contracts: dict[str, Contract] = {}
        self._modules_as_of = 0
        self._lock = threading.Lock()
        self._safe_tag: bool | None = None
        if deployment is not None and deployment.chain_id != self.chain_id:
            raise WrongChain(
                f"The chain has id {self.chain_id}; the deployment {deployment.network} is for {deployment.chain_id}.",
                hint="Check --network, --rpc and --deployment against each other.",
                got=self.chain_id,
                expected=deployment.chain_id,
            )

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        deployment: Deployment | str | Path | None = None,
        chain_id: int | None = None,
        timeout: float = 20.0,
    ) -> Chain:
        """Connect to an HTTP(S) JSON-RPC endpoint, or to several of the same chain.

        Args:
            url: the endpoint; or several, with commas between: where one does not answer, the next is asked.
            deployment: a deployment, or its network's name, or its file.
            chain_id: the id that the chain must have, where no deployment says it.
            timeout: seconds that one request may take.

        Raises:
            ChainUnreachable: no answer.
            WrongChain: another chain answers.
            NotDeployed: the named deployment does not exist.
            BadParameters: the URL is none.
        """
        urls = [item.strip() for item in url.split(",")]
        for item in urls:
            if not item.startswith(("http://", "https://")):
                raise BadParameters(
                    f"{item} is no HTTP address of a chain.", hint="It begins with http:// or https://.", url=item
                )
        if isinstance(deployment, (str, Path)):
            deployment = Deployment.load(deployment)
        provider = Provider(urls, timeout=timeout)
        chain = cls(Web3(provider), deployment=deployment, url=url)
        if chain_id is not None and chain.chain_id != chain_id:
            raise WrongChain(
                f"The chain has id {chain.chain_id}, not {chain_id}.",
                hint="Check --network and --rpc.",
                got=chain.chain_id,
                expected=chain_id,
            )
        return chain

    def __repr__(self) -> str:
        return f"Chain({self.chain_id}, {without_secrets(self.url)!r})"

    # ---- contracts

    @property
    def deployment(self) -> Deployment:
        """The deployment. Raises :class:`NotDeployed` if this connection has none."""
        if self._deployment is None:
            raise NotDeployed("This connection knows no deployment.", hint="Name one with --deployment.")
        return self._deployment

    @property
    def has_deployment(self) -> bool:
        """Whether a deployment is known."""
        return self._deployment is not None

    def use(self, deployment: Deployment) -> None:
        """Take (another version of) the deployment into use."""
        if deployment.chain_id != self.chain_id:
            raise WrongChain(
                f"The chain has id {self.chain_id}; the deployment is for {deployment.chain_id}.",
                got=self.chain_id,
                expected=deployment.chain_id,
            )
        with self._lock:
            self._deployment = deployment
            self._contracts.clear()

    def contract(self, name: str) -> Contract:
        """Return a contract of the deployment by its name, as ``Objects``: the one in force now.

        What the Directory keeps is asked of the Directory once, so that a module that was swapped since the
        deployment is followed;
        :meth:`forget_modules` asks anew.

        Raises:
            NotDeployed: the deployment has no such contract.
        """
        with self._lock:
            cached = self._contracts.get(name)
        if cached is not None:
            return cached
        if name in MADE_BY:
            maker, view = MADE_BY[name]
            made = self.contract_at(name, str(self.contract(maker).functions[view]().call()))
            with self._lock:
                self._contracts[name] = made
            return made
        recorded = self.deployment.contract(name)
        address = recorded.address
        module = MODULES.get(name)
        if module is not None and "Directory" in self.deployment.contracts:
            address = self._module_in_force(module) or address
        made = self.contract_at(recorded.type or name, address)
        with self._lock:
            self._contracts[name] = made
        return made

    def _module_in_force(self, module: str) -> str | None:
        directory = self.contract_at("Directory", self.deployment.address("Directory"))
        try:
            address = directory.functions.module(module.encode().ljust(32, b"\0")).call()
        except (ContractLogicError, BadFunctionCallOutput):
            return None  # not set yet: a deployment under way, or a chain without it
        return str(address)

    def forget_modules(self) -> None:
        """Ask the Directory anew at the next use of each contract."""
        with self._lock:
            self._contracts.clear()

    def follow_modules(self, latest: int) -> None:
        """Forget the modules if the Directory changed since the last call or shortly before: for what runs for long.

        Args:
            latest: number of the newest block that is known; a lower one than before tells of a reorg.

        Raises:
            ChainError: the logs can't be had.
        """
        if self._deployment is None or "Directory" not in self._deployment.contracts:
            return
        since, self._modules_as_of = self._modules_as_of, latest
        changed = since == 0 or latest < since
        if not changed:
            wanted = {
                "address": self._deployment.address("Directory"),
                # a reorg may have brought a change into blocks that were looked at before
                "fromBlock": hex(max(0, since + 1 - _REORG_BLOCKS)),
                "toBlock": hex(latest),
            }
            try:
                changed = bool(self.rpc("eth_getLogs", wanted))
            except ChainUnreachable:
                self._modules_as_of = since
                raise
            except ChainError:
                changed = True  # more blocks than the endpoint looks through at once
        if changed:
            self.forget_modules()

    def contract_at(self, abi_name: str, address: str) -> Contract:
        """Return the contract at an address, seen through a known ABI."""
        checksummed: ChecksumAddress = to_checksum_address(address)
        return self.web3.eth.contract(address=checksummed, abi=cast("Any", abi_of(abi_name)))

    def token(self, address: str) -> Contract:
        """Return an ERC-20 at an address."""
        return self.web3.eth.contract(address=to_checksum_address(address), abi=cast("Any", ERC20_ABI))

    def has_code(self, address: str, block: BlockIdentifier = "latest") -> bool:
        """Tell whether a contract stands at an address."""
        return len(self.web3.eth.get_code(to_checksum_address(address), block)) > 0

    def check_deployed(self) -> None:
        """Check that the deployment's contracts have code here.

        Raises :class:`NotDeployed` naming the first one without.
        """
        for name, item in self.deployment.contracts.items():
            if not self.has_code(item.address):
                raise NotDeployed(
                    f"{name} has no code at {item.address} on chain {self.chain_id}: another chain, or a fresh one.",
                    hint="Deploy again, or connect to the chain of the deployment.",
                    name=name,
                    address=item.address,
                )

    def call(self, function: Any, *, block: BlockIdentifier = "latest", sender: str | None = None) -> Any:
        """Call a view, for example ``chain.contract("Shards").functions.count()``, at a block.

        Raises:
            TransactionReverted: the contract refused.
            NotDeployed: there is no such contract at that block.
            ChainUnreachable: no answer.
        """
        parameters: dict[str, Any] = {} if sender is None else {"from": sender}
        try:
            return function.call(parameters, block_identifier=block)
        except ContractLogicError as error:
            raise_reverted(error, call_name(function))
        except BadFunctionCallOutput as error:
            raise NotDeployed(
                f"{call_name(function)} gave no answer at block {block!r}: no contract stands at {function.address}.",
                hint="Check that the deployment belongs to this chain and that the block is not older than it.",
                address=str(function.address),
            ) from error
        except Web3RPCError as error:
            raise ChainError(f"{call_name(function)} failed: {_rpc_message(error)}.") from error

    def call_together(self, calls: Sequence[tuple[Any, BlockIdentifier]]) -> list[Any]:
        """Call views that don't depend on each other, each at its block, in one request where the endpoint takes it.

        They may be answered in any order, and those at ``latest`` at different blocks. Returns results in order; of one
        that fails, what :meth:`call` raises for it, as a value: whoever asked decides what one is worth without it.

        Raises:
            ChainUnreachable: no answer.
        """
        found = self._ask_together([("eth_call", [_call_of(item), _block_of(block)]) for item, block in calls])
        results: list[Any] = []
        for (function, block), raw in zip(calls, found, strict=True):
            try:
                if isinstance(raw, str) and len(raw) > 2:
                    with suppress(DecodingError, ValueError):
                        results.append(_decoded(function, bytes.fromhex(raw[2:])))
                        continue
                results.append(self.call(function, block=block))
            except ChainUnreachable:
                raise
            except ChainError as error:
                results.append(error)
        return results

    def _ask_together(self, questions: Sequence[tuple[str, Any]]) -> list[Any]:
        provider = self.web3.provider
        return provider.ask_together(questions) if isinstance(provider, Provider) else [None] * len(questions)

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Call a JSON-RPC method and return its result as it came, hexadecimal texts included.

        Raises:
            ChainError: the endpoint answered with an error.
            ChainUnreachable: no answer.
        """
        answer = cast("dict[str, Any]", self.web3.provider.make_request(RPCEndpoint(method), list(parameters)))
        error = answer.get("error")
        if error:
            message = error if isinstance(error, str) else error.get("message", error)
            raise ChainError(f"{method} failed: {message}.", method=method)
        return answer.get("result")

    # ---- blocks

    def latest(self) -> int:
        """Return the number of the newest block."""
        return int(self.web3.eth.block_number)

    def safe_block(self) -> int:
        """Return the number of the newest block that the chain calls safe; :attr:`safe_rule` says what that means here.

        Where the chain knows no block tag ``safe`` it is the block before the newest one.
        """
        if self._safe_tag is not False:
            number = self._tagged("safe")
            if number is not None:
                self._safe_tag = True
                return number
            self._safe_tag = False
        return max(0, self.latest() - 1)

    @property
    def safe_rule(self) -> str:
        """How :meth:`safe_block` is found on this chain: ``tag safe`` or ``latest - 1``."""
        if self._safe_tag is None:
            self.safe_block()
        return "tag safe" if self._safe_tag else "latest - 1"

    def finalized_block(self) -> int:
        """Return the number of the newest final block; where the chain knows no such tag, the safe block less one."""
        number = self._tagged("finalized")
        return number if number is not None else max(0, self.safe_block() - 1)

    def heads(self) -> tuple[dict[str, Any], int]:
        """Return the newest block's header fields, as :meth:`block`, and the number of :meth:`finalized_block`."""
        asked = [("eth_getBlockByNumber", [tag, False]) for tag in ("latest", "finalized")]
        latest, finalized = self._ask_together(asked)
        return (
            cast("dict[str, Any]", latest) if latest else self.block("latest"),
            int(finalized["number"], 16) if finalized else self.finalized_block(),
        )

    def _tagged(self, tag: str) -> int | None:
        try:
            block = self.rpc("eth_getBlockByNumber", tag, False)
        except ChainUnreachable:
            raise
        except ChainError:
            return None
        return None if not block else int(block["number"], 16)

    def block(self, identifier: int | str = "latest") -> dict[str, Any]:
        """Return a block's header fields as the endpoint gives them (hexadecimal texts).

        Raises :class:`ChainError` if it has none.
        """
        tag = hex(identifier) if isinstance(identifier, int) else identifier
        found = self.rpc("eth_getBlockByNumber", tag, False)
        if not found and tag == "latest":
            # every chain has one: the endpoint failed, and may be asked again
            raise ChainUnreachable(f"The chain at {self.url} gave no newest block.", url=self.url)
        if not found:
            raise ChainError(
                f"The chain has no block {identifier}.", hint="It may not be mined yet.", block=str(identifier)
            )
        return cast("dict[str, Any]", found)

    def block_hash(self, number: int) -> bytes:
        """Return the hash of a block."""
        return bytes.fromhex(self.block(number)["hash"][2:])

    def timestamp(self, identifier: int | str = "latest") -> int:
        """Return a block's time, in seconds since 1970."""
        return int(self.block(identifier)["timestamp"], 16)


def _call_of(function: Any) -> dict[str, Any]:
    return {"to": function.address, "data": function._encode_transaction_data()}  # noqa: SLF001  (web3 has no other name)


def _block_of(block: BlockIdentifier) -> Any:
    return hex(block) if isinstance(block, int) else block


def _decoded(function: Any, raw: bytes) -> Any:
    """Return what web3 makes of a call's answer: addresses checksummed, one value as itself, several as a list."""
    kinds = get_abi_output_types(function.abi)
    values = map_abi_data(BASE_RETURN_NORMALIZERS, kinds, CODEC.decode(kinds, raw))
    return values[0] if len(values) == 1 else values


def events_in(receipt: TxReceipt, contract: Contract, name: str) -> list[dict[str, Any]]:
    """Return the arguments of a contract's events of one name in a receipt; other events are passed over."""
    found = contract.events[name]().process_receipt(receipt, errors=DISCARD)
    address = contract.address
    return [dict(item["args"]) for item in found if item["address"] == address]


def call_name(function: Any) -> str:
    """Return how a call or a constructor is named in messages: ``open()`` or ``deployment``."""
    name = getattr(function, "fn_name", None) or getattr(function, "abi_element_identifier", None)
    return f"{str(name).split('(')[0]}()" if name else "deployment"


def raise_reverted(error: ContractLogicError, what: str, **data: Any) -> NoReturn:
    """Raise :class:`TransactionReverted` for a revert, its custom error decoded by every known ABI."""
    raw: Any = error.data
    returned = b""
    if isinstance(raw, str) and raw.startswith("0x"):
        returned = bytes.fromhex(raw[2:])
    elif isinstance(raw, (bytes, bytearray)):
        returned = bytes(raw)
    raise reverted(returned, what, reason=str(error.message or ""), **data) from error


def reverted(returned: bytes, what: str, *, reason: str = "", **data: Any) -> TransactionReverted:
    """Make a :class:`TransactionReverted` from what a revert returned."""
    decoded = decode_error(returned)
    if decoded is not None:
        return TransactionReverted(
            f"{what} was refused: {decoded}.",
            hint=HINTS.get(decoded.name, ""),
            error_name=decoded.name,
            arguments=decoded.arguments,
            returned=returned,
            **data,
        )
    shown = f"unknown error 0x{returned[:4].hex()}" if returned else reason or "no reason given"
    return TransactionReverted(f"{what} was refused: {shown}.", error_name="", arguments={}, returned=returned, **data)


def _rpc_message(error: Web3Exception) -> str:
    response = getattr(error, "rpc_response", None)
    if isinstance(response, dict) and isinstance(response.get("error"), dict):
        return str(response["error"].get("message", error))
    return str(error)


#: What to try when a contract refuses, for the errors that people meet.
HINTS = {
    "AlreadyRegistered": "This operator is registered; `qanat status` shows it.",
    "NotRegistered": "Run `qanat register` with this account first.",
    "KeyTaken": "Make a new BLS key: each operator has its own.",
    "FreeBalanceTooLow": "Deposit more with `qanat stake`.",
    "NotMature": "Wait until that block, then run the command again.",
    "NothingToMature": "There is no delegation that waits.",
    "WithdrawalNotReady": "Wait until that block, then run the command again.",
    "StakeBound": "A roster counts this stake until that block; nothing is lost by waiting.",
    "SlashPending": "A reported miss waits for its resolution; try again afterwards.",
    "StakeBelowTicket": "Let more stake be delegated, or allocate more of it to the shard.",
    "BondBelowMinimum": "Post more bond.",
    "SnapshotTooEarly": "Rosters lie apart by a seventh of the shard's term; wait until that block.",
    "TicketsUnchanged": "A new roster needs 5 % of the tickets to have changed.",
    "RosterNotActive": "A newer roster is active: plan again.",
    "CertificationTooLate": "The time for certifying is over; `fail` returns the storage fee, then store again.",
    "PaymentAboveMaximum": "The price rose; look at it again and raise --max-payment if it suits you.",
    "RowsPerTicketExceeded": "The shard is full for now; choose another shard or try later.",
    "QuorumNotReached": "Too few operators signed; see which nodes answer with `qanat status`.",
    "SignersVacant": "An operator lost its place meanwhile; run the command again, the others' signatures stand.",
    "NotObjectOwner": "Only the account that opened the object can do this.",
    "NotAssetOwner": "Only the asset's owner can do this.",
    "ObjectNotCertified": "Wait until the object is certified.",
    "ObjectOver": "Its last epoch is over, or nearly: store the file anew.",
    "AdoptionOpen": "Operators that were late may still take its rows: try again an epoch later.",
    "TermInvalid": "A shard has a longest term (`qanat shard`), counted from a roster's snapshot: take fewer.",
    "ObjectAlreadyOwned": "The object belongs to an asset already.",
    "ERC721NonexistentToken": "There is no such asset or license.",
    "TermsChanged": "Read the offer again: its terms are not the ones you accepted.",
    "LicenseNotActive": "The license has not begun, has ended, or was revoked.",
    "NothingToClaim": "There is nothing to claim now.",
    "ERC20InsufficientBalance": "The account holds too little of the token.",
    "ERC20InsufficientAllowance": "Approve the contract first.",
}


def _erc20(name: str, inputs: str, outputs: str, mutability: str) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "stateMutability": mutability,
        "inputs": [{"name": f"a{number}", "type": kind} for number, kind in enumerate(inputs.split()) if kind],
        "outputs": [{"name": "", "type": kind} for kind in outputs.split()],
    }


#: What every ERC-20 has. ``approve`` and ``transfer`` are declared without a result, since some tokens return none.
ERC20_ABI = [
    _erc20("name", "", "string", "view"),
    _erc20("symbol", "", "string", "view"),
    _erc20("decimals", "", "uint8", "view"),
    _erc20("totalSupply", "", "uint256", "view"),
    _erc20("balanceOf", "address", "uint256", "view"),
    _erc20("allowance", "address address", "uint256", "view"),
    _erc20("approve", "address uint256", "", "nonpayable"),
    _erc20("transfer", "address uint256", "", "nonpayable"),
]
