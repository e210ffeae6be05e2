// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IDirectory} from "../interfaces/IDirectory.sol";
import {IPayments} from "../interfaces/IPayments.sol";

/// @title Payments
/// @notice Holds every token that is not stake, and for each token who is owed how much of it.
///
/// Invariants, for each token t:
/// - I-P1  recorded(t) = Σ over accounts of balanceOf(t, account), and is at most this contract's balance of t
/// - I-P2  a person's account falls only by its own claim, a contract's only by its own `move`
/// - I-P3  nothing here reads or writes another token's records
contract Payments is IPayments, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// Gas that `claimMany` gives to one token. Four times what a plain transfer to a new holder costs, and above what the
    /// usual interest-bearing tokens need; a token that needs more is claimed alone, with `claim`.
    uint256 public constant CLAIM_GAS = 300_000;

    /// What must be left besides: a call keeps one part in 64 (EIP-150), and the record of a failure needs its own gas.
    uint256 private constant CLAIM_GAS_NEEDED = CLAIM_GAS * 64 / 63 + 10_000;

    IDirectory private immutable DIRECTORY;

    mapping(address token => mapping(bytes32 account => uint256 amount)) private _balances;
    mapping(address token => uint256 amount) private _recorded;

    constructor(IDirectory directory) {
        DIRECTORY = directory;
    }

    // ─── Modules ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    /// @dev Guarded, since a token that calls back between the two readings could have one arrival counted twice.
    function collect(address token, address from, bytes32 key, uint256 amount) external nonReentrant {
        if (!DIRECTORY.isModule(msg.sender)) revert CallerNotModule(msg.sender);
        if (amount == 0) return;

        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(from, address(this), amount);
        uint256 afterwards = IERC20(token).balanceOf(address(this));

        uint256 received = afterwards > before ? afterwards - before : 0;
        if (received < amount) revert TransferShort(token, amount, received);

        bytes32 account = moduleAccount(msg.sender, key);
        _recorded[token] += amount;
        _balances[token][account] += amount;
        emit Collected(token, from, account, amount);
    }

    /// @inheritdoc IPayments
    function move(address token, bytes32 key, bytes32 to, uint256 amount) external {
        if (to == bytes32(0)) revert ZeroAccount();
        bytes32 from = moduleAccount(msg.sender, key);
        uint256 balance = _balances[token][from];
        if (balance < amount) revert BalanceTooLow(from, balance, amount);

        _balances[token][from] = balance - amount;
        _balances[token][to] += amount;
        emit Moved(token, from, to, amount);
    }

    // ─── Persons ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IPayments
    function claim(address token) external nonReentrant returns (uint256 amount) {
        amount = _payOut(token, msg.sender);
        if (amount == 0) revert NothingToClaim(token, msg.sender);
    }

    /// @inheritdoc IPayments
    function claimMany(address[] calldata tokens) external nonReentrant returns (uint256[] memory amounts) {
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
    function moduleAccount(address owner, bytes32 key) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, key));
    }

    /// @inheritdoc IPayments
    function personAccount(address person) public pure returns (bytes32) {
        return bytes32(uint256(uint160(person)));
    }
}
