// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDrandBeacon} from "../interfaces/IDrandBeacon.sol";
import {IRandomness} from "../interfaces/IRandomness.sol";
import {BlockHashes} from "../libraries/BlockHashes.sol";
import {BlockValue} from "../libraries/BlockValue.sol";
import {Bls12381} from "../libraries/Bls12381.sol";
import {RlpHeader} from "../libraries/RlpHeader.sol";
import {Tags} from "../libraries/Tags.sol";

/// @title DrandBeacon
/// @notice The value of a block is a drand round's that was not yet signed when the block was made, for chains whose own mix is constant or set
/// by a sequencer. The block's time is proven by its header against its hash, the round by its signature; stored once, by anyone.
///
/// A block's value is keccak256(tag, chain id, this contract, block number, SHA-256 of the round's compressed signature), its lowest 40 bits replaced by
/// the block's time: blocks that share a round have different values.
contract DrandBeacon is IRandomness, IDrandBeacon {
    using Bls12381 for Bls12381.G1;
    using Bls12381 for Bls12381.G2;

    /// What rounds are signed under: the IETF draft's basic scheme, signatures in G1.
    bytes private constant SIGNATURE_TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

    /// @inheritdoc IRandomness
    bytes32 public constant scheme = "drand";

    uint256 public immutable genesis;
    uint256 public immutable period;
    uint256 public immutable lead;

    // The key's eight words, in code: from storage they would cost 16,800 gas each time.
    uint256 private immutable KEY_X0_HIGH;
    uint256 private immutable KEY_X0_LOW;
    uint256 private immutable KEY_X1_HIGH;
    uint256 private immutable KEY_X1_LOW;
    uint256 private immutable KEY_Y0_HIGH;
    uint256 private immutable KEY_Y0_LOW;
    uint256 private immutable KEY_Y1_HIGH;
    uint256 private immutable KEY_Y1_LOW;

    mapping(uint256 blockNumber => bytes32 value) private _values;

    /// @param key eight words of EIP-2537. Each pairing checks that it is a point of the subgroup: with another one nothing is ever revealed.
    constructor(uint256[8] memory key, uint256 genesis_, uint256 period_, uint256 lead_) {
        uint256 any;
        for (uint256 i; i < key.length; ++i) {
            any |= key[i];
        }
        if (period_ == 0 || any == 0) revert DrandParametersInvalid(period_);
        (KEY_X0_HIGH, KEY_X0_LOW, KEY_X1_HIGH, KEY_X1_LOW) = (key[0], key[1], key[2], key[3]);
        (KEY_Y0_HIGH, KEY_Y0_LOW, KEY_Y1_HIGH, KEY_Y1_LOW) = (key[4], key[5], key[6], key[7]);
        (genesis, period, lead) = (genesis_, period_, lead_);
    }

    /// @inheritdoc IRandomness
    /// @param proof header ‖ signature: the block's header in RLP, then the round's signature, 128 bytes (EIP-2537)
    function reveal(uint256 blockNumber, bytes calldata proof) external returns (bytes32 value) {
        value = _values[blockNumber];
        if (value != 0) return value;

        uint256 length = Bls12381.PADDED_G1_BYTES;
        if (proof.length < length) revert Bls12381.PointLengthInvalid(proof.length, length);
        bytes calldata signature = proof[proof.length - length:];
        uint256 timestamp = _headerTime(blockNumber, proof[:proof.length - length]);
        uint64 round = roundOf(timestamp);
        Bls12381.G1 memory point = Bls12381.g1FromPadded(signature);
        if (!_isSigned(round, point)) revert RoundSignatureInvalid(blockNumber, round);

        value = BlockValue.from(_drawnFrom(blockNumber, point), timestamp);
        _values[blockNumber] = value;
        emit RoundVerified(blockNumber, round, signature);
        emit RandomnessRevealed(blockNumber, value);
    }

    /// @inheritdoc IRandomness
    function timeOf(uint256 blockNumber) external view returns (uint256) {
        return BlockValue.timeOf(valueOf(blockNumber));
    }

    /// @inheritdoc IRandomness
    function valueOf(uint256 blockNumber) public view returns (bytes32 value) {
        value = _values[blockNumber];
        if (value == 0) revert RandomnessUnknown(blockNumber);
    }

    /// @inheritdoc IRandomness
    function isRevealed(uint256 blockNumber) external view returns (bool) {
        return _values[blockNumber] != 0;
    }

    /// @inheritdoc IDrandBeacon
    function roundOf(uint256 timestamp) public view returns (uint64 round) {
        uint256 target = timestamp + lead;
        if (target < genesis) revert BlockBeforeGenesis(timestamp, genesis);
        // Round 1 at genesis itself: the first round after `target`. A header's time has at most 64 bits.
        return uint64((target - genesis) / period + 2);
    }

    /// @inheritdoc IDrandBeacon
    function publicKey() external view returns (bytes memory) {
        return _key().toPadded();
    }

    /// e(H(SHA-256(round)), key) = e(signature, G). The pairing checks that the points are in their subgroups; the identity signs nothing.
    function _isSigned(uint64 round, Bls12381.G1 memory signature) private view returns (bool) {
        if (signature.isIdentity()) return false;
        Bls12381.G1 memory message = Bls12381.hashToG1(abi.encodePacked(sha256(abi.encodePacked(round))), SIGNATURE_TAG);
        return message.pairingHolds(_key(), signature, Bls12381.negativeGenerator());
    }

    function _key() private view returns (Bls12381.G2 memory) {
        return
            Bls12381.G2(
                KEY_X0_HIGH, KEY_X0_LOW, KEY_X1_HIGH, KEY_X1_LOW, KEY_Y0_HIGH, KEY_Y0_LOW, KEY_Y1_HIGH, KEY_Y1_LOW
            );
    }

    /// The time of a block whose header this is.
    function _headerTime(uint256 blockNumber, bytes calldata header) private view returns (uint256 timestamp) {
        bytes32 expected = BlockHashes.hashOf(blockNumber);
        if (expected == 0) revert BlockUnreachable(blockNumber, block.number);
        bytes32 got = keccak256(header);
        if (got != expected) revert HeaderMismatch(got, expected);

        uint256 number;
        (number, timestamp,) = RlpHeader.parse(header);
        if (number != blockNumber) revert HeaderNumberMismatch(number, blockNumber);
    }

    function _drawnFrom(uint256 blockNumber, Bls12381.G1 memory signature) private view returns (bytes32) {
        bytes32 drawn = sha256(signature.compress());
        return keccak256(abi.encode(Tags.DRAND, block.chainid, address(this), blockNumber, drawn));
    }
}
