//! Where the output goes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::Complaint;
use super::paths::path;
use crate::remote::Address;

/// The key that says so.
pub(super) const KEY: &str = "output.path";

/// Where the output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder of objects in a store.
    Store(Address),
}

impl Target {
    /// What a pipeline in the folder `base` says of it.
    pub(super) fn of(base: &Path, written: &str) -> Result<Self, Complaint> {
        match Address::parse(written) {
            None => Ok(Self::Folder(path(base, KEY, written)?)),
            Some(Ok(address)) if address.can_list() => Ok(Self::Store(address)),
            Some(Ok(_)) => {
                let message = "a web server takes no files; write to s3://, gs:// or az://, or to a folder";
                Err(Complaint::new(KEY, message))
            }
            Some(Err(error)) => Err(Complaint::new(KEY, error.to_string())),
        }
    }

    /// As messages and reports call it.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Folder(path) => path.clone(),
            Self::Store(address) => address.to_string().into(),
        }
    }

    /// The folder of this machine.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::Store(_) => None,
        }
    }

    /// The last name on the way to it.
    pub fn name(&self) -> OsString {
        let name = match self {
            Self::Folder(path) => path.file_name().map(OsStr::to_owned),
            Self::Store(address) => address.parts().last().map(OsString::from),
        };
        name.unwrap_or_else(|| "out".into())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Store(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_goes_to_a_folder_or_to_a_store_that_takes_it() {
        let of = |written: &str| Target::of(Path::new("p"), written);
        assert_eq!(of("../out/a").unwrap(), Target::Folder("out/a".into()));
        for (written, name) in [("s3://b/x/y", "y"), ("gs://b/x/", "x"), ("az://b", "out")] {
            let target = of(written).unwrap();
            assert!(target.folder().is_none() && target.to_string().starts_with(written), "{target}");
            assert_eq!(target.name(), name, "{written}");
        }
        for (written, expected) in [
            ("https://host/out", "a web server takes no files"),
            ("s3://key:secret@b/x", "has a user or a password in it"),
            ("hdfs://host/x", "no store is reached by `hdfs://`"),
            ("", "is empty"),
        ] {
            let Complaint { key, message, .. } = of(written).unwrap_err();
            assert!(key == KEY && message.contains(expected), "{written}: {message}");
        }
    }
}
