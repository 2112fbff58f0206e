//! `miner completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::status::Status;
use super::{Cli, output};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  miner completions bash > ~/.local/share/bash-completion/completions/miner")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "miner", &mut script);
    output::bytes(&script)?;
    Ok(Status::Done)
}
