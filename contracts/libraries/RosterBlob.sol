// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CodeBlob} from "./CodeBlob.sol";

/// @title RosterBlob
/// @notice A roster's bytes as kept in contract code, 66 + 2·seats of them:
///
///   20  slasher: the Audits contract in force at the snapshot
///   20  source that counted the stake
///   20  account whose code holds the sum of the keys
///    2  tickets | 2 operators | 2 most tickets of one operator
///  then for each seat 2 bytes: the number of tickets up to and including its own
///
/// So a seat's tickets are a difference of two neighbours, an empty seat repeats its neighbour, and who holds a ticket is found by halving.
library RosterBlob {
    struct Head {
        address slasher;
        address source;
        address keySum;
        uint256 tickets;
        uint256 operators;
        uint256 largest;
    }

    uint256 private constant HEAD_BYTES = 66;
    uint256 private constant SEAT_BYTES = 2;

    /// @notice Writes a roster; `tickets[i]` are those of seat i, at most 2¹⁶ − 1 in all.
    function write(Head memory head_, uint256[] memory tickets) internal returns (address blob) {
        uint256 seats = tickets.length;
        bytes memory data = abi.encodePacked(
            head_.slasher,
            head_.source,
            head_.keySum,
            uint16(head_.tickets),
            uint16(head_.operators),
            uint16(head_.largest),
            // room for the seats, and for what the last of them writes too much
            new bytes(seats * SEAT_BYTES + 32)
        );
        assembly ("memory-safe") {
            mstore(data, add(HEAD_BYTES, mul(seats, SEAT_BYTES)))
            let to := add(add(data, 32), HEAD_BYTES)
            let from := add(tickets, 32)
            let end := 0
            for { let last := add(from, mul(seats, 32)) } lt(from, last) { from := add(from, 32) } {
                end := add(end, mload(from))
                mstore(to, shl(240, end))
                to := add(to, SEAT_BYTES)
            }
        }
        return CodeBlob.write(data);
    }

    function head(address blob) internal view returns (Head memory head_) {
        bytes memory data = CodeBlob.read(blob, 0, HEAD_BYTES);
        head_.slasher = address(bytes20(_word(data, 0)));
        head_.source = address(bytes20(_word(data, 20)));
        head_.keySum = address(bytes20(_word(data, 40)));
        head_.tickets = uint16(bytes2(_word(data, 60)));
        head_.operators = uint16(bytes2(_word(data, 62)));
        head_.largest = uint16(bytes2(_word(data, 64)));
    }

    /// @notice Seats of a roster, empty ones too.
    function seats(address blob) internal view returns (uint256) {
        return (CodeBlob.sizeOf(blob) - HEAD_BYTES) / SEAT_BYTES;
    }

    /// @notice Tickets of a seat: the first one's number, and how many. None for a seat that the roster doesn't have.
    function ticketsAt(address blob, uint256 seat) internal view returns (uint256 first, uint256 count) {
        if (seat >= seats(blob)) return (0, 0);
        if (seat == 0) return (0, uint16(bytes2(_word(CodeBlob.read(blob, HEAD_BYTES, SEAT_BYTES), 0))));
        bytes memory data = CodeBlob.read(blob, HEAD_BYTES + (seat - 1) * SEAT_BYTES, 2 * SEAT_BYTES);
        first = uint16(bytes2(_word(data, 0)));
        count = uint16(bytes2(_word(data, SEAT_BYTES))) - first;
    }

    /// @notice Tickets of all seats.
    function allTickets(address blob) internal view returns (uint256[] memory tickets) {
        uint256 n = seats(blob);
        bytes memory data = CodeBlob.read(blob, HEAD_BYTES, n * SEAT_BYTES);
        tickets = new uint256[](n);
        uint256 before = 0;
        for (uint256 seat = 0; seat < n; ++seat) {
            uint256 end = uint16(bytes2(_word(data, seat * SEAT_BYTES)));
            tickets[seat] = end - before;
            before = end;
        }
    }

    /// @notice The 32 bytes from `offset` on; past the end of `data` they are whatever memory holds, so callers cut off what isn't theirs.
    function _word(bytes memory data, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }
}
