"""An owner's recovery key: the header of every object that it stores wraps the data key to it.

One X25519 key for an account, whatever chain. Its file is encrypted under HKDF-SHA256 of a deterministic signature of
the account's Ethereum key, so file and Ethereum key together open every object, and neither does alone. Layout:
docs/format.md.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qanat import strict_json
from qanat.errors import BadParameters, WrongKeyFile
from qanat.keys.account_signature import TypedData, sign_for_secret, sign_twice
from qanat.keys.keyfile import read_small, write_private
from qanat.keys.seal import PUBLIC_BYTES, SealingKey

KIND = "qanat-recovery-key"
VERSION = 1
NOTICE = "Sign only to make or open a Qanat recovery key: this signature unlocks the data of all your objects."


@dataclass(frozen=True)
class RecoveryKeyFile:
    """A recovery key, encrypted; the key comes out of :meth:`open` only.

    :param owner: the Ethereum account whose key opens it, checksummed.
    :param public: 32 bytes, bound to the ciphertext: :meth:`open` says whether it is the key's.
    """

    owner: str
    public: bytes
    salt: bytes
    nonce: bytes
    ciphertext: bytes

    @classmethod
    def create(cls, account: Any, *, key: SealingKey | None = None) -> RecoveryKeyFile:
        """Draw a key, or take one, and encrypt it.

        A signer that isn't deterministic raises ``BadParameters``; ``account`` as in
        :func:`~qanat.keys.account_signature.sign_for_secret`.
        """
        made = key or SealingKey.generate()
        salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
        signature = sign_twice(account, _to_sign(salt))
        draft = cls(str(account.address), made.public, salt, nonce, b"")
        sealed = AESGCM(_key(signature, salt)).encrypt(nonce, made.to_bytes(), draft._bound())
        return cls(draft.owner, draft.public, salt, nonce, sealed)

    def open(self, account: Any) -> SealingKey:
        """Return the key; another account, or an altered file, raises ``WrongKeyFile``."""
        if str(account.address).lower() != self.owner.lower():
            raise WrongKeyFile(
                f"This recovery key belongs to {self.owner}, not to {account.address}.",
                hint="Use the owner's account.",
            )
        signature = sign_for_secret(account, _to_sign(self.salt))
        try:
            key = SealingKey.from_bytes(
                AESGCM(_key(signature, self.salt)).decrypt(self.nonce, self.ciphertext, self._bound())
            )
        except (InvalidTag, BadParameters) as error:
            raise WrongKeyFile(
                "The recovery key does not open: its file was altered, or the Ethereum key is not its owner's."
            ) from error
        if key.public != self.public:
            raise WrongKeyFile("The recovery key is not the one that its file names.")
        return key

    def save(self, path: str | Path) -> None:
        """Write a new file, readable by its owner only; an existing one raises ``FileUnreadable``."""
        content = {**self._fields(), "nonce": self.nonce.hex(), "ciphertext": self.ciphertext.hex()}
        write_private(path, (json.dumps(content, indent=2) + "\n").encode("utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> RecoveryKeyFile:
        """Read a file; ``FileUnreadable`` when it can't be read, ``WrongKeyFile`` when it is no recovery key's."""
        data = read_small(path)
        try:
            content = strict_json.parse(data)
            kind = (content["kind"], content["version"])
            hexes = (content[name] for name in ("public", "salt", "nonce", "ciphertext"))
            result = cls(str(content["owner"]), *(bytes.fromhex(text) for text in hexes))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WrongKeyFile(f"{path} is no recovery key's file, or a damaged one.", path=str(path)) from error
        if kind != (KIND, VERSION):
            raise WrongKeyFile(
                f"{path} is no recovery key's file of version {VERSION}.",
                hint="A single object's recovery file is for `qanat fetch --recovery`.",
                path=str(path),
            )
        sizes = tuple(len(item) for item in (result.public, result.salt, result.nonce, result.ciphertext))
        if sizes != (PUBLIC_BYTES, 32, 12, PUBLIC_BYTES + 16):
            raise WrongKeyFile(f"{path} is a damaged recovery key's file.", path=str(path))
        return result

    def _fields(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "version": VERSION,
            "owner": self.owner,
            "public": self.public.hex(),
            "salt": self.salt.hex(),
        }

    def _bound(self) -> bytes:
        return json.dumps(self._fields(), sort_keys=True, separators=(",", ":")).encode("utf-8")


def _to_sign(salt: bytes) -> TypedData:
    types = {"RecoveryKey": [{"name": "notice", "type": "string"}, {"name": "salt", "type": "bytes32"}]}
    return {"name": "Qanat recovery key", "version": "1"}, types, {"notice": NOTICE, "salt": salt}


def _key(signature: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"QANAT_RECOVERY_KEY_V1").derive(signature)
