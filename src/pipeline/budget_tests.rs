//! Refusals, word for word, and how the formulas move.

use super::*;
use crate::mine::{Balance, Pk, Weighting};
use crate::store::Reading;

fn job() -> Job {
    Job {
        rows: 200_000,
        corpus: 200_000,
        asking: 200_000,
        links: 0,
        compared: 0,
        excluded: 0,
        excluded_bytes: 0,
        scored: 0,
        dims: 32,
        read_dims: 32,
        fitting_bytes: 0,
        beside_bytes: 12,
        skips: false,
        reading_bytes: 20 << 20,
        reading: Reading { bytes: 30 << 20, decoders: 2, checkers: 2 },
        plain_bytes: 200_000 * 140,
        anchors: 200_000,
        negatives: 200_000,
        classes: 1_000,
        label_bytes: 8_000,
        largest_class: 300,
        sets: None,
        most_positives: 299,
        relatives: 200_000 * 200,
        groups: 0,
        pairs: 1,
        windows: 2,
        slots: 8,
        guarded: false,
        ranks: 0,
        layout: crate::manifest::Layout::Triplet,
        candidates: 8,
        oversample_to: 0,
        balance: Balance::default(),
        batches: None,
        pairing_classes: 1_000,
        sorts: false,
        index: Index::Exact,
        cells: 0,
        kept: false,
        threads: 2,
    }
}

fn told(memory: u64, asked: bool, threads: u64) -> Option<String> {
    Budget::of(&job()).fits(memory, asked, Path::new("pipelines/a.toml"), threads).err().map(|error| error.to_string())
}

#[test]
fn too_little_is_refused_with_the_least_that_would_do() {
    let least = Budget::of(&job()).least();
    let needed = least.div_ceil(1 << 20);
    let (asked, stage) = (
        "pipelines/a.toml: run.memory = \"16MiB\"",
        "the tables of all rows, a row group being encoded, balance, batches, and the sort",
    );
    assert_eq!(
        told(16 << 20, true, 2).unwrap(),
        format!("{asked}: this job needs at least {needed} MiB (writing: {stage}); give it that, or fewer threads")
    );
    assert!(told(16 << 20, true, 1).unwrap().ends_with("; give it that"));
    assert!(
        told(16 << 20, false, 1)
            .unwrap()
            .contains("run.memory is not set, and three quarters of this machine's are 16MiB: ")
    );
    assert_eq!(told(needed << 20, true, 2), None, "what is named is enough");
    assert!(told(least - 1, true, 2).is_some());
}

#[test]
fn more_of_anything_never_needs_less() {
    let base = Budget::of(&job()).least();
    let larger: [fn(&mut Job); 18] = [
        |job| job.links = 50_000_000,
        |job| job.compared = 50_000_000,
        |job| job.scored = 100_000,
        |job| job.excluded = 10_000_000,
        |job| job.excluded_bytes = 10_000_000,
        |job| job.rows *= 8,
        |job| job.dims *= 64,
        |job| job.pairs *= 64,
        |job| job.ranks = 10_000,
        |job| job.candidates *= 64,
        |job| job.oversample_to = 50_000,
        |job| job.balance.max_uses = Some(1),
        |job| job.balance.weights = Weighting::Inverse,
        |job| job.batches = Some(Batches::Pk(Pk { classes: 16, per_class: 4 })),
        |job| job.batches = Some(Batches::Triplets { size: 256 }),
        |job| job.threads *= 8,
        |job| job.sorts = true,
        |job| job.index = Index::Hnsw,
    ];
    for (place, grow) in larger.into_iter().enumerate() {
        let mut job = job();
        grow(&mut job);
        assert!(Budget::of(&job).least() > base, "change {place}");
    }
}

#[test]
fn what_reading_takes_beyond_the_least_is_told() {
    let (usual, wide) = (job(), Job { reading: Reading { bytes: 4 << 30, ..job().reading }, ..job() });
    assert_eq!(Budget::of(&usual).taken(&usual), Budget::of(&usual).least(), "other stages hold more");
    let budget = Budget::of(&wide);
    assert_eq!(budget.taken(&wide), budget.reading + (4 << 30) - (20 << 20));
    assert_eq!(budget.least(), Budget::of(&usual).least(), "nothing more is asked for");
}

#[test]
fn columns_beside_the_vectors_are_counted_in_each_row_of_a_triplet() {
    let (narrow, wide) = (Budget::of(&job()), Budget::of(&Job { beside_bytes: 2_012, ..job() }));
    assert_eq!(wide.writing - narrow.writing, (3 * LAID_OUT + ROW_GROUP) * 3 * 2_000);
}

#[test]
fn guards_are_looked_at_in_what_was_told() {
    let many = Job { negatives: 10_000_000, guarded: true, threads: 8, ..job() };
    let (budget, free) = (Budget::of(&many), Budget::of(&Job { guarded: false, ..many.clone() }));
    assert!(budget.mining > free.mining && budget.mining < 8 * many.negatives * MEASURED_ROW, "one at a time would do");
    let together = budget.measured_together(&many) as u64;
    assert!(together < 8 && together * many.negatives * MEASURED_ROW <= budget.least(), "{together}");
    let few = Job { negatives: 1_000, ..many };
    assert_eq!(Budget::of(&few).measured_together(&few), 8, "all threads");
}

#[test]
fn cells_keep_what_is_known_of_anchors_and_who_visits() {
    let mining = |cells| Budget::of(&Job { index: Index::Cells, cells, ..job() }).mining;
    assert_eq!(mining(2_000) - mining(1_000), 2 * 1_000 * PLANNED_ANCHORS as u64 * (4 + 4));
}

#[test]
fn asking_for_everything_overflows_nothing() {
    let rows = u64::from(u32::MAX);
    let job = Job {
        rows,
        anchors: rows,
        largest_class: rows,
        pairs: rows,
        slots: rows,
        scored: rows,
        threads: 1_024,
        ..job()
    };
    assert!(Budget::of(&job).least() > 1 << 60);
}

#[test]
fn sorts_take_what_is_left() {
    let sorted = Job { sorts: true, ..job() };
    let budget = Budget::of(&sorted);
    assert_eq!(budget.sorts(&sorted, budget.writing), SORT);
    assert_eq!(budget.sorts(&sorted, budget.writing + 5), SORT + 5);
}
