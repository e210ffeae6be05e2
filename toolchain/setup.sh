#!/usr/bin/env bash
# Installs everything that this project needs into the checkout: `.venv` from requirements.lock, `node_modules` from
# package-lock.json. Reaches the Python and npm registries only. A second run does nothing, in a few milliseconds.
#
# PYTHON=path names the interpreter (3.11, which the lock is for). Needs no root, no home folder, no compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

digest() { # FILE... -> hash of their contents
    if command -v sha256sum >/dev/null; then
        cat "$@" | sha256sum | cut -c1-32
    else
        cat "$@" | shasum -a 256 | cut -c1-32
    fi
}

find_python() {
    local candidate version
    for candidate in ${PYTHON:-python3.11 python3 python}; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        if [ "$version" = 3.11 ]; then
            echo "$candidate"
            return
        fi
        [ -z "${PYTHON:-}" ] || die "PYTHON=$PYTHON is Python $version; requirements.lock is for 3.11"
    done
    die "Python 3.11 is missing. One of these brings it:" \
        "  Debian 12:     apt-get install python3.11 python3.11-venv" \
        "  Ubuntu:        add-apt-repository ppa:deadsnakes/ppa; apt-get install python3.11 python3.11-venv" \
        "  Fedora:        dnf install python3.11" \
        "  macOS:         brew install python@3.11" \
        "  anywhere:      uv python install 3.11, or pyenv install 3.11" \
        "and if it has another name: make setup PYTHON=/path/to/python3.11"
}

node_runs() { # true if node >= 20 is on PATH
    local version
    version=$(node --version 2>/dev/null) || return 1
    version=${version#v}
    [ "${version%%.*}" -ge 20 ]
}

node_serves() { # true if npm runs, too
    node_runs && npm --version >/dev/null 2>&1
}

# uv, itself one of the locked packages, installs the others faster than pip; where it can't (a registry that only pip's settings
# name), pip does.
install_locked() {
    local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes) uv_lock
    uv_lock=$(mktemp)
    sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ /p}' requirements.lock >"$uv_lock"
    if [ -s "$uv_lock" ] && "${pip[@]}" -r "$uv_lock" &&
        .venv/bin/uv --quiet --no-config pip install --python .venv/bin/python --require-hashes -r requirements.lock; then
        rm -f "$uv_lock"
        return
    fi
    rm -f "$uv_lock"
    "${pip[@]}" --use-pep517 -r requirements.lock
}

install_python() {
    local key stamp=.venv/.locked python
    key=$(digest requirements.lock pyproject.toml)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && [ -x .venv/bin/python ]; then return; fi
    python=$(find_python)
    if ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        say "making .venv with $("$python" --version)"
        rm -rf .venv
        "$python" -m venv .venv || die "Python can't make environments here." \
            "  Debian, Ubuntu: apt-get install python3.11-venv"
    fi
    say "installing $(grep -c == requirements.lock) locked Python packages"
    install_locked
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    echo "$key" >"$stamp"
    touch .venv/.ready
}

install_node() {
    local key stamp=node_modules/.locked
    key=$(digest package.json package-lock.json)
    # .venv comes last: a Node of the system is preferred, the one from the Python registry serves where there is none.
    export PATH="$PATH:$PWD/.venv/bin"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && node_runs; then return; fi
    if ! node_serves; then
        say "no Node 20 or later on PATH: installing one into .venv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-node.lock ||
            die "Node 20 or later is missing, and none could be installed into .venv. Debian: apt-get install nodejs npm"
        export PATH="$PWD/.venv/bin:$PATH"
        node_serves || die "Node in .venv doesn't run; install Node 20 or later (Debian: apt-get install nodejs npm)"
    fi
    say "installing npm packages"
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
    compgen -G 'node_modules/@foundry-rs/anvil-*/bin/anvil*' >/dev/null ||
        die "npm has no Anvil for this platform ($(uname -sm)); Linux and macOS on x86-64 or ARM64 are served"
    echo "$key" >"$stamp"
}

if command -v flock >/dev/null; then # two targets started at once: the second waits, then finds nothing to do
    exec 9>.setup.lock
    flock 9
fi
started=$SECONDS
install_python
install_node
if [ $((SECONDS - started)) -gt 1 ]; then say "done in $((SECONDS - started)) s"; fi
