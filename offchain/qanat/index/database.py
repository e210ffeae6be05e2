"""The index: follows the contracts' events block by block and answers from one SQLite file.

::

    index = Index(path, chain)
    index.sync()                         # up to the newest block; or sync(chain.safe_block())
    index.objects(owner=address, status="certified")

Log history: the endpoint must serve logs from the deployment's first block (:attr:`Index.needs_logs_from`) on. Once a
block has been read it is not asked for again.

Newest blocks: their events are asked for by the block's hash, so that a node that lags behind its fellows cannot
answer for one that it has not seen.

Reorganisations: with every range the hash of its last block is stored, and at every start of a synchronisation the
newest stored hash is compared with the chain's. Where they differ, rows are deleted back to the newest block on which
both agree.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from qanat.chain.abis import CODEC, abi_of, canonical, signature_of
from qanat.chain.connection import MADE_BY, MODULES, Chain
from qanat.chain.views import OfferTerms
from qanat.errors import (
    ChainError,
    ChainUnreachable,
    FileUnreadable,
    NotDeployed,
    StoreCorrupted,
    TransactionReverted,
    WrongChain,
)
from qanat.index.records import (
    Adoption,
    Answer,
    Asset,
    Certificate,
    Event,
    Extension,
    IndexedObject,
    IndexedRoster,
    License,
    Miss,
    Offer,
    SealedEpoch,
    Settlement,
    SlashRecord,
)
from qanat.index.rows import ROWS
from qanat.index.schema import EVENT_TABLES, SCHEMA, VERSION

__all__ = ["Index"]

#: Blocks asked for at once: at the beginning, and at most.
FIRST_SPAN = 2_000
LONGEST_SPAN = 20_000
#: The newest blocks, whose events are asked for block by block, by hash: an endpoint behind which several nodes stand
#: answers a range of numbers also from a node that has not seen its last blocks, with fewer events and no error.
BY_HASH = 16
#: Events in one answer from which on fewer blocks are asked for at once, so that memory stays bounded.
MANY_EVENTS = 5_000
#: Tries to get a block's events by its hash.
TRIES = 4
#: Hashes of this many newest blocks are all kept; of older ones, one in as many.
DENSE_HASHES = 1_024
#: Reorganisations during one synchronisation after which it gives up.
MOST_TURNS = 20

_LARGEST = 2**63 - 1
#: Rows of a table, each with the contract that raised its event.
_WITH_ADDRESS = "SELECT * FROM (SELECT {0}.*, events.address FROM {0} JOIN events USING (block, log_index))"
_CONTRACT_OF_MODULE = {module: contract for contract, module in MODULES.items()}


_T = TypeVar("_T")


class _Reorganised(Exception):
    """The chain changed while a range was being read."""


class Index:
    """Events of one deployment in one SQLite file. Safe to share between threads; other processes may read along."""

    def __init__(self, path: str | Path, chain: Chain) -> None:
        """Open the index at ``path`` (made if missing) for the chain's deployment.

        Raises:
            WrongChain: the file belongs to another chain or deployment.
            FileUnreadable: the file cannot be opened or made.
            StoreCorrupted: the file is no index, or damaged.
        """
        self.path = Path(path)
        self.chain = chain
        self._lock = threading.RLock()
        self._span = FIRST_SPAN
        self._events: dict[str, dict[bytes, dict[str, Any]]] = {}
        self._made: dict[str, dict[str, str]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                self.path, timeout=30.0, isolation_level=None, check_same_thread=False, cached_statements=256
            )
        except (OSError, sqlite3.OperationalError) as error:
            raise FileUnreadable(f"The index {path} cannot be opened: {error}.", path=str(path)) from error
        with self._guarded():
            self._database.row_factory = sqlite3.Row
            self._database.create_function("unhex", 1, bytes.fromhex, deterministic=True)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._prepare()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Index:  # noqa: PYI034 (typing.Self begins with Python 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.DatabaseError as error:
                raise StoreCorrupted(
                    f"The index {self.path} cannot be used: {error}.",
                    hint="It holds nothing that is not on chain: delete it, and it is built anew.",
                    path=str(self.path),
                ) from error

    def _prepare(self) -> None:
        identity = {
            "version": str(VERSION),
            "chain": str(self.chain.chain_id),
            "directory": self.chain.deployment.contracts["Directory"].address
            if "Directory" in self.chain.deployment.contracts
            else ",".join(sorted(item.address for item in self.chain.deployment.contracts.values())),
        }
        with self._transaction():
            existing = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if existing:
                found = {row["name"]: row["value"] for row in self._database.execute("SELECT * FROM meta")}
                if found.get("version") == identity["version"]:
                    for name in ("chain", "directory"):
                        if found.get(name) != identity[name]:
                            raise WrongChain(
                                f"The index {self.path} is of another deployment ({name} {found.get(name)}, "
                                f"not {identity[name]}).",
                                hint="Use another file, or delete this one.",
                                path=str(self.path),
                            )
                    return
                for row in existing:
                    self._database.execute(f"DROP TABLE {row['name']}")
            for statement in SCHEMA.split(";\n"):
                self._database.execute(statement)
            self._database.executemany("INSERT INTO meta VALUES (?, ?)", identity.items())
            self._database.executemany(
                "INSERT OR IGNORE INTO modules VALUES (?, ?, ?)",
                [
                    (item.address, item.type or name, item.block)
                    for name, item in self.chain.deployment.contracts.items()
                ],
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    # ---- following the chain

    @property
    def needs_logs_from(self) -> int:
        """First block whose logs the endpoint must still serve for this index to be complete."""
        return max(self.cursor + 1, self.chain.deployment.first_block)

    @property
    def cursor(self) -> int:
        """Newest block whose events are in the index; the block before the deployment if there is none."""
        with self._guarded():
            row = self._database.execute("SELECT max(number) AS newest FROM blocks").fetchone()
        return int(row["newest"]) if row["newest"] is not None else self.chain.deployment.first_block - 1

    def sync(self, to_block: int | None = None, *, progress: Callable[[int, int], None] | None = None) -> int:
        """Read events up to a block (the newest one if none is given), undoing first what was reorganised away.

        Args:
            to_block: last block to read; blocks that do not exist yet are not waited for.
            progress: called with (block reached, last block) after each range.

        Returns:
            the block up to which the index is complete, which is above ``to_block`` if it was so before.

        Raises:
            ChainUnreachable: no answer; what was read before stays.
            ChainError: the endpoint does not serve the logs that are needed, or contradicts itself.
        """
        with self._guarded():
            self._undo_reorganised()
            latest = self.chain.latest()
            target = latest if to_block is None else min(to_block, latest)
            turns = 0
            while (cursor := self.cursor) < target:
                deep = latest - BY_HASH
                end = cursor + 1 if cursor >= deep else min(cursor + self._span, target, deep)
                try:
                    if cursor >= deep:
                        self._read_newest(cursor)
                    else:
                        self._read_range(cursor, end)
                except _Reorganised:
                    turns += 1
                    if turns > MOST_TURNS:
                        raise ChainError(
                            f"The chain's blocks up to {end} keep changing while they are read.",
                            hint="The endpoint may answer from several nodes that disagree; try again, or another one.",
                        ) from None
                    self._undo_reorganised()
                    latest = self.chain.latest()
                    target = min(target, latest)
                    continue
                if progress is not None:
                    progress(end, target)
            return self.cursor

    def _read_range(self, cursor: int, end: int) -> None:
        """Read the blocks after ``cursor`` up to ``end``, or fewer blocks the next time if the endpoint refuses."""
        try:
            count = self._read(cursor, end)
        except ChainError as error:
            if isinstance(error, ChainUnreachable) and not error.data.get("timeout"):
                raise
            if end - cursor <= 1:
                raise self._not_served(end, error) from error
            self._span = max(1, (end - cursor) // 4)
            return
        if count > MANY_EVENTS:
            self._span = max(1, (end - cursor) // 2)
        elif count < MANY_EVENTS // 4:
            self._span = min(self._span * 2, LONGEST_SPAN)

    def _read_newest(self, cursor: int) -> None:
        """Read the block after ``cursor`` by its hash."""
        for attempt in range(TRIES):
            header = self._header(cursor + 1)
            known = self._database.execute("SELECT hash FROM blocks WHERE number = ?", (cursor,)).fetchone()
            if header is None or (known is not None and header[1] != bytes(known["hash"])):
                raise _Reorganised
            try:
                self._read(cursor, cursor + 1, by_hash=header[0])
            except ChainUnreachable:
                raise
            except ChainError as error:
                # this node may not have the block yet, or the block may just have been replaced
                if attempt == TRIES - 1:
                    raise self._not_served(cursor + 1, error) from error
                time.sleep(0.2 * 2**attempt)
            else:
                return

    def _not_served(self, block: int, error: ChainError) -> ChainError:
        return ChainError(
            f"The endpoint does not serve the logs of block {block}: {error.message}",
            hint=f"The index needs logs from block {self.needs_logs_from} on; use an endpoint that keeps them.",
            block=block,
        )

    def _undo_reorganised(self) -> None:
        """Delete what belongs to blocks that are no longer the chain's."""
        newest = self.cursor
        good = newest
        before: int | None = None
        while True:
            row = self._database.execute(
                "SELECT number, hash FROM blocks WHERE number < ? ORDER BY number DESC LIMIT 1",
                (newest + 1 if before is None else before,),
            ).fetchone()
            if row is None:
                good = self.chain.deployment.first_block - 1
                break
            good = before = int(row["number"])
            if self._hash_of(good) == bytes(row["hash"]):
                break
        if good < newest:
            with self._transaction():
                self._delete_after(good)

    def _delete_after(self, block: int) -> None:
        for table in EVENT_TABLES:
            self._database.execute(f"DELETE FROM {table} WHERE block > ?", (block,))  # noqa: S608 (names of our own tables and columns)
        self._database.execute("DELETE FROM blocks WHERE number > ?", (block,))
        known = {item.address for item in self.chain.deployment.contracts.values()}
        for row in self._database.execute("SELECT address FROM modules WHERE block > ?", (block,)).fetchall():
            if row["address"] not in known:
                self._database.execute("DELETE FROM modules WHERE address = ?", (row["address"],))

    def _hash_of(self, number: int) -> bytes | None:
        header = self._header(number)
        return None if header is None else header[0]

    def _header(self, number: int) -> tuple[bytes, bytes] | None:
        """Return the hashes of a block and of the one before; None if the chain has no such block."""
        found = self.chain.rpc("eth_getBlockByNumber", hex(number), False)
        if not found:
            return None
        try:
            return _hash(found["hash"]), _hash(found["parentHash"])
        except (KeyError, TypeError, ValueError) as error:
            raise ChainError(
                f"What the endpoint says of block {number} makes no sense: {error!r}.",
                hint="Try another endpoint (--rpc).",
            ) from error

    def _read(self, cursor: int, end: int, *, by_hash: bytes | None = None) -> int:
        """Read the blocks after ``cursor`` up to ``end`` and store them in one transaction; return how many events.

        ``by_hash``: hash of the one block that is read.
        """
        last = by_hash or self._hash_of(end)
        if last is None:
            raise _Reorganised
        modules = {row["address"]: row["contract"] for row in self._database.execute("SELECT * FROM modules")}
        modules |= self._made_by(modules)
        span = (cursor + 1, end, last, by_hash is not None)
        events = self._fetch(modules, *span)
        added: dict[str, tuple[str, int]] = {}
        # a module that was swapped in raises events from then on
        while fresh := {
            address: found
            for address, found in _announced(events).items()
            if address not in modules and address not in added
        }:
            added.update(fresh)
            found = {address: contract for address, (contract, _) in fresh.items()}
            events += self._fetch(found | self._made_by(found), *span)
        known = self._database.execute("SELECT hash FROM blocks WHERE number = ?", (cursor,)).fetchone()
        if self._hash_of(end) != last or (known is not None and self._hash_of(cursor) != bytes(known["hash"])):
            raise _Reorganised
        with self._transaction():
            if self.cursor != cursor:
                return 0  # another process was faster
            for event in events:
                self._insert(event)
            for address, (contract, block) in added.items():
                self._database.execute("INSERT OR IGNORE INTO modules VALUES (?, ?, ?)", (address, contract, block))
            hashes = {event.block: event.block_hash for event in events} | {end: last}
            self._database.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?)", hashes.items())
            self._database.execute(
                "DELETE FROM blocks WHERE number < ? AND number % ? != 0", (end - DENSE_HASHES, DENSE_HASHES)
            )
        return len(events)

    def _made_by(self, modules: dict[str, str]) -> dict[str, str]:
        """Contracts that modules made and name, by address; what a module made never changes."""
        found: dict[str, str] = {}
        for address, contract in modules.items():
            if address not in self._made:
                self._made[address] = {}
                for name, (maker, view) in MADE_BY.items():
                    if maker == contract:
                        bound = self.chain.contract_at(contract, address).functions[view]()
                        try:
                            self._made[address][to_checksum_address(self.chain.call(bound))] = name
                        except (TransactionReverted, NotDeployed):
                            continue  # a module of another make
                        except ChainError:
                            del self._made[address]
                            raise
            found |= self._made[address]
        return found

    def _fetch(self, modules: dict[str, str], first: int, last: int, last_hash: bytes, by_hash: bool) -> list[Event]:
        where = {"blockHash": "0x" + last_hash.hex()} if by_hash else {"fromBlock": hex(first), "toBlock": hex(last)}
        logs = self.chain.rpc("eth_getLogs", {"address": list(modules), **where})
        try:
            made = [self._decode(log, modules[to_checksum_address(log["address"])]) for log in logs]
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, DecodingError) as error:
            raise ChainError(
                f"The endpoint's logs of the blocks {first} to {last} make no sense: {error!r}.",
                hint="Try another endpoint (--rpc).",
            ) from error
        # whatever stands between may send an answer's parts twice
        events = {(event.block, event.log_index): event for event in made if event is not None}
        for event in events.values():
            if not first <= event.block <= last:
                raise ChainError(f"The endpoint gave a log of block {event.block}, which was not asked for.")
            if event.block == last and event.block_hash != last_hash:
                raise _Reorganised
        return [events[place] for place in sorted(events)]

    def _decode(self, log: dict[str, Any], contract: str) -> Event | None:
        if log.get("removed"):
            raise _Reorganised
        if not log["topics"]:
            return None
        abi = self._events_of(contract).get(bytes(HexBytes(log["topics"][0])))
        if abi is None:
            return None
        return Event(
            block=int(log["blockNumber"], 16),
            block_hash=_hash(log["blockHash"]),
            log_index=int(log["logIndex"], 16),
            transaction=_hash(log["transactionHash"]),
            contract=contract,
            address=to_checksum_address(log["address"]),
            name=str(abi["name"]),
            arguments=decode_log(abi, log),
        )

    def _events_of(self, contract: str) -> dict[bytes, dict[str, Any]]:
        known = self._events.get(contract)
        if known is None:
            known = {
                bytes(self.chain.web3.keccak(text=signature_of(entry))): entry
                for entry in abi_of(contract)
                if entry.get("type") == "event" and not entry.get("anonymous")
            }
            self._events[contract] = known
        return known

    def _insert(self, event: Event) -> None:
        place = (event.block, event.log_index, event.transaction)
        self._put(
            "events",
            place,
            {
                "block_hash": event.block_hash,
                "contract": event.contract,
                "address": event.address,
                "name": event.name,
                "arguments": json.dumps(_plain(event.arguments)),
            },
        )
        kept = ROWS.get((event.contract, event.name))
        if kept is not None:
            table, row = kept
            self._put(table, place, row(event.arguments))

    def _put(self, table: str, place: tuple[int, int, bytes], row: dict[str, Any]) -> None:
        columns = ["block", "log_index", "tx", *row]
        marks = ", ".join("?" for _ in columns)
        values = (*place, *map(_storable, row.values()))
        self._database.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)  # noqa: S608 (names of our own tables and columns)

    # ---- asking

    def _rows(self, query: str, wanted: dict[str, Any], order: str = "block, log_index") -> list[sqlite3.Row]:
        """Rows of ``query`` (which ends before WHERE) whose columns equal what is wanted; None: any."""
        named = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in named)
        with self._guarded():
            return self._database.execute(
                f"{query}{f' WHERE {where}' if where else ''} ORDER BY {order}", tuple(named.values())
            ).fetchall()

    def query(self, text: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Answer a question in SQL over the tables of :mod:`qanat.index.schema`.

        ``unhex`` makes bytes of hexadecimal digits.
        """
        with self._guarded():
            return self._database.execute(text, values).fetchall()

    def events(self, name: str | None = None, *, contract: str | None = None, since: int = 0) -> list[Event]:
        """Events by name, contract and first block, in the order in which they happened; bytes as ``0x`` hex."""
        query = f"SELECT * FROM (SELECT * FROM events WHERE block >= {int(since)})"  # noqa: S608 (names of our own tables and columns)
        rows = self._rows(query, {"name": name, "contract": contract})
        return [
            Event(
                row["block"],
                bytes(row["block_hash"]),
                row["log_index"],
                bytes(row["tx"]),
                row["contract"],
                row["address"],
                row["name"],
                json.loads(row["arguments"]),
            )
            for row in rows
        ]

    def operators(self) -> list[str]:
        """Addresses of all operators that ever registered, oldest first."""
        return [str(event.arguments["operator"]) for event in self.events("OperatorRegistered", contract="Operators")]

    def rosters(self, shard: int | None = None) -> list[IndexedRoster]:
        """Rosters, oldest first."""
        return [
            IndexedRoster(
                row["shard"],
                row["roster"],
                row["tickets"],
                row["operators"],
                row["active_from"],
                row["key_sum"],
                row["slasher"],
                row["block"],
                bytes(row["tx"]),
            )
            for row in self._rows("SELECT * FROM rosters", {"shard": shard})
        ]

    def objects(
        self,
        *,
        object_id: bytes | None = None,
        owner: str | None = None,
        shard: int | None = None,
        roster: int | None = None,
        status: str | None = None,
    ) -> list[IndexedObject]:
        """Objects, oldest first. ``status``: ``open``, ``certified`` or ``failed``."""
        query = """SELECT * FROM (SELECT objects.*, CASE
            WHEN object_id IN (SELECT object_id FROM certificates) THEN 'certified'
            WHEN object_id IN (SELECT object_id FROM failures) THEN 'failed' ELSE 'open' END AS status FROM objects)"""
        wanted = {
            "object_id": object_id,
            "owner": None if owner is None else to_checksum_address(owner),
            "shard": shard,
            "roster": roster,
            "status": status,
        }
        return [
            IndexedObject(
                object_id=bytes(row["object_id"]),
                owner=row["owner"],
                shard=row["shard"],
                roster=row["roster"],
                width=row["width"],
                k=row["k"],
                n=row["n"],
                matrices=row["matrices"],
                size=row["size"],
                epochs=row["epochs"],
                tree_root=bytes(row["tree_root"]),
                content_hash=bytes(row["content_hash"]),
                header_hash=bytes(row["header_hash"]),
                manifest_root=bytes(row["manifest_root"]),
                payment=int(row["payment"]),
                status=row["status"],
                block=row["block"],
                transaction=bytes(row["tx"]),
            )
            for row in self._rows(query, wanted)
        ]

    def object(self, object_id: bytes) -> IndexedObject | None:
        """One object, None if it was never opened."""
        return _first(self.objects(object_id=object_id))

    def certificates(self, object_id: bytes | None = None) -> list[Certificate]:
        """Certificates with what changed their objects since, oldest first."""
        wanted = {"object_id": object_id}
        adoptions: dict[bytes, list[Adoption]] = {}
        for row in self._rows("SELECT * FROM adoptions", wanted):
            adoption = Adoption(row["operator"], row["seat"], row["from_epoch"], row["block"], bytes(row["tx"]))
            adoptions.setdefault(bytes(row["object_id"]), []).append(adoption)
        extensions: dict[bytes, list[Extension]] = {}
        for row in self._rows("SELECT * FROM extensions", wanted):
            order = (row["block"], row["log_index"])
            extension = Extension(row["payer"], row["end_epoch"], int(row["payment"]), row["listed_from"], order)
            extensions.setdefault(bytes(row["object_id"]), []).append(extension)
        terminations = {
            bytes(row["object_id"]): int(row["end_epoch"]) for row in self._rows("SELECT * FROM terminations", wanted)
        }
        return [
            Certificate(
                name := bytes(row["object_id"]),
                row["first_epoch"],
                row["end_epoch"],
                tuple(json.loads(row["non_signers"])),
                row["block"],
                bytes(row["tx"]),
                (row["block"], row["log_index"]),
                tuple(adoptions.get(name, ())),
                tuple(extensions.get(name, ())),
                terminations.get(name, 0),
            )
            for row in self._rows("SELECT * FROM certificates", wanted)
        ]

    def certificate(self, object_id: bytes) -> Certificate | None:
        """An object's certificate, None if it has none."""
        return _first(self.certificates(object_id))

    def sealed_epochs(self, shard: int | None = None, epoch: int | None = None) -> list[SealedEpoch]:
        """Sealed epochs, in the order of their sealing."""
        return [
            SealedEpoch(
                row["shard"],
                row["epoch"],
                bytes(row["seed"]),
                row["sealed_block"],
                row["deadline"],
                bytes(row["tx"]),
                row["address"],
                row["sealer"],
            )
            for row in self._rows(_WITH_ADDRESS.format("seals"), {"shard": shard, "epoch": epoch})
        ]

    def answers(self, shard: int | None = None, epoch: int | None = None, operator: str | None = None) -> list[Answer]:
        """Responses that the chain accepted, oldest first."""
        return [
            Answer(
                row["shard"],
                row["epoch"],
                row["operator"],
                row["live"],
                row["reads"],
                row["block"],
                bytes(row["tx"]),
                row["address"],
                row["log_index"],
            )
            for row in self._rows(_WITH_ADDRESS.format("answers"), _duty(shard, epoch, operator))
        ]

    def misses(self, shard: int | None = None, epoch: int | None = None, operator: str | None = None) -> list[Miss]:
        """Reported misses, oldest first."""
        return [
            Miss(
                row["shard"],
                row["epoch"],
                row["operator"],
                row["reporter"],
                bytes(row["slash_id"]),
                row["block"],
                bytes(row["tx"]),
                row["address"],
            )
            for row in self._rows(_WITH_ADDRESS.format("misses"), _duty(shard, epoch, operator))
        ]

    def slashes(self, operator: str | None = None, *, slash_id: bytes | None = None) -> list[SlashRecord]:
        """Queued slashes and what the executed ones took, oldest first."""
        query = """SELECT * FROM (SELECT slashes.*, done.block AS executed_block, done.bond_taken, done.reporter_reward,
            (SELECT max(ready_block) FROM slash_delays WHERE slash_id = slashes.slash_id) AS delayed_to
            FROM slashes LEFT JOIN slash_executions AS done ON done.slash_id = slashes.slash_id)"""
        wanted = {"slash_id": slash_id, "operator": None if operator is None else to_checksum_address(operator)}
        found = []
        for row in self._rows(query, wanted):
            taken: dict[str, int] = {}
            for part in self._rows("SELECT * FROM stake_slashes", {"slash_id": row["slash_id"]}):
                taken[part["collateral"]] = taken.get(part["collateral"], 0) + int(part["amount"])
            found.append(
                SlashRecord(
                    bytes(row["slash_id"]),
                    row["shard"],
                    row["roster"],
                    row["epoch"],
                    row["operator"],
                    row["reporter"],
                    row["delayed_to"] or row["ready_block"],
                    row["executed_block"],
                    int(row["bond_taken"] or 0),
                    int(row["reporter_reward"] or 0),
                    taken,
                    bytes(row["tx"]),
                )
            )
        return found

    def settlements(
        self, shard: int | None = None, epoch: int | None = None, operator: str | None = None
    ) -> list[Settlement]:
        """Payments of operators for epochs, oldest first."""
        return [
            Settlement(
                row["shard"],
                row["epoch"],
                row["operator"],
                int(row["amount"]),
                int(row["to_operator"]),
                int(row["to_sealers"]),
                row["block"],
                bytes(row["tx"]),
                row["log_index"],
            )
            for row in self._rows("SELECT * FROM settlements", _duty(shard, epoch, operator))
        ]

    def assets(self, asset_id: int | None = None) -> list[Asset]:
        """Assets, oldest first."""
        return [
            Asset(
                int(row["asset_id"]),
                row["minter"],
                bytes(row["content_hash"]),
                tuple(bytes.fromhex(item) for item in json.loads(row["objects"])),
                row["metadata"],
                row["block"],
                bytes(row["tx"]),
            )
            for row in self._rows("SELECT * FROM assets", {"asset_id": _text(asset_id)})
        ]

    def asset(self, asset_id: int) -> Asset | None:
        """One asset, None if it was never minted."""
        return _first(self.assets(asset_id))

    def assets_held(self, holder: str) -> list[int]:
        """Numbers of the assets that are, or once were, somebody's."""
        query = "SELECT DISTINCT asset_id, recipient FROM asset_transfers"
        return [int(row["asset_id"]) for row in self._rows(query, {"recipient": to_checksum_address(holder)})]

    def offers(self, asset_id: int | None = None, *, offer_id: int | None = None) -> list[Offer]:
        """Offers, oldest first, withdrawn ones too."""
        query = """SELECT * FROM (SELECT offers.*,
            EXISTS (SELECT 1 FROM offer_withdrawals WHERE offer_id = offers.offer_id) AS withdrawn FROM offers)"""
        return [
            Offer(
                int(row["offer_id"]),
                _terms(json.loads(row["terms"])),
                bool(row["withdrawn"]),
                row["block"],
                bytes(row["tx"]),
            )
            for row in self._rows(query, {"asset_id": _text(asset_id), "offer_id": _text(offer_id)})
        ]

    def licenses(
        self, *, licensee: str | None = None, asset_id: int | None = None, license_id: int | None = None
    ) -> list[License]:
        """Licenses, oldest first, ended and revoked ones too, with their holders of now."""
        query = """SELECT * FROM (SELECT licenses.*,
            coalesce((SELECT max(ends) FROM renewals WHERE license_id = licenses.license_id), ends) AS renewed_to,
            (SELECT recipient FROM license_transfers WHERE license_id = licenses.license_id
                ORDER BY block DESC, log_index DESC LIMIT 1) AS licensee,
            EXISTS (SELECT 1 FROM revocations WHERE license_id = licenses.license_id) AS revoked,
            EXISTS (SELECT 1 FROM releases WHERE license_id = licenses.license_id) AS released FROM licenses)"""
        wanted = {
            "licensee": None if licensee is None else to_checksum_address(licensee),
            "asset_id": _text(asset_id),
            "license_id": _text(license_id),
        }
        return [
            License(
                int(row["license_id"]),
                int(row["offer_id"]),
                int(row["asset_id"]),
                row["licensee"],
                row["start"],
                row["renewed_to"],
                int(row["price"]),
                bool(row["revoked"]),
                bool(row["released"]),
                row["block"],
                bytes(row["tx"]),
            )
            for row in self._rows(query, wanted)
        ]


def decode_log(abi: dict[str, Any], log: dict[str, Any]) -> dict[str, Any]:
    """Decode a raw log by its event's ABI: arguments by name, structs as mappings, addresses checksummed.

    Of an indexed argument of dynamic length the chain keeps only the hash, and that is what it becomes.
    """
    inputs = abi["inputs"]
    plain = [item for item in inputs if not item["indexed"]]
    data = CODEC.decode([canonical(item) for item in plain], bytes(HexBytes(log["data"])))
    values = {item["name"]: _named(item, value) for item, value in zip(plain, data, strict=True)}
    topics = iter(log["topics"][1:])
    for item in inputs:
        if item["indexed"]:
            topic = bytes(HexBytes(next(topics)))
            kind = item["type"]
            dynamic = kind in {"string", "bytes"} or kind.endswith("]") or kind.startswith("tuple")
            values[item["name"]] = topic if dynamic else _named(item, CODEC.decode([kind], topic)[0])
    return {item["name"]: values[item["name"]] for item in inputs}


def _named(item: dict[str, Any], value: Any) -> Any:
    kind = str(item["type"])
    if kind.endswith("]"):
        part = {**item, "type": kind[: kind.rindex("[")]}
        return [_named(part, element) for element in value]
    if kind == "tuple":
        return {part["name"]: _named(part, element) for part, element in zip(item["components"], value, strict=True)}
    return to_checksum_address(value) if kind == "address" else value


def _hash(text: str) -> bytes:
    found = bytes.fromhex(text[2:])
    if len(found) != 32:
        raise ValueError(f"{text} is no hash")
    return found


def _storable(value: Any) -> Any:
    """A number above what a column holds stands for "never" in every field that can have one."""
    return min(value, _LARGEST) if isinstance(value, int) else value


def _announced(events: Iterable[Event]) -> dict[str, tuple[str, int]]:
    """Modules that the Directory announced: address → (contract, block)."""
    found = {}
    for event in events:
        if event.contract == "Directory" and event.name == "ModuleSet":
            name = bytes(event.arguments["name"]).rstrip(b"\0").decode(errors="replace")  # type: ignore[call-overload]
            contract = _CONTRACT_OF_MODULE.get(name)
            if contract is not None:
                found[str(event.arguments["module"])] = (contract, event.block)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _duty(shard: int | None, epoch: int | None, operator: str | None) -> dict[str, Any]:
    return {"shard": shard, "epoch": epoch, "operator": None if operator is None else to_checksum_address(operator)}


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _terms(terms: dict[str, Any]) -> OfferTerms:
    return OfferTerms(
        terms["assetId"],
        terms["token"],
        terms["price"],
        terms["purposes"],
        terms["duration"],
        terms["uses"],
        terms["earnedAtReleaseBps"],
        bytes.fromhex(terms["textHash"][2:]),
        terms["seats"],
        terms["exclusive"],
        terms["transferable"],
        terms["arbiter"],
    )


def _first(items: Sequence[_T]) -> _T | None:
    return items[0] if items else None
