"""`ape run market`: `qanat market` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.market import COMMAND

cli = ape_command(COMMAND)
