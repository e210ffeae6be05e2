#!/usr/bin/env bash
# Slither on contracts/, but for test doubles and libraries of others. What it finds and docs/testing.md explains is listed in slither.db.json;
# anything else fails.
set -euo pipefail
cd "$(dirname "$0")/../.."

home=$(toolchain/analysers/install.sh slither)
forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
export PATH="$(dirname "$(realpath "$forge")"):$PWD/$home/bin:$PATH"
exec "$home/bin/slither" . --config-file toolchain/analysers/slither.json "$@"
