"""Who signs: one Protocol, and the signer that keeps a key in memory.

Anything that can sign a transaction, typed data (EIP-712) and a text (EIP-191) can stand in: a key file, an Ape
account, a hardware wallet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.exceptions import ValidationError

from qanat import strict_json
from qanat.chain.deployment import write_atomically
from qanat.errors import FileUnreadable, MalformedHex, WrongKeyFile

__all__ = ["KeySigner", "Signer"]


@runtime_checkable
class Signer(Protocol):
    """What a transaction, a license request, or a node's reader is signed with."""

    @property
    def address(self) -> str:
        """Checksummed address."""
        ...

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Sign a transaction given in web3's fields, all of them filled in; return the raw bytes to send."""
        ...

    def sign_typed_data(self, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> bytes:
        """Sign EIP-712 data; ``types`` leaves out ``EIP712Domain``. Return 65 bytes: r, s, v."""
        ...

    def sign_message(self, text: str) -> bytes:
        """Sign a text as EIP-191 ("personal") message. Return 65 bytes: r, s, v."""
        ...


class KeySigner:
    """Signs with a private key that this process holds."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    def __repr__(self) -> str:
        return f"KeySigner({self.address})"

    @classmethod
    def create(cls) -> KeySigner:
        """Make a new key from the system's randomness."""
        account: LocalAccount = Account.create()
        return cls(account)

    @classmethod
    def from_key(cls, key: bytes | str) -> KeySigner:
        """Take a raw private key: 32 bytes, or 64 hexadecimal digits with or without ``0x``.

        Raises:
            MalformedHex: it is no private key.
        """
        try:
            raw = bytes(key) if not isinstance(key, str) else bytes.fromhex(key.strip().removeprefix("0x"))
            account: LocalAccount = Account.from_key(raw)
        except (ValueError, TypeError, ValidationError):
            # without its cause, which may show the key
            raise MalformedHex("This is no private key.", hint="It has 64 hexadecimal digits.") from None
        return cls(account)

    @classmethod
    def from_keyfile(cls, path: str | Path, password: str) -> KeySigner:
        """Open an Ethereum key file (keystore version 3).

        Raises:
            FileUnreadable: the file is missing or unreadable.
            WrongKeyFile: the password is wrong, or the file is no key file.
        """
        try:
            content = strict_json.parse(Path(path).read_text())
        except OSError as error:
            raise FileUnreadable(
                f"The key file {path} cannot be read: {error.strerror or error}.", path=str(path)
            ) from error
        except ValueError as error:
            raise WrongKeyFile(
                f"{path} is no Ethereum key file.", hint="It is a JSON file (keystore version 3).", path=str(path)
            ) from error
        try:
            key = Account.decrypt(content, password)
        except (ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise WrongKeyFile(
                f"The key file {path} does not open: {error}.",
                hint="Check the passphrase and the file.",
                path=str(path),
            ) from None
        return cls.from_key(bytes(key))

    def save_keyfile(self, path: str | Path, password: str, *, iterations: int | None = None) -> None:
        """Write the key as an Ethereum key file (keystore version 3, scrypt), readable by its owner only.

        Args:
            path: where; an existing file is replaced in one step.
            password: what it will open with.
            iterations: scrypt's cost, a power of two; the library's default if not given.
        """
        content = Account.encrypt(self._account.key, password, kdf="scrypt", iterations=iterations)
        write_atomically(Path(path), json.dumps(content) + "\n", mode=0o600)

    @property
    def address(self) -> str:
        """Checksummed address."""
        return str(self._account.address)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Sign a transaction; return the raw bytes to send."""
        fields = {name: value for name, value in transaction.items() if name != "from"}
        return bytes(self._account.sign_transaction(fields).raw_transaction)

    def sign_typed_data(self, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> bytes:
        """Sign EIP-712 data. Return 65 bytes: r, s, v."""
        signable = encode_typed_data(dict(domain), dict(types), dict(message))
        return bytes(self._account.sign_message(signable).signature)

    def sign_message(self, text: str) -> bytes:
        """Sign a text as EIP-191 message. Return 65 bytes: r, s, v."""
        return bytes(self._account.sign_message(encode_defunct(text=text)).signature)
