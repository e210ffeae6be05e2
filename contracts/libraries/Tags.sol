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
}
