//! The negatives of an earlier output, as the store takes them: whoever was one of an anchor's is not taken again.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;

use super::{Detail, Earlier, EarlierError, Names};
use crate::manifest::Layout;
use crate::store::{IdPairs, Pairs, PairsError};

/// An output whose rows name negatives by their ids.
pub struct Exclusions(Arc<Earlier>);

impl Exclusions {
    /// Reads the manifest of the output in folder `path`, and hashes every part.
    ///
    /// # Errors
    /// Those of [`Earlier::open`]; and when its rows do not name negatives, or not by their ids.
    pub fn open(path: &Path) -> Result<Self, EarlierError> {
        let earlier = Earlier::open(path)?;
        earlier.check(Names::Ids, Detail::Negatives)?;
        Ok(Self(Arc::new(earlier)))
    }
}

impl IdPairs for Exclusions {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn id_types(&self) -> [DataType; 2] {
        self.0.name_types(Names::Ids)
    }

    fn size(&self) -> (u64, u64) {
        let parts = &self.0.manifest().parts;
        (parts.iter().map(|part| part.bytes).sum(), parts.iter().map(|part| part.rows).sum())
    }

    fn most(&self) -> u64 {
        let ((_, rows), sealed) = (self.size(), self.0.manifest());
        match self.0.layout() {
            Layout::NTuple | Layout::LabeledList => sealed.rows.triplets.max(rows),
            _ => rows,
        }
    }

    /// Of columns and parts: what they are called, and all that they hold.
    fn fingerprint(&self) -> String {
        let sealed = self.0.manifest();
        let mut hasher = blake3::Hasher::new();
        // Lengths keep neighbouring texts apart.
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        sealed.columns.iter().for_each(|column| [&column.name, &column.kind].into_iter().for_each(|text| add(text)));
        sealed.parts.iter().for_each(|part| [&part.path, &part.sha256].into_iter().for_each(|text| add(text)));
        hasher.finalize().to_hex().to_string()
    }

    fn pairs(&self) -> Pairs<'_> {
        let told = self.0.clone().told(Names::Ids, Detail::Negatives);
        Box::new(told.filter_map(|told| match told {
            Ok(told) => Some(Ok([told.anchor, told.negative?])),
            Err(error) => Some(Err(error.into())),
        }))
    }

    fn check_unchanged(&self) -> Result<(), PairsError> {
        let now = Earlier::open(self.path())?;
        match now.manifest() == self.0.manifest() {
            true => Ok(()),
            false => Err(Box::new(now.changed())),
        }
    }
}
