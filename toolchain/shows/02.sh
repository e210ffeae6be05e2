#!/usr/bin/env bash
# Acceptance of "the coding and KZG engine": from a fresh clone of HEAD, with an empty home folder, the engine agrees with ckzg, py_ecc and
# the official vectors on every path that this processor has, an interrupted `store` goes on, the planner's page is what it computes, and
# `make bench` meets every target of this machine's path but those that docs/benchmarks.md calls unmet.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

work=$(mktemp -d /var/tmp/qanat-shows.XXXXXX) # not under /tmp: see .ci/run
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export HOME=$work/home
mkdir -p "$HOME"
git clone --quiet "$root" "$work/qanat"
cd "$work/qanat"
unset QANAT_KERNELS QANAT_THREADS QANAT_CACHE NUMBA_CACHE_DIR MAKEFLAGS MAKELEVEL MFLAGS PYTHONPATH VIRTUAL_ENV

make setup
engine=(tests/unit/test_field*.py tests/unit/test_coding*.py tests/unit/test_kzg*.py tests/unit/test_kernels.py tests/unit/test_vectors.py
    tests/unit/test_bls.py tests/unit/test_encoding.py tests/unit/test_manifest.py tests/unit/test_gpu.py)
tests=(.venv/bin/python -m pytest -q -p no:ape_test)

path=$(.venv/bin/python -c 'from qanat.field.path import kernel_path; print(kernel_path())')
echo "== ckzg, py_ecc, official vectors: path $path, in a fresh clone of $(git rev-parse --short HEAD)"
"${tests[@]}" "${engine[@]}"
if [ "$path" != portable ]; then
    echo "== the same, path portable"
    QANAT_KERNELS=portable "${tests[@]}" "${engine[@]}"
fi

echo "== planner, its page, the benchmarks' page, resuming"
"${tests[@]}" tests/unit/test_planner.py tests/unit/test_planner_page.py tests/unit/test_benchmarks.py tests/unit/test_client_job.py \
    tests/unit/test_client_availability.py
make compile
"${tests[@]}" tests/integration/test_store_interrupted.py
.venv/bin/python benchmarks/planner_picture.py --check

echo "== make bench"
make bench
.venv/bin/python benchmarks/run.py --judge

echo "02: shown, in $SECONDS s"
