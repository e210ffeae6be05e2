// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IDirectory} from "../interfaces/IDirectory.sol";
import {IEarningSource} from "../interfaces/IEarningSource.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {ReadDeposits} from "../libraries/ReadDeposits.sol";
import {Streams} from "../libraries/Streams.sol";
import {ReadVoucher} from "../types/Types.sol";

/// @title Payments
/// @notice Holds every token that is not stake, and for each token who is owed how much of it.
///
/// Invariants, for each token t (docs/invariants.md lists them all, and where each is checked):
/// - I-P1  recorded(t) = Σ over accounts of balanceOf(t, account) + Σ of books' balances + Σ over deposits for reads of deposited − redeemed, and is at most this
///         contract's balance of t
/// - I-P2  a person's account falls only by its own claim, a contract's only by its own call; late money by its payer's or its module's; a deposit for
///         reads by vouchers that its payer signed for that operator, or its payer's withdrawal (I-Q1, I-Q2 of ReadDeposits)
/// - I-P3  nothing here reads or writes another token's records
/// - I-P4  what leaves a book by settlement = fee + upstream part + the beneficiary's, to the unit, and never more than lies in it
/// In formulas, in all of which balance, recorded, arrived, sent are of t:
/// - I-M1  balanceOf(this) ≥ recorded
/// - I-M2  recorded = Σ accounts + Σ books + Σ (deposited − redeemed)
/// - I-M3  recorded = arrived − sent
/// - I-M4  a call about a token u ≠ t: Δ of every record of t = 0
/// - I-M5  a surplus: balanceOf(this) − recorded, of no account, spent by nobody
/// - I-M6  Δaccount(person) < 0 ⇒ it is the person's claim, and account(person) = 0 after it
/// - I-M7  Δaccount(contract, key) < 0 ⇒ the contract called
/// - I-M8  Δlate(module, payer, key) < 0 ⇒ the payer took it back, or the module accepted it
/// - I-M9  book = paid in − returned − settled
/// - I-M19 settled A: fee = ⌊A·f⌋, upstream = ⌊(A − fee)·u⌋, beneficiary = A − fee − upstream
/// - I-M20 f ≤ 2.5 %, and known 30 days before
/// - I-M21 returned, taken back, redeemed: fee = 0
/// - I-M22 announceProtocolFee: Δ of every account = 0
/// - I-M23 a token that reverts, lies or burns gas in claimMany: Δ of all other tokens' payments = 0
/// - I-M24 within a transfer of any token: no collection, no opening, no claim
/// - I-M32 poured A of held: I-M19, and Δheld = −A, Δcounted = 0
contract Payments is IPayments, ReentrancyGuardTransient, EIP712 {
    using ReadDeposits for ReadDeposits.Deposit;
    using SafeERC20 for IERC20;
    using Streams for Streams.Book;
    using Streams for Streams.State;

    /// The protocol's part, of now and as announced.
    struct Fee {
        address account;
        uint16 bps;
        // when the announced one begins; 0: none is announced
        uint40 nextFrom;
        // ---
        address nextAccount;
        uint16 nextBps;
    }

    /// Gas that `claimMany` gives to one token. Four times what a plain transfer to a new holder costs, and above what the
    /// usual interest-bearing tokens need; a token that needs more is claimed alone, with `claim`.
    uint256 public constant CLAIM_GAS = 300_000;
    /// Gas that `claimFrom` gives to one source: a settlement of rewards costs 290,000, a book's day 2,200.
    uint256 public constant SOURCE_GAS = 1_500_000;

    /// Most that the protocol can ever take of what is earned.
    uint256 public constant MAX_FEE_BPS = 250;
    /// So long is a change of the protocol's part known before.
    uint256 public constant FEE_DELAY = 30 days;

    /// What must be left besides: a call keeps one part in 64 (EIP-150), and the record of a failure needs its own gas.
    uint256 private constant CLAIM_GAS_NEEDED = CLAIM_GAS * 64 / 63 + 10_000;
    uint256 private constant SOURCE_GAS_NEEDED = SOURCE_GAS * 64 / 63 + 10_000;

    uint256 private constant BPS = 10_000;

    bytes32 private constant READ_VOUCHER_TYPEHASH =
        keccak256("ReadVoucher(address operator,address token,uint256 cumulative)");

    IDirectory private immutable DIRECTORY;

    mapping(address token => mapping(bytes32 account => uint256 amount)) private _balances;
    mapping(address token => uint256 amount) private _recorded;
    mapping(address token => mapping(bytes32 account => Streams.Book)) private _books;
    mapping(address token => mapping(address operator => mapping(address payer => ReadDeposits.Deposit))) private
        _deposits;
    Fee private _fee;

    constructor(IDirectory directory) EIP712("Qanat Payments", "1") {
        DIRECTORY = directory;
    }

    modifier onlyModule() {
        if (!DIRECTORY.isModule(msg.sender)) revert CallerNotModule(msg.sender);
        _;
    }

    // ─── Plain accounts ───────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function collect(address token, address from, bytes32 key, uint256 amount) external nonReentrant onlyModule {
        if (amount == 0) return;
        _take(token, from, amount);
        bytes32 account = moduleAccount(msg.sender, key);
        _balances[token][account] += amount;
        emit Collected(token, from, account, amount);
    }

    /// @inheritdoc IPayments
    function payIn(address token, bytes32 account, uint256 amount) external nonReentrant {
        if (account == bytes32(0)) revert ZeroAccount();
        if (amount == 0) return;
        _take(token, msg.sender, amount);
        _balances[token][account] += amount;
        emit Collected(token, msg.sender, account, amount);
    }

    /// @inheritdoc IPayments
    function move(address token, bytes32 key, bytes32 to, uint256 amount) external {
        if (to == bytes32(0)) revert ZeroAccount();
        bytes32 from = moduleAccount(msg.sender, key);
        _debit(token, from, amount);
        _balances[token][to] += amount;
        emit Moved(token, from, to, amount);
    }

    // ─── Late payments ────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function payLate(address token, address from, bytes32 key, uint256 amount) external nonReentrant onlyModule {
        if (amount == 0) return;
        _take(token, from, amount);
        _balances[token][_lateAccount(msg.sender, from, key)] += amount;
        emit LatePaid(token, from, moduleAccount(msg.sender, key), amount);
    }

    /// @inheritdoc IPayments
    function acceptLate(address token, address payer, bytes32 lateKey, bytes32 key, uint32 era, uint256 amount)
        external
    {
        _debit(token, _lateAccount(msg.sender, payer, lateKey), amount);
        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = _stateIn(book, era);
        state.credit(amount);
        book.state = state;
        emit LateAccepted(token, payer, moduleAccount(msg.sender, lateKey), account, amount);
    }

    /// @inheritdoc IPayments
    function takeBack(address token, address module, bytes32 key) external returns (uint256 amount) {
        bytes32 late = _lateAccount(module, msg.sender, key);
        amount = _balances[token][late];
        if (amount == 0) revert NothingToClaim(token, msg.sender);

        delete _balances[token][late];
        _balances[token][personAccount(msg.sender)] += amount;
        emit LateTakenBack(token, msg.sender, moduleAccount(module, key), amount);
    }

    // ─── Books ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function openStream(
        address token,
        address from,
        bytes32 key,
        uint32 era,
        uint256 held,
        uint256 amount,
        uint256 start,
        uint256 end
    ) external nonReentrant onlyModule {
        uint256 all = held + amount;
        if (all == 0) return;
        _take(token, from, all);

        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = _stateIn(book, era);
        state.credit(all);
        if (amount != 0) book.open(state, amount, start, end);
        book.state = state;
        emit StreamOpened(token, account, from, held, amount, start, end);
    }

    /// @inheritdoc IPayments
    function startStream(address token, bytes32 key, uint32 era, uint256 amount, uint256 start, uint256 end) external {
        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = _stateIn(book, era);
        if (state.balance < amount) revert BalanceTooLow(account, state.balance, amount);

        book.open(state, amount, start, end);
        book.state = state;
        emit StreamStarted(token, account, amount, start, end);
    }

    /// @inheritdoc IPayments
    function stopStream(
        address token,
        bytes32 key,
        uint32 era,
        uint256 amount,
        uint256 start,
        uint256 end,
        uint256 opened,
        bytes32 refundTo
    ) external returns (uint256 unearned) {
        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = _stateIn(book, era);
        unearned = book.stop(state, amount, start, end, opened);
        if (refundTo != bytes32(0) && unearned != 0) {
            _takeOut(state, account, unearned);
            _balances[token][refundTo] += unearned;
        }
        book.state = state;
        emit StreamStopped(token, account, refundTo, amount, start, end, unearned);
    }

    /// @inheritdoc IPayments
    function earnHeld(address token, bytes32 key, uint32 era, uint256 amount) external {
        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = _stateIn(book, era);
        if (state.balance < amount) revert BalanceTooLow(account, state.balance, amount);

        state.add(amount);
        book.state = state;
        emit HeldEarned(token, account, amount);
    }

    /// @inheritdoc IPayments
    function pourHeld(address token, bytes32 key, bytes32 to, bytes32 upstream, uint256 upstreamBps, uint256 amount)
        external
    {
        _checkShares(to, upstream, upstreamBps);
        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = book.state;
        _takeOut(state, account, amount);
        book.state = state;
        _pour(token, account, to, upstream, upstreamBps, amount, block.timestamp);
    }

    /// @inheritdoc IPayments
    function moveHeld(address token, bytes32 key, bytes32 to, uint256 amount) external {
        if (to == bytes32(0)) revert ZeroAccount();
        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = book.state;
        _takeOut(state, account, amount);
        book.state = state;
        _balances[token][to] += amount;
        emit Moved(token, account, to, amount);
    }

    /// @inheritdoc IPayments
    function settleStreams(
        address token,
        bytes32 key,
        uint256 until,
        uint32 nextEra,
        bytes32 to,
        bytes32 upstream,
        uint256 upstreamBps,
        uint256 maxDays
    ) external returns (uint256 amount, uint256 settledTo) {
        _checkShares(to, upstream, upstreamBps);
        if (until == 0 || until > block.timestamp) until = block.timestamp;
        bytes32 account = moduleAccount(msg.sender, key);
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = book.state;
        // nothing is pending in an empty one: no day is walked
        if (state.balance == 0 && state.slope == 0) state.settledTo = uint40(until);

        amount = book.settle(state, until, maxDays);
        settledTo = state.settledTo;
        if (settledTo >= until) state.era = nextEra;
        _takeOut(state, account, amount);
        book.state = state;
        _pour(token, account, to, upstream, upstreamBps, amount, settledTo);
    }

    function _checkShares(bytes32 to, bytes32 upstream, uint256 upstreamBps) private pure {
        if (to == bytes32(0) || (upstreamBps != 0 && upstream == bytes32(0))) revert ZeroAccount();
        if (upstreamBps > BPS) revert ShareTooLarge(upstreamBps, BPS);
    }

    /// The waterfall.
    function _pour(
        address token,
        bytes32 account,
        bytes32 to,
        bytes32 upstream,
        uint256 upstreamBps,
        uint256 amount,
        uint256 settledTo
    ) private {
        if (amount == 0) return;
        (uint256 feeBps, address feeAccount) = protocolFee();
        uint256 fee = amount * feeBps / BPS;
        uint256 upstreamPart = (amount - fee) * upstreamBps / BPS;
        if (fee != 0) _balances[token][personAccount(feeAccount)] += fee;
        if (upstreamPart != 0) _balances[token][upstream] += upstreamPart;
        _balances[token][to] += amount - fee - upstreamPart;
        emit StreamsSettled(token, account, to, amount, fee, upstreamPart, settledTo);
    }

    /// A book as it stands, in the era that it should be in. Without balance nothing is pending: it takes the era, and its line begins now.
    function _stateIn(Streams.Book storage book, uint32 era) private view returns (Streams.State memory state) {
        state = book.state;
        if (state.balance == 0 && state.slope == 0) {
            (state.era, state.settledTo) = (era, uint40(block.timestamp));
        } else if (state.era != era) {
            revert EraWrong(era, state.era);
        }
    }

    function _takeOut(Streams.State memory state, bytes32 account, uint256 amount) private pure {
        if (state.balance < amount) revert BalanceTooLow(account, state.balance, amount);
        unchecked {
            state.balance -= uint128(amount);
        }
    }

    // ─── Persons ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function claim(address token) external nonReentrant returns (uint256 amount) {
        amount = _payOut(token, msg.sender);
        if (amount == 0) revert NothingToClaim(token, msg.sender);
    }

    /// @inheritdoc IPayments
    function claimMany(address[] calldata tokens) external nonReentrant returns (uint256[] memory amounts) {
        return _claimMany(tokens);
    }

    /// @inheritdoc IPayments
    /// @dev What a source does here is what anyone may have it do; it is a module, so that a caller's list can't make this contract call a token.
    function claimFrom(address[] calldata sources, bytes[] calldata what, address[] calldata tokens)
        external
        nonReentrant
        returns (uint256[] memory amounts)
    {
        if (sources.length != what.length) revert LengthsDiffer(sources.length, what.length);
        for (uint256 i; i < sources.length; ++i) {
            if (!DIRECTORY.isModule(sources[i])) revert CallerNotModule(sources[i]);
            uint256 left = gasleft();
            if (left < SOURCE_GAS_NEEDED) revert GasInsufficient(left, SOURCE_GAS_NEEDED);

            try IEarningSource(sources[i]).settleFor{gas: SOURCE_GAS}(msg.sender, what[i]) {}
            catch {
                emit SourceFailed(sources[i], msg.sender, i);
            }
        }
        return _claimMany(tokens);
    }

    function _claimMany(address[] calldata tokens) private returns (uint256[] memory amounts) {
        amounts = new uint256[](tokens.length);
        for (uint256 i; i < tokens.length; ++i) {
            address token = tokens[i];
            if (_balances[token][personAccount(msg.sender)] == 0) continue;

            // Without this a transaction with too little gas would "succeed" and pay nothing; estimates would find it.
            uint256 left = gasleft();
            if (left < CLAIM_GAS_NEEDED) revert GasInsufficient(left, CLAIM_GAS_NEEDED);

            // A bare catch copies nothing of what the token returns.
            try this.payOut{gas: CLAIM_GAS}(token, msg.sender) returns (uint256 amount) {
                amounts[i] = amount;
            } catch {
                emit ClaimFailed(token, msg.sender, _balances[token][personAccount(msg.sender)]);
            }
        }
    }

    /// @inheritdoc IPayments
    function payOut(address token, address account) external returns (uint256 amount) {
        if (msg.sender != address(this)) revert NotSelf(msg.sender);
        return _payOut(token, account);
    }

    function _payOut(address token, address person) private returns (uint256 amount) {
        bytes32 account = personAccount(person);
        amount = _balances[token][account];
        if (amount == 0) return 0;

        delete _balances[token][account];
        _recorded[token] -= amount;
        emit Claimed(token, person, amount);

        IERC20(token).safeTransfer(person, amount);
    }

    // ─── Reads ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function depositForReads(address token, address payer, address[] calldata operators, uint256[] calldata amounts)
        external
        nonReentrant
    {
        if (operators.length != amounts.length) revert LengthsDiffer(operators.length, amounts.length);
        if (payer == address(0)) revert ZeroAccount();
        uint256 sum;
        for (uint256 i; i < amounts.length; ++i) {
            sum += amounts[i];
        }
        _take(token, msg.sender, sum);
        for (uint256 i; i < operators.length; ++i) {
            _deposits[token][operators[i]][payer].add(amounts[i]);
            emit ReadsDeposited(token, operators[i], payer, amounts[i]);
        }
    }

    /// @inheritdoc IPayments
    /// @dev Nothing here calls a stranger: payers are keys, not contracts, so none can make a batch fail.
    function redeem(address token, address operator, ReadVoucher[] calldata vouchers)
        external
        returns (uint256 amount)
    {
        mapping(address payer => ReadDeposits.Deposit) storage deposits = _deposits[token][operator];
        for (uint256 i; i < vouchers.length; ++i) {
            ReadVoucher calldata voucher = vouchers[i];
            bytes32 digest = voucherDigest(token, operator, voucher.cumulative);
            (address payer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, voucher.r, voucher.vs);
            if (problem != ECDSA.RecoverError.NoError) continue;
            uint256 part = deposits[payer].redeem(voucher.cumulative);
            if (part == 0) continue;
            amount += part;
            emit VoucherRedeemed(token, operator, payer, part);
        }
        if (amount == 0) revert NothingToRedeem(token, operator);
        _balances[token][personAccount(operator)] += amount;
    }

    /// @inheritdoc IPayments
    function announceWithdrawal(address token, address operator) external {
        uint256 withdrawableAt = _deposits[token][operator][msg.sender].announce();
        emit WithdrawalAnnounced(token, operator, msg.sender, withdrawableAt);
    }

    /// @inheritdoc IPayments
    function cancelWithdrawal(address token, address operator) external {
        _deposits[token][operator][msg.sender].withdrawableAt = 0;
        emit WithdrawalAnnounced(token, operator, msg.sender, 0);
    }

    /// @inheritdoc IPayments
    function withdrawDeposit(address token, address operator) external returns (uint256 amount) {
        amount = _deposits[token][operator][msg.sender].withdraw();
        _balances[token][personAccount(msg.sender)] += amount;
        emit DepositWithdrawn(token, operator, msg.sender, amount);
    }

    // ─── Protocol fee ─────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function announceProtocolFee(uint256 bps, address account) external {
        if (msg.sender != DIRECTORY.governor()) revert NotGovernor(msg.sender);
        if (bps > MAX_FEE_BPS) revert FeeTooHigh(bps, MAX_FEE_BPS);
        if (account == address(0)) revert ZeroAccount();

        (uint256 bpsNow, address accountNow) = protocolFee();
        uint256 from = block.timestamp + FEE_DELAY;
        _fee = Fee({
            account: accountNow, bps: uint16(bpsNow), nextFrom: uint40(from), nextAccount: account, nextBps: uint16(bps)
        });
        emit ProtocolFeeAnnounced(bps, account, from);
    }

    /// @inheritdoc IPayments
    function protocolFee() public view returns (uint256 bps, address account) {
        uint256 from = _fee.nextFrom;
        return from != 0 && block.timestamp >= from ? (_fee.nextBps, _fee.nextAccount) : (_fee.bps, _fee.account);
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function balanceOf(address token, bytes32 account) external view returns (uint256) {
        return _balances[token][account];
    }

    /// @inheritdoc IPayments
    function claimable(address token, address account) external view returns (uint256) {
        return _balances[token][personAccount(account)];
    }

    /// @inheritdoc IPayments
    function recorded(address token) external view returns (uint256) {
        return _recorded[token];
    }

    /// @inheritdoc IPayments
    function bookOf(address token, bytes32 account)
        external
        view
        returns (uint256 balance, uint256 counted, uint256 settledTo, uint32 era)
    {
        Streams.Book storage book = _books[token][account];
        Streams.State memory state = book.state;
        (balance, settledTo, era) = (state.balance, state.settledTo, state.era);
        if (balance != 0) counted = book.settle(state, block.timestamp, type(uint256).max);
    }

    /// @inheritdoc IPayments
    function eraOf(address token, address module, bytes32 key) external view returns (uint32 era, bool isEmpty) {
        Streams.State storage state = _books[token][moduleAccount(module, key)].state;
        return (state.era, state.balance == 0 && state.slope == 0);
    }

    /// @inheritdoc IPayments
    function lateOf(address token, address module, address payer, bytes32 key) external view returns (uint256) {
        return _balances[token][_lateAccount(module, payer, key)];
    }

    /// @inheritdoc IPayments
    function depositOf(address token, address operator, address payer)
        external
        view
        returns (uint256 deposited, uint256 redeemed, uint256 withdrawableAt)
    {
        ReadDeposits.Deposit storage held = _deposits[token][operator][payer];
        return (held.deposited, held.redeemed, held.withdrawableAt);
    }

    /// @inheritdoc IPayments
    function voucherDigest(address token, address operator, uint256 cumulative) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(READ_VOUCHER_TYPEHASH, operator, token, cumulative)));
    }

    /// @inheritdoc IPayments
    function moduleAccount(address owner, bytes32 key) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, key));
    }

    /// @inheritdoc IPayments
    function personAccount(address person) public pure returns (bytes32) {
        return bytes32(uint256(uint160(person)));
    }

    // ─── Internal ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes tokens in and records them. Guarded by its callers, since a token that calls back between the two readings could have one arrival
    /// counted twice.
    function _take(address token, address from, uint256 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(from, address(this), amount);
        uint256 afterwards = IERC20(token).balanceOf(address(this));

        uint256 received = afterwards > before ? afterwards - before : 0;
        if (received < amount) revert TransferShort(token, amount, received);
        _recorded[token] += amount;
    }

    function _debit(address token, bytes32 account, uint256 amount) private {
        uint256 balance = _balances[token][account];
        if (balance < amount) revert BalanceTooLow(account, balance, amount);
        _balances[token][account] = balance - amount;
    }

    /// Longer than what a module account is hashed from, so that none is the same.
    function _lateAccount(address module, address payer, bytes32 key) private pure returns (bytes32) {
        return keccak256(abi.encode("late", module, payer, key));
    }
}
