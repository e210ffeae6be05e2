"""`ape run undelegate`: `qanat undelegate` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.undelegate import COMMAND

cli = ape_command(COMMAND)
