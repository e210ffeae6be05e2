// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title TicketMath
/// @notice From what operators could have to what a roster gives: no operator above a third where three or more have a ticket,
/// and at most MAX_TICKETS in all.
library TicketMath {
    /// Non-signer lists, draws and T | n stay small; a larger shard has dearer tickets.
    uint256 internal constant MAX_TICKETS = 1024;
    /// Stands, within `apportion`, for a count that scaling made zero.
    uint256 private constant LOST = type(uint256).max;

    struct Shares {
        uint256 total;
        // that have a ticket
        uint256 holders;
        // most tickets of one
        uint256 largest;
    }

    /// @notice Turns the tickets that bond and weight would give into those of a roster, in place; returns what there is of them then,
    /// and how many had one before.
    ///
    /// Above MAX_TICKETS both prices rise by T / MAX_TICKETS: each count becomes ⌊t·MAX_TICKETS / T⌋. What the floors leave over goes, one ticket
    /// each and in order, to those who would have lost their last one; each has bond and weight for it at the shard's own prices. If anyone lost
    /// its last ticket, at least one is left over, so where three had one, three have one: nobody gets above a third because small ones vanished.
    /// The floors can leave one above the third again, hence the second cap, which gives none back.
    function apportion(uint256[] memory tickets) internal pure returns (Shares memory shares, uint256 holders) {
        shares = cap(tickets);
        holders = shares.holders;
        if (shares.total <= MAX_TICKETS) return (shares, holders);

        uint256 n = tickets.length;
        uint256 given;
        bool lost;
        for (uint256 i = 0; i < n; ++i) {
            uint256 t = tickets[i];
            if (t == 0) continue;
            uint256 scaled = t * MAX_TICKETS / shares.total;
            if (scaled == 0) lost = true;
            tickets[i] = scaled == 0 ? LOST : scaled;
            given += scaled;
        }
        for (uint256 i = 0; lost && i < n; ++i) {
            if (tickets[i] != LOST) continue;
            tickets[i] = given < MAX_TICKETS ? 1 : 0;
            given += tickets[i];
        }
        return (cap(tickets), holders);
    }

    /// @notice Limits each count, in place, to the largest c with c ≤ ⌊Σ min(tᵢ, c) / 3⌋, if three or more are not zero; returns what there is of them. Counts are below 2¹²⁹, and there are at most 2¹⁰.
    ///
    /// With a ≥ b the two largest and `rest` the sum of the others, at most two counts exceed c (three at c always make a third each):
    /// none if 3a ≤ a + b + rest; one if c ≥ b, where rest + b ≥ 2c; else two, where rest ≥ c. As three have one, c ≥ 1: the cap takes
    /// nobody's last ticket.
    function cap(uint256[] memory tickets) internal pure returns (Shares memory) {
        uint256 a;
        uint256 b;
        uint256 total;
        uint256 holders;
        uint256 n = tickets.length;
        // sums of at most 2¹⁰ counts below 2¹²⁹: nothing here overflows
        unchecked {
            for (uint256 i = 0; i < n; ++i) {
                uint256 t = tickets[i];
                if (t == 0) continue;
                ++holders;
                total += t;
                if (t > a) (a, b) = (t, a);
                else if (t > b) b = t;
            }
        }
        if (holders < 3 || 3 * a <= total) return Shares(total, holders, a);

        uint256 rest = total - a - b;
        uint256 limit = (rest + b) / 2;
        if (limit < b) limit = rest;
        total = 0;
        for (uint256 i = 0; i < n; ++i) {
            if (tickets[i] > limit) tickets[i] = limit;
            total += tickets[i];
        }
        return Shares(total, holders, limit);
    }
}
