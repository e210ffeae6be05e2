// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAudits} from "../interfaces/IAudits.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {IRestakerRewards} from "../interfaces/IRestakerRewards.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {IShards} from "../interfaces/IShards.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {NonSigners} from "../libraries/NonSigners.sol";
import {DutyStatus, ObjectRecord, ObjectStatus, RosterHead, ShardParameters, Tally} from "../types/Types.sol";

/// @title Rewards
/// @notice Knows which storage fees were settled, claimed or returned. The tokens lie in Payments, one account a shard.
///
/// Typical flow: 1 Objects books a payment (`collectOpening`, `collectExtension`), then what goes back for want of a signature or
/// after an early end (`bookReturn`), or all if certification fails (`bookFailed`); 2 `settle` pays each operator that answered; 3 `returnUnproven` and `returnVoid` give back the rest;
/// `claimIntake` pays the intake fees of those that signed.
///
/// Invariants, for a shard:
/// - I-M26 a shard's account = booked − settled − claimed − returned (I-W1)
/// - I-M27 fee(object, epoch, signer) leaves at most once (I-W2)
/// - I-W1  balance(feeAccount) = Σ booked − Σ settled − Σ claimed − Σ returned, to the unit
/// - I-W2  the fee of (object, epoch, signer) leaves once: by `settle` if the signer answered and its place was not vacant at
///         B_e, by `returnUnproven` if the epoch was sealed and it did not or was, by `returnVoid` if the epoch was never
///         sealed. The three conditions exclude each other and none is ever undone.
/// - I-W3  who answered is asked of the Audits contract that the roster named at its snapshot, whatever is in force now
/// - I-W4  settled(e, operator) = Σ over Audits a of ⌊earned(a)·s⌋ to sealer(e, a) + ⌊rest·commission⌋ to the operator + what is left of
///         the rest to its restakers; earned(a)·s is nobody's where no sealer is named, and nothing else pays a sealer
contract Rewards is IRewards {
    uint256 private constant BPS = 10_000;

    /// Half a per cent: a sealing pays for itself in an epoch whose answers earn 200 times what its gas costs (docs/economics.md says how many
    /// full tickets that is). With fewer it is the operators' own pay that has them seal.
    uint256 public constant SEALER_BPS = 50;

    /// A bit for each live roster (ids follow each other, at most 9 live in an epoch): 16 epochs of an operator share a slot.
    uint256 private constant ROSTER_BITS = 16;
    uint256 private constant EPOCHS_PER_WORD = 16;

    /// Epochs whose bit for one object, or one object and operator, share a slot.
    uint256 private constant BITS_PER_WORD = 256;

    /// RestakerRewards' account for what came and is not booked yet.
    bytes32 private constant INBOX_KEY = "inbox";

    IDirectory private immutable DIRECTORY;

    /// Whose books the fees here are divided by, from the first payment on for good: fees can't leave before a change, so no later module may
    /// say whose they are. Zero before.
    IObjects private _pinnedObjects;
    IShards private _pinnedShards;

    mapping(uint32 shard => mapping(address operator => mapping(uint256 word => uint256))) private _settled;
    mapping(bytes32 objectId => mapping(address operator => mapping(uint256 word => uint256))) private _unproven;
    mapping(bytes32 objectId => mapping(uint256 word => uint256)) private _void;
    mapping(uint32 shard => mapping(uint32 roster => mapping(address operator => uint256))) private _intakeClaimed;
    mapping(uint32 shard => Terms) private _terms;
    mapping(address audits => mapping(address operator => uint256)) public settledCount;

    /// One slot: what of a shard's parameters is asked for at each payment. They never change, so they are read once.
    struct Terms {
        address token;
        uint16 unprovenToPayerBps;
    }

    /// What `settle` gathers over the rosters.
    struct Settlement {
        uint256 amount;
        // bits of the rosters it pays for, and whether the operator answered in any
        uint256 bits;
        bool answered;
        // whom it answered, each once
        Share[] shares;
        uint256 sharesCount;
        uint256 toSealers;
    }

    /// What was earned under the rosters of one Audits, and the part of it that is the sealer's there.
    struct Share {
        address audits;
        address sealer;
        uint256 earned;
        uint256 toSealer;
    }

    constructor(IDirectory directory) {
        DIRECTORY = directory;
    }

    modifier onlyObjects() {
        if (msg.sender != address(_objects())) {
            revert CallerNotModule(msg.sender, ModuleNames.OBJECTS);
        }
        _;
    }

    // ─── Booking ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IRewards
    function collectOpening(bytes32 objectId, uint32 shard, address payer, uint256 storageFee, uint256 intakeFee)
        external
        onlyObjects
    {
        _pin();
        emit FeesBooked(objectId, shard, storageFee, intakeFee);
        _payments().collect(_termsOf(shard).token, payer, _feeKey(shard), storageFee + intakeFee);
    }

    /// @inheritdoc IRewards
    function collectExtension(bytes32 objectId, uint32 shard, address payer, uint256 storageFee) external onlyObjects {
        emit FeesBooked(objectId, shard, storageFee, 0);
        _payments().collect(_termsOf(shard).token, payer, _feeKey(shard), storageFee);
    }

    /// @inheritdoc IRewards
    function bookReturn(bytes32 objectId, uint32 shard, address payer, uint256 unsignedFee, uint256 unearnedFee)
        external
        onlyObjects
    {
        if (unsignedFee != 0) emit UnsignedReturned(objectId, payer, unsignedFee);
        if (unearnedFee != 0) emit UnearnedReturned(objectId, payer, unearnedFee);
        _pay(shard, payer, unsignedFee + unearnedFee, 0);
    }

    /// @inheritdoc IRewards
    function bookFailed(bytes32 objectId, uint32 shard, address payer, uint256 storageFee, uint256 intakeFee)
        external
        onlyObjects
    {
        emit OpeningReturned(objectId, payer, storageFee, intakeFee);
        _pay(shard, payer, storageFee, intakeFee);
    }

    // ─── Earning ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IRewards
    function settle(uint32 shard, uint64 epoch, address operator) external returns (uint256 amount) {
        Settlement memory settlement = _settlement(shard, epoch, operator);
        if (!settlement.answered) revert NotAnswered(shard, epoch, operator);
        if (settlement.bits == 0) revert AlreadySettled(shard, epoch, operator);
        amount = settlement.amount;

        _settled[shard][operator][epoch / EPOCHS_PER_WORD] |= settlement.bits;
        for (uint256 i; i < settlement.sharesCount; ++i) {
            ++settledCount[settlement.shares[i].audits][operator];
        }
        uint256 commissionBps = IOperators(DIRECTORY.module(ModuleNames.OPERATORS)).commissionOf(operator);
        uint256 rest = amount - settlement.toSealers;
        uint256 toOperator = rest * commissionBps / BPS;
        emit EpochSettled(shard, epoch, operator, amount, toOperator, settlement.toSealers);

        IPayments payments = _payments();
        address token = _termsOf(shard).token;
        for (uint256 i; i < settlement.sharesCount; ++i) {
            Share memory share = settlement.shares[i];
            if (share.toSealer == 0) continue;
            payments.move(token, _feeKey(shard), payments.personAccount(share.sealer), share.toSealer);
        }
        if (toOperator != 0) payments.move(token, _feeKey(shard), payments.personAccount(operator), toOperator);
        if (rest > toOperator) {
            // The Restaking that holds the shard's stake, whatever newer one stands in the directory.
            IRestakerRewards restakers = IRestaking(_shards().restakingOf(shard)).restakerRewards();
            bytes32 inbox = payments.moduleAccount(address(restakers), INBOX_KEY);
            payments.move(token, _feeKey(shard), inbox, rest - toOperator);
            restakers.book(operator, shard, token, rest - toOperator);
        }
    }

    /// What is due to an operator for an epoch and not settled yet.
    function _settlement(uint32 shard, uint64 epoch, address operator)
        private
        view
        returns (Settlement memory settlement)
    {
        IShards shards = _shards();
        uint256 frozenBlock = shards.frozenBlockOf(shard, epoch);
        uint256 done = _settled[shard][operator][epoch / EPOCHS_PER_WORD];
        (uint32 first, uint32 last) = shards.rostersLiveIn(shard, epoch);
        settlement.shares = new Share[](first > last ? 0 : last - first + 1);
        for (uint32 roster = first; roster <= last; ++roster) {
            if (!shards.isInRoster(shard, roster, operator)) continue;
            address slasher = shards.rosterHead(shard, roster).slasher;
            if (IAudits(slasher).statusOf(shard, epoch, operator) != DutyStatus.Answered) continue;
            settlement.answered = true;

            uint256 bit = 1 << (ROSTER_BITS * (epoch % EPOCHS_PER_WORD) + roster % ROSTER_BITS);
            if (done & bit != 0 || _isVacant(shards, shard, roster, operator, frozenBlock)) continue;
            settlement.bits |= bit;
            _shareOf(settlement, slasher).earned += _earned(shards, shard, roster, epoch, operator);
        }
        _divide(settlement, shard, epoch);
    }

    /// All of an Audits' rosters are paid for in one settlement: what was answered, and which places are vacant, doesn't change any more.
    function _shareOf(Settlement memory settlement, address audits) private pure returns (Share memory share) {
        for (uint256 i; i < settlement.sharesCount; ++i) {
            if (settlement.shares[i].audits == audits) return settlement.shares[i];
        }
        share = settlement.shares[settlement.sharesCount++];
        share.audits = audits;
    }

    /// What each Audits' sealer gets, rounded down, and the sums.
    function _divide(Settlement memory settlement, uint32 shard, uint64 epoch) private view {
        for (uint256 i; i < settlement.sharesCount; ++i) {
            Share memory share = settlement.shares[i];
            share.sealer = IAudits(share.audits).sealerOf(shard, epoch);
            if (share.sealer != address(0)) share.toSealer = share.earned * SEALER_BPS / BPS;
            settlement.amount += share.earned;
            settlement.toSealers += share.toSealer;
        }
    }

    /// Fees of an operator's signed live rows under one roster.
    function _earned(IShards shards, uint32 shard, uint32 roster, uint64 epoch, address operator)
        private
        view
        returns (uint256)
    {
        IObjects objects = _objects();
        Tally memory all = objects.tally(shard, roster, epoch);
        if (all.rows == 0) return 0;
        Tally memory excluded = objects.excludedTally(shard, roster, operator, epoch);
        return _ticketsOf(shards, shard, roster, operator) * (all.fee - excluded.fee);
    }

    /// @inheritdoc IRewards
    function claimIntake(uint32 shard, uint32 roster, address operator) external returns (uint256 amount) {
        (uint256 all, uint256 excluded) = _objects().intakePerTicket(shard, roster, operator);
        uint256 earned = _ticketsOf(_shards(), shard, roster, operator) * (all - excluded);
        amount = earned - _intakeClaimed[shard][roster][operator];
        uint256 rest = _objects().takeIntakeRest(shard, roster);
        if (amount == 0 && rest == 0) revert NothingToClaim(operator);

        _intakeClaimed[shard][roster][operator] = earned;
        emit IntakeClaimed(shard, roster, operator, amount);
        _pay(shard, operator, amount, rest);
    }

    // ─── Returning ────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IRewards
    function returnUnproven(bytes32 objectId, uint64 epoch, address operator, uint16[] calldata nonSigners) external {
        ObjectRecord memory object = _liveObject(objectId, epoch, nonSigners);
        IShards shards = _shards();
        uint256 index = shards.rosterIndexOf(object.shard, object.roster, operator);
        if (NonSigners.contains(nonSigners, index)) revert OperatorDidNotSign(objectId, operator);
        RosterHead memory head = shards.rosterHead(object.shard, object.roster);
        if (!_isUnproven(shards, head.slasher, object, epoch, operator)) {
            revert NotUnproven(object.shard, epoch, operator);
        }
        mapping(uint256 word => uint256) storage returned = _unproven[objectId][operator];
        if (_isMarked(returned, epoch)) revert AlreadyReturned(objectId, epoch, operator);

        _mark(returned, epoch);
        uint256 tickets = shards.rosterEntry(object.shard, object.roster, index).tickets;
        uint256 fee = tickets * _feePerTicket(object, head.tickets);
        uint256 toPayer = fee * _termsOf(object.shard).unprovenToPayerBps / BPS;
        emit UnprovenReturned(objectId, epoch, operator, toPayer, fee - toPayer);

        _pay(object.shard, object.owner, toPayer, fee - toPayer);
    }

    /// @inheritdoc IRewards
    function returnVoid(bytes32 objectId, uint64 epoch, uint16[] calldata nonSigners) external {
        ObjectRecord memory object = _liveObject(objectId, epoch, nonSigners);
        IShards shards = _shards();
        RosterHead memory head = shards.rosterHead(object.shard, object.roster);
        if (!IAudits(head.slasher).isVoid(object.shard, epoch)) revert NotVoid(object.shard, epoch);
        if (_isMarked(_void[objectId], epoch)) revert AlreadyReturned(objectId, epoch, address(0));

        _mark(_void[objectId], epoch);
        uint256 tickets = head.tickets;
        for (uint256 i; i < nonSigners.length; ++i) {
            tickets -= shards.rosterEntry(object.shard, object.roster, nonSigners[i]).tickets;
        }
        uint256 amount = tickets * _feePerTicket(object, head.tickets);
        emit VoidReturned(objectId, epoch, amount);

        _pay(object.shard, object.owner, amount, 0);
    }

    /// An object that was live in the epoch, and the list of its non-signers that counted in it. The epoch may still be ahead: then it is neither
    /// sealed nor void, and nothing is returned for it.
    function _liveObject(bytes32 objectId, uint64 epoch, uint16[] calldata nonSigners)
        private
        view
        returns (ObjectRecord memory object)
    {
        object = _objects().record(objectId);
        bool certified = object.status == ObjectStatus.Certified;
        if (!certified || epoch < object.firstEpoch || epoch >= object.endEpoch) {
            revert ObjectNotLive(objectId, epoch);
        }
        // An adoption counts from an epoch that was not frozen yet.
        bytes32 hash = epoch == object.firstEpoch ? object.firstNonSignersHash : object.nonSignersHash;
        if (NonSigners.hashOf(nonSigners) != hash) revert NonSignersWrong(objectId);
    }

    /// Whether the epoch was sealed and the operator's rows in the object will never be proven for it.
    function _isUnproven(IShards shards, address audits, ObjectRecord memory object, uint64 epoch, address operator)
        private
        view
        returns (bool)
    {
        (, uint256 sealedBlock, uint256 deadline) = IAudits(audits).seedOf(object.shard, epoch);
        if (sealedBlock == 0) return false;
        uint256 frozenBlock = shards.frozenBlockOf(object.shard, epoch);
        if (_isVacant(shards, object.shard, object.roster, operator, frozenBlock)) return true;
        return block.number > deadline && IAudits(audits).statusOf(object.shard, epoch, operator) != DutyStatus.Answered;
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IRewards
    function earnedIn(uint32 shard, uint64 epoch, address operator)
        external
        view
        returns (uint256 amount, uint256 toSealers)
    {
        Settlement memory settlement = _settlement(shard, epoch, operator);
        return (settlement.amount, settlement.toSealers);
    }

    /// @inheritdoc IRewards
    function isSettled(uint32 shard, uint64 epoch, address operator) external view returns (bool) {
        uint256 word = _settled[shard][operator][epoch / EPOCHS_PER_WORD];
        uint256 mask = (1 << ROSTER_BITS) - 1;
        return (word >> (ROSTER_BITS * (epoch % EPOCHS_PER_WORD))) & mask != 0;
    }

    /// @inheritdoc IRewards
    function feeAccount(uint32 shard) external view returns (bytes32) {
        return _payments().moduleAccount(address(this), _feeKey(shard));
    }

    /// @inheritdoc IRewards
    function repairAccount(uint32 shard) public view returns (bytes32) {
        return _payments().moduleAccount(address(this), keccak256(abi.encode("repair", shard)));
    }

    // ─── Helpers ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Moves amounts from the shard's fees to a person and to the repair fund.
    function _pay(uint32 shard, address person, uint256 amount, uint256 toRepairFund) private {
        if (amount == 0 && toRepairFund == 0) return;
        IPayments payments = _payments();
        address token = _termsOf(shard).token;
        if (amount != 0) payments.move(token, _feeKey(shard), payments.personAccount(person), amount);
        if (toRepairFund != 0) payments.move(token, _feeKey(shard), repairAccount(shard), toRepairFund);
    }

    function _feePerTicket(ObjectRecord memory object, uint256 tickets) private pure returns (uint256) {
        return uint256(object.n) / tickets * object.matrices * object.rowFee;
    }

    function _ticketsOf(IShards shards, uint32 shard, uint32 roster, address operator) private view returns (uint256) {
        return shards.rosterEntry(shard, roster, shards.rosterIndexOf(shard, roster, operator)).tickets;
    }

    function _isVacant(IShards shards, uint32 shard, uint32 roster, address operator, uint256 frozenBlock)
        private
        view
        returns (bool)
    {
        uint256 vacated = shards.vacatedAt(shard, roster, operator);
        return vacated != 0 && vacated <= frozenBlock;
    }

    function _isMarked(mapping(uint256 word => uint256) storage marks, uint64 epoch) private view returns (bool) {
        return (marks[epoch / BITS_PER_WORD] >> (epoch % BITS_PER_WORD)) & 1 != 0;
    }

    function _mark(mapping(uint256 word => uint256) storage marks, uint64 epoch) private {
        marks[epoch / BITS_PER_WORD] |= 1 << (epoch % BITS_PER_WORD);
    }

    function _termsOf(uint32 shard) private returns (Terms memory terms) {
        terms = _terms[shard];
        if (terms.token != address(0)) return terms;
        ShardParameters memory parameters = _shards().parametersOf(shard);
        terms = Terms({token: parameters.paymentToken, unprovenToPayerBps: parameters.unprovenToPayerBps});
        _terms[shard] = terms;
    }

    function _feeKey(uint32 shard) private pure returns (bytes32) {
        return keccak256(abi.encode("fees", shard));
    }

    function _pin() private {
        if (address(_pinnedObjects) == address(0) && DIRECTORY.sealedBlock() != 0) {
            (_pinnedObjects, _pinnedShards) = (_objects(), _shards());
        }
    }

    function _shards() private view returns (IShards) {
        IShards pinned = _pinnedShards;
        return address(pinned) != address(0) ? pinned : IShards(DIRECTORY.module(ModuleNames.SHARDS));
    }

    function _objects() private view returns (IObjects) {
        IObjects pinned = _pinnedObjects;
        return address(pinned) != address(0) ? pinned : IObjects(DIRECTORY.module(ModuleNames.OBJECTS));
    }

    function _payments() private view returns (IPayments) {
        return IPayments(DIRECTORY.module(ModuleNames.PAYMENTS));
    }
}
