//! What one input in a store is: its objects, as a path of this machine with the same words would name files.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::error::CopyError;
use crate::config::Reads;
use crate::manifest::MANIFEST;
use crate::remote::{Address, Object, Remote};
use crate::store;

/// The objects of one input.
pub(super) struct Listing {
    /// As the plan has it.
    path: PathBuf,
    reads: Reads,
    address: Address,
    found: Found,
    /// Of the path: `:name` of an array in an archive.
    member: String,
}

/// What an address names.
struct Found {
    /// The folder that the names of the objects begin in, or the object itself.
    remote: Remote,
    objects: Vec<Object>,
    /// What a folder with copies of them is a copy of.
    folder: Address,
    /// From there to what is to be read: a file, a pattern, or nothing more.
    rest: String,
}

impl Listing {
    /// Lists an input; none where it is one of this machine.
    pub async fn of(reads: Reads, path: &Path) -> Result<Option<Self>, CopyError> {
        let Some(address) = path.to_str().and_then(Address::parse) else { return Ok(None) };
        let address = address.map_err(|source| CopyError::Address { path: path.to_owned(), source })?;
        // Of `file.npz:name` the store knows the file alone.
        let name = address.name();
        let member = if reads == Reads::Arrays { store::array_in(&name) } else { None };
        let member = member.map(|name| format!(":{name}")).unwrap_or_default();
        let found = Found::look(reads, &address.without_end(&member)).await?;
        Ok(Some(Self { path: path.to_owned(), reads, address, found, member }))
    }

    pub fn is_of(&self, reads: Reads, path: &Path) -> bool {
        self.reads == reads && self.path == path
    }

    pub fn reads(&self) -> Reads {
        self.reads
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn objects(&self) -> usize {
        self.found.objects.len()
    }

    pub fn bytes(&self) -> u64 {
        self.found.objects.iter().map(|object| object.bytes).sum()
    }

    /// What the folder of its copies is called: the same whoever signs for it, and whatever version it has.
    pub fn key(&self) -> String {
        let named = format!("{:?} {}", self.reads, self.address.name());
        blake3::hash(named.as_bytes()).to_hex()[..16].to_owned()
    }

    /// Equal for equal objects: their names, sizes and ETags. None where a store does not tell.
    pub fn version(&self) -> Option<String> {
        let mut whole = blake3::Hasher::new();
        for object in &self.found.objects {
            if !object.version.is_telling() {
                return None;
            }
            let version = object.version.to_string();
            for text in [&object.name, &version] {
                // Lengths keep neighbouring texts apart.
                whole.update(&(text.len() as u64).to_le_bytes());
                whole.update(text.as_bytes());
            }
            whole.update(&object.bytes.to_le_bytes());
        }
        Some(whole.finalize().to_hex().to_string())
    }

    pub async fn fetch(&self, folder: &Path, on_bytes: &(dyn Fn(u64) + Sync)) -> Result<(), CopyError> {
        Ok(self.found.remote.fetch(&self.found.objects, folder, on_bytes).await?)
    }

    /// The path that names the copies in a folder as the address names the objects.
    pub fn local(&self, folder: &Path) -> PathBuf {
        let rest = format!("{}{}", self.found.rest, self.member);
        if rest.is_empty() { folder.to_owned() } else { folder.join(rest) }
    }

    /// Whether that path means what it says.
    pub fn check_local(&self, folder: &Path) -> Result<(), CopyError> {
        let Found { objects, rest, .. } = &self.found;
        let is_pattern = !rest.is_empty() && objects.iter().all(|object| object.name != *rest);
        match is_pattern && folder.to_string_lossy().contains(SIGNS) {
            true => Err(CopyError::Folder { folder: folder.to_owned(), url: self.address.to_string() }),
            false => Ok(()),
        }
    }

    /// What that folder is a copy of.
    pub fn folder_name(&self) -> String {
        self.found.folder.name()
    }
}

impl Found {
    async fn look(reads: Reads, address: &Address) -> Result<Self, CopyError> {
        let itself = Remote::open(address)?;
        // What exists under the very name given is never taken for a pattern.
        if reads != Reads::Output
            && !address.is_folder()
            && let Some(object) = itself.look().await?
        {
            let (folder, rest) = (address.split(1).0, object.name.clone());
            return Ok(Self { remote: itself, objects: vec![object], folder, rest });
        }
        match reads {
            Reads::Table | Reads::Arrays if address.can_list() && address.is_pattern() => Self::matching(address).await,
            Reads::Table if address.can_list() || address.is_folder() => Self::below(reads, itself).await,
            Reads::Output => Self::below(reads, itself).await,
            _ => Err(itself.missing().into()),
        }
    }

    /// The objects whose names a pattern fits, as it fits those of files.
    async fn matching(address: &Address) -> Result<Self, CopyError> {
        let url = || address.to_string();
        let parts = address.parts().count();
        let spelled_out = address.parts().take_while(|part| !part.contains(SIGNS)).count();
        let (folder, rest) = address.split(parts - spelled_out);
        let pattern = Pattern::new(&rest).map_err(|source| CopyError::Pattern { url: url(), source })?;
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        let fits = |object: &Object| {
            pattern.matches_with(&object.name, options) && store::is_of_pattern(Path::new(&object.name))
        };
        let remote = Remote::open(&folder)?;
        let objects: Vec<Object> = remote.list().await?.into_iter().filter(fits).collect();
        if objects.is_empty() {
            Err(CopyError::NoMatch { url: url() })
        } else {
            Ok(Self { remote, objects, folder, rest })
        }
    }

    /// The objects of a folder: a store's, or all that an output has.
    async fn below(reads: Reads, remote: Remote) -> Result<Self, CopyError> {
        let (all, folder) = (remote.list().await?, remote.address().clone());
        let (count, url) = (all.len(), folder.to_string());
        let is_read = |object: &Object| reads == Reads::Output || store::is_of_folder(Path::new(&object.name));
        let objects: Vec<Object> = all.into_iter().filter(is_read).collect();
        let has_manifest = || objects.iter().any(|object| object.name == MANIFEST);
        match count {
            0 => Err(remote.missing().into()),
            _ if objects.is_empty() => Err(CopyError::Empty { url, others: count }),
            _ if reads == Reads::Output && !has_manifest() => Err(CopyError::NoOutput { url }),
            _ => Ok(Self { remote, objects, folder, rest: String::new() }),
        }
    }
}

/// What makes a path a pattern.
const SIGNS: [char; 3] = ['*', '?', '['];

/// Whether an input lies in a store, as far as its path tells.
pub(super) fn is_remote(path: &Path) -> bool {
    path.to_str().is_some_and(|text| Address::parse(text).is_some())
}
