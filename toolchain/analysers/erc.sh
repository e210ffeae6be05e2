#!/usr/bin/env bash
# Slither's checks of standards on the contracts that have them. Fails for what a standard names and a contract lacks.
set -euo pipefail
cd "$(dirname "$0")/../.."

home=$(toolchain/analysers/install.sh slither)
forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
export PATH="$(dirname "$(realpath "$forge")"):$PWD/$home/bin:$PATH" FOUNDRY_PROFILE=erc
# a build that was interrupted says that all is built, and has left nothing to read
[ -d build/forge/erc/out/build-info ] || rm -rf build/forge/erc
# -P: slither.py beside the script is another one
"$home/bin/python" -P toolchain/analysers/erc.py "$@" 2>build/erc.log || { tail -n 3 build/erc.log >&2; exit 1; }
