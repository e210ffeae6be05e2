// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AuditsHandler} from "./AuditsHandler.sol";
import {Test} from "./Test.sol";

/// @title AuditsTest
/// @notice Long lives of a shard with the invariants of `Audits.invariants.t.sol` after every step, always the same: what random calls may reach is
/// known to be reached, and a fault that it catches is caught in seconds.
contract AuditsTest is Test {
    /// Kinds of events that the handler counts.
    uint256 private constant KINDS = 12;
    uint256 private constant STEPS = 250;

    AuditsHandler public handler;

    function setUp() external {
        handler = new AuditsHandler();
    }

    function test_everyKindOfEventHappens() external {
        for (uint256 i = 0; i < STEPS; ++i) {
            _step(uint256(keccak256(abi.encode("life", i))));
            handler.check();
        }
        for (uint256 kind = 0; kind < KINDS; ++kind) {
            if (handler.done(kind) == 0) revert NotEqual("never happened", kind, 0);
        }
    }

    function _step(uint256 seed) private {
        (uint256 a, uint256 b, uint256 c) = (seed >> 32, seed >> 96, seed >> 160);
        uint256 kind = seed % 24;
        if (kind < 3) return handler.play(a, b | c, a);
        if (kind < 5) return handler.pass(a);
        if (kind == 5 && a % 3 == 0) return handler.takeRoster(a, b);
        if (kind == 6) return _call(abi.encodeCall(handler.leave, (a)));
        if (kind < 9) return _call(abi.encodeCall(handler.store, (a, b, c, a >> 7)));
        if (kind == 9) return _call(abi.encodeCall(handler.adopt, (a, b)));
        if (kind == 10) return _call(abi.encodeCall(handler.extend, (a, b)));
        if (kind == 11) return _call(abi.encodeCall(handler.terminate, (a)));
        if (kind == 12) return _call(abi.encodeCall(handler.returnUnsigned, (a)));
        if (kind == 13) return _call(abi.encodeCall(handler.respondMany, (a)));
        if (kind == 14) return _call(abi.encodeCall(handler.reportMisses, (a, b)));
        if (kind == 15) return _call(abi.encodeCall(handler.executeSlash, (a)));
        if (kind == 16) return handler.settle(a, b);
        if (kind == 17) return handler.returnUnproven(a, b, c);
        if (kind == 18) return handler.returnVoid(a, b);
        if (kind == 19) return handler.claimIntake(a, b);
        if (kind == 20) return handler.respond(a, b);
        if (kind == 21) return handler.seal(a);
        handler.forge(a, b, c, a >> 9);
    }

    /// What can't be done reverts, and changes nothing.
    function _call(bytes memory data) private {
        (bool done,) = address(handler).call(data);
        done;
    }
}
