"""`ape run shard`: `qanat shard` on Ape's networks and accounts."""

from ape_qanat.scripts import ape_command
from qanat.cli.shard import COMMAND

cli = ape_command(COMMAND)
