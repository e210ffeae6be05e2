// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ListClaim, ListLeaf, ListRoot, ListTerms} from "../types/Types.sol";

/// @title Lists of who may claim how much, computed off chain
/// @notice Holds no token: a list's funds and its proposer's bond lie in Payments under this contract's accounts (`fundAccount`, `bondAccount`), where anyone pays them in.
///
/// A list is of one token. Its roots follow each other in rounds; each says of every account how much it may have claimed *in all* by then (cumulative). Entries are sorted by
/// account, each account once. A root is accepted when its window is over and nobody showed a fault; accepted roots stay claimable for good, so no later root takes a claim away.
///
/// What is judged here, by proof: entries out of order, or an account twice; an account that an accepted root gives more than the new one. What needs no judge: a total beyond
/// what was funded, or below the last one, can't be proposed, and no leaves sum up to more than the total (see SumTree). What can't be judged by the chain, wrong amounts and entries that are
/// kept secret, an arbiter may reject whom the list named when it was opened. It can move no money but the bond, and that into the list's funds only.
///
/// Typical flow: 1 `open`; 2 anyone pays into `fundAccount`, the proposer into `bondAccount` (`Payments.payIn`); 3 it proposes a root and publishes the entries; 4 who finds a fault
/// challenges; 5 after the window accounts claim, any part at a time, for good; 6 `Payments.claim` pays out.
///
/// Safety assumption: somebody who has the entries looks at each new root within its window. If nobody does for a whole window, a root that gives less to one account and more to another
/// is accepted, and the list may then owe more than its funds: claims wait for funds, none is lost. Liveness: an arbiter can reject every root, and thereby stop new ones, never old ones.
interface IClaimLists {
    event ListOpened(uint256 indexed listId, address indexed opener, ListTerms terms);
    event RootProposed(
        uint256 indexed listId, uint32 indexed round, bytes32 node, uint256 total, uint256 count, uint256 acceptedAt
    );
    /// @notice A root fell to a proof; `reward` to the challenger, `toFunds` into the list's funds.
    event RootChallenged(
        uint256 indexed listId, uint32 indexed round, address indexed challenger, uint256 reward, uint256 toFunds
    );
    event RootRejected(uint256 indexed listId, uint32 indexed round, bytes32 reasonHash, uint256 toFunds);
    event ListClaimed(uint256 indexed listId, uint32 indexed round, address indexed account, uint256 amount);
    event BondTaken(uint256 indexed listId, address indexed proposer, uint256 amount);
    event SurplusTaken(uint256 indexed listId, address indexed opener, uint256 amount);

    error ListUnknown(uint256 listId);
    error ListTermInvalid(bytes32 field, uint256 value);
    error NotProposer(uint256 listId, address caller, address proposer);
    error NotListArbiter(uint256 listId, address caller, address arbiter);
    error NotOpener(uint256 listId, address caller, address opener);
    /// @notice One root at a time: the last one's window is open until then.
    error RootPending(uint256 listId, uint32 round, uint256 acceptedAt);
    /// @notice No root can be challenged or rejected now.
    error NoRootPending(uint256 listId);
    error RootNotAccepted(uint256 listId, uint32 round, uint256 acceptedAt);
    error BondTooLow(uint256 listId, uint256 bond, uint256 needed);
    /// @notice A total is cumulative: it never falls.
    error TotalFell(uint256 listId, uint256 total, uint256 before);
    /// @notice `funded`: what lies in the list's funds and what was claimed, together.
    error TotalNotFunded(uint256 listId, uint256 total, uint256 funded);
    error CountInvalid(uint256 listId, uint256 count);
    /// @notice The leaf isn't in the tree.
    error LeafNotInRoot(uint256 listId, uint32 round, uint256 index);
    error NothingLeft(uint256 listId, address account, uint256 claimed);
    error ClaimTooLarge(uint256 listId, address account, uint256 asked, uint256 left);
    /// @notice What was shown is as it should be.
    error NoFaultShown(uint256 listId);

    /// @notice Opens a list. Its terms never change. Anyone.
    function open(ListTerms calldata terms) external returns (uint256 listId);
    /// @notice The list's proposer: a root, with its total and its number of leaves. The last one must be accepted, or have fallen; the bond must lie in `bondAccount`.
    function propose(uint256 listId, bytes32 node, uint256 total, uint256 count) external returns (uint32 round);
    /// @notice Books what the leaf's account may still claim, or a part of it, to that account in Payments. Anyone: it goes to no one else.
    function claim(ListClaim calldata claimed) external returns (uint256 amount);
    /// @notice Several, of any lists and so tokens; bounded by the caller's own list. One of which nothing is left is passed over, since anyone may have claimed it just before; one that
    /// fails for another reason reverts all.
    function claimMany(ListClaim[] calldata claims) external returns (uint256[] memory amounts);
    /// @notice Shows two neighbouring leaves of the root that is not accepted yet, the second of an account that isn't above the first's. Half of the bond to the caller, rounded down.
    function challengeOrder(uint256 listId, ListLeaf calldata left, ListLeaf calldata right) external;
    /// @notice Shows that an account has less in the root that is not accepted yet than in the one before: its own leaf there, or the neighbouring leaves between which it
    /// would stand, or the first or last leaf alone where it would stand before or after all.
    function challengeLoss(uint256 listId, ListLeaf calldata before, ListLeaf[] calldata leaves) external;
    /// @notice The list's arbiter: the root that is not accepted yet falls. The bond goes into the list's funds. `reasonHash`: of a document.
    function reject(uint256 listId, bytes32 reasonHash) external;
    /// @notice The proposer's bond, to its account, while no root's window is open. Anyone.
    function takeBond(uint256 listId) external returns (uint256 amount);
    /// @notice The opener: what lies in the funds beyond what the last root promises, to its account, while no root's window is open.
    function takeSurplus(uint256 listId) external returns (uint256 amount);

    function listCount() external view returns (uint256);
    /// @notice A list's terms, who opened it, its last round, and what was claimed of it in all.
    function list(uint256 listId)
        external
        view
        returns (ListTerms memory terms, address opener, uint32 rounds, uint256 claimedInAll);
    function rootOf(uint256 listId, uint32 round) external view returns (ListRoot memory);
    function claimed(uint256 listId, address account) external view returns (uint256);
    /// @notice Accounts in Payments.
    function fundAccount(uint256 listId) external view returns (bytes32);
    function bondAccount(uint256 listId) external view returns (bytes32);
    function leafHash(uint256 listId, uint256 index, address account, uint256 cumulative)
        external
        view
        returns (bytes32);
}
