//! What training the cells gave, kept for a run that goes on.
//!
//! ```text
//! cells, dims, rows   u64 each
//! centres             f64  cells × dims
//! codes               u32  the cell of each row of the store; u32::MAX is none
//! ```

use std::io::{self, Write};
use std::path::Path;

use crate::disk::{self, Whole};
use crate::store::Code;

/// Centres in the space of scores, and the cell of each row.
#[derive(Debug, PartialEq)]
pub(super) struct Trained {
    pub centres: Vec<Vec<f64>>,
    pub codes: Vec<Code>,
}

impl Trained {
    /// Those kept in a file, where it is whole and of a store of `rows` rows.
    pub fn kept(path: &Path, rows: usize) -> Option<Self> {
        let bytes = disk::read(path).ok()?;
        let (sizes, rest) = bytes.split_at_checked(3 * size_of::<u64>())?;
        let size = |at: usize| usize::try_from(u64::from_le_bytes(*sizes.as_chunks().0.get(at)?)).ok();
        let (cells, dims) = (size(0)?, size(1)?);
        let (centres, codes) = rest.split_at_checked(cells.checked_mul(dims)?.checked_mul(size_of::<f64>())?)?;
        let whole = dims > 0 && size(2)? == rows && codes.len() == rows.checked_mul(size_of::<u32>())?;
        let values: Vec<f64> = centres.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        whole.then(|| Self {
            centres: values.chunks_exact(dims).map(<[f64]>::to_vec).collect(),
            codes: codes.as_chunks().0.iter().map(|bytes| Code(u32::from_le_bytes(*bytes))).collect(),
        })
    }

    pub fn keep(&self, path: &Path) -> io::Result<()> {
        let mut file = Whole::create(path)?;
        let dims = self.centres.first().map_or(0, Vec::len);
        for size in [self.centres.len(), dims, self.codes.len()] {
            file.write_all(&(size as u64).to_le_bytes())?;
        }
        for centre in &self.centres {
            file.write_all(bytemuck::cast_slice(centre))?;
        }
        file.write_all(bytemuck::cast_slice(&self.codes))?;
        file.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_kept_or_not_at_all() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("cells");
        let trained =
            Trained { centres: vec![vec![0.1, -2.0], vec![1e-300, 5.0]], codes: vec![Code(1), Code::NULL, Code(0)] };
        assert_eq!(Trained::kept(&path, 3), None);
        trained.keep(&path).unwrap();
        assert_eq!(Trained::kept(&path, 3).as_ref(), Some(&trained));
        assert_eq!(Trained::kept(&path, 4), None, "of another store");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Trained::kept(&path, 3), None);
    }
}
