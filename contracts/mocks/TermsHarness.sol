// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Purposes} from "../libraries/Purposes.sol";
import {Terms} from "../libraries/Terms.sol";

/// @title TermsHarness
/// @notice Calls the libraries Terms and Purposes from outside.
contract TermsHarness {
    using Terms for Terms.State;

    mapping(uint256 list => Terms.State) private _terms;

    function add(uint256 list, uint256 start, uint256 end) external {
        _terms[list].add(start, end, _terms[list].mark());
    }

    function addMany(uint256 list, uint256[] calldata starts, uint256[] calldata ends) external {
        for (uint256 i; i < starts.length; ++i) {
            _terms[list].add(starts[i], ends[i], _terms[list].mark());
        }
    }

    function shorten(uint256 list, uint256 index, uint256 end) external {
        _terms[list].shorten(index, end);
    }

    function prolong(uint256 list, uint256 index, uint256 end) external {
        _terms[list].prolong(index, end);
    }

    /// @notice As if `added` terms had been added.
    function skipTo(uint256 list, uint256 added) external {
        _terms[list].head = added << 160;
    }

    function setMark(uint256 list, uint256 mark) external {
        _terms[list].setMark(mark);
    }

    function markOf(uint256 list) external view returns (uint256) {
        return _terms[list].mark();
    }

    function covers(uint256 list, uint256[] calldata times) external view returns (bool[] memory answers) {
        answers = new bool[](times.length);
        for (uint256 i; i < times.length; ++i) {
            answers[i] = _terms[list].covers(times[i]);
        }
    }

    function count(uint256 list) external view returns (uint256) {
        return _terms[list].count();
    }

    function termAt(uint256 list, uint256 index) external view returns (uint256 start, uint256 end) {
        return _terms[list].termAt(index);
    }

    function coveringSets(uint32 asked) external pure returns (uint256) {
        return Purposes.coveringSets(asked);
    }
}
