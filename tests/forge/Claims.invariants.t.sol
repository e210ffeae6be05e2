// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {SumTree} from "../../contracts/libraries/SumTree.sol";
import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {ClaimLists} from "../../contracts/rewards/ClaimLists.sol";
import {Payments} from "../../contracts/rewards/Payments.sol";
import {ListClaim, ListLeaf, ListTerms, ReadVoucher} from "../../contracts/types/Types.sol";
import {Test} from "./Test.sol";
import {Desk} from "./World.sol";

/// @title ClaimsHandler
/// @notice A list of four accounts, with a proposer that is honest, shifts amounts, leaves somebody out, or mixes the order; challengers, an arbiter, funders; and readers with
/// deposits and vouchers; at any time and in any order. Beside it stands what each root said and what each voucher named.
contract ClaimsHandler is Test {
    uint256 internal constant PEOPLE = 4;
    uint128 internal constant BOND = 101;

    Payments public payments;
    ClaimLists public lists;
    MintableToken public token;
    uint256 public listId;

    address[PEOPLE] internal people = [address(0x1001), address(0x1002), address(0x1003), address(0x1004)];
    uint256[PEOPLE] internal keys = [uint256(11), 12, 13, 14];
    address internal constant PROPOSER = address(0x2001);
    address internal constant ARBITER = address(0x2002);
    address internal constant OPERATOR = address(0x2003);

    /// A root as it was proposed: entries in the order of its leaves.
    struct Made {
        address[PEOPLE] accounts;
        uint128[PEOPLE] amounts;
        bytes32[PEOPLE] leaves;
        bool accepted;
    }

    mapping(uint32 round => Made) private _made;
    uint32 private _last;
    // what lies and lay in the list's funds
    uint256 public paidIn;
    uint256 public surplus;
    mapping(address account => uint256) public claimed;
    // most that an accepted root gave
    mapping(address account => uint256) public most;
    // an accepted root took from somebody: then the funds may be short
    bool public spoilt;
    // reads
    mapping(uint256 reader => uint256) public put;
    mapping(uint256 reader => uint256) public taken;
    mapping(uint256 reader => uint256) public named;
    string public wrong;
    uint256 public claims;
    uint256 public falls;

    constructor() {
        payments = new Payments(IDirectory(address(new Desk())));
        lists = new ClaimLists(payments);
        token = new MintableToken();
        token.mint(address(this), type(uint128).max);
        token.approve(address(payments), type(uint256).max);
        listId = lists.open(
            ListTerms({token: address(token), proposer: PROPOSER, arbiter: ARBITER, window: 1 hours, bond: BOND})
        );
    }

    // ─── What people do ───────────────────────────────────────────────────────────────────────────────────────────

    function fund(uint256 amount) external {
        amount = amount % 10_000 + 1;
        payments.payIn(address(token), lists.fundAccount(listId), amount);
        paidIn += amount;
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + (time % 16 == 0 ? 7 days : time % 5_000));
        _look();
    }

    /// `manner` 0…3 honest, 4 takes from one, 5 leaves one out, 6 mixes the order.
    function propose(uint256 seed, uint256 manner) external {
        _look();
        payments.payIn(address(token), lists.bondAccount(listId), BOND);
        Made memory made;
        uint256 total;
        for (uint256 i; i < PEOPLE; ++i) {
            made.accounts[i] = people[i];
            made.amounts[i] = uint128(most[people[i]] + uint256(keccak256(abi.encode(seed, i))) % 500);
        }
        manner %= 7;
        uint256 victim = seed % PEOPLE;
        if (manner == 4) made.amounts[victim] /= 2;
        if (manner == 5) made.accounts[victim] = address(uint160(people[victim]) + 0x8000);
        if (manner == 6) (made.accounts[1], made.accounts[2]) = (made.accounts[2], made.accounts[1]);
        for (uint256 i; i < PEOPLE; ++i) {
            total += made.amounts[i];
            made.leaves[i] = lists.leafHash(listId, i, made.accounts[i], made.amounts[i]);
        }
        bytes32 node = _node(
            _node(made.leaves[0], made.amounts[0], made.leaves[1], made.amounts[1]),
            uint256(made.amounts[0]) + made.amounts[1],
            _node(made.leaves[2], made.amounts[2], made.leaves[3], made.amounts[3]),
            uint256(made.amounts[2]) + made.amounts[3]
        );
        vm.prank(PROPOSER);
        try lists.propose(listId, node, total, PEOPLE) returns (uint32 round) {
            _made[round] = made;
            _last = round;
        } catch {
            lists.takeBond(listId);
        }
    }

    function reject() external {
        _look();
        vm.prank(ARBITER);
        lists.reject(listId, bytes32(0));
        paidIn += BOND;
        --_last;
        ++falls;
    }

    /// Every pair of neighbours, until one shows that the order is wrong.
    function challengeOrder() external {
        _look();
        bool sorted = true;
        for (uint256 i; i + 1 < PEOPLE; ++i) {
            if (_made[_last].accounts[i + 1] > _made[_last].accounts[i]) continue;
            sorted = false;
            lists.challengeOrder(listId, _leaf(_last, i), _leaf(_last, i + 1));
            _fell();
            return;
        }
        // none is wrong: none may succeed
        try lists.challengeOrder(listId, _leaf(_last, 0), _leaf(_last, 1)) {
            wrong = "an ordered root fell";
        } catch {}
    }

    function challengeLoss(uint256 who, uint256 left, bool two) external {
        _look();
        if (_last < 2 || _made[_last].accepted) return;
        who %= PEOPLE;
        left %= PEOPLE;
        ListLeaf[] memory shown = new ListLeaf[](two && left + 1 < PEOPLE ? 2 : 1);
        shown[0] = _leaf(_last, left);
        if (shown.length == 2) shown[1] = _leaf(_last, left + 1);
        bool lost = _amountIn(_last, _made[_last - 1].accounts[who]) < _made[_last - 1].amounts[who];
        try lists.challengeLoss(listId, _leaf(_last - 1, who), shown) {
            if (!lost && _sorted(_last)) wrong = "a root fell that takes from nobody";
            _fell();
        } catch {}
    }

    function claim(uint256 seed, uint256 amount) external {
        _look();
        if (_last == 0) return;
        uint32 round = uint32(seed % _last) + 1;
        uint256 place = (seed >> 32) % PEOPLE;
        Made memory made = _made[round];
        address account = made.accounts[place];
        uint256 left = made.amounts[place] > claimed[account] ? made.amounts[place] - claimed[account] : 0;
        if (amount % 3 == 0) amount = 0;
        else amount = amount % (left + 2);
        ListClaim memory asked =
            ListClaim({listId: listId, round: round, amount: uint128(amount), leaf: _leaf(round, place)});
        try lists.claim(asked) returns (uint256 got) {
            if (!made.accepted) wrong = "claimed under a root that was not accepted";
            if (got > left || got != (amount == 0 ? left : amount)) wrong = "claimed another amount";
            claimed[account] += got;
            ++claims;
        } catch {
            // I-C3, I-C4: what an accepted root gives is never refused while nobody was taken from
            if (made.accepted && left != 0 && amount <= left && !spoilt) wrong = "a claim was lost";
        }
    }

    function takeSurplus() external {
        _look();
        uint256 amount = lists.takeSurplus(listId);
        surplus += amount;
    }

    // ─── Reads ────────────────────────────────────────────────────────────────────────────────────────────────────

    function deposit(uint256 reader, uint256 amount) external {
        reader %= PEOPLE;
        amount %= 1_000;
        address[] memory operators = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (operators[0], amounts[0]) = (OPERATOR, amount);
        payments.depositForReads(address(token), vm.addr(keys[reader]), operators, amounts);
        put[reader] += amount;
    }

    function redeem(uint256 reader, uint256 cumulative, bool twice) external {
        reader %= PEOPLE;
        cumulative %= 2_000;
        ReadVoucher[] memory vouchers = new ReadVoucher[](twice ? 2 : 1);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keys[reader], payments.voucherDigest(address(token), OPERATOR, cumulative));
        vouchers[0] = ReadVoucher(cumulative, r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
        if (twice) vouchers[1] = vouchers[0];
        (uint256 deposited, uint256 redeemed,) = payments.depositOf(address(token), OPERATOR, vm.addr(keys[reader]));
        uint256 upTo = cumulative < deposited ? cumulative : deposited;
        uint256 due = upTo > redeemed ? upTo - redeemed : 0;
        try payments.redeem(address(token), OPERATOR, vouchers) returns (uint256 got) {
            if (got != due) wrong = "a voucher paid another amount";
            named[reader] += got;
        } catch {
            if (due != 0) wrong = "a voucher was refused";
        }
    }

    function withdraw(uint256 reader, uint256 what) external {
        reader %= PEOPLE;
        address payer = vm.addr(keys[reader]);
        (,, uint256 at) = payments.depositOf(address(token), OPERATOR, payer);
        // one for the next call only: what reverts takes back no cheat code
        vm.prank(payer);
        if (what % 4 == 0) payments.announceWithdrawal(address(token), OPERATOR);
        else if (what % 8 == 1) payments.cancelWithdrawal(address(token), OPERATOR);
        else if (at != 0 && block.timestamp >= at) taken[reader] += payments.withdrawDeposit(address(token), OPERATOR);
        else _withdrawTooEarly();
    }

    // ─── What must hold ───────────────────────────────────────────────────────────────────────────────────────────

    function check() external view {
        require(bytes(wrong).length == 0, wrong);
        uint256 left = payments.balanceOf(address(token), lists.fundAccount(listId));
        (,,, uint256 inAll) = lists.list(listId);
        uint256 sum;
        uint256 owed;
        for (uint256 i; i < PEOPLE; ++i) {
            address account = people[i];
            require(lists.claimed(listId, account) == claimed[account], "I-C2: counted");
            require(claimed[account] <= most[account], "I-C2: more than a root gave");
            sum += claimed[account];
            owed += most[account] - claimed[account];
            account = address(uint160(people[i]) + 0x8000);
            require(claimed[account] <= most[account], "I-C2: more than a root gave");
            sum += claimed[account];
            owed += most[account] - claimed[account];
            (uint256 deposited, uint256 redeemed,) = payments.depositOf(address(token), OPERATOR, vm.addr(keys[i]));
            require(redeemed == named[i], "I-Q1: redeemed");
            require(deposited + taken[i] == put[i] && redeemed <= deposited, "I-Q1: deposited");
        }
        require(inAll == sum && left + sum + surplus == paidIn, "I-C1");
        require(spoilt || owed <= left, "I-C4");
        require(payments.recorded(address(token)) == token.balanceOf(address(payments)), "I-P1");
    }

    /// I-Q2: nothing was announced, or its notice isn't over.
    function _withdrawTooEarly() private {
        try payments.withdrawDeposit(address(token), OPERATOR) returns (uint256) {
            wrong = "I-Q2: withdrawn without a notice";
        } catch {}
    }

    // ─── Helpers ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Notes that the last root was accepted meanwhile.
    function _look() private {
        if (_last == 0 || _made[_last].accepted) return;
        if (block.timestamp < lists.rootOf(listId, _last).acceptedAt) return;
        _made[_last].accepted = true;
        for (uint256 i; i < PEOPLE; ++i) {
            address account = people[i];
            if (_amountIn(_last, account) < most[account]) spoilt = true;
            account = address(uint160(account) + 0x8000);
            if (_amountIn(_last, account) < most[account]) spoilt = true;
        }
        for (uint256 i; i < PEOPLE; ++i) {
            address account = _made[_last].accounts[i];
            if (_made[_last].amounts[i] > most[account]) most[account] = _made[_last].amounts[i];
        }
    }

    function _fell() private {
        paidIn += BOND - BOND / 2;
        --_last;
        ++falls;
    }

    function _amountIn(uint32 round, address account) private view returns (uint256 amount) {
        for (uint256 i; i < PEOPLE; ++i) {
            if (_made[round].accounts[i] == account) amount = _made[round].amounts[i];
        }
    }

    function _sorted(uint32 round) private view returns (bool) {
        for (uint256 i; i + 1 < PEOPLE; ++i) {
            if (_made[round].accounts[i + 1] <= _made[round].accounts[i]) return false;
        }
        return true;
    }

    function _leaf(uint32 round, uint256 place) private view returns (ListLeaf memory leaf) {
        Made storage made = _made[round];
        leaf.index = uint40(place);
        (leaf.account, leaf.cumulative) = (made.accounts[place], made.amounts[place]);
        (leaf.siblings, leaf.sums) = (new bytes32[](2), new uint128[](2));
        uint256 other = place ^ 1;
        (leaf.siblings[0], leaf.sums[0]) = (made.leaves[other], made.amounts[other]);
        uint256 pair = place < 2 ? 2 : 0;
        leaf.siblings[1] = _node(made.leaves[pair], made.amounts[pair], made.leaves[pair + 1], made.amounts[pair + 1]);
        leaf.sums[1] = made.amounts[pair] + made.amounts[pair + 1];
    }

    function _node(bytes32 left, uint256 leftSum, bytes32 right, uint256 rightSum) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x01), left, leftSum, right, rightSum));
    }
}

/// @title MoneyClaimsInvariants
/// @notice I-C1 … I-C5 of ClaimLists, I-Q1 and I-Q2 of deposits for reads, I-P1, after every call of random sequences (`make fuzz`).
contract MoneyClaimsInvariants is Test {
    ClaimsHandler public handler;

    function setUp() external {
        handler = new ClaimsHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_claims() external view {
        handler.check();
    }
}
