#!/usr/bin/env bash
# Acceptance of "stake that is at risk, shards that open while others run": from a fresh clone of HEAD, with an empty home folder, the contracts'
# tests, fuzz, proofs, coverage, static analysis and gas pass with the figures asked for; a second shard opens while the first misses no epoch; every method of the
# contracts of restaking has its Effects and Requirements.
#
# FAULTS=1 also breaks the contracts in one line at a time (`make mutants`: more than half an hour on two processors).
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

echo "== contracts and properties, in a fresh clone of $(git rev-parse --short HEAD)"
make contracts
make properties

echo "== a second shard opens while the first certifies and audits"
make contracts ARGS='-k second_shard -v'

echo "== fuzz: Restaking's invariants"
make fuzz

echo "== proofs of the arithmetic of shares"
PROOFS=StakePoolsProofs make halmos

echo "== every line and branch of contracts/restaking"
make coverage

echo "== static analysis"
make slither

echo "== gas"
make gas
.venv/bin/python toolchain/shows/gas_targets.py restaking operators shards

echo "== Effects and Requirements"
.venv/bin/python toolchain/shows/methods.py restaking operators shards members restaker_rewards directory

if [ -n "${FAULTS:-}" ]; then
    echo "== faults"
    make mutants
fi

sleep 1
"$root/toolchain/shows/leftovers.sh" "$clone"
echo "03: shown, in $SECONDS s"
