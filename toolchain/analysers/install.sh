#!/usr/bin/env bash
# Installs an analyser (halmos, slither) into an environment of its own, build/analysers/NAME, and prints where: their pins conflict
# with Ape's, and with each other's. A second start does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=$1
lock=toolchain/analysers/$name.lock
folder=build/analysers/$name
if [ "$(cat "$folder/.locked" 2>/dev/null)" != "$(cksum <"$lock")" ]; then
    rm -rf "$folder"
    .venv/bin/python -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" >&2
    cksum <"$lock" >"$folder/.locked"
fi
echo "$folder"
