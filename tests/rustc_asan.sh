#!/bin/sh
# The compiler, with AddressSanitizer: `tests/sanitize.sh` has this crate alone compiled by it.
RUSTC_BOOTSTRAP=1 exec "$@" -Zsanitizer=address
