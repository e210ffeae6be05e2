"""An operator's own say in what it takes: rules, a command, or a function of its own (docs/node.md, "Policy").

An operator may refuse an object: it then never sees its slices and doesn't sign, and other operators' signatures must
suffice. It is asked once for an object, after the payer's permit was verified and before the manifest is read.
"""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from eth_utils.address import is_address, to_checksum_address

from qanat.chain.views import ObjectRecord
from qanat.errors import BadParameters, NodeRefused

__all__ = ["Policy", "load_policy", "shown"]

_COMMAND_SECONDS = 10.0
_REMEMBERED = 1024
_AGAIN_SECONDS = 10
_RULES = {"owners": list, "refusedOwners": list, "mostBytes": int, "leastEpochs": int, "mostEpochs": int}

log = structlog.get_logger("qanat.node.policy")

Verdict = Callable[[dict[str, Any]], "str | None"]
"""Takes an object as :func:`shown` gives it; returns why it is refused, None if it is taken."""


@dataclass
class Policy:
    """Asks the operator's verdict and remembers what it took. Safe to use from several threads."""

    verdict: Verdict

    def __post_init__(self) -> None:
        self._taken: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, object_id: bytes, record: ObjectRecord) -> None:
        """Raise :class:`NodeRefused` (403) for an object that the operator does not take."""
        with self._lock:
            if object_id in self._taken:
                return
        why = self.verdict(shown(object_id, record))
        if why is not None:
            raise NodeRefused(
                f"This operator does not take object 0x{object_id.hex()}: {why[:300]}",
                hint="Others may: a certificate doesn't need all.",
                status=403,
            )
        with self._lock:
            self._taken[object_id] = None
            while len(self._taken) > _REMEMBERED:
                self._taken.popitem(last=False)


def shown(object_id: bytes, record: ObjectRecord) -> dict[str, Any]:
    """Return what a verdict is given: the object's record, as JSON values."""
    return {
        "objectId": "0x" + object_id.hex(),
        "owner": record.owner,
        "shard": record.shard,
        "roster": record.roster,
        "width": record.width,
        "k": record.k,
        "n": record.n,
        "matrices": record.matrices,
        "size": record.size,
        "epochs": record.epochs,
        "openedBlock": record.opened_block,
        "manifestRoot": "0x" + record.manifest_root.hex(),
    }


def load_policy(setting: Mapping[str, Any] | None) -> Policy | None:
    """Return the policy that ``node.json`` names, None without one. Raises :class:`BadParameters`."""
    if setting is None:
        return None
    if len(setting) != 1:
        raise BadParameters("policy names one of rules, command, python.", field="policy")
    ((kind, value),) = setting.items()
    if kind == "rules" and isinstance(value, dict):
        return Policy(_rules(value))
    if kind == "command" and isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return Policy(_command(value))
    if kind == "python" and isinstance(value, str) and value.count(":") == 1:
        return Policy(_function(value))
    raise BadParameters(f"policy.{kind} is not understood.", hint='See docs/node.md, "Policy".', field=f"policy.{kind}")


def _rules(rules: Mapping[str, Any]) -> Verdict:
    _check_rules(rules)
    wanted, unwanted = (
        {to_checksum_address(account) for account in rules.get(name, [])} for name in ("owners", "refusedOwners")
    )
    most = rules.get("mostBytes", math.inf)
    least, longest = rules.get("leastEpochs", 0), rules.get("mostEpochs", math.inf)

    def verdict(asked: dict[str, Any]) -> str | None:
        if "owners" in rules and asked["owner"] not in wanted:
            return "its owner is not among those that it stores for."
        if asked["owner"] in unwanted:
            return "it does not store for its owner."
        if asked["size"] > most:
            return f"it takes objects of {most} bytes at most."
        if not least <= asked["epochs"] <= longest:
            return f"it takes objects for {least} to {longest} epochs."
        return None

    return verdict


def _check_rules(rules: Mapping[str, Any]) -> None:
    for name, value in rules.items():
        kind = _RULES.get(name)
        right = kind is not None and isinstance(value, kind) and not isinstance(value, bool)
        if right and kind is list:
            right = all(isinstance(account, str) and is_address(account) for account in value)
        if not right:
            raise BadParameters(f"policy.rules.{name} is not understood: {value!r}.", field=f"policy.rules.{name}")


def _command(words: list[str]) -> Verdict:
    def verdict(asked: dict[str, Any]) -> str | None:
        try:
            done = subprocess.run(
                words, input=json.dumps(asked), capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
            raise _unable(f"{words[0]}: {error}") from error
        if done.returncode == 0:
            return None
        return next(iter(done.stderr.splitlines()), "") or f"its policy ended with {done.returncode}."

    return verdict


def _function(name: str) -> Verdict:
    module, attribute = name.split(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadParameters(f"policy.python: {name} can't be imported: {error}.", field="policy.python") from error

    def verdict(asked: dict[str, Any]) -> str | None:
        try:
            why = function(asked)
        except Exception as error:
            raise _unable(f"{name}: {error}") from error
        if why is not None and not isinstance(why, str):
            raise _unable(f"{name} returned {why!r}, neither None nor a reason")
        return why

    return verdict


def _unable(why: str) -> NodeRefused:
    log.error("the policy gave no verdict", why=why)
    return NodeRefused(
        "The operator's policy gave no verdict.", hint="Try again later.", status=503, retry_after=_AGAIN_SECONDS
    )
