"""`ape run terminate`: `qanat terminate` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.terminate import COMMAND

cli = ape_command(COMMAND)
