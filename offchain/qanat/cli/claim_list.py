"""`qanat claim-list`: lists of who may claim how much, from opening one to what is left of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.payments import ClaimList

__all__ = ["COMMAND", "claim_list", "read_entries", "round_of"]

#: Rounds of a list that are looked through for the one that a file is of, the last first.
ROUNDS_LOOKED_AT = 64
_ZERO = "0x" + "00" * 20


@dataclass(frozen=True)
class _List:
    """What the chain says of a list."""

    number: int
    token: str
    proposer: str
    arbiter: str
    window: int
    bond: int
    opener: str
    rounds: int
    claimed: int
    funds: int
    bond_held: int


def claim_list(session: Session, *, action: str, **options: Any) -> Outcome:
    """Do one thing with a list, or show it."""
    from qanat.errors import BadParameters

    body, needed, allowed = _ACTIONS[action]
    given = {name for name, value in options.items() if value not in (None, False, ())}
    for name in needed:
        if name not in given:
            raise BadParameters(f"`claim-list {action}` needs --{_option(name)}.")
    for name in sorted(given - set(needed) - set(allowed)):
        raise BadParameters(f"`claim-list {action}` has no --{_option(name)}.")
    return body(session, **{name: options[name] for name in (*needed, *allowed)})


def round_of(session: Session, made: ClaimList, path: Path) -> tuple[int, int]:
    """Return the round whose root a list's file is of, and from when it is accepted; of several an accepted one.

    Raises :class:`BadParameters` where none of the last is.
    """
    from qanat.errors import BadParameters

    contract = session.chain.contract("ClaimLists")
    if (made.chain_id, made.contract) != (session.chain.chain_id, contract.address):
        raise BadParameters(f"{path} is a list of another chain or contract.", path=str(path))
    rounds = int(session.chain.call(contract.functions.list(made.list_id))[2])
    found = None
    for number in range(rounds, max(0, rounds - ROUNDS_LOOKED_AT), -1):
        accepted = _accepted_at(session, made, number)
        if accepted is not None:
            found = number, accepted
            if accepted <= session.chain.timestamp():
                break
    if found is None:
        raise BadParameters(f"No root of list {made.list_id} is that of {path}.", hint="Is it a newer list's?")
    return found


def _accepted_at(session: Session, made: ClaimList, number: int) -> int | None:
    """From when a round is accepted, None if its root isn't the list's."""
    contract = session.chain.contract("ClaimLists").functions
    node, total, count, accepted = session.chain.call(contract.rootOf(made.list_id, number))
    return int(accepted) if (bytes(node), int(total), int(count)) == (made.node, made.total, made.count) else None


def _check_file(session: Session, made: ClaimList, path: Path, list_id: int, number: int) -> None:
    """Raise :class:`BadParameters` unless a file is that of one round of a list."""
    from qanat.errors import BadParameters

    here = (session.chain.chain_id, session.chain.contract("ClaimLists").address, list_id)
    if (made.chain_id, made.contract, made.list_id) != here or _accepted_at(session, made, number) is None:
        raise BadParameters(f"{path} isn't the file of round {number} of list {list_id}.", path=str(path))


# ---- from opening to accepted


def _open(
    session: Session, *, token: str, bond: str, window: float | None, proposer: str | None, arbiter: str | None
) -> Outcome:
    from qanat.cli.amounts import parse_address, parse_amount

    _, found = session.token(token)
    hours = 48.0 if window is None else window
    terms = (
        found.address,
        session.address if proposer is None else parse_address(proposer, "proposer"),
        _ZERO if arbiter is None else parse_address(arbiter, "arbiter"),
        round(hours * 3_600),
        parse_amount(bond, found.decimals),
    )
    contract = session.chain.contract("ClaimLists")
    call = contract.functions.open(terms)
    session.sender.check_refusal(call)
    session.confirm(
        "Open a list of claims; its terms never change",
        [
            f"in {session.token(token)[0]}; roots by {terms[1]}",
            f"each with {session.amount(terms[4], found.address)} at stake, to be looked at for {hours:g} hours",
            "nobody can reject a root whose amounts are wrong" if arbiter is None else f"arbiter: {terms[2]}",
        ],
    )
    receipt = session.sender.send(call)
    (opened,) = contract.events.ListOpened().process_receipt(receipt)
    number = int(opened["args"]["listId"])
    return _shown(session, number, [f"Opened list {number}. Next: qanat claim-list fund --list {number} --amount …"])


def _fund(session: Session, *, list_id: int, amount: str) -> Outcome:
    from qanat.cli.amounts import parse_amount
    from qanat.errors import BadParameters

    found = _look(session, list_id)
    units = parse_amount(amount, session.token(found.token)[1].decimals)
    if units == 0:
        raise BadParameters("The amount is zero.", amount=amount)
    call = _pay_in(session, found, "fundAccount", units)
    session.check_payable(call, found.token, units)
    lines = [f"{session.amount(units, found.token)} into its account in Payments"]
    if not found.rounds:
        lines.append(f"until it has a root, its opener {found.opener} may take all of it")
    session.confirm(f"Fund list {list_id}", lines, transactions=2)
    session.sender.pay(call, found.token, session.chain.contract("Payments").address, units)
    return _shown(session, list_id, [f"Funded list {list_id} with {session.amount(units, found.token)}."])


def _propose(
    session: Session, *, list_id: int, entries: Path, out: Path, in_units: bool, before: Path | None, force: bool
) -> Outcome:
    from qanat.errors import BadParameters, FileUnreadable, TransactionReverted
    from qanat.payments import ClaimList
    from qanat.payments.claims import changes

    if out.exists() and not force:
        raise FileUnreadable(f"{out} exists.", hint="Choose another name, or say --force.", path=str(out))
    found = _look(session, list_id)
    chain, contract = session.chain, session.chain.contract("ClaimLists")
    decimals = 0 if in_units else session.token(found.token)[1].decimals
    made = ClaimList.of(chain.chain_id, contract.address, list_id, read_entries(entries, decimals))
    if found.rounds:
        # who is given less than before can have the root fall, and half of the bond with it
        if before is None:
            raise BadParameters(
                f"List {list_id} has a root already: amounts are cumulative, and none may fall.",
                hint="Give that round's file with --before.",
            )
        older = ClaimList.load(before)
        _check_file(session, older, before, list_id, found.rounds)
        for account, was, now in changes(older, made):
            raise BadParameters(
                f"{account} had {session.amount(was, found.token)} in all, and would have "
                f"{session.amount(now, found.token)}.",
                hint="What an entry names is what its account may have claimed in all, earlier rounds included.",
                account=account,
                before=was,
                after=now,
            )
    call = contract.functions.propose(list_id, made.node, made.total, made.count)
    missing = max(0, found.bond - found.bond_held)
    try:
        session.sender.estimate(call)
    except TransactionReverted as error:
        if not missing or error.error_name != "BondTooLow":
            raise
    lines = [f"{made.count} entries, {session.amount(made.total, found.token)} in all; written to {out}"]
    if missing:
        lines.append(f"its bond: {session.amount(missing, found.token)}, lost if somebody shows a fault")
        session.check_payable(_pay_in(session, found, "bondAccount", missing), found.token, missing)
    session.confirm(f"Propose round {found.rounds + 1} of list {list_id}", lines, transactions=3 if missing else 1)
    # before the root: a root whose entries nobody has is worth nothing
    made.save(out)
    if missing:
        pay = _pay_in(session, found, "bondAccount", missing)
        session.sender.pay(pay, found.token, chain.contract("Payments").address, missing)
    session.sender.send(call)
    says = [
        f"Proposed {session.amount(made.total, found.token)} for {made.count} accounts.",
        f"Publish {out} now: with it they look at the root for {found.window / 3600:g} hours, and claim afterwards.",
    ]
    return _shown(session, list_id, says, file=str(out), node=made.node, total=made.total, count=made.count)


def _challenge(session: Session, *, file: Path, before: Path | None) -> Outcome:
    """Show the fault of a root that is not accepted yet, if there is one."""
    from qanat.payments import ClaimList
    from qanat.payments.claims import changes

    made = ClaimList.published(file)
    found = _look(session, made.list_id)
    number = found.rounds
    _check_file(session, made, file, made.list_id, number)
    contract = session.chain.contract("ClaimLists").functions
    wrong = made.fault_of_order()
    call, what = None, ""
    if wrong is not None:
        call = contract.challengeOrder(made.list_id, *(leaf.as_tuple() for leaf in wrong))
        what = f"{wrong[1].account} stands after {wrong[0].account}"
    elif before is not None:
        older = ClaimList.load(before)
        _check_file(session, older, before, made.list_id, number - 1)
        for account, was, now in changes(older, made):
            leaves = [leaf.as_tuple() for leaf in made.around(account)]
            call = contract.challengeLoss(made.list_id, older.leaf(account).as_tuple(), leaves)
            what = f"{account} had {session.amount(was, found.token)}, and has {session.amount(now, found.token)}"
            break
    if call is None:
        looked = "and nobody has less than before" if before is not None else "(--before FILE compares amounts)"
        return _shown(session, made.list_id, [f"Round {number} is in order {looked}."], fault=None)
    session.sender.estimate(call)
    session.confirm(
        f"Challenge round {number} of list {made.list_id}",
        [what, f"to this account: {session.amount(found.bond // 2, found.token)}, half of the bond"],
    )
    session.sender.send(call)
    return _shown(
        session, made.list_id, [f"Round {number} has fallen: {what}. `claim` pays the reward out."], fault=what
    )


def _reject(session: Session, *, list_id: int, reason: Path) -> Outcome:
    from eth_utils.crypto import keccak

    from qanat.errors import FileUnreadable

    try:
        digest = bytes(keccak(reason.read_bytes()))
    except OSError as error:
        raise FileUnreadable(f"{reason} can't be read: {error.strerror}.", path=str(reason)) from error
    found = _look(session, list_id)
    call = session.chain.contract("ClaimLists").functions.reject(list_id, digest)
    session.sender.estimate(call)
    session.confirm(
        f"Reject round {found.rounds} of list {list_id}",
        [f"its bond, {session.amount(found.bond, found.token)}, goes into the list's funds"],
    )
    session.sender.send(call)
    return _shown(session, list_id, [f"Rejected round {found.rounds}; keep {reason}: its hash is on chain."])


# ---- claims, and what is left


def _claim(session: Session, *, file: Path, amount: str | None, claimant: str | None) -> Outcome:
    """Book a part, or all, of what an account may still claim to that account."""
    from qanat.cli.amounts import parse_address, parse_amount
    from qanat.errors import BadParameters
    from qanat.payments import ClaimList

    made = ClaimList.load(file)
    found = _look(session, made.list_id)
    who = session.address if claimant is None else parse_address(claimant, "claimant")
    number, _ = round_of(session, made, file)
    units = 0 if amount is None else parse_amount(amount, session.token(found.token)[1].decimals)
    if amount is not None and not units:
        raise BadParameters("The amount is zero.", hint="Leave it out to claim all.", amount=amount)
    contract = session.chain.contract("ClaimLists").functions
    call = contract.claim((made.list_id, number, units, made.leaf(who).as_tuple()))
    session.sender.estimate(call)
    before = int(session.chain.call(contract.claimed(made.list_id, who)))
    session.confirm(f"Claim from list {made.list_id}", [f"for {who}, as its own balance in Payments"])
    session.sender.send(call)
    claimed = int(session.chain.call(contract.claimed(made.list_id, who)))
    left = made.amount_of(who) - claimed
    says = [
        f"Booked {session.amount(claimed - before, found.token)} to {who}; `claim` pays out.",
        f"{session.amount(left, found.token)} are left.",
    ]
    return _shown(session, made.list_id, says, account=who, booked=claimed - before, left=left)


def _take_back(session: Session, *, list_id: int, bond_back: bool, surplus: bool) -> Outcome:
    from qanat.errors import BadParameters

    if bond_back == surplus:
        raise BadParameters("Say what is taken back: --bond-back or --surplus.")
    found = _look(session, list_id)
    contract = session.chain.contract("ClaimLists").functions
    call = contract.takeBond(list_id) if bond_back else contract.takeSurplus(list_id)
    session.sender.estimate(call)
    what = "the bond, to its proposer" if bond_back else "what its last root doesn't promise, to its opener"
    session.confirm(f"Take back from list {list_id}", [what])
    session.sender.send(call)
    after = _look(session, list_id)
    units = found.bond_held - after.bond_held if bond_back else found.funds - after.funds
    says = [f"Booked {session.amount(units, found.token)} to {found.proposer if bond_back else found.opener}."]
    return _shown(session, list_id, [*says, "`claim` pays out."], booked=units)


def _show(session: Session, *, list_id: int | None) -> Outcome:
    if list_id is not None:
        return _shown(session, list_id, [])
    count = int(session.chain.call(session.chain.contract("ClaimLists").functions.listCount()))
    found = [_look(session, number) for number in range(max(1, count - 99), count + 1)]
    rows = [
        (item.number, session.amount(item.funds, item.token), item.rounds, item.opener, item.proposer) for item in found
    ]
    columns = ["list", "funds", "rounds", "opener", "proposer"]
    says = [] if rows else ["No list was opened yet."]
    return Outcome(
        {"count": count, "lists": [_facts(item) for item in found]},
        says,
        [table("Lists of claims, the newest hundred", columns, rows, right=["list", "funds"])] if rows else [],
    )


# ---- looking


def _look(session: Session, list_id: int) -> _List:
    chain = session.chain
    contract, payments = chain.contract("ClaimLists").functions, chain.contract("Payments").functions
    terms, opener, rounds, claimed = chain.call(contract.list(list_id))
    checksum = chain.web3.to_checksum_address
    token = checksum(str(terms[0]))

    def held(account: str) -> int:
        place = chain.call(getattr(contract, account)(list_id))
        return int(chain.call(payments.balanceOf(token, place)))

    return _List(
        list_id,
        token,
        checksum(str(terms[1])),
        checksum(str(terms[2])),
        int(terms[3]),
        int(terms[4]),
        checksum(str(opener)),
        int(rounds),
        int(claimed),
        held("fundAccount"),
        held("bondAccount"),
    )


def _facts(item: _List) -> dict[str, Any]:
    return {
        "list": item.number,
        "token": item.token,
        "opener": item.opener,
        "proposer": item.proposer,
        "arbiter": None if item.arbiter == _ZERO else item.arbiter,
        "window": item.window,
        "bond": item.bond,
        "bondHeld": item.bond_held,
        "funds": item.funds,
        "claimed": item.claimed,
        "rounds": item.rounds,
    }


def _shown(session: Session, list_id: int, says: list[str], **more: Any) -> Outcome:
    """What the chain says of a list, after what was done."""
    import datetime as dt

    chain, item = session.chain, _look(session, list_id)
    contract, now = chain.contract("ClaimLists").functions, chain.timestamp()
    roots: list[dict[str, Any]] = []
    for number in range(item.rounds, max(0, item.rounds - 16), -1):
        node, total, count, accepted = chain.call(contract.rootOf(list_id, number))
        roots.append(
            {
                "round": number,
                "state": "accepted" if now >= int(accepted) else "pending",
                "node": bytes(node),
                "total": int(total),
                "count": int(count),
                "acceptedAt": int(accepted),
            }
        )

    def told(root: dict[str, Any]) -> str:
        since = dt.datetime.fromtimestamp(root["acceptedAt"], tz=dt.timezone.utc)
        what = f"{session.amount(root['total'], item.token)} for {root['count']} accounts"
        return f"{root['state']}: {what}, from {since:%Y-%m-%d %H:%M} UTC on"

    rows = [
        ("opened by", item.opener),
        ("roots by", f"{item.proposer}, each looked at for {item.window / 3600:g} hours"),
        ("arbiter", "none" if item.arbiter == _ZERO else item.arbiter),
        ("funds", session.amount(item.funds, item.token)),
        ("claimed so far", session.amount(item.claimed, item.token)),
        ("bond", f"{session.amount(item.bond_held, item.token)} of {session.amount(item.bond, item.token)}"),
        *((f"round {root['round']}", told(root)) for root in roots),
    ]
    return Outcome({**_facts(item), "roots": roots, **more}, says, [table(f"List {list_id}", ["", " "], rows)])


def _pay_in(session: Session, found: _List, account: str, units: int) -> Any:
    place = session.chain.call(getattr(session.chain.contract("ClaimLists").functions, account)(found.number))
    return session.chain.contract("Payments").functions.payIn(found.token, place, units)


# ---- entries


def read_entries(path: Path, decimals: int) -> dict[str, int]:
    """Return amounts by account from a CSV or JSON file. Raises :class:`BadParameters` that names the entry."""
    from qanat.cli.amounts import parse_address, parse_amount
    from qanat.errors import BadParameters, QanatError

    found: dict[str, int] = {}
    for where, who, amount in _lines(path):
        try:
            account, units = parse_address(who, "account"), parse_amount(amount, decimals)
        except QanatError as error:
            raise BadParameters(f"{path}, {where}: {error.message}", hint=error.hint, path=str(path)) from error
        if account == _ZERO:
            raise BadParameters(f"{path}, {where}: nobody could ever be paid what the zero address claims.")
        if account in found:
            raise BadParameters(f"{path}, {where}: {account} stands twice.", account=account)
        found[account] = units
    return found


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (where, account, amount) as they stand."""
    from qanat import strict_json
    from qanat.errors import BadParameters, FileUnreadable

    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() != ".json":
            for number, row in enumerate(csv.reader(text.splitlines()), 1):
                cells = [cell.strip() for cell in row]
                if not any(cells) or (number == 1 and cells[0].lower() in ("address", "account")):
                    continue
                if len(cells) != 2:
                    raise BadParameters(f"{path}, line {number}: it has not an address and an amount.", path=str(path))
                yield f"line {number}", cells[0], cells[1]
            return
        strict_json.parse(text)
        raw = json.loads(text, object_pairs_hook=list, parse_float=str, parse_int=str)
        for number, pair in enumerate(raw, 1):
            named = (
                pair if len(pair) == 2 and isinstance(pair[0], str) else [dict(pair)["address"], dict(pair)["amount"]]
            )
            if not all(isinstance(item, str) for item in named):
                raise BadParameters(f"{path}, entry {number}: it is no address with an amount.", path=str(path))
            yield f"entry {number}", named[0], named[1]
    except OSError as error:
        raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error
    except (ValueError, TypeError, KeyError, RecursionError, csv.Error) as error:
        raise BadParameters(
            f"{path} has no entries that can be read: {error}.",
            hint='CSV: an address and an amount a line; JSON: {"0x…": "12.5"}, or [{"address": …, "amount": …}].',
            path=str(path),
        ) from error


def _option(name: str) -> str:
    return {"list_id": "list", "reason": "reason-file"}.get(name, name.replace("_", "-"))


_Body = Callable[..., Outcome]
#: What can be done → how, with which options it needs, and which it may have.
_ACTIONS: dict[str, tuple[_Body, tuple[str, ...], tuple[str, ...]]] = {
    "show": (_show, (), ("list_id",)),
    "open": (_open, ("token", "bond"), ("window", "proposer", "arbiter")),
    "fund": (_fund, ("list_id", "amount"), ()),
    "propose": (_propose, ("list_id", "entries", "out"), ("in_units", "before", "force")),
    "challenge": (_challenge, ("file",), ("before",)),
    "reject": (_reject, ("list_id", "reason"), ()),
    "claim": (_claim, ("file",), ("amount", "claimant")),
    "take-back": (_take_back, ("list_id",), ("bond_back", "surplus")),
}
_FILE = click.Path(path_type=Path, dir_okay=False)

COMMAND = Command(
    name="claim-list",
    run=claim_list,
    summary="Open, fund, propose, challenge, claim and close lists of who may claim how much.",
    details="`claim --list FILE` claims all of one's own. Rules: docs/contracts/claim_lists.md.",
    example="propose --list 1 --entries harvest.csv --out harvest.json",
    account="maybe",
    parameters=(
        click.argument("action", type=click.Choice(list(_ACTIONS)), default="show"),
        click.option("--list", "list_id", type=click.IntRange(min=1), help="Which list."),
        click.option("--token", help="open: token of the list, by symbol or address."),
        click.option("--bond", help="open: what a proposer has at stake, in whole tokens."),
        click.option(
            "--window",
            type=click.FloatRange(1, 720),
            help="open: hours in which a root can be challenged.  [default: 48]",
        ),
        click.option("--proposer", help="open: who alone proposes roots.  [default: the account]"),
        click.option("--arbiter", help="open: who may reject roots whose amounts are wrong.  [default: nobody]"),
        click.option("--amount", help="fund, claim: how much, in whole tokens.  [default of claim: all]"),
        click.option(
            "--entries",
            type=_FILE,
            help="propose: CSV or JSON of addresses, and what each may have claimed in all, in whole tokens.",
        ),
        click.option("--in-units", is_flag=True, help="propose: the amounts are in the token's smallest units."),
        click.option("--out", type=_FILE, help="propose: where to write the list, to be published."),
        click.option("--force", is_flag=True, help="propose: replace the file if it exists."),
        click.option("--before", type=_FILE, help="propose, challenge: the list's file of the round before."),
        click.option("--file", type=_FILE, help="challenge, claim: the list as its proposer published it."),
        click.option("--claimant", help="claim: for whom; it goes to them.  [default: the account]"),
        click.option("--reason-file", "reason", type=_FILE, help="reject: why; its hash goes on chain."),
        click.option("--bond-back", is_flag=True, help="take-back: the proposer's bond."),
        click.option("--surplus", is_flag=True, help="take-back: what the last root doesn't promise."),
    ),
)
