"""`ape run claim-list`: `qanat claim-list` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.claim_list import COMMAND

cli = ape_command(COMMAND)
