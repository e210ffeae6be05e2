"""People of a local network: each has one of Anvil's accounts and types the same commands as anybody else."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import click

from qanat.chain.connection import Chain
from qanat.cli.command import Command, development_account
from qanat.cli.session import Session, plain

__all__ = ["Actor", "account_number"]

#: Anvil accounts of the people that a local network has once each. Restakers and operators follow from their first.
_NUMBERS = {"governor": 0, "guardian": 1, "owner": 5, "licensee": 6, "stranger": 7, "auditor": 8}
_FIRST = {"restaker": 2, "operator": 9}


def account_number(role: str, index: int = 0) -> int:
    """Return which of Anvil's accounts a person has; ``index`` counts restakers and operators from 0."""
    return _NUMBERS[role] if role in _NUMBERS else _FIRST[role] + index


@dataclass
class Actor:
    """A person with an account."""

    role: str
    number: int
    chain: Chain
    session: Session = field(init=False, repr=False)

    def __post_init__(self) -> None:
        signer = development_account(self.number)
        self.session = Session(chain=lambda: self.chain, signer=lambda: signer, as_json=True, yes=True)

    @property
    def address(self) -> str:
        """Checksummed address."""
        return self.session.address

    def run(self, name: str, /, **options: Any) -> dict[str, Any]:
        """Run a command as this person, options that are not given by their defaults; returns its data as JSON values.

        Raises what the command raises.
        """
        command: Command = importlib.import_module(f"qanat.cli.{name}").COMMAND
        made = command.for_click()
        context = click.Context(made)
        known = {parameter.name: parameter for parameter in _own_parameters(command)}
        values = {name_: parameter.get_default(context) for name_, parameter in known.items() if name_}
        for name_, parameter in known.items():
            if name_ and values[name_] is None and parameter.multiple:
                values[name_] = ()
        values.update(options)
        outcome = command.run(self.session, **values)
        if outcome.failure is not None:
            raise outcome.failure
        data: dict[str, Any] = plain(outcome.data)
        return data


def _own_parameters(command: Command) -> list[click.Option]:
    """The command's own options, without those that all commands share."""

    def bare() -> None:
        """Carry the options."""

    decorated: Any = bare
    for decorator in reversed(command.parameters):
        decorated = decorator(decorated)
    return [item for item in click.command()(decorated).params if isinstance(item, click.Option)]
