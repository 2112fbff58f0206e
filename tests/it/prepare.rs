//! `[prepare]`: what is learned is what the definitions say, the same on any machine, written down, and checked.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use parquet::arrow::ArrowWriter;
use sha2::{Digest, Sha256};

use crate::support::{Draw, Room, Rows, STORE, batches, manifest, root, sample, tree, triplets};

/// `x ↦ L·(x − m)`, as `transform.parquet` says.
struct Transform {
    mean: Vec<f64>,
    matrix: Vec<Vec<f64>>,
}

impl Transform {
    fn read(out: &Path) -> Self {
        let mut rows: Vec<(String, u32, Vec<f64>)> = Vec::new();
        for batch in batches(&out.join("transform.parquet")) {
            let (parts, places) =
                (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<arrow::datatypes::UInt32Type>());
            let lists = batch.column(2).as_list::<i32>();
            for row in 0..batch.num_rows() {
                let values = lists.value(row).as_primitive::<Float64Type>().values().to_vec();
                rows.push((parts.value(row).to_owned(), places.value(row), values));
            }
        }
        assert_eq!((rows[0].0.as_str(), rows[0].1), ("mean", 0));
        assert!(rows[1..].iter().zip(0..).all(|((part, row, _), place)| part == "matrix" && *row == place));
        let mut values = rows.into_iter().map(|(_, _, values)| values);
        Self { mean: values.next().unwrap(), matrix: values.collect() }
    }

    fn apply(&self, vector: &[f32]) -> Vec<f64> {
        let centred: Vec<f64> = vector.iter().zip(&self.mean).map(|(x, m)| f64::from(*x) - m).collect();
        self.matrix.iter().map(|row| row.iter().zip(&centred).map(|(l, x)| l * x).sum()).collect()
    }
}

/// Vectors and labels of the digits.
fn digits() -> (Vec<Vec<f32>>, Vec<String>) {
    let (mut vectors, mut labels) = (Vec::new(), Vec::new());
    for batch in batches(&root().join("sample_data/digits.parquet")) {
        let label = arrow::compute::cast(batch.column_by_name("label").unwrap(), &DataType::Utf8).unwrap();
        let embedding = batch.column_by_name("embedding").unwrap();
        let list = DataType::List(Arc::new(Field::new("item", DataType::Float32, true)));
        let embedding = arrow::compute::cast(embedding, &list).unwrap();
        for row in 0..batch.num_rows() {
            labels.push(label.as_string::<i32>().value(row).to_owned());
            vectors.push(embedding.as_list::<i32>().value(row).as_primitive::<Float32Type>().values().to_vec());
        }
    }
    (vectors, labels)
}

fn pipeline(extra: &str) -> String {
    format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\n\
         mine.bands = {{ semi-hard = 1 }}\nmine.metric = 'euclidean'\n{extra}\n",
        sample("digits.parquet")
    )
}

fn mean(vectors: &[&Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; vectors[0].len()];
    vectors.iter().for_each(|vector| mean.iter_mut().zip(*vector).for_each(|(sum, x)| *sum += x));
    mean.iter().map(|sum| sum / vectors.len() as f64).collect()
}

/// Around the mean of each group, over all.
fn covariance(groups: &[Vec<&Vec<f64>>]) -> Vec<Vec<f64>> {
    let k = groups[0][0].len();
    let (mut sums, mut rows) = (vec![vec![0.0; k]; k], 0.0);
    for group in groups {
        let mean = mean(group);
        for vector in group {
            let centred: Vec<f64> = vector.iter().zip(&mean).map(|(x, m)| x - m).collect();
            for (row, x) in sums.iter_mut().zip(&centred) {
                row.iter_mut().zip(&centred).for_each(|(sum, y)| *sum += x * y);
            }
            rows += 1.0;
        }
    }
    sums.iter().map(|row| row.iter().map(|sum| sum / rows).collect()).collect()
}

#[track_caller]
fn assert_identity(matrix: &[Vec<f64>], but: impl Fn(usize) -> bool) {
    for (i, row) in matrix.iter().enumerate().filter(|(i, _)| !but(*i)) {
        for (j, value) in row.iter().enumerate() {
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-6, "({i}, {j}): {value}");
        }
    }
}

#[test]
fn what_is_learned_whitens_what_it_should() {
    let (vectors, labels) = digits();
    let room = Room::new();
    let mapped = |name: &str, extra: &str| -> (Transform, Vec<Vec<f64>>) {
        let transform = Transform::read(&room.run(name, &pipeline(extra)));
        let mapped = vectors.iter().map(|vector| transform.apply(vector)).collect();
        (transform, mapped)
    };
    let all = |mapped: &[Vec<f64>]| covariance(&[mapped.iter().collect()]);
    let mut classes: Vec<&String> = labels.iter().collect();
    classes.sort();
    classes.dedup();
    let within = |mapped: &[Vec<f64>]| {
        let of = |class: &String| mapped.iter().zip(&labels).filter(|(_, l)| *l == class).map(|(v, _)| v).collect();
        covariance(&classes.iter().map(|class| of(class)).collect::<Vec<_>>())
    };

    let (_, standard) = mapped("standard", "prepare.standardize = true");
    let variances = all(&standard);
    for (i, row) in variances.iter().enumerate() {
        assert!((row[i] - 1.0).abs() < 1e-9 || row[i] == 0.0, "dimension {i}: {}", row[i]);
    }
    assert!(mean(&standard.iter().collect::<Vec<_>>()).iter().all(|mean| mean.abs() < 1e-12));

    let (_, whitened) = mapped("pca", "prepare.transform = 'pca-whiten'\nprepare.dimensions = 20");
    assert_eq!(whitened[0].len(), 20);
    assert_identity(&all(&whitened), |_| false);
    // Standardized first, the first direction is another one.
    let (_, both) =
        mapped("both", "prepare.transform = 'pca-whiten'\nprepare.dimensions = 20\nprepare.standardize = true");
    assert_identity(&all(&both), |_| false);
    assert!((both[0][0] - whitened[0][0]).abs() > 1e-3);

    let (lda, discriminants) = mapped("lda", "prepare.transform = 'lda'");
    assert_eq!(lda.matrix.len(), 9, "one fewer than classes");
    assert_identity(&within(&discriminants), |_| false);
    // Between classes nothing is correlated, and the first direction tells most.
    let means: Vec<Vec<f64>> = labels
        .iter()
        .map(|label| {
            mean(&discriminants.iter().zip(&labels).filter(|(_, l)| *l == label).map(|(v, _)| v).collect::<Vec<_>>())
        })
        .collect();
    let between = all(&means);
    assert!((0..9).all(|i| (0..9).all(|j| i == j || between[i][j].abs() < 1e-6)));
    assert!((1..9).all(|i| between[i - 1][i - 1] >= between[i][i]));

    // Pixels that never change within a digit stay as they are; every other direction is whitened.
    let (rca, relevant) = mapped("rca", "prepare.transform = 'rca'");
    assert!(rca.mean.iter().all(|mean| *mean == 0.0), "linear, as the paper has it");
    let constant = |i: usize| all(&standard)[i][i] == 0.0;
    let constant: Vec<bool> = (0..64).map(constant).collect();
    let report: serde_json::Value = serde_json::from_slice(&fs::read(room.path("rca/report.json")).unwrap()).unwrap();
    let floored = report["prepare"]["floored"].as_u64().unwrap() as usize;
    assert_eq!(floored, constant.iter().filter(|constant| **constant).count());
    assert_identity(&within(&relevant), |i| constant[i]);
    assert!((0..64).all(|i| (0..64).all(|j| (rca.matrix[i][j] - rca.matrix[j][i]).abs() < 1e-12)), "symmetric");
}

#[test]
fn lda_is_that_of_scikit_learn() {
    let frozen: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(root().join("tests/frozen/lda.json")).unwrap()).unwrap();
    let numbers = |key: &str| -> Vec<Vec<f64>> { serde_json::from_value(frozen[key].clone()).unwrap() };
    let (x, expected) = (numbers("x"), numbers("transformed"));
    let labels: Vec<u64> = serde_json::from_value(frozen["y"].clone()).unwrap();
    let rows = Rows {
        vectors: x.iter().map(|row| row.iter().map(|v| *v as f32).collect()).collect(),
        labels: labels.iter().map(|label| Some(format!("c{label}"))).collect(),
        teams: vec![None; x.len()],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    let out = room.run(
        "out",
        &format!("{STORE}mine.bands = {{ any = 1 }}\nmine.metric = 'euclidean'\nprepare.transform = 'lda'"),
    );
    let transform = Transform::read(&out);
    let found: Vec<Vec<f64>> = rows.vectors.iter().map(|vector| transform.apply(vector)).collect();
    for column in 0..expected[0].len() {
        // A direction has no sign of its own.
        let sign = if found[0][column] * expected[0][column] < 0.0 { -1.0 } else { 1.0 };
        for (found, expected) in found.iter().zip(&expected) {
            assert!((sign * found[column] - expected[column]).abs() < 1e-9, "{found:?}, {expected:?}");
        }
    }
}

#[test]
fn distances_are_those_of_the_transformed_vectors() {
    let (vectors, _) = digits();
    let room = Room::new();
    for metric in ["cosine", "euclidean"] {
        let out = room.run(
            metric,
            &pipeline("prepare.transform = 'pca-whiten'\nprepare.dimensions = 12").replace("euclidean", metric),
        );
        let transform = Transform::read(&out);
        let found = triplets(&out);
        assert!(found.len() > 1_000);
        for line in found {
            let [a, n] = [line.anchor, line.negative].map(|row| transform.apply(&vectors[row as usize]));
            let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let expected = match metric {
                "cosine" => 1.0 - a.iter().zip(&n).map(|(x, y)| x * y).sum::<f64>() / norm(&a) / norm(&n),
                _ => norm(&a.iter().zip(&n).map(|(x, y)| x - y).collect::<Vec<_>>()),
            };
            let d_an = f64::from(f32::from_bits(line.d_an));
            assert!((d_an - expected).abs() < 1e-5, "{metric}: {d_an}, expected {expected}");
        }
    }
}

#[test]
fn threads_change_no_byte_and_the_output_is_sound() {
    let room = Room::new();
    matrix(&room.path("m.npy"), 5, 64);
    for (name, extra) in [
        ("standardize", "prepare.standardize = true"),
        ("pca", "prepare.transform = 'pca-whiten'"),
        ("rca", "prepare.transform = 'rca'\nprepare.standardize = true"),
        ("lda", "prepare.transform = 'lda'\nprepare.dimensions = 4\nsearch.index = 'cells'"),
        ("matrix", "prepare.transform = 'm.npy'\nsearch.index = 'hnsw'"),
    ] {
        let outputs = ["1", "3"].map(|threads| {
            room.write(
                "p.toml",
                &format!(
                    "{}output.path = '{name}'\noutput.overwrite = true\n",
                    pipeline(extra).replace("euclidean", "cosine")
                ),
            );
            room.miner(&["run", "p.toml", "--quiet", "--threads", threads]).exits(0);
            let files = tree(&room.path(name));
            fs::rename(room.path(name), room.path(&format!("{name}-{threads}"))).unwrap();
            files
        });
        assert!(outputs[0].contains_key("transform.parquet"));
        assert!(outputs[0] == outputs[1], "{name}: 1 thread and 3 threads differ");
        room.miner(&["verify", "--full", &format!("{name}-1")]).exits(0);
    }
    assert!(!tree(&room.run("plain", &pipeline(""))).contains_key("transform.parquet"));
}

#[test]
fn the_report_says_what_it_did_to_the_nearest_neighbours() {
    let room = Room::new();
    let out = room.run("out", &pipeline("prepare.transform = 'lda'"));
    let told = room.miner(&["report", "out"]).exits(0).stdout;
    assert!(told.contains("prepare     lda: 64 → 9 dimensions, ") && told.contains("1-NN accuracy 0."), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let nearest = &report["prepare"]["nearest"];
    assert_eq!((nearest["queries"].as_u64(), nearest["rows"].as_u64()), (Some(180), Some(1_797)));
    assert!(told.contains("(180 of 1,797 rows, held out when it was learned once more)"), "{told}");
    // Pixels of digits are told apart well before, too; a transform learned with labels does not lose that.
    assert!(nearest["before"].as_f64() > Some(0.95) && nearest["after"].as_f64() > Some(0.95), "{nearest}");
    let plain = room.run("plain", &pipeline(""));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(plain.join("report.json")).unwrap()).unwrap();
    assert!(report["prepare"].is_null() && report["pipeline"].is_object(), "{report}");
}

/// Labels that mean nothing: learned from, they are told apart; of rows that were not learned from, they are not.
#[test]
fn the_accuracy_of_a_learned_transform_is_that_of_rows_held_out() {
    let (mut draw, n, d) = (Draw(8), 300, 200);
    let rows = Rows {
        vectors: (0..n).map(|_| (0..d).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|_| Some(format!("c{}", draw.below(4)))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    for (transform, flatters) in [("lda", true), ("rca", true), ("pca-whiten", false)] {
        let asked = format!("{STORE}mine.metric = 'euclidean'\nprepare.transform = '{transform}'\n");
        let report = room.run(transform, &asked).join("report.json");
        let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
        let nearest = &report["prepare"]["nearest"];
        assert_eq!(nearest["held_out"], flatters, "{transform}");
        assert_eq!(nearest["queries"].as_u64(), Some(if flatters { 30 } else { 300 }), "{transform}");
        let after = nearest["after"].as_f64().unwrap();
        assert!(after < 0.5, "{transform}: {after} of labels that mean nothing, 0.25 by chance");
    }
    // What is learned from all rows tells their labels apart, so that there was something to flatter with.
    let learned = Transform::read(&room.path("lda"));
    let mapped: Vec<Vec<f64>> = rows.vectors.iter().map(|vector| learned.apply(vector)).collect();
    let away = |a: usize, b: usize| mapped[a].iter().zip(&mapped[b]).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
    let nearest = |a: usize| (0..n).filter(|b| *b != a).min_by(|x, y| away(a, *x).total_cmp(&away(a, *y))).unwrap();
    let right = (0..n).filter(|a| rows.labels[nearest(*a)] == rows.labels[*a]).count() as f64 / n as f64;
    assert!(right > 0.6, "{right} of rows learned from: nothing flatters, which proves nothing");
}

/// Writes a random matrix.
fn matrix(path: &Path, rows: usize, width: usize) {
    let mut draw = Draw(rows as u64);
    write_matrix(path, rows, width, || draw.unit());
}

/// Writes `rows × width` numbers as numpy does.
pub fn write_matrix(path: &Path, rows: usize, width: usize, mut next: impl FnMut() -> f32) {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..rows * width).flat_map(|_| next().to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_matrix_is_an_input_like_any_other() {
    let room = Room::new();
    room.write("data/readme.txt", "");
    matrix(&room.path("data/m.npy"), 7, 64);
    let asked = pipeline("prepare.transform = 'data/m.npy'");
    let out = room.run("out", &asked);
    let sealed = manifest(&out);
    assert_eq!(sealed["inputs"][1]["role"], "transform");
    assert_eq!(
        (sealed["inputs"][1]["path"].as_str(), sealed["inputs"][1]["rows"].as_u64()),
        (Some("../data/m.npy"), Some(7))
    );
    assert!(room.miner(&["run", "out.toml"]).exits(0).stdout.contains("nothing was done"));
    // The same learned from itself: a file's matrix is applied as it is.
    let transform = Transform::read(&out);
    assert!(transform.mean.iter().all(|mean| *mean == 0.0) && transform.matrix.len() == 7);

    // Another content is another run, and no longer what the output was made from.
    let bytes = fs::read(room.path("data/m.npy")).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(room.path("data/m.npy"), &changed).unwrap();
    let ran = room.miner(&["run", "--quiet", "out.toml"]);
    assert!(ran.status != Some(0) && ran.stderr.contains("--overwrite"), "{ran:?}");
    let told = room.miner(&["verify", "out"]).exits(3).stdout;
    assert!(told.contains("inputs[1].fingerprint: found another transform: 7 rows"), "{told}");
    fs::write(room.path("data/m.npy"), bytes).unwrap();
    room.miner(&["verify", "out"]).exits(0);
}

/// A transform with one value changed, and the manifest to fit.
fn forge(out: &Path, change: impl FnOnce(&mut Vec<f64>)) {
    let batch = batches(&out.join("transform.parquet")).remove(0);
    let lists = batch.column(2).as_list::<i32>();
    let mut values = lists.values().as_primitive::<Float64Type>().values().to_vec();
    change(&mut values);
    let offsets = OffsetBuffer::from_lengths((0..lists.len()).map(|row| lists.value(row).len()));
    let DataType::List(item) = lists.data_type() else { panic!("{}", lists.data_type()) };
    let lists = ListArray::new(item.clone(), offsets, Arc::new(Float64Array::from(values)), None);
    let columns = vec![batch.column(0).clone(), batch.column(1).clone(), Arc::new(lists)];
    let forged = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let path = out.join("transform.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), forged.schema(), None).unwrap();
    writer.write(&forged).unwrap();
    writer.close().unwrap();
    let bytes = fs::read(path).unwrap();
    let mut sealed = manifest(out);
    let files = sealed["files"].as_array_mut().unwrap();
    let listed = files.iter_mut().find(|listed| listed["path"] == "transform.parquet").unwrap();
    listed["bytes"] = bytes.len().into();
    listed["sha256"] = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    fs::write(out.join("manifest.json"), serde_json::to_vec(&sealed).unwrap()).unwrap();
}

#[test]
fn verify_learns_it_again_and_finds_another_one() {
    let room = Room::new();
    let out = room.run("out", &pipeline("prepare.transform = 'pca-whiten'\nprepare.dimensions = 3"));
    room.miner(&["verify", "out"]).exits(0);
    forge(&out, |values| values[64 * 2 + 5] += 1e-15);
    let told = room.miner(&["verify", "out"]).exits(3).stdout;
    assert!(told.contains("transform.parquet, row 2, values: found ["), "{told}");
    fs::remove_file(out.join("transform.parquet")).unwrap();
    let told = room.miner(&["verify", "out"]).exits(3).stdout;
    assert!(told.contains("transform.parquet: found"), "{told}");
}

#[test]
fn dimensions_that_are_noise_are_not_blown_up() {
    // Three of the 384 are: two of deviation 1e-33, one of 4e-9; the next is of 0.03.
    let room = Room::new();
    let text = pipeline("prepare.standardize = true").replace("digits", "glosses").replace("euclidean", "cosine");
    let out = room.run("out", &text);
    let matrix = Transform::read(&out).matrix;
    let kept = (0..384).filter(|&i| matrix[i][i] == 1.0).count();
    assert_eq!(kept, 3);
    assert!((0..384).all(|i| matrix[i][i] < 50.0));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["prepare"]["floored"], 3);
}

/// The status and words of a run on a small store.
#[track_caller]
fn refused(rows: &Rows, extra: &str, told: &str) {
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    matrix(&room.path("m.npy"), 2, 5);
    room.write("p.toml", &format!("{STORE}{extra}\noutput.path = 'out'\n"));
    let ran = room.miner(&["run", "--quiet", "p.toml"]).exits(3);
    assert!(ran.stderr.contains(told), "`{told}` is not told:\n{}", ran.stderr);
    assert!(!room.path("out").exists());
}

#[test]
fn what_cannot_be_learned_is_refused_with_what_was_found() {
    let mut draw = Draw(1);
    let rows = Rows {
        vectors: (0..30).map(|_| (0..3).map(|_| draw.unit()).collect()).collect(),
        labels: (0..30).map(|row| Some(format!("c{}", row % 3))).collect(),
        teams: vec![None; 30],
    };
    refused(
        &rows,
        "prepare.transform = 'pca-whiten'\nprepare.dimensions = 4",
        "prepare.dimensions = 4: found vectors of 3 dimensions; expected at most that, or 0 for all",
    );
    refused(
        &rows,
        "prepare.transform = 'lda'\nprepare.dimensions = 3",
        "prepare.dimensions = 3: 3 classes in 3 dimensions give lda at most 2; expected at most that, or 0 for all",
    );
    refused(
        &rows,
        "prepare.transform = 'm.npy'",
        "m.npy: found a matrix of 2 × 5, expected one with 3 columns, one for each dimension of the vectors",
    );
    refused(&rows, "prepare.transform = 'missing.npy'", "missing.npy: found no such file, expected a k × d matrix");
    refused(&rows, "prepare.transform = 'p.toml.parquet'", "p.toml.parquet: found no such file");

    let one = Rows { labels: (0..30).map(|row| (row > 0).then(|| "a".into())).collect(), ..rows.clone() };
    refused(&one, "prepare.transform = 'lda'", "prepare.transform = \"lda\": found one class; expected two or more");
    let flat = Rows { vectors: vec![vec![1.0, 2.0, 3.0]; 30], ..rows.clone() };
    refused(
        &flat,
        "prepare.transform = 'pca-whiten'",
        "\"pca-whiten\": found a store, in which nothing varies; expected vectors that differ",
    );
    let vectors = (0..30).map(|row| vec![(row % 3) as f32 + 1.0, 1.0, 0.0]).collect();
    let collapsed = Rows { vectors, ..rows.clone() };
    for transform in ["rca", "lda"] {
        let told = format!("prepare.transform = \"{transform}\": found classes, in which nothing varies");
        refused(&collapsed, &format!("prepare.transform = '{transform}'"), &told);
    }

    // Row 4 is the mean: zero once it is taken away.
    let mut vectors: Vec<Vec<f32>> =
        [[1.0, 0.0, 2.0], [-1.0, 0.0, -2.0], [0.0, 3.0, 1.0], [0.0, -3.0, -1.0]].map(Vec::from).to_vec();
    vectors.insert(4, vec![0.0; 3]);
    let labels = ["a", "b", "a", "b", "a"].map(|label| Some(label.to_owned())).to_vec();
    let centre = Rows { vectors, labels, teams: vec![None; 5] };
    refused(
        &centre,
        "prepare.standardize = true\nstore.bad_rows = 'skip'",
        "store.parquet, row 4: after [prepare] the vector is zero, and has no direction for cosine; leave the row out with store.where",
    );
    // Under another metric it is a vector like any other, and so is a zero vector that standardizing moves.
    let room = Room::new();
    centre.write(&room.path("store.parquet"));
    room.run(
        "out",
        &format!("{STORE}prepare.standardize = true\nmine.metric = 'euclidean'\nmine.bands = {{ any = 1 }}"),
    );
}

#[test]
fn rows_without_a_label_count_for_whitening_but_not_for_classes() {
    let mut draw = Draw(2);
    let n = 400;
    let labelled = Rows {
        vectors: (0..n).map(|_| (0..6).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("c{}", row % 4))).collect(),
        teams: vec![None; n],
    };
    let mut more = labelled.clone();
    more.vectors.extend((0..100).map(|_| (0..6).map(|_| 5.0 * draw.unit()).collect::<Vec<f32>>()));
    more.labels.extend(vec![None; 100]);
    more.teams.extend(vec![None; 100]);
    for (transform, same) in [("rca", true), ("lda", true), ("pca-whiten", false)] {
        let learned = [&labelled, &more].map(|rows| {
            let room = Room::new();
            rows.write(&room.path("store.parquet"));
            let out = room.run("out", &format!("{STORE}prepare.transform = '{transform}'\nmine.bands = {{ any = 1 }}"));
            fs::read(out.join("transform.parquet")).unwrap()
        });
        assert_eq!(learned[0] == learned[1], same, "{transform}");
    }
}
