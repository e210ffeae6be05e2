// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one ledger
/// @notice Beside Restaking the only contract that holds tokens. An account is bytes32: a person's is its address; a contract's are
/// keccak256(abi.encode(contract, key)), and only that contract moves them. Recorded balance = what is owed, to the unit, always; the
/// actual balance is at least that, and nothing reverts on a surplus (I-P1).
///
/// Typical flow: 1 a module `collect`s from a payer that approved this contract; 2 it `move`s parts to those that earned them;
/// 3 each person `claim`s its own.
///
/// Safety assumption, for each token alone: its balances change only by transfers, and a transfer takes from the sender what it says. A token
/// for which that is false (rebasing, a fee on top) can fail to pay its own claims, and blocks nothing in any other token.
interface IPayments {
    event Collected(address indexed token, address indexed from, bytes32 indexed account, uint256 amount);
    event Moved(address indexed token, bytes32 indexed from, bytes32 indexed to, uint256 amount);
    event Claimed(address indexed token, address indexed account, uint256 amount);
    /// @notice A token of `claimMany` refused: its record stands.
    event ClaimFailed(address indexed token, address indexed account, uint256 amount);

    /// @notice The caller stands under no name in the Directory now.
    error CallerNotModule(address caller);
    /// @notice Account zero is nobody's.
    error ZeroAccount();
    /// @notice Less arrived than was to be collected.
    error TransferShort(address token, uint256 expected, uint256 received);
    error BalanceTooLow(bytes32 account, uint256 balance, uint256 asked);
    error NothingToClaim(address token, address account);
    /// @notice Too little gas is left to tell a refusing token from an interrupted transfer.
    error GasInsufficient(uint256 left, uint256 needed);
    /// @notice Only this contract calls itself here.
    error NotSelf(address caller);

    /// @notice Takes tokens from someone who approved this contract into the calling module's account `key`. Modules in force only.
    /// What arrives beyond `amount` is a surplus and belongs to no account. An amount of zero does nothing.
    function collect(address token, address from, bytes32 key, uint256 amount) external;
    /// @notice Moves an amount out of the caller's own account `key` to any account. A module that was replaced still moves its own.
    function move(address token, bytes32 key, bytes32 to, uint256 amount) external;
    /// @notice Pays out the caller's balance.
    function claim(address token) external returns (uint256 amount);
    /// @notice Pays out the caller's balances; one that fails keeps its record and blocks none of the others. Bounded by the caller's own list,
    /// and each token by CLAIM_GAS. A balance of zero is passed over.
    function claimMany(address[] calldata tokens) external returns (uint256[] memory amounts);
    /// @notice One payment of `claimMany`; only this contract itself.
    function payOut(address token, address account) external returns (uint256 amount);

    function balanceOf(address token, bytes32 account) external view returns (uint256);
    function claimable(address token, address account) external view returns (uint256);
    function recorded(address token) external view returns (uint256);
    function moduleAccount(address owner, bytes32 key) external pure returns (bytes32);
    function personAccount(address person) external pure returns (bytes32);
}
