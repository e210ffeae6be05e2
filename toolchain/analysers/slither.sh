#!/usr/bin/env bash
# Slither on contracts/, but for test doubles and libraries of others. Fails for findings of medium impact and above.
set -euo pipefail
cd "$(dirname "$0")/../.."

home=$(toolchain/analysers/install.sh slither)
forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
export PATH="$(dirname "$(realpath "$forge")"):$PWD/$home/bin:$PATH"
exec "$home/bin/slither" . --config-file toolchain/analysers/slither.json "$@"
