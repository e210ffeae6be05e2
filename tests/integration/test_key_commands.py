"""Commands about keys on a real chain where no node runs: keys that their owner holds, choices of holders, reports."""

from __future__ import annotations

import asyncio
import secrets
from types import SimpleNamespace

import pytest

from qanat import bls
from qanat.chain.sender import Sender
from qanat.cli.command import development_account
from qanat.client import fetch
from qanat.client.dealing import _Dealing
from qanat.client.release import force_release, held_key
from qanat.errors import KeyUnavailable, NodeRefused
from qanat.keys.recovery import RecoveryFile
from qanat.objects import encode
from tests.integration import test_commands as people
from tests.integration.test_commands import LICENSEE, OPERATORS, OWNER, STRANGER, mine, register, run, stored_object

world, undone = people.world, people.undone
HOLDERS = ("--key-holder", "drawn", "--holders")


@pytest.fixture
def stored(world, tmp_path):
    """An object of the owner's, with its recovery file."""
    signer, data_key = development_account(OWNER), secrets.token_bytes(32)
    roster = world.views.roster(1, world.views.active_roster(1))
    encoded = encode(secrets.token_bytes(1000), k=4, n=roster.tickets, width=64)
    object_id = stored_object(world, encoded=encoded)
    path = tmp_path / "recovery.json"
    objects = world.chain.contract("Objects").address
    made = RecoveryFile.seal(
        data_key=data_key,
        manifest=encoded.manifest,
        object_id=object_id,
        chain_id=world.chain.chain_id,
        contract=objects,
        account=signer,
        extra={"sha256": "ab" * 32},
    )
    made.save(path)
    return SimpleNamespace(object_id=object_id, recovery=path, data_key=data_key)


@pytest.fixture
def dealt(world, stored, monkeypatch):
    """An asset whose key three of the four operators hold: their own BLS keys sign, as nodes would."""
    for number, account in enumerate(OPERATORS):
        register(world, number, account, "--hold-keys")
    bls_keys = {
        world.address(account): bls.load_key(world.folder / f"node{number}" / "keys" / "bls.json", "word")
        for number, account in enumerate(OPERATORS)
    }

    async def acknowledged(_self, _roster, _place, holder, digest, _dealing, _http):
        await asyncio.sleep(0)
        if holder in lost:
            raise NodeRefused(f"{holder} is away")
        return bls_keys[holder].sign(digest)

    lost: set[str] = set()
    monkeypatch.setattr(_Dealing, "_acknowledged", acknowledged)
    monkeypatch.setattr(
        _Dealing, "_wait_for_block", lambda work, block: mine(world, max(0, block - work.chain.latest()))
    )
    minted = run("mint", "--recovery", stored.recovery, *HOLDERS, "2/3", account=OWNER)
    return SimpleNamespace(asset=minted["asset"], key=minted["key"], lost=lost)


class TestRegister:
    def test_holding_keys_is_accepted_once_and_only_by_who_says_so(self, world):
        """Keys becomes a slasher of the stake: never by itself, and a second time costs nothing."""
        keys = world.views.keys().address
        one, other = OPERATORS[0], OPERATORS[1]
        register(world, 1, other)
        done = register(world, 0, one, "--hold-keys")
        assert done["transactions"]
        assert world.views.accepted(world.address(one), keys, 1)
        assert not world.views.accepted(world.address(other), keys, 1)
        assert register(world, 0, one, "--hold-keys")["transactions"] == {}


class TestMint:
    def test_a_key_that_its_owner_holds_goes_nowhere(self, world, stored):
        """No holder is named on chain, nothing is dealt; who loses the recovery file is warned."""
        minted = run("mint", "--recovery", stored.recovery, "--key-holder", "self", account=OWNER)
        assert (minted["key_holder"], minted["key"]) == (None, None)
        assert "keyHolder" not in minted["metadata"]
        assert world.views.asset_objects(minted["asset"]) == [stored.object_id]
        assert world.views.key_epochs(minted["asset"])[:2] == (0, 0)
        words = ("--asset", minted["asset"], "--recovery", stored.recovery, "--key-holder", "self")
        run("mint", *words, account=OWNER, code=14)  # there is no key to leave with anybody

    def test_a_choice_of_holders_that_is_none_costs_nothing(self, world, stored):
        """No fraction; a threshold below 1 or above the holders; more than the shard, or any key, can have."""
        before = world.chain.latest()
        for holders in ("2", "2/", "/3", "a/b", "0/3", "4/3", "2/5", "1/65", "-1/3", "2/3/4"):
            run("mint", "--recovery", stored.recovery, *HOLDERS, holders, account=OWNER, code=14)
        assert world.chain.latest() == before

    def test_a_choice_of_holders_needs_drawn_ones(self, world, stored):
        before = world.chain.latest()
        for more in ((), ("--key-holder", "self"), ("--key-holder", world.address(OPERATORS[0]))):
            run("mint", "--recovery", stored.recovery, "--holders", "2/3", *more, account=OWNER, code=14)
        assert world.chain.latest() == before

    def test_a_dealing_is_sent_again_for_nothing(self, world, dealt, stored):
        """To its holders; who doesn't take it is named. Nobody else has it, and no other choice goes with it."""
        before = world.chain.latest()
        again = ("mint", "--asset", dealt.asset, "--key-holder", "drawn", "--resend")
        done = run(*again, account=OWNER)
        assert done["key"] == {"epoch": 1, "holders": dealt.key["holders"], "failed": {}}
        silent = dealt.key["holders"][1]
        dealt.lost.add(silent)
        assert list(run(*again, account=OWNER)["key"]["failed"]) == [silent]
        run(*again, account=STRANGER, code=KeyUnavailable.exit_code)
        run(*again, "--recovery", stored.recovery, account=OWNER, code=14)
        run(*again, "--holders", "2/3", account=OWNER, code=14)
        run(*again[:3], "--resend", account=OWNER, code=14)
        run("mint", "--key-holder", "drawn", "--resend", account=OWNER, code=14)
        assert world.chain.latest() == before

    def test_a_new_owner_deals_the_key_that_a_license_gives_it(self, world, dealt, stored, monkeypatch):
        """It has no recovery file. The key of the former owner's draw is stale, and serves until then."""
        run("faucet", "--amount", "1000", account=STRANGER)
        run("transfer", "--asset", dealt.asset, "--to", world.address(STRANGER), account=OWNER)
        offer = run("offer", "--asset", dealt.asset, "--price", "1", account=STRANGER)["offer"]
        bought = run("license", "--offer", offer, account=STRANGER)["license"]
        assert world.views.key_epochs(dealt.asset) == (1, 1, True)
        asked = []

        def open_asset(asset, license_id, **_):
            asked.append((asset, license_id))
            return stored.data_key

        monkeypatch.setattr(fetch, "open_asset", open_asset)
        again = ("mint", "--asset", dealt.asset, "--license", bought)
        run(*again, *HOLDERS, "2/3", account=OWNER, code=14)
        run(*again, "--key-holder", "self", account=STRANGER, code=14)
        assert asked == []
        done = run(*again, *HOLDERS, "2/3", account=STRANGER)
        assert (asked, done["key"]["epoch"]) == ([(dealt.asset, bought)], 2)
        assert world.views.key_epochs(dealt.asset) == (2, 2, False)


class TestAccess:
    def test_reports_need_an_account_and_something_to_report(self, world, tmp_path):
        run("access", "--report", code=14)
        run("access", "--release", "0x" + "11" * 32, account=LICENSEE, code=14)
        run("access", "--report", "--release", "0x12", account=LICENSEE, code=13)
        run("access", "--report", "--release", "0x" + "11" * 32, account=LICENSEE, code=34)
        damaged = tmp_path / "receipts.jsonl"
        damaged.write_text('{"chainId": 1}\n')
        assert "Line 1" in run("access", "--receipts", damaged, code=20)["message"]
        before = world.chain.latest()
        done = run("access", "--report", account=LICENSEE)
        assert [(item["says"], item["error"]) for item in done["reported"]] == [("No receipt proves a fault.", None)]
        assert world.chain.latest() == before

    def test_silent_holders_are_reported_after_the_deadline_and_once(self, world, dealt):
        """Each by a transaction of its own, and what was not answered comes back."""
        offer = run("offer", "--asset", dealt.asset, "--price", "5", "--earned-at-release", "0", account=OWNER)["offer"]
        bought = run("license", "--offer", offer, account=LICENSEE)["license"]
        mine(world, 4)
        chain, sender = world.chain, Sender(world.chain, development_account(LICENSEE))
        held = held_key(dealt.asset, chain=chain)
        with pytest.raises(KeyUnavailable) as found:
            force_release(dealt.asset, bought, chain=chain, sender=sender, held=held, timeout_seconds=0.0)
        release = found.value.data["release"]
        words = ("access", "--asset", dealt.asset, "--report", "--release", release)
        run(*words, account=LICENSEE, code=14)  # they may still answer
        mine(world, world.views.forced_release(bytes.fromhex(release[2:])).deadline + 1 - chain.latest())
        done = run(*words, account=LICENSEE)
        assert [item["error"] for item in done["reported"]] == [None] * 4
        kinds = [line["kind"] for line in done["access"]]
        assert sorted(kinds) == ["forced", "reported", "reported", "reported", "settled"]
        told = [(line["holder"], line["note"]) for line in done["access"] if line["kind"] == "reported"]
        assert told == [(holder, "silent") for holder in held.holders]
        assert run(*words, account=STRANGER)["reported"] == []
