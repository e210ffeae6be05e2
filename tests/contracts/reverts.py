"""The one way in which tests expect a contract to revert.

`ape.reverts` takes *any* revert for the one asked for, and passes over misspelt argument names. `reverts_with` reads
the raw revert data itself and accepts nothing but the error named, encoded canonically, with the arguments given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import ape
from ape.exceptions import TransactionError
from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak
from ethpm_types.abi import ABIType, ErrorABI

_PANIC = bytes.fromhex("4e487b71")
_TEXT = bytes.fromhex("08c379a0")


class reverts_with:  # noqa: N801 (reads as a verb: `with reverts_with(...)`)
    """Pass if, and only if, the body reverts with `error` and every argument given has the value given.

        with reverts_with(project.IObjects.ObjectUnknown, objectId=object_id):
            objects.certify(object_id, sender=owner)

    Args:
        error: an error of any contract or interface of the project (`project.IObjects.ObjectUnknown`,
            `objects.ObjectUnknown`), or its `ErrorABI`.
        arguments: expected values by name; those not given are not compared. Accounts and contracts stand for their
            address, hex strings for bytes, dictionaries or sequences for structs.

    Raises:
        TypeError: at once, for something that isn't an error, or an argument that the error doesn't have.
        AssertionError: for no revert, any other revert, data not encoded as the ABI says, or a different value.
            Exceptions that are no reverts pass through.

    After the block, `.values` of the object bound by `as` holds all decoded arguments by name.
    """

    def __init__(self, error: Any, /, **arguments: Any) -> None:
        self.abi = _error_abi(error)
        self.types = [item.canonical_type for item in self.abi.inputs]
        self.signature = f"{self.abi.name}({','.join(self.types)})"
        self.selector = keccak(text=self.signature)[:4]
        names = [item.name for item in self.abi.inputs]
        for name in arguments:
            if name not in names:
                message = f"{self.signature} has no argument {name!r}; it has {', '.join(map(str, names)) or 'none'}"
                raise TypeError(message)
        self.expected = {
            item.name: _canonical(item, arguments[item.name], f"argument {item.name!r}")
            for item in self.abi.inputs
            if item.name in arguments
        }
        self.values: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if problem is None:
            raise AssertionError(f"expected {self.signature}, but nothing reverted")
        if not isinstance(problem, TransactionError):
            return False
        data = _revert_data(problem)
        if data is None:
            raise AssertionError(f"expected {self.signature}, but no revert data came: {problem!r}") from problem
        if data[:4] != self.selector:
            raise AssertionError(f"expected {self.signature}, but got {_describe(data, problem)}") from problem
        try:
            decoded = decode(self.types, data[4:])
            canonical = encode(self.types, decoded) == data[4:]
        except DecodingError:
            canonical = False
        if not canonical:
            raise AssertionError(f"{self.signature} carries malformed arguments: 0x{data[4:].hex()}") from problem

        actual = {
            item.name: _canonical(item, value, "decoded value")
            for item, value in zip(self.abi.inputs, decoded, strict=True)
        }
        wrong = [f"{n}: expected {v!r}, got {actual[n]!r}" for n, v in self.expected.items() if actual[n] != v]
        if wrong:
            raise AssertionError(f"{self.signature} with other values: {'; '.join(wrong)}") from problem
        self.values = actual
        return True


def _error_abi(error: Any) -> ErrorABI:
    abi = error if isinstance(error, ErrorABI) else getattr(error, "abi", None)
    if not isinstance(abi, ErrorABI):
        message = f"not a contract's error: {error!r}"
        raise TypeError(message)
    return abi


def _revert_data(problem: BaseException) -> bytes | None:
    """Return the raw revert data that a node sent with `problem`, `None` if it sent none."""
    pending: list[Any] = [problem]
    seen: set[int] = set()
    while pending:
        link = pending.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        data = getattr(link, "data", None)
        if isinstance(data, str) and data.startswith("0x"):
            return bytes.fromhex(data[2:])
        pending += [getattr(link, "base_err", None), getattr(link, "__cause__", None)]
    # Ape drops the data of a failed `eth_call`. Nothing changed, so the same call again gives the same answer.
    call = getattr(problem, "trace", None)
    transaction = getattr(call, "tx", None)
    if transaction is None:
        return None
    response = ape.chain.provider.web3.provider.make_request("eth_call", [transaction, *call.arguments])
    data = response.get("error", {}).get("data") if isinstance(response.get("error"), dict) else None
    return bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else None


def _describe(data: bytes, problem: BaseException) -> str:
    if not data:
        return "a revert without data"
    if data[:4] == _PANIC:
        return f"a panic, code 0x{data[-1]:02x}"
    if data[:4] == _TEXT:
        return f"a revert with the text {decode(['string'], data[4:])[0]!r}"
    return f"{problem!r} (0x{data.hex()})"


def _canonical(abi: ABIType, value: Any, where: str) -> Any:
    """Return `value` in the one form in which values of the ABI type are compared; TypeError if it isn't one."""
    return _canonical_as(str(abi.type), abi.components, value, where)


def _canonical_as(kind: str, components: Sequence[ABIType] | None, value: Any, where: str) -> Any:
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        _check(isinstance(value, Sequence) and not isinstance(value, (str, bytes)), kind, value, where)
        return tuple(_canonical_as(inner, components, item, where) for item in value)
    if kind == "tuple":
        fields = list(components or ())
        if isinstance(value, Mapping):
            _check({f.name for f in fields} == set(value), kind, value, where)
            value = [value[f.name] for f in fields]
        _check(isinstance(value, Sequence) and len(value) == len(fields), kind, value, where)
        return tuple(_canonical(field, item, where) for field, item in zip(fields, value, strict=True))
    if kind == "address":
        value = getattr(value, "address", value)
        _check(isinstance(value, str) and len(value) == 42, kind, value, where)
        return value.lower()
    if kind.startswith("bytes"):
        if isinstance(value, str):
            _check(value.startswith("0x"), kind, value, where)
            value = bytes.fromhex(value[2:])
        _check(isinstance(value, (bytes, bytearray)), kind, value, where)
        _check(kind == "bytes" or len(value) == int(kind[5:]), kind, value, where)
        return bytes(value)
    if kind == "bool":
        _check(isinstance(value, bool), kind, value, where)
    elif kind.startswith(("uint", "int")):
        _check(isinstance(value, int) and not isinstance(value, bool), kind, value, where)
        return int(value)
    else:
        _check(kind == "string" and isinstance(value, str), kind, value, where)
    return value


def _check(good: bool, kind: str, value: Any, where: str) -> None:
    if not good:
        message = f"{where}: {value!r} can't be a {kind}"
        raise TypeError(message)
