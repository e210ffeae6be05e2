// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title FaucetToken
/// @notice A token without value that anyone mints. For test networks only: it refuses to be created on Ethereum itself.
contract FaucetToken is ERC20, ERC20Permit {
    /// @notice More was asked for than one call mints.
    error MintTooLarge(uint256 amount, uint256 limit);

    /// @notice This chain is not a test network.
    error ChainNotForTests(uint256 chainId);

    uint8 private immutable DECIMALS;

    /// @notice Most that one call mints, in units.
    uint256 public immutable MINT_LIMIT;

    constructor(string memory name_, string memory symbol_, uint8 decimals_, uint256 mintLimit)
        ERC20(name_, symbol_)
        ERC20Permit(name_)
    {
        if (block.chainid == 1) revert ChainNotForTests(block.chainid);
        DECIMALS = decimals_;
        MINT_LIMIT = mintLimit;
    }

    /// @notice Mints up to MINT_LIMIT units to anyone, for anyone.
    function mint(address to, uint256 amount) external {
        if (amount > MINT_LIMIT) revert MintTooLarge(amount, MINT_LIMIT);
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public view override returns (uint8) {
        return DECIMALS;
    }
}
