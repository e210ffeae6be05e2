// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The modules in force
/// @notice Names → contracts. The deployer's governor fills it, seals it; afterwards every change waits `timelock` blocks, in public.
/// Safety: `timelock` is longer than the longest withdrawal delay plus an epoch (I-D1), so that free stake can leave before a new module acts.
/// The guardian can delay one slash once (see IRestaking.delaySlash); it can't change an entry, nor redirect anything.
interface IDirectory {
    event ModuleSet(bytes32 indexed name, address indexed module);
    event Sealed(uint256 blockNumber);
    event ChangeQueued(bytes32 indexed name, address indexed module, uint256 readyBlock);
    event ChangeCancelled(bytes32 indexed name, address indexed module);
    event GovernorProposed(address indexed governor);
    event GovernorChanged(address indexed governor);

    error NotGovernor(address caller);
    error AlreadySealed(uint256 sealedBlock);
    error NotSealed();
    error ModuleUnset(bytes32 name);
    error ModuleHasNoCode(bytes32 name, address module);
    error ChangeUnknown(bytes32 name);
    error ChangeNotReady(bytes32 name, uint256 readyBlock, uint256 blockNumber);
    error TimelockTooShort(uint256 timelock, uint256 needed);

    function governor() external view returns (address);
    function pendingGovernor() external view returns (address);
    function guardian() external view returns (address);
    /// @notice Blocks that a change waits.
    function timelock() external view returns (uint256);
    /// @notice Block of the seal, 0 before.
    function sealedBlock() external view returns (uint256);

    /// @notice The module in force under `name`. Reverts if there is none.
    function module(bytes32 name) external view returns (address);
    /// @notice Whether `account` stands under any name now.
    function isModule(address account) external view returns (bool);

    /// @notice Before the seal: fills an entry at once. Governor.
    function set(bytes32 name, address module_) external;
    /// @notice Ends the set-up. Requires every name of `ModuleNames` to be set, to a contract, and a timelock longer than Restaking's withdrawal
    /// delay. Governor.
    function seal() external;
    /// @notice After the seal: announces a change. Governor.
    function queueChange(bytes32 name, address module_) external;
    /// @notice Withdraws an announced change. Governor.
    function cancelChange(bytes32 name) external;
    /// @notice Carries out an announced change whose time has come. Anyone.
    function applyChange(bytes32 name) external;
    /// @notice Change queued under `name`: (module, readyBlock), zeros if none.
    function queued(bytes32 name) external view returns (address module_, uint256 readyBlock);
    /// @notice Two-step hand-over of the governor's role.
    function proposeGovernor(address governor_) external;
    function acceptGovernor() external;
}
