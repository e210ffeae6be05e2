// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {IEarningSource} from "../../contracts/interfaces/IEarningSource.sol";
import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {MoodyToken} from "../../contracts/mocks/MoodyToken.sol";
import {RebasingToken} from "../../contracts/mocks/RebasingToken.sol";
import {Payments} from "../../contracts/rewards/Payments.sol";
import {Test} from "./Test.sol";
import {Desk} from "./World.sol";

/// @notice A source that books nothing, or fails, as it is told.
contract Source is IEarningSource {
    function settleFor(address, bytes calldata what) external pure {
        require(what.length == 0, "nothing");
    }
}

/// @title MoneyHandler
/// @notice All that two modules, three persons, a governor and strangers can do with Payments in three tokens (an honest one, one of any mood, one that
/// rebases), at any time and in any order; what can't be done reverts and changes nothing. Beside it stands what each stream is by definition.
contract MoneyHandler is Test {
    struct Stream {
        uint256 amount;
        uint256 start;
        uint256 end;
        uint256 opened;
        // 0: not stopped
        uint256 stopped;
    }

    /// What a book is by definition: its streams, and sums of units.
    struct Ghost {
        Stream[] streams;
        uint256 paidIn;
        uint256 held;
        uint256 added;
        uint256 returned;
        uint256 settled;
        uint256 settledTo;
        // when anything was opened, stopped or earned last: a change of beneficiary before that is made before that
        uint256 touched;
        uint32 era;
    }

    uint256 internal constant DAY = 1 days;
    uint256 internal constant BITS = 40;
    uint256 internal constant TOKENS = 3;
    uint256 internal constant MODULES = 2;
    uint256 internal constant MAX_STREAMS = 24;
    bytes32 internal constant KEY = "book";
    bytes32 internal constant LATE = "late";
    bytes32 internal constant UPSTREAM = bytes32(uint256(0xa00));
    address internal constant TREASURY = address(0x7eea5);
    address internal constant STRANGER = address(0x57a);

    Payments internal payments;
    Desk internal desk;
    MintableToken[TOKENS] internal tokens;
    MoodyToken internal moody;
    RebasingToken internal rebasing;
    Source internal source;
    address[3] internal people = [address(0x1001), address(0x1002), address(0x1003)];
    address[MODULES] internal modules = [address(0x3001), address(0x3002)];

    mapping(uint256 token => mapping(uint256 module => Ghost)) private _ghosts;
    /// Per token: what came in and what claims sent, as the ledger was told.
    uint256[TOKENS] internal arrived;
    uint256[TOKENS] internal sent;
    /// What each account should hold.
    mapping(uint256 token => mapping(bytes32 account => uint256)) internal owed;
    uint256 internal feeBps;
    uint256 internal nextFeeBps;
    uint256 internal nextFeeFrom;
    uint256 internal clock = 20_000 * DAY + 12_345;
    /// What was seen to be wrong between two looks: a revert here would only undo the call.
    string public wrong;
    uint256 public opened;
    uint256 public stoppedEarly;
    uint256 public settlements;
    uint256 public handovers;
    uint256 public refused;

    constructor() {
        desk = new Desk();
        payments = new Payments(IDirectory(address(desk)));
        source = new Source();
        for (uint256 m = 0; m < MODULES; ++m) {
            desk.set(bytes32(m + 1), modules[m]);
        }
        desk.set("source", address(source));
        moody = new MoodyToken();
        rebasing = new RebasingToken();
        (tokens[0], tokens[1], tokens[2]) = (new MintableToken(), moody, rebasing);
        for (uint256 t = 0; t < TOKENS; ++t) {
            for (uint256 p = 0; p < people.length; ++p) {
                tokens[t].mint(people[p], 2 ** 120);
                vm.prank(people[p]);
                tokens[t].approve(address(payments), type(uint256).max);
            }
        }
        vm.warp(clock);
    }

    // ---- time

    function pass(uint256 time) external {
        uint256 span = time % 5;
        clock += span == 0 ? within(time, 0, 100) : span < 3 ? within(time, 0, DAY) : within(time, 0, 40 * DAY);
        // midnight itself, often
        if (time % 7 == 0) clock = (clock / DAY + 1) * DAY;
        vm.warp(clock);
    }

    // ---- books

    function open(uint256 m, uint256 t, uint256 who, uint256 held, uint256 amount, uint256 length, uint256 ahead)
        external
    {
        Ghost storage ghost = _open(m, t);
        if (ghost.streams.length >= MAX_STREAMS) return;
        held = held % 3 == 0 ? 0 : within(held, 0, 1e24);
        amount = _amount(amount);
        uint256 start = clock + (ahead % 3 == 0 ? within(ahead, 0, 3 * DAY) : 0);
        uint256 end = start + _length(length);
        vm.prank(modules[m % MODULES]);
        payments.openStream(_token(t), people[who % 3], KEY, ghost.era, held, amount, start, end);

        ++opened;
        arrived[t % TOKENS] += held + amount;
        ghost.paidIn += held + amount;
        ghost.held += held;
        if (amount != 0) ghost.streams.push(Stream(amount, start, end, clock, 0));
    }

    function start(uint256 m, uint256 t, uint256 amount, uint256 length) external {
        Ghost storage ghost = _open(m, t);
        if (ghost.streams.length >= MAX_STREAMS) return;
        amount = within(amount, 0, ghost.held);
        if (amount == 0) return;
        uint256 end = clock + _length(length);
        vm.prank(modules[m % MODULES]);
        payments.startStream(_token(t), KEY, ghost.era, amount, clock, end);

        ghost.held -= amount;
        ghost.streams.push(Stream(amount, clock, end, clock, 0));
    }

    function stop(uint256 m, uint256 t, uint256 which, bool refunds) external {
        Ghost storage ghost = _ghosts[t % TOKENS][m % MODULES];
        if (ghost.streams.length == 0) return;
        Stream storage stream = ghost.streams[which % ghost.streams.length];
        if (stream.stopped != 0) return;
        bytes32 to = refunds ? _account(people[which % 3]) : bytes32(0);
        vm.prank(modules[m % MODULES]);
        uint256 unearned =
            payments.stopStream(_token(t), KEY, ghost.era, stream.amount, stream.start, stream.end, stream.opened, to);
        if (clock >= stream.end) return _same(unearned, 0, "I-M14: a stream that is over has nothing left");

        ++stoppedEarly;
        ghost.touched = clock;
        stream.stopped = clock;
        _same(unearned, _unearned(stream, clock), "I-M13: what a stop leaves");
        // times the length: the rational result without a division
        uint256 from = clock < stream.start ? stream.start : clock;
        uint256 exact = stream.amount * (stream.end - from);
        uint256 got = unearned * (stream.end - stream.start);
        _true((got > exact ? got - exact : exact - got) < stream.end - stream.start, "I-M13: less than a unit off");
        if (refunds) {
            ghost.returned += unearned;
            owed[t % TOKENS][to] += unearned;
        } else {
            ghost.held += unearned;
        }
    }

    function earnHeld(uint256 m, uint256 t, uint256 amount) external {
        Ghost storage ghost = _open(m, t);
        amount = within(amount, 0, ghost.held);
        vm.prank(modules[m % MODULES]);
        payments.earnHeld(_token(t), KEY, ghost.era, amount);

        ghost.held -= amount;
        ghost.added += amount;
    }

    /// I-M21: without a fee.
    function moveHeld(uint256 m, uint256 t, uint256 who, uint256 amount) external {
        Ghost storage ghost = _ghosts[t % TOKENS][m % MODULES];
        amount = within(amount, 0, ghost.held);
        vm.prank(modules[m % MODULES]);
        payments.moveHeld(_token(t), KEY, _account(people[who % 3]), amount);

        ghost.held -= amount;
        ghost.returned += amount;
        owed[t % TOKENS][_account(people[who % 3])] += amount;
    }

    function pourHeld(uint256 m, uint256 t, uint256 who, uint256 bps, uint256 amount) external {
        Ghost storage ghost = _ghosts[t % TOKENS][m % MODULES];
        amount = within(amount, 0, ghost.held);
        bps = bps % 3 == 0 ? 0 : bps % 10_001;
        vm.prank(modules[m % MODULES]);
        payments.pourHeld(_token(t), KEY, _account(people[who % 3]), UPSTREAM, bps, amount);

        ghost.held -= amount;
        ghost.returned += amount;
        _poured(t % TOKENS, _account(people[who % 3]), amount, bps);
    }

    struct Settling {
        uint256 until;
        uint256 reach;
        uint32 era;
        bytes32 to;
        uint256 bps;
        uint256 maxDays;
    }

    /// To now, or to a time since the last settlement: a change of beneficiary, found late.
    function settle(uint256 m, uint256 t, uint256 who, uint256 bps, uint256 maxDays, uint256 earlier) external {
        Ghost storage ghost = _ghosts[t % TOKENS][m % MODULES];
        if (ghost.paidIn == ghost.returned + ghost.settled) return;
        Settling memory it;
        uint256 since = ghost.touched > ghost.settledTo ? ghost.touched : ghost.settledTo;
        it.until = earlier % 3 == 0 ? within(earlier, since, clock) : clock;
        it.maxDays = maxDays % 60;
        it.reach = _reach(ghost.settledTo, it.until, it.maxDays);
        it.era = earlier % 3 == 0 && it.reach == it.until ? ghost.era + 1 : ghost.era;
        it.to = _account(people[who % 3]);
        it.bps = bps % 3 == 0 ? 0 : bps % 10_001;
        _settle(ghost, m % MODULES, t % TOKENS, it);
    }

    function _settle(Ghost storage ghost, uint256 m, uint256 t, Settling memory it) private {
        vm.prank(modules[m]);
        (uint256 amount, uint256 settledTo) =
            payments.settleStreams(_token(t), KEY, it.until, it.era, it.to, UPSTREAM, it.bps, it.maxDays);

        ++settlements;
        if (it.era != ghost.era) ++handovers;
        _same(settledTo, it.reach, "I-M17: as far as it may, not past, never back");
        _same(amount, it.reach < it.until ? 0 : _due(ghost, it.reach), "I-M10: the whole units of all streams' sum");
        (ghost.settledTo, ghost.era) = (settledTo, it.era);
        ghost.settled += amount;
        _poured(t, it.to, amount, it.bps);
    }

    function _poured(uint256 t, bytes32 to, uint256 amount, uint256 bps) private {
        uint256 fee = amount * _feeNow() / 10_000;
        uint256 up = (amount - fee) * bps / 10_000;
        owed[t][_account(TREASURY)] += fee;
        owed[t][UPSTREAM] += up;
        owed[t][to] += amount - fee - up;
    }

    /// A module that is a beneficiary's change behind is refused.
    function openInAnotherEra(uint256 m, uint256 t, uint32 ahead) external {
        Ghost storage ghost = _ghosts[t % TOKENS][m % MODULES];
        if (ghost.paidIn == ghost.returned + ghost.settled) return;
        bytes memory call =
            abi.encodeCall(payments.earnHeld, (_token(t), KEY, uint32(within(ahead, 1, 1000)) + ghost.era, 0));
        vm.prank(modules[m % MODULES]);
        (bool done,) = address(payments).call(call);
        _true(!done, "I-M18: nothing in another era");
        ++refused;
    }

    // ---- plain accounts, late money

    function collect(uint256 m, uint256 t, uint256 who, uint256 amount) external {
        amount = _amount(amount);
        vm.prank(modules[m % MODULES]);
        payments.collect(_token(t), people[who % 3], KEY, amount);
        arrived[t % TOKENS] += amount;
        owed[t % TOKENS][_moduleAccount(m)] += amount;
    }

    function move(uint256 m, uint256 t, uint256 who, uint256 amount) external {
        amount = within(amount, 0, owed[t % TOKENS][_moduleAccount(m)]);
        vm.prank(modules[m % MODULES]);
        payments.move(_token(t), KEY, _account(people[who % 3]), amount);
        owed[t % TOKENS][_moduleAccount(m)] -= amount;
        owed[t % TOKENS][_account(people[who % 3])] += amount;
    }

    function payIn(uint256 t, uint256 who, uint256 amount) external {
        amount = _amount(amount);
        vm.prank(people[who % 3]);
        payments.payIn(_token(t), _account(people[(who + 1) % 3]), amount);
        arrived[t % TOKENS] += amount;
        owed[t % TOKENS][_account(people[(who + 1) % 3])] += amount;
    }

    function payLate(uint256 m, uint256 t, uint256 who, uint256 amount) external {
        amount = _amount(amount);
        vm.prank(modules[m % MODULES]);
        payments.payLate(_token(t), people[who % 3], LATE, amount);
        arrived[t % TOKENS] += amount;
        owed[t % TOKENS][_late(m, who)] += amount;
    }

    function acceptLate(uint256 m, uint256 t, uint256 who, uint256 amount) external {
        Ghost storage ghost = _open(m, t);
        amount = within(amount, 0, owed[t % TOKENS][_late(m, who)]);
        vm.prank(modules[m % MODULES]);
        payments.acceptLate(_token(t), people[who % 3], LATE, KEY, ghost.era, amount);
        owed[t % TOKENS][_late(m, who)] -= amount;
        ghost.paidIn += amount;
        ghost.held += amount;
    }

    function takeBack(uint256 m, uint256 t, uint256 who) external {
        uint256 amount = owed[t % TOKENS][_late(m, who)];
        if (amount == 0) return;
        vm.prank(people[who % 3]);
        payments.takeBack(_token(t), modules[m % MODULES], LATE);
        delete owed[t % TOKENS][_late(m, who)];
        owed[t % TOKENS][_account(people[who % 3])] += amount;
    }

    // ---- claims

    function claim(uint256 t, uint256 who) external {
        uint256 amount = owed[t % TOKENS][_account(people[who % 3])];
        if (amount == 0) return;
        vm.prank(people[who % 3]);
        payments.claim(_token(t));
        _claimed(t % TOKENS, people[who % 3], amount);
    }

    function claimMany(uint256 who, uint256 seed) external {
        address[] memory list = new address[](TOKENS);
        for (uint256 t = 0; t < TOKENS; ++t) {
            list[t] = address(tokens[(t + seed) % TOKENS]);
        }
        address[] memory sources = new address[](2);
        bytes[] memory what = new bytes[](2);
        (sources[0], sources[1], what[0]) = (address(source), address(source), hex"01");
        vm.prank(people[who % 3]);
        uint256[] memory amounts = payments.claimFrom(sources, what, list);
        for (uint256 t = 0; t < TOKENS; ++t) {
            uint256 index = (t + seed) % TOKENS;
            if (index == 0) _same(amounts[t], owed[0][_account(people[who % 3])], "I-M23: no token blocks another");
            if (amounts[t] != 0) _claimed(index, people[who % 3], amounts[t]);
        }
    }

    function _claimed(uint256 t, address who, uint256 amount) private {
        _same(amount, owed[t][_account(who)], "I-M6: a claim pays all that is there");
        delete owed[t][_account(who)];
        sent[t] += amount;
    }

    // ---- others

    /// Anyone, with anything that isn't its own.
    function intrude(uint256 m, uint256 t, uint256 what, uint256 amount) external {
        bytes memory call = what % 4 == 0
            ? abi.encodeCall(payments.move, (_token(t), KEY, _account(STRANGER), within(amount, 1, 1e30)))
            : what % 4 == 1
                ? abi.encodeCall(payments.moveHeld, (_token(t), KEY, _account(STRANGER), within(amount, 1, 1e30)))
                : what % 4 == 2
                    ? abi.encodeCall(payments.takeBack, (_token(t), modules[m % MODULES], LATE))
                    : abi.encodeCall(payments.payOut, (_token(t), people[m % 3]));
        vm.prank(STRANGER);
        (bool done,) = address(payments).call(call);
        _true(!done, "I-M7: a stranger reaches nothing");
        ++refused;
    }

    /// I-M22: all accounts are compared after it.
    function announceFee(uint256 bps) external {
        (feeBps, nextFeeBps) = (_feeNow(), within(bps, 0, 250));
        nextFeeFrom = clock + 30 days;
        payments.announceProtocolFee(nextFeeBps, TREASURY);
    }

    function donate(uint256 t, uint256 amount) external {
        tokens[t % TOKENS].mint(address(payments), within(amount, 1, 1e18));
    }

    /// I-M24: the hostile token changes its manner; it may call back any function that it could use.
    function setMood(uint256 mood, uint256 what, uint256 who, uint256 amount) external {
        bytes memory call = what % 3 == 0
            ? abi.encodeCall(payments.claim, (address(tokens[0])))
            : what % 3 == 1
                ? abi.encodeCall(payments.collect, (address(moody), people[who % 3], KEY, within(amount, 1, 1e18)))
                : abi.encodeCall(
                    payments.openStream,
                    (address(tokens[0]), people[who % 3], KEY, 0, 1, within(amount, 1, 1e18), clock, clock + 9)
                );
        moody.setMood(MoodyToken.Mood(mood % 6), address(payments), call);
    }

    function rebase(uint256 percent) external {
        rebasing.rebase(within(percent, 100, 140));
    }

    // ---- what holds

    function check() external view {
        yes(bytes(wrong).length == 0, wrong);
        for (uint256 t = 0; t < TOKENS; ++t) {
            uint256 sum = owed[t][_account(TREASURY)] + owed[t][UPSTREAM];
            equal(payments.balanceOf(_token(t), _account(TREASURY)), owed[t][_account(TREASURY)], "I-M20: the fee");
            equal(payments.balanceOf(_token(t), UPSTREAM), owed[t][UPSTREAM], "I-M19: upstream's part");
            for (uint256 p = 0; p < people.length; ++p) {
                sum += _checkPerson(t, p);
            }
            for (uint256 m = 0; m < MODULES; ++m) {
                equal(payments.balanceOf(_token(t), _moduleAccount(m)), owed[t][_moduleAccount(m)], "I-M7: plain");
                sum += owed[t][_moduleAccount(m)] + _checkBook(t, m);
            }
            equal(payments.recorded(_token(t)), sum, "I-M2: recorded = what is owed");
            equal(sum, arrived[t] - sent[t], "I-M3: what came less what was sent");
            atMost(sum, tokens[t].balanceOf(address(payments)), "I-M1: solvency");
            equal(payments.balanceOf(_token(t), _account(STRANGER)), 0, "I-M7: a stranger has nothing");
        }
    }

    function _checkPerson(uint256 t, uint256 p) private view returns (uint256 sum) {
        sum = owed[t][_account(people[p])];
        equal(payments.claimable(_token(t), people[p]), sum, "I-M6: a person's account");
        for (uint256 m = 0; m < MODULES; ++m) {
            uint256 late = owed[t][_late(m, p)];
            equal(payments.lateOf(_token(t), modules[m], people[p], LATE), late, "I-M8: late money");
            sum += late;
        }
    }

    function _checkBook(uint256 t, uint256 m) private view returns (uint256 balance) {
        Ghost storage ghost = _ghosts[t][m];
        (uint256 lies, uint256 counted,, uint32 era) = payments.bookOf(_token(t), _moduleAccount(m));
        balance = ghost.paidIn - ghost.returned - ghost.settled;
        equal(lies, balance, "I-M9: a book's balance");
        if (balance == 0) return 0;
        equal(counted, _due(ghost, clock), "I-M10: counted");
        equal(era, ghost.era, "I-M18: era");
        // held and unearned are there, whatever was paid
        atMost(ghost.held + _unearnedOf(ghost) + counted, balance, "I-M11: nobody is paid from what others are owed");
    }

    // ---- definitions

    function _due(Ghost storage ghost, uint256 time) private view returns (uint256) {
        uint256 counted = _counted(ghost, time) >> BITS;
        return counted > ghost.settled ? counted - ghost.settled : 0;
    }

    function _counted(Ghost storage ghost, uint256 time) private view returns (uint256 sum) {
        sum = ghost.added << BITS;
        for (uint256 i = 0; i < ghost.streams.length; ++i) {
            sum += _countedOf(ghost.streams[i], time);
        }
    }

    function _countedOf(Stream memory stream, uint256 time) private pure returns (uint256) {
        if (stream.stopped != 0 && time >= stream.stopped) {
            return (stream.amount - _unearned(stream, stream.stopped)) << BITS;
        }
        uint256 last = stream.end / DAY;
        if (time >= (last + 1) * DAY) return stream.amount << BITS;
        if (stream.start / DAY == last || time < stream.start) return 0;
        if (stream.start > stream.opened && time < (stream.start / DAY + 1) * DAY) return 0;
        uint256 rate = (stream.amount << BITS) / (stream.end - stream.start);
        uint256 until = time < last * DAY ? time : last * DAY;
        return rate * (until - stream.start);
    }

    function _unearned(Stream memory stream, uint256 time) private pure returns (uint256) {
        if (time < stream.start) return stream.amount;
        uint256 rate = (stream.amount << BITS) / (stream.end - stream.start);
        return ((stream.amount << BITS) - rate * (time - stream.start)) >> BITS;
    }

    function _unearnedOf(Ghost storage ghost) private view returns (uint256 sum) {
        for (uint256 i = 0; i < ghost.streams.length; ++i) {
            Stream memory stream = ghost.streams[i];
            if (stream.stopped == 0 && clock < stream.end) sum += (stream.amount << BITS) - _countedOf(stream, clock);
        }
        return sum >> BITS;
    }

    function _reach(uint256 from, uint256 until, uint256 maxDays) private pure returns (uint256) {
        uint256 day = from / DAY;
        if (until / DAY <= day + maxDays) return until > from ? until : from;
        return maxDays == 0 ? from : (day + maxDays) * DAY;
    }

    // ---- helpers

    function _same(uint256 got, uint256 expected, string memory what) private {
        _true(got == expected, what);
    }

    function _true(bool condition, string memory what) private {
        if (!condition) wrong = what;
    }

    /// A book's first money begins its line now, and so does the first after it was empty.
    function _open(uint256 m, uint256 t) private returns (Ghost storage ghost) {
        ghost = _ghosts[t % TOKENS][m % MODULES];
        ghost.touched = clock;
        if (ghost.paidIn == ghost.returned + ghost.settled) ghost.settledTo = clock;
    }

    function _feeNow() private view returns (uint256) {
        return nextFeeFrom != 0 && clock >= nextFeeFrom ? nextFeeBps : feeBps;
    }

    function _amount(uint256 amount) private pure returns (uint256) {
        return amount % 4 == 0 ? within(amount, 0, 1000) : within(amount, 0, 2 ** 80);
    }

    function _length(uint256 length) private pure returns (uint256) {
        return length % 3 == 0 ? within(length, 1, 2 * DAY) : within(length, 1, 90 * DAY);
    }

    function _token(uint256 t) private view returns (address) {
        return address(tokens[t % TOKENS]);
    }

    function _account(address who) private pure returns (bytes32) {
        return bytes32(uint256(uint160(who)));
    }

    function _moduleAccount(uint256 m) private view returns (bytes32) {
        return keccak256(abi.encode(modules[m % MODULES], KEY));
    }

    function _late(uint256 m, uint256 who) private view returns (bytes32) {
        return keccak256(abi.encode("late", modules[m % MODULES], people[who % 3], KEY));
    }
}
