// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Accumulator
/// @notice A pair of amounts, rows and fee, that is constant between the epochs where something begins or ends: adding
/// a contribution over any number of epochs writes two slots.
///
/// Above the cursor an entry holds the difference to the epoch before; at and below it, the amounts themselves. Rolling
/// the cursor on turns differences into amounts, one epoch a step. An accumulator starts once, at a cursor whose amounts
/// are zero, so that what was written down is never changed: contributions begin above the cursor.
///
/// Invariants, where the caller removes only what it added:
/// - I-ACC1  for every epoch e: amounts(e) = Σ of the contributions whose range [from, until) holds e, and neither is negative
/// - I-ACC2  amounts(e) for e ≤ cursor never change
library Accumulator {
    /// One slot, the rows in its lower bits; read and written as a whole.
    struct Entry {
        int64 rows;
        int192 fee;
    }

    struct State {
        uint64 cursor;
        bool started;
        // two sums of the owner's own, over no epochs: in a slot that every contribution reads anyway
        uint128 sum;
        uint48 rest;
        mapping(uint256 epoch => Entry) entries;
    }

    /// @notice The accumulator was started before.
    error AccumulatorStarted(uint256 cursor);

    /// @notice The accumulator was not started.
    error AccumulatorNotStarted();

    /// @notice A contribution begins at an epoch whose amounts are final.
    error AccumulatorPast(uint256 epoch, uint256 cursor);

    /// @notice A contribution ends before it begins.
    error AccumulatorRangeInvalid(uint256 fromEpoch, uint256 untilEpoch);

    /// @notice A contribution is too large to be summed safely.
    error AccumulatorAmountTooLarge(uint256 rows, uint256 fee);

    /// @notice More was removed than had been added.
    error AccumulatorNegative(uint256 epoch, int256 rows, int256 fee);

    /// The most rows of one contribution: all n·M of the largest object. An entry holds the sum of 2^31 − 1 such.
    uint256 internal constant MAX_ROWS = 2 ** 32;

    /// The highest fee of one contribution. An entry holds the sum of 2^63 − 1 such.
    uint256 internal constant MAX_FEE = 2 ** 128;

    /// @notice Starts the accumulator: its amounts are zero up to `cursor`.
    function start(State storage state, uint64 cursor) internal {
        if (state.started) revert AccumulatorStarted(state.cursor);
        state.cursor = cursor;
        state.started = true;
    }

    /// @notice Adds rows and fee to every epoch from `fromEpoch` to before `untilEpoch`.
    function add(State storage state, uint256 fromEpoch, uint256 untilEpoch, uint256 rows, uint256 fee) internal {
        (int64 signedRows, int192 signedFee) = _checked(state, fromEpoch, untilEpoch, rows, fee);
        _shift(state.entries[fromEpoch], signedRows, signedFee);
        _shift(state.entries[untilEpoch], -signedRows, -signedFee);
    }

    /// @notice Takes back, from `fromEpoch` to before `untilEpoch`, what was added there before.
    function remove(State storage state, uint256 fromEpoch, uint256 untilEpoch, uint256 rows, uint256 fee) internal {
        (int64 signedRows, int192 signedFee) = _checked(state, fromEpoch, untilEpoch, rows, fee);
        _shift(state.entries[fromEpoch], -signedRows, -signedFee);
        _shift(state.entries[untilEpoch], signedRows, signedFee);
    }

    /// @notice Moves the cursor towards `toEpoch`, by `maxSteps` epochs at most, and returns where it is then.
    /// An epoch costs one slot, read only where amounts and difference are zero.
    function roll(State storage state, uint256 toEpoch, uint256 maxSteps) internal returns (uint256 cursor) {
        if (!state.started) revert AccumulatorNotStarted();
        cursor = state.cursor;
        if (toEpoch <= cursor || maxSteps == 0) return cursor;

        uint256 last = toEpoch - cursor > maxSteps ? cursor + maxSteps : toEpoch;
        (int64 rows, int192 fee) = _read(state.entries[cursor]);
        while (cursor < last) {
            Entry storage entry = state.entries[++cursor];
            (int64 rowsChange, int192 feeChange) = _read(entry);
            if (rows != 0 || fee != 0) {
                (rows, fee) = _accumulate(rows, fee, rowsChange, feeChange, cursor);
                _write(entry, rows, fee);
            } else if (rowsChange != 0 || feeChange != 0) {
                // Amounts that begin at zero are their difference: the entry holds them already.
                (rows, fee) = _accumulate(rows, fee, rowsChange, feeChange, cursor);
            }
        }
        // Epochs are below 2^64: a loop can't reach further.
        state.cursor = uint64(cursor);
    }

    /// @notice The amounts of an epoch: one read up to the cursor, one for each epoch beyond it. Zero where the
    /// accumulator was not started: nothing was added.
    function valueAt(State storage state, uint256 epoch) internal view returns (uint256, uint256) {
        if (!state.started) return (0, 0);
        uint256 cursor = state.cursor;
        (int64 rows, int192 fee) = _read(state.entries[epoch < cursor ? epoch : cursor]);
        while (cursor < epoch) {
            (int64 rowsChange, int192 feeChange) = _read(state.entries[++cursor]);
            (rows, fee) = _accumulate(rows, fee, rowsChange, feeChange, cursor);
        }
        return (uint64(rows), uint192(fee));
    }

    /// The amounts of an epoch from those of the epoch before and the difference.
    function _accumulate(int64 rows, int192 fee, int64 rowsChange, int192 feeChange, uint256 epoch)
        private
        pure
        returns (int64, int192)
    {
        rows += rowsChange;
        fee += feeChange;
        if (rows < 0 || fee < 0) revert AccumulatorNegative(epoch, rows, fee);
        return (rows, fee);
    }

    function _read(Entry storage entry) private view returns (int64 rows, int192 fee) {
        assembly ("memory-safe") {
            let word := sload(entry.slot)
            rows := signextend(7, word)
            fee := sar(64, word)
        }
    }

    function _write(Entry storage entry, int64 rows, int192 fee) private {
        assembly ("memory-safe") {
            sstore(entry.slot, or(shl(64, fee), and(rows, 0xffffffffffffffff)))
        }
    }

    function _shift(Entry storage entry, int64 rows, int192 fee) private {
        (int64 rowsBefore, int192 feeBefore) = _read(entry);
        _write(entry, rowsBefore + rows, feeBefore + fee);
    }

    function _checked(State storage state, uint256 fromEpoch, uint256 untilEpoch, uint256 rows, uint256 fee)
        private
        view
        returns (int64, int192)
    {
        if (!state.started) revert AccumulatorNotStarted();
        if (fromEpoch <= state.cursor) revert AccumulatorPast(fromEpoch, state.cursor);
        if (untilEpoch < fromEpoch) revert AccumulatorRangeInvalid(fromEpoch, untilEpoch);
        if (rows > MAX_ROWS || fee > MAX_FEE) revert AccumulatorAmountTooLarge(rows, fee);
        return (int64(uint64(rows)), int192(uint192(fee)));
    }
}
