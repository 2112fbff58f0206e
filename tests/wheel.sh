#!/usr/bin/env bash
# Installs the program as others will, with pip and with cargo, and mines the sample with what was installed. Built in the folder of
# `cargo build --release` with the same profile: the script fails where that compiles a dependency again. Arguments are given to
# each build, as in `--features cluster`. Needs Python 3.8 with venv, and PyPI for maturin.
set -euo pipefail
cd "$(dirname "$0")/.."
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
room="$(mktemp -d)"
trap 'rm -rf "$room"' EXIT

step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

# Shows what cargo said; of all that it compiled, only this crate may be new.
nothing_else_compiled() {
    cat "$1"
    if grep 'Compiling' "$1" | grep -v 'triplet_miner'; then
        echo "compiled anew: profile, features or flags are not those of cargo build" >&2
        exit 1
    fi
}

# What was installed says its version, mines, and finds its own work sound.
works() {
    "$1" --version
    "$1" run pipelines/quickstart.toml --set output.path="$room/out-$2" --quiet
    "$1" verify "$room/out-$2" --full
}

step build
cargo build --locked --release --bin miner "$@"

step wheel
python3 -m venv "$room/maturin"
"$room/maturin/bin/pip" install --quiet 'maturin>=1.8,<2'
CARGO_TARGET_DIR="$target" "$room/maturin/bin/maturin" build --release --locked "$@" --out "$room/wheels" 2> "$room/wheel.log" \
    || { cat "$room/wheel.log"; exit 1; }
nothing_else_compiled "$room/wheel.log"
ls -l "$room/wheels"

step pip
python3 -m venv "$room/pip"
"$room/pip/bin/pip" install --quiet --no-index "$room"/wheels/triplet_miner-*.whl
works "$room/pip/bin/miner" pip

step cargo
cargo install --locked --path . "$@" --target-dir "$target" --root "$room/cargo" --no-track 2> "$room/cargo.log" \
    || { cat "$room/cargo.log"; exit 1; }
nothing_else_compiled "$room/cargo.log"
works "$room/cargo/bin/miner" cargo

step "both are well"
