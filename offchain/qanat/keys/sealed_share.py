"""Shares on their way to holders: HPKE (RFC 9180) to the holder's sealing key, bound to the dealing and the place."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from qanat.errors import BadParameters, DecryptionFailed, InvalidPoint
from qanat.field import MODULUS
from qanat.keys.seal import PUBLIC_BYTES, SUITE, SealingKey

SEALED_SHARE_BYTES = 80
"""32 bytes of encapsulated key, 32 of the share, a tag of 16."""

_DOMAIN = b"QANAT_SHARE_V1"


def share_info(digest: bytes, place: int, holder: bytes) -> bytes:
    """Return HPKE's ``info``: D, place and holder, all of fixed width."""
    if len(digest) != 32 or len(holder) != 20 or not 0 <= place < 1 << 16:
        raise BadParameters("A share is bound to a digest of 32 bytes, a place and an address of 20.")
    return _DOMAIN + digest + place.to_bytes(2, "big") + holder


def seal_share(share: int, digest: bytes, place: int, holder: bytes, sealing_key: bytes) -> bytes:
    """Return a share sealed to its holder; a bad sealing key raises ``InvalidPoint``."""
    if not 0 < share < MODULUS:
        raise BadParameters("A share lies between 1 and r-1.")
    if len(sealing_key) != PUBLIC_BYTES:
        raise InvalidPoint(f"An X25519 key has 32 bytes, not {len(sealing_key)}.")
    info = share_info(digest, place, holder)
    try:
        return SUITE.encrypt(share.to_bytes(32, "big"), X25519PublicKey.from_public_bytes(sealing_key), info=info)
    except (InvalidTag, ValueError) as error:
        raise InvalidPoint("This X25519 key has low order: whatever is sealed to it anyone could read.") from error


def open_share(sealed: bytes, digest: bytes, place: int, holder: bytes, key: SealingKey) -> int:
    """Return the share; another holder, place, dealing or altered bytes raise ``DecryptionFailed``."""
    try:
        plain = SUITE.decrypt(sealed, key.private, info=share_info(digest, place, holder))
    except (InvalidTag, ValueError) as error:
        raise DecryptionFailed(
            "A sealed share does not open: it is another holder's, of another dealing, or was altered."
        ) from error
    if len(plain) != 32:
        raise DecryptionFailed(f"A share has 32 bytes, not {len(plain)}.")
    return int.from_bytes(plain, "big")
