"""`ape run status`: `qanat status` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.status import COMMAND

cli = ape_command(COMMAND)
