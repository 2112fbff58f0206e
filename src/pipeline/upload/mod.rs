//! An output on its way to a store.
//!
//! In a store nothing can be moved into its place at once, so it is not a rename that makes an output appear but its manifest:
//! that comes last, and objects without one are no output. Before it, the list of the store is held against what it says of them;
//! and it is put only where there is none, so that of two machines that send to one place one wins.
//!
//! An older output is one no more from the moment its manifest goes, which is before anything else is touched.

mod sent;
mod there;

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Target;
use crate::manifest::{Destination, DestinationError, Draft, Listed, MANIFEST, Sealed};
use crate::remote::{Address, Remote, RemoteError, send_each};
use crate::report::{PAGE, REPORT};
use sent::Sent;
use there::There;

/// What is to be sent, and where.
pub struct Upload {
    remote: Remote,
    sent: Sent,
    overwrite: bool,
}

/// Why an output could not go to its store.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(
        "{url}: is not what was sent: found {found}, expected {expected}; something else writes to this place: \
             see to it, and run the same command again"
    )]
    Differs { url: String, found: String, expected: String },
    #[error(
        "{url}: another run has put its output here meanwhile, and files of the two may be mixed; to replace all of it, run \
             again with --overwrite"
    )]
    Overtaken { url: String },
    #[error("{}: cannot note what was sent: {source}", path.display())]
    Note { path: PathBuf, source: io::Error },
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

impl Upload {
    /// To a store. What goes there is noted in the folder `notes`, which a later run of the same kind finds; whoever finds it there
    /// has begun before.
    ///
    /// # Errors
    /// A store that the environment does not tell how to reach.
    pub fn new(address: &Address, notes: PathBuf, overwrite: bool) -> Result<Self, RemoteError> {
        Ok(Self { remote: Remote::open(address)?, sent: Sent::new(notes), overwrite })
    }

    /// What stands there, and may become of it. An upload that was begun is gone on with.
    ///
    /// # Errors
    /// When the output may not go there; a store that refuses or does not answer.
    pub async fn destination(&self, fingerprint: &str) -> Result<Destination, UploadError> {
        self.judge(&There::look(&self.remote).await?, fingerprint)
    }

    fn judge(&self, there: &There, fingerprint: &str) -> Result<Destination, UploadError> {
        let overwrite = self.overwrite || (self.sent.has_begun() && !there.has_manifest());
        let place = Target::Store(self.remote.address().clone()).path();
        Ok(there.standing().judge(&place, fingerprint, overwrite)?)
    }

    /// Makes way for an output, and says which of its files are still to be sent.
    ///
    /// # Errors
    /// Those of [`destination`](Self::destination).
    pub async fn begin<'a>(&self, draft: &'a Draft) -> Result<Vec<&'a Listed>, UploadError> {
        let there = There::look(&self.remote).await?;
        if self.judge(&there, &draft.manifest().fingerprint)? == Destination::Current {
            return Ok(Vec::new());
        }
        self.sent.begin()?;
        if there.has_manifest() {
            self.remote.delete(MANIFEST).await?;
        }
        let is_there =
            |listed: &Listed| there.object(&listed.path).is_some_and(|found| self.sent.is_known(listed, found));
        Ok(draft.manifest().listed().filter(|listed| !is_there(listed)).collect())
    }

    /// Sends these files of a folder. `on_bytes` is told of what has arrived.
    ///
    /// # Errors
    /// A file that cannot be read; a store that refuses or does not answer.
    pub async fn send(
        &self,
        folder: &Path,
        files: Vec<&Listed>,
        on_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<(), UploadError> {
        let send = async |listed: &Listed| {
            let version = self.remote.put(&listed.path, &folder.join(&listed.path), on_bytes).await?;
            self.sent.note(listed, version)
        };
        send_each(files, |listed| listed.bytes, send).await
    }

    /// Sends the report and then the manifest of a closed folder, when all else is there. What the output does not have goes.
    ///
    /// # Errors
    /// A file of the output that is not there as it was sent; another output that is there; a store that refuses or does not answer.
    pub async fn seal(&self, folder: &Path, sealed: &Sealed) -> Result<(), UploadError> {
        let there = There::look(&self.remote).await?;
        if there.has_manifest() {
            return match self.judge(&there, &sealed.fingerprint) {
                Ok(Destination::Current) => Ok(()),
                _ => Err(self.overtaken()),
            };
        }
        sealed.listed().try_for_each(|listed| self.check(listed, &there))?;
        for name in there.names().filter(|name| sealed.listed().all(|listed| listed.path != **name)) {
            self.remote.delete(name).await?;
        }
        for name in [REPORT, PAGE] {
            self.remote.put(name, &folder.join(name), &|_| ()).await?;
        }
        let path = folder.join(MANIFEST);
        let manifest = std::fs::read(&path).map_err(|source| UploadError::Read { path, source })?;
        if self.remote.put_new(MANIFEST, manifest).await? { Ok(()) } else { Err(self.overtaken()) }
    }

    /// Whether a file is there as it was sent.
    fn check(&self, listed: &Listed, there: &There) -> Result<(), UploadError> {
        let found = match there.object(&listed.path) {
            Some(object) if self.sent.may_be(listed, object) => return Ok(()),
            Some(object) if object.bytes == listed.bytes => "another version".to_owned(),
            Some(object) => format!("{} bytes", object.bytes),
            None => "no such object".to_owned(),
        };
        let url = self.remote.address().join(&listed.path).to_string();
        Err(UploadError::Differs { url, found, expected: format!("the {} bytes that were sent", listed.bytes) })
    }

    fn overtaken(&self) -> UploadError {
        UploadError::Overtaken { url: self.remote.address().to_string() }
    }
}
