"""Keys that drawn holders release: real nodes on a real chain, one of them dead, one lying, one silent when forced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_utils import keccak, to_checksum_address

from qanat import bls
from qanat.chain.artifacts import load_artifacts
from qanat.chain.connection import events_in
from qanat.chain.journal import state_folder
from qanat.chain.sender import Sender
from qanat.chain.signer import KeySigner
from qanat.chain.views import OfferTerms
from qanat.client.dealing import _Dealing, deal_key
from qanat.client.fetch import fetch_asset, fetch_object, open_asset
from qanat.client.release import HeldKey, ReleasedKey, force_release, held_key, request_shares
from qanat.devnet.anvil import Clock
from qanat.devnet.liar import lying_holder
from qanat.devnet.network import PASSPHRASE, Network, OperatorHost, wait_until
from qanat.errors import DecryptionFailed, KeyUnavailable, NotLicensed, TransactionReverted
from qanat.keys.receipts import SignedReceipt, keep_receipts
from qanat.keys.recovery import RecoveryFile
from qanat.keys.shares import Commitments
from qanat.node.state import NodeState
from tests.integration.local_network import running_network, signed_ask, ticking
from tests.integration.secret_search import Secrets, secrets_noted

OPERATORS, HOLDERS = 4, 3
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

    def held(self) -> HeldKey:
        found = held_key(self.asset, chain=self.network.chain)
        assert found is not None
        return found

    def ask(
        self,
        role: str = "licensee",
        license_id: int | None = None,
        seconds: float = SECONDS,
        patience: float = 0.0,
    ) -> ReleasedKey:
        """Ask the holders as somebody."""
        return request_shares(
            self.asset,
            self.license if license_id is None else license_id,
            chain=self.network.chain,
            signer=self.network.actor(role).session.signer,
            timeout_seconds=seconds,
            patience_seconds=patience,
        )

    def data_key(self) -> bytes:
        return RecoveryFile.load(self.recovery).open(self.network.actor("owner").session.signer)

    def buy(self, offer: int | None = None) -> int:
        with self.clock.settling():
            bought = self.network.actor("licensee").run("license", offer=offer or self.offer, max_price="25")
        return int(bought["license"])


@pytest.fixture(scope="module")
def secrets() -> Iterator[Secrets]:
    """All secrets that this process makes for the network: owners, licensees and operators are in it."""
    with secrets_noted() as noted:
        yield noted


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, secrets: Secrets) -> Iterator[World]:
    """Four nodes that hold keys; a file stored, minted with three drawn holders, licensed."""
    folder = tmp_path_factory.mktemp("network")
    with running_network(folder, OPERATORS, hold_keys=True) as (network, clock):
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
        with ticking(clock):
            made.ask()  # the first release is recorded
        yield made


def only(world: World, *places: int) -> None:
    """Let the nodes of these holders run, and no other holder's."""
    for place in range(HOLDERS):
        host = world.host(place)
        if place not in places and host.process.running:
            host.process.kill()
    down = [host for host in (world.host(place) for place in places) if not host.process.running]
    if down:
        world.network.start_nodes(down)


@contextmanager
def lying(world: World, place: int) -> Iterator[None]:
    """Stand in the place of a holder's node: what it answers is wrong, and signed with the operator's own key."""
    host = world.host(place)
    host.process.kill()
    licensee, block = world.network.actor("licensee").address, world.network.chain.latest()
    with lying_holder(host, world.held(), place, licensee, block):
        yield


def test_two_of_three_open_the_file(world: World) -> None:
    """The first release is recorded by one holder; what is fetched is what was stored."""
    only(world, 0, 1, 2)
    licensee, number = world.network.actor("licensee"), world.buy()
    world.clock.mine(4)
    assert world.network.views.license(number).released_at == 0
    told: list[ReleasedKey] = []
    with ticking(world.clock):  # while challenges are open nodes serve few rows
        done = fetch_asset(
            world.asset,
            number,
            chain=world.network.chain,
            signer=licensee.session.signer,
            out_path=world.folder / "licensed",
            on_answers=told.append,
        )
    assert done.decrypted
    assert (world.folder / "licensed").read_bytes() == world.plain
    assert world.network.views.license(number).released_at > 0
    assert sum(answer.state == "right" for answer in told[0].answers) >= 2


def test_one_lies_and_is_named(world: World) -> None:
    """Two honest holders suffice; the lie comes with a receipt that the chain takes as evidence."""
    place = 1
    only(world, 0, 2)
    with lying(world, place):
        seen = world.ask(patience=SECONDS)
    assert seen.data_key == world.data_key()
    assert seen.liars == (world.host(place).address,)
    lie = next(answer for answer in seen.answers if answer.state == "lied")
    assert lie.receipt is not None
    keys = world.network.chain.contract("Keys")
    dealing = httpx.get(f"{world.host(0).url}/keys/{world.asset}/{seen.key_epoch}/dealing", timeout=30, trust_env=False)
    commitments = Commitments.from_bytes(dealing.content)
    witness = commitments.points[place] + b"".join(commitments.path(place))
    receipt = lie.receipt
    said = (
        *(receipt.asset_id, receipt.key_epoch, receipt.place, receipt.license_id),
        *(to_checksum_address(receipt.licensee), receipt.block_number, receipt.point, receipt.answer),
    )
    call = keys.functions.reportWrong(said, lie.signature, witness)
    reported = world.network.actor("licensee").session.sender.send(call)
    assert events_in(reported, keys, "HolderReported")[0]["operator"] == world.host(place).address


def test_who_is_not_licensed_is_refused(world: World) -> None:
    """A stranger with somebody's license, a license that nobody has, one that was revoked a block ago."""
    only(world, 0, 1, 2)
    for role, number in (("stranger", world.license), ("licensee", world.license + 1000)):
        with pytest.raises(NotLicensed):
            world.ask(role, number, seconds=20)
    revoked = world.buy()
    world.clock.mine(4)
    with ticking(world.clock):
        assert world.ask(license_id=revoked).data_key == world.data_key()
        world.network.actor("owner").run("revoke", number=revoked)
        with pytest.raises(NotLicensed):
            world.ask(license_id=revoked, seconds=20)


def test_a_request_is_worth_nothing_at_another_holder(world: World) -> None:
    """What one holder was sent, replayed to the others, is no request of the licensee's."""
    only(world, 0, 1, 2)
    held, chain = world.held(), world.network.chain
    signer = world.network.actor("licensee").session.signer
    path, asked = signed_ask(held, world.license, held.holders[0], chain=chain, signer=signer)
    statuses = [
        httpx.post(world.host(place).url + path, json=asked, timeout=30, trust_env=False).status_code
        for place in range(HOLDERS)
    ]
    assert statuses == [200, 403, 403]
    later = f"/keys/{world.asset}/{held.context.key_epoch + 1}/release"
    assert httpx.post(world.host(0).url + later, json=asked, timeout=30, trust_env=False).status_code == 404


def test_shares_survive_kills(world: World) -> None:
    """All holders are killed, and two start again: their answers open the key."""
    only(world)
    only(world, 0, 1)
    released = world.ask()
    assert released.data_key == world.data_key()
    assert released.liars == ()


def test_a_holder_that_lost_a_dealing_gets_it_again(world: World) -> None:
    """From the dealer, who kept it, for nothing: then the holder answers as before."""
    only(world, 0)
    host, held = world.host(1), world.held()
    data = host.folder / json.loads(host.config.read_text())["data"]
    memory = NodeState(data / "state")
    try:
        memory.forget_dealing(world.asset, held.context.key_epoch, held.record.root)
    finally:
        memory.close()
    only(world, 0, 1)
    with pytest.raises(KeyUnavailable):
        world.ask(seconds=20)
    again = world.network.actor("owner").run("mint", asset=world.asset, key_holder="drawn", resend=True)
    assert list(again["key"]["failed"]) == [world.host(2).address]  # it is down
    assert world.ask().data_key == world.data_key()


def test_a_forced_release_is_answered_or_slashed(world: World) -> None:
    """Two nodes answer by themselves, the third is down: the key opens, they are paid, it loses stake."""
    network, clock = world.network, world.clock
    silent = world.host(2)
    only(world, 0, 1)
    sender = network.actor("licensee").session.sender
    kept = state_folder() / "forced"
    before = set(kept.glob("*"))

    def killed(*payment: object) -> None:
        """Pay, and end before anything else is done: all that is left of the run is on the disk."""
        (file,) = set(kept.glob("*")) - before
        assert file.stat().st_mode & 0o777 == 0o600
        Sender.pay(sender, *payment)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    def force() -> ReleasedKey:
        return force_release(
            world.asset, world.license, chain=network.chain, sender=sender, held=world.held(), timeout_seconds=SECONDS
        )

    # what else is sent meanwhile must not use up the window, and a demand is answered once it is final
    with clock.gathering(), ticking(clock, 6.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sender, "pay", killed)
            with pytest.raises(KeyboardInterrupt):
                force()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sender, "pay", lambda *_: pytest.fail("paid twice"))
            opened = force()
            again = force()  # from the answers on chain
    assert opened.data_key == again.data_key == world.data_key()
    assert len(set(kept.glob("*")) - before) == 1

    keys, views = network.chain.contract("Keys"), network.views
    event = keys.events.ReleaseForced().get_logs(from_block=0)[-1]["args"]
    identity = bytes(event["id"])
    names = (world.asset, int(event["epoch"]), world.license, bytes(keccak(bytes(event["point"]))))
    assert views.forced_release(identity).answered == 0b011
    clock.mine_to(views.forced_release(identity).deadline + 1)
    wait_until("it is settled", lambda: views.forced_release(identity).settled, SECONDS)
    with pytest.raises(TransactionReverted) as found:
        sender.send(keys.functions.reportSilent(*names, 0))
    assert found.value.error_name == "AlreadyAnswered"

    bond = views.bond(silent.address, network.shard)
    receipt = sender.send(keys.functions.reportSilent(*names, 2))
    slash = bytes(events_in(receipt, keys, "HolderReported")[0]["slashId"])
    clock.mine_to(views.slash(slash).ready_block + 1)
    sender.send(network.chain.contract("Restaking").functions.executeSlash(slash))
    assert views.bond(silent.address, network.shard) < bond


def test_one_is_dead_and_one_lies(world: World) -> None:
    """One honest holder of three can't open the key alone: who failed, and how, is said."""
    only(world, 1)
    with lying(world, 0), pytest.raises(KeyUnavailable) as found:
        world.ask(seconds=20)
    said = found.value.data["holders"]
    assert "unreachable" in said[world.host(2).address]
    assert "lied" in said[world.host(0).address]


def test_the_access_log_tells_all_and_faults_are_reported(world: World, tmp_path: Path) -> None:
    """A signed lie and a release without a license cost their holders stake; honest receipts prove nothing."""
    only(world, 0, 1, 2)
    place, path = 0, tmp_path / "receipts.jsonl"  # that of place 1 may have been reported in this epoch already
    host, chain = world.host(place), world.network.chain
    with lying(world, place):
        seen = world.ask(patience=SECONDS)
    world.network.start_nodes([host])
    contract = world.held().context.contract
    kept = [
        SignedReceipt(chain.chain_id, contract, answer.receipt, answer.signature)
        for answer in seen.answers
        if answer.receipt is not None
    ]
    lie = next(item for item in kept if item.receipt.place == place)
    unlicensed = replace(lie.receipt, license_id=10**6)
    key = bls.load_key(host.folder / "keys" / "bls.json", PASSPHRASE)
    kept.append(
        SignedReceipt(chain.chain_id, contract, unlicensed, key.sign(unlicensed.digest(chain.chain_id, contract)))
    )
    keep_receipts(path, kept)

    owner = world.network.actor("owner")
    with world.clock.settling():
        done = owner.run("access", asset=world.asset, mine=True, receipts=(path,), report=True)
    assert [item["error"] for item in done["reported"]] == [None, None]
    told = [(line["kind"], line["holder"], line["note"]) for line in done["access"]]
    assert ("reported", host.address, "wrong answer") in told
    assert ("reported", host.address, "unlicensed release") in told
    assert "released" in {kind for kind, _, _ in told}
    honest = {answer.operator for answer in seen.answers if answer.state == "right"}
    assert {("receipt", holder, "") for holder in honest} <= set(told)

    again = owner.run("access", asset=world.asset, receipts=(path,), report=True)["reported"]
    assert all(item["transaction"] is None and item["error"] for item in again)
    stranger = world.network.actor("stranger").run("access", asset=world.asset, mine=True)
    assert stranger["access"] == []


def test_no_secret_stands_in_what_a_run_leaves(world: World, secrets: Secrets) -> None:
    """What is asked, forced and kept here, beyond what a demo does (test_demo_secrets.py), leaves none either.

    Whatever ran here before, in this test at least a key was dealt, asked for, and opened.
    """
    only(world, 0, 1, 2)
    with ticking(world.clock):
        assert world.ask().data_key == world.data_key()
    secrets.add_all_of(world.network, PASSPHRASE)
    kinds = {"data key", "share", "polynomial", "threshold key", "licensee's key", "Ethereum key", "BLS key"}
    assert kinds | {"sealing key", "recovery key"} <= set(secrets.made)
    assert len(secrets.made["share"]) >= HOLDERS

    places = (world.network.folder, world.folder, state_folder())
    assert sum(path.is_file() for place in places for path in place.rglob("*")) > 20
    assert secrets.found_in(*places) == []


def test_a_silent_place_is_redrawn(world: World) -> None:
    """A drawn holder that is down loses its place to the next; the new key opens the same data."""
    network = world.network
    session = network.actor("owner").session
    parts = (world.asset, network.chain, session.sender, session.signer, network.shard)
    work = _Dealing(*parts, holder_seconds=20.0, timeout_seconds=SECONDS, tell=lambda _: None)
    down = [host for host in network.hosts if not host.process.running]
    if down:
        network.start_nodes(down)
    with ticking(world.clock, 0.2):
        work.choose(HOLDERS)
        drawn = network.views.key_holders(world.asset, work.epoch)
        silent = next(host for host in network.hosts if host.address == drawn[1])
        silent.process.kill()
        dealt = work.run(world.data_key(), 2)
    assert dealt.key_epoch == 2
    assert list(dealt.replaced) == [silent.address]
    assert (dealt.holders[0], dealt.holders[2]) == (drawn[0], drawn[2])
    assert silent.address not in dealt.holders
    with ticking(world.clock):
        released = world.ask()
    assert (released.key_epoch, released.data_key) == (2, world.data_key())


def test_an_owner_encrypts_anew(world: World, tmp_path: Path) -> None:
    """Stored again and added as a version: its key is a fresh one, which who had the old one doesn't know."""
    network, owner = world.network, world.network.actor("owner")
    down = [host for host in network.hosts if not host.process.running]
    if down:
        network.start_nodes(down)
    before, newest = world.data_key(), network.views.key_epochs(world.asset)[0]
    with world.clock.settling():
        # what these tests let holders miss is no measure of them
        words = {"tolerate_down": 1, "availability": 0.99}
        stored = owner.run("store", file=world.folder / "file", epochs=40, out_dir=tmp_path, **words)
    recovery = Path(stored["recovery"])
    with world.clock.settling(), ticking(world.clock, 0.2):
        made = owner.run("mint", version_of=world.asset, recovery=recovery, key_holder="drawn", holders="2/3")
    assert (made["version"], made["key"]["epoch"]) == (2, newest + 1)
    world.recovery = recovery
    with ticking(world.clock):
        released = world.ask()
        done = fetch_asset(
            world.asset,
            world.license,
            chain=network.chain,
            signer=network.actor("licensee").session.signer,
            out_path=tmp_path / "licensed",
        )
    assert released.key_epoch == newest + 1
    assert released.data_key == world.data_key() != before
    assert done.decrypted
    assert (tmp_path / "licensed").read_bytes() == world.plain
    with pytest.raises(DecryptionFailed):
        fetch_object(
            network.views.asset_objects(world.asset)[0],
            chain=network.chain,
            signer=owner.session.signer,
            out_path=tmp_path / "unread",
            data_key=before,
        )


def test_a_new_owner_deals_the_key_that_its_license_gives_it(world: World) -> None:
    """An asset changes hands: its key is stale until the new owner, who has no recovery file, takes and deals it."""
    network, clock = world.network, world.clock
    seller, buyer = network.actor("owner"), network.actor("stranger")
    down = [host for host in network.hosts if not host.process.running]
    if down:
        network.start_nodes(down)
    newest = network.views.key_epochs(world.asset)[0]
    with clock.settling():
        buyer.run("faucet", amount="1000")
        seller.run("transfer", asset=world.asset, to=buyer.address)
        offered = buyer.run("offer", asset=world.asset, price="25", purposes="train", days=365.0)
        bought = int(buyer.run("license", offer=int(offered["offer"]), max_price="25")["license"])
    assert network.views.key_epochs(world.asset) == (newest, newest, True)
    clock.mine(4)
    with clock.settling(), ticking(clock, 0.2):
        made = buyer.run("mint", asset=world.asset, license_=bought, key_holder="drawn", holders="2/3")
    assert made["key"]["epoch"] == newest + 1
    assert network.views.key_epochs(world.asset) == (newest + 1, newest + 1, False)
    with ticking(clock):
        released = world.ask()
    assert (released.key_epoch, released.data_key) == (newest + 1, world.data_key())
    with clock.settling():
        buyer.run("transfer", asset=world.asset, to=seller.address)


class Wallet:
    """A contract account: it signs by ERC-1271 with the key of ``signer``, and sends what it is told to."""

    def __init__(self, sender: Sender, signer: KeySigner) -> None:
        self.sender, self._signer = sender, signer
        made = load_artifacts(names=["SignerWallet"])["SignerWallet"]
        web3 = sender.chain.web3
        receipt = sender.send(web3.eth.contract(abi=made.abi, bytecode=made.bytecode).constructor(signer.address))
        self._contract = web3.eth.contract(address=receipt["contractAddress"], abi=made.abi)

    @property
    def address(self) -> str:
        """The contract's."""
        return str(self._contract.address)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """A contract signs no transaction."""
        raise AssertionError(transaction)

    def sign_typed_data(self, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> bytes:
        """What isValidSignature takes."""
        return self._signer.sign_typed_data(domain, types, message)

    def sign_message(self, text: str) -> bytes:
        """What isValidSignature takes."""
        return self._signer.sign_message(text)

    def send(self, function: Any) -> Any:
        """Have the contract call it, as a Sender would."""
        return self.sender.send(self._contract.functions.run(function.address, function._encode_transaction_data()))


def test_accounts_with_code_deal_and_are_licensed(world: World, tmp_path: Path) -> None:
    """Owner and licensee are contracts (ERC-1271): one deals a key to drawn holders, to the other they release it."""
    network, clock = world.network, world.clock
    chain = network.chain
    down = [host for host in network.hosts if not host.process.running]
    if down:
        network.start_nodes(down)
    owner, licensee = network.actor("owner").session, network.actor("licensee").session
    assets, licenses, payments = (chain.contract(name) for name in ("Assets", "Licenses", "Payments"))
    seller, buyer = Wallet(owner.sender, KeySigner.create()), Wallet(licensee.sender, KeySigner.create())
    asset, newest = world.asset, network.views.key_epochs(world.asset)[0]
    with clock.settling():
        owner.sender.send(assets.functions.transferFrom(owner.address, seller.address, asset))
    with ticking(clock, 0.2):
        dealt = deal_key(
            asset,
            world.data_key(),
            chain=chain,
            sender=seller,  # type: ignore[arg-type]
            signer=seller,
            shard=network.shard,
            threshold=2,
            holders=HOLDERS,
            timeout_seconds=SECONDS,
        )
    assert (dealt.key_epoch, len(dealt.holders)) == (newest + 1, HOLDERS)

    token = network.views.offer(world.offer)[0].token
    price = 10**6
    terms = OfferTerms(asset, token, price, 1, 86_400 * 30, 0, 10_000, bytes(32))
    with clock.settling():
        offer = int(
            events_in(seller.send(licenses.functions.publishOffer(terms.as_tuple())), licenses, "OfferPublished")[0][
                "offerId"
            ]
        )
        licensee.sender.send(chain.token(token).functions.transfer(buyer.address, price))
        buyer.send(chain.token(token).functions.approve(payments.address, price))
        sold = events_in(buyer.send(licenses.functions.buy(offer, terms.hash, price)), licenses, "LicenseSold")[0]
    number = int(sold["licenseId"])
    assert network.views.license(number).licensee == buyer.address
    clock.mine(4)
    with ticking(clock):
        assert open_asset(asset, number, chain=chain, signer=buyer) == world.data_key()
        assert network.views.license(number).released_at > 0
        # its contract doesn't take another key's word, at no holder
        forger = copy(buyer)
        forger._signer = KeySigner.create()
        with pytest.raises(NotLicensed, match="is not signed by its licensee"):
            open_asset(asset, number, chain=chain, signer=forger)
        # nodes ask no contract who reads slices: any account of its own does that
        fetch_object(
            network.views.asset_objects(asset)[0],
            chain=chain,
            signer=KeySigner.create(),
            out_path=tmp_path / "file",
            data_key=world.data_key(),
            expected_sha256=hashlib.sha256(world.plain).digest(),
        )
    assert (tmp_path / "file").read_bytes() == world.plain
