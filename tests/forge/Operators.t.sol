// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOperators} from "../../contracts/interfaces/IOperators.sol";
import {IRestaking} from "../../contracts/interfaces/IRestaking.sol";
import {Network} from "./Network.sol";

/// @title OperatorsTest
/// @notice I-N1 … I-N5: keys belong to one operator each, shown to; what needs notice gets it.
contract OperatorsTest is Network {
    address private _one;

    function setUp() external {
        _one = _register(1);
    }

    function _try(uint256 number, bytes memory possession, uint16 commission, address responder, bytes4 problem)
        internal
    {
        bytes memory key = _key(_secret(number));
        vm.prank(_operator(number));
        vm.expectPartialRevert(problem);
        registry.register(key, possession, bytes32("sealing"), "http://node", commission, responder);
    }

    // ---- registering

    function test_whatIsRegisteredCanBeRead() external view {
        yes(registry.isRegistered(_one), "registered");
        yes(!registry.isRegistered(_operator(2)), "nobody else");
        equal(registry.responderOf(_one), _one, "responder");
        equal(registry.commissionOf(_one), 1000, "commission");
        yes(registry.sealingKeyOf(_one) == bytes32("sealing"), "sealing key");
        yes(keccak256(bytes(registry.endpointOf(_one))) == keccak256("http://node"), "endpoint");
        bytes memory key = _key(_secret(1));
        yes(keccak256(registry.keyOf(_one)) == keccak256(key), "key");
        yes(registry.keyHashOf(_one) == keccak256(key), "hash of the key");
        equal(registry.operatorOfKey(keccak256(key)), _one, "whose key");
    }

    function test_oneRegistrationEach() external {
        _try(1, _possession(_one, _secret(1)), 1000, _one, IOperators.AlreadyRegistered.selector);
    }

    /// I-N1.
    function test_aKeyBelongsToOne() external {
        bytes memory key = _key(_secret(1));
        bytes memory possession = _possession(_operator(2), _secret(1));
        vm.prank(_operator(2));
        vm.expectPartialRevert(IOperators.KeyTaken.selector);
        registry.register(key, possession, bytes32("sealing"), "http://node", 0, _operator(2));
    }

    /// I-N2.
    function test_aProofNamesItsOperator() external {
        _try(2, _possession(_operator(3), _secret(2)), 0, _operator(2), IOperators.PossessionInvalid.selector);
    }

    function test_aProofIsOfItsKey() external {
        _try(2, _possession(_operator(2), _secret(3)), 0, _operator(2), IOperators.PossessionInvalid.selector);
    }

    function test_aKeyHasItsLength() external {
        bytes memory possession = _possession(_operator(2), _secret(2));
        vm.prank(_operator(2));
        vm.expectPartialRevert(IOperators.KeyLengthWrong.selector);
        registry.register(new bytes(255), possession, bytes32("sealing"), "", 0, _operator(2));
    }

    function test_aCommissionHasALimit() external {
        bytes memory possession = _possession(_operator(2), _secret(2));
        _try(2, possession, 5001, _operator(2), IOperators.CommissionTooHigh.selector);
        bytes memory key = _key(_secret(2));
        vm.prank(_operator(2));
        registry.register(key, possession, bytes32("sealing"), "", 5000, _operator(2));
    }

    function test_someoneAnswers() external {
        _try(2, _possession(_operator(2), _secret(2)), 0, address(0), IOperators.ZeroResponder.selector);
        vm.prank(_one);
        vm.expectPartialRevert(IOperators.ZeroResponder.selector);
        registry.setResponder(address(0));
    }

    function test_anEndpointHasALimit() external {
        vm.prank(_one);
        vm.expectPartialRevert(IOperators.EndpointTooLong.selector);
        registry.setEndpoint(string(new bytes(257)));
        vm.prank(_one);
        registry.setEndpoint(string(new bytes(256)));
        _pass(DELAY);
        equal(bytes(registry.endpointOf(_one)).length, 256, "length");
    }

    /// I-N5
    function test_anEndpointComesIntoForceAWithdrawalDelayAfterItsAnnouncement() external {
        _announce("http://moved");
        uint256 from = _height() + DELAY;
        _pass(DELAY - 1);
        _checkEndpoints("http://node", "http://moved", from);
        _pass(1);
        _checkEndpoints("http://moved", "", 0);
        // what is in force stays so until the next is
        _announce("http://again");
        _pass(DELAY - 1);
        _checkEndpoints("http://moved", "http://again", _height() + 1);
        _pass(1);
        _checkEndpoints("http://again", "", 0);
    }

    function test_anAnnouncedEndpointIsReplacedByAnother() external {
        _announce("http://never");
        _pass(DELAY - 1);
        _announce("http://moved");
        _pass(1);
        _checkEndpoints("http://node", "http://moved", _height() + DELAY - 1);
        _pass(DELAY - 1);
        _checkEndpoints("http://moved", "", 0);
    }

    function _announce(string memory endpoint) private {
        vm.prank(_one);
        registry.setEndpoint(endpoint);
    }

    function _checkEndpoints(string memory current, string memory next, uint256 from) private view {
        yes(keccak256(bytes(registry.endpointOf(_one))) == keccak256(bytes(current)), "in force");
        (string memory announced, uint256 fromBlock) = registry.nextEndpointOf(_one);
        yes(keccak256(bytes(announced)) == keccak256(bytes(next)), "announced");
        equal(fromBlock, from, "from");
    }

    // ---- keys

    function test_aKeyIsPublishedOnce() external {
        bytes memory key = _key(_secret(1));
        vm.expectPartialRevert(IOperators.AlreadyPublished.selector);
        registry.publishKey(key);
        bytes memory unknown = _key(_secret(2));
        vm.expectPartialRevert(IOperators.KeyUnknown.selector);
        registry.publishKey(unknown);
    }

    function test_aKeyThatIsNotPublishedCantBeRead() external {
        address two = _operator(2);
        bytes memory key = _key(_secret(2));
        bytes memory possession = _possession(two, _secret(2));
        vm.prank(two);
        registry.register(key, possession, bytes32("sealing"), "", 0, two);
        vm.expectPartialRevert(IOperators.KeyNotPublished.selector);
        registry.keyAccountOf(two);
    }

    /// I-N1; I-N4: the account of the old key stays as it is.
    function test_aNewKeyTakesTheOldOnesPlaceAndLeavesItTaken() external {
        bytes memory old = _key(_secret(1));
        address account = registry.keyAccountOf(_one);
        bytes memory key = _key(900);
        bytes memory possession = _possession(_one, 900);
        vm.prank(_one);
        registry.rotateKey(key, possession);
        yes(registry.keyHashOf(_one) == keccak256(key), "the new one");
        equal(registry.operatorOfKey(keccak256(old)), _one, "the old one is still its own");
        yes(registry.keyAccountOf(_one) != account, "another account");
        yes(keccak256(account.code) == keccak256(bytes.concat(hex"00", old)), "the old account");
        bytes memory again = _possession(_one, _secret(1));
        vm.prank(_one);
        vm.expectPartialRevert(IOperators.KeyTaken.selector);
        registry.rotateKey(old, again);
    }

    function test_anOldKeyIsNoPublication() external {
        bytes memory key = _key(900);
        bytes memory possession = _possession(_one, 900);
        vm.prank(_one);
        registry.rotateKey(key, possession);
        bytes memory old = _key(_secret(1));
        vm.expectPartialRevert(IOperators.AlreadyPublished.selector);
        registry.publishKey(old);
    }

    // ---- what an operator changes

    function test_onlyTheRegisteredChangeAnything() external {
        address stranger = _operator(9);
        vm.prank(stranger);
        vm.expectPartialRevert(IOperators.NotRegistered.selector);
        registry.setEndpoint("");
        vm.prank(stranger);
        vm.expectPartialRevert(IOperators.NotRegistered.selector);
        registry.setResponder(stranger);
        vm.prank(stranger);
        vm.expectPartialRevert(IOperators.NotRegistered.selector);
        registry.setCommission(1);
        vm.prank(stranger);
        vm.expectPartialRevert(IOperators.NotRegistered.selector);
        registry.rotateKey("", "");
        vm.expectPartialRevert(IOperators.NotRegistered.selector);
        registry.commissionOf(stranger);
    }

    function test_anotherAnswersAtOnce() external {
        vm.prank(_one);
        registry.setResponder(address(0x77));
        equal(registry.responderOf(_one), address(0x77), "responder");
    }

    /// I-N3, of an operator that nothing binds.
    function test_aCommissionChangesAfterNotice() external {
        vm.prank(_one);
        registry.setCommission(3000);
        equal(registry.commissionOf(_one), 1000, "as before");
        _pass(DELAY - 1);
        equal(registry.commissionOf(_one), 1000, "a block too early");
        _pass(1);
        equal(registry.commissionOf(_one), 3000, "after the notice");
        vm.prank(_one);
        vm.expectPartialRevert(IOperators.CommissionTooHigh.selector);
        registry.setCommission(5001);
    }

    /// I-N3: who is bound by a roster can't leave within a withdrawal delay, and pays what it agreed to until it can.
    function test_aCommissionDoesNotRiseWhileStakeIsBound() external {
        address two = _enroll(2, 2);
        members.snapshot(1);
        uint256 until = shards.boundUntil(two, 0, _height());
        yes(until > _height() + DELAY, "bound for longer than the delay");
        vm.prank(two);
        registry.setCommission(5000);
        vm.prank(two);
        uint256 id = restaking.undelegate(two, address(token), 1);
        _roll(until - 1);
        equal(registry.commissionOf(two), 1000, "still bound");
        vm.expectPartialRevert(IRestaking.StakeBound.selector);
        restaking.completeWithdrawal(id);
        _roll(until);
        equal(registry.commissionOf(two), 5000, "free to go");
        restaking.completeWithdrawal(id);
    }

    /// Announcing again and again neither hurries a rise nor lets one through.
    function test_aSecondAnnouncementStartsTheNoticeAnew() external {
        vm.prank(_one);
        registry.setCommission(3000);
        _pass(DELAY - 1);
        vm.prank(_one);
        registry.setCommission(4000);
        _pass(1);
        equal(registry.commissionOf(_one), 1000, "the first was withdrawn");
        _pass(DELAY - 1);
        equal(registry.commissionOf(_one), 4000, "the second came");
    }
}
