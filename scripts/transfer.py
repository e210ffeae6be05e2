"""`ape run transfer`: `qanat transfer` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.transfer import COMMAND

cli = ape_command(COMMAND)
