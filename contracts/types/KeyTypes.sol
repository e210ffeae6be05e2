// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What the chain knows of a key.
struct KeyRecord {
    uint32 shard;
    uint32 roster;
    // m, and t of them release it; 0: not dealt yet
    uint8 places;
    uint8 threshold;
    uint8 redraws;
    // positions of the draw's stream used
    uint16 steps;
    uint48 seedBlock;
    // of the last draw; 0: not drawn yet
    uint48 drawnBlock;
    uint48 dealtBlock;
    // first epoch of the shard in which nobody has a duty for it any more
    uint32 endEpoch;
    // the asset's handovers when it was dealt
    uint64 handovers;
    // over Y_1 … Y_m
    bytes32 root;
}

/// A forced release.
struct ForcedRelease {
    address licensee;
    // for each answer, units of the payment token of the key's shard
    uint96 fee;
    // last block in which an answer counts, and in which a silent holder can be reported
    uint48 deadline;
    uint48 reportLimit;
    // bits by place
    uint64 answered;
    uint64 reported;
    bool settled;
    // keccak of R + P, raw
    bytes32 blindedHash;
}

/// What a holder signs when it releases off chain.
struct KeyReceipt {
    uint256 assetId;
    uint32 epoch;
    // of the holder among the key's
    uint8 place;
    uint256 licenseId;
    address licensee;
    // the newest block in which the holder saw the license in force
    uint48 blockNumber;
    // P and E, raw
    bytes point;
    bytes answer;
}

/// Why a holder was reported.
enum KeyFault {
    Silent,
    Wrong,
    Unlicensed
}
