// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where a shard's delegated stake is counted
/// @notice The built-in vault (Restaking) is one; an adapter for stake that sits elsewhere can take its place.
interface IStakeSource {
    /// @notice Value of the delegated stake that `operator` has allocated to `shard` and that a snapshot may count now: matured, not queued for
    /// withdrawal or deallocation. Token units, or what the source values them at; rounded down.
    function stakeOf(address operator, uint32 shard, address collateral) external view returns (uint256 value);

    /// @notice What Restaking could take from behind the shard now, queued parts included: token units, and their value in the measure of
    /// `stakeOf`. Zeros for stake that isn't Restaking's.
    function slashableOf(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 units, uint256 value);
}
