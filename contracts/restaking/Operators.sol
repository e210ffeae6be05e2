// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {CodeBlob} from "../libraries/CodeBlob.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {Tags} from "../libraries/Tags.sol";

/// @title Operators
/// @notice Holds: operator → BLS keys (the current one in contract code), sealing key, endpoint, responder, commission.
///
/// Typical flow: 1 `register` with a proof of possession; 2 `publishKey` writes the key into contract code, where shards read it; 3 a change of endpoint
/// or commission is announced, a responder changes at once; 4 `rotateKey`: the next rosters count the new key.
///
/// Invariants:
/// - I-N1  operatorOfKey(h), once set, never changes, and operatorOfKey(keyHashOf(o)) = o: a key belongs to one operator, for ever, also after
///         it was replaced;
/// - I-N2  every key that belongs to an operator passed a proof of possession that named it: it is in the subgroup and not the identity;
/// - I-N3  commissionOf(o) ≤ MAX_COMMISSION_BPS, and it never rises before stake could leave that was undelegated when it was announced;
/// - I-N4  keyAccountOf(o), once there, is never gone; the code of an account that it ever was never changes: rosters keep pointing at it;
/// - I-N5  endpointOf(o) changes only to what was announced a withdrawal delay or more before.
contract Operators is IOperators {
    using Math for uint256;

    struct Operator {
        address responder;
        uint16 commissionBps;
        uint16 nextCommissionBps;
        uint48 nextFromBlock;
        // account whose code holds the current key; zero before the first was published
        address keyAccount;
        // from this block on `nextEndpoint` is in force; 0: none was ever announced
        uint48 nextEndpointFromBlock;
        bytes32 sealingKey;
        string endpoint;
        string nextEndpoint;
    }

    /// EIP-2537: a G2 point is four field elements of 64 bytes.
    uint256 private constant KEY_BYTES = 256;
    /// Half of what an operator earns: an operator that takes more has no use for restakers.
    uint256 public constant MAX_COMMISSION_BPS = 5000;
    uint256 public constant MAX_ENDPOINT_BYTES = 256;

    IDirectory public immutable directory;

    mapping(address operator => Operator record) private _operators;
    mapping(bytes32 keyHash => address operator) private _operatorOfKey;

    constructor(IDirectory directory_) {
        directory = directory_;
    }

    function register(
        bytes calldata key,
        bytes calldata possession,
        bytes32 sealingKey,
        string calldata endpoint,
        uint16 commissionBps,
        address responder
    ) external {
        Operator storage record = _operators[msg.sender];
        if (record.responder != address(0)) revert AlreadyRegistered(msg.sender);
        _checkCommission(commissionBps);
        _checkEndpoint(endpoint);
        if (responder == address(0)) revert ZeroResponder();
        bytes32 keyHash = _claim(key, possession);

        record.responder = responder;
        record.commissionBps = commissionBps;
        record.nextCommissionBps = commissionBps;
        record.sealingKey = sealingKey;
        record.endpoint = endpoint;
        emit OperatorRegistered(msg.sender, keyHash, sealingKey, responder);
        emit EndpointChanged(msg.sender, endpoint, block.number);
        emit CommissionChanged(msg.sender, commissionBps, block.number);
    }

    function publishKey(bytes calldata key) external {
        bytes32 keyHash = keccak256(key);
        address operator = _operatorOfKey[keyHash];
        if (operator == address(0)) revert KeyUnknown(keyHash);
        Operator storage record = _operators[operator];
        if (record.keyAccount != address(0)) revert AlreadyPublished(operator);

        _publish(record, operator, key, keyHash);
    }

    function rotateKey(bytes calldata key, bytes calldata possession) external {
        Operator storage record = _registered(msg.sender);
        bytes32 keyHash = _claim(key, possession);

        _publish(record, msg.sender, key, keyHash);
        IShards(directory.module(ModuleNames.SHARDS)).members().noteChange(msg.sender);
    }

    function setEndpoint(string calldata endpoint) external {
        Operator storage record = _registered(msg.sender);
        _checkEndpoint(endpoint);
        // longer than any shard's epoch and window (ShardRules): what was begun under the old one is over by then
        uint256 fromBlock = block.number + _restaking().withdrawalDelay();

        // what has come into force stays so until the next does
        if (_isNextInForce(record)) record.endpoint = record.nextEndpoint;
        record.nextEndpoint = endpoint;
        record.nextEndpointFromBlock = uint48(fromBlock.min(type(uint48).max));
        emit EndpointChanged(msg.sender, endpoint, fromBlock);
    }

    function setResponder(address responder) external {
        Operator storage record = _registered(msg.sender);
        if (responder == address(0)) revert ZeroResponder();

        record.responder = responder;
        emit ResponderChanged(msg.sender, responder);
    }

    function setCommission(uint16 commissionBps) external {
        Operator storage record = _registered(msg.sender);
        _checkCommission(commissionBps);
        IRestaking restaking = _restaking();
        // a roster binds stake for longer than the delay: who can't leave doesn't pay more
        uint256 fromBlock = restaking.bindingShards().boundUntil(msg.sender, 0, block.number)
            .max(block.number + restaking.withdrawalDelay()).min(type(uint48).max);

        record.commissionBps = _commissionOf(record);
        record.nextCommissionBps = commissionBps;
        record.nextFromBlock = uint48(fromBlock);
        emit CommissionChanged(msg.sender, commissionBps, fromBlock);
    }

    function isRegistered(address operator) external view returns (bool) {
        return _operators[operator].responder != address(0);
    }

    function keyOf(address operator) external view returns (bytes memory) {
        return _keyOf(operator);
    }

    function keyHashOf(address operator) external view returns (bytes32) {
        return keccak256(_keyOf(operator));
    }

    function keyAccountOf(address operator) external view returns (address) {
        return _keyAccountOf(operator);
    }

    function operatorOfKey(bytes32 keyHash) external view returns (address) {
        return _operatorOfKey[keyHash];
    }

    function sealingKeyOf(address operator) external view returns (bytes32) {
        return _registered(operator).sealingKey;
    }

    function endpointOf(address operator) external view returns (string memory) {
        Operator storage record = _registered(operator);
        return _isNextInForce(record) ? record.nextEndpoint : record.endpoint;
    }

    function nextEndpointOf(address operator) external view returns (string memory endpoint, uint256 fromBlock) {
        Operator storage record = _registered(operator);
        if (block.number < record.nextEndpointFromBlock) return (record.nextEndpoint, record.nextEndpointFromBlock);
    }

    function responderOf(address operator) external view returns (address) {
        return _registered(operator).responder;
    }

    function commissionOf(address operator) external view returns (uint16) {
        return _commissionOf(_registered(operator));
    }

    function possessionDigest(address operator, bytes calldata key) external view returns (bytes32) {
        return _possessionDigest(operator, keccak256(key));
    }

    function _restaking() internal view returns (IRestaking) {
        return IRestaking(directory.module(ModuleNames.RESTAKING));
    }

    function _registered(address operator) internal view returns (Operator storage record) {
        record = _operators[operator];
        if (record.responder == address(0)) revert NotRegistered(operator);
    }

    function _keyAccountOf(address operator) internal view returns (address keyAccount) {
        keyAccount = _registered(operator).keyAccount;
        if (keyAccount == address(0)) revert KeyNotPublished(operator);
    }

    function _keyOf(address operator) internal view returns (bytes memory) {
        return CodeBlob.read(_keyAccountOf(operator), 0, KEY_BYTES);
    }

    /// Makes a key the caller's, once it is shown to be, and nobody's yet.
    function _claim(bytes calldata key, bytes calldata possession) internal returns (bytes32 keyHash) {
        if (key.length != KEY_BYTES) revert KeyLengthWrong(key.length, KEY_BYTES);
        keyHash = keccak256(key);
        address holder = _operatorOfKey[keyHash];
        if (holder != address(0)) revert KeyTaken(keyHash, holder);
        _checkPossession(key, keyHash, possession);

        _operatorOfKey[keyHash] = msg.sender;
    }

    function _publish(Operator storage record, address operator, bytes calldata key, bytes32 keyHash) internal {
        record.keyAccount = CodeBlob.write(key);
        emit KeyPublished(operator, keyHash, key);
    }

    function _isNextInForce(Operator storage record) internal view returns (bool) {
        uint256 fromBlock = record.nextEndpointFromBlock;
        return fromBlock != 0 && block.number >= fromBlock;
    }

    function _commissionOf(Operator storage record) internal view returns (uint16) {
        return block.number < record.nextFromBlock ? record.commissionBps : record.nextCommissionBps;
    }

    function _checkCommission(uint256 commissionBps) internal pure {
        if (commissionBps > MAX_COMMISSION_BPS) revert CommissionTooHigh(commissionBps, MAX_COMMISSION_BPS);
    }

    function _checkEndpoint(string calldata endpoint) internal pure {
        uint256 length = bytes(endpoint).length;
        if (length > MAX_ENDPOINT_BYTES) revert EndpointTooLong(length, MAX_ENDPOINT_BYTES);
    }

    function _checkPossession(bytes calldata key, bytes32 keyHash, bytes calldata possession) internal view {
        ICertificateVerifier verifier = ICertificateVerifier(directory.module(ModuleNames.CERTIFICATE_VERIFIER));
        if (!verifier.verifyPossession(_possessionDigest(msg.sender, keyHash), key, possession)) {
            revert PossessionInvalid(msg.sender);
        }
    }

    function _possessionDigest(address operator, bytes32 keyHash) internal view returns (bytes32) {
        return keccak256(abi.encode(Tags.POSSESSION, block.chainid, address(this), operator, keyHash));
    }
}
