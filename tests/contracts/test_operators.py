"""Operators: keys with proof of possession, endpoints, responders, commission."""

from __future__ import annotations

import pytest
from ape import chain
from eth_abi import encode
from eth_utils import keccak

from tests.contracts import curve_points as cp
from tests.contracts.reverts import reverts_with
from tests.contracts.staking import WITHDRAWAL_DELAY, ZERO_ADDRESS, deploy_staking, go_to_block, key_of, secret_of

SEALING_KEY = keccak(text="sealing")
ENDPOINT = "https://node.example:8443"
LIMIT_BPS = 5_000


@pytest.fixture(scope="module", autouse=True)
def staking(project, accounts, stranger, operators):
    """Return the contracts, with a shard."""
    return deploy_staking(project, accounts)


@pytest.fixture
def registry(staking):
    """Return Operators."""
    return staking.operators


@pytest.fixture
def register(staking):
    """Return what registers an account, with any argument replaced."""

    def _register(account, **overrides):
        given = {
            "key": key_of(account),
            "possession": None,
            "sealing_key": SEALING_KEY,
            "endpoint": ENDPOINT,
            "commission": 1_000,
            "responder": account,
            **overrides,
        }
        if given["possession"] is None:
            given["possession"] = staking.possession(account)
        return staking.operators.register(*given.values(), sender=account)

    return _register


def another_key(account, number):
    """Return the secret and the key number `number` (from 1) that an operator rotates to."""
    secret = cp.secret(int(account.address, 16) % 2**64 + number)
    return secret, cp.g2(cp.key_of(secret))


@pytest.fixture
def rotate(staking):
    """Return what gives an operator its key number `number`."""

    def _rotate(account, number):
        secret, key = another_key(account, number)
        return staking.operators.rotateKey(key, possession_of(staking, secret, key, account), sender=account)

    return _rotate


def possession_of(staking, secret, key, account):
    """Return a possession proof for any key."""
    digest = bytes(staking.operators.possessionDigest(account, key))
    return cp.g1(cp.sign(secret, digest, cp.POSSESSION_TAG))


class TestRegister:
    def test_only_once(self, registry, register, operator):
        """An operator registers once."""
        register(operator)
        with reverts_with(registry.AlreadyRegistered, operator=operator):
            register(operator)

    @pytest.mark.parametrize("length", [0, 255, 257, 512])
    def test_key_length(self, registry, register, operator, length):
        """A key is 256 bytes."""
        with reverts_with(registry.KeyLengthWrong, length=length, expected=256):
            register(operator, key=bytes(length))

    def test_possession_length(self, staking, register, operator):
        """A signature is 128 bytes."""
        with reverts_with(staking.verifier.SignatureLengthInvalid, got=127, expected=128):
            register(operator, possession=bytes(127))

    def test_commission_limit(self, registry, register, operator):
        """More than half can't be kept."""
        with reverts_with(registry.CommissionTooHigh, commissionBps=LIMIT_BPS + 1, limit=LIMIT_BPS):
            register(operator, commission=LIMIT_BPS + 1)

    def test_endpoint_limit(self, registry, register, operator):
        """An endpoint has at most 256 bytes."""
        with reverts_with(registry.EndpointTooLong, length=257, limit=256):
            register(operator, endpoint="x" * 257)

    def test_responder_needed(self, registry, register, operator):
        """Somebody must answer."""
        with reverts_with(registry.ZeroResponder):
            register(operator, responder=ZERO_ADDRESS)

    def test_key_of_another(self, staking, registry, register, operators):
        """A key belongs to who registered it first, even with its own secret."""
        first, second = operators[:2]
        register(first)
        key = key_of(first)
        possession = possession_of(staking, secret_of(first), key, second)
        with reverts_with(registry.KeyTaken, keyHash=keccak(key), operator=first):
            register(second, key=key, possession=possession)

    def test_stolen_possession(self, staking, registry, register, operators):
        """A possession proof seen in the mempool registers nobody but who it names."""
        first, thief = operators[:2]
        with reverts_with(registry.PossessionInvalid, operator=thief):
            register(thief, key=key_of(first), possession=staking.possession(first))
        register(first)

    def test_certificate_is_no_possession(self, registry, register, operator):
        """A signature under the certificates' tag proves no possession."""
        digest = bytes(registry.possessionDigest(operator, key_of(operator)))
        with reverts_with(registry.PossessionInvalid, operator=operator):
            register(operator, possession=cp.g1(cp.sign(secret_of(operator), digest)))

    def test_identity_key(self, registry, register, operator):
        """The key at infinity, whose signatures are the identity, is refused."""
        with reverts_with(registry.PossessionInvalid, operator=operator):
            register(operator, key=cp.IDENTITY_G2, possession=cp.IDENTITY_G1)

    def test_key_outside_the_subgroup(self, registry, register, operator):
        """A key on the curve, but outside the subgroup, is refused."""
        key = cp.g2(cp.g2_outside_subgroup())
        with reverts_with(registry.PossessionInvalid, operator=operator):
            register(operator, key=key)

    def test_registers(self, registry, register, operator, stranger):
        """All that was given can be read back."""
        receipt = register(operator, commission=LIMIT_BPS, responder=stranger)
        key = key_of(operator)
        assert receipt.events == [
            registry.OperatorRegistered(
                operator=operator, keyHash=keccak(key), sealingKey=SEALING_KEY, responder=stranger
            ),
            registry.EndpointChanged(operator=operator, endpoint=ENDPOINT, fromBlock=receipt.block_number),
            registry.CommissionChanged(operator=operator, commissionBps=LIMIT_BPS, fromBlock=receipt.block_number),
        ]
        assert registry.isRegistered(operator)
        assert registry.operatorOfKey(keccak(key)) == operator
        assert registry.sealingKeyOf(operator) == SEALING_KEY
        assert registry.endpointOf(operator) == ENDPOINT
        assert registry.responderOf(operator) == stranger
        assert registry.commissionOf(operator) == LIMIT_BPS


class TestPublishKey:
    @pytest.mark.parametrize("key", [b"", bytes(256), cp.g2(cp.key_of(cp.secret(5)))])
    def test_unknown_key(self, registry, stranger, key):
        """Only a key that somebody registered is published."""
        with reverts_with(registry.KeyUnknown, keyHash=keccak(key)):
            registry.publishKey(key, sender=stranger)

    def test_only_once(self, registry, register, operator, stranger):
        """An operator has one first key."""
        register(operator)
        registry.publishKey(key_of(operator), sender=operator)
        with reverts_with(registry.AlreadyPublished, operator=operator):
            registry.publishKey(key_of(operator), sender=stranger)

    def test_not_one_that_was_replaced(self, registry, register, rotate, operator):
        """A first key that was replaced before it was published doesn't come back, nor does one that was."""
        register(operator)
        rotate(operator, 1)
        with reverts_with(registry.AlreadyPublished, operator=operator):
            registry.publishKey(key_of(operator), sender=operator)

    def test_publishes(self, registry, register, operator, stranger):
        """Anyone can, for anyone: the key is then the code of an account, after a STOP."""
        register(operator)
        key = key_of(operator)
        receipt = registry.publishKey(key, sender=stranger)
        assert receipt.events == [registry.KeyPublished(operator=operator, keyHash=keccak(key), key=key)]
        assert registry.keyOf(operator) == key
        assert registry.keyHashOf(operator) == keccak(key)
        assert chain.provider.get_code(registry.keyAccountOf(operator)) == b"\0" + key


class TestRotateKey:
    def test_only_operators(self, staking, registry, stranger):
        """Who isn't registered has no key to replace."""
        with reverts_with(registry.NotRegistered, operator=stranger):
            registry.rotateKey(key_of(stranger), staking.possession(stranger), sender=stranger)

    @pytest.mark.parametrize("length", [0, 255, 257])
    def test_key_length(self, registry, register, operator, length):
        """A key is 256 bytes."""
        register(operator)
        with reverts_with(registry.KeyLengthWrong, length=length, expected=256):
            registry.rotateKey(bytes(length), bytes(128), sender=operator)

    def test_not_the_same(self, staking, registry, register, operator):
        """The current key isn't a new one."""
        register(operator)
        key = key_of(operator)
        with reverts_with(registry.KeyTaken, keyHash=keccak(key), operator=operator):
            registry.rotateKey(key, staking.possession(operator), sender=operator)

    def test_no_key_comes_back(self, staking, registry, register, rotate, operators):
        """A key that was replaced is taken for ever: for its operator, and for any other, with its secret too."""
        first, second = operators[:2]
        register(first)
        register(second)
        rotate(first, 1)
        key = key_of(first)
        for account in (first, second):
            possession = possession_of(staking, secret_of(first), key, account)
            with reverts_with(registry.KeyTaken, keyHash=keccak(key), operator=first):
                registry.rotateKey(key, possession, sender=account)

    def test_key_of_another(self, staking, registry, register, operators):
        """Nobody rotates to another's key."""
        first, second = operators[:2]
        register(first)
        register(second)
        possession = possession_of(staking, secret_of(first), key_of(first), second)
        with reverts_with(registry.KeyTaken, keyHash=keccak(key_of(first)), operator=first):
            registry.rotateKey(key_of(first), possession, sender=second)

    def test_possession(self, staking, registry, register, operators):
        """The new key's secret signs, for this operator: neither the old one's, nor a proof that names another."""
        operator, other = operators[:2]
        register(operator)
        secret, key = another_key(operator, 1)
        for signer, named in ((secret_of(operator), operator), (secret, other)):
            with reverts_with(registry.PossessionInvalid, operator=operator):
                registry.rotateKey(key, possession_of(staking, signer, key, named), sender=operator)

    def test_rotates(self, registry, register, rotate, operator):
        """The new key is the current one; the old one stays where it was, and the operator's."""
        register(operator)
        old = key_of(operator)
        registry.publishKey(old, sender=operator)
        account = registry.keyAccountOf(operator)
        for number in (1, 2):
            receipt = rotate(operator, number)
            _, key = another_key(operator, number)
            assert registry.KeyPublished(operator=operator, keyHash=keccak(key), key=key) in receipt.events
            assert registry.keyOf(operator) == key
            assert registry.keyHashOf(operator) == keccak(key)
            assert registry.operatorOfKey(keccak(key)) == operator
            assert chain.provider.get_code(registry.keyAccountOf(operator)) == b"\0" + key
        assert registry.operatorOfKey(keccak(old)) == operator
        assert chain.provider.get_code(account) == b"\0" + old

    def test_its_shards_count_it_anew(self, staking, registry, rotate, operator):
        """The next roster is under the new key; the one that there is stays under the old one."""
        staking.enroll(operator)
        old = staking.snapshot()
        before = registry.keyHashOf(operator)
        assert not staking.members.memberOf(staking.shard, operator).marked
        rotate(operator, 1)
        assert staking.members.memberOf(staking.shard, operator).marked
        new = staking.next_snapshot()
        _, key = another_key(operator, 1)
        assert staking.entries(new)[operator.address].keyHash == keccak(key)
        assert staking.shards.aggregateKeyOf(staking.shard, new) == key
        assert staking.entries(old)[operator.address].keyHash == before

    def test_instead_of_publishing(self, registry, register, rotate, operator):
        """A first key that was lost before it was published is replaced all the same."""
        register(operator)
        rotate(operator, 1)
        assert registry.keyOf(operator) == another_key(operator, 1)[1]


class TestPossessionDigest:
    def test_binds_chain_contract_and_operator(self, registry, operator):
        """The digest is the one of docs/protocol.md."""
        key = key_of(operator)
        kinds = ["bytes32", "uint256", "address", "address", "bytes32"]
        values = [
            keccak(text="qanat/v1/possession"),
            chain.chain_id,
            registry.address,
            operator.address,
            keccak(key),
        ]
        assert registry.possessionDigest(operator, key) == keccak(encode(kinds, values))


class TestSetEndpoint:
    def test_only_operators(self, registry, stranger):
        """Who isn't registered has no endpoint."""
        with reverts_with(registry.NotRegistered, operator=stranger):
            registry.setEndpoint(ENDPOINT, sender=stranger)

    def test_limit(self, registry, register, operator):
        """The limit holds for changes too."""
        register(operator)
        with reverts_with(registry.EndpointTooLong, length=300, limit=256):
            registry.setEndpoint("x" * 300, sender=operator)

    def test_is_announced_and_comes_into_force(self, registry, register, operator):
        """Both can be read until a withdrawal delay has passed; 256 bytes are allowed, none too."""
        register(operator)
        before = ENDPOINT
        for endpoint in ("y" * 256, ""):
            receipt = registry.setEndpoint(endpoint, sender=operator)
            until = receipt.block_number + WITHDRAWAL_DELAY
            assert receipt.events == [registry.EndpointChanged(operator=operator, endpoint=endpoint, fromBlock=until)]
            go_to_block(until - 1)
            assert registry.endpointOf(operator) == before
            assert tuple(registry.nextEndpointOf(operator)) == (endpoint, until)
            go_to_block(until)
            assert registry.endpointOf(operator) == endpoint
            assert tuple(registry.nextEndpointOf(operator)) == ("", 0)
            before = endpoint

    def test_an_announcement_replaces_another(self, registry, register, operator):
        """And starts anew: what was never in force never will be."""
        register(operator)
        first = registry.setEndpoint("http://first", sender=operator)
        second = registry.setEndpoint("http://second", sender=operator)
        go_to_block(first.block_number + WITHDRAWAL_DELAY)
        assert registry.endpointOf(operator) == ENDPOINT
        until = second.block_number + WITHDRAWAL_DELAY
        assert tuple(registry.nextEndpointOf(operator)) == ("http://second", until)
        go_to_block(until)
        assert registry.endpointOf(operator) == "http://second"


class TestSetResponder:
    def test_only_operators(self, registry, stranger):
        """Who isn't registered has no responder."""
        with reverts_with(registry.NotRegistered, operator=stranger):
            registry.setResponder(stranger, sender=stranger)

    def test_not_nobody(self, registry, register, operator):
        """The zero address can't answer."""
        register(operator)
        with reverts_with(registry.ZeroResponder):
            registry.setResponder(ZERO_ADDRESS, sender=operator)

    def test_changes_at_once(self, registry, register, operator, stranger):
        """A stolen hot key is replaced without delay."""
        register(operator)
        receipt = registry.setResponder(stranger, sender=operator)
        assert receipt.events == [registry.ResponderChanged(operator=operator, responder=stranger)]
        assert registry.responderOf(operator) == stranger


class TestSetCommission:
    def test_only_operators(self, registry, stranger):
        """Who isn't registered takes no commission."""
        with reverts_with(registry.NotRegistered, operator=stranger):
            registry.setCommission(1, sender=stranger)

    def test_limit(self, registry, register, operator):
        """The limit holds for changes too."""
        register(operator)
        with reverts_with(registry.CommissionTooHigh, commissionBps=10_000, limit=LIMIT_BPS):
            registry.setCommission(10_000, sender=operator)

    def test_waits_the_withdrawal_delay(self, registry, register, operator):
        """Restakers can leave before a new commission acts."""
        register(operator, commission=1_000)
        receipt = registry.setCommission(2_000, sender=operator)
        start = receipt.block_number + WITHDRAWAL_DELAY
        assert receipt.events == [registry.CommissionChanged(operator=operator, commissionBps=2_000, fromBlock=start)]
        go_to_block(start - 1)
        assert registry.commissionOf(operator) == 1_000
        chain.mine(1)
        assert registry.commissionOf(operator) == 2_000

    def test_another_change_starts_anew(self, registry, register, operator):
        """A change that is replaced before it acts never acts; one that acts stays until the next does."""
        register(operator, commission=1_000)
        registry.setCommission(5_000, sender=operator)
        chain.mine(WITHDRAWAL_DELAY - 2)
        second = registry.setCommission(2_000, sender=operator).block_number
        go_to_block(second + WITHDRAWAL_DELAY - 1)
        assert registry.commissionOf(operator) == 1_000
        chain.mine(1)
        assert registry.commissionOf(operator) == 2_000
        registry.setCommission(3_000, sender=operator)
        assert registry.commissionOf(operator) == 2_000


class TestViews:
    @pytest.mark.parametrize(
        "view",
        [
            "keyOf",
            "keyHashOf",
            "keyAccountOf",
            "sealingKeyOf",
            "endpointOf",
            "nextEndpointOf",
            "responderOf",
            "commissionOf",
        ],
    )
    def test_unregistered(self, registry, stranger, view):
        """Nothing is known of who isn't registered."""
        assert not registry.isRegistered(stranger)
        with reverts_with(registry.NotRegistered, operator=stranger):
            getattr(registry, view)(stranger)

    @pytest.mark.parametrize("view", ["keyOf", "keyHashOf", "keyAccountOf"])
    def test_not_published(self, registry, register, operator, view):
        """There is no key before it is in contract code."""
        register(operator)
        with reverts_with(registry.KeyNotPublished, operator=operator):
            getattr(registry, view)(operator)

    def test_unknown_key(self, registry):
        """A key that nobody registered belongs to nobody."""
        assert registry.operatorOfKey(keccak(b"")) == ZERO_ADDRESS
