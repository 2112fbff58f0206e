//! The card word for word, and what reading gives back.

use super::*;
use crate::mine::Spread;

pub fn summary() -> Summary {
    let tally = Tally { anchors: 1_320, pairs: 1_320, asked: 3_960, bands: [870, 2_640, 10], ..Tally::default() };
    let ask = Ask::Bands(vec![(Band::SemiHard, 2), (Band::Hard, 1)]);
    let bands = BTreeMap::from([
        (Band::Hard, Interval { estimate: 0.991, low: 0.985, high: 0.995 }),
        (Band::SemiHard, Interval { estimate: 0.945, low: 0.93, high: 0.957 }),
    ]);
    Summary {
        name: "glosses".to_owned(),
        output: PathBuf::from("/out/glosses"),
        rows: 1_332,
        prepare: Some(PrepareLine {
            transform: "standardize, pca-whiten".to_owned(),
            from: 96,
            dimensions: 32,
            floored: 2,
            nearest: Some(NearestAccuracy {
                queries: 500,
                rows: 1_320,
                apart: false,
                held_out: false,
                before: 0.5,
                after: 0.75,
            }),
        }),
        anchors: 1_320,
        triplets: 3_520,
        asked: tally.asked,
        bands: band_lines(&ask, &tally),
        left_out: 0,
        escaped: 0,
        layout: "triplet".to_owned(),
        rows_written: Some(3_520),
        fallback: 10,
        guarded: 0,
        guards: None,
        scores: None,
        excluded: None,
        exhausted: 440,
        missed: 0,
        unmined: BTreeMap::from([(Reason::Singleton, 12), (Reason::BandEmpty, 0)]),
        suspects: 3,
        look_alikes: None,
        balance: None,
        batches: None,
        index: "hnsw".to_owned(),
        reason: None,
        recall: Some(RecallLine { target: 0.95, sample: 1_000, estimate: 0.968, low: 0.961, high: 0.974, bands }),
        stages: vec![
            StageTime { name: "read".to_owned(), seconds: 0.1, executors: Shares::new() },
            StageTime { name: "mine".to_owned(), seconds: 61.0, executors: Shares::new() },
        ],
        seconds: 61.1,
        peak_memory: Some(123 << 20),
        output_bytes: Some(60_000),
        estimates: Some(Estimates {
            triplets_at_most: 3_960,
            seconds: 50.0,
            at_most: true,
            memory_bytes: 130 << 20,
            scratch_bytes: 1,
            output_bytes: 80_000,
        }),
        pipeline: Value::Null,
        figures: None,
    }
}

#[test]
fn the_card() {
    let expected = "\
glosses → /out/glosses
  rows        1,332 read, 1,320 anchors
  prepare     standardize, pca-whiten: 96 → 32 dimensions, 2 regularised
              1-NN accuracy 0.500 → 0.750 (500 of 1,320 rows, each left out)
  triplets    3,520 of 3,960 asked (88.8 %)
  hard        870 of 1,320 asked (65.9 %)
  semi-hard   2,640 of 2,640 asked (100.0 %)
  easy        10
  fallback    10 of them
  left empty  440 slots: no such negative
  unmined     12: 12 singleton
  suspects    3 near-duplicates across classes
  search      hnsw
  recall      0.968 (0.961 … 0.974) of 1,000 anchors, target 0.95
              hard 0.991 (0.985 … 0.995), semi-hard 0.945 (0.930 … 0.957)
  time        1 min 01 s (read 0.10 s, mine 1 min 01 s)
  space       123.0 MiB anonymous memory at most, 58.6 KiB of triplets
  expected    at most 50 s, 130.0 MiB memory, 78.1 KiB of triplets
  rate        21 anchors/s
  page        /out/glosses/report.html";
    assert_eq!(summary().to_string(), expected);
}

#[test]
fn what_executors_did_stands_below_the_time() {
    let mut summary = summary();
    let shares = [("a-1", Share { items: 1_060, opened: 3 << 30 }), ("b-7", Share { items: 2, opened: 512 })];
    summary.stages[1].executors = shares.map(|(name, share)| (name.to_owned(), share)).into();
    let card = summary.to_string();
    let expected = "\n  executors   mine: a-1 1,060 (3.0 GiB opened), b-7 2 (512 B opened)\n  space ";
    assert!(card.contains(expected), "{card}");
    let page = summary.page().unwrap();
    assert!(page.contains("mine, by executor") && page.contains("<bdi>b-7</bdi>") && page.contains("1,060"), "{page}");
}

#[test]
fn another_layout_has_rows_of_its_own() {
    let summary = Summary { layout: "n-tuple".to_owned(), left_out: 20, rows_written: Some(1_166), ..summary() };
    let card = summary.to_string();
    assert!(card.contains("  left out    20 more, of pairs with too few\n"), "{card}");
    assert!(card.contains("  written as  n-tuple: 1,166 rows\n"), "{card}");
}

#[test]
fn the_card_of_a_balanced_run_says_what_was_taken_and_from_whom() {
    let spread = |classes, total, largest| Spread { classes, total, largest };
    let balance = Balanced {
        anchors_before: spread(66, 1_320, 660),
        anchors_after: spread(65, 1_300, 20),
        lines: spread(65, 3_520, 100),
        left_out: 640,
        cut: 1_234,
        ..Balanced::default()
    };
    let batches = Batched { kind: "pk".to_owned(), batches: 20, entries: 1_280, remainder: 3 };
    let card = Summary { balance: Some(balance), batches: Some(batches), ..summary() }.to_string();
    let expected = "
  balance     largest class: anchors 50.0 % of 66 classes before, 1.5 % of 65 classes after; triplets 2.8 % of 65 classes
              640 rows beyond anchors_per_class, 1,234 triplets cut
  batches     20 of 1,280 rows; 3 anchors in none
  unmined ";
    assert!(card.contains(expected), "{card}");
    // Where pairs say what is a positive, there are no classes to be even.
    for (balance, expected) in [
        (Balanced { refilled: 9, emptied: 2, ..Balanced::default() }, "9 slots refilled, 2 slots emptied by max_uses"),
        (Balanced::default(), "nothing taken"),
    ] {
        let card = Summary { balance: Some(balance), ..summary() }.to_string();
        assert!(card.contains(&format!("\n  balance     {expected}\n  unmined ")), "{card}");
    }
}

#[test]
fn is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read(folder.path()), Err(ReportError::Absent(_))));
    summary().write(folder.path()).unwrap();
    assert_eq!(read(folder.path()).unwrap(), summary());
}
