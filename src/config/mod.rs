//! Floor 5. *What was asked?* The TOML as written becomes a plan: checked, every default filled in.
//!
//! No later room meets a contradiction, an unknown name, or a path that is relative to something else than the process.

mod embedding;
mod environment;
mod error;
mod excerpt;
mod guards;
mod links;
mod load;
mod machines;
mod mining;
mod output;
mod paths;
mod places;
mod plan;
mod prepare;
mod restore;
mod schema;
mod size;
mod spec;
mod target;
mod together;
mod veil;
mod written;

pub use environment::{Environment, ProofError};
pub use error::{ConfigError, KeyError, Named, Place};
pub use load::load;
pub use machines::{Machines, Meeting, Scheduler, Tls};
pub(crate) use paths::resolved;
pub use places::{Places, QUERY_VECTORS, Reads, TRANSFORM, VECTORS};
pub use plan::{Plan, Run};
pub use restore::{Moved, RestoreError, restore};
pub use schema::json_schema;
pub use size::parse_size;
pub use target::Target;
pub use written::Written;
