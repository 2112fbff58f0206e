//! `miner man`

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Command, CommandFactory, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

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
    let mut program = program();
    program.build();
    match &args.folder {
        None => output::bytes(&page(program).context("the manual page cannot be made")?)?,
        Some(folder) => {
            let pages = program.get_subcommands().cloned().chain([program.clone()]);
            let write = |command: Command| {
                let path = folder.join(Man::new(command.clone()).get_filename());
                page(command).and_then(|page| fs::write(path, page))
            };
            let made = fs::create_dir_all(folder).and_then(|()| pages.into_iter().try_for_each(write));
            made.with_context(|| format!("{}: the manual pages cannot be written", folder.display()))?;
        }
    }
    Ok(Status::Done)
}

/// Without the long version: a page tells of the program, not of the machine that it was made on. `miner help` has no page.
fn program() -> Command {
    Cli::command().long_version(None::<&'static str>).disable_help_subcommand(true)
}

/// The page of one command. What its help ends with comes last, in its own lines: examples are no prose to be filled.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let last = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (mut page, mut roff) = (Vec::new(), Roff::new());
    Man::new(command.after_help(None::<&'static str>)).render(&mut page)?;
    for (title, text) in last.split("\n\n").filter_map(|paragraph| paragraph.split_once(':')) {
        roff.control("SH", [title.to_uppercase().as_str()]).control("nf", []);
        for line in text.trim_matches('\n').lines() {
            roff.text([roman(line.trim())]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}
