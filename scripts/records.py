"""`ape run records`: `qanat records` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.records import COMMAND

cli = ape_command(COMMAND)
