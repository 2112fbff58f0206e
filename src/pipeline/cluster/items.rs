//! The work that is handed out: numbers of items, in small files, so that each is a task of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;

use crate::disk;

/// The column of the files.
pub const NUMBER: &str = "number";

/// Tasks of a job, at most: a scheduler looks at all of them whenever it hands one out. So many keep a thousand cores busy, and
/// leave little to wait for at the end.
const TASKS: usize = 4_096;

pub static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![Field::new(NUMBER, DataType::UInt32, false)])));

/// Files of work, which go when this is dropped.
pub struct Items {
    folder: PathBuf,
    files: usize,
}

impl Items {
    /// Writes `numbers` into a `folder` of their own; what a run that was killed left there goes.
    pub fn write(folder: PathBuf, numbers: &[u32]) -> io::Result<Self> {
        disk::remove_folder(&folder)?;
        // Of a work folder that is out of reach nothing is made anew.
        fs::create_dir(&folder)?;
        let chunks = numbers.chunks(numbers.len().div_ceil(TASKS).max(1));
        let items = Self { folder, files: chunks.len() };
        for (at, numbers) in chunks.enumerate() {
            let file = File::create(items.folder.join(format!("item-{at:05}.parquet")))?;
            let column = Arc::new(UInt32Array::from(numbers.to_vec()));
            let batch = RecordBatch::try_new(SCHEMA.clone(), vec![column]).map_err(io::Error::other)?;
            let mut writer = ArrowWriter::try_new(file, SCHEMA.clone(), None)?;
            writer.write(&batch)?;
            writer.close()?;
        }
        Ok(items)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.files
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        // What stays goes with the run.
        let _ = disk::remove_folder(&self.folder);
    }
}
