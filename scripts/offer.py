"""`ape run offer`: `qanat offer` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.offer import COMMAND

cli = ape_command(COMMAND)
