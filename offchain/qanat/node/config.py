"""What a node is told: ``node.json``, and where its passphrase comes from.

::

    {"operator": "0x…", "shard": 1, "rpc": "http://…", "deployment": "local.json", "data": "data",
     "host": "127.0.0.1", "port": 7101, "keys": {"bls": "…", "sealing": "…", "responder": "…"}}

Paths are relative to the file. After a rotation ``keys.bls`` is a list: older keys, then the current one. Optional,
with their defaults: ``pollSeconds`` 2, ``seal`` true, ``settle`` true, ``report`` false, ``capacityBytes`` 0 (no
limit), ``requestSeconds`` 60, ``turnBlocks`` 2, ``turnSeconds`` 0, ``logLevel`` "info", ``store`` {"kind": "lmdb"}
(:mod:`qanat.store.settings`), ``scrubBytesPerSecond`` 4194304 (0: nothing is reread), ``tls`` none, ``proxies`` none,
``requestsPerSecond`` 1000 and ``readBytesPerSecond`` 67108864 for each asker (0: no limit), ``bodyBytes`` 134217728,
``policy`` none, ``paidReads`` none. What they mean: docs/node.md.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_utils.address import is_address, to_checksum_address

from qanat import strict_json
from qanat.errors import BadParameters, FileUnreadable
from qanat.store.settings import check_settings

__all__ = ["NodeConfig", "load_config", "passphrase"]

_NEEDED = {
    "operator": str,
    "shard": int,
    "rpc": str,
    "deployment": str,
    "data": str,
    "host": str,
    "port": int,
    "keys": dict,
}
_OPTIONAL: dict[str, tuple[type | tuple[type, ...], Any]] = {
    "pollSeconds": ((int, float), 2.0),
    "seal": (bool, True),
    "settle": (bool, True),
    "report": (bool, False),
    "capacityBytes": (int, 0),
    "requestSeconds": ((int, float), 60.0),
    "turnBlocks": (int, 2),
    "turnSeconds": ((int, float), 0.0),
    "drandRelays": (list, []),
    "maxFeeGwei": ((int, float), 0),
    "alarmUrl": (str, ""),
    "logLevel": (str, "info"),
    "store": (dict, {"kind": "lmdb"}),
    "scrubBytesPerSecond": (int, 4 << 20),
    "tls": (dict, None),
    "proxies": (list, []),
    "requestsPerSecond": ((int, float), 1000.0),
    "readBytesPerSecond": ((int, float), float(64 << 20)),
    "bodyBytes": (int, 128 << 20),
    "policy": (dict, None),
    "paidReads": (dict, None),
}
#: Less would hold up a single body of the largest slices.
_LEAST_BODY_BYTES = 4 << 20
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class NodeConfig:
    """A node's settings, all paths absolute. Times in seconds, ``capacity_bytes`` and rates 0 for no limit.

    ``tls``: files of the certificate chain and of its key. ``proxies``: addresses whose word on who asks is taken.
    ``requests_per_second``, ``read_bytes_per_second``: for each asker. ``body_bytes``: of bodies that are read at a
    time. ``policy``: as :func:`qanat.node.policy.load_policy` reads it. ``paid_reads``: as
    :func:`qanat.node.paid.load_price` does.
    """

    operator: str
    shard: int
    rpc: str
    deployment: Path
    data: Path
    host: str
    port: int
    bls_keys: tuple[Path, ...]
    sealing_key: Path
    responder_key: Path
    poll_seconds: float = 2.0
    seal: bool = True
    settle: bool = True
    report: bool = False
    capacity_bytes: int = 0
    request_seconds: float = 60.0
    #: from one node's turn to seal, report or carry out to the next one's (:mod:`qanat.node.turns`)
    turn_blocks: int = 2
    turn_seconds: float = 0.0
    log_level: str = "info"
    #: where rounds of drand are asked for; empty: the deployment's relays
    drand_relays: tuple[str, ...] = ()
    #: most wei that a unit of gas may cost; None: no ceiling
    max_fee: int | None = None
    #: who is told of what needs a person; empty: nobody
    alarm_url: str = ""
    store: Mapping[str, Any] = field(default_factory=lambda: {"kind": "lmdb"})
    scrub_bytes_per_second: int = 4 << 20
    tls: tuple[Path, Path] | None = None
    proxies: tuple[str, ...] = ()
    requests_per_second: float = 1000.0
    read_bytes_per_second: float = float(64 << 20)
    body_bytes: int = 128 << 20
    policy: Mapping[str, Any] | None = None
    paid_reads: Mapping[str, Any] | None = None


def load_config(path: Path | str) -> NodeConfig:  # noqa: C901  (one check per field)
    """Return the settings in ``path``. Raises :class:`FileUnreadable`, and :class:`BadParameters` naming the field."""
    path = Path(path)
    try:
        raw = strict_json.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileUnreadable(f"The node's settings {path} can't be read: {error}.", path=str(path)) from error
    except ValueError as error:
        raise BadParameters(f"The node's settings {path} are no JSON: {error}.", path=str(path)) from error
    if not isinstance(raw, dict):
        raise BadParameters(f"The node's settings {path} are no JSON object.", path=str(path))
    for name, kind in _NEEDED.items():
        if name not in raw:
            raise BadParameters(f"{path} lacks {name!r}.", hint="See docs/node.md.", field=name)
        _check(path, name, raw[name], kind)
    values = {name: default for name, (_, default) in _OPTIONAL.items()}
    for name, value in raw.items():
        if name in _OPTIONAL:
            _check(path, name, value, _OPTIONAL[name][0])
            values[name] = value
        elif name not in _NEEDED:
            raise BadParameters(f"{path} has an unknown field {name!r}.", hint="Is it misspelt?", field=name)
    keys = raw["keys"]
    bls_keys = _check_keys(path, keys)
    if not is_address(raw["operator"]):
        raise BadParameters(f"{path}: operator {raw['operator']!r} is no address.", field="operator")
    if not 0 < raw["port"] < 1 << 16:
        raise BadParameters(f"{path}: port {raw['port']} is out of range.", field="port")
    for name in ("pollSeconds", "requestSeconds"):
        if values[name] <= 0:
            raise BadParameters(f"{path}: {name} must be above zero.", field=name)
    limits = ("capacityBytes", "turnBlocks", "turnSeconds", "maxFeeGwei", "scrubBytesPerSecond")
    for name, number in {"shard": raw["shard"], **{name: values[name] for name in limits}}.items():
        if number < 0:
            raise BadParameters(f"{path}: {name} can't be negative.", field=name)
    check_settings(values["store"])
    if values["logLevel"] not in _LEVELS:
        raise BadParameters(f"{path}: logLevel is one of {', '.join(_LEVELS)}.", field="logLevel")
    if not all(isinstance(relay, str) for relay in values["drandRelays"]):
        raise BadParameters(f"{path}: drandRelays is a list of addresses.", field="drandRelays")
    _check_limits(path, values)
    base = path.resolve().parent
    return NodeConfig(
        operator=to_checksum_address(raw["operator"]),
        shard=raw["shard"],
        rpc=raw["rpc"],
        deployment=base / raw["deployment"],
        data=base / raw["data"],
        host=raw["host"],
        port=raw["port"],
        bls_keys=tuple(base / name for name in bls_keys),
        sealing_key=base / keys["sealing"],
        responder_key=base / keys["responder"],
        poll_seconds=float(values["pollSeconds"]),
        seal=values["seal"],
        settle=values["settle"],
        report=values["report"],
        capacity_bytes=values["capacityBytes"],
        request_seconds=float(values["requestSeconds"]),
        turn_blocks=values["turnBlocks"],
        turn_seconds=float(values["turnSeconds"]),
        log_level=values["logLevel"],
        drand_relays=tuple(values["drandRelays"]),
        max_fee=int(max(0, values["maxFeeGwei"]) * 10**9) or None,
        alarm_url=values["alarmUrl"],
        store=values["store"],
        scrub_bytes_per_second=values["scrubBytesPerSecond"],
        tls=_check_tls(path, base, values["tls"]),
        proxies=tuple(values["proxies"]),
        requests_per_second=float(values["requestsPerSecond"]),
        read_bytes_per_second=float(values["readBytesPerSecond"]),
        body_bytes=values["bodyBytes"],
        policy=values["policy"],
        paid_reads=values["paidReads"],
    )


def passphrase() -> str:
    """Return what opens the node's key files: ``QANAT_PASSPHRASE``, or the first line of ``QANAT_PASSPHRASE_FILE``.

    Raises :class:`BadParameters` when neither is set, :class:`FileUnreadable` when the file can't be read.
    """
    given = os.environ.get("QANAT_PASSPHRASE")
    if given is not None:
        return given
    file = os.environ.get("QANAT_PASSPHRASE_FILE")
    if file is None:
        raise BadParameters("No passphrase for the key files.", hint="Set QANAT_PASSPHRASE or QANAT_PASSPHRASE_FILE.")
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FileUnreadable(f"The passphrase file {file} can't be read: {error}.", path=file) from error
    return lines[0] if lines else ""


def _check_keys(path: Path, keys: dict[str, Any]) -> list[str]:
    """Check the names of the key files; returns those of BLS keys."""
    bls_keys = [keys["bls"]] if isinstance(keys.get("bls"), str) else keys.get("bls")
    if not isinstance(bls_keys, list) or not bls_keys or not all(isinstance(name, str) for name in bls_keys):
        raise BadParameters(f"{path} names no file, nor a list of files, for the bls key.", field="keys.bls")
    for name in ("sealing", "responder"):
        if not isinstance(keys.get(name), str):
            raise BadParameters(f"{path} names no file for the {name} key.", field=f"keys.{name}")
    return bls_keys


def _check_tls(path: Path, base: Path, tls: dict[str, Any] | None) -> tuple[Path, Path] | None:
    if tls is None:
        return None
    if set(tls) != {"certificate", "key"} or not all(isinstance(name, str) for name in tls.values()):
        raise BadParameters(f"{path}: tls names two files, certificate and key.", field="tls")
    return base / tls["certificate"], base / tls["key"]


def _check_limits(path: Path, values: dict[str, Any]) -> None:
    for name in ("requestsPerSecond", "readBytesPerSecond"):
        if values[name] < 0:
            raise BadParameters(f"{path}: {name} can't be negative.", field=name)
    if values["bodyBytes"] < _LEAST_BODY_BYTES:
        raise BadParameters(f"{path}: bodyBytes is {_LEAST_BODY_BYTES} at least.", field="bodyBytes")
    for proxy in values["proxies"]:
        try:
            ipaddress.ip_network(proxy)
        except (ValueError, TypeError) as error:
            raise BadParameters(f"{path}: proxies lists {proxy!r}, which is no address.", field="proxies") from error


def _check(path: Path, name: str, value: Any, kind: type | tuple[type, ...]) -> None:
    wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if wrong:
        raise BadParameters(f"{path}: {name} has the wrong type: {value!r}.", field=name)
