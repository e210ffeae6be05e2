// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Caller} from "./Caller.sol";

/// @title SignerWallet
/// @notice A contract account (ERC-1271) that does what it is told, and whose signatures are its signer's.
contract SignerWallet is Caller, IERC1271 {
    address private immutable SIGNER;

    constructor(address signer) {
        SIGNER = signer;
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (address recovered,,) = ECDSA.tryRecover(digest, signature);
        return recovered == SIGNER ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
