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
        _live("life");
        _live("and on");
        for (uint256 kind = 0; kind < KINDS; ++kind) {
            if (handler.done(kind) == 0) revert NotEqual("never happened", kind, 0);
        }
    }

    function test_anotherLife() external {
        _live("another");
    }

    function test_aThirdLife() external {
        _live("third");
    }

    function _live(string memory name) private {
        for (uint256 i = 0; i < STEPS; ++i) {
            _step(uint256(keccak256(abi.encode(name, i))));
            handler.check();
        }
    }

    function _step(uint256 seed) private {
        (uint256 a, uint256 b, uint256 c) = (seed >> 32, seed >> 96, seed >> 160);
        uint256 kind = seed % 25;
        if (kind < 3) handler.play(a, b | c, a);
        else if (kind < 5) handler.pass(a);
        else if (kind == 5 && a % 3 == 0) _call(abi.encodeCall(handler.takeRoster, (a, b)));
        else if (kind == 6) _call(abi.encodeCall(handler.leave, (a)));
        else if (kind < 9) _call(abi.encodeCall(handler.store, (a, b, c, a >> 7)));
        else if (kind == 9) _call(abi.encodeCall(handler.adopt, (a, b)));
        else if (kind == 10) _call(abi.encodeCall(handler.extend, (a, b)));
        else if (kind == 11) _call(abi.encodeCall(handler.terminate, (a)));
        else if (kind == 12) _call(abi.encodeCall(handler.returnUnsigned, (a)));
        else if (kind == 13) _call(abi.encodeCall(handler.respondMany, (a)));
        else if (kind == 14) _call(abi.encodeCall(handler.reportMisses, (a, b)));
        else if (kind == 15) _call(abi.encodeCall(handler.executeSlash, (a)));
        else if (kind == 16) _call(abi.encodeCall(handler.settle, (a, b)));
        else if (kind == 17) _call(abi.encodeCall(handler.returnUnproven, (a, b, c)));
        else if (kind == 18) _call(abi.encodeCall(handler.returnVoid, (a, b)));
        else if (kind == 19) _call(abi.encodeCall(handler.claimIntake, (a, b)));
        else if (kind == 20) _call(abi.encodeCall(handler.respond, (a, b)));
        else if (kind == 21) _call(abi.encodeCall(handler.seal, (a)));
        else if (kind == 22) _call(abi.encodeCall(handler.prolong, (a, b, c)));
        else _call(abi.encodeCall(handler.forge, (a, b, c, a >> 9)));
    }

    /// What can't be done reverts, and changes nothing.
    function _call(bytes memory data) private {
        (bool done,) = address(handler).call(data);
        done;
    }
}
