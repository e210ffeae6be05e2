// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one ledger
/// @notice Beside Restaking the only contract that holds tokens. An account is bytes32: a person's is its address; a contract's are
/// keccak256(abi.encode(contract, key)), and only that contract moves them. Recorded balance = what is owed, to the unit, always; the
/// actual balance is at least that, and nothing reverts on a surplus (I-P1).
interface IPayments {
    event Collected(address indexed token, address indexed from, bytes32 indexed account, uint256 amount);
    event Moved(address indexed token, bytes32 indexed from, bytes32 indexed to, uint256 amount);
    event Claimed(address indexed token, address indexed account, uint256 amount);

    error CallerNotModule(address caller);
    error ZeroAccount();
    error TransferShort(address token, uint256 expected, uint256 received);
    error BalanceTooLow(bytes32 account, uint256 balance, uint256 asked);
    error NothingToClaim(address token, address account);

    /// @notice Takes tokens from someone who approved this contract into the calling module's account `key`. Modules in force only.
    function collect(address token, address from, bytes32 key, uint256 amount) external;
    /// @notice Moves an amount out of the caller's own account `key` to any account.
    function move(address token, bytes32 key, bytes32 to, uint256 amount) external;
    /// @notice Pays out the caller's balance.
    function claim(address token) external returns (uint256 amount);
    /// @notice Pays out the caller's balances; one that fails keeps its record and blocks none of the others. Bounded by the caller's own list.
    function claimMany(address[] calldata tokens) external returns (uint256[] memory amounts);

    function balanceOf(address token, bytes32 account) external view returns (uint256);
    function claimable(address token, address account) external view returns (uint256);
    function recorded(address token) external view returns (uint256);
    function moduleAccount(address owner, bytes32 key) external pure returns (bytes32);
    function personAccount(address person) external pure returns (bytes32);
}
