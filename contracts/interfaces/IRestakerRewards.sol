// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMembers} from "./IMembers.sol";
import {IPayments} from "./IPayments.sol";
import {IRestaking} from "./IRestaking.sol";

/// @title What restakers earn
/// @notice The books of one Restaking's pools, (operator, collateral): an accumulator per reward token. The tokens lie in Payments, in two accounts of this
/// contract: what came and is not booked yet, and what is booked. Booking, a change of shares and a claim cost the same for any number of restakers.
///
/// A booking is shared among the shares of its moment. That these are those of the epoch in which it was earned is Restaking's affair: shares come
/// only when all that was earned before is booked.
interface IRestakerRewards {
    event RewardBooked(address indexed operator, uint32 indexed shard, address indexed token, uint256 amount);
    event RewardClaimed(
        address indexed restaker, address indexed operator, address collateral, address indexed token, uint256 amount
    );

    error CallerNotModule(address caller, bytes32 expected);
    error CallerNotRestaking(address caller);
    error NothingToClaim(address restaker, address operator, address collateral, address token);

    /// @notice Restaking, when a restaker's shares change: it stays owed what it was. `shares` of `generation` are what it had, `nextShares` of `next`
    /// what it has from now on, which is what Restaking says of it when it claims.
    function noteShares(
        address restaker,
        address operator,
        address collateral,
        uint256 shares,
        uint256 generation,
        uint256 nextShares,
        uint256 next
    ) external;

    /// @notice Whether each answered epoch of the operator, under whatever Audits a roster of these members names, is settled: then nothing that was earned
    /// so far is still to be booked. Whose settling counts for an Audits is the Rewards that was in force when this was first asked of it.
    function isSettled(address operator, IMembers members) external returns (bool);

    /// @notice Shares `amount` among the matured, unqueued shares of the operator's pools, by the weight that each has behind the shard (allocated
    /// magnitude queued for removal included: it still can be slashed). Only the Rewards in force, or one that booked when it was, which has already moved `amount` to this contract's account
    /// `INBOX_KEY` in Payments. Returns what could not be shared (nothing there, more than MAX_TOKENS tokens, remainders): that goes to the
    /// operator's own account.
    function book(address operator, uint32 shard, address token, uint256 amount) external returns (uint256 unshared);

    /// @notice Moves the caller's rewards to its account in Payments, where it claims them.
    function claim(address operator, address collateral, address token) external returns (uint256 amount);
    function claimable(address restaker, address operator, address collateral, address token)
        external
        view
        returns (uint256);

    /// @notice The Restaking whose shares earn here, and the ledger.
    function restaking() external view returns (IRestaking);
    function payments() external view returns (IPayments);
    /// @notice Accounts of this contract in Payments: what came and is not booked yet; what is booked.
    function INBOX_KEY() external view returns (bytes32);
    function BOOKED_KEY() external view returns (bytes32);
}
