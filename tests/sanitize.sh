#!/usr/bin/env bash
# Runs the tests of all that is unsafe (kernels, mapped files, the spill file) under AddressSanitizer: tests/sanitize.sh [TEST…]
#
# It takes no other toolchain: this crate alone is compiled with the sanitizer, and its libraries are left as they are; what they
# allocate is watched all the same.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=detect_leaks=0
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(kernel:: store:: search::)
exec cargo test --release --locked --lib -Zprofile-rustflags \
    --config 'profile.release.package.triplet_miner.rustflags=["-Zsanitizer=address"]' -- "${tests[@]}"
