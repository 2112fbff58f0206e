#!/usr/bin/env bash
# Runs the tests of all that is unsafe (kernels, mapped files, the spill file) under AddressSanitizer: tests/sanitize.sh [TEST…]
#
# It takes no other toolchain: this crate alone is compiled with the sanitizer, and its libraries are left as they are; what they
# allocate is watched all the same.
set -euo pipefail
cd "$(dirname "$0")/.."
export ASAN_OPTIONS=detect_leaks=0 RUSTC_WORKSPACE_WRAPPER="$PWD/tests/rustc_asan.sh"
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(kernel:: store:: search::)
exec cargo test --release --locked --lib -- "${tests[@]}"
