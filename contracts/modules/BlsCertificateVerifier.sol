// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {Bls12381} from "../libraries/Bls12381.sol";

/// @title BlsCertificateVerifier
/// @notice BLS signatures on BLS12-381 with keys in G2 and signatures in G1: the IETF draft's proof-of-possession suite.
contract BlsCertificateVerifier is ICertificateVerifier {
    using Bls12381 for Bls12381.G1;
    using Bls12381 for Bls12381.G2;

    /// What certificates are signed under.
    bytes private constant SIGNATURE_TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

    /// What proofs of possession are signed under.
    bytes private constant POSSESSION_TAG = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

    uint256 private constant KEY_BYTES = Bls12381.PADDED_G2_BYTES;
    uint256 private constant SIGNATURE_BYTES = Bls12381.PADDED_G1_BYTES;

    /// @inheritdoc ICertificateVerifier
    function verifyCertificate(
        bytes32 digest,
        bytes calldata aggregateKey,
        bytes calldata excludedKeys,
        bytes calldata signature
    ) external view returns (bool) {
        if (excludedKeys.length % KEY_BYTES != 0) {
            revert KeysLengthInvalid(excludedKeys.length, KEY_BYTES);
        }

        Bls12381.G2 memory key = _keyFrom(aggregateKey);
        if (excludedKeys.length != 0) {
            (uint256 added, Bls12381.G2 memory excluded) = Bls12381.sumPadded(excludedKeys);
            if (added * KEY_BYTES != excludedKeys.length) return false;

            bool valid;
            (valid, key) = key.add(excluded.negate());
            if (!valid) return false;
        }
        return _verify(digest, SIGNATURE_TAG, key, signature);
    }

    /// @inheritdoc ICertificateVerifier
    function verifyPossession(bytes32 digest, bytes calldata key, bytes calldata signature)
        external
        view
        returns (bool)
    {
        return _verify(digest, POSSESSION_TAG, _keyFrom(key), signature);
    }

    /// @inheritdoc ICertificateVerifier
    function addKeys(bytes calldata a, bytes calldata b) external view returns (bytes memory) {
        Bls12381.G2 memory identity;
        return _plus(_plus(identity, _keyFrom(a), 0), _keyFrom(b), 1).toPadded();
    }

    /// @inheritdoc ICertificateVerifier
    function changeSum(bytes calldata sum, bytes calldata added, bytes calldata removed)
        external
        view
        returns (bytes memory)
    {
        Bls12381.G2 memory key;
        if (sum.length != 0) key = _keyFrom(sum);
        key = _plus(key, _sum(added), 0);
        return _plus(key, _sum(removed).negate(), 1).toPadded();
    }

    /// @inheritdoc ICertificateVerifier
    function aggregateKeys(bytes calldata concatenatedKeys) external view returns (bytes memory) {
        if (concatenatedKeys.length == 0) revert KeysEmpty();
        return _sum(concatenatedKeys).toPadded();
    }

    /// The identity for no keys.
    function _sum(bytes calldata keys) private view returns (Bls12381.G2 memory) {
        if (keys.length % KEY_BYTES != 0) revert KeysLengthInvalid(keys.length, KEY_BYTES);

        (uint256 added, Bls12381.G2 memory sum) = Bls12381.sumPadded(keys);
        if (added * KEY_BYTES != keys.length) revert KeyRejected(added);
        return sum;
    }

    function _plus(Bls12381.G2 memory a, Bls12381.G2 memory b, uint256 index)
        private
        view
        returns (Bls12381.G2 memory)
    {
        (bool valid, Bls12381.G2 memory sum) = a.add(b);
        if (!valid) revert KeyRejected(index);
        return sum;
    }

    /// e(H(digest), key) = e(signature, G), as e(H(digest), key)·e(signature, −G) = 1. The pairing checks that both
    /// points are in their subgroups.
    function _verify(bytes32 digest, bytes memory tag, Bls12381.G2 memory key, bytes calldata signature)
        private
        view
        returns (bool)
    {
        if (signature.length != SIGNATURE_BYTES) revert SignatureLengthInvalid(signature.length, SIGNATURE_BYTES);

        Bls12381.G1 memory point = Bls12381.g1FromPadded(signature);
        if (point.isIdentity() || key.isIdentity()) return false;

        Bls12381.G1 memory message = Bls12381.hashToG1(abi.encodePacked(digest), tag);
        return message.pairingHolds(key, point, Bls12381.negativeGenerator());
    }

    function _keyFrom(bytes calldata key) private pure returns (Bls12381.G2 memory) {
        if (key.length != KEY_BYTES) revert KeyLengthInvalid(key.length, KEY_BYTES);
        return Bls12381.g2FromPadded(key);
    }
}
