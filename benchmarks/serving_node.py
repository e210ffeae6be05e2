"""One node as a process, over a chain that is held in memory: what benchmarks/serving.py measures.

    python serving_node.py FOLDER NUMBER OF PROCESSOR OBJECTS

Store, memory, verification, signature and HTTP are a node's own; the chain's answers are fixed (they are asked for once
per object). Prints its port, then ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Serve until standard input ends."""
    folder, number, operators, processor = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    if processor >= 0:
        os.sched_setaffinity(0, {processor})
    os.environ["QANAT_THREADS"] = "1"
    from doubles import node_doubles

    from qanat import kzg
    from qanat.node.daemon import warm_up
    from qanat.objects import Encoded, Manifest

    people = node_doubles.make_people(operators)
    views = node_doubles.FakeViews(people)
    for line in Path(sys.argv[5]).read_text().splitlines():
        found = json.loads(line)
        views.open_object(
            bytes.fromhex(found["object"]), Encoded(Manifest.from_bytes(bytes.fromhex(found["manifest"])), ())
        )
    node = node_doubles.FakeNode(
        views,
        people[number],
        folder,
        poll_seconds=3600.0,
        request_seconds=60.0,
        requests_per_second=0.0,
        read_bytes_per_second=0.0,
    )
    warm_up()
    kzg.commit(bytes(32))
    served = node_doubles.serve_node(node)
    print(served.port, flush=True)
    sys.stdin.read()
    served.stop()
    node.stop()


if __name__ == "__main__":
    main()
