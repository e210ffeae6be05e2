// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IDirectory} from "../interfaces/IDirectory.sol";
import {IMembers} from "../interfaces/IMembers.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IRestakerRewards} from "../interfaces/IRestakerRewards.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {IStakeSource} from "../interfaces/IStakeSource.sol";
import {MissTerms} from "../libraries/MissTerms.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {StakePools} from "../libraries/StakePools.sol";
import {Tags} from "../libraries/Tags.sol";

/// @title Restaking
/// @notice Holds: collateral and bond tokens; per token and person a free balance; per (operator, collateral) a pool; per (operator, shard) a bond;
/// slashes. What restakers earn stands in RestakerRewards, which is told of every change of shares.
///
/// Typical flow: 1 the operator allocates to shards, posts a bond; 2 restakers deposit and delegate; 3 the operator joins; 4 a roster counts the stake;
/// 5 misses are queued and slashed; 6 undelegate; 7 once released, complete; 8 withdraw.
///
/// Invariants:
/// - I-R1  recorded(t) = Σ free balances + Σ pools' assets, ended generations' too + Σ pending delegations + Σ bonds + burnable, for every token t;
/// - I-R2  balanceOf(t) ≥ recorded(t), whatever anyone sends here, for tokens whose balances change by transfers alone;
/// - I-R3  Σ allocations of a pool, reserved ones too = allocated ≤ whole ≤ 1e18;
/// - I-R4  a slash for shard s takes at most what stands behind s, and lowers what stands behind no other shard;
/// - I-R5  Σ shares of positions and of uncompleted withdrawals = shares, of them Σ uncompleted withdrawals = queued, for each generation;
/// - I-R6  a delegation made, or an allocation reserved, after an epoch's frozen block loses nothing to that epoch's slash;
/// - I-R8  of a bond's slash the reporter gets at most half; of delegated stake's, nobody gets anything;
/// - I-R9  one slash for each (shard, epoch, operator): at most the bond and stake that Shards names for its roster (capped per shard and epoch).
contract Restaking is IRestaking, ReentrancyGuardTransient {
    using Math for uint256;
    using SafeERC20 for IERC20;
    using StakePools for StakePools.Pool;

    struct Token {
        bool isCollateral;
        // of all that is held, what is owed to somebody or to be burned
        uint120 recorded;
        uint120 burnable;
    }

    struct OperatorState {
        // was registered when somebody first put something behind it; registrations have no end
        bool known;
        uint32 pendingSlashes;
        // until this block a roster bound it when that was last asked
        uint48 boundUntil;
        // those of the shards pinned; zero before it first let something stand behind one of them
        IMembers members;
    }

    struct Position {
        uint128 shares;
        // block at which it went from nothing to something: rosters snapshotted before never counted it
        uint64 sinceBlock;
        uint24 generation;
    }

    struct Pending {
        uint128 amount;
        uint64 maturesAtBlock;
    }

    struct Withdrawal {
        address restaker;
        uint64 sinceBlock;
        uint24 generation;
        bool completed;
        address operator;
        uint64 queuedBlock;
        // when completed it is delegated again (see _destinations)
        bool redelegated;
        address collateral;
        uint128 shares;
    }

    struct Bond {
        uint104 amount;
        // of `amount`, queued for withdrawal: slashable, not counted
        uint104 queued;
        uint48 queuedBlock;
    }

    struct Slash {
        address operator;
        uint32 shard;
        // epochs count blocks
        uint48 epoch;
        // that the roster gives the operator
        uint16 tickets;
        address reporter;
        uint32 roster;
        uint40 readyBlock;
        bool delayed;
        bool executed;
        // another source than this contract counted the roster's stake
        bool elsewhere;
    }

    uint256 public constant MAX_COLLATERALS = 32;
    /// Nobody has its key; 0x…dEaD, where many tokens refuse address zero.
    address public constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    IDirectory public immutable directory;
    uint256 public immutable withdrawalDelay;
    uint256 public immutable resolutionDelay;
    uint256 public immutable guardianDelay;

    uint256 public collateralCount;

    /// Shards whose rosters bind the stake here; zero until there is something to bind.
    IShards private _pinnedShards;
    /// Who keeps the books of what the shares here earn; zero until there is a share.
    IRestakerRewards private _pinnedRewards;
    mapping(address token => Token) private _tokens;
    mapping(address operator => OperatorState) private _states;
    uint256 private _withdrawalCount;
    mapping(address person => mapping(address token => uint256)) private _free;
    mapping(address operator => mapping(address collateral => StakePools.Pool)) private _pools;
    mapping(address operator => mapping(address collateral => mapping(uint256 generation => StakePools.Pool))) private
        _ended;
    mapping(address operator => mapping(address collateral => mapping(uint32 shard => StakePools.Allocation))) private
        _allocations;
    mapping(address restaker => mapping(address operator => mapping(address collateral => Position))) private
        _positions;
    mapping(address restaker => mapping(address operator => mapping(address collateral => Pending))) private _pending;
    mapping(uint256 id => Withdrawal) private _withdrawals;
    mapping(uint256 id => address operator) private _destinations;
    /// Accounts whose code holds what a miss takes (MissTerms), of shards that something stood behind once.
    mapping(uint32 shard => address) private _missTerms;
    mapping(address operator => mapping(uint32 shard => Bond)) private _bonds;
    mapping(bytes32 id => Slash) private _slashes;
    mapping(address operator => mapping(address slasher => bool)) public accepted;

    constructor(IDirectory directory_, uint256 withdrawalDelay_, uint256 resolutionDelay_, uint256 guardianDelay_) {
        directory = directory_;
        withdrawalDelay = withdrawalDelay_;
        resolutionDelay = resolutionDelay_;
        guardianDelay = guardianDelay_;
    }

    // ---- set-up

    function listCollateral(address token) external {
        if (msg.sender != directory.governor()) revert NotGovernor(msg.sender);
        if (token.code.length == 0) revert CollateralUnknown(token);
        if (_tokens[token].isCollateral) revert CollateralAlreadyListed(token);
        if (collateralCount == MAX_COLLATERALS) revert TooManyCollaterals(MAX_COLLATERALS);

        ++collateralCount;
        _tokens[token].isCollateral = true;
        emit CollateralListed(token);
    }

    function isCollateral(address token) external view returns (bool) {
        return _tokens[token].isCollateral;
    }

    function recorded(address token) external view returns (uint256) {
        return _tokens[token].recorded;
    }

    function burnable(address token) external view returns (uint256) {
        return _tokens[token].burnable;
    }

    function bindingShards() external view returns (IShards) {
        return _shards();
    }

    function restakerRewards() external view returns (IRestakerRewards) {
        IRestakerRewards pinned = _pinnedRewards;
        return address(pinned) != address(0) ? pinned : _rewardsInForce();
    }

    // ---- restakers

    function deposit(address collateral, uint256 amount) external nonReentrant returns (uint256 received) {
        _checkCollateral(collateral);

        received = _receive(collateral, amount);
        _free[msg.sender][collateral] += received;
        emit Deposited(msg.sender, collateral, received);
    }

    function withdraw(address collateral, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _takeFree(collateral, amount);

        _tokens[collateral].recorded -= uint120(amount);
        emit Withdrawn(msg.sender, collateral, amount);

        IERC20(collateral).safeTransfer(msg.sender, amount);
    }

    function delegate(address operator, address collateral, uint256 amount) external {
        // a pool that holds something is one of collateral
        if (_pools[operator][collateral].assets == 0) _checkCollateral(collateral);
        _takeFree(collateral, amount);

        _delegate(msg.sender, operator, collateral, amount);
    }

    function depositAndDelegate(address operator, address collateral, uint256 amount)
        external
        nonReentrant
        returns (uint256 received)
    {
        _checkCollateral(collateral);

        received = _receive(collateral, amount);
        emit Deposited(msg.sender, collateral, received);
        _delegate(msg.sender, operator, collateral, received);
    }

    function cancelDelegation(address operator, address collateral) external returns (uint256 amount) {
        amount = _takePending(msg.sender, operator, collateral);
        _free[msg.sender][collateral] += amount;
        emit DelegationCancelled(msg.sender, operator, collateral, amount);
    }

    function mature(address restaker, address operator, address collateral) external {
        uint256 maturesAtBlock = _pending[restaker][operator][collateral].maturesAtBlock;
        uint256 amount = _takePending(restaker, operator, collateral);
        if (block.number < maturesAtBlock) revert NotMature(maturesAtBlock, block.number);
        // a slash reported before may be for an epoch before the delegation
        _checkNoSlashPending(operator);
        // what was earned before belongs to those who were there
        if (!_isSettled(operator, _states[operator])) revert EpochsUnsettled(operator);

        uint256 shares = _mature(restaker, operator, collateral, amount);
        emit Matured(restaker, operator, collateral, amount, shares);
    }

    function undelegate(address operator, address collateral, uint256 shares) external returns (uint256 id) {
        return _queue(operator, collateral, shares, false);
    }

    function redelegate(address operator, address collateral, uint256 shares, address toOperator)
        external
        returns (uint256 id)
    {
        _stateOf(toOperator);
        id = _queue(operator, collateral, shares, true);
        _destinations[id] = toOperator;
        emit RedelegationQueued(id, toOperator);
    }

    function _queue(address operator, address collateral, uint256 shares, bool redelegated)
        internal
        returns (uint256 id)
    {
        if (shares == 0) revert ZeroAmount();
        Position storage position = _positions[msg.sender][operator][collateral];
        if (position.shares < shares) revert SharesTooLow(position.shares, shares);
        StakePools.Pool storage pool_ = _poolOf(operator, collateral, position.generation);

        _noteShares(msg.sender, operator, collateral, position, position.shares - shares, position.generation);
        position.shares -= uint128(shares);
        pool_.queued += uint128(shares);
        id = ++_withdrawalCount;
        _withdrawals[id] = Withdrawal({
            restaker: msg.sender,
            sinceBlock: position.sinceBlock,
            generation: position.generation,
            completed: false,
            operator: operator,
            queuedBlock: uint64(block.number),
            redelegated: redelegated,
            collateral: collateral,
            shares: uint128(shares)
        });
        emit WithdrawalQueued(id, msg.sender, operator, collateral, shares, block.number + withdrawalDelay);
        _noteChange(operator);
    }

    function completeWithdrawal(uint256 id) external returns (uint256 amount) {
        Withdrawal storage w = _withdrawals[id];
        if (w.restaker == address(0)) revert WithdrawalUnknown(id);
        if (w.completed) revert WithdrawalAlreadyCompleted(id);
        uint256 readyBlock = w.queuedBlock + withdrawalDelay;
        if (block.number < readyBlock) revert WithdrawalNotReady(readyBlock, block.number);
        _checkNoSlashPending(w.operator);
        _checkUnbound(w.operator, _shards().boundUntil(w.operator, w.sinceBlock, w.queuedBlock));

        w.completed = true;
        StakePools.Pool storage pool_ = _poolOf(w.operator, w.collateral, w.generation);
        pool_.queued -= w.shares;
        amount = pool_.remove(w.shares);
        emit WithdrawalCompleted(id, w.restaker, w.collateral, amount);
        if (w.redelegated && amount != 0) _delegate(w.restaker, _destinations[id], w.collateral, amount);
        else _free[w.restaker][w.collateral] += amount;
    }

    function freeBalance(address restaker, address collateral) external view returns (uint256) {
        return _free[restaker][collateral];
    }

    function sharesOf(address restaker, address operator, address collateral) external view returns (uint256) {
        return _positions[restaker][operator][collateral].shares;
    }

    function positionOf(address restaker, address operator, address collateral)
        external
        view
        returns (uint256 shares, uint256 generation, uint256 sinceBlock)
    {
        Position storage position = _positions[restaker][operator][collateral];
        return (position.shares, position.generation, position.sinceBlock);
    }

    function stakeValueOf(address restaker, address operator, address collateral) external view returns (uint256) {
        Position storage position = _positions[restaker][operator][collateral];
        return _poolOf(operator, collateral, position.generation).toAssets(position.shares);
    }

    function pendingOf(address restaker, address operator, address collateral)
        external
        view
        returns (uint256 amount, uint256 maturesAtBlock)
    {
        Pending storage pending = _pending[restaker][operator][collateral];
        return (pending.amount, pending.maturesAtBlock);
    }

    function pool(address operator, address collateral)
        external
        view
        returns (uint256 assets, uint256 shares, uint256 queuedShares)
    {
        StakePools.Pool storage pool_ = _pools[operator][collateral];
        return (pool_.assets, pool_.shares, pool_.queued);
    }

    function withdrawal(uint256 id)
        external
        view
        returns (
            address restaker,
            address operator,
            address collateral,
            uint256 shares,
            uint256 queuedBlock,
            uint256 freeFromBlock,
            bool completed,
            address toOperator
        )
    {
        Withdrawal storage w = _withdrawals[id];
        if (w.restaker == address(0)) revert WithdrawalUnknown(id);
        uint256 boundUntil = _shards().boundUntil(w.operator, w.sinceBlock, w.queuedBlock);
        freeFromBlock = boundUntil.max(w.queuedBlock + withdrawalDelay);
        toOperator = _destinations[id];
        return (w.restaker, w.operator, w.collateral, w.shares, w.queuedBlock, freeFromBlock, w.completed, toOperator);
    }

    // ---- operators

    function allocate(uint32 shard, address collateral, uint256 magnitude) external {
        if (magnitude == 0) revert ZeroAmount();
        _stateOf(msg.sender);
        _checkCollateral(collateral);
        _pin(shard);
        StakePools.Pool storage pool_ = _pools[msg.sender][collateral];
        // nothing stands behind any shard: the scale that slashes have worn down can be renewed
        if (pool_.allocated == 0) pool_.whole = StakePools.WHOLE;
        uint256 available = pool_.whole - pool_.allocated;
        if (magnitude > available) revert MagnitudeTooLarge(magnitude, available);

        if (pool_.reserve(_allocations[msg.sender][collateral][shard], magnitude)) {
            emit Allocated(msg.sender, shard, collateral, magnitude);
            _noteChange(msg.sender);
        } else {
            emit AllocationQueued(msg.sender, shard, collateral, magnitude, block.number + withdrawalDelay);
        }
    }

    function completeAllocation(address operator, uint32 shard, address collateral) external {
        StakePools.Allocation storage allocation = _allocations[operator][collateral][shard];
        uint256 magnitude = _pools[operator][collateral].allocate(allocation);
        if (magnitude == 0) revert AllocationUnknown(operator, shard, collateral);
        uint256 readyBlock = allocation.waitingBlock + withdrawalDelay;
        if (block.number < readyBlock) revert AllocationNotReady(readyBlock, block.number);
        // as for delegations: a miss reported before may be for an epoch before
        _checkNoSlashPending(operator);

        emit Allocated(operator, shard, collateral, magnitude);
        _noteChange(operator);
    }

    function waitingAllocation(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 magnitude, uint256 readyBlock)
    {
        StakePools.Allocation storage allocation = _allocations[operator][collateral][shard];
        magnitude = _pools[operator][collateral].waiting(allocation);
        if (magnitude != 0) readyBlock = allocation.waitingBlock + withdrawalDelay;
    }

    function deallocate(uint32 shard, address collateral, uint256 magnitude) external returns (uint256 readyBlock) {
        if (magnitude == 0) revert ZeroAmount();
        StakePools.Allocation storage allocation = _allocations[msg.sender][collateral][shard];
        (uint256 allocated, uint256 queued) = _pools[msg.sender][collateral].current(allocation);
        uint256 available = allocated - queued;
        if (magnitude > available) revert MagnitudeTooLarge(magnitude, available);

        allocation.queued += uint64(magnitude);
        allocation.queuedBlock = uint40(block.number);
        readyBlock = block.number + withdrawalDelay;
        emit DeallocationQueued(msg.sender, shard, collateral, magnitude, readyBlock);
        _noteChange(msg.sender);
    }

    function completeDeallocation(address operator, uint32 shard, address collateral) external {
        StakePools.Allocation storage allocation = _allocations[operator][collateral][shard];
        uint256 magnitude = _pools[operator][collateral].release(allocation);
        if (magnitude == 0) revert DeallocationUnknown(operator, shard, collateral);
        _checkReleased(operator, shard, allocation.queuedBlock);

        emit Deallocated(operator, shard, collateral, magnitude);
    }

    function magnitudes(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 allocated, uint256 queued, uint256 total, uint256 whole)
    {
        StakePools.Pool storage pool_ = _pools[operator][collateral];
        (allocated, queued) = pool_.current(_allocations[operator][collateral][shard]);
        whole = pool_.allocated == 0 ? StakePools.WHOLE : pool_.whole;
        total = pool_.allocated;
    }

    function stakeOf(address operator, uint32 shard, address collateral) external view returns (uint256 amount) {
        (uint256 allocated, uint256 queued) = _magnitude(operator, shard, collateral);
        return _behind(operator, collateral, allocated - queued);
    }

    function slashableOf(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 units, uint256 value)
    {
        units = _slashable(operator, shard, collateral);
        value = units;
    }

    function postBond(uint32 shard, uint256 amount) external nonReentrant {
        _stateOf(msg.sender);
        _pin(shard);

        uint256 received = _receive(_bondTokenOf(shard), amount);
        _bonds[msg.sender][shard].amount += uint104(received);
        emit BondPosted(msg.sender, shard, received);
        _noteChange(msg.sender);
    }

    function queueBondWithdrawal(uint32 shard, uint256 amount) external returns (uint256 readyBlock) {
        if (amount == 0) revert ZeroAmount();
        Bond storage bond = _bonds[msg.sender][shard];
        uint256 available = bondOf(msg.sender, shard);
        if (amount > available) revert BondTooLow(available, amount);

        bond.queued += uint104(amount);
        bond.queuedBlock = uint48(block.number);
        readyBlock = block.number + withdrawalDelay;
        emit BondWithdrawalQueued(msg.sender, shard, amount, readyBlock);
        _noteChange(msg.sender);
    }

    function completeBondWithdrawal(address operator, uint32 shard) external {
        Bond storage bond = _bonds[operator][shard];
        uint104 amount = bond.queued;
        if (amount == 0) revert BondWithdrawalUnknown(operator, shard);
        _checkReleased(operator, shard, bond.queuedBlock);

        bond.queued = 0;
        bond.amount -= amount;
        _free[operator][_bondTokenOf(shard)] += amount;
        emit BondWithdrawn(operator, shard, amount);
    }

    function bondOf(address operator, uint32 shard) public view returns (uint256) {
        Bond storage bond = _bonds[operator][shard];
        return bond.amount - bond.queued;
    }

    function bondState(address operator, uint32 shard)
        external
        view
        returns (uint256 amount, uint256 queued, uint256 queuedBlock)
    {
        Bond storage bond = _bonds[operator][shard];
        return (bond.amount, bond.queued, bond.queuedBlock);
    }

    function acceptSlasher(address slasher) external {
        accepted[msg.sender][slasher] = true;
        emit SlasherAccepted(msg.sender, slasher);
        _noteChange(msg.sender);
    }

    // ---- slashing

    function queueSlash(uint32 shard, uint32 roster, address operator, uint64 epoch, address reporter)
        external
        returns (bytes32 id)
    {
        // reverts for who isn't in the roster, whose slash could never be executed
        (address slasher, address source, uint256 tickets) = _shards().slashPlaceOf(shard, roster, operator);
        _checkSlasher(operator, slasher);
        id = slashId(shard, epoch, operator);
        if (_slashes[id].operator != address(0)) revert SlashExists(id);

        uint256 readyBlock = block.number + resolutionDelay;
        _slashes[id] = Slash({
            operator: operator,
            shard: shard,
            epoch: uint48(epoch),
            tickets: uint16(tickets),
            reporter: reporter,
            roster: roster,
            readyBlock: uint40(readyBlock),
            delayed: false,
            executed: false,
            elsewhere: source != address(this)
        });
        ++_states[operator].pendingSlashes;
        emit SlashQueued(id, shard, operator, epoch, roster, reporter, readyBlock);
    }

    function delaySlash(bytes32 id) external {
        if (msg.sender != directory.guardian()) revert NotGuardian(msg.sender);
        Slash storage slash = _pendingSlash(id);
        if (slash.delayed) revert SlashAlreadyDelayed(id);

        slash.delayed = true;
        slash.readyBlock += uint40(guardianDelay);
        emit SlashDelayed(id, slash.readyBlock);
    }

    function executeSlash(bytes32 id) external {
        Slash storage slash = _pendingSlash(id);
        if (block.number < slash.readyBlock) revert SlashNotReady(id, slash.readyBlock, block.number);
        address operator = slash.operator;
        uint32 shard = slash.shard;
        bytes memory terms = _termsOf(shard);
        uint256[] memory amounts = _slashAmounts(slash, terms);

        slash.executed = true;
        OperatorState storage state = _states[operator];
        --state.pendingSlashes;
        Bond storage bond = _bonds[operator][shard];
        uint256 bondSlash = MissTerms.bondSlash(terms, slash.tickets).min(bond.amount);
        uint256 reporterFee = MissTerms.reporterFee(terms).min(bondSlash / 2);
        uint256 bondLeft = _takeBond(bond, bondSlash);
        address bondToken = MissTerms.bondToken(terms);
        _free[slash.reporter][bondToken] += reporterFee;
        _tokens[bondToken].burnable += uint120(bondSlash - reporterFee);
        emit SlashExecuted(id, operator, bondSlash, reporterFee);
        for (uint256 c = 0; c < amounts.length; ++c) {
            _slashStake(id, operator, shard, MissTerms.collateral(terms, c), amounts[c]);
        }

        _membersOf(state).recordSlash(shard, operator, slash.epoch, bondLeft);
    }

    function slashId(uint32 shard, uint64 epoch, address operator) public view returns (bytes32) {
        return keccak256(abi.encode(Tags.SLASH_ID, block.chainid, address(this), shard, epoch, operator));
    }

    function slashOf(bytes32 id)
        external
        view
        returns (
            address operator,
            uint32 shard,
            uint32 roster,
            uint64 epoch,
            address reporter,
            uint256 readyBlock,
            bool delayed,
            bool executed
        )
    {
        Slash storage s = _slashes[id];
        if (s.operator == address(0)) revert SlashUnknown(id);
        return (s.operator, s.shard, s.roster, s.epoch, s.reporter, s.readyBlock, s.delayed, s.executed);
    }

    function pendingSlashes(address operator) external view returns (uint256) {
        return _states[operator].pendingSlashes;
    }

    function burn(address token) external nonReentrant returns (uint256 amount) {
        Token storage t = _tokens[token];
        amount = t.burnable;
        if (amount == 0) revert NothingToBurn(token);

        t.burnable = 0;
        t.recorded -= uint120(amount);
        emit Burned(token, amount);

        IERC20(token).safeTransfer(BURN_ADDRESS, amount);
    }

    // ---- rewards

    function earningOf(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 units, uint256 shares, uint256 generation)
    {
        StakePools.Pool storage pool_ = _pools[operator][collateral];
        (uint256 allocated,) = _magnitude(operator, shard, collateral);
        return (_behind(operator, collateral, allocated), pool_.shares - pool_.queued, pool_.generation);
    }

    // ---- tokens and free balances, within

    /// Takes tokens from the caller; what arrived is what counts.
    function _receive(address token, uint256 amount) internal returns (uint256 received) {
        if (amount == 0) revert ZeroAmount();
        Token storage t = _tokens[token];
        uint256 total = t.recorded;
        uint256 before = IERC20(token).balanceOf(address(this));
        // balances that shrink by themselves would let newcomers pay out those who came before
        if (before < total) revert BalanceShort(token, before, total);
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        received = IERC20(token).balanceOf(address(this)).saturatingSub(before);
        if (received == 0) revert ZeroAmount();

        total += received;
        if (total > StakePools.MAX_ASSETS) revert AmountTooLarge(total, StakePools.MAX_ASSETS);
        t.recorded = uint120(total);
    }

    function _checkCollateral(address token) internal view {
        if (!_tokens[token].isCollateral) revert CollateralUnknown(token);
    }

    function _takeFree(address token, uint256 amount) internal {
        uint256 balance = _free[msg.sender][token];
        if (balance < amount) revert FreeBalanceTooLow(token, balance, amount);
        _free[msg.sender][token] = balance - amount;
    }

    // ---- pools, within

    function _delegate(address restaker, address operator, address collateral, uint256 amount) internal {
        if (amount == 0) revert ZeroAmount();
        OperatorState storage state = _stateOf(operator);
        Pending storage pending = _pending[restaker][operator][collateral];
        uint256 waiting = pending.amount + amount;
        uint256 shares;
        bool waits = state.pendingSlashes != 0 || _isBound(operator, state);
        uint256 maturesAtBlock = block.number + (waits ? withdrawalDelay : 0);

        if (waits || !_isSettled(operator, state)) {
            pending.amount = uint128(waiting);
            pending.maturesAtBlock = uint64(maturesAtBlock);
        } else {
            delete _pending[restaker][operator][collateral];
            shares = _mature(restaker, operator, collateral, waiting);
        }
        emit Delegated(restaker, operator, collateral, amount, maturesAtBlock, shares);
    }

    function _mature(address restaker, address operator, address collateral, uint256 amount)
        internal
        returns (uint256 shares)
    {
        StakePools.Pool storage pool_ = _pools[operator][collateral];
        Position storage position = _positions[restaker][operator][collateral];
        uint24 generation = pool_.generation;
        bool isNew = position.generation != generation;

        shares = pool_.add(amount);
        _noteShares(restaker, operator, collateral, position, isNew ? shares : position.shares + shares, generation);
        if (isNew) {
            if (position.shares != 0) {
                StakePools.Pool storage old = _ended[operator][collateral][position.generation];
                _free[restaker][collateral] += old.remove(position.shares);
                position.shares = 0;
            }
            position.generation = generation;
        }
        if (position.shares == 0) position.sinceBlock = uint64(block.number);
        position.shares += uint128(shares);
        _noteChange(operator);
    }

    /// Takes away what waits to mature.
    function _takePending(address restaker, address operator, address collateral) internal returns (uint256 amount) {
        amount = _pending[restaker][operator][collateral].amount;
        if (amount == 0) revert NothingToMature(restaker, operator, collateral);
        delete _pending[restaker][operator][collateral];
    }

    function _poolOf(address operator, address collateral, uint24 generation)
        internal
        view
        returns (StakePools.Pool storage)
    {
        StakePools.Pool storage current = _pools[operator][collateral];
        return generation == current.generation ? current : _ended[operator][collateral][generation];
    }

    function _magnitude(address operator, uint32 shard, address collateral) internal view returns (uint256, uint256) {
        return _pools[operator][collateral].current(_allocations[operator][collateral][shard]);
    }

    /// Before a position changes: it will have `nextShares` of generation `next`.
    function _noteShares(
        address restaker,
        address operator,
        address collateral,
        Position storage position,
        uint256 nextShares,
        uint256 next
    ) internal {
        _rewards().noteShares(restaker, operator, collateral, position.shares, position.generation, nextShares, next);
    }

    /// Whether all that the operator has earned so far is booked.
    function _isSettled(address operator, OperatorState storage state) internal returns (bool) {
        return _rewards().isSettled(operator, _membersOf(state));
    }

    function _rewards() internal returns (IRestakerRewards rewards) {
        rewards = _pinnedRewards;
        if (address(rewards) != address(0)) return rewards;
        rewards = _rewardsInForce();
        _pinnedRewards = rewards;
        emit RestakerRewardsPinned(address(rewards));
    }

    function _rewardsInForce() internal view returns (IRestakerRewards) {
        return IRestakerRewards(directory.module(ModuleNames.RESTAKER_REWARDS));
    }

    /// Unqueued assets of a pool for which `magnitude` stands.
    function _behind(address operator, address collateral, uint256 magnitude) internal view returns (uint256) {
        if (magnitude == 0) return 0;
        StakePools.Pool storage pool_ = _pools[operator][collateral];
        return pool_.part(pool_.toAssets(pool_.shares - pool_.queued), magnitude);
    }

    // ---- slashes, within

    /// What a slash takes of each collateral, as the roster's source values it.
    function _slashAmounts(Slash storage slash, bytes memory terms) internal view returns (uint256[] memory amounts) {
        (address operator, uint32 shard) = (slash.operator, slash.shard);
        IStakeSource source;
        if (slash.elsewhere) source = IStakeSource(_shards().sourceOf(shard, slash.roster));
        uint256 n = MissTerms.collateralCount(terms);
        amounts = new uint256[](n);
        uint256[] memory values = new uint256[](n);
        for (uint256 c = 0; c < n; ++c) {
            address collateral = MissTerms.collateral(terms, c);
            if (address(source) == address(0)) amounts[c] = values[c] = _slashable(operator, shard, collateral);
            else (amounts[c], values[c]) = source.slashableOf(operator, shard, collateral);
        }
        MissTerms.spread(terms, slash.tickets, amounts, values);
    }

    function _slashable(address operator, uint32 shard, address collateral) internal view returns (uint256) {
        (uint256 allocated,) = _magnitude(operator, shard, collateral);
        if (allocated == 0) return 0;
        StakePools.Pool storage pool_ = _pools[operator][collateral];
        return pool_.part(pool_.assets, allocated);
    }

    function _takeBond(Bond storage bond, uint256 taken) internal returns (uint256 left) {
        left = bond.amount - taken;
        bond.amount = uint104(left);
        if (bond.queued > left) bond.queued = uint104(left);
    }

    function _slashStake(bytes32 id, address operator, uint32 shard, address collateral, uint256 amount) internal {
        StakePools.Pool storage pool_ = _pools[operator][collateral];
        uint256 taken = pool_.slash(_allocations[operator][collateral][shard], amount);
        if (taken == 0) return;
        _tokens[collateral].burnable += uint120(taken);
        emit StakeSlashed(id, operator, collateral, taken);

        if (!pool_.isSpent()) return;
        emit GenerationEnded(operator, collateral, pool_.generation, pool_.assets);
        pool_.end(_ended[operator][collateral][pool_.generation]);
        // what stands behind the slashed shard Shards counts anew in any case, behind others only now
        _noteChange(operator);
    }

    function _pendingSlash(bytes32 id) internal view returns (Slash storage slash) {
        slash = _slashes[id];
        if (slash.operator == address(0)) revert SlashUnknown(id);
        if (slash.executed) revert SlashAlreadyExecuted(id);
    }

    function _checkSlasher(address operator, address slasher) internal view {
        if (msg.sender == slasher) return;
        bool may = accepted[operator][msg.sender] && directory.isModule(msg.sender);
        if (!may) revert NotSlasher(msg.sender, slasher);
    }

    // ---- shards and operators, within

    function _shards() internal view returns (IShards) {
        IShards pinned = _pinnedShards;
        return address(pinned) != address(0) ? pinned : IShards(directory.module(ModuleNames.SHARDS));
    }

    /// From the first stake behind a shard on, the shards and rosters that bind it are these. Checks that the shard is one of them.
    function _pin(uint32 shard) internal {
        if (address(_pinnedShards) == address(0)) {
            _pinnedShards = IShards(directory.module(ModuleNames.SHARDS));
            emit ShardsPinned(address(_pinnedShards));
        }
        // reverts for a shard that isn't one of them
        if (_missTerms[shard] == address(0)) _missTerms[shard] = _pinnedShards.missTermsOf(shard);
        OperatorState storage state = _states[msg.sender];
        if (address(state.members) == address(0)) state.members = _pinnedShards.members();
    }

    function _termsOf(uint32 shard) internal view returns (bytes memory) {
        return MissTerms.load(_missTerms[shard]);
    }

    function _bondTokenOf(uint32 shard) internal view returns (address) {
        return MissTerms.bondToken(_termsOf(shard));
    }

    function _membersOf(OperatorState storage state) internal view returns (IMembers members) {
        members = state.members;
        if (address(members) == address(0)) members = _shards().members();
    }

    /// What is known of a registered operator. Who is registered is asked once.
    function _stateOf(address operator) internal returns (OperatorState storage state) {
        state = _states[operator];
        if (state.known) return state;
        if (!IOperators(directory.module(ModuleNames.OPERATORS)).isRegistered(operator)) {
            revert OperatorUnknown(operator);
        }
        state.known = true;
    }

    /// What stands behind an operator's shards may have changed.
    function _noteChange(address operator) internal {
        IMembers members = _states[operator].members;
        if (address(members) != address(0)) members.noteChange(operator);
    }

    /// Whether a roster binds the operator. What was found stands until its block has come, though the roster may release the operator before.
    function _isBound(address operator, OperatorState storage state) internal returns (bool) {
        // without anything behind a shard it is in no roster of them
        IMembers members = state.members;
        if (address(members) == address(0)) return false;
        if (block.number < state.boundUntil) return true;
        uint256 boundUntil = members.boundUntil(operator, 0, block.number);
        if (boundUntil <= block.number) return false;
        state.boundUntil = uint48(boundUntil);
        return true;
    }

    function _checkNoSlashPending(address operator) internal view {
        uint256 pending = _states[operator].pendingSlashes;
        if (pending != 0) revert SlashPending(operator, pending);
    }

    function _checkUnbound(address operator, uint256 boundUntil) internal view {
        if (boundUntil > block.number) revert StakeBound(operator, boundUntil);
    }

    /// What was queued behind a shard may go: delay over, no miss pending, no roster of the shard counts it any more.
    function _checkReleased(address operator, uint32 shard, uint256 queuedBlock) internal view {
        uint256 readyBlock = queuedBlock + withdrawalDelay;
        if (block.number < readyBlock) revert WithdrawalNotReady(readyBlock, block.number);
        _checkNoSlashPending(operator);
        _checkUnbound(operator, _pinnedShards.boundIn(shard, operator, 0, queuedBlock));
    }
}
