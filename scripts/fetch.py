"""`ape run fetch`: `qanat fetch` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.fetch import COMMAND

cli = ape_command(COMMAND)
