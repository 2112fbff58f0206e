//! Paths as a pipeline writes them.

use std::path::{Component, Path, PathBuf};

use super::environment::escape;
use super::error::Complaint;
use super::target::{self, Target};
use crate::remote::Address;

/// A path of the pipeline, relative to the folder `base`; never without a folder of its own.
pub(super) fn path(base: &Path, key: &str, written: &str) -> Result<PathBuf, Complaint> {
    if written.trim().is_empty() {
        return Err(Complaint::new(key, "is empty; expected a path"));
    }
    if Address::parse(written).is_some() {
        return Err(Complaint::new(key, "is a URL; expected a path of this machine"));
    }
    let joined = base.join(written);
    if written.starts_with("~/") && !joined.exists() {
        return Err(Complaint::new(key, "`~` is not expanded; write the folder out, or ${HOME}/…"));
    }
    // `pipelines/../out` is `out`, unless `pipelines` is a link.
    let short = plain(&joined);
    let path = if resolved(&short) == resolved(&joined) { short } else { joined };
    // A bare name has the empty path for its folder, which no system call takes.
    let bare = path.parent().is_some_and(|folder| folder.as_os_str().is_empty());
    Ok(if bare { Path::new(".").join(path) } else { path })
}

/// The path of an input. One that lies in a store stays the URL that it is, until its copy takes its place.
pub(super) fn input(base: &Path, key: &str, written: &str) -> Result<PathBuf, Complaint> {
    match Address::parse(written) {
        None => path(base, key, written),
        Some(Err(error)) => Err(Complaint::new(key, error.to_string())),
        Some(Ok(address)) if !address.can_list() && (address.is_folder() || address.is_pattern()) => {
            Err(Complaint::new(
                key,
                "a web server does not list; name a single file, or copy the folder to a store that does",
            ))
        }
        Some(Ok(_)) => Ok(PathBuf::from(written)),
    }
}

/// An output must never replace what was read, nor lie where the next run would read it.
pub(super) fn apart(name: &str, input: &Path, target: &Target) -> Result<(), Complaint> {
    let ((read, reads_below), written) = match (target, Address::at(input)) {
        (Target::Folder(output), None) => (local(input), resolved(output)),
        (Target::Store(output), Some(input)) => (remote(&input), output.name().into()),
        _ => return Ok(()),
    };
    if read.starts_with(&written) {
        let message = format!("would replace the {name}, {}; choose a folder of its own", input.display());
        return Err(Complaint::new(target::KEY, message));
    }
    if reads_below && written.starts_with(&read) {
        let message =
            format!("lies inside the folder of the {name}, {}, which would be read with it next time", input.display());
        return Err(Complaint::new(target::KEY, message));
    }
    Ok(())
}

/// What is read of an input: its path, or that before its pattern; and whether that is a folder with all below it.
fn local(input: &Path) -> (PathBuf, bool) {
    let spelled_out = if input.exists() { input.to_path_buf() } else { Path::new(".").join(before_pattern(input)) };
    (resolved(&spelled_out), input.is_dir() || is_deep(input))
}

/// The same of one in a store, where whatever has a name may be a folder, too.
fn remote(input: &Address) -> (PathBuf, bool) {
    let name = PathBuf::from(input.name());
    let read = before_pattern(&name);
    let reads_below = read == name || is_deep(&name);
    (read, reads_below)
}

fn is_deep(glob: &Path) -> bool {
    glob.components().any(|part| part.as_os_str() == "**")
}

/// The folder of a glob.
fn before_pattern(glob: &Path) -> PathBuf {
    glob.components().take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '['])).collect()
}

/// Absolute, links followed as far as the path exists, without `.` and `..`.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for ancestor in absolute.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return plain(&real.join(rest));
        }
    }
    plain(&absolute)
}

/// Without `.`, and without `..` but at the front of a relative path; by name alone.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match (part, out.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                out.pop();
            }
            (part, _) => out.push(part),
        }
    }
    out
}

/// The relative path `written`, which leads from the folder `base` to `path`, as the manifest of an output in `from` names it:
/// seen from there, or from nowhere absolute, with environment variables as written.
pub(super) fn name(from: Option<&Path>, base: &Path, written: &str, path: &Path) -> String {
    let Some((before, _)) = written.split_once("${") else { return escape(&seen_from(from, path)) };
    // Of what stands before the first variable, whole folders can be looked at.
    let (folder, rest) = written.split_at(before.rfind('/').map_or(0, |slash| slash + 1));
    let folder = escape(&seen_from(from, &Path::new(".").join(base).join(folder)));
    if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") }
}

/// `to` as seen from the folder `from`, with forward slashes; absolute without.
fn seen_from(from: Option<&Path>, to: &Path) -> String {
    let to = resolved(to);
    let Some(from) = from.map(resolved) else { return to.to_string_lossy().into_owned() };
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| "..".to_owned());
    let down = to.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_short_and_have_a_folder() {
        for (base, written, expected) in [
            ("", "out", "./out"),
            ("pipelines", "../out", "./out"),
            ("pipelines", "../out/a", "out/a"),
            ("a/b", "../../../out", "../out"),
            ("a", "/x/../y", "/y"),
            ("/", "../y", "/y"),
        ] {
            assert_eq!(path(Path::new(base), "output.path", written), Ok(PathBuf::from(expected)), "{base} {written}");
        }
    }

    #[test]
    fn an_input_may_lie_in_a_store_that_has_it() {
        let of = |written: &str| input(Path::new("p"), "store.path", written);
        for url in ["s3://b/a/", "gs://b/k=*/a?.parquet", "https://host/a.parquet?sig=9"] {
            assert_eq!(of(url), Ok(PathBuf::from(url)));
        }
        assert_eq!(of("../a.parquet"), Ok(PathBuf::from("./a.parquet")));
        for (written, expected) in [
            ("hdfs://host/x", "no store is reached by `hdfs://`"),
            ("https://host/folder/", "a web server does not list; name a single file"),
            ("https://host/*.parquet", "a web server does not list; name a single file"),
        ] {
            let complaint = of(written).unwrap_err();
            assert!(complaint.message.contains(expected), "{written}: {}", complaint.message);
        }
        assert!(path(Path::new("p"), "run.work", "s3://b/x").unwrap_err().message.contains("a path of this machine"));
    }
}
