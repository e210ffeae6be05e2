"""`ape run deposit`: `qanat deposit` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.deposit import COMMAND

cli = ape_command(COMMAND)
