//! Floor 4. *How did it go?* Progress while a run works, its figures afterwards.

mod progress;

pub use progress::{Progress, Silent, Stage, Unit};
