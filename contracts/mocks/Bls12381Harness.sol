// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bls12381} from "../libraries/Bls12381.sol";

/// @title Bls12381Harness
/// @notice Calls each function of the library from outside, for tests.
contract Bls12381Harness {
    using Bls12381 for Bls12381.G1;
    using Bls12381 for Bls12381.G2;

    function expandMessage(bytes calldata message, bytes calldata tag, uint256 length)
        external
        view
        returns (bytes memory)
    {
        return Bls12381.expandMessage(message, tag, length);
    }

    function hashToG1(bytes calldata message, bytes calldata tag) external view returns (Bls12381.G1 memory) {
        return Bls12381.hashToG1(message, tag);
    }

    function fromRaw(bytes calldata raw) external pure returns (Bls12381.G1 memory) {
        return Bls12381.fromRaw(raw);
    }

    function compressRaw(bytes calldata raw) external pure returns (bytes memory) {
        return Bls12381.fromRaw(raw).compress();
    }

    function addG1(bytes calldata a, bytes calldata b) external view returns (bool, Bls12381.G1 memory) {
        return Bls12381.g1FromPadded(a).add(Bls12381.g1FromPadded(b));
    }

    function addG2(bytes calldata a, bytes calldata b) external view returns (bool valid, bytes memory sum) {
        Bls12381.G2 memory point;
        (valid, point) = Bls12381.g2FromPadded(a).add(Bls12381.g2FromPadded(b));
        return (valid, point.toPadded());
    }

    function negateG2(bytes calldata a) external pure returns (bytes memory) {
        return Bls12381.g2FromPadded(a).negate().toPadded();
    }

    function negativeGenerator() external pure returns (bytes memory) {
        return Bls12381.negativeGenerator().toPadded();
    }

    function isIdentityG1(bytes calldata a) external pure returns (bool) {
        return Bls12381.g1FromPadded(a).isIdentity();
    }

    function isIdentityG2(bytes calldata a) external pure returns (bool) {
        return Bls12381.g2FromPadded(a).isIdentity();
    }

    function multiplyRaw(bytes calldata points, uint256[] calldata weights)
        external
        view
        returns (bool, Bls12381.G1 memory)
    {
        return Bls12381.multiplyRaw(points, weights);
    }

    function pairingHolds(bytes calldata a, bytes calldata b, bytes calldata c, bytes calldata d)
        external
        view
        returns (bool)
    {
        return Bls12381.g1FromPadded(a)
            .pairingHolds(Bls12381.g2FromPadded(b), Bls12381.g1FromPadded(c), Bls12381.g2FromPadded(d));
    }

    function verifyOpening(bytes calldata commitment, uint256 z, uint256 y, bytes calldata proof)
        external
        view
        returns (bool)
    {
        return Bls12381.verifyOpening(commitment, z, y, proof);
    }

    /// @notice `verifyOpening` with `gasForCheck` gas, and what is left of it afterwards.
    function verifyOpeningWithGas(
        bytes calldata commitment,
        uint256 z,
        uint256 y,
        bytes calldata proof,
        uint256 gasForCheck
    ) external view returns (bool answer, uint256 used) {
        used = gasleft();
        answer = this.verifyOpening{gas: gasForCheck}(commitment, z, y, proof);
        used -= gasleft();
    }

    /// @notice Calls any address as if it were a precompile that may refuse and answers with 32 bytes.
    function attempt(uint256 precompile, uint256 price, bytes memory input) external view returns (bool) {
        bytes memory output = new bytes(32);
        return Bls12381._attempt(
            precompile, price, Bls12381._pointer(input), input.length, Bls12381._pointer(output), output.length
        );
    }

    /// @notice Calls any address as if it were a precompile that cannot refuse and answers with 32 bytes.
    function compute(uint256 precompile, bytes memory input) external view returns (bytes memory output) {
        output = new bytes(32);
        Bls12381._compute(precompile, Bls12381._pointer(input), input.length, Bls12381._pointer(output), output.length);
    }
}
