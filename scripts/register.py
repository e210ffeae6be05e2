"""`ape run register`: `qanat register` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.register import COMMAND

cli = ape_command(COMMAND)
