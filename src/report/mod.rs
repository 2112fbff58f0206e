//! Floor 4. *How did it go?* Progress while a run works, its figures afterwards.

mod card;
mod estimate;
mod memory;
mod page;
mod progress;
mod summary;

pub use estimate::Estimates;
pub use memory::Watermark;
pub use page::PAGE;
pub use progress::{Progress, Silent, Stage, Unit};
pub use summary::{
    BandLine, PrepareLine, REPORT, REPORT_BYTES, RecallLine, ReportError, Share, Shares, StageTime, Summary,
    band_lines, parse, read,
};
