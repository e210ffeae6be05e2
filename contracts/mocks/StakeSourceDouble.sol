// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStakeSource} from "../interfaces/IStakeSource.sol";

/// @title StakeSourceDouble
/// @notice Counts as stake whatever a test says: an adapter for stake that sits elsewhere.
contract StakeSourceDouble is IStakeSource {
    mapping(address operator => mapping(uint32 shard => mapping(address collateral => uint256))) public stakeOf;

    /// Not Restaking's to take.
    function slashableOf(address, uint32, address) external pure returns (uint256, uint256) {
        return (0, 0);
    }

    function setStake(address operator, uint32 shard, address collateral, uint256 amount) external {
        stakeOf[operator][shard][collateral] = amount;
    }
}
