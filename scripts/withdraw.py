"""`ape run withdraw`: `qanat withdraw` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.withdraw import COMMAND

cli = ape_command(COMMAND)
