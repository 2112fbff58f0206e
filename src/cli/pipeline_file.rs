//! The pipeline file and its amendments, as several commands take them.

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::config::{self, ConfigError, Plan};

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
        config::load(&self.file, &self.set)
    }
}
