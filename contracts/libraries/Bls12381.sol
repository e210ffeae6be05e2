// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bls12381
/// @notice Arithmetic on the curve BLS12-381 through the chain's precompiles. Their addresses, prices and byte layouts live
/// in this file and nowhere else.
///
/// Forms of a point of G1, whose coordinates x and y are elements of Fp, integers of 381 bits:
/// - raw: x ‖ y, 48 bytes each, big-endian; the identity is 96 zero bytes. Calldata and Merkle leaves use it.
/// - padded (EIP-2537): each coordinate in 64 bytes, the first 16 zero. Precompiles 0x0b…0x11 use it.
/// - compressed (EIP-4844): x with three flags in its top bits; the identity is 0xc0 and zeros. Precompile 0x0a uses it.
/// A point of G2 has coordinates in Fp2, c0 + c1·u, padded as c0 ‖ c1: 256 bytes; the identity is 256 zero bytes.
///
/// What is checked where (EIP-2537): every precompile refuses coordinates that are no field elements and points off the
/// curve; multiplication and pairing refuse points outside the r-order subgroup too, **addition does not**.
///
/// A precompile that refuses its input burns all the gas that was forwarded to it, so calls on foreign input forward a
/// bounded amount: twice the price at Prague, so that a repricing up to the double breaks nothing. A call that is given
/// less gas than that bound reverts instead of answering "invalid": nobody can make a valid proof look false by sending
/// too little gas with it.
library Bls12381 {
    // ─── Types ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// A point of G1 in padded form: 128 bytes of memory, as the precompiles read and write them.
    struct G1 {
        uint256 xHigh;
        uint256 xLow;
        uint256 yHigh;
        uint256 yLow;
    }

    /// A point of G2 in padded form: 256 bytes of memory.
    struct G2 {
        uint256 x0High;
        uint256 x0Low;
        uint256 x1High;
        uint256 x1Low;
        uint256 y0High;
        uint256 y0Low;
        uint256 y1High;
        uint256 y1Low;
    }

    // ─── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice The chain has no such precompile, or one that answers in another form.
    error PrecompileMissing(uint256 precompile);

    /// @notice A precompile failed on input that it cannot refuse: the call ran out of gas.
    error PrecompileFailed(uint256 precompile);

    /// @notice Too little gas is left to tell a refused input from an interrupted check.
    error GasInsufficient(uint256 left, uint256 needed);

    /// @notice Bytes that should hold a point have the wrong length.
    error PointLengthInvalid(uint256 got, uint256 expected);

    /// @notice A domain tag is empty or longer than 255 bytes (RFC 9380, section 3.1 and 5.3.3).
    error DomainTagLengthInvalid(uint256 got, uint256 limit);

    /// @notice More bytes were asked for than `expandMessage` can give (RFC 9380, section 5.3.1).
    error ExpansionTooLong(uint256 got, uint256 limit);

    // ─── Constants ────────────────────────────────────────────────────────────────────────────────────────────────

    /// The order r of the groups: the modulus of the scalar field.
    uint256 internal constant SCALAR_MODULUS = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

    uint256 internal constant RAW_G1_BYTES = 96;
    uint256 internal constant PADDED_G1_BYTES = 128;
    uint256 internal constant PADDED_G2_BYTES = 256;
    uint256 internal constant COMPRESSED_G1_BYTES = 48;
    uint256 internal constant RAW_G2_BYTES = 192;

    /// The modulus p of Fp, its upper 128 and lower 256 bits.
    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// (p − 1) / 2: what lies above it is the "larger" of y and −y.
    uint256 private constant HALF_P_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant HALF_P_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;

    uint256 private constant SHA256 = 0x02;
    uint256 private constant MODEXP = 0x05;
    uint256 private constant POINT_EVALUATION = 0x0a;
    uint256 private constant G1_ADD = 0x0b;
    uint256 private constant G1_MSM = 0x0c;
    uint256 private constant G2_ADD = 0x0d;
    uint256 private constant PAIRING = 0x0f;
    uint256 private constant MAP_FP_TO_G1 = 0x10;

    /// Prices at Prague (EIP-4844, EIP-2537).
    uint256 private constant POINT_EVALUATION_GAS = 50_000;
    uint256 private constant G1_ADD_GAS = 375;
    uint256 private constant G2_ADD_GAS = 600;
    /// 37,700 and 32,600 for each of two pairs.
    uint256 private constant PAIRING_OF_TWO_GAS = 102_900;
    /// Without the discount for many points, which goes down to 0.519: twice this is at least twice the price.
    uint256 private constant G1_MSM_GAS_PER_POINT = 12_000;

    /// How many times its price is forwarded to a precompile that may refuse.
    uint256 private constant PRICE_HEADROOM = 2;

    /// Gas between reading `gasleft` and the call itself: 100 for a warm address and some forty cheap operations.
    uint256 private constant CALL_OVERHEAD_GAS = 500;

    /// Bytes of a point and its scalar in the input of G1MSM.
    uint256 private constant MSM_ITEM_BYTES = 160;

    /// Bytes from which one field element is derived: ⌈(381 + 128) / 8⌉ (RFC 9380, section 5.1).
    uint256 private constant FIELD_DRAW_BYTES = 64;

    uint256 private constant SHA256_BYTES = 32;

    // ─── Points ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Reads a point of G1 in raw form. Does not check that it is one.
    function fromRaw(bytes calldata raw) internal pure returns (G1 memory point) {
        if (raw.length != RAW_G1_BYTES) revert PointLengthInvalid(raw.length, RAW_G1_BYTES);
        assembly ("memory-safe") {
            // A new struct is zero, so the padding is too.
            calldatacopy(add(point, 16), raw.offset, 48)
            calldatacopy(add(point, 80), add(raw.offset, 48), 48)
        }
    }

    /// @notice Reads a point of G1 in padded form. Does not check that it is one.
    function g1FromPadded(bytes calldata padded) internal pure returns (G1 memory point) {
        if (padded.length != PADDED_G1_BYTES) revert PointLengthInvalid(padded.length, PADDED_G1_BYTES);
        assembly ("memory-safe") {
            calldatacopy(point, padded.offset, PADDED_G1_BYTES)
        }
    }

    /// @notice Reads a point of G2 in padded form. Does not check that it is one.
    function g2FromPadded(bytes calldata padded) internal pure returns (G2 memory point) {
        if (padded.length != PADDED_G2_BYTES) revert PointLengthInvalid(padded.length, PADDED_G2_BYTES);
        assembly ("memory-safe") {
            calldatacopy(point, padded.offset, PADDED_G2_BYTES)
        }
    }

    /// @notice Reads a point of G2 in raw form: its four field elements in 48 bytes each. Does not check that it is one.
    function g2FromRaw(bytes calldata raw) internal pure returns (G2 memory point) {
        if (raw.length != RAW_G2_BYTES) revert PointLengthInvalid(raw.length, RAW_G2_BYTES);
        assembly ("memory-safe") {
            for { let i := 0 } lt(i, 4) { i := add(i, 1) } {
                calldatacopy(add(point, add(mul(i, 64), 16)), add(raw.offset, mul(i, 48)), 48)
            }
        }
    }

    /// @notice Writes a point of G1, whose coordinates are field elements, in raw form.
    function toRaw(G1 memory point) internal pure returns (bytes memory) {
        return abi.encodePacked(uint128(point.xHigh), point.xLow, uint128(point.yHigh), point.yLow);
    }

    /// @notice Writes a point of G2 in padded form.
    function toPadded(G2 memory point) internal pure returns (bytes memory padded) {
        padded = new bytes(PADDED_G2_BYTES);
        assembly ("memory-safe") {
            mcopy(add(padded, 32), point, PADDED_G2_BYTES)
        }
    }

    /// @notice Writes a point of G1, whose coordinates are field elements, in compressed form.
    function compress(G1 memory point) internal pure returns (bytes memory compressed) {
        // Flags in the top three bits of 384: compressed, identity, y is the larger of y and −y.
        uint256 high = point.xHigh | (1 << 127);
        if (isIdentity(point)) {
            high |= 1 << 126;
        } else if (_exceeds(point.yHigh, point.yLow, HALF_P_HIGH, HALF_P_LOW)) {
            high |= 1 << 125;
        }
        return abi.encodePacked(uint128(high), point.xLow);
    }

    function isIdentity(G1 memory point) internal pure returns (bool) {
        return (point.xHigh | point.xLow | point.yHigh | point.yLow) == 0;
    }

    function isIdentity(G2 memory point) internal pure returns (bool) {
        return (point.x0High | point.x0Low | point.x1High | point.x1Low) == 0
            && (point.y0High | point.y0Low | point.y1High | point.y1Low) == 0;
    }

    /// @notice The inverse −P of a point of G2.
    function negate(G2 memory point) internal pure returns (G2 memory negative) {
        negative.x0High = point.x0High;
        negative.x0Low = point.x0Low;
        negative.x1High = point.x1High;
        negative.x1Low = point.x1Low;
        (negative.y0High, negative.y0Low) = _negateElement(point.y0High, point.y0Low);
        (negative.y1High, negative.y1Low) = _negateElement(point.y1High, point.y1Low);
    }

    /// @notice The generator of G1 that the standards share.
    function generator() internal pure returns (G1 memory) {
        return G1({
            xHigh: 0x17f1d3a73197d7942695638c4fa9ac0f,
            xLow: 0xc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb,
            yHigh: 0x08b3f481e3aaa0f1a09e30ed741d8ae4,
            yLow: 0xfcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1
        });
    }

    /// @notice −G, the inverse of the generator of G2 that the standards share.
    function negativeGenerator() internal pure returns (G2 memory) {
        return G2({
            x0High: 0x024aa2b2f08f0a91260805272dc51051,
            x0Low: 0xc6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8,
            x1High: 0x13e02b6052719f607dacd3a088274f65,
            x1Low: 0x596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e,
            y0High: 0x0d1b3cc2c7027888be51d9ef691d77bc,
            y0Low: 0xb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa,
            y1High: 0x13fa4d4a0ad8b1ce186ed5061789213d,
            y1Low: 0x993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed
        });
    }

    // ─── Group operations ─────────────────────────────────────────────────────────────────────────────────────────

    /// @notice a + b in G1. Not valid where one of them is off the curve; the subgroup is not checked.
    function add(G1 memory a, G1 memory b) internal view returns (bool valid, G1 memory sum) {
        uint256[8] memory buffer;
        uint256 input;
        assembly ("memory-safe") {
            input := buffer
            mcopy(input, a, PADDED_G1_BYTES)
            mcopy(add(input, PADDED_G1_BYTES), b, PADDED_G1_BYTES)
        }
        valid = _attempt(G1_ADD, G1_ADD_GAS, input, 2 * PADDED_G1_BYTES, _pointer(sum), PADDED_G1_BYTES);
    }

    /// @notice a + b in G2. Not valid where one of them is off the curve; the subgroup is not checked.
    function add(G2 memory a, G2 memory b) internal view returns (bool valid, G2 memory sum) {
        uint256[16] memory buffer;
        uint256 input;
        assembly ("memory-safe") {
            input := buffer
            mcopy(input, a, PADDED_G2_BYTES)
            mcopy(add(input, PADDED_G2_BYTES), b, PADDED_G2_BYTES)
        }
        valid = _attempt(G2_ADD, G2_ADD_GAS, input, 2 * PADDED_G2_BYTES, _pointer(sum), PADDED_G2_BYTES);
    }

    /// @notice The sum of concatenated padded points of G2, up to the first that is off the curve; `added` counts those
    /// before it. The sum begins with the identity, so that a single point is checked too; the subgroup is not.
    /// @param points As many whole points as the caller has checked that there are; a remainder is not read.
    function sumPadded(bytes calldata points) internal view returns (uint256 added, G2 memory sum) {
        uint256[16] memory buffer;
        uint256 output = _pointer(sum);
        uint256 input;
        assembly ("memory-safe") {
            input := buffer
        }
        unchecked {
            for (uint256 end = PADDED_G2_BYTES; end <= points.length; end += PADDED_G2_BYTES) {
                assembly ("memory-safe") {
                    mcopy(input, output, PADDED_G2_BYTES)
                    calldatacopy(
                        add(input, PADDED_G2_BYTES),
                        add(points.offset, sub(end, PADDED_G2_BYTES)),
                        PADDED_G2_BYTES
                    )
                }
                if (!_attempt(G2_ADD, G2_ADD_GAS, input, 2 * PADDED_G2_BYTES, output, PADDED_G2_BYTES)) break;
                ++added;
            }
        }
    }

    /// @notice Σ weights[j]·pointⱼ over raw points. Not valid where one is off the curve or outside the subgroup.
    /// @param points As many times 96 bytes as there are weights: the caller has checked that, and that there is one.
    function multiplyRaw(bytes calldata points, uint256[] calldata weights)
        internal
        view
        returns (bool valid, G1 memory sum)
    {
        bytes memory buffer = new bytes(MSM_ITEM_BYTES * weights.length);
        uint256 input = _pointer(buffer);
        assembly ("memory-safe") {
            let item := input
            let point := points.offset
            let weight := weights.offset
            for { let end := add(weight, mul(weights.length, 32)) } lt(weight, end) {} {
                // The buffer is new, so the padding before both coordinates is zero.
                calldatacopy(add(item, 16), point, 48)
                calldatacopy(add(item, 80), add(point, 48), 48)
                calldatacopy(add(item, 128), weight, 32)
                item := add(item, MSM_ITEM_BYTES)
                point := add(point, RAW_G1_BYTES)
                weight := add(weight, 32)
            }
        }
        valid = _attempt(
            G1_MSM, G1_MSM_GAS_PER_POINT * weights.length, input, buffer.length, _pointer(sum), PADDED_G1_BYTES
        );
    }

    /// @notice x·a + y·b. Not valid where a or b is off the curve or outside the subgroup. Scalars need not be below r.
    function combine(G1 memory a, uint256 x, G1 memory b, uint256 y) internal view returns (bool valid, G1 memory sum) {
        uint256[10] memory buffer;
        uint256 input;
        assembly ("memory-safe") {
            input := buffer
            mcopy(input, a, PADDED_G1_BYTES)
            mstore(add(input, PADDED_G1_BYTES), x)
            mcopy(add(input, MSM_ITEM_BYTES), b, PADDED_G1_BYTES)
            mstore(add(add(input, MSM_ITEM_BYTES), PADDED_G1_BYTES), y)
        }
        valid = _attempt(G1_MSM, 2 * G1_MSM_GAS_PER_POINT, input, 2 * MSM_ITEM_BYTES, _pointer(sum), PADDED_G1_BYTES);
    }

    /// @notice Tells whether e(a, b)·e(c, d) = 1, and all four are points of their r-order subgroups.
    function pairingHolds(G1 memory a, G2 memory b, G1 memory c, G2 memory d) internal view returns (bool) {
        uint256[24] memory buffer;
        uint256 input;
        assembly ("memory-safe") {
            input := buffer
            mcopy(input, a, PADDED_G1_BYTES)
            mcopy(add(input, 128), b, PADDED_G2_BYTES)
            mcopy(add(input, 384), c, PADDED_G1_BYTES)
            mcopy(add(input, 512), d, PADDED_G2_BYTES)
        }
        // The answer, 0 or 1 in 32 bytes, overwrites the input.
        return _attempt(PAIRING, PAIRING_OF_TWO_GAS, input, 768, input, 32) && buffer[0] == 1;
    }

    // ─── Polynomial openings ──────────────────────────────────────────────────────────────────────────────────────

    /// @notice Tells whether the polynomial under a commitment takes the value `y` at `z` (EIP-4844's point evaluation).
    /// Commitments and proofs that are malformed or outside the subgroup, and values from r on, are answered with false.
    function verifyOpening(bytes memory commitment, uint256 z, uint256 y, bytes calldata proof)
        internal
        view
        returns (bool)
    {
        if (commitment.length != COMPRESSED_G1_BYTES) {
            revert PointLengthInvalid(commitment.length, COMPRESSED_G1_BYTES);
        }
        if (proof.length != COMPRESSED_G1_BYTES) revert PointLengthInvalid(proof.length, COMPRESSED_G1_BYTES);
        // Not only because the precompile would refuse them: it would burn the gas forwarded.
        if (z >= SCALAR_MODULUS || y >= SCALAR_MODULUS) return false;

        // The versioned hash: SHA-256 with its first byte replaced by the version 1.
        uint256 versionedHash = (uint256(sha256(commitment)) & (type(uint256).max >> 8)) | (1 << 248);
        bytes memory buffer = abi.encodePacked(versionedHash, z, y, commitment, proof);
        uint256 input = _pointer(buffer);
        // The precompile answers with two constants in 64 bytes, which overwrite the input.
        return _attempt(POINT_EVALUATION, POINT_EVALUATION_GAS, input, 192, input, 64);
    }

    // ─── Hashing to the curve ─────────────────────────────────────────────────────────────────────────────────────

    /// @notice RFC 9380's hash_to_curve, suite BLS12381G1_XMD:SHA-256_SSWU_RO_: a uniform point of the subgroup.
    function hashToG1(bytes memory message, bytes memory tag) internal view returns (G1 memory point) {
        bytes memory uniform = expandMessage(message, tag, 2 * FIELD_DRAW_BYTES);
        // The precompile clears the cofactor of each summand: the same as clearing that of their sum.
        bool valid;
        (valid, point) = add(_mapToG1(uniform, 0), _mapToG1(uniform, FIELD_DRAW_BYTES));
        if (!valid) revert PrecompileFailed(G1_ADD);
    }

    /// @notice RFC 9380's expand_message_xmd with SHA-256 (section 5.3.1).
    function expandMessage(bytes memory message, bytes memory tag, uint256 length)
        internal
        view
        returns (bytes memory uniform)
    {
        if (tag.length == 0 || tag.length > type(uint8).max) {
            revert DomainTagLengthInvalid(tag.length, type(uint8).max);
        }
        uint256 blocks = (length + SHA256_BYTES - 1) / SHA256_BYTES;
        if (blocks > type(uint8).max) revert ExpansionTooLong(length, type(uint8).max * SHA256_BYTES);

        uniform = new bytes(blocks * SHA256_BYTES);
        bytes memory suffix = abi.encodePacked(tag, uint8(tag.length));
        // The first hash reads one whole block of SHA-256, 64 bytes, of zeros before the message.
        uint256 first =
            uint256(sha256(abi.encodePacked(uint256(0), uint256(0), message, uint16(length), uint8(0), suffix)));
        _expand(uniform, blocks, first, abi.encodePacked(uint256(0), uint8(0), suffix));

        assembly ("memory-safe") {
            mstore(uniform, length)
        }
    }

    // ─── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Fills `uniform` with block i = SHA-256((first xor block i−1) ‖ i ‖ suffix), i from 1, block 0 being zero.
    /// @param item 32 bytes for the xor, one for i, and the suffix: overwritten and hashed in place.
    function _expand(bytes memory uniform, uint256 blocks, uint256 first, bytes memory item) private view {
        uint256 input = _pointer(item);
        uint256 output = _pointer(uniform);
        uint256 previous = 0;
        uint256 i = 0;
        while (i != blocks) {
            assembly ("memory-safe") {
                i := add(i, 1)
                mstore(input, xor(first, previous))
                mstore8(add(input, 32), i)
            }
            _compute(SHA256, input, item.length, output, SHA256_BYTES);
            assembly ("memory-safe") {
                previous := mload(output)
                output := add(output, SHA256_BYTES)
            }
        }
    }

    /// Reduces 64 bytes from `offset` on to a field element and maps it to the subgroup.
    function _mapToG1(bytes memory uniform, uint256 offset) private view returns (G1 memory point) {
        // Modular exponentiation with exponent 1: the lengths of base, exponent and modulus, then these three.
        uint256[8] memory power;
        power[0] = FIELD_DRAW_BYTES;
        power[1] = 32;
        power[2] = FIELD_DRAW_BYTES;
        power[5] = 1;
        power[6] = P_HIGH;
        power[7] = P_LOW;
        uint256 input;
        assembly ("memory-safe") {
            input := power
            mcopy(add(input, 96), add(add(uniform, 32), offset), FIELD_DRAW_BYTES)
        }
        // The result has the modulus' length, so it is already padded for the next precompile.
        _compute(MODEXP, input, 256, input, FIELD_DRAW_BYTES);
        _compute(MAP_FP_TO_G1, input, FIELD_DRAW_BYTES, _pointer(point), PADDED_G1_BYTES);
    }

    /// −a in Fp. What is no field element is left as it is: the precompile that gets it refuses it.
    function _negateElement(uint256 high, uint256 low) private pure returns (uint256, uint256) {
        if (high | low == 0 || !_exceeds(P_HIGH, P_LOW, high, low)) return (high, low);
        unchecked {
            return (P_HIGH - high - (low > P_LOW ? 1 : 0), P_LOW - low);
        }
    }

    /// Tells whether a > b, as integers of 512 bits.
    function _exceeds(uint256 aHigh, uint256 aLow, uint256 bHigh, uint256 bLow) private pure returns (bool) {
        return aHigh > bHigh || (aHigh == bHigh && aLow > bLow);
    }

    /// Calls a precompile that may refuse its input, with bounded gas; false if it refused.
    function _attempt(
        uint256 precompile,
        uint256 price,
        uint256 input,
        uint256 inputBytes,
        uint256 output,
        uint256 outputBytes
    ) internal view returns (bool valid) {
        uint256 bound;
        uint256 needed;
        // Prices are constants, or a constant for each point of an input: far from an overflow.
        unchecked {
            bound = PRICE_HEADROOM * price;
            // A call gets at most 63/64 of what is left (EIP-150).
            needed = bound + bound / 63 + CALL_OVERHEAD_GAS;
        }
        uint256 left = gasleft();
        if (left < needed) revert GasInsufficient(left, needed);

        uint256 answered;
        assembly ("memory-safe") {
            valid := staticcall(bound, precompile, input, inputBytes, output, outputBytes)
            answered := returndatasize()
        }
        // An address without code accepts everything and answers nothing.
        if (valid && answered != outputBytes) revert PrecompileMissing(precompile);
    }

    /// Calls a precompile that accepts every input of this form.
    function _compute(uint256 precompile, uint256 input, uint256 inputBytes, uint256 output, uint256 outputBytes)
        internal
        view
    {
        bool valid;
        uint256 answered;
        assembly ("memory-safe") {
            valid := staticcall(gas(), precompile, input, inputBytes, output, outputBytes)
            answered := returndatasize()
        }
        if (!valid) revert PrecompileFailed(precompile);
        if (answered != outputBytes) revert PrecompileMissing(precompile);
    }

    function _pointer(G1 memory point) private pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := point
        }
    }

    function _pointer(G2 memory point) private pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := point
        }
    }

    /// Where the bytes begin, after their length.
    function _pointer(bytes memory data) internal pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(data, 32)
        }
    }
}
