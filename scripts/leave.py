"""`ape run leave`: `qanat leave` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.leave import COMMAND

cli = ape_command(COMMAND)
