//! The stages of a run, each with its place in the progress and its line in the report.

mod index;
mod inputs;
mod mine;
mod place;
mod prepare;
mod seal;

pub use index::{Searcher, choice, exact, graph_key, index, tune};
pub use inputs::{identities, inputs, inputs_of, listed_fingerprint, survey};
pub use mine::{audit, measure, mine};
pub use place::{destination, figures_there, in_the_way, sealed_there, upload};
pub use prepare::{fit, prepare, prepare_aside, scratch, scratch_key};
pub use seal::{Observed, Origin, Repeated, facts, seal, search_facts, sorter, write};
