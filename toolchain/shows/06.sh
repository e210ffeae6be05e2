#!/usr/bin/env bash
# Acceptance of "ownership, licenses, money: every use is paid for, exactly": from a fresh clone of HEAD, with an empty home folder, a farmer's records
# are licensed three times and sold, and everybody receives what the exact model says; the money of licenses, lists and reads holds its invariants under random
# calls and in every order of transactions; and the figures of gas, of which those above their targets are named in docs/gas.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

work=$(mktemp -d /var/tmp/qanat-shows.XXXXXX) # not under /tmp: see .ci/run
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export HOME=$work/home
mkdir -p "$HOME"
clone=$work/qanat
git clone --quiet "$root" "$clone"
cd "$clone"
unset QANAT_NATIVE_SOLC SOLCX_BINARY_PATH MAKEFLAGS MAKELEVEL MFLAGS PYTHONPATH VIRTUAL_ENV UPDATE DEEP

make setup
make compile

echo "== a farmer's records: who received what, in a fresh clone of $(git rev-parse --short HEAD)"
.venv/bin/python -m pytest -q tests/integration/test_farm_scenario.py
sed -n '/^| license/,/^<!-- to here/p' docs/scenario.md | sed '$d'

echo "== assets, offers, licenses, ends of licenses, orders of transactions"
.venv/bin/python -m pytest -q tests/contracts/test_assets.py tests/contracts/test_license*.py

echo "== the standards, as their texts say, and as Slither looks for them"
.venv/bin/python -m pytest -q tests/contracts/test_standards.py
make erc

echo "== the ledger, its books, rewards"
.venv/bin/python -m pytest -q tests/contracts/test_payments*.py tests/contracts/test_rewards.py

echo "== money against the exact model, under random calls"
.venv/bin/python -m pytest -q tests/properties/test_money.py tests/properties/test_license_money.py tests/properties/test_whole_ledger.py tests/properties/test_accrual.py

echo "== commands: offers, licenses, refunds, transfers, revenue, the market, claims"
.venv/bin/python -m pytest -q tests/integration/test_commands.py -k "TestOwnersAndLicensees or claim or list or read or voucher"

echo "== Forge's invariants of money, with hostile tokens"
make fuzz ARGS='--match-contract Money'

echo "== Effects and Requirements"
.venv/bin/python toolchain/shows/methods.py assets licenses payments rewards claim_lists

echo "== lists of claims, reads that are paid for"
.venv/bin/python -m pytest -q tests/contracts/test_claim_lists.py
.venv/bin/python -m pytest -q -p no:ape_test tests/unit/test_payments.py tests/unit/test_node_paid.py tests/unit/test_client_purse.py \
	tests/unit/test_cli_paying.py tests/integration/test_paid_fetch.py

echo "== gas"
make gas ARGS='-k "licensing or storage or redeem or lists"'
.venv/bin/python toolchain/shows/gas_targets.py assets licenses payments

sleep 1
"$root/toolchain/shows/leftovers.sh" "$clone"
echo "06: shown, in $SECONDS s"
