// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IRandomness
/// @notice Gives the random value of a block that was named before it was mined, the same to everybody and for ever.
///
/// Safety assumptions: nobody can choose a block's value (a proposer of the chain may withhold one block, and so choose
/// between two values, at the price of its reward). Liveness assumption: somebody reveals a block while it can still be
/// reached; where nobody does, `valueOf` reverts for good and whoever depends on it must have a rule for that.
///
/// A value is 216 random bits above the block's time in seconds, 40 bits: both in one slot. Whoever draws from it hashes it.
interface IRandomness {
    /// @notice The value of a block was proven and stored.
    event RandomnessRevealed(uint256 indexed blockNumber, bytes32 value);

    /// @notice The block is not mined yet, or too old for the chain to know its hash.
    error BlockUnreachable(uint256 blockNumber, uint256 currentBlock);

    /// @notice The header given does not hash to the block's hash.
    error HeaderMismatch(bytes32 got, bytes32 expected);

    /// @notice The header's number is not the block's: a chain whose headers are built differently.
    error HeaderNumberMismatch(uint256 got, uint256 expected);

    /// @notice The block carries no random value (it is zero): a chain without a beacon.
    error RandomnessAbsent(uint256 blockNumber);

    /// @notice Nobody has revealed the block's value.
    error RandomnessUnknown(uint256 blockNumber);

    /// @notice Proves and stores the value of a block. If it is stored already, it is returned without a look at the
    /// proof, so that two who reveal at the same time both succeed.
    /// @param proof What the module asks for, by its `scheme`.
    function reveal(uint256 blockNumber, bytes calldata proof) external returns (bytes32 value);

    /// @notice The value of a revealed block; reverts for one that is not revealed.
    function valueOf(uint256 blockNumber) external view returns (bytes32 value);

    /// @notice The time in seconds of a revealed block, which its header says; reverts for one that is not revealed.
    function timeOf(uint256 blockNumber) external view returns (uint256 timestamp);

    /// @notice How values are proven, so that whoever seals knows what to bring: "randao" (`RandaoBeacon`: the block's header in RLP) or "drand"
    /// (`DrandBeacon`: the header and a round's signature).
    function scheme() external view returns (bytes32);

    /// @notice Tells whether a block's value is stored.
    function isRevealed(uint256 blockNumber) external view returns (bool);
}
