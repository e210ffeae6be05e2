"""`qanat register`: from an account to an operator with a place in a shard, and the files of its node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.allocation import WHOLE, allocation, allocations, parts
from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from qanat.chain.views import ShardParameters

__all__ = ["COMMAND", "register"]


def register(
    session: Session,
    *,
    shard: str | None,
    endpoint: str,
    commission: int,
    bond: str | None,
    allocations: tuple[str, ...],
    responder_coins: str,
    join: bool | None,
    folder: Path,
    host: str,
    port: int,
    data: str,
    report: bool,
    hold_keys: bool,
) -> Outcome:
    """Make the key files, register, post bond, allocate, join, write ``node.json``: whatever of it is still to be done.

    Nothing is sent before everything that can be checked was. A second run does what the first could not, usually
    joining, since stake can be delegated to a registered operator only.
    """
    from qanat.cli.amounts import format_amount, parse_amount
    from qanat.errors import BadParameters, InsufficientStake
    from qanat.node.config import passphrase

    chain, views = session.chain, session.views
    number = chain.deployment.shard(shard)
    terms = views.shard_parameters(number)
    collaterals = views.collaterals(number)
    _, bond_token = session.token(terms.bond_token)
    wanted_bond = (
        max(terms.min_bond, terms.bond_per_ticket) if bond is None else parse_amount(bond, bond_token.decimals)
    )
    if wanted_bond < max(terms.min_bond, terms.bond_per_ticket):
        least = session.amount(max(terms.min_bond, terms.bond_per_ticket), terms.bond_token)
        raise BadParameters(
            f"Shard {number} asks for a bond of at least {least}.",
            hint="Give more with --bond, or leave it out: then it is the least.",
            bond=wanted_bond,
        )
    if len(endpoint.encode()) > 256 or not endpoint.startswith(("http://", "https://")):
        raise BadParameters(
            "The endpoint is a base URL (http or https) of at most 256 bytes.",
            hint="Write it as others reach the node: --endpoint https://node.example.org:7101",
            endpoint=endpoint,
        )
    taken = [item.token for item in collaterals]
    shares = parts(session, allocations, taken) or dict.fromkeys(taken, WHOLE)

    me = session.address
    registered = views.is_registered(me)
    missing_bond = max(0, wanted_bond - views.bond(me, number)) if registered else wanted_bond
    to_allocate = _to_allocate(session, number, shares, registered=registered)
    member = registered and me in views.members(number)
    weight = views.weight(me, number) if registered else 0
    if join and not member and weight < terms.ticket_price and not (registered and to_allocate):
        raise InsufficientStake(
            f"{me} has weight {format_amount(weight, 18)} in shard {number}; "
            f"one ticket takes {format_amount(terms.ticket_price, 18)}.",
            hint="Let stake be delegated to it first (`qanat delegate`), then run this again.",
            weight=weight,
            ticket_price=terms.ticket_price,
        )
    if missing_bond:
        call = chain.contract("Restaking").functions.postBond(number, missing_bond)
        if not session.sender.is_under_way(call):
            session.sender.check_tokens(terms.bond_token, missing_bond)

    password = passphrase()
    keys = _Keys(folder)
    keys.open(password)
    if registered:
        keys.check(session)
    coins = parse_amount(responder_coins, 18)
    slashers = _to_accept(session, number, hold_keys=hold_keys, registered=registered)

    lines = (
        [] if registered else [f"register {me} with BLS key and endpoint {endpoint}, commission {commission / 100:g} %"]
    )
    if missing_bond:
        lines.append(f"post bond: {session.amount(missing_bond, terms.bond_token)}, slashed when answers are missed")
    lines += [
        f"put {part / WHOLE:.2%} of delegated {session.token(token)[0]} behind shard {number}"
        for token, part in to_allocate.items()
    ]
    if coins:
        lines.append(
            f"send {responder_coins} coins to the node's responder, {folder / 'keys/responder.json'}, for its gas"
        )
    lines += _what_is_accepted(slashers)
    session.confirm(
        f"Operator in shard {number}", [*lines, "join the shard, if stake suffices"], transactions=len(lines) + 3
    )

    keys.make_missing(password)
    done = _send(session, number, terms, keys, registered, endpoint, commission, missing_bond, to_allocate, coins)
    done.update(_accept(session, slashers))
    joined, why = _join(session, number, join, member)
    node = keys.node
    node.settings = {
        **node.settings,
        "operator": me,
        "shard": number,
        "rpc": chain.url,
        "deployment": str(Path(chain.deployment.path or f"{chain.deployment.network}.json").resolve()),
        "data": data,
        "host": host,
        "port": port,
        "keys": {
            "bls": node.bls_files[0] if len(node.bls_files) == 1 else node.bls_files,
            "sealing": "keys/sealing.json",
            "responder": "keys/responder.json",
        },
    }
    if report:
        node.settings["report"] = True
    node.write()

    says = [
        f"{me} is operator in shard {number}, bond {session.amount(views.bond(me, number), terms.bond_token)}.",
        "It has joined: the next roster counts it." if joined else f"It has not joined yet: {why}",
        f"Responder {keys.responder.address} pays the node's gas: see that it holds coins.",
        f"Next: qanat node --config {node.file}",
    ]
    return Outcome(
        {
            "operator": me,
            "shard": number,
            "key_hash": views.chain.web3.keccak(keys.bls.public_key).to_0x_hex(),
            "responder": keys.responder.address,
            "bond": views.bond(me, number),
            "weight": views.weight(me, number),
            "joined": joined,
            "why_not_joined": None if joined else why,
            "config": str(node.file),
            "transactions": done,
        },
        says,
    )


class _Keys:
    """The key files of a node: BLS (several after a rotation), sealing, responder."""

    def __init__(self, folder: Path) -> None:
        from qanat.node.folder import NodeFolder

        self.node = NodeFolder(folder)
        self.folder = folder / "keys"
        self._files = {name: self.folder / f"{name}.json" for name in ("sealing", "responder")}

    def open(self, password: str) -> None:
        """Open the files that are there. Raises :class:`WrongKeyFile` where one does not open."""
        from qanat.chain.signer import KeySigner
        from qanat.node.sealing import load_sealing_key

        self._bls = list(self.node.bls_keys(password).values())
        if self._bls:
            self.bls = self._bls[-1]
        if self._files["sealing"].exists():
            self.sealing = load_sealing_key(self._files["sealing"], password)
        if self._files["responder"].exists():
            self.responder = KeySigner.from_keyfile(self._files["responder"], password)

    def make_missing(self, password: str) -> None:
        """Make the files that are not there. Raises :class:`FileUnreadable` where that can't be."""
        from qanat import bls
        from qanat.chain.signer import KeySigner
        from qanat.errors import FileUnreadable
        from qanat.keys.keyfile import SCRYPT_COST
        from qanat.keys.seal import SealingKey
        from qanat.node.sealing import save_sealing_key

        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise FileUnreadable(f"{self.folder} cannot be made: {error.strerror}.", path=str(self.folder)) from error
        if not self._bls:
            self.bls = bls.SecretKey.generate()
            bls.save_key(self.node.path / self.node.bls_files[-1], self.bls, password)
        if not self._files["sealing"].exists():
            self.sealing = SealingKey.generate()
            save_sealing_key(self._files["sealing"], self.sealing, password)
        if not self._files["responder"].exists():
            self.responder = KeySigner.create()
            self.responder.save_keyfile(self._files["responder"], password, iterations=SCRYPT_COST)

    def check(self, session: Session) -> None:
        """Check that these are the keys under which the operator is registered. Raises :class:`WrongKeyFile`."""
        from eth_utils.crypto import keccak

        from qanat.errors import FileUnreadable, WrongKeyFile

        me = session.address
        missing = [] if self._bls else [str(self.node.path / self.node.bls_files[-1])]
        missing += [str(self._files["sealing"])] if not self._files["sealing"].exists() else []
        if missing:
            raise FileUnreadable(
                f"{me} is registered, but {', '.join(missing)} is missing.",
                hint="Name the folder of its node with --folder; a lost BLS key is replaced by `qanat rotate-key`.",
                path=str(self.folder),
            )
        known = session.views.operator(me)
        own = [key for key in self._bls if session.views.operator_of_key(bytes(keccak(key.public_key))) == me]
        current = [key for key in own if known.key in (b"", key.public_key)]
        if not current or known.sealing_key != self.sealing.public:
            raise WrongKeyFile(
                f"{me} is registered with other keys than those in {self.folder}.",
                hint="Use the folder of its node.",
                path=str(self.folder),
            )
        self.bls = current[-1]


def _to_allocate(session: Session, shard: int, shares: dict[str, int], *, registered: bool) -> dict[str, int]:
    """Magnitude of each collateral that is missing behind the shard."""
    missing = {}
    for token, wanted in shares.items():
        part = wanted
        if registered:
            now = allocation(session, session.address, shard, token)
            part = min(max(0, now.missing(wanted)), now.free)
        if part:
            missing[token] = part
    return missing


def _to_accept(session: Session, shard: int, *, hold_keys: bool, registered: bool) -> list[str]:
    """The Keys contract, if the operator wants to hold shares of keys and has not accepted it as slasher yet."""
    keys = str(session.views.keys().address) if hold_keys else ""
    if not hold_keys or (registered and session.views.accepted(session.address, keys, shard)):
        return []
    return [keys]


def _what_is_accepted(slashers: list[str]) -> list[str]:
    return [
        f"accept Keys, {slasher}, as a slasher, for good: shares of keys may be dealt to it, and silence is slashed"
        for slasher in slashers
    ]


def _accept(session: Session, slashers: list[str]) -> dict[str, str]:
    done = {}
    for slasher in slashers:
        receipt = session.sender.send(session.chain.contract("Restaking").functions.acceptSlasher(slasher))
        done["accept Keys"] = "0x" + bytes(receipt["transactionHash"]).hex()
    return done


def _send(
    session: Session,
    shard: int,
    terms: ShardParameters,
    keys: _Keys,
    registered: bool,
    endpoint: str,
    commission: int,
    missing_bond: int,
    to_allocate: dict[str, int],
    coins: int,
) -> dict[str, str]:
    sender, restaking = session.sender, session.chain.contract("Restaking")
    done: dict[str, str] = {}

    def sent(what: str, receipt: Any) -> None:
        done[what] = "0x" + bytes(receipt["transactionHash"]).hex()

    _put_on_record(session, keys, registered, endpoint, commission, sent)
    if missing_bond:
        call = restaking.functions.postBond(shard, missing_bond)
        sent("bond", sender.pay(call, terms.bond_token, restaking.address, missing_bond))
    for token, part in to_allocate.items():
        sent(f"allocate {session.token(token)[0]}", sender.send(restaking.functions.allocate(shard, token, part)))
    for item in allocations(session, session.address, shard):
        if item.is_due(session.chain.latest()):
            call = restaking.functions.completeAllocation(session.address, shard, item.token)
            sent(f"complete allocation {session.token(item.token)[0]}", sender.send(call))
    if coins:
        sent("responder coins", sender.transfer(keys.responder.address, coins))
    return done


def _put_on_record(
    session: Session,
    keys: _Keys,
    registered: bool,
    endpoint: str,
    commission: int,
    sent: Callable[[str, Any], None],
) -> None:
    """Register, or change what differs from what is registered; publish the key, if none is."""
    chain, sender, me = session.chain, session.sender, session.address
    operators = chain.contract("Operators").functions
    responder = keys.responder.address
    if not registered:
        key = keys.bls.public_key
        possession = keys.bls.prove_possession(bytes(chain.call(operators.possessionDigest(me, key))))
        sent(
            "register",
            sender.send(operators.register(key, possession, keys.sealing.public, endpoint, commission, responder)),
        )
    known = session.views.operator(me)
    if not known.key:
        sent("publish key", sender.send(operators.publishKey(keys.bls.public_key)))
    if known.endpoints[0] != endpoint:
        sent("endpoint", sender.send(operators.setEndpoint(endpoint)))
    if known.responder != responder:
        sent("responder", sender.send(operators.setResponder(responder)))
    if known.commission_bps != commission:
        sent("commission", sender.send(operators.setCommission(commission)))


def _join(session: Session, shard: int, join: bool | None, member: bool) -> tuple[bool, str]:
    from qanat.errors import TransactionReverted

    if member:
        return True, ""
    if join is False:
        return False, "--no-join was given."
    try:
        session.sender.send(session.chain.contract("Members").functions.join(shard))
    except TransactionReverted as error:
        if join is None and error.error_name in {"StakeBelowTicket", "BondBelowMinimum"}:
            return False, f"{error.message} Let stake be delegated, then run this again."
        raise
    return True, ""


COMMAND = Command(
    name="register",
    run=register,
    summary="Become an operator: keys, registration, bond, allocation, a place in a shard.",
    details=(
        "Makes the node's key files (opened by QANAT_PASSPHRASE or "
        "QANAT_PASSPHRASE_FILE) and its node.json in --folder. Run it "
        "again when stake has been delegated: it does what is still missing, and joins."
    ),
    example="--endpoint http://127.0.0.1:7101 --port 7101 --bond 100 --folder node1",
    parameters=(
        click.option("--shard", help="Shard, by name or number.  [default: the first]"),
        click.option("--endpoint", required=True, help="Base URL under which others reach the node."),
        click.option(
            "--commission",
            type=click.IntRange(0, 10_000),
            default=1_000,
            show_default=True,
            help="Own part of earnings, basis points.",
        ),
        click.option(
            "--bond", help="Own bond to have posted in all, in whole tokens.  [default: the least that the shard takes]"
        ),
        click.option(
            "--allocate",
            "allocations",
            multiple=True,
            metavar="TOKEN=PERCENT",
            help="Part of a pool for this shard.  [default: all of each]",
        ),
        click.option(
            "--responder-coins", default="0", show_default=True, help="Coins to send to the node's responder for gas."
        ),
        click.option("--join/--no-join", "join", default=None, help="Join now, or not.  [default: if stake suffices]"),
        click.option(
            "--folder",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("node"),
            show_default=True,
            help="Folder of the node.",
        ),
        click.option("--host", default="127.0.0.1", show_default=True, help="Address on which the node will listen."),
        click.option(
            "--port",
            type=click.IntRange(1, 65535),
            default=7101,
            show_default=True,
            help="Port on which it will listen.",
        ),
        click.option("--data", default="data", show_default=True, help="Folder of its slices, relative to --folder."),
        click.option("--report", is_flag=True, help="Let the node report others' misses."),
        click.option(
            "--hold-keys",
            is_flag=True,
            help="Take part in holding shares of assets' keys: Keys becomes a slasher of its stake, for good.",
        ),
    ),
)
