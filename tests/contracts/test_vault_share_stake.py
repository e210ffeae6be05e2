"""VaultShareStake: shares of ERC-4626 vaults as collateral, counted by what they are worth; swapped in on the way."""

from __future__ import annotations

import pytest
from ape import chain

from tests.contracts.reverts import reverts_with
from tests.contracts.staking import WAD, deploy_staking, fund, name32
from tests.contracts.system import deploy_system, make_data


@pytest.fixture(scope="module")
def staking(project, accounts):
    """Return the contracts; the first collateral's vault is a collateral too, and the shard counts it."""
    made = deploy_staking(project, accounts)
    made.vault = made.governor.deploy(project.VaultToken, made.alpha)
    made.restaking.listCollateral(made.vault, sender=made.governor)
    made.create_shard([{"token": token.address, "weightWad": WAD} for token in (made.vault, made.beta)])
    return made


@pytest.fixture(scope="module")
def source(project, staking):
    """Return the adapter, not in force."""
    return staking.governor.deploy(project.VaultShareStake, staking.restaking, [staking.vault])


def buy(staking, person, amount):
    """Put `amount` of the asset into the vault for a person, and let Restaking take the shares."""
    fund(staking.alpha, person, amount, staking.vault)
    staking.vault.deposit(amount, person, sender=person)
    staking.vault.approve(staking.restaking, 2**256 - 1, sender=person)


def gain(staking, percent):
    """Let the vault's shares gain so many percent."""
    held = staking.alpha.balanceOf(staking.vault)
    staking.alpha.mint(staking.vault, held * percent // 100, sender=staking.governor)


@pytest.fixture
def invested(staking, operator, restaker):
    """Return the contracts: 200 shares, bought at one to one, and 100 beta stand behind the operator's shard."""
    staking.register(operator)
    staking.post_bond(operator, 100 * WAD)
    for token in (staking.vault, staking.beta):
        staking.allocate(operator, token=token)
    buy(staking, restaker, 200 * WAD)
    staking.restaking.depositAndDelegate(operator, staking.vault, 200 * WAD, sender=restaker)
    staking.stake(restaker, operator, 100 * WAD, staking.beta)
    return staking


class TestConstructor:
    def test_takes_vaults_only(self, project, staking, stranger):
        """What has no code, or no asset, is no vault."""
        with reverts_with(project.VaultShareStake.NotVault, collateral=stranger):
            staking.governor.deploy(project.VaultShareStake, staking.restaking, [stranger])


class TestCollateral:
    def test_shares_are_collateral_like_any(self, invested, operator, restaker):
        """Delegated, slashed, withdrawn in shares; gains stay in the vault."""
        s = invested
        assert s.restaking.stakeOf(operator, s.shard, s.vault) == 200 * WAD
        s.members.join(s.shard, sender=operator)
        s.snapshot()
        s.slash(operator)
        # 3 tickets of 20 weight, spread by 200 : 100
        assert s.restaking.burnable(s.vault) == 40 * WAD
        assert s.restaking.burnable(s.beta) == 20 * WAD
        gain(s, 50)
        s.restaking.undelegate(operator, s.vault, s.restaking.sharesOf(restaker, operator, s.vault), sender=restaker)
        chain.mine(s.restaking.withdrawal(1).freeFromBlock - chain.blocks.height)
        s.restaking.completeWithdrawal(1, sender=restaker)
        s.restaking.withdraw(s.vault, 160 * WAD, sender=restaker)
        s.vault.redeem(160 * WAD, restaker, restaker, sender=restaker)
        assert 0 <= 240 * WAD - s.alpha.balanceOf(restaker) <= 1


class TestValue:
    def test_follows_the_vault(self, invested, source, operator):
        """What shares are worth, rounded down by the vault; other collateral one to one."""
        s = invested
        assert source.stakeOf(operator, s.shard, s.vault) == 200 * WAD
        gain(s, 50)
        worth = s.vault.convertToAssets(200 * WAD)
        assert 0 <= 300 * WAD - worth <= 1
        assert source.stakeOf(operator, s.shard, s.vault) == worth
        assert tuple(source.slashableOf(operator, s.shard, s.vault)) == (200 * WAD, worth)
        assert source.stakeOf(operator, s.shard, s.beta) == 100 * WAD
        assert tuple(source.slashableOf(operator, s.shard, s.beta)) == (100 * WAD, 100 * WAD)

    @pytest.mark.parametrize("burns_gas", [False, True])
    def test_a_failing_vault_counts_for_nothing(self, invested, source, operator, burns_gas):
        """And blocks nothing: the rest still counts."""
        s = invested
        s.vault.setFailing(True, burns_gas, sender=s.governor)
        assert source.stakeOf(operator, s.shard, s.vault) == 0
        assert tuple(source.slashableOf(operator, s.shard, s.vault)) == (200 * WAD, 0)
        assert source.stakeOf(operator, s.shard, s.beta) == 100 * WAD

    def test_too_little_gas_makes_no_vault_fail(self, project, invested, source, operator):
        """Else whoever executes a slash could choose that it takes nothing."""
        s = invested
        caller = s.governor.deploy(project.Caller)
        call = source.slashableOf.encode_input(operator, s.shard, s.vault)
        with reverts_with(source.GasInsufficient, needed=300_000 * 64 // 63 + 10_000):
            caller.run(source, call, sender=s.governor, gas_limit=300_000)
        caller.run(source, call, sender=s.governor, gas_limit=500_000)


class TestSlash:
    def test_is_measured_as_the_roster_counted(self, invested, source, operator):
        """Weight is in the asset's units: fewer shares after a gain. An older roster's slash keeps its measure."""
        s = invested
        s.members.join(s.shard, sender=operator)
        old = s.snapshot()
        s.directory.set(name32("stakeSource"), source, sender=s.governor)
        gain(s, 100)
        new = s.next_snapshot()
        assert (s.entries(old)[operator.address].tickets, s.entries(new)[operator.address].tickets) == (3, 4)

        # 4 tickets (500, less what the vault rounds) of 20 weight: 400 : 100, and 64 of the asset are 32 shares
        s.slash(operator, epoch=1, roster=new)
        assert abs(s.restaking.burnable(s.vault) - 32 * WAD) <= 2
        assert abs(s.restaking.burnable(s.beta) - 16 * WAD) <= 2
        # 3 tickets of 20 weight, one to one: 168 : 84
        s.slash(operator, epoch=2, roster=old)
        assert abs(s.restaking.burnable(s.vault) - 72 * WAD) <= 4
        assert abs(s.restaking.burnable(s.beta) - 36 * WAD) <= 4


class TestSwap:
    def test_while_the_network_runs(self, project, deployer, guardian, operators, owner, restaker):
        """Through the timelock; nothing stops: objects are certified and answered for under rosters of both sources."""
        system = deploy_system(project, deployer, guardian)
        vault = deployer.deploy(project.VaultToken, system.collaterals[0])
        system.restaking.listCollateral(vault, sender=deployer)
        system.collaterals = [vault, system.collaterals[1]]
        asset = project.FaucetToken.at(vault.asset())
        system = system.with_shard(termEpochs=14)
        for account in operators[:3]:
            system.register(account)
            for token in system.collaterals:
                system.restaking.allocate(system.shard, token, WAD, sender=account)
            fund(system.bond_token, account, 1000 * WAD, system.restaking)
            system.restaking.postBond(system.shard, 1000 * WAD, sender=account)
        price = system.parameters["ticketPrice"]
        fund(asset, restaker, 20 * price, vault)
        vault.deposit(20 * price, restaker, sender=restaker)
        vault.approve(system.restaking, 2**256 - 1, sender=restaker)
        for account in operators[:3]:
            system.restaking.depositAndDelegate(account, vault, 2 * price, sender=restaker)
            system.members.join(system.shard, sender=account)
        first = system.take_roster()
        assert system.head(first).tickets == 6
        data = make_data(n=6, k=2, zeros=True)
        before = system.store(owner, data, epochs=8)

        source = deployer.deploy(project.VaultShareStake, system.restaking, [vault])
        key = name32("stakeSource")
        system.directory.queueChange(key, source, sender=deployer)
        asset.mint(vault, asset.balanceOf(vault), sender=deployer)
        answered = 0
        done = system.epoch
        while chain.blocks.height < system.directory.queued(key).readyBlock:
            done += 1
            system.seal(done)
            answered += self.answer_all(system, operators[:3], done)
        system.directory.applyChange(key, sender=restaker)
        assert system.directory.module(key) == source

        half_a_term = system.parameters["termEpochs"] * system.parameters["epochLength"] // 2
        system.go_to_block(max(chain.blocks.height, system.head(first).snapshotBlock + half_a_term))
        second = system.take_roster()
        # each share is worth two units by now, less one to rounding
        assert system.head(second).tickets == 9
        later = system.store(owner, make_data(n=9, k=3, zeros=True, seed=2), epochs=2)
        epoch = system.objects.record(later).firstEpoch
        assert epoch < system.objects.record(before).firstEpoch + 8
        system.seal(epoch)
        assert self.answer_all(system, operators[:3], epoch) == 3
        assert answered >= 3

    @staticmethod
    def answer_all(system, accounts, epoch):
        """Answer for all that have a duty; return how many had."""
        held = [account for account in accounts if system.audits.heldRows(system.shard, epoch, account)]
        for account in held:
            system.answer(account, epoch)
        return len(held)
