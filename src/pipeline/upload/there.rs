//! What stands in a store where an output goes.

use std::collections::BTreeMap;

use crate::disk::untrusted::Refused;
use crate::manifest::{Listed, LoadError, MANIFEST, MANIFEST_BYTES, Sealed, Standing};
use crate::remote::{Address, Fault, Object, Remote, RemoteError};

/// The objects of a folder, by name, and what its manifest says.
pub struct There {
    objects: BTreeMap<String, Object>,
    manifest: Result<Sealed, LoadError>,
}

impl There {
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn look(remote: &Remote) -> Result<Self, RemoteError> {
        let objects: BTreeMap<_, _> =
            remote.list().await?.into_iter().map(|object| (object.name.clone(), object)).collect();
        let manifest = match objects.contains_key(MANIFEST) {
            true => manifest(remote).await?,
            false => Err(absent(remote.address())),
        };
        Ok(Self { objects, manifest })
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.objects.keys()
    }

    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.get(name)
    }

    /// Whether there is one, whatever it says.
    pub fn has_manifest(&self) -> bool {
        self.objects.contains_key(MANIFEST)
    }

    /// The same, as the rules look at it.
    pub fn standing(&self) -> Standing<'_> {
        let length = |listed: &Listed| self.object(&listed.path).map(|object| object.bytes).ok_or(Refused::Absent);
        let (names, manifest) = (self.names().cloned().collect(), self.manifest.as_ref());
        Standing { names, manifest, length: Box::new(length) }
    }
}

async fn manifest(remote: &Remote) -> Result<Result<Sealed, LoadError>, RemoteError> {
    let path = remote.address().join(MANIFEST).to_string().into();
    Ok(match remote.read(MANIFEST, MANIFEST_BYTES).await {
        Ok(Some(bytes)) => Sealed::read(bytes, path),
        // It has gone since it was listed.
        Ok(None) => Err(absent(remote.address())),
        Err(RemoteError { fault: fault @ Fault::TooLarge { .. }, .. }) => {
            Err(LoadError::Malformed { path, found: fault.to_string() })
        }
        Err(error) => return Err(error),
    })
}

fn absent(address: &Address) -> LoadError {
    LoadError::Absent(address.to_string().into())
}
