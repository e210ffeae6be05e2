// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who operates: BLS keys with proof of possession, endpoints, commission
/// @notice Registration is permissionless and costs nothing but gas; what counts is bond and stake (Restaking) and a place in a shard (Shards).
/// The possession digest is keccak256(abi.encode(Tags.POSSESSION, chainid, this contract, operator, keccak256(key))), signed under the POP tag.
interface IOperators {
    event OperatorRegistered(
        address indexed operator, bytes32 indexed keyHash, bytes key, bytes32 sealingKey, address responder
    );
    event EndpointChanged(address indexed operator, string endpoint);
    event ResponderChanged(address indexed operator, address responder);
    event CommissionChanged(address indexed operator, uint16 commissionBps, uint256 fromBlock);

    error AlreadyRegistered(address operator);
    error NotRegistered(address operator);
    error KeyTaken(bytes32 keyHash, address operator);
    error KeyLengthWrong(uint256 length, uint256 expected);
    error PossessionInvalid(address operator);
    error CommissionTooHigh(uint256 commissionBps, uint256 limit);
    error EndpointTooLong(uint256 length, uint256 limit);
    error ZeroResponder();
    error IndexOutOfRange(uint256 index, uint256 count);

    /// @notice Registers the caller.
    /// @param key 256-byte EIP-2537 G2 point @param possession 128-byte EIP-2537 G1 signature of the possession digest
    /// @param sealingKey X25519 public key to which data keys are sealed @param endpoint base URL of the node
    /// @param responder hot key that the node answers with
    function register(
        bytes calldata key,
        bytes calldata possession,
        bytes32 sealingKey,
        string calldata endpoint,
        uint16 commissionBps,
        address responder
    ) external;
    function setEndpoint(string calldata endpoint) external;
    function setResponder(address responder) external;
    /// @notice Takes effect after Restaking's withdrawal delay, so that restakers can leave before it does.
    function setCommission(uint16 commissionBps) external;

    function isRegistered(address operator) external view returns (bool);
    function keyOf(address operator) external view returns (bytes memory);
    /// @notice Account whose code holds the key, behind a STOP.
    function keyAccountOf(address operator) external view returns (address);
    function keyHashOf(address operator) external view returns (bytes32);
    function operatorOfKey(bytes32 keyHash) external view returns (address);
    function sealingKeyOf(address operator) external view returns (bytes32);
    function endpointOf(address operator) external view returns (string memory);
    function responderOf(address operator) external view returns (address);
    function commissionOf(address operator) external view returns (uint16);
    function possessionDigest(address operator, bytes calldata key) external view returns (bytes32);
    function count() external view returns (uint256);
    function operatorAt(uint256 index) external view returns (address);
}
