// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ICertificateVerifier
/// @notice Judges what operators sign: aggregate signatures under certificates, and proofs of possession of their keys.
///
/// Forms: keys are points of G2 in the 256-byte form of EIP-2537, signatures are points of G1 in its 128-byte form.
/// Messages are 32-byte digests, mapped to G1 as RFC 9380 says; certificates and possessions have different domain tags,
/// so neither can be replayed as the other.
///
/// Answers: input of the wrong length reverts; anything else that is not a valid signature (points off the curve or
/// outside the subgroup, coordinates that are no field elements, a wrong signature) is answered with false.
/// **The identity is refused as a signature, as a key, and as what remains of a roster's key.**
///
/// Safety assumptions, which the caller must provide:
/// - every key that entered `aggregateKey` passed `verifyPossession` (else a rogue key cancels the others'), and
/// - every excluded key is one of the roster's, named once: nothing here knows a roster.
interface ICertificateVerifier {
    /// @notice A single key has the wrong number of bytes.
    error KeyLengthInvalid(uint256 got, uint256 expected);

    /// @notice A list of keys is not a whole number of keys.
    error KeysLengthInvalid(uint256 got, uint256 unit);

    /// @notice A sum over no key at all was asked for: it would be the identity.
    error KeysEmpty();

    /// @notice A signature has the wrong number of bytes.
    error SignatureLengthInvalid(uint256 got, uint256 expected);

    /// @notice A key that was to be added is not a point of the curve; `index` counts from 0 in the order given.
    error KeyRejected(uint256 index);

    /// @notice Tells whether all of a roster but the excluded ones signed `digest`.
    /// @param digest The message.
    /// @param aggregateKey The sum of all keys of the roster, 256 bytes.
    /// @param excludedKeys The keys of those who did not sign, concatenated, 256 bytes each; empty if all signed.
    /// @param signature The aggregate signature, 128 bytes.
    function verifyCertificate(
        bytes32 digest,
        bytes calldata aggregateKey,
        bytes calldata excludedKeys,
        bytes calldata signature
    ) external view returns (bool);

    /// @notice Tells whether `signature` proves possession of `key`. A true answer says also that the key is in the
    /// r-order subgroup and is not the identity.
    /// @param digest What binds the proof to its use: the key's hash, chain, contract and operator.
    function verifyPossession(bytes32 digest, bytes calldata key, bytes calldata signature) external view returns (bool);

    /// @notice The sum of two keys. Checks that both lie on the curve, not that they are in the subgroup: only keys that
    /// passed `verifyPossession` should be added.
    function addKeys(bytes calldata a, bytes calldata b) external view returns (bytes memory);

    /// @notice A sum of keys after some came and some went.
    /// @param sum The sum before, 256 bytes, or none for an empty one. @param added, removed Concatenated keys, 256 bytes each; as `addKeys`.
    function changeSum(bytes calldata sum, bytes calldata added, bytes calldata removed)
        external
        view
        returns (bytes memory);

    /// @notice The sum of one or more concatenated keys; as `addKeys`.
    function aggregateKeys(bytes calldata concatenatedKeys) external view returns (bytes memory);
}
