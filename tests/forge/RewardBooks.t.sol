// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RewardBooks} from "../../contracts/libraries/RewardBooks.sol";
import {Test} from "./Test.sol";

/// @title RewardBooksTest
/// @notice Rewards of four restakers over a random life, against what each is owed booking by booking.
contract RewardBooksTest is Test {
    using RewardBooks for RewardBooks.Book;

    uint256 private constant PEOPLE = 4;
    uint256 private constant CARRIED = PEOPLE * 1e36 / RewardBooks.SCALE + 2;
    address private constant TOKEN = address(0xbeef);

    RewardBooks.Book private _book;
    uint256[PEOPLE] private _shares;
    /// Exact to a unit and a fraction for each booking: ⌊amount·2¹²⁸·shares/all⌋, summed.
    uint256[PEOPLE] private _owed;
    uint256[PEOPLE] private _taken;

    function testFuzz_life(uint256[48] memory steps) external {
        uint256 booked;
        uint256 bookings;
        for (uint256 i = 0; i < steps.length; ++i) {
            uint256 step = steps[i] >> 16;
            uint256 who = (steps[i] >> 8) % PEOPLE;
            if (steps[i] % 4 == 0) {
                _set(who, step % 3 == 0 ? 0 : within(step, 1, step % 2 == 0 ? 100 : 1e36));
            } else if (steps[i] % 4 == 1) {
                uint256 amount = _book.take(_person(who), TOKEN, _shares[who], 0);
                _taken[who] += amount;
                equal(_book.take(_person(who), TOKEN, _shares[who], 0), 0, "taken twice");
            } else {
                uint256 amount = within(step, 0, step % 2 == 0 ? 1000 : 1e30);
                uint256 all = _allShares();
                uint256 got = _book.book(TOKEN, 0, amount, all);
                equal(got, all == 0 ? 0 : amount, "all or nothing");
                if (got == 0) continue;
                booked += got;
                ++bookings;
                for (uint256 p = 0; p < PEOPLE; ++p) {
                    _owed[p] += (amount << 128) / all * _shares[p];
                }
            }
        }
        _check(booked, bookings);
    }

    function test_aFifthTokenIsNotBooked() external {
        _set(0, 10);
        for (uint160 t = 1; t <= RewardBooks.MAX_TOKENS; ++t) {
            equal(_book.book(address(t), 0, 100, 10), 100, "booked");
        }
        equal(_book.book(address(5), 0, 100, 10), 0, "booked");
        equal(_book.book(address(1), 0, 100, 10), 100, "booked again");
        equal(_book.claimable(_person(0), address(1), 10, 0), 200, "claimable");
        equal(_book.claimable(_person(0), address(5), 10, 0), 0, "claimable");
    }

    function test_whatDivisionLeavesIsCarried() external {
        _set(0, 3);
        _book.book(TOKEN, 0, 1, 3);
        equal(_book.carried[TOKEN], RewardBooks.SCALE % 3, "carried");
        _book.book(TOKEN, 0, 1, 3);
        _book.book(TOKEN, 0, 1, 3);
        equal(_book.carried[TOKEN], 0, "carried");
        equal(_book.claimable(_person(0), TOKEN, 3, 0), 3, "claimable");
    }

    function test_aGenerationsRewardsStayWithIt() external {
        _set(0, 10);
        _book.book(TOKEN, 0, 100, 10);
        _book.book(TOKEN, 1, 70, 14);
        // from generation 0 to 1, in which it has shares from now on
        _book.changeShares(_person(0), 10, 0, 5, 1);
        equal(_book.claimable(_person(0), TOKEN, 5, 1), 100, "of the old generation");
        _book.book(TOKEN, 1, 60, 12);
        equal(_book.take(_person(0), TOKEN, 5, 1), 125, "and of the new one");
    }

    /// shares · perShare passes 2²⁵⁶, and what is owed stays exact.
    function test_countsPastAWord() external {
        _set(0, 1);
        // 2¹⁰⁰ units on one share: 2¹⁸⁹ a share, times 2¹²⁰ shares
        equal(_book.book(TOKEN, 0, 1 << 100, 1), 1 << 100, "booked");
        _set(0, 1 << 120);
        equal(_book.claimable(_person(0), TOKEN, 1 << 120, 0), 1 << 100, "claimable");
        _set(1, 1 << 120);
        _book.book(TOKEN, 0, 1 << 101, 1 << 121);
        equal(_book.claimable(_person(1), TOKEN, 1 << 120, 0), 1 << 100, "of who came later");
        equal(_book.take(_person(0), TOKEN, 1 << 120, 0), 1 << 101, "taken");
        _set(0, 0);
        _book.book(TOKEN, 0, 1 << 100, 1 << 120);
        equal(_book.claimable(_person(0), TOKEN, 0, 0), 0, "of who left");
        equal(_book.claimable(_person(1), TOKEN, 1 << 120, 0), 1 << 101, "of who stayed");
    }

    function _check(uint256 booked, uint256 bookings) private view {
        uint256 sum;
        for (uint256 p = 0; p < PEOPLE; ++p) {
            uint256 earned = _taken[p] + _book.claimable(_person(p), TOKEN, _shares[p], 0);
            sum += earned;
            // a remainder is below a SCALEth of all shares, 4·10³⁶ here, and goes to those of the next booking
            atMost(earned, (_owed[p] >> 128) + CARRIED, "earned");
            atMost(_owed[p] >> 128, earned + CARRIED * (bookings + 1), "owed");
        }
        atMost(sum, booked, "earned by all");
    }

    function _set(uint256 who, uint256 shares) private {
        _book.changeShares(_person(who), _shares[who], 0, shares, 0);
        _shares[who] = shares;
    }

    function _allShares() private view returns (uint256 all) {
        for (uint256 p = 0; p < PEOPLE; ++p) {
            all += _shares[p];
        }
    }

    function _person(uint256 who) private pure returns (address) {
        return address(uint160(0x1000 + who));
    }
}
