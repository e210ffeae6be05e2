"""What a reader pays nodes for reads beyond their free share: vouchers over what its reads cost, and one more.

A reader allows a sum in one token (:class:`Purse`). Of each operator its newest voucher names what its verified reads
have cost, as it counts itself, and at most one read more, which is on its way; all that is signed in a purse's time
stays within the sum. What a voucher is to name is on disk before it is signed (:class:`ReadBook`), so no crash lets the
same money be counted as unspent. A node that says that reads cost more than this reader got is paid no more; one that
asks more for each MiB than the reader allows, or else than twice what the object's nodes usually do, is paid nothing.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from qanat.chain.connection import Chain
from qanat.chain.journal import state_folder
from qanat.errors import ChainError, InvalidSignature, NodeRefused, StoreError
from qanat.node.paid import Price
from qanat.node.permits import TypedSigner
from qanat.payments.vouchers import AMOUNT_LIMIT, make_voucher, read_voucher, signed_by

__all__ = ["TIMES_MEDIAN", "Payee", "Purse", "ReadBook", "lower_median", "price_in", "price_told"]

#: Where the reader names no highest price, it is so many times the lower median of what an object's nodes ask.
TIMES_MEDIAN = 2
_MIB = 1 << 20

#: How long a deposit is believed to be as the chain said, and one that doesn't suffice.
_DEPOSIT_SECONDS = 30.0
_AGAIN_SECONDS = 2.0


def price_in(error: NodeRefused) -> Price | None:
    """Return what a node that had given its free share asks for more, None where it asks for nothing."""
    return price_told(error.data.get("answer")) if error.data.get("status") == 429 else None


def price_told(said: Any) -> Price | None:
    """Return the price that a node tells, in a refusal or in ``paidReads`` of its status; None where that is none."""
    token, units = (said.get("token"), said.get("unitsPerMiB")) if isinstance(said, dict) else (None, None)
    if not isinstance(token, str) or len(token) != 42:
        return None
    if not isinstance(units, int) or isinstance(units, bool) or not 0 < units < AMOUNT_LIMIT:
        return None
    return Price(token, units)


def lower_median(weighted: Iterable[tuple[int, int]]) -> int | None:
    """Return the least value that at least half of the weight doesn't exceed; None of nothing.

    ``weighted``: (value, weight), weights above 0. Less than half of the weight moves it to no value above, and to
    none below, all that the others name.
    """
    ordered = sorted(weighted)
    total, passed = sum(weight for _, weight in ordered), 0
    for value, weight in ordered:
        passed += weight
        if 2 * passed >= total:
            return value
    return None


@dataclass(frozen=True)
class _Sums:
    """Of one operator, token units since ever: named by the newest voucher, and what its reads are known to cost."""

    signed: int = 0
    spent: int = 0


class ReadBook:
    """A reader's accounts with operators, in a SQLite file. Every write is synced when it returns; never lowered.

    Safe between threads, and between processes that read with one key at the same time.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = sqlite3.connect(path, timeout=30.0, check_same_thread=False, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=FULL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS accounts (payments TEXT, token TEXT, operator TEXT, payer TEXT, "
                "signed TEXT, spent TEXT, PRIMARY KEY (payments, token, operator, payer))"
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"The accounts of paid reads in {path} can't be opened: {error}.", path=str(path)
            ) from error

    @classmethod
    def of(cls, chain: Chain) -> ReadBook:
        """Open the book of a chain in :func:`qanat.chain.journal.state_folder`."""
        return cls(state_folder() / "reads" / f"{chain.chain_id}-{chain.block_hash(0)[:6].hex()}.sqlite")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @contextmanager
    def account(self, *key: str) -> Iterator[_Account]:
        """Hold the account of (payments, token, operator, payer); what is set is synced at the end.

        Raises :class:`StoreError`; then nothing was changed.
        """
        with self._lock:
            try:
                self._file.execute("BEGIN IMMEDIATE")
                found = self._file.execute(
                    "SELECT signed, spent FROM accounts "
                    "WHERE payments = ? AND token = ? AND operator = ? AND payer = ?",
                    key,
                ).fetchone()
                sums = _Sums() if found is None else _Sums(int(found[0]), int(found[1]))
                held = _Account(sums)
                yield held
                if held.sums != sums:
                    row = (*key, str(held.sums.signed), str(held.sums.spent))
                    self._file.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?)", row)
                self._file.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError(f"What reads cost can't be noted: {error}. Nothing more is signed.") from error
            finally:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")


class _Account:
    """An account while it is held."""

    def __init__(self, sums: _Sums) -> None:
        self.sums = sums

    def raise_to(self, *, signed: int = 0, spent: int = 0) -> None:
        """Let sums grow; nothing lowers one."""
        spent = max(spent, self.sums.spent)
        self.sums = _Sums(max(signed, spent, self.sums.signed), spent)


@dataclass
class Payee:
    """What one purse did with one operator. ``paid``: units signed beyond what earlier vouchers named.

    ``slices``: bought and verified. ``short``: what its deposit would have to be in all for the next read, 0 where it
    suffices. ``left``: why it is paid no more. ``dear``: units for each MiB that it asked last, where that was above
    the cap; 0 where it never was.
    """

    operator: str
    paid: int = 0
    slices: int = 0
    short: int = 0
    left: str = ""
    dear: int = 0
    #: a voucher was sent for a read, and nothing right came
    in_doubt: bool = False
    #: what earlier vouchers named when this purse first signed, -1 before that; and the reads' cost as it knew it last
    before: int = -1
    known: int = 0
    #: another run reads with the same account meanwhile
    is_shared: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "operator": self.operator,
            "paid": self.paid,
            "slices": self.slices,
            "depositNeeded": self.short,
            "left": self.left,
            "tooDearPerMiB": self.dear,
        }


class Purse:
    """What a reader lets reads cost in one token, of all operators together, at most ``limit`` units.

    ``signer`` signs requests and vouchers. ``max_price``: units that a MiB may cost; by default ``TIMES_MEDIAN`` times
    the median of what an object's nodes ask (:meth:`learn`), and nothing is signed before that is known. ``tell``: told
    once of each operator that a deposit is missing for. Safe to use from several threads, and for several objects one
    after the other.
    """

    def __init__(
        self,
        chain: Chain,
        signer: TypedSigner,
        token: str,
        limit: int,
        book: ReadBook,
        *,
        max_price: int | None = None,
        tell: Callable[[Payee], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token, self.limit = to_checksum_address(token), limit
        self.max_price = max_price
        #: most units that a MiB may cost now, None as long as that isn't known
        self.cap = max_price
        self.payees: dict[str, Payee] = {}
        #: whether a read was not paid for since the sum would have been passed
        self.is_empty = False
        self._chain, self._signer, self._book = chain, signer, book
        self._payments = str(chain.contract("Payments").address)
        self._tell, self._clock = tell, clock
        #: operator → (deposited in all, redeemed, when the chain said so)
        self._deposits: dict[str, tuple[int, int, float]] = {}
        self._lock = threading.RLock()

    @property
    def paid(self) -> int:
        """Units signed so far."""
        return sum(payee.paid for payee in self.payees.values())

    def close(self) -> None:
        """Let go of the book."""
        self._book.close()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "token": self.token,
            "limit": self.limit,
            "paid": self.paid,
            "limitReached": self.is_empty,
            "maxPricePerMiB": self.cap,
            "operators": [payee.to_json() for payee in self.payees.values()],
        }

    def takes(self, price: Price | None) -> bool:
        """Whether it is in what a node asks for."""
        return price is not None and price.token.lower() == self.token.lower()

    def learn(self, prices: Iterable[tuple[Price, int]]) -> None:
        """Take note of what the nodes of the object that is read now ask; without ``max_price`` the cap follows.

        ``prices``: each node's with the rows that it holds of a matrix. They count by rows and not by heads, which
        cost nothing: who holds less than half of what is sold can't move the median past what the others ask.
        """
        if self.max_price is None:
            median = lower_median((price.units_per_mib, rows) for price, rows in prices if self.takes(price))
            self.cap = None if median is None else TIMES_MEDIAN * median

    def affords(self, operator: str, price: int, size: int) -> bool:
        """Whether so many bytes may cost so much; where not, what the operator asks is noted (``dear``)."""
        if self.cap is None:
            return False
        if price <= Price(self.token, self.cap).of(size):
            return True
        # the least price for each MiB that comes to this; without the lock: the event loop doesn't wait for a chain
        self._payee(operator).dear = (price - 1) * _MIB // size + 1
        return False

    def voucher(self, operator: str, price: int, size: int) -> str | None:
        """Return a voucher for one more read, noted before it was signed; None where it may not be paid for.

        ``price``: units for ``size`` bytes, at most what the cap comes to. The last voucher serves again where a read
        that it was for was refused. One read of an operator at a time: the next after :meth:`served`, :meth:`refused`
        or :meth:`unserved`. Raises :class:`StoreError`.
        """
        with self._lock:
            payee = self._payee(operator)
            if payee.left or not self.affords(operator, price, size):
                return None
            with self._account(operator) as account:
                needed = account.sums.spent + price
            try:
                deposited, redeemed = self._deposit(operator, needed)
            except ChainError:
                return None  # not known to be covered
            with self._account(operator) as account:
                if payee.before < 0:
                    payee.before, payee.known = max(redeemed, account.sums.signed), account.sums.spent
                payee.is_shared |= account.sums.spent != payee.known
                if payee.in_doubt and redeemed > account.sums.spent:
                    payee.left = f"redeemed {redeemed} units, {redeemed - account.sums.spent} for what it did not serve"
                    return None
                # who redeemed it showed our signature: the book was lost, or is an older copy
                account.raise_to(signed=redeemed, spent=redeemed)
                payee.known = account.sums.spent
                needed = account.sums.spent + price
                more = max(0, needed - account.sums.signed)
                if needed > deposited:
                    self._miss(payee, needed)
                    return None
                if self.paid + more > self.limit:
                    self.is_empty = True
                    return None
                account.raise_to(signed=needed)
                named = account.sums.signed
            payee.paid += more
            payee.short = 0
            return make_voucher(self._signer, self._chain.chain_id, self._payments, operator, self.token, named)

    def served(self, operator: str, price: int, spent: int | None) -> None:
        """Take note of a read that came and was verified. ``spent``: what all cost, as the node says; None: free."""
        with self._lock:
            payee = self._payee(operator)
            if spent is not None:
                payee.slices += 1
                # its own answer settles what it may claim for it; before that, the same as with a refusal
                if self._believe(payee, spent - price):
                    with self._account(operator) as account:
                        if spent <= account.sums.signed:
                            account.raise_to(spent=spent)
                            payee.known = account.sums.spent
                        else:
                            payee.left = f"counts {spent} units; vouchers named {account.sums.signed}"

    def unserved(self, operator: str) -> None:
        """Take note of a read that a voucher was sent for, and of which nothing right came."""
        self._payee(operator).in_doubt = True  # without the lock: the event loop doesn't wait for a chain

    def refused(self, operator: str, error: NodeRefused) -> int | None:
        """Judge what a node said to a voucher; return the read's price as it says where a higher one may help.

        ``error``: with the answer's data. None: that can't, or it said more than is true.
        """
        said = error.data.get("answer") or {}
        spent, price = _sum(said.get("spent")), _sum(said.get("price"))
        with self._lock:
            payee = self._payee(operator)
            if error.data.get("status") != 402 or spent is None or price is None:
                # it refused for another reason: what the voucher named is still to be had for
                payee.in_doubt = True
                return None
            if not self._believe(payee, spent, str(said.get("voucher", ""))):
                return None
            with self._account(operator) as account:
                covered = account.sums.signed >= spent + price
            if covered:
                # a deposit that the node doesn't see, or sees leave
                payee.in_doubt = True
                self._deposits.pop(operator, None)
                self._miss(payee, spent + price)
                return None
            return price

    def _believe(self, payee: Payee, spent: int, shown: str = "") -> bool:
        """Whether reads may have cost so much; else the operator is left.

        Beyond the own count that can be: a read of an earlier run, whose answer did not arrive; one of a run beside
        this, which did not note it yet; or one that a voucher shows which was signed where this book was not.
        """
        operator = payee.operator
        with self._account(operator) as account:
            if spent <= account.sums.spent:
                return True
            if payee.in_doubt:
                payee.left = f"counts {spent} units, {spent - account.sums.spent} of them for what it did not serve"
                return False
            if spent <= account.sums.signed:
                # what this purse signed for itself once, since another run may have begun; then only beside one
                payee.in_doubt |= spent > payee.before and not payee.is_shared
                account.raise_to(spent=spent)
                payee.known = account.sums.spent
                return True
            proven = self._proven(operator, shown)
            if spent <= proven:
                account.raise_to(signed=proven, spent=spent)
                payee.known = account.sums.spent
                return True
            payee.left = f"counts {spent} units; vouchers named {max(proven, account.sums.signed)}"
            return False

    def _proven(self, operator: str, shown: str) -> int:
        """Return what a voucher that a node shows names, if this reader signed it."""
        try:
            voucher = read_voucher(shown)
        except InvalidSignature:
            return 0
        signer = signed_by(voucher, self._chain.chain_id, self._payments, operator, self.token)
        return voucher.cumulative if signer == self._signer.address else 0

    def _deposit(self, operator: str, needed: int) -> tuple[int, int]:
        """Return what may be named in all, 0 where a withdrawal is announced, and what was redeemed."""
        deposited, redeemed, since = self._deposits.get(operator, (0, 0, -_DEPOSIT_SECONDS))
        age = self._clock() - since
        if age >= (_DEPOSIT_SECONDS if needed <= deposited else _AGAIN_SECONDS):
            functions = self._chain.contract("Payments").functions
            found = self._chain.call(functions.depositOf(self.token, operator, self._signer.address))
            deposited, redeemed = (0 if int(found[2]) else int(found[0])), int(found[1])
            self._deposits[operator] = (deposited, redeemed, self._clock())
        return deposited, redeemed

    def _miss(self, payee: Payee, needed: int) -> None:
        is_new = not payee.short
        payee.short = needed
        if is_new and self._tell is not None:
            self._tell(payee)

    def _payee(self, operator: str) -> Payee:
        return self.payees.setdefault(operator, Payee(operator))

    def _account(self, operator: str) -> Any:
        return self._book.account(self._payments, self.token, operator, self._signer.address)


def _sum(value: Any) -> int | None:
    """Token units, None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < AMOUNT_LIMIT else None
