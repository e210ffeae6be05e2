#!/usr/bin/env bash
# Acceptance of "audits: what is lost is caught, punished exactly, and re-verified by anyone": from a fresh clone of HEAD, with an empty home folder,
# the detection table, the forgeries, defaults that pay for honesty, the node's duties under faults, and the figures of gas. It fails as long as a
# figure is above its target (docs/decisions/0053).
#
# Not built yet: the seeded 30-second run of 12 nodes with kills, corruptions, RPC faults and reorganisations.
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

echo "== gas"
make gas
.venv/bin/python - <<'PYTHON'
import json
import sys

targets = {
    "audits.respond_q8": 245_000,
    "audits.respond_q16": 370_000,
    "audits.respond_q8_spread": 320_000,
    "audits.respond_q16_spread": 500_000,
    "audits.report_miss": 120_000,
    "beacon.seal": 72_000,
}
figures = json.load(open("tests/gas.json"))
print(f"audits.respond_q8_voids8 {figures['audits.respond_q8_voids8']:,}")
above = [name for name, target in targets.items() if figures[name] > target]
for name, target in targets.items():
    print(f"{name:<28} {figures[name]:>9,} of {target:>8,}  {'NOT MET' if name in above else 'met'}")
sys.exit(int(bool(above)))
PYTHON

sleep 1
"$root/toolchain/shows/leftovers.sh" "$clone"
echo "05: shown, in $SECONDS s"
