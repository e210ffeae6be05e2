"""RFC 9180's base mode with DHKEM(X25519, HKDF-SHA256): opened as its sections 4 and 5 write it, and by pyhpke.

HKDF, labels and key schedule are Python here; X25519 and AES-GCM are cryptography's, as in what seals. So both
oracles check what HPKE makes of these primitives, not the primitives. pyhpke was chosen because, unlike
cryptography's own HPKE, it takes additional data, and so RFC 9180's vectors.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyhpke import AEADId, CipherSuite, KDFId, KEMId

KEM_ID, KDF_ID, NONCE_BYTES = 0x0020, 0x0001, 12
AES_128_GCM, AES_256_GCM = (0x0001, 16), (0x0002, 32)


def extract(salt: bytes, material: bytes) -> bytes:
    """HKDF-Extract (RFC 5869)."""
    return hmac.digest(salt or bytes(32), material, sha256)


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand."""
    block = output = b""
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([len(output) // 32 + 1]), sha256)
        output += block
    return output[:length]


def labeled_extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """Section 4."""
    return extract(salt, b"HPKE-v1" + suite + label + material)


def labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """Section 4."""
    return expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def open_base(sealed: bytes, private: bytes, info: bytes, aead: tuple[int, int], aad: bytes = b"") -> bytes:
    """Open encapsulated key ‖ ciphertext, sequence number 0."""
    encapsulated, ciphertext = sealed[:32], sealed[32:]
    key = X25519PrivateKey.from_private_bytes(private)
    shared = key.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    kem = b"KEM" + KEM_ID.to_bytes(2, "big")
    secret = labeled_extract(kem, b"", b"eae_prk", shared)
    context = encapsulated + key.public_key().public_bytes_raw()
    secret = labeled_expand(kem, secret, b"shared_secret", context, 32)

    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (KEM_ID, KDF_ID, aead[0]))
    schedule = (
        b"\0" + labeled_extract(suite, b"", b"psk_id_hash", b"") + labeled_extract(suite, b"", b"info_hash", info)
    )
    secret = labeled_extract(suite, secret, b"secret", b"")
    aead_key = labeled_expand(suite, secret, b"key", schedule, aead[1])
    nonce = labeled_expand(suite, secret, b"base_nonce", schedule, NONCE_BYTES)
    return AESGCM(aead_key).decrypt(nonce, ciphertext, aad)


def open_pyhpke(sealed: bytes, private: bytes, info: bytes, aead: tuple[int, int], aad: bytes = b"") -> bytes:
    """The same, by pyhpke; what doesn't open raises its ``OpenError``."""
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId(aead[0]))
    key = suite.kem.deserialize_private_key(private)
    return suite.create_recipient_context(sealed[:32], key, info=info).open(sealed[32:], aad)
