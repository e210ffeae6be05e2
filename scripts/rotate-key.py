"""`ape run rotate-key`: `qanat rotate-key` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.rotate_key import COMMAND

cli = ape_command(COMMAND)
