"""A secret that an Ethereum account can always make again: its deterministic signature (RFC 6979) of typed data."""

from __future__ import annotations

from typing import Any

from qanat.errors import BadParameters, WrongKeyFile

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

TypedData = tuple[dict[str, Any], dict[str, list[dict[str, str]]], dict[str, Any]]
"""Domain, types, values, as EIP-712 has them."""


def sign_for_secret(account: Any, data: TypedData) -> bytes:
    """Return r | s with the smaller s, 64 bytes. Whoever has them has what they lock.

    :param account: has ``address``, and ``sign_typed_data`` (a ``qanat.chain.signer.Signer``) or ``sign_message``
        (eth-account's and Ape's accounts). One that doesn't sign raises ``WrongKeyFile``.
    """
    domain, types, values = data
    if callable(getattr(account, "sign_typed_data", None)):  # a qanat.chain.signer.Signer, or eth-account's accounts
        signed = account.sign_typed_data(domain, types, values)
    else:
        from eth_account.messages import encode_typed_data

        signed = account.sign_message(encode_typed_data(domain, types, values))
    if signed is None:
        raise WrongKeyFile(f"{account.address} did not sign.")
    if isinstance(signed, (bytes, bytearray)):
        r, s = int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:64], "big")
    else:
        r, s = _number(signed.r), _number(signed.s)
    return r.to_bytes(32, "big") + min(s, _CURVE_ORDER - s).to_bytes(32, "big")


def sign_twice(account: Any, data: TypedData) -> bytes:
    """Return the same, signed twice: a signer that isn't deterministic raises ``BadParameters``."""
    first, second = (sign_for_secret(account, data) for _ in range(2))
    if first != second:
        raise BadParameters(
            "This account's signatures are not deterministic: it could never open its recovery file.",
            hint="Use a key file account.",
        )
    return first


def _number(value: Any) -> int:
    return int.from_bytes(value, "big") if isinstance(value, (bytes, bytearray)) else int(value)
