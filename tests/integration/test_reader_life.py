"""A reader with real nodes on a real chain: it pays for what it reads, licenses records and reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qanat.chain.signer import KeySigner
from qanat.client.fetch import fetch_object
from qanat.client.store import StoredObject, store_file
from qanat.devnet.anvil import Clock
from qanat.devnet.network import Network
from qanat.errors import NotLicensed, RecordNotFound
from qanat.licensing.croissant import read_description
from qanat.records import SigningDomain, make_bundle, sign_record
from tests.integration.local_network import ROOT, running_network, ticking

OPERATORS = 4
#: So many that nothing ends while a slow machine reads.
EPOCHS = 60
UNITS_PER_MIB = 1_000_001


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Clock]]:
    """Four nodes that give an asker some kilobytes a second, and sell more."""

    def price(made: Network) -> dict[str, Any]:
        return {"token": made.chain.deployment.token("QUSD").address, "unitsPerMiB": UNITS_PER_MIB}

    folder = tmp_path_factory.mktemp("network")
    with running_network(folder, OPERATORS, readBytesPerSecond=2_000, paidReads=price) as (network, clock):
        yield network, clock


@pytest.fixture
def network(running: tuple[Network, Clock]) -> Network:
    return running[0]


@pytest.fixture
def clock(running: tuple[Network, Clock]) -> Clock:
    return running[1]


def store(network: Network, clock: Clock, path: Path) -> StoredObject:
    """Store a file in plain as the owner."""
    with clock.settling():
        return store_file(
            path,
            chain=network.chain,
            sender=network.actor("owner").session.sender,
            shard=network.shard,
            epochs=EPOCHS,
            out_dir=path.parent,
            tolerate_down=1,
            availability=0.99,
            grace_seconds=30.0,
            encrypt=False,
        )


def test_what_a_reader_paid_is_redeemed_to_the_unit(network: Network, clock: Clock, tmp_path: Path) -> None:
    """By commands alone: it deposits, fetches beyond the free share, is redeemed; the rest of its deposit stays."""
    path = tmp_path / "file"
    path.write_bytes(b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(8_000)))
    stored = store(network, clock, path)
    reader, token = network.actor("licensee"), network.chain.deployment.token("QUSD").address
    hosts = {host.address: host for host in network.hosts}
    what = {"object_id": "0x" + stored.object_id.hex(), "force": True}
    pays = {"pay": "0.5", "token": "QUSD"}
    reader.run("deposit", token="QUSD", operators=tuple(hosts), amount="1")
    with ticking(clock):
        bills = [reader.run("fetch", out=tmp_path / "back", **what, **pays)["paid"]]
        part = {"byte_range": "100000:200000", **what, **pays}
        bills.append(reader.run("fetch", out=tmp_path / "part", **part)["paid"])
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert (tmp_path / "part").read_bytes() == path.read_bytes()[100_000:200_000]
    paid, slices = dict.fromkeys(hosts, 0), dict.fromkeys(hosts, 0)
    for bill in bills:
        assert bill["paid"] == sum(item["paid"] for item in bill["operators"]) <= bill["limit"]
        # nobody is asked for a price as long as free shares suffice
        assert bill["maxPricePerMiB"] == (2 * UNITS_PER_MIB if bill["paid"] else None)
        for item in bill["operators"]:
            assert not item["left"]
            assert not item["tooDearPerMiB"]
            paid[item["operator"]] += item["paid"]
            slices[item["operator"]] += item["slices"]
    assert sum(slices.values()) > 0
    record = network.views.object(stored.object_id)
    each = -(-32 * record.width * UNITS_PER_MIB // (1 << 20))
    payments = network.chain.contract("Payments")
    for address, host in hosts.items():
        reader.run("redeem", config=host.config)
        deposited, redeemed, _ = network.chain.call(payments.functions.depositOf(token, address, reader.address))
        assert redeemed == paid[address]
        events = payments.events.VoucherRedeemed.get_logs(
            from_block=0, argument_filters={"operator": address, "payer": reader.address}
        )
        assert sum(event["args"]["amount"] for event in events) == redeemed
        # at least: a node may settle what it earned by storage in the same block
        for event in events:
            block = event["blockNumber"]
            earned = network.views.claimable(token, address, block) - network.views.claimable(token, address, block - 1)
            assert earned >= event["args"]["amount"]
        # a voucher may wait for a read that came for free at last
        assert 0 <= paid[address] - slices[address] * each <= each * len(bills)
        assert deposited == 10**18


def test_records_and_their_description_go_to_the_licensee(network: Network, clock: Clock, tmp_path: Path) -> None:
    """An asset of ranges of a bundle: its content hash is read, its Croissant stored, and both are what comes back."""
    owner, licensee, stranger = (network.actor(role) for role in ("owner", "licensee", "stranger"))
    domain = SigningDomain(network.chain.chain_id, network.chain.contract("Objects").address, b"\x05" * 32)
    senders = [KeySigner.from_key(bytes([number]) * 32) for number in (1, 2, 3)]
    signed = [
        sign_record(senders[number % 3], domain, number, f"reading {number}".encode() * (1 + number % 7))
        for number in range(120)
    ]
    bundle = make_bundle(domain.stream, [record.to_bytes() for record in signed])
    (tmp_path / "readings").write_bytes(bundle.data)
    stored = store(network, clock, tmp_path / "readings")
    item = "0x" + stored.object_id.hex()
    sold = [*bundle.records[10:50], *bundle.records[90:120]]
    digest = hashlib.sha256(b"".join(sold)).hexdigest()
    text = (ROOT / "tests" / "unit" / "soil.croissant.json").read_text()
    description = tmp_path / "readings.croissant.json"
    description.write_text(text.replace("ab" * 32, digest))
    with clock.settling():
        ranges = (f"{item}:10-49", f"{item}:90-119")
        with ticking(clock):  # it reads the records: nodes give them once open challenges close
            minted = owner.run("mint", records=ranges, croissant=description, key_holder="self")
        assert minted["content_hash"] == "0x" + digest
        asset = int(minted["asset"])
        terms = {"price": "25", "purposes": "train", "days": 365.0, "earned_at_release": 0.0}
        offer = owner.run("offer", asset=asset, **terms)
        licensee.run("license", offer=int(offer["offer"]), max_price="25")
    with ticking(clock):
        with pytest.raises(NotLicensed):
            stranger.run("fetch", asset=asset, out=tmp_path / "no")
        done = licensee.run("fetch", asset=asset, out=tmp_path / "lines")
        assert (done["records"], done["sha256"], done["decrypted"]) == (70, digest, False)
        about = bytes.fromhex(minted["croissant"][2:])
        content = network.chain.call(network.chain.contract("Assets").functions.contentOf(asset, 1))
        assert content[4] == about
        fetch_object(
            about,
            chain=network.chain,
            signer=licensee.session.signer,
            out_path=tmp_path / "about",
        )
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    places = [*range(10, 50), *range(90, 120)]
    assert [(line.pop("object"), line.pop("position")) for line in lines] == [(item, place) for place in places]
    assert lines == [bundle.record(place).to_json() for place in places]
    assert (tmp_path / "about").read_bytes() == description.read_bytes()
    assert read_description((tmp_path / "about").read_bytes()).digests == (bytes.fromhex(digest),)
    assert json.loads(minted["metadata"])["croissant"] == minted["croissant"]

    # what the chain can't know: the bundle has no such record
    with clock.settling():
        owner.run("mint", version_of=asset, records=(f"{item}:120-120",), content_hash="0x" + "ab" * 32)
    with ticking(clock), pytest.raises(RecordNotFound):
        licensee.run("fetch", asset=asset, out=tmp_path / "beyond")
    assert not (tmp_path / "beyond").exists()
