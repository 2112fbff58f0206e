//! Files become objects.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartUpload, ObjectStoreExt, PutMode, PutPayload};

use super::error::{Fault, RemoteError};
use super::object::{Object, Version};
use super::store::{Remote, again};

/// A larger file goes in parts of so many bytes.
const PART: u64 = 8 << 20;
/// Stores take ten thousand parts of an object, of one size.
const MOST_PARTS: u64 = 9_000;
/// Parts on their way at once; they are also what is held in memory.
const IN_FLIGHT: usize = 4;

impl Remote {
    /// Puts a file into this folder, in the place of an object that has its name; gives the version that the store makes of it.
    /// `on_bytes` is told of each part that has arrived. The object is there whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be read; a store that refuses or does not answer.
    pub async fn put(&self, name: &str, from: &Path, on_bytes: &(dyn Fn(u64) + Sync)) -> Result<Version, RemoteError> {
        let location = self.location(name)?;
        let io = |source| self.failed(&location, "put", Fault::Io { path: from.to_owned(), source });
        let refused = |error| self.refused(&location, "put", &error);
        let mut file = File::open(from).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        if bytes <= PART {
            let mut whole = Vec::new();
            file.read_to_end(&mut whole).map_err(io)?;
            let put = self.store.put(&location, whole.into()).await.map_err(refused)?;
            on_bytes(bytes);
            return Ok(Version::by_tag(put.e_tag.as_deref()));
        }
        let mut upload = self.store.put_multipart(&location).await.map_err(refused)?;
        let sent = match send(upload.as_mut(), file, bytes.div_ceil(MOST_PARTS).max(PART), on_bytes).await {
            Ok(()) => upload.complete().await.map_err(refused),
            Err(Broken::Read(source)) => Err(io(source)),
            Err(Broken::Sent(error)) => Err(refused(error)),
        };
        if sent.is_err() {
            // Parts without an object cost money; where this fails, too, a rule of the bucket may remove them.
            drop(upload.abort().await);
        }
        Ok(Version::by_tag(sent?.e_tag.as_deref()))
    }

    /// Puts a small object, in the place of one that has its name.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn write(&self, name: &str, bytes: Vec<u8>) -> Result<(), RemoteError> {
        let location = self.location(name)?;
        let put = self.store.put(&location, bytes.into()).await;
        put.map(drop).map_err(|error| self.refused(&location, "put", &error))
    }

    /// Puts a small object where none has its name; says whether it is these bytes that are there then.
    ///
    /// Stores that cannot look and put in one step look first: then two that put at the same time may both be told that they did.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, RemoteError> {
        let payload = PutPayload::from(bytes.clone());
        if again(async || self.put_new_once(name, payload.clone()).await).await? {
            return Ok(true);
        }
        // One that was heard and not answered is there when it is sent again.
        match self.read(name, bytes.len() as u64).await {
            Err(RemoteError { fault: Fault::TooLarge { .. }, .. }) => Ok(false),
            found => Ok(found?.as_ref() == Some(&bytes)),
        }
    }

    async fn put_new_once(&self, name: &str, payload: PutPayload) -> Result<bool, RemoteError> {
        use object_store::Error;

        let location = self.location(name)?;
        let refused = |error| self.refused(&location, "put", &error);
        match self.store.put_opts(&location, payload.clone(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => match self.store.head(&location).await {
                Ok(_) => Ok(false),
                Err(Error::NotFound { .. }) => {
                    self.store.put(&location, payload).await.map_err(refused)?;
                    Ok(true)
                }
                Err(error) => Err(refused(error)),
            },
            Err(error) => Err(refused(error)),
        }
    }

    /// Deletes an object of this folder; one that is not there is deleted already.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn delete(&self, name: &str) -> Result<(), RemoteError> {
        let location = self.location(name)?;
        match self.store.delete(&location).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(|error| self.refused(&location, "deleted", &error)),
        }
    }

    /// Deletes listed objects of this folder, many in one request where the store can do that.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn delete_all(&self, objects: Vec<Object>) -> Result<(), RemoteError> {
        let folder = self.location("")?;
        let locations = stream::iter(objects.into_iter().map(|object| Ok(object.location))).boxed();
        let mut deleted = self.store.delete_stream(locations);
        while let Some(done) = deleted.next().await {
            match done {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.refused(&folder, "cleared", &error)),
            }
        }
        Ok(())
    }
}

enum Broken {
    Read(io::Error),
    Sent(object_store::Error),
}

/// Sends a file in parts.
async fn send(
    upload: &mut dyn MultipartUpload,
    file: File,
    part_bytes: u64,
    on_bytes: &(dyn Fn(u64) + Sync),
) -> Result<(), Broken> {
    let mut parts = FuturesUnordered::new();
    loop {
        let mut part = Vec::new();
        (&file).take(part_bytes).read_to_end(&mut part).map_err(Broken::Read)?;
        if part.is_empty() {
            break;
        }
        let bytes = part.len() as u64;
        let sent = upload.put_part(part.into());
        parts.push(async move { sent.await.map(|()| bytes) });
        if parts.len() == IN_FLIGHT {
            on_bytes(parts.try_next().await.map_err(Broken::Sent)?.unwrap_or_default());
        }
    }
    while let Some(bytes) = parts.try_next().await.map_err(Broken::Sent)? {
        on_bytes(bytes);
    }
    Ok(())
}
