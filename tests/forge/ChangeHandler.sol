// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Directory} from "../../contracts/Directory.sol";
import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {OperatorsDouble} from "../../contracts/mocks/OperatorsDouble.sol";
import {Restaking} from "../../contracts/restaking/Restaking.sol";
import {Shards} from "../../contracts/restaking/Shards.sol";
import {CollateralWeight, ShardParameters} from "../../contracts/types/Types.sol";
import {Test} from "./Test.sol";

/// @notice Stands under every name that nothing here is about; for RestakerRewards too, with all settled.
contract Quiet {
    function noteShares(address, address, address, uint256, uint256, uint256, uint256) external {}

    function isSettled(address, address) external pure returns (bool) {
        return true;
    }
}

/// @title ChangeHandler
/// @notice A Directory with all that its governor, strangers and time can do to it, before and after its seal; Restakings whose withdrawal delays lie on
/// both sides of the timelock; two Shards in which shards are created with any epoch. In each Restaking a restaker has stake that no roster binds:
/// whenever a change is announced it begins to take some out, and must have it, an epoch to spare, when the change is applied.
contract ChangeHandler is Test {
    /// A withdrawal begun in the block of an announcement.
    struct Leaving {
        Restaking restaking;
        uint256 id;
    }

    uint256 public constant TIMELOCK = 60;
    address private constant GUARDIAN = address(0x6a);
    address private constant RESTAKER = address(0x1001);
    address private constant OPERATOR = address(0x2001);

    Directory public directory;
    MintableToken private _token = new MintableToken();
    Restaking[] private _restakings;
    Shards[2] private _shards;
    bytes32[4] private _names = [ModuleNames.RESTAKING, ModuleNames.SHARDS, ModuleNames.AUDITS, ModuleNames.PRICING];
    /// What may be put under a name: Restakings, Shards, others, one without code.
    address[] private _candidates;

    /// What stands under each of the names by what was done here: compared with what the Directory says.
    mapping(bytes32 name => address) private _expected;
    mapping(bytes32 name => address) private _announced;
    mapping(bytes32 name => uint256) private _announcedBlock;
    mapping(bytes32 name => Leaving[]) private _leaving;
    /// Of all shards that bind a Restaking's stake, as Shards says when one is created: neither changes later.
    mapping(address restaking => uint256) private _longestEpoch;
    string public wrong;
    uint256 public applied;
    uint256 public left;

    constructor() {
        directory = new Directory(address(this), GUARDIAN, TIMELOCK);
        IDirectory at = IDirectory(address(directory));
        OperatorsDouble operators = new OperatorsDouble();
        operators.put(OPERATOR, OPERATOR);
        Quiet quiet = new Quiet();
        for (uint256 i = 0; i < ModuleNames.COUNT; ++i) {
            directory.set(ModuleNames.at(i), address(quiet));
        }
        directory.set(ModuleNames.OPERATORS, address(operators));
        _shards = [new Shards(at), new Shards(at)];
        uint256[6] memory delays = [uint256(6), TIMELOCK - 20, TIMELOCK - 2, TIMELOCK - 1, TIMELOCK, TIMELOCK + 20];
        for (uint256 i = 0; i < delays.length; ++i) {
            _restakings.push(new Restaking(at, delays[i], 1, 1));
            _candidates.push(address(_restakings[i]));
        }
        _candidates.push(address(_shards[0]));
        _candidates.push(address(_shards[1]));
        _candidates.push(address(quiet));
        _candidates.push(address(new Quiet()));
        _candidates.push(address(0xdead));
        for (uint256 i = 0; i < _names.length; ++i) {
            address first = i == 0 ? address(_restakings[0]) : i == 1 ? address(_shards[0]) : address(quiet);
            directory.set(_names[i], first);
            _expected[_names[i]] = first;
        }
        for (uint256 i = 0; i < _restakings.length; ++i) {
            _restakings[i].listCollateral(address(_token));
        }
        _create(_shards[0], 1);
        for (uint256 i = 0; i < _restakings.length; ++i) {
            _stake(_restakings[i]);
        }
    }

    /// Behind a shard, and in no roster.
    function _stake(Restaking restaking) private {
        vm.prank(OPERATOR);
        restaking.allocate(1, address(_token), 1e18);
        _token.mint(RESTAKER, 1e18);
        vm.prank(RESTAKER);
        _token.approve(address(restaking), 1e18);
        vm.prank(RESTAKER);
        restaking.depositAndDelegate(OPERATOR, address(_token), 1e18);
    }

    // ---- the governor

    function set(uint256 which, uint256 what) external {
        (bytes32 name, address module) = _choice(which, what);
        directory.set(name, module);
        if (directory.sealedBlock() != 0) _fail("I-D2: an entry was set after the seal");
        _expected[name] = module;
    }

    function close() external {
        directory.seal();
    }

    function announce(uint256 which, uint256 what) external {
        (bytes32 name, address module) = _choice(which, what);
        directory.queueChange(name, module);
        if (directory.sealedBlock() == 0) _fail("I-D2: a change was announced before the seal");
        (_announced[name], _announcedBlock[name]) = (module, block.number);

        delete _leaving[name];
        for (uint256 i = 0; i < _restakings.length; ++i) {
            // one that could never be in force protects nobody
            if (_restakings[i].withdrawalDelay() >= TIMELOCK) continue;
            vm.prank(RESTAKER);
            _leaving[name].push(Leaving(_restakings[i], _restakings[i].undelegate(OPERATOR, address(_token), 1e9)));
        }
    }

    function cancel(uint256 which) external {
        directory.cancelChange(_name(which));
        _announced[_name(which)] = address(0);
    }

    /// With any epoch: `check` looks at what was not refused.
    function createShard(uint32 epoch, uint256 whose) external {
        _create(_shards[whose % 2], 1 + epoch % uint32(TIMELOCK));
    }

    function _create(Shards shards, uint32 epoch) private {
        ShardParameters memory p = _terms();
        p.epochLength = epoch;
        CollateralWeight[] memory weights = new CollateralWeight[](1);
        weights[0] = CollateralWeight(address(_token), 1e18);
        uint32 shard = shards.create(p, weights);
        address restaking = shards.restakingOf(shard);
        epoch = shards.parametersOf(shard).epochLength;
        if (epoch > _longestEpoch[restaking]) _longestEpoch[restaking] = epoch;
    }

    // ---- anyone

    function apply_(uint256 which) external {
        _apply(_name(which));
    }

    /// In the very block in which the Directory says that it may be, or in the one before.
    function applyOnTime(uint256 which, bool early) external {
        bytes32 name = _name(which);
        (, uint256 readyBlock) = directory.queued(name);
        if (readyBlock <= block.number) return;
        vm.roll(early ? readyBlock - 1 : readyBlock);
        _apply(name);
    }

    function _apply(bytes32 name) private {
        directory.applyChange(name);

        ++applied;
        if (_announced[name] == address(0)) _fail("I-D2: nothing was announced");
        if (block.number < _announcedBlock[name] + TIMELOCK) _fail("I-D2: applied before the timelock was over");
        (_expected[name], _announced[name]) = (_announced[name], address(0));
        for (uint256 i = 0; i < _leaving[name].length; ++i) {
            _leave(_leaving[name][i], _announcedBlock[name] + TIMELOCK);
        }
    }

    function _leave(Leaving memory leaving, uint256 actsFrom) private {
        (,,,,, uint256 freeFrom, bool completed,) = leaving.restaking.withdrawal(leaving.id);
        uint256 epoch = _longestEpoch[address(leaving.restaking)];
        if (freeFrom + epoch >= actsFrom) {
            _fail("I-D1: who left when a change was announced isn't out an epoch before");
        }
        if (completed) return;
        try leaving.restaking.completeWithdrawal(leaving.id) returns (uint256 amount) {
            if (amount == 0) _fail("I-D1: nothing came out");
            ++left;
        } catch {
            _fail("I-D1: who left when a change was announced couldn't");
        }
    }

    /// All that is the governor's, by the guardian and by a stranger.
    function intrude(uint256 which, uint256 what, uint256 how, bool asGuardian) external {
        (bytes32 name, address module) = _choice(which, what);
        bytes[4] memory calls = [
            abi.encodeCall(IDirectory.set, (name, module)),
            abi.encodeCall(IDirectory.seal, ()),
            abi.encodeCall(IDirectory.queueChange, (name, module)),
            abi.encodeCall(IDirectory.cancelChange, (name))
        ];
        vm.prank(asGuardian ? GUARDIAN : RESTAKER);
        (bool done,) = address(directory).call(calls[how % calls.length]);
        if (done) _fail("I-D2: somebody else did what is the governor's");
    }

    function pass(uint256 blocks) external {
        vm.roll(block.number + within(blocks, 1, TIMELOCK));
    }

    // ---- invariants

    function check() external view {
        if (bytes(wrong).length != 0) revert(wrong);
        if (directory.sealedBlock() != 0) {
            uint256 delay = Restaking(directory.module(ModuleNames.RESTAKING)).withdrawalDelay();
            atMost(delay + 1, directory.timelock(), "I-D1: the withdrawal delay of the Restaking in force");
        }
        for (uint256 i = 0; i < _restakings.length; ++i) {
            uint256 epoch = _longestEpoch[address(_restakings[i])];
            if (epoch == 0) continue;
            uint256 needed = _restakings[i].withdrawalDelay() + epoch + 1;
            atMost(needed, directory.timelock(), "I-D1: withdrawal delay and epoch of a shard");
        }
        for (uint256 i = 0; i < _names.length; ++i) {
            equal(directory.module(_names[i]), _expected[_names[i]], "I-D2: an entry");
        }
        address[] memory modules = new address[](ModuleNames.COUNT);
        for (uint256 n = 0; n < modules.length; ++n) {
            modules[n] = directory.module(ModuleNames.at(n));
        }
        for (uint256 i = 0; i < _candidates.length; ++i) {
            bool stands = false;
            for (uint256 n = 0; n < modules.length; ++n) {
                if (modules[n] == _candidates[i]) stands = true;
            }
            yes(directory.isModule(_candidates[i]) == stands, "I-D3: isModule");
        }
    }

    // ---- helpers

    function _name(uint256 which) private view returns (bytes32) {
        return _names[which % _names.length];
    }

    /// A name and what to put there; under restaking mostly what could stand there.
    function _choice(uint256 which, uint256 what) private view returns (bytes32 name, address module) {
        name = _name(which);
        uint256 n = name == ModuleNames.RESTAKING && what % 8 != 0 ? _restakings.length : _candidates.length;
        module = _candidates[(what / 8) % n];
    }

    function _terms() private view returns (ShardParameters memory p) {
        (p.finality, p.sealingLimit, p.window, p.reporting) = (1, 1, 1, 1);
        (p.termEpochs, p.samples, p.maxOperators, p.jailMisses, p.jailEpochs) = (7, 4, 16, 2, 10);
        p.maxRowsPerTicket = 100;
        (p.bondToken, p.paymentToken) = (address(_token), address(_token));
        (p.ticketPrice, p.bondPerTicket, p.minBond, p.bondSlashPerTicket) = (100, 10, 10, 4);
    }

    function _fail(string memory what) private {
        wrong = what;
    }
}
