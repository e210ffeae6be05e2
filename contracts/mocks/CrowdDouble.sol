// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMembers} from "../interfaces/IMembers.sol";

/// @title Joiner
/// @notice An operator whose whole life is to join a shard.
contract Joiner {
    constructor(IMembers members, uint32 shard) {
        members.join(shard);
    }
}

/// @title CrowdDouble
/// @notice Stands in for Restaking, the stake source and Operators of a shard of very many operators, who all have the bond, the stake and the key
/// that a test says, but for those whose stake it names.
contract CrowdDouble {
    uint256 public constant BOND = type(uint96).max;

    uint256 public withdrawalDelay;
    uint256 public constant resolutionDelay = 3;
    uint256 public constant guardianDelay = 3;
    uint256 public stake;
    address public keyAccount;
    address[] public crowd;
    mapping(address operator => uint256) public otherwise;

    constructor(uint256 withdrawalDelay_, address keyAccount_) {
        (withdrawalDelay, keyAccount, stake) = (withdrawalDelay_, keyAccount_, 1e18);
    }

    function join(IMembers members, uint32 shard, uint256 howMany) external {
        for (uint256 i = 0; i < howMany; ++i) {
            crowd.push(address(new Joiner(members, shard)));
        }
    }

    function setStake(uint256 from, uint256 to, uint256 amount, IMembers members) external {
        for (uint256 i = from; i < to; ++i) {
            otherwise[crowd[i]] = amount;
            members.noteChange(crowd[i]);
        }
    }

    function slash(IMembers members, uint32 shard, uint256 index, uint64 epoch, bool vacant) external {
        members.recordSlash(shard, crowd[index], epoch, vacant ? 0 : BOND);
    }

    function size() external view returns (uint256) {
        return crowd.length;
    }

    function isCollateral(address) external pure returns (bool) {
        return true;
    }

    function isRegistered(address) external pure returns (bool) {
        return true;
    }

    function accepted(address, address) external pure returns (bool) {
        return false;
    }

    function bondOf(address, uint32) external pure returns (uint256) {
        return BOND;
    }

    function stakeOf(address operator, uint32, address) external view returns (uint256) {
        return otherwise[operator] == 0 ? stake : otherwise[operator];
    }

    function keyAccountOf(address) external view returns (address) {
        return keyAccount;
    }
}
