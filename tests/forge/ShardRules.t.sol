// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRestaking} from "../../contracts/interfaces/IRestaking.sol";
import {IShards} from "../../contracts/interfaces/IShards.sol";
import {ShardRules} from "../../contracts/restaking/ShardRules.sol";
import {CollateralWeight, ShardParameters} from "../../contracts/types/Types.sol";
import {Network} from "./Network.sol";

/// @title ShardRulesTest
/// @notice Each limit of a shard's parameters, from both sides.
contract ShardRulesTest is Network {
    ShardRules private _rules = new ShardRules();
    /// Just enough: withdrawal delay + epoch + 1.
    uint256 private constant TIMELOCK = DELAY + EPOCH + 1;

    function _refused(ShardParameters memory p, bytes4 problem) internal {
        vm.expectPartialRevert(problem);
        _rules.check(p, _weights(), IRestaking(address(restaking)), TIMELOCK);
    }

    function _outOfRange(ShardParameters memory p) internal {
        _refused(p, IShards.ParameterOutOfRange.selector);
    }

    function _accepted(ShardParameters memory p) internal view {
        _rules.check(p, _weights(), IRestaking(address(restaking)), TIMELOCK);
    }

    function test_aSetWithinAllLimitsPasses() external view {
        _accepted(_terms());
    }

    /// I-D1: stake that is free can leave before a new module acts.
    function test_theTimelockIsLongerThanDelayAndEpoch() external {
        vm.expectPartialRevert(IShards.TimelockTooShort.selector);
        _rules.check(_terms(), _weights(), IRestaking(address(restaking)), TIMELOCK - 1);
    }

    function test_theWithdrawalDelayCoversAllThatAMissTakes() external {
        ShardParameters memory p = _terms();
        // 20 epoch + 38 closing + 3 resolution + 3 guardian = 64 of 66
        p.window = 10;
        _accepted(p);
        p.window = 11;
        _refused(p, IShards.WithdrawalDelayTooShort.selector);
    }

    function test_noPeriodIsNothing() external {
        ShardParameters memory p = _terms();
        p.epochLength = 0;
        _outOfRange(p);
        p = _terms();
        p.finality = 0;
        _outOfRange(p);
        p.finality = EPOCH + 1;
        _outOfRange(p);
        p = _terms();
        p.sealingLimit = 0;
        _outOfRange(p);
        p.sealingLimit = 8192;
        _outOfRange(p);
        p = _terms();
        p.window = 0;
        _outOfRange(p);
        p = _terms();
        p.reporting = 0;
        _outOfRange(p);
        p = _terms();
        p.termEpochs = 0;
        _outOfRange(p);
    }

    /// Else more rosters than I-S4 allows would be closing at once.
    function test_anEpochIsClosedWithinATerm() external {
        ShardParameters memory p = _terms();
        p.termEpochs = 1;
        _outOfRange(p);
        p.termEpochs = 2;
        _accepted(p);
    }

    function test_numbersHaveLimits() external {
        ShardParameters memory p = _terms();
        p.samples = 0;
        _outOfRange(p);
        p.samples = 65;
        _outOfRange(p);
        p = _terms();
        p.maxOperators = 1000;
        _accepted(p);
        p.maxOperators = 1001;
        _outOfRange(p);
        // 30 · (4 · 834 + 864) bytes of an answer, and 64 · (4 · 258 + 864)
        (p.samples, p.maxOperators) = (30, 1000);
        _accepted(p);
        p.samples = 31;
        _outOfRange(p);
        (p.samples, p.maxOperators) = (64, 64);
        _accepted(p);
        p.maxOperators = 65;
        _outOfRange(p);
        p = _terms();
        p.unprovenToPayerBps = 10_001;
        _outOfRange(p);
        p = _terms();
        p.jailMisses = 0;
        _outOfRange(p);
        p = _terms();
        p.jailEpochs = 0;
        _outOfRange(p);
        p = _terms();
        p.maxRowsPerTicket = 0;
        _outOfRange(p);
    }

    function test_pricesAreThereAndFit() external {
        ShardParameters memory p = _terms();
        p.bondToken = address(0);
        _outOfRange(p);
        p = _terms();
        p.paymentToken = address(0);
        _outOfRange(p);
        p = _terms();
        p.ticketPrice = 0;
        _outOfRange(p);
        p.ticketPrice = uint256(type(uint128).max) + 1;
        _outOfRange(p);
        p = _terms();
        p.bondPerTicket = 0;
        _outOfRange(p);
        p = _terms();
        p.minBond = 0;
        _outOfRange(p);
    }

    /// I-S3: what a miss takes is there.
    function test_aMissCostsSomethingAndNeverMoreThanATicket() external {
        ShardParameters memory p = _terms();
        p.bondSlashPerTicket = 0;
        _outOfRange(p);
        p.bondSlashPerTicket = BOND + 1;
        _outOfRange(p);
        p.bondSlashPerTicket = BOND;
        p.stakeSlashPerTicket = PRICE;
        _accepted(p);
        p.stakeSlashPerTicket = PRICE + 1;
        _outOfRange(p);
    }

    function _refusedWeights(CollateralWeight[] memory weights, bytes4 problem) internal {
        vm.expectPartialRevert(problem);
        _rules.check(_terms(), weights, IRestaking(address(restaking)), TIMELOCK);
    }

    function test_collateralsAreListedAndNamedOnce() external {
        _refusedWeights(new CollateralWeight[](0), IShards.ParameterOutOfRange.selector);
        _refusedWeights(new CollateralWeight[](9), IShards.ParameterOutOfRange.selector);
        CollateralWeight[] memory weights = new CollateralWeight[](2);
        (weights[0], weights[1]) = (_weights()[0], _weights()[0]);
        _refusedWeights(weights, IShards.CollateralRepeated.selector);
        weights[1] = CollateralWeight(address(bondToken), 1e18);
        _refusedWeights(weights, IShards.CollateralUnknown.selector);
        restaking.listCollateral(address(bondToken));
        _rules.check(_terms(), weights, IRestaking(address(restaking)), TIMELOCK);
        weights[1].weightWad = 0;
        _refusedWeights(weights, IShards.ParameterOutOfRange.selector);
        weights[1].weightWad = 1e24 + 1;
        _refusedWeights(weights, IShards.ParameterOutOfRange.selector);
    }
}
