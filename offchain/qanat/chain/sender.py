"""Transactions that are paid for only when they will succeed, that get through, and that are paid for once.

Order of every sending: look whether an earlier run signed the same (:mod:`qanat.chain.journal`) → estimate (a refusal
costs nothing and comes back as a readable error) → look whether the account can pay → nonce, sign, note, send, all
under one lock per account → wait → where no endpoint knows it any more, hand it over again; where no block takes it,
with a higher fee.

From the moment at which a signed transaction may have left, silence says nothing: an answer that was lost, cut short,
late, or sent twice never leads to another signature under another nonce. That happens only when a block shows that
somebody else's transaction has the nonce.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError
from web3.types import TxParams, TxReceipt

from qanat.chain.abis import STANDARD_ERRORS
from qanat.chain.connection import Chain, call_name, raise_reverted, reverted
from qanat.chain.deployment import format_units
from qanat.chain.journal import Entry, Journal
from qanat.chain.signer import Signer
from qanat.errors import ChainError, ChainUnreachable, InsufficientFunds, TransactionReverted

__all__ = ["Sender", "TransactionLost"]

#: Gas is estimated at a block that will not be the one that includes it: a quarter more, and a constant for cold
#: storage.
GAS_MARGIN = 1.25
GAS_EXTRA = 20_000
#: Nodes replace a waiting transaction only by one that pays at least a tenth more.
FEE_STEP = 1.25
LEAST_STEP = 1.1
#: Wei per unit of gas, above which an endpoint's advice on a tip is not followed, unless the base fee is as high.
MOST_TIP = 50 * 10**9
#: Seconds after which it is looked whether an endpoint still knows a transaction that waits.
LOOK_AGAIN = 3.0
#: Blocks for which every node can say what an account's nonce was.
STATE_KEPT = 64
#: Nonces that are remembered behind the newest block's: what a reorganisation drops is among them.
REMEMBERED = 64
#: Times that a call is signed anew since others' transactions took its nonce.
MOST_TAKEN = 5
#: Times that an allowance is given anew since another payment took it.
ALLOWED_ANEW = 5

_locks: dict[tuple[int, str], threading.RLock] = {}
_locks_guard = threading.Lock()


class TransactionLost(ChainUnreachable):
    """No block took a transaction in time; it may still be taken later. ``data`` holds ``hashes`` and ``nonce``."""


class _NonceTaken(Exception):
    """A block holds another transaction with the nonce: this one can't come any more."""


class _Verdict(Enum):
    """What handing a transaction over showed."""

    ACCEPTED = "the endpoint has it"
    UNSURE = "it may have arrived"
    USED = "a block holds its nonce already: it may be itself"
    CONTESTED = "another transaction waits with its nonce"


#: account → nonce → hash of what this process sent last with it: what no block has, and the last ones that some have
_sent: dict[tuple[int, str], dict[int, bytes]] = {}


@dataclass
class _Fees:
    maximum: int
    priority: int | None  # None: a chain without EIP-1559

    def raised(self) -> _Fees:
        return _Fees(
            int(self.maximum * FEE_STEP) + 1, None if self.priority is None else int(self.priority * FEE_STEP) + 1
        )

    def at_least(self, other: _Fees) -> _Fees:
        if self.priority is None or other.priority is None:
            return _Fees(max(self.maximum, other.maximum), self.priority)
        return _Fees(max(self.maximum, other.maximum), max(self.priority, other.priority))

    def at_most(self, ceiling: int | None) -> _Fees:
        if ceiling is None:
            return self
        return _Fees(min(self.maximum, ceiling), None if self.priority is None else min(self.priority, ceiling))

    def replaces(self, other: _Fees) -> bool:
        tips = self.priority is None or other.priority is None or self.priority >= LEAST_STEP * other.priority
        return self.maximum >= LEAST_STEP * other.maximum and tips

    def fields(self) -> dict[str, int]:
        if self.priority is None:
            return {"gasPrice": self.maximum}
        return {"maxFeePerGas": self.maximum, "maxPriorityFeePerGas": self.priority}


@dataclass
class _Flight:
    """A signed transaction on its way: all its signatures have one nonce. ``since``: newest block before the first."""

    transaction: dict[str, Any]
    fees: _Fees
    since: int
    entry: Entry | None
    hashes: list[bytes] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)

    @property
    def nonce(self) -> int:
        return int(self.transaction["nonce"])


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
        journal: Callable[[], Journal] | None = None,
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
            journal: opens where signed transactions are noted before they leave; without one, a call that was sent
                before a crash may be sent again after it: for calls that a contract refuses the second time.
        """
        self.chain = chain
        self.signer = signer
        self.timeout = timeout
        self.resend_after = resend_after
        self.confirmations = confirmations
        self.fee_ceiling = fee_ceiling
        self.on_sent = on_sent
        self._open_journal = journal
        self._journal: Journal | None = None
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

    def send(self, function: Any, value: int = 0, *, gas: int | None = None, steps: int = 0) -> TxReceipt:
        """Send a call (``contract.functions.name(…)``) or a constructor, and return its receipt.

        With a journal: what an earlier run signed and did not see through is seen through, not signed again.

        Args:
            function: web3's bound function or constructor.
            value: wei to send along.
            gas: gas limit instead of the estimated one; the call is tried out first all the same.
            steps: raise the fee so many times before it is first sent, as is done when no block takes it.

        Raises:
            TransactionReverted: refused, at the estimate (nothing paid) or, if the state changed meanwhile, in
                its block (``data["transaction"]``).
            InsufficientFunds: the account cannot pay value and gas.
            TransactionLost: no block took it in time.
            ChainUnreachable: no answer.
        """
        what = call_name(function)
        earlier = self._see_through(what, function, value)
        if earlier is not None:
            return earlier
        for _ in range(MOST_TAKEN):
            estimated = self.estimate(function, value)
            limit = gas if gas is not None else estimated
            with self._lock:
                fees = self._fees()
                for _ in range(steps):
                    fees = fees.raised().at_most(self.fee_ceiling)
                self._check_funds(what, value, limit, fees)
                flight = self._broadcast(function, value, limit, fees, what)
            try:
                return self._wait(what, flight)
            except _NonceTaken:
                continue
        raise ChainError(f"{what} could not be sent: other transactions of {self.address} keep taking its nonce.")

    def push(self, transaction_hash: str) -> TxReceipt | None:
        """See a transaction of this account through that nobody waits for any more; return its receipt.

        It is sent again with a higher fee at once, up to the ceiling, and later as :meth:`send` does. None: no block
        and no endpoint knows it any more, or another one has its nonce. Raises as :meth:`send`.
        """
        since = self.chain.latest()
        try:
            found = self.chain.web3.eth.get_transaction(HexBytes(transaction_hash))
        except TransactionNotFound:
            return None
        if to_checksum_address(found["from"]) != self.address:
            raise ChainError(f"Transaction {transaction_hash} is not one of {self.address}.")
        priority = found.get("maxPriorityFeePerGas")
        fees = _Fees(
            int(found["gasPrice"] if priority is None else found["maxFeePerGas"]),
            None if priority is None else int(priority),
        )
        transaction = {
            "from": self.address,
            "to": found.get("to"),
            "data": HexBytes(found["input"]),
            "chainId": self.chain.chain_id,
            "nonce": int(found["nonce"]),
            "gas": int(found["gas"]),
            "value": int(found["value"]),
            **fees.fields(),
        }
        flight = _Flight(transaction, fees, since, None, [bytes(HexBytes(transaction_hash))])
        try:
            if found.get("blockNumber") is None:
                self._raise_fee(flight)
            return self._wait(f"transaction {transaction_hash}", flight)
        except _NonceTaken:
            return None

    def _broadcast(self, function: Any, value: int, gas: int, fees: _Fees, what: str) -> _Flight:
        """Sign and hand over under the next nonce that no other transaction has."""
        since = self.chain.latest()
        for attempt in range(6):
            transaction = self._build(function, value, gas, self._next_nonce(), fees)
            journal = self.journal
            entry = None
            if journal is not None:
                entry = journal.begin(self._intent(function, value), what, transaction, since)
            flight = _Flight(transaction, fees, since, entry)
            try:
                verdict = self._send_raw(transaction, flight)
            except ChainError as error:
                _close(entry)
                raise self._refused(error.message, what, value) from error
            if verdict is _Verdict.CONTESTED or (verdict is _Verdict.USED and self._holder(flight) is False):
                # another process uses the same account: its transaction took the nonce
                _close(entry)
                _sent.pop(self._key, None)
                time.sleep(0.05 * 2**attempt)
                continue
            self._note(flight)
            if self.on_sent is not None:
                self.on_sent(what, "0x" + flight.hashes[-1].hex())
            return flight
        raise ChainError(f"{what} could not be sent: other transactions of {self.address} keep taking its nonce.")

    def _build(self, function: Any, value: int, gas: int, nonce: int, fees: _Fees) -> dict[str, Any]:
        fields = {
            "from": self.address,
            "chainId": self.chain.chain_id,
            "nonce": nonce,
            "gas": gas,
            "value": value,
            **fees.fields(),
        }
        return dict(function.build_transaction(cast("TxParams", fields)))

    def _send_raw(self, transaction: dict[str, Any], flight: _Flight) -> _Verdict:
        """Sign a transaction, note it, hand it over. Raises :class:`ChainError` where it certainly was not taken."""
        raw = self.signer.sign_transaction(transaction)
        if self._journal is not None and flight.entry is not None:
            self._journal.signed(flight.entry, raw, flight.fees.maximum, flight.fees.priority)
        flight.raws.append(raw)
        flight.hashes.append(bytes(keccak(raw)))
        return self._hand_over(raw)

    def _hand_over(self, raw: bytes) -> _Verdict:
        unsure = False
        for attempt in range(4):
            try:
                # its name is what its bytes hash to, whatever the answer says
                self.chain.rpc("eth_sendRawTransaction", "0x" + raw.hex())
            except ChainUnreachable:
                # it may have arrived: the same bytes are harmless a second time
                unsure = True
                time.sleep(0.25 * 2**attempt)
            except ChainError as error:
                message = error.message.lower()
                if any(text in message for text in ("already known", "already imported", "known transaction")):
                    return _Verdict.ACCEPTED
                if any(text in message for text in ("nonce too low", "nonce is too low")):
                    return _Verdict.USED
                if not unsure and any(text in message for text in ("replacement", "underpriced")):
                    return _Verdict.CONTESTED
                if unsure:
                    return _Verdict.UNSURE
                raise
            else:
                return _Verdict.ACCEPTED
        return _Verdict.UNSURE

    # ---- what an earlier run left

    @property
    def journal(self) -> Journal | None:
        """Where signed transactions are noted, if they are."""
        if self._journal is None and self._open_journal is not None:
            self._journal = self._open_journal()
        return self._journal

    @property
    def opened_journal(self) -> Journal | None:
        """The journal, if it was needed so far."""
        return self._journal

    def _intent(self, function: Any, value: int) -> str:
        """Hash of what a call does, whatever its nonce, gas and fee."""
        built = self._build(function, value, 0, 0, _Fees(0, None))
        does = [self.chain.chain_id, str(built.get("to", "")), HexBytes(built["data"]).hex(), value]
        return bytes(keccak(text=json.dumps(does))).hex()

    def is_under_way(self, function: Any, value: int = 0) -> bool:
        """Whether an earlier run signed the same call and was not there to see what became of it."""
        return self.journal is not None and self.journal.has(self._intent(function, value))

    def left_behind(self) -> list[tuple[str, str, int | None]]:
        """What earlier runs signed and this one did not ask for: (call, hash, block that took it, if one did).

        What a block took, or can't take any more, is forgotten when this run ends well.
        """
        found: list[tuple[str, str, int | None]] = []
        for entry in [] if self.journal is None else self.journal.left():
            flight = self._flight_of(entry)
            try:
                receipt = self._receipt(flight.hashes)
                entry.seen = receipt is not None or self._holder(flight) is False
            except (ChainUnreachable, Web3Exception):
                continue
            block = None if receipt is None else int(receipt["blockNumber"])
            name = flight.hashes[-1] if receipt is None else bytes(receipt["transactionHash"])
            found.append((entry.what, "0x" + name.hex(), block))
        return found

    def _flight_of(self, entry: Entry) -> _Flight:
        transaction = {
            name: value for name, value in entry.transaction.items() if "Price" not in name and "Fee" not in name
        }
        if transaction.get("to") in ("", "0x"):
            transaction["to"] = b""
        hashes = [bytes(keccak(raw)) for raw in entry.raws]
        return _Flight(transaction, _Fees(*entry.fees[-1]), entry.since, entry, hashes, list(entry.raws))

    def _see_through(self, what: str, function: Any, value: int) -> TxReceipt | None:
        """Return the receipt of the same call of an earlier run, None if there is none or no block can take it."""
        journal = self.journal
        while journal is not None and (entry := journal.take(self._intent(function, value))) is not None:
            flight = self._flight_of(entry)
            self._close_gap(flight, journal)
            if self.on_sent is not None:
                self.on_sent(f"before, by a run that ended early: {what}", "0x" + flight.hashes[-1].hex())
            try:
                return self._wait(what, flight)
            except _NonceTaken:
                continue
            except TransactionReverted:
                continue  # in its block: it is tried again, as the run that ended would have told
        return None

    def _close_gap(self, flight: _Flight, journal: Journal) -> None:
        """Hand over again what has to come before: earlier transactions that were dropped, which earlier runs noted."""
        pending = int(self.chain.web3.eth.get_transaction_count(to_checksum_address(self.address), "pending"))
        known = {int(entry.transaction["nonce"]): entry for entry in journal.left()}
        for nonce in range(pending, flight.nonce):
            if nonce not in known:
                raise ChainError(
                    f"{flight.entry.what if flight.entry else 'A call'} was signed as transaction {flight.nonce} of "
                    f"{self.address} by a run that ended early, but the chain waits for its transaction {nonce}.",
                    hint=f"Send that one first, with any wallet; or, if this chain was put back, delete "
                    f"{journal.folder}.",
                    nonce=flight.nonce,
                    pending=pending,
                )
            self._hand_over(known[nonce].raws[-1])

    def _is_known(self, transaction_hash: bytes) -> bool:
        try:
            self.chain.web3.eth.get_transaction(HexBytes(transaction_hash))
        except TransactionNotFound:
            return False
        return True

    def _next_nonce(self) -> int:
        count = self.chain.web3.eth.get_transaction_count
        used = int(count(to_checksum_address(self.address), "latest"))
        pending = max(used, int(count(to_checksum_address(self.address), "pending")))
        sent = {nonce: name for nonce, name in _sent.get(self._key, {}).items() if nonce >= used - REMEMBERED}
        _sent[self._key] = sent
        # What the endpoint does not know, no block will take: the chain was put back, or a reorganisation dropped it.
        # What we sent after it waits until its nonce is used; some endpoints count that as pending, others don't.
        for nonce in range(used, pending):
            if nonce in sent and not self._is_known(sent[nonce]):
                return nonce
        # an endpoint that lags behind does not count ours yet
        nonce = pending
        while nonce in sent and self._is_known(sent[nonce]):
            nonce += 1
        return nonce

    def _note(self, flight: _Flight) -> None:
        _sent.setdefault(self._key, {})[flight.nonce] = flight.hashes[-1]

    # ---- fees and funds

    def _fees(self) -> _Fees:
        block = self.chain.block("latest")
        if block.get("baseFeePerGas") is None:
            base = int(self.chain.web3.eth.gas_price)
            fees = _Fees(base, None)
        else:
            base = int(block["baseFeePerGas"], 16)
            try:
                priority = int(self.chain.web3.eth.max_priority_fee)
            except Web3RPCError:
                priority = max(1, int(self.chain.web3.eth.gas_price) - base)
            priority = min(priority, max(base, MOST_TIP))
            fees = _Fees(2 * base + priority, priority)
        if self.fee_ceiling is not None and base > self.fee_ceiling:
            raise ChainError(
                f"A unit of gas costs {format_units(base, 9)} gwei now, more than the "
                f"{format_units(self.fee_ceiling, 9)} gwei that you would pay. Nothing was sent.",
                hint="Wait until it is cheaper, or raise --max-fee (a node: `maxFeeGwei`).",
                price=base,
                ceiling=self.fee_ceiling,
            )
        return fees.at_most(self.fee_ceiling)

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
        return self._refused(message, what, value)

    def _refused(self, message: str, what: str, value: int) -> ChainError:
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
        return ChainError(f"{what} failed: {message.rstrip('.')}.", hint="The endpoint refused it.")

    # ---- waiting

    def _wait(self, what: str, flight: _Flight) -> TxReceipt:
        """Return a flight's receipt. Whatever the endpoint does meanwhile, it is waited until the time is over.

        Raises :class:`_NonceTaken`, :class:`TransactionLost`, :class:`TransactionReverted`.
        """
        started = last_sent = last_look = time.monotonic()
        pause = 0.02
        silence = ""
        while True:
            receipt = None
            try:
                receipt = self._receipt(flight.hashes)
                if receipt is not None and self._is_buried(receipt):
                    _close(flight.entry)
                    self._check_status(what, flight.transaction, receipt)
                    return receipt
                now = time.monotonic()
                if receipt is None and now - last_sent > self.resend_after:
                    self._raise_fee(flight)
                    last_sent = last_look = time.monotonic()
                elif receipt is None and now - last_look > LOOK_AGAIN:
                    self._look_again(flight)
                    last_look = time.monotonic()
                silence = ""
            except ChainUnreachable as error:
                silence = error.message
            except Web3Exception as error:
                silence = str(error)
            if time.monotonic() - started > self.timeout:
                raise TransactionLost(
                    f"{what}: no block took transaction 0x{flight.hashes[-1].hex()} within {self.timeout:.0f} s."
                    + (f" The last answer: {silence}" if silence else ""),
                    hint="It may still be taken. The same command looks for it before it pays again."
                    if flight.entry is not None
                    else "It may still be taken; look it up before you try again.",
                    hashes=["0x" + item.hex() for item in flight.hashes],
                    nonce=flight.nonce,
                )
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def _is_buried(self, receipt: TxReceipt) -> bool:
        return self.confirmations <= 1 or self.chain.latest() - int(receipt["blockNumber"]) + 1 >= self.confirmations

    def _look_again(self, flight: _Flight) -> None:
        """Hand a transaction over again that the endpoint forgot. Raises :class:`_NonceTaken`."""
        if self._holder(flight) is False:
            _close(flight.entry)
            raise _NonceTaken
        if not any(self._is_known(item) for item in flight.hashes):
            self._again(flight)

    def _again(self, flight: _Flight) -> None:
        if not flight.raws:
            return  # an earlier run's, whose bytes are not here
        try:
            self._hand_over(flight.raws[-1])
        except ChainError:
            return  # what is wrong with it now may not be later; the time is limited

    def _holder(self, flight: _Flight) -> bool | None:
        """Whether a block holds this very transaction (True), another one with its nonce (False), neither (None)."""
        latest = self.chain.latest()
        if self._nonce_at(latest) <= flight.nonce:
            return None
        if self._receipt(flight.hashes) is not None:
            return True
        try:
            if self._nonce_at(min(flight.since, latest)) > flight.nonce:
                return False  # before this one was signed
            taken = self._taker(flight.nonce, min(flight.since, latest), latest)
        except (ChainError, Web3RPCError) as error:
            if isinstance(error, ChainUnreachable):
                raise
            # so old that the endpoint has no state of then: receipts it keeps, and has none
            return False if latest - flight.since > STATE_KEPT else None
        if taken is not None and taken[0] in flight.hashes:
            return True
        return False if taken is not None and latest - taken[1] + 1 >= self.confirmations else None

    def _nonce_at(self, block: int) -> int:
        return int(self.chain.web3.eth.get_transaction_count(to_checksum_address(self.address), block))

    def _taker(self, nonce: int, low: int, high: int) -> tuple[bytes, int] | None:
        """Return the account's transaction with a nonce, and its block, which lies after ``low`` and up to ``high``."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._nonce_at(middle) > nonce else (middle, high)
        block = self.chain.rpc("eth_getBlockByNumber", hex(high), True) or {}
        for item in block.get("transactions", []):
            if item["from"].lower() == self.address.lower() and int(item["nonce"], 16) == nonce:
                return bytes.fromhex(item["hash"][2:]), high
        return None

    def _raise_fee(self, flight: _Flight) -> None:
        """Send a waiting transaction again with a higher fee, up to the ceiling; where that is reached, as it is."""
        try:
            now = self._fees()
        except ChainUnreachable:
            raise
        except ChainError:
            now = flight.fees  # dearer than the ceiling: it waits until gas is cheaper
        before = flight.fees
        raised = before.raised().at_least(now).at_most(self.fee_ceiling)
        if not raised.replaces(before):
            self._look_again(flight)
            return
        with self._lock:
            flight.fees = raised
            try:
                verdict = self._send_raw({**flight.transaction, **raised.fields()}, flight)
            except ChainError:
                # the account can't pay so much, or the endpoint wants another fee: what was sent stands
                flight.fees = before
                return
            self._note(flight)
        if verdict is _Verdict.USED:
            if self._holder(flight) is False:
                _close(flight.entry)
                raise _NonceTaken
            return
        if self.on_sent is not None:
            self.on_sent("again", "0x" + flight.hashes[-1].hex())

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
            except (Web3RPCError, ChainUnreachable):
                continue
        raise reverted(
            b"", what, reason="its block refused it, though it would pass before and after (gas, or a race)", **data
        )

    def transfer(self, to: str, value: int) -> TxReceipt:
        """Send ``value`` wei of the chain's own coin to an address; return the receipt. Raises as :meth:`send`."""
        return self.send(_Transfer(self.chain, to), value)

    # ---- tokens

    def pay(self, function: Any, token: str, spender: str, amount: int) -> TxReceipt:
        """Let ``spender`` take an amount of an ERC-20, and send the call that makes it do so; return its receipt.

        What the call would be refused for is found before an allowance is given that would stay. Raises as
        :meth:`send` and :meth:`approve_if_needed`.
        """
        if not self.is_under_way(function):
            self.check_tokens(token, amount)
            self.check_refusal(function)
            self.allow(function, token, spender, amount)
        return self.send(function)

    def allow(self, function: Any, token: str, spender: str, amount: int) -> None:
        """Let ``spender`` take an amount of an ERC-20 until a call that needs it would succeed.

        Another payment of the account, of this process or another one, may set the allowance to what it needs itself,
        or use it up. Raises what the call is refused for otherwise, and as :meth:`approve_if_needed`.
        """
        for left in range(ALLOWED_ANEW, -1, -1):
            self.approve_if_needed(token, spender, amount)
            try:
                self.estimate(function)
            except TransactionReverted:
                if not left or self._allowance(token, spender) >= amount:
                    raise
            else:
                return

    def check_refusal(self, function: Any) -> None:
        """Raise what a contract itself refuses in a call that takes tokens.

        Contracts take payment last, so a refusal of the token for want of an allowance says that nothing else is wrong.
        """
        tokens = {item["name"] for item in STANDARD_ERRORS}
        own = {item["name"] for item in function.contract_abi if item["type"] == "error"} - tokens
        try:
            self.estimate(function)
        except TransactionReverted as error:
            if error.error_name in own:
                raise

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

    def _allowance(self, token: str, spender: str) -> int:
        allowance = self.chain.token(token).functions.allowance(self.address, to_checksum_address(spender))
        return int(self.chain.call(allowance))

    def approve_if_needed(self, token: str, spender: str, amount: int) -> TxReceipt | None:
        """Let ``spender`` take exactly ``amount`` of an ERC-20, unless it may take as much already.

        Returns the receipt, None if nothing had to be sent.

        Raises:
            InsufficientFunds: the account does not hold the amount.
        """
        self.check_tokens(token, amount)
        contract = self.chain.token(token)
        spender = to_checksum_address(spender)
        allowed = self._allowance(token, spender)
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


def _close(entry: Entry | None) -> None:
    """Nothing more is to come of an entry: its receipt was seen, or no block can take it."""
    if entry is not None:
        entry.seen = True
