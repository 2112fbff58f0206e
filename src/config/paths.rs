//! Paths as a pipeline writes them.

use std::path::{Component, Path, PathBuf};

use super::environment::escape;
use super::error::Complaint;

/// A path of the pipeline, relative to the folder `base`; never without a folder of its own.
pub(super) fn path(base: &Path, key: &str, written: &str) -> Result<PathBuf, Complaint> {
    if written.trim().is_empty() {
        return Err(Complaint::new(key, "is empty; expected a path"));
    }
    let scheme = written.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric())) {
        return Err(Complaint::new(
            key,
            "this version reads and writes local files only; copy the data to a local path",
        ));
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

/// An output must never replace what was read, nor lie where the next run would read it.
pub(super) fn apart(name: &str, input: &Path, output: &Path) -> Result<(), Complaint> {
    let spelled_out = if input.exists() { input.to_path_buf() } else { before_pattern(input) };
    let (read, written) = (resolved(&spelled_out), resolved(output));
    if read.starts_with(&written) {
        return Err(Complaint::new(
            "output.path",
            format!("would replace the {name}, {}; choose a folder of its own", input.display()),
        ));
    }
    let reads_below = input.is_dir() || input.components().any(|part| part.as_os_str() == "**");
    if reads_below && written.starts_with(&read) {
        let message =
            format!("lies inside the folder of the {name}, {}, which would be read with it next time", input.display());
        return Err(Complaint::new("output.path", message));
    }
    Ok(())
}

/// The folder of a glob.
fn before_pattern(glob: &Path) -> PathBuf {
    let plain = glob.components().take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']));
    Path::new(".").join(plain.collect::<PathBuf>())
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
/// seen from there, with environment variables as written.
pub(super) fn name(from: &Path, base: &Path, written: &str, path: &Path) -> String {
    let Some((before, _)) = written.split_once("${") else { return escape(&seen_from(from, path)) };
    // Of what stands before the first variable, whole folders can be looked at.
    let (folder, rest) = written.split_at(before.rfind('/').map_or(0, |slash| slash + 1));
    let folder = escape(&seen_from(from, &Path::new(".").join(base).join(folder)));
    if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") }
}

/// `to` as seen from the folder `from`, with forward slashes.
fn seen_from(from: &Path, to: &Path) -> String {
    let (from, to) = (resolved(from), resolved(to));
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
}
