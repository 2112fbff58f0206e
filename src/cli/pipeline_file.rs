//! The pipeline file and its amendments, as several commands take them.

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::config::{self, ConfigError, Plan, Run};

use super::bug;

#[derive(Debug, clap::Args)]
pub struct PipelineFile {
    /// The pipeline (TOML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Set a key for this once, as in mine.margin=0.3; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl PipelineFile {
    pub fn load(&self) -> Result<Plan, ConfigError> {
        let plan = config::load(&self.file, &self.set)?;
        bug::hide(&plan.environment);
        Ok(plan)
    }
}

/// What a run may use of the machine: keys of `[run]`, with flags of their own.
#[derive(Debug, clap::Args)]
pub struct RunFlags {
    /// Threads to work with; 0 takes every core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=1_024))]
    threads: Option<u16>,
    /// Anonymous memory to work in, at most, as in 4GiB; 0 takes three quarters of the machine's
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<Size>,
}

/// Bytes, where any were said.
#[derive(Debug, Clone, Copy)]
pub struct Size(Option<u64>);

impl Size {
    pub fn bytes(self) -> Option<u64> {
        self.0
    }
}

pub fn size(text: &str) -> Result<Size, String> {
    config::parse_size(text).map(Size)
}

impl RunFlags {
    pub fn apply(&self, run: &mut Run) {
        run.threads = self.threads.map_or(run.threads, usize::from);
        run.memory = self.memory.map_or(run.memory, |Size(bytes)| bytes);
    }
}
