#!/usr/bin/env bash
# Compiles the contracts with Ape into .build/. Ape recompiles changed sources by itself, but not on a change of the settings, the
# compiler or the libraries: this does.
set -euo pipefail
cd "$(dirname "$0")/.."

key=$(cat ape-config.yaml package-lock.json toolchain/solcx/* | cksum | tr ' ' -)
stamp=.build/settings
force=()
if [ "$(cat "$stamp" 2>/dev/null)" != "$key" ]; then force=(--force); fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! .venv/bin/ape compile "${force[@]}" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
mkdir -p .build
echo "$key" >"$stamp"
.venv/bin/python toolchain/check_sizes.py
