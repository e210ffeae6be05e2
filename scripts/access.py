"""`ape run access`: `qanat access` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.access import COMMAND

cli = ape_command(COMMAND)
