"""A list of claims: accounts with what each may have claimed in all, and the tree of sums over it.

The rules are those of `contracts/libraries/SumTree.sol`: leaf = keccak(keccak(abi.encode(chain id, contract, list,
index, account, cumulative))), node = keccak(0x01 ‖ left ‖ its sum ‖ right ‖ its sum), sums as 32 bytes; leaves that are
missing at the end are 32 zero bytes with the sum zero. Entries are sorted by account, each account once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import is_address, to_checksum_address
from eth_utils.crypto import keccak

from qanat import strict_json
from qanat.errors import BadParameters, FileUnreadable

__all__ = ["ClaimList", "Leaf"]

_AMOUNT_LIMIT = 1 << 128
_COUNT_LIMIT = 1 << 32
_LEAF_TYPES = ["uint256", "address", "uint256", "uint256", "address", "uint256"]
_FIELDS = {"chainId", "contract", "listId", "entries"}


@dataclass(frozen=True)
class Leaf:
    """An entry with its path: the siblings' hashes and sums, from the leaf's up."""

    index: int
    account: str
    cumulative: int
    siblings: tuple[bytes, ...]
    sums: tuple[int, ...]

    def as_tuple(self) -> tuple[int, str, int, list[bytes], list[int]]:
        """Return what the contract takes."""
        return self.index, self.account, self.cumulative, list(self.siblings), list(self.sums)


@dataclass(frozen=True)
class ClaimList:
    """A list of one round.

    ``entries``: (account, checksummed; cumulative token units), sorted by account. Raises :class:`BadParameters` for
    what no contract would take.
    """

    chain_id: int
    contract: str
    list_id: int
    entries: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        """Check what a challenge would find."""
        if not 0 < len(self.entries) <= _COUNT_LIMIT:
            raise BadParameters(f"A list has 1 to {_COUNT_LIMIT} entries, not {len(self.entries)}.")
        before = -1
        for account, cumulative in self.entries:
            number = int(account, 16)
            if number <= before:
                raise BadParameters(f"{account} stands twice, or not in order.", account=account)
            if not 0 <= cumulative < _AMOUNT_LIMIT:
                raise BadParameters(f"{account}: {cumulative} units are out of range.", account=account)
            before = number
        if self.total >= _AMOUNT_LIMIT:
            raise BadParameters(f"The entries sum up to {self.total} units, 2^128 or more.", total=self.total)

    @classmethod
    def of(cls, chain_id: int, contract: str, list_id: int, amounts: Mapping[str, int]) -> ClaimList:
        """Make a list of amounts by account, in any order."""
        entries = sorted(((to_checksum_address(who), units) for who, units in amounts.items()), key=_order)
        return cls(chain_id, to_checksum_address(contract), list_id, tuple(entries))

    @classmethod
    def load(cls, path: Path) -> ClaimList:
        """Read a file that :meth:`save` wrote. Raises :class:`FileUnreadable`, :class:`BadParameters`."""
        raw, pairs = _read(path)
        if len({who for who, _ in pairs}) < len(pairs):
            raise BadParameters(f"{path} names an account twice.", path=str(path))
        return cls.of(_units(path, raw["chainId"]), raw["contract"], _units(path, raw["listId"]), dict(pairs))

    @classmethod
    def published(cls, path: Path) -> ClaimList:
        """Read what a proposer published, entries as they stand: out of order, or an account twice, is its fault.

        Raises as :meth:`load`, but for that.
        """
        raw, pairs = _read(path)
        made = object.__new__(cls)
        facts = _units(path, raw["chainId"]), to_checksum_address(raw["contract"]), _units(path, raw["listId"])
        entries = tuple((to_checksum_address(who), units) for who, units in pairs)
        for name, value in zip(("chain_id", "contract", "list_id", "entries"), (*facts, entries), strict=True):
            object.__setattr__(made, name, value)
        if not entries or made.total >= _AMOUNT_LIMIT:
            raise BadParameters(f"{path} has no entries, or too much in them.", path=str(path))
        return made

    def fault_of_order(self) -> tuple[Leaf, Leaf] | None:
        """Return the first two neighbours out of order, what `challengeOrder` shows; None where all stand right."""
        for index in range(len(self.entries) - 1):
            if _order(self.entries[index + 1]) <= _order(self.entries[index]):
                return self.leaf_at(index), self.leaf_at(index + 1)
        return None

    def around(self, account: str) -> list[Leaf]:
        """Return what shows how much an account has: its leaf, or those between which it would stand."""
        number = int(account, 16)
        place = next((at for at, entry in enumerate(self.entries) if _order(entry) >= number), len(self.entries))
        if place < len(self.entries) and _order(self.entries[place]) == number:
            return [self.leaf_at(place)]
        return [self.leaf_at(at) for at in (place - 1, place) if 0 <= at < len(self.entries)]

    def save(self, path: Path) -> None:
        """Write the list for those whom it names: with it anyone makes any path."""
        shown = {
            "chainId": self.chain_id,
            "contract": self.contract,
            "listId": self.list_id,
            "entries": {account: str(units) for account, units in self.entries},
        }
        path.write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")

    @property
    def total(self) -> int:
        """Units of all entries."""
        return sum(units for _, units in self.entries)

    @property
    def count(self) -> int:
        """Number of entries."""
        return len(self.entries)

    @property
    def node(self) -> bytes:
        """The root's hash."""
        return self._levels[-1][0][0]

    def amount_of(self, account: str) -> int:
        """Return what an account may have claimed in all."""
        return dict(self.entries).get(to_checksum_address(account), 0)

    def leaf(self, account: str) -> Leaf:
        """Return an account's entry and path. Raises :class:`BadParameters` for one that isn't there."""
        wanted = to_checksum_address(account)
        for index, (listed, _) in enumerate(self.entries):
            if listed == wanted:
                return self.leaf_at(index)
        raise BadParameters(f"{wanted} is not in the list.", account=wanted)

    def leaf_at(self, index: int) -> Leaf:
        """Return the entry at a place, and its path."""
        account, cumulative = self.entries[index]
        path = [level[(index >> height) ^ 1] for height, level in enumerate(self._levels[:-1])]
        return Leaf(index, account, cumulative, tuple(node for node, _ in path), tuple(units for _, units in path))

    @cached_property
    def _levels(self) -> list[list[tuple[bytes, int]]]:
        leaves = [(self._hash(index, *entry), entry[1]) for index, entry in enumerate(self.entries)]
        depth = (len(leaves) - 1).bit_length()
        levels = [leaves + [(bytes(32), 0)] * ((1 << depth) - len(leaves))]
        while len(levels[-1]) > 1:
            below = levels[-1]
            levels.append([_parent(below[place], below[place + 1]) for place in range(0, len(below), 2)])
        return levels

    def _hash(self, index: int, account: str, cumulative: int) -> bytes:
        values = [self.chain_id, self.contract, self.list_id, index, account, cumulative]
        return bytes(keccak(keccak(encode(_LEAF_TYPES, values))))


def _parent(left: tuple[bytes, int], right: tuple[bytes, int]) -> tuple[bytes, int]:
    data = b"\x01" + b"".join(node + units.to_bytes(32, "big") for node, units in (left, right))
    return bytes(keccak(data)), left[1] + right[1]


def _read(path: Path) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Return what a list's file says, and its entries in their order; those may stand as pairs, too."""
    try:
        data = path.read_bytes()
        strict_json.parse(data)
        raw = dict(json.loads(data, object_pairs_hook=list))
        entries = [(str(who), units) for who, units in raw.get("entries", ())]
    except OSError as error:
        raise FileUnreadable(f"The list {path} can't be read: {error.strerror}.", path=str(path)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadParameters(f"The list {path} is no JSON of a list: {error}.", path=str(path)) from error
    if set(raw) != _FIELDS:
        raise BadParameters(f"{path} is no list of claims: it has {', '.join(sorted(_FIELDS))}.", path=str(path))
    for who in (raw["contract"], *(who for who, _ in entries)):
        if not is_address(who):
            raise BadParameters(f"{path}: {who!r} is no address.", path=str(path))
    return raw, [(who, _units(path, units)) for who, units in entries]


def _order(entry: tuple[str, int]) -> int:
    return int(entry[0], 16)


def _units(path: Path, value: Any) -> int:
    """Whole numbers, also as decimal text: JSON's numbers lose digits elsewhere."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise BadParameters(f"{path}: {value!r} is no whole number.", path=str(path))


def changes(before: ClaimList, after: ClaimList) -> Iterable[tuple[str, int, int]]:
    """Yield (account, before, after) of each account that a later list gives less: what `challengeLoss` shows."""
    for account, units in before.entries:
        if after.amount_of(account) < units:
            yield account, units, after.amount_of(account)
