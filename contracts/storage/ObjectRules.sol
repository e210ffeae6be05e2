// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IPricing} from "../interfaces/IPricing.sol";
import {IShards} from "../interfaces/IShards.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {ObjectBook} from "../libraries/ObjectBook.sol";
import {SliceTree} from "../libraries/SliceTree.sol";
import {OpenRequest, RosterAbsence, RosterEntry} from "../types/Types.sol";

/// @title ObjectRules
/// @notice What an opening, a certificate and an adoption must satisfy. Holds nothing; a contract of its own, made by Objects, which has no room
/// for it.
contract ObjectRules {
    /// What `open` is told of a request.
    struct Opening {
        uint64 nextEpoch;
        uint256 rowsPerTicket;
        uint256 rowFee;
        uint256 intakeFee;
        uint256 storageFee;
        bytes32 manifestRoot;
    }

    /// Whose signatures are asked about.
    struct Signers {
        IShards shards;
        ICertificateVerifier verifier;
        uint32 shard;
        uint32 roster;
        // of the whole roster, and the least that must sign
        uint256 tickets;
        uint256 needed;
        // what is signed, and what it is called when it isn't
        bytes32 digest;
        bytes32 subject;
    }

    /// Widths whose commitments stay cheap per byte (DESIGN: powers of two from 64 to the blob's 4096).
    uint256 private constant MIN_WIDTH_LOG2 = 6;
    uint256 private constant MAX_WIDTH_LOG2 = 12;

    /// n ≤ 8k: more parity than that is replication under another name.
    uint256 private constant MAX_EXPANSION = 8;

    /// Rows of a matrix, as Objects keeps them.
    uint256 private constant MAX_ROWS_PER_MATRIX = type(uint16).max;

    /// Payload of an element and bytes of it.
    uint256 private constant PAYLOAD_BYTES = 31;
    uint256 private constant ELEMENT_BYTES = 32;

    /// What Objects keeps of sizes and fees.
    uint256 private constant MAX_SIZE = type(uint48).max;
    uint256 private constant MAX_FEE = type(uint80).max;

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant OPEN_TYPE = keccak256(
        "Open(uint32 shard,uint32 roster,uint32 width,uint32 k,uint32 n,uint32 matrices,uint64 size,uint32 epochs,bytes32 treeRoot,bytes32 contentHash,bytes32 headerHash,uint256 maxPayment,uint256 nonce,uint256 deadline)"
    );

    IDirectory private immutable DIRECTORY;

    constructor(IDirectory directory) {
        DIRECTORY = directory;
    }

    // ─── Opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Refuses what can't be encoded, assigned, certified or kept for its term; says what it costs.
    function checkOpening(
        OpenRequest calldata request,
        ObjectBook.Frame calldata frame,
        uint256 pricePerByteEpochWad,
        uint256 intakePricePerByteWad
    ) external view returns (Opening memory opening) {
        opening.rowsPerTicket = _checkShape(request, frame.tickets);
        _checkLargestHolder(request, frame);
        opening.nextEpoch = _checkTerm(request, frame);

        (opening.rowFee, opening.intakeFee) = fees(request, pricePerByteEpochWad, intakePricePerByteWad);
        opening.storageFee = opening.rowFee * request.n * request.matrices * request.epochs;
        uint256 payment = opening.storageFee + opening.intakeFee;
        if (payment > request.maxPayment) revert IObjects.PaymentAboveMaximum(payment, request.maxPayment);
        opening.manifestRoot = _manifestRoot(request);
    }

    /// @notice What one row costs for an epoch, and the object's intake.
    function fees(OpenRequest calldata request, uint256 pricePerByteEpochWad, uint256 intakePricePerByteWad)
        public
        view
        returns (uint256 rowFee, uint256 intakeFee)
    {
        IPricing pricing = IPricing(DIRECTORY.module(ModuleNames.PRICING));
        rowFee = pricing.rowFee(pricePerByteEpochWad, request.width);
        if (rowFee > MAX_FEE) revert IObjects.FeeTooLarge(rowFee, MAX_FEE);
        uint256 storedBytes = ELEMENT_BYTES * request.width * request.n * request.matrices;
        intakeFee = pricing.intakeFee(intakePricePerByteWad, storedBytes);
        if (intakeFee > MAX_FEE) revert IObjects.FeeTooLarge(intakeFee, MAX_FEE);
    }

    /// @notice Refuses an opening that its owner did not sign, or no longer stands by. The caller is Objects, whose domain it is.
    function checkOwner(
        OpenRequest calldata request,
        address owner,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external view {
        if (block.timestamp > deadline) revert IObjects.SignatureExpired(deadline, block.timestamp);
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPE, keccak256("Qanat objects"), keccak256("1"), block.chainid, msg.sender));
        // All of the request's words are in place: a struct of values only.
        bytes32 asked = keccak256(bytes.concat(OPEN_TYPE, abi.encode(request), abi.encode(nonce, deadline)));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, asked));
        if (!SignatureChecker.isValidSignatureNow(owner, digest, signature)) revert IObjects.SignerInvalid(owner);
    }

    /// Returns the object's rows per ticket.
    function _checkShape(OpenRequest calldata request, uint256 tickets) private pure returns (uint256) {
        uint256 widthLog2 = log2(request.width);
        if (widthLog2 < MIN_WIDTH_LOG2 || widthLog2 > MAX_WIDTH_LOG2 || uint256(1) << widthLog2 != request.width) {
            revert IObjects.WidthInvalid(request.width);
        }

        (uint256 k, uint256 n) = (request.k, request.n);
        if (k == 0 || n < k || n > MAX_EXPANSION * k || n > MAX_ROWS_PER_MATRIX) revert IObjects.RowsInvalid(k, n);

        if (n % tickets != 0) revert IObjects.TicketsDoNotDivideRows(tickets, n);
        uint256 rowsEach = n / tickets;
        if (k + (tickets / 3) * rowsEach > n) revert IObjects.ThresholdUnreachable(k, n, tickets);

        uint256 capacity = k * request.width * request.matrices * PAYLOAD_BYTES;
        if (capacity > MAX_SIZE) capacity = MAX_SIZE;
        if (capacity == 0 || request.size > capacity) revert IObjects.SizeInvalid(request.size, capacity);
        return rowsEach * request.matrices;
    }

    /// No operator may hold more than k rows of a matrix.
    function _checkLargestHolder(OpenRequest calldata request, ObjectBook.Frame calldata frame) private pure {
        uint256 rows = frame.largest * (request.n / frame.tickets);
        if (rows > request.k) revert IObjects.OperatorHoldsTooManyRows(rows, request.k);
    }

    /// The term must fit under the roster even if certification comes in the last possible block.
    function _checkTerm(OpenRequest calldata request, ObjectBook.Frame memory frame)
        private
        view
        returns (uint64 nextEpoch)
    {
        nextEpoch = ObjectBook.firstEpochAfter(frame, block.number);
        uint256 latestFirst = ObjectBook.firstEpochAfter(frame, block.number + frame.epochLength);
        uint256 limit = frame.endEpoch > latestFirst ? frame.endEpoch - latestFirst : 0;
        if (request.epochs == 0 || request.epochs > limit) revert IObjects.TermInvalid(request.epochs, limit);
    }

    function _manifestRoot(OpenRequest calldata request) private pure returns (bytes32) {
        bytes32 paramsHash = SliceTree.parametersHash(
            SliceTree.Parameters({
                width: request.width,
                k: request.k,
                n: request.n,
                matrices: request.matrices,
                size: request.size,
                contentHash: request.contentHash,
                headerHash: request.headerHash
            })
        );
        return SliceTree.manifestRoot(request.treeRoot, paramsHash);
    }

    /// @notice Number of the highest bit.
    function log2(uint256 value) public pure returns (uint256 result) {
        while (value > 1) {
            value >>= 1;
            ++result;
        }
    }

    // ─── Signatures ───────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Refuses a certificate that too few signed. The non-signers are the roster's, in order, and few enough; their keys are read from the
    /// roster and taken out of the sum. All vacant places are among them: who left has no duty and nothing to lose. Returns who did not sign and how
    /// many tickets they have.
    function checkCertificate(Signers calldata signers, bytes calldata signature, uint16[] calldata nonSigners)
        external
        view
        returns (uint256 unsignedTickets, address[] memory absent)
    {
        for (uint256 i = 1; i < nonSigners.length; ++i) {
            if (nonSigners[i] <= nonSigners[i - 1]) revert IObjects.NonSignersUnordered(i);
        }
        RosterAbsence memory absence = signers.shards.absenceIn(signers.shard, signers.roster, nonSigners);
        for (uint256 i; i < nonSigners.length; ++i) {
            uint256 tickets = absence.tickets[i];
            if (tickets == 0) revert IObjects.NonSignerUnknown(nonSigners[i]);
            unsignedTickets += tickets;
        }
        if (absence.vacantElsewhere != 0) revert IObjects.SignersVacant(absence.vacantElsewhere);
        uint256 signedTickets = signers.tickets - unsignedTickets;
        if (signedTickets < signers.needed) revert IObjects.QuorumNotReached(signedTickets, signers.needed);

        if (!signers.verifier.verifyCertificate(signers.digest, absence.aggregateKey, absence.keys, signature)) {
            revert IObjects.SignatureInvalid(signers.subject);
        }
        return (unsignedTickets, absence.operators);
    }

    /// @notice Refuses an adoption that the seat's operator did not sign, or whose place is vacant. Returns operator and tickets.
    function checkAdoption(Signers calldata signers, bytes calldata signature, uint256 seat, bytes calldata key)
        external
        view
        returns (address operator, uint256 tickets)
    {
        RosterEntry memory entry = signers.shards.rosterEntry(signers.shard, signers.roster, seat);
        bytes32 keyHash = keccak256(key);
        if (keyHash != entry.keyHash) revert IObjects.NonSignerKeyWrong(seat, keyHash, entry.keyHash);
        if (signers.shards.vacatedAt(signers.shard, signers.roster, entry.operator) != 0) {
            revert IObjects.PlaceVacant(seat);
        }
        if (!signers.verifier.verifyCertificate(signers.digest, key, "", signature)) {
            revert IObjects.SignatureInvalid(signers.subject);
        }
        return (entry.operator, entry.tickets);
    }

    /// @notice Operators in seats that are known to be the roster's.
    function operatorsAt(IShards shards, uint32 shard, uint32 roster, uint16[] calldata seats)
        external
        view
        returns (address[] memory operators)
    {
        operators = new address[](seats.length);
        for (uint256 i; i < seats.length; ++i) {
            operators[i] = shards.rosterEntry(shard, roster, seats[i]).operator;
        }
    }
}
