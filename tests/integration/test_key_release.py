"""Keys that drawn holders release: real nodes on a real chain, one of them dead, one lying, one silent when forced."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qanat import bls
from qanat.client.fetch import fetch_asset
from qanat.client.release import ReleasedKey, held_key, request_shares
from qanat.devnet.anvil import Clock
from qanat.devnet.network import PASSPHRASE, Network, OperatorHost
from qanat.errors import KeyUnavailable
from qanat.keys.curve import curve_kernel, multiply_g1
from qanat.keys.holding import Receipt
from qanat.keys.recovery import RecoveryFile
from tests.integration.local_network import running_network, ticking

OPERATORS = 3
SECONDS = 120.0


@dataclass
class World:
    """A network, and an asset whose key any two of three holders release."""

    network: Network
    clock: Clock
    folder: Path
    recovery: Path
    plain: bytes
    asset: int
    license: int
    offer: int

    def host(self, place: int) -> OperatorHost:
        """The machine of the holder in a place."""
        held = self.held()
        return next(host for host in self.network.hosts if host.address == held.holders[place])

    def held(self) -> Any:
        found = held_key(self.asset, chain=self.network.chain)
        assert found is not None
        return found

    def ask(self, role: str = "licensee", license_id: int | None = None, seconds: float = SECONDS) -> ReleasedKey:
        """Ask the holders as somebody."""
        return request_shares(
            self.asset,
            self.license if license_id is None else license_id,
            chain=self.network.chain,
            signer=self.network.actor(role).session.signer,
            timeout_seconds=seconds,
        )

    def data_key(self) -> bytes:
        return RecoveryFile.load(self.recovery).open(self.network.actor("owner").session.signer)

    def buy(self, offer: int | None = None) -> int:
        with self.clock.settling():
            bought = self.network.actor("licensee").run("license", offer=offer or self.offer, max_price="25")
        return int(bought["license"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three nodes that hold keys; a file stored, minted with drawn holders, licensed."""
    folder = tmp_path_factory.mktemp("network")
    with running_network(folder, OPERATORS, hold_keys=True, report=False) as (network, clock):
        plain = bytes(range(256)) * 40
        path = folder / "file"
        path.write_bytes(plain)
        owner = network.actor("owner")
        with clock.settling():
            stored = owner.run("store", file=path, epochs=80, out_dir=folder, tolerate_down=1, name="file")
        recovery = Path(stored["recovery"])
        with clock.settling(), ticking(clock, 0.2):
            minted = owner.run("mint", recovery=recovery, key_holder="drawn", holders="2/3")
        assert minted["key"]["threshold"] == 2
        with clock.settling():
            offered = owner.run("offer", asset=int(minted["asset"]), price="25", purposes="train", days=365.0)
        made = World(network, clock, folder, recovery, plain, int(minted["asset"]), 0, int(offered["offer"]))
        made.license = made.buy()
        clock.mine(4)
        yield made


@pytest.fixture(autouse=True)
def everybody_up(world: World) -> Iterator[None]:
    """Every test begins with all nodes up."""
    down = [host for host in world.network.hosts if host.child is None or not host.child.running]
    if down:
        world.network.start_nodes(down)
    yield
    for host in world.network.hosts:
        if host.child is not None and host.child.running:
            host.child.resume()


@contextmanager
def lying(world: World, place: int) -> Iterator[None]:
    """Stand in the place of a holder's node: what it answers is wrong, and signed with the operator's own key."""
    host = world.host(place)
    host.process.stop()
    held = world.held()
    key = bls.load_key(host.folder / "keys" / "bls.json", PASSPHRASE)
    curve = curve_kernel()

    class Liar(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            context, point = held.context, bytes.fromhex(asked["point"][2:])
            answer = multiply_g1(curve, curve.g1, 12345)
            licensee = bytes.fromhex(world.network.actor("licensee").address[2:])
            names = (context.asset_id, context.key_epoch, place, asked["licenseId"], licensee)
            receipt = Receipt(*names, world.network.chain.latest(), point, answer)
            said = {
                "operator": host.address,
                "place": place,
                "blockNumber": receipt.block_number,
                "answer": "0x" + answer.hex(),
                "signature": "0x" + key.sign(receipt.digest(context.chain_id, context.contract)).hex(),
            }
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", host.port), Liar)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_two_of_three_open_the_file(world: World) -> None:
    """The first release is recorded by one holder; what is fetched is what was stored."""
    licensee = world.network.actor("licensee")
    assert world.network.views.license(world.license).released_at == 0
    told: list[ReleasedKey] = []
    with ticking(world.clock):
        done = fetch_asset(
            world.asset,
            world.license,
            chain=world.network.chain,
            signer=licensee.session.signer,
            out_path=world.folder / "licensed",
            on_answers=told.append,
        )
    assert done.decrypted
    assert (world.folder / "licensed").read_bytes() == world.plain
    assert world.network.views.license(world.license).released_at > 0
    assert sum(answer.state == "right" for answer in told[0].answers) >= 2


def test_one_lies_and_is_named_and_slashed(world: World) -> None:
    """Two honest holders suffice; the lie is signed, and costs the liar stake."""
    place = 1
    with lying(world, place):
        # as long as the liar isn't the slowest of all it is seen: it only computes once
        seen = next(found for found in (world.ask() for _ in range(20)) if found.liars)
    assert seen.data_key == world.data_key()
    assert seen.liars == (world.host(place).address,)
    lie = next(answer for answer in seen.answers if answer.state == "lied")
    assert lie.receipt is not None
    world.network.start_nodes([world.host(place)])


def test_one_is_dead_and_one_lies(world: World) -> None:
    """One honest holder of three can't open the key alone: who failed, and how, is said."""
    world.host(2).process.kill()
    with lying(world, 0), pytest.raises(KeyUnavailable) as found:
        world.ask(seconds=20)
    said = found.value.data["holders"]
    assert "unreachable" in said[world.host(2).address]
    assert "lied" in said[world.host(0).address]
