//! Bytes → `manifest.json` and `report.json` of a finished output → `verify` and `report`.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use triplet_miner::pipeline::{Brake, Control, Moved};
use triplet_miner::report::Silent;
use triplet_miner::{config, pipeline, report};

static BRAKE: Brake = Brake::new();

struct Room {
    _folder: TempDir,
    out: PathBuf,
}

static ROOM: LazyLock<Room> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bad_data/stores/good.parquet");
    let text = format!(
        "store = {{ path = {store:?}, id = 'id', embedding = 'embedding', label = 'label' }}\n\
         mine.bands = {{ any = 1 }}\noutput.path = 'out'\n"
    );
    std::fs::write(folder.path().join("p.toml"), text).expect("a file");
    let plan = config::load(&folder.path().join("p.toml"), &[]).expect("a pipeline");
    let control = Control { progress: &Silent, brake: &BRAKE };
    let out = pipeline::run(&plan, &control).expect("an output").path;
    Room { _folder: folder, out }
});

fuzz_target!(|bytes: &[u8]| {
    let out = &ROOM.out;
    std::fs::write(out.join("manifest.json"), bytes).expect("a file");
    std::fs::write(out.join("report.json"), bytes).expect("a file");
    let control = Control { progress: &Silent, brake: &BRAKE };
    let _ = pipeline::verify(out, &Moved::default(), false, None, &control).map(|verdict| verdict.to_string());
    let _ = report::read(out).map(|summary| (summary.to_string(), summary.page().is_ok()));
});
