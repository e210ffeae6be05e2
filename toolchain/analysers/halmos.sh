#!/usr/bin/env bash
# Proves what tests/forge/proofs says, with Halmos; words given are passed on (--function NAME). Fails if a proof fails or can't be
# found, and if a control, which says too much, is "proven".
set -euo pipefail
cd "$(dirname "$0")/../.."

home=$(toolchain/analysers/install.sh halmos)
forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
export PATH="$(dirname "$(realpath "$forge")"):$PATH" FOUNDRY_PROFILE=proofs
prove() { # PREFIX [WORD]...
    "$home/bin/halmos" --forge-build-out build/forge/proofs/out --function "$@" \
        --solver-command "$home/bin/python toolchain/integer_solver.py" --solver-timeout-assertion 120s
}

prove check_ "$@"
if prove control_; then
    echo "a control is proven: the premises exclude everything" >&2
    exit 1
fi
echo "the control can't be proven, as it should be"
