"""`ape run revoke`: `qanat revoke` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.revoke import COMMAND

cli = ape_command(COMMAND)
