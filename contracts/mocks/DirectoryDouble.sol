// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title DirectoryDouble
/// @notice Stands in for the Directory where a test needs modules of its own: anyone sets anything.
contract DirectoryDouble {
    /// Who deployed it.
    address public governor = msg.sender;
    mapping(bytes32 name => address) private _modules;
    mapping(address account => bool) private _isModule;

    error ModuleUnset(bytes32 name);

    function set(bytes32 name, address module_) external {
        _isModule[_modules[name]] = false;
        _modules[name] = module_;
        _isModule[module_] = true;
    }

    function module(bytes32 name) external view returns (address) {
        if (_modules[name] == address(0)) revert ModuleUnset(name);
        return _modules[name];
    }

    function isModule(address account) external view returns (bool) {
        return _isModule[account];
    }
}
