"""`ape run revenue`: `qanat revenue` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.revenue import COMMAND

cli = ape_command(COMMAND)
