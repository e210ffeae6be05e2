"""`ape run record`: `qanat record` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.record import COMMAND

cli = ape_command(COMMAND)
