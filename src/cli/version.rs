//! `miner --version`: what to put into a report of a bug. `-V` is name and number alone.

use std::env::consts::{ARCH, OS};
use std::sync::LazyLock;

use triplet_miner::kernel::Instructions;
use triplet_miner::manifest;

/// Version, format of the manifest, machine, and the instructions that are used on it.
pub fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let (version, format) = (env!("CARGO_PKG_VERSION"), manifest::VERSION);
        let Instructions { distances, scans } = Instructions::of_this_machine();
        format!(
            "{version}\nmanifest  version {format}\nmachine   {ARCH} {OS}\nkernels   distances {distances}, scans {scans}"
        )
    });
    &LONG
}
