// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMembers} from "../../contracts/interfaces/IMembers.sol";
import {IOperators} from "../../contracts/interfaces/IOperators.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {StakeSourceDouble} from "../../contracts/mocks/StakeSourceDouble.sol";
import {BlsCertificateVerifier} from "../../contracts/modules/BlsCertificateVerifier.sol";
import {MemberState, RosterHead} from "../../contracts/types/Types.sol";
import {Network} from "./Network.sol";
import {Counts} from "./World.sol";

/// @title MembersTest
/// @notice Who sits where, who is counted anew, what a snapshot needs: I-S2, I-S3, I-S6, I-S7, I-S9.
contract MembersTest is Network {
    function _snapshot() internal returns (uint32) {
        return members.snapshot(1);
    }

    function _nextSnapshot() internal returns (uint32) {
        _pass(TERM / 2);
        return _snapshot();
    }

    function _tickets(address operator) internal view returns (uint256) {
        return members.memberOf(1, operator).tickets;
    }

    function _isMarked(address operator) internal view returns (bool) {
        return members.memberOf(1, operator).marked;
    }

    // ---- rights

    function test_onlyShardsOpens() external {
        vm.expectPartialRevert(IMembers.CallerNotModule.selector);
        members.open(2, address(restaking), _terms(), _weights());
    }

    function test_onlyRestakingRecordsSlashes() external {
        address one = _enroll(1, 2);
        vm.expectPartialRevert(IMembers.CallerNotModule.selector);
        members.recordSlash(1, one, 1, 0);
    }

    /// A stranger's word marks nobody; Restaking's and Operators' do.
    function test_onlyRestakingAndOperatorsMark() external {
        address one = _enroll(1, 2);
        members.refresh(1, 10);
        members.noteChange(one);
        yes(!_isMarked(one), "a stranger said so");
        vm.prank(address(registry));
        members.noteChange(one);
        yes(_isMarked(one), "Operators said so");
        members.refresh(1, 10);
        vm.prank(address(restaking));
        members.noteChange(one);
        yes(_isMarked(one), "Restaking said so");
    }

    function test_noShardIsUnknown() external {
        vm.expectPartialRevert(IMembers.ShardUnknown.selector);
        members.membersOf(2);
    }

    // ---- coming and going

    function test_onlyTheRegisteredJoin() external {
        vm.prank(_operator(1));
        vm.expectPartialRevert(IMembers.NotRegistered.selector);
        members.join(1);
    }

    function test_nobodyJoinsWithoutAPublishedKey() external {
        address one = _operator(1);
        bytes memory key = _key(_secret(1));
        bytes memory possession = _possession(one, _secret(1));
        vm.prank(one);
        registry.register(key, possession, "", "", 0, one);
        vm.prank(one);
        vm.expectPartialRevert(IOperators.KeyNotPublished.selector);
        members.join(1);
    }

    /// I-S9.
    function test_aSeatEach() external {
        address one = _enroll(1, 2);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.AlreadyJoined.selector);
        members.join(1);
        yes(members.isMember(1, one), "member");
        yes(!members.isMember(1, _operator(2)), "no member");
    }

    function test_bondAndStakeForATicketAreNeeded() external {
        address one = _register(1);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.BondBelowMinimum.selector);
        members.join(1);
        _post(one, 1, BOND - 1);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.BondBelowMinimum.selector);
        members.join(1);
        _post(one, 1, 1);
        vm.prank(one);
        restaking.allocate(1, address(token), 1e18);
        _stake(one, PRICE - 1);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.StakeBelowTicket.selector);
        members.join(1);
        _stake(one, 1);
        vm.prank(one);
        members.join(1);
    }

    function test_aShardHoldsSoManyOperators() external {
        for (uint256 i = 1; i <= 16; ++i) {
            _enroll(i, 1);
        }
        address more = _equip(17, 1);
        vm.prank(more);
        vm.expectPartialRevert(IMembers.ShardFull.selector);
        members.join(1);
        _exit(_operator(3));
        vm.prank(more);
        members.join(1);
        equal(members.memberOf(1, more).seat, 2, "the seat that was left");
        equal(members.membersOf(1).length, 16, "members");
    }

    function test_whoLeftHasNoSeat() external {
        (address one, address two) = (_enroll(1, 2), _enroll(2, 2));
        vm.prank(_operator(3));
        vm.expectPartialRevert(IMembers.NotJoined.selector);
        members.exit(1);
        _exit(one);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.NotJoined.selector);
        members.exit(1);
        MemberState memory state = members.memberOf(1, one);
        yes(!state.isMember && !state.marked && state.tickets == 0, "no member");
        equal(state.openSince, _height(), "open since");
        address[] memory left = members.membersOf(1);
        equal(left.length, 1, "members");
        equal(left[0], two, "the other");
        vm.prank(one);
        members.join(1);
        equal(members.memberOf(1, one).openSince, 0, "back");
    }

    function test_onlyWhoHasNoTicketIsDropped() external {
        address one = _enroll(1, 1);
        vm.expectPartialRevert(IMembers.StillQualified.selector);
        members.drop(1, one);
        vm.prank(one);
        restaking.queueBondWithdrawal(1, 1);
        members.drop(1, one);
        yes(!members.isMember(1, one), "dropped");
    }

    /// What an operator is bound by is asked of all its shards, so they are few; one left behind makes room.
    function test_soManyShardsEach() external {
        address one = _enroll(1, 1);
        uint32[] memory opened = new uint32[](8);
        for (uint256 i = 0; i < 8; ++i) {
            opened[i] = shards.create(_terms(), _weights());
            _post(one, opened[i], BOND);
        }
        // every shard has a part of enough stake
        _stake(one, 100 * PRICE);
        for (uint256 i = 0; i < 8; ++i) {
            _makeRoom(one, opened[i], 1e17);
        }
        for (uint256 i = 0; i < 7; ++i) {
            vm.prank(one);
            members.join(opened[i]);
        }
        equal(members.shardsOf(one).length, 8, "shards");
        vm.prank(one);
        vm.expectPartialRevert(IMembers.TooManyShards.selector);
        members.join(opened[7]);

        // a shard that was left, but whose roster binds, doesn't make room; one that nothing binds does
        members.snapshot(1);
        _exit(one);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.TooManyShards.selector);
        members.join(opened[7]);
        vm.prank(one);
        members.exit(opened[2]);
        vm.prank(one);
        members.join(opened[7]);
        equal(members.shardsOf(one)[3], opened[7], "in the place of the one left");
        equal(members.shardsOf(one).length, 8, "shards");
    }

    /// All stands behind shard 1: some is taken back, once, and put behind another.
    function _makeRoom(address operator, uint32 shard, uint256 magnitude) internal {
        vm.prank(operator);
        restaking.deallocate(1, address(token), magnitude);
        _pass(DELAY);
        restaking.completeDeallocation(operator, 1, address(token));
        vm.prank(operator);
        restaking.allocate(shard, address(token), magnitude);
        _pass(DELAY);
        restaking.completeAllocation(operator, shard, address(token));
    }

    // ---- misses and jail

    function test_misses_jailAndAfterwardsNoMore() external {
        address one = _enroll(1, 10);
        _enroll(2, 10);
        _snapshot();
        _slash(one, 1, 1);
        equal(members.memberOf(1, one).misses, 1, "misses");
        yes(_isMarked(one), "to be counted anew");
        _slash(one, 1, 2);
        MemberState memory state = members.memberOf(1, one);
        yes(!state.isMember, "its seat is empty");
        equal(state.misses, 0, "begins anew");
        uint256 until = shards.epochAt(1, _height()) + 10;
        equal(state.jailedUntil, until, "until");
        vm.prank(one);
        vm.expectPartialRevert(IMembers.Jailed.selector);
        members.join(1);
        _roll(shards.seedBlockOf(1, uint64(until)) - 1);
        _post(one, 1, 1000);
        _stake(one, 1000);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.Jailed.selector);
        members.join(1);
        _pass(1);
        vm.prank(one);
        members.join(1);
    }

    /// Misses far apart don't add up.
    function test_missesFarApartJailNobody() external {
        address one = _enroll(1, 10);
        _snapshot();
        _slash(one, 1, 1);
        _slash(one, 1, 11);
        MemberState memory state = members.memberOf(1, one);
        yes(state.isMember, "member");
        equal(state.misses, 1, "misses");
        equal(state.missEpoch, 11, "since");
    }

    function test_missesWithinTheJailEpochsAddUp() external {
        address one = _enroll(1, 10);
        _snapshot();
        _slash(one, 1, 1);
        _slash(one, 1, 10);
        yes(!members.isMember(1, one), "jailed");
    }

    /// Who left before is slashed and jailed all the same.
    function test_whoLeftIsJailedToo() external {
        address one = _enroll(1, 10);
        _snapshot();
        _exit(one);
        _slash(one, 1, 1);
        _slash(one, 1, 2);
        vm.prank(one);
        vm.expectPartialRevert(IMembers.Jailed.selector);
        members.join(1);
    }

    /// A bond below the minimum opens the place at once.
    function test_aBondBelowTheMinimumOpensThePlace() external {
        address one = _enroll(1, 1);
        _stake(one, PRICE);
        _snapshot();
        _slash(one, 1, 1);
        equal(shards.vacatedAt(1, 1, one), _height(), "vacant");
        equal(shards.vacantTicketsOf(1, 1), 1, "tickets");
        // counted in the very block, it would look vacant from the new roster's start
        _post(one, 1, 100);
        members.refresh(1, 16);
        equal(_tickets(one), 0, "not in this block");
        yes(_isMarked(one), "but by the next roster");
        _pass(1);
        members.refresh(1, 16);
        // of 200 staked a miss took 20
        equal(_tickets(one), 1, "as what is left makes");
    }

    function test_aVacancyInTheBlockOfASnapshotConcernsItsOperatorOnly() external {
        (address one, address two) = (_enroll(1, 1), _enroll(2, 3));
        _snapshot();
        _slash(one, 1, 1);
        _post(two, 1, 1);
        members.refresh(1, 16);
        yes(!_isMarked(two), "counted");
        equal(_tickets(two), 3, "tickets");
    }

    // ---- counting

    /// I-S6: until it is counted a member is marked, whoever counts it.
    function test_whoIsNamedIsCountedAnew() external {
        (address one, address two) = (_enroll(1, 2), _enroll(2, 2));
        address[] memory named = new address[](1);
        named[0] = two;
        members.refreshOperators(1, named);
        equal(_tickets(two), 2, "counted");
        equal(_tickets(one), 0, "not yet");
        yes(_isMarked(one), "marked until then");
        named[0] = _operator(3);
        vm.expectPartialRevert(IMembers.NotJoined.selector);
        members.refreshOperators(1, named);
        equal(members.refresh(1, 1), 1, "one");
        equal(_tickets(one), 2, "counted");
        yes(!_isMarked(one), "no longer");
    }

    /// I-S3: the lesser of what bond and stake make.
    function test_ticketsAreOfBondAndStake() external {
        address one = _enroll(1, 3);
        _stake(one, 10 * PRICE);
        members.refresh(1, 16);
        equal(_tickets(one), 3, "of the bond");
        _post(one, 1, 10 * BOND);
        members.refresh(1, 16);
        equal(_tickets(one), 13, "of both");
        (uint256 bond, uint256 weight, uint256 tickets) = members.standingOf(1, one);
        equal(bond, 13 * BOND, "bond");
        equal(weight, 13 * PRICE, "weight");
        equal(tickets, 13, "tickets");
        vm.prank(one);
        restaking.queueBondWithdrawal(1, 13 * BOND - 1);
        members.refresh(1, 16);
        equal(_tickets(one), 0, "below the least bond");
    }

    /// I-S7: the key of a roster is the sum of those who have tickets, whatever came, went and changed before.
    function test_theSumOfKeysFollows() external {
        BlsCertificateVerifier verifier = new BlsCertificateVerifier();
        (address one, address two) = (_enroll(1, 2), _enroll(2, 2));
        _enroll(3, 2);
        uint32 roster = _snapshot();
        bytes memory keys = bytes.concat(_key(_secret(1)), _key(_secret(2)), _key(_secret(3)));
        yes(keccak256(verifier.aggregateKeys(keys)) == keccak256(shards.aggregateKeyOf(1, roster)), "three");

        // one turns its key, two leaves, four comes into its seat
        bytes memory possession = _possession(one, 900);
        bytes memory key = _key(900);
        vm.prank(one);
        registry.rotateKey(key, possession);
        _exit(two);
        _enroll(4, 5);
        roster = _nextSnapshot();
        keys = bytes.concat(_key(900), _key(_secret(4)), _key(_secret(3)));
        yes(keccak256(verifier.aggregateKeys(keys)) == keccak256(shards.aggregateKeyOf(1, roster)), "turned");
        uint256[] memory seats = new uint256[](3);
        (seats[0], seats[1], seats[2]) = (0, 1, 2);
        yes(keccak256(shards.rosterKeys(1, roster, seats)) == keccak256(keys), "each");
        seats[1] = 2;
        // I-S8: the first roster says what it said
        keys = bytes.concat(_key(_secret(1)), _key(_secret(3)), _key(_secret(3)));
        yes(keccak256(shards.rosterKeys(1, 1, seats)) == keccak256(keys), "of the first roster");

        // all leave, and one comes back under the same key
        _exit(one);
        _exit(_operator(3));
        _exit(_operator(4));
        _pass(TERM / 2);
        vm.expectPartialRevert(IMembers.NoTickets.selector);
        _snapshot();
        vm.prank(one);
        members.join(1);
        _snapshot();
        yes(keccak256(shards.aggregateKeyOf(1, 3)) == keccak256(_key(900)), "the only one");
    }

    // ---- other sources, other slashers

    /// IStakeSource: another one counts from the next snapshot on.
    function test_anotherSourceCountsEverybodyAnew() external {
        address one = _enroll(1, 2);
        members.refresh(1, 16);
        _post(one, 1, 1000);
        StakeSourceDouble source = new StakeSourceDouble();
        source.setStake(one, 1, address(token), 7 * PRICE);
        desk.set(ModuleNames.STAKE_SOURCE, address(source));
        _snapshot();
        equal(_tickets(one), 7, "as the new one says");
    }

    /// Stake that a roster binds is slashed by the module of its snapshot only, unless its operator accepted the new one.
    function test_aNewSlasherCountsOnlyWhoAcceptsIt() external {
        (address one, address two) = (_enroll(1, 2), _enroll(2, 2));
        _snapshot();
        address old = AUDITS;
        address next = address(new Counts());
        desk.set(ModuleNames.AUDITS, next);
        vm.prank(OBJECTS);
        shards.recordObject(1, 1, TERM_EPOCHS);
        vm.prank(one);
        restaking.acceptSlasher(next);
        _nextSnapshot();
        equal(_tickets(one), 2, "accepted");
        equal(_tickets(two), 0, "bound by the old one's");
        RosterHead memory head = shards.rosterHead(1, 2);
        equal(head.slasher, next, "slasher");
        equal(members.slashers().length, 2, "slashers");

        // when nothing under the old one can be reported any more, all serve
        _roll(shards.seedBlockOf(1, shards.rosterHead(1, 1).endEpoch - 1) + CLOSING);
        members.refreshOperators(1, _named(two));
        equal(_tickets(two), 0, "the last block of the old one's");
        _pass(1);
        members.refreshOperators(1, _named(two));
        equal(_tickets(two), 2, "free of it");

        // back to the one before, which is listed once
        desk.set(ModuleNames.AUDITS, old);
        members.refresh(1, 0);
        equal(members.slashers().length, 2, "slashers");
    }

    /// Who joined after the old slasher's last roster was never bound by it.
    function test_whoComesLaterServesTheNewSlasherAtOnce() external {
        _enroll(1, 2);
        _snapshot();
        desk.set(ModuleNames.AUDITS, address(new Counts()));
        address two = _enroll(2, 2);
        members.refresh(1, 16);
        equal(_tickets(two), 2, "tickets");
        equal(_tickets(_operator(1)), 0, "bound");
    }

    function _named(address operator) internal pure returns (address[] memory named) {
        named = new address[](1);
        named[0] = operator;
    }

    // ---- snapshots

    function test_anEmptyShardHasNoRoster() external {
        vm.expectPartialRevert(IMembers.NoTickets.selector);
        _snapshot();
    }

    function test_rostersLieApart() external {
        _enroll(1, 2);
        _snapshot();
        _pass(TERM / 7 - 1);
        vm.expectPartialRevert(IMembers.SnapshotTooEarly.selector);
        _snapshot();
        _enroll(2, 2);
        _pass(1);
        _snapshot();
    }

    function test_beforeHalfOfATermATwentiethChanges() external {
        // of 40 tickets two must change
        address one = _enroll(1, 10);
        _stake(one, 10 * PRICE);
        _enroll(2, 10);
        _enroll(3, 10);
        _enroll(4, 10);
        _snapshot();
        _pass(TERM / 7);
        _post(one, 1, BOND);
        vm.expectPartialRevert(IMembers.TicketsUnchanged.selector);
        _snapshot();
        _pass(TERM / 2 - TERM / 7 - 1);
        vm.expectPartialRevert(IMembers.TicketsUnchanged.selector);
        _snapshot();
        _post(one, 1, BOND);
        _snapshot();
        // and with half of it passed, none
        _pass(TERM / 2);
        _snapshot();
    }

    /// Who leaves and comes back changed, though the same seat has the same tickets.
    function test_whatWasGivenUpCounts() external {
        address one = _enroll(1, 10);
        _enroll(2, 10);
        _snapshot();
        _pass(TERM / 7);
        _exit(one);
        vm.prank(one);
        members.join(1);
        _snapshot();
        _pass(TERM / 7);
        vm.expectPartialRevert(IMembers.TicketsUnchanged.selector);
        _snapshot();
    }

    /// Where scaling leaves small ones without a ticket, their keys are not in the roster's.
    function test_whoLosesItsTicketToScalingIsInNoSum() external {
        for (uint256 i = 1; i <= 4; ++i) {
            _enroll(i, 100_000);
        }
        for (uint256 i = 5; i <= 14; ++i) {
            _enroll(i, 1);
        }
        uint32 roster = _snapshot();
        RosterHead memory head = shards.rosterHead(1, roster);
        equal(head.tickets, 1024, "tickets");
        equal(head.operators, 8, "four large ones, and as many small ones as there is room for");
        atMost(head.largest, uint256(head.tickets) / 3, "I-S2");
        bytes memory keys;
        for (uint256 i = 1; i <= 8; ++i) {
            keys = bytes.concat(keys, _key(_secret(i)));
        }
        bytes memory sum = new BlsCertificateVerifier().aggregateKeys(keys);
        yes(keccak256(sum) == keccak256(shards.aggregateKeyOf(1, roster)), "I-S7");
    }
}
