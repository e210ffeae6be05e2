"""Directory, Restaking, Operators, Shards, Payments, RestakerRewards, all real; accounts stand where others would.

::

    staking = deploy_staking(project, accounts)
    staking.create_shard(termEpochs=7)
    staking.enroll(operator, tickets=3)          # registered, bonded, staked, joined
    roster = staking.snapshot()
    slash = staking.miss(operator, epoch=2)      # reported by the account that stands for Audits

Every call mines a block: mind the periods.
"""

from __future__ import annotations

from typing import Any

from ape import chain
from eth_utils import keccak

from tests.contracts import curve_points as cp

WAD = 10**18
DEAD = "0x000000000000000000000000000000000000dEaD"
ZERO_ADDRESS = "0x" + "00" * 20

#: Blocks of a withdrawal, of a slash's resolution, of the guardian's delay, of a change in the directory.
WITHDRAWAL_DELAY, RESOLUTION_DELAY, GUARDIAN_DELAY, TIMELOCK = 66, 3, 3, 90

EPOCH = 20
#: Blocks after a seed block up to which a miss can be reported: sealing limit + window + reporting.
CLOSING = 38

#: Periods of the local set and small prices. Tokens are filled in by `create_shard`.
SHARD: dict[str, Any] = {
    "epochLength": EPOCH,
    "finality": 2,
    "sealingLimit": 20,
    "window": 8,
    "reporting": 10,
    "termEpochs": 7,
    "samples": 4,
    "maxOperators": 8,
    "unprovenToPayerBps": 6_000,
    "jailMisses": 100,
    "jailEpochs": 10,
    "maxRowsPerTicket": 10_000,
    "bondToken": ZERO_ADDRESS,
    "paymentToken": ZERO_ADDRESS,
    "ticketPrice": 100 * WAD,
    "bondPerTicket": 10 * WAD,
    "minBond": 15 * WAD,
    "bondSlashPerTicket": 4 * WAD,
    "stakeSlashPerTicket": 20 * WAD,
    "reporterFee": WAD,
    "pricePerByteEpochWad": WAD,
    "intakePricePerByteWad": WAD,
}

#: Names of the directory that nothing here calls, or that an account stands under.
STAND_INS = [
    "objects",
    "audits",
    "rewards",
    "randomness",
    "openingVerifier",
    "pricing",
    "assets",
    "licenses",
    "keys",
]


def name32(name: str) -> bytes:
    """Return a name as bytes32."""
    return name.encode().ljust(32, b"\0")


def fund(token: Any, account: Any, amount: int, spender: Any) -> None:
    """Mint tokens to an account and let `spender` take any number of them."""
    if amount:
        token.mint(account, amount, sender=account)
    if token.allowance(account, spender) < amount:
        token.approve(spender, 2**256 - 1, sender=account)


def go_to_block(number: int) -> None:
    """Mine until the chain's height is `number`: the next transaction lies in the block after it."""
    behind = number - chain.blocks.height
    if behind < 0:
        raise ValueError(f"block {number} is past: the chain is at {chain.blocks.height}")
    if behind:
        chain.mine(behind)


def secret_of(account: Any) -> Any:
    """Return the BLS secret of an operator."""
    return cp.secret(int(account.address, 16) % 2**64)


def key_of(account: Any) -> bytes:
    """Return the 256-byte key of an operator."""
    return cp.g2(cp.key_of(secret_of(account)))


class Staking:
    """The contracts, and what people do with them."""

    def __init__(self, contracts: dict[str, Any], tokens: dict[str, Any], people: dict[str, Any]) -> None:
        self.directory, self.restaking = contracts["directory"], contracts["restaking"]
        self.operators, self.shards, self.members = contracts["operators"], contracts["shards"], contracts["members"]
        self.restaker_rewards = contracts["restakerRewards"]
        self.payments, self.verifier = contracts["payments"], contracts["certificateVerifier"]
        self.alpha, self.beta = tokens["alpha"], tokens["beta"]
        self.bond_token, self.payment_token = tokens["bond"], tokens["payment"]
        self.governor, self.guardian = people["governor"], people["guardian"]
        self.audits, self.objects, self.rewards = people["audits"], people["objects"], people["rewards"]
        self.counts = contracts["counts"]
        self.shard = 0
        self.parameters: dict[str, Any] = {}

    # -- set-up

    def let_count(self, account: Any) -> None:
        """Let an account that stands for Audits or Rewards say what it has counted, and still send transactions."""
        chain.provider.make_request("anvil_setCode", [account.address, "0xef0100" + self.counts.address[2:]])

    def set_answered(self, operator: Any, count: int, audits: Any = None) -> None:
        """Let Audits say in how many epochs an operator answered."""
        data = self.counts.setAnswered.encode_input(operator, count)
        self.governor.transfer(audits or self.audits, 0, data=data)

    def set_settled(self, operator: Any, count: int, audits: Any = None) -> None:
        """Let Rewards say how many of them are settled."""
        data = self.counts.setSettled.encode_input(audits or self.audits, operator, count)
        self.governor.transfer(self.rewards, 0, data=data)

    def terms(self, **overrides: Any) -> dict[str, Any]:
        """Return a shard's parameters."""
        tokens = {"bondToken": self.bond_token.address, "paymentToken": self.payment_token.address}
        return {**SHARD, **tokens, **overrides}

    def weights(self, alpha: int = WAD, beta: int = WAD) -> list[dict[str, Any]]:
        """Return what a shard counts as stake."""
        return [
            {"token": self.alpha.address, "weightWad": alpha},
            {"token": self.beta.address, "weightWad": beta},
        ]

    def create_shard(self, weights: list[dict[str, Any]] | None = None, **overrides: Any) -> int:
        """Create a shard and make it the one that the methods below speak of."""
        self.parameters = self.terms(**overrides)
        self.shards.create(self.parameters, weights or self.weights(), sender=self.governor)
        self.shard = self.shards.count()
        return self.shard

    def register(self, account: Any, commission_bps: int = 1_000) -> None:
        """Register an operator with a key of its own, if it isn't yet."""
        if self.operators.isRegistered(account):
            return
        key = key_of(account)
        self.operators.register(
            key,
            self.possession(account),
            keccak(text="sealing"),
            "http://node",
            commission_bps,
            account,
            sender=account,
        )
        self.operators.publishKey(key, sender=account)

    def possession(self, account: Any, named: Any = None) -> bytes:
        """Return an operator's proof of possession, which names `named`, the operator itself if None."""
        digest = self.operators.possessionDigest(named or account, key_of(account))
        return cp.g1(cp.sign(secret_of(account), bytes(digest), cp.POSSESSION_TAG))

    def post_bond(self, operator: Any, amount: int) -> None:
        """Post bond of newly minted tokens."""
        fund(self.bond_token, operator, amount, self.restaking)
        self.restaking.postBond(self.shard, amount, sender=operator)

    def deposit(self, restaker: Any, amount: int, token: Any = None) -> None:
        """Deposit newly minted tokens."""
        token = token or self.alpha
        fund(token, restaker, amount, self.restaking)
        self.restaking.deposit(token, amount, sender=restaker)

    def delegate(self, restaker: Any, operator: Any, amount: int, token: Any = None) -> Any:
        """Delegate free balance; return the receipt."""
        # `.delegate` of an Ape contract is something else (EIP-7702)
        return self.restaking.invoke_transaction("delegate", operator, token or self.alpha, amount, sender=restaker)

    def stake(self, restaker: Any, operator: Any, amount: int, token: Any = None) -> None:
        """Deposit and delegate newly minted tokens."""
        token = token or self.alpha
        self.deposit(restaker, amount, token)
        self.delegate(restaker, operator, amount, token)

    def allocate(self, operator: Any, magnitude: int = WAD, token: Any = None, shard: int = 0) -> Any:
        """Reserve a part of an operator's pool for the shard; where the pool is empty, it stands behind it at once."""
        return self.restaking.allocate(shard or self.shard, token or self.alpha, magnitude, sender=operator)

    def enroll(self, operator: Any, tickets: int = 2, restaker: Any = None) -> None:
        """Register, bond, stake (all in alpha) and allocate for so many tickets, and join."""
        self.register(operator)
        self.post_bond(operator, max(tickets * self.parameters["bondPerTicket"], self.parameters["minBond"]))
        self.allocate(operator)
        self.stake(restaker or operator, operator, tickets * self.parameters["ticketPrice"])
        self.members.join(self.shard, sender=operator)

    # -- rosters and time

    def snapshot(self) -> int:
        """Take a roster and return its id."""
        self.members.snapshot(self.shard, sender=self.governor)
        return self.shards.rosterCount(self.shard)

    def next_snapshot(self) -> int:
        """Take the next roster as soon as time allows it without a change of weight."""
        last = self.shards.rosterHead(self.shard, self.shards.rosterCount(self.shard)).snapshotBlock
        term = self.parameters["termEpochs"] * self.parameters["epochLength"]
        go_to_block(max(chain.blocks.height, last + -(-term // 2) - 1))
        return self.snapshot()

    def entries(self, roster: int) -> dict[str, Any]:
        """Return a roster's entries by operator."""
        found = self.shards.rosterEntries(self.shard, roster, 0, 2**16)
        return {entry.operator: entry for entry in found if entry.tickets}

    def seed_block(self, epoch: int) -> int:
        """Return an epoch's seed block."""
        return self.shards.seedBlockOf(self.shard, epoch)

    # -- slashes

    def miss(self, operator: Any, epoch: int = 1, roster: int = 1, reporter: Any = None) -> bytes:
        """Queue a slash as Audits would."""
        self.restaking.queueSlash(self.shard, roster, operator, epoch, reporter or self.governor, sender=self.audits)
        return self.restaking.slashId(self.shard, epoch, operator)

    def slash(self, operator: Any, epoch: int = 1, roster: int = 1, reporter: Any = None) -> Any:
        """Queue a slash, wait, execute it; return the receipt."""
        slash_id = self.miss(operator, epoch, roster, reporter)
        chain.mine(RESOLUTION_DELAY)
        return self.restaking.executeSlash(slash_id, sender=self.governor)

    # -- rewards

    def book(self, operator: Any, amount: int, token: Any = None) -> Any:
        """Book a reward as Rewards does: tokens into the inbox of RestakerRewards, then the booking."""
        token = token or self.payment_token
        key = name32("any")
        fund(token, self.rewards, amount, self.payments)
        self.payments.collect(token, self.rewards, key, amount, sender=self.rewards)
        account = self.payments.moduleAccount(self.restaker_rewards, name32("inbox"))
        self.payments.move(token, key, account, amount, sender=self.rewards)
        return self.restaker_rewards.book(operator, self.shard, token, amount, sender=self.rewards)


def deploy_staking(project: Any, accounts: Any, **shard: Any) -> Staking:
    """Deploy and wire the contracts, without a seal, and create a shard whose parameters `shard` overrides."""
    governor, guardian = accounts[0], accounts[5]
    audits, objects, rewards = accounts[15], accounts[16], accounts[17]
    directory = governor.deploy(project.Directory, governor, guardian, TIMELOCK)
    restaking = governor.deploy(project.Restaking, directory, WITHDRAWAL_DELAY, RESOLUTION_DELAY, GUARDIAN_DELAY)
    contracts = {
        "directory": directory,
        "restaking": restaking,
        "stakeSource": restaking,
        "operators": governor.deploy(project.Operators, directory),
        "shards": governor.deploy(project.Shards, directory),
        "payments": governor.deploy(project.Payments, directory),
        "certificateVerifier": governor.deploy(project.BlsCertificateVerifier),
    }
    contracts["members"] = project.Members.at(contracts["shards"].members())
    contracts["restakerRewards"] = governor.deploy(project.RestakerRewards, directory, restaking, contracts["payments"])
    counts = governor.deploy(project.CountsDouble)
    people = {"governor": governor, "guardian": guardian, "audits": audits, "objects": objects, "rewards": rewards}
    for name in STAND_INS:
        directory.set(name32(name), people.get(name, restaking), sender=governor)
    for name, contract in contracts.items():
        if name not in ("directory", "members"):
            directory.set(name32(name), contract, sender=governor)

    tokens = {name: governor.deploy(project.MintableToken) for name in ("alpha", "beta", "bond", "payment")}
    for name in ("alpha", "beta"):
        restaking.listCollateral(tokens[name], sender=governor)
    staking = Staking({**contracts, "counts": counts}, tokens, people)
    for account in (audits, rewards):
        staking.let_count(account)
    staking.create_shard(**shard)
    return staking
