"""`ape run audit`: `qanat audit` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.audit import COMMAND

cli = ape_command(COMMAND)
