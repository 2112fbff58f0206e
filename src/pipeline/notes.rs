//! Small results of stages, kept so that a run that goes on need not find them again.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk;

/// The result called `name` as an earlier process noted it in `folder`, or as it is found, and noted, now.
pub fn noted<T: Serialize + DeserializeOwned>(
    folder: &Path,
    name: &str,
    find: impl FnOnce() -> T,
) -> anyhow::Result<T> {
    let path = folder.join(format!("{name}.json"));
    if let Ok(value) = disk::kept(&path) {
        return Ok(value);
    }
    let value = find();
    disk::keep(&path, &value).with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_not_found_again_unless_it_is_damaged() {
        let room = tempfile::tempdir().unwrap();
        let first = noted(room.path(), "x", || 0.1 + 0.2).unwrap();
        assert_eq!(noted(room.path(), "x", || 7.0).unwrap(), first);
        std::fs::write(room.path().join("x.json"), "0.5").unwrap();
        assert_eq!(noted(room.path(), "x", || 7.0).unwrap(), 7.0);
    }
}
