"""What a network is deployed with: ``networks/<network>.yaml``, checked before anything is sent.

Periods count blocks. Amounts are whole numbers of smallest units, or text like ``100e18``. Layout: see
``networks/local.yaml``, which explains each entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from eth_utils.address import is_address, to_checksum_address

from qanat.chain.randomness import QUICKNET, DrandNetwork
from qanat.errors import BadParameters, FileUnreadable

__all__ = [
    "Delays",
    "DrandPlan",
    "NetworkParameters",
    "ShardPlan",
    "TokenPlan",
    "load_parameters",
    "load_shard",
    "networks_folder",
]

#: EIP-2935 keeps 8,191 block hashes.
MAX_SEALING = 8191
#: The contracts' own limits (``contracts/libraries/ShardRules.sol``).
MAX_OPERATORS = 1000
MAX_COLLATERALS = 8
MAX_SAMPLES = 64
MAX_ANSWER_BYTES = 124 * 1024
MAX_ABSENT = 341
TREE_DEPTH = 24
MAX_TERM_EPOCHS = 10**6
MAX_WEIGHT = 10**24
MAX_UINT16 = 2**16 - 1
MAX_UINT32 = 2**32 - 1
MAX_UINT64 = 2**64 - 1
MAX_UINT128 = 2**128 - 1

_AMOUNT = re.compile(r"(\d+)(?:[eE](\d{1,2}))?")
ROLES = ("collateral", "bond", "payment")
SCHEMES = ("auto", "randao", "drand")
#: Seconds that a block's time may lie behind the moment in which its contents are fixed, where the file doesn't say.
DRAND_LEAD = 60


@dataclass(frozen=True)
class Delays:
    """Periods that guard stake and modules, in blocks."""

    withdrawal: int
    resolution: int
    guardian: int
    timelock: int


@dataclass(frozen=True)
class TokenPlan:
    """A token that exists (``address``), or a test token to be made."""

    symbol: str
    roles: tuple[str, ...]
    name: str = ""
    decimals: int = 18
    address: str | None = None
    mint_limit: int = 0


@dataclass(frozen=True)
class DrandPlan:
    """The drand network that gives blocks their random values; see ``DrandBeacon``. Times in seconds."""

    network: DrandNetwork = QUICKNET
    lead: int = DRAND_LEAD


@dataclass(frozen=True)
class ShardPlan:
    """A shard to be opened. Tokens are named by their symbols; all else is what ``ShardParameters`` says."""

    name: str
    epoch: int
    finality: int
    sealing: int
    window: int
    reporting: int
    term_epochs: int
    samples: int
    max_operators: int
    unproven_to_payer_bps: int
    jail_misses: int
    jail_epochs: int
    max_rows_per_ticket: int
    bond_token: str
    payment_token: str
    ticket_price: int
    bond_per_ticket: int
    min_bond: int
    bond_slash_per_ticket: int
    stake_slash_per_ticket: int
    reporter_fee: int
    price_per_byte_epoch_wad: int
    intake_price_per_byte_wad: int
    #: symbol → weight of one token unit, 1e18-scaled
    collaterals: dict[str, int] = field(default_factory=dict)

    def solidity(self, addresses: Mapping[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the arguments of ``Shards.create`` by the structs' field names, given each token's address."""
        parameters = {
            "epochLength": self.epoch,
            "finality": self.finality,
            "sealingLimit": self.sealing,
            "window": self.window,
            "reporting": self.reporting,
            "termEpochs": self.term_epochs,
            "samples": self.samples,
            "maxOperators": self.max_operators,
            "unprovenToPayerBps": self.unproven_to_payer_bps,
            "jailMisses": self.jail_misses,
            "jailEpochs": self.jail_epochs,
            "maxRowsPerTicket": self.max_rows_per_ticket,
            "bondToken": addresses[self.bond_token],
            "paymentToken": addresses[self.payment_token],
            "ticketPrice": self.ticket_price,
            "bondPerTicket": self.bond_per_ticket,
            "minBond": self.min_bond,
            "bondSlashPerTicket": self.bond_slash_per_ticket,
            "stakeSlashPerTicket": self.stake_slash_per_ticket,
            "reporterFee": self.reporter_fee,
            "pricePerByteEpochWad": self.price_per_byte_epoch_wad,
            "intakePricePerByteWad": self.intake_price_per_byte_wad,
        }
        weights = [{"token": addresses[symbol], "weightWad": weight} for symbol, weight in self.collaterals.items()]
        return parameters, weights


@dataclass(frozen=True)
class NetworkParameters:
    """All that a deployment on one network is made with."""

    network: str
    chain_id: int
    delays: Delays
    tokens: dict[str, TokenPlan]
    shards: dict[str, ShardPlan]
    #: who may open shards and announce changes; the deployer if None. It is proposed at the end, and has to accept
    governor: str | None = None
    #: who may delay a slash once; the deployer if None
    guardian: str | None = None
    #: ``randao``, ``drand``, or ``auto``: drand where blocks' own random values are zero or stay the same
    randomness: str = "auto"
    drand: DrandPlan = field(default_factory=DrandPlan)
    #: what a forced release of a key pays for each answer, in units of the shard's payment token
    key_answer_fee: int = 0
    #: a chain that is thrown away: a deployment whose code is gone is made anew without asking
    disposable: bool = False
    #: what the file said, as plain values: kept in the deployment, and compared by the next run
    source: dict[str, Any] = field(default_factory=dict, compare=False)

    def check(self) -> None:
        """Check every inequality that the contracts, or the design, ask for.

        Raises:
            BadParameters: naming the first that does not hold, with its figures.
        """
        _check_tokens(self)
        if self.key_answer_fee >= 2**96:
            raise BadParameters(f"key_answer_fee is below 2^96, not {self.key_answer_fee}.")
        for shard in self.shards.values():
            _check_shard(self, shard)


def networks_folder() -> Path:
    """Return the folder of parameter files: ``QANAT_NETWORKS``, else ``./networks``, else the checkout's own."""
    named = os.environ.get("QANAT_NETWORKS")
    if named:
        return Path(named)
    here = Path("networks")
    return here if here.is_dir() else Path(__file__).parents[3] / "networks"


def load_parameters(network_or_path: str | Path) -> NetworkParameters:
    """Load and check a network's parameters, by its name or by the file's path.

    Raises:
        FileUnreadable: there is no such file.
        BadParameters: it is no parameter file, or what it says does not hold together.
    """
    text = str(network_or_path)
    path = Path(text) if text.endswith((".yaml", ".yml")) or os.sep in text else networks_folder() / f"{text}.yaml"
    parameters = _parse(_read(path, text), str(path))
    parameters.check()
    return parameters


def load_shard(path: Path, network: Mapping[str, Any], name: str | None = None) -> tuple[ShardPlan, dict[str, Any]]:
    """Load a shard from a file with a table ``shards``, and check it against the network that stands.

    Args:
        path: a network's parameter file, or one with shards alone.
        network: what the network was deployed with, as plain values.
        name: which shard; needed where the file holds several.

    Returns:
        (what it says, the same as plain values)

    Raises:
        FileUnreadable: there is no such file.
        BadParameters: it holds no such shard, or what it says does not hold together with the network's.
    """
    content = _read(path, str(path))
    shards = content.get("shards") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise BadParameters(f"{path} has no table of shards.", path=str(path))
    known = ", ".join(map(str, shards))
    if name is None and len(shards) > 1:
        raise BadParameters(f"{path} describes several shards.", hint=f"Name one with --name: {known}.")
    chosen = next(iter(shards)) if name is None else name
    if chosen not in shards:
        raise BadParameters(f"{path} describes no shard {chosen}.", hint=f"Known: {known}.")
    source = shards[chosen]
    parameters = _parse({**network, "shards": {chosen: source}}, str(path))
    parameters.check()
    return parameters.shards[chosen], source


# ---- reading


def _read(path: Path, text: str) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except OSError as error:
        known = ", ".join(sorted(item.stem for item in networks_folder().glob("*.yaml")))
        raise FileUnreadable(
            f"The parameters of {text} cannot be read ({path}): {error.strerror or error}.",
            hint=f"Known networks: {known or 'none'}.",
            path=str(path),
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadParameters(f"{path} is no YAML: {error}.", path=str(path)) from error


def _parse(content: Any, where: str) -> NetworkParameters:
    top = _Table(content, where)
    parameters = NetworkParameters(
        network=top.text("network"),
        chain_id=top.amount("chain_id"),
        governor=top.address("governor"),
        guardian=top.address("guardian"),
        disposable=top.flag("disposable"),
        randomness=top.choice("randomness", SCHEMES),
        drand=_drand(top.optional_table("drand")),
        key_answer_fee=top.amount("key_answer_fee") if "key_answer_fee" in top.left() else 0,
        delays=_delays(top.table("delays")),
        tokens={symbol: _token(symbol, item) for symbol, item in top.table("tokens").tables()},
        shards={name: _shard(name, item) for name, item in top.table("shards").tables()},
        source=content,
    )
    top.end()
    return parameters


def _drand(table: _Table | None) -> DrandPlan:
    if table is None:
        return DrandPlan()
    text, relays = table.text("public_key"), table.take("relays")
    try:
        key = bytes.fromhex(text)
    except ValueError as error:
        raise BadParameters(f"{table.where}: public_key is hexadecimal, without 0x.") from error
    if not isinstance(relays, list) or not relays or not all(isinstance(item, str) for item in relays):
        raise BadParameters(f"{table.where}: relays is a list of addresses.")
    network = DrandNetwork(key, table.amount("genesis"), table.amount("period"), tuple(relays))
    plan = DrandPlan(network, table.amount("lead"))
    table.end()
    if len(key) != 96 or not 0 < network.period <= MAX_UINT32 or plan.lead > MAX_UINT32:
        raise BadParameters(f"{table.where}: a key of 96 bytes, a period above zero and a lead are needed.")
    return plan


def _delays(table: _Table) -> Delays:
    delays = Delays(
        withdrawal=table.amount("withdrawal"),
        resolution=table.amount("resolution"),
        guardian=table.amount("guardian"),
        timelock=table.amount("timelock"),
    )
    table.end()
    return delays


def _token(symbol: str, table: _Table) -> TokenPlan:
    roles = table.take("roles", ())
    if not isinstance(roles, list) or not roles or any(role not in ROLES for role in roles):
        raise BadParameters(f"{table.where}: roles are one or more of {', '.join(ROLES)}, not {roles!r}.")
    address = table.address("address")
    token = TokenPlan(
        symbol=symbol,
        roles=tuple(roles),
        address=address,
        name=table.text("name") if address is None else str(table.take("name", symbol)),
        decimals=table.amount("decimals"),
        mint_limit=table.amount("mint_limit") if address is None else 0,
    )
    table.end()
    return token


def _shard(name: str, table: _Table) -> ShardPlan:
    weights = table.table("collaterals")
    values: dict[str, Any] = {
        "name": name,
        "collaterals": {symbol: weights.amount(symbol) for symbol in weights.left()},
    }
    for label, kind in ShardPlan.__annotations__.items():
        if label in values:
            continue
        values[label] = table.text(label) if kind == "str" else table.amount(label)
    table.end()
    return ShardPlan(**values)


class _Table:
    """A mapping of a YAML file that names what is missing, wrong or left over."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise BadParameters(f"{where}: a table is needed, not {content!r}.")
        self._rest = dict(content)
        self.where = where

    def take(self, name: str, default: Any = None) -> Any:
        return self._rest.pop(name, default)

    def left(self) -> list[str]:
        return [str(name) for name in self._rest]

    def tables(self) -> list[tuple[str, _Table]]:
        return [(str(name), _Table(item, f"{self.where}, {name}")) for name, item in self._rest.items()]

    def table(self, name: str) -> _Table:
        return _Table(self._need(name), f"{self.where}, {name}")

    def optional_table(self, name: str) -> _Table | None:
        return self.table(name) if name in self._rest else None

    def choice(self, name: str, among: tuple[str, ...]) -> str:
        """Return one of these texts; the first if there is none."""
        value = self.take(name, among[0])
        if value not in among:
            raise BadParameters(f"{self.where}: {name} is one of {', '.join(among)}, not {value!r}.")
        return str(value)

    def text(self, name: str) -> str:
        value = self._need(name)
        if not isinstance(value, str) or not value:
            raise BadParameters(f"{self.where}: {name} is a text, not {value!r}.")
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name, False)
        if not isinstance(value, bool):
            raise BadParameters(f"{self.where}: {name} is true or false, not {value!r}.")
        return value

    def amount(self, name: str) -> int:
        value = self._need(name)
        found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
        if found is not None:
            return int(found[1]) * int(10 ** int(found[2] or 0))
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise BadParameters(f"{self.where}: {name} is a whole number such as 20 or 100e18, not {value!r}.")
        return value

    def address(self, name: str) -> str | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, str) or not is_address(value):
            raise BadParameters(f"{self.where}: {name} is an address in quotes, not {value!r}.")
        return str(to_checksum_address(value))

    def end(self) -> None:
        if self._rest:
            raise BadParameters(f"{self.where}: unknown entries: {', '.join(self.left())}.")

    def _need(self, name: str) -> Any:
        if name not in self._rest:
            raise BadParameters(f"{self.where}: {name} is missing.")
        return self._rest.pop(name)


# ---- checking


def _check_tokens(network: NetworkParameters) -> None:
    for token in network.tokens.values():
        if token.decimals > 36:
            raise BadParameters(f"{token.symbol}: {token.decimals} decimals are too many (36 at most).")
        if token.address is None and not 0 < token.mint_limit <= MAX_UINT128:
            raise BadParameters(f"{token.symbol}: a test token needs a mint_limit between 1 and 2^128 - 1.")
        if token.address is None and network.chain_id == 1:
            raise BadParameters(f"{token.symbol}: test tokens are not made on Ethereum itself; give an address.")


def longest_answer(shard: ShardPlan) -> int:
    """Return the bytes of calldata of a shard's longest answer: samples times what 4 reads and a live row take."""
    absent = min(shard.max_operators, MAX_ABSENT)
    each = 64 + 64 + (2 * absent + 31) // 32 * 32 + 2
    return shard.samples * (4 * each + 96 + 32 * TREE_DEPTH)


def _check_shard(network: NetworkParameters, shard: ShardPlan) -> None:
    delays, where = network.delays, f"shard {shard.name}"
    _between(where, "epoch", shard.epoch, 1, MAX_UINT32)
    _between(where, "finality", shard.finality, 1, shard.epoch)
    _between(where, "sealing", shard.sealing, 1, MAX_SEALING)
    for label in ("window", "reporting"):
        _between(where, label, getattr(shard, label), 1, MAX_UINT32)
    _between(where, "term_epochs", shard.term_epochs, 1, MAX_TERM_EPOCHS)
    _between(where, "samples", shard.samples, 1, MAX_SAMPLES)
    _between(where, "max_operators", shard.max_operators, 1, MAX_OPERATORS)
    _between(where, "bytes of the longest answer", longest_answer(shard), 0, MAX_ANSWER_BYTES)
    _between(where, "unproven_to_payer_bps", shard.unproven_to_payer_bps, 0, 10_000)
    _between(where, "jail_misses", shard.jail_misses, 1, MAX_UINT16)
    _between(where, "jail_epochs", shard.jail_epochs, 1, MAX_TERM_EPOCHS)
    _between(where, "max_rows_per_ticket", shard.max_rows_per_ticket, 1, MAX_UINT64)
    for label in ("ticket_price", "bond_per_ticket", "min_bond"):
        _between(where, label, getattr(shard, label), 1, MAX_UINT128)
    _between(where, "bond_slash_per_ticket", shard.bond_slash_per_ticket, 1, shard.bond_per_ticket)
    _between(where, "stake_slash_per_ticket", shard.stake_slash_per_ticket, 0, shard.ticket_price)
    _between(where, "collaterals (their number)", len(shard.collaterals), 1, MAX_COLLATERALS)
    for symbol, weight in shard.collaterals.items():
        _between(where, f"weight of {symbol}", weight, 1, MAX_WEIGHT)

    # DESIGN §5.3: nodes serve few rows while an epoch can be answered; windows without gaps leave no time to read
    if shard.window >= shard.epoch:
        raise BadParameters(
            f"{where}: the window of {shard.window} blocks is not shorter than the epoch of {shard.epoch}: nodes would "
            "never serve all that they hold.",
            got=shard.window,
            limit=shard.epoch - 1,
        )
    # DESIGN §5.1: what is owed for an epoch is known, reported and taken before its stake can leave
    needed = shard.epoch + shard.sealing + shard.window + shard.reporting + delays.resolution + delays.guardian
    if delays.withdrawal < needed:
        raise BadParameters(
            f"{where}: the withdrawal delay of {delays.withdrawal} blocks is shorter than epoch + sealing + window + "
            f"reporting + resolution + guardian = {needed}.",
            got=delays.withdrawal,
            needed=needed,
        )
    # I-D1: stake can leave before a new module acts
    if delays.timelock <= delays.withdrawal + shard.epoch:
        raise BadParameters(
            f"{where}: the timelock of {delays.timelock} blocks is not longer than withdrawal delay + epoch = "
            f"{delays.withdrawal + shard.epoch}.",
            got=delays.timelock,
            needed=delays.withdrawal + shard.epoch + 1,
        )
    closing = shard.sealing + shard.window + shard.reporting
    if closing > shard.term_epochs * shard.epoch:
        raise BadParameters(
            f"{where}: sealing + window + reporting = {closing} blocks pass the term of "
            f"{shard.term_epochs * shard.epoch}.",
            got=closing,
            limit=shard.term_epochs * shard.epoch,
        )
    used = [(shard.bond_token, "bond"), (shard.payment_token, "payment")]
    used += [(symbol, "collateral") for symbol in shard.collaterals]
    for symbol, role in used:
        if symbol not in network.tokens or role not in network.tokens[symbol].roles:
            raise BadParameters(f"{where}: {symbol} is no {role} token of this network.", token=symbol, role=role)


def _between(where: str, name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadParameters(
            f"{where}: {name} is {value}, and must be between {low} and {high}.", got=value, low=low, high=high
        )
