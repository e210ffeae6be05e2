// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ObjectBook} from "../libraries/ObjectBook.sol";

/// @title ObjectBookHarness
/// @notice A book's numbers of lists of non-signers, for hashes that no list has. For tests.
contract ObjectBookHarness {
    using ObjectBook for ObjectBook.State;

    ObjectBook.State private _book;
    uint256 public number;

    function absenceOf(bytes32 hash) external {
        number = _book.absenceOf(hash);
    }

    function absence(uint256 number_) external view returns (bytes32) {
        return _book.absences[number_];
    }
}
