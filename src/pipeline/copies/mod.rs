//! Inputs that lie in stores: listed, then copied here before anything is read. After that every file is one of this machine, and
//! messages call it by its URL.

mod error;
mod home;
mod listing;

pub use error::CopyError;

use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::engine::{Control, Engine, Watch};
use super::scratch::ScratchError;
use super::veiled::veil;
use crate::config::{Environment, Plan, Reads};
use crate::report::{Silent, Unit};
use crate::words::counted;
use home::Home;
use listing::Listing;

/// Inputs in stores, of which only names, sizes and versions are known.
pub struct Listed(Vec<Listing>);

/// What is fetched for a look, at most: a command that shows something does not fill a disk unasked.
const MOST_FOR_A_LOOK: u64 = 1 << 30;

impl Listed {
    /// Looks for what a plan reads.
    ///
    /// # Errors
    /// An input that is not there; a store that refuses or does not answer.
    pub(super) fn of(plan: &Plan, engine: &Engine) -> anyhow::Result<Self> {
        Self::at(plan.places().all().map(|(reads, path)| (reads, path.as_path())), engine)
    }

    fn at<'p>(places: impl Iterator<Item = (Reads, &'p Path)>, engine: &Engine) -> anyhow::Result<Self> {
        let mut listed = Self(Vec::new());
        for (reads, path) in places {
            if listed.get(reads, path).is_none()
                && let Some(listing) = engine.wait(Listing::of(reads, path))?
            {
                listed.0.push(listing);
            }
        }
        Ok(listed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an input lies in a store.
    pub(super) fn holds(&self, reads: Reads, path: &Path) -> bool {
        self.get(reads, path).is_some()
    }

    /// What tells the content of an input without fetching it, where its store has an ETag for every object.
    pub(super) fn version(&self, reads: Reads, path: &Path) -> Option<String> {
        self.get(reads, path)?.version()
    }

    fn get(&self, reads: Reads, path: &Path) -> Option<&Listing> {
        self.0.iter().find(|listing| listing.is_of(reads, path))
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(Listing::bytes).sum()
    }

    /// Copies them into the scratch folder of a run, where they stay until its output is sealed.
    pub(super) fn into_scratch(self, plan: &Plan, engine: &Engine, watch: &mut Watch) -> anyhow::Result<Copies> {
        if self.is_empty() {
            return Ok(Copies { listings: self.0, home: Home::None });
        }
        let home = Home::in_scratch(plan, &self.keys())?;
        home.check_room(self.bytes())?;
        watch.stage("fetch", Some(self.bytes()), Unit::Bytes, |stage| {
            self.fetch(&home, engine, &|bytes| stage.advance(bytes))?;
            Ok(((), self.summary()))
        })?;
        Ok(Copies { listings: self.0, home })
    }

    /// Copies them into a folder that goes with the copies. What is told of them shows no value of `environment`.
    pub(super) fn aside(self, engine: &Engine, environment: &Environment) -> anyhow::Result<Copies> {
        if self.is_empty() {
            return Ok(Copies { listings: self.0, home: Home::None });
        }
        let home = Home::Aside(engine.brake().folder()?);
        home.check_room(self.bytes())?;
        let stage = engine.progress().stage("fetch", Some(self.bytes()), Unit::Bytes);
        self.fetch(&home, engine, &|bytes| stage.advance(bytes))?;
        stage.finish(&environment.hide(&self.summary()));
        Ok(Copies { listings: self.0, home })
    }

    fn fetch(&self, home: &Home, engine: &Engine, on_bytes: &(dyn Fn(u64) + Sync)) -> anyhow::Result<()> {
        self.0.iter().try_for_each(|listing| {
            let folder = home.folder(&listing.key());
            engine.wait(listing.fetch(&folder, on_bytes))?;
            Ok(listing.check_local(&folder)?)
        })
    }

    fn keys(&self) -> Vec<String> {
        self.0.iter().map(Listing::key).collect()
    }

    fn summary(&self) -> String {
        let objects = self.0.iter().map(Listing::objects).sum::<usize>() as u64;
        let urls: Vec<String> = self.0.iter().map(|listing| listing.address().to_string()).collect();
        format!("{}, {}, of {}", counted(objects, "object"), ByteSize(self.bytes()), urls.join(", "))
    }
}

/// Copies of inputs that lie in stores.
pub struct Copies {
    listings: Vec<Listing>,
    home: Home,
}

impl Copies {
    /// The plan over the copies. What it says of them, it says of the URLs.
    pub fn over(&self, plan: &Plan) -> Plan {
        let mut over = plan.clone();
        over.set_places(plan.places().map(|reads, path| self.local(reads, path)));
        over.environment = self.called(&plan.environment);
        over
    }

    /// Where the copy of an input is; the input itself, where it is one of this machine.
    pub fn local(&self, reads: Reads, path: &Path) -> PathBuf {
        let listing = self.listings.iter().find(|listing| listing.is_of(reads, path));
        listing.map_or_else(|| path.to_owned(), |listing| listing.local(&self.home.folder(&listing.key())))
    }

    /// What told the content of an input of which this is the copy, see [`Listed::version`].
    pub(super) fn version(&self, reads: Reads, local: &Path) -> Option<String> {
        let folder = |listing: &Listing| self.home.folder(&listing.key());
        let is_it = |listing: &&Listing| listing.reads() == reads && listing.local(&folder(listing)) == local;
        self.listings.iter().find(is_it)?.version()
    }

    /// An error that calls copies by their URLs.
    pub fn veil(&self, error: anyhow::Error) -> anyhow::Error {
        veil(&self.names(), error)
    }

    /// What copies are called, and nothing else that is to be shown otherwise.
    pub(super) fn names(&self) -> Environment {
        self.called(&Environment::default())
    }

    fn called(&self, environment: &Environment) -> Environment {
        let mut environment = environment.clone();
        for listing in &self.listings {
            let name = listing.folder_name();
            environment.call(&self.home.folder(&listing.key()), name.trim_end_matches('/'));
        }
        environment
    }

    /// Removes those in the scratch folder of a run that is sealed.
    pub(super) fn remove(&self) -> Result<(), ScratchError> {
        self.home.remove()
    }
}

/// Removes what a run that was sealed could not remove any more, if it is there and nobody works in it.
pub(super) fn sweep(plan: &Plan) -> Result<(), ScratchError> {
    Home::sweep(plan)
}

/// Copies outputs that lie in stores, all of each, into a folder that goes with the copies.
///
/// # Errors
/// What is no output; a store that refuses or does not answer; a disk without room for it.
pub(super) fn of_outputs<'p>(outputs: impl IntoIterator<Item = &'p Path>, engine: &Engine) -> anyhow::Result<Copies> {
    Listed::at(outputs.into_iter().map(|output| (Reads::Output, output)), engine)?
        .aside(engine, &Environment::default())
}

/// Copies inputs that lie in stores for a look at them, into a folder that goes with the copies. Most inputs are files of this
/// machine, and are left where they are.
///
/// # Errors
/// More than a gibibyte; an input that is not there; a store that refuses or does not answer.
pub fn copies_for_a_look<'p>(
    places: impl Iterator<Item = (Reads, &'p Path)>,
    control: &Control,
) -> anyhow::Result<Copies> {
    let mut remote = places.filter(|(_, path)| listing::is_remote(path)).peekable();
    if remote.peek().is_none() {
        return Ok(Copies { listings: Vec::new(), home: Home::None });
    }
    let control = Control { progress: &Silent, brake: control.brake };
    let engine = Engine::new(0, &control)?;
    let listed = Listed::at(remote, &engine)?;
    let bytes = listed.bytes();
    if bytes > MOST_FOR_A_LOOK {
        let url = listed.0.iter().max_by_key(|listing| listing.bytes()).map(|listing| listing.address().to_string());
        return Err(CopyError::TooLarge { url: url.unwrap_or_default(), bytes, most: MOST_FOR_A_LOOK }.into());
    }
    listed.aside(&engine, &Environment::default())
}

/// The same of all that a plan reads: the plan over the copies, which must outlive it.
///
/// # Errors
/// Those of [`copies_for_a_look`].
pub fn over_copies(plan: &Plan, control: &Control) -> anyhow::Result<(Plan, Copies)> {
    let places = plan.places();
    let copies = copies_for_a_look(places.all().map(|(reads, path)| (reads, path.as_path())), control);
    let copies = copies.map_err(|error| veil(&plan.environment, error))?;
    Ok((copies.over(plan), copies))
}
