// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IDrandBeacon
/// @notice What `DrandBeacon` adds to `IRandomness`: rounds of a drand network of the scheme bls-unchained-g1-rfc9380 (quicknet's).
///
/// Round r ≥ 1 is signed at genesis + (r − 1)·period by a threshold of the network's members: one BLS signature in G1, the same whoever makes
/// it, of SHA-256(uint64 r). A block's round is the first that is signed more than `lead` seconds after the block's own time.
///
/// Safety assumptions: fewer than the threshold of drand's members work together; **no block's time lies `lead` seconds or more behind the
/// moment in which its contents are fixed**. Else who sets it could wait for rounds and choose among them. Members of drand know a round no
/// earlier than a threshold of them does.
/// Liveness assumptions: drand goes on, and somebody brings a round within the limit for sealing. Where it stops, epochs are void: no pay,
/// no slash.
interface IDrandBeacon {
    /// @notice A round's signature was verified for a block. Whoever verifies everything again takes it from here.
    /// @param signature 128 bytes, EIP-2537
    event RoundVerified(uint256 indexed blockNumber, uint64 indexed round, bytes signature);

    /// @notice A period of zero, or a key that is the identity.
    error DrandParametersInvalid(uint256 period);

    /// @notice The block is older than the network's genesis.
    error BlockBeforeGenesis(uint256 timestamp, uint256 genesis);

    /// @notice The signature is not the round's.
    error RoundSignatureInvalid(uint256 blockNumber, uint64 round);

    /// @notice When round 1 was signed, in seconds since 1970.
    function genesis() external view returns (uint256);
    /// @notice Seconds between rounds.
    function period() external view returns (uint256);
    /// @notice A block's round is signed more than so many seconds after the block's time.
    function lead() external view returns (uint256);
    /// @notice The network's key: 256 bytes, EIP-2537.
    function publicKey() external view returns (bytes memory);
    /// @notice The round of a block with this time.
    function roundOf(uint256 timestamp) external view returns (uint64 round);
}
