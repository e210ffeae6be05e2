// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Domain tags: the first word of everything that is hashed to be signed or drawn from
library Tags {
    bytes32 internal constant CERTIFICATE = keccak256("qanat/v1/certificate");
    bytes32 internal constant CERTIFICATE_LIST = keccak256("qanat/v1/certificate-list");
    bytes32 internal constant POSSESSION = keccak256("qanat/v1/possession");
    bytes32 internal constant OBJECT_ID = keccak256("qanat/v1/object");
    bytes32 internal constant CHALLENGE = keccak256("qanat/v1/challenge");
    bytes32 internal constant DRAND = keccak256("qanat/v1/drand");
    bytes32 internal constant SLASH_ID = keccak256("qanat/v1/slash");
    bytes32 internal constant KEY_BASE = keccak256("qanat/v1/key-base");
    bytes32 internal constant KEY_DEALING = keccak256("qanat/v1/key-dealing");
    bytes32 internal constant KEY_DRAW = keccak256("qanat/v1/key-draw");
    bytes32 internal constant KEY_HOLDERS = keccak256("qanat/v1/key-holders");
    bytes32 internal constant KEY_RECEIPT = keccak256("qanat/v1/key-receipt");
    bytes32 internal constant KEY_REQUEST = keccak256("qanat/v1/key-request");
}
