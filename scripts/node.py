"""`ape run node`: `qanat node` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.node import COMMAND

cli = ape_command(COMMAND)
