//! A forger changes one thing, and makes every checksum and count that follows from it anew; the check must say what.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float32Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use tempfile::TempDir;

use super::*;
use crate::manifest::format::{Extent, Part};
use crate::manifest::sealed::{Listed, MANIFEST};
use crate::manifest::sides::{SUSPECTS, UNMINED};
use crate::manifest::{Format, Formulas, Order, Params, fixture};
use crate::mine::{Band, Reason};
use crate::search::Index;
use crate::store::{Prepared, Row};

/// A sealed output, and the store it is of.
struct Scene {
    store: Arc<Prepared>,
    output: Params,
    sealed: Sealed,
    folder: TempDir,
}

impl Scene {
    fn new(format: Format, order: Order) -> Self {
        let (folder, store) = (tempfile::tempdir().unwrap(), fixture::store());
        let (output, out) = (fixture::output(format, order), folder.path().join("out"));
        let sealed = fixture::draft(folder.path(), &store, &output, "a", 2).seal(&out, false).unwrap();
        Self { store, output, sealed, folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn verdict(&self) -> Verdict {
        let mine = fixture::mine_params();
        let quotas = crate::mine::Quotas::new(&self.store, &mine);
        let again = |rows: &[Row]| Ok(fixture::mine(&self.store, rows));
        let miner = Miner { name: "by brute force", mine: &again };
        let searched = Searched { facts: fixture::search(), target_recall: 0.95, efforts: None, tuned: None };
        let asked = Asked {
            store: &self.store,
            mine: &mine,
            quotas: &quotas,
            output: &self.output,
            inputs: &fixture::inputs(),
            searched: &searched,
            completeness: Completeness {
                anchors: usize::MAX,
                again: Some(miner),
                others: 0,
                exact: miner,
                oracle: miner,
            },
            program: "0.1.0",
        };
        verify(&self.out(), &self.sealed, &asked)
    }

    /// The findings must name each of `words` in one line.
    #[track_caller]
    fn finds(&self, words: &[&str]) {
        let verdict = self.verdict();
        assert!(!verdict.is_sound(), "nothing found, expected {words:?}");
        let found = verdict.findings.iter().any(|finding| {
            let line = finding.to_string();
            words.iter().all(|word| line.contains(word))
        });
        assert!(found, "{words:?} in no line of\n{verdict}");
    }

    /// All triplets.
    fn triplets(&self) -> RecordBatch {
        let parts = fixture::read_parts(&self.out(), &self.output, &self.sealed);
        concat_batches(&parts[0].schema(), &parts).unwrap()
    }

    /// Writes other triplets, and the manifest's list of parts and counts as if they were the yield of the run.
    fn put(&mut self, triplets: &RecordBatch) {
        fs::remove_dir_all(self.out().join("triplets")).unwrap();
        fs::create_dir(self.out().join("triplets")).unwrap();
        let schema = triplets.schema();
        let mut parts = Vec::new();
        for first in (0..triplets.num_rows()).step_by(50) {
            let some = triplets.slice(first, 50.min(triplets.num_rows() - first));
            parts.push(self.write(&crate::manifest::parts::part_name(parts.len(), self.output.format), &schema, &some));
        }
        self.sealed.parts = parts;
        self.sealed.rows.triplets = triplets.num_rows() as u64;
        let bands = arrow::compute::cast(&triplets["band"], &arrow::datatypes::DataType::Utf8).unwrap();
        let bands = bands.as_any().downcast_ref::<StringArray>().unwrap();
        let count = |band: Band| bands.iter().flatten().filter(|name| *name == band.name()).count() as u64;
        self.sealed.bands = Band::ALL.map(count).into();
    }

    fn put_side(&mut self, name: &str, batch: &RecordBatch) {
        fs::remove_file(self.out().join(name)).unwrap();
        let format = self.output.format;
        self.output.format = Format::Parquet;
        let listed = self.write(name, &batch.schema(), batch);
        self.output.format = format;
        *self.sealed.files.iter_mut().find(|file| file.path == name).unwrap() = listed;
    }

    fn side(&self, name: &str, schema: &arrow::datatypes::SchemaRef) -> RecordBatch {
        let file = fs::File::open(self.out().join(name)).unwrap();
        let batches: Vec<_> = Format::Parquet.decoder(file, schema).unwrap().map(Result::unwrap).collect();
        concat_batches(schema, &batches).unwrap()
    }

    fn write(&self, name: &str, schema: &arrow::datatypes::SchemaRef, batch: &RecordBatch) -> Listed {
        let extent = Extent::of(batch.num_rows() as u64);
        let mut part = Part::create(self.out().join(name), self.output.format, schema, extent).unwrap();
        part.write(batch).unwrap();
        part.finish(name.to_owned()).unwrap()
    }

    /// Replaces one column of the triplets.
    fn forge(&mut self, column: &str, forged: impl FnOnce(&ArrayRef) -> ArrayRef) {
        let triplets = self.triplets();
        self.put(&replaced(&triplets, column, forged));
    }
}

fn replaced(batch: &RecordBatch, column: &str, forged: impl FnOnce(&ArrayRef) -> ArrayRef) -> RecordBatch {
    let index = batch.schema().index_of(column).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[index] = forged(&columns[index]);
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// A column with the value of row `from` put into row `to`.
fn copied(column: &ArrayRef, from: usize, to: usize) -> ArrayRef {
    let rows: UInt32Array = (0..column.len()).map(|row| if row == to { from as u32 } else { row as u32 }).collect();
    arrow::compute::take(column, &rows, None).unwrap()
}

/// A row whose value differs from that of row 0.
fn other(column: &ArrayRef) -> usize {
    (1..column.len()).find(|&row| column.slice(row, 1).as_ref() != column.slice(0, 1).as_ref()).unwrap()
}

#[test]
fn an_honest_output_is_sound_in_every_format_and_order() {
    for format in [Format::Parquet, Format::Arrow, Format::Jsonl, Format::Csv(Formulas::Escape)] {
        for order in [Order::Anchor, Order::Random, Order::EasyToHard, Order::HardToEasy] {
            let scene = Scene::new(format, order);
            let verdict = scene.verdict();
            assert!(verdict.is_sound(), "{format:?}, {order:?}: {verdict}");
            assert_eq!(verdict.checked.triplets, scene.sealed.rows.triplets);
            assert_eq!(verdict.checked.mined_again, u64::from(scene.store.rows()));
        }
    }
}

#[test]
fn the_fixture_has_every_oddity() {
    let scene = Scene::new(Format::Parquet, Order::Anchor);
    let Sealed { rows, bands, unmined, files, .. } = &scene.sealed;
    assert!(bands.hard > 0 && bands.semi_hard > 0 && bands.easy > 0 && rows.triplets > 100, "{bands:?}");
    for reason in [Reason::Unlabelled, Reason::Singleton, Reason::Rejected] {
        assert!(unmined[&reason] > 0, "{reason:?}");
    }
    assert!(files.iter().any(|file| file.path == SUSPECTS && file.rows > 0));
    assert_eq!(Sealed::load(&scene.out()).unwrap(), scene.sealed);
}

#[test]
fn one_byte() {
    let scene = Scene::new(Format::Parquet, Order::Anchor);
    for name in ["triplets/part-00001.parquet", UNMINED, SUSPECTS] {
        let path = scene.out().join(name);
        let honest = fs::read(&path).unwrap();
        let mut bytes = honest.clone();
        bytes[honest.len() / 2] ^= 1;
        fs::write(&path, &bytes).unwrap();
        scene.finds(&[name, "sha256"]);
        fs::write(&path, &honest[1..]).unwrap();
        scene.finds(&[name, "bytes"]);
        fs::remove_file(&path).unwrap();
        scene.finds(&[name, "no such file"]);
        fs::write(&path, honest).unwrap();
    }
    assert!(scene.verdict().is_sound());
}

#[test]
fn one_distance_by_one_bit() {
    for (format, column) in
        [(Format::Parquet, "d_ap"), (Format::Csv(Formulas::Escape), "d_an"), (Format::Jsonl, "d_an")]
    {
        let mut scene = Scene::new(format, Order::Anchor);
        scene.forge(column, |values| {
            let values = values.as_any().downcast_ref::<Float32Array>().unwrap();
            let up = |row: usize| if row == 7 { values.value(row).next_up() } else { values.value(row) };
            Arc::new(Float32Array::from_iter_values((0..values.len()).map(up)))
        });
        scene.finds(&["part-00000", "row 7", column]);
    }
}

#[test]
fn one_value_of_any_column() {
    for format in [Format::Parquet, Format::Arrow, Format::Jsonl, Format::Csv(Formulas::Escape)] {
        for column in ["anchor_id", "negative_id", "anchor_label", "negative_label", "band", "negative_text"] {
            let mut scene = Scene::new(format, Order::Anchor);
            scene.forge(column, |values| copied(values, other(values), 0));
            scene.finds(&["part-00000", "row 0", column]);
        }
    }
}

#[test]
fn one_row_number() {
    for column in ["anchor_row", "positive_row", "negative_row"] {
        let mut scene = Scene::new(Format::Parquet, Order::Random);
        scene.forge(column, |values| copied(values, other(values), 0));
        let verdict = scene.verdict();
        assert!(verdict.findings.iter().any(|finding| finding.row == Some(0)), "{column}: {verdict}");
        // Filtered rows, rejected rows, and rows that never were.
        for place in [9, 20, u64::MAX] {
            scene.forge(column, |values| {
                let values = values.as_any().downcast_ref::<UInt64Array>().unwrap();
                Arc::new(
                    (0..values.len())
                        .map(|row| Some(if row == 3 { place } else { values.value(row) }))
                        .collect::<UInt64Array>(),
                )
            });
            scene.finds(&["row 3", column, &place.to_string(), "a row of the store"]);
        }
    }
}

#[test]
fn a_flag_and_a_weight() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    let honest = scene.triplets();
    scene.forge("fallback", |values| {
        let values = values.as_any().downcast_ref::<BooleanArray>().unwrap();
        Arc::new(values.iter().map(|value| value.map(|value| !value)).collect::<BooleanArray>())
    });
    scene.finds(&["row 0", "fallback"]);
    scene.put(&replaced(&honest, "weight", |values| Arc::new(Float32Array::from_value(2.0, values.len()))));
    scene.finds(&["row 0", "weight", "found 2.0, expected 1.0"]);
}

#[test]
fn rows_out_of_order_twice_or_missing() {
    for order in [Order::Anchor, Order::Random, Order::EasyToHard, Order::HardToEasy] {
        let mut scene = Scene::new(Format::Parquet, order);
        let honest = scene.triplets();
        let rows = honest.num_rows() as u32;
        let pick = |rows: Vec<u32>| take_record_batch(&honest, &UInt32Array::from(rows)).unwrap();
        scene.put(&pick((0..rows).rev().collect()));
        scene.finds(&["belongs before", order.name()]);
        scene.put(&pick([0].into_iter().chain(0..rows).collect()));
        scene.finds(&["twice"]);
        scene.put(&pick((1..rows).collect()));
        scene.finds(&["no such triplet", "negative"]);
    }
}

#[test]
fn two_negatives_of_a_pair_exchanged() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    let honest = scene.triplets();
    let same = |name: &str, row: usize| honest[name].slice(row, 1).as_ref() == honest[name].slice(row + 1, 1).as_ref();
    let of_pairs: Vec<usize> =
        (0..honest.num_rows() - 1).filter(|&row| same("anchor_row", row) && same("positive_row", row)).collect();
    let (mut of_a_band, mut of_two, mut by_fallback) = (0, 0, 0);
    for row in of_pairs {
        match (same("fallback", row), same("band", row)) {
            (false, _) => by_fallback += 1,
            (true, false) => of_two += 1,
            (true, true) => of_a_band += 1,
        }
        let mut rows: Vec<u32> = (0..honest.num_rows() as u32).collect();
        rows.swap(row, row + 1);
        scene.put(&take_record_batch(&honest, &UInt32Array::from(rows)).unwrap());
        let verdict = scene.verdict();
        let told = verdict.findings.iter().any(|finding| finding.to_string().contains("belongs before"));
        assert!(told && verdict.total == 1, "row {row}: {verdict}");
    }
    assert!(of_a_band > 0 && of_two > 0 && by_fallback > 0, "{of_a_band}, {of_two}, {by_fallback}");
}

#[test]
fn a_negative_of_the_anchor_s_class() {
    let mut scene = Scene::new(Format::Parquet, Order::Random);
    let honest = scene.triplets();
    // In row 0 the positive stands in the negative's place, with all that follows from it.
    let first_from = |to: &ArrayRef, from: &ArrayRef| {
        let rows: Vec<(usize, usize)> = (0..to.len()).map(|row| (usize::from(row == 0), row)).collect();
        arrow::compute::interleave(&[to.as_ref(), from.as_ref()], &rows).unwrap()
    };
    let mut forged = honest.clone();
    let pairs = [("id", "positive_id"), ("row", "positive_row"), ("label", "anchor_label"), ("text", "positive_text")];
    for (what, from) in pairs {
        let column = honest.column_by_name(from).unwrap();
        forged = replaced(&forged, &format!("negative_{what}"), |to| first_from(to, column));
    }
    let d_ap = honest.column_by_name("d_ap").unwrap();
    scene.put(&replaced(&forged, "d_an", |to| first_from(to, d_ap)));
    scene.finds(&["row 0", "negative_row", "the anchor's class"]);
}

#[test]
fn counts_of_the_manifest() {
    type Forge = fn(&mut Sealed);
    let forgeries: [(&str, Forge); 9] = [
        ("rows.read", |sealed| sealed.rows.read += 1),
        ("rows.anchors", |sealed| sealed.rows.anchors -= 1),
        ("rows.unmined", |sealed| sealed.rows.unmined += 1),
        ("rows.triplets", |sealed| sealed.rows.triplets += 1),
        ("bands.semi-hard", |sealed| sealed.bands.semi_hard += 1),
        ("unmined.singleton", |sealed| *sealed.unmined.get_mut(&Reason::Singleton).unwrap() += 1),
        ("fingerprint", |sealed| sealed.fingerprint.replace_range(..1, "x")),
        ("columns", |sealed| sealed.columns[0].kind = "Int64".to_owned()),
        ("inputs[0]", |sealed| sealed.inputs[0].rows += 1),
    ];
    for (key, forge) in forgeries {
        let mut scene = Scene::new(Format::Arrow, Order::Anchor);
        forge(&mut scene.sealed);
        scene.finds(&[MANIFEST, key]);
    }
}

#[test]
fn a_changed_pipeline_has_another_fingerprint() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    scene.sealed.pipeline["mine"]["margin"] = 0.3.into();
    scene.finds(&[MANIFEST, "fingerprint"]);
}

#[test]
fn unmined_rows() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    let schema = sides_schema(&scene);
    let honest = scene.side(UNMINED, &schema);
    let rows = honest.num_rows();
    // The unlabelled rows become singletons.
    let forged = replaced(&honest, "reason", |reasons| {
        let reasons = reasons.as_any().downcast_ref::<StringArray>().unwrap();
        let forged = reasons.iter().flatten().map(|reason| if reason == "unlabelled" { "singleton" } else { reason });
        Arc::new(StringArray::from_iter_values(forged))
    });
    scene.put_side(UNMINED, &forged);
    scene.finds(&[UNMINED, "reason", "found singleton, expected unlabelled"]);
    scene.put_side(UNMINED, &honest.slice(1, rows - 1));
    let first = arrow::util::display::array_value_to_string(honest.column(0), 0).unwrap();
    scene.finds(&[UNMINED, &format!("nothing about {first}")]);
    let twice = concat_batches(&schema, [&honest.slice(0, 1), &honest]).unwrap();
    scene.put_side(UNMINED, &twice);
    scene.finds(&[UNMINED, "row 1", "each once"]);
    scene.put_side(UNMINED, &replaced(&honest, "id", |ids| copied(ids, 0, 1)));
    scene.finds(&[UNMINED, "row 1", "id"]);
    scene.put_side(
        UNMINED,
        &replaced(&honest, "row", |places| Arc::new(UInt64Array::from_iter_values(0..places.len() as u64))),
    );
    scene.finds(&[UNMINED, "which has triplets"]);
    scene.put_side(UNMINED, &honest);
    assert!(scene.verdict().is_sound());
}

fn sides_schema(scene: &Scene) -> arrow::datatypes::SchemaRef {
    crate::manifest::sides::unmined_schema(&scene.store)
}

#[test]
fn suspects() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    let honest = scene.side(SUSPECTS, &crate::manifest::sides::suspects_schema(&scene.store));
    scene.put_side(SUSPECTS, &replaced(&honest, "distance", |d| Arc::new(Float32Array::from_value(1e-6, d.len()))));
    scene.finds(&[SUSPECTS, "row 0", "distance"]);
    scene.put_side(SUSPECTS, &honest.slice(0, 0));
    scene.finds(&[SUSPECTS, "rows 0 and 31"]);
    scene.put_side(SUSPECTS, &replaced(&honest, "b_label", |_| honest["a_label"].clone()));
    scene.finds(&[SUSPECTS, "row 0", "b_label"]);
}

#[test]
fn search_missed_is_no_excuse_for_an_exact_run() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    let honest = scene.side(UNMINED, &sides_schema(&scene));
    let anchor = scene.triplets()["anchor_row"].slice(0, 1);
    // The first anchor loses its triplets to a reason that only an approximate search may give.
    let triplets = scene.triplets();
    let places = triplets["anchor_row"].as_any().downcast_ref::<UInt64Array>().unwrap();
    let first = places.value(0);
    let kept = places.iter().position(|place| place != Some(first)).unwrap();
    scene.put(&triplets.slice(kept, triplets.num_rows() - kept));
    let columns: Vec<ArrayRef> = vec![
        triplets["anchor_id"].slice(0, 1),
        Arc::new(StringArray::from(vec!["search-missed"])),
        anchor,
        arrow::array::new_null_array(&arrow::datatypes::DataType::Utf8, 1),
    ];
    let missed = RecordBatch::try_new(honest.schema(), columns).unwrap();
    scene.put_side(UNMINED, &concat_batches(&honest.schema(), [&missed, &honest]).unwrap());
    scene.finds(&[UNMINED, "row 0", "the search was exact"]);
    scene.finds(&["no such triplet"]);
    assert_eq!(scene.sealed.search.index, Index::Exact);
}

#[test]
fn what_is_listed_lies_inside_and_nothing_else_poses_as_a_part() {
    let mut scene = Scene::new(Format::Csv(Formulas::Escape), Order::Anchor);
    fs::write(scene.out().join("triplets/part-99999.csv"), "").unwrap();
    scene.finds(&["triplets/part-99999.csv", "does not list"]);
    fs::remove_file(scene.out().join("triplets/part-99999.csv")).unwrap();
    scene.sealed.files[0].path = "../unmined.parquet".to_owned();
    scene.finds(&["../unmined.parquet", "leads out of the folder"]);
    scene.sealed.files[0].path = "/etc/passwd".to_owned();
    scene.finds(&["/etc/passwd", "leads out of the folder"]);
}

#[test]
fn absurd_claims_cost_nothing() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    scene.sealed.parts[0].rows = u64::MAX;
    scene.finds(&[MANIFEST, "parts", "at most"]);
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    scene.sealed.files[0].rows = u64::MAX;
    scene.finds(&[UNMINED, "at most"]);
}

#[test]
fn a_file_is_hashed_once_however_often_it_is_listed() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    let honest = scene.verdict().checked.bytes;
    let part = scene.sealed.parts[0].clone();
    scene.sealed.parts.extend(vec![part; 3]);
    scene.finds(&["part-00000", "listed twice"]);
    assert_eq!(scene.verdict().checked.bytes, honest);
}

#[test]
fn files_of_garbage_are_findings() {
    for format in [Format::Parquet, Format::Arrow, Format::Jsonl, Format::Csv(Formulas::Escape)] {
        let mut scene = Scene::new(format, Order::Anchor);
        let path = scene.out().join(&scene.sealed.parts[0].path);
        let honest = fs::read(&path).unwrap();
        // Any one byte, with the checksum made anew: a finding, or the same values in other bytes.
        for at in (0..honest.len()).step_by(honest.len() / 30 + 1) {
            let mut bytes = honest.clone();
            bytes[at] = !bytes[at];
            fs::write(&path, &bytes).unwrap();
            let (_, sha256) = crate::manifest::digest::of_reader(bytes.as_slice()).unwrap();
            scene.sealed.parts[0].sha256 = sha256;
            let _ = scene.verdict();
        }
        fs::write(&path, "not a table").unwrap();
        let (bytes, sha256) = crate::manifest::digest::of_reader(b"not a table".as_slice()).unwrap();
        (scene.sealed.parts[0].bytes, scene.sealed.parts[0].sha256) = (bytes, sha256);
        scene.finds(&["part-00000"]);
    }
}

#[test]
fn a_thousand_findings_are_counted_and_the_first_are_kept() {
    let mut scene = Scene::new(Format::Parquet, Order::Anchor);
    scene.forge("weight", |values| Arc::new(Float32Array::from_value(2.0, values.len())));
    let verdict = scene.verdict();
    assert_eq!((verdict.findings.len(), verdict.total), (20, scene.sealed.rows.triplets));
    assert!(verdict.to_string().contains("more"));
}
