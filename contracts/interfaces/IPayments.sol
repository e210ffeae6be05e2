// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReadVoucher} from "../types/Types.sol";

/// @title The one ledger
/// @notice Beside Restaking the only contract that holds tokens. An account is bytes32: a person's is its address; a contract's are
/// keccak256(abi.encode(contract, key)), and only that contract moves them. Recorded balance = what is owed, to the unit, always; the
/// actual balance is at least that, and nothing reverts on a surplus (I-P1).
///
/// Each contract's account has a **book** beside its plain balance, for money that is earned over time (see Streams): held units, which nobody has
/// earned; streams, earned linearly; what of both is counted. One book for all streams to one beneficiary, in one token: all licenses of an asset.
/// Payments keeps no record of single streams: their module names them again, with the same numbers, to stop them.
///
/// Typical flow: 1 a module `collect`s from a payer that approved this contract, or takes a price into a book with `openStream`; 2 it `move`s parts
/// to those that earned them, or has a book settled to its beneficiary; 3 each person `claim`s its own.
///
/// Waterfall of every settlement of an amount A: ⌊A · feeBps / 10,000⌋ to the protocol; of what is left ⌊· upstreamBps / 10,000⌋ upstream; the remainder,
/// with whatever rounding left, to the beneficiary. What is not earned goes back without any of it.
///
/// Reads that are paid for: a payer deposits for one operator, and signs vouchers over what its reads cost in all so far; the operator redeems the newest of each of
/// its payers, many at a time. Each deposit serves one operator alone: no other can empty it first.
///
/// Safety assumptions, for each token alone: its balances change only by transfers, and a transfer takes from the sender what it says. A token
/// for which that is false (rebasing, a fee on top) can fail to pay its own claims, and blocks nothing in any other token. For each book alone: its
/// module stops each stream at most once, with the numbers that it opened it with. One that doesn't harms its own book only.
interface IPayments {
    event Collected(address indexed token, address indexed from, bytes32 indexed account, uint256 amount);
    event Moved(address indexed token, bytes32 indexed from, bytes32 indexed to, uint256 amount);
    event Claimed(address indexed token, address indexed account, uint256 amount);
    /// @notice A token of `claimMany` refused: its record stands.
    event ClaimFailed(address indexed token, address indexed account, uint256 amount);
    /// @notice A source of `claimFrom` had nothing, or failed; by its place in the list.
    event SourceFailed(address indexed source, address indexed account, uint256 index);

    /// @notice `held` and `amount` came from `payer` into a book, and `amount` is streamed.
    event StreamOpened(
        address indexed token,
        bytes32 indexed account,
        address indexed payer,
        uint256 held,
        uint256 amount,
        uint256 start,
        uint256 end
    );
    /// @notice What was held is streamed.
    event StreamStarted(address indexed token, bytes32 indexed account, uint256 amount, uint256 start, uint256 end);
    /// @notice A stream ended early. What it had not earned is held, or went to `to`.
    event StreamStopped(
        address indexed token,
        bytes32 indexed account,
        bytes32 indexed to,
        uint256 amount,
        uint256 start,
        uint256 end,
        uint256 unearned
    );
    /// @notice What was held counts as earned.
    event HeldEarned(address indexed token, bytes32 indexed account, uint256 amount);
    /// @notice `amount` of a book went out: `fee` to the protocol, `upstreamPart` upstream, the remainder to `to`.
    event StreamsSettled(
        address indexed token,
        bytes32 indexed account,
        bytes32 indexed to,
        uint256 amount,
        uint256 fee,
        uint256 upstreamPart,
        uint256 settledTo
    );
    /// @notice A payment that nothing was due for: its payer may take it back until the module accepts it.
    event LatePaid(address indexed token, address indexed payer, bytes32 indexed account, uint256 amount);
    /// @notice It went into `book`.
    event LateAccepted(
        address indexed token, address indexed payer, bytes32 indexed account, bytes32 book, uint256 amount
    );
    event LateTakenBack(address indexed token, address indexed payer, bytes32 indexed account, uint256 amount);
    /// @notice `payer`'s deposit for reads from `operator` grew, by whoever paid.
    event ReadsDeposited(address indexed token, address indexed operator, address indexed payer, uint256 amount);
    event VoucherRedeemed(address indexed token, address indexed operator, address indexed payer, uint256 amount);
    /// @notice From `withdrawableAt` on the payer may take back what is left; 0: it doesn't want to any more.
    event WithdrawalAnnounced(
        address indexed token, address indexed operator, address indexed payer, uint256 withdrawableAt
    );
    event DepositWithdrawn(address indexed token, address indexed operator, address indexed payer, uint256 amount);
    event ProtocolFeeAnnounced(uint256 bps, address account, uint256 from);

    /// @notice The caller stands under no name in the Directory now.
    error CallerNotModule(address caller);
    /// @notice Account zero is nobody's.
    error ZeroAccount();
    /// @notice Less arrived than was to be collected.
    error TransferShort(address token, uint256 expected, uint256 received);
    error BalanceTooLow(bytes32 account, uint256 balance, uint256 asked);
    error NothingToClaim(address token, address account);
    /// @notice Too little gas is left to tell a refusing token from an interrupted transfer.
    error GasInsufficient(uint256 left, uint256 needed);
    /// @notice Only this contract calls itself here.
    error NotSelf(address caller);
    /// @notice A book has not been settled into this era yet (or stands in a later one).
    error EraWrong(uint256 era, uint256 expected);
    /// @notice Shares of more than the whole.
    error ShareTooLarge(uint256 bps, uint256 limit);
    error NotGovernor(address caller);
    error FeeTooHigh(uint256 bps, uint256 limit);
    /// @notice Two lists that belong together differ in length.
    error LengthsDiffer(uint256 one, uint256 other);

    /// @notice No voucher of the list pays anything (any more).
    error NothingToRedeem(address token, address operator);

    // ─── Plain accounts ───────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Takes tokens from someone who approved this contract into the calling module's account `key`. Modules in force only.
    /// What arrives beyond `amount` is a surplus and belongs to no account. An amount of zero does nothing.
    function collect(address token, address from, bytes32 key, uint256 amount) external;
    /// @notice Moves an amount out of the caller's own account `key` to any account. A module that was replaced still moves its own.
    function move(address token, bytes32 key, bytes32 to, uint256 amount) external;
    /// @notice Takes the caller's own tokens into any account.
    function payIn(address token, bytes32 account, uint256 amount) external;

    // ─── Late payments ────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Takes tokens as `collect` does, for a payment that the module can't apply (what was to be renewed is over). They lie apart, for (module,
    /// payer, key), until the payer takes them back or the module accepts them: nobody else can touch them.
    function payLate(address token, address from, bytes32 key, uint256 amount) external;
    /// @notice Moves money that a payer paid late for `lateKey`, held, into the caller's book `key`.
    function acceptLate(address token, address payer, bytes32 lateKey, bytes32 key, uint32 era, uint256 amount) external;
    /// @notice Moves all late money of the caller with a module to the caller's own account. Any time.
    function takeBack(address token, address module, bytes32 key) external returns (uint256 amount);

    // ─── Books ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Takes `held + amount` from someone who approved this contract into the calling module's book `key`; `amount` is streamed over
    /// [start, end), where start is now or later. Modules in force only. `era` must be the book's; a book without balance takes it. All of zero does
    /// nothing.
    function openStream(
        address token,
        address from,
        bytes32 key,
        uint32 era,
        uint256 held,
        uint256 amount,
        uint256 start,
        uint256 end
    ) external;
    /// @notice Streams what is held in the caller's book.
    function startStream(address token, bytes32 key, uint32 era, uint256 amount, uint256 start, uint256 end) external;
    /// @notice Ends a stream of the caller's book now that was opened (or started) at `opened`. What it has earned, rounded up to whole units, stays earned;
    /// the rest, which is returned, is held, or moved to `refundTo` unless that is zero. A stream that is over is left alone: 0.
    function stopStream(
        address token,
        bytes32 key,
        uint32 era,
        uint256 amount,
        uint256 start,
        uint256 end,
        uint256 opened,
        bytes32 refundTo
    ) external returns (uint256 unearned);
    /// @notice What is held in the caller's book is earned, now.
    function earnHeld(address token, bytes32 key, uint32 era, uint256 amount) external;
    /// @notice What is held in the caller's book is earned by `to`, who isn't its beneficiary of now: goes through the waterfall at once. No era.
    function pourHeld(address token, bytes32 key, bytes32 to, bytes32 upstream, uint256 upstreamBps, uint256 amount)
        external;
    /// @notice Moves what is held in the caller's book to any account.
    function moveHeld(address token, bytes32 key, bytes32 to, uint256 amount) external;
    /// @notice Pays out through the waterfall what the caller's book counts at `until` (now, if that is 0 or later). At most `maxDays` starts of days are
    /// passed: where there are more, nothing is paid yet, `settledTo` says how far it came, and the next call goes on. Once there, the book goes on in
    /// `nextEra`: a change of beneficiary.
    function settleStreams(
        address token,
        bytes32 key,
        uint256 until,
        uint32 nextEra,
        bytes32 to,
        bytes32 upstream,
        uint256 upstreamBps,
        uint256 maxDays
    ) external returns (uint256 amount, uint256 settledTo);

    // ─── Claims ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Pays out the caller's balance.
    function claim(address token) external returns (uint256 amount);
    /// @notice Pays out the caller's balances; one that fails keeps its record and blocks none of the others. Bounded by the caller's own list,
    /// and each token by CLAIM_GAS. A balance of zero is passed over.
    function claimMany(address[] calldata tokens) external returns (uint256[] memory amounts);
    /// @notice Has modules in force book what the caller earned (`IEarningSource`), each within SOURCE_GAS, then pays out as `claimMany`. A source that fails
    /// blocks none of the others.
    function claimFrom(address[] calldata sources, bytes[] calldata what, address[] calldata tokens)
        external
        returns (uint256[] memory amounts);
    /// @notice One payment of `claimMany`; only this contract itself.
    function payOut(address token, address account) external returns (uint256 amount);

    // ─── Reads ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Takes the caller's tokens, and adds them to `payer`'s deposits for reads from each operator. `payer` is whose key signs vouchers, and who may take back what
    /// is left; it need not be the caller, and can't be a contract.
    function depositForReads(address token, address payer, address[] calldata operators, uint256[] calldata amounts)
        external;
    /// @notice Books to the operator what vouchers of its payers name beyond what was redeemed before, as far as each deposit goes. Anyone. A voucher that pays nothing (a replay, an older one, a wrong
    /// signature, an empty deposit) is passed over. Signed: ReadVoucher(address operator,address token,uint256 cumulative) — name "Qanat Payments", version "1".
    function redeem(address token, address operator, ReadVoucher[] calldata vouchers) external returns (uint256 amount);
    /// @notice The payer: announces that it will take back what is left, or that it won't. Vouchers are redeemed meanwhile as before.
    function announceWithdrawal(address token, address operator) external;
    function cancelWithdrawal(address token, address operator) external;
    /// @notice The payer, after the notice: what is left of its deposit goes to its account.
    function withdrawDeposit(address token, address operator) external returns (uint256 amount);

    // ─── Protocol fee ─────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Directory's governor: from FEE_DELAY from now on settlements leave `bps`, at most MAX_FEE_BPS, to `account`. What was earned before can be
    /// settled before. It touches nothing else, and no storage fee.
    function announceProtocolFee(uint256 bps, address account) external;
    /// @notice The fee of now.
    function protocolFee() external view returns (uint256 bps, address account);

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    function balanceOf(address token, bytes32 account) external view returns (uint256);
    function claimable(address token, address account) external view returns (uint256);
    function recorded(address token) external view returns (uint256);
    /// @notice A book: all that lies there; what of it `settleStreams` would pay now, before the waterfall; up to when it is settled; its era.
    function bookOf(address token, bytes32 account)
        external
        view
        returns (uint256 balance, uint256 counted, uint256 settledTo, uint32 era);
    /// @notice The era of a module's book; one without money (`isEmpty`) takes any.
    function eraOf(address token, address module, bytes32 key) external view returns (uint32 era, bool isEmpty);
    /// @notice What a payer paid late to a module's account.
    function lateOf(address token, address module, address payer, bytes32 key) external view returns (uint256);
    /// @notice A deposit for reads: what was put down and what was redeemed, since ever; when what is left may be taken back, 0: that isn't announced.
    function depositOf(address token, address operator, address payer)
        external
        view
        returns (uint256 deposited, uint256 redeemed, uint256 withdrawableAt);
    /// @notice What a payer signs.
    function voucherDigest(address token, address operator, uint256 cumulative) external view returns (bytes32);
    function moduleAccount(address owner, bytes32 key) external pure returns (bytes32);
    function personAccount(address person) external pure returns (bytes32);
}
