#!/usr/bin/env bash
# Writes the lock files anew from pyproject.toml and toolchain/node.in (`make lock`), or checks that other Pythons resolve
# (`toolchain/lock.sh check`, `make resolve`). Versions and hashes only: no download addresses.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly locked_python=3.11 # the Python that the locks are for, and that everything is tested on
readonly other_pythons="3.10 3.12"
uv=(.venv/bin/uv --no-config --color never)

compile() { # OUTPUT INPUT [OPTION]...
    local output=$1 input=$2 body
    shift 2
    body=$(mktemp)
    "${uv[@]}" pip compile --quiet --generate-hashes --universal --python-version "$locked_python" \
        --no-annotate --no-header "$@" --output-file "$body" "$input" >/dev/null
    {
        echo "# For Python $locked_python. Made by \`make lock\` from $input; don't edit."
        cat "$body"
    } >"$output"
    rm -f "$body"
    echo "$output: $(grep -c == "$output") packages"
}

check() {
    local key stamp python
    key=$(sha256sum pyproject.toml toolchain/lock.sh | sha256sum | cut -c1-16)
    stamp=build/resolved-$key
    if [ -e "$stamp" ]; then
        echo "Python $other_pythons: resolves (checked before, pyproject.toml unchanged)"
        return
    fi
    for python in $other_pythons; do
        "${uv[@]}" pip compile --quiet --python-version "$python" --extra ape --extra dev pyproject.toml >/dev/null || {
            echo "pyproject.toml doesn't resolve for Python $python (see above)" >&2
            exit 1
        }
        echo "Python $python: resolves"
    done
    mkdir -p build
    touch "$stamp"
}

case ${1:-write} in
    write)
        compile requirements.lock pyproject.toml --extra ape --extra dev
        compile requirements-node.lock toolchain/node.in
        compile toolchain/analysers/halmos.lock toolchain/analysers/halmos.in
        compile toolchain/analysers/slither.lock toolchain/analysers/slither.in
        ;;
    check) check ;;
    *)
        echo "usage: toolchain/lock.sh [write|check]" >&2
        exit 2
        ;;
esac
