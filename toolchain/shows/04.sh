#!/usr/bin/env bash
# Acceptance of "the publishing lane": from a fresh clone of HEAD, with an empty home folder, files reach nodes and come back past everything that
# nodes, operators and the network between do; what the node decodes is fuzzed; stores fail, fill and lie far away; a node's speed, that of records
# and the gas of certificates are as asked, or named as unmet in docs/benchmarks.md and docs/gas.md; a large file is stored, certified, range-read
# and fetched on 8 nodes in bounded memory.
#
# MIB=64 takes a smaller file than 1 GiB, which needs 10 GB of disk. DEEP=1 decodes a million inputs instead of 100,000.
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
unset QANAT_KERNELS QANAT_THREADS QANAT_CACHE NUMBA_CACHE_DIR MAKEFLAGS MAKELEVEL MFLAGS PYTHONPATH VIRTUAL_ENV UPDATE

make setup
make compile
tests=(.venv/bin/python -m pytest -q -p no:ape_test)

echo "== faults: the network between, operators that lie, withhold or lose, in a fresh clone of $(git rev-parse --short HEAD)"
"${tests[@]}" tests/integration/test_client_faults.py tests/integration/test_client_transfer.py tests/integration/test_client_ranges.py

echo "== faults: kills, restarts, damage, absence, interrupted clients"
"${tests[@]}" tests/integration/test_node_life.py tests/integration/test_store_interrupted.py

echo "== faults: an intake killed at every step, full and damaged disks, slices in S3 and in two tiers"
make chaos CHAOS='tests/chaos/test_intake.py tests/chaos/test_full_disk.py tests/chaos/test_node_stores.py'

echo "== stores: memory, LMDB, file systems, S3, tiers; reading beside the node; mending"
"${tests[@]}" tests/unit/test_store.py tests/unit/test_cold_stores.py tests/unit/test_reader.py tests/unit/test_scrubber.py

echo "== requests made up from the OpenAPI; decoders under altered inputs"
"${tests[@]}" tests/unit/test_node_schema.py
FUZZ_SEED=${SEED:-1} FUZZ_CASES=$([ -n "${DEEP:-}" ] && echo 1000000 || echo 100000) "${tests[@]}" tests/unit/test_decoders_fuzzed.py

echo "== gas of certificates"
CROWD=1 make gas ARGS='-k "test_storage or test_opening"'
.venv/bin/python toolchain/shows/gas_targets.py objects

echo "== a node's speed"
make bench-node

echo "== records"
"${tests[@]}" tests/unit/test_records.py tests/unit/test_records_intake.py tests/integration/test_records_reading.py
make bench-records

echo "== a large file on 8 nodes, memory bounded"
.venv/bin/python benchmarks/large_file.py --mib "${MIB:-1024}" --operators 8

sleep 1
"$root/toolchain/shows/leftovers.sh" "$clone"
echo "04: shown, in $SECONDS s"
