"""`ape run claim`: `qanat claim` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.claim import COMMAND

cli = ape_command(COMMAND)
