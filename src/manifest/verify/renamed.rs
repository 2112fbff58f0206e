//! What files were called when their rows were found wanting: `unmined.parquet` names them, and they may have other names now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch, StringArray};

use crate::manifest::sealed::{Input, Sealed};
use crate::store::Prepared;

/// Names then by names now, of each section, and the other way round: no two files are taken for one.
#[derive(Default)]
pub(super) struct Names {
    then: HashMap<(String, String), String>,
    now: HashMap<(String, String), String>,
}

impl Names {
    /// Of an input that is one file the manifest says what it was called; those of folders and patterns tell by themselves.
    pub(super) fn new(sealed: &Sealed, inputs: &[Input]) -> Self {
        let mut names = Self::default();
        let name = |input: &Input| input.path.rsplit('/').next().unwrap_or_default().to_owned();
        let kind = |name: &str| Path::new(name).extension().map(|kind| kind.to_owned());
        for now in inputs {
            let Some(then) = sealed.inputs.iter().find(|then| then.role == now.role) else { continue };
            let (now_called, then_called) = (name(now), name(then));
            // A folder or a pattern is no name of a file, nor is one that a URL writes in other characters.
            let is_file = kind(&then_called).is_some() && !then_called.contains(['*', '?', '[', '%']);
            if is_file && kind(&now_called) == kind(&then_called) {
                names.is_called(&now.role, &now_called, &then_called);
            }
        }
        names
    }

    /// Whether a file of a section can have been called so: it was called nothing else, and no other was.
    fn is_called(&mut self, section: &str, now: &str, then: &str) -> bool {
        let known = |names: &mut HashMap<_, String>, name: &str, other: &str| match names
            .entry((section.to_owned(), name.to_owned()))
        {
            Entry::Occupied(known) => known.get() == other,
            Entry::Vacant(unknown) => {
                unknown.insert(other.to_owned());
                true
            }
        };
        known(&mut self.then, now, then) && known(&mut self.now, then, now)
    }

    /// Whether `found` is `told`, the detail of a rejected row, but for what files were called.
    fn agree(&mut self, row: &Rejected<'_>, told: &str, found: &str) -> Option<bool> {
        let Rejected { section, file, why } = *row;
        let (named, _) = told.strip_suffix(why)?.rsplit_once(", row ")?;
        let (before, after) = (named.strip_suffix(file)?, &told[named.len()..]);
        let found = found.strip_prefix(before)?;
        let Some((other, place)) = why.strip_prefix(SAME_ID).and_then(|same| same.rsplit_once(", row ")) else {
            return Some(self.is_called(section, file, found.strip_suffix(after)?));
        };
        // A row with the id of an earlier one names that one's file, too.
        let between = format!("{}{SAME_ID}", after.strip_suffix(why)?);
        let (then, rest) = found.split_once(&between)?;
        let other_then = rest.strip_suffix(&format!(", row {place}"))?;
        Some(self.is_called(section, file, then) && self.is_called(section, other, other_then))
    }

    /// Details as they are expected: where they are right but for the names of files, as they were found.
    pub(super) fn details<'a>(
        &mut self,
        store: &Prepared,
        told: &StringArray,
        rejected: impl Iterator<Item = Option<usize>>,
        found: impl Iterator<Item = Option<&'a str>>,
    ) -> StringArray {
        let details = told.iter().zip(rejected).zip(found).map(|((told, index), found)| {
            let told = told?;
            let row = index.and_then(|index| Rejected::of(store.rejected(), index));
            let right = |(row, found): &(Rejected<'_>, &str)| self.agree(row, told, found) == Some(true);
            Some(row.zip(found).filter(right).map_or(told, |(_, found)| found).to_owned())
        });
        details.collect()
    }
}

/// What stands before the file of a row with the same id.
const SAME_ID: &str = "the id is that of ";

/// What a rejected row is listed with.
struct Rejected<'a> {
    section: &'a str,
    file: &'a str,
    why: &'a str,
}

impl<'a> Rejected<'a> {
    fn of(rejected: &'a RecordBatch, index: usize) -> Option<Self> {
        let text = |name: &str| Some(rejected.column_by_name(name)?.as_string_opt::<i32>()?.value(index));
        Some(Self { section: text("section")?, file: text("file")?, why: text("reason")? })
    }
}
