"""`ape run stake`: `qanat stake` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.stake import COMMAND

cli = ape_command(COMMAND)
