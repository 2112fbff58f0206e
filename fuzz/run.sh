#!/usr/bin/env bash
# Fuzzes one target: fuzz/run.sh store|pipeline|manifest [SECONDS]. What is found lands in fuzz/artifacts/TARGET.
#
# No more is needed than the toolchain of the crate itself and a C++ compiler: libFuzzer comes from crates.io, and libraries that are
# compiled already stay as they are. (With a nightly toolchain `cargo fuzz run TARGET` does the same under a sanitizer.)
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?store, pipeline or manifest}
RUSTC_WORKSPACE_WRAPPER="$PWD/rustc.sh" cargo build -q --locked --release -p miner_fuzz --bin "$target"
mkdir -p "artifacts/$target" "grown/$target"
# What the fuzzer adds to the corpus stays beside it: the corpus is small, and chosen.
exec "${CARGO_TARGET_DIR:-../target}/release/$target" "grown/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" \
    -max_total_time="${2:-60}" -rss_limit_mb=2048 -timeout=20 -max_len=65536
