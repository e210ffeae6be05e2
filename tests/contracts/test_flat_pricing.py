"""Fees in proportion to bytes, rounded up."""

import pytest

SCALE = 10**18


@pytest.fixture(scope="module")
def pricing(project, deployer):
    return deployer.deploy(project.FlatPricing)


def ceil_div(a, b):
    return -(-a // b)


@pytest.mark.parametrize("width", [64, 128, 4096])
@pytest.mark.parametrize("price", [0, 1, SCALE // 3, SCALE, 7 * SCALE + 1])
def test_a_row_costs_its_bytes_rounded_up(pricing, price, width):
    assert pricing.rowFee(price, width) == ceil_div(price * 32 * width, SCALE)


@pytest.mark.parametrize("size", [0, 1, 999_999_999_999, 2**40])
@pytest.mark.parametrize("price", [0, 1, SCALE // 3, SCALE, 7 * SCALE + 1])
def test_intake_costs_the_bytes_stored_rounded_up(pricing, price, size):
    assert pricing.intakeFee(price, size) == ceil_div(price * size, SCALE)


def test_a_price_beyond_256_bits_of_product_is_exact(pricing):
    assert pricing.intakeFee(2**200, 2**100) == ceil_div(2**300, SCALE)
