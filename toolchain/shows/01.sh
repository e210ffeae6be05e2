#!/usr/bin/env bash
# Acceptance of "a real file's whole life on a local chain": from a fresh clone of HEAD, with an empty home folder, `make demo` and
# `make test` pass, build/demo.json holds what it must, a 64 MB file passes too, and no process of ours is left.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
checker=$root/toolchain/shows/demo_json.py

work=$(mktemp -d /var/tmp/qanat-shows.XXXXXX) # not under /tmp: see .ci/run
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export HOME=$work/home
mkdir -p "$HOME"
clone=$work/qanat
git clone --quiet "$root" "$clone"
cd "$clone"
unset QANAT_NATIVE_SOLC SOLCX_BINARY_PATH MAKEFLAGS MAKELEVEL MFLAGS FILE OPERATORS PYTHONPATH VIRTUAL_ENV

none_left() {
    # Everything that a run starts has its executable, its working folder or an argument under the clone.
    sleep 1
    "$root/toolchain/shows/leftovers.sh" "$clone"
}

echo "== make demo && make test, in a fresh clone of $(git rev-parse --short HEAD)"
make demo
cp build/demo.json "$work/first.json"
make test
.venv/bin/python "$checker" "$work/first.json"
none_left

echo "== make demo, 64 MB"
head -c 64000000 /dev/urandom >"$work/large.bin"
make demo FILE="$work/large.bin"
.venv/bin/python "$checker" build/demo.json --file "$work/large.bin"
none_left

echo "01: shown, in $SECONDS s"
