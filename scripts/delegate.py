"""`ape run delegate`: `qanat delegate` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.delegate import COMMAND

cli = ape_command(COMMAND)
