// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Names under which the Directory keeps the modules in force
library ModuleNames {
    bytes32 internal constant RESTAKING = "restaking";
    bytes32 internal constant STAKE_SOURCE = "stakeSource";
    bytes32 internal constant OPERATORS = "operators";
    bytes32 internal constant SHARDS = "shards";
    bytes32 internal constant OBJECTS = "objects";
    bytes32 internal constant AUDITS = "audits";
    bytes32 internal constant RANDOMNESS = "randomness";
    bytes32 internal constant CERTIFICATE_VERIFIER = "certificateVerifier";
    bytes32 internal constant OPENING_VERIFIER = "openingVerifier";
    bytes32 internal constant PRICING = "pricing";
    bytes32 internal constant ASSETS = "assets";
    bytes32 internal constant LICENSES = "licenses";
    bytes32 internal constant REWARDS = "rewards";
    bytes32 internal constant PAYMENTS = "payments";
    bytes32 internal constant RESTAKER_REWARDS = "restakerRewards";
    bytes32 internal constant KEYS = "keys";

    /// @notice Number of names; `at(i)` lists them (the Directory's seal checks that each is set).
    uint256 internal constant COUNT = 16;

    function at(uint256 index) internal pure returns (bytes32) {
        bytes32[COUNT] memory names = [
            RESTAKING,
            STAKE_SOURCE,
            OPERATORS,
            SHARDS,
            OBJECTS,
            AUDITS,
            RANDOMNESS,
            CERTIFICATE_VERIFIER,
            OPENING_VERIFIER,
            PRICING,
            ASSETS,
            LICENSES,
            REWARDS,
            PAYMENTS,
            RESTAKER_REWARDS,
            KEYS
        ];
        return names[index];
    }
}
