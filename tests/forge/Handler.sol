// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {StakePools} from "../../contracts/libraries/StakePools.sol";
import {Vm} from "./Test.sol";
import {Counts, World} from "./World.sol";

/// @title Handler
/// @notice All that three restakers and two operators can do with two collaterals and two shards, in any order, with any amounts; what can't
/// be done reverts and changes nothing. Keeps what can't be read from the contract: withdrawals, slashes, what ended generations hold.
contract Handler is World {
    struct Queued {
        uint256 id;
        uint256 operator;
        uint256 collateral;
        uint256 shares;
        uint256 generation;
        bool done;
    }

    bytes32 private constant GENERATION_ENDED = keccak256("GenerationEnded(address,address,uint256,uint256)");

    Queued[] private _withdrawals;
    bytes32[] private _slashes;
    /// Of each collateral: what generations that have ended still hold.
    uint256[2] private _ended;
    uint64 private _epoch;
    mapping(bytes32 slash => bool) private _executed;
    uint256 public booked;
    uint256 public claimed;
    uint256 public executed;
    uint256 public generationsEnded;

    // ---- restakers

    function deposit(uint256 who, uint256 what, uint256 amount) external {
        vm.prank(_person(who));
        restaking.deposit(address(_collateral(what)), _amount(amount));
    }

    function withdraw(uint256 who, uint256 what, uint256 amount) external {
        address token = what % 3 == 2 ? address(bondToken) : address(_collateral(what));
        address person = what % 3 == 2 ? REPORTER : _person(who);
        amount = amount % (restaking.freeBalance(person, token) + 1);
        vm.prank(person);
        restaking.withdraw(token, amount);
    }

    function delegate(uint256 who, uint256 whom, uint256 what, uint256 amount) external {
        address token = address(_collateral(what));
        address person = _person(who);
        uint256 free = restaking.freeBalance(person, token);
        amount = amount % 4 == 0 ? free : amount % (free + 1);
        vm.prank(person);
        restaking.delegate(_operator(whom), token, amount);
        // maturing at once pays out shares of an ended generation
        _ended[what % 2] -= restaking.freeBalance(person, token) + amount - free;
    }

    function mature(uint256 who, uint256 whom, uint256 what) external {
        // mostly one that is there
        for (uint256 tries = who % 8 == 0 ? 12 : 0; tries < 12; ++tries) {
            (uint256 pending,) = restaking.pendingOf(_person(who), _operator(whom), address(_collateral(what)));
            if (pending != 0) break;
            (who, whom, what) = _next(who, whom, what);
        }
        address token = address(_collateral(what));
        uint256 free = restaking.freeBalance(_person(who), token);
        restaking.mature(_person(who), _operator(whom), token);
        _ended[what % 2] -= restaking.freeBalance(_person(who), token) - free;
    }

    function cancelDelegation(uint256 who, uint256 whom, uint256 what) external {
        vm.prank(_person(who));
        restaking.cancelDelegation(_operator(whom), address(_collateral(what)));
    }

    function undelegate(uint256 who, uint256 whom, uint256 what, uint256 shares, bool elsewhere) external {
        uint256 held;
        uint256 generation;
        for (uint256 tries = 0; tries < 12; ++tries) {
            (held, generation,) = restaking.positionOf(_person(who), _operator(whom), address(_collateral(what)));
            if (held != 0) break;
            (who, whom, what) = _next(who, whom, what);
        }
        address token = address(_collateral(what));
        shares = shares % 4 == 0 ? held : shares % (held + 1);
        vm.prank(_person(who));
        uint256 id = elsewhere
            ? restaking.redelegate(_operator(whom), token, shares, _operator(whom % 2 + 1))
            : restaking.undelegate(_operator(whom), token, shares);
        _withdrawals.push(Queued(id, whom % 2, what % 2, shares, generation, false));
    }

    function completeWithdrawal(uint256 which) external {
        if (_withdrawals.length == 0) return;
        Queued storage w = _withdrawals[which % _withdrawals.length];
        (address person,,,,,,, address toOperator) = restaking.withdrawal(w.id);
        address token = address(collaterals[w.collateral]);
        bool old = w.generation != _generation(operators[w.operator], token);
        uint256 free = restaking.freeBalance(person, token);
        uint256 amount = restaking.completeWithdrawal(w.id);
        w.done = true;
        if (old) _ended[w.collateral] -= amount;
        // a redelegation that matures at once pays out shares of an ended generation
        if (toOperator != address(0) && amount != 0) {
            _ended[w.collateral] -= restaking.freeBalance(person, token) - free;
        }
    }

    // ---- operators

    function allocate(uint256 whom, uint256 what, uint32 shard, uint256 magnitude) external {
        address operator = _operator(whom);
        address token = address(_collateral(what));
        (,, uint256 total, uint256 whole) = restaking.magnitudes(operator, _shard(shard), token);
        vm.prank(operator);
        restaking.allocate(_shard(shard), token, magnitude % 3 == 0 ? whole - total : magnitude % (whole + 1));
    }

    function completeAllocation(uint256 whom, uint256 what, uint32 shard) external {
        for (uint256 tries = 0; tries < 8; ++tries) {
            (uint256 waiting,) = restaking.waitingAllocation(_operator(whom), _shard(shard), address(_collateral(what)));
            if (waiting != 0) break;
            shard = shard % 2 + 1;
            if (tries % 2 == 1) (, whom, what) = _next(2, whom, what);
        }
        restaking.completeAllocation(_operator(whom), _shard(shard), address(_collateral(what)));
    }

    function deallocate(uint256 whom, uint256 what, uint32 shard, uint256 magnitude) external {
        address operator = _operator(whom);
        address token = address(_collateral(what));
        (uint256 mine, uint256 queued,,) = restaking.magnitudes(operator, _shard(shard), token);
        vm.prank(operator);
        restaking.deallocate(_shard(shard), token, magnitude % (mine - queued + 1));
    }

    function completeDeallocation(uint256 whom, uint256 what, uint32 shard) external {
        restaking.completeDeallocation(_operator(whom), _shard(shard), address(_collateral(what)));
    }

    function postBond(uint256 whom, uint32 shard, uint256 amount) external {
        vm.prank(_operator(whom));
        restaking.postBond(_shard(shard), _amount(amount));
    }

    function queueBond(uint256 whom, uint32 shard, uint256 amount) external {
        (uint256 bond, uint256 queued,) = restaking.bondState(_operator(whom), _shard(shard));
        vm.prank(_operator(whom));
        restaking.queueBondWithdrawal(_shard(shard), amount % (bond - queued + 1));
    }

    function completeBond(uint256 whom, uint32 shard) external {
        restaking.completeBondWithdrawal(_operator(whom), _shard(shard));
    }

    // ---- time, misses, rewards

    function pass(uint256 blocks) external {
        vm.roll(block.number + within(blocks, 1, 2 * DELAY));
    }

    function bind(uint256 whom, uint256 blocks) external {
        shards.setBound(_operator(whom), block.number + blocks % (2 * DELAY));
    }

    function settle(uint256 whom, uint256 which) external {
        address operator = _operator(whom);
        if (which % 3 == 0) Counts(AUDITS).answer(operator);
        else Counts(REWARDS).settle(operator, Counts(AUDITS).answeredCount(operator));
    }

    /// Seldom: while a slash is pending nothing matures.
    function miss(uint256 whom, uint32 shard, uint256[4] calldata parts) external {
        if (whom % 16 > 1) return;
        address operator = _operator(whom);
        uint256[] memory amounts = new uint256[](collaterals.length);
        for (uint256 c = 0; c < amounts.length; ++c) {
            uint256 assets = _assets(operator, address(collaterals[c]));
            // mostly some of it, sometimes all, more, or all but little
            amounts[c] = parts[c] % 4 == 0 ? assets : parts[c] % 4 == 1 ? parts[c] >> 100 : parts[c] % (assets + 1);
        }
        (uint256 bond,,) = restaking.bondState(operator, _shard(shard));
        _setTerms(_shard(shard), parts[2] % (bond + 2), parts[3] % (bond + 2), amounts);
        vm.prank(AUDITS);
        _slashes.push(restaking.queueSlash(_shard(shard), 1, operator, ++_epoch, REPORTER));
    }

    function missAgain(uint256 which) external {
        if (_slashes.length == 0) return;
        (address operator, uint32 shard,, uint64 epoch,,,,) = restaking.slashOf(_slashes[which % _slashes.length]);
        vm.prank(AUDITS);
        restaking.queueSlash(shard, 1, operator, epoch, REPORTER);
        _fail("I-R9: a second slash for an epoch");
    }

    function delay(uint256 which) external {
        if (_slashes.length == 0) return;
        vm.prank(GUARDIAN_ACCOUNT);
        restaking.delaySlash(_slashes[which % _slashes.length]);
    }

    /// Checks I-R4, I-R6, I-R8 and I-R9 where they happen. What is wrong is an error of this function, which the invariant test asks for.
    function execute(uint256 which) external {
        if (_slashes.length == 0) return;
        bytes32 id = _slashes[which % _slashes.length];
        (address operator, uint32 shard,,,,,,) = restaking.slashOf(id);
        uint32 other = 3 - shard;
        uint256[4] memory before;
        for (uint256 c = 0; c < collaterals.length; ++c) {
            before[c] = _behind(operator, shard, address(collaterals[c]));
            before[2 + c] = _behind(operator, other, address(collaterals[c]));
        }
        uint256[8] memory money = _money(operator, shard);
        vm.recordLogs();

        restaking.executeSlash(id);

        ++executed;
        _noteEnded(operator);
        uint256[8] memory now_ = _money(operator, shard);
        _checkCaps(id, operator, shard, money, now_);
        for (uint256 c = 0; c < collaterals.length; ++c) {
            uint256 taken = now_[c] - money[c];
            if (taken > before[c]) _fail("I-R4: more than stood behind the shard");
            if (!_spent[c] && _behind(operator, other, address(collaterals[c])) < before[2 + c]) {
                _fail("I-R4: less behind another shard");
            }
            if (now_[2 + c] != money[2 + c]) _fail("I-R6: a waiting delegation changed");
            _spent[c] = false;
        }
        uint256 bondTaken = money[4] - now_[4];
        uint256 fee = now_[5] - money[5];
        if (2 * fee > bondTaken) _fail("I-R8: more than half to the reporter");
        if (now_[6] - money[6] != bondTaken - fee) _fail("I-R8: the rest is not to be burned");
        if (now_[7] != money[7]) _fail("I-R8: a slash moved tokens in or out of what is recorded");
    }

    function burn(uint256 what) external {
        restaking.burn(what % 3 == 2 ? address(bondToken) : address(_collateral(what)));
    }

    function donate(uint256 what, uint256 amount) external {
        _collateral(what).mint(address(restaking), amount % 1e20);
    }

    function reward(uint256 whom, uint32 shard, uint256 amount) external {
        address operator = _operator(whom);
        uint256 own = payments.claimable(address(paymentToken), operator);
        amount = amount % (amount % 2 == 0 ? 1000 : 1e30);
        if (amount == 0) return;
        _pay(operator, _shard(shard), amount);
        booked += amount - (payments.claimable(address(paymentToken), operator) - own);
    }

    function claim(uint256 who, uint256 whom, uint256 what) external {
        for (uint256 tries = 0; tries < 12; ++tries) {
            (address person, address token) = (_person(who), address(_collateral(what)));
            if (books.claimable(person, _operator(whom), token, address(paymentToken)) != 0) break;
            (who, whom, what) = _next(who, whom, what);
        }
        vm.prank(_person(who));
        claimed += books.claim(_operator(whom), address(_collateral(what)), address(paymentToken));
    }

    // ---- invariants

    string public wrong;
    bool[2] private _spent;

    /// All invariants of Restaking's opening comment that a state shows, and what `execute` found.
    function check() external view {
        if (bytes(wrong).length != 0) revert(wrong);
        for (uint256 c = 0; c < collaterals.length; ++c) {
            _checkCollateral(c);
        }
        // I-R1 and I-R2 of the bond token
        uint256 owed = restaking.burnable(address(bondToken)) + restaking.freeBalance(REPORTER, address(bondToken));
        for (uint256 o = 0; o < operators.length; ++o) {
            owed += restaking.freeBalance(operators[o], address(bondToken));
            for (uint32 shard = 1; shard <= SHARDS; ++shard) {
                (uint256 bond, uint256 queued,) = restaking.bondState(operators[o], shard);
                atMost(queued, bond, "queued bond");
                owed += bond;
            }
        }
        equal(restaking.recorded(address(bondToken)), owed, "I-R1: recorded bond tokens");
        atMost(owed, bondToken.balanceOf(address(restaking)), "I-R2: bond tokens");
        _checkRewards();
    }

    function _checkCollateral(uint256 c) private view {
        address token = address(collaterals[c]);
        uint256 owed = restaking.burnable(token) + _ended[c];
        for (uint256 p = 0; p < people.length; ++p) {
            owed += restaking.freeBalance(people[p], token);
            for (uint256 o = 0; o < operators.length; ++o) {
                (uint256 pending,) = restaking.pendingOf(people[p], operators[o], token);
                owed += pending;
            }
        }
        for (uint256 o = 0; o < operators.length; ++o) {
            owed += _assets(operators[o], token);
            _checkPool(o, c);
        }
        equal(restaking.recorded(token), owed, "I-R1: recorded collateral");
        atMost(owed, collaterals[c].balanceOf(address(restaking)), "I-R2: collateral");
    }

    function _checkPool(uint256 o, uint256 c) private view {
        (address operator, address token) = (operators[o], address(collaterals[c]));
        // I-R3
        uint256 sum;
        uint256 total;
        uint256 whole;
        for (uint32 shard = 1; shard <= SHARDS; ++shard) {
            uint256 allocated;
            uint256 queued;
            (allocated, queued, total, whole) = restaking.magnitudes(operator, shard, token);
            atMost(queued, allocated, "I-R3: queued magnitude");
            (uint256 reserved,) = restaking.waitingAllocation(operator, shard, token);
            sum += allocated + reserved;
        }
        equal(sum, total, "I-R3: allocations");
        atMost(total, whole, "I-R3: allocated");
        atMost(whole, WHOLE, "I-R3: whole");
        // I-R5, of the current generation
        (uint256 assets, uint256 shares, uint256 queuedShares) = restaking.pool(operator, token);
        uint256 generation = _generation(operator, token);
        uint256 held;
        for (uint256 p = 0; p < people.length; ++p) {
            (uint256 mine, uint256 of_,) = restaking.positionOf(people[p], operator, token);
            if (of_ == generation) held += mine;
        }
        uint256 waiting;
        for (uint256 w = 0; w < _withdrawals.length; ++w) {
            Queued storage item = _withdrawals[w];
            if (!item.done && item.operator == o && item.collateral == c && item.generation == generation) {
                waiting += item.shares;
            }
        }
        equal(queuedShares, waiting, "I-R5: queued shares");
        equal(shares, held + waiting, "I-R5: shares");
        atMost(assets, shares, "assets within shares");
        atMost(shares, assets * StakePools.PRICE_FLOOR, "shares within the floor");
    }

    function _checkRewards() private view {
        uint256 owed;
        for (uint256 p = 0; p < people.length; ++p) {
            for (uint256 o = 0; o < operators.length; ++o) {
                for (uint256 c = 0; c < collaterals.length; ++c) {
                    owed += books.claimable(people[p], operators[o], address(collaterals[c]), address(paymentToken));
                }
            }
        }
        bytes32 account = payments.moduleAccount(address(books), books.BOOKED_KEY());
        uint256 balance = payments.balanceOf(address(paymentToken), account);
        equal(balance, booked - claimed, "I-R7, I-M25: booked");
        atMost(owed, balance, "I-R7: claimable");
    }

    // ---- within

    /// I-R9: once, and at most what Shards names.
    function _checkCaps(bytes32 id, address operator, uint32 shard, uint256[8] memory before, uint256[8] memory after_)
        private
    {
        if (_executed[id]) _fail("I-R9: a slash executed twice");
        _executed[id] = true;
        (uint256 mostBond, uint256 mostFee,, uint256[] memory most) = shards.slashTerms(shard, 1, operator);
        for (uint256 c = 0; c < most.length; ++c) {
            if (after_[c] - before[c] > most[c]) _fail("I-R9: more stake than Shards names");
        }
        if (before[4] - after_[4] > mostBond) _fail("I-R9: more bond than Shards names");
        if (after_[5] - before[5] > mostFee) _fail("I-R9: more to the reporter than Shards names");
    }

    function _fail(string memory what) private {
        wrong = what;
    }

    function _noteEnded(address operator) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != GENERATION_ENDED) continue;
            (, uint256 left) = abi.decode(logs[i].data, (uint256, uint256));
            uint256 c = logs[i].topics[2] == bytes32(uint256(uint160(address(collaterals[0])))) ? 0 : 1;
            _ended[c] += left;
            _spent[c] = true;
            ++generationsEnded;
        }
        operator;
    }

    /// Burnable and waiting of both collaterals; bond, the reporter's free balance, burnable and recorded bond tokens.
    function _money(address operator, uint32 shard) private view returns (uint256[8] memory money) {
        for (uint256 c = 0; c < collaterals.length; ++c) {
            money[c] = restaking.burnable(address(collaterals[c]));
            for (uint256 p = 0; p < people.length; ++p) {
                (uint256 pending,) = restaking.pendingOf(people[p], operator, address(collaterals[c]));
                money[2 + c] += pending;
            }
        }
        (money[4],,) = restaking.bondState(operator, shard);
        money[5] = restaking.freeBalance(REPORTER, address(bondToken));
        money[6] = restaking.burnable(address(bondToken));
        money[7] = restaking.recorded(address(bondToken));
    }

    function _behind(address operator, uint32 shard, address token) private view returns (uint256) {
        (uint256 allocated,, uint256 total, uint256 whole) = restaking.magnitudes(operator, shard, token);
        return total == 0 ? 0 : _assets(operator, token) * allocated / whole;
    }

    function _assets(address operator, address token) private view returns (uint256 assets) {
        (assets,,) = restaking.pool(operator, token);
    }

    function _generation(address operator, address token) private view returns (uint256 generation) {
        (,, generation) = restaking.earningOf(operator, 1, token);
    }

    /// The next of all persons, operators and collaterals.
    function _next(uint256 who, uint256 whom, uint256 what) private view returns (uint256, uint256, uint256) {
        (who, whom, what) = (who % people.length, whom % operators.length, what % collaterals.length);
        if (++who < people.length) return (who, whom, what);
        if (++whom < operators.length) return (0, whom, what);
        return (0, 0, what + 1);
    }

    function _person(uint256 who) private view returns (address) {
        return people[who % people.length];
    }

    function _operator(uint256 whom) private view returns (address) {
        return operators[whom % operators.length];
    }

    function _collateral(uint256 what) private view returns (MintableToken) {
        return collaterals[what % collaterals.length];
    }

    function _shard(uint32 shard) private pure returns (uint32) {
        return 1 + shard % SHARDS;
    }

    function _amount(uint256 amount) private pure returns (uint256) {
        return amount % 3 == 0 ? amount % 100 : amount % 1e24;
    }
}
