"""What the randomness module in force is shown for a block: its header, and with drand a round's signature beside it.

drand's scheme bls-unchained-g1-rfc9380 (quicknet): round r is signed at genesis + (r - 1)·period, a BLS signature in G1
of SHA-256(uint64 r) under the IETF draft's basic tag; relays serve it at ``/public/r``. The contracts are
``RandaoBeacon`` and ``DrandBeacon``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from eth_abi.abi import encode
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

from qanat import strict_json
from qanat.bls.kernels import signature_kernel
from qanat.chain.connection import Chain
from qanat.chain.header import encode_header
from qanat.errors import AuditFailed, BadParameters, InvalidPoint, RandomnessUnavailable
from qanat.kzg.kernels import commitment_kernel
from qanat.kzg.points import compress_raw, from_padded, to_padded

__all__ = [
    "DRAND_TAG",
    "QUICKNET",
    "DrandNetwork",
    "block_randomness",
    "block_value",
    "drand_key",
    "drand_value",
    "is_round",
    "module_in_force",
    "randomness_proof",
    "relays_of",
    "round_message",
]

#: Domain tag of drand's signatures (draft-irtf-cfrg-bls-signature, basic scheme, signatures in G1).
DRAND_TAG = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
_VALUE_TAG = keccak(text="qanat/v1/drand")
_RANDOMNESS = b"randomness".ljust(32, b"\0")
_MODULE_SET = keccak(text="ModuleSet(bytes32,address)")
_SECONDS = 5.0
_ANSWER_BYTES = 16 << 10


@dataclass(frozen=True)
class DrandNetwork:
    """A drand network: its key (96 bytes, compressed G2), times in seconds, and addresses of its relays."""

    public_key: bytes
    genesis: int
    period: int
    relays: tuple[str, ...]


#: The League of Entropy's network with a round every three seconds.
QUICKNET = DrandNetwork(
    public_key=bytes.fromhex(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
        "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
    ),
    genesis=1_692_803_367,
    period=3,
    relays=tuple(
        f"https://{host}/52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
        for host in ("api.drand.sh", "api2.drand.sh", "api3.drand.sh")
    ),
)


def drand_key(compressed: bytes) -> bytes:
    """Return a key of 96 bytes in EIP-2537's form, 256 bytes; no point of G2's subgroup raises ``BadParameters``."""
    from py_ecc.bls.point_compression import decompress_G2
    from py_ecc.optimized_bls12_381.optimized_curve import curve_order, is_inf, multiply, normalize

    try:
        point = decompress_G2((int.from_bytes(compressed[:48], "big"), int.from_bytes(compressed[48:], "big")))  # type: ignore[arg-type]
    except (ValueError, AssertionError) as error:
        raise BadParameters(f"drand's public key is no point of G2: {error}.") from error
    if len(compressed) != 96 or is_inf(point) or not is_inf(multiply(point, curve_order)):
        raise BadParameters("drand's public key is no point of G2's subgroup.")
    x, y = normalize(point)
    return to_padded(b"".join(int(part).to_bytes(48, "big") for number in (x, y) for part in number.coeffs))


def round_message(number: int) -> bytes:
    """Return what the signature of a round signs, 32 bytes."""
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


def is_round(key: bytes, number: int, signature: bytes) -> bool:
    """Say whether a signature (128 bytes) is the round's under a key (256); malformed points raise ``InvalidPoint``."""
    if signature == bytes(len(signature)) or key == bytes(len(key)):
        return False
    return signature_kernel("fast").pairing_holds(signature, key, round_message(number), DRAND_TAG)


def block_value(random: bytes, timestamp: int) -> bytes:
    """Return what a module keeps of a block: 216 of its random bits above its time in seconds, 40 bits."""
    return random[:27] + timestamp.to_bytes(5, "big")


def drand_value(chain_id: int, beacon: str, block: int, timestamp: int, signature: bytes) -> bytes:
    """Return the value that ``DrandBeacon`` gives a block of that time whose round has this signature (128 bytes)."""
    drawn = hashlib.sha256(compress_raw(from_padded(signature))).digest()
    types = ["bytes32", "uint256", "address", "uint256", "bytes32"]
    mixed = keccak(encode(types, [_VALUE_TAG, chain_id, to_canonical_address(beacon), block, drawn]))
    return block_value(mixed, timestamp)


# ---- for who seals


def relays_of(chain: Chain) -> tuple[str, ...]:
    """Return the relays that the deployment's parameters name, quicknet's if they name none."""
    named = chain.deployment.parameters.get("drand") or {}
    return tuple(named.get("relays") or QUICKNET.relays)


def randomness_proof(chain: Chain, block: int, relays: Sequence[str]) -> bytes:
    """Return what the module in force takes as proof of a block's value.

    Raises :class:`RandomnessUnavailable` when no relay of drand has the block's round (yet), :class:`ChainError` as the
    chain does.
    """
    content = chain.block(block)
    header = encode_header(content)
    beacon = chain.contract_at("DrandBeacon", module_in_force(chain))
    scheme = bytes(chain.call(beacon.functions.scheme())).rstrip(b"\0")
    if scheme == b"randao":
        return header
    if scheme != b"drand":
        raise RandomnessUnavailable(
            f"The randomness module in force proves values by {scheme!r}, which this version does not know.",
            hint="Upgrade the node.",
        )
    number = int(chain.call(beacon.functions.roundOf(_integer(content["timestamp"]))))
    return header + _fetch_round(relays, number, bytes(chain.call(beacon.functions.publicKey())))


def _fetch_round(relays: Sequence[str], number: int, key: bytes) -> bytes:
    """Return a round's signature, 128 bytes, from the first relay that has it and tells the truth."""
    reasons = []
    for relay in relays:
        try:
            return _ask_relay(relay, number, key)
        except (httpx.HTTPError, ValueError, KeyError, TypeError, InvalidPoint) as error:
            reasons.append(f"{relay}: {str(error) or type(error).__name__}")
    raise RandomnessUnavailable(
        f"No relay gave round {number} of drand{': ' + '; '.join(reasons) if reasons else ''}.",
        hint="It may not be signed yet. Else name relays that answer: drandRelays in node.json.",
        round=number,
    )


def _ask_relay(relay: str, number: int, key: bytes) -> bytes:
    with httpx.stream("GET", f"{relay.rstrip('/')}/public/{number}", timeout=_SECONDS) as answer:
        answer.raise_for_status()
        body = b""
        for part in answer.iter_bytes():
            body += part
            if len(body) > _ANSWER_BYTES:
                raise ValueError("the answer is too long")
    content = strict_json.parse(body)
    if content["round"] != number:
        raise ValueError(f"it answered with round {content['round']}")
    kernel = commitment_kernel()
    signature = to_padded(kernel.to_raw(kernel.decompress(bytes.fromhex(content["signature"]))))
    if not is_round(key, number, signature):
        raise ValueError("its signature is not the network's")
    return signature


# ---- for who verifies everything again


def module_in_force(chain: Chain, block: int | None = None) -> str:
    """Return the randomness module that the Directory names now, or named after a block by its own log."""
    directory = chain.contract("Directory")
    if block is None:
        return str(chain.call(directory.functions.module(_RANDOMNESS)))
    topics = ["0x" + _MODULE_SET.hex(), "0x" + _RANDOMNESS.hex()]
    since = chain.deployment.contract("Directory").block
    wanted = {"address": directory.address, "topics": topics, "fromBlock": hex(since), "toBlock": hex(block)}
    found = chain.rpc("eth_getLogs", wanted)
    if not found:
        raise AuditFailed(f"The Directory's log names no randomness module up to block {block}.")
    return "0x" + str(found[-1]["topics"][2])[-40:]


def block_randomness(chain: Chain, block: int, sealed_block: int) -> bytes:
    """Return a block's random value, derived anew, as the module in force at the sealing had to give it.

    Raises :class:`AuditFailed` where the proof does not hold.
    """
    content = chain.block(block)
    encode_header(content)  # or it raises: the header hashes to the block's hash
    timestamp = _integer(content["timestamp"])
    address = module_in_force(chain, sealed_block)
    beacon = chain.contract_at("DrandBeacon", address)
    if bytes(chain.call(beacon.functions.scheme())).rstrip(b"\0") == b"randao":
        return block_value(bytes.fromhex(str(content["mixHash"])[2:]), timestamp)
    number = int(chain.call(beacon.functions.roundOf(timestamp)))
    events = beacon.events.RoundVerified().get_logs(
        from_block=block, to_block=sealed_block, argument_filters={"blockNumber": block}
    )
    for event in events:
        signature = bytes(event["args"]["signature"])
        if is_round(bytes(chain.call(beacon.functions.publicKey())), number, signature):
            return drand_value(chain.chain_id, address, block, timestamp, signature)
    raise AuditFailed(f"No true signature of drand's round {number} was shown for block {block}.", round=number)


def _integer(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)
