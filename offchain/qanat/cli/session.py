"""What a command works with: the chain, the account, the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.errors import BadParameters, QanatError, Refused

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from qanat.chain.connection import Chain
    from qanat.chain.deployment import Token
    from qanat.chain.sender import Sender
    from qanat.chain.signer import Signer
    from qanat.chain.views import Views
    from qanat.index import Index

#: Columns of a table at least.
TABLE_WIDTH = 140

__all__ = ["Outcome", "Session", "index_path", "plain", "readable", "table"]


@dataclass
class Outcome:
    """What a command found or did: ``data`` for programs, ``says`` and ``tables`` for people.

    ``failure`` ends the command with its exit code after both were shown: for commands that find something (an audit).
    """

    data: dict[str, Any]
    says: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    failure: QanatError | None = None


class Session:
    """One run of a command.

    Args:
        chain: makes the connection, when it is first used.
        signer: makes the signer of the account, when it is first used (this may ask for a passphrase).
        network: name of the network.
        deployment: name or file of the deployment, where one was named.
        as_json: print one JSON document on standard output and nothing else there.
        yes: do not ask before spending.
        confirmations: blocks, the including one counted, that are waited for after each transaction.
        fee_ceiling: most wei that a unit of gas may cost.
    """

    def __init__(
        self,
        *,
        chain: Callable[[], Chain] | None = None,
        signer: Callable[[], Signer] | None = None,
        network: str = "local",
        deployment: str | None = None,
        as_json: bool = False,
        yes: bool = False,
        confirmations: int = 1,
        fee_ceiling: int | None = None,
    ) -> None:
        self._chain = chain
        self._signer = signer
        self.network = network
        self.deployment = deployment
        self.as_json = as_json
        self.yes = yes
        self.confirmations = confirmations
        self.fee_ceiling = fee_ceiling
        #: Shows progress bars for somebody who watches a command that prints JSON.
        self.watcher: Console | None = None

    # ---- chain and account

    @cached_property
    def chain(self) -> Chain:
        """The connection."""
        if self._chain is None:
            raise BadParameters("This command was given no chain.")
        return self._chain()

    @cached_property
    def views(self) -> Views:
        """Typed views of the chain."""
        from qanat.chain.views import Views

        return Views(self.chain)

    @cached_property
    def signer(self) -> Signer:
        """The account's signer."""
        if self._signer is None:
            raise BadParameters("This command was given no account.", hint="Name one with --keyfile.")
        return self._signer()

    @cached_property
    def sender(self) -> Sender:
        """The account's sender."""
        from qanat.chain.journal import Journal
        from qanat.chain.sender import Sender

        def journal() -> Journal:
            return Journal.of(self.chain.chain_id, self.chain.block_hash(0), self.address)

        return Sender(
            self.chain,
            self.signer,
            confirmations=self.confirmations,
            fee_ceiling=self.fee_ceiling,
            on_sent=lambda what, transaction: self.note(f"sent {what} {transaction}"),
            journal=journal,
        )

    def check_payable(self, call: Any, token: str, units: int) -> None:
        """Check, before anybody is asked, that the account holds what a call takes and that nothing else is against it.

        A call that a run sent that ended early was looked at by that run. Raises :class:`InsufficientFunds`,
        :class:`TransactionReverted`.
        """
        if not self.sender.is_under_way(call):
            self.sender.check_tokens(token, units)
            self.sender.check_refusal(call)

    def finish(self, *, well: bool) -> None:
        """End the run: what it sent is forgotten, or, if it failed, left to the next one."""
        if "sender" not in self.__dict__ or self.sender.opened_journal is None:
            return
        if not well:
            self.sender.opened_journal.release()
            return
        for what, transaction, block in self.sender.left_behind():
            went = "still waits for a block" if block is None else f"is in block {block}"
            click.echo(f"What a run that ended early had sent, {what} {transaction}, {went}.", err=True)
        self.sender.opened_journal.close()

    @property
    def has_account(self) -> bool:
        """Whether an account was named."""
        return self._signer is not None

    @property
    def address(self) -> str:
        """The account's address."""
        return self.signer.address

    @cached_property
    def index(self) -> Index:
        """The index of the deployment's events, not brought up to date."""
        from qanat.index import Index

        return Index(index_path(self.chain), self.chain)

    def synced_index(self, path: Path | None = None) -> Index:
        """Return the index, or the one in another file, brought up to the newest block."""
        from qanat.index import Index

        index = self.index if path is None else Index(path, self.chain)
        with self.progress("reading the chain's events") as update:
            first = index.cursor
            index.sync(progress=lambda done, last: update(done - first, last - first))
        return index

    # ---- tokens

    def token(self, symbol_or_address: str) -> tuple[str, Token]:
        """Return a token's symbol (or address) and what is known of it."""
        token = self.chain.deployment.token(symbol_or_address)
        return self.chain.deployment.symbol(token.address), token

    def amount(self, units: int, token_address: str) -> str:
        """Return an amount with its token's symbol, as people read it."""
        from qanat.cli.amounts import format_amount

        symbol, token = self.token(token_address)
        return f"{format_amount(units, token.decimals)} {symbol}"

    # ---- terminal

    @cached_property
    def screen(self) -> Console:
        """Where progress, questions and notes go: standard error."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        """Tell something in passing."""
        if not self.as_json:
            self.screen.print(text, style="dim", markup=False, soft_wrap=True)

    def confirm(self, title: str, lines: Sequence[str], *, transactions: int = 1) -> None:
        """Show what is about to be spent and ask, unless the session was told not to.

        Raises:
            Refused: the answer was no, or nobody can be asked.
        """
        from qanat.cli.amounts import format_amount

        balance = int(self.chain.web3.eth.get_balance(self.chain.web3.to_checksum_address(self.address)))
        price = int(self.chain.web3.eth.gas_price)
        shown = [
            f"{title} (chain {self.chain.chain_id}, account {self.address})",
            *(f"  {line}" for line in lines),
        ]
        if transactions:
            shown.append(
                f"  gas of {'one transaction' if transactions == 1 else f'up to {transactions} transactions'} "
                f"at about {format_amount(price, 9)} gwei; the account holds {format_amount(balance, 18)} coins"
            )
        if not self.as_json or not self.yes:
            for line in shown:
                self.screen.print(line, markup=False, soft_wrap=True)
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Refused("Nothing was sent: there is nobody to ask.", hint="Say --yes to go on without asking.")
        if not click.confirm("Go on?", default=False, err=True):
            raise Refused("Nothing was sent: you declined.")

    @property
    def bars(self) -> Console | None:
        """Where progress bars go; None where nobody would see them."""
        console = self.watcher if self.as_json else self.screen
        return console if console is not None and console.is_terminal else None

    @contextmanager
    def progress(self, description: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar while something runs; yields a function that takes (done, of)."""
        console = self.bars
        if console is None:
            yield lambda _done, _of: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as bar:
            task = bar.add_task(description, total=None)
            yield lambda done, of: bar.update(task, completed=done, total=of or 1)

    def show(self, outcome: Outcome) -> None:
        """Print what a command found or did."""
        if self.as_json:
            click.echo(json.dumps(plain(outcome.data), indent=2))
            return
        from rich.console import Console

        out = Console(highlight=False)
        # addresses stay whole, also where the terminal has to wrap lines
        out.width = max(out.width, TABLE_WIDTH)
        for line in outcome.says:
            out.print(line, markup=False, soft_wrap=True)
        for item in outcome.tables:
            out.print(item)


def plain(value: Any) -> Any:
    """Return JSON values: bytes as ``0x`` hex, paths as text."""
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    caption: str | None = None,
) -> Table:
    """Return a table; ``right`` names the columns that are aligned to the right, ``caption`` is a line below."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    if caption is not None:
        made.caption, made.caption_justify = Text(caption, style="dim"), "left"
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(readable(str(cell))) for cell in row))
    return made


def readable(text: str) -> str:
    """Return a text with a mark in place of all that steers a terminal: strangers wrote some of what is shown."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def index_path(chain: Chain) -> Path:
    """Return where a deployment's index is kept: ``QANAT_INDEX``, else a file in the user's cache folder."""
    named = os.environ.get("QANAT_INDEX")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = Path(cache) if cache else Path.home() / ".cache"
    directory = chain.deployment.address("Directory")
    return folder / "qanat" / f"{chain.chain_id}-{directory[2:14].lower()}.sqlite"
