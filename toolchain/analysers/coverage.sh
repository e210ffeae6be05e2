#!/usr/bin/env bash
# Lines and branches of contracts/restaking and of its libraries that the Forge tests reach; fails where one isn't reached.
#
# Without the optimizer and without --ir-minimum: each contract compiles so, and the lines are then the source's own. The random calls of
# the invariants are left out: what they reach differs from run to run.
set -euo pipefail
cd "$(dirname "$0")/../.."

forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
mkdir -p build
FOUNDRY_PROFILE=coverage "$forge" coverage --match-path 'tests/forge/*.t.sol' --no-match-contract Invariants \
    --report lcov --report-file build/coverage.lcov "$@" >build/coverage.log 2>&1 || { cat build/coverage.log >&2; exit 1; }
.venv/bin/python toolchain/analysers/coverage.py build/coverage.lcov
