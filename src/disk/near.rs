//! What may have been meant by a path that is not there.

use std::fs;
use std::path::{Path, PathBuf};

/// Names of a folder that are compared, at most.
const COMPARED: usize = 10_000;

/// The path there is that is nearest to one that is not, where one is near: in the last folder there is, a name that differs by a
/// [slip](slips) or two, whatever its extension.
pub fn meant(path: &Path) -> Option<PathBuf> {
    let folder = path.ancestors().skip(1).find(|folder| in_place(folder).is_dir())?;
    let mut rest = path.strip_prefix(folder).ok()?.components();
    let written = PathBuf::from(rest.next()?.as_os_str());
    let after = rest.as_path();
    let names =
        fs::read_dir(in_place(folder)).ok()?.take(COMPARED).flatten().map(|entry| PathBuf::from(entry.file_name()));
    let most = slips(stem(&written).chars().count());
    // Of what is equally near, the first by name: a folder has its names in any order.
    let near = names.filter_map(|name| {
        let distance = strsim::osa_distance(&stem(&written), &stem(&name));
        let in_extension = strsim::osa_distance(&extension(&written), &extension(&name));
        let found = folder.join(&name).join(after);
        // Without its last slash, which an empty rest has left.
        let found: PathBuf = found.components().collect();
        (distance <= most && in_place(&found).exists()).then_some((distance, in_extension, found))
    });
    near.min().map(|(.., found)| found)
}

/// `; did you mean X?`, or nothing.
pub fn hint(path: &Path) -> String {
    meant(path).map_or_else(String::new, |found| format!("; did you mean {}?", found.display()))
}

/// Letters that may be wrong of so many. Of two names of one or two letters nobody knows whether one was meant by the other.
fn slips(letters: usize) -> usize {
    (letters / 5).max(usize::from(letters > 2))
}

/// Without its extension, and whether letters are large or small.
fn stem(name: &Path) -> String {
    name.file_stem().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn extension(name: &Path) -> String {
    name.extension().unwrap_or_default().to_string_lossy().to_lowercase()
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
        for name in ["digits.parquet", "digits.npy", "Glosses.parquet", "emb.npz", "q.toml", "shards/part-0.parquet"] {
            fs::write(at(name), "").unwrap();
        }
        for (written, found) in [
            ("digit.parquet", Some("digits.parquet")),
            ("digits.pq", Some("digits.npy")),
            ("digits.parqet", Some("digits.parquet")),
            ("digit.parq", Some("digits.parquet")),
            ("emd.npy", Some("emb.npz")),
            ("glosses.parquet", Some("Glosses.parquet")),
            ("shard/part-0.parquet", Some("shards/part-0.parquet")),
            ("shards/part-1.parquet", Some("shards/part-0.parquet")),
            ("shard/gone", None),
            ("p.toml", None),
            ("embeddings.parquet", None),
            ("x", None),
        ] {
            assert_eq!(meant(&at(written)), found.map(at), "{written}");
        }
        assert_eq!(hint(&at("gone")), "");
    }
}
