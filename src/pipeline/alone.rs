//! What stands for the cluster in builds without it: this machine does all the work.

use super::crew::{Commission, Crew};
use super::engine::{Engine, Watch};
use super::roster::Roster;
use super::scratch::{Scratch, ScratchError};
use super::stages::Searcher;
use crate::config::Plan;
use crate::store::Prepared;

/// No other machine is asked for.
pub fn check(_: &Plan) -> anyhow::Result<()> {
    Ok(())
}

/// None is looked at.
pub fn look(_: &Plan) -> Option<Roster> {
    None
}

/// There is nobody to meet.
pub fn reach(_: &Plan, _: &Engine) -> anyhow::Result<()> {
    Ok(())
}

/// What nobody takes here.
pub struct Lease;

/// There is nothing left of any meeting.
pub fn begin(_: &Plan, _: &Scratch, _: &str, _: &Engine) -> anyhow::Result<Option<Lease>> {
    Ok(None)
}

/// The same.
pub fn end(_: &Plan, _: &Engine, _: Option<Lease>) -> Result<(), ScratchError> {
    Ok(())
}

/// The index is built where it is opened.
pub fn build_index(_: &Commission, _: &Prepared, _: &Engine, _: &mut Watch) -> anyhow::Result<()> {
    Ok(())
}

/// The threads of this process.
pub fn crew<'a>(_: &Commission<'a>, _: &Searcher, engine: &'a Engine<'a>) -> anyhow::Result<Crew<'a>> {
    Ok(Crew::Local(engine))
}
