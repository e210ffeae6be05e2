"""`ape run mint`: `qanat mint` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.mint import COMMAND

cli = ape_command(COMMAND)
