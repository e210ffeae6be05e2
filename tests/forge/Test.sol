// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What these tests use of Foundry's cheat codes.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function assume(bool condition) external pure;
    function roll(uint256 blockNumber) external;
    function getBlockNumber() external view returns (uint256);
    function warp(uint256 timestamp) external;
    function prank(address sender) external;
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function expectPartialRevert(bytes4 selector) external;
    function mockCall(address callee, bytes calldata data, bytes calldata answer) external;
    function clearMockedCalls() external;
    function cool(address account) external;
    function etch(address account, bytes calldata code) external;
    function deployCode(string calldata artifact, bytes calldata arguments) external returns (address);
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory logs);
}

/// @title Test
/// @notice Assertions with values, and names for accounts.
abstract contract Test {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    /// Makes `forge` take the contract for a test.
    bool public constant IS_TEST = true;

    error NotEqual(string what, uint256 got, uint256 expected);
    error NotAtMost(string what, uint256 got, uint256 limit);
    error NotTrue(string what);

    function equal(uint256 got, uint256 expected, string memory what) internal pure {
        if (got != expected) revert NotEqual(what, got, expected);
    }

    function equal(address got, address expected, string memory what) internal pure {
        if (got != expected) revert NotEqual(what, uint160(got), uint160(expected));
    }

    function atMost(uint256 got, uint256 limit, string memory what) internal pure {
        if (got > limit) revert NotAtMost(what, got, limit);
    }

    function yes(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    /// The number in [low, high] that `value` falls on.
    function within(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low == 0 && high == type(uint256).max ? value : low + value % (high - low + 1);
    }
}
