"""The recovery file: with it and the owner's Ethereum key alone an object can be found, fetched and decrypted.

The data key is encrypted under HKDF-SHA256 of a deterministic signature (RFC 6979) of the owner's Ethereum key over
typed data (EIP-712) that names what it is for. All other fields are bound to the ciphertext. Layout: docs/format.md.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qanat import strict_json
from qanat.errors import BadParameters, FileUnreadable, QanatError, WrongKeyFile
from qanat.keys.account_signature import TypedData, sign_for_secret, sign_twice
from qanat.keys.encryption import DATA_KEY_BYTES
from qanat.keys.keyfile import write_private
from qanat.objects.manifest import Manifest

KIND = "qanat-recovery"
VERSION = 1
MAX_FILE_BYTES = 1 << 28
NOTICE = "Sign only to write or open a Qanat recovery file: this signature unlocks the object's data."


@dataclass(frozen=True)
class RecoveryFile:
    """A recovery file's content; the data key comes out of :meth:`open` only.

    :param owner: the Ethereum account whose key opens it, checksummed.
    :param contract: address of ``Objects``, checksummed.
    :param extra: further texts that the owner wants back, such as the network's name; bound, not secret.
    """

    chain_id: int
    contract: str
    object_id: bytes
    owner: str
    manifest: Manifest
    salt: bytes
    nonce: bytes
    ciphertext: bytes
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def seal(
        cls,
        *,
        data_key: bytes,
        manifest: Manifest,
        object_id: bytes,
        chain_id: int,
        contract: str,
        account: Any,
        extra: Mapping[str, str] | None = None,
    ) -> RecoveryFile:
        """Make a recovery file.

        The account signs twice, and a signer that isn't deterministic raises ``BadParameters``.

        :param account: has ``address``, and ``sign_typed_data`` (a ``qanat.chain.signer.Signer``) or ``sign_message``
            (eth-account's and Ape's accounts).
        """
        if len(data_key) != DATA_KEY_BYTES or len(object_id) != 32:
            raise BadParameters("A recovery file needs a data key and an object id of 32 bytes each.")
        salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
        owner = str(account.address)
        signature = sign_twice(account, _to_sign(chain_id, object_id, salt))
        draft = cls(chain_id, contract, object_id, owner, manifest, salt, nonce, b"", dict(extra or {}))
        sealed = AESGCM(_key(signature, salt)).encrypt(nonce, data_key, draft._bound())
        return cls(chain_id, contract, object_id, owner, manifest, salt, nonce, sealed, draft.extra)

    def open(self, account: Any) -> bytes:
        """Return the data key; another account, or an altered file, raises ``WrongKeyFile``."""
        if str(account.address).lower() != self.owner.lower():
            raise WrongKeyFile(
                f"This recovery file belongs to {self.owner}, not to {account.address}.",
                hint="Use the owner's account.",
            )
        signature = sign_for_secret(account, _to_sign(self.chain_id, self.object_id, self.salt))
        try:
            return AESGCM(_key(signature, self.salt)).decrypt(self.nonce, self.ciphertext, self._bound())
        except InvalidTag as error:
            raise WrongKeyFile(
                "The recovery file does not open: it was altered, or the Ethereum key is not its owner's."
            ) from error

    def save(self, path: str | Path) -> None:
        """Write a new file, readable by its owner only; an existing one raises ``FileUnreadable``."""
        content = {**self._fields(), "nonce": self.nonce.hex(), "ciphertext": self.ciphertext.hex()}
        write_private(path, (json.dumps(content, indent=2) + "\n").encode("utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> RecoveryFile:
        """Read a file; ``FileUnreadable`` when it can't be read, ``WrongKeyFile`` when it is no recovery file."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error
        try:
            content = strict_json.parse(data)
            kind = (content["kind"], content["version"])
            extra = content["extra"]
            result = cls(
                chain_id=_chain_id(content["chain_id"]),
                contract=str(content["contract"]),
                object_id=bytes.fromhex(content["object_id"]),
                owner=str(content["owner"]),
                manifest=Manifest.from_bytes(base64.b64decode(content["manifest"], validate=True)),
                salt=bytes.fromhex(content["salt"]),
                nonce=bytes.fromhex(content["nonce"]),
                ciphertext=bytes.fromhex(content["ciphertext"]),
                extra={str(name): str(text) for name, text in extra.items()},
            )
            sizes = (len(result.object_id), len(result.salt), len(result.nonce), len(result.ciphertext))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, QanatError) as error:
            raise WrongKeyFile(f"{path} is no recovery file, or a damaged one.", path=str(path)) from error
        if kind != (KIND, VERSION):
            raise WrongKeyFile(f"{path} is no recovery file of version {VERSION}.", path=str(path))
        if sizes != (32, 32, 12, DATA_KEY_BYTES + 16):
            raise WrongKeyFile(f"{path} is a damaged recovery file.", path=str(path))
        return result

    def _fields(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "version": VERSION,
            "chain_id": self.chain_id,
            "contract": self.contract,
            "object_id": self.object_id.hex(),
            "owner": self.owner,
            "manifest": base64.b64encode(self.manifest.to_bytes()).decode("ascii"),
            "salt": self.salt.hex(),
            "extra": dict(self.extra),
        }

    def _bound(self) -> bytes:
        return json.dumps(self._fields(), sort_keys=True, separators=(",", ":")).encode("utf-8")


def _chain_id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 256:
        raise ValueError("no chain id")
    return value


def _to_sign(chain_id: int, object_id: bytes, salt: bytes) -> TypedData:
    types = {
        "Recovery": [
            {"name": "notice", "type": "string"},
            {"name": "objectId", "type": "bytes32"},
            {"name": "salt", "type": "bytes32"},
        ]
    }
    domain = {"name": "Qanat recovery", "version": "1", "chainId": chain_id}
    return domain, types, {"notice": NOTICE, "objectId": object_id, "salt": salt}


def _key(signature: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"QANAT_RECOVERY_V1").derive(signature)
