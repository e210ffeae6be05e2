#!/usr/bin/env bash
# Acceptance of "audits: what is lost is caught, punished exactly, and re-verified by anyone": from a fresh clone of HEAD, with an empty home folder,
# the detection table, the forgeries, defaults that pay for honesty, the node's duties under faults, and the figures of gas, of which
# those above their targets are named in docs/gas.md; and 12 nodes in a storm of kills, damage, faults on their way to the chain, reorganisations.
#
# QANAT_STORM_SEED=n draws another storm, QANAT_STORM_SECONDS=n a longer one.
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

echo "== detection, against the closed form and other networks' figures, in a fresh clone of $(git rev-parse --short HEAD)"
.venv/bin/python benchmarks/detection.py --check
sed -n '/^| lost/,$p' docs/detection.md

echo "== defaults of every network file"
.venv/bin/python benchmarks/economics.py --check

echo "== forgeries, late, replayed, copied and partial answers, misses, sums of rows and fees"
.venv/bin/python -m pytest -q tests/contracts/test_audits.py tests/contracts/test_slice_tree.py tests/properties/test_accrual.py

echo "== nodes under faults, and an auditor that verifies them again"
.venv/bin/python -m pytest -q tests/integration/test_node_life.py

echo "== twelve nodes in a storm: exactly those that did not answer are slashed, all tokens are accounted for"
QANAT_STORM_SEED=${QANAT_STORM_SEED:-1} make chaos CHAOS=tests/chaos/test_storm.py

echo "== gas"
make gas
.venv/bin/python toolchain/shows/gas_targets.py audits beacon
grep voids8 tests/gas.json

sleep 1
"$root/toolchain/shows/leftovers.sh" "$clone"
echo "05: shown, in $SECONDS s"
