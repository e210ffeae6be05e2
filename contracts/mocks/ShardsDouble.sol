// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CollateralWeight, RosterHead} from "../types/Types.sol";

/// @title ShardsDouble
/// @notice What Restaking asks of Shards, answered as a test says: any block may bind, a miss may take anything.
contract ShardsDouble {
    struct Terms {
        uint256 bondSlash;
        uint256 reporterFee;
        uint256[] amounts;
    }

    uint32 public count;
    address public slasher;
    address public bondToken;
    uint256 public constant MIN_BOND = 1;
    uint256 public vacancies;
    mapping(address operator => uint256) public changes;

    CollateralWeight[] private _collaterals;
    mapping(address operator => uint256 blockNumber) private _bound;
    mapping(uint32 shard => Terms) private _terms;

    constructor(uint32 count_, address slasher_, address bondToken_, CollateralWeight[] memory collaterals) {
        count = count_;
        slasher = slasher_;
        bondToken = bondToken_;
        for (uint256 c = 0; c < collaterals.length; ++c) {
            _collaterals.push(collaterals[c]);
        }
    }

    function setBound(address operator, uint256 blockNumber) external {
        _bound[operator] = blockNumber;
    }

    function setTerms(uint32 shard, uint256 bondSlash, uint256 reporterFee, uint256[] calldata amounts) external {
        _terms[shard] = Terms(bondSlash, reporterFee, amounts);
    }

    function recordSlash(uint32, address, uint64, bool vacant) external {
        if (vacant) ++vacancies;
    }

    function noteChange(address operator) external {
        ++changes[operator];
    }

    function slashers() external view returns (address[] memory found) {
        found = new address[](1);
        found[0] = slasher;
    }

    /// Its own Members.
    function members() external view returns (address) {
        return address(this);
    }

    function boundUntil(address operator, uint256, uint256) external view returns (uint256) {
        return _boundNow(operator);
    }

    function boundIn(uint32, address operator, uint256, uint256) external view returns (uint256) {
        return _boundNow(operator);
    }

    function rosterHead(uint32, uint32) external view returns (RosterHead memory head) {
        head.slasher = slasher;
    }

    function rosterIndexOf(uint32, uint32, address) external pure returns (uint256) {
        return 0;
    }

    function bondTermsOf(uint32) external view returns (address, uint256) {
        return (bondToken, MIN_BOND);
    }

    function collateralsOf(uint32) external view returns (CollateralWeight[] memory) {
        return _collaterals;
    }

    function slashTerms(uint32 shard, uint32, address)
        external
        view
        returns (uint256 bondSlash, uint256 reporterFee, address[] memory collaterals, uint256[] memory amounts)
    {
        Terms storage terms = _terms[shard];
        collaterals = new address[](_collaterals.length);
        for (uint256 c = 0; c < collaterals.length; ++c) {
            collaterals[c] = _collaterals[c].token;
        }
        return (terms.bondSlash, terms.reporterFee, collaterals, terms.amounts);
    }

    function _boundNow(address operator) private view returns (uint256) {
        uint256 bound = _bound[operator];
        return bound > block.number ? bound : 0;
    }
}
