"""What a node must not forget: manifests, what it signed, its duties, deposited keys, releases under way.

Everything is in one LMDB environment; every write is durable when it returns. The order of writes, not their number,
is what makes ``kill -9`` harmless: a signature is written before it leaves, a manifest before its slices, a release
before its key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from qanat.errors import NodeRefused, StoreCorrupted, StoreError
from qanat.store.environment import Environment, Format, Transaction

__all__ = [
    "FORMAT",
    "MOST_DEALINGS",
    "DepositedKey",
    "Duty",
    "DutyState",
    "HeldDealing",
    "HeldObject",
    "NodeState",
    "PendingRelease",
    "Signed",
]

T = TypeVar("T")
_TABLES = ("objects", "manifests", "signatures", "duties", "keys", "releases", "shares", "meta")
#: Version 2 has the record of its version, 3 the Audits of each duty in its key, 4 shares (docs/node.md, "On disk").
FORMAT = Format("node memory", 4)
#: Dealings of one key that a holder acknowledges while none is on chain.
MOST_DEALINGS = 8


@dataclass(frozen=True)
class HeldObject:
    """An object whose manifest the node took in, with the place in the roster that its operator has.

    Blocks are numbers.

    ``first_ticket`` … ``first_ticket + own_tickets - 1`` are the operator's tickets of ``tickets``. ``root``: the
    manifest's, hex.
    """

    shard: int
    roster: int
    width: int
    k: int
    n: int
    matrices: int
    opened_block: int
    certification_deadline: int
    tickets: int
    first_ticket: int
    own_tickets: int
    operators: int
    root: str


@dataclass(frozen=True)
class Signed:
    """The one root that the node signed for an object: hex of root, certificate's digest and signature."""

    root: str
    digest: str
    signature: str


class DutyState(str, Enum):
    """Where the node is with an epoch."""

    __str__ = str.__str__  # enum.StrEnum is 3.11's

    WAITING = "waiting"  # not sealed yet
    OPEN = "open"  # sealed, not answered
    SENT = "sent"  # an answer left, not seen on chain yet
    ANSWERED = "answered"
    SETTLED = "settled"
    UNABLE = "unable"  # a slice can't be read: nothing was sent
    MISSED = "missed"
    VOID = "void"  # never sealed
    NONE = "none"  # nothing held


@dataclass(frozen=True)
class Duty:
    """One epoch of one shard at one Audits.

    ``deadline``: last block in which an answer counts, 0 before sealing. ``transaction``: what was sent. ``audits``:
    address of the Audits that is answered; empty in what was written before there was one to tell from another.
    """

    shard: int
    epoch: int
    state: DutyState
    deadline: int = 0
    transaction: str = ""
    note: str = ""
    audits: str = ""


@dataclass(frozen=True)
class DepositedKey:
    """A data key sealed to the operator's sealing key, as its owner sent it.

    ``time``: unix seconds that the owner signed.
    """

    sealed: str
    owner: str
    time: int


@dataclass(frozen=True)
class PendingRelease:
    """A release whose recording on chain is not final yet; sent again if a reorganisation drops it."""

    license_id: int
    recipient_key: str
    deadline: int
    signature: str


@dataclass(frozen=True)
class HeldDealing:
    """A dealing that was acknowledged, with the own share as it came: sealed to the operator's sealing key. All hex.

    ``dealing``: as :class:`qanat.keys.shares.Commitments` writes it. ``holders``: by place, ``place`` is the own one.
    """

    contract: str
    dealing: str
    holders: tuple[str, ...]
    place: int
    sealed: str


class NodeState:
    """The node's memory in the folder ``path``. Raises :class:`StoreError` when another process has it."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.chmod(0o700)  # deposited keys and shares are sealed; who asked for what is nobody else's either
        except OSError as error:
            raise StoreError(f"The folder {path} cannot be used: {error}.", path=str(path)) from error
        self._environment = Environment(path, _TABLES, FORMAT, map_bytes=16 << 20)

    def close(self) -> None:
        """Let go of the folder."""
        self._environment.close()

    # ---- objects

    def keep_manifest(self, object_id: bytes, held: HeldObject, manifest: bytes) -> None:
        """Keep an object's manifest. Raises :class:`NodeRefused` when another root was signed for it."""

        def body(transaction: Transaction) -> None:
            signed = _load(transaction.get("signatures", object_id), Signed)
            if signed is not None and signed.root != held.root:
                raise NodeRefused(
                    f"Another root was signed for object 0x{object_id.hex()}.",
                    status=409,
                    signed_root=signed.root,
                    root=held.root,
                )
            transaction.put("manifests", object_id, manifest)
            transaction.put("objects", object_id, _dump(held))

        self._environment.write(body)

    def object(self, object_id: bytes) -> HeldObject | None:
        """Return what is known of an object, None if its manifest was never taken in."""
        return self._environment.read(lambda transaction: _load(transaction.get("objects", object_id), HeldObject))

    def objects(self) -> dict[bytes, HeldObject]:
        """Return all objects held."""

        def body(transaction: Transaction) -> dict[bytes, HeldObject]:
            return {key: _must(value, HeldObject) for key, value in transaction.walk("objects")}

        return self._environment.read(body)

    def manifest(self, object_id: bytes) -> bytes | None:
        """Return an object's manifest as it came."""
        return self._environment.read(
            lambda transaction: None if (value := transaction.get("manifests", object_id)) is None else bytes(value)
        )

    def forget_object(self, object_id: bytes, *, keep_manifest: bool = False) -> None:
        """Drop an object; what was signed for it stays for ever, its manifest if auditors may still ask for it."""

        def body(transaction: Transaction) -> None:
            transaction.delete("objects", object_id)
            if not keep_manifest:
                transaction.delete("manifests", object_id)

        self._environment.write(body)

    # ---- signatures

    def signed(self, object_id: bytes) -> Signed | None:
        """Return what was signed for an object."""
        return self._environment.read(lambda transaction: _load(transaction.get("signatures", object_id), Signed))

    def record_signature(self, object_id: bytes, signed: Signed) -> Signed:
        """Make a signature durable before it leaves; returns the one that stands.

        Raises :class:`NodeRefused` when another root or digest was signed for the object.
        """

        def body(transaction: Transaction) -> Signed:
            earlier = _load(transaction.get("signatures", object_id), Signed)
            if earlier is None:
                transaction.put("signatures", object_id, _dump(signed))
                return signed
            if (earlier.root, earlier.digest) != (signed.root, signed.digest):
                raise NodeRefused(
                    f"Another root was signed for object 0x{object_id.hex()}.",
                    status=409,
                    signed_root=earlier.root,
                    root=signed.root,
                )
            return earlier

        return self._environment.write(body)

    def signed_count(self) -> int:
        """Return how many objects were ever signed."""
        return self._environment.read(lambda transaction: transaction.count("signatures"))

    def signed_objects(self) -> dict[bytes, Signed]:
        """Return all that was ever signed."""

        def body(transaction: Transaction) -> dict[bytes, Signed]:
            return {key: _must(value, Signed) for key, value in transaction.walk("signatures")}

        return self._environment.read(body)

    # ---- duties

    def duty(self, shard: int, epoch: int, audits: str = "") -> Duty | None:
        """Return an epoch's duty at an Audits."""
        key = _duty_key(shard, epoch, audits)
        return self._environment.read(lambda transaction: _load(transaction.get("duties", key), Duty))

    def record_duty(self, duty: Duty) -> None:
        """Keep where the node is with an epoch."""
        key = _duty_key(duty.shard, duty.epoch, duty.audits)
        self._environment.write(lambda transaction: transaction.put("duties", key, _dump(duty)))

    def duties(self, shard: int, *, last: int = 0) -> list[Duty]:
        """Return a shard's duties by epoch, only the ``last`` newest unless 0."""

        def body(transaction: Transaction) -> list[Duty]:
            return [_must(value, Duty) for _, value in transaction.walk("duties", shard.to_bytes(4, "big"))]

        found = self._environment.read(body)
        return found[-last:] if last else found

    # ---- keys

    def key(self, asset_id: int) -> DepositedKey | None:
        """Return the data key deposited for an asset."""
        return self._environment.read(
            lambda transaction: _load(transaction.get("keys", asset_id.to_bytes(32, "big")), DepositedKey)
        )

    def keep_key(self, asset_id: int, deposited: DepositedKey) -> None:
        """Keep a data key. Raises :class:`NodeRefused` unless it was signed later than the one that is there."""

        def body(transaction: Transaction) -> None:
            earlier = _load(transaction.get("keys", asset_id.to_bytes(32, "big")), DepositedKey)
            if earlier is not None and earlier.time >= deposited.time and earlier != deposited:
                raise NodeRefused(
                    f"A key for asset {asset_id} was deposited by a request of the same time or later.",
                    hint="Sign a new request.",
                    status=409,
                )
            transaction.put("keys", asset_id.to_bytes(32, "big"), _dump(deposited))

        self._environment.write(body)

    def keep_release(self, release: PendingRelease) -> None:
        """Keep a release that is not final."""
        key = release.license_id.to_bytes(32, "big")
        self._environment.write(lambda transaction: transaction.put("releases", key, _dump(release)))

    def releases(self) -> list[PendingRelease]:
        """Return the releases that are not final."""
        return self._environment.read(
            lambda transaction: [_must(value, PendingRelease) for _, value in transaction.walk("releases")]
        )

    def forget_release(self, license_id: int) -> None:
        """Drop a release that is final."""
        self._environment.write(lambda transaction: transaction.delete("releases", license_id.to_bytes(32, "big")))

    # ---- shares

    def keep_dealing(self, asset_id: int, key_epoch: int, root: bytes, held: HeldDealing) -> None:
        """Keep a dealing with the own share, durable on return.

        Raises :class:`NodeRefused` when so many of this key wait to be put on chain that another one is too many: none
        that was acknowledged may be forgotten before the chain shows which one counts. Nor may one be replaced by
        another that has its root: the root leaves threshold, Y_0, Y'_i and the wrapped key open.
        """
        prefix = _share_key(asset_id, key_epoch)

        def body(transaction: Transaction) -> None:
            known = _load(transaction.get("shares", prefix + root), HeldDealing)
            if known is not None and known.dealing != held.dealing:
                raise NodeRefused("Another dealing with these shares was acknowledged.", hint="Deal anew.", status=409)
            there = [bytes(key) for key, _ in transaction.walk("shares", prefix)]
            if prefix + root not in there and len(there) >= MOST_DEALINGS:
                raise NodeRefused(
                    f"{len(there)} dealings of this key were acknowledged, and none is on chain.",
                    hint="Put one of them on chain, or ask for holders anew.",
                    status=409,
                )
            transaction.put("shares", prefix + root, _dump(held))

        self._environment.write(body)

    def dealing(self, asset_id: int, key_epoch: int, root: bytes) -> HeldDealing | None:
        """Return what is held of a dealing."""
        key = _share_key(asset_id, key_epoch) + root
        return self._environment.read(lambda transaction: _load(transaction.get("shares", key), HeldDealing))

    def dealings(self) -> dict[tuple[int, int, bytes], HeldDealing]:
        """Return all that is held, by asset, key epoch and root."""

        def body(transaction: Transaction) -> dict[tuple[int, int, bytes], HeldDealing]:
            found = {}
            for key, value in transaction.walk("shares"):
                asset, epoch = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:36], "big")
                found[asset, epoch, bytes(key[36:])] = _must(value, HeldDealing)
            return found

        return self._environment.read(body)

    def forget_dealing(self, asset_id: int, key_epoch: int, root: bytes) -> None:
        """Drop a dealing that can't come into force any more."""
        key = _share_key(asset_id, key_epoch) + root
        self._environment.write(lambda transaction: transaction.delete("shares", key))

    # ---- numbers

    def number(self, name: str) -> int:
        """Return a named number, 0 if it never was set."""
        value = self._environment.read(
            lambda transaction: None if (found := transaction.get("meta", name.encode())) is None else bytes(found)
        )
        return 0 if value is None else int(value)

    def set_number(self, name: str, value: int) -> None:
        """Keep a named number."""
        self._environment.write(lambda transaction: transaction.put("meta", name.encode(), str(value).encode()))


def moved(duty: Duty, state: DutyState, **changes: Any) -> Duty:
    """Return the duty in another state."""
    return replace(duty, state=state, **changes)


def _duty_key(shard: int, epoch: int, audits: str) -> bytes:
    return shard.to_bytes(4, "big") + epoch.to_bytes(8, "big") + bytes.fromhex(audits.removeprefix("0x"))


def _share_key(asset_id: int, key_epoch: int) -> bytes:
    return asset_id.to_bytes(32, "big") + key_epoch.to_bytes(4, "big")


def _dump(value: Any) -> bytes:
    return json.dumps(asdict(value), separators=(",", ":")).encode()


def _load(value: memoryview | None, kind: type[T]) -> T | None:
    return None if value is None else _must(value, kind)


def _must(value: memoryview, kind: type[T]) -> T:
    try:
        fields = json.loads(bytes(value))
        if kind is Duty:
            fields["state"] = DutyState(fields["state"])
        if kind is HeldDealing:
            fields["holders"] = tuple(fields["holders"])
        return kind(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreCorrupted(f"The node's memory holds a damaged {kind.__name__}.", hint="Check the disk.") from error
