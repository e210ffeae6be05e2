// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";

import {IStakeSource} from "../interfaces/IStakeSource.sol";

/// @title VaultShareStake
/// @notice Counts shares of ERC-4626 vaults that lie in Restaking (stake that works elsewhere, and is restaked here) as what they are worth in the
/// vault's asset, so that a shard's weights and ticket prices are in that asset and follow the vault's gains and losses. All else counts one to one.
///
/// A vault's price changes without a word to Shards, which counts a member anew when something of it changes here, or when anyone asks it to
/// (Shards.refreshOperators).
///
/// Assumption: the vaults' `convertToAssets` can't be moved at will; the governor chooses them, for good, with this contract. One that fails counts for
/// nothing and is not slashed while it fails.
contract VaultShareStake is IStakeSource {
    /// Above what the usual vaults need by far.
    uint256 public constant VALUE_GAS = 300_000;
    /// A call keeps one part in 64 (EIP-150).
    uint256 private constant GAS_NEEDED = VALUE_GAS * 64 / 63 + 10_000;

    /// Where the stake lies.
    IStakeSource public immutable restaking;
    mapping(address collateral => bool) public isVault;

    /// @notice No contract answers as a vault there.
    error NotVault(address collateral);
    /// @notice Too little gas is left to tell a failing vault from an interrupted call.
    error GasInsufficient(uint256 left, uint256 needed);

    constructor(IStakeSource restaking_, address[] memory vaults) {
        restaking = restaking_;
        for (uint256 i = 0; i < vaults.length; ++i) {
            address vault = vaults[i];
            if (vault.code.length == 0 || IERC4626(vault).asset() == address(0)) revert NotVault(vault);
            isVault[vault] = true;
        }
    }

    function stakeOf(address operator, uint32 shard, address collateral) external view returns (uint256 value) {
        return _valueOf(collateral, restaking.stakeOf(operator, shard, collateral));
    }

    function slashableOf(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 units, uint256 value)
    {
        (units,) = restaking.slashableOf(operator, shard, collateral);
        value = _valueOf(collateral, units);
    }

    function _valueOf(address collateral, uint256 units) private view returns (uint256) {
        if (units == 0 || !isVault[collateral]) return units;
        uint256 left = gasleft();
        if (left < GAS_NEEDED) revert GasInsufficient(left, GAS_NEEDED);
        try IERC4626(collateral).convertToAssets{gas: VALUE_GAS}(units) returns (uint256 value) {
            return value;
        } catch {
            return 0;
        }
    }
}
