//! How a store is cut into files, row groups and pages is no part of what it says: the same rows give the same bytes, whatever the
//! threads and the memory. Only the manifest may tell the files apart, since it names their content.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Float64Array, LargeListArray, ListArray, RecordBatch, StringArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};

use crate::equivalence::awkward;
use crate::scores::Scores;
use crate::support::{Draw, Room, Rows, tree, triplets, unmined};
use crate::twin::Asked;

/// How a store is laid out.
#[derive(Debug)]
struct Cut {
    files: usize,
    row_group: usize,
    page: usize,
    dictionary: bool,
    zstd: bool,
    second_version: bool,
    wide: bool,
}

impl Cut {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            files: 1 + draw.below(4) as usize,
            row_group: 1 + draw.below(40) as usize,
            page: 1 + draw.below(200) as usize,
            dictionary: draw.below(2) == 0,
            zstd: draw.below(2) == 0,
            second_version: draw.below(2) == 0,
            wide: draw.below(2) == 0,
        }
    }

    fn properties(&self) -> WriterProperties {
        let compression = if self.zstd { Compression::ZSTD(ZstdLevel::default()) } else { Compression::UNCOMPRESSED };
        let version = if self.second_version { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        WriterProperties::builder()
            .set_max_row_group_row_count(Some(self.row_group))
            .set_data_page_row_count_limit(self.page)
            .set_write_batch_size(1)
            .set_dictionary_enabled(self.dictionary)
            .set_compression(compression)
            .set_writer_version(version)
            .build()
    }

    /// Writes the store into a folder. The first file may be empty.
    fn write(&self, rows: &Rows, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let n = rows.vectors.len();
        for file in 0..self.files {
            let range = n * file / self.files..n * (file + 1) / self.files;
            let batch = self.batch(rows, if self.files > 2 && file == 0 { 0..0 } else { range.clone() });
            let batch = if self.files > 2 && file == 1 { self.batch(rows, 0..range.end) } else { batch };
            let path = folder.join(format!("part-{file}.parquet"));
            let mut writer =
                ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(self.properties())).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
    }

    fn batch(&self, rows: &Rows, range: Range<usize>) -> RecordBatch {
        let vectors = &rows.vectors[range.clone()];
        let lengths = OffsetBuffer::<i32>::from_lengths(vectors.iter().map(Vec::len));
        let values = vectors.concat();
        let item = |kind| Arc::new(Field::new("item", kind, true));
        let embedding: ArrayRef = if self.wide {
            let values = Float64Array::from_iter_values(values.into_iter().map(f64::from));
            let lengths = OffsetBuffer::<i64>::from_lengths(vectors.iter().map(Vec::len));
            Arc::new(LargeListArray::new(item(DataType::Float64), lengths, Arc::new(values), None))
        } else {
            Arc::new(ListArray::new(item(DataType::Float32), lengths, Arc::new(Float32Array::from(values)), None))
        };
        let texts = |texts: &[Option<String>]| Arc::new(StringArray::from(texts[range.clone()].to_vec()));
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("id", Arc::new(UInt64Array::from_iter_values(range.clone().map(|row| row as u64))), false),
            ("label", texts(&rows.labels), true),
            ("team", texts(&rows.teams), true),
            ("embedding", embedding, true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }
}

/// Everything but the manifest, which names the files' content.
fn mined(rows: &Rows, scores: &Scores, cut: &Cut, pipeline: &str, flags: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let room = Room::new();
    cut.write(rows, &room.path("store.parquet"));
    // For whoever asks.
    scores.write(&room.path("scores.parquet"), &(0..rows.vectors.len() as u64).collect::<Vec<_>>());
    room.write("p.toml", &format!("{pipeline}\noutput.path = 'out'\n"));
    room.miner(&[&["run", "p.toml", "--quiet"], flags].concat()).exits(0);
    let mut files = tree(&room.path("out"));
    let rows = rows.vectors.len() as u64;
    let (lines, left) = (triplets(&room.path("out")), unmined(&room.path("out")));
    for row in 0..rows {
        let anchor = lines.iter().any(|line| line.anchor == row);
        assert!(anchor != left.contains_key(&row), "row {row}: an anchor: {anchor}, listed: {:?}", left.get(&row));
    }
    assert_eq!(left.range(rows..).next(), None, "rows that never were");
    files.remove("manifest.json").unwrap();
    files
}

#[test]
fn files_row_groups_and_pages_change_no_byte() {
    for seed in 0..24 {
        let mut draw = Draw(1_000 + seed);
        let rows = awkward(&mut draw);
        let pipeline = Asked::draw(&mut draw, &rows).pipeline();
        let scores = Scores::draw(&mut draw, rows.vectors.len(), rows.vectors.len());
        let cuts = [Cut::draw(&mut draw), Cut::draw(&mut draw)];
        let whole = mined(&rows, &scores, &cuts[0], &pipeline, &["--threads", "1"]);
        let cut = mined(&rows, &scores, &cuts[1], &pipeline, &["--threads", "2", "--memory", "2GiB"]);
        for (name, bytes) in &whole {
            assert!(cut.get(name) == Some(bytes), "seed {seed}, {name}: {cuts:?}\n{pipeline}");
        }
        assert_eq!(whole.len(), cut.len(), "seed {seed}");
    }
}
