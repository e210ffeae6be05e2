// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRestakerRewards} from "../../contracts/interfaces/IRestakerRewards.sol";
import {Bls12381} from "../../contracts/libraries/Bls12381.sol";
import {
    DutyStatus,
    OpenRequest,
    Response,
    RosterEntry,
    RosterHead,
    RosterPlace,
    Tally
} from "../../contracts/types/Types.sol";
import {AuditsModel} from "./AuditsModel.sol";

/// @title AuditsHandler
/// @notice Six operators, an owner and strangers: objects opened, certified with and without signatures, adopted, extended, terminated, failed; epochs
/// sealed or not, answered (by the model's answers), answered wrongly, reported; slashes, rosters, settlements, returns; time. What must be possible is
/// done and must succeed, what must not is tried and must fail.
contract AuditsHandler is AuditsModel {
    struct SealedEpoch {
        uint256 sealedBlock;
        uint256 deadline;
        address sealer;
    }

    uint256 internal constant MAX_THINGS = 24;
    uint256 internal constant BPS = 10_000;
    address internal constant SEALER = address(0x5ea1);

    mapping(uint256 epoch => SealedEpoch) internal seals;
    mapping(uint256 epoch => mapping(address operator => DutyStatus)) internal statuses;
    mapping(address operator => uint256) internal answers;
    mapping(uint256 epoch => bytes32) internal frozen;
    mapping(bytes32 way => bool) internal gone;
    mapping(uint32 roster => mapping(address operator => uint256)) internal intakeOwed;
    mapping(uint32 roster => uint256) internal intakeRest;
    bytes32[] internal slashes;
    /// What lies in the shard's fee account, and what its repair fund got.
    uint256 internal fees;
    uint256 internal fund;
    /// What sealers got, and what operators and their restakers did, intake included.
    mapping(address sealer => uint256) internal sealersPay;
    uint256 internal operatorsPay;
    /// What was seen to be wrong between two looks: a revert here would only undo the call.
    string public wrong;
    uint256[12] public done;

    /// Objects stand from the first call on: one that all signed, two that some did not.
    constructor() {
        _roll(shards.seedBlockOf(1, shards.rosterHead(1, 1).activeFromEpoch) + 1);
        for (uint256 i = 0; i < 3; ++i) {
            open(i, i, 3 + 2 * i);
            certify(i, i * 4);
        }
        _freeze();
    }

    // ---- time

    function pass(uint256 blocks) public {
        uint256 kind = blocks % 4;
        // The next seed block, or just past it, often.
        if (kind == 3) _roll(shards.seedBlockOf(1, shards.epochAt(1, _height()) + 1) + within(blocks, 0, 3));
        else _pass(kind == 0 ? within(blocks, 1, 3) : within(blocks, 1, 12));
        _freeze();
    }

    /// An epoch as it usually goes: sealed, answered by most, settled or reported.
    function play(uint256 who, uint256 mask, uint256 blocks) public {
        _roll(shards.seedBlockOf(1, shards.epochAt(1, _height()) + 1));
        seal(7); // a block too early
        _pass(within(blocks, 1, 5));
        _freeze();
        seal(2); // too late
        reportMiss(2, mask >> 3);
        returnVoid(2, mask >> 16);
        if (mask % 5 != 0) seal(7);
        forge(7, who, blocks, mask);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            if ((mask >> i) & 1 != 0) respond(7, i);
        }
        returnUnproven(7, mask >> 8, who); // before the deadline
        if (blocks % 3 == 0) return;
        _pass(8);
        reportMiss(7, who); // a block too early
        _pass(1);
        respond(7, who); // too late
        _freeze();
        reportMiss(7, who);
        settle(7, who);
        returnUnproven(7, mask >> 8, who);
    }

    /// Some objects are certified between the block that freezes an epoch and that epoch; some are ended before they began.
    function store(uint256 seed, uint256 matrices, uint256 epochs, uint256 absent) external {
        uint256 last = shards.seedBlockOf(1, shards.epochAt(1, _height()) + 1) - 1;
        if (seed % 5 == 0) {
            _roll(last);
            _freeze();
        }
        uint256 count = things.length;
        open(seed, matrices, epochs);
        if (things.length == count) return;
        certify(count, absent);
        if (seed % 7 == 0 && things[count].first != 0) _endAtOnce(count);
    }

    function _endAtOnce(uint256 number) private {
        (bool ended,) = address(this).call(abi.encodeCall(this.terminate, (number)));
        if (!ended) return;
    }

    /// A new term in a later bucket, once nobody can adopt any more, and what is asked of it then.
    function prolong(uint256 which, uint256 mask, uint256 blocks) external {
        extend(which, 3);
        play(which, mask | 63, blocks);
    }

    function _freeze() private {
        uint64 next = shards.firstEpochAfter(1, _height());
        for (uint64 epoch = next > 2 ? next - 2 : 1; epoch < next; ++epoch) {
            if (frozen[epoch] == 0) frozen[epoch] = _stateOf(epoch);
        }
    }

    /// When it may be taken at the earliest, after somebody's tickets changed.
    function takeRoster(uint256 who, uint256 tickets) external {
        invest(who, tickets);
        uint256 earliest = shards.rosterHead(1, shards.rosterCount(1)).snapshotBlock + LONG_TERM * EPOCH / 7 + 1;
        if (_height() < earliest) _roll(earliest);
        _freeze();
        // Refused is nothing: a revert here would take back what was noted, but not the block.
        (bool taken,) = address(members).call(abi.encodeCall(members.snapshot, (1)));
        if (taken) ++done[0];
    }

    function leave(uint256 who) external {
        if (members.membersOf(1).length > 4) _exit(_operator(1 + who % OPERATORS));
    }

    function invest(uint256 who, uint256 tickets) public {
        address operator = _operator(1 + who % OPERATORS);
        _post(operator, 1, (1 + tickets % 2) * BOND);
        _stake(operator, (1 + tickets % 2) * PRICE);
        // what was delegated earlier may count by now
        (bool counts,) = address(restaking).call(abi.encodeCall(restaking.mature, (operator, operator, address(token))));
        counts;
        if (!members.isMember(1, operator)) {
            vm.prank(operator);
            members.join(1);
        }
    }

    // ---- objects

    function open(uint256 seed, uint256 matrices, uint256 epochs) public {
        if (things.length >= MAX_THINGS) return;
        uint32 roster = shards.activeRoster(1);
        uint256 n = _ticketsOf(roster) * (1 + seed % 2);
        Thing memory thing;
        (thing.roster, thing.k, thing.n) = (roster, (n + 2) / 3, n);
        (thing.matrices, thing.term) = (1 + matrices % 3, 1 + epochs % 9);
        OpenRequest memory request;
        (request.shard, request.roster, request.width) = (1, roster, uint32(WIDTH));
        (request.k, request.n, request.matrices) = (uint32(thing.k), uint32(n), uint32(thing.matrices));
        (request.size, request.epochs, request.maxPayment) = (1, uint32(thing.term), 2 ** 90);
        bytes32[][] memory levels = _tree(things.length, n * thing.matrices);
        request.treeRoot = levels[levels.length - 1][0];
        uint256 storageFee;
        (storageFee, thing.intakeFee,) = objects.quote(request);
        vm.prank(OWNER);
        thing.id = objects.open(request);

        thing.rowFee = objects.record(thing.id).rowFee;
        thing.openedBlock = _height();
        fees += storageFee + thing.intakeFee;
        _same(storageFee, thing.rowFee * n * thing.matrices * thing.term, "what a term costs");
        numberOf[thing.id] = things.length;
        things.push(thing);
    }

    function certify(uint256 which, uint256 absent) public {
        uint256 number = which % (things.length + 1);
        if (number == things.length || things[number].over) return;
        Thing storage thing = things[number];
        RosterHead memory head = shards.rosterHead(1, thing.roster);
        uint16[] memory list = new uint16[](head.seats);
        (uint256 count, uint256 secrets, uint256 unsigned_) = (0, 0, 0);
        for (uint16 seat = 0; seat < head.seats; ++seat) {
            RosterEntry memory entry = shards.rosterEntry(1, thing.roster, seat);
            if (entry.tickets == 0) continue;
            uint256 secret = _secret(uint160(entry.operator) - 0x30000);
            bool vacant = shards.vacatedAt(1, thing.roster, entry.operator) != 0;
            // none, one, or two of them
            if (vacant || (absent % 3 != 0 && (absent / 3 % head.seats == seat || absent / 99 % head.seats == seat))) {
                list[count++] = seat;
                unsigned_ += entry.tickets;
            } else {
                secrets += secret;
            }
        }
        assembly ("memory-safe") {
            mstore(list, count)
        }
        objects.certify(thing.id, _sign(objects.certificateDigest(thing.id), secrets), list);

        ++done[1];
        _certified(number, list, unsigned_);
    }

    function _certified(uint256 number, uint16[] memory list, uint256 unsigned_) private {
        Thing storage thing = things[number];
        (thing.over, thing.first) = (true, shards.firstEpochAfter(1, _height()));
        (thing.end, thing.absent) = (thing.first + thing.term, list);
        stands[thing.roster][_bucketOf(thing.roster, thing.end)].push(Stand(number, thing.first, 0));
        uint256 signed = _ticketsOf(thing.roster) - unsigned_;
        uint256 each = thing.intakeFee / signed;
        intakeRest[thing.roster] += thing.intakeFee % signed;
        RosterHead memory head = shards.rosterHead(1, thing.roster);
        for (uint256 seat = 0; seat < head.seats; ++seat) {
            RosterEntry memory entry = shards.rosterEntry(1, thing.roster, seat);
            if (_isAbsent(number, seat, 0)) continue;
            intakeOwed[thing.roster][entry.operator] += each * entry.tickets;
        }
    }

    function fail(uint256 which) external {
        if (things.length == 0) return;
        Thing storage thing = things[which % things.length];
        bool may = !thing.over && _height() > thing.openedBlock + EPOCH;
        if (!_try(address(objects), abi.encodeCall(objects.fail, (thing.id)), may, "fails when it may")) return;

        thing.over = true;
        fees -= thing.rowFee * thing.n * thing.matrices * thing.term + thing.intakeFee;
        fund += thing.intakeFee;
    }

    function adopt(uint256 which, uint256 pick) external {
        Thing storage thing = _certifiedThing(which);
        uint64 next = shards.firstEpochAfter(1, _height());
        uint256 number = numberOf[thing.id];
        uint16[] memory absent = _absentIn(number, type(uint256).max);
        if (absent.length == 0) return;
        uint16 seat = absent[pick % absent.length];
        RosterEntry memory entry = shards.rosterEntry(1, thing.roster, seat);
        uint256 secret = _secret(uint160(entry.operator) - 0x30000);
        bytes memory signature = _sign(objects.certificateDigest(thing.id), secret);
        bool may = !thing.unsignedReturned && next <= thing.first + 1 && next < thing.end
            && shards.vacatedAt(1, thing.roster, entry.operator) == 0;
        bytes memory call = abi.encodeCall(objects.adopt, (thing.id, seat, signature, _key(secret), absent));
        if (!_try(address(objects), call, may, "adopts when it may")) return;

        ++done[2];
        adopted[number][seat] = next;
        fees -= (next - thing.first) * _feeOf(thing, entry.tickets);
    }

    function returnUnsigned(uint256 which) external {
        Thing storage thing = _certifiedThing(which);
        bool may = _unsigned(thing) != 0 && !thing.unsignedReturned && !_isAdoptable(thing);
        if (!_try(address(objects), abi.encodeCall(objects.returnUnsigned, (thing.id)), may, "returns once")) return;
        _returnUnsigned(thing);
    }

    function extend(uint256 which, uint256 epochs) public {
        Thing storage thing = _certifiedThing(which);
        epochs = 1 + epochs % 4;
        uint64 next = shards.firstEpochAfter(1, _height());
        vm.prank(OWNER);
        objects.extend(thing.id, uint32(epochs), 2 ** 90, _absentIn(numberOf[thing.id], type(uint256).max));

        ++done[3];
        _true(!thing.terminated && next <= thing.end && !_isAdoptable(thing), "I-O4: extends what may be");
        _returnUnsigned(thing);
        fees += _feeOf(thing, _ticketsOf(thing.roster) - _unsigned(thing)) * epochs;
        uint256 bucket = _bucketOf(thing.roster, thing.end);
        thing.end += epochs;
        if (bucket == _bucketOf(thing.roster, thing.end)) return;
        Stand[] storage list = stands[thing.roster][bucket];
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].thing == numberOf[thing.id] && list[i].until == 0) list[i].until = next;
        }
        stands[thing.roster][_bucketOf(thing.roster, thing.end)].push(Stand(numberOf[thing.id], next, 0));
    }

    function terminate(uint256 which) external {
        Thing storage thing = _certifiedThing(which);
        uint256 end = shards.firstEpochAfter(1, _height());
        if (end < thing.first + 1) end = thing.first + 1;
        vm.prank(OWNER);
        objects.terminate(thing.id, _absentIn(numberOf[thing.id], type(uint256).max));

        ++done[4];
        _true(end < thing.end, "terminates what is not over");
        _returnUnsigned(thing);
        fees -= _feeOf(thing, _ticketsOf(thing.roster) - _unsigned(thing)) * (thing.end - end);
        (thing.end, thing.terminated) = (end, true);
    }

    // ---- epochs

    function seal(uint256 which) public {
        uint64 epoch = _epoch(which);
        uint256 seedBlock = shards.seedBlockOf(1, epoch);
        bool may = epoch != 0 && seals[epoch].sealedBlock == 0 && _height() > seedBlock && _height() <= seedBlock + 20;
        // Every third is nobody's, and every third one operator's.
        address sealer = [address(0), _operator(1), SEALER][(which + epoch) % 3];
        bytes memory call = abi.encodeCall(audits.seal, (1, epoch, "", sealer));
        if (!_try(address(audits), call, may, "I-A1: sealed in time, once")) return;
        ++done[5];
        seals[epoch] = SealedEpoch(_height(), _height() + 8, sealer);
    }

    function respond(uint256 which, uint256 who) public {
        (uint64 epoch, address operator) = (_epoch(which), _operator(1 + who % OPERATORS));
        if (!_isSealed(epoch) || _held(epoch, operator) == 0) return;
        bool may = _height() <= seals[epoch].deadline && statuses[epoch][operator] == DutyStatus.None;
        Response memory response = _answer(epoch, operator);
        if (!_try(address(audits), abi.encodeCall(audits.respond, (response)), may, "I-A2: answers once, in time")) {
            return;
        }
        ++done[6];
        _answered(epoch, operator);
    }

    /// All who did not, in one call; who did is passed over.
    function respondMany(uint256 which) external {
        uint64 epoch = _epoch(which);
        if (!_isSealed(epoch) || _height() > seals[epoch].deadline) return;
        Response[] memory responses = new Response[](OPERATORS);
        uint256 count;
        for (uint256 i = 1; i <= OPERATORS; ++i) {
            if (_held(epoch, _operator(i)) != 0) responses[count++] = _answer(epoch, _operator(i));
        }
        assembly ("memory-safe") {
            mstore(responses, count)
        }
        _try(address(audits), abi.encodeCall(audits.respondMany, (responses)), true, "I-A2: answers of many");
        for (uint256 i = 0; i < count; ++i) {
            if (statuses[epoch][responses[i].operator] == DutyStatus.None) _answered(epoch, responses[i].operator);
        }
    }

    function _answered(uint64 epoch, address operator) private {
        statuses[epoch][operator] = DutyStatus.Answered;
        ++answers[operator];
    }

    /// An answer with one thing changed is none.
    function forge(uint256 which, uint256 who, uint256 kind, uint256 spot) public {
        (uint64 epoch, address operator) = (_epoch(which), _operator(1 + who % OPERATORS));
        if (!_isSealed(epoch) || _height() > seals[epoch].deadline || _held(epoch, operator) == 0) return;
        if (statuses[epoch][operator] != DutyStatus.None) return;
        Response memory response = _answer(epoch, operator);
        if (!_spoil(response, kind % 9, spot)) return;
        _try(address(audits), abi.encodeCall(audits.respond, (response)), false, "I-A4: a spoilt answer is none");
        ++done[7];
    }

    function _spoil(Response memory response, uint256 kind, uint256 spot) private view returns (bool) {
        if (kind == 0) return _flip(response.points, spot);
        if (kind == 1) return _flip(response.reads, spot);
        // the last 16 bytes are no part of the double's proof
        if (kind == 2) return response.proof.length != 0 && _flip(response.proof, spot % 32);
        if (kind == 3) ++response.y;
        if (kind == 4) response.operator = _operator(uint160(response.operator) - 0x30000 + 1);
        if (kind == 5) {
            if (response.siblings.length == 0) return false;
            uint256 number = spot % response.siblings.length;
            response.siblings[number] = bytes32(uint256(response.siblings[number]) ^ 1);
        }
        if (kind == 6) response.points = abi.encodePacked(response.points, _point(0, 0));
        if (kind == 7) response.reads = abi.encodePacked(response.reads, uint16(0));
        if (kind == 8) {
            // a list that isn't the object's, of one that is shown live: the operator itself on it
            if (response.points.length == 0) return false;
            (, uint256 live) = _firstLive(response);
            uint256 number = numberOf[response.objects[live].objectId];
            uint32 roster = things[number].roster;
            // where it stood before an extension it may be read as void alone: no list is asked for there
            if (_hasLeft(roster, number)) return false;
            bytes memory list = abi.encodePacked(uint16(shards.rosterIndexOf(1, roster, response.operator)));
            if (keccak256(list) == keccak256(response.nonSigners[live])) return false; // it is
            response.nonSigners[live] = list;
        }
        return true;
    }

    function _hasLeft(uint32 roster, uint256 number) private view returns (bool) {
        for (uint256 bucket = 0; bucket < 8; ++bucket) {
            Stand[] storage list = stands[roster][bucket];
            for (uint256 i = 0; i < list.length; ++i) {
                if (list[i].thing == number && list[i].until != 0) return true;
            }
        }
        return false;
    }

    function _firstLive(Response memory response) private view returns (bool, uint256) {
        for (uint256 i = 0; i < response.objects.length; ++i) {
            if (_isLive(things[numberOf[response.objects[i].objectId]], response.epoch)) return (true, i);
        }
        return (false, 0);
    }

    function reportMiss(uint256 which, uint256 who) public {
        (uint64 epoch, address operator) = (_epoch(which), _operator(1 + who % OPERATORS));
        bool may = _isReportable(epoch) && statuses[epoch][operator] == DutyStatus.None && _held(epoch, operator) != 0;
        bytes memory call = abi.encodeCall(audits.reportMiss, (1, epoch, operator));
        if (!_try(address(audits), call, may, "I-A2: reported in time, once, who has a duty")) return;
        _missed(epoch, operator);
    }

    function reportMisses(uint256 which, uint256 bits) external {
        uint64 epoch = _epoch(which);
        if (!_isReportable(epoch)) return;
        (, uint32 roster) = shards.rostersLiveIn(1, epoch);
        uint256 seats = shards.rosterHead(1, roster).seats;
        uint256[] memory words = new uint256[](1);
        words[0] = bits & ((1 << seats) - 1);
        audits.reportMisses(1, epoch, roster, words);
        for (uint256 seat = 0; seat < seats; ++seat) {
            address operator = shards.rosterEntry(1, roster, seat).operator;
            bool named = words[0] >> seat & 1 != 0;
            if (!named || statuses[epoch][operator] != DutyStatus.None || _held(epoch, operator) == 0) continue;
            _missed(epoch, operator);
        }
    }

    function _missed(uint64 epoch, address operator) private {
        ++done[8];
        statuses[epoch][operator] = DutyStatus.Missed;
        bytes32 id = restaking.slashId(1, epoch, operator);
        slashes.push(id);
        RosterPlace[] memory places = _places(epoch, operator);
        uint256 most;
        for (uint256 i = 0; i < places.length; ++i) {
            (uint256 rows,) = _signedIn(places[i], epoch);
            if (rows != 0 && places[i].tickets > most) most = places[i].tickets;
        }
        (address slashed,, uint32 roster,,, uint256 readyBlock,,) = restaking.slashOf(id);
        _true(slashed == operator && readyBlock == _height() + RESOLUTION, "I-A5: a slash is queued");
        _same(_ticketsIn(roster, operator), most, "I-A5: of the roster with most tickets");
    }

    function executeSlash(uint256 which) external {
        if (slashes.length != 0) restaking.executeSlash(slashes[which % slashes.length]);
    }

    // ---- money

    function settle(uint256 which, uint256 who) public {
        (uint64 epoch, address operator) = (_epoch(which), _operator(1 + who % OPERATORS));
        bytes32 way = keccak256(abi.encode("settled", epoch, operator));
        bool may = statuses[epoch][operator] == DutyStatus.Answered && !gone[way];
        bytes memory call = abi.encodeCall(rewards.settle, (1, epoch, operator));
        if (!_try(address(rewards), call, may, "I-W2: settled once, who answered")) return;

        ++done[9];
        gone[way] = true;
        RosterPlace[] memory places = _places(epoch, operator);
        uint256 amount;
        for (uint256 i = 0; i < places.length; ++i) {
            (, uint256 fee) = _signedIn(places[i], epoch);
            amount += fee;
        }
        fees -= amount;
        address sealer = seals[epoch].sealer;
        uint256 part = sealer == address(0) ? 0 : amount / 200;
        sealersPay[sealer] += part;
        operatorsPay += amount - part;
    }

    function returnUnproven(uint256 which, uint256 what, uint256 who) public {
        (uint64 epoch, address operator) = (_epoch(which), _operator(1 + who % OPERATORS));
        Thing storage thing = _liveThing(what, epoch);
        if (!shards.isInRoster(1, thing.roster, operator)) return;
        bytes32 way = keccak256(abi.encode("unproven", thing.id, epoch, operator));
        bool may = _isUnproven(thing, epoch, operator) && !gone[way];
        uint16[] memory absent = _absentIn(numberOf[thing.id], epoch);
        bytes memory call = abi.encodeCall(rewards.returnUnproven, (thing.id, epoch, operator, absent));
        if (!_try(address(rewards), call, may, "I-W2: returned once, what is unproven")) return;

        ++done[10];
        _try(address(rewards), call, false, "I-W2: what is unproven goes back once");
        gone[way] = true;
        uint256 fee = _feeOf(thing, _ticketsIn(thing.roster, operator));
        (fees, fund) = (fees - fee, fund + fee - fee * 6000 / BPS);
    }

    /// Whether a signer's rows of an object will never be proven for an epoch that was sealed.
    function _isUnproven(Thing storage thing, uint64 epoch, address operator) private view returns (bool) {
        uint256 seat = shards.rosterIndexOf(1, thing.roster, operator);
        bool signed = _isLive(thing, epoch) && !_isAbsent(numberOf[thing.id], seat, epoch);
        if (!_isSealed(epoch) || !signed) return false;
        uint256 vacated = shards.vacatedAt(1, thing.roster, operator);
        if (vacated != 0 && vacated <= shards.frozenBlockOf(1, epoch)) return true;
        return _height() > seals[epoch].deadline && statuses[epoch][operator] != DutyStatus.Answered;
    }

    function returnVoid(uint256 which, uint256 what) public {
        uint64 epoch = _epoch(which);
        Thing storage thing = _liveThing(what, epoch);
        uint256 number = numberOf[thing.id];
        bytes32 way = keccak256(abi.encode("void", thing.id, epoch));
        bool may = epoch != 0 && !_isSealed(epoch) && _height() > shards.seedBlockOf(1, epoch) + 20
            && _isLive(thing, epoch) && !gone[way];
        bytes memory call = abi.encodeCall(rewards.returnVoid, (thing.id, epoch, _absentIn(number, epoch)));
        if (!_try(address(rewards), call, may, "I-W2: returned once, what is void")) return;

        ++done[11];
        _try(address(rewards), call, false, "I-W2: what is void goes back once");
        gone[way] = true;
        uint256 tickets = _ticketsOf(thing.roster);
        uint16[] memory absent = _absentIn(number, epoch);
        for (uint256 i = 0; i < absent.length; ++i) {
            tickets -= shards.rosterEntry(1, thing.roster, absent[i]).tickets;
        }
        fees -= _feeOf(thing, tickets);
    }

    function claimIntake(uint256 who, uint256 which) external {
        uint32 roster = uint32(1 + which % shards.rosterCount(1));
        address operator = _operator(1 + who % OPERATORS);
        (uint256 owed, uint256 rest) = (intakeOwed[roster][operator], intakeRest[roster]);
        bytes memory call = abi.encodeCall(rewards.claimIntake, (1, roster, operator));
        bool may = shards.isInRoster(1, roster, operator) && (owed != 0 || rest != 0);
        if (!_try(address(rewards), call, may, "what signers earn at intake")) return;
        (fees, fund) = (fees - owed - rest, fund + rest);
        operatorsPay += owed;
        (intakeOwed[roster][operator], intakeRest[roster]) = (0, 0);
    }

    // ---- what is always true

    function check() external view {
        require(bytes(wrong).length == 0, wrong);
        // The epoch before, this one, the next, and one further off; of operators and of what is frozen some, by turns.
        uint256 turn = uint256(keccak256(abi.encode(_height(), fees, slashes.length)));
        uint64 epoch = shards.epochAt(1, _height());
        if (epoch > 1) _checkEpoch(epoch - 1, turn);
        if (epoch > 0) _checkEpoch(epoch, turn >> 8);
        _checkEpoch(epoch + 1, turn >> 16);
        _checkEpoch(uint64(turn % 2 == 0 || epoch < 4 ? epoch + 3 : epoch - 3), turn >> 24);
        for (uint256 i = 1; i <= OPERATORS; ++i) {
            equal(audits.answeredCount(_operator(i)), answers[_operator(i)], "I-A2: answers are counted");
        }
        address token = address(bondToken);
        equal(payments.balanceOf(token, rewards.feeAccount(1)), fees, "I-W1: the fee account, to the unit");
        equal(payments.balanceOf(token, rewards.repairAccount(1)), fund, "I-W1: the repair fund");
        equal(payments.claimable(token, SEALER), sealersPay[SEALER], "I-W4: what a sealer is paid, to the unit");
        equal(payments.claimable(token, address(0)), 0, "I-W4: nobody's part is nobody's");
        equal(_paid(token), operatorsPay + sealersPay[_operator(1)], "I-W4: the rest is the operators' and restakers'");
    }

    /// What lies in the accounts of operators and of their restakers.
    function _paid(address token) private view returns (uint256 sum) {
        IRestakerRewards books = restaking.restakerRewards();
        for (uint256 i = 1; i <= OPERATORS; ++i) {
            sum += payments.claimable(token, _operator(i));
        }
        sum += payments.balanceOf(token, payments.moduleAccount(address(books), books.BOOKED_KEY()));
        sum += payments.balanceOf(token, payments.moduleAccount(address(books), books.INBOX_KEY()));
    }

    function _checkEpoch(uint64 epoch, uint256 turn) private view {
        _checkSealing(epoch);
        _checkSums(epoch, turn);
        if (turn % 4 == 0) _checkFrozen(epoch);
    }

    function _checkSealing(uint64 epoch) private view {
        (bytes32 seed, uint256 sealedBlock, uint256 deadline) = audits.seedOf(1, epoch);
        equal(sealedBlock, seals[epoch].sealedBlock, "I-A1: when it was sealed");
        yes(audits.sealerOf(1, epoch) == seals[epoch].sealer, "I-A6: who sealed it, from then on");
        equal(deadline, seals[epoch].deadline, "I-A1: its deadline");
        if (sealedBlock == 0) yes(seed == 0, "I-A1: no seed before");
        uint256 seedBlock = shards.seedBlockOf(1, epoch);
        yes(
            audits.isVoid(1, epoch) == (sealedBlock == 0 && _height() > seedBlock + 20),
            "I-A1: void is not sealed in time"
        );
        if (sealedBlock != 0) {
            equal(uint256(seed), uint256(keccak256(abi.encode("seed", seedBlock))), "I-A1: the seed block's seed");
        }
    }

    /// Sums of the contracts against rows one by one.
    function _checkSums(uint64 epoch, uint256 turn) private view {
        for (uint256 i = 1; i <= OPERATORS; ++i) {
            address operator = _operator(i);
            yes(audits.statusOf(1, epoch, operator) == statuses[epoch][operator], "I-A2: nobody else changes a status");
            if (turn % 3 != i % 3) continue;
            uint256 held = _held(epoch, operator);
            equal(audits.heldRows(1, epoch, operator), held, "I-O1: rows that an operator holds");
            if (_isSealed(epoch) && held != 0) _checkDraw(epoch, operator, held);
        }
        (uint32 first, uint32 last) = shards.rostersLiveIn(1, epoch);
        for (uint32 roster = first; roster <= last; ++roster) {
            (uint256 rows, uint256 fee) = (0, 0);
            for (uint256 t = 0; t < things.length; ++t) {
                if (things[t].roster != roster || !_isLive(things[t], epoch)) continue;
                uint256 each = _rowsOfTicket(things[t], 0);
                (rows, fee) = (rows + each, fee + each * things[t].rowFee);
            }
            Tally memory tally = objects.tally(1, roster, epoch);
            equal(tally.rows, rows, "I-O1: live rows of a ticket");
            equal(tally.fee, fee, "I-O1: their fee");
        }
    }

    function _checkDraw(uint64 epoch, address operator, uint256 held) private view {
        (bytes32 context, uint256 rows, uint256 samples, uint256[] memory positions) = audits.draw(1, epoch, operator);
        (uint256 walked,) = _walk(epoch, operator, type(uint256).max);
        equal(rows, walked, "I-A3: positions of a snapshot");
        equal(samples, held < SAMPLES ? held : SAMPLES, "I-A3: how many are asked");
        equal(uint256(context), uint256(_context(epoch, operator)), "I-A3: the draw's context");
        equal(positions.length, 4 * samples, "I-A3: how many are read at most");
        for (uint256 i = 0; i < positions.length; ++i) {
            equal(positions[i], _position(context, walked, samples, i), "I-A3: where they lie");
        }
    }

    /// What is asked of an epoch is as it was when it froze.
    function _checkFrozen(uint64 epoch) private view {
        if (frozen[epoch] != 0) yes(frozen[epoch] == _stateOf(epoch), "I-O3: what is frozen never changes");
    }

    /// A roster that came since lists nothing in the epoch, and is left out.
    function _stateOf(uint64 epoch) private view returns (bytes32) {
        (uint32 first, uint32 last) = shards.rostersLiveIn(1, epoch);
        bytes memory all = "state";
        for (uint32 roster = first; roster <= last; ++roster) {
            uint64[] memory listed = objects.listedRows(1, roster, epoch);
            uint256 rows;
            for (uint256 i = 0; i < listed.length; ++i) {
                rows += listed[i];
            }
            if (rows == 0) continue;
            all = abi.encodePacked(all, abi.encode(roster, listed, objects.tally(1, roster, epoch)));
            for (uint256 i = 1; i <= OPERATORS; ++i) {
                all = abi.encodePacked(all, abi.encode(objects.excludedTally(1, roster, _operator(i), epoch)));
                all = abi.encodePacked(all, abi.encode(audits.heldRows(1, epoch, _operator(i))));
            }
        }
        return keccak256(all);
    }

    // ---- helpers

    /// Makes a call, which must succeed or fail as said.
    function _try(address target, bytes memory call, bool may, string memory what) private returns (bool success) {
        (success,) = target.call(call);
        if (success != may) wrong = what;
    }

    function _same(uint256 got, uint256 expected, string memory what) private {
        _true(got == expected, what);
    }

    function _true(bool condition, string memory what) private {
        if (!condition) wrong = what;
    }

    function _flip(bytes memory data, uint256 spot) private pure returns (bool) {
        if (data.length == 0) return false;
        data[spot % data.length] ^= 0x01;
        return true;
    }

    /// This epoch, mostly, or one of the two before, or the next.
    function _epoch(uint256 which) private view returns (uint64) {
        uint64 epoch = shards.epochAt(1, _height());
        uint256 kind = which % 8;
        if (kind == 0) return epoch + 1;
        if (kind == 1 && epoch > 1) return epoch - 2;
        return kind < 5 && epoch > 0 ? epoch - 1 : epoch;
    }

    function _certifiedThing(uint256 which) private view returns (Thing storage) {
        require(things.length != 0, "none");
        for (uint256 i = 0; i < things.length; ++i) {
            Thing storage thing = things[(which + i) % things.length];
            if (thing.first != 0) return thing;
        }
        revert("none");
    }

    /// One that lives in the epoch, mostly; else any.
    function _liveThing(uint256 which, uint64 epoch) private view returns (Thing storage) {
        if (which % 5 != 0) {
            for (uint256 i = 0; i < things.length; ++i) {
                Thing storage thing = things[(which + i) % things.length];
                if (_isLive(thing, epoch)) return thing;
            }
        }
        return _certifiedThing(which);
    }

    function _isSealed(uint64 epoch) private view returns (bool) {
        return seals[epoch].sealedBlock != 0;
    }

    function _isReportable(uint64 epoch) private view returns (bool) {
        uint256 deadline = seals[epoch].deadline;
        return _isSealed(epoch) && _height() > deadline && _height() <= deadline + 10;
    }

    function _isAdoptable(Thing storage thing) private view returns (bool) {
        uint64 next = shards.firstEpochAfter(1, _height());
        return !thing.unsignedReturned && _unsigned(thing) != 0 && next <= thing.first + 1 && next < thing.end;
    }

    /// Tickets whose holders have not signed.
    function _unsigned(Thing storage thing) private view returns (uint256 tickets) {
        uint16[] memory absent = _absentIn(numberOf[thing.id], type(uint256).max);
        for (uint256 i = 0; i < absent.length; ++i) {
            tickets += shards.rosterEntry(1, thing.roster, absent[i]).tickets;
        }
    }

    function _returnUnsigned(Thing storage thing) private {
        uint256 tickets = _unsigned(thing);
        if (thing.unsignedReturned || tickets == 0) return;
        thing.unsignedReturned = true;
        fees -= _feeOf(thing, tickets) * (thing.end - thing.first);
    }

    /// Fee of so many tickets' rows for an epoch.
    function _feeOf(Thing memory thing, uint256 tickets) private view returns (uint256) {
        return thing.n / _ticketsOf(thing.roster) * thing.matrices * tickets * thing.rowFee;
    }

    function _ticketsIn(uint32 roster, address operator) private view returns (uint256) {
        return shards.rosterEntry(1, roster, shards.rosterIndexOf(1, roster, operator)).tickets;
    }

    function _sign(bytes32 digest, uint256 secrets) private view returns (bytes memory signature) {
        Bls12381.G1 memory point =
            Bls12381.hashToG1(abi.encodePacked(digest), "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_");
        bool valid;
        (valid, signature) = address(0x0c).staticcall(abi.encodePacked(abi.encode(point), secrets));
        yes(valid && signature.length == 128, "precompile");
    }
}
