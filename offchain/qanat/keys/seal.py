"""Sealing a data key to one recipient, for one asset on one chain: HPKE (RFC 9180), X25519, HKDF-SHA256, AES-256-GCM.

The context goes into HPKE's ``info``, so a sealed key opens only where chain, contract, asset, object and recipient are
those it was sealed for: it can't be replayed to another.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from qanat.errors import BadParameters, DecryptionFailed, InvalidPoint

_DOMAIN = b"QANAT_SEAL_V1"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

PUBLIC_BYTES = 32
SEALED_OVERHEAD = 48
"""32 bytes of encapsulated key and a tag of 16."""


@dataclass(frozen=True)
class SealContext:
    """What a sealed key is bound to.

    :param contract: 20 bytes, the contract that says who is licensed.
    :param asset_id: the ERC-721 token's id, a uint256.
    :param object_id: 32 bytes.
    :param recipient: 20 bytes, the licensee's account.
    """

    chain_id: int
    contract: bytes
    asset_id: int
    object_id: bytes
    recipient: bytes

    def to_bytes(self) -> bytes:
        """Return HPKE's ``info``: fixed-width fields, so no two contexts share it."""
        if len(self.contract) != 20 or len(self.recipient) != 20 or len(self.object_id) != 32:
            raise BadParameters("A sealing context has addresses of 20 bytes and an object id of 32.")
        try:
            numbers = self.chain_id.to_bytes(32, "big") + self.asset_id.to_bytes(32, "big")
        except OverflowError as error:
            raise BadParameters("Chain id and asset id are unsigned 256-bit numbers.") from error
        return _DOMAIN + numbers + self.contract + self.object_id + self.recipient


@dataclass(frozen=True)
class SealingKey:
    """A recipient's X25519 key; ``repr`` shows the public half only."""

    private: X25519PrivateKey

    @classmethod
    def generate(cls) -> SealingKey:
        """Draw a key from the system's randomness."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> SealingKey:
        """Read 32 private bytes; another length raises ``BadParameters``."""
        if len(data) != PUBLIC_BYTES:
            raise BadParameters(f"An X25519 key has 32 bytes, not {len(data)}.")
        return cls(X25519PrivateKey.from_private_bytes(data))

    def to_bytes(self) -> bytes:
        """Write the 32 private bytes."""
        return self.private.private_bytes_raw()

    @property
    def public(self) -> bytes:
        """The 32 public bytes."""
        return self.private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"SealingKey(public={self.public.hex()})"

    def open(self, sealed: bytes, context: SealContext) -> bytes:
        """Return what was sealed; another key, another context or altered bytes raise ``DecryptionFailed``."""
        return self.open_bytes(sealed, context.to_bytes())

    def open_bytes(self, sealed: bytes, info: bytes) -> bytes:
        """Return what :func:`seal_bytes` sealed with this ``info``; raises like :meth:`open`."""
        try:
            return SUITE.decrypt(sealed, self.private, info=info)
        except (InvalidTag, ValueError) as error:
            raise DecryptionFailed(
                "A sealed key does not open: it was sealed for another recipient, asset or chain, or was altered."
            ) from error


def seal(secret: bytes, recipient_public: bytes, context: SealContext) -> bytes:
    """Return the secret sealed to a recipient's public key, 48 bytes longer; a bad key raises ``InvalidPoint``."""
    return seal_bytes(secret, recipient_public, context.to_bytes())


def seal_bytes(secret: bytes, recipient_public: bytes, info: bytes) -> bytes:
    """Seal with an ``info`` that begins with a domain of its own; else like :func:`seal`."""
    if len(recipient_public) != PUBLIC_BYTES:
        raise InvalidPoint(f"An X25519 key has 32 bytes, not {len(recipient_public)}.")
    try:
        return SUITE.encrypt(secret, X25519PublicKey.from_public_bytes(recipient_public), info=info)
    except (InvalidTag, ValueError) as error:
        raise InvalidPoint("This X25519 key has low order: whatever is sealed to it anyone could read.") from error
