// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "./interfaces/IDirectory.sol";
import {IRestaking} from "./interfaces/IRestaking.sol";
import {ModuleNames} from "./libraries/ModuleNames.sol";

/// @title Directory
/// @notice Holds: name → module in force, and the changes announced.
///
/// Typical flow: 1 the governor sets every name; 2 it seals; 3 a change is queued; 4 after `timelock` blocks anyone applies it.
///
/// Invariants:
/// - I-D1  timelock > withdrawal delay of the Restaking in force; with the epoch added, checked where shards are created (Shards.create);
/// - I-D2  after the seal an entry changes only to what was queued under it, `timelock` blocks or more after it was queued;
/// - I-D3  isModule(a) ⇔ some name's entry is a.
contract Directory is IDirectory {
    struct Change {
        address module;
        uint64 readyBlock;
    }

    address public immutable guardian;
    uint256 public immutable timelock;

    address public governor;
    address public pendingGovernor;
    uint256 public sealedBlock;

    mapping(bytes32 name => address module) private _modules;
    /// Under how many names a module stands: one contract may serve several.
    mapping(address module => uint256 names) private _places;
    mapping(bytes32 name => Change change) private _changes;

    modifier onlyGovernor() {
        if (msg.sender != governor) revert NotGovernor(msg.sender);
        _;
    }

    constructor(address governor_, address guardian_, uint256 timelock_) {
        governor = governor_;
        guardian = guardian_;
        timelock = timelock_;
        emit GovernorChanged(governor_);
    }

    function module(bytes32 name) external view returns (address) {
        return _module(name);
    }

    function isModule(address account) external view returns (bool) {
        return _places[account] != 0;
    }

    function queued(bytes32 name) external view returns (address module_, uint256 readyBlock) {
        Change storage change = _changes[name];
        return (change.module, change.readyBlock);
    }

    function set(bytes32 name, address module_) external onlyGovernor {
        if (sealedBlock != 0) revert AlreadySealed(sealedBlock);
        if (module_ == address(0)) revert ModuleUnset(name);
        _set(name, module_);
    }

    function seal() external onlyGovernor {
        if (sealedBlock != 0) revert AlreadySealed(sealedBlock);
        for (uint256 i = 0; i < ModuleNames.COUNT; ++i) {
            bytes32 name = ModuleNames.at(i);
            _checkModule(name, _module(name));
        }

        sealedBlock = block.number;
        emit Sealed(block.number);
    }

    function queueChange(bytes32 name, address module_) external onlyGovernor {
        if (sealedBlock == 0) revert NotSealed();
        _checkModule(name, module_);

        uint256 readyBlock = block.number + timelock;
        _changes[name] = Change(module_, uint64(readyBlock));
        emit ChangeQueued(name, module_, readyBlock);
    }

    function cancelChange(bytes32 name) external onlyGovernor {
        address module_ = _changes[name].module;
        if (module_ == address(0)) revert ChangeUnknown(name);

        delete _changes[name];
        emit ChangeCancelled(name, module_);
    }

    function applyChange(bytes32 name) external {
        Change memory change = _changes[name];
        if (change.module == address(0)) revert ChangeUnknown(name);
        if (block.number < change.readyBlock) revert ChangeNotReady(name, change.readyBlock, block.number);
        // again, since code can vanish and delays of a module are its own affair
        _checkModule(name, change.module);

        delete _changes[name];
        _set(name, change.module);
    }

    function proposeGovernor(address governor_) external onlyGovernor {
        pendingGovernor = governor_;
        emit GovernorProposed(governor_);
    }

    function acceptGovernor() external {
        if (msg.sender != pendingGovernor) revert NotGovernor(msg.sender);

        governor = msg.sender;
        pendingGovernor = address(0);
        emit GovernorChanged(msg.sender);
    }

    function _module(bytes32 name) internal view returns (address module_) {
        module_ = _modules[name];
        if (module_ == address(0)) revert ModuleUnset(name);
    }

    function _checkModule(bytes32 name, address module_) internal view {
        if (module_.code.length == 0) revert ModuleHasNoCode(name, module_);
        if (name == ModuleNames.RESTAKING) {
            uint256 delay = IRestaking(module_).withdrawalDelay();
            if (timelock <= delay) revert TimelockTooShort(timelock, delay + 1);
        }
    }

    function _set(bytes32 name, address module_) internal {
        address old = _modules[name];
        if (old != address(0)) --_places[old];
        ++_places[module_];
        _modules[name] = module_;
        emit ModuleSet(name, module_);
    }
}
