// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";

/// @title VaultToken
/// @notice A vault whose shares gain when somebody sends it the asset, and that can be made to fail.
contract VaultToken is ERC4626 {
    bool public failing;
    bool public burnsGas;

    error Failing();

    constructor(IERC20 asset_) ERC20("Vault", "VAULT") ERC4626(asset_) {}

    function setFailing(bool yes, bool burnsGas_) external {
        (failing, burnsGas) = (yes, burnsGas_);
    }

    function convertToAssets(uint256 shares) public view override returns (uint256) {
        while (burnsGas) {}
        if (failing) revert Failing();
        return super.convertToAssets(shares);
    }
}
