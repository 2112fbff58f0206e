//! What an executor works on: the folder of an order, where all machines see it, or a mirror of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::mirror::{Mirror, Shipped};
use super::order::{FILE, WorkOrder};
use super::sign;
use super::spills::check_room;
use super::worker::Work;
use crate::disk;
use crate::remote::Address;

/// Where the paths of an order hold.
#[derive(Debug)]
pub enum Ground {
    Shared(PathBuf),
    /// The order lies in a store at this address.
    Mirrored(Arc<Mirror>, Address),
}

impl Ground {
    /// The folder of the order.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Shared(folder) => folder.clone(),
            Self::Mirrored(mirror, address) => mirror.folder(address),
        }
    }

    /// The mirror of the run that an order at an address is of, if this is one.
    pub fn mirror_of(&self, order: &Address) -> Option<Arc<Mirror>> {
        match self {
            Self::Mirrored(mirror, _) if mirror.is_of(order) => Some(mirror.clone()),
            _ => None,
        }
    }

    /// Has what the order names, and room in `scratch` for what is derived from it.
    ///
    /// # Errors
    /// When there is none; those of [`Mirror::open`].
    pub fn open(&self, order: &WorkOrder, scratch: &Path) -> anyhow::Result<()> {
        match self {
            Self::Shared(_) => check_room(scratch, 0, order.needs.packed),
            Self::Mirrored(mirror, address) => mirror.open(address, order).with_context(|| address.to_string()),
        }
    }

    /// Whether the order was taken back. A store that cannot be asked has not told so.
    pub fn is_withdrawn(&self) -> bool {
        match self {
            Self::Shared(folder) => !folder.join(FILE).exists(),
            Self::Mirrored(mirror, address) => mirror.is_withdrawn(address),
        }
    }

    /// Whether what was fetched for the run of an order that was taken back is of no more use.
    pub fn is_over(&self, order: &WorkOrder) -> bool {
        match self {
            Self::Shared(_) => false,
            Self::Mirrored(mirror, address) => mirror.is_over(address, order),
        }
    }

    /// Whether both have the same mirror.
    pub fn shares(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Mirrored(mine, _), Self::Mirrored(theirs, _)) if Arc::ptr_eq(mine, theirs))
    }

    /// Lends work to `then` so that its results get where they are looked for.
    ///
    /// # Errors
    /// An order that names a folder outside of its run.
    pub fn lend(&self, order: &WorkOrder, work: &dyn Work, then: impl FnOnce(&dyn Work)) -> anyhow::Result<()> {
        match self {
            Self::Shared(_) => then(work),
            Self::Mirrored(mirror, address) => then(&Shipped::new(mirror, address, order, work)?),
        }
        Ok(())
    }

    /// What lies between two signs of life at least: in a store each costs a little.
    pub fn between_signs(&self) -> Duration {
        match self {
            Self::Shared(_) => Duration::ZERO,
            Self::Mirrored(..) => Duration::from_secs(1),
        }
    }

    /// Takes the sign of an executor out of a store, where nobody else would any more.
    pub fn forget_sign(&self, executor: &str) {
        if let Self::Mirrored(mirror, address) = self {
            mirror.forget(address, &sign::name(executor));
        }
    }

    /// Leaves an executor's sign of life beside the order.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn sign(&self, executor: &str, sign: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Shared(folder) => Ok(disk::keep(&folder.join(sign::name(executor)), sign)?),
            Self::Mirrored(mirror, address) => mirror.write(address, &sign::name(executor), &serde_json::to_vec(sign)?),
        }
    }
}
