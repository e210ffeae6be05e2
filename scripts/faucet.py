"""`ape run faucet`: `qanat faucet` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.faucet import COMMAND

cli = ape_command(COMMAND)
