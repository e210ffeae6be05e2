"""Transactions that are paid for only when they will succeed, and that get through.

Order of every sending: estimate (a refusal costs nothing and comes back as a readable error) → look whether the
account can pay → nonce, sign, send,
all under one lock per account → wait → where no block takes it, send it again with a higher fee.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import TxParams, TxReceipt

from qanat.chain.connection import Chain, call_name, raise_reverted, reverted
from qanat.chain.deployment import format_units
from qanat.chain.signer import Signer
from qanat.errors import ChainError, ChainUnreachable, InsufficientFunds

__all__ = ["Sender", "TransactionLost"]

#: Gas is estimated at a block that will not be the one that includes it: a quarter more, and a constant for cold
#: storage.
GAS_MARGIN = 1.25
GAS_EXTRA = 20_000
#: Nodes replace a waiting transaction only by one that pays at least a tenth more.
FEE_STEP = 1.25

_locks: dict[tuple[int, str], threading.RLock] = {}
_locks_guard = threading.Lock()


class TransactionLost(ChainUnreachable):
    """No block took a transaction in time; it may still be taken later. ``data`` holds ``hashes`` and ``nonce``."""


@dataclass
class _Sent:
    """The last transaction that this process sent for an account."""

    nonce: int
    hash: bytes


_last: dict[tuple[int, str], _Sent] = {}


@dataclass
class _Fees:
    maximum: int
    priority: int | None  # None: a chain without EIP-1559

    def raised(self) -> _Fees:
        return _Fees(
            int(self.maximum * FEE_STEP) + 1, None if self.priority is None else int(self.priority * FEE_STEP) + 1
        )

    def fields(self) -> dict[str, int]:
        if self.priority is None:
            return {"gasPrice": self.maximum}
        return {"maxFeePerGas": self.maximum, "maxPriorityFeePerGas": self.priority}


class _Transfer:
    """A plain transfer of coins, in the shape of web3's bound functions."""

    fn_name = "transfer"

    def __init__(self, chain: Chain, to: str) -> None:
        self._chain = chain
        self._to = to_checksum_address(to)

    def estimate_gas(self, transaction: TxParams) -> int:
        """Return what the chain estimates."""
        return int(self._chain.web3.eth.estimate_gas({**transaction, "to": self._to}))

    def build_transaction(self, transaction: TxParams) -> TxParams:
        """Return the transaction."""
        return {**transaction, "to": self._to, "data": HexBytes(b"")}


class Sender:
    """Sends transactions of one account on one chain.

    Safe to share between threads; several per account share one lock.
    """

    def __init__(
        self,
        chain: Chain,
        signer: Signer,
        *,
        timeout: float = 180.0,
        resend_after: float = 30.0,
        confirmations: int = 1,
        fee_ceiling: int | None = None,
        on_sent: Callable[[str, str], None] | None = None,
    ) -> None:
        """Make a sender.

        Args:
            chain: the connection.
            signer: whose account pays.
            timeout: seconds to wait for a receipt.
            resend_after: seconds after which a waiting transaction is sent again with a higher fee.
            confirmations: blocks, the including one counted, to wait for.
            fee_ceiling: most that a unit of gas may cost, in wei, also when sent again.
            on_sent: called with the call's name and the transaction's hash when one was sent.
        """
        self.chain = chain
        self.signer = signer
        self.timeout = timeout
        self.resend_after = resend_after
        self.confirmations = confirmations
        self.fee_ceiling = fee_ceiling
        self.on_sent = on_sent
        key = (chain.chain_id, signer.address)
        with _locks_guard:
            self._lock = _locks.setdefault(key, threading.RLock())
        self._key = key

    @property
    def address(self) -> str:
        """The account's checksummed address."""
        return to_checksum_address(self.signer.address)

    # ---- sending

    def estimate(self, function: Any, value: int = 0) -> int:
        """Return the gas limit with which a call would be sent.

        Raises:
            TransactionReverted: the call would be refused; nothing was paid.
            InsufficientFunds: the account has less than ``value``.
        """
        what = call_name(function)
        try:
            needed = int(function.estimate_gas({"from": self.address, "value": value}))
        except ContractLogicError as error:
            raise_reverted(error, what)
        except Web3RPCError as error:
            raise self._rpc_error(error, what, value) from error
        return int(needed * GAS_MARGIN) + GAS_EXTRA

    def send(self, function: Any, value: int = 0, *, gas: int | None = None) -> TxReceipt:
        """Send a call (``contract.functions.name(…)``) or a constructor, and return its receipt.

        Args:
            function: web3's bound function or constructor.
            value: wei to send along.
            gas: gas limit instead of the estimated one; the call is tried out first all the same.

        Raises:
            TransactionReverted: refused, at the estimate (nothing paid) or, if the state changed meanwhile, in
                its block (``data["transaction"]``).
            InsufficientFunds: the account cannot pay value and gas.
            TransactionLost: no block took it in time.
            ChainUnreachable: no answer.
        """
        what = call_name(function)
        estimated = self.estimate(function, value)
        limit = gas if gas is not None else estimated
        with self._lock:
            fees = self._fees()
            self._check_funds(what, value, limit, fees)
            transaction, hashes = self._broadcast(function, value, limit, fees, what)
        return self._wait(what, transaction, hashes, fees)

    def _broadcast(
        self, function: Any, value: int, gas: int, fees: _Fees, what: str
    ) -> tuple[dict[str, Any], list[bytes]]:
        for attempt in range(6):
            nonce = self._next_nonce()
            transaction = dict(
                function.build_transaction(
                    cast(
                        "TxParams",
                        {
                            "from": self.address,
                            "chainId": self.chain.chain_id,
                            "nonce": nonce,
                            "gas": gas,
                            "value": value,
                            **fees.fields(),
                        },
                    )
                )
            )
            try:
                sent = self._send_raw(transaction)
            except Web3RPCError as error:
                message = str(error).lower()
                # another process uses the same account: its transaction took the nonce
                if attempt < 5 and any(
                    text in message
                    for text in ("nonce too low", "replacement transaction", "underpriced", "nonce is too low")
                ):
                    _last.pop(self._key, None)
                    time.sleep(0.05 * 2**attempt)
                    continue
                raise self._rpc_error(error, what, value) from error
            _last[self._key] = _Sent(nonce, sent)
            if self.on_sent is not None:
                self.on_sent(what, "0x" + sent.hex())
            return transaction, [sent]
        raise ChainError(f"{what} could not be sent: other transactions of {self.address} keep taking its nonce.")

    def _send_raw(self, transaction: dict[str, Any]) -> bytes:
        raw = self.signer.sign_transaction(transaction)
        own_hash = bytes(self.chain.web3.keccak(raw))
        for attempt in range(4):
            try:
                return bytes(self.chain.web3.eth.send_raw_transaction(HexBytes(raw)))
            except ChainUnreachable:
                # it may have arrived: the same bytes are harmless a second time
                if attempt == 3:
                    raise
                time.sleep(0.25 * 2**attempt)
            except Web3RPCError as error:
                message = str(error).lower()
                if any(text in message for text in ("already known", "already imported", "known transaction")):
                    return own_hash
                if attempt > 0 and "nonce too low" in message and self._is_known(own_hash):
                    return own_hash
                raise
        raise ChainUnreachable("A transaction could not be sent.")

    def _is_known(self, transaction_hash: bytes) -> bool:
        try:
            self.chain.web3.eth.get_transaction(HexBytes(transaction_hash))
        except TransactionNotFound:
            return False
        return True

    def _next_nonce(self) -> int:
        pending = int(self.chain.web3.eth.get_transaction_count(to_checksum_address(self.address), "pending"))
        last = _last.get(self._key)
        if last is not None and last.nonce >= pending:
            # an endpoint that lags behind does not count our last one yet; a chain that was restarted never will
            if self._is_known(last.hash):
                return last.nonce + 1
            _last.pop(self._key, None)
        return pending

    # ---- fees and funds

    def _fees(self) -> _Fees:
        block = self.chain.block("latest")
        if block.get("baseFeePerGas") is None:
            fees = _Fees(int(self.chain.web3.eth.gas_price), None)
        else:
            base = int(block["baseFeePerGas"], 16)
            try:
                priority = int(self.chain.web3.eth.max_priority_fee)
            except Web3RPCError:
                priority = max(1, int(self.chain.web3.eth.gas_price) - base)
            fees = _Fees(2 * base + priority, priority)
        if self.fee_ceiling is not None and fees.maximum > self.fee_ceiling:
            fees = _Fees(self.fee_ceiling, None if fees.priority is None else min(fees.priority, self.fee_ceiling))
        return fees

    def _check_funds(self, what: str, value: int, gas: int, fees: _Fees) -> None:
        balance = int(self.chain.web3.eth.get_balance(to_checksum_address(self.address)))
        needed = value + gas * fees.maximum
        if balance < needed:
            raise InsufficientFunds(
                f"{self.address} holds {balance} wei; {what} may need {needed} wei ({gas} gas at {fees.maximum} wei"
                + (f", and {value} wei to send)." if value else ")."),
                hint="Send it the chain's own coin (on local networks: `qanat faucet`).",
                account=self.address,
                balance=balance,
                needed=needed,
            )

    def _rpc_error(self, error: Web3RPCError, what: str, value: int) -> ChainError:
        message = str(error)
        response = error.rpc_response
        if isinstance(response, dict) and isinstance(response.get("error"), dict):
            message = str(cast("dict[str, Any]", response["error"]).get("message", message))
        if "insufficient funds" in message.lower():
            balance = int(self.chain.web3.eth.get_balance(to_checksum_address(self.address)))
            return InsufficientFunds(
                f"{self.address} holds {balance} wei, too little for {what}"
                + (f" with {value} wei to send." if value else " and its gas."),
                hint="Send it the chain's own coin.",
                account=self.address,
                balance=balance,
                needed=value,
            )
        return ChainError(f"{what} failed: {message}.", hint="The endpoint refused it.")

    # ---- waiting

    def _wait(self, what: str, transaction: dict[str, Any], hashes: list[bytes], fees: _Fees) -> TxReceipt:
        started = last_sent = time.monotonic()
        pause = 0.02
        while True:
            receipt = self._receipt(hashes)
            if receipt is not None and self._is_buried(receipt):
                self._check_status(what, transaction, receipt)
                return receipt
            now = time.monotonic()
            if now - started > self.timeout:
                raise TransactionLost(
                    f"{what}: no block took transaction 0x{hashes[-1].hex()} within {self.timeout:.0f} s.",
                    hint="It may still be taken; look it up before you try again.",
                    hashes=["0x" + item.hex() for item in hashes],
                    nonce=transaction["nonce"],
                )
            if receipt is None and now - last_sent > self.resend_after:
                fees = self._resend(transaction, hashes, fees)
                last_sent = now
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def _is_buried(self, receipt: TxReceipt) -> bool:
        return self.confirmations <= 1 or self.chain.latest() - int(receipt["blockNumber"]) + 1 >= self.confirmations

    def _resend(self, transaction: dict[str, Any], hashes: list[bytes], fees: _Fees) -> _Fees:
        raised = fees.raised()
        if self.fee_ceiling is not None and raised.maximum > self.fee_ceiling:
            return fees
        current = self._fees()
        if raised.maximum < current.maximum:
            raised = _Fees(
                current.maximum,
                current.priority if raised.priority is None else max(current.priority or 0, raised.priority),
            )
        with self._lock:
            try:
                sent = self._send_raw({**transaction, **raised.fields()})
            except Web3RPCError:
                return raised  # taken meanwhile, or the endpoint wants still more: the next round sees
            hashes.append(sent)
            _last[self._key] = _Sent(int(transaction["nonce"]), sent)
        if self.on_sent is not None:
            self.on_sent("again", "0x" + sent.hex())
        return raised

    def _receipt(self, hashes: list[bytes]) -> TxReceipt | None:
        for item in hashes:
            try:
                return self.chain.web3.eth.get_transaction_receipt(HexBytes(item))
            except TransactionNotFound:
                continue
        return None

    def _check_status(self, what: str, transaction: dict[str, Any], receipt: TxReceipt) -> None:
        if receipt.get("status") != 0:
            return
        data = {
            "transaction": "0x" + bytes(receipt["transactionHash"]).hex(),
            "gas_used": int(receipt["gasUsed"]),
        }
        call = {name: transaction[name] for name in ("from", "to", "data", "value") if name in transaction}
        block = int(receipt["blockNumber"])
        # played again after its block, else before it: the state in between is not to be had
        for at in (block, max(0, block - 1)):
            try:
                self.chain.web3.eth.call(cast("TxParams", call), at)
            except ContractLogicError as error:
                raise_reverted(error, what, **data)
            except Web3RPCError:
                continue
        raise reverted(
            b"", what, reason="its block refused it, though it would pass before and after (gas, or a race)", **data
        )

    def transfer(self, to: str, value: int) -> TxReceipt:
        """Send ``value`` wei of the chain's own coin to an address; return the receipt. Raises as :meth:`send`."""
        return self.send(_Transfer(self.chain, to), value)

    # ---- tokens

    def check_tokens(self, token: str, amount: int) -> None:
        """Check that the account holds an amount of an ERC-20. Raises :class:`InsufficientFunds` with both figures."""
        contract = self.chain.token(token)
        balance = int(self.chain.call(contract.functions.balanceOf(self.address)))
        if balance < amount:
            raise InsufficientFunds(
                f"{self.address} holds {self._amount(balance, token)}; {self._amount(amount, token)} are needed.",
                hint="Get more of the token (on local and test networks: `qanat faucet`).",
                account=self.address,
                token=to_checksum_address(token),
                balance=balance,
                needed=amount,
            )

    def _amount(self, units: int, token: str) -> str:
        if not self.chain.has_deployment:
            return f"{units} units of {token}"
        known = self.chain.deployment.token(token)
        return f"{format_units(units, known.decimals)} {self.chain.deployment.symbol(token)}"

    def approve_if_needed(self, token: str, spender: str, amount: int) -> TxReceipt | None:
        """Let ``spender`` take exactly ``amount`` of an ERC-20, unless it may take as much already.

        Returns the receipt, None if nothing had to be sent.

        Raises:
            InsufficientFunds: the account does not hold the amount.
        """
        self.check_tokens(token, amount)
        contract = self.chain.token(token)
        spender = to_checksum_address(spender)
        allowed = int(self.chain.call(contract.functions.allowance(self.address, spender)))
        if allowed >= amount:
            return None
        if allowed > 0:
            # some tokens refuse to change an allowance that is not zero
            try:
                self.estimate(contract.functions.approve(spender, amount))
            except ChainUnreachable:
                raise
            except ChainError:
                self.send(contract.functions.approve(spender, 0))
        return self.send(contract.functions.approve(spender, amount))
