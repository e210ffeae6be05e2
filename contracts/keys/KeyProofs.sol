// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IKeyProofs} from "../interfaces/IKeyProofs.sol";
import {BlockHashes} from "../libraries/BlockHashes.sol";
import {Bls12381} from "../libraries/Bls12381.sol";
import {RlpHeader} from "../libraries/RlpHeader.sol";

/// @title KeyProofs
/// @notice The part of Keys that computes. A contract of its own since Keys has no room for it.
contract KeyProofs is IKeyProofs {
    using Bls12381 for Bls12381.G1;

    bytes private constant BASE_TAG = "QANAT_KEY_BASE_BLS12381G1_XMD:SHA-256_SSWU_RO_";

    /// @inheritdoc IKeyProofs
    function blind(bytes32 bound, bytes calldata point) external view returns (bytes memory) {
        Bls12381.G1 memory base = Bls12381.hashToG1(abi.encodePacked(bound), BASE_TAG);
        (bool valid, Bls12381.G1 memory sum) = base.add(Bls12381.fromRaw(point));
        if (!valid || sum.isIdentity()) revert PointRejected(point);
        return sum.toRaw();
    }

    /// @inheritdoc IKeyProofs
    function provesPossession(bytes32 bound, bytes calldata point, uint256 challenge, uint256 response)
        external
        view
        returns (bool)
    {
        Bls12381.G1 memory p = Bls12381.fromRaw(point);
        if (p.isIdentity()) revert PointRejected(point);
        uint256 negative = Bls12381.SCALAR_MODULUS - challenge % Bls12381.SCALAR_MODULUS;
        // refuses what is not in the subgroup, too
        (bool valid, Bls12381.G1 memory nonce) = Bls12381.combine(Bls12381.generator(), response, p, negative);
        if (!valid) revert PointRejected(point);
        return uint256(keccak256(abi.encode(bound, p, nonce))) == challenge;
    }

    /// @inheritdoc IKeyProofs
    function isRight(bytes calldata blinded, bytes calldata answer, bytes calldata commitment)
        external
        view
        returns (bool)
    {
        if (answer.length != Bls12381.RAW_G1_BYTES) return false;
        Bls12381.G1 memory point = Bls12381.fromRaw(answer);
        if (point.isIdentity()) return false;
        // The pairing checks all subgroups.
        return
            Bls12381.fromRaw(blinded).pairingHolds(Bls12381.g2FromRaw(commitment), point, Bls12381.negativeGenerator());
    }

    /// @inheritdoc IKeyProofs
    function timeOf(bytes calldata header, uint256 blockNumber) external view returns (uint256 timestamp) {
        bytes32 expected = BlockHashes.hashOf(blockNumber);
        if (expected == 0 || keccak256(header) != expected) revert HeaderWrong(blockNumber);
        uint256 number;
        (number, timestamp,) = RlpHeader.parse(header);
        if (number != blockNumber) revert HeaderWrong(blockNumber);
    }
}
