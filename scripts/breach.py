"""`ape run breach`: `qanat breach` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.breach import COMMAND

cli = ape_command(COMMAND)
