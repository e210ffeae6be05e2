"""Parameters of networks: every inequality that guards stake is checked before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from qanat.chain.parameters import load_parameters
from qanat.errors import BadParameters, FileUnreadable

NETWORKS = Path(__file__).resolve().parents[2] / "networks"


@pytest.fixture
def write(tmp_path):
    """Return what loads the local parameters with entries changed: a path of keys, joined by slashes, and a value."""

    def _write(changes=None, removed=()):
        content = yaml.safe_load((NETWORKS / "local.yaml").read_text())
        for keys, value in (changes or {}).items():
            table, last = content, keys.split("/")
            for key in last[:-1]:
                table = table[key]
            table[last[-1]] = value
        for keys in removed:
            table, last = content, keys.split("/")
            for key in last[:-1]:
                table = table[key]
            del table[last[-1]]
        path = tmp_path / "changed.yaml"
        path.write_text(yaml.safe_dump(content))
        return load_parameters(path)

    return _write


class TestFiles:
    @pytest.mark.parametrize("path", sorted(NETWORKS.glob("*.yaml")), ids=lambda path: path.stem)
    def test_every_network_of_the_repository_holds_together(self, path):
        """And is named as its file."""
        assert load_parameters(path).network == path.stem

    def test_the_local_ones_are_the_small_set(self):
        """Minutes stand for months."""
        local = load_parameters(NETWORKS / "local.yaml")
        delays, main = local.delays, local.shards["main"]
        assert (delays.withdrawal, delays.resolution, delays.guardian, delays.timelock) == (66, 3, 3, 90)
        assert (main.epoch, main.finality, main.sealing, main.window, main.reporting) == (20, 2, 20, 8, 10)

    @pytest.mark.parametrize(("network", "chain_id"), [("sepolia", 11155111), ("hoodi", 560048), ("galileo", 16602)])
    def test_live_networks_have_their_chain_ids_and_are_not_disposable(self, network, chain_id):
        """A deployment there is never made anew by itself."""
        parameters = load_parameters(NETWORKS / f"{network}.yaml")
        assert parameters.chain_id == chain_id
        assert not parameters.disposable

    def test_a_network_without_a_file_is_told_with_those_that_have_one(self, monkeypatch):
        """By name."""
        monkeypatch.setenv("QANAT_NETWORKS", str(NETWORKS))
        with pytest.raises(FileUnreadable, match="galileo, hoodi, local, sepolia"):
            load_parameters("mainnet")

    @pytest.mark.parametrize("text", ["{", "- 1", "", "\0"])
    def test_what_is_no_table_is_refused(self, tmp_path, text):
        """With the file named."""
        path = tmp_path / "broken.yaml"
        path.write_text(text)
        with pytest.raises(BadParameters, match="broken.yaml"):
            load_parameters(path)


class TestEntries:
    def test_amounts_are_whole_numbers(self, write):
        """Plain, in quotes, or with an exponent."""
        parameters = write({"shards/main/ticket_price": "15e3", "shards/main/stake_slash_per_ticket": "15000"})
        assert parameters.shards["main"].ticket_price == parameters.shards["main"].stake_slash_per_ticket == 15_000

    @pytest.mark.parametrize("value", [1.5, 1e3, -1, True, None, "1.5e3", "1e-3", "ten", "", "0x10", [1]])
    def test_other_amounts_are_refused(self, write, value):
        """A fraction, a float that YAML makes of 1.0e+3, a sign, hexadecimal."""
        with pytest.raises(BadParameters, match="ticket_price is a whole number"):
            write({"shards/main/ticket_price": value})

    @pytest.mark.parametrize("name", ["network", "chain_id", "delays", "tokens", "shards", "delays/timelock"])
    def test_missing_entries_are_named(self, write, name):
        """The last part of their path."""
        with pytest.raises(BadParameters, match=f"{name.split('/')[-1]} is missing"):
            write(removed=[name])

    @pytest.mark.parametrize("name", ["typo", "delays/typo", "tokens/QUSD/typo", "shards/main/typo"])
    def test_unknown_entries_are_named(self, write, name):
        """A misspelt one would otherwise be passed over."""
        with pytest.raises(BadParameters, match="unknown entries: typo"):
            write({name: 1})

    @pytest.mark.parametrize("address", ["0x12", "me", 12])
    def test_addresses_are_addresses(self, write, address):
        """Of governor, guardian and tokens."""
        with pytest.raises(BadParameters, match="governor is an address"):
            write({"governor": address})

    def test_a_token_needs_a_known_role(self, write):
        """One at least."""
        for roles in ([], ["money"], "bond"):
            with pytest.raises(BadParameters, match="roles"):
                write({"tokens/QUSD/roles": roles})

    def test_no_test_tokens_on_ethereum_itself(self, write):
        """Nobody gives away value there."""
        with pytest.raises(BadParameters, match="not made on Ethereum itself"):
            write({"chain_id": 1})

    @pytest.mark.parametrize(
        ("entry", "symbol"), [("bond_token", "QUSD"), ("payment_token", "QBOND"), ("payment_token", "NONE")]
    )
    def test_a_shards_tokens_have_the_roles_it_gives_them(self, write, entry, symbol):
        """Else a deployment would fail half-way."""
        with pytest.raises(BadParameters, match=symbol):
            write({f"shards/main/{entry}": symbol})


class TestInequalities:
    """Each holds with equality at its edge, and is refused one beyond."""

    def test_the_withdrawal_delay_outlasts_what_can_be_owed(self, write):
        """epoch + sealing + window + reporting + resolution + guardian = 64."""
        write({"delays/withdrawal": 64})
        with pytest.raises(BadParameters, match="= 64"):
            write({"delays/withdrawal": 63})

    @pytest.mark.parametrize(
        "name",
        ["delays/resolution", "delays/guardian", "shards/main/sealing", "shards/main/window", "shards/main/reporting"],
    )
    def test_every_period_counts_in_it(self, write, name):
        """Three blocks more of any one pass the 66."""
        local = load_parameters(NETWORKS / "local.yaml")
        kind, *_, label = name.split("/")
        value = getattr(local.delays if kind == "delays" else local.shards["main"], label)
        write({name: value + 2})
        with pytest.raises(BadParameters, match="withdrawal delay"):
            write({name: value + 3})

    def test_a_window_is_shorter_than_an_epoch(self, write):
        """Else nodes would serve few rows at all times."""
        delays = {"delays/withdrawal": 90, "delays/timelock": 120}
        write({**delays, "shards/main/window": 19})
        with pytest.raises(BadParameters, match="window of 20 blocks is not shorter than the epoch of 20"):
            write({**delays, "shards/main/window": 20})

    def test_the_timelock_outlasts_withdrawal_and_an_epoch(self, write):
        """By one block at least (I-D1)."""
        write({"delays/timelock": 87})
        with pytest.raises(BadParameters, match="timelock of 86"):
            write({"delays/timelock": 86})

    def test_a_term_outlasts_its_last_epochs_closing(self, write):
        """Else more rosters would be live than the contracts look at."""
        write({"shards/main/term_epochs": 2})
        with pytest.raises(BadParameters, match="term of 20"):
            write({"shards/main/term_epochs": 1})

    @pytest.mark.parametrize(
        ("entry", "low", "high"),
        [
            ("finality", 1, 20),
            ("sealing", 1, 22),
            ("samples", 1, 64),
            ("max_operators", 1, 1_000),
            ("unproven_to_payer_bps", 0, 10_000),
            ("jail_misses", 1, 2**16 - 1),
            ("jail_epochs", 1, 10**6),
            ("max_rows_per_ticket", 1, 2**64 - 1),
            ("bond_slash_per_ticket", 1, 10 * 10**18),
            ("stake_slash_per_ticket", 0, 100 * 10**18),
            ("min_bond", 1, 2**128 - 1),
            ("ticket_price", 10 * 10**18, 2**128 - 1),
            ("bond_per_ticket", 5 * 10**18, 2**128 - 1),
            ("collaterals/QALPHA", 1, 10**24),
        ],
    )
    def test_values_lie_between_their_limits(self, write, entry, low, high):
        """The limits themselves are taken."""
        name = f"shards/main/{entry}"
        for value in (low, high):
            write({name: value})
        for value in (low - 1, high + 1):
            with pytest.raises(BadParameters):
                write({name: value})

    def test_a_sealing_limit_stays_within_the_chains_memory(self, write):
        """EIP-2935 serves 8,191 block hashes."""
        delays = {"delays/withdrawal": 10_000, "delays/timelock": 11_000, "shards/main/term_epochs": 1_000}
        write({**delays, "shards/main/sealing": 8191})
        with pytest.raises(BadParameters, match="sealing is 8192"):
            write({**delays, "shards/main/sealing": 8192})
