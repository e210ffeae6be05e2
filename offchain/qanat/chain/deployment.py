"""What was deployed where: ``deployments/<network>.json``, which every command reads.

Layout::

    {"network": "local", "chainId": 31337, "commit": "…",
     "contracts": {"Objects": {"address": "0x…", "block": 7, "arguments": […], "transaction": "0x…", "type": "Objects"},
                   …},
     "tokens":    {"QBOND": {"address": "0x…", "decimals": 18, "roles": ["bond", "payment"], "faucet": true}, …},
     "shards":    {"main": 1}, "parameters": {…}}

``type`` names the ABI and may be missing where it equals the contract's name.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_utils.address import is_address, to_checksum_address

from qanat import strict_json
from qanat.errors import BadParameters, FileUnreadable, NotDeployed

__all__ = ["DeployedContract", "Deployment", "Token", "deployments_folder", "format_units", "write_atomically"]


@dataclass(frozen=True)
class DeployedContract:
    """One contract: where it stands, since which block, made with which constructor arguments by which transaction."""

    address: str
    block: int
    arguments: tuple[Any, ...] = ()
    transaction: str = ""
    type: str = ""


@dataclass(frozen=True)
class Token:
    """An ERC-20 that the network uses.

    ``roles``: of ``collateral``, ``bond``, ``payment``. ``faucet``: anyone may mint it.
    """

    address: str
    decimals: int = 18
    roles: tuple[str, ...] = ()
    faucet: bool = False


@dataclass(frozen=True)
class Deployment:
    """A deployment, immutable; :meth:`with_contract` and its like return changed copies, :meth:`save` writes one."""

    network: str
    chain_id: int
    commit: str = ""
    contracts: dict[str, DeployedContract] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    # ---- reading

    @classmethod
    def find(cls, network_or_path: str | Path) -> Path:
        """Return the file meant by a network's name or by a path; it need not exist."""
        text = str(network_or_path)
        if text.endswith(".json") or os.sep in text:
            return Path(text)
        return deployments_folder() / f"{text}.json"

    @classmethod
    def load(cls, network_or_path: str | Path) -> Deployment:
        """Load a deployment by its network's name or by its file's path.

        Raises:
            NotDeployed: there is no such file.
            FileUnreadable: the file is no deployment.
        """
        path = cls.find(network_or_path)
        try:
            content = strict_json.parse(path.read_text())
        except FileNotFoundError:
            raise NotDeployed(
                f"No deployment is recorded for {network_or_path} ({path}).",
                hint="Deploy first (`ape run deploy`), or name the file with --deployment.",
                path=str(path),
            ) from None
        except (OSError, ValueError) as error:
            raise FileUnreadable(f"{path} cannot be read as a deployment: {error}.", path=str(path)) from error
        try:
            return replace(cls.from_json(content), path=path)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileUnreadable(f"{path} is no deployment: {error!r}.", path=str(path)) from error

    @classmethod
    def for_chain(cls, chain_id: int) -> Deployment:
        """Load the one recorded deployment that is on a chain.

        Raises:
            NotDeployed: none is, or several are.
        """
        found = []
        for path in sorted(deployments_folder().glob("*.json")):
            try:
                deployment = cls.load(path)
            except FileUnreadable:
                continue
            if deployment.chain_id == chain_id:
                found.append(deployment)
        if len(found) != 1:
            names = ", ".join(item.network for item in found)
            raise NotDeployed(
                f"{'Several deployments are' if found else 'No deployment is'} recorded for chain {chain_id}.",
                hint=f"Name one with --deployment{': ' + names if names else ', or deploy first'}.",
                chain_id=chain_id,
            )
        return found[0]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Deployment:
        """Build a deployment from the values that :meth:`to_json` makes."""
        return cls(
            network=str(content["network"]),
            chain_id=int(content["chainId"]),
            commit=str(content.get("commit", "")),
            contracts={
                name: DeployedContract(
                    _address(item["address"]),
                    int(item["block"]),
                    tuple(item.get("arguments", ())),
                    str(item.get("transaction", "")),
                    str(item.get("type", "") or ""),
                )
                for name, item in content.get("contracts", {}).items()
            },
            tokens={
                name: Token(
                    _address(item["address"]),
                    int(item.get("decimals", 18)),
                    tuple(item.get("roles", ())),
                    bool(item.get("faucet", False)),
                )
                for name, item in content.get("tokens", {}).items()
            },
            shards={name: int(number) for name, number in content.get("shards", {}).items()},
            parameters=dict(content.get("parameters", {})),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the deployment as plain JSON values."""
        return {
            "network": self.network,
            "chainId": self.chain_id,
            "commit": self.commit,
            "contracts": {
                name: {
                    "address": item.address,
                    "block": item.block,
                    "arguments": list(item.arguments),
                    "transaction": item.transaction,
                    "type": item.type or name,
                }
                for name, item in self.contracts.items()
            },
            "tokens": {
                name: {
                    "address": item.address,
                    "decimals": item.decimals,
                    "roles": list(item.roles),
                    "faucet": item.faucet,
                }
                for name, item in self.tokens.items()
            },
            "shards": dict(self.shards),
            "parameters": self.parameters,
        }

    def save(self, path: str | Path | None = None) -> Path:
        """Write the file so that a reader, or a crash, sees the old or the new one and nothing between.

        Raises:
            BadParameters: no path is known.
            FileUnreadable: the file cannot be written.
        """
        target = Path(path) if path is not None else self.path
        if target is None:
            raise BadParameters("A deployment needs a path to be saved to.")
        write_atomically(target, json.dumps(self.to_json(), indent=2) + "\n")
        return target

    # ---- asking

    def contract(self, name: str) -> DeployedContract:
        """Return a contract by name. Raises :class:`NotDeployed` if there is none."""
        found = self.contracts.get(name)
        if found is None:
            raise NotDeployed(
                f"{name} is not part of the deployment on {self.network}.",
                hint=f"It has: {', '.join(sorted(self.contracts)) or 'nothing yet'}.",
                name=name,
                network=self.network,
            )
        return found

    def address(self, name: str) -> str:
        """Return a contract's checksummed address."""
        return self.contract(name).address

    def token(self, symbol_or_address: str) -> Token:
        """Return a token by symbol (any case) or address; of an unknown address 18 decimals are assumed."""
        wanted = symbol_or_address.lower()
        for symbol, token in self.tokens.items():
            if wanted in (symbol.lower(), token.address.lower()):
                return token
        if is_address(symbol_or_address):
            return Token(to_checksum_address(symbol_or_address))
        raise BadParameters(
            f"No token {symbol_or_address} on {self.network}.",
            hint=f"Known: {', '.join(sorted(self.tokens)) or 'none'}; or give an address.",
            token=symbol_or_address,
        )

    def symbol(self, address: str) -> str:
        """Return a token's symbol, or its address where none is known."""
        for symbol, token in self.tokens.items():
            if token.address.lower() == address.lower():
                return symbol
        return address

    def tokens_with_role(self, role: str) -> dict[str, Token]:
        """Return the tokens that have a role, by symbol."""
        return {symbol: token for symbol, token in self.tokens.items() if role in token.roles}

    def shard(self, name_or_number: str | int | None = None) -> int:
        """Return a shard's number by name or number; without either the only, or the first, one."""
        if name_or_number is None:
            if not self.shards:
                raise NotDeployed(f"The deployment on {self.network} records no shard.", network=self.network)
            return next(iter(self.shards.values()))
        text = str(name_or_number)
        if text in self.shards:
            return self.shards[text]
        if text.isdigit():
            return int(text)
        raise BadParameters(
            f"No shard {text} on {self.network}.",
            hint=f"Known: {', '.join(self.shards) or 'none'}; or give its number.",
            shard=text,
        )

    @property
    def first_block(self) -> int:
        """Block of the first contract: nothing of this deployment happened before it."""
        return min((item.block for item in self.contracts.values()), default=0)

    # ---- changed copies

    def with_contract(self, name: str, contract: DeployedContract) -> Deployment:
        """Return a copy that has one contract more (or another one under the name)."""
        return replace(self, contracts={**self.contracts, name: contract})

    def with_token(self, symbol: str, token: Token) -> Deployment:
        """Return a copy that has one token more."""
        return replace(self, tokens={**self.tokens, symbol: token})

    def with_shard(self, name: str, number: int) -> Deployment:
        """Return a copy that has one shard more."""
        return replace(self, shards={**self.shards, name: number})


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError(f"{text!r} is no address")
    return str(to_checksum_address(text))


def format_units(units: int, decimals: int) -> str:
    """Return an amount of a token in decimal notation, without trailing zeros."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, part = divmod(units, 10**decimals)
    shown = f"{part:0{decimals}d}".rstrip("0") if decimals and part else ""
    return f"{sign}{whole}{'.' + shown if shown else ''}"


def deployments_folder() -> Path:
    """Return the folder of deployments: ``QANAT_DEPLOYMENTS``, else ``./deployments``, else the checkout's own."""
    named = os.environ.get("QANAT_DEPLOYMENTS")
    if named:
        return Path(named)
    here = Path("deployments")
    checkout = Path(__file__).parents[3] / "deployments"
    return checkout if not here.is_dir() and checkout.parent.joinpath("pyproject.toml").is_file() else here


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a text file durably: a temporary file beside it, synced, then renamed over it.

    Raises:
        FileUnreadable: the folder cannot be made, or the file not written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            os.fchmod(handle, mode)
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be written: {error.strerror or error}.", path=str(path)) from error
