// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ReadDeposits
/// @notice What one payer put down for reads from one operator, in one token, and what the operator redeemed of it. Both are sums since ever, so a voucher that names a
/// sum is worth what it names beyond what was redeemed: once, whatever the order in which vouchers come.
///
/// Invariants:
/// - I-Q1  redeemed ≤ deposited; neither sum falls but by a withdrawal, which lowers `deposited` to `redeemed`
/// - I-Q2  a withdrawal comes WITHDRAWAL_NOTICE after it was announced, or later
library ReadDeposits {
    /// One slot: a redemption reads and writes it alone.
    struct Deposit {
        uint104 deposited;
        uint104 redeemed;
        // first second in which what is left may be withdrawn; 0: not announced
        uint40 withdrawableAt;
    }

    /// @notice Deposits of one payer for one operator that are more than fit, 2^104 units in all.
    error DepositTooLarge(uint256 sum, uint256 limit);
    /// @notice Nothing was announced, or the notice isn't over.
    error NoticeNotOver(uint256 withdrawableAt, uint256 timestamp);

    /// Long enough for an operator that redeems once a day to be away for some days.
    uint256 internal constant WITHDRAWAL_NOTICE = 7 days;

    function add(Deposit storage self, uint256 amount) internal {
        uint256 sum = self.deposited + amount;
        if (sum > type(uint104).max) revert DepositTooLarge(sum, type(uint104).max);
        self.deposited = uint104(sum);
    }

    /// @notice What a voucher over `cumulative` units pays now: no more than lies there. What it names beyond that can be redeemed after a further deposit.
    function redeem(Deposit storage self, uint256 cumulative) internal returns (uint256 amount) {
        Deposit memory held = self;
        uint256 upTo = cumulative < held.deposited ? cumulative : held.deposited;
        if (upTo <= held.redeemed) return 0;
        amount = upTo - held.redeemed;
        // at most `deposited`
        held.redeemed = uint104(upTo);
        _write(self, held);
    }

    function announce(Deposit storage self) internal returns (uint256 withdrawableAt) {
        withdrawableAt = block.timestamp + WITHDRAWAL_NOTICE;
        self.withdrawableAt = uint40(withdrawableAt);
    }

    /// @notice Takes out what is left; a next withdrawal is announced anew.
    function withdraw(Deposit storage self) internal returns (uint256 amount) {
        Deposit memory held = self;
        if (held.withdrawableAt == 0 || block.timestamp < held.withdrawableAt) {
            revert NoticeNotOver(held.withdrawableAt, block.timestamp);
        }
        amount = held.deposited - held.redeemed;
        (held.deposited, held.withdrawableAt) = (held.redeemed, 0);
        _write(self, held);
    }

    /// As one word: member by member each would be read and written again.
    function _write(Deposit storage self, Deposit memory held) private {
        (self.deposited, self.redeemed, self.withdrawableAt) = (held.deposited, held.redeemed, held.withdrawableAt);
    }
}
