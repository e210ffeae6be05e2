#!/usr/bin/env bash
# Acceptance of "keys: only a license opens the data, also when the owner is asleep": from a fresh clone of HEAD, with an empty home folder, the demo's key is
# released by two of three holders with the third dead, and with another one lying; forced releases are answered by nodes or slashed; vectors and attacks of the
# threshold keys hold; and the figures of gas and speed, of which those above their targets are named in docs/gas.md and docs/benchmarks.md.
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

echo "== two of three holders, one dead, then one lying, in a fresh clone of $(git rev-parse --short HEAD)"
make demo
.venv/bin/python toolchain/shows/demo_json.py build/demo.json

echo "== nodes as holders: killed, lied for, replayed at, forced, slashed"
.venv/bin/python -m pytest -q tests/integration/test_key_release.py

echo "== no secret in anything that a whole demo leaves, with holders that crash as they answer"
.venv/bin/python -m pytest -q tests/integration/test_demo_secrets.py

echo "== threshold keys: vectors, kernels, attacks, holders, what a node takes and answers"
.venv/bin/python -m pytest -q -p no:ape_test tests/unit/test_threshold.py tests/unit/test_key_*.py tests/unit/test_encryption.py tests/unit/test_node_keys.py \
    tests/unit/test_node_shares.py tests/unit/test_client_release.py tests/unit/test_client_regain.py

echo "== Keys on chain: draws, dealings, forced releases and their money, slashes"
.venv/bin/python -m pytest -q tests/contracts/test_keys.py tests/properties/test_key_money.py

echo "== Effects and Requirements"
.venv/bin/python toolchain/shows/methods.py keys

echo "== gas"
make gas ARGS='-k key'
.venv/bin/python toolchain/shows/gas_targets.py keys

echo "== speed"
.venv/bin/python benchmarks/run.py keys
make bench-keys # after it: it keeps the other rows

sleep 1
"$root/toolchain/shows/leftovers.sh" "$clone"
echo "07: shown, in $SECONDS s"
