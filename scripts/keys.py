"""`ape run keys`: `qanat keys` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.keys import COMMAND

cli = ape_command(COMMAND)
