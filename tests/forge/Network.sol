// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {IPayments} from "../../contracts/interfaces/IPayments.sol";
import {IRestaking} from "../../contracts/interfaces/IRestaking.sol";
import {Bls12381} from "../../contracts/libraries/Bls12381.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {BlsCertificateVerifier} from "../../contracts/modules/BlsCertificateVerifier.sol";
import {Members} from "../../contracts/restaking/Members.sol";
import {Operators} from "../../contracts/restaking/Operators.sol";
import {Restaking} from "../../contracts/restaking/Restaking.sol";
import {Shards} from "../../contracts/restaking/Shards.sol";
import {Payments} from "../../contracts/rewards/Payments.sol";
import {RestakerRewards} from "../../contracts/rewards/RestakerRewards.sol";
import {CollateralWeight, ShardParameters} from "../../contracts/types/Types.sol";
import {Test} from "./Test.sol";
import {Counts, Desk} from "./World.sol";

/// @title Network
/// @notice Restaking, Operators, Shards, Members and the verifier of keys, all real, keys and proofs of possession too. Operator number i is
/// `_operator(i)`; blocks pass by `_roll` alone.
abstract contract Network is Test {
    uint256 internal constant DELAY = 66;
    uint256 internal constant RESOLUTION = 3;
    uint32 internal constant EPOCH = 20;
    uint32 internal constant TERM_EPOCHS = 7;
    uint256 internal constant TERM = uint256(EPOCH) * TERM_EPOCHS;
    /// Blocks after a seed block in which its misses can be reported: sealing limit + window + reporting.
    uint256 internal constant CLOSING = 38;
    uint32 internal constant FINALITY = 2;
    uint256 internal constant PRICE = 100;
    uint256 internal constant BOND = 10;
    bytes internal constant POSSESSION_TAG = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    address internal constant OBJECTS = address(0x0b1ec7);
    address internal constant REPORTER = address(0x4e90);

    address internal immutable AUDITS = address(new Counts());
    Desk internal desk;
    Restaking internal restaking;
    Operators internal registry;
    Shards internal shards;
    Members internal members;
    MintableToken internal token;
    MintableToken internal bondToken;

    constructor() {
        desk = new Desk();
        IDirectory directory = IDirectory(address(desk));
        restaking = new Restaking(directory, DELAY, RESOLUTION, 3);
        registry = new Operators(directory);
        shards = new Shards(directory);
        members = Members(address(shards.members()));
        Payments payments = new Payments(directory);
        (token, bondToken) = (new MintableToken(), new MintableToken());
        desk.set(ModuleNames.RESTAKING, address(restaking));
        desk.set(ModuleNames.STAKE_SOURCE, address(restaking));
        desk.set(ModuleNames.OPERATORS, address(registry));
        desk.set(ModuleNames.SHARDS, address(shards));
        desk.set(ModuleNames.AUDITS, AUDITS);
        desk.set(ModuleNames.OBJECTS, OBJECTS);
        desk.set(ModuleNames.REWARDS, address(new Counts()));
        desk.set(ModuleNames.PAYMENTS, address(payments));
        desk.set(ModuleNames.CERTIFICATE_VERIFIER, address(new BlsCertificateVerifier()));
        address books =
            address(new RestakerRewards(directory, IRestaking(address(restaking)), IPayments(address(payments))));
        desk.set(ModuleNames.RESTAKER_REWARDS, books);
        restaking.listCollateral(address(token));
        _roll(1000);
        shards.create(_terms(), _weights());
    }

    // ---- shards

    function _terms() internal view virtual returns (ShardParameters memory p) {
        (p.epochLength, p.finality, p.sealingLimit, p.window, p.reporting) = (EPOCH, FINALITY, 20, 8, 10);
        (p.termEpochs, p.samples, p.maxOperators, p.unprovenToPayerBps) = (TERM_EPOCHS, 4, 16, 6000);
        (p.jailMisses, p.jailEpochs, p.maxRowsPerTicket) = (2, 10, 10_000);
        (p.bondToken, p.paymentToken) = (address(bondToken), address(bondToken));
        (p.ticketPrice, p.bondPerTicket, p.minBond) = (PRICE, BOND, BOND);
        (p.bondSlashPerTicket, p.stakeSlashPerTicket, p.reporterFee) = (4, 20, 1);
        (p.pricePerByteEpochWad, p.intakePricePerByteWad) = (1e18, 1e18);
    }

    function _weights() internal view returns (CollateralWeight[] memory weights) {
        weights = new CollateralWeight[](1);
        weights[0] = CollateralWeight(address(token), 1e18);
    }

    // ---- time

    /// The block that it is, asked of Forge: an optimizer may take `block.number` for a constant of a function, and a call that reverts
    /// after it rolled leaves the block there, but takes back what it noted.
    function _height() internal view returns (uint256) {
        return vm.getBlockNumber();
    }

    function _roll(uint256 blockNumber) internal {
        vm.roll(blockNumber);
    }

    function _pass(uint256 blocks) internal {
        _roll(_height() + blocks);
    }

    // ---- operators

    function _operator(uint256 number) internal pure returns (address) {
        return address(uint160(0x30000 + number));
    }

    /// The secret times G2's generator, by G2MSM.
    function _key(uint256 secret) internal view returns (bytes memory key) {
        bytes memory generator = Bls12381.toPadded(Bls12381.negate(Bls12381.negativeGenerator()));
        key = _compute(address(0x0e), abi.encodePacked(generator, secret));
    }

    function _possession(address operator, uint256 secret) internal view returns (bytes memory) {
        bytes32 digest = registry.possessionDigest(operator, _key(secret));
        Bls12381.G1 memory point = Bls12381.hashToG1(abi.encodePacked(digest), POSSESSION_TAG);
        return _compute(address(0x0c), abi.encodePacked(abi.encode(point), secret));
    }

    function _compute(address precompile, bytes memory input) private view returns (bytes memory output) {
        bool done;
        (done, output) = precompile.staticcall(input);
        yes(done && output.length != 0, "precompile");
    }

    function _secret(uint256 number) internal pure returns (uint256) {
        return 77 + number;
    }

    function _register(uint256 number) internal returns (address operator) {
        operator = _operator(number);
        bytes memory key = _key(_secret(number));
        bytes memory possession = _possession(operator, _secret(number));
        vm.prank(operator);
        registry.register(key, possession, bytes32("sealing"), "http://node", 1000, operator);
        registry.publishKey(key);
    }

    function _post(address operator, uint32 shard, uint256 amount) internal {
        bondToken.mint(operator, amount);
        vm.prank(operator);
        bondToken.approve(address(restaking), type(uint256).max);
        vm.prank(operator);
        restaking.postBond(shard, amount);
    }

    function _stake(address operator, uint256 amount) internal {
        token.mint(operator, amount);
        vm.prank(operator);
        token.approve(address(restaking), type(uint256).max);
        vm.prank(operator);
        restaking.depositAndDelegate(operator, address(token), amount);
    }

    /// Registers an operator with bond and stake for so many tickets of shard 1, all it has behind it.
    function _equip(uint256 number, uint256 tickets) internal returns (address operator) {
        operator = _register(number);
        _post(operator, 1, tickets * BOND);
        vm.prank(operator);
        restaking.allocate(1, address(token), 1e18);
        _stake(operator, tickets * PRICE);
    }

    function _enroll(uint256 number, uint256 tickets) internal returns (address operator) {
        operator = _equip(number, tickets);
        vm.prank(operator);
        members.join(1);
    }

    function _exit(address operator) internal {
        vm.prank(operator);
        members.exit(1);
    }

    // ---- slashes

    function _miss(address operator, uint32 roster, uint64 epoch) internal returns (bytes32) {
        vm.prank(AUDITS);
        return restaking.queueSlash(1, roster, operator, epoch, REPORTER);
    }

    function _slash(address operator, uint32 roster, uint64 epoch) internal {
        bytes32 id = _miss(operator, roster, epoch);
        _pass(RESOLUTION);
        restaking.executeSlash(id);
    }
}
