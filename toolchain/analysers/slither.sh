#!/usr/bin/env bash
# Slither on contracts/, but for test doubles and libraries of others. Fails for findings of medium impact and above that
# toolchain/analysers/findings.toml doesn't explain.
set -euo pipefail
cd "$(dirname "$0")/../.."

home=$(toolchain/analysers/install.sh slither)
forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
export PATH="$(dirname "$(realpath "$forge")"):$PWD/$home/bin:$PATH"
findings=build/slither.json
rm -f "$findings"
"$home/bin/slither" . --config-file toolchain/analysers/slither.json --json "$findings" "$@" 2>build/slither.log || true
[ -s "$findings" ] || { cat build/slither.log >&2; exit 1; }
.venv/bin/python toolchain/analysers/slither.py "$findings"
