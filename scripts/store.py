"""`ape run store`: `qanat store` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.store import COMMAND

cli = ape_command(COMMAND)
