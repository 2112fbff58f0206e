//! Where an executor finds orders: below one folder, or below one folder of a store. Nothing outside of it is opened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::ground::Ground;
use super::in_a_line;
use super::mirror::{DEPTH, Mirror};
use super::order::{FILE, OrderError, WorkOrder};
use super::sign;
use super::wire::Wire;
use crate::config::Meeting;
use crate::remote::{Address, Remote};

/// Such a place.
#[derive(Debug)]
pub enum Site {
    Folder(PathBuf),
    Store(Shop),
}

/// A folder of a store.
pub struct Shop {
    remote: Remote,
    wire: Arc<Wire>,
    /// For what is fetched of it.
    scratch: PathBuf,
}

/// The folder of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Folder(PathBuf),
    Store(Address),
}

/// Bytes of an order, at most.
const MOST: u64 = 16 << 20;

impl Site {
    /// What of it must be fetched goes to `scratch`.
    ///
    /// # Errors
    /// A folder that is not there; a store that is not to be reached.
    pub fn open(meeting: &Meeting, scratch: &Path) -> anyhow::Result<Self> {
        match meeting {
            Meeting::Folder(folder) => {
                let absent = || format!("--work {}: expected the folder of run.work; is it mounted?", folder.display());
                Ok(Self::Folder(folder.canonicalize().with_context(absent)?))
            }
            Meeting::Store(address) => {
                let (remote, wire) = (Remote::open(address)?, Arc::new(Wire::new()?));
                // Whoever may not read there is told so at once.
                wire.ask(async || Ok(remote.reach().await?)).context("--work")?;
                Ok(Self::Store(Shop { remote, wire, scratch: scratch.to_owned() }))
            }
        }
    }

    /// Where a path or URL leads.
    ///
    /// # Errors
    /// When that is outside, or not there any more.
    pub fn find(&self, folder: &Path) -> Result<Place, OrderError> {
        let outside = |folder: &Path| OrderError::Outside { folder: folder.to_owned(), root: self.to_string() };
        let address = Address::at(folder);
        match (self, address) {
            // Deep enough for its run to lie inside, too.
            (Self::Store(shop), Some(address))
                if address.below(shop.remote.address()).is_some_and(|name| name.split('/').count() > DEPTH) =>
            {
                Ok(Place::Store(address))
            }
            (Self::Folder(root), None) => {
                // A folder that is not there may lie anywhere.
                let withdrawn = |source| OrderError::Withdrawn { folder: folder.to_owned(), source };
                let folder = folder.canonicalize().map_err(withdrawn)?;
                match folder.strip_prefix(root) {
                    Ok(rest) if rest.components().count() > DEPTH => Ok(Place::Folder(folder)),
                    _ => Err(outside(&folder)),
                }
            }
            _ => Err(outside(folder)),
        }
    }

    /// The order of a place.
    ///
    /// # Errors
    /// When there is none any more; when it is of another program; when the store cannot be asked.
    pub fn read(&self, place: &Place) -> Result<WorkOrder, OrderError> {
        match (self, place) {
            (Self::Store(shop), Place::Store(address)) => shop.read(address),
            (_, place) => WorkOrder::read(&place.path()),
        }
    }

    /// Whether all that an order of a place names lies in its run, and here, links followed.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, place: &Place, order: &WorkOrder) -> Result<(), OrderError> {
        order.check(&place.within_runs())?;
        let (Self::Folder(root), Place::Folder(folder)) = (self, place) else { return Ok(()) };
        // What is not there yet leads nowhere.
        let leads_out = |path: &PathBuf| folder.join(path).canonicalize().is_ok_and(|real| !real.starts_with(root));
        match order.paths().chain([PathBuf::from(sign::FOLDER)]).find(leads_out) {
            Some(path) => Err(OrderError::Astray { path }),
            None => Ok(()),
        }
    }

    /// What an order of a place is worked on. Where that is a mirror, it is shared with `others` of the same run.
    ///
    /// # Errors
    /// When there is no room for one.
    pub fn ground<'g>(
        &self,
        place: &Place,
        mut others: impl Iterator<Item = &'g Ground>,
    ) -> Result<Ground, OrderError> {
        match (self, place) {
            (Self::Store(Shop { wire, scratch, .. }), Place::Store(address)) => {
                let unreachable = |error: anyhow::Error| OrderError::Unreachable(in_a_line(&error));
                let mirror = match others.find_map(|other| other.mirror_of(address)) {
                    Some(mirror) => mirror,
                    None => Arc::new(Mirror::new(address, scratch, wire.clone()).map_err(unreachable)?),
                };
                Ok(Ground::Mirrored(mirror, address.clone()))
            }
            (_, place) => Ok(Ground::Shared(place.path())),
        }
    }
}

impl Shop {
    fn read(&self, address: &Address) -> Result<WorkOrder, OrderError> {
        let path = address.join(FILE);
        let withdrawn = || OrderError::Withdrawn {
            folder: address.to_string().into(),
            source: io::Error::new(io::ErrorKind::NotFound, "there is no such object"),
        };
        let name = path.below(self.remote.address()).ok_or_else(withdrawn)?;
        let read = self.wire.insist(async || Ok(self.remote.read(name, MOST).await?));
        let bytes = read.map_err(|error| OrderError::Unreachable(in_a_line(&error)))?.ok_or_else(withdrawn)?;
        WorkOrder::parse(&bytes, path.to_string().into())
    }
}

impl Place {
    /// The same, as seen from the folder of all runs of an output.
    pub fn within_runs(&self) -> String {
        match self {
            Self::Folder(folder) => {
                let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
                parts[parts.len().saturating_sub(DEPTH)..].join("/")
            }
            Self::Store(address) => address.split(DEPTH).1,
        }
    }

    pub fn path(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Store(address) => address.to_string().into(),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Store(shop) => shop.remote.address().fmt(f),
        }
    }
}

impl fmt::Debug for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remote.address().fmt(f)
    }
}
