//! What a run tells while it works. The library only calls these; who draws bars or writes lines is the caller's affair.

/// What a stage counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Rows,
    Anchors,
    Triplets,
}

/// One stage of a run: read, prepare, index, mine, …
pub trait Stage: Send + Sync {
    /// `count` more are done. Called from many threads.
    fn advance(&self, count: u64);
    /// The stage is over; `summary` says what came of it in a few words.
    fn finish(&self, summary: &str);
}

/// Receives the stages of a run.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is what it will count to, where that is known.
    fn stage(&self, name: &'static str, total: Option<u64>, unit: Unit) -> Box<dyn Stage>;
    /// A fact worth a line (a choice and its reason), not tied to a count.
    fn note(&self, line: &str);
}

/// Tells nobody.
pub struct Silent;

impl Stage for Silent {
    fn advance(&self, _: u64) {}
    fn finish(&self, _: &str) {}
}

impl Progress for Silent {
    fn stage(&self, _: &'static str, _: Option<u64>, _: Unit) -> Box<dyn Stage> {
        Box::new(Silent)
    }
    fn note(&self, _: &str) {}
}
