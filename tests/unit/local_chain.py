"""A real Anvil and small contracts compiled on the spot, for tests of the way to the chain. No Ape."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qanat.chain.connection import Chain
from qanat.chain.sender import Sender
from qanat.chain.signer import KeySigner
from qanat.errors import ChainUnreachable

ROOT = Path(__file__).resolve().parents[2]
#: Keys of the first accounts of the public development mnemonic.
KEYS = (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
)

DOUBLES = """
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

contract Refuser {
    error TooMuch(uint256 amount, uint256 limit, bytes32 id);
    error Unlisted(uint256 amount);
    uint256 public sum;
    uint256 public lastBlock;

    function add(uint256 amount) external payable {
        if (amount > 10) revert TooMuch(amount, 10, bytes32(uint256(1)));
        sum += amount;
    }
    function text() external pure { revert("no reason to"); }
    function oncePerBlock() external {
        if (lastBlock == block.number) revert Unlisted(block.number);
        lastBlock = block.number;
    }
    function overflow() external view returns (uint256) { return sum - sum - 1; }
    function empty() external pure { assembly { revert(0, 0) } }
}

contract Coin {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    bool public stubborn;
    error AllowanceNotZero();

    constructor(bool stubborn_) { stubborn = stubborn_; balanceOf[msg.sender] = 1000; }
    // as some real tokens: no result, and no change of an allowance that is not zero
    function approve(address spender, uint256 amount) external {
        if (stubborn && amount != 0 && allowance[msg.sender][spender] != 0) revert AllowanceNotZero();
        allowance[msg.sender][spender] = amount;
    }
    function take(address from, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[msg.sender] += amount;
    }
}

contract Till {
    function pay(Coin coin, uint256 amount) external { coin.take(msg.sender, amount); }
}
"""


def anvil_binary() -> str:
    """Return Anvil's own binary; skip the test where `make setup` has not been run."""
    for found in sorted(ROOT.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")):
        if os.access(found, os.X_OK):
            return str(found)
    pytest.skip("no Anvil in node_modules: run `make setup`")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class LocalChain:
    """A running Anvil."""

    url: str
    process: subprocess.Popen[bytes]

    def connect(self, **options: Any) -> Chain:
        """Connect to it."""
        return Chain.connect(self.url, **options)


@contextmanager
def anvil(*options: str, hardfork: str = "prague") -> Iterator[LocalChain]:
    """Run Anvil on a free port; it is gone afterwards."""
    port = free_port()
    command = [anvil_binary(), "--host", "127.0.0.1", "--port", str(port), "--hardfork", hardfork, "--silent", *options]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                Chain.connect(url, timeout=2)
                break
            except ChainUnreachable:
                time.sleep(0.05)
        yield LocalChain(url, process)
    finally:
        process.kill()
        process.wait(10)


@functools.cache
def compiled(source: str = DOUBLES) -> dict[str, dict[str, Any]]:
    """Compile Solidity with the pinned compiler: contract → {abi, bytecode}. ``contracts/…`` can be imported."""
    task = {
        "language": "Solidity",
        "sources": {"test.sol": {"content": source}},
        "settings": {"evmVersion": "prague", "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}}},
    }
    done = subprocess.run(
        [ROOT / "toolchain/solcx/solc-v0.8.37", "--standard-json", "--base-path", str(ROOT)],
        input=json.dumps(task).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    problems = [item["formattedMessage"] for item in answer.get("errors", []) if item["severity"] == "error"]
    assert not problems, "\n".join(problems)
    return {
        name: {"abi": item["abi"], "bytecode": item["evm"]["bytecode"]["object"]}
        for name, item in answer["contracts"]["test.sol"].items()
    }


def deploy(sender: Sender, name: str, *arguments: Any, source: str = DOUBLES) -> Any:
    """Deploy a contract of ``source`` and return it."""
    made = compiled(source)[name]
    receipt = sender.send(
        sender.chain.web3.eth.contract(abi=made["abi"], bytecode=made["bytecode"]).constructor(*arguments)
    )
    return sender.chain.web3.eth.contract(address=receipt["contractAddress"], abi=made["abi"])


def key_signer(number: int = 0) -> KeySigner:
    """Return a development account that has money."""
    return KeySigner.from_key(KEYS[number])
