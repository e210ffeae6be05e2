"""`ape run roster`: `qanat roster` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.roster import COMMAND

cli = ape_command(COMMAND)
