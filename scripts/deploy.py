"""`ape run deploy`: `qanat deploy` on Ape's networks and accounts, compiling first."""

from ape_qanat.scripts import ape_command
from qanat.cli.deploy import COMMAND

cli = ape_command(COMMAND, compile_first=True)
