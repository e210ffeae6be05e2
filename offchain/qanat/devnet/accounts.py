"""The books of a whole network: where every unit of every token lies, and whether all of them are somebody's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from qanat.devnet.actors import Actor
from qanat.devnet.network import Network
from qanat.index import Index

__all__ = ["Accounts"]


class Accounts:
    """Compares the ledgers' records with the tokens' own balances.

    ``people``: everybody who ever held tokens.
    """

    def __init__(self, network: Network, people: Sequence[Actor]) -> None:
        self.network, self.people = network, list(people)
        self.chain, self.views = network.chain, network.views
        self.payments, self.restaking = self.chain.contract("Payments"), self.chain.contract("Restaking")

    @cached_property
    def tokens(self) -> dict[str, str]:
        """Symbol by token address."""
        return {token.address: symbol for symbol, token in self.chain.deployment.tokens.items()}

    def paid(self) -> dict[str, int]:
        """What Payments has paid out to people, by token, units."""
        totals = dict.fromkeys(self.tokens, 0)
        with Index(self.network.folder / "index.sqlite", self.chain) as index:
            index.sync()
            for event in index.events("Claimed", contract="Payments"):
                totals[str(event.arguments["token"])] += int(str(event.arguments["amount"]))
        return totals

    def unaccounted(self, *, at_the_end: bool = True) -> dict[str, int]:
        """Units that are nobody's, by token.

        ``at_the_end``: every term is over and everybody has claimed; before, a shard's fees may lie in its account.

        The sum of: what lies in a ledger beyond its record; what is recorded in Payments and belongs to no known
        account; fees of a shard whose term is over that nobody can claim any more; what is recorded in Restaking and
        belongs to nobody; and what of the supply lies with nobody known.
        """
        return {token: self._unaccounted(token, at_the_end=at_the_end) for token in self.tokens}

    def lines(self) -> list[tuple[str, str]]:
        """Lines for people."""
        found = []
        for token, units in self.paid().items():
            if units:
                found.append(
                    (
                        f"paid, {self.tokens[token]}",
                        f"{units / 1e18:.9f}; not accounted for: {self._unaccounted(token)}",
                    )
                )
        return found

    def _unaccounted(self, token: str, *, at_the_end: bool = True) -> int:
        ask = self.chain.call
        erc20 = self.chain.token(token)
        in_payments = int(ask(erc20.functions.balanceOf(self.payments.address)))
        in_restaking = int(ask(erc20.functions.balanceOf(self.restaking.address)))
        recorded_payments = int(ask(self.payments.functions.recorded(token)))
        recorded_restaking = int(ask(self.restaking.functions.recorded(token)))
        burned = int(ask(erc20.functions.balanceOf(ask(self.restaking.functions.BURN_ADDRESS()))))
        held = sum(int(ask(erc20.functions.balanceOf(person.address))) for person in self.people)
        supply = int(ask(erc20.functions.totalSupply()))
        return (
            abs(in_payments - recorded_payments)
            + abs(in_restaking - recorded_restaking)
            + abs(recorded_payments - self._owed_by_payments(token))
            + (self._fees_left(token) if at_the_end else 0)
            + abs(recorded_restaking - self._owed_by_restaking(token))
            + abs(supply - held - burned - in_payments - in_restaking)
        )

    def _balance(self, token: str, account: Any) -> int:
        return int(self.chain.call(self.payments.functions.balanceOf(token, account)))

    def _owed_by_payments(self, token: str) -> int:
        """Everybody's balance, the shards' fee and repair accounts, the licenses' books, the restakers' rewards."""
        ask, payments = self.chain.call, self.payments.functions
        rewards, assets = self.chain.contract("Rewards"), self.chain.contract("Assets")
        total = sum(self._balance(token, ask(payments.personAccount(person.address))) for person in self.people)
        for shard in range(1, self.views.shard_count() + 1):
            for account in (rewards.functions.feeAccount(shard), rewards.functions.repairAccount(shard)):
                total += self._balance(token, ask(account))
        for asset_id in range(1, int(ask(assets.functions.count())) + 1):
            total += self.views.license_book(asset_id, token)[0]
        restakers = self.chain.contract("RestakerRewards")
        for key in (restakers.functions.INBOX_KEY(), restakers.functions.BOOKED_KEY()):
            total += self._balance(token, ask(payments.moduleAccount(restakers.address, bytes(ask(key)))))
        return total

    def _fees_left(self, token: str) -> int:
        """What stays in the shards' fee accounts: nothing, once every term is over and everybody has claimed."""
        rewards = self.chain.contract("Rewards")
        return sum(
            self._balance(token, self.chain.call(rewards.functions.feeAccount(shard)))
            for shard in range(1, self.views.shard_count() + 1)
        )

    def _owed_by_restaking(self, token: str) -> int:
        """Free balances, pools, pending delegations, bonds, and what waits to be burned."""
        ask, restaking, views = self.chain.call, self.restaking.functions, self.views
        total = int(ask(restaking.burnable(token)))
        total += sum(views.free_balance(person.address, token) for person in self.people)
        for host in self.network.hosts:
            total += views.pool(host.address, token).assets
            total += sum(views.pending(person.address, host.address, token)[0] for person in self.people)
            for shard in range(1, views.shard_count() + 1):
                if views.shard_parameters(shard).bond_token == token:
                    total += int(ask(restaking.bondState(host.address, shard))[0])
        return total
