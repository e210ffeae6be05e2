// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {IPayments} from "../../contracts/interfaces/IPayments.sol";
import {IRestaking} from "../../contracts/interfaces/IRestaking.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {OperatorsDouble} from "../../contracts/mocks/OperatorsDouble.sol";
import {ShardsDouble} from "../../contracts/mocks/ShardsDouble.sol";
import {Restaking} from "../../contracts/restaking/Restaking.sol";
import {Payments} from "../../contracts/rewards/Payments.sol";
import {RestakerRewards} from "../../contracts/rewards/RestakerRewards.sol";
import {CollateralWeight} from "../../contracts/types/Types.sol";
import {Test} from "./Test.sol";

/// @notice A directory without a timelock.
contract Desk {
    address public governor = msg.sender;
    address public guardian = address(0x6a);
    uint256 public timelock = 1000;
    uint256 public sealedBlock = 1;
    mapping(bytes32 name => address) private _modules;
    mapping(address account => uint256) private _places;

    function set(bytes32 name, address module_) external {
        address old = _modules[name];
        if (old != address(0)) --_places[old];
        ++_places[module_];
        _modules[name] = module_;
    }

    function module(bytes32 name) external view returns (address) {
        return _modules[name];
    }

    function isModule(address account) external view returns (bool) {
        return _places[account] != 0;
    }
}

/// @notice Stands for Audits and for Rewards: how many epochs an operator answered, and how many of them are settled.
contract Counts {
    mapping(address operator => uint256) public answeredCount;
    mapping(address operator => uint256) private _settled;

    function answer(address operator) external {
        ++answeredCount[operator];
    }

    function settle(address operator, uint256 count) external {
        _settled[operator] = count;
    }

    function settledCount(address, address operator) external view returns (uint256) {
        return _settled[operator];
    }
}

/// @title World
/// @notice Restaking, RestakerRewards and Payments, real; Shards and Operators doubles: any block may bind, a miss may take anything.
abstract contract World is Test {
    uint256 internal constant DELAY = 6;
    uint256 internal constant RESOLUTION = 2;
    uint256 internal constant GUARDIAN = 3;
    uint256 internal constant WHOLE = 1e18;
    uint32 internal constant SHARDS = 2;
    address internal constant GUARDIAN_ACCOUNT = address(0x6a);
    address internal constant REPORTER = address(0x4e90);

    address internal immutable AUDITS = address(new Counts());
    address internal immutable REWARDS = address(new Counts());
    Desk internal desk;
    Restaking internal restaking;
    RestakerRewards internal books;
    Payments internal payments;
    ShardsDouble internal shards;
    OperatorsDouble internal registry;
    MintableToken internal bondToken;
    MintableToken internal paymentToken;
    MintableToken[2] internal collaterals;
    address[3] internal people = [address(0x1001), address(0x1002), address(0x1003)];
    address[2] internal operators = [address(0x2001), address(0x2002)];

    constructor() {
        desk = new Desk();
        restaking = new Restaking(IDirectory(address(desk)), DELAY, RESOLUTION, GUARDIAN);
        payments = new Payments(IDirectory(address(desk)));
        books = new RestakerRewards(
            IDirectory(address(desk)), IRestaking(address(restaking)), IPayments(address(payments))
        );
        (bondToken, paymentToken) = (new MintableToken(), new MintableToken());
        CollateralWeight[] memory weights = new CollateralWeight[](collaterals.length);
        for (uint256 c = 0; c < collaterals.length; ++c) {
            collaterals[c] = new MintableToken();
            weights[c] = CollateralWeight(address(collaterals[c]), uint96(c + 1) * 1e18);
        }
        shards = new ShardsDouble(SHARDS, AUDITS, address(bondToken), weights);
        registry = new OperatorsDouble();
        desk.set(ModuleNames.SHARDS, address(shards));
        desk.set(ModuleNames.OPERATORS, address(registry));
        desk.set(ModuleNames.AUDITS, AUDITS);
        desk.set(ModuleNames.REWARDS, REWARDS);
        desk.set(ModuleNames.PAYMENTS, address(payments));
        desk.set(ModuleNames.RESTAKING, address(restaking));
        desk.set(ModuleNames.RESTAKER_REWARDS, address(books));
        for (uint256 c = 0; c < collaterals.length; ++c) {
            restaking.listCollateral(address(collaterals[c]));
        }
        for (uint256 o = 0; o < operators.length; ++o) {
            registry.put(operators[o], operators[o]);
            _fund(bondToken, operators[o]);
        }
        for (uint256 p = 0; p < people.length; ++p) {
            for (uint256 c = 0; c < collaterals.length; ++c) {
                _fund(collaterals[c], people[p]);
            }
        }
    }

    function _fund(MintableToken token, address account) internal {
        token.mint(account, 1e30);
        vm.prank(account);
        token.approve(address(restaking), type(uint256).max);
    }

    /// What the next slash that is executed for a shard takes.
    function _setTerms(uint32 shard, uint256 bond, uint256 fee, uint256[] memory amounts) internal {
        shards.setTerms(shard, bond, fee, amounts);
        vm.etch(shards.missTermsOf(shard), shards.missTermsCode(shard));
    }

    function _pay(address operator, uint32 shard, uint256 amount) internal {
        paymentToken.mint(REWARDS, amount);
        vm.prank(REWARDS);
        paymentToken.approve(address(payments), amount);
        vm.prank(REWARDS);
        payments.collect(address(paymentToken), REWARDS, "any", amount);
        bytes32 inbox = payments.moduleAccount(address(books), books.INBOX_KEY());
        vm.prank(REWARDS);
        payments.move(address(paymentToken), "any", inbox, amount);
        vm.prank(REWARDS);
        books.book(operator, shard, address(paymentToken), amount);
    }
}
