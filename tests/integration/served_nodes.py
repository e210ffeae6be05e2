"""Real nodes, each served by a thread, over the chain double: for faults of nodes and of the network between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from qanat.chain.signer import KeySigner
from qanat.client.disperse import Dispersal, Target, disperse
from qanat.client.download import Downloader
from qanat.client.location import Location
from qanat.client.reader import ObjectReader
from qanat.objects import Encoded, encode, restore_file, slices_of_operator, ticket_of_row
from tests.integration.misbehaving_proxy import Proxy
from tests.unit.node_doubles import CHAIN_ID, FakeNode, FakeViews, Served, make_people, permit

OBJECT = b"\x77" * 32
PEOPLE = make_people(6)
#: k = 4 of n = 6: any two operators may be down
DATA = bytes((7 * i + i * i) % 253 for i in range(30_000))
ENCODED = encode(DATA, k=4, n=6, width=64)
READER = KeySigner.from_key(b"\x05" * 32)
DEAD = "http://127.0.0.1:9"


class Network:
    """Nodes over the double chain, with a middleware each that a test may set."""

    def __init__(self, folder: Path, encoded: Encoded = ENCODED, *, proxied: bool = False, **settings: Any) -> None:
        self.encoded = encoded
        #: who reads
        self.signer = READER
        self.proxies: list[Proxy] = []
        self.views = FakeViews(PEOPLE)
        self.views.open_object(OBJECT, encoded)
        self.nodes = [
            FakeNode(self.views, person, folder / person.address[:8], poll_seconds=60, **settings) for person in PEOPLE
        ]
        self.faults: dict[int, Callable[[Request], Response | None]] = {}
        self.served: list[Served] = []
        for number, node in enumerate(self.nodes):
            self.served.append(self.serve(number, node))
        if proxied:
            for person, served in zip(PEOPLE, self.served, strict=True):
                self.proxies.append(Proxy(served.port))
                self.views.endpoints[person.address] = self.proxies[-1].url

    def serve(self, number: int, node: FakeNode) -> Served:
        from qanat.node.api import make_app

        app = make_app(node.service)

        @app.middleware("http")
        async def fault(request: Request, call_next):
            found = self.faults.get(number)
            answer = found(request) if found is not None else None
            return answer if answer is not None else await call_next(request)

        served = Served(app)
        self.views.endpoints[node.person.address] = served.url
        return served

    def stop(self) -> None:
        for proxy in self.proxies:
            proxy.stop()
        for served in self.served:
            served.stop()
        for node in self.nodes:
            node.stop()

    def fill(self) -> None:
        """Let every node take in and sign the object."""
        for node in self.nodes:
            node.take_all(OBJECT, self.encoded)
            node.intake.sign(OBJECT)

    def targets(self) -> list[Target]:
        """All operators with their slices."""
        return [
            Target(
                person.address,
                self.views.endpoints[person.address],
                person.key.public_key,
                slices_of_operator(OBJECT, 6, number, 1, self.encoded.manifest.n, self.encoded.manifest.matrices),
            )
            for number, person in enumerate(PEOPLE)
        ]

    def disperse(self, *, needed: int = 4, grace: float = 1.0, seconds: float = 20.0, **changes) -> Dispersal:
        """Send to all."""
        options = {"known": {}, "is_possible": lambda: True, "targets": self.targets(), **changes}
        return disperse(
            OBJECT,
            self.encoded.manifest.to_bytes(),
            lambda index: self.encoded.slices[index],
            options.pop("targets"),
            chain_id=CHAIN_ID,
            permits={person.address: permit(OBJECT, self.encoded, person.address) for person in PEOPLE},
            digest=self.views.digest(OBJECT),
            is_enough=lambda signers: len(signers) >= needed,
            grace_seconds=grace,
            seconds=seconds,
            **options,
        )

    def asked(self) -> list[tuple[int, int]]:
        """Note from now on which slices are asked for, as (number of the node, index); returns the growing list."""
        seen: list[tuple[int, int]] = []
        for number in range(len(self.nodes)):

            def note(request: Request, number: int = number) -> Response | None:
                if request.method == "GET" and "/slices/" in request.url.path:
                    seen.append((number, int(request.url.path.rsplit("/", 1)[1])))
                return None

            self.faults[number] = note
        return seen

    def reader(self, *, data_key: bytes | None = None, **options: Any) -> ObjectReader:
        """Open a reader of parts."""
        return ObjectReader(
            self.location(),
            self.encoded.manifest,
            chain_id=CHAIN_ID,
            signer=self.signer,
            data_key=data_key,
            **{"seconds": 20.0, **options},
        )

    def location(self) -> Location:
        """Where the object is, as the chain would say."""
        return Location(OBJECT, self.views.object(OBJECT), dict(self.views.endpoints), tuple(self.holders()))

    def holders(self) -> list[str]:
        """Who holds each row."""
        return [PEOPLE[ticket_of_row(OBJECT, 6, row)].address for row in range(self.encoded.manifest.n)]

    def download(self, **options) -> Downloader:
        """Open a downloader."""
        return Downloader(
            OBJECT,
            self.encoded.manifest,
            self.holders(),
            dict(self.views.endpoints),
            chain_id=CHAIN_ID,
            signer=self.signer,
            **{"seconds": 20.0, **options},
        )

    def fetch(self, out: Path, **options) -> dict[str, int]:
        """Fetch the object into a file; return the slices used of each operator."""
        with self.download(**options) as downloader:
            restore_file(self.encoded.manifest, downloader.slice, out)
            self.reports = downloader.reports
        assert out.read_bytes() == DATA
        return {report.operator: report.slices for report in self.reports.values()}


def refuse(status: int) -> Callable[[Request], Response]:
    """A node that answers everything with a status."""
    body = {"error": "NodeRefused", "message": "not today, by order", "data": {}}
    return lambda _request: JSONResponse(body, status_code=status)
