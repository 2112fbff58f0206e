//! A folder for one test, the program run in it, and its output read back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, UInt64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use triplet_miner::search::lottery::mix;

/// A seeded source of test values; a failure prints its seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// In −1 … 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the sample, as a pipeline names it.
pub fn sample(name: &str) -> String {
    root().join("sample_data").join(name).display().to_string()
}

/// What a finished process left.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Waits for a process to end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what a person reads is UTF-8");
        Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Insists on an exit status.
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.status, Some(status), "\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }
}

/// A folder of its own for one test.
pub struct Room(TempDir);

impl Room {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where the system keeps a file system in memory, there: what is synced often takes long on a disk.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self(tempfile::tempdir_in(memory).unwrap()) } else { Self::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// The program, about to run in this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_miner"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub fn miner(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Writes the pipeline NAME.toml, runs it, and returns its output folder, NAME.
    #[track_caller]
    pub fn run(&self, name: &str, pipeline: &str) -> PathBuf {
        self.write(&format!("{name}.toml"), &format!("{pipeline}\noutput.path = '{name}'\n"));
        self.miner(&["run", "--quiet", &format!("{name}.toml")]).exits(0);
        self.path(name)
    }
}

/// One row of an output; `d_ap` and `d_an` as bits, so that equal means equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub anchor: u64,
    pub positive: u64,
    pub negative: u64,
    pub d_ap: u32,
    pub d_an: u32,
    pub band: String,
    pub fallback: bool,
}

/// The rows of a Parquet file, in order.
pub fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(|batch| batch.unwrap()).collect()
}

/// The parts of an output, in order.
pub fn parts(out: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<PathBuf> =
        fs::read_dir(out.join("triplets")).unwrap().map(|entry| entry.unwrap().path()).collect();
    parts.sort();
    parts
}

/// The triplets of a Parquet output, in order.
pub fn triplets(out: &Path) -> Vec<Line> {
    parts(out).iter().flat_map(|part| batches(part)).flat_map(|batch| lines(&batch)).collect()
}

/// The triplets of one batch in layout `triplet`.
pub fn lines(batch: &RecordBatch) -> Vec<Line> {
    let column = |name: &str, kind: DataType| cast(batch.column_by_name(name).unwrap(), &kind).unwrap();
    let rows = ["anchor_row", "positive_row", "negative_row"].map(|name| column(name, DataType::UInt64));
    let rows = rows.each_ref().map(|rows| rows.as_primitive::<UInt64Type>());
    let distances = ["d_ap", "d_an"].map(|name| column(name, DataType::Float32));
    let distances = distances.each_ref().map(|values| values.as_primitive::<Float32Type>());
    let (bands, fallback) = (column("band", DataType::Utf8), column("fallback", DataType::Boolean));
    (0..batch.num_rows())
        .map(|row| Line {
            anchor: rows[0].value(row),
            positive: rows[1].value(row),
            negative: rows[2].value(row),
            d_ap: distances[0].value(row).to_bits(),
            d_an: distances[1].value(row).to_bits(),
            band: bands.as_string::<i32>().value(row).to_owned(),
            fallback: fallback.as_boolean().value(row),
        })
        .collect()
}

/// Row of the store → reason, from `unmined.parquet`.
pub fn unmined(out: &Path) -> BTreeMap<u64, String> {
    let of_batch = |batch: RecordBatch| {
        let rows = batch.column_by_name("row").unwrap().as_primitive::<UInt64Type>().clone();
        let reasons = batch.column_by_name("reason").unwrap().as_string::<i32>().clone();
        (0..batch.num_rows()).map(move |row| (rows.value(row), reasons.value(row).to_owned())).collect::<Vec<_>>()
    };
    batches(&out.join("unmined.parquet")).into_iter().flat_map(of_batch).collect()
}

/// `manifest.json`.
pub fn manifest(out: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap()
}

/// Every file below a folder by its relative path.
pub fn all_files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The same, but the report, which knows the time.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    timeless(all_files(folder))
}

/// Files of an output without the report, which knows the time.
pub fn timeless(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files.retain(|name, _| !["report.json", "report.html"].iter().any(|report| Path::new(name).ends_with(report)));
    files
}

/// Copies a folder and all that is in it.
pub fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let place = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(place).unwrap();
        } else {
            // Contents alone: what is copied may be read-only.
            fs::write(place, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// A store as rows; ids are row numbers unless said otherwise.
#[derive(Debug, Default, Clone)]
pub struct Rows {
    pub vectors: Vec<Vec<f32>>,
    pub labels: Vec<Option<String>>,
    pub teams: Vec<Option<String>>,
}

impl Rows {
    /// As Parquet, with the columns `id`, `label`, `team`, `embedding`.
    pub fn write(&self, path: &Path) {
        self.write_with_ids(path, 0..self.vectors.len() as u64);
    }

    pub fn write_with_ids(&self, path: &Path, ids: impl Iterator<Item = u64>) {
        let d = self.vectors[0].len() as i32;
        let values = Float32Array::from(self.vectors.concat());
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("id", Arc::new(UInt64Array::from_iter_values(ids)), false),
            ("label", Arc::new(StringArray::from(self.labels.clone())), true),
            ("team", Arc::new(StringArray::from(self.teams.clone())), true),
            ("embedding", Arc::new(FixedSizeListArray::new(item, d, Arc::new(values), None)), false),
        ];
        write_batch(path, &RecordBatch::try_from_iter_with_nullable(columns).unwrap());
    }
}

/// Nullable columns as Parquet.
pub fn write_table(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    write_batch(path, &RecordBatch::try_from_iter_with_nullable(columns).unwrap());
}

fn write_batch(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A pipeline in which the lines of `more` stand in the place of those with the same keys, or beside them.
pub fn instead(pipeline: &str, more: &str) -> String {
    let key = |line: &str| line.split(" =").next().unwrap_or_default().to_owned();
    let keys: Vec<String> = more.lines().map(key).collect();
    let kept = pipeline.lines().filter(|line| !keys.contains(&key(line)));
    kept.chain(more.lines()).map(|line| format!("{line}\n")).collect()
}

/// What a pipeline says of a store that [`Rows::write`] wrote.
pub const STORE: &str = "\
store.path = 'store.parquet'
store.id = 'id'
store.embedding = 'embedding'
store.label = 'label'
";
