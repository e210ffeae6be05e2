// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IClaimLists} from "../interfaces/IClaimLists.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {SumTree} from "../libraries/SumTree.sol";
import {ListClaim, ListLeaf, ListRoot, ListTerms} from "../types/Types.sol";

/// @title ClaimLists
/// @notice Knows the roots of lists, and what each account has claimed of which. The tokens lie in Payments. Bound for life to one Payments: money lies where it was put.
/// It stands in no Directory: what it needs of Payments, everybody may do.
///
/// Typical flow: 1 `open`; 2 funds and bond are paid into its accounts; 3 `propose`; 4 `challengeOrder`, `challengeLoss`, `reject`; 5 `claim`.
///
/// Invariants, for a list:
/// - I-C1  balance(fundAccount) + claimed in all + surplus taken = paid in + forfeited bonds: it never pays more than it was funded with
/// - I-C2  claimed by an account ≤ the most that an accepted root gives it; it never falls
/// - I-C3  a root that was accepted stays, and its leaves claimable: no later root, challenge or rejection touches it
/// - I-C4  the leaves that can be shown under a root sum up to at most its total; a total never falls and is funded when it is proposed. So if no accepted
///         root gives an account less than the one before, all that is left to claim lies there
/// - I-C5  the bond goes to its proposer; at a proven fault half of it, rounded down, to who showed it, the rest, and all of it at a rejection, into the list's funds
contract ClaimLists is IClaimLists {
    struct List {
        ListTerms terms;
        address opener;
        // the last one, accepted or not
        uint32 rounds;
        uint128 claimedInAll;
    }

    /// Short enough that nobody waits for months, long enough to look at a root and be included.
    uint256 public constant MIN_WINDOW_SECONDS = 1 hours;
    uint256 public constant MAX_WINDOW_SECONDS = 30 days;

    /// Depth 32.
    uint256 private constant MAX_COUNT = 2 ** 32;

    IPayments public immutable PAYMENTS;

    /// @inheritdoc IClaimLists
    uint256 public listCount;

    mapping(uint256 listId => List) private _lists;
    mapping(uint256 listId => mapping(uint32 round => ListRoot)) private _roots;
    mapping(uint256 listId => mapping(address account => uint128)) private _claimed;

    constructor(IPayments payments) {
        PAYMENTS = payments;
    }

    // ─── Roots ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IClaimLists
    function open(ListTerms calldata terms) external returns (uint256 listId) {
        if (terms.token.code.length == 0) revert ListTermInvalid("token", uint160(terms.token));
        if (terms.proposer == address(0)) revert ListTermInvalid("proposer", 0);
        if (terms.window < MIN_WINDOW_SECONDS || terms.window > MAX_WINDOW_SECONDS) {
            revert ListTermInvalid("window", terms.window);
        }
        // without one a challenger would get nothing
        if (terms.bond < 2) revert ListTermInvalid("bond", terms.bond);

        listId = ++listCount;
        List storage opened = _lists[listId];
        (opened.terms, opened.opener) = (terms, msg.sender);
        emit ListOpened(listId, msg.sender, terms);
    }

    /// @inheritdoc IClaimLists
    function propose(uint256 listId, bytes32 node, uint256 total, uint256 count) external returns (uint32 round) {
        List storage list_ = _listOf(listId);
        ListTerms memory terms = list_.terms;
        if (msg.sender != terms.proposer) revert NotProposer(listId, msg.sender, terms.proposer);
        if (count == 0 || count > MAX_COUNT) revert CountInvalid(listId, count);
        _checkNonePending(listId, list_.rounds);
        uint256 before = _roots[listId][list_.rounds].total;
        if (total < before) revert TotalFell(listId, total, before);
        uint256 funded = PAYMENTS.balanceOf(terms.token, fundAccount(listId)) + list_.claimedInAll;
        // claims are counted in 128 bits
        if (total > funded || total > type(uint128).max) revert TotalNotFunded(listId, total, funded);
        uint256 bond = PAYMENTS.balanceOf(terms.token, bondAccount(listId));
        if (bond < terms.bond) revert BondTooLow(listId, bond, terms.bond);

        round = ++list_.rounds;
        uint256 acceptedAt = block.timestamp + terms.window;
        _roots[listId][round] =
            ListRoot({node: node, total: uint128(total), count: uint40(count), acceptedAt: uint40(acceptedAt)});
        emit RootProposed(listId, round, node, total, count, acceptedAt);
    }

    /// @inheritdoc IClaimLists
    function challengeOrder(uint256 listId, ListLeaf calldata left, ListLeaf calldata right) external {
        uint32 round = _pendingRound(listId);
        _checkLeaf(listId, round, left);
        _checkLeaf(listId, round, right);
        if (right.index != left.index + 1 || right.account > left.account) revert NoFaultShown(listId);
        _fall(listId, round);
    }

    /// @inheritdoc IClaimLists
    function challengeLoss(uint256 listId, ListLeaf calldata before, ListLeaf[] calldata leaves) external {
        uint32 round = _pendingRound(listId);
        // the first round has none before it: no leaf is in that
        _checkLeaf(listId, round - 1, before);
        for (uint256 i; i < leaves.length; ++i) {
            _checkLeaf(listId, round, leaves[i]);
        }
        if (!_hasLess(leaves, before.account, before.cumulative, _roots[listId][round].count)) {
            revert NoFaultShown(listId);
        }
        _fall(listId, round);
    }

    /// @inheritdoc IClaimLists
    function reject(uint256 listId, bytes32 reasonHash) external {
        uint32 round = _pendingRound(listId);
        ListTerms memory terms = _lists[listId].terms;
        if (msg.sender != terms.arbiter) revert NotListArbiter(listId, msg.sender, terms.arbiter);

        _remove(listId, round);
        emit RootRejected(listId, round, reasonHash, terms.bond);
        PAYMENTS.move(terms.token, _bondKey(listId), fundAccount(listId), terms.bond);
    }

    // ─── Claims ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IClaimLists
    function claim(ListClaim calldata claimed_) external returns (uint256 amount) {
        amount = _claim(claimed_);
        if (amount == 0) {
            address account = claimed_.leaf.account;
            revert NothingLeft(claimed_.listId, account, _claimed[claimed_.listId][account]);
        }
    }

    /// @inheritdoc IClaimLists
    function claimMany(ListClaim[] calldata claims) external returns (uint256[] memory amounts) {
        amounts = new uint256[](claims.length);
        for (uint256 i; i < claims.length; ++i) {
            amounts[i] = _claim(claims[i]);
        }
    }

    /// Returns zero where nothing is left: anyone may have claimed for the account just before.
    function _claim(ListClaim calldata asked) private returns (uint256 amount) {
        (uint256 listId, uint32 round) = (asked.listId, asked.round);
        List storage list_ = _listOf(listId);
        uint256 acceptedAt = _roots[listId][round].acceptedAt;
        if (acceptedAt == 0 || block.timestamp < acceptedAt) revert RootNotAccepted(listId, round, acceptedAt);
        _checkLeaf(listId, round, asked.leaf);
        address account = asked.leaf.account;
        uint256 before = _claimed[listId][account];
        if (asked.leaf.cumulative <= before) return 0;
        uint256 left = asked.leaf.cumulative - before;
        amount = asked.amount == 0 ? left : asked.amount;
        if (amount > left) revert ClaimTooLarge(listId, account, amount, left);

        // at most the leaf's amount, and what was funded
        _claimed[listId][account] = uint128(before + amount);
        list_.claimedInAll += uint128(amount);
        emit ListClaimed(listId, round, account, amount);

        PAYMENTS.move(list_.terms.token, _fundKey(listId), PAYMENTS.personAccount(account), amount);
    }

    // ─── What is left over ────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IClaimLists
    function takeBond(uint256 listId) external returns (uint256 amount) {
        List storage list_ = _listOf(listId);
        _checkNonePending(listId, list_.rounds);
        (address token, address proposer) = (list_.terms.token, list_.terms.proposer);
        amount = PAYMENTS.balanceOf(token, bondAccount(listId));
        emit BondTaken(listId, proposer, amount);
        PAYMENTS.move(token, _bondKey(listId), PAYMENTS.personAccount(proposer), amount);
    }

    /// @inheritdoc IClaimLists
    function takeSurplus(uint256 listId) external returns (uint256 amount) {
        List storage list_ = _listOf(listId);
        (address opener, address token) = (list_.opener, list_.terms.token);
        if (msg.sender != opener) revert NotOpener(listId, msg.sender, opener);
        _checkNonePending(listId, list_.rounds);
        uint256 balance = PAYMENTS.balanceOf(token, fundAccount(listId));
        uint256 promised = _roots[listId][list_.rounds].total;
        // more than the last root's total was claimed where an older one gave somebody more
        uint256 owed = promised > list_.claimedInAll ? promised - list_.claimedInAll : 0;
        amount = balance > owed ? balance - owed : 0;
        emit SurplusTaken(listId, opener, amount);
        PAYMENTS.move(token, _fundKey(listId), PAYMENTS.personAccount(opener), amount);
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IClaimLists
    function list(uint256 listId)
        external
        view
        returns (ListTerms memory terms, address opener, uint32 rounds, uint256 claimedInAll)
    {
        List storage list_ = _listOf(listId);
        return (list_.terms, list_.opener, list_.rounds, list_.claimedInAll);
    }

    /// @inheritdoc IClaimLists
    function rootOf(uint256 listId, uint32 round) external view returns (ListRoot memory) {
        return _roots[listId][round];
    }

    /// @inheritdoc IClaimLists
    function claimed(uint256 listId, address account) external view returns (uint256) {
        return _claimed[listId][account];
    }

    /// @inheritdoc IClaimLists
    function fundAccount(uint256 listId) public view returns (bytes32) {
        return PAYMENTS.moduleAccount(address(this), _fundKey(listId));
    }

    /// @inheritdoc IClaimLists
    function bondAccount(uint256 listId) public view returns (bytes32) {
        return PAYMENTS.moduleAccount(address(this), _bondKey(listId));
    }

    /// @inheritdoc IClaimLists
    function leafHash(uint256 listId, uint256 index, address account, uint256 cumulative)
        external
        view
        returns (bytes32)
    {
        return SumTree.leafOf(listId, index, account, cumulative);
    }

    // ─── Internal ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Whether leaves, which are in a tree of `count` leaves, show that it gives an account less. Two leaves that aren't in order show nothing here: the tree then falls by that.
    function _hasLess(ListLeaf[] calldata leaves, address account, uint256 cumulative, uint256 count)
        private
        pure
        returns (bool)
    {
        if (leaves.length == 2) {
            if (leaves[1].index != leaves[0].index + 1) return false;
            return leaves[0].account < account && account < leaves[1].account;
        }
        if (leaves.length != 1) return false;
        ListLeaf calldata leaf = leaves[0];
        if (leaf.account == account) return leaf.cumulative < cumulative;
        return account < leaf.account ? leaf.index == 0 : leaf.index == count - 1;
    }

    /// A root falls to a proof by the caller.
    function _fall(uint256 listId, uint32 round) private {
        ListTerms memory terms = _lists[listId].terms;
        _remove(listId, round);
        uint256 reward = terms.bond / 2;
        emit RootChallenged(listId, round, msg.sender, reward, terms.bond - reward);
        PAYMENTS.move(terms.token, _bondKey(listId), PAYMENTS.personAccount(msg.sender), reward);
        PAYMENTS.move(terms.token, _bondKey(listId), fundAccount(listId), terms.bond - reward);
    }

    function _remove(uint256 listId, uint32 round) private {
        delete _roots[listId][round];
        --_lists[listId].rounds;
    }

    function _checkLeaf(uint256 listId, uint32 round, ListLeaf calldata leaf) private view {
        ListRoot memory root = _roots[listId][round];
        (bytes32 node, uint256 sum) = SumTree.rootFrom(listId, leaf, root.count);
        if (node != root.node || sum != root.total) revert LeafNotInRoot(listId, round, leaf.index);
    }

    function _checkNonePending(uint256 listId, uint32 round) private view {
        uint256 acceptedAt = _roots[listId][round].acceptedAt;
        if (block.timestamp < acceptedAt) revert RootPending(listId, round, acceptedAt);
    }

    function _pendingRound(uint256 listId) private view returns (uint32 round) {
        round = _listOf(listId).rounds;
        if (block.timestamp >= _roots[listId][round].acceptedAt) revert NoRootPending(listId);
    }

    function _listOf(uint256 listId) private view returns (List storage list_) {
        list_ = _lists[listId];
        if (list_.opener == address(0)) revert ListUnknown(listId);
    }

    function _fundKey(uint256 listId) private pure returns (bytes32) {
        return keccak256(abi.encode("funds", listId));
    }

    function _bondKey(uint256 listId) private pure returns (bytes32) {
        return keccak256(abi.encode("bond", listId));
    }
}
