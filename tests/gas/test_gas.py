"""What named transactions cost, against tests/gas.json: the whole transaction, warm, on Anvil's Prague.

Warm: somebody did the same before, so that only what each call needs anew is new; a name that ends in `_first` is the
first use. Contracts are called directly, keys and signatures are real. A figure further than TOLERANCE from the
committed one fails, in both directions; `make gas UPDATE=1` writes the figures anew, for the diff to show. A table with
the targets is printed: a target missed is shown, and is no failure. A name that ends in `_call` is a view's own gas.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, repeat
from pathlib import Path
from typing import Any

import ckzg
import pytest
from ape import chain, networks
from eth_account import Account
from eth_account.messages import encode_typed_data
from py_arkworks_bls12381 import G1Point

from qanat.keys.release import LicenseeKey
from qanat.payments import ClaimList, Voucher
from qanat.payments.vouchers import voucher_request
from tests.contracts import curve_points, keyholders, licensing, staking, system
from tests.gas.gas_profile import profile

FIGURES = Path(__file__).parent.parent / "gas.json"
UPDATE = bool(os.environ.get("UPDATE"))
#: Whether a roster of a thousand operators is made, too: five minutes.
CROWD = bool(os.environ.get("CROWD"))
#: Whose gas is shown by what it goes to: names that contain this.
PROFILE = os.environ.get("PROFILE", "")

#: Signatures, addresses and headers differ from run to run by some zero bytes.
TOLERANCE = 0.02

#: What the issues ask for, with the slots, events and calls that the prototypes did not have.
#: docs/gas.md says which are known to be unmet.
TARGETS: dict[str, int] = json.loads(FIGURES.with_name("gas_targets.json").read_text())

WAD = 10**18


class Meter:
    """Names of transactions and what they cost."""

    def __init__(self, committed: dict[str, int]) -> None:
        self.committed = committed
        self.measured: dict[str, int] = {}

    def note(self, name: str, receipt: Any, items: int = 1) -> None:
        """Note what a transaction cost, for each of its items."""
        self.measured[name] = receipt.gas_used // items
        if PROFILE and PROFILE in name and not isinstance(receipt, Question):
            self.show(name, receipt)

    def show(self, name: str, receipt: Any) -> None:
        """Print where a transaction's gas goes."""
        print(f"\n{name}: {receipt.gas_used:,}")
        for kind, gas, times in profile(chain.provider.http_uri, receipt.txn_hash):
            print(f"  {kind:<36} {gas:>9,} {times or '':>6}")

    def check(self, names: set[str]) -> None:
        """Fail for each figure that left its tolerance, unless the figures are being written anew."""
        if UPDATE:
            return
        wrong = []
        for name in sorted(names):
            gas, before = self.measured[name], self.committed.get(name)
            if before is None:
                wrong.append(f"{name}: {gas:,}, not in tests/gas.json")
            elif abs(gas - before) > before * TOLERANCE:
                wrong.append(f"{name}: {gas:,}, committed {before:,} ({gas / before - 1:+.1%})")
        assert not wrong, "; ".join(wrong) + ". If it should be so: make gas UPDATE=1"

    def table(self) -> str:
        """Return all figures with their change and their target."""
        lines = [f"{'transaction':<32} {'gas':>10} {'change':>7} {'target':>10}"]
        for name, gas in sorted(self.measured.items()):
            before, target = self.committed.get(name), TARGETS.get(name)
            change = f"{gas / before - 1:+.1%}" if before else "new"
            wanted = "" if target is None else f"{target:>10,} {'met' if gas <= target else 'UNMET'}"
            lines.append(f"{name:<32} {gas:>10,} {change:>7} {wanted}".rstrip())
        return "\n".join(lines)


class Question:
    """What a view spends when it is called, its slots read cold; a contract that calls pays up to 2,600 beside it."""

    def __init__(self, view: Any, *arguments: Any) -> None:
        data = bytes(view.encode_input(*arguments))
        call = {"to": view.contract.address, "data": "0x" + data.hex()}
        trace = chain.provider.make_request("debug_traceCall", [call, "latest", {}])
        assert not trace["failed"]
        intrinsic = 21_000 + sum(16 if byte else 4 for byte in data)
        self.gas_used = int(trace["gas"]) - intrinsic


@pytest.fixture(scope="module")
def meter(request: pytest.FixtureRequest) -> Iterator[Meter]:
    """Return what all tests here note figures in; print the table, and write the figures if asked to."""
    made = Meter(json.loads(FIGURES.read_text()) if FIGURES.exists() else {})
    yield made
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + made.table())
    if UPDATE:
        FIGURES.write_text(json.dumps(dict(sorted((made.committed | made.measured).items())), indent=2) + "\n")


@pytest.fixture
def noted(meter: Meter) -> Iterator[Callable[[str, Any], None]]:
    """Return what notes a figure; what a test noted is checked at its end."""
    before = set(meter.measured)
    yield meter.note
    meter.check(set(meter.measured) - before)


@pytest.fixture(scope="module")
def people(accounts: Any) -> Callable[[int], list[Any]]:
    """Return a function that makes so many new accounts with money."""

    def make(count: int) -> list[Any]:
        made = [accounts.generate_test_account() for _ in range(count)]
        for account in made:
            networks.provider.set_balance(account.address, 100 * WAD)
        return made

    return make


def test_restaking(project, accounts, people, noted):
    """Stake, an operator's life, a slash, rewards: three operators, two restakers, one reward token."""
    world = staking.deploy_staking(project, accounts)
    operators, (restaker, other) = people(3), people(2)
    token = world.alpha
    for operator in operators:
        registered = register(world, operator)
        published = world.operators.publishKey(staking.key_of(operator), sender=operator)
    noted("operators.register", registered)
    noted("operators.publish_key", published)
    noted("operators.set_endpoint", world.operators.setEndpoint("http://node:2", sender=operators[2]))

    for operator in operators:
        world.enroll(operator, tickets=4)
    staking.fund(token, restaker, 10_000 * WAD, world.restaking)
    noted("restaking.deposit_first", world.restaking.deposit(token, 1_000 * WAD, sender=restaker))
    noted("restaking.deposit", world.restaking.deposit(token, 1_000 * WAD, sender=restaker))
    noted("restaking.delegate_first", world.delegate(restaker, operators[0], 400 * WAD))
    for _ in range(2):  # with rewards that the delegation brings up to date
        world.book(operators[0], 1_000 * WAD)
        delegated = world.delegate(restaker, operators[0], 100 * WAD)
    noted("restaking.delegate", delegated)
    world.stake(other, operators[0], 50 * WAD)

    for _ in range(2):
        world.book(operators[0], 1_000 * WAD)
        claimed = world.restaker_rewards.claim(operators[0], token, world.payment_token, sender=restaker)
    noted("restaking.claim", claimed)
    noted("restaking.withdraw", world.restaking.withdraw(token, WAD, sender=restaker))

    world.snapshot()
    noted("restaking.delegate_bound", world.delegate(restaker, operators[0], 100 * WAD))
    # the bond of one outlasts two misses; that of the other falls below its minimum with the second: a vacant place
    world.post_bond(operators[0], 10 * world.parameters["minBond"])
    for operator, name in ((operators[0], "restaking.slash"), (operators[1], "restaking.slash_vacating")):
        for epoch in (1, 2):
            slash_id = world.miss(operator, epoch)
            staking.go_to_block(chain.blocks.height + staking.RESOLUTION_DELAY)
            slashed = world.restaking.executeSlash(slash_id, sender=world.governor)
        noted(name, slashed)
        vacated = world.shards.vacatedAt(world.shard, 1, operator) != 0
        assert vacated == name.endswith("_vacating")
    for _ in range(2):
        queued = world.restaking.undelegate(operators[0], token, 10 * WAD, sender=restaker)
    noted("restaking.undelegate", queued)


def register(world: Any, operator: Any) -> Any:
    """Register an operator; return the receipt."""
    key, possession = staking.key_of(operator), world.possession(operator)
    sealing = b"\1" * 32
    return world.operators.register(key, possession, sealing, "http://node", 1_000, operator, sender=operator)


@pytest.mark.parametrize("count", [10, 64])
def test_snapshots(project, accounts, people, noted, count):
    """Rosters of many operators: the first, which knows nobody, and the second, with the weight of one changed."""
    world = staking.deploy_staking(project, accounts, maxOperators=count)
    operators = people(count)
    for operator in operators:
        world.enroll(operator, tickets=2)
    noted(f"shards.snapshot_{count}_first", world.members.snapshot(world.shard, sender=world.governor))
    # by half of the term a roster may follow another without a change
    last = chain.blocks.height
    term = world.parameters["termEpochs"] * world.parameters["epochLength"]
    world.post_bond(operators[0], world.parameters["bondPerTicket"])
    staking.go_to_block(last + -(-term // 2) + 1)
    noted(f"shards.snapshot_{count}", world.members.snapshot(world.shard, sender=world.governor))


def open_many(project, world, owner, data, count) -> list[bytes]:
    """Open so many objects in one block; return their ids."""
    caller = owner.deploy(project.Caller)
    world.payment_token.mint(caller, 2**100, sender=owner)
    approval = world.payment_token.approve.encode_input(world.payments, 2**100)
    caller.run(world.payment_token, approval, sender=owner)
    call = world.objects.open.encode_input(world.request(data, epochs=4))
    receipt = caller.runMany([world.objects] * count, [call] * count, sender=owner)
    return [bytes(event.objectId) for event in receipt.decode_logs(world.objects.ObjectOpened)]


def test_storage(project, accounts, people, noted):
    """An object's certificate, an epoch's seed, answers, what they earn: sixteen operators of a ticket each."""
    world = system.deploy_system(project, accounts[0], accounts[5], samples=8, maxOperators=16, maxRowsPerTicket=10**6)
    owner = accounts[1]
    members = people(16)
    world.enroll(members)
    world.take_roster()
    data = {count: system.make_data(n=16, k=4, matrices=8, seed=count) for count in range(6)}
    first = world.open(owner, data[0], epochs=4)
    noted("objects.certify_first", world.certify(first))
    request = world.request(data[1], epochs=4)
    storage, intake, _ = world.objects.quote(request)
    system.fund(world.payment_token, owner, storage + intake, world.payments)
    object_id = world.id_of(owner, world.objects.nonceOf(owner), data[1].root)
    noted("objects.open", world.objects.open(request, sender=owner))
    world.data[object_id] = data[1]
    noted("objects.certify", world.certify(object_id))
    five = [1, 3, 5, 7, 9]

    def begin_epoch() -> None:
        """All that is certified next, for half an epoch, counts from the same epoch on."""
        latest = chain.blocks.height + 1
        world.go_past_frozen(world.shards.firstEpochAfter(1, latest))

    begin_epoch()
    for number, name, absent in (
        (2, "1_nonsigner_first", [3]),
        (3, "1_nonsigner", [3]),
        (4, "5_nonsigners_first", five),
        (5, "5_nonsigners", five),
    ):
        late = world.open(owner, data[number], epochs=4)
        noted(f"objects.certify_{name}", world.certify(late, absent=absent))
    noted("objects.adopt", world.adopt(late, 9))
    noted("objects.extend", world.extend(object_id, 1, owner))
    noted("objects.terminate", world.terminate(first, owner))

    epoch = max(world.objects.record(object_id).firstEpoch, world.epoch)
    for number in range(2):
        noted("audits.seal", world.seal(epoch + number))
        world.answer(members[0], epoch + number)
        world.end_window(epoch + number)
        # a profile's trace runs in the block before: that must be in time, too
        world.go_to_block(chain.blocks.height + 1)
        noted("audits.report_miss", world.audits.reportMiss(1, epoch + number, members[1], sender=owner))
        noted("rewards.settle", world.rewards.settle(1, epoch + number, members[0], sender=owner))
        noted("payments.claim", world.payments.claim(world.payment_token, sender=members[0]))
    many = open_many(project, world, owner, data[2], 33)
    world.certify(many[0])
    noted("objects.certify_32_each", world.certify_many(many[1:]), 32)
    # the first of an epoch: sums of two epochs begin for the roster and for each that did not sign
    for name, absent in (("new_epoch", []), ("5_nonsigners_new_epoch", five)):
        begin_epoch()
        noted(f"objects.certify_{name}", world.certify(world.open(owner, data[5], epochs=4), absent=absent))
    header = world.header(chain.blocks.height - 2)
    noted("beacon.seal", world.beacon.reveal(chain.blocks.height - 2, header, sender=owner))


def enroll_contract(project, world, runner) -> None:
    """Have a contract be an operator of one ticket: all that makes it one in a single transaction."""
    caller = runner.deploy(project.Caller)
    operator = system.Operator(caller, curve_points.secret(int(caller.address, 16) % 2**64))
    possession = curve_points.sign(
        operator.secret, bytes(world.operators.possessionDigest(caller, operator.key)), curve_points.POSSESSION_TAG
    )
    stake = world.parameters["ticketPrice"]
    bond = max(world.parameters["bondPerTicket"], world.parameters["minBond"])
    collateral, shard = world.collaterals[0], world.shard
    calls: list[tuple[Any, bytes]] = []
    for method, *arguments in (
        (world.operators.register, operator.key, curve_points.g1(possession), b"\1" * 32, "http://node", 1_000, caller),
        (world.operators.publishKey, operator.key),
        (world.restaking.allocate, shard, collateral, WAD),
        (collateral.mint, caller, stake),
        (collateral.approve, world.restaking, stake),
        (world.restaking.depositAndDelegate, caller, collateral, stake),
        (world.bond_token.mint, caller, bond),
        (world.bond_token.approve, world.restaking, bond),
        (world.restaking.postBond, shard, bond),
        (world.members.join, shard),
    ):
        calls.append((method.contract, method.encode_input(*arguments)))
    caller.runMany([target for target, _ in calls], [call for _, call in calls], sender=runner)


@pytest.mark.parametrize("count", [10, 1_000] if CROWD else [10])
def test_opening(project, accounts, noted, count):
    """Ten gigabytes cost what one megabyte costs; with CROWD=1, a thousand operators what ten cost."""
    runner, owner = accounts[0], accounts[1]
    world = system.deploy_system(project, runner, accounts[5], maxOperators=count, maxRowsPerTicket=10**6)
    for _ in range(count):
        enroll_contract(project, world, runner)
    for _ in range(0, count, 100):
        world.members.refresh(world.shard, 100, sender=runner)
    world.take_roster()
    assert world.head(1).tickets == count
    data = system.make_data(n=1_000, k=250, matrices=3, size=10**6, zeros=True)
    world.open(owner, data, epochs=4)
    for name, size in (("1mb", {}), ("10gb", {"width": 4096, "matrices": 316, "size": 10 * 10**9})):
        request = world.request(data, epochs=4, **size)
        storage, intake, _ = world.objects.quote(request)
        system.fund(world.payment_token, owner, storage + intake, world.payments)
        noted(f"objects.open_{name}_{count}_operators", world.objects.open(request, sender=owner))


def test_keys(project, accounts, people, noted):
    """A key of ten holders, of twelve operators; what forcing its release costs the licensee, and each holder."""
    world = system.deploy_system(project, accounts[0], accounts[5], maxOperators=16)
    members = people(12)
    world.enroll(members)
    world.take_roster()
    made = keyholders.make_key_world(project, world, accounts[1], accounts[2], members)
    for _ in range(2):
        made.request(10)
        made.draw()  # costs what its chance steps cost
        dealt = made.deal(5)
    noted("keys.deal", dealt)
    for key in (LicenseeKey(5), LicenseeKey(6)):
        noted("keys.force", made.force(key))
        made.answer(0, key)
        noted("keys.force_release", made.answer(1, key))
    world.go_to_block(world.keys.releaseOf(made.release_id(key)).deadline)
    noted("keys.report_silent", made.keys.reportSilent(*made.names(key), 2, sender=accounts[1]))
    noted("keys.settle", made.keys.settle(*made.names(key), sender=accounts[1]))


class Slices(Sequence):
    """4,096 slices of 127 KB: a random one, times 1, 2, 3, …; each is computed when it is asked for."""

    def __init__(self) -> None:
        choose = random.Random("slices")
        self.elements = [choose.randrange(curve_points.R) for _ in range(4096)]
        blob = curve_points.blob_of(self.elements)
        point = G1Point.from_compressed_bytes(bytes(ckzg.blob_to_kzg_commitment(blob, curve_points.trusted_setup())))
        multiples = accumulate(repeat(point, len(self)), lambda a, b: a + b)
        self.commitments = tuple(bytes(item.to_compressed_bytes()) for item in multiples)

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: Any) -> bytes:
        return curve_points.words([(index + 1) * element % curve_points.R for element in self.elements])


@pytest.fixture(scope="module")
def large() -> Callable[[int], system.Data]:
    """Return a function that makes objects of 4,096 slices: the same slices, another root each."""
    slices = Slices()

    def make(number: int) -> system.Data:
        content = number.to_bytes(32, "big")
        return system.Data(4096, 2, 4, 1024, 2**27, content, bytes(32), slices, slices.commitments)

    return make


@pytest.fixture
def four(project, accounts, people) -> Callable[[int], Any]:
    """Return a function that deploys a system that draws so many slices, of four operators with a ticket each."""

    def make(samples: int) -> Any:
        world = system.deploy_system(
            project, accounts[0], accounts[5], samples=samples, maxOperators=16, maxRowsPerTicket=10**6
        )
        world.asked = people(4)
        world.enroll(world.asked)
        world.take_roster()
        return world

    return make


@pytest.mark.parametrize("samples", [8, 16])
def test_answers(accounts, four, large, noted, samples):
    """The second answer of an operator, all slices in one object; with as many voids as slices among what is read."""
    world = four(samples)
    object_id = world.store(accounts[1], large(0), epochs=12)
    epoch = world.objects.record(object_id).firstEpoch
    for number in range(2):
        world.seal(epoch + number)
        receipt = world.answer(world.asked[0], epoch + number)
    noted(f"audits.respond_q{samples}", receipt)
    if samples != 8:
        return
    # half of what is listed is void: an object that its owner ends after one epoch
    ended = world.store(accounts[1], large(1), epochs=5)
    world.go_to_epoch(world.objects.record(ended).firstEpoch)
    world.terminate(ended, accounts[1])
    for later in range(world.objects.endEpochOf(ended), epoch + 12):
        world.seal(later)
        for member in world.asked:
            if len(world.reads(member, later)) == 16 and world.audits.answeredCount(member):
                noted("audits.respond_q8_voids8", world.answer(member, later))
                return
            world.answer(member, later)
    pytest.fail("no draw of eight live and eight void rows in many epochs")


@pytest.mark.parametrize("samples", [8, 16])
def test_answers_over_many_objects(accounts, four, large, noted, samples):
    """Every slice of an answer is another object's, half of them under each of two rosters."""
    world = four(samples)
    objects = [world.open(accounts[1], large(number), epochs=12) for number in range(samples // 2)]
    world.certify_many(objects)
    # by half of the term a roster may follow another without a change
    term = world.parameters["termEpochs"] * world.parameters["epochLength"]
    world.go_to_block(world.head(1).snapshotBlock - (-term // 2) + 1)
    assert world.take_roster() == 2
    objects = [world.open(accounts[1], large(number), epochs=3) for number in range(samples // 2)]
    world.certify_many(objects)
    epoch = world.objects.record(objects[0]).firstEpoch
    for number in range(2):
        world.seal(epoch + number)
        assert len({read.object_id for read in world.reads(world.asked[0], epoch + number)}) == samples
        receipt = world.answer(world.asked[0], epoch + number)
    noted(f"audits.respond_q{samples}_spread", receipt)


def test_licensing(project, accounts, noted):
    """An asset, an offer, sales of it, a renewal, a revocation, and what is paid on; `_first` of a first-time user."""
    market = licensing.make_market(project, accounts[0])
    owner, (one, two, three, four) = accounts[1], (*accounts[2:5], accounts[6])
    ids = [licensing.object_id(number) for number in (1, 2)]
    for object_id in ids:
        market.objects.put(object_id, owner, 9, sender=accounts[0])
    for name, object_id in zip(("assets.mint_first", "assets.mint"), ids, strict=True):
        noted(name, market.assets.mint([object_id], bytes(32), "ipfs://description", sender=owner))
    asset = int(market.assets.count())
    offer = market.offer(owner, asset)
    terms, _ = market.licenses.offer(offer)
    digest, price = licensing.terms_hash(terms), market.terms(asset)["price"]
    for person in (one, two, three):
        market.token.mint(person, 10**9, sender=accounts[0])
        market.token.approve(market.payments, 10**9, sender=person)
    noted("licenses.buy_first", market.licenses.buy(offer, digest, price, sender=one))
    # another asset's book has the day on which this one ends, too: the usual case is a known day, but later in it
    chain.pending_timestamp += 60
    noted("licenses.buy", market.licenses.buy(offer, digest, price, sender=two))
    assert market.licenses.isLicensed(two, asset, licensing.TRAIN)
    noted("licenses.is_licensed_call", Question(market.licenses.isLicensed, two, asset, licensing.TRAIN))
    noted("licenses.is_licensed_call_first", Question(market.licenses.isLicensed, three, asset, licensing.TRAIN))
    noted("licenses.publish_offer", market.licenses.publishOffer(market.terms(asset), sender=owner))
    noted("licenses.renew_first", market.licenses.renew(1, digest, sender=one))
    noted("licenses.renew", market.licenses.renew(2, digest, sender=two))
    number, next_one = market.buy(offer, three), market.buy(offer, four)
    start = market.licenses.license(number).start
    # four was refunded before, for another asset's license
    market.objects_made = len(ids)
    other = market.buy(market.offer(owner, market.mint(owner)), four)
    market.licenses.revoke(other, bytes(32), bytes(32), sender=owner)
    networks.provider.set_timestamp(start + 10 * licensing.DAY)
    noted("licenses.revoke_first", market.licenses.revoke(number, bytes(32), bytes(32), sender=owner))
    chain.pending_timestamp += 60
    noted("licenses.revoke", market.licenses.revoke(next_one, bytes(32), bytes(32), sender=owner))
    noted("licenses.settle", market.licenses.settle(asset, market.token, 400, sender=two))
    networks.provider.set_timestamp(start + 11 * licensing.DAY)
    market.licenses.settle(asset, market.token, 400, sender=two)
    noted("payments.claim_first", market.payments.claim(market.token, sender=owner))
    networks.provider.set_timestamp(start + 12 * licensing.DAY)
    market.licenses.settle(asset, market.token, 400, sender=two)
    noted("payments.claim", market.payments.claim(market.token, sender=owner))

    # of a license that was used: its release is in the slot of periods and end; its holder was refunded before
    holder, used = accounts[5], market.buy(offer, three)
    market.operators.put(holder, holder, sender=accounts[0])
    request = market.licenses.keyRequestDigest(used, holder, bytes(32), 2**40)
    signature = bytes(Account.unsafe_sign_hash(request, three.private_key).signature)
    asked = (used, holder, bytes(32), 2**40, signature)
    noted("licenses.record_release", market.licenses.recordRelease(*asked, sender=holder))
    market.fund(three, price)
    noted("licenses.renew_used", market.licenses.renew(used, digest, sender=three))
    networks.provider.set_timestamp(start + 13 * licensing.DAY)
    noted("licenses.revoke_used", market.licenses.revoke(used, bytes(32), bytes(32), sender=owner))


def test_redeem(project, accounts, people, noted):
    """Vouchers of thirty-two readers, redeemed before: first all of them, then the newer of each."""
    market = licensing.make_market(project, accounts[0])
    operator, readers = accounts[9], people(32)
    token, payments = market.token, market.payments
    token.mint(accounts[0], 10**30, sender=accounts[0])
    token.approve(payments, 10**30, sender=accounts[0])
    for reader in readers:
        payments.depositForReads(token, reader, [operator], [10**24], sender=accounts[0])
    for name, cumulative in (
        ("payments.redeem_32_each_first", 3 * 10**20 + 7),
        ("payments.redeem_32_each", 10**21 + 9),
    ):
        vouchers = []
        for reader in readers:
            typed = voucher_request(chain.chain_id, payments.address, operator.address, token.address, cumulative)
            signed = Account.sign_message(encode_typed_data(*typed), reader.private_key)
            vouchers.append(Voucher(cumulative, bytes(signed.signature)).as_tuple())
        noted(name, payments.redeem(token, operator, vouchers, sender=operator), 32)


def test_lists(project, accounts, noted):
    """A claim of a list of 1,000: all that is left, then what came in a later round."""
    market = licensing.make_market(project, accounts[0])
    lists = accounts[0].deploy(project.ClaimLists, market.payments)
    token, payments, person = market.token, market.payments, accounts[1]
    token.mint(accounts[0], 10**30, sender=accounts[0])
    token.approve(payments, 10**30, sender=accounts[0])
    lists.open((token, accounts[0], accounts[0], 3_600, 2), sender=accounts[0])
    payments.payIn(token, lists.bondAccount(1), 2, sender=accounts[0])
    payments.payIn(token, lists.fundAccount(1), 10**28, sender=accounts[0])
    for round_ in (1, 2, 3):
        entries = {f"0x{number:040x}": 10**20 + number for number in range(1, 1_000)}
        made = ClaimList.of(chain.chain_id, lists.address, 1, entries | {person.address: round_ * 10**21})
        proposed = lists.propose(1, made.node, made.total, made.count, sender=accounts[0])
        networks.provider.set_timestamp(int(chain.blocks.head.timestamp) + 3_600)
        claimed = lists.claim((1, round_, 0, made.leaf(person.address).as_tuple()), sender=person)
        if round_ == 1:
            noted("rewards.claim_list_1000_first", claimed)
    noted("rewards.propose_list", proposed)
    noted("rewards.claim_list_1000", claimed)


def test_no_figure_is_left_over(meter, request):
    """A committed name that nothing measures any more is shown; only where all tests here ran."""
    if len(request.session.items) >= 10:
        skipped = set() if CROWD else {name for name in meter.committed if name.endswith("_1000_operators")}
        assert UPDATE or set(meter.committed) - skipped <= set(meter.measured)
