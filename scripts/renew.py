"""`ape run renew`: `qanat renew` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.renew import COMMAND

cli = ape_command(COMMAND)
