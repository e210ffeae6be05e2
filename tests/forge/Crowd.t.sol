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
