// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IShards} from "../../contracts/interfaces/IShards.sol";
import {MissTerms} from "../../contracts/libraries/MissTerms.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {StakeSourceDouble} from "../../contracts/mocks/StakeSourceDouble.sol";
import {CollateralWeight, RosterAbsence, RosterEntry, RosterHead, RosterPlace} from "../../contracts/types/Types.sol";
import {Network} from "./Network.sol";
import {Vm} from "./Test.sol";

/// @title ShardsTest
/// @notice What rosters say and for how long they bind: I-S1, I-S4, I-S5, I-S8.
contract ShardsTest is Network {
    address private _one;
    address private _two;

    function setUp() external {
        (_one, _two) = (_enroll(1, 2), _enroll(2, 4));
    }

    function _snapshot() internal returns (uint32) {
        return members.snapshot(1);
    }

    function _bound(address operator) internal view returns (uint256) {
        return shards.boundUntil(operator, 0, _height());
    }

    /// First block in which nothing of the epochs before `endEpoch` can be reported.
    function _closed(uint64 endEpoch) internal view returns (uint256) {
        return shards.seedBlockOf(1, endEpoch - 1) + CLOSING + 1;
    }

    // ---- rights

    function test_onlyTheGovernorCreates() external {
        vm.prank(_one);
        vm.expectPartialRevert(IShards.NotGovernor.selector);
        shards.create(_terms(), _weights());
    }

    function test_onlyMembersWritesRosters() external {
        vm.expectPartialRevert(IShards.NotMembers.selector);
        shards.addRoster(1, address(this));
        vm.expectPartialRevert(IShards.NotMembers.selector);
        shards.setSeat(1, 0, _one, true);
        vm.expectPartialRevert(IShards.NotMembers.selector);
        shards.setKey(1, 0, _one);
        vm.expectPartialRevert(IShards.NotMembers.selector);
        shards.vacate(1, _one);
    }

    function test_onlyObjectsSaysHowLongTheyLive() external {
        _snapshot();
        vm.expectPartialRevert(IShards.CallerNotModule.selector);
        shards.recordObject(1, 1, 5);
    }

    function test_whatIsNotThereIsUnknown() external {
        vm.expectPartialRevert(IShards.ShardUnknown.selector);
        shards.parametersOf(2);
        vm.expectPartialRevert(IShards.RosterUnknown.selector);
        shards.rosterHead(1, 0);
        vm.expectPartialRevert(IShards.RosterUnknown.selector);
        shards.rosterHead(1, 1);
        equal(shards.activeRoster(1), 0, "none active");
    }

    // ---- parameters and dates

    function test_aShardSaysWhatWasSet() external view {
        equal(shards.count(), 1, "shards");
        equal(shards.firstBlockOf(1), 1000, "first block");
        equal(shards.parametersOf(1).ticketPrice, PRICE, "price");
        equal(shards.collateralsOf(1)[0].token, address(token), "collateral");
        equal(MissTerms.bondToken(MissTerms.load(shards.missTermsOf(1))), address(bondToken), "bond token");
        equal(shards.restakingOf(1), address(restaking), "restaking");
    }

    function test_epochsAreCountedFromTheFirstBlock() external view {
        equal(shards.epochAt(1, 999), 0, "before");
        equal(shards.epochAt(1, 1019), 0, "last of the first");
        equal(shards.epochAt(1, 1020), 1, "the second");
        equal(shards.seedBlockOf(1, 3), 1060, "seed");
        equal(shards.frozenBlockOf(1, 3), 1058, "frozen");
        // the first epoch whose frozen block isn't before the block
        equal(shards.firstEpochAfter(1, 1058), 3, "in time");
        equal(shards.firstEpochAfter(1, 1059), 4, "too late");
        equal(shards.firstEpochAfter(1, 0), 1, "never the first");
    }

    // ---- rosters

    /// I-S1.
    function test_everyTicketHasOneHolder() external {
        _enroll(3, 3);
        address four = _enroll(4, 1);
        _exit(_operator(3));
        uint32 roster = _snapshot();
        RosterHead memory head = shards.rosterHead(1, roster);
        // of 2, 4, 0, 1 none may have more than a third: 1, 1, 0, 1
        equal(head.tickets, 3, "tickets");
        equal(head.operators, 3, "operators");
        equal(head.seats, 4, "seats");
        RosterEntry[] memory entries = shards.rosterEntries(1, roster, 0, 99);
        equal(entries.length, 4, "entries");
        equal(entries[2].operator, address(0), "the empty seat");
        equal(entries[3].operator, four, "the fourth");
        equal(entries[3].firstTicket, 2, "its first ticket");
        equal(shards.rosterEntries(1, roster, 3, 2).length, 0, "nothing between");
        yes(shards.rosterEntry(1, roster, 0).keyHash == keccak256(_key(_secret(1))), "hash of a key");
        vm.expectPartialRevert(IShards.SeatOutOfRange.selector);
        shards.rosterEntry(1, roster, 4);
        uint256[] memory seats = new uint256[](1);
        seats[0] = 2;
        vm.expectPartialRevert(IShards.SeatEmpty.selector);
        shards.rosterKeys(1, roster, seats);
    }

    function test_aPlaceIsFoundByItsOperator() external {
        uint32 roster = _snapshot();
        equal(shards.rosterCount(1), 1, "rosters");
        equal(shards.rosterIndexOf(1, roster, _two), 1, "seat");
        yes(shards.isInRoster(1, roster, _two), "in");
        yes(!shards.isInRoster(1, roster, _operator(3)), "a stranger");
        vm.expectPartialRevert(IShards.OperatorNotInRoster.selector);
        shards.rosterIndexOf(1, roster, _operator(3));
        vm.expectPartialRevert(IShards.OperatorNotInRoster.selector);
        shards.slashTerms(1, roster, _operator(3));
    }

    /// A roster is active from the epoch after its snapshot's, live to the end of its term.
    function test_aRosterLivesForATerm() external {
        uint32 roster = _snapshot();
        RosterHead memory head = shards.rosterHead(1, roster);
        equal(head.activeFromEpoch, 1, "active from");
        equal(head.endEpoch, TERM_EPOCHS, "end");
        equal(shards.activeRoster(1), 0, "not yet");
        _roll(shards.seedBlockOf(1, 1));
        equal(shards.activeRoster(1), roster, "active");
        (uint32 first, uint32 last) = shards.rostersLiveIn(1, 0);
        equal(first, 1, "none before");
        equal(last, 0, "none before");
        (first, last) = shards.rostersLiveIn(1, TERM_EPOCHS - 1);
        equal(first, 1, "the last epoch");
        equal(last, 1, "the last epoch");
        (first, last) = shards.rostersLiveIn(1, TERM_EPOCHS);
        yes(first > last, "none after");
    }

    /// I-S4, and that those live in an epoch are found.
    function test_atMostSevenRostersLive() external {
        _stake(_one, 1000 * PRICE);
        for (uint256 i = 0; i < 12; ++i) {
            _post(_one, 1, 2 * (i + 1) * BOND);
            _snapshot();
            _pass(EPOCH);
        }
        uint64 epoch = shards.epochAt(1, _height());
        (uint32 first, uint32 last) = shards.rostersLiveIn(1, epoch);
        equal(last, 12, "the newest");
        atMost(last - first + 1, 7, "I-S4");
        RosterPlace[] memory places = shards.placesIn(1, epoch, _one);
        equal(places.length, last - first + 1, "a place in each");
        equal(places[0].roster, first, "oldest first");
        places = shards.placesFrom(1, last - 1, last, _one);
        equal(places.length, 2, "a place in each named");
        equal(places[0].roster, last - 1, "from the first named on");
        equal(shards.placesFrom(1, last, last - 1, _one).length, 0, "none named");
        equal(shards.placesIn(1, epoch, _operator(3)).length, 0, "a stranger");
        equal(shards.placesIn(1, 0, _one).length, 0, "before the first");
    }

    // ---- vacancies

    function test_aVacancyIsOneForAllRostersBefore() external {
        address three = _enroll(3, 1);
        _snapshot();
        _pass(TERM / 2);
        address four = _enroll(4, 1);
        _snapshot();
        _slash(three, 1, 1);
        uint256 block_ = _height();
        equal(shards.vacatedAt(1, 1, three), block_, "in the first");
        equal(shards.vacatedAt(1, 2, three), block_, "in the second");
        equal(shards.vacantTicketsOf(1, 1), 1, "of the first");
        equal(shards.vacantTicketsOf(1, 2), 1, "of the second");
        equal(shards.placesIn(1, 4, three)[0].vacatedBlock, block_, "in its place");
        equal(shards.vacatedAt(1, 2, four), 0, "nobody else's");
        // another miss says nothing new
        _slash(three, 1, 2);
        equal(shards.vacatedAt(1, 1, three), block_, "the first counts");
        equal(shards.vacantTicketsOf(1, 1), 1, "once");
    }

    /// Under a newer roster its place falls vacant anew; what fell vacant before isn't counted twice, and a roster that has ended not at all.
    function test_aPlaceFallsVacantAgainUnderANewRoster() external {
        address three = _enroll(3, 1);
        _stake(three, 100 * PRICE);
        _enroll(4, 3);
        _snapshot();
        _slash(three, 1, 1);
        _post(three, 1, 5);
        _pass(TERM / 2);
        _snapshot();
        yes(shards.isInRoster(1, 2, three), "it is back");
        equal(shards.vacatedAt(1, 2, three), 0, "the second is whole");
        _slash(three, 2, 4);
        equal(shards.vacantTicketsOf(1, 1), 1, "of the first, once");
        yes(shards.vacantTicketsOf(1, 2) != 0, "of the second");

        // three terms later nothing of them is touched
        uint256 before = shards.vacantTicketsOf(1, 2);
        _roll(_closed(shards.rosterHead(1, 2).endEpoch) + TERM);
        _post(_two, 1, 100);
        _snapshot();
        _pass(2 * TERM);
        _slash(_one, 3, 20);
        _slash(_one, 3, 21);
        yes(shards.vacatedAt(1, 3, _one) != 0, "fallen vacant");
        equal(shards.vacantTicketsOf(1, 3), 0, "it has ended");
        equal(shards.vacantTicketsOf(1, 2), before, "older ones too");
    }

    /// What a certificate asks of those that did not sign: their keys, tickets and names, and what fell vacant of others.
    function test_whoIsAbsentIsTold() external {
        uint16[] memory seats = new uint16[](3);
        (seats[1], seats[2]) = (1, 2);
        vm.expectPartialRevert(IShards.RosterUnknown.selector);
        shards.absenceIn(1, 1, seats);
        _exit(_enroll(3, 1));
        _snapshot();
        RosterAbsence memory all = shards.absenceIn(1, 1, seats);
        yes(keccak256(all.aggregateKey) == keccak256(shards.aggregateKeyOf(1, 1)), "sum of keys");
        bytes memory keys = bytes.concat(_key(_secret(1)), _key(_secret(2)), new bytes(256));
        yes(keccak256(all.keys) == keccak256(keys), "keys, none of the empty seat");
        equal(all.operators[1], _two, "operator");
        equal(all.operators[2], address(0), "nobody");
        equal(all.tickets[0], 2, "tickets");
        equal(all.tickets[2], 0, "no tickets");
        equal(all.vacantElsewhere, 0, "nothing is vacant");
        _slash(_one, 1, 1);
        _slash(_one, 1, 2);
        equal(shards.absenceIn(1, 1, seats).vacantElsewhere, 0, "named among them");
        equal(shards.absenceIn(1, 1, new uint16[](0)).vacantElsewhere, 2, "not named");
        seats[0] = 3;
        vm.expectPartialRevert(IShards.SeatOutOfRange.selector);
        shards.absenceIn(1, 1, seats);
    }

    /// Misses after the place fell vacant say nothing new until there is another roster.
    function test_aVacantPlaceFallsVacantOnce() external {
        _snapshot();
        _slash(_one, 1, 1);
        _slash(_one, 1, 2);
        yes(shards.vacatedAt(1, 1, _one) != 0, "fallen vacant");
        bytes32 id = _miss(_one, 1, 3);
        _pass(RESOLUTION);
        vm.recordLogs();
        restaking.executeSlash(id);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            yes(logs[i].topics[0] != IShards.PlaceVacated.selector, "said again");
        }
    }

    /// Whose place no roster has vacates nothing.
    function test_whoHasNoTicketVacatesNone() external {
        address three = _enroll(3, 1);
        _snapshot();
        _exit(three);
        _pass(TERM / 2);
        _snapshot();
        _slash(three, 1, 1);
        equal(shards.vacantTicketsOf(1, 1), 1, "of the first");
        equal(shards.vacantTicketsOf(1, 2), 0, "none of the second");
    }

    // ---- how long a roster binds: I-S5

    function test_aRosterBindsUntilItsLastMissCanBeReported() external {
        equal(_bound(_one), 0, "no roster");
        _snapshot();
        uint256 until = _closed(TERM_EPOCHS);
        equal(_bound(_one), until, "until");
        equal(_bound(_operator(3)), 0, "a stranger");
        equal(shards.boundIn(1, _one, 0, _height()), until, "in the shard");
        equal(shards.boundUntil(_one, 0, _height() - 1), 0, "what left before it was never counted");
        equal(shards.boundUntil(_one, _height() + 1, _height() + 1), 0, "nor what came after");
        _roll(until - 1);
        equal(_bound(_one), until, "its last block");
        _roll(until);
        equal(_bound(_one), 0, "free");
    }

    /// Once it is replaced, and nothing can be certified under it, it binds for its objects only.
    function test_aReplacedRosterBindsForItsObjects() external {
        _snapshot();
        vm.prank(OBJECTS);
        shards.recordObject(1, 1, 5);
        vm.prank(OBJECTS);
        shards.recordObject(1, 1, 3);
        _exit(_one);
        _pass(EPOCH);
        _enroll(3, 4);
        _snapshot();
        uint256 whole = _closed(TERM_EPOCHS);
        equal(_bound(_one), whole, "as long as one can be certified under it");
        _roll(shards.seedBlockOf(1, shards.rosterHead(1, 2).activeFromEpoch) + EPOCH - 1);
        equal(_bound(_one), whole, "the last block of that");
        _pass(1);
        equal(_bound(_one), _closed(5), "for its objects");
        equal(_bound(_two), _closed(shards.rosterHead(1, 2).endEpoch), "by the newer one");
    }

    function test_aReplacedRosterWithoutObjectsBindsNobody() external {
        _snapshot();
        _exit(_one);
        _pass(EPOCH);
        _enroll(3, 4);
        _snapshot();
        _roll(shards.seedBlockOf(1, shards.rosterHead(1, 2).activeFromEpoch) + EPOCH);
        equal(_bound(_one), 0, "nothing to prove");
    }

    /// A place that fell vacant has the duties frozen before, and no more.
    function test_aVacancyEndsWhatBinds() external {
        _snapshot();
        // the second leaves less than the minimum
        _slash(_one, 1, 1);
        _slash(_one, 1, 2);
        uint256 until = _height() + FINALITY - 1 + CLOSING + 1;
        equal(_bound(_one), until, "until");
        _roll(until);
        equal(_bound(_one), 0, "free");
        equal(_bound(_two), _closed(TERM_EPOCHS), "the other is bound");
    }

    // ---- what a miss takes

    function test_aMissTakesByTicket() external {
        _snapshot();
        (uint256 bond, uint256 fee, address[] memory tokens, uint256[] memory amounts) = shards.slashTerms(1, 1, _two);
        equal(bond, 4 * 4, "bond");
        equal(fee, 1, "fee");
        equal(tokens[0], address(token), "collateral");
        equal(amounts[0], 4 * 20, "stake");
    }

    /// What is carried out is what a view says beforehand.
    function test_aSlashTakesWhatItsTermsSay() external {
        _snapshot();
        (uint256 bond, uint256 fee,, uint256[] memory amounts) = shards.slashTerms(1, 1, _two);
        (uint256 bondBefore,,) = restaking.bondState(_two, 1);
        _slash(_two, 1, 1);
        (uint256 bondAfter,,) = restaking.bondState(_two, 1);
        equal(bondBefore - bondAfter, bond, "bond");
        equal(restaking.freeBalance(REPORTER, address(bondToken)), fee, "fee");
        equal(restaking.burnable(address(bondToken)), bond - fee, "the rest of the bond");
        equal(restaking.burnable(address(token)), amounts[0], "stake");
    }

    /// Each roster's slash is measured by the source that counted it.
    function test_aSlashAsksTheSourceOfItsRoster() external {
        _snapshot();
        StakeSourceDouble source = new StakeSourceDouble();
        source.setStake(_two, 1, address(token), 4 * PRICE);
        desk.set(ModuleNames.STAKE_SOURCE, address(source));
        _pass(TERM / 2);
        uint32 second = _snapshot();
        (address slasher, address of_, uint256 tickets) = shards.slashPlaceOf(1, second, _two);
        equal(slasher, AUDITS, "slasher");
        equal(of_, address(source), "source");
        equal(shards.sourceOf(1, second), address(source), "source of the roster");
        equal(shards.sourceOf(1, 1), address(restaking), "source of the first");
        equal(tickets, 4, "tickets");
        _slash(_two, second, 5);
        equal(restaking.burnable(address(token)), 0, "of stake that is not there");
        equal(restaking.burnable(address(bondToken)), 15, "the bond's part all the same");
        _slash(_two, 1, 1);
        equal(restaking.burnable(address(token)), 4 * 20, "by the first roster's source");
    }

    /// Less stands behind the shard than the tickets cost: all of it, and no more.
    function test_aMissTakesNoMoreThanThereIs() external {
        _stake(_two, 30);
        _snapshot();
        uint256 left = 4 * PRICE + 30;
        for (uint64 epoch = 1; left != 0; ++epoch) {
            (,,, uint256[] memory amounts) = shards.slashTerms(1, 1, _two);
            equal(amounts[0], left < 80 ? left : 80, "takes");
            _slash(_two, 1, epoch);
            left -= amounts[0];
        }
        (,,, uint256[] memory none) = shards.slashTerms(1, 1, _two);
        equal(none[0], 0, "nothing is left");
    }

    /// Two collaterals give in proportion to what they weigh.
    function test_collateralsGiveInProportion() external {
        restaking.listCollateral(address(bondToken));
        CollateralWeight[] memory weights = new CollateralWeight[](2);
        (weights[0], weights[1]) = (_weights()[0], CollateralWeight(address(bondToken), 2e18));
        uint32 shard = shards.create(_terms(), weights);
        address three = _register(3);
        _post(three, shard, 6 * BOND);
        vm.prank(three);
        restaking.allocate(shard, address(token), 1e18);
        vm.prank(three);
        restaking.allocate(shard, address(bondToken), 1e18);
        _stake(three, 2 * PRICE);
        bondToken.mint(three, 2 * PRICE);
        vm.prank(three);
        restaking.depositAndDelegate(three, address(bondToken), 2 * PRICE);
        vm.prank(three);
        members.join(shard);
        members.snapshot(shard);
        (,,, uint256[] memory amounts) = shards.slashTerms(shard, 1, three);
        // 6 tickets of 20: 120 of 600, a fifth of each
        equal(amounts[0], 40, "of the first");
        equal(amounts[1], 40, "of the second");
        vm.prank(AUDITS);
        bytes32 id = restaking.queueSlash(shard, 1, three, 1, REPORTER);
        _pass(RESOLUTION);
        restaking.executeSlash(id);
        equal(restaking.burnable(address(token)), 40, "taken of the first");
        equal(restaking.burnable(address(bondToken)), 40 + 6 * 4 - 1, "taken of the second, and of the bond");
    }
}
