//! Bytes → a pipeline file → `config::load`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use triplet_miner::config;

static ROOM: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let file = ROOM.path().join("p.toml");
    std::fs::write(&file, bytes).expect("a file");
    if let Err(error) = config::load(&file, &[]) {
        assert!(!error.to_string().is_empty());
    }
});
