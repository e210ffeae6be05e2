"""`ape run extend`: `qanat extend` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.extend import COMMAND

cli = ape_command(COMMAND)
