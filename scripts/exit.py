"""`ape run exit`: `qanat exit` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.exit import COMMAND

cli = ape_command(COMMAND)
