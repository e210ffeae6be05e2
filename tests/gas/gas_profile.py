"""Where a transaction's gas goes, from Anvil's `debug_traceCall` on the block before: by kind of cost and by contract.

`PROFILE=objects.certify make gas ARGS="-k storage -s"` prints it for names with it; each must be alone in a block.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import requests

BUILD = Path(__file__).resolve().parents[2] / ".build" / "__local__.json"

PRECOMPILES = {
    2: "sha256",
    5: "modexp",
    0x0B: "G1 add",
    0x0C: "G1 MSM",
    0x0D: "G2 add",
    0x0F: "pairing",
    0x10: "map to G1",
}
CALLS = {"CALL", "STATICCALL", "DELEGATECALL", "CALLCODE"}
HASHES = {"KECCAK256", "SHA3"}
COPIES = {"MLOAD", "MSTORE", "MSTORE8", "MCOPY", "CALLDATACOPY", "CODECOPY", "RETURNDATACOPY"}
CODE = {"EXTCODECOPY", "EXTCODESIZE", "EXTCODEHASH"}
NEW_SLOT, COLD = 20_000, 2_100


def profile(url: str, transaction: str) -> list[tuple[str, int, int]]:
    """Return (kind or contract, gas, times), the kinds first; kinds sum up to the transaction's gas, before refunds."""
    sent = _ask(url, "eth_getTransactionByHash", transaction)
    receipt = _ask(url, "eth_getTransactionReceipt", transaction)
    call = {"from": sent["from"], "to": sent["to"], "data": sent["input"], "gas": sent["gas"]}
    trace = _ask(url, "debug_traceCall", call, hex(int(receipt["blockNumber"], 16) - 1), {})
    kinds: Counter[str] = Counter()
    times: Counter[str] = Counter()
    contracts: Counter[str] = Counter()
    steps = trace["structLogs"]

    def note(kind: str, gas: int, where: str) -> None:
        kinds[kind] += gas
        times[kind] += 1
        contracts[_name(url, where)] += gas

    data = bytes.fromhex(sent["input"][2:])
    zeros = data.count(0)
    intrinsic = 21_000 + 4 * zeros + 16 * (len(data) - zeros)
    kinds["transaction, calldata"] += intrinsic
    times["transaction, calldata"] += 1

    # of each frame: address of its code; of each open call: its step, and what the callee got and has left
    code = [sent["to"].lower()]
    for at, step in enumerate(steps):
        following = steps[at + 1] if at + 1 < len(steps) else None
        op, depth = step["op"], step["depth"]
        del code[depth:]
        where = code[-1]
        if op in CALLS:
            target = "0x" + step["stack"][-2].removeprefix("0x").rjust(40, "0")[-40:].lower()
            if following is not None and following["depth"] > depth:
                code.append(target)
                after = next(later for later in steps[at + 1 :] if later["depth"] == depth)
                spent_inside = _spent_inside(steps, at + 1, depth)
                note("calls of contracts", step["gas"] - after["gas"] - spent_inside, where)
            else:
                cost = step["gas"] - following["gas"] if following is not None else step["gasCost"]
                note(PRECOMPILES.get(int(target, 16), "calls of contracts"), cost, where)
            continue
        cost = step["gasCost"]
        note(_kind(op, cost), cost, where)

    total = sum(kinds.values())
    used = int(receipt["gasUsed"], 16)
    lines = [(kind, gas, times[kind]) for kind, gas in kinds.most_common()]
    lines.append(("sum", total, len(steps)))
    lines.append(("refunds, floor", used - total, 0))
    return lines + [(f"in {name}", gas, 0) for name, gas in contracts.most_common()]


def _spent_inside(steps: list[dict[str, Any]], first: int, depth: int) -> int:
    """Return what a callee spent: the gas of its first step less what is left after its last."""
    last = first
    while last + 1 < len(steps) and steps[last + 1]["depth"] > depth:
        last += 1
    # the callee's own last step is the last one at its depth
    return int(steps[first]["gas"] - (steps[last]["gas"] - steps[last]["gasCost"]))


@cache
def _name(url: str, address: str) -> str:
    """Return a contract's name by the size of its code, which is all that constructors leave alone."""
    size = len(_ask(url, "eth_getCode", address, "latest")) // 2 - 1
    return _names().get(size, address)


@cache
def _names() -> dict[int, str]:
    built = json.loads(BUILD.read_text(encoding="utf-8"))["contractTypes"]
    codes = {name: (item.get("runtimeBytecode") or {}).get("bytecode") or "0x" for name, item in built.items()}
    return {len(code) // 2 - 1: name for name, code in codes.items()}


def _kind(op: str, cost: int) -> str:
    if op == "SSTORE":
        if cost >= NEW_SLOT:
            return "new slots written"
        return "existing slots written" if cost >= COLD else "slots written again"
    if op == "SLOAD":
        return "slots read first" if cost >= COLD else "slots read again"
    if op.startswith("LOG"):
        return "events"
    if op in CODE:
        return "code read first" if cost >= 2_600 else "code read again"
    if op in HASHES:
        return "hashes"
    if op in COPIES:
        return "memory"
    return "arithmetic, stack, jumps"


def _ask(url: str, method: str, *arguments: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(arguments)}
    answer = requests.post(url, json=body, timeout=300).json()
    if "result" not in answer:
        raise LookupError(f"{method}: {answer}")
    return answer["result"]
