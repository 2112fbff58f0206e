//! What may have been meant by a path that is not there.

use std::fs;
use std::path::{Path, PathBuf};

/// Names of a folder that are compared, at most.
const COMPARED: usize = 10_000;

/// The path there is that is nearest to one that is not, where one is near: in the last folder there is, a name that differs in
/// its extension alone, or not in its extension and in a fifth of its letters at most.
pub fn meant(path: &Path) -> Option<PathBuf> {
    let folder = path.ancestors().skip(1).find(|folder| in_place(folder).is_dir())?;
    let mut rest = path.strip_prefix(folder).ok()?.components();
    let written = PathBuf::from(rest.next()?.as_os_str());
    let after = rest.as_path();
    let names =
        fs::read_dir(in_place(folder)).ok()?.take(COMPARED).flatten().map(|entry| PathBuf::from(entry.file_name()));
    let most = stem(&written).chars().count() / 5;
    // Of what is equally near, the first by name: a folder has its names in any order.
    let near = names.filter_map(|name| {
        let distance = strsim::osa_distance(&stem(&written), &stem(&name));
        let found = folder.join(&name).join(after);
        // Without its last slash, which an empty rest has left.
        let found: PathBuf = found.components().collect();
        let near = distance == 0 || distance <= most && name.extension() == written.extension();
        (near && in_place(&found).exists()).then_some((distance, found))
    });
    near.min().map(|(_, found)| found)
}

/// `; did you mean X?`, or nothing.
pub fn hint(path: &Path) -> String {
    meant(path).map_or_else(String::new, |found| format!("; did you mean {}?", found.display()))
}

/// Without its extension, and whether letters are large or small.
fn stem(name: &Path) -> String {
    name.file_stem().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The parent of a bare name is empty: the current folder.
fn in_place(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_and_no_more() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        fs::create_dir(at("shards")).unwrap();
        for name in ["digits.parquet", "Glosses.parquet", "shards/part-0.parquet"] {
            fs::write(at(name), "").unwrap();
        }
        for (written, found) in [
            ("digit.parquet", Some("digits.parquet")),
            ("digits.pq", Some("digits.parquet")),
            ("glosses.parquet", Some("Glosses.parquet")),
            ("shard/part-0.parquet", Some("shards/part-0.parquet")),
            ("shards/part-1.parquet", Some("shards/part-0.parquet")),
            ("shard/gone", None),
            ("digit.pq", None),
            ("embeddings.parquet", None),
            ("x", None),
        ] {
            assert_eq!(meant(&at(written)), found.map(at), "{written}");
        }
        assert_eq!(hint(&at("gone")), "");
    }
}
