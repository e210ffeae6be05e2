// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {CodeBlob} from "../libraries/CodeBlob.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {Tags} from "../libraries/Tags.sol";

/// @title Operators
/// @notice Holds: operator → BLS key (in contract code), sealing key, endpoint, responder, commission.
///
/// Typical flow: 1 `register` with a proof of possession; 2 endpoint and responder may change at once; 3 a commission changes after
/// Restaking's withdrawal delay.
///
/// Invariants:
/// - I-N1  operatorOfKey(keyHashOf(o)) = o for every registered operator: a key belongs to one operator, for ever;
/// - I-N2  every key stored passed a proof of possession that named its operator: it is in the subgroup and not the identity;
/// - I-N3  commissionOf(o) ≤ MAX_COMMISSION_BPS, and it never rises sooner than one withdrawal delay after it was announced.
contract Operators is IOperators {
    struct Operator {
        // account whose code holds the key
        address key;
        uint16 commissionBps;
        uint16 nextCommissionBps;
        uint48 nextFromBlock;
        address responder;
        bytes32 keyHash;
        bytes32 sealingKey;
        string endpoint;
    }

    /// EIP-2537: a G2 point is four field elements of 64 bytes.
    uint256 private constant KEY_BYTES = 256;
    /// Half of what an operator earns: an operator that takes more has no use for restakers.
    uint256 public constant MAX_COMMISSION_BPS = 5000;
    uint256 public constant MAX_ENDPOINT_BYTES = 256;

    IDirectory public immutable directory;

    mapping(address operator => Operator record) private _operators;
    mapping(bytes32 keyHash => address operator) private _operatorOfKey;
    address[] private _all;

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
        if (record.key != address(0)) revert AlreadyRegistered(msg.sender);
        if (key.length != KEY_BYTES) revert KeyLengthWrong(key.length, KEY_BYTES);
        _checkCommission(commissionBps);
        _checkEndpoint(endpoint);
        if (responder == address(0)) revert ZeroResponder();
        bytes32 keyHash = keccak256(key);
        if (_operatorOfKey[keyHash] != address(0)) revert KeyTaken(keyHash, _operatorOfKey[keyHash]);
        _checkPossession(key, possession);

        record.key = CodeBlob.write(key);
        record.commissionBps = commissionBps;
        record.nextCommissionBps = commissionBps;
        record.responder = responder;
        record.keyHash = keyHash;
        record.sealingKey = sealingKey;
        record.endpoint = endpoint;
        _operatorOfKey[keyHash] = msg.sender;
        _all.push(msg.sender);

        emit OperatorRegistered(msg.sender, keyHash, key, sealingKey, responder);
        emit EndpointChanged(msg.sender, endpoint);
        emit CommissionChanged(msg.sender, commissionBps, block.number);
    }

    function setEndpoint(string calldata endpoint) external {
        Operator storage record = _registered(msg.sender);
        _checkEndpoint(endpoint);

        record.endpoint = endpoint;
        emit EndpointChanged(msg.sender, endpoint);
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
        uint256 fromBlock = block.number + IRestaking(directory.module(ModuleNames.RESTAKING)).withdrawalDelay();

        record.commissionBps = _commissionOf(record);
        record.nextCommissionBps = commissionBps;
        record.nextFromBlock = uint48(fromBlock);
        emit CommissionChanged(msg.sender, commissionBps, fromBlock);
    }

    function isRegistered(address operator) external view returns (bool) {
        return _operators[operator].key != address(0);
    }

    function keyOf(address operator) external view returns (bytes memory) {
        return CodeBlob.read(_registered(operator).key, 0, KEY_BYTES);
    }

    function keyAccountOf(address operator) external view returns (address) {
        return _registered(operator).key;
    }

    function keyHashOf(address operator) external view returns (bytes32) {
        return _registered(operator).keyHash;
    }

    function operatorOfKey(bytes32 keyHash) external view returns (address) {
        return _operatorOfKey[keyHash];
    }

    function sealingKeyOf(address operator) external view returns (bytes32) {
        return _registered(operator).sealingKey;
    }

    function endpointOf(address operator) external view returns (string memory) {
        return _registered(operator).endpoint;
    }

    function responderOf(address operator) external view returns (address) {
        return _registered(operator).responder;
    }

    function commissionOf(address operator) external view returns (uint16) {
        return _commissionOf(_registered(operator));
    }

    function possessionDigest(address operator, bytes calldata key) external view returns (bytes32) {
        return _possessionDigest(operator, key);
    }

    function count() external view returns (uint256) {
        return _all.length;
    }

    function operatorAt(uint256 index) external view returns (address) {
        if (index >= _all.length) revert IndexOutOfRange(index, _all.length);
        return _all[index];
    }

    function _registered(address operator) internal view returns (Operator storage record) {
        record = _operators[operator];
        if (record.key == address(0)) revert NotRegistered(operator);
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

    function _checkPossession(bytes calldata key, bytes calldata possession) internal view {
        ICertificateVerifier verifier = ICertificateVerifier(directory.module(ModuleNames.CERTIFICATE_VERIFIER));
        if (!verifier.verifyPossession(_possessionDigest(msg.sender, key), key, possession)) {
            revert PossessionInvalid(msg.sender);
        }
    }

    function _possessionDigest(address operator, bytes calldata key) internal view returns (bytes32) {
        return keccak256(abi.encode(Tags.POSSESSION, block.chainid, address(this), operator, keccak256(key)));
    }
}
