// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Errors that live in an interface only, as the core's do.
interface IRevertDouble {
    error Declared(uint256 got, uint256 limit);
    error DeclaredTwin(uint256 got, uint256 limit);
    error Bare();
    error Nested(address who, bytes32 id, bytes data, uint256[] values);
    error Located(Place place);

    struct Place {
        uint32 shard;
        address operator;
    }
}

/// @notice Reverts in every way that there is, so that the strict `reverts_with` of the tests can itself be tested.
contract RevertDouble is IRevertDouble {
    uint256 public total;

    error Ascending(uint256 got, uint256 limit);

    /// @dev Reverts after a state change, with an error of the interface.
    function declared(uint256 got, uint256 limit) external {
        total += got;
        revert Declared(got, limit);
    }

    function twin(uint256 got, uint256 limit) external {
        total += got;
        revert DeclaredTwin(got, limit);
    }

    function own(uint256 got, uint256 limit) external {
        total += got;
        revert Ascending(got, limit);
    }

    function bare() external {
        total += 1;
        revert Bare();
    }

    function nested(address who, bytes32 id, bytes calldata data, uint256[] calldata values) external {
        total += values.length;
        revert Nested(who, id, data, values);
    }

    function located(uint32 shard, address operator) external {
        total += shard;
        revert Located(Place(shard, operator));
    }

    function text(string calldata reason) external {
        total += 1;
        revert(reason);
    }

    function silent() external {
        total += 1;
        // solhint-disable-next-line reason-string
        assembly {
            revert(0, 0)
        }
    }

    function overflow(uint256 amount) external {
        total -= amount;
    }

    /// @dev The selector of `Declared` with its arguments cut short: right first four bytes, wrong data.
    function truncated() external {
        total += 1;
        bytes memory data = abi.encodePacked(Declared.selector, uint256(7));
        assembly {
            revert(add(data, 0x20), mload(data))
        }
    }

    /// @dev Burns all its gas.
    function endless() external {
        while (true) total += 1;
    }

    function fine() external {
        total += 1;
    }

    function viewed(uint256 got, uint256 limit) external pure returns (uint256) {
        if (got > limit) revert Declared(got, limit);
        return got;
    }
}
