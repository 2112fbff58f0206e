//! `miner schema`

use triplet_miner::config;

use super::output;
use super::status::Status;

pub fn run() -> anyhow::Result<Status> {
    output::json(&config::json_schema())?;
    Ok(Status::Done)
}
