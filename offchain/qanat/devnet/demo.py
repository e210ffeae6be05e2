"""The main job: one file's whole life on a local chain, every part of it real.

Every step checks what it claims and raises :class:`ScenarioFailed` where it doesn't hold. What is written to
``build/demo.json`` was measured or read from the chain; a key that was not reached is absent.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qanat.chain.draws import follow
from qanat.chain.snapshots import SnapshotReader
from qanat.chain.views import DutyStatus
from qanat.client.release import held_key, request_shares
from qanat.devnet.accounts import Accounts
from qanat.devnet.actors import Actor
from qanat.devnet.anvil import Clock
from qanat.devnet.corruption import flip_byte
from qanat.devnet.liar import lying_holder
from qanat.devnet.network import Network, OperatorHost, together, wait_until
from qanat.errors import KeyUnavailable, LicenseError, NodeRefused, NodeUnreachable, NotLicensed, ScenarioFailed
from qanat.index import Index
from qanat.node.duty import non_signers_of

if TYPE_CHECKING:
    from rich.console import Console
    from web3.contract import Contract

__all__ = ["HONEST_EPOCHS", "Demo"]

#: Epochs in which everybody answers, before the one with the faults; the object's term is one more.
HONEST_EPOCHS = 3
TICKETS_EACH = 2
DOWN = 2
_STEP_SECONDS = 300.0
#: Blocks that a command uses at most: minting and dealing the key, offering, buying, fetching.
_MINT_BLOCKS, _OFFER_BLOCKS, _BUY_BLOCKS, _FETCH_BLOCKS = 8, 2, 5, 3
#: So many of the holders open the key.
_THRESHOLD, _HOLDERS = 2, 3

Tell = Callable[[str], None]


@dataclass
class Demo:
    """One run. ``network`` has chain and contracts; ``tell`` is told each step."""

    network: Network
    clock: Clock
    file: Path
    operators: int
    tell: Tell
    #: Where bars show how far storing and fetching are.
    watcher: Console | None = None
    result: dict[str, Any] = field(default_factory=dict)
    #: (who, what) for the table at the end.
    story: list[tuple[str, str]] = field(default_factory=list)
    _object_id: bytes = b""
    _recovery: Path = Path()
    _first_epoch: int = 0
    _passed: int = 0
    _asset: int = 0
    _license: int = 0

    @property
    def hosts(self) -> list[OperatorHost]:
        """The operators' machines."""
        return self.network.hosts

    def run(self) -> dict[str, Any]:
        """Do everything, and return what ``build/demo.json`` holds."""
        started = time.monotonic()
        with self._step("operators register, restakers stake, a roster is taken"):
            self.gather_operators()
        with self._step("one process per node starts"):
            self.network.start_nodes()
        with self._step("the file is encrypted, encoded, paid for, sent and certified"):
            self.store()
        with self._step("the owner mints the asset and offers it, a licensee buys"):
            self.license()
        self.pass_epochs(room=_FETCH_BLOCKS)
        with self._step(
            f"the licensee fetches while {DOWN} operators are down, a holder of the key too; a stranger tries"
        ):
            self.fetch()
        with self._step("another holder of the key lies"):
            self.lie()
        while self._passed < HONEST_EPOCHS:
            self.pass_epoch()
        with (
            self._step(f"epoch {self.epoch(HONEST_EPOCHS)}: one disk is damaged, one node killed"),
            self.clock.gathering(),
        ):
            self.faulty_epoch(self.epoch(HONEST_EPOCHS))
        with self._step("the term is over: everybody withdraws"):
            self.withdraw()
        with self._step("an auditor verifies everything again"):
            self.audit()
        self.result["epochs"] = HONEST_EPOCHS + 1
        self.result["seconds"] = round(time.monotonic() - started, 1)
        return self.result

    @contextmanager
    def _watched(self, role: str) -> Iterator[Actor]:
        """Show how far a person's command is."""
        actor = self.network.actor(role)
        actor.session.watcher = self.watcher
        try:
            yield actor
        finally:
            actor.session.watcher = None

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        self.tell(what)
        yield
        self.clock.check()

    # ---- (b) stake, operators, roster, nodes

    def gather_operators(self) -> None:
        """Register operators, one through Ape's command line; stake; take a roster and wait for its first epoch."""
        network = self.network
        network.add_hosts(self.operators)
        network.give_tokens()
        network.enroll(TICKETS_EACH, ape_index=len(self.hosts) - 1)
        roster = network.take_roster()
        if sorted(roster.operators) != sorted(host.address for host in self.hosts):
            raise ScenarioFailed(f"The roster holds {roster.operators}, not all operators.")
        self.clock.mine_to(network.views.seed_block(network.shard, roster.head.active_from_epoch))
        self.result["operators"] = [host.address for host in self.hosts]
        self._note(
            "operators", f"{len(self.hosts)} with {roster.tickets} tickets, one registered by `ape run register`"
        )
        for host in self.hosts:
            self._configure(host)

    def _configure(self, host: OperatorHost) -> None:
        """Let the node look at the chain often: its blocks pass faster here than anywhere."""
        settings = json.loads(host.config.read_text())
        settings.update(pollSeconds=0.4, turnSeconds=0.2)
        host.config.write_text(json.dumps(settings, indent=2))

    # ---- (c) store

    def store(self) -> None:
        """Store the file for the epochs of the scenario."""
        data = self.file.read_bytes()
        self.result["file"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self._wait_for_room()
        folder = self.network.folder / "owner"
        folder.mkdir(parents=True, exist_ok=True)
        with self.clock.settling(), self._watched("owner") as owner:
            stored = owner.run(
                "store", file=self.file, epochs=HONEST_EPOCHS + 1, out_dir=folder, tolerate_down=DOWN, name="file"
            )
        self._object_id = bytes.fromhex(stored["objectId"][2:])
        if stored["absent"]:
            raise ScenarioFailed(f"Not all operators signed: {stored['absent']}")
        if stored["firstEpoch"] + HONEST_EPOCHS + 1 != stored["endEpoch"]:
            raise ScenarioFailed(f"The term is {stored['firstEpoch']} to {stored['endEpoch']}.")
        self.result.update(slices=stored["slices"], k=stored["k"], w=stored["width"])
        self._recovery = Path(stored["recovery"])
        self._first_epoch = int(stored["firstEpoch"])
        overhead = stored["slices"] * 32 * stored["width"] / max(1, len(data))
        self._note(
            "object",
            f"{stored['slices']} slices: {stored['matrices']} matrices of {stored['n']}, any {stored['k']} restore it"
            f"; w = {stored['width']}; {overhead:.2f} bytes stored per byte",
        )

    def _wait_for_room(self) -> None:
        """Go past the next frozen block: as many blocks as can be lie between certification and the first duty."""
        views, shard = self.network.views, self.network.shard
        epoch = views.epoch_at(shard, self.clock.block) + 1
        if views.frozen_block(shard, epoch) < self.clock.block:
            epoch += 1
        self.clock.mine_to(views.frozen_block(shard, epoch) + 1)

    def epoch(self, number: int) -> int:
        """Return the object's epoch by its place in the term."""
        return self._first_epoch + number

    # ---- (e) ownership

    def license(self) -> None:
        """Mint, deal the key to drawn holders, publish an offer, buy a license."""
        owner, licensee = self.network.actor("owner"), self.network.actor("licensee")
        self.pass_epochs(room=_MINT_BLOCKS)
        with self._blocks_until_drawn():  # nobody waits for these blocks to be final
            minted = owner.run("mint", recovery=self._recovery, key_holder="drawn", holders=f"{_THRESHOLD}/{_HOLDERS}")
        self._asset = int(minted["asset"])
        self.result["key_threshold"], self.result["key_holders"] = _THRESHOLD, minted["key"]["holders"]
        self._note("key", f"dealt to {_HOLDERS} drawn operators, any {_THRESHOLD} of whom release it")
        self.pass_epochs(room=_OFFER_BLOCKS)
        offered = owner.run("offer", asset=self._asset, price="25", purposes="train,evaluate", days=365.0)
        self.pass_epochs(room=_BUY_BLOCKS)
        bought = licensee.run("license", offer=int(offered["offer"]), max_price="25")
        self.clock.mine(Clock.FOLLOWING)
        self._license = int(bought["license"])
        self._note("license", f"number {self._license} of asset {self._asset}, for {', '.join(bought['purposes'])}")

    @contextmanager
    def _blocks_until_drawn(self) -> Iterator[None]:
        """Let the blocks come that draw the holders, as on a chain that lives; none beyond."""
        ended = threading.Event()
        keys, number = self.network.views.keys(), int(self.network.chain.call(self._assets.functions.count())) + 1

        def go() -> None:
            while not ended.wait(0.3):
                newest, _, _ = self.network.views.key_epochs(number)
                if newest:
                    self.clock.mine_to(self.network.views.key(number, newest, keys=keys.address).seed_block + 1)
                    return

        thread = threading.Thread(target=go, name="blocks", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10)

    @property
    def _assets(self) -> Contract:
        return self.network.chain.contract("Assets")

    def _holder_hosts(self) -> list[OperatorHost]:
        """Machines of the key's holders, by place."""
        by_address = {host.address: host for host in self.hosts}
        return [by_address[holder] for holder in self.result["key_holders"]]

    def fetch(self) -> None:
        """Take two operators down, one a holder of the key; fetch as licensee, owner and stranger; bring them back."""
        holders = self._holder_hosts()
        others = [host for host in self.hosts if host not in holders]
        down = [holders[-1], *others[: DOWN - 1]]
        for host in down:
            host.process.kill()
        gone = [host.address for host in down if not host.is_healthy()]
        restored = self.network.folder / "licensee.restored"
        with self._watched("licensee") as licensee:
            done = licensee.run("fetch", asset=self._asset, out=restored, force=True)
        sha256 = hashlib.sha256(restored.read_bytes()).hexdigest()
        if sha256 != self.result["file"]["sha256"] or done["sha256"].removeprefix("0x") != sha256:
            raise ScenarioFailed(f"The restored file has SHA-256 {sha256}.")
        if set(done["slices"]) & set(gone):
            raise ScenarioFailed("A node that is down served slices.")
        dead = [holder["operator"] for holder in done["holders"] if holder["state"] == "unreachable"]
        if dead != [holders[-1].address]:
            raise ScenarioFailed(f"Named as dead holders of the key: {dead}.")
        self.result["dead_key_holders"] = dead
        self.result["restored_sha256"] = sha256
        self.result["down_during_fetch"] = gone
        again = self.network.folder / "owner.restored"
        self.network.actor("owner").run("fetch", recovery=self._recovery, out=again, force=True)
        if hashlib.sha256(again.read_bytes()).hexdigest() != sha256:
            raise ScenarioFailed("The owner's recovery file did not bring the file back.")
        self.result["stranger_refused"] = self._stranger_is_refused()
        self.network.start_nodes(down)
        self._note("key", f"released by {_THRESHOLD} of {_HOLDERS} holders with the other one killed, which is named")
        self._note(
            "fetch", f"licensee and owner restored {len(restored.read_bytes())} bytes with {len(gone)} nodes killed"
        )
        self._note("stranger", "refused the key by chain and holders; got ciphertext only")

    def lie(self) -> None:
        """Let a holder's answer be wrong: the licensee opens the key with the others', and names the liar."""
        from qanat.keys.recovery import RecoveryFile

        chain, licensee = self.network.chain, self.network.actor("licensee")
        liar, held = self._holder_hosts()[0], held_key(self._asset, chain=chain)
        if held is None:
            raise ScenarioFailed("The chain has no key of the asset.")
        liar.process.kill()
        with lying_holder(liar, held, 0, licensee.address, chain.latest()):
            released = request_shares(
                self._asset,
                self._license,
                chain=chain,
                signer=licensee.session.signer,
                held=held,
                patience_seconds=_STEP_SECONDS,
            )
        self.network.start_nodes([liar])
        if list(released.liars) != [liar.address]:
            raise ScenarioFailed(f"Named as lying holders of the key: {released.liars}.")
        if released.data_key != RecoveryFile.load(self._recovery).open(self.network.actor("owner").session.signer):
            raise ScenarioFailed("The holders released another key.")
        self.result["lying_key_holders"] = list(released.liars)
        self._note("key", "opened against a wrong answer of a holder, which is named by its own signature")

    def _stranger_is_refused(self) -> bool:
        """A stranger asks for the key, also with somebody else's license, then takes what anybody can get."""
        stranger, chain = self.network.actor("stranger"), self.network.chain
        try:
            stranger.run("fetch", asset=self._asset, out=self.network.folder / "stranger.plain", force=True)
        except NotLicensed:
            pass
        else:
            raise ScenarioFailed("A stranger without a license fetched the asset.")
        try:
            request_shares(self._asset, self._license, chain=chain, signer=stranger.session.signer)
        except (LicenseError, KeyUnavailable, NodeRefused):
            pass
        else:
            raise ScenarioFailed("A stranger got the key with somebody else's license.")
        taken = self.network.folder / "stranger.bytes"
        stranger.run("fetch", object_id="0x" + self._object_id.hex(), out=taken, force=True)
        plain, cipher = self.file.read_bytes(), taken.read_bytes()
        if plain and (plain[:64] in cipher or hashlib.sha256(cipher).hexdigest() == self.result["file"]["sha256"]):
            raise ScenarioFailed("What strangers can fetch is not encrypted.")
        return True

    # ---- (d) epochs

    def pass_epochs(self, room: int) -> None:
        """Pass honest epochs until so many blocks are left before the next seed block."""
        while self.clock.block + room >= self.network.views.seed_block(self.network.shard, self.epoch(self._passed)):
            if self._passed == HONEST_EPOCHS:
                raise ScenarioFailed(f"No {room} blocks without a response window are left.")
            self.pass_epoch()

    def pass_epoch(self) -> None:
        """Pass the next honest epoch."""
        epoch = self.epoch(self._passed)
        with self._step(f"epoch {epoch}: every operator answers"), self.clock.gathering():
            self.honest_epoch(epoch)
        self._passed += 1

    def honest_epoch(self, epoch: int) -> None:
        """Let an epoch pass in which everybody answers and is paid."""
        self._begin(epoch)
        for host in self.hosts:
            self._wait_for(epoch, host, DutyStatus.ANSWERED)
        self._end(epoch)
        views, shard = self.network.views, self.network.shard
        for host in self.hosts:
            wait_until(
                f"{host.address} settles epoch {epoch}",
                lambda host=host: views.is_settled(shard, epoch, host.address),  # type: ignore[misc]
                _STEP_SECONDS,
            )
        self._note(f"epoch {epoch}", f"{len(self.hosts)} answers, all paid")

    def faulty_epoch(self, epoch: int) -> None:
        """Pause one operator, seal, flip a byte of a drawn slice, resume; kill another; see both slashed."""
        damaged, killed = self.hosts[-1], self.hosts[-2]
        damaged.process.pause()
        killed.process.kill()
        self._begin(epoch)
        object_id, index = self._drawn_slice(epoch, damaged)
        offset = flip_byte(damaged.slices, object_id, index)
        damaged.process.resume()
        others = [host for host in self.hosts if host not in (damaged, killed)]
        for host in others:
            self._wait_for(epoch, host, DutyStatus.ANSWERED)
        wait_until(f"{damaged.address} sees the damage", lambda: self._says_unable(damaged, epoch), _STEP_SECONDS)
        self._end(epoch)
        self.result["corrupted"], self.result["killed"] = [damaged.address], [killed.address]
        self._note("damage", f"slice {index}, byte {offset} of the store's file; and one node killed for good")
        self._punish(epoch, [damaged, killed])
        views, shard = self.network.views, self.network.shard
        for host in others:
            wait_until(
                f"{host.address} settles epoch {epoch}",
                lambda host=host: views.is_settled(shard, epoch, host.address),  # type: ignore[misc]
                _STEP_SECONDS,
            )

    def _begin(self, epoch: int) -> None:
        """Go to an epoch's seed block and wait until somebody seals it."""
        views, shard = self.network.views, self.network.shard
        self.clock.mine_to(views.seed_block(shard, epoch) + 1)
        wait_until(f"epoch {epoch} is sealed", lambda: views.seed(shard, epoch).is_sealed, _STEP_SECONDS)

    def _end(self, epoch: int) -> None:
        """Go past an epoch's deadline, and let settlements pass."""
        views, shard = self.network.views, self.network.shard
        self.clock.mine_to(views.seed(shard, epoch).deadline + 2)

    def _wait_for(self, epoch: int, host: OperatorHost, status: DutyStatus) -> None:
        views, shard = self.network.views, self.network.shard
        wait_until(
            f"epoch {epoch}: {host.address} is {status.name.lower()}",
            lambda: views.duty(shard, epoch, host.address) is status,
            _STEP_SECONDS,
        )

    def _drawn_slice(self, epoch: int, host: OperatorHost) -> tuple[bytes, int]:
        """Return an object and slice that the operator's draw names."""
        views = self.network.views
        draw = SnapshotReader(views).draw(self.network.shard, epoch, host.address)
        reads = follow(draw, epoch, lambda listed: non_signers_of(views, listed.object_id, epoch))
        for read in reads:
            if read.void is None:
                return read.object_id, read.slice
        raise ScenarioFailed(f"The draw of {host.address} names no live slice.")

    def _says_unable(self, host: OperatorHost, epoch: int) -> bool:
        try:
            duties = host.status()["duties"]
        except NodeUnreachable:
            return False
        return any(item["epoch"] == epoch and item["state"] == "unable" for item in duties)

    def _punish(self, epoch: int, guilty: list[OperatorHost]) -> None:
        """Let the auditor report, wait out the resolution delay, carry out the slashes; compare with the chain."""
        auditor = self.network.actor("auditor")
        index = self.network.folder / "auditor.sqlite"
        auditor.run("audit", act=True, index=index)
        for host in guilty:
            self._wait_for(epoch, host, DutyStatus.MISSED)
        restaking = self.network.chain.contract("Restaking")
        self.clock.mine(int(self.network.chain.call(restaking.functions.resolutionDelay())) + 3)
        auditor.run("audit", act=True, index=index)
        self.clock.mine(3)
        with Index(index, self.network.chain) as found:
            found.sync()
            slashes = found.slashes()
        slashed = [item.operator for item in slashes if item.executed_block is not None and item.bond_taken > 0]
        if sorted(slashed) != sorted(host.address for host in guilty):
            raise ScenarioFailed(f"Slashed: {slashed}; should be {[host.address for host in guilty]}.")
        self.result["slashed"] = slashed
        for item in slashes:
            if not item.stake_taken or item.reporter_reward * 2 > item.bond_taken:
                raise ScenarioFailed(f"The slash of {item.operator} is not what its roster says.")
        taken = sum(item.bond_taken for item in slashes)
        reward = sum(item.reporter_reward for item in slashes)
        self._note(
            "slashes", f"{len(slashes)}: {taken / 1e18:g} of bonds ({reward / 1e18:g} to the reporter), stake burned"
        )

    # ---- withdrawals and the books

    def withdraw(self) -> None:
        """Undelegate, leave, wait for what binds, and pay out everybody; then compare every unit."""
        network = self.network
        with self.clock.settling():
            together(self._undelegate, network.restakers)
            together(lambda host: host.actor.run("exit"), self.hosts)
        self.clock.mine_to(self._free_block())
        people = [
            *network.restakers,
            *[host.actor for host in self.hosts],
            network.actor("owner"),
            network.actor("auditor"),
        ]
        with self.clock.settling():
            # what operators settle here is their restakers' too
            together(lambda host: host.actor.run("claim"), self.hosts)
            together(lambda person: person.run("claim"), people)
            together(self._withdraw, people)
        accounts = Accounts(network, [*people, network.actor("licensee"), network.actor("governor")])
        self.result["paid"] = accounts.paid()
        self.result["unaccounted"] = accounts.unaccounted()
        wrong = {token: units for token, units in self.result["unaccounted"].items() if units}
        if wrong:
            raise ScenarioFailed(f"The books do not close: {wrong}")
        for line in accounts.lines():
            self._note(*line)

    def _withdraw(self, person: Actor) -> None:
        left = person.run("withdraw", keep=False)["waiting"]
        if left:
            raise ScenarioFailed(f"{person.role} {person.address} cannot withdraw: {left}")

    def _undelegate(self, person: Actor) -> None:
        views, shard = self.network.views, self.network.shard
        for host in self.hosts:
            for item in views.collaterals(shard):
                if views.shares(person.address, host.address, item.token):
                    person.run("undelegate", operator=host.address, token=item.token, everything=True)

    def _free_block(self) -> int:
        """The block from which on nothing binds anybody's stake."""
        views, chain = self.network.views, self.network.chain
        now = chain.latest()
        bound = max(views.bound_until(host.address, 0, now) for host in self.hosts)
        return max(bound, now + views.withdrawal_delay()) + 1

    # ---- (f) audit

    def audit(self) -> None:
        """Let `ape run audit`, a process of its own, verify everything from chain data and manifests."""
        report = json.loads(
            self.network.ape("audit", "--json", "--index", str(self.network.folder / "audit.sqlite")).strip()
        )
        if not report["clean"]:
            raise ScenarioFailed(f"The auditor found: {report['findings']}")
        expected = {
            "certificates": 1,
            "responses": HONEST_EPOCHS * len(self.hosts) + len(self.hosts) - 2,
            "faults": 2,
        }
        self.result["audit"] = {name: report[name] for name in expected}
        if self.result["audit"] != expected:
            raise ScenarioFailed(f"The auditor verified {self.result['audit']}, not {expected}.")
        self._note("audit", ", ".join(f"{count} {name}" for name, count in expected.items()) + " verified again")

    def _note(self, who: str, what: str) -> None:
        self.story.append((who, what))
