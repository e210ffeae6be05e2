"""Reads that are paid for: what a node serves beyond an asker's free share, for vouchers (docs/node.md, "Paid reads").

The newest voucher of each payer, and what its reads cost so far, are durable before a byte is served for them: after
``kill -9`` nothing that was served is unpaid, and nobody pays twice. They lie in a file of their own, so that
`qanat redeem` reads it beside the running node.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.address import is_address, to_checksum_address

from qanat.chain.connection import Chain
from qanat.errors import BadParameters, InvalidSignature, NodeRefused, StoreError
from qanat.payments.vouchers import AMOUNT_LIMIT, Voucher, read_voucher, signed_by

__all__ = ["FILE", "Account", "PaidReads", "Price", "VoucherBook", "load_price"]

FILE = "vouchers.sqlite"
#: How long a payer's deposit is believed to be as the chain said. A withdrawal takes a week's notice.
_DEPOSIT_SECONDS = 60.0
#: How soon the chain is asked again about one that did not cover a voucher.
_AGAIN_SECONDS = 2.0
_REMEMBERED = 4096
_MIB = 1 << 20


@dataclass(frozen=True)
class Price:
    """What reads cost: token units for each MiB, rounded up for each read."""

    token: str
    units_per_mib: int

    def of(self, size: int) -> int:
        """Return the price of so many bytes."""
        return -(-size * self.units_per_mib // _MIB)

    def to_json(self) -> dict[str, Any]:
        """Return what readers are told."""
        return {"token": self.token, "unitsPerMiB": self.units_per_mib}


@dataclass(frozen=True)
class Account:
    """What a node knows of a payer: its newest voucher, and what its reads cost so far, token units."""

    payer: str
    voucher: Voucher
    spent: int


def load_price(setting: Mapping[str, Any] | None) -> Price | None:
    """Return what ``paidReads`` of ``node.json`` says, None without it. Raises :class:`BadParameters`."""
    if setting is None:
        return None
    token, units = setting.get("token"), setting.get("unitsPerMiB")
    named = set(setting) == {"token", "unitsPerMiB"} and is_address(token)
    if not named or not isinstance(units, int) or isinstance(units, bool) or not 0 < units < AMOUNT_LIMIT:
        raise BadParameters(
            'paidReads names a token and a whole price: {"token": "0x…", "unitsPerMiB": 1000}.', field="paidReads"
        )
    return Price(to_checksum_address(token), units)


class VoucherBook:
    """Accounts by token and payer in a SQLite file. Every write is synced when it returns. Safe between threads."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        try:
            if read_only:
                self._file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
                self._file.execute("PRAGMA journal_mode=WAL")
                self._file.execute("PRAGMA synchronous=FULL")
                self._file.execute(
                    "CREATE TABLE IF NOT EXISTS accounts (token TEXT, payer TEXT, cumulative TEXT, signature BLOB, "
                    "spent TEXT, PRIMARY KEY (token, payer))"
                )
        except sqlite3.Error as error:
            raise StoreError(f"The vouchers in {path} can't be opened: {error}.", path=str(path)) from error

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def account(self, token: str, payer: str) -> Account | None:
        """Return what is known of a payer."""
        found = self._rows("AND payer = ?", token, payer)
        return found[0] if found else None

    def accounts(self, token: str) -> list[Account]:
        """Return all payers in a token."""
        return self._rows("ORDER BY payer", token)

    def keep(self, token: str, account: Account) -> None:
        """Write an account. Raises :class:`StoreError`."""
        row = (token, account.payer, str(account.voucher.cumulative), account.voucher.signature, str(account.spent))
        with self._lock:
            try:
                self._file.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)", row)
            except sqlite3.Error as error:
                raise StoreError(f"A voucher can't be kept: {error}.") from error

    def _rows(self, more: str, *values: str) -> list[Account]:
        query = f"SELECT payer, cumulative, signature, spent FROM accounts WHERE token = ? {more}"  # noqa: S608 (ours)
        with self._lock:
            try:
                rows = self._file.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"The vouchers can't be read: {error}.") from error
        return [
            Account(payer, Voucher(int(units), bytes(signature)), int(spent)) for payer, units, signature, spent in rows
        ]


class PaidReads:
    """Lets readers pay one operator. Safe to use from several threads."""

    def __init__(
        self,
        chain: Chain,
        operator: str,
        price: Price,
        book: VoucherBook,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chain, self._operator, self.price, self.book = chain, operator, price, book
        self._clock = clock
        #: payer → (units that may be named in all, when the chain said so)
        self._deposits: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def pay(self, header: str, size: int, reader: str) -> int:
        """Take the price of so many bytes from the reader, who signed request and voucher; return what it spent in all.

        Durable when it returns.

        Raises :class:`InvalidSignature`, and :class:`NodeRefused` (402) for a voucher that names too little, or more
        than lies in the reader's deposit for this operator.
        """
        voucher = read_voucher(header)
        payments = self._chain.contract("Payments").address
        if signed_by(voucher, self._chain.chain_id, payments, self._operator, self.price.token) != reader:
            # one that was overheard must not pay for somebody else's reads
            raise InvalidSignature(f"The voucher is not signed by {reader}, who signed the request.", reader=reader)
        price = self.price.of(size)
        covered = self._covers(reader, voucher.cumulative)
        with self._lock:
            known = self.book.account(self.price.token, reader)
            spent = 0 if known is None else known.spent
            # what was accepted before was covered then, and no deposit leaves without a week's notice
            newest = voucher if known is None or voucher.cumulative > known.voucher.cumulative else known.voucher
            if newest.cumulative < spent + price:
                raise self._refusal("The voucher names too little.", price, known)
            if not covered:
                raise self._refusal("The deposit doesn't cover the voucher, or is being withdrawn.", price, known)
            self.book.keep(self.price.token, Account(reader, newest, spent + price))
        return spent + price

    def give_back(self, payer: str, size: int) -> None:
        """Take a price off again: nothing was served for it."""
        with self._lock:
            known = self.book.account(self.price.token, payer)
            if known is not None:
                back = Account(payer, known.voucher, max(0, known.spent - self.price.of(size)))
                self.book.keep(self.price.token, back)

    def _covers(self, payer: str, cumulative: int) -> bool:
        """Whether a payer's deposit covers vouchers up to a sum; one that is being withdrawn covers none."""
        now = self._clock()
        with self._lock:
            units, since = self._deposits.get(payer, (0, -_DEPOSIT_SECONDS))
        age = now - since
        if age < _AGAIN_SECONDS or (age < _DEPOSIT_SECONDS and cumulative <= units):
            return cumulative <= units
        payments = self._chain.contract("Payments").functions
        deposited, _, withdrawable = self._chain.call(payments.depositOf(self.price.token, self._operator, payer))
        units = 0 if int(withdrawable) else int(deposited)
        with self._lock:
            self._deposits[payer] = (units, now)
            self._deposits.move_to_end(payer)
            while len(self._deposits) > _REMEMBERED:
                self._deposits.popitem(last=False)
        return cumulative <= units

    def _refusal(self, why: str, price: int, known: Account | None) -> NodeRefused:
        """Say no, with what a reader needs to believe the sum: its own signature over it."""
        spent = 0 if known is None else known.spent
        shown = {} if known is None else {"voucher": known.voucher.to_header()}
        return NodeRefused(
            why,
            hint=f"Sign one over {spent + price} units, and deposit for {self._operator} in Payments.",
            status=402,
            token=self.price.token,
            price=price,
            spent=spent,
            **shown,
        )
