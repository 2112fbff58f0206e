#!/usr/bin/env bash
# Fuzzes one target: fuzz/run.sh store|pipeline|manifest [SECONDS]. What is found lands in fuzz/artifacts/TARGET.
#
# No more is needed than the toolchain of the crate itself and a C++ compiler: libFuzzer comes from crates.io, and only this crate
# is compiled with coverage. (With a nightly toolchain `cargo fuzz run TARGET` does the same under a sanitizer.)
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?store, pipeline or manifest}
export RUSTC_BOOTSTRAP=1
flags='"-Cpasses=sancov-module","-Cllvm-args=-sanitizer-coverage-level=4","-Cllvm-args=-sanitizer-coverage-inline-8bit-counters","-Cllvm-args=-sanitizer-coverage-pc-table","-Cllvm-args=-sanitizer-coverage-trace-compares","--cfg=fuzzing"'
# The same libraries as the crate's: they are compiled already.
[ -e Cargo.lock ] || cp ../Cargo.lock .
cargo build -q --release -Zprofile-rustflags \
    --config "profile.release.package.triplet_miner.rustflags=[$flags]" --bin "$target" --target-dir ../target
mkdir -p "artifacts/$target" "grown/$target"
# What the fuzzer adds to the corpus stays beside it: the corpus is small, and chosen.
exec "../target/release/$target" "grown/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" \
    -max_total_time="${2:-60}" -rss_limit_mb=2048 -timeout=20 -max_len=65536
