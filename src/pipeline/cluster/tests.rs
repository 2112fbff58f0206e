//! An order as another process would do it, without any engine between the two.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;

use super::bench::{Bench, Unsettled};
use super::mirror::DEPTH;
use super::order::{FILE, Needs, OrderError, Task, WorkOrder};
use super::recipe::Recipe;
use super::site::Site;
use super::*;
use crate::config::{self, Machines, Meeting, Scheduler};
use crate::disk;
use crate::mine::Quotas;
use crate::pipeline::brake::Brake;
use crate::pipeline::crew::{Commission, Crew};
use crate::pipeline::engine::{Control, Engine, Watch};
use crate::pipeline::job::{Job, appraise};
use crate::pipeline::scratch::Scratch;
use crate::pipeline::stages;
use crate::report::Silent;
use crate::search::lottery::mix;
use crate::search::{Assignment, Cells};
use crate::store::{Prepared, Surveys};

const ROWS: u64 = 1_400;
const DIMS: i32 = 8;

fn store(path: &Path, rows: u64) {
    let value = |at: u64| (mix(at) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    let values = Float32Array::from_iter_values((0..rows * DIMS as u64).map(value));
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let vectors: ArrayRef = Arc::new(FixedSizeListArray::new(item, DIMS, Arc::new(values), None));
    let labels: ArrayRef = Arc::new((0..rows).map(|row| Some(format!("c{}", row % 40))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("e", vectors), ("l", labels)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// What is committed, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// A run as far as its store is prepared.
struct Begun<'a> {
    plan: &'a Plan,
    survey: Surveys,
    job: Job,
    scratch: Scratch,
    store: Arc<Prepared>,
    engine: &'a Engine<'a>,
    watch: Watch<'a>,
}

impl Begun<'_> {
    fn commission(&self) -> Commission<'_> {
        let Self { plan, survey, job, scratch, .. } = self;
        Commission { plan, survey, job, fingerprint: "f00d", scratch, lease: None }
    }
}

/// Begins a run over so many rows, and lets `look` go on with it.
fn begun(rows: u64, asked: &str, look: impl FnOnce(&mut Begun) + Send) {
    let room = tempfile::tempdir().unwrap();
    store(&room.path().join("s.parquet"), rows);
    let file = room.path().join("p.toml");
    let text = "store = { path = 's.parquet', embedding = 'e', label = 'l' }\noutput.path = 'out'\n";
    fs::write(&file, format!("{text}{asked}")).unwrap();
    let mut plan = config::load(&file, &[]).unwrap();
    let scheduler = Scheduler { host: "nobody.invalid".to_owned(), port: 1 };
    let meeting = Meeting::Folder(room.path().to_owned());
    plan.run.machines = Machines::Cluster { scheduler, tls: None, patience: Duration::from_secs(1), meeting };
    let (plan, brake) = (&plan, Brake::new());
    let control = Control { progress: &Silent, brake: &brake };
    let engine = &Engine::new(2, &control).unwrap();
    engine.install(|| {
        let mut watch = Watch::new(&Silent);
        let survey = stages::survey(plan, engine).unwrap();
        let job = appraise(plan, &survey, engine).unwrap().job;
        let scratch = stages::scratch(plan, "f00d", engine).unwrap();
        let store = stages::prepare(plan, &survey, 0, &scratch, engine, &mut watch).unwrap();
        let (store, _) = stages::fit(plan, &survey, store, &scratch, engine, &mut watch).unwrap();
        look(&mut Begun { plan, survey, job, scratch, store, engine, watch });
    });
}

/// Brings a run up to where partitions are mined, mines them here, and lets `look` see: the folder of the order, how many partitions
/// there are, where harvests go, and those of the local run, which are gone from there.
fn ordered(asked: &str, look: impl FnOnce(&Path, u32, &Path, &BTreeMap<String, Vec<u8>>) + Send) {
    begun(ROWS, asked, |begun| {
        let Begun { plan, survey, scratch, store, engine, watch, .. } = begun;
        let (engine, store) = (*engine, &store.clone());
        let mut index = stages::index(plan, survey, store, &scratch.kept(), engine, watch).unwrap();
        let quotas = Quotas::new(store, &plan.mine);
        stages::tune(plan, store, &quotas, &mut index, scratch, watch).unwrap();
        let local = Crew::Local(engine);
        let harvests = stages::mine(plan, store, &quotas, &index, scratch, &local, watch).unwrap();
        let Crew::Cluster(miners) = crew(&begun.commission(), &index, engine).unwrap() else {
            panic!("not a cluster");
        };
        let scratch = &begun.scratch;
        let (folder, mined) = (scratch.partitions(), files(&scratch.partitions()));
        assert!(harvests.partitions() > 2 && mined.len() == harvests.partitions() as usize);
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::create_dir_all(&miners.folder).unwrap();
        miners.order.write(&miners.folder).unwrap();
        look(&miners.folder, harvests.partitions(), &folder, &mined);
    });
}

/// What an executor is given, for an order in this folder.
fn above(folder: &Path) -> &Path {
    folder.ancestors().nth(DEPTH + 1).unwrap()
}

fn site(root: &Path) -> Site {
    Site::open(&Meeting::Folder(root.to_owned()), root).unwrap()
}

fn bench(root: &Path, spills: &Path) -> Bench {
    Bench::new(site(root), spills.to_owned(), "a-1".to_owned(), 2, 1 << 40).unwrap()
}

#[test]
fn what_another_process_mines_is_the_same_to_the_byte() {
    let asked = [
        "search.index = 'exact'\nmine.bands = { hard = 2, semi-hard = 1 }\nbalance.oversample_to = 60\n",
        "search.index = 'cells'\nprepare.standardize = true\nmine.negatives.duplicate_distance = 0.01\n",
        "search.index = 'hnsw'\nmine.bands = { hard = 1 }\nmine.pick = 'nearest'\n",
    ];
    for asked in asked {
        ordered(asked, |folder, count, partitions, expected| {
            let spills = tempfile::tempdir().unwrap();
            let bench = bench(above(folder), spills.path());
            // Each by two at once, as where one of them is thought to be lost.
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| (0..count).for_each(|ordinal| assert!(bench.settle(folder, ordinal).is_ok())));
                }
            });
            assert!(files(partitions) == *expected, "{asked}");
            let again = bench.settle(folder, 0).unwrap();
            assert!(again > 0, "the counts of one that is committed");
            assert!(bench.settle(folder, count).unwrap_err().to_string().contains(&format!("item {count} of {count}")));
        });
    }
}

#[test]
fn a_graph_that_two_build_at_once_is_the_one_of_the_run() {
    ordered("search.index = 'hnsw'\nmine.bands = { hard = 1 }\nmine.pick = 'nearest'\n", |folder, _, _, _| {
        let order = WorkOrder::read(folder).unwrap();
        let Task::Mine { index: Recipe::Hnsw { graphs, key, params, .. }, .. } = order.task else {
            panic!("no graphs")
        };
        let again = folder.parent().unwrap().join("again");
        let built = folder.join("../../../others");
        fs::create_dir_all(&again).unwrap();
        fs::create_dir(&built).unwrap();
        let task = Task::Build { graphs: "../../../others".into(), key, params };
        WorkOrder { task, ..order }.write(&again).unwrap();
        let spills = tempfile::tempdir().unwrap();
        let benches = [bench(above(&again), spills.path()), bench(above(&again), spills.path())];
        std::thread::scope(|scope| {
            for bench in &benches {
                scope.spawn(|| assert_eq!(bench.settle(&again, 0), Ok(ROWS)));
            }
        });
        assert!(files(&built) == files(&folder.join(graphs)));
    });
}

#[test]
fn rows_that_others_bring_to_their_cells_come_to_the_same_ones() {
    const ROWS: u64 = 150_000;
    for asked in ["mine.metric = 'cosine'\n", "mine.metric = 'euclidean'\n"] {
        begun(ROWS, &format!("search.index = 'cells'\nsearch.cells.cells = 40\n{asked}"), |run| {
            let unlabelled = run.plan.mine.negatives.unlabelled;
            let (expected, shared) = (run.scratch.notes().join("local"), run.scratch.kept().cells);
            Cells::open(&run.store, Some(40), unlabelled, Some(&expected)).unwrap();

            let folder = run.scratch.assignment();
            let begin = || Assignment::begin(&run.store, Some(40), unlabelled, &folder).unwrap();
            let assignment = begin();
            assert!(Assignment::is_worth(ROWS) && assignment.stretches() == 3);
            let order = run.scratch.order("cells");
            fs::create_dir_all(&order).unwrap();
            let task = Task::Assign { assignment: seen(RUN, &folder), unlabelled };
            WorkOrder::new(&run.commission(), Needs::of_assigning(&run.job), task).write(&order).unwrap();
            let spills = tempfile::tempdir().unwrap();
            let benches = [bench(above(&order), spills.path()), bench(above(&order), spills.path())];
            std::thread::scope(|scope| {
                let each = |bench: &Bench| (0..3).map(|stretch| bench.settle(&order, stretch).unwrap()).sum::<u64>();
                for bench in &benches {
                    scope.spawn(move || assert_eq!(each(bench), ROWS));
                }
            });

            // One that was damaged, after a crash.
            let damaged = folder.join("stretch-00001");
            let mut bytes = fs::read(&damaged).unwrap();
            bytes[77] ^= 1;
            fs::write(&damaged, bytes).unwrap();
            let again = begin();
            assert_eq!(again.settled(&(0..3).collect()).unwrap().len(), 2);
            assert!(again.finish(&shared).is_err() && !shared.exists());
            begin().settle(1).unwrap();
            assignment.finish(&shared).unwrap();
            assert!(fs::read(&shared).unwrap() == fs::read(&expected).unwrap(), "{asked}");
            assert!(!folder.exists());
        });
    }
}

#[test]
fn an_item_that_is_asked_for_again_and_again_is_done_once() {
    ordered("search.index = 'exact'\n", |folder, count, partitions, expected| {
        fs::create_dir(sign::signs(folder)).unwrap();
        let spills = tempfile::tempdir().unwrap();
        let bench = bench(above(folder), spills.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..count).for_each(|ordinal| assert!(bench.settle(folder, ordinal).is_ok())));
            }
        });
        assert!(files(partitions) == *expected);
        // The last sign follows the last item.
        let begun = Instant::now();
        let told =
            || sign::read(folder).remove("a-1").filter(|sign| sign.at.is_empty() && sign.done >= u64::from(count));
        while told().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", sign::read(folder));
            std::thread::sleep(Duration::from_millis(20));
        }
        let last = told().unwrap();
        assert_eq!((last.done, last.failed), (u64::from(count), 0));
    });
}

#[test]
fn orders_take_turns_where_memory_holds_one() {
    ordered("search.index = 'exact'\n", |folder, count, partitions, expected| {
        let order = WorkOrder::read(folder).unwrap();
        let needed = order.needs.bytes(2);
        let other = folder.with_file_name("other");
        fs::create_dir(&other).unwrap();
        WorkOrder { token: order.token ^ 1, ..order }.write(&other).unwrap();
        let spills = tempfile::tempdir().unwrap();
        let site = site(above(folder));
        let bench = Bench::new(site, spills.path().into(), "a-1".into(), 2, needed + needed / 2).unwrap();
        for folder in [folder, &other, folder, &other] {
            assert!(bench.settle(folder, 0).is_ok());
        }
        std::thread::scope(|scope| {
            for folder in [folder, &other] {
                scope.spawn(|| (0..count).for_each(|ordinal| assert!(bench.settle(folder, ordinal).is_ok())));
            }
        });
        assert!(files(partitions) == *expected);
    });
}

#[test]
fn an_executor_refuses_what_is_not_for_it() {
    ordered("search.index = 'cells'\n", |folder, _, _, _| {
        let (elsewhere, spills) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = bench(elsewhere.path(), spills.path()).settle(folder, 0).unwrap_err().to_string();
        assert!(outside.contains("lies outside") && outside.contains("--work"), "{outside}");

        let path = folder.join(FILE);
        let order = WorkOrder::read(folder).unwrap();
        let inside = bench(above(folder), spills.path());
        let mut other: serde_json::Value = disk::kept(&path).unwrap();
        other["program"]["version"] = "9.9.9".into();
        other["task"] = "what only later versions know".into();
        disk::keep(&path, &other).unwrap();
        let stranger = inside.settle(folder, 0).unwrap_err().to_string();
        let both = [order.program.version.as_str(), "9.9.9", "install one program on all machines"];
        assert!(both.iter().all(|part| stranger.contains(part)), "{stranger}");

        let small = Bench::new(site(above(folder)), spills.path().into(), "a-1".into(), 64, 1 << 20).unwrap();
        order.write(folder).unwrap();
        let little = small.settle(folder, 0).unwrap_err().to_string();
        assert!(little.contains("64 slots") && little.contains("--memory"), "{little}");

        for astray in ["../../../../elsewhere", "/etc"] {
            let mut other: serde_json::Value = disk::kept(&path).unwrap();
            other["task"]["mine"]["partitions"] = astray.into();
            disk::keep(&path, &other).unwrap();
            let refused = inside.settle(folder, 0).unwrap_err().to_string();
            assert!(refused.contains(astray) && refused.contains("leads out of the folder of the run"), "{refused}");
        }

        let (partitions, kept) = (folder.join("../../partitions"), folder.join("../../kept"));
        order.write(folder).unwrap();
        fs::rename(&partitions, &kept).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &partitions).unwrap();
        let linked = inside.settle(folder, 0).unwrap_err().to_string();
        assert!(linked.contains("leads out of the folder of the run"), "{linked}");
        fs::remove_file(&partitions).unwrap();
        fs::rename(&kept, &partitions).unwrap();
        let near = bench(folder.parent().unwrap(), spills.path()).settle(folder, 0).unwrap_err().to_string();
        assert!(near.contains("lies outside"), "{near}");

        let needs = Needs { packed: 1 << 60, ..order.needs };
        WorkOrder { token: 1, needs, ..order.clone() }.write(folder).unwrap();
        let full = inside.settle(folder, 0).unwrap_err();
        assert!(matches!(&full, Unsettled::Refused(why) if why.contains("1.0 EiB to be packed")), "{full:?}");
        order.write(folder).unwrap();

        // Nothing is trained at an executor.
        let Task::Mine { index: Recipe::Cells { kept, .. }, .. } = &order.task else { panic!("not cells") };
        let cells = folder.join(kept);
        fs::rename(&cells, cells.with_extension("gone")).unwrap();
        let untrained = inside.settle(folder, 0).unwrap_err().to_string();
        assert!(untrained.contains("expected the trained cells"), "{untrained}");
        fs::rename(cells.with_extension("gone"), &cells).unwrap();
        assert!(inside.settle(folder, 0).is_ok(), "what failed once is opened again");

        disk::remove_file(&path).unwrap();
        assert!(matches!(WorkOrder::read(folder), Err(OrderError::Withdrawn { .. })));
        assert!(inside.settle(folder, 0).unwrap_err().to_string().contains("no folder of a run that is at work"));
    });
}
