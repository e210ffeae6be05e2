#!/usr/bin/env bash
# Acceptance of "the publishing lane": from a fresh clone of HEAD, with an empty home folder, files reach nodes and come back past everything that
# nodes, operators and the network between do; a large file is stored, certified, range-read and fetched on 8 nodes in bounded memory.
#
# MIB=64 takes a smaller file than 1 GiB, which needs 10 GB of disk.
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
unset QANAT_KERNELS QANAT_THREADS QANAT_CACHE NUMBA_CACHE_DIR MAKEFLAGS MAKELEVEL MFLAGS PYTHONPATH VIRTUAL_ENV

make setup
make compile
tests=(.venv/bin/python -m pytest -q -p no:ape_test)

echo "== faults: the network between, operators that lie, withhold or lose, in a fresh clone of $(git rev-parse --short HEAD)"
"${tests[@]}" tests/integration/test_client_faults.py tests/integration/test_client_transfer.py tests/integration/test_client_ranges.py

echo "== faults: kills, restarts, damage, absence, interrupted clients"
"${tests[@]}" tests/integration/test_node_life.py tests/integration/test_store_interrupted.py

echo "== a large file on 8 nodes, memory bounded"
.venv/bin/python benchmarks/large_file.py --mib "${MIB:-1024}" --operators 8

sleep 1
"$root/toolchain/shows/leftovers.sh" "$clone"
echo "04: shown, in $SECONDS s"
