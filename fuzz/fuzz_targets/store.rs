//! Bytes → a Parquet file → the store's reader: footers, pages, rows, a prepared store.
#![no_main]

use std::panic::{set_hook, take_hook};
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use triplet_miner::config;
use triplet_miner::store::{self, Prepared};

struct Room {
    folder: TempDir,
    pipeline: PathBuf,
    runtime: Runtime,
}

static ROOM: LazyLock<Room> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = folder.path().join("p.toml");
    let text = "store = { path = 'x.parquet', id = 'id', embedding = 'embedding', label = 'label', bad_rows = 'skip' }\n\
                output.path = 'out'\n";
    std::fs::write(&pipeline, text).expect("a file");
    // libFuzzer ends the process on every panic. Those inside a decoder are caught by the store, and no finding.
    let ends = take_hook();
    set_hook(Box::new(move |panic| {
        let ours = panic.location().is_some_and(|place| !place.file().contains("/.cargo/registry/"));
        if ours && !place_is_std(panic) {
            ends(panic);
        }
    }));
    Room { folder, pipeline, runtime: Builder::new_current_thread().build().expect("a runtime") }
});

fn place_is_std(panic: &std::panic::PanicHookInfo<'_>) -> bool {
    panic.location().is_some_and(|place| place.file().starts_with("/rustc/"))
}

fuzz_target!(|bytes: &[u8]| {
    let room = &*ROOM;
    std::fs::write(room.folder.path().join("x.parquet"), bytes).expect("a file");
    let plan = config::load(&room.pipeline, &[]).expect("a pipeline");
    let prepared = room.folder.path().join("prepared");
    let read = async {
        let surveys = store::survey(plan.sources()).await.map_err(|error| error.to_string())?;
        store::census(plan.sources(), &surveys).await.map_err(|error| error.to_string())?;
        let done = store::prepare(plan.sources(), &surveys, &prepared, 0, &|_| ()).await;
        done.map_err(|error| error.to_string())
    };
    if room.runtime.block_on(read).is_ok() {
        let store = Prepared::open(&prepared).expect("what was prepared can be opened");
        assert!((0..store.rows()).all(|row| store.vector(store::Row(row)).iter().all(|value| value.is_finite())));
    }
    // Of the columns nothing is known: other types are looked at than a pipeline asks for.
    let _ = room.runtime.block_on(store::inspect(&room.folder.path().join("x.parquet")));
});
