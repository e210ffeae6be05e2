// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who operates: BLS keys with proof of possession, endpoints, commission
/// @notice Registration is permissionless and costs nothing but gas; what counts is bond and stake (Restaking) and a place in a shard (Shards).
/// The possession digest is keccak256(abi.encode(Tags.POSSESSION, chainid, this contract, operator, keccak256(key))), signed under the POP tag.
interface IOperators {
    event OperatorRegistered(address indexed operator, bytes32 indexed keyHash, bytes32 sealingKey, address responder);
    /// @notice The key lies in contract code, and is the operator's current one: its first, or one that replaces it.
    event KeyPublished(address indexed operator, bytes32 indexed keyHash, bytes key);
    /// @notice Of an announcement: `fromBlock` is when the endpoint comes into force.
    event EndpointChanged(address indexed operator, string endpoint, uint256 fromBlock);
    event ResponderChanged(address indexed operator, address responder);
    event CommissionChanged(address indexed operator, uint16 commissionBps, uint256 fromBlock);

    error AlreadyRegistered(address operator);
    error NotRegistered(address operator);
    error KeyUnknown(bytes32 keyHash);
    error KeyNotPublished(address operator);
    error AlreadyPublished(address operator);
    error KeyTaken(bytes32 keyHash, address operator);
    error KeyLengthWrong(uint256 length, uint256 expected);
    error PossessionInvalid(address operator);
    error CommissionTooHigh(uint256 commissionBps, uint256 limit);
    error EndpointTooLong(uint256 length, uint256 limit);
    error ZeroResponder();

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
    /// @notice Writes an operator's first key into contract code, where shards read it. Anyone who has the key.
    /// It is no part of `register`: it costs a third of that again, and only an operator that joins a shard needs it.
    function publishKey(bytes calldata key) external;
    /// @notice Replaces the caller's key. Rosters taken from now on count the new one; those that there are keep the old one, with which their
    /// objects' certificates have to be signed. No key comes back: not the old one, nor another's.
    function rotateKey(bytes calldata key, bytes calldata possession) external;
    /// @notice Announces where the node will be, in force after Restaking's withdrawal delay; another announcement before that replaces this one and
    /// starts anew. A node that has moved is found at once all the same: who looks for it asks at the announced endpoint first, then at the one in force.
    function setEndpoint(string calldata endpoint) external;
    /// @notice Acts at once: a stolen hot key is replaced.
    function setResponder(address responder) external;
    /// @notice Takes effect after Restaking's withdrawal delay, so that restakers can leave before it does.
    function setCommission(uint16 commissionBps) external;

    function isRegistered(address operator) external view returns (bool);
    /// @notice The current key. This and the next two: reverts as long as none was published.
    function keyOf(address operator) external view returns (bytes memory);
    function keyHashOf(address operator) external view returns (bytes32);
    /// @notice Account whose code holds the current key, after a STOP. Once there is one, there always will be, and its code stays: who keeps it,
    /// keeps the key. So `Members.join` calls it, and later calls can't fail.
    function keyAccountOf(address operator) external view returns (address);
    /// @notice Whose key it is or was: the zero address for nobody's.
    function operatorOfKey(bytes32 keyHash) external view returns (address);
    function sealingKeyOf(address operator) external view returns (bytes32);
    /// @notice The endpoint in force.
    function endpointOf(address operator) external view returns (string memory);
    /// @notice The endpoint that is announced and not in force yet; (empty, 0) if there is none.
    function nextEndpointOf(address operator) external view returns (string memory endpoint, uint256 fromBlock);
    function responderOf(address operator) external view returns (address);
    function commissionOf(address operator) external view returns (uint16);
    function possessionDigest(address operator, bytes calldata key) external view returns (bytes32);
}
