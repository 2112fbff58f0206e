//! Stores as the environment sets them up: whom to ask, who asks, and how long an answer may take.

use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};

use super::address::{Address, Kind};
use super::error::{Fault, RemoteError};
use super::object::Object;

/// A store, and the folder or object in it that an [`Address`] names. Names are relative to that.
///
/// Its futures need a tokio runtime with time and I/O.
pub struct Remote {
    pub(super) store: Box<dyn ObjectStore>,
    address: Address,
}

/// Tries of one request, beside the first: refused connections, answers that do not come, 429 and 5xx.
const AGAIN: usize = 5;
/// After this long nothing is tried again. One request takes 30 s at most, connecting 5 s, unless the environment says otherwise.
const LONGEST: Duration = Duration::from_secs(180);
/// Tries of what breaks off in the middle of an answer, the first among them.
const BROKEN_OFF: usize = 3;
/// A list of more would fill the memory.
const MOST: usize = 1_000_000;

impl Remote {
    /// Sets up the store. Nobody is asked yet.
    ///
    /// Credentials, endpoint, region, proxy and timeouts come from environment variables that begin with `AWS_`, `GOOGLE_` or
    /// `AZURE_`, as `object_store` names them; of web servers `HTTP_TIMEOUT` and `HTTP_CONNECT_TIMEOUT`.
    ///
    /// # Errors
    /// Variables that contradict each other, or hold no value of their kind.
    pub fn open(address: &Address) -> Result<Self, RemoteError> {
        let store = match address.kind() {
            Kind::S3 => {
                let builder = AmazonS3Builder::from_env().with_bucket_name(address.bucket());
                builder.with_retry(retries()).build().map(boxed)
            }
            Kind::Google => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(address.bucket());
                builder.with_retry(retries()).build().map(boxed)
            }
            Kind::Azure => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(address.origin());
                builder.with_retry(retries()).build().map(boxed)
            }
            Kind::Http => {
                let builder = HttpBuilder::new().with_url(address.whole()).with_client_options(web(address));
                builder.with_retry(retries()).build().map(boxed)
            }
        };
        match store {
            Ok(store) => Ok(Self { store, address: address.clone() }),
            Err(error) => {
                let (url, fault) = (address.to_string(), Fault::of_settings(address.kind(), &error));
                Err(RemoteError { url, act: "reached", fault })
            }
        }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether this folder can be listed, empty or not.
    ///
    /// # Errors
    /// As of [`list`](Self::list).
    pub async fn reach(&self) -> Result<(), RemoteError> {
        let folder = self.location("")?;
        let first = self.store.list(Some(&folder)).try_next().await;
        first.map(drop).map_err(|error| self.refused(&folder, "listed", &error))
    }

    /// All objects in this folder, and in those below it, by name. Where there is no such folder there are none.
    ///
    /// # Errors
    /// What is [listed nowhere](Address::can_list); a store that refuses or does not answer.
    pub async fn list(&self) -> Result<Vec<Object>, RemoteError> {
        self.list_below("", "").await
    }

    /// Those in one of its folders, called as in this one, that come after a name; all of them after an empty one.
    ///
    /// # Errors
    /// As of [`list`](Self::list).
    pub async fn list_below(&self, folder: &str, after: &str) -> Result<Vec<Object>, RemoteError> {
        again(async || self.list_once(folder, after).await).await
    }

    /// The object of a name in this folder, or all in the folder of that name. Where there is neither there are none.
    ///
    /// # Errors
    /// As of [`list`](Self::list).
    pub async fn find(&self, name: &str) -> Result<Vec<Object>, RemoteError> {
        let below = self.list_below(name, "").await?;
        Ok(if below.is_empty() { self.head(name).await?.into_iter().collect() } else { below })
    }

    /// The object of a name in this folder, if there is one.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn head(&self, name: &str) -> Result<Option<Object>, RemoteError> {
        let location = self.location(name)?;
        match self.store.head(&location).await {
            Ok(found) => Ok(Some(Object::new(name.to_owned(), found))),
            Err(error) => match Fault::of(self.address.kind(), &error) {
                Fault::Missing(_) => Ok(None),
                fault => Err(self.failed(&location, "read", fault)),
            },
        }
    }

    async fn list_once(&self, below: &str, after: &str) -> Result<Vec<Object>, RemoteError> {
        let (root, folder) = (self.location("")?, self.location(below)?);
        if !self.address.can_list() {
            return Err(self.failed(&folder, "listed", Fault::CannotList));
        }
        let name = |found: &ObjectMeta| Some(found.location.prefix_match(&root)?.collect::<Path>().to_string());
        let mut objects = Vec::new();
        let mut list = match after {
            "" => self.store.list(Some(&folder)),
            after => self.store.list_with_offset(Some(&folder), &self.location(after)?),
        };
        while let Some(found) = list.try_next().await.map_err(|error| self.refused(&folder, "listed", &error))? {
            if objects.len() == MOST {
                return Err(self.failed(&folder, "listed", Fault::TooMany(MOST)));
            }
            // Some stores have objects that stand for the folders themselves.
            if let Some(name) = name(&found).filter(|name| !name.is_empty()) {
                objects.push(Object::new(name, found));
            }
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// The object that the address itself names, if there is one; it is called as the last part of the address.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn look(&self) -> Result<Option<Object>, RemoteError> {
        let location = self.location("")?;
        let found = match self.address.kind() {
            // A signature is for reading alone, so the first byte is read.
            Kind::Http => {
                let first = GetOptions::new().with_range(Some(0..1));
                self.store.get_opts(&location, first).await.map(|answer| answer.meta)
            }
            _ => self.store.head(&location).await,
        };
        match found {
            Ok(found) => Ok(Some(Object::new(self.address.split(1).1, found))),
            Err(error) => match Fault::of(self.address.kind(), &error) {
                Fault::Missing(_) => Ok(None),
                fault => Err(self.failed(&location, "read", fault)),
            },
        }
    }

    /// That neither [the object](Self::look) nor [the folder](Self::list) is there.
    pub fn missing(&self) -> RemoteError {
        let fault = Fault::Missing(self.address.kind().object());
        RemoteError { url: self.address.to_string(), act: "read", fault }
    }

    /// The whole of a small object in this folder, if it is there.
    ///
    /// # Errors
    /// More than `most` bytes; a store that refuses or does not answer.
    pub async fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        again(async || self.read_once(name, most).await).await
    }

    async fn read_once(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        let location = self.location(name)?;
        let answer = match self.store.get(&location).await {
            Ok(answer) => answer,
            Err(error) => match Fault::of(self.address.kind(), &error) {
                Fault::Missing(_) => return Ok(None),
                fault => return Err(self.failed(&location, "read", fault)),
            },
        };
        if answer.meta.size > most {
            return Err(self.failed(&location, "read", Fault::TooLarge { found: answer.meta.size, most }));
        }
        let bytes = answer.bytes().await.map_err(|error| self.refused(&location, "read", &error))?;
        Ok(Some(bytes.into()))
    }

    /// Where the store has what is called so in this folder.
    pub(super) fn location(&self, name: &str) -> Result<Path, RemoteError> {
        if self.address.kind() == Kind::Http {
            // The whole URL is the store's own, with its query.
            return Ok(Path::ROOT);
        }
        let address = if name.is_empty() { self.address.clone() } else { self.address.join(name) };
        Path::parse(address.path()).map_err(|error| {
            let (url, fault) = (address.to_string(), Fault::of(address.kind(), &error.into()));
            RemoteError { url, act: "reached", fault }
        })
    }

    pub(super) fn failed(&self, at: &Path, act: &'static str, fault: Fault) -> RemoteError {
        let url = if self.address.can_list() { self.address.renamed(at.as_ref()) } else { self.address.clone() };
        RemoteError { url: url.to_string(), act, fault }
    }

    pub(super) fn refused(&self, at: &Path, act: &'static str, error: &object_store::Error) -> RemoteError {
        self.failed(at, act, Fault::of(self.address.kind(), error))
    }
}

/// Does again what broke off in the middle.
pub(super) async fn again<T>(work: impl AsyncFn() -> Result<T, RemoteError>) -> Result<T, RemoteError> {
    for _ in 1..BROKEN_OFF {
        match work().await {
            Err(error) if error.fault.is_worth_another() => {}
            done => return done,
        }
    }
    work().await
}

fn boxed(store: impl ObjectStore) -> Box<dyn ObjectStore> {
    Box::new(store)
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: AGAIN, retry_timeout: LONGEST, ..RetryConfig::default() }
}

/// What other stores read from the environment themselves.
fn web(address: &Address) -> ClientOptions {
    let settings =
        [(ClientConfigKey::Timeout, "HTTP_TIMEOUT"), (ClientConfigKey::ConnectTimeout, "HTTP_CONNECT_TIMEOUT")];
    let set = settings.into_iter().filter_map(|(key, name)| Some((key, std::env::var(name).ok()?)));
    let options = ClientOptions::new().with_allow_http(!address.is_encrypted());
    set.fold(options, |options, (key, value)| options.with_config(key, value))
}
