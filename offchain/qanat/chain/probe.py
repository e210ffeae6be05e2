"""Asks a chain whether it has what the contracts need, before anything is deployed.

Everything is an ``eth_call`` to the precompile itself, with inputs whose answers are known, so that nothing is paid
and a chain that merely lists
a fork but answers wrongly is found out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint, TxParams

from qanat.chain.connection import Chain
from qanat.errors import ChainUnreachable, MissingPrecompiles

__all__ = ["HISTORY_CONTRACT", "check_precompiles", "has_own_randomness", "probe_precompiles"]

#: Blocks whose random values are compared.
_LOOKED_AT = 8

#: EIP-2935: serves the hashes of the last 8,191 blocks.
HISTORY_CONTRACT = "0x0000F90827F1C53a10cb7A02335B175320002935"

_P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
_R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_G1_X = 0x17F1D3A73197D7942695638C4FA9AC0FC3688C4F9774B905A14E3A3F171BAC586C55E83FF97A1AEFFB3AF00ADB22C6BB
_G1_Y = 0x08B3F481E3AAA0F1A09E30ED741D8AE4FCF5E095D5D00AF600DB18CB2C04B3EDD03CC744A2888AE40CAA232946C5E7E1
_G2_X0 = 0x024AA2B2F08F0A91260805272DC51051C6E47AD4FA403B02B4510B647AE3D1770BAC0326A805BBEFD48056C8C121BDB8
_G2_X1 = 0x13E02B6052719F607DACD3A088274F65596BD0D09920B61AB5DA61BBDC7F5049334CF11213945D57E5AC7D055D042B7E
_G2_Y0 = 0x0CE5D527727D6E118CC9CDC6DA2E351AADFD9BAA8CBDD3A76D429A695160D12C923AC9CC3BACA289E193548608B82801
_G2_Y1 = 0x0606C4A02EA734CC32ACD2B02BC28B99CB3E287E85A763AF267492AB572E99AB3F370D275CEC1DA1AAA9075FF05F79BE


def _fp(*values: int) -> bytes:
    return b"".join(value.to_bytes(64, "big") for value in values)


_G1 = _fp(_G1_X, _G1_Y)
_MINUS_G1 = _fp(_G1_X, _P - _G1_Y)
_G2 = _fp(_G2_X0, _G2_X1, _G2_Y0, _G2_Y1)
_TWO = (2).to_bytes(32, "big")


def _opening(value: int) -> bytes:
    """Open the constant polynomial 1 (its commitment is the generator) at 5, claiming ``value``: true for 1 only."""
    commitment = bytearray(_G1_X.to_bytes(48, "big"))
    commitment[0] |= 0x80 | (0x20 if _G1_Y > (_P - 1) // 2 else 0)
    versioned_hash = b"\x01" + hashlib.sha256(bytes(commitment)).digest()[1:]
    proof = b"\xc0" + bytes(47)
    return versioned_hash + (5).to_bytes(32, "big") + value.to_bytes(32, "big") + bytes(commitment) + proof


def probe_precompiles(web3: Web3) -> list[str]:
    """Return what the chain lacks of the Prague rules, in words; an empty list if it has everything.

    Raises:
        ChainUnreachable: no answer.
    """

    def ask(number: int, data: bytes) -> bytes | None:
        return _call(web3, f"0x{number:040x}", data)

    def opening() -> bool:
        right = (4096).to_bytes(32, "big") + _R.to_bytes(32, "big")
        # a failed precompile call reverts, or (on some clients, seen from outside) returns nothing
        return ask(0x0A, _opening(1)) == right and not ask(0x0A, _opening(2))

    def maps(number: int, size: int) -> bool:
        first, second = ask(number, _fp(*[1] * (size // 128))), ask(number, _fp(*[2] * (size // 128)))
        return first is not None and len(first) == size and any(first) and first != second

    doubled_g1 = ask(0x0B, _G1 + _G1)
    doubled_g2 = ask(0x0D, _G2 + _G2)
    one = (1).to_bytes(32, "big")
    checks: list[tuple[str, Callable[[], bool]]] = [
        ("0x0a point evaluation (EIP-4844)", opening),
        (
            "0x0b BLS12-381 G1 addition (EIP-2537)",
            lambda: ask(0x0B, _G1 + bytes(128)) == _G1 and ask(0x0B, _G1 + _MINUS_G1) == bytes(128),
        ),
        (
            "0x0c BLS12-381 G1 multi-scalar multiplication (EIP-2537)",
            lambda: doubled_g1 is not None and len(doubled_g1) == 128 and ask(0x0C, _G1 + _TWO) == doubled_g1,
        ),
        ("0x0d BLS12-381 G2 addition (EIP-2537)", lambda: ask(0x0D, _G2 + bytes(256)) == _G2),
        (
            "0x0e BLS12-381 G2 multi-scalar multiplication (EIP-2537)",
            lambda: doubled_g2 is not None and len(doubled_g2) == 256 and ask(0x0E, _G2 + _TWO) == doubled_g2,
        ),
        (
            "0x0f BLS12-381 pairing check (EIP-2537)",
            lambda: ask(0x0F, _G1 + _G2 + _MINUS_G1 + _G2) == one and ask(0x0F, _G1 + _G2) == bytes(32),
        ),
        ("0x10 BLS12-381 map to G1 (EIP-2537)", lambda: maps(0x10, 128)),
        ("0x11 BLS12-381 map to G2 (EIP-2537)", lambda: maps(0x11, 256)),
        ("block hash history (EIP-2935)", lambda: _history_answers(web3)),
    ]
    return [name for name, check in checks if not check()]


def check_precompiles(web3: Web3) -> None:
    """Raise :class:`MissingPrecompiles` naming what the chain lacks, if anything."""
    missing = probe_precompiles(web3)
    if missing:
        raise MissingPrecompiles(
            f"Chain {web3.eth.chain_id} lacks: {'; '.join(missing)}.",
            hint="Qanat needs the Prague rules; choose a chain that has them.",
            missing=missing,
        )


def has_own_randomness(chain: Chain) -> bool:
    """Whether the last blocks carry random values of their own: none zero, no two the same.

    A sequencer that makes values up is not found out by this: name ``randomness: drand`` there.
    """
    latest = chain.latest()
    first = max(1, latest - _LOOKED_AT + 1)
    blocks = [chain.block(number) for number in range(first, latest + 1)]
    values = [int(str(block.get("mixHash") or block.get("prevRandao") or "0x0"), 16) for block in blocks]
    return all(values) and len(set(values)) == len(values)


def _history_answers(web3: Web3) -> bool:
    if not web3.eth.get_code(to_checksum_address(HISTORY_CONTRACT)):
        return False
    latest = int(web3.eth.block_number)
    if latest < 2:
        return True  # nothing is recorded yet; the contract stands
    answer = _call(web3, HISTORY_CONTRACT, (latest - 1).to_bytes(32, "big"), at=latest)
    header = cast(
        "dict[str, Any]", web3.provider.make_request(RPCEndpoint("eth_getBlockByNumber"), [hex(latest - 1), False])
    )
    expected = (header.get("result") or {}).get("hash")
    return answer is not None and expected is not None and answer == bytes.fromhex(expected[2:])


def _call(web3: Web3, address: str, data: bytes, *, at: int | None = None) -> bytes | None:
    transaction = cast("TxParams", {"to": to_checksum_address(address), "data": HexBytes(data), "gas": 1_000_000})
    try:
        return bytes(web3.eth.call(transaction, "latest" if at is None else at))
    except ChainUnreachable:
        raise
    except (Web3Exception, ValueError):
        return None
