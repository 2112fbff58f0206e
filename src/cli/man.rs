//! `miner man`

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{CommandFactory, ValueHint};
use clap_mangen::Man;

use super::status::Status;
use super::{Cli, output};

/// Print the manual page, or write one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  miner man | man -l -\n  miner man ~/.local/share/man/man1   then: man miner-run")]
pub struct Args {
    /// Write miner.1, miner-run.1, … to this folder, which is made where it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    match &args.folder {
        None => {
            let mut page = Vec::new();
            Man::new(program()).render(&mut page).context("the manual page cannot be made")?;
            output::bytes(&page)?;
        }
        Some(folder) => {
            let made = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(program(), folder));
            made.with_context(|| format!("{}: the manual pages cannot be written", folder.display()))?;
        }
    }
    Ok(Status::Done)
}

/// Without the long version: a page tells of the program, not of the machine that it was made on.
fn program() -> clap::Command {
    Cli::command().long_version(None::<&'static str>)
}
