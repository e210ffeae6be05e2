"""The strict `reverts_with` tested against itself: what it must accept, and all that it must not."""

from __future__ import annotations

import pytest
from ethpm_types.abi import ErrorABI

from tests.contracts.reverts import reverts_with


@pytest.fixture(scope="module")
def double(project, deployer):
    return deployer.deploy(project.RevertDouble)


@pytest.fixture
def declared(project):
    return project.IRevertDouble.Declared


class TestAccepts:
    def test_an_interface_s_error_with_all_values(self, double, declared, owner):
        with reverts_with(declared, got=7, limit=3):
            double.declared(7, 3, sender=owner)

    def test_arguments_in_any_order(self, double, declared, owner):
        with reverts_with(declared, limit=3, got=7):
            double.declared(7, 3, sender=owner)

    def test_the_error_named_through_a_deployed_contract(self, double, owner):
        with reverts_with(double.Ascending, got=1):
            double.own(1, 2, sender=owner)

    def test_the_bare_abi(self, double, owner):
        abi = ErrorABI(type="error", name="Bare", inputs=[])
        with reverts_with(abi):
            double.bare(sender=owner)

    def test_no_values_asked_for(self, double, declared, owner):
        with reverts_with(declared) as revert:
            double.declared(7, 3, sender=owner)
        assert revert.values == {"got": 7, "limit": 3}

    def test_a_view(self, double, declared):
        with reverts_with(declared, got=9, limit=1):
            double.viewed(9, 1)

    def test_a_call_of_a_transaction(self, double, declared, owner):
        with reverts_with(declared, got=4, limit=1):
            double.declared.call(4, 1, sender=owner)

    def test_a_transaction_with_its_own_gas_limit(self, double, declared, owner):
        with reverts_with(declared, got=4, limit=1):
            double.declared(4, 1, sender=owner, gas=200_000)

    @pytest.mark.parametrize("as_text", [False, True])
    def test_addresses_bytes_and_lists(self, project, double, owner, stranger, as_text):
        identity, data = bytes(range(32)), b"\x00\x01"
        given = {"id": "0x" + identity.hex(), "data": "0x" + data.hex()} if as_text else {"id": identity, "data": data}
        who = stranger.address.lower() if as_text else stranger
        with reverts_with(project.IRevertDouble.Nested, who=who, values=[1, 2], **given):
            double.nested(stranger, identity, data, [1, 2], sender=owner)

    @pytest.mark.parametrize("shape", [list, dict])
    def test_structs(self, project, double, owner, stranger, shape):
        place = {"shard": 5, "operator": stranger.address}
        with reverts_with(project.IRevertDouble.Located, place=place if shape is dict else list(place.values())):
            double.located(5, stranger, sender=owner)


class TestRefuses:
    @pytest.mark.parametrize(
        ("method", "arguments", "said"),
        [
            ("fine", (), "nothing reverted"),
            ("twin", (7, 3), "but got"),  # same arguments, another name
            ("own", (7, 3), "but got"),
            ("bare", (), "but got"),
            ("text", ("Declared",), "the text 'Declared'"),
            ("text", ("",), "the text ''"),
            ("silent", (), "without data"),
            ("overflow", (1,), "panic, code 0x11"),
            ("truncated", (), "malformed"),
        ],
    )
    def test_any_other_outcome(self, double, declared, owner, method, arguments, said):
        with pytest.raises(AssertionError, match=said), reverts_with(declared):
            getattr(double, method)(*arguments, sender=owner)

    def test_gas_running_out(self, double, declared, owner):
        with pytest.raises(AssertionError, match="no revert data|without data"), reverts_with(declared):
            double.endless(sender=owner, gas=100_000)

    @pytest.mark.parametrize("given", [{"got": 8}, {"limit": 4}, {"got": 8, "limit": 3}, {"got": 3, "limit": 7}])
    def test_a_different_value(self, double, declared, owner, given):
        with pytest.raises(AssertionError, match="other values"), reverts_with(declared, **given):
            double.declared(7, 3, sender=owner)

    def test_a_different_value_in_a_view(self, double, declared):
        with pytest.raises(AssertionError, match="other values"), reverts_with(declared, got=8):
            double.viewed(7, 3)

    def test_a_different_element_of_a_list(self, project, double, owner, stranger):
        with (
            pytest.raises(AssertionError, match="other values"),
            reverts_with(project.IRevertDouble.Nested, values=[1, 3]),
        ):
            double.nested(stranger, bytes(32), b"", [1, 2], sender=owner)

    def test_an_unknown_argument_before_the_body_runs(self, declared):
        with pytest.raises(TypeError, match="no argument 'limits'"):
            reverts_with(declared, limits=3)

    @pytest.mark.parametrize("value", [True, "7", 7.0, None, b"\x07"])
    def test_a_value_of_another_type(self, declared, value):
        with pytest.raises(TypeError, match="can't be a uint256"):
            reverts_with(declared, got=value)

    @pytest.mark.parametrize("thing", ["Declared", None, 7])
    def test_what_is_no_error(self, thing):
        with pytest.raises(TypeError, match="not a contract's error"):
            reverts_with(thing)

    def test_a_method_in_place_of_an_error(self, double):
        with pytest.raises(TypeError, match="not a contract's error"):
            reverts_with(double.declared)

    def test_a_mistake_of_the_test_itself(self, declared):
        """An exception that is no revert passes through unchanged."""
        with pytest.raises(ZeroDivisionError), reverts_with(declared):
            1 / 0  # noqa: B018
