#!/usr/bin/env bash
# Compiles the contracts with Ape into .build/. All of them whenever anything changed: Ape alone leaves contracts as they were
# when the settings, the compiler or a library that they inline changed, and sometimes when they themselves did.
set -euo pipefail
cd "$(dirname "$0")/.."

key=$(find contracts ape-config.yaml package-lock.json toolchain/solcx -type f -print0 | sort -z | xargs -0 cksum | cksum | tr ' ' -)
stamp=.build/compiled
if [ "$(cat "$stamp" 2>/dev/null)" != "$key" ]; then
    rm -f "$stamp"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! .venv/bin/ape compile --force >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
    echo "$key" >"$stamp"
fi
.venv/bin/python toolchain/check_sizes.py
