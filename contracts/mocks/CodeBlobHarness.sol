// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CodeBlob} from "../libraries/CodeBlob.sol";

/// @title CodeBlobHarness
/// @notice Calls each function of the library from outside, for tests.
contract CodeBlobHarness {
    address public last;

    function write(bytes calldata data) external returns (address) {
        last = CodeBlob.write(data);
        return last;
    }

    /// @notice `write` with `gasForWrite` gas: what the caller keeps pays for reading the error.
    function writeWithGas(bytes calldata data, uint256 gasForWrite) external returns (address) {
        return this.write{gas: gasForWrite}(data);
    }

    function sizeOf(address pointer) external view returns (uint256) {
        return CodeBlob.sizeOf(pointer);
    }

    function read(address pointer, uint256 start, uint256 length) external view returns (bytes memory) {
        return CodeBlob.read(pointer, start, length);
    }

    function createdBy(address creator, uint256 number) external pure returns (address) {
        return CodeBlob.createdBy(creator, number);
    }
}
