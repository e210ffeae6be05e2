"""ClaimLists: roots with sums, what is judged, what is claimed; lists are made by `qanat.payments.claims`."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from ape import chain
from eth_abi import encode
from eth_utils import keccak

from qanat.payments.claims import ClaimList, Leaf
from tests.contracts.reverts import reverts_with

ZERO = "0x" + "00" * 20
WINDOW, BOND, FUNDS = 3_600, 101, 10_000
REASON = keccak(text="amounts are wrong")


@pytest.fixture(scope="module")
def lists(project, deployer, owner, auditor, accounts):
    """A list of ours and all about it: `owner` opened it, `proposer` proposes, `auditor` is its arbiter."""
    directory = deployer.deploy(project.DirectoryDouble)
    payments = deployer.deploy(project.Payments, directory)
    token = deployer.deploy(project.MintableToken)
    contract = deployer.deploy(project.ClaimLists, payments)
    world = SimpleNamespace(
        contract=contract, payments=payments, token=token, proposer=accounts[6], owner=owner, arbiter=auditor
    )
    world.people = sorted(accounts[7:14], key=lambda account: int(account.address, 16))
    world.id = open_list(world)
    pay_in(world, contract.fundAccount(world.id), FUNDS)
    pay_in(world, contract.bondAccount(world.id), BOND)
    return world


def open_list(world, **changes) -> int:
    """Open a list of usual terms."""
    terms = {
        "token": world.token.address,
        "proposer": world.proposer.address,
        "arbiter": world.arbiter.address,
        "window": WINDOW,
        "bond": BOND,
        **changes,
    }
    world.contract.open(terms, sender=world.owner)
    return int(world.contract.listCount())


def pay_in(world, account, amount, token=None):
    """Pay tokens into an account of Payments."""
    token = token or world.token
    token.mint(world.owner, amount, sender=world.owner)
    token.approve(world.payments, amount, sender=world.owner)
    world.payments.payIn(token, account, amount, sender=world.owner)


def make_list(world, *amounts, list_id=None, people=None) -> ClaimList:
    """A list over the first people, in their order."""
    chosen = people or world.people
    entries = {person.address: units for person, units in zip(chosen, amounts, strict=False)}
    return ClaimList.of(chain.chain_id, world.contract.address, list_id or world.id, entries)


def propose(world, made, **changes):
    """Propose a list's root."""
    given = {"node": made.node, "total": made.total, "count": made.count, **changes}
    return world.contract.propose(made.list_id, *given.values(), sender=world.proposer)


def accept(world, made) -> int:
    """Propose a root and let its window pass; returns its round."""
    propose(world, made)
    pass_window()
    return int(world.contract.list(made.list_id)[2])


def pass_window(seconds=WINDOW):
    chain.provider.set_timestamp(int(chain.blocks.head.timestamp) + seconds)
    chain.mine()


def claim_of(world, made, person, *, round_=1, amount=0, **leaf):
    """What `claim` takes."""
    chosen = made.leaf(person.address)
    chosen = replace(chosen, **leaf) if leaf else chosen
    return (made.list_id, round_, amount, chosen.as_tuple())


def has(world, person, token=None) -> int:
    return int(world.payments.claimable(token or world.token, person))


def unsorted(world, *entries) -> ClaimList:
    """A list with entries as they come: what no honest proposer makes."""
    made = object.__new__(ClaimList)
    for name, value in {
        "chain_id": chain.chain_id,
        "contract": world.contract.address,
        "list_id": world.id,
        "entries": tuple((person.address, units) for person, units in entries),
    }.items():
        object.__setattr__(made, name, value)
    return made


class TestOpen:
    @pytest.mark.parametrize(
        ("field", "value", "told"),
        [
            ("token", "0x" + "11" * 20, int("11" * 20, 16)),
            ("proposer", ZERO, 0),
            ("window", 3_599, 3_599),
            ("window", 30 * 86_400 + 1, 30 * 86_400 + 1),
            ("bond", 1, 1),
        ],
    )
    def test_refuses_terms_that_make_no_sense(self, lists, field, value, told):
        with reverts_with(lists.contract.ListTermInvalid, field=field.encode().ljust(32, b"\0"), value=told):
            open_list(lists, **{field: value})

    def test_keeps_the_terms(self, lists, owner):
        """And says them."""
        terms, opener, rounds, claimed = lists.contract.list(lists.id)
        assert tuple(terms) == (lists.token.address, lists.proposer.address, lists.arbiter.address, WINDOW, BOND)
        assert (opener, rounds, claimed) == (owner.address, 0, 0)

    @pytest.mark.parametrize("call", ["propose", "reject", "takeBond", "takeSurplus", "list"])
    def test_an_unknown_list_is_refused(self, lists, call):
        arguments = {"propose": (bytes(32), 1, 1), "reject": (REASON,)}.get(call, ())
        with reverts_with(lists.contract.ListUnknown, listId=9):
            if call == "list":
                lists.contract.list(9)
            else:
                getattr(lists.contract, call)(9, *arguments, sender=lists.proposer)


class TestPropose:
    def test_is_the_proposers(self, lists, stranger):
        made = make_list(lists, 5)
        with reverts_with(lists.contract.NotProposer, caller=stranger, proposer=lists.proposer):
            lists.contract.propose(lists.id, made.node, made.total, 1, sender=stranger)

    @pytest.mark.parametrize("count", [0, 2**32 + 1])
    def test_refuses_a_number_of_leaves_that_no_tree_has(self, lists, count):
        with reverts_with(lists.contract.CountInvalid, listId=lists.id, count=count):
            propose(lists, make_list(lists, 5), count=count)

    def test_refuses_more_than_was_funded(self, lists):
        """To the unit; what was claimed counts as funded."""
        with reverts_with(lists.contract.TotalNotFunded, total=FUNDS + 1, funded=FUNDS):
            propose(lists, make_list(lists, FUNDS + 1))
        made = make_list(lists, FUNDS)
        accept(lists, made)
        lists.contract.claim(claim_of(lists, made, lists.people[0]), sender=lists.proposer)
        propose(lists, make_list(lists, FUNDS))
        with reverts_with(lists.contract.RootPending):
            propose(lists, make_list(lists, FUNDS))

    def test_refuses_more_than_is_counted_with(self, lists):
        """2^128 units, however much was funded."""
        pay_in(lists, lists.contract.fundAccount(lists.id), 2**129)
        with reverts_with(lists.contract.TotalNotFunded, total=2**128):
            propose(lists, make_list(lists, 5), total=2**128)

    def test_refuses_a_total_that_falls(self, lists):
        accept(lists, make_list(lists, 5, 6))
        with reverts_with(lists.contract.TotalFell, total=10, before=11):
            propose(lists, make_list(lists, 5, 5))

    def test_needs_the_bond(self, lists):
        """It lies there until it is taken, and serves round after round."""
        accept(lists, make_list(lists, 5))
        lists.contract.takeBond(lists.id, sender=lists.owner)
        assert has(lists, lists.proposer) == BOND
        with reverts_with(lists.contract.BondTooLow, bond=0, needed=BOND):
            propose(lists, make_list(lists, 5))

    def test_one_window_at_a_time(self, lists):
        """To the second, and the bond stays meanwhile, and so does the surplus."""
        propose(lists, make_list(lists, 5))
        at = int(chain.blocks.head.timestamp) + WINDOW
        for call in (
            lambda: propose(lists, make_list(lists, 6)),
            lambda: lists.contract.takeBond(lists.id, sender=lists.owner),
            lambda: lists.contract.takeSurplus(lists.id, sender=lists.owner),
        ):
            with reverts_with(lists.contract.RootPending, round=1, acceptedAt=at):
                call()
        chain.provider.set_timestamp(at)
        propose(lists, make_list(lists, 6))
        assert lists.contract.rootOf(lists.id, 1).acceptedAt == at

    def test_says_what_was_proposed(self, lists):
        made = make_list(lists, 5, 7)
        receipt = propose(lists, made)
        (event,) = receipt.events.filter(lists.contract.RootProposed)
        assert (bytes(event.node), event.total, event.count, event.round) == (made.node, 12, 2, 1)


class TestClaim:
    @pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
    def test_every_entry_of_a_list_of_any_length_is_paid(self, lists, count):
        """To the unit, to the account that the entry names, whoever sends it."""
        made = make_list(lists, *(100 + number for number in range(count)))
        accept(lists, made)
        for number, person in enumerate(lists.people[:count]):
            receipt = lists.contract.claim(claim_of(lists, made, person), sender=lists.proposer)
            assert receipt.return_value == has(lists, person) == 100 + number
            assert receipt.events.filter(lists.contract.ListClaimed)[0].account == person.address
        left = int(lists.payments.balanceOf(lists.token, lists.contract.fundAccount(lists.id)))
        assert left == FUNDS - made.total

    def test_refuses_before_the_window_is_over(self, lists):
        """To the second."""
        made = make_list(lists, 5)
        propose(lists, made)
        at = int(chain.blocks.head.timestamp) + WINDOW
        chain.provider.set_timestamp(at - 1)
        with reverts_with(lists.contract.RootNotAccepted, acceptedAt=at):
            lists.contract.claim(claim_of(lists, made, lists.people[0]), sender=lists.owner)
        chain.provider.set_timestamp(at)
        lists.contract.claim(claim_of(lists, made, lists.people[0]), sender=lists.owner)

    def test_refuses_a_round_that_there_is_not(self, lists):
        made = make_list(lists, 5)
        accept(lists, made)
        for number in (0, 2):
            with reverts_with(lists.contract.RootNotAccepted, round=number, acceptedAt=0):
                lists.contract.claim(claim_of(lists, made, lists.people[0], round_=number), sender=lists.owner)

    def test_any_part_until_all_is_claimed(self, lists):
        """More than is left is refused, and so is nothing."""
        made, person = make_list(lists, 100, 50, 7), lists.people[0]
        accept(lists, made)
        for part in (30, 69):
            lists.contract.claim(claim_of(lists, made, person, amount=part), sender=person)
        with reverts_with(lists.contract.ClaimTooLarge, account=person, asked=2, left=1):
            lists.contract.claim(claim_of(lists, made, person, amount=2), sender=person)
        lists.contract.claim(claim_of(lists, made, person), sender=person)
        assert has(lists, person) == lists.contract.claimed(lists.id, person) == 100
        with reverts_with(lists.contract.NothingLeft, account=person, claimed=100):
            lists.contract.claim(claim_of(lists, made, person), sender=person)

    @pytest.mark.parametrize(
        "change",
        [
            {"cumulative": 101},
            {"index": 1},
            {"siblings": (b"\1" * 32, b"\2" * 32)},
            {"sums": (50, 8)},
            {"account": "0x" + "42" * 20},
        ],
    )
    def test_refuses_what_the_tree_does_not_hold(self, lists, change):
        made = make_list(lists, 100, 50, 7)
        accept(lists, made)
        with reverts_with(lists.contract.LeafNotInRoot, listId=lists.id, round=1):
            lists.contract.claim(claim_of(lists, made, lists.people[0], **change), sender=lists.owner)

    def test_refuses_a_path_of_another_length_and_a_place_beyond_the_count(self, lists):
        """A padding leaf is nobody's."""
        made = make_list(lists, 100, 50, 7)
        accept(lists, made)
        leaf = made.leaf(lists.people[0].address)
        with reverts_with(lists.contract.SumPathInvalid, hashes=1, sums=2, expected=2):
            asked = claim_of(lists, made, lists.people[0], siblings=leaf.siblings[:1])
            lists.contract.claim(asked, sender=lists.owner)
        with reverts_with(lists.contract.SumPathInvalid, hashes=2, sums=3, expected=2):
            asked = claim_of(lists, made, lists.people[0], sums=(*leaf.sums, 0))
            lists.contract.claim(asked, sender=lists.owner)
        with reverts_with(lists.contract.LeafIndexInvalid, index=3, count=3):
            lists.contract.claim(claim_of(lists, made, lists.people[0], index=3), sender=lists.owner)

    def test_refuses_the_leaf_of_another_list(self, lists):
        """Of the same people and amounts, under the very root."""
        other = open_list(lists)
        pay_in(lists, lists.contract.fundAccount(other), 100)
        pay_in(lists, lists.contract.bondAccount(other), BOND)
        made = make_list(lists, 5, 6)
        lists.contract.propose(other, made.node, made.total, made.count, sender=lists.proposer)
        pass_window()
        with reverts_with(lists.contract.LeafNotInRoot, listId=other):
            leaf = made.leaf(lists.people[0].address).as_tuple()
            lists.contract.claim((other, 1, 0, leaf), sender=lists.owner)

    def test_sums_that_were_made_up_pay_no_more_than_the_total(self, lists):
        """A tree whose total is less than its leaves: no more than one of two leaves can be shown."""
        honest = make_list(lists, 60, 50)
        left, right = (honest.leaf_at(index) for index in (0, 1))
        node = keccak(b"\x01" + right.siblings[0] + (60).to_bytes(32) + left.siblings[0] + (0).to_bytes(32))
        propose(lists, honest, node=node, total=60)
        pass_window()
        first = replace(left, sums=(0,)).as_tuple()
        lists.contract.claim((lists.id, 1, 0, first), sender=lists.owner)
        for sums in ((60,), (10,), (0,)):
            with reverts_with(lists.contract.LeafNotInRoot):
                lists.contract.claim((lists.id, 1, 0, replace(right, sums=sums).as_tuple()), sender=lists.owner)

    @pytest.mark.parametrize("total", [109, 111])
    def test_nothing_is_claimed_of_a_tree_that_sums_up_to_another_total(self, lists, total):
        """Honest leaves, honest paths: what they sum up to must be what was proposed, and funded."""
        made = make_list(lists, 60, 50)
        propose(lists, made, total=total)
        pass_window()
        for person in lists.people[:2]:
            with reverts_with(lists.contract.LeafNotInRoot):
                lists.contract.claim(claim_of(lists, made, person), sender=lists.owner)

    def test_a_leafs_preimage_is_the_documented_one(self, lists):
        """Hashed twice, with chain, contract and list."""
        who = lists.people[0].address
        values = [chain.chain_id, lists.contract.address, lists.id, 3, who, 44]
        inner = keccak(encode(["uint256", "address", "uint256", "uint256", "address", "uint256"], values))
        assert bytes(lists.contract.leafHash(lists.id, 3, who, 44)) == keccak(inner)

    def test_several_lists_in_several_tokens_in_one_transaction(self, lists, project, deployer):
        """What somebody claimed just before is passed over; what is wrong reverts all."""
        token = deployer.deploy(project.MintableToken)
        other = open_list(lists, token=token.address)
        pay_in(lists, lists.contract.fundAccount(other), 500, token)
        pay_in(lists, lists.contract.bondAccount(other), BOND, token)
        one, two, person = make_list(lists, 100, 5), make_list(lists, 70, 9, list_id=other), lists.people[0]
        propose(lists, one)
        propose(lists, two)
        pass_window()
        asked = [claim_of(lists, one, person, amount=40), claim_of(lists, two, person)]
        with reverts_with(lists.contract.ClaimTooLarge):
            lists.contract.claimMany([*asked, claim_of(lists, one, person, amount=61)], sender=person)
        lists.contract.claim(claim_of(lists, two, person), sender=lists.people[1])
        asked.append(claim_of(lists, two, person))
        assert lists.contract.claimMany(asked, sender=person).return_value == [40, 0, 0]
        lists.payments.claimMany([lists.token, token], sender=person)
        assert (lists.token.balanceOf(person), token.balanceOf(person)) == (40, 70)


class TestRounds:
    def test_a_later_root_counts_what_was_claimed(self, lists):
        """Cumulative: only what came since is paid."""
        first, person = make_list(lists, 100, 5), lists.people[0]
        accept(lists, first)
        lists.contract.claim(claim_of(lists, first, person), sender=person)
        second = make_list(lists, 130, 5, 8)
        accept(lists, second)
        assert lists.contract.claim(claim_of(lists, second, person, round_=2), sender=person).return_value == 30
        with reverts_with(lists.contract.NothingLeft, claimed=130):
            lists.contract.claim(claim_of(lists, first, person), sender=person)

    def test_an_accepted_claim_outlives_later_roots(self, lists):
        """Also one that leaves its account out and that nobody challenged, and one that is pending or rejected."""
        first, person = make_list(lists, 100, 5, 6), lists.people[1]
        accept(lists, first)
        without = [lists.people[0], *lists.people[2:]]
        accept(lists, make_list(lists, 100, 50, people=without))
        propose(lists, make_list(lists, 101, 50, people=without))
        lists.contract.reject(lists.id, REASON, sender=lists.arbiter)
        assert lists.contract.claim(claim_of(lists, first, person), sender=person).return_value == 5

    def test_after_a_root_fell_the_round_is_free(self, lists):
        """And what fell can't be claimed under, ever."""
        wrong, right = make_list(lists, 900, 5), make_list(lists, 9, 5)
        propose(lists, wrong)
        lists.contract.reject(lists.id, REASON, sender=lists.arbiter)
        pass_window()
        with reverts_with(lists.contract.RootNotAccepted, round=1, acceptedAt=0):
            lists.contract.claim(claim_of(lists, wrong, lists.people[0]), sender=lists.owner)
        pay_in(lists, lists.contract.bondAccount(lists.id), BOND)
        accept(lists, right)
        with reverts_with(lists.contract.LeafNotInRoot):
            lists.contract.claim(claim_of(lists, wrong, lists.people[0]), sender=lists.owner)


class TestChallengeOrder:
    @pytest.mark.parametrize("entries", [(1, 0, 2), (0, 1, 1)])
    def test_entries_out_of_order_and_twice_fall(self, lists, entries, stranger):
        """Half of the bond to who showed it, rounded down, the rest into the funds."""
        made = unsorted(lists, *((lists.people[number], 10) for number in entries))
        propose(lists, made)
        left = 0 if entries[0] else 1
        pair = [made.leaf_at(left).as_tuple(), made.leaf_at(left + 1).as_tuple()]
        before = int(lists.payments.balanceOf(lists.token, lists.contract.fundAccount(lists.id)))
        receipt = lists.contract.challengeOrder(lists.id, *pair, sender=stranger)
        (event,) = receipt.events.filter(lists.contract.RootChallenged)
        assert (event.challenger, event.reward, event.toFunds) == (stranger.address, 50, 51)
        after = int(lists.payments.balanceOf(lists.token, lists.contract.fundAccount(lists.id)))
        assert (has(lists, stranger), after - before) == (50, 51)
        assert int(lists.payments.balanceOf(lists.token, lists.contract.bondAccount(lists.id))) == 0
        assert lists.contract.list(lists.id)[2] == 0

    def test_an_honest_root_stands(self, lists, stranger):
        """Whatever leaves of it are shown: neighbours, others, one twice, in turn."""
        made = make_list(lists, 1, 2, 3, 4, 5)
        propose(lists, made)
        for left in range(5):
            for right in range(5):
                with reverts_with(lists.contract.NoFaultShown, listId=lists.id):
                    pair = [made.leaf_at(left).as_tuple(), made.leaf_at(right).as_tuple()]
                    lists.contract.challengeOrder.call(lists.id, *pair, sender=stranger)

    def test_both_leaves_must_be_the_roots(self, lists, stranger):
        made, other = make_list(lists, 1, 2), unsorted(lists, (lists.people[1], 1), (lists.people[0], 2))
        propose(lists, made)
        for left, right in ((made, other), (other, made)):
            with reverts_with(lists.contract.LeafNotInRoot):
                pair = [left.leaf_at(0).as_tuple(), right.leaf_at(1).as_tuple()]
                lists.contract.challengeOrder(lists.id, *pair, sender=stranger)

    def test_only_within_the_window(self, lists, stranger):
        """What was accepted stays, with its faults."""
        made = unsorted(lists, (lists.people[1], 1), (lists.people[0], 2))
        pair = [made.leaf_at(0).as_tuple(), made.leaf_at(1).as_tuple()]
        with reverts_with(lists.contract.NoRootPending, listId=lists.id):
            lists.contract.challengeOrder(lists.id, *pair, sender=stranger)
        accept(lists, made)
        with reverts_with(lists.contract.NoRootPending):
            lists.contract.challengeOrder(lists.id, *pair, sender=stranger)


class TestChallengeLoss:
    def challenge(self, lists, before: Leaf, leaves: list[Leaf], sender):
        return lists.contract.challengeLoss(
            lists.id, before.as_tuple(), [leaf.as_tuple() for leaf in leaves], sender=sender
        )

    def test_less_for_an_account_falls(self, lists, stranger):
        first, second = make_list(lists, 10, 20, 30), make_list(lists, 50, 19, 30)
        accept(lists, first)
        propose(lists, second)
        self.challenge(lists, first.leaf_at(1), [second.leaf_at(1)], stranger)
        assert has(lists, stranger) == BOND // 2
        assert lists.contract.list(lists.id)[2] == 1

    @pytest.mark.parametrize("lost", [0, 1, 2])
    def test_an_account_left_out_falls(self, lists, stranger, lost):
        """The first, one in between, the last."""
        first = make_list(lists, 10, 20, 30)
        accept(lists, first)
        left = [person for number, person in enumerate(lists.people[:3]) if number != lost]
        second = make_list(lists, 50, 60, people=left)
        propose(lists, second)
        shown = {0: [0], 1: [0, 1], 2: [1]}[lost]
        self.challenge(lists, first.leaf_at(lost), [second.leaf_at(place) for place in shown], stranger)
        assert has(lists, stranger) == BOND // 2

    def test_an_honest_root_stands(self, lists, stranger):
        """No entry of the old one, beside any one or two leaves of the new, is a loss; nor is nothing, nor three."""
        first, second = make_list(lists, 10, 20, 30), make_list(lists, 10, 21, 30, 5)
        accept(lists, first)
        propose(lists, second)
        leaves = [second.leaf_at(place) for place in range(4)]
        shown = [[], leaves[:3], *([leaf] for leaf in leaves), *([one, two] for one in leaves for two in leaves)]
        for place in range(3):
            for chosen in shown:
                with reverts_with(lists.contract.NoFaultShown):
                    asked = (lists.id, first.leaf_at(place).as_tuple(), [leaf.as_tuple() for leaf in chosen])
                    lists.contract.challengeLoss.call(*asked, sender=stranger)

    def test_the_first_root_takes_nothing_from_anybody(self, lists, stranger):
        made = make_list(lists, 10)
        propose(lists, made)
        with reverts_with(lists.contract.LeafIndexInvalid, index=0, count=0):
            self.challenge(lists, made.leaf_at(0), [made.leaf_at(0)], stranger)

    def test_what_is_shown_must_be_there(self, lists, stranger):
        """The old entry under the last accepted root, the new ones under the pending one."""
        first, second = make_list(lists, 10, 20), make_list(lists, 50, 20)
        accept(lists, first)
        propose(lists, second)
        with reverts_with(lists.contract.LeafNotInRoot, round=1):
            self.challenge(lists, second.leaf_at(0), [second.leaf_at(0)], stranger)
        with reverts_with(lists.contract.LeafNotInRoot, round=2):
            self.challenge(lists, first.leaf_at(0), [first.leaf_at(0)], stranger)


class TestReject:
    def test_is_the_arbiters(self, lists, stranger):
        """Nobody else's, within the window only."""
        propose(lists, make_list(lists, 5))
        with reverts_with(lists.contract.NotListArbiter, caller=stranger, arbiter=lists.arbiter):
            lists.contract.reject(lists.id, REASON, sender=stranger)
        pass_window()
        with reverts_with(lists.contract.NoRootPending):
            lists.contract.reject(lists.id, REASON, sender=lists.arbiter)

    def test_moves_the_bond_into_the_funds_and_nothing_else(self, lists):
        """The arbiter gets nothing."""
        propose(lists, make_list(lists, 5))
        receipt = lists.contract.reject(lists.id, REASON, sender=lists.arbiter)
        assert receipt.events.filter(lists.contract.RootRejected)[0].toFunds == BOND
        assert int(lists.payments.balanceOf(lists.token, lists.contract.fundAccount(lists.id))) == FUNDS + BOND
        assert has(lists, lists.arbiter) == has(lists, lists.owner) == 0


class TestSurplus:
    def test_is_the_openers(self, lists, stranger):
        with reverts_with(lists.contract.NotOpener, caller=stranger, opener=lists.owner):
            lists.contract.takeSurplus(lists.id, sender=stranger)

    def test_leaves_what_the_last_root_promises(self, lists):
        """Claimed or not, to the unit."""
        made = make_list(lists, 600, 400)
        accept(lists, made)
        lists.contract.claim(claim_of(lists, made, lists.people[0], amount=150), sender=lists.owner)
        assert lists.contract.takeSurplus(lists.id, sender=lists.owner).return_value == FUNDS - 1_000
        assert has(lists, lists.owner) == FUNDS - 1_000
        for person in lists.people[:2]:
            lists.contract.claim(claim_of(lists, made, person), sender=lists.owner)
        assert int(lists.payments.balanceOf(lists.token, lists.contract.fundAccount(lists.id))) == 0
        assert lists.contract.takeSurplus(lists.id, sender=lists.owner).return_value == 0

    def test_is_nothing_where_more_was_claimed_than_the_last_root_has(self, lists):
        """After a root that took from somebody, and that nobody challenged."""
        first = make_list(lists, 6_000, 4_000)
        accept(lists, first)
        accept(lists, make_list(lists, 0, 10_000))
        lists.contract.claim(claim_of(lists, first, lists.people[0]), sender=lists.owner)
        assert lists.contract.takeSurplus(lists.id, sender=lists.owner).return_value == 0
        # what is owed beyond the funds waits: a part is paid of what is there
        with reverts_with(lists.payments.BalanceTooLow, balance=4_000, asked=10_000):
            second = make_list(lists, 0, 10_000)
            lists.contract.claim(claim_of(lists, second, lists.people[1], round_=2), sender=lists.owner)
        lists.contract.claim(claim_of(lists, second, lists.people[1], round_=2, amount=4_000), sender=lists.owner)
        assert has(lists, lists.people[1]) == 4_000
