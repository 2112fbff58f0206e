//! What a store says of an object.

use std::fmt;

use object_store::ObjectMeta;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

/// An object in the version in which it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Below the folder that was listed, with slashes.
    pub name: String,
    pub bytes: u64,
    pub version: Version,
    pub(super) location: Path,
}

/// Which of the contents that an object has had: its ETag, or else when it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version(String);

impl Object {
    pub(super) fn new(name: String, found: ObjectMeta) -> Self {
        Self { name, bytes: found.size, version: Version::of(&found), location: found.location }
    }
}

impl Version {
    pub(super) fn of(found: &ObjectMeta) -> Self {
        match &found.e_tag {
            None if found.last_modified.timestamp_millis() == 0 => Self(String::new()),
            None => Self(found.last_modified.timestamp_millis().to_string()),
            tag => Self::by_tag(tag.as_deref()),
        }
    }

    /// Of what was put; without a tag nobody knows.
    pub(super) fn by_tag(tag: Option<&str>) -> Self {
        Self(match tag {
            // In Azure's lists they come without the quotes that requests need.
            Some(tag) if tag.starts_with(['"', 'W']) => tag.to_owned(),
            Some(tag) => format!("\"{tag}\""),
            None => String::new(),
        })
    }

    /// Whether another content has another version for certain.
    pub fn is_telling(&self) -> bool {
        self.0.starts_with('"')
    }

    /// Whether the two are of different contents. One may tell by ETag and the other by time: then nobody knows.
    pub fn contradicts(&self, other: &Self) -> bool {
        let tags = [self, other].map(|version| version.0.starts_with(['"', 'W']));
        tags[0] == tags[1] && !self.0.is_empty() && !other.0.is_empty() && self != other
    }

    /// For a request that another version is to refuse.
    pub(super) fn pin(&self) -> Option<&str> {
        self.is_telling().then_some(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
