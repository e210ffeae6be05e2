"""`ape run redeem`: `qanat redeem` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.redeem import COMMAND

cli = ape_command(COMMAND)
