#!/usr/bin/env bash
# Proves what tests/forge/proofs says, with Halmos; words given are passed on (--function NAME); PROOFS names contracts of proofs, else all. Fails if a proof fails or can't be
# found, and if a control, which says too much, is "proven".
set -euo pipefail
cd "$(dirname "$0")/../.."

home=$(toolchain/analysers/install.sh halmos)
forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
export PATH="$(dirname "$(realpath "$forge")"):$home/bin:$PATH" FOUNDRY_PROFILE=proofs
by_integers=(--solver-command "$home/bin/python toolchain/integer_solver.py" --solver-timeout-assertion 120s)
by_bits=(--solver z3 --loop 256 --solver-timeout-assertion 120s)
prove() { # CONTRACT PREFIX [WORD]...
    local contract=$1 prefix=$2 solver=("${by_integers[@]}")
    shift 2
    [ "$contract" != BitProofs ] || solver=("${by_bits[@]}")
    "$home/bin/halmos" --forge-build-out build/forge/proofs/out --contract "$contract" --function "$prefix" "${solver[@]}" "$@"
}

for contract in ${PROOFS:-StakePoolsProofs DrawsProofs BitProofs}; do
    prove "$contract" check_ "$@"
    if prove "$contract" control_; then
        echo "a control of $contract is proven: the premises exclude everything" >&2
        exit 1
    fi
    echo "the control of $contract can't be proven, as it should be"
done
