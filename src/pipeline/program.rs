//! Which program this is.

use std::fs::File;
use std::sync::LazyLock;

use crate::disk;

/// Part of every fingerprint: another version may mine other triplets.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// This very build, as a hash of the executable. Two builds of one version may differ in what they mine, so what one of them
/// left half done is not for the other; an output that is finished is known by its version alone, or the same release built
/// twice would not write the same manifest. Without an executable to look at, no other build.
pub fn build() -> &'static str {
    static BUILD: LazyLock<String> = LazyLock::new(|| {
        // On Linux this is what runs, even if another file has taken its name since.
        let running = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?));
        running.and_then(disk::digest_of).unwrap_or_else(|_| "unknown".to_owned())
    });
    &BUILD
}
