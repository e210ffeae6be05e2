"""`ape run list`: `qanat list` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.listing import COMMAND

cli = ape_command(COMMAND)
