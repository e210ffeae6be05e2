"""Keys of data: encryption before encoding, sealing to a recipient, recovery.

``FileEncryption`` and ``FileDecryption`` stream; ``seal`` and ``SealingKey.open`` hand a data key to one licensee;
``RecoveryFile`` lets an owner come back. What needs more than ``cryptography`` is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qanat.keys.encryption import EncryptionHeader, FileDecryption, FileEncryption, generate_data_key
from qanat.keys.keyfile import read_keyfile, write_keyfile
from qanat.keys.seal import SealContext, SealingKey, seal

if TYPE_CHECKING:
    from qanat.keys.recovery import RecoveryFile

__all__ = [
    "EncryptionHeader",
    "FileDecryption",
    "FileEncryption",
    "RecoveryFile",
    "SealContext",
    "SealingKey",
    "generate_data_key",
    "read_keyfile",
    "seal",
    "write_keyfile",
]


def __getattr__(name: str) -> Any:
    if name == "RecoveryFile":  # imports qanat.objects, which must stay free to import this package
        from qanat.keys.recovery import RecoveryFile

        return RecoveryFile
    raise AttributeError(name)
