// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CodeBlob} from "../libraries/CodeBlob.sol";
import {CollateralWeight} from "../types/Types.sol";

/// @title ShardsDouble
/// @notice What Restaking asks of Shards, answered as a test says: any block may bind, a miss may take anything.
///
/// What a miss takes of the bond stands in the code of `missTermsOf(shard)`, which a test replaces by `missTermsCode(shard)` after `setTerms`; of the stake, it
/// is what this contract, as the source, says could be taken, whole.
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
    /// The most that a source's value counts for.
    uint256 private constant MUCH = type(uint104).max;
    uint256 public vacancies;
    mapping(address operator => uint256) public changes;

    CollateralWeight[] private _collaterals;
    mapping(address operator => uint256 blockNumber) private _bound;
    mapping(uint32 shard => Terms) private _terms;
    mapping(uint32 shard => address) private _missTerms;

    error ShardUnknown(uint32 shard);

    constructor(uint32 count_, address slasher_, address bondToken_, CollateralWeight[] memory collaterals) {
        count = count_;
        slasher = slasher_;
        bondToken = bondToken_;
        for (uint256 c = 0; c < collaterals.length; ++c) {
            _collaterals.push(collaterals[c]);
        }
        for (uint32 shard = 1; shard <= count_; ++shard) {
            _missTerms[shard] = CodeBlob.write(_missTermsData(shard));
        }
    }

    function setBound(address operator, uint256 blockNumber) external {
        _bound[operator] = blockNumber;
    }

    function setTerms(uint32 shard, uint256 bondSlash, uint256 reporterFee, uint256[] calldata amounts) external {
        _terms[shard] = Terms(bondSlash, reporterFee, amounts);
    }

    function recordSlash(uint32, address, uint64, uint256 bond) external {
        if (bond < MIN_BOND) ++vacancies;
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

    function slashPlaceOf(uint32, uint32, address) external view returns (address, address, uint256) {
        return (slasher, address(this), 1);
    }

    function sourceOf(uint32, uint32) external view returns (address) {
        return address(this);
    }

    function slashableOf(address, uint32 shard, address collateral) external view returns (uint256, uint256) {
        uint256 c = 0;
        while (_collaterals[c].token != collateral) ++c;
        uint256[] storage amounts = _terms[shard].amounts;
        return (amounts.length == 0 ? 0 : amounts[c], MUCH);
    }

    function missTermsOf(uint32 shard) external view returns (address) {
        if (_missTerms[shard] == address(0)) revert ShardUnknown(shard);
        return _missTerms[shard];
    }

    function missTermsCode(uint32 shard) external view returns (bytes memory) {
        return bytes.concat(hex"00", _missTermsData(shard));
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

    function _missTermsData(uint32 shard) private view returns (bytes memory data) {
        Terms storage terms = _terms[shard];
        data = abi.encodePacked(bondToken, uint128(terms.bondSlash), type(uint128).max, uint128(terms.reporterFee));
        for (uint256 c = 0; c < _collaterals.length; ++c) {
            data = bytes.concat(data, abi.encodePacked(_collaterals[c].token, _collaterals[c].weightWad));
        }
    }

    function _boundNow(address operator) private view returns (uint256) {
        uint256 bound = _bound[operator];
        return bound > block.number ? bound : 0;
    }
}
