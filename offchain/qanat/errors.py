"""Every error that this package raises on purpose, and the exit code of each.

::

    QanatError (1)
    ├── InputError (10)                 what the caller gave cannot be used
    │   ├── FileUnreadable (11)
    │   ├── FileChanged (12)
    │   ├── MalformedHex (13)
    │   ├── BadParameters (14)
    │   └── Refused (15)
    ├── FormatError (20)                bytes that do not mean what they should
    │   ├── MalformedManifest (21)
    │   ├── NonCanonicalElement (22)
    │   ├── InvalidPoint (23)
    │   ├── InvalidProof (24)
    │   ├── InvalidSignature (25)
    │   ├── SliceMismatch (26)
    │   ├── NotEnoughSlices (27)
    │   ├── DualCheckFailed (28)
    │   └── DecryptionFailed (29)
    ├── ChainError (30)                 the chain, or the way to it
    │   ├── ChainUnreachable (31)
    │   ├── WrongChain (32)
    │   ├── MissingPrecompiles (33)
    │   ├── TransactionReverted (34)
    │   ├── InsufficientFunds (35)
    │   ├── InsufficientStake (36)
    │   ├── NotDeployed (37)
    │   └── RandomnessUnavailable (38)
    ├── NodeError (40)                  a node, or the network between nodes
    │   ├── NodeUnreachable (41)
    │   ├── NodeRefused (42)
    │   ├── QuorumNotReached (43)
    │   └── PortInUse (44)
    ├── StoreError (50)                 slices at rest
    │   ├── SliceNotFound (51)
    │   └── StoreCorrupted (52)
    ├── LicenseError (60)               who may read, and with which key
    │   ├── NotLicensed (61)
    │   ├── KeyUnavailable (62)
    │   └── WrongKeyFile (63)
    ├── AuditError (70)                 what an auditor found
    │   ├── AuditFailed (71)
    │   └── ScenarioFailed (72)
    └── RecordError (80)                signed records and bundles of them
        ├── MalformedRecord (81)
        ├── MalformedBundle (82)
        ├── RecordNotFound (83)
        └── RecordRefused (84)

The same table, with what each error means and what to do, is in ``docs/errors.md``; a test keeps both equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "AuditError",
    "AuditFailed",
    "BadParameters",
    "ChainError",
    "ChainUnreachable",
    "DecryptionFailed",
    "DualCheckFailed",
    "FileChanged",
    "FileUnreadable",
    "FormatError",
    "InputError",
    "InsufficientFunds",
    "InsufficientStake",
    "InvalidPoint",
    "InvalidProof",
    "InvalidSignature",
    "KeyUnavailable",
    "LicenseError",
    "MalformedBundle",
    "MalformedHex",
    "MalformedManifest",
    "MalformedRecord",
    "MissingPrecompiles",
    "NodeError",
    "NodeRefused",
    "NodeUnreachable",
    "NonCanonicalElement",
    "NotDeployed",
    "NotEnoughSlices",
    "NotLicensed",
    "PortInUse",
    "QanatError",
    "QuorumNotReached",
    "RandomnessUnavailable",
    "RecordError",
    "RecordNotFound",
    "RecordRefused",
    "Refused",
    "ScenarioFailed",
    "SliceMismatch",
    "SliceNotFound",
    "StoreCorrupted",
    "StoreError",
    "TransactionReverted",
    "WrongChain",
    "WrongKeyFile",
]


class QanatError(Exception):
    """What every deliberate error of this package derives from.

    ``message`` says what failed and on what; ``hint`` says what to try. Further keyword arguments become :attr:`data`,
    which :meth:`to_json` shows to programs. ``exit_code`` is the status with which a command ends.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data: dict[str, Any] = data

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.data)

    def to_json(self) -> dict[str, Any]:
        """Return the error as plain JSON values: bytes become ``0x`` hex, unknown things their text."""
        return {
            "error": type(self).__name__,
            "exit_code": self.exit_code,
            "message": self.message,
            "hint": self.hint,
            "data": {name: _plain(value) for name, value in self.data.items()},
        }


def _rebuild(kind: type[QanatError], message: str, hint: str, data: dict[str, Any]) -> QanatError:
    return kind(message, hint=hint, **data)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "0x" + bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)


# ---- Input: 10-19 ----------------------------------------------------------------------------------------------------


class InputError(QanatError):
    """What the caller gave cannot be used."""

    exit_code = 10


class FileUnreadable(InputError):
    """A file is missing, is a folder, or may not be read or written."""

    exit_code = 11


class FileChanged(InputError):
    """A file changed while it was being read; nothing made from it is kept."""

    exit_code = 12


class MalformedHex(InputError):
    """A text that should be hexadecimal is not, or has the wrong length."""

    exit_code = 13


class BadParameters(InputError):
    """Parameters are out of range or contradict each other."""

    exit_code = 14


class Refused(InputError):
    """The user declined what the command asked."""

    exit_code = 15


# ---- Format and cryptography: 20-29 ----------------------------------------------------------------------------------


class FormatError(QanatError):
    """Bytes do not mean what they should."""

    exit_code = 20


class MalformedManifest(FormatError):
    """A manifest's bytes break its format (docs/format.md)."""

    exit_code = 21


class NonCanonicalElement(FormatError):
    """An element is not below the modulus (or, in a data row, not below 2^248)."""

    exit_code = 22


class InvalidPoint(FormatError):
    """A point's encoding is malformed, off the curve, outside the r-order subgroup, or a forbidden identity."""

    exit_code = 23


class InvalidProof(FormatError):
    """An opening or a Merkle path does not prove what it should."""

    exit_code = 24


class InvalidSignature(FormatError):
    """A signature does not fit its key and message."""

    exit_code = 25


class SliceMismatch(FormatError):
    """A slice does not match its commitment, or has the wrong length."""

    exit_code = 26


class NotEnoughSlices(FormatError):
    """Fewer good slices than k are at hand for a matrix."""

    exit_code = 27


class DualCheckFailed(FormatError):
    """The commitments of a manifest are no encoding of any data."""

    exit_code = 28


class DecryptionFailed(FormatError):
    """A ciphertext was altered, cut or reordered, or the key or the context is wrong."""

    exit_code = 29


# ---- Chain: 30-39 ----------------------------------------------------------------------------------------------------


class ChainError(QanatError):
    """The chain, or the way to it, fails."""

    exit_code = 30


class ChainUnreachable(ChainError):
    """No answer from the chain's RPC endpoint."""

    exit_code = 31


class WrongChain(ChainError):
    """The chain id is not the expected one."""

    exit_code = 32


class MissingPrecompiles(ChainError):
    """The chain lacks Prague rules: point evaluation, BLS12-381 or EIP-2935."""

    exit_code = 33


class TransactionReverted(ChainError):
    """A contract refused a transaction; ``data`` holds ``error_name`` and ``arguments`` of its custom error."""

    exit_code = 34

    @property
    def error_name(self) -> str:
        """The custom error's name, empty when it could not be decoded."""
        return str(self.data.get("error_name", ""))

    @property
    def arguments(self) -> dict[str, Any]:
        """The custom error's arguments by name."""
        return dict(self.data.get("arguments", {}))


class InsufficientFunds(ChainError):
    """The account holds too little for what it is asked to pay."""

    exit_code = 35


class InsufficientStake(ChainError):
    """The operator's stake or bond is below what the shard asks."""

    exit_code = 36


class NotDeployed(ChainError):
    """A contract is not deployed on this chain, or its deployment is not recorded."""

    exit_code = 37


class RandomnessUnavailable(ChainError):
    """What proves a block's random value can't be had, or not yet; a later try may find it."""

    exit_code = 38


# ---- Node and network: 40-49 -----------------------------------------------------------------------------------------


class NodeError(QanatError):
    """A node, or the network between nodes, fails."""

    exit_code = 40


class NodeUnreachable(NodeError):
    """A node does not answer."""

    exit_code = 41


class NodeRefused(NodeError):
    """A node answered that it will not do what was asked."""

    exit_code = 42


class QuorumNotReached(NodeError):
    """Fewer tickets signed than a certificate needs."""

    exit_code = 43


class PortInUse(NodeError):
    """The port on which a node should listen is taken."""

    exit_code = 44


# ---- Storage: 50-59 --------------------------------------------------------------------------------------------------


class StoreError(QanatError):
    """A slice store fails."""

    exit_code = 50


class SliceNotFound(StoreError):
    """The store does not hold this slice."""

    exit_code = 51


class StoreCorrupted(StoreError):
    """What the store holds is not what was written."""

    exit_code = 52


# ---- Licenses and keys: 60-69 ----------------------------------------------------------------------------------------


class LicenseError(QanatError):
    """Who may read, and with which key."""

    exit_code = 60


class NotLicensed(LicenseError):
    """The chain says that there is no license for this purpose now."""

    exit_code = 61


class KeyUnavailable(LicenseError):
    """The key exists but cannot be had now."""

    exit_code = 62


class WrongKeyFile(LicenseError):
    """A key or recovery file does not open: wrong password, wrong Ethereum key, or damaged."""

    exit_code = 63


# ---- Audit: 70-79 ----------------------------------------------------------------------------------------------------


class AuditError(QanatError):
    """An audit could not be carried out."""

    exit_code = 70


class AuditFailed(AuditError):
    """An audit found something that does not hold."""

    exit_code = 71


class ScenarioFailed(AuditError):
    """A run of the demo found that the network did not do what it promises."""

    exit_code = 72


# ---- Records: 80-89 --------------------------------------------------------------------------------------------------


class RecordError(QanatError):
    """Signed records and bundles of them."""

    exit_code = 80


class MalformedRecord(RecordError):
    """A record's bytes break their format (docs/format.md)."""

    exit_code = 81


class MalformedBundle(RecordError):
    """A bundle's bytes break their format, or its records are not those that its head names."""

    exit_code = 82


class RecordNotFound(RecordError):
    """The bundle, or the intake, has no such record."""

    exit_code = 83


class RecordRefused(RecordError):
    """The intake does not take a record: a false signature, another stream, a nonce that was used."""

    exit_code = 84
