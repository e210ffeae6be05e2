// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {IOpeningVerifier} from "../../contracts/interfaces/IOpeningVerifier.sol";
import {IPayments} from "../../contracts/interfaces/IPayments.sol";
import {IRandomness} from "../../contracts/interfaces/IRandomness.sol";
import {Bls12381} from "../../contracts/libraries/Bls12381.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {Tags} from "../../contracts/libraries/Tags.sol";
import {FlatPricing} from "../../contracts/modules/FlatPricing.sol";
import {Rewards} from "../../contracts/rewards/Rewards.sol";
import {Audits} from "../../contracts/storage/Audits.sol";
import {Objects} from "../../contracts/storage/Objects.sol";
import {ObjectWitness, Response, RosterHead, RosterPlace, ShardParameters} from "../../contracts/types/Types.sol";
import {Network} from "./Network.sol";

/// @notice Accepts a proof that names all that is opened: points in their order, weights, point, value.
contract OpeningDouble is IOpeningVerifier {
    function verifyFold(bytes calldata points, uint256[] calldata weights, uint256 z, uint256 y, bytes calldata proof)
        external
        pure
        returns (bool)
    {
        return bytes32(proof[:32]) == keccak256(abi.encode(points, weights, z, y));
    }
}

/// @notice Each block's random value is the hash of its number.
contract SeedDouble is IRandomness {
    function reveal(uint256 blockNumber, bytes calldata) external pure returns (bytes32) {
        return valueOf(blockNumber);
    }

    function valueOf(uint256 blockNumber) public pure returns (bytes32) {
        return keccak256(abi.encode("seed", blockNumber));
    }

    function timeOf(uint256) external pure returns (uint256) {
        return 1;
    }

    function isRevealed(uint256) external pure returns (bool) {
        return true;
    }

    function scheme() external pure returns (bytes32) {
        return "double";
    }
}

/// @title AuditsModel
/// @notice Objects, Audits and Rewards, real, with what is stored and asked by definition: each object's rows one by one, in the order of IAudits,
/// without any of the contracts' sums.
abstract contract AuditsModel is Network {
    /// Where an object stands in a bucket, and from which epoch to before which it is live there (0: until its end).
    struct Stand {
        uint256 thing;
        uint256 from;
        uint256 until;
    }

    struct Thing {
        bytes32 id;
        uint32 roster;
        uint256 k;
        uint256 n;
        uint256 matrices;
        uint256 term;
        uint256 rowFee;
        uint256 intakeFee;
        uint256 openedBlock;
        bool over; // certified or failed
        // 0: not certified
        uint256 first;
        uint256 end;
        bool unsignedReturned;
        bool terminated;
        // ascending; a seat that adopted counts as a signer from an epoch on
        uint16[] absent;
    }

    /// What a position of a snapshot turns out to be.
    struct Found {
        uint256 thing;
        uint256 slice;
        bool live;
    }

    uint32 internal constant LONG_TERM = 20;
    uint256 internal constant BUCKETS = 8;
    uint256 internal constant SAMPLES = 4;
    uint256 internal constant WIDTH = 64;
    uint256 internal constant OPERATORS = 6;
    address internal constant OWNER = address(0x0c0ffee);

    Objects internal objects;
    Audits internal audits;
    Rewards internal rewards;
    IPayments internal payments;

    Thing[] internal things;
    mapping(uint256 thing => mapping(uint256 seat => uint256 epoch)) internal adopted;
    mapping(uint32 roster => mapping(uint256 bucket => Stand[])) internal stands;
    mapping(bytes32 id => uint256) internal numberOf;

    constructor() {
        IDirectory directory = IDirectory(address(desk));
        // From what was compiled last: a handler this large isn't compiled anew when only a contract changes (`make mutants`).
        bytes memory arguments = abi.encode(directory);
        address changes = vm.deployCode("ObjectChanges.sol:ObjectChanges", arguments);
        objects = Objects(vm.deployCode("Objects.sol:Objects", abi.encode(directory, changes)));
        audits = Audits(vm.deployCode("Audits.sol:Audits", arguments));
        rewards = Rewards(vm.deployCode("Rewards.sol:Rewards", arguments));
        payments = IPayments(desk.module(ModuleNames.PAYMENTS));
        desk.set(ModuleNames.OBJECTS, address(objects));
        desk.set(ModuleNames.AUDITS, address(audits));
        desk.set(ModuleNames.REWARDS, address(rewards));
        desk.set(ModuleNames.PRICING, address(new FlatPricing()));
        desk.set(ModuleNames.OPENING_VERIFIER, address(new OpeningDouble()));
        desk.set(ModuleNames.RANDOMNESS, address(new SeedDouble()));
        for (uint256 i = 1; i <= OPERATORS; ++i) {
            _enroll(i, 2);
        }
        members.snapshot(1);
        bondToken.mint(OWNER, 2 ** 100);
        vm.prank(OWNER);
        bondToken.approve(address(payments), type(uint256).max);
    }

    /// Buckets of three epochs, as rosters live for up to 19.
    function _terms() internal view override returns (ShardParameters memory p) {
        p = super._terms();
        (p.termEpochs, p.samples, p.pricePerByteEpochWad, p.intakePricePerByteWad) = (LONG_TERM, 4, 123e15, 1e14);
    }

    // ---- what is stored

    function _point(uint256 thing, uint256 slice) internal pure returns (bytes memory) {
        bytes32 hash = keccak256(abi.encode(thing, slice));
        return abi.encodePacked(hash, hash, hash);
    }

    /// All levels of an object's tree, the leaves first.
    function _tree(uint256 thing, uint256 count) internal pure returns (bytes32[][] memory levels) {
        uint256 depth;
        while (1 << depth < count) ++depth;
        levels = new bytes32[][](depth + 1);
        levels[0] = new bytes32[](1 << depth);
        for (uint256 i = 0; i < count; ++i) {
            levels[0][i] = keccak256(abi.encodePacked(bytes1(0x00), uint64(i), _point(thing, i)));
        }
        for (uint256 level = 1; level <= depth; ++level) {
            levels[level] = new bytes32[](levels[level - 1].length / 2);
            for (uint256 i = 0; i < levels[level].length; ++i) {
                levels[level][i] =
                    keccak256(abi.encodePacked(bytes1(0x01), levels[level - 1][2 * i], levels[level - 1][2 * i + 1]));
            }
        }
    }

    function _paramsHash(Thing memory thing) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                uint32(WIDTH),
                uint32(thing.k),
                uint32(thing.n),
                uint32(thing.matrices),
                uint64(1),
                bytes32(0),
                bytes32(0)
            )
        );
    }

    function _isAbsent(uint256 thing, uint256 seat, uint256 epoch) internal view returns (bool) {
        uint16[] memory absent = things[thing].absent;
        for (uint256 i = 0; i < absent.length; ++i) {
            if (absent[i] == seat) return adopted[thing][seat] == 0 || epoch < adopted[thing][seat];
        }
        return false;
    }

    /// Who did not sign, as it counts in an epoch.
    function _absentIn(uint256 thing, uint256 epoch) internal view returns (uint16[] memory list) {
        uint16[] memory absent = things[thing].absent;
        list = new uint16[](absent.length);
        uint256 count;
        for (uint256 i = 0; i < absent.length; ++i) {
            if (_isAbsent(thing, absent[i], epoch)) list[count++] = absent[i];
        }
        assembly ("memory-safe") {
            mstore(list, count)
        }
    }

    function _isLive(Thing memory thing, uint256 epoch) internal pure returns (bool) {
        return thing.first != 0 && thing.first <= epoch && epoch < thing.end;
    }

    function _ticketsOf(uint32 roster) internal view returns (uint256) {
        return shards.rosterHead(1, roster).tickets;
    }

    /// Rows of an object that one ticket holds: counted, row by row.
    function _rowsOfTicket(Thing memory thing, uint256 ticket) internal view returns (uint256 count) {
        uint256 tickets = _ticketsOf(thing.roster);
        for (uint256 row = 0; row < thing.n; ++row) {
            if ((uint256(keccak256(abi.encode(thing.id))) % tickets + row) % tickets == ticket) {
                count += thing.matrices;
            }
        }
    }

    function _bucketOf(uint32 roster, uint256 end) internal view returns (uint256) {
        (uint256 from, uint256 length) = _bucketsOf(roster);
        return (end - 1 - from) / length;
    }

    /// First epoch and length of a roster's buckets.
    function _bucketsOf(uint32 roster) internal view returns (uint256 from, uint256 length) {
        RosterHead memory head = shards.rosterHead(1, roster);
        return (head.activeFromEpoch, (head.endEpoch - head.activeFromEpoch + BUCKETS - 1) / BUCKETS);
    }

    // ---- what is asked

    /// An operator's places that count in an epoch.
    function _places(uint64 epoch, address operator) internal view returns (RosterPlace[] memory places) {
        (uint32 first, uint32 last) = shards.rostersLiveIn(1, epoch);
        places = new RosterPlace[](0);
        if (first > last) return places;
        places = shards.placesFrom(1, first, last, operator);
        uint256 count;
        for (uint256 i = 0; i < places.length; ++i) {
            uint256 vacated = places[i].vacatedBlock;
            if (places[i].slasher != address(audits)) continue;
            if (vacated != 0 && vacated <= shards.frozenBlockOf(1, epoch)) continue;
            places[count++] = places[i];
        }
        assembly ("memory-safe") {
            mstore(places, count)
        }
    }

    /// Live rows that the operator signed for.
    function _held(uint64 epoch, address operator) internal view returns (uint256 rows) {
        RosterPlace[] memory places = _places(epoch, operator);
        for (uint256 i = 0; i < places.length; ++i) {
            (uint256 more,) = _signedIn(places[i], epoch);
            rows += more;
        }
    }

    /// Rows that an operator signed in one roster and that live in the epoch, and their fee.
    function _signedIn(RosterPlace memory place, uint64 epoch) internal view returns (uint256 rows, uint256 fee) {
        for (uint256 t = 0; t < things.length; ++t) {
            Thing memory thing = things[t];
            if (thing.roster != place.roster || !_isLive(thing, epoch) || _isAbsent(t, place.seat, epoch)) continue;
            uint256 each = thing.n / place.rosterTickets * thing.matrices * place.tickets;
            (rows, fee) = (rows + each, fee + each * thing.rowFee);
        }
    }

    /// A walk through a snapshot: where it is, how far it has to go, and what lies there.
    struct Walk {
        uint64 epoch;
        RosterPlace place;
        uint256 ticket;
        uint256 bucket;
        uint256 left;
        uint256 passed;
        bool here;
        Found found;
    }

    /// Walks an operator's snapshot in an epoch, entry by entry, and stops at `position`; beyond the last one it has passed all.
    function _walk(uint64 epoch, address operator, uint256 position) internal view returns (uint256, Found memory) {
        Walk memory walk;
        (walk.epoch, walk.left) = (epoch, position);
        RosterPlace[] memory places = _places(epoch, operator);
        for (uint256 p = 0; p < places.length; ++p) {
            walk.place = places[p];
            (uint256 from, uint256 length) = _bucketsOf(places[p].roster);
            for (uint256 i = 0; i < places[p].tickets; ++i) {
                walk.ticket = places[p].firstTicket + i;
                for (walk.bucket = 0; walk.bucket < BUCKETS; ++walk.bucket) {
                    if (epoch >= from + (walk.bucket + 1) * length) continue;
                    _walkBucket(walk);
                    if (walk.here) return (position, walk.found);
                }
            }
        }
        return (walk.passed, walk.found);
    }

    function _walkBucket(Walk memory walk) private view {
        Stand[] storage list = stands[walk.place.roster][walk.bucket];
        for (uint256 i = 0; i < list.length; ++i) {
            Stand memory stand = list[i];
            if (stand.from > walk.epoch) continue;
            Thing memory thing = things[stand.thing];
            uint256 rows = thing.n / walk.place.rosterTickets * thing.matrices;
            if (walk.left >= rows) {
                (walk.left, walk.passed) = (walk.left - rows, walk.passed + rows);
                continue;
            }
            uint256 until = stand.until == 0 ? thing.end : stand.until;
            bool live = walk.epoch < until && !_isAbsent(stand.thing, walk.place.seat, walk.epoch);
            walk.found = Found(stand.thing, _slice(thing, walk.ticket, walk.left), live);
            walk.here = true;
            return;
        }
    }

    /// The `number`th slice of a ticket in an object: matrix by matrix, row by row.
    function _slice(Thing memory thing, uint256 ticket, uint256 number) private view returns (uint256) {
        uint256 tickets = _ticketsOf(thing.roster);
        uint256 offset = uint256(keccak256(abi.encode(thing.id))) % tickets;
        for (uint256 slice = 0; slice < thing.n * thing.matrices; ++slice) {
            if ((offset + slice % thing.n) % tickets != ticket) continue;
            if (number == 0) return slice;
            --number;
        }
        revert NotTrue("no such slice");
    }

    function _context(uint64 epoch, address operator) internal view returns (bytes32) {
        bytes32 seed = keccak256(abi.encode("seed", shards.seedBlockOf(1, epoch)));
        return keccak256(abi.encode(Tags.CHALLENGE, block.chainid, address(audits), uint32(1), epoch, seed, operator));
    }

    function _position(bytes32 context, uint256 rows, uint256 samples, uint256 index) internal pure returns (uint256) {
        if (index >= samples) return uint256(keccak256(abi.encode(context, uint256(3), index - samples))) % rows;
        uint256 begin = index * rows / samples;
        uint256 length = (index + 1) * rows / samples - begin;
        return begin + uint256(keccak256(abi.encode(context, uint256(0), index))) % length;
    }

    // ---- answers

    /// What an answer is made of as it is drawn.
    struct Draft {
        bytes32 context;
        uint256 rows;
        uint256 samples;
        uint256 read;
        uint256 live;
        uint256 shown;
        uint256[] objects;
        bytes transcript;
        bytes points;
        bytes reads;
        bytes siblings;
        // of each object shown: the slice shown last, plus one
        uint256[] last;
    }

    /// The answer that IAudits asks for, made from the objects' rows one by one.
    function _answer(uint64 epoch, address operator) internal view returns (Response memory response) {
        Draft memory draft;
        (draft.rows,) = _walk(epoch, operator, type(uint256).max);
        uint256 held = _held(epoch, operator);
        draft.samples = held < SAMPLES ? held : SAMPLES;
        draft.context = _context(epoch, operator);
        (draft.objects, draft.last) = (new uint256[](4 * SAMPLES), new uint256[](4 * SAMPLES));
        while (draft.live < draft.samples && draft.read < 4 * draft.samples) {
            uint256 position = _position(draft.context, draft.rows, draft.samples, draft.read++);
            (, Found memory found) = _walk(epoch, operator, position);
            _show(draft, found);
        }
        (response.shard, response.epoch, response.operator) = (1, epoch, operator);
        _fill(response, draft, epoch);
    }

    function _show(Draft memory draft, Found memory found) private view {
        uint256 number;
        while (number < draft.shown && draft.objects[number] != found.thing) ++number;
        if (number == draft.shown) draft.objects[draft.shown++] = found.thing;
        draft.reads = abi.encodePacked(draft.reads, uint16(number));
        if (!found.live) return;

        bytes memory point = _point(found.thing, found.slice);
        draft.points = abi.encodePacked(draft.points, point);
        draft.transcript = abi.encodePacked(draft.transcript, things[found.thing].id, uint64(found.slice), point);
        draft.siblings = abi.encodePacked(draft.siblings, _path(found, draft.last[number]));
        draft.last[number] = found.slice + 1;
        ++draft.live;
    }

    /// Siblings of a slice up to where its path meets that of the one shown before.
    function _path(Found memory found, uint256 last) private view returns (bytes memory path) {
        bytes32[][] memory levels = _tree(found.thing, things[found.thing].n * things[found.thing].matrices);
        uint256 index = found.slice;
        for (uint256 level = 0; level + 1 < levels.length; ++level) {
            // the same node, or brothers: nothing more to show
            if (last != 0 && (last - 1) >> (level + 1) == found.slice >> (level + 1)) break;
            path = abi.encodePacked(path, levels[level][index ^ 1]);
            index >>= 1;
        }
    }

    function _fill(Response memory response, Draft memory draft, uint64 epoch) private view {
        response.objects = new ObjectWitness[](draft.shown);
        response.nonSigners = new bytes[](draft.shown);
        for (uint256 i = 0; i < draft.shown; ++i) {
            Thing memory thing = things[draft.objects[i]];
            response.objects[i] = ObjectWitness(thing.id, _paramsHash(thing));
            uint16[] memory absent = _absentIn(draft.objects[i], epoch);
            for (uint256 j = 0; j < absent.length; ++j) {
                response.nonSigners[i] = abi.encodePacked(response.nonSigners[i], absent[j]);
            }
        }
        (response.reads, response.points) = (draft.reads, draft.points);
        response.siblings = new bytes32[](draft.siblings.length / 32);
        for (uint256 i = 0; i < response.siblings.length; ++i) {
            bytes memory siblings = draft.siblings;
            bytes32 sibling;
            assembly ("memory-safe") {
                sibling := mload(add(add(siblings, 32), mul(i, 32)))
            }
            response.siblings[i] = sibling;
        }
        if (draft.live == 0) return;

        bytes32 bound = keccak256(draft.transcript);
        uint256[] memory weights = new uint256[](draft.live);
        for (uint256 j = 0; j < draft.live; ++j) {
            weights[j] = j == 0
                ? 1
                : uint256(keccak256(abi.encode(draft.context, uint256(2), bound, j))) % Bls12381.SCALAR_MODULUS;
        }
        uint256 z = uint256(keccak256(abi.encode(draft.context, uint256(1), bound))) % Bls12381.SCALAR_MODULUS;
        response.y = uint256(bound) >> 8;
        response.proof = abi.encodePacked(keccak256(abi.encode(draft.points, weights, z, response.y)), bytes16(0));
    }
}
