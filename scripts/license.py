"""`ape run license`: `qanat license` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.license import COMMAND

cli = ape_command(COMMAND)
