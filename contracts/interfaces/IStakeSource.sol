// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where a shard's delegated stake is counted
/// @notice The built-in vault (Restaking) is one; an adapter that counts in another measure, or stake that sits elsewhere, can take its place.
/// Rosters keep the source by which they were counted: a slash is measured by the same.
interface IStakeSource {
    /// @notice Delegated stake that `operator` has allocated to `shard` and that a snapshot may count now: matured, not queued for withdrawal or
    /// deallocation. In the measure that the shard's weights are for (the built-in source: token units), rounded down.
    function stakeOf(address operator, uint32 shard, address collateral) external view returns (uint256 value);
    /// @notice What Restaking could take from behind the shard now, queued shares and magnitude included: `units` of the token, and their `value` in
    /// the measure of `stakeOf`. Zero for stake that is not Restaking's to take.
    function slashableOf(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 units, uint256 value);
}
