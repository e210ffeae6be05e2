// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IAudits} from "../interfaces/IAudits.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IMembers} from "../interfaces/IMembers.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {IRestakerRewards} from "../interfaces/IRestakerRewards.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {RewardBooks} from "../libraries/RewardBooks.sol";
import {CollateralWeight} from "../types/Types.sol";

/// @title RestakerRewards
/// @notice Holds: per (operator, collateral) what its shares have earned, per restaker what of that isn't its own. Holds no token.
///
/// Typical flow: 1 Restaking notes each change of shares in the transaction that makes it; 2 Rewards moves what was earned into the inbox and books it; 3 each
/// restaker claims.
///
/// Invariants:
/// - I-M25 this contract's account = Σ booked − Σ claimed ≥ Σ claimable: I-R7 as a sum of money
/// - I-R7  balance(BOOKED_KEY) = Σ booked − Σ claimed ≥ Σ claimable, for every token, whatever Rewards says: booking moves what it books.
contract RestakerRewards is IRestakerRewards {
    using Math for uint256;
    using RewardBooks for RewardBooks.Book;

    /// One pool's part of a booking.
    struct Part {
        address collateral;
        uint256 weight;
        uint256 shares;
        uint256 generation;
    }

    uint256 public constant MAX_TOKENS = RewardBooks.MAX_TOKENS;
    bytes32 public constant INBOX_KEY = "inbox";
    bytes32 public constant BOOKED_KEY = "booked";

    IDirectory public immutable directory;
    /// Shares and their books belong together: another Restaking has other books.
    IRestaking public immutable restaking;
    /// The tokens of these books lie there, and there they stay.
    IPayments public immutable payments;

    mapping(address operator => mapping(address collateral => RewardBooks.Book)) private _books;
    /// A Rewards that once was in force still pays what it owes.
    mapping(address rewards => bool) private _wasRewards;
    mapping(address audits => IRewards rewards) private _settles;

    constructor(IDirectory directory_, IRestaking restaking_, IPayments payments_) {
        directory = directory_;
        restaking = restaking_;
        payments = payments_;
    }

    function noteShares(
        address restaker,
        address operator,
        address collateral,
        uint256 shares,
        uint256 generation,
        uint256 nextShares,
        uint256 next
    ) external {
        if (msg.sender != address(restaking)) revert CallerNotRestaking(msg.sender);
        _books[operator][collateral].changeShares(restaker, shares, generation, nextShares, next);
    }

    function isSettled(address operator, IMembers members) external returns (bool) {
        address[] memory slashers = members.slashers();
        for (uint256 i = 0; i < slashers.length; ++i) {
            uint256 answered = IAudits(slashers[i]).answeredCount(operator);
            if (answered == 0) continue;
            if (_rewardsOf(slashers[i]).settledCount(slashers[i], operator) < answered) return false;
        }
        return true;
    }

    function book(address operator, uint32 shard, address token, uint256 amount) external returns (uint256 unshared) {
        if (!_wasRewards[msg.sender]) {
            if (msg.sender != directory.module(ModuleNames.REWARDS)) {
                revert CallerNotModule(msg.sender, ModuleNames.REWARDS);
            }
            _wasRewards[msg.sender] = true;
        }
        (Part[] memory parts, uint256 total) = _parts(operator, shard);

        unshared = amount;
        for (uint256 c = 0; c < parts.length; ++c) {
            Part memory part = parts[c];
            if (part.weight == 0) continue;
            unshared -= _books[operator][part.collateral].book(
                token, part.generation, amount.mulDiv(part.weight, total), part.shares
            );
        }
        emit RewardBooked(operator, shard, token, amount - unshared);

        // reverts where less came than is booked
        _move(token, INBOX_KEY, payments.moduleAccount(address(this), BOOKED_KEY), amount - unshared);
        _move(token, INBOX_KEY, payments.personAccount(operator), unshared);
    }

    function claim(address operator, address collateral, address token) external returns (uint256 amount) {
        (uint256 shares, uint256 generation,) = restaking.positionOf(msg.sender, operator, collateral);
        amount = _books[operator][collateral].take(msg.sender, token, shares, generation);
        if (amount == 0) revert NothingToClaim(msg.sender, operator, collateral, token);
        emit RewardClaimed(msg.sender, operator, collateral, token, amount);

        _move(token, BOOKED_KEY, bytes32(uint256(uint160(msg.sender))), amount);
    }

    function claimable(address restaker, address operator, address collateral, address token)
        external
        view
        returns (uint256)
    {
        (uint256 shares, uint256 generation,) = restaking.positionOf(restaker, operator, collateral);
        return _books[operator][collateral].claimable(restaker, token, shares, generation);
    }

    /// Who settles what is answered to an Audits: the Rewards in force when that was first asked.
    function _rewardsOf(address audits) private returns (IRewards rewards) {
        rewards = _settles[audits];
        if (address(rewards) != address(0)) return rewards;
        rewards = IRewards(directory.module(ModuleNames.REWARDS));
        _settles[audits] = rewards;
    }

    /// What an operator has behind a shard, by collateral, and the sum of the weights.
    function _parts(address operator, uint32 shard) private view returns (Part[] memory parts, uint256 total) {
        CollateralWeight[] memory collaterals = restaking.bindingShards().collateralsOf(shard);
        parts = new Part[](collaterals.length);
        for (uint256 c = 0; c < parts.length; ++c) {
            Part memory part = parts[c];
            part.collateral = collaterals[c].token;
            uint256 units;
            (units, part.shares, part.generation) = restaking.earningOf(operator, shard, part.collateral);
            part.weight = units * collaterals[c].weightWad;
            total += part.weight;
        }
    }

    function _move(address token, bytes32 key, bytes32 to, uint256 amount) private {
        if (amount != 0) payments.move(token, key, to, amount);
    }
}
