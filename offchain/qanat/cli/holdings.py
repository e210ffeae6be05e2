"""What an account has at stake and has to come: for `qanat status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qanat.cli.session import Session, table

if TYPE_CHECKING:
    from qanat.index import Index

__all__ = [
    "SHOWN",
    "allocated",
    "money_tables",
    "places",
    "pools",
    "queue",
    "rewards",
    "slash_tables",
    "slashes",
    "stake",
    "title",
]

#: Rows of a table at most; --json has all.
SHOWN = 20


def title(what: str, items: list[Any]) -> str:
    """Return a table's title, which says if it does not show everything."""
    return what if len(items) <= SHOWN else f"{what}, the newest {SHOWN} of {len(items)}"


def stake(session: Session, index: Index, who: str) -> list[dict[str, Any]]:
    """Where an account's tokens are, in the contracts and outside of them."""
    views, chain = session.views, session.chain
    made: list[dict[str, Any]] = []

    def add(where: str, token: str, units: int) -> None:
        if units:
            symbol = session.token(token)[0]
            made.append(
                {
                    "where": where,
                    "token": token,
                    "amount": units,
                    "shown": session.amount(units, token),
                    "symbol": symbol,
                }
            )

    for known in chain.deployment.tokens.values():
        add("wallet", known.address, int(chain.call(chain.token(known.address).functions.balanceOf(who))))
        add("restaking, free", known.address, views.free_balance(who, known.address))
        add("payments, to claim", known.address, views.claimable(known.address, who))
    for operator, token in pools(index, who):
        add(f"behind {operator}", token, views.pool(operator, token).worth(views.shares(who, operator, token)))
        add(f"waiting for {operator}", token, views.pending(who, operator, token)[0])
    for number in range(1, views.shard_count() + 1):
        add(f"bond, shard {number}", views.shard_parameters(number).bond_token, views.bond(who, number))
    return made


def pools(index: Index, who: str) -> list[tuple[str, str]]:
    """(Operator, collateral) of each pool that an account ever delegated to."""
    return sorted(
        {
            (str(event.arguments["operator"]), str(event.arguments["collateral"]))
            for event in index.events("Delegated", contract="Restaking")
            if event.arguments["restaker"] == who
        }
    )


def queue(session: Session, index: Index, who: str) -> list[dict[str, Any]]:
    """What an account queued, and from when on it can be completed, the earliest first."""
    made = _Queue(session, index, who)
    made.of_restaker()
    made.of_operator()
    return sorted(made.items, key=lambda item: item["block"])


class _Queue:
    """What an account queued, as restaker and as operator, and the block from which it can be completed."""

    def __init__(self, session: Session, index: Index, who: str) -> None:
        self.session, self.index, self.who = session, index, who
        self.latest = session.chain.latest()
        self.items: list[dict[str, Any]] = []

    def add(self, what: str, token: str, amount: str, block: int, operator: str, to: str | None = None) -> None:
        """Put something on the list. A pending slash of the operator makes it wait longer."""
        pending = self.session.views.pending_slashes(operator)
        self.items.append(
            {
                "what": what,
                "token": token,
                "amount": amount,
                "block": block,
                "operator": operator,
                "to_operator": to,
                "pending_slashes": pending,
                "due": block <= self.latest + 1 and not pending,
            }
        )

    def of_restaker(self) -> None:
        """Add withdrawals, changes of operator, delegations that wait."""
        session, views = self.session, self.session.views
        completed = {event.arguments["id"] for event in self.index.events("WithdrawalCompleted", contract="Restaking")}
        for event in self.index.events("WithdrawalQueued", contract="Restaking"):
            number = int(str(event.arguments["id"]))
            if event.arguments["restaker"] != self.who or event.arguments["id"] in completed:
                continue
            item = views.withdrawal(number)
            to = None if int(item.to_operator, 16) == 0 else item.to_operator
            what = f"withdrawal {number}" if to is None else f"withdrawal {number}, to operator {to}"
            worth = session.amount(views.pool(item.operator, item.collateral).worth(item.shares), item.collateral)
            self.add(what, item.collateral, worth, item.free_from_block, item.operator, to)
        for operator, token in pools(self.index, self.who):
            waiting, matures = views.pending(self.who, operator, token)
            if waiting:
                self.add("delegation", token, session.amount(waiting, token), matures, operator)

    def of_operator(self) -> None:
        """Add allocations on their way in or out, and bonds on their way out."""
        from qanat.cli.allocation import allocations

        session, views, who = self.session, self.session.views, self.who
        delay = views.withdrawal_delay()
        for number in range(1, views.shard_count() + 1):
            bound = views.bound_in(number, who, 0, self.latest)
            for part in allocations(session, who, number):
                share = f"{part.waiting / (part.whole or 1):.2%} of the pool"
                if part.waiting:
                    self.add(f"allocation to shard {number}", part.token, share, part.ready_block, who)
                share = f"{part.queued / (part.whole or 1):.2%} of the pool"
                if part.queued:
                    ready = max(self._deallocation_block(number, part.token), bound)
                    self.add(f"allocation out of shard {number}", part.token, share, ready, who)
            queued, since = views.queued_bond(who, number)
            if queued:
                token = views.shard_parameters(number).bond_token
                self.add(
                    f"bond of shard {number}", token, session.amount(queued, token), max(since + delay, bound), who
                )

    def _deallocation_block(self, shard: int, token: str) -> int:
        """Block that the last queueing named."""
        named = [
            int(str(event.arguments["readyBlock"]))
            for event in self.index.events("DeallocationQueued", contract="Restaking")
            if (event.arguments["operator"], int(str(event.arguments["shard"])), event.arguments["collateral"])
            == (self.who, shard, token)
        ]
        return max(named, default=0)


def rewards(session: Session, index: Index, who: str) -> list[dict[str, Any]]:
    """What an account has to come as restaker, as operator, and as who sealed.

    ``claimable`` is booked to it; ``expected`` is its part, by the stake of now, of answered epochs that nobody has
    settled: about right, since what is settled is shared by the stake of that moment.
    """
    from qanat.cli.settling import unsettled

    views, chain = session.views, session.chain
    rewards = chain.contract("RestakerRewards").functions
    paid_in = {
        (str(event.arguments["operator"]), str(event.arguments["token"]))
        for event in index.events("RewardBooked", contract="RestakerRewards")
    }
    claimable: dict[tuple[str, str], int] = {}
    for operator, collateral in pools(index, who):
        for payer, token in paid_in:
            if payer == operator:
                units = int(chain.call(rewards.claimable(who, operator, collateral, token)))
                claimable[operator, token] = claimable.get((operator, token), 0) + units
    expected: dict[tuple[str, str], int] = {}
    epochs: dict[tuple[str, str], int] = {}
    sealed = {(seal.shard, seal.epoch) for seal in index.sealed_epochs() if seal.sealer == who}
    concerned = {operator for operator, _ in pools(index, who)} | ({who} & set(index.operators()))
    concerned |= {operator for operator in index.operators() if sealed & set(unsettled(index, operator))}
    for operator in concerned:
        commission = views.operator(operator).commission_bps
        for shard, epoch in unsettled(index, operator):
            key = (operator, views.shard_parameters(shard).payment_token)
            earned, to_sealers = views.earned_in(shard, epoch, operator)
            rest = earned - to_sealers
            own = rest * commission // 10_000
            expected[key] = expected.get(key, 0) + _part(session, who, operator, shard, rest - own)
            expected[key] += own if operator == who else 0
            expected[key] += to_sealers if (shard, epoch) in sealed else 0
            epochs[key] = epochs.get(key, 0) + 1
    return [
        {
            "operator": operator,
            "token": token,
            "claimable": claimable.get((operator, token), 0),
            "expected": expected.get((operator, token), 0),
            "unsettled_epochs": epochs.get((operator, token), 0),
        }
        for operator, token in sorted(claimable.keys() | expected.keys())
        if claimable.get((operator, token)) or expected.get((operator, token))
    ]


def _part(session: Session, who: str, operator: str, shard: int, amount: int) -> int:
    """Return a restaker's part of what restakers get, by weight in the shard now."""
    views = session.views
    own = total = 0
    for item in views.collaterals(shard):
        pool, stake = views.pool(operator, item.token), views.stake(operator, shard, item.token)
        unqueued = pool.shares - pool.queued_shares
        total += stake * item.weight_wad
        own += stake * item.weight_wad * views.shares(who, operator, item.token) // unqueued if unqueued else 0
    return amount * own // total if total else 0


def allocated(session: Session, index: Index, who: str) -> list[dict[str, Any]]:
    """What part of an operator's pools stands behind which shard."""
    from qanat.cli.allocation import allocations

    if who not in index.operators():
        return []
    return [
        {"shard": number, **item.to_json()}
        for number in range(1, session.views.shard_count() + 1)
        for item in allocations(session, who, number)
        if item.effective or item.waiting or item.queued
    ]


def places(session: Session, index: Index, who: str) -> list[dict[str, Any]]:
    """What each shard knows of an operator: member, tickets, misses, jail, places that are open to others."""
    if who not in index.operators():
        return []
    views, latest = session.views, session.chain.latest()
    made = []
    for number in range(1, views.shard_count() + 1):
        state = views.member(number, who)
        jailed = state.jailed_until > views.epoch_at(number, latest)
        if state.is_member or jailed or state.open_since:
            made.append(
                {
                    "shard": number,
                    "member": state.is_member,
                    "tickets": state.tickets,
                    "counted_anew": state.marked,
                    "misses": state.misses,
                    "jailed_until_epoch": state.jailed_until if jailed else None,
                    "jailed_until_block": views.seed_block(number, state.jailed_until) if jailed else None,
                    "places_open_since_block": state.open_since or None,
                }
            )
    return made


def slashes(session: Session, index: Index, who: str | None) -> list[dict[str, Any]]:
    """Slashes of an account, of the operators that it delegated to; of all, where no account is named."""
    concerned = None if who is None else {who} | {operator for operator, _ in pools(index, who)}
    return [
        {
            "slash": item.slash_id,
            "shard": item.shard,
            "epoch": item.epoch,
            "operator": item.operator,
            "state": "pending" if item.executed_block is None else "executed",
            # the guardian may have moved it since it was queued
            "block": session.views.slash(item.slash_id).ready_block
            if item.executed_block is None
            else item.executed_block,
            "bond_taken": item.bond_taken,
            "stake_taken": dict(item.stake_taken),
        }
        for item in index.slashes()
        if concerned is None or item.operator in concerned
    ]


def slash_tables(session: Session, slashes: list[dict[str, Any]]) -> list[Any]:
    """Return a table of what :func:`slashes` found."""
    if not slashes:
        return []
    bond_tokens = {item["shard"]: session.views.shard_parameters(item["shard"]).bond_token for item in slashes}
    rows = [
        (
            item["operator"],
            item["shard"],
            item["epoch"],
            f"pending, from block {item['block']} on"
            if item["state"] == "pending"
            else f"executed in block {item['block']}",
            session.amount(item["bond_taken"], bond_tokens[item["shard"]]) if item["bond_taken"] else "-",
            ", ".join(session.amount(units, token) for token, units in item["stake_taken"].items()) or "-",
        )
        for item in slashes[-SHOWN:]
    ]
    columns = ["operator", "shard", "epoch", "state", "of the bond", "of the stake"]
    return [table(title("Slashes", slashes), columns, rows, right=["shard", "epoch"])]


def money_tables(session: Session, who: str, data: dict[str, Any]) -> list[Any]:
    """Return tables of what the functions above found of an account, by their names in ``data``."""
    rows = [(item["where"], item["symbol"], item["shown"]) for item in data["stake"]]
    made = [table(f"Money of {who}", ["where", "token", "amount"], rows)]
    if data["queue"]:
        lines = [
            (
                item["what"],
                item["operator"],
                item["amount"],
                "now"
                if item["due"]
                else f"block {item['block']}"
                + (f", after {item['pending_slashes']} pending slashes" if item["pending_slashes"] else ""),
            )
            for item in data["queue"]
        ]
        made.append(table("Queue", ["what", "operator", "amount", "can be completed"], lines))
    if data["places"]:
        known = [
            (
                item["shard"],
                "yes" if item["member"] else "no",
                f"{item['tickets']}{', to be counted anew' if item['counted_anew'] else ''}",
                item["misses"],
                f"until epoch {item['jailed_until_epoch']}, block {item['jailed_until_block']}"
                if item["jailed_until_epoch"]
                else "no",
                f"since block {item['places_open_since_block']}" if item["places_open_since_block"] else "no",
            )
            for item in data["places"]
        ]
        columns = ["shard", "member", "tickets", "misses", "jailed", "open to others"]
        made.append(table("As operator", columns, known, right=["shard", "misses"]))
    if data["allocations"]:
        shares = [
            (
                item["shard"],
                session.token(item["token"])[0],
                *(f"{item[name] / (item['whole'] or 1):.2%}" for name in ("effective", "waiting", "queued")),
                item["ready_block"] or "",
            )
            for item in data["allocations"]
        ]
        columns = ["shard", "token", "effective", "waiting", "on its way out", "waits until block"]
        made.append(table("Allocations", columns, shares, right=columns[2:]))
    if data["rewards"]:
        rewards = [
            (
                item["operator"],
                session.amount(item["claimable"], item["token"]),
                f"about {session.amount(item['expected'], item['token'])}",
                item["unsettled_epochs"],
            )
            for item in data["rewards"]
        ]
        columns = ["rewards from", "to claim", "to come", "unsettled epochs"]
        made.append(table("", columns, rewards, right=["unsettled epochs"]))
    return made
