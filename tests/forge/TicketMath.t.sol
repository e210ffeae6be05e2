// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TicketMath} from "../../contracts/libraries/TicketMath.sol";
import {Test} from "./Test.sol";

/// @title TicketMathTest
/// @notice A roster's tickets: what a cap by definition, tried number by number, gives too.
contract TicketMathTest is Test {
    function testFuzz_capIsTheLargestThatHolds(uint16[12] memory counts, uint8 length) external pure {
        uint256[] memory tickets = _list(counts, within(length, 0, 12), 2000);
        uint256[] memory before = _copy(tickets);
        uint256 limit = _limit(before);

        TicketMath.Shares memory shares = TicketMath.cap(tickets);

        uint256 sum;
        for (uint256 i = 0; i < tickets.length; ++i) {
            equal(tickets[i], before[i] < limit ? before[i] : limit, "tickets");
            sum += tickets[i];
        }
        equal(shares.total, sum, "total");
        equal(shares.holders, _holders(tickets), "holders");
        equal(shares.largest, _largest(tickets), "largest");
    }

    function testFuzz_apportionedTicketsAreFewAndNobodyHasMoreThanAThird(uint256[9] memory counts, uint8 length)
        external
        pure
    {
        uint256[] memory tickets = new uint256[](within(length, 0, 9));
        for (uint256 i = 0; i < tickets.length; ++i) {
            tickets[i] = counts[i] % 3 == 0 ? counts[i] % 5 : within(counts[i], 0, 1e30);
        }
        uint256 holdersBefore = _holders(tickets);
        (TicketMath.Shares memory shares, uint256 holders) = TicketMath.apportion(tickets);
        uint256 total = shares.total;
        equal(holders, holdersBefore, "holders before");
        equal(shares.holders, _holders(tickets), "holders");
        equal(shares.largest, _largest(tickets), "largest");
        atMost(total, TicketMath.MAX_TICKETS, "all");
        if (holdersBefore < 3) return;
        yes(_holders(tickets) >= 3, "three remain");
        for (uint256 i = 0; i < tickets.length; ++i) {
            atMost(3 * tickets[i], total, "thrice one's");
        }
    }

    /// What the floors leave over goes to who would have lost its last ticket.
    function test_aLostTicketIsGivenBack() external pure {
        uint256[] memory tickets = new uint256[](4);
        (tickets[0], tickets[1], tickets[2], tickets[3]) = (1, 1000, 1000, 1000);
        (TicketMath.Shares memory shares,) = TicketMath.apportion(tickets);
        equal(tickets[0], 1, "the small one's");
        equal(tickets[1], 341, "a large one's");
        equal(shares.total, 1024, "all");
    }

    function _largest(uint256[] memory tickets) private pure returns (uint256 most) {
        for (uint256 i = 0; i < tickets.length; ++i) {
            if (tickets[i] > most) most = tickets[i];
        }
    }

    function _limit(uint256[] memory tickets) private pure returns (uint256 limit) {
        if (_holders(tickets) < 3) return type(uint256).max;
        // the largest c with 3c ≤ Σ min(t, c), from above
        for (uint256 i = 0; i < tickets.length; ++i) {
            if (tickets[i] > limit) limit = tickets[i];
        }
        while (3 * limit > _sumCapped(tickets, limit)) --limit;
    }

    function _sumCapped(uint256[] memory tickets, uint256 limit) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < tickets.length; ++i) {
            sum += tickets[i] < limit ? tickets[i] : limit;
        }
    }

    function _holders(uint256[] memory tickets) private pure returns (uint256 count) {
        for (uint256 i = 0; i < tickets.length; ++i) {
            if (tickets[i] != 0) ++count;
        }
    }

    function _list(uint16[12] memory counts, uint256 length, uint256 most)
        private
        pure
        returns (uint256[] memory list)
    {
        list = new uint256[](length);
        for (uint256 i = 0; i < length; ++i) {
            list[i] = counts[i] % 4 == 0 ? counts[i] % 7 : counts[i] % most;
        }
    }

    function _copy(uint256[] memory list) private pure returns (uint256[] memory copied) {
        copied = new uint256[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            copied[i] = list[i];
        }
    }
}
