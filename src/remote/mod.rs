//! Floor 4. *Where does a file live that is not here?* In a store that speaks HTTP, under an [`Address`]: S3 and what is compatible
//! with it, Google Cloud Storage, Azure Blob Storage, or a plain web server, which holds single files.
//!
//! A [`Remote`] lists, fetches and puts. No request waits for ever: each has a time limit, and is tried again a bounded number of
//! times. What is fetched is pinned to the version that was listed, and whatever has arrived of it stays through a crash: see
//! [`Remote::fetch`]. Credentials are read from the environment alone, and no message holds one.

mod address;
mod arrivals;
mod convoy;
mod error;
mod fetch;
mod object;
mod put;
mod store;

pub use address::{Address, AddressError};
pub use convoy::send_each;
pub use error::{Fault, RemoteError};
pub use object::{Object, Version};
pub use store::Remote;
