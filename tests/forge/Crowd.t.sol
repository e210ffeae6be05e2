// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {CrowdDouble} from "../../contracts/mocks/CrowdDouble.sol";
import {Members} from "../../contracts/restaking/Members.sol";
import {Shards} from "../../contracts/restaking/Shards.sol";
import {RosterEntry, RosterHead, ShardParameters} from "../../contracts/types/Types.sol";
import {Network} from "./Network.sol";
import {Desk} from "./World.sol";

/// @title CrowdTest
/// @notice A shard of a thousand operators, as many as one may have; Restaking and Operators are a double, Shards and Members real.
contract CrowdTest is Network {
    uint256 private constant CROWD = 1000;

    CrowdDouble private _double;
    Shards private _shards;
    Members private _members;
    Desk private _desk;

    function setUp() external {
        _double = new CrowdDouble(DELAY, registry.keyAccountOf(_register(1)));
        _desk = new Desk();
        _shards = new Shards(IDirectory(address(_desk)));
        _members = Members(address(_shards.members()));
        _desk.set(ModuleNames.RESTAKING, address(_double));
        _desk.set(ModuleNames.STAKE_SOURCE, address(_double));
        _desk.set(ModuleNames.OPERATORS, address(_double));
        _desk.set(ModuleNames.SHARDS, address(_shards));
        _desk.set(ModuleNames.AUDITS, AUDITS);
        _desk.set(ModuleNames.CERTIFICATE_VERIFIER, desk.module(ModuleNames.CERTIFICATE_VERIFIER));
        ShardParameters memory terms = _terms();
        (terms.ticketPrice, terms.stakeSlashPerTicket, terms.maxOperators) = (1e18, 1, uint16(CROWD));
        _shards.create(terms, _weights());
        _double.join(_members, 1, CROWD);
    }

    /// More changes than fit a block are counted before, in parts.
    function _firstRoster() private {
        for (uint256 part = 0; part < 4; ++part) {
            equal(_members.refresh(1, 250), 250, "counted");
        }
        _members.snapshot(1);
    }

    function test_aThousandHaveATicketEach() external {
        _firstRoster();
        RosterHead memory head = _shards.rosterHead(1, 1);
        equal(head.tickets, CROWD, "tickets");
        equal(head.operators, CROWD, "operators");
        equal(head.largest, 1, "most");
        RosterEntry[] memory entries = _shards.rosterEntries(1, 1, 0, CROWD);
        for (uint256 seat = 0; seat < CROWD; ++seat) {
            equal(entries[seat].firstTicket, seat, "first ticket");
            equal(entries[seat].operator, _double.crowd(seat), "operator");
        }
        equal(_shards.rosterIndexOf(1, 1, _double.crowd(999)), 999, "the last one's seat");
    }

    /// Forge prints these with -vv.
    event log_named_uint(string what, uint256 gas);

    /// A roster's place is looked up in an operator's own history, its tickets at a seat's own bytes: ten, a hundred and a thousand cost the same.
    function test_aLookupCostsTheSameInACrowdOfAnySize() external {
        _firstRoster();
        uint256[3] memory crowds = [uint256(10), 100, CROWD];
        uint256[3][3] memory gas;
        uint256 before = CROWD;
        for (uint32 i = 0; i < 3; ++i) {
            uint32 shard = i == 2 ? 1 : i + 2;
            if (shard != 1) {
                ShardParameters memory terms = _terms();
                (terms.ticketPrice, terms.stakeSlashPerTicket, terms.maxOperators) = (1e18, 1, uint16(CROWD));
                _shards.create(terms, _weights());
                _double.join(_members, shard, crowds[i]);
                _members.snapshot(shard);
            }
            address last = _double.crowd((shard == 1 ? 0 : before) + crowds[i] - 1);
            if (shard != 1) before += crowds[i];
            gas[i] = _lookUp(shard, last, crowds[i] - 1);
            emit log_named_uint("rosterIndexOf", gas[i][0]);
            emit log_named_uint("rosterEntry", gas[i][1]);
            emit log_named_uint("placesIn", gas[i][2]);
        }
        for (uint256 k = 0; k < 3; ++k) {
            atMost(gas[2][k], gas[0][k] + 200, "a thousand beside ten");
            atMost(gas[0][k], gas[2][k] + 200, "ten beside a thousand");
        }
    }

    /// Gas of each lookup, with all storage of Shards cold and a roster's account warm.
    function _lookUp(uint32 shard, address operator, uint256 seat) private returns (uint256[3] memory gas) {
        uint64 epoch = _shards.rosterHead(shard, 1).activeFromEpoch;
        vm.cool(address(_shards));
        uint256 left = gasleft();
        uint256 found = _shards.rosterIndexOf(shard, 1, operator);
        gas[0] = left - gasleft();
        equal(found, seat, "seat");
        vm.cool(address(_shards));
        left = gasleft();
        RosterEntry memory entry = _shards.rosterEntry(shard, 1, seat);
        gas[1] = left - gasleft();
        equal(entry.operator, operator, "operator");
        vm.cool(address(_shards));
        left = gasleft();
        uint256 places = _shards.placesIn(shard, epoch, operator).length;
        gas[2] = left - gasleft();
        equal(places, 1, "places");
    }

    /// What is asked of a snapshot: 60,000 and 1,500 for each operator, 12,000 for each whose weight changed.
    function test_aSnapshotOfAThousandCostsLittleForEach() external {
        _firstRoster();
        _double.setStake(500, 501, 25e18, _members);
        _pass(TERM / 2);
        vm.cool(address(_members));
        vm.cool(address(_shards));
        vm.cool(address(_double));
        vm.cool(address(_desk));
        uint256 before = gasleft();
        _members.snapshot(1);
        uint256 used = before - gasleft() + 21_000 + 300;
        atMost(used, 60_000 + 1_500 * CROWD + 12_000, "gas");
        equal(_shards.rosterHead(1, 2).tickets, 1024, "tickets");
        equal(_shards.rosterEntry(1, 2, 500).tickets, 25, "of the one that grew");
    }
}
