// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {CollateralWeight, ShardParameters} from "../types/Types.sol";

/// @title ShardRules
/// @notice What a shard's parameters must satisfy. Limits are named by the field that they limit. Holds nothing; a contract of its own since Shards
/// has no room for it.
contract ShardRules {
    uint256 internal constant MAX_COLLATERALS = 8;
    /// Each could have one of a roster's 1,024 tickets.
    uint256 internal constant MAX_OPERATORS = 1000;
    /// EIP-2935 keeps 8,191 block hashes.
    uint256 internal constant MAX_SEALING_LIMIT = 8191;
    /// An answer folds this many openings in one transaction (see GAS in docs/contracts/audits.md).
    uint256 internal constant MAX_SAMPLES = 64;
    /// Pools of many endpoints take transactions of 128 KiB; 4 KiB are left to what surrounds an answer's lists.
    uint256 internal constant MAX_ANSWER_BYTES = 124 * 1024;
    /// Those of a roster that need not sign hold less than a third of at most 1,024 tickets.
    uint256 internal constant MAX_ABSENT = 341;
    /// Of 2^24 slices, 2 TiB, in one object.
    uint256 internal constant TREE_DEPTH = 24;
    /// 10⁶ units of weight for one token unit.
    uint256 internal constant MAX_WEIGHT_WAD = 1e24;
    /// Keeps epoch numbers and sums of blocks far from any limit of their types.
    uint256 internal constant MAX_TERM_EPOCHS = 1e6;

    function check(
        ShardParameters calldata p,
        CollateralWeight[] calldata collaterals,
        IRestaking restaking,
        uint256 timelock
    ) external view {
        _checkPeriods(p);
        _checkDelays(p, restaking, timelock);
        _checkPrices(p);
        _between("samples", p.samples, 1, MAX_SAMPLES);
        _between("maxOperators", p.maxOperators, 1, MAX_OPERATORS);
        _between("answerBytes", _answerBytes(p.samples, p.maxOperators), 0, MAX_ANSWER_BYTES);
        _between("unprovenToPayerBps", p.unprovenToPayerBps, 0, 10_000);
        _between("jailMisses", p.jailMisses, 1, type(uint16).max);
        _between("jailEpochs", p.jailEpochs, 1, MAX_TERM_EPOCHS);
        _between("maxRowsPerTicket", p.maxRowsPerTicket, 1, type(uint64).max);
        _between("collaterals", collaterals.length, 1, MAX_COLLATERALS);
        for (uint256 c = 0; c < collaterals.length; ++c) {
            address token = collaterals[c].token;
            if (!restaking.isCollateral(token)) revert IShards.CollateralUnknown(token);
            _between("weightWad", collaterals[c].weightWad, 1, MAX_WEIGHT_WAD);
            for (uint256 d = 0; d < c; ++d) {
                if (collaterals[d].token == token) revert IShards.CollateralRepeated(token);
            }
        }
    }

    /// The longest answer: four reads for each sample, each of another object that as many as may be did not sign; of each live row a whole path.
    function _answerBytes(uint256 samples, uint256 operators) private pure returns (uint256) {
        uint256 absent = operators < MAX_ABSENT ? operators : MAX_ABSENT;
        // id and parameters' hash; offset, length and indexes of its list, padded to words; number of the read
        uint256 each = 64 + 64 + (2 * absent + 31) / 32 * 32 + 2;
        return samples * (4 * each + 96 + 32 * TREE_DEPTH);
    }

    function _checkPeriods(ShardParameters calldata p) private pure {
        _between("epochLength", p.epochLength, 1, type(uint32).max);
        // with finality ≤ epoch the frozen block of epoch 1 isn't before the shard, and the withdrawal delay covers it
        _between("finality", p.finality, 1, p.epochLength);
        _between("sealingLimit", p.sealingLimit, 1, MAX_SEALING_LIMIT);
        _between("window", p.window, 1, type(uint32).max);
        _between("reporting", p.reporting, 1, type(uint32).max);
        _between("termEpochs", p.termEpochs, 1, MAX_TERM_EPOCHS);
        // else more rosters than Shards may look at (I-S4) would be closing at once
        uint256 closing = uint256(p.sealingLimit) + p.window + p.reporting;
        uint256 term = uint256(p.termEpochs) * p.epochLength;
        if (closing > term) revert IShards.ParameterOutOfRange("closing", closing, term);
    }

    function _checkDelays(ShardParameters calldata p, IRestaking restaking, uint256 timelock) private view {
        uint256 delay = restaking.withdrawalDelay();
        uint256 needed = uint256(p.epochLength) + p.sealingLimit + p.window + p.reporting + restaking.resolutionDelay()
            + restaking.guardianDelay();
        if (delay < needed) revert IShards.WithdrawalDelayTooShort(delay, needed);
        if (timelock <= delay + p.epochLength) revert IShards.TimelockTooShort(timelock, delay + p.epochLength + 1);
    }

    function _checkPrices(ShardParameters calldata p) private pure {
        _between("bondToken", uint160(p.bondToken), 1, type(uint160).max);
        _between("paymentToken", uint160(p.paymentToken), 1, type(uint160).max);
        _between("ticketPrice", p.ticketPrice, 1, type(uint128).max);
        _between("bondPerTicket", p.bondPerTicket, 1, type(uint128).max);
        _between("minBond", p.minBond, 1, type(uint128).max);
        // a miss costs something, and never more than what makes the ticket: else some of it would not be there
        _between("bondSlashPerTicket", p.bondSlashPerTicket, 1, p.bondPerTicket);
        _between("stakeSlashPerTicket", p.stakeSlashPerTicket, 0, p.ticketPrice);
    }

    /// The limit named in the error is the one that was passed.
    function _between(bytes32 name, uint256 value, uint256 low, uint256 high) private pure {
        if (value < low) revert IShards.ParameterOutOfRange(name, value, low);
        if (value > high) revert IShards.ParameterOutOfRange(name, value, high);
    }
}
